package postgres

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// running waits until a query with this text runs at the server.
func running(t *testing.T, s *harness.Server, text string) {
	t.Helper()
	c := conn(t, s.Endpoint, harness.Superuser())
	harness.Eventually(t, settleWithin, text+" runs", func() bool {
		return ask(t, c, "select count(*) from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '%"+text+"%'") != "0"
	})
	_ = c.Close(t.Context())
}

func TestACancelStopsTheQueryOfItsSessionOnly(t *testing.T) {
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				c, other := conn(t, r.Endpoint, login), conn(t, r.Endpoint, login)
				mark := fmt.Sprintf("cancel_%s_%d", name, time.Now().UnixNano())
				ended, othersEnd := make(chan error, 1), make(chan error, 1)
				release := time.Now().UnixNano()
				blocker := conn(t, r.server.Endpoint, harness.Superuser())
				ask(t, blocker, fmt.Sprintf("select pg_advisory_lock(%d)", release))
				go func() {
					_, err := asked(t.Context(), c, "select pg_sleep(600) /* "+mark+" */")
					ended <- err
				}()
				go func() {
					_, err := asked(t.Context(), other, fmt.Sprintf("select pg_advisory_xact_lock_shared(%d) /* other %s */", release, mark))
					othersEnd <- err
				}()
				running(t, r.server, "600) /* "+mark)
				running(t, r.server, "other "+mark)
				if err := c.CancelRequest(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantCode(t, <-ended, "57014")
				ask(t, blocker, fmt.Sprintf("select pg_advisory_unlock(%d)", release))
				if err := <-othersEnd; err != nil {
					t.Errorf("the other session: %v", err)
				}
				if got := ask(t, c, "select 'alive'"); got != "alive" {
					t.Errorf("afterwards %q", got)
				}
			})
		}
	})
}

// recorded is a connection that keeps what it received.
type recorded struct {
	net.Conn
	got []byte
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.got = append(r.got, p[:n]...)
	return n, err
}

// last is the type of the last record of TLS (RFC 5246, 6.2.1).
func (r *recorded) last() (kind byte) {
	for rest := r.got; len(rest) >= 5; {
		kind = rest[0]
		rest = rest[min(len(rest), 5+int(binary.BigEndian.Uint16(rest[3:]))):]
	}
	return kind
}

// libpq 17 takes an end without TLS's goodbye for a cancellation that failed.
func TestACancelOverTLSEndsWithAGoodbye(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App())
		for _, e := range []harness.Endpoint{r.server.Endpoint, r.Endpoint} {
			clear, err := net.DialTimeout("tcp", e.Address(), settleWithin)
			if err != nil {
				t.Fatal(err)
			}
			if err := clear.SetDeadline(time.Now().Add(settleWithin)); err != nil {
				t.Fatal(err)
			}
			answer := make([]byte, 1)
			if _, err := clear.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(clear, answer); err != nil || answer[0] != 'S' {
				t.Fatalf("%q, %v", answer, err)
			}
			config, err := e.TLS()
			if err != nil {
				t.Fatal(err)
			}
			config.MaxVersion = tls.VersionTLS12 // in which one sees from outside what a record is
			records := &recorded{Conn: clear}
			secure := tls.Client(records, config)
			request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, byte(12 + len(c.SecretKey())), 4, 210, 22, 46}, c.PID())
			if _, err := secure.Write(append(request, c.SecretKey()...)); err != nil {
				t.Fatal(err)
			}
			const alert = 21
			if n, err := secure.Read(answer); n > 0 || !errors.Is(err, io.EOF) || records.last() != alert {
				t.Errorf("%s: read %d bytes, %v, and the last record is a %d", e.Address(), n, err, records.last())
			}
			_ = secure.Close()
		}
	})
}

