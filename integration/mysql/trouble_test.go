package mysql

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// backends are the server's ids of the connections of user app.
func backends(t *testing.T, w *wire, condition string) []string {
	t.Helper()
	all := w.must(t, "select id from information_schema.processlist where user = 'app'"+condition)
	var ids []string
	for _, row := range all[0].rows {
		ids = append(ids, row[0])
	}
	return ids
}

func TestNobodyNoticesThatAnIdleBackendWasKilled(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair)
			super := dial(t, f.server.Endpoint, superuser(), modern)
			clients := []*wire{f.client(t), f.client(t), f.client(t)}
			for range 10 {
				f.everywhere(t, "select 1")
				for _, id := range backends(t, super, "") {
					super.outcome("kill " + id)
				}
				waitFor(t, "the killed backends are gone", func() bool {
					p, err := f.Pool(t.Context(), name)
					return err == nil && p.Open == 0
				})
				for _, w := range clients {
					w.sees(t, "select 42", "[42]")
				}
			}
			quietAfter(t, f, clients)
		})
	}
}

// quietAfter lets clients go and checks that nothing is left.
func quietAfter(t *testing.T, f front, clients []*wire) {
	t.Helper()
	for _, w := range clients {
		w.quit()
	}
	quiet(t, f)
}

func TestALostTransactionIsAnErrorAndNeverGoesOn(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "lost", "(n int)")
		super := dial(t, f.server.Endpoint, superuser(), modern)
		for range 5 {
			w := f.client(t)
			w.do(t, "begin", "insert into "+name+" values (1)")
			id := strings.Trim(w.outcome("select connection_id() + 0"), "[]")
			super.do(t, "kill "+id)
			waitFor(t, "the loss is noticed", func() bool {
				p, err := f.Pool(t.Context(), f.server.Name)
				return err == nil && p.Lent == 0
			})
			if got := w.outcome("insert into " + name + " values (2)"); got != "error 1213" {
				t.Fatalf("a statement of a lost transaction: %s", got)
			}
			w.sees(t, "select count(*) from "+name, "[0]") // the session goes on
		}
	})
}

func TestAStatementWhoseBackendIsLostIsAnError(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		super := dial(t, f.server.Endpoint, superuser(), modern)
		w := f.client(t)
		if err := w.ask(busy); err != nil {
			t.Fatal(err)
		}
		inBusy(t, f, 1)
		for _, id := range backends(t, super, " and info like 'select sleep(50)%'") {
			super.do(t, "kill "+id)
		}
		got, err := w.results(false)
		// MariaDB and MySQL may say by themselves that it was killed (1317, 1927).
		if s := show(got, err); s != "error 9502" && s != "error 1317" && s != "error 1927" {
			t.Errorf("a killed backend's statement: %s", s)
		}
		w.sees(t, "select 1", "[1]")
	})
}

func TestQueriesWaitWhileTheServerRestarts(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair)
			clients := []*wire{f.client(t), f.client(t), f.client(t)}
			for _, w := range clients {
				w.sees(t, "select 1", "[1]")
			}
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			if err := f.server.Crash(ctx); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the pool has noticed", func() bool {
				p, err := f.Pool(ctx, name)
				return err == nil && p.Idle == 0 && p.Lent == 0
			})
			for _, w := range clients {
				if err := w.ask("select 2"); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.server.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			for _, w := range clients {
				if got, err := w.results(false); show(got, err) != "[2]" {
					t.Errorf("a query during the restart: %s", show(got, err))
				}
			}
			f.client(t).sees(t, "select database()", "[app]")
		})
	}
}

func TestAProxyWhoseServerIsDownAtItsStartRecovers(t *testing.T) {
	t.Parallel()
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			if err := s.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			p := harness.Start(t, harness.Config{Unready: true, Routes: []harness.Route{{Server: s, MaxConnections: pair}}})
			if err := p.Ready(ctx); err == nil || !strings.Contains(err.Error(), "503") {
				t.Errorf("readyz with the server down: %v, want 503", err)
			}
			if _, err := login(p.Endpoint(name), plain(), modern); err == nil || strings.Contains(err.Error(), fmt.Sprint(s.Port)) {
				t.Errorf("a login with the server down: %v", err)
			}
			if err := s.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "readyz says yes", func() bool { return p.Ready(ctx) == nil })
			dial(t, p.Endpoint(name), plain(), modern).sees(t, "select 1", "[1]")
		})
	}
}

