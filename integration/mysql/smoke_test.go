// Package mysql tests berth between real MySQL clients and MySQL and MariaDB servers.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// eachServer runs a test in front of every server, through a proxy of its own with this many database connections.
func eachServer(t *testing.T, connections int, test func(t *testing.T, s *harness.Server, p harness.Endpoint)) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: connections}}})
			test(t, s, p.Endpoint(name))
		})
	}
}

// logins are App over TLS and in clear.
var logins = map[string]harness.Login{"tls": harness.App(), "plain": harness.App().InClear()}

// open is a pool of one connection.
func open(t *testing.T, e harness.Endpoint, l harness.Login) *sql.DB {
	t.Helper()
	db, err := e.GoMySQLDB(l)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestGoSQLDriverQueriesPassThrough(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, s *harness.Server, p harness.Endpoint) {
		var version string
		if err := open(t, s.Endpoint, harness.App()).QueryRowContext(t.Context(), "select version()").Scan(&version); err != nil {
			t.Fatal(err)
		}
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				db := open(t, p, login)
				var got, text string
				var product int
				err := db.QueryRowContext(t.Context(), "select version(), ? * ?, ?", 6, 7, "it's").Scan(&got, &product, &text)
				if err != nil || got != version || product != 42 || text != "it's" {
					t.Errorf("%s %d %s, %v; the server is %s", got, product, text, err, version)
				}
				var database string
				if err := db.QueryRowContext(t.Context(), "select database()").Scan(&database); err != nil || database != "app" {
					t.Errorf("database %q, %v", database, err)
				}
			})
		}
	})
}

func TestTransactionsOfManyClientsShareFewConnections(t *testing.T) {
	const clients, connections, transactions = 40, 4, 10
	crowded(t, harness.Route{MaxConnections: connections}, func(t *testing.T, f front) {
		s, p := f.server, f.Endpoint
		table := fmt.Sprintf("app.smoke_%d", os.Getpid())
		harness.Exec(t, s, "drop table if exists "+table, "create table "+table+" (n int)", "insert into "+table+" values (0)")
		t.Cleanup(func() {
			if err := s.Exec(context.Background(), "drop table "+table); err != nil {
				t.Error(err)
			}
		})
		most := harness.WatchConnections(t, s, harness.App().User)
		done := make(chan error, clients)
		for range clients {
			go func() { done <- increments(t.Context(), p, table, transactions) }()
		}
		for range clients {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := most().Open; n == 0 || n > connections {
			t.Errorf("%d database connections, the limit is %d", n, connections)
		}
		var n int
		err := open(t, s.Endpoint, harness.App()).QueryRowContext(t.Context(), "select n from "+table).Scan(&n)
		if err != nil || n != clients*transactions {
			t.Errorf("%d of %d transactions are there, %v", n, clients*transactions, err)
		}
	})
}

func increments(ctx context.Context, p harness.Endpoint, table string, times int) error {
	db, err := p.GoMySQLDB(harness.App())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	for range times {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "update "+table+" set n = n + ?", 1); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func TestCommandLineClientsPrintWhatTheServerSays(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, _ *harness.Server, p harness.Endpoint) {
		for name, login := range logins {
			for client, args := range map[string][]string{"mysql97": p.MySQLArgs(login), "mariadb1011": p.MariaDBArgs(login)} {
				t.Run(client+" "+name, func(t *testing.T) {
					cmd := exec.CommandContext(t.Context(), harness.Program(t, client, "MYSQL"),
						append(args, "-e", "select 6 * 7; select 'it''s'; use app; select database()")...)
					cmd.Env = append(os.Environ(), "MYSQL_PWD="+login.Password)
					out, err := cmd.CombinedOutput()
					if got := strings.Fields(string(out)); err != nil || strings.Join(got, " ") != "42 it's app" {
						t.Errorf("mysql: %v: %s", err, out)
					}
				})
			}
		}
	})
}

func TestWrongLoginsAreRefusedInTheServersWords(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, _ *harness.Server, p harness.Endpoint) {
		for _, c := range []struct {
			name  string
			login harness.Login
			codes []uint16
		}{
			{"wrong password", harness.Login{User: "app", Password: "guess", Database: "app"}, []uint16{1045}},
			{"unknown user", harness.Login{User: "stranger", Password: "secret", Database: "app"}, []uint16{1045}},
			// Who may not see a database is not told whether it exists: 1044 and 1049.
			{"unknown database", harness.Login{User: "app", Password: "secret", Database: "nowhere"}, []uint16{1044, 1049}},
		} {
			for transport, login := range map[string]harness.Login{"tls": c.login, "plain": c.login.InClear()} {
				t.Run(c.name+" "+transport, func(t *testing.T) {
					ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
					defer stop()
					var one int
					err := open(t, p, login).QueryRowContext(ctx, "select 1").Scan(&one)
					var refusal *mysql.MySQLError
					if !errors.As(err, &refusal) || !slices.Contains(c.codes, refusal.Number) {
						t.Errorf("want error %v, got %v", c.codes, err)
					}
				})
			}
		}
	})
}
