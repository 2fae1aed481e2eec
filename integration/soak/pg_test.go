package soak

import (
	"context"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// pgTables are made before the run, by a superuser. Of fact n the value is fact(n).
var pgTables = []string{
	"create table ledger (id text)", "create table bulk (owner text, n int)", "create table one (id text primary key)",
	"create table fact (id int primary key, value text not null)",
	fmt.Sprintf("insert into fact select n, 'fact-' || n * 7919 from generate_series(0, %d) n", facts-1),
	"insert into one values ('only')", "grant all on all tables in schema public to public",
}

// facts is how many rows everybody knows.
const facts = 1000

func fact(n int) string { return fmt.Sprintf("fact-%d", n*7919) }

// pg is a client with pgx.
type pg struct {
	*session
	conn   *pgx.Conn
	writer ledger.Writer

	memory, mine possible          // work_mem, and a setting with a name of its own
	table        string            // what the row of the temporary table says; empty: there is none
	locked       bool              // it has the advisory lock that has its number
	listens      bool              // to channel
	heard        map[string]string // the payloads that came, with their channels
}

func newPostgres(c *session) dialect { return &pg{session: c} }

func (p *pg) connect(ctx context.Context, dial dialer) error {
	cfg, err := p.side.proxy.Pgx(p.login())
	if err != nil {
		return err
	}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dial(ctx, network, address)
	}
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { p.heard[n.Payload] = n.Channel }
	p.memory, p.mine, p.heard = possible{"4MB"}, possible{""}, map[string]string{}
	if p.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
		return err
	}
	p.writer = ledger.Postgres(p.conn)
	return nil
}

// login is with TLS or without.
func (p *pg) login() harness.Login {
	if p.number%2 == 0 {
		return harness.App()
	}
	return harness.App().InClear()
}

func (p *pg) close() { _ = p.conn.Close(context.Background()) }

func (p *pg) settle(ctx context.Context) error {
	if p.conn.IsClosed() {
		return ledger.ErrDropped
	}
	if p.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	return p.run(ctx, "rollback")
}

func (p *pg) forget() { p.table, p.locked, p.listens = "", false, false }

func (p *pg) channel() string { return fmt.Sprintf("channel_%d", p.number) }

// run executes statements, one simple query each.
func (p *pg) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := p.conn.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// ask wants one text.
func (p *pg) ask(ctx context.Context, want, query string, args ...any) error {
	got, err := p.text(ctx, query, args...)
	if err == nil && got != want {
		err = wrong("%s: %.100q, not %.100q", query, got, want)
	}
	return err
}

func (p *pg) text(ctx context.Context, query string, args ...any) (got string, err error) {
	if err = p.conn.QueryRow(ctx, query, args...).Scan(&got); err != nil {
		err = fmt.Errorf("%s: %w", query, err)
	}
	return got, err
}
