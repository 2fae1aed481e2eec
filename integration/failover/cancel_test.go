package failover

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// moving is an address that leads to one server, and later to another. What is connected stays where it is, as with an address that a new writer
// takes over from one that hangs.
type moving struct {
	address string
	mu      sync.Mutex
	to      *harness.Server
}

func startMoving(t *testing.T, to *harness.Server) *moving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	m := &moving{address: l.Addr().String(), to: to}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			address := m.to.Address()
			m.mu.Unlock()
			go relay(c, address)
		}
	}()
	return m
}

func (m *moving) move(to *harness.Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.to = to
}

func relay(c net.Conn, address string) {
	defer func() { _ = c.Close() }()
	s, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = s.Close() }()
	go func() {
		_, _ = io.Copy(s, c)
		_ = s.Close()
	}()
	_, _ = io.Copy(c, s)
}

// sameNumber returns a pool with one connection to s, whose number there is that of one elsewhere.
func sameNumber(t *testing.T, s *harness.Server, number int) *sql.DB {
	t.Helper()
	for {
		pool, err := s.GoMySQLDB(harness.App())
		if err != nil {
			t.Fatal(err)
		}
		pool.SetMaxOpenConns(1)
		var n int
		if err := pool.QueryRowContext(t.Context(), "select connection_id()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == number {
			t.Cleanup(func() { _ = pool.Close() })
			return pool
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		if n > number {
			t.Fatalf("connection %d comes behind %d", number, n)
		}
	}
}

func TestACancelRequestThatCrossesAFailoverHitsNobodyElse(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mysql97", "mariadb1011"} {
		t.Run(name, func(t *testing.T) {
			c := startPair(t, name, false)
			// The old writer has counted further than the new one.
			for range 200 {
				if err := c.primary.Exec(t.Context(), "select 1"); err != nil {
					t.Fatal(err)
				}
			}
			address := startMoving(t, c.primary)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{
				Server: c.primary, MaxConnections: 9,
				Group: harness.Keys{
					"targets": []harness.Keys{{"name": "primary", "address": address.address}}, "tls": harness.Keys{"server_name": "localhost"},
					"health_check": harness.Keys{"interval": "5m"},
				},
			}}})
			ctx, stop := context.WithTimeout(t.Context(), 2*settleWithin)
			defer stop()
			busy, other := read(t, p.Endpoint(name)), read(t, p.Endpoint(name))
			id := busy.must(t, "select connection_id()")
			said := make(chan error, 1)
			go func() {
				_, err := busy.ask(ctx, "do sleep(600)")
				said <- err
			}()
			const sleeping = "select coalesce(max(id), 0) from information_schema.processlist where info = 'do sleep(600)'"
			number := 0
			harness.Eventually(t, settleWithin, "it is under way", func() bool {
				_, err := fmt.Sscan(mysqlValue(t, c.primary, sleeping), &number)
				return err == nil && number > 0
			})

			// Somebody has the same number on the new writer.
			stranger := sameNumber(t, c.replica, number)
			go func() { _, _ = stranger.ExecContext(ctx, "do sleep(600)") }()
			theirs := func() bool { return mysqlValue(t, c.replica, sleeping) == fmt.Sprint(number) }
			harness.Eventually(t, settleWithin, "the stranger is under way", theirs)
			address.move(c.replica)
			other.must(t, "kill query "+id)
			harness.Eventually(t, settleWithin, "the cancel request has come to nothing", func() bool {
				return strings.Contains(p.Log(), "another server answers at the address") || !theirs()
			})
			if !theirs() {
				t.Error("a stranger's statement on the new writer was stopped")
			}
			// Where it is, it can be stopped.
			harness.Exec(t, c.primary, fmt.Sprintf("kill query %d", number))
			if err := <-said; err != nil && code(err) == "" {
				t.Errorf("it is told %v", err)
			}
		})
	}
}
