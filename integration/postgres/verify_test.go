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
	{"one of a name that nobody knows", "setting", []string{"select set_config('verify' || '.own', '7', false)"}, "show verify.own", "7", []string{"discard all"}},
	{"one that is not ASCII", "setting", []string{"set application_name = 'x'", "set verify.own = 'ü'"}, "show verify.own", "ü", []string{"reset verify.own"}},
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
	{"unlisten *"}, {"close all"}, {"select pg_advisory_unlock_all()"}, {"discard temp"}, {"reset all"}, {"reset work_mem"}, {"reset role"},
	{"set role none"}, {"begin", "set work_mem = '7MB'", "rollback"}, {"!set work_mem = 'nonsense'"}, {"begin", "set local work_mem = '7MB'", "commit"},
	{"select pg_advisory_unlock_all();\nclose all;\nunlisten *;\nreset all;"}, {"set work_mem = '7MB'; reset work_mem"},
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

// unseenCode is code that no scan of a statement sees, what it leaves, and how the session that executed it finds that. FN
// stands for a function that sets app.tenant.
var unseenCode = []struct{ do, probe, want, reason string }{
	{"do $$ begin perform set_config('app.tenant', '7', false); end $$", "select current_setting('app.tenant', true)", "7", ""},
	{"do $$ begin set work_mem = '7MB'; end $$", "show work_mem", "7MB", ""},
	{"do $$ begin perform pg_advisory_lock(4713); end $$", ownLocks, "1", "named_lock"},
	{"do $$ begin create temp table v as select 7 as a; end $$", "select a from v", "7", "temporary_table"},
	{"do $$ begin execute 'listen v'; end $$", "select pg_listening_channels()", "v", "listen"},
	{"do $$ begin set role ROLE; end $$", "select current_user = 'ROLE'", "t", ""},
	{"do $$ begin execute 'prepare v as select 7'; end $$", "execute v", "7", "prepared_statement"},
	{"select FN_tenant()", "select current_setting('app.tenant', true)", "7", ""},
	{"call FN_held('my.own', '7')", "select current_setting('my.own', true)", "7", ""},
	{"select count(FN_tenant()) from generate_series(1, 2)", "select current_setting('app.tenant', true)", "7", ""},
}

// unseenHarmless is code that leaves nothing, or is none.
var unseenHarmless = []string{
	"do $$ begin perform 1; end $$", "do $$ begin perform set_config('app.tenant', '7', true); end $$", "!selec 1", "!select 'open",
	"!select 1; selec 2", "!frobnicate", "!do $$ begin perform 1/0; end $$", "!do $$ begin set work_mem = '7MB'; perform 1/0; end $$",
	"!do $$ selec $$", "select FN_nothing()", "create extension if not exists plpgsql",
}

func TestWhatUnseenCodeLeavesStaysWithItsSession(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		names := objects(t, r.server)
		id := strings.TrimSuffix(names.Replace("FN()"), "()")
		made := []string{
			"create function " + id + "_tenant() returns text language sql as $$ select set_config('app.tenant', '7', false) $$",
			"create procedure " + id + "_held(a text, b text) language plpgsql as $$ begin perform set_config(a, b, false); end $$",
			"create function " + id + "_nothing() returns int language sql as $$ select 1 $$",
		}
		harness.Exec(t, r.server, made...)
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop function "+id+"_tenant()", "drop procedure "+id+"_held(text, text)", "drop function "+id+"_nothing()"); err != nil {
				t.Error(err)
			}
		})
		named := func(sql string) string { return names.Replace(strings.ReplaceAll(sql, "FN_", id+"_")) }
		others := []asker{}
		for range 2 {
			c := conn(t, r.Endpoint, harness.App())
			others = append(others, func(ctx context.Context, sql string) (string, error) { return asked(ctx, c, sql) })
		}
		for how, a := range askers(t, r) {
			for _, u := range unseenCode {
				name := fmt.Sprintf("%s (%s)", u.do, how)
				r.plays(t, name, a.ask, []string{named(u.do)})
				for _, o := range others {
					if got, err := o(t.Context(), pristine()); got != pristineAnswer {
						t.Errorf("after %s another session finds %s %v", name, got, err)
					}
				}
				if got, err := a.ask(t.Context(), named(u.probe)); got != u.want {
					t.Errorf("%s: finds %q %v", name, got, err)
				}
				harness.Eventually(t, settleWithin, name+" is pinned as it should be", func() bool { return r.session(t, a.pid).Pinned == u.reason })
				r.plays(t, name, a.ask, []string{"discard all"})
			}
			for _, sql := range unseenHarmless {
				r.plays(t, sql, a.ask, []string{named(sql)})
				harness.Eventually(t, settleWithin, sql+" ("+how+") gives the connection back", func() bool {
					s := r.session(t, a.pid)
					return s.Pinned == "" && s.Backend == 0
				})
				for _, o := range others {
					if got, err := o(t.Context(), pristine()); got != pristineAnswer {
						t.Errorf("after %s another session finds %s %v", sql, got, err)
					}
				}
			}
		}
	})
}

