package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

const terminateAll = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'app'"

func TestNobodyNoticesThatAnIdleConnectionWasTerminated(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c, superuser := conn(t, r.Endpoint, harness.App()), conn(t, r.server.Endpoint, harness.Superuser())
		for range 5 {
			ask(t, c, "select 1")
			r.whole(t)
			ask(t, superuser, terminateAll)
			harness.Eventually(t, settleWithin, "the pool knows", func() bool { return r.pool(t).Open == 0 })
			if got := ask(t, c, "select 'served'"); got != "served" {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestATransactionWhoseConnectionIsTerminatedIsToldAndTheSessionGoesOn(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(n int)")
		c, bystander := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		superuser := conn(t, r.server.Endpoint, harness.Superuser())
		ask(t, c, "begin; insert into "+name+" values (1)")
		ask(t, superuser, terminateAll)
		harness.Eventually(t, settleWithin, "the loss is noticed", func() bool { return r.pool(t).Open == 0 })
		_, err := asked(t.Context(), c, "insert into "+name+" values (2)")
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "40001" || e.Severity != "ERROR" || !strings.Contains(e.Detail, "terminating connection") {
			t.Errorf("the transaction ended with %#v", err)
		}
		_, err = askedExtended(t.Context(), c, "insert into "+name+" values (3)")
		wantCode(t, err, "25P02")
		if tx := c.TxStatus(); tx != 'E' {
			t.Errorf("the session is in state %c", tx)
		}
		if _, err := askedExtended(t.Context(), c, "rollback"); err != nil || c.TxStatus() != 'I' {
			t.Errorf("rollback: %v, state %c", err, c.TxStatus())
		}
		ask(t, c, "select 1")
		if got := ask(t, bystander, "select count(*) from "+name); got != "0" {
			t.Errorf("%s rows are there", got)
		}
		r.whole(t)
	})
}

func TestAPinnedSessionWhoseConnectionIsTerminatedIsToldOnce(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c, superuser := conn(t, r.Endpoint, harness.App()), conn(t, r.server.Endpoint, harness.Superuser())
		ask(t, c, "set work_mem = '7MB'")
		ask(t, c, "create temp table a (n int)")
		ask(t, superuser, terminateAll)
		harness.Eventually(t, settleWithin, "the loss is noticed", func() bool { return r.pool(t).Open == 0 })
		_, err := asked(t.Context(), c, "select * from a")
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "08006" || e.Severity != "ERROR" || !strings.Contains(e.Message, "temporary table") {
			t.Errorf("the session was told %#v", err)
		}
		_, err = asked(t.Context(), c, "select * from a")
		wantCode(t, err, "42P01")
		if got := ask(t, c, "show work_mem"); got != "7MB" {
			t.Errorf("work_mem is %s", got)
		}
		if s := r.session(t, c.PID()); s.Pinned != "" {
			t.Errorf("it is pinned: %+v", s)
		}
		r.whole(t)
	})
}

func TestAPinnedSessionWhoseConnectionIsTerminatedIsClosedByConfiguration(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2, Pool: harness.Keys{"pinned_session_on_loss": "close"}}, func(t *testing.T, r *rig) {
		pinned, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		superuser := conn(t, r.server.Endpoint, harness.Superuser())
		ask(t, pinned, "create temp table a (n int)")
		ask(t, other, "begin")
		ask(t, superuser, terminateAll)
		harness.Eventually(t, settleWithin, "the session is closed", func() bool { return len(r.sessions(t)) == 1 })
		_, err := asked(t.Context(), other, "select 1")
		wantCode(t, err, "40001")
	})
}

