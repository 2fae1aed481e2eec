package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	protocol "github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// mysql is go-sql-driver in its default mode, with one connection.
type mysql struct {
	pool *sql.DB
	conn *sql.Conn
}

// MySQL writes over a connection of go-sql-driver. Close closes it and its pool.
func MySQL(pool *sql.DB, conn *sql.Conn) Writer { return &mysql{pool, conn} }

// ConnectMySQL logs in.
func ConnectMySQL(ctx context.Context, e harness.Endpoint) (Writer, error) {
	pool, err := e.GoMySQLDB(harness.App())
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	return MySQL(pool, conn), err
}

const mysqlInsert = "insert into ledger values (?)"

func (w *mysql) Single(ctx context.Context, id string) error {
	_, err := w.conn.ExecContext(ctx, mysqlInsert, id)
	return err
}

func (w *mysql) Pair(ctx context.Context, id string) error {
	tx, err := w.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := tx.ExecContext(ctx, mysqlInsert, id); err != nil {
			if back := tx.Rollback(); back != nil {
				return fmt.Errorf("%w; rollback: %w", ErrDropped, back)
			}
			return err
		}
	}
	return tx.Commit()
}

func (w *mysql) Outcome(err error) (Outcome, error) {
	var e *protocol.MySQLError
	switch {
	case err == nil:
		return Done, nil
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, ErrDropped), errors.Is(err, protocol.ErrInvalidConn):
		return 0, fmt.Errorf("%w: %w", ErrDropped, err)
	case errors.As(err, &e) && e.Number == 1213:
		return Nothing, nil
	case errors.As(err, &e) && e.Number == 9502:
		return Unknown, nil
	}
	return 0, err
}

func (w *mysql) Close() { _ = w.conn.Close(); _ = w.pool.Close() }

// MySQLRows counts the rows of the ledger by id, past any proxy.
func MySQLRows(ctx context.Context, s *harness.Server) (map[string]int, error) {
	pool, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }()
	rows, err := pool.QueryContext(ctx, "select id, count(*) from app.ledger group by id")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return counted(rows)
}