func TestPsqlsInterruptCancelsItsQuery(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				mark := fmt.Sprintf("psql_%s_%d", name, time.Now().UnixNano())
				cmd := exec.Command(harness.Program(t, "pg18", "PSQL"), "-XAtq", r.PsqlArgs(login),
					"-c", "select pg_sleep(600) /* "+mark+" */")
				cmd.Env = append(os.Environ(), "PGPASSWORD="+login.Password)
				done := make(chan []byte, 1)
				go func() {
					out, _ := cmd.CombinedOutput()
					done <- out
				}()
				running(t, r.server, mark)
				if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				out := <-done
				if got := string(out); !strings.Contains(got, "canceling statement due to user request") {
					t.Errorf("psql said %q", got)
				}
				r.whole(t)
			})
		}
	})
}

func TestACancelOfAnIdleSessionDoesNothing(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		idle, busy := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, idle, "select 1")
		for range 20 { // idle was the last to use the one connection, which busy has now
			ask(t, busy, "begin")
			if err := idle.CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, busy, "select 'undisturbed'; commit"); got != "undisturbed" {
				t.Errorf("got %q", got)
			}
			ask(t, idle, "select 1")
		}
		// And one with a key that no session has.
		if err := cancelWith(r, idle.PID(), []byte{1, 2, 3, 4}); err != nil {
			t.Error(err)
		}
		if got := ask(t, idle, "select 'alive'"); got != "alive" {
			t.Errorf("afterwards %q", got)
		}
	})
}

// cancelWith sends a CancelRequest and waits until the proxy closes the connection.
func cancelWith(r *rig, pid uint32, key []byte) error {
	c, err := net.DialTimeout("tcp", r.Address(), answerWithin)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	packet := binary.BigEndian.AppendUint32(nil, uint32(12+len(key)))
	packet = binary.BigEndian.AppendUint32(packet, 1234<<16|5678)
	packet = append(binary.BigEndian.AppendUint32(packet, pid), key...)
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.Write(packet); err != nil {
		return err
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		return fmt.Errorf("a cancel request was answered: %d bytes, %v", n, err)
	}
	return nil
}

func TestACancelOfASessionThatWaitsForAConnectionEndsItsWait(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(n int)")
		holder, waiter := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for i, run := range []func(string) error{
			func(sql string) error { _, err := asked(t.Context(), waiter, sql); return err },
			func(sql string) error { _, err := askedExtended(t.Context(), waiter, sql); return err },
		} {
			ask(t, holder, "begin")
			ended := make(chan error, 1)
			go func() { ended <- run(fmt.Sprintf("insert into %s values (%d)", name, i)) }()
			harness.Eventually(t, settleWithin, "the session waits", func() bool { return r.pool(t).Waiting == 1 })
			if err := waiter.CancelRequest(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantCode(t, <-ended, "57014")
			ask(t, holder, "commit")
			if got := ask(t, waiter, "select count(*) from "+name); got != "0" {
				t.Errorf("the query ran %s times after it was canceled", got)
			}
		}
		for _, c := range []*pgconn.PgConn{holder, waiter} {
			_ = c.Close(t.Context())
		}
		r.whole(t)
	})
}

func TestCancelsUnderLoadHitNobodyElse(t *testing.T) {
	const hammers, bystanders, queries = 4, 6, 600
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		done := make(chan struct{})
		errs := make(chan error, hammers+bystanders)
		var load sync.WaitGroup
		for i := range bystanders {
			load.Go(func() { errs <- bystander(ctx, r, i, queries) })
		}
		var canceled, cancels int
		var mu sync.Mutex
		var hammering sync.WaitGroup
		for range hammers {
			hammering.Go(func() {
				hit, sent, err := hammer(ctx, r, done)
				mu.Lock()
				canceled, cancels = canceled+hit, cancels+sent
				mu.Unlock()
				errs <- err
			})
		}
		load.Wait()
		close(done)
		hammering.Wait()
		for range hammers + bystanders {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		t.Logf("%d cancels, %d of them in time", cancels, canceled)
		if cancels == 0 || canceled == 0 {
			t.Errorf("%d cancels hit %d queries: nothing was tested", cancels, canceled)
		}
		r.whole(t)
	})
}

