package soak

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// myTables are made before the run.
func myTables() []string {
	var values []string
	for n := range facts {
		values = append(values, fmt.Sprintf("(%d, '%s')", n, fact(n)))
	}
	return []string{
		"create table app.ledger (id varchar(60))", "create table app.one (id varchar(20) primary key)",
		"create table app.serial (id bigint auto_increment primary key, token varchar(60))",
		"create table app.fact (id int primary key, value varchar(40) not null)",
		"insert into app.fact values " + strings.Join(values, ", "), "insert into app.one values ('only')",
	}
}

// my is a client with go-sql-driver.
type my struct {
	*session
	pool   *sql.DB
	conn   *sql.Conn
	kept   *sql.Stmt // a prepared statement that it keeps; nil: none
	stale  bool      // it may have been lost with a backend: the proxy says so by 1615
	writer ledger.Writer

	buffer, mine possible // sort_buffer_size and @mine
	past         possible // what @mine was since the proxy is known to know it: that of a pinned session is on its backend only
	inserted     string   // the last id that it made; empty: not known
	table        string   // what the row of the temporary table says; empty: there is none
	locked       bool     // it has the lock that has its number
	bound        bool     // it is pinned until it is reset, beside that
}

func newMySQL(c *session) dialect { return &my{session: c} }

func (m *my) mariaDB() bool { return strings.HasPrefix(m.side.name, "mariadb") }

func (m *my) connect(ctx context.Context, dial dialer) error {
	cfg, err := m.side.proxy.GoMySQL(m.login())
	if err != nil {
		return err
	}
	cfg.DialFunc = dial
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	m.pool = sql.OpenDB(connector)
	m.begin()
	if m.conn, err = m.pool.Conn(ctx); err != nil {
		_ = m.pool.Close()
		return err
	}
	m.writer = ledger.MySQL(m.pool, m.conn)
	return nil
}

// begin is what a session knows when it begins, or was reset.
func (m *my) begin() {
	m.buffer, m.mine, m.past, m.kept = possible{m.side.sortBuffer}, possible{""}, nil, nil
	m.inserted, m.stale = "0", false
}

// clear says that it is without TLS.
func (m *my) clear() bool { return m.number%2 == 1 }

func (m *my) login() harness.Login {
	if m.clear() {
		return harness.App().InClear()
	}
	return harness.App()
}

func (m *my) close() { _ = m.conn.Close(); _ = m.pool.Close() }

func (m *my) settle(ctx context.Context) error { return m.run(ctx, "rollback") }

func (m *my) forget() {
	m.table, m.locked, m.bound, m.stale = "", false, false, m.kept != nil
	m.mine = append(append(possible{}, m.mine...), m.past...)
}

// run executes statements, one COM_QUERY each.
func (m *my) run(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// ask wants one text.
func (m *my) ask(ctx context.Context, want, query string, args ...any) error {
	got, err := m.text(ctx, query, args...)
	if err == nil && got != want {
		err = wrong("%s: %.100q, not %.100q", query, got, want)
	}
	return err
}

func (m *my) text(ctx context.Context, query string, args ...any) (got string, err error) {
	if err = m.conn.QueryRowContext(ctx, query, args...).Scan(&got); err != nil {
		err = fmt.Errorf("%s: %w", query, err)
	}
	return got, err
}

// comResetConnection is the command that drivers' pools reset a connection by, and this driver does not: as a whole packet.
var comResetConnection = []byte{1, 0, 0, 0, 0x1f}

// command sends a command past the driver, on a connection without TLS, and reads the OK or ERR that is the answer.
func command(ctx context.Context, socket net.Conn, packet []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := socket.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := socket.Write(packet); err != nil {
		return err
	}
	var header [4]byte
	if _, err := io.ReadFull(socket, header[:]); err != nil {
		return err
	}
	answer := make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	if _, err := io.ReadFull(socket, answer); err != nil {
		return err
	}
	switch {
	case len(answer) > 9 && answer[0] == 0xff:
		return &mysql.MySQLError{Number: uint16(answer[1]) | uint16(answer[2])<<8, Message: string(answer[9:])}
	case len(answer) == 0 || answer[0] != 0:
		return wrong("% x, to a command that is answered by OK", answer)
	}
	return nil
}
