package failover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// work is what a PostgreSQL client has in hand when the writer is lost.
type work struct {
	name  string
	begin string // said before
	// do is under way until the writer is lost, and returns what is said of that.
	do   func(ctx context.Context, c *pgx.Conn) error
	want string // the code of the error, and no connection is lost; empty: no error
	// then is said next, to which the answer is this code; empty: no error.
	then, next string
}

// rows come one by one, and without end.
type rows struct{}

func (rows) Read(b []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return copy(b, "copied\n"), nil
}

func exec(sql string) func(context.Context, *pgx.Conn) error {
	return func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.PgConn().Exec(ctx, sql).ReadAll()
		return err
	}
}

// works are all at once in the hands of clients.
var works = []work{
	{"a COPY from a client", "", copyIn, "08007", "select 1", ""},
	{"a COPY in a transaction", "begin; insert into direct values ('copy')", copyIn, "40001", "select 1", "25P02"},
	{"a query", "", exec("select pg_sleep(600)"), "08007", "select 1", ""},
	{"a query in a transaction", "begin; insert into direct values ('query')", exec("select pg_sleep(600)"), "40001", "rollback", ""},
	{"a batch", "", exec("insert into direct values ('batch'); select pg_sleep(600)"), "08007", "select 1", ""},
}

// idle are in hands that do nothing when the writer is lost. do is said behind that.
var idle = []work{
	{"nothing", "set work_mem = '7MB'", exec("select 1/(current_setting('work_mem') = '7MB')::int"), "", "select 1", ""},
	{"a cursor", "begin; declare c cursor for select generate_series(1, 9); fetch c", exec("fetch c"), "40001", "fetch c", "25P02"},
	{"a cursor that is held", "declare c cursor with hold for select generate_series(1, 9); fetch c", exec("fetch c"), "08006", "fetch c", "34000"},
	{"a lock", "select pg_advisory_lock(7)", exec("select 1"), "08006", "select 1", ""},
	{"a temporary table", "create temporary table mine as select 1", exec("select * from mine"), "08006", "select * from mine", "42P01"},
	{"a notification to come", "listen c", exec("select 1"), "08006", "select 1", ""},
	{"a failed transaction", "begin; insert into direct values ('failed'); savepoint s", exec("select 1"), "40001", "rollback to s", "3B001"},
	{"a prepared statement", "prepare p as select 7", exec("execute p"), "08006", "execute p", "26000"},
}

func copyIn(ctx context.Context, c *pgx.Conn) error {
	_, err := c.PgConn().CopyFrom(ctx, rows{}, "copy direct from stdin")
	return err
}

func TestWhatIsInHandWhenTheWriterIsLostIsToldAndSessionsGoOn(t *testing.T) {
	c, group, lose := hung(t, "pg18")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: c.primary, Replica: c.replica, Group: group, Pool: harness.Keys{"connection_borrow_timeout": "120s", "max_connections_percent": 50},
	}}})
	ctx, stop := context.WithTimeout(t.Context(), 2*settleWithin)
	defer stop()
	sessions := map[string]*pgx.Conn{}
	for _, w := range append(works, idle...) {
		s, err := p.Endpoint(c.name).PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(context.Background()) }()
		if err := exec(w.begin)(ctx, s); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		sessions[w.name] = s
	}
	said := map[string]chan error{}
	for _, w := range works {
		said[w.name] = make(chan error, 1)
		go func() { said[w.name] <- w.do(ctx, sessions[w.name]) }()
	}
	busy(t, c.primary, len(works))
	lose()
	// What it asks to be canceled is lost, and nothing that follows is to be canceled instead.
	late := make(chan error, 1)
	go func() { late <- sessions["a query"].PgConn().CancelRequest(ctx) }()
	down(ctx, p, c.name)
	cancelsItsWait(ctx, t, p, c.name)
	if err := c.replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range works {
		w.told(ctx, t, sessions[w.name], <-said[w.name])
	}
	if <-late; ctx.Err() != nil {
		t.Error("a cancel request is not answered")
	}
	for _, w := range idle {
		w.told(ctx, t, sessions[w.name], w.do(ctx, sessions[w.name]))
	}
	if n := read(t, c.replica.Endpoint).must(t, "select count(*) from direct"); n != "0" {
		t.Errorf("%s rows of what was not committed are there", n)
	}
}

// cancelsItsWait lets a client wait for a writer, and think better of it.
func cancelsItsWait(ctx context.Context, t *testing.T, p *harness.Proxy, route string) {
	t.Helper()
	s, err := p.Endpoint(route).PgxConn(ctx, harness.App())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	said := make(chan error, 1)
	go func() { said <- exec("select 1")(ctx, s) }()
	harness.Eventually(t, settleWithin, "it waits", func() bool {
		l, err := p.Listener(ctx, route)
		return err == nil && l.WaitingClients > 0
	})
	if err := s.PgConn().CancelRequest(ctx); err != nil {
		t.Error(err)
	}
	if err := <-said; code(err) != "57014" || s.IsClosed() {
		t.Errorf("a wait that is canceled: %v", err)
	}
}

// told checks what a client hears, and what next.
func (w work) told(ctx context.Context, t *testing.T, c *pgx.Conn, err error) {
	t.Helper()
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Severity != "ERROR" {
		t.Errorf("%s: %v", w.name, err)
	}
	if code(err) != w.want || (err != nil) != (w.want != "") || c.IsClosed() {
		t.Errorf("%s: told %v, connection closed %t", w.name, err, c.IsClosed())
		return
	}
	if err := exec(w.then)(ctx, c); code(err) != w.next || (err != nil) != (w.next != "") || c.IsClosed() {
		t.Errorf("%s: %s: %v", w.name, w.then, err)
	}
	if err := exec("rollback")(ctx, c); err != nil {
		t.Errorf("%s: rollback: %v", w.name, err)
	}
}

// busy waits until a server executes n statements of app.
func busy(t *testing.T, s *harness.Server, n int) {
	t.Helper()
	conn, err := s.PgxConn(t.Context(), harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	harness.Eventually(t, settleWithin, fmt.Sprintf("%d statements are under way", n), func() bool {
		var got int
		err := conn.QueryRow(t.Context(), `select count(*) from pg_stat_activity where usename = 'app' and state = 'active'
			and backend_type = 'client backend' and clock_timestamp() - query_start > '100 ms'`).Scan(&got)
		return err == nil && got >= n
	})
}
