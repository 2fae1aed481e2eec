package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

const (
	patience = 60 * time.Second
	mega     = 1 << 20
	// loginTimeout ends what does not log in: the attacks before the login last about so long.
	loginTimeout = 2 * time.Second
)

// attack is what a number of clients do at once.
type attack struct {
	name    string
	clients int
	bound   int // bytes by which the process may grow, all clients together
	// do attacks once. It returns an error only if the proxy did what it must not do.
	do func(e harness.Endpoint) error
}

func TestAHostileClientCostsLittleAndDisturbsNobody(t *testing.T) {
	for _, c := range []struct {
		server  string
		attacks []attack
	}{{"pg18", postgresAttacks}, {"mysql97", mysqlAttacks}} {
		for _, a := range c.attacks {
			t.Run(c.server+"/"+a.name, func(t *testing.T) { endure(t, c.server, a) })
		}
	}
}

func endure(t *testing.T, server string, a attack) {
	t.Helper()
	s := harness.Shared(t, server)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: s, MaxConnections: 4, Listener: harness.Keys{"login_timeout": loginTimeout.String()},
	}}})
	e := p.Endpoint(server)
	b := stand(t, e)
	before := resident(t, p.PID(), "VmRSS")
	var all sync.WaitGroup
	for range a.clients {
		all.Go(func() {
			if err := a.do(e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	grown := resident(t, p.PID(), "VmHWM") - before
	waits := b.leave(t)
	harness.Eventually(t, patience, "no connection is left", func() bool {
		l, err := p.Listener(t.Context(), server)
		return err == nil && l.ClientConnections == 0 && l.ClientConnectionsInSetup == 0 && l.WaitingClients == 0
	})
	harness.Eventually(t, patience, "no backend is lent", func() bool {
		pool, err := p.Pool(t.Context(), server)
		return err == nil && pool.Lent == 0
	})
	t.Logf("%d clients: grew by %d KiB of %d allowed; a bystander's %d queries waited %s at most, %s in the middle", a.clients, grown>>10, a.bound>>10,
		len(waits), waits[len(waits)-1].Round(time.Millisecond), waits[len(waits)/2].Round(time.Microsecond))
	if grown > a.bound {
		t.Errorf("the process grew by %d KiB, %d are allowed", grown>>10, a.bound>>10)
	}
}

// resident is a field of the process's status, in bytes.
func resident(t *testing.T, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}

// bystander is a client that minds its own business.
type bystander struct {
	stop  context.CancelFunc
	ended chan error
	waits []time.Duration
}

func stand(t *testing.T, e harness.Endpoint) *bystander {
	t.Helper()
	ask, leave := asker(t, e)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b := &bystander{stop: stop, ended: make(chan error, 1)}
	go func() {
		defer leave()
		for {
			began := time.Now()
			if err := ask(); err != nil {
				b.ended <- err
				return
			}
			b.waits = append(b.waits, time.Since(began))
			select {
			case <-ctx.Done():
				b.ended <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return b
}

// leave ends the bystander and returns what it waited, in order of length.
func (b *bystander) leave(t *testing.T) []time.Duration {
	t.Helper()
	b.stop()
	if err := <-b.ended; err != nil {
		t.Errorf("a bystander: %v", err)
	}
	slices.Sort(b.waits)
	return b.waits
}

// asker logs in and returns what asks once.
func asker(t *testing.T, e harness.Endpoint) (ask func() error, leave func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if e.Engine == harness.Postgres {
		conn, err := e.PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		return func() error {
			var n int
			return conn.QueryRow(ctx, "select 1").Scan(&n)
		}, func() { _ = conn.Close(ctx) }
	}
	db, err := e.GoMySQLDB(harness.App())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return func() error {
		var n int
		return db.QueryRowContext(ctx, "select 1").Scan(&n)
	}, func() { _ = db.Close() }
}

// dial connects, and bounds whatever is done with the connection.
func dial(e harness.Endpoint) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", e.Address(), patience)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// untilClosed reads until the proxy ends the connection.
func untilClosed(c net.Conn) error {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			if err, ok := err.(net.Error); ok && err.Timeout() {
				return fmt.Errorf("the proxy keeps the connection: %w", err)
			}
			return nil // closed or reset
		}
	}
}

// drip sends byte by byte, until the proxy has enough of it.
func drip(c net.Conn, what []byte) error {
	began := time.Now()
	for _, b := range what {
		if _, err := c.Write([]byte{b}); err != nil {
			return nil
		}
		if time.Since(began) > patience {
			return errors.New("a login may last for ever")
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// until reads until want has come, and returns what came.
func until(c net.Conn, want string) (all string, err error) {
	buf := make([]byte, 4096)
	for !strings.Contains(all, want) {
		n, err := c.Read(buf)
		all += string(buf[:n])
		if err != nil {
			return all, fmt.Errorf("answered with %q, %w", all, err)
		}
	}
	return all, nil
}

// theEnd is asked for behind many requests, so that its answer tells that they are answered.
const theEnd = "select 'the end'"

// untilTheEnd reads until theEnd is answered.
func untilTheEnd(c net.Conn) error {
	buf, tail := make([]byte, 64<<10), []byte(nil)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		tail = append(tail, buf[:n]...)
		if bytes.Contains(tail, []byte("\x07the end")) {
			return nil
		}
		tail = append(tail[:0], tail[max(0, len(tail)-16):]...)
	}
}

// unread writes what more returns, again and again, without reading, until the proxy takes no more: it must not hold what it cannot
// pass on.
func unread(c net.Conn, more []byte, most int) error {
	for written := 0; written < most; {
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		n, err := c.Write(more)
		written += n
		if err, ok := err.(net.Error); ok && err.Timeout() {
			return nil
		}
		if err != nil {
			return nil // it has ended the connection, which is as good
		}
	}
	return fmt.Errorf("the proxy took %d bytes of requests whose answers nobody read", most)
}