func TestQueriesWaitWhileTheServerRestarts(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			r := start(t, name, harness.Route{Server: s, MaxConnections: 3, Pool: harness.Keys{"connection_borrow_timeout": "60s"}})
			c := conn(t, r.Endpoint, harness.App())
			ask(t, c, "select 1")
			r.whole(t) // the session has given its connection back
			if err := s.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "the pool knows", func() bool { return r.pool(t).Open-r.pool(t).Dialing == 0 })
			answer := make(chan error, 1)
			go func() {
				got, err := asked(t.Context(), c, "select 'served'")
				if err == nil && got != "served" {
					err = fmt.Errorf("got %q", got)
				}
				answer <- err
			}()
			harness.Eventually(t, settleWithin, "the query waits", func() bool {
				select {
				case err := <-answer:
					t.Fatalf("the query did not wait: %v", err)
				default:
				}
				return r.pool(t).Waiting == 1
			})
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-answer; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAProxyWhoseServerIsDownIsNotReadyUntilItIsUp(t *testing.T) {
	const name = "pg18"
	s := harness.Own(t, name)
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir := harness.TempDir(t)
	started := make(chan *harness.Proxy, 1)
	failed := make(chan error, 1)
	go func() {
		p, err := harness.StartProxy(t.Context(), dir, harness.Config{AdminPort: admin, Routes: []harness.Route{{Server: s, MaxConnections: 2}}})
		if err != nil {
			failed <- err
			return
		}
		started <- p
	}()
	harness.Eventually(t, settleWithin, "/readyz says 503", func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", admin))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed: // StartProxy waits for /readyz
		t.Fatal(err)
	case p := <-started:
		defer func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}()
		if got := ask(t, conn(t, p.Endpoint(name), harness.App()), "select 'served'"); got != "served" {
			t.Errorf("got %q", got)
		}
	}
}

func TestASessionGoesOnAfterABorrowTimeout(t *testing.T) {
	for _, timeout := range []string{"200ms", "0s"} {
		t.Run(timeout, func(t *testing.T) {
			// Half of one connection is none: it would not stay open.
			keys := harness.Keys{"connection_borrow_timeout": timeout, "max_idle_connections_percent": 100}
			each(t, harness.Route{MaxConnections: 1, Pool: keys}, func(t *testing.T, r *rig) {
				name := table(t, r.server, "(n int)")
				warm(t, r)
				holder, c := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
				ask(t, holder, "begin")
				for i, run := range []func(context.Context, *pgconn.PgConn, string) error{
					func(ctx context.Context, c *pgconn.PgConn, q string) error { _, err := asked(ctx, c, q); return err },
					func(ctx context.Context, c *pgconn.PgConn, q string) error {
						_, err := askedExtended(ctx, c, q)
						return err
					},
				} {
					err := run(t.Context(), c, fmt.Sprintf("insert into %s values (%d)", name, i))
					var e *pgconn.PgError
					if !errors.As(err, &e) || e.Code != "08000" || e.Message != "Timed-out waiting to acquire database connection." || e.Severity != "ERROR" {
						t.Errorf("the borrow ended with %v", err)
					}
					if tx := c.TxStatus(); tx != 'I' {
						t.Errorf("the session is in state %c", tx)
					}
				}
				ask(t, holder, "commit")
				harness.Eventually(t, settleWithin, "the connection is back", func() bool { return r.pool(t).Idle == 1 })
				if got := ask(t, c, "select count(*) from "+name); got != "0" {
					t.Errorf("%s of the queries ran later", got)
				}
			})
		})
	}
}

// warm makes the proxy open a connection and waits until it is free: with a borrow timeout of 0 nobody else does. Until then
// logins may be refused.
func warm(t *testing.T, r *rig) {
	t.Helper()
	harness.Eventually(t, settleWithin, "a connection is free", func() bool {
		c, err := dial(t.Context(), r.Endpoint, harness.App())
		if err != nil {
			return false
		}
		defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
		if _, err = asked(t.Context(), c, "select 1"); err != nil {
			return false
		}
		harness.Eventually(t, settleWithin, "it is back", func() bool { return r.pool(t).Idle == 1 })
		return true
	})
}

