package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// holding is state that pins, and what ends it.
var holding = []struct {
	name, reason string
	do           []string // one that begins with ! fails
	probe, want  string   // finds it
	end          []string
}{
	{"a temporary table", "temporary_table", []string{"create temp table v (a int)", "insert into v values (7)"}, "select a from v", "7", []string{"drop table v"}},
	{"one that DISCARD TEMP drops", "temporary_table", []string{"select 7 as a into temp v"}, "select a from v", "7", []string{"discard temp"}},
	{"one dropped in a transaction", "temporary_table", []string{"create temp table v as select 7 as a"}, "select a from v", "7", []string{"begin", "drop table v", "commit"}},
	{"one whose DROP is rolled back first", "temporary_table", []string{"create temp table v as select 7 as a", "begin", "drop table v", "rollback"}, "select a from v", "7", []string{"drop table v"}},
	{"a temporary view", "temporary_table", []string{"create temp view v as select 7 as a"}, "select a from v", "7", []string{"drop view v"}},
	{"a temporary sequence", "temporary_table", []string{"create temp sequence v start 7"}, "select last_value from v", "7", []string{"drop sequence v"}},
	{"a function of its own", "temporary_table", []string{"create function pg_temp.v() returns int language sql as 'select 7'"}, "select 7", "7", []string{"drop function pg_temp.v()"}},
	{"a type of its own", "temporary_table", []string{"create type pg_temp.v as (a int)"}, "select 7", "7", []string{"drop type pg_temp.v"}},
	{"a lock", "named_lock", []string{"select pg_advisory_lock(4713)"}, ownLocks, "1", []string{"select pg_advisory_unlock(4713)"}},
	{"a lock that is counted", "named_lock", []string{"select pg_advisory_lock(4713), pg_advisory_lock(4713)", "select pg_advisory_unlock(4713)"}, ownLocks, "1", []string{"select pg_advisory_unlock(4713)"}},
	{"several locks", "named_lock", []string{"select pg_advisory_lock(4713, n), pg_advisory_lock_shared(4714, n) from generate_series(1, 3) n"}, ownLocks, "6", []string{"select pg_advisory_unlock_all()"}},
	{"a lock that was tried", "named_lock", []string{"select pg_try_advisory_lock(4713)"}, ownLocks, "1", []string{"select pg_advisory_unlock(4713)"}},
	{"a lock of a transaction that is rolled back", "named_lock", []string{"begin", "select pg_advisory_lock(4713)", "!select 1/0", "rollback"}, ownLocks, "1", []string{"select pg_advisory_unlock(4713)"}},
	{"a cursor", "cursor", []string{"declare v scroll cursor with hold for select 7"}, "fetch absolute 1 v", "7", []string{"close v"}},
	{"a cursor of a transaction", "cursor", []string{"begin", "declare v scroll cursor with hold for select 7", "commit"}, "fetch absolute 1 v", "7", []string{"close all"}},
	{"a channel", "listen", []string{"listen v"}, "select pg_listening_channels()", "v", []string{"unlisten v"}},
	{"channels", "listen", []string{"begin", "listen v", "listen u", "commit", "unlisten u"}, "select pg_listening_channels()", "v", []string{"unlisten *"}},
	{"a prepared statement", "prepared_statement", []string{"prepare v as select 7"}, "execute v", "7", []string{"deallocate v"}},
	{"a prepared statement of a transaction that is rolled back", "prepared_statement", []string{"begin", "prepare v as select 7", "rollback"}, "execute v", "7", []string{"deallocate all"}},
}

const ownLocks = "select count(*) from pg_locks where locktype = 'advisory' and granted and objid in (1, 2, 3, 4713)"