// bodies are what a function may do, in PL/pgSQL, and whether that may leave something in the session.
var bodies = []struct {
	body  string
	harms bool
}{
	{"perform 1;", false}, {"update t set a = 2;", false}, {"update only t as x set a = 2 where a = 1;", false},
	{"insert into u values (1) on conflict (a) do update set a = 2;", false}, {"set local work_mem = '5MB';", false},
	{"perform set_config('work_mem', '5MB', true);", false}, {"perform current_setting('work_mem');", false},
	{"perform pg_advisory_xact_lock(4713);", false}, {"perform pg_notify('a', 'b');", false}, {"delete from t; -- reset, set and execute", false},
	{"perform nextval('s');", false}, {"set constraints all deferred;", false},
	{"set work_mem = '5MB';", true}, {"SET SESSION work_mem = '5MB';", true}, {"perform set_config('work_mem', '5MB', false);", true},
	{"perform pg_catalog.set_config('a.b', 'c', a is null) from t;", true}, {"execute 'set work_mem = 1000';", true}, {"reset all;", true},
	{"perform pg_advisory_lock(4713);", true}, {"perform pg_try_advisory_lock_shared(4713);", true}, {"listen a;", true},
	{"create temp table v (a int);", true}, {"create table pg_temp.v (a int);", true}, {"create temporary sequence v;", true},
	{"perform currval('s');", true}, {"update pg_settings set setting = '5MB' where name = 'work_mem';", true},
	{"perform query_to_xml('select 1', true, true, '');", true}, {"set role app;", true}, {"/* x */ set /* y */ work_mem = '5MB';", true},
	{"perform 1; -- update t\nset work_mem = '5MB';", true}, {"perform 1; --' update t\nset work_mem = '5MB';", true},
}

// The server shows the last query of a connection that is idle.
func TestADatabaseWhoseCodeCannotTouchASessionIsNotAskedAboutStatements(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "bodies", "create table t (a int)", "create table u (a int primary key)", "create sequence s")
		for i, b := range bodies {
			copied := l
			copied.Database = fmt.Sprintf("%s_%d", l.Database, i)
			harness.Exec(t, r.server, "create database "+copied.Database+" template "+l.Database)
			direct := conn(t, r.server.Endpoint, copied)
			ask(t, direct, "create function f() returns void language plpgsql as $body$ begin "+b.body+"\nend $body$")
			c := conn(t, r.Endpoint, copied)
			for range 2 {
				ask(t, c, "select 'nothing'")
				harness.Eventually(t, settleWithin, b.body+": the connection is given back", func() bool { return r.session(t, c.PID()).Backend == 0 })
			}
			last := ask(t, direct, "select query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = 'idle'")
			if asked := last != "select 'nothing'"; asked != b.harms {
				t.Errorf("a database with %s: the last query is %s", b.body, last)
			}
			_ = c.Close(t.Context())
			_ = direct.Close(t.Context())
			harness.Exec(t, r.server, "drop database "+copied.Database+" with (force)")
		}
	})
}
