package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// What a session says about how long things may take must not hit anybody else, nor a connection that nobody has.

// short are timeouts that are short enough to hit the next session, were they left.
var short = []struct {
	name, set string
	pinned    string
	since     int     // the server's major version
	longer    float64 // than it, in seconds
}{
	{"statement_timeout", "set statement_timeout = 200", "", 0, 0.3}, {"lock_timeout", "set lock_timeout = 1", "", 0, 0},
	{"idle_in_transaction_session_timeout", "set idle_in_transaction_session_timeout = 1", "", 0, 0},
	{"idle_session_timeout", "set idle_session_timeout = 60000", "setting", 0, 0}, {"transaction_timeout", "set transaction_timeout = 1500", "", 17, 1.6},
	{"a short transaction_timeout", "set transaction_timeout = 900", "setting", 17, 1},
}

func TestAShortTimeoutOfASessionHitsNobodyElse(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		locked := table(t, r.server, "(a int)")
		for _, s := range short {
			if s.since > r.version(t) {
				continue
			}
			c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
			ask(t, c, s.set)
			r.pinnedBy(t, c, s.pinned)
			name := s.set[len("set "):strings.IndexByte(s.set, '=')]
			if got := ask(t, c, "show "+name); got == "0" {
				t.Errorf("%s: the session has lost it", s.name)
			}
			if s.pinned != "" {
				ask(t, c, "reset all")
				r.pinnedBy(t, c, "")
			}
			blocker := conn(t, r.server.Endpoint, harness.App())
			ask(t, blocker, "begin; lock table "+locked)
			waits := make(chan error, 1)
			go func() {
				_, err := asked(t.Context(), other, fmt.Sprintf("begin; select pg_sleep(%v), count(*) from %s", s.longer, locked))
				waits <- err
			}()
			waitsForLock(t, r.server, locked)
			ask(t, blocker, "rollback")
			if err := <-waits; err != nil {
				t.Errorf("%s: another session: %v", s.name, err)
			}
			time.Sleep(50 * time.Millisecond) // idle in its transaction for longer than any of them
			if _, err := asked(t.Context(), other, "commit"); err != nil {
				t.Errorf("%s: another session's COMMIT: %v", s.name, err)
			}
			for _, each := range []*pgconn.PgConn{c, other, blocker} {
				_ = each.Close(t.Context())
			}
		}
	})
}

// version is the server's major version.
func (r *rig) version(t *testing.T) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(direct(t, r, "select current_setting('server_version_num')::int / 10000"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// waitsForLock waits until somebody waits for a lock on a table.
func waitsForLock(t *testing.T, s *harness.Server, table string) {
	t.Helper()
	c := conn(t, s.Endpoint, harness.Superuser())
	harness.Eventually(t, settleWithin, "somebody waits for "+table, func() bool {
		return ask(t, c, "select count(*) from pg_locks where relation = '"+table+"'::regclass and not granted") != "0"
	})
	_ = c.Close(t.Context())
}

// Its own timeouts hit the session itself as they would without a proxy.
func TestATimeoutEndsWhatItIsAbout(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, s := range []struct {
			set  []string
			code string
			ends bool // the session
		}{
			{[]string{"set statement_timeout = 300", "select pg_sleep(60)"}, "57014", false},
			{[]string{"set idle_in_transaction_session_timeout = 300", "begin", ""}, "25P03", true},
			{[]string{"set idle_session_timeout = 300", ""}, "57P05", true},
		} {
			for _, e := range []harness.Endpoint{r.Endpoint, r.server.Endpoint} {
				c := conn(t, e, harness.App())
				var err error
				for _, sql := range s.set {
					if sql != "" {
						_, err = asked(t.Context(), c, sql)
						continue
					}
					ctx, stop := context.WithTimeout(t.Context(), settleWithin)
					err = c.WaitForNotification(ctx)
					stop()
				}
				if code(err) != s.code || c.IsClosed() != s.ends {
					t.Errorf("%q: %v, closed %v", s.set, err, c.IsClosed())
				}
				_ = c.Close(t.Context())
			}
		}
		other := conn(t, r.Endpoint, harness.App())
		if got := ask(t, other, pristine()); got != pristineAnswer {
			t.Errorf("another session finds %s", got)
		}
	})
}

func TestMoreSettingsThanAreRestoredPinUntilAReset(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		probe := conn(t, r.server.Endpoint, harness.App())
		known := strings.Fields(ask(t, probe, "select name from pg_settings where context = 'user' and vartype = 'bool' and name not in ('exit_on_error', 'transaction_read_only', 'transaction_deferrable', 'zero_damaged_pages') order by name limit 70"))
		for name, names := range map[string][]string{"the server's and own": append(known, numbered("many.s", 70-len(known))...), "own": numbered("more.s", 70)} {
			c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
			for i, n := range names {
				ask(t, c, "set "+n+" = on")
				if i == 60 {
					r.pinnedBy(t, c, "")
				}
			}
			harness.Eventually(t, settleWithin, name+": too many settings pin", func() bool { return r.session(t, c.PID()).Pinned != "" })
			for _, n := range names {
				if got := ask(t, c, "show "+n); got != "on" {
					t.Errorf("%s is %s", n, got)
				}
			}
			ask(t, c, "discard all")
			r.pinnedBy(t, c, "")
			if got := ask(t, other, pristine()); got != pristineAnswer {
				t.Errorf("%s: another session finds %s", name, got)
			}
			for _, n := range names {
				if got, want := ask(t, other, "select current_setting('"+n+"', true)"), ask(t, probe, "select current_setting('"+n+"', true)"); got != want {
					t.Errorf("another session finds %s = %s, not %s", n, got, want)
				}
			}
			_, _ = c.Close(t.Context()), other.Close(t.Context())
		}
	})
}

func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, i))
	}
	return names
}