// passing is what could hold the session, and does not.
var passing = [][]string{
	{"!create temp table v (a nonsense)"}, {"begin", "create temp table v (a int)", "rollback"},
	{"begin", "savepoint s", "create temp table v (a int)", "rollback to s", "commit"},
	{"begin", "create temp table v (a int) on commit drop", "insert into v values (1)", "create view w as select a from v", "commit"},
	{"create temp table v (a int); drop table v"}, {"select pg_advisory_lock(4713); select pg_advisory_unlock(4713)"},
	{"begin", "create temp table v (a int)", "!select 1/0", "commit"}, {"begin", "declare v cursor with hold for select 1", "rollback"},
	{"begin", "listen v", "rollback"}, {"select pg_advisory_xact_lock(4713)"}, {"select pg_try_advisory_lock(4713) where false"},
	{"unlisten *"}, {"close all"}, {"select pg_advisory_unlock_all()"}, {"discard temp"},
}

// plays lets c execute statements.
func (r *rig) plays(t *testing.T, name string, c asker, statements []string) {
	t.Helper()
	for _, sql := range statements {
		sql, fails := strings.CutPrefix(sql, "!")
		if _, err := c(t.Context(), sql); (err != nil) != fails {
			t.Fatalf("%s: %s: %v", name, sql, err)
		}
	}
}

type asker func(ctx context.Context, sql string) (string, error)

// askers are the ways in which a client may ask.
func askers(t *testing.T, r *rig) map[string]struct {
	ask asker
	pid uint32
} {
	t.Helper()
	simple, extended := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
	return map[string]struct {
		ask asker
		pid uint32
	}{
		"simple": {func(ctx context.Context, sql string) (string, error) { return asked(ctx, simple, sql) }, simple.PID()},
		"extended": {func(ctx context.Context, sql string) (string, error) {
			if strings.Contains(sql, ";") {
				return asked(ctx, extended, sql)
			}
			return askedExtended(ctx, extended, sql)
		}, extended.PID()},
	}
}

func TestASessionKeepsItsBackendWhileItHoldsSomethingThere(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		other := conn(t, r.Endpoint, harness.App())
		for how, a := range askers(t, r) {
			for _, h := range holding {
				name := fmt.Sprintf("%s (%s)", h.name, how)
				r.plays(t, name, a.ask, h.do)
				if got, err := a.ask(t.Context(), h.probe); got != h.want {
					t.Errorf("%s: finds %q %v", name, got, err)
				}
				if s := r.session(t, a.pid); s.Pinned != h.reason || s.Backend == 0 {
					t.Errorf("%s: pinned %q", name, s.Pinned)
				}
				r.plays(t, name, a.ask, h.end)
				harness.Eventually(t, settleWithin, name+" pins no more", func() bool { return r.session(t, a.pid).Pinned == "" })
				if got := ask(t, other, pristine()); got != pristineAnswer {
					t.Errorf("after %s another session finds %s", name, got)
				}
			}
			for _, statements := range passing {
				name := fmt.Sprintf("%s (%s)", strings.Join(statements, "; "), how)
				r.plays(t, name, a.ask, statements)
				if got := ask(t, other, pristine()); got != pristineAnswer {
					t.Errorf("after %s another session finds %s", name, got)
				}
				if s := r.session(t, a.pid); s.Pinned != "" {
					t.Errorf("%s: pinned by %q", name, s.Pinned)
				}
			}
		}
	})
}

func TestNotificationsReachASessionThatIsIdleUntilItUnlistens(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		channel := fmt.Sprintf("idle_%d", c.PID())
		ask(t, c, "listen "+channel)
		for i := range 3 {
			ask(t, other, fmt.Sprintf("notify %s, '%d'", channel, i))
			ctx, stop := context.WithTimeout(t.Context(), settleWithin)
			if err := c.WaitForNotification(ctx); err != nil {
				t.Fatalf("notification %d: %v", i, err)
			}
			stop()
		}
		ask(t, c, "unlisten "+channel)
		harness.Eventually(t, settleWithin, "the session is not pinned any more", func() bool {
			s := r.session(t, c.PID())
			return s.Pinned == "" && s.Backend == 0
		})
		ask(t, other, "notify "+channel)
	})
}
