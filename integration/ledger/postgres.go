package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// postgres is pgx in its default mode.
type postgres struct{ conn *pgx.Conn }

// Postgres writes over a connection of pgx, which Close closes.
func Postgres(conn *pgx.Conn) Writer { return &postgres{conn} }

// ConnectPostgres logs in.
func ConnectPostgres(ctx context.Context, e harness.Endpoint) (Writer, error) {
	c, err := e.PgxConn(ctx, harness.App())
	return Postgres(c), err
}

const postgresInsert = "insert into ledger values ($1)"

func (w *postgres) Single(ctx context.Context, id string) error {
	_, err := w.conn.Exec(ctx, postgresInsert, id)
	return err
}

func (w *postgres) Pair(ctx context.Context, id string) error {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := tx.Exec(ctx, postgresInsert, id); err != nil {
			if back := tx.Rollback(ctx); back != nil {
				return fmt.Errorf("%w; rollback: %w", ErrDropped, back)
			}
			return err
		}
	}
	return tx.Commit(ctx)
}

func (w *postgres) Outcome(err error) (Outcome, error) {
	var e *pgconn.PgError
	switch {
	case w.conn.IsClosed():
		return 0, fmt.Errorf("%w: %w", ErrDropped, err)
	case err == nil:
		return Done, nil
	case errors.As(err, &e) && e.Severity == "ERROR" && e.Code == "40001":
		return Nothing, w.settle()
	case errors.As(err, &e) && e.Severity == "ERROR" && e.Code == "08007":
		return Unknown, w.settle()
	}
	return 0, err
}

// settle ends a transaction that is still open after an error. Drivers' pools do.
func (w *postgres) settle() error {
	if w.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	_, err := w.conn.Exec(context.Background(), "rollback")
	return err
}

func (w *postgres) Close() { _ = w.conn.Close(context.Background()) }

// PostgresRows counts the rows of the ledger by id, past any proxy.
func PostgresRows(ctx context.Context, s *harness.Server) (map[string]int, error) {
	c, err := s.PgxConn(ctx, harness.Superuser())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close(ctx) }()
	rows, err := c.Query(ctx, "select id, count(*) from ledger group by id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return counted(rows)
}
