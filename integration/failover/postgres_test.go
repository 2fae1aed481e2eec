package failover

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// postgresWriter is pgx in its default mode.
type postgresWriter struct{ conn *pgx.Conn }

func connectPostgres(ctx context.Context, e harness.Endpoint) (writer, error) {
	c, err := e.PgxConn(ctx, harness.App())
	return &postgresWriter{c}, err
}

const postgresInsert = "insert into ledger values ($1)"

func (w *postgresWriter) single(ctx context.Context, id string) error {
	_, err := w.conn.Exec(ctx, postgresInsert, id)
	return err
}

func (w *postgresWriter) pair(ctx context.Context, id string) error {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := tx.Exec(ctx, postgresInsert, id); err != nil {
			if back := tx.Rollback(ctx); back != nil {
				return fmt.Errorf("%w; rollback: %w", errDropped, back)
			}
			return err
		}
	}
	return tx.Commit(ctx)
}

func (w *postgresWriter) outcome(err error) (outcome, error) {
	var e *pgconn.PgError
	switch {
	case w.conn.IsClosed():
		return 0, fmt.Errorf("%w: %w", errDropped, err)
	case err == nil:
		return done, nil
	case errors.As(err, &e) && e.Severity == "ERROR" && e.Code == "40001":
		return nothing, w.settle()
	case errors.As(err, &e) && e.Severity == "ERROR" && e.Code == "08007":
		return unknown, w.settle()
	}
	return 0, err
}

// settle ends a transaction that is still open after an error. Drivers' pools do.
func (w *postgresWriter) settle() error {
	if w.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := w.conn.Exec(context.Background(), "rollback")
	return err
}

func (w *postgresWriter) close() { _ = w.conn.Close(context.Background()) }

// postgresRows counts the rows of the ledger by id.
func postgresRows(t *testing.T, s *harness.Server) map[string]int {
	t.Helper()
	c, err := s.PgxConn(t.Context(), harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	rows, err := c.Query(t.Context(), "select id, count(*) from ledger group by id")
	if err != nil {
		t.Fatal(err)
	}
	return counted(t, rows)
}
