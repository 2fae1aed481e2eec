package drivers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // sql.Open's mysql
	"github.com/jackc/pgx/v5"

	"github.com/berthdb/berth/integration/harness"
)

// pgxAlone is pgx in its default mode. Its pool says nothing of its own.
func pgxAlone(t *testing.T, e harness.Endpoint) (string, func() error) {
	t.Helper()
	conn, err := e.PgxConn(t.Context(), harness.App().InClear())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), writePG, "go")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := conn.QueryRow(t.Context(), readPG, 1).Scan(&text); err != nil {
			t.Fatal(err)
		}
	}
	return "pgx " + required(t, "pgx/v5"), func() error { return conn.Close(context.WithoutCancel(t.Context())) }
}

// goMySQL is go-sql-driver in a pool of one connection, with what its DSN has by default, and interpolateParams as given.
func goMySQL(interpolate bool) start {
	return func(t *testing.T, e harness.Endpoint) (string, func() error) {
		t.Helper()
		l := harness.App()
		db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?interpolateParams=%t", l.User, l.Password, e.Address(), l.Database, interpolate))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		for range 2 {
			if err := useMySQL(t.Context(), db); err != nil {
				t.Fatal(err)
			}
		}
		return "go-sql-driver " + required(t, "go-sql-driver/mysql"), db.Close
	}
}

func useMySQL(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, writeMy, "go"); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	var text string
	return db.QueryRowContext(ctx, readMy, 1).Scan(&text)
}

// required is the version in go.mod of the module whose path ends with name.
func required(t *testing.T, name string) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasSuffix(f[0], "/"+name) {
			return strings.TrimPrefix(f[1], "v")
		}
	}
	t.Fatalf("go.mod requires no %s", name)
	return ""
}
