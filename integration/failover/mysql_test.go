package failover

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// mysqlWriter is go-sql-driver in its default mode, with one connection.
type mysqlWriter struct {
	pool *sql.DB
	conn *sql.Conn
}

func connectMySQL(ctx context.Context, e harness.Endpoint) (writer, error) {
	pool, err := e.GoMySQLDB(harness.App())
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	return &mysqlWriter{pool, conn}, err
}

const mysqlInsert = "insert into ledger values (?)"

func (w *mysqlWriter) single(ctx context.Context, id string) error {
	_, err := w.conn.ExecContext(ctx, mysqlInsert, id)
	return err
}

func (w *mysqlWriter) pair(ctx context.Context, id string) error {
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := tx.ExecContext(ctx, mysqlInsert, id); err != nil {
			if back := tx.Rollback(); back != nil {
				return fmt.Errorf("%w; rollback: %w", errDropped, back)
			}
			return err
		}
	}
	return tx.Commit()
}

func (w *mysqlWriter) outcome(err error) (outcome, error) {
	var e *mysql.MySQLError
	switch {
	case err == nil:
		return done, nil
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, errDropped), errors.Is(err, mysql.ErrInvalidConn):
		return 0, fmt.Errorf("%w: %w", errDropped, err)
	case errors.As(err, &e) && e.Number == 1213:
		return nothing, nil
	case errors.As(err, &e) && e.Number == 9502:
		return unknown, nil
	}
	return 0, err
}

func (w *mysqlWriter) close() { _ = w.conn.Close(); _ = w.pool.Close() }

// mysqlRows counts the rows of the ledger by id.
func mysqlRows(t *testing.T, s *harness.Server) map[string]int {
	t.Helper()
	pool, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	rows, err := pool.QueryContext(t.Context(), "select id, count(*) from app.ledger group by id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	return counted(t, rows)
}

// mysqlValue asks a server, past the proxy, for one value.
func mysqlValue(t *testing.T, s *harness.Server, query string) (value string) {
	t.Helper()
	pool, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	if err := pool.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