func TestSIGTERMLetsTransactionsFinishAndTellsIdleSessions(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{
				Routes: []harness.Route{{Name: name, Server: s, MaxConnections: 3}}, Top: harness.Keys{"runtime": harness.Keys{"drain_timeout": "60s"}},
			})
			tbl := table(t, s, "(n int)")
			idle := frontend(t, conn(t, p.Endpoint(name), harness.App()))
			busy := conn(t, p.Endpoint(name), harness.App())
			ask(t, busy, "begin; insert into "+tbl+" values (1)")
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := idle.gone(); got != "E(57P01)" {
				t.Errorf("the idle session was told %q", got)
			}
			ask(t, busy, "insert into "+tbl+" values (2)")
			if c, err := dial(t.Context(), p.Endpoint(name), harness.App()); err == nil {
				hangUp(c)
				t.Error("a draining proxy accepts")
			}
			ask(t, busy, "commit")
			select {
			case <-p.Exited():
			case <-time.After(settleWithin):
				t.Error("the proxy is still there after the last transaction")
			}
			if got := ask(t, conn(t, s.Endpoint, harness.App()), "select count(*) from "+tbl); got != "2" {
				t.Errorf("%s rows were committed", got)
			}
		})
	}
}

func TestAChangedServerSettingReachesSessionsThroughIdleConnections(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			r := start(t, name, harness.Route{Server: s, MaxConnections: 1})
			c := conn(t, r.Endpoint, harness.App())
			ask(t, c, "select 1")
			before := c.ParameterStatus("IntervalStyle")
			harness.Exec(t, s, "alter system set intervalstyle = 'iso_8601'", "select pg_reload_conf()")
			harness.Eventually(t, settleWithin, "the change reaches the session", func() bool {
				return ask(t, c, "show intervalstyle") == "iso_8601"
			})
			if got := c.ParameterStatus("IntervalStyle"); got != "iso_8601" || before != "postgres" {
				t.Errorf("IntervalStyle was %s and is %s", before, got)
			}
			later := conn(t, r.Endpoint, harness.App())
			ask(t, later, "select 1")
			if got := later.ParameterStatus("IntervalStyle"); got != "iso_8601" {
				t.Errorf("a later session was told %s", got)
			}
			if s := r.session(t, c.PID()); s.Pinned != "" {
				t.Errorf("the session is pinned: %+v", s)
			}
		})
	}
}

func TestReservedConnectionsAreNotPartOfTheBudget(t *testing.T) {
	for name, options := range map[string][]string{
		"pg15": {"max_connections=20", "superuser_reserved_connections=4"},
		"pg18": {"max_connections=20", "superuser_reserved_connections=4", "reserved_connections=5"},
	} {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name, options...)
			r := start(t, name, harness.Route{Server: s})
			want := map[string]int{"pg15": 20 - 4 - 1, "pg18": 20 - 4 - 5 - 1}[name] // one is the monitor's
			// It is set on the pool's loop, a moment after the target is available.
			harness.Eventually(t, settleWithin, "the pool has learned its budget", func() bool { return r.pool(t).Max > 0 })
			if p := r.pool(t); p.Max != want {
				t.Errorf("the budget is %d, not %d", p.Max, want)
			}
			// All of it can be used at once, and the monitor still finds its place.
			for range want {
				ask(t, conn(t, r.Endpoint, harness.App().InClear()), "begin")
			}
			if p := r.pool(t); p.Lent != want {
				t.Errorf("%d connections are lent, not %d", p.Lent, want)
			}
			if status, body := r.get(t, "/readyz"); status != http.StatusOK {
				t.Errorf("/readyz: %d %s", status, body)
			}
		})
	}
}

func TestABudgetThatIsLargerThanTheServerStillServesEverybody(t *testing.T) {
	s := harness.Own(t, "pg18", "max_connections=8", "superuser_reserved_connections=2")
	r := start(t, "pg18", harness.Route{Server: s, MaxConnections: 30})
	errs := make(chan error, 40)
	for i := range cap(errs) {
		go func() {
			c, err := dial(t.Context(), r.Endpoint, harness.App().InClear())
			for n := 0; err == nil && n < 5; n++ {
				_, err = asked(t.Context(), c, fmt.Sprintf("begin; select pg_sleep(0.01), %d; commit", i))
			}
			if c != nil {
				hangUp(c)
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
