// Package change tests what may be done to a running proxy: pausing, reloading, replacing it, against real servers and
// under load. Whatever is changed, the crowd must not notice.
package change

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// patience bounds waits for what must come: the machine may be slow and busy.
const patience = 60 * time.Second

// names are a server of each kind.
func names() []string { return append(harness.PostgresNames(), harness.MySQLNames()...) }

// client is one connection, with the driver of its engine and no pool that would hide that it was lost.
type client struct {
	exec func(ctx context.Context, sql string) error
	ask  func(ctx context.Context, sql string) (n int, err error) // one number
	end  func()
}

func connect(ctx context.Context, e harness.Endpoint) (*client, error) {
	if e.Engine == harness.Postgres {
		c, err := e.PgxConn(ctx, harness.App())
		if err != nil {
			return nil, err
		}
		return &client{
			exec: func(ctx context.Context, sql string) error { _, err := c.Exec(ctx, sql); return err },
			ask:  func(ctx context.Context, sql string) (n int, err error) { return n, c.QueryRow(ctx, sql).Scan(&n) },
			end:  func() { _ = c.Close(context.Background()) },
		}, nil
	}
	db, err := e.GoMySQLDB(harness.App())
	if err != nil {
		return nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &client{
		exec: func(ctx context.Context, sql string) error { _, err := c.ExecContext(ctx, sql); return err },
		ask: func(ctx context.Context, sql string) (n int, err error) {
			return n, c.QueryRowContext(ctx, sql).Scan(&n)
		},
		end: func() { _, _ = c.Close(), db.Close() },
	}, nil
}

// dial connects a client until the end of the test.
func dial(t *testing.T, e harness.Endpoint) *client {
	t.Helper()
	c, err := connect(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.end)
	return c
}

func (c *client) must(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := c.exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

var tables atomic.Uint32

// crowd are clients that write as fast as they are answered, and note what was acknowledged: some on connections that they
// keep, some on a new one for each row.
type crowd struct {
	t     *testing.T
	table string
	stop  chan struct{}
	done  sync.WaitGroup
	mu    sync.Mutex
	wrote map[string]bool
	errs  []error
}

// gather starts a crowd of clients of e, with a table of its own at s.
func gather(t *testing.T, e harness.Endpoint, s *harness.Server, keeping, coming int) *crowd {
	t.Helper()
	c := &crowd{t: t, table: fmt.Sprintf("change_%d_%d", time.Now().UnixNano(), tables.Add(1)), stop: make(chan struct{}), wrote: map[string]bool{}}
	dial(t, s.Endpoint).must(t, "create table "+c.table+" (who varchar(40) primary key)")
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "drop table "+qualified(s, c.table)); err != nil {
			t.Error(err)
		}
	})
	for i := range keeping {
		c.done.Go(func() { c.keep(e, fmt.Sprint("k", i)) })
	}
	for i := range coming {
		c.done.Go(func() { c.come(e, fmt.Sprint("c", i)) })
	}
	return c
}

func qualified(s *harness.Server, table string) string {
	if s.Engine == harness.Postgres {
		return table
	}
	return harness.App().Database + "." + table
}

func (c *crowd) stopped() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

func (c *crowd) keep(e harness.Endpoint, name string) {
	conn, err := connect(context.Background(), e)
	if err != nil {
		c.note(nil, err)
		return
	}
	defer conn.end()
	for n := 0; !c.stopped(); n++ {
		if n%2 == 0 {
			c.note(write(conn, c.table, fmt.Sprint(name, "-", n)))
			continue
		}
		c.note(transact(conn, c.table, fmt.Sprint(name, "-", n), fmt.Sprint(name, "+", n)))
	}
}

func (c *crowd) come(e harness.Endpoint, name string) {
	for n := 0; !c.stopped(); n++ {
		conn, err := connect(context.Background(), e)
		if err != nil {
			c.note(nil, fmt.Errorf("connecting: %w", err))
			continue
		}
		c.note(write(conn, c.table, fmt.Sprint(name, "-", n)))
		conn.end()
	}
}

func insert(table, who string) string { return fmt.Sprintf("insert into %s values ('%s')", table, who) }

func write(conn *client, table, who string) ([]string, error) {
	return []string{who}, conn.exec(context.Background(), insert(table, who))
}

func transact(conn *client, table string, who ...string) ([]string, error) {
	statements := []string{"begin"}
	for _, w := range who {
		statements = append(statements, insert(table, w))
	}
	for _, s := range append(statements, "commit") {
		if err := conn.exec(context.Background(), s); err != nil {
			return who, fmt.Errorf("%s: %w", s, err)
		}
	}
	return who, nil
}

func (c *crowd) note(who []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.errs = append(c.errs, err)
		return
	}
	for _, w := range who {
		c.wrote[w] = true
	}
}

// written is how many rows were acknowledged so far.
func (c *crowd) written() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.wrote)
}

// goesOn waits until the crowd has written again.
func (c *crowd) goesOn() {
	c.t.Helper()
	before := c.written()
	harness.Eventually(c.t, patience, "the crowd writes", func() bool { return c.written() > before+10 || c.failed() })
}

func (c *crowd) failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errs) > 0
}

// unharmed ends the crowd, of which nobody may have seen an error, and whose rows must all be at s.
func (c *crowd) unharmed(s *harness.Server) {
	c.t.Helper()
	close(c.stop)
	c.done.Wait()
	for i, err := range c.errs {
		if i == 5 {
			c.t.Errorf("and %d more errors", len(c.errs)-i)
			break
		}
		c.t.Error(err)
	}
	n, err := dial(c.t, s.Endpoint).ask(c.t.Context(), "select count(*) from "+c.table)
	if err != nil || n != len(c.wrote) {
		c.t.Errorf("%d rows were acknowledged, %d are there (%v)", len(c.wrote), n, err)
	}
	c.t.Logf("%d rows", n)
}

// berth runs a subcommand against a proxy's admin server, and returns its exit code and what it printed.
func berth(t *testing.T, p *harness.Proxy, name string, args ...string) (code int, output string) {
	t.Helper()
	code, output, err := p.Command(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return code, strings.TrimSpace(output)
}