// bystander runs queries that nobody may cancel.
func bystander(ctx context.Context, r *rig, i, queries int) error {
	c, err := dial(ctx, r.Endpoint, harness.App().InClear())
	if err != nil {
		return err
	}
	defer hangUp(c)
	for n := range queries {
		want := fmt.Sprint(i*queries + n)
		got, err := askedExtended(ctx, c, "select $1::int", want)
		if err != nil || got != want {
			return fmt.Errorf("bystander %d: query %d: %q, %w", i, n, got, err)
		}
	}
	return nil
}

// hammer runs short queries and cancels them just then, until done.
func hammer(ctx context.Context, r *rig, done <-chan struct{}) (hit, sent int, err error) {
	c, err := dial(ctx, r.Endpoint, harness.App().InClear())
	if err != nil {
		return 0, 0, err
	}
	defer hangUp(c)
	for {
		select {
		case <-done:
			return hit, sent, nil
		default:
		}
		ended := make(chan error, 1)
		go func() {
			_, err := asked(ctx, c, fmt.Sprintf("select pg_sleep(%f)", 0.001*rand.Float64()))
			ended <- err
		}()
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
		sent++
		canceling := cancelWith(r, c.PID(), c.SecretKey())
		switch err := <-ended; {
		case canceling != nil:
			return hit, sent, canceling
		case code(err) == "57014":
			hit++
		case err != nil:
			return hit, sent, fmt.Errorf("a query that was canceled: %w", err)
		}
		// The cancel is over: what the session does next is its own again.
		if _, err := asked(ctx, c, "select 'after a cancel'"); err != nil {
			return hit, sent, fmt.Errorf("the query after a canceled one: %w", err)
		}
	}
}

func TestACancelInAPipelineSkipsToItsSync(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App())
		mark := fmt.Sprintf("pipeline_%d", time.Now().UnixNano())
		pipeline := c.StartPipeline(t.Context())
		for _, sql := range []string{"select 1", "select pg_sleep(600) /* " + mark + " */", "select 2"} {
			pipeline.SendQueryParams(sql, nil, nil, nil, nil)
		}
		pipeline.SendPipelineSync()
		pipeline.SendQueryParams("select 3", nil, nil, nil, nil)
		pipeline.SendPipelineSync()
		if err := pipeline.Flush(); err != nil {
			t.Fatal(err)
		}
		running(t, r.server, mark)
		if err := c.CancelRequest(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := results(t, pipeline); got != "1, 57014, sync, 3, sync" {
			t.Errorf("the answers were %s", got)
		}
		if got := ask(t, c, "select 'alive'"); got != "alive" {
			t.Errorf("afterwards %q", got)
		}
	})
}

// A setting that names a tablespace is looked up when it is made (22.6): a lock on the catalog holds up what brings a connection in
// line.
func TestACancelDuringARestoreIsTheStatementsAndTheSessionGoesOn(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		blocker := conn(t, r.server.Endpoint, harness.Superuser())
		ask(t, c, "set lock_timeout = 1")
		ask(t, c, "set default_tablespace = pg_default")
		for _, canceled := range []bool{true, false} {
			ask(t, other, "select 1")
			ask(t, blocker, "begin; lock table pg_tablespace in access exclusive mode")
			ended := make(chan error, 1)
			go func() {
				_, err := asked(t.Context(), c, "select 'restored'")
				ended <- err
			}()
			running(t, r.server, "set default_tablespace")
			if canceled {
				if err := c.CancelRequest(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantCode(t, <-ended, "57014")
				ask(t, blocker, "rollback")
			} else {
				ask(t, blocker, "rollback")
				if err := <-ended; err != nil { // the session's lock_timeout is for its own statements
					t.Error(err)
				}
			}
			if got := ask(t, c, "select current_setting('default_tablespace') || current_setting('lock_timeout')"); got != "pg_default1ms" {
				t.Errorf("afterwards %q", got)
			}
		}
		r.whole(t)
	})
}