func TestAFullBudgetIsAnErrorAfterTheTimeoutAndTheSessionGoesOn(t *testing.T) {
	for _, timeout := range []string{"0s", "500ms"} {
		t.Run(timeout, func(t *testing.T) {
			r := harness.Route{MaxConnections: 1, Pool: harness.Keys{"connection_borrow_timeout": timeout}}
			own(t, r, func(t *testing.T, f front) {
				// A login looks whether its database is there. Without time to wait, it finds no backend at first.
				var holder *wire
				waitFor(t, "a login", func() (done bool) {
					var err error
					holder, err = login(f.Endpoint, plain(), modern)
					if err != nil && numberOf(err) != 9501 {
						t.Fatal(err)
					}
					return err == nil
				})
				defer holder.quit()
				w := f.client(t)
				holder.do(t, "begin")
				for range 3 {
					got, err := w.query("select 1")
					if err != nil || len(got) != 1 || numberOf(got[0].err) != 9501 {
						t.Fatalf("with a full budget: %s, want 9501", show(got, err))
					}
					if text := got[0].err.Error(); !strings.Contains(text, "Timed-out waiting to acquire database connection") {
						t.Errorf("%s", text)
					}
				}
				if got := w.outcome("select '" + strings.Repeat("x", 1<<20) + "'"); got != "error 9501" {
					t.Errorf("a long request with a full budget: %.40s", got)
				}
				if s, err := w.prepare("select 1"); numberOf(err) != 9501 {
					t.Errorf("preparing with a full budget: %v %v", s, err)
				}
				holder.do(t, "commit")
				w.sees(t, "select 2", "[2]")
				l, err := f.Listener(t.Context(), f.server.Name)
				if err != nil || l.BorrowTimeouts < 5 {
					t.Errorf("%d borrow timeouts are counted, %v", l.BorrowTimeouts, err)
				}
			})
		})
	}
}

func TestABackendThatTheServerClosedForIdlenessIsNotLent(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair, "wait_timeout=1")
			clients := []*wire{f.client(t), f.client(t)}
			for range 2 {
				f.everywhere(t, "select 1")
				waitFor(t, "the server has closed its idle connections", func() bool {
					p, err := f.Pool(t.Context(), name)
					return err == nil && p.Open == 0
				})
				for _, w := range clients {
					w.sees(t, "select 42", "[42]")
				}
			}
			pinned := f.client(t)
			pinned.do(t, "create temporary table held (n int)")
			waitFor(t, "the pin has ended with its backend", func() bool { return f.pinned(t) == 0 })
			if got := pinned.outcome("select * from held"); got != "error 2013" {
				t.Errorf("a session whose state is lost is told %s", got)
			}
			pinned.sees(t, "select 1", "[1]")
		})
	}
}

func TestADrainLetsTransactionsEndAndThenStops(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			name := table(t, s, "drained", "(n int)")
			p := harness.Start(t, harness.Config{
				Routes: []harness.Route{{Server: s, MaxConnections: pair}},
				Top:    harness.Keys{"runtime": harness.Keys{"drain_timeout": "30s"}},
			})
			f := front{p.Endpoint(s.Name), p, s}
			idle, working := f.client(t), f.client(t)
			idle.sees(t, "select 1", "[1]")
			working.do(t, "begin", "insert into "+name+" values (1)")
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "new clients are turned away", func() bool {
				w, err := greeted(f.Endpoint)
				if err == nil {
					_ = w.Close()
				}
				return err != nil
			})
			working.do(t, "insert into "+name+" values (2)")
			if err := working.ask("commit"); err != nil {
				t.Fatal(err)
			}
			if r, err := working.result(false); err != nil || r.err != nil {
				t.Errorf("committing during a drain: %v %v", r.err, err)
			}
			select {
			case <-p.Exited():
			case <-time.After(patience):
				t.Error("the proxy goes on after its last transaction")
			}
			if _, err := working.query("select 1"); err == nil {
				t.Error("a session goes on after the drain")
			}
			dial(t, s.Endpoint, plain(), modern).sees(t, "select count(*) from "+name, "[2]")
		})
	}
}

// With completion_type=RELEASE a server closes a connection behind each COMMIT, which nothing says but the variable.
func TestABackendThatACommitEndsIsNotLent(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, 1, "completion_type=RELEASE")
			a, b := f.client(t), f.client(t)
			for range 40 {
				a.do(t, "begin", "select 1")
				if err := b.ask("select 2"); err != nil { // it waits for the connection
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				a.do(t, "commit")
				if all, err := b.results(false); show(all, err) != "[2]" {
					t.Errorf("behind another's COMMIT: %s", show(all, err))
				}
			}
			a.sees(t, "set completion_type = 'NO_CHAIN'", "ok 0")
			a.do(t, "begin", "commit")
			a.quit()
			b.quit()
		})
	}
}

// The server answers a request of more than max_allowed_packet and closes the connection, before the request is over or behind it: then the session ends, or goes on
// with another connection. Whoever else might have got that one hears of nothing.
func TestARequestThatIsTooLongSpoilsNoOther(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name, "max-allowed-packet=1M")
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
			f := front{p.Endpoint(s.Name), p, s}
			t.Cleanup(func() { quiet(t, f) })
			w, other := f.client(t), f.client(t)
			long := "select length('" + strings.Repeat("x", 1<<20) + "')"
			ended := 0
			for range 40 {
				w.sees(t, long, "error 1153")
				other.sees(t, "select 2", "[2]")
				switch got := w.outcome("select 1"); {
				case strings.HasPrefix(got, "broken"):
					ended++
					w = f.client(t)
				case got != "[1]":
					t.Errorf("behind it: %s", got)
				}
			}
			t.Logf("%d of 40 sessions have ended", ended)
			w.quit()
			other.quit()
		})
	}
}
