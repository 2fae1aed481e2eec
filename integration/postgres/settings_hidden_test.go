package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// Settings that only the server can tell (verify_settings.go), where what it tells is easily mistaken.
func TestWhatTheServerSaysIsSetIsTheSessionsOwn(t *testing.T) {
	for _, c := range []struct {
		name, options, role string
		do                  []string
		probe, at, want     string // what is found at first, and by the session in the end
	}{
		{"a part of what the client began with", "-c search_path=information_schema,pg_catalog", "", []string{"select set_config('search_path', 'pg_catalog', false)"},
			"show search_path", "information_schema,pg_catalog", "pg_catalog"},
		{"a shorter number than the client began with", "-c statement_timeout=50000", "", []string{"do $$ begin perform set_config('statement_timeout', '5000', false); end $$"},
			"show statement_timeout", "50s", "5s"},
		{"an undefined one that begins like the client's", "-c hidden.own=77", "", []string{"select set_config('hidden.own', '7', false)"}, "show hidden.own", "77", "7"},
		{"an undefined one made empty", "-c hidden.own=77", "", []string{"select set_config('hidden.own', '', false)"}, "show hidden.own", "77", ""},
		{"an undefined one that another role begins with", "", "hidden.own = '7'", []string{"select set_config('hidden.own', '7', false)"}, "select coalesce(current_setting('hidden.own', true), '')", "", "7"},
		{"a setting whose statement would be cut short by its own timeout", "", "", []string{"set statement_timeout = '2ms'", "!select set_config('work_mem', '7MB', false), pg_sleep(1)",
			"set statement_timeout = '2ms'; select set_config('work_mem', '7MB', false)", "set statement_timeout = 0"}, "show work_mem", "4MB", "7MB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
				if c.role != "" {
					role := objects(t, r.server).Replace("ROLE")
					harness.Exec(t, r.server, "alter role "+role+" set "+c.role)
				}
				began := func(cfg *pgconn.Config) {
					if c.options != "" {
						cfg.RuntimeParams["options"] = c.options
					}
				}
				a, other := conn(t, r.Endpoint, harness.App(), began), conn(t, r.Endpoint, harness.App(), began)
				r.plays(t, c.name, func(ctx context.Context, sql string) (string, error) { return asked(ctx, a, sql) }, c.do)
				for range 2 {
					if got := ask(t, other, c.probe); got != c.at {
						t.Errorf("another session finds %q", got)
					}
					if got := ask(t, a, c.probe); got != c.want {
						t.Errorf("the session finds %q", got)
					}
				}
			})
		})
	}
}

// RESET leaves a library's setting empty on a connection that has not loaded it; on one that has, that is no value.
func TestASettingOfALibraryThatWasResetDoesNotEndItsSession(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		harness.Exec(t, r.server, "create extension if not exists pg_trgm")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop extension pg_trgm"); err != nil {
				t.Error(err)
			}
		})
		a, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, a, "set pg_trgm.similarity_threshold = 0.1")
		ask(t, a, "do $$ begin perform set_config('pg_trgm.similarity_threshold', null, false); end $$")
		for range 2 {
			for who, c := range map[string]*pgconn.PgConn{"the session": a, "another session": other} {
				if got := ask(t, c, "select show_limit()"); got != "0.3" {
					t.Errorf("%s finds %s", who, got)
				}
			}
		}
	})
}

// Names of settings that the server does not define are taken from the code, which may be a moment old, or make them of parts.
func TestWhatCodeHasSetIsTheSessionsOwn(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		schema := fmt.Sprintf("hidden_%d", os.Getpid())
		harness.Exec(t, r.server, "create schema "+schema+" authorization app",
			"create function "+schema+".makes() returns text language plpgsql as $$ begin return set_config('hidden.' || 'part', 'made', false); end $$",
			"create function "+schema+".reads() returns text language sql as $$ select nullif(current_setting('hidden.part', true), '') $$")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop schema "+schema+" cascade"); err != nil {
				t.Error(err)
			}
		})
		a, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for _, c := range []struct{ create, call, name, want string }{
			{"select 1", "makes()", "hidden.part", "made"},
			{"create function " + schema + ".sets() returns text language plpgsql as $$ begin return set_config('hidden.code', 'mine', false); end $$", "sets()", "hidden.code", "mine"},
		} {
			ask(t, a, c.create)
			ask(t, a, "select "+schema+"."+c.call)
			for range 2 {
				if got := ask(t, a, "select current_setting('"+c.name+"', true)"); got != c.want {
					t.Errorf("%s: the session finds %q", c.call, got)
				}
				if got := ask(t, other, "select coalesce(current_setting('"+c.name+"', true), '')"); got != "" {
					t.Errorf("%s: another session finds %q", c.call, got)
				}
			}
		}
	})
}

func TestWhatExpressionsOfTheDatabaseHaveSetIsTheSessionsOwn(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "trees", "create view v as select set_config('tree.view', 'mine', false) as x", "create table d (a text default set_config('Tree.Default', 'mine', false), b int)",
			"create table k (a int check (set_config('tree.check'::varchar, 'mine', false) = 'mine'))",
			"create function body() returns text language sql begin atomic select set_config('tree.body', 'mine', false); end",
			"create table n (a int)", "create rule r as on insert to n do also select set_config('tree.rule', 'mine', false), set_config('tree.more', 'mine', false)")
		a, other := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
		for _, use := range []struct{ sql, name string }{
			{"select x from v", "tree.view"}, {"insert into d (b) values (1)", "tree.default"}, {"insert into k values (1)", "tree.check"}, {"select body()", "tree.body"},
			{"insert into n values (1)", "tree.rule"}, {"insert into n values (1)", "tree.more"},
		} {
			ask(t, a, use.sql)
			for range 2 {
				if got := ask(t, a, "select coalesce(current_setting('"+use.name+"', true), '')"); got != "mine" {
					t.Errorf("behind %s the session finds %q", use.sql, got)
				}
				if got := ask(t, other, "select coalesce(current_setting('"+use.name+"', true), '')"); got != "" {
					t.Errorf("behind %s another session finds %q", use.sql, got)
				}
			}
		}
	})
}

func TestWhatASessionHasSetEndsNoOtherSession(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		role := objects(t, r.server).Replace("ROLE")
		harness.Exec(t, r.server, "grant set on parameter log_min_duration_statement to "+role)
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "revoke set on parameter log_min_duration_statement from "+role); err != nil {
				t.Error(err)
			}
		})
		other := conn(t, r.Endpoint, harness.App())
		ask(t, other, "set search_path = pg_catalog")
		for _, c := range []struct {
			name string
			do   []string
		}{
			{"what only the role may set", []string{"set role " + role, "set log_min_duration_statement = 5000"}},
			{"a name that a library refuses once it is loaded", []string{"set plpgsql.unheard_of = 1", "do $$ begin end $$"}},
			{"a restore under serializable, deferrable", []string{"set session characteristics as transaction isolation level serializable, read only, deferrable"}},
			{"strings of the old kind", []string{"set standard_conforming_strings = off", "set backslash_quote = off"}},
			{"a timeout", []string{"set statement_timeout = '1ms'"}},
		} {
			a := conn(t, r.Endpoint, harness.App())
			r.plays(t, c.name, func(ctx context.Context, sql string) (string, error) { return asked(ctx, a, sql) }, c.do)
			for range 50 {
				if got, err := asked(t.Context(), other, "show search_path"); got != "pg_catalog" {
					t.Fatalf("behind %s another session finds %q %v", c.name, got, err)
				}
				_, _ = asked(t.Context(), a, "select 1") // which its own timeout may end
			}
			_ = a.Close(t.Context())
		}
	})
}

func TestATimeInAPreparedStatementIsTheOneOfItsParse(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		const text = "select '2024-01-01 00:00'::timestamptz::text || current_setting('timezone')"
		a, b := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, a, "set timezone = 'UTC'")
		if _, err := a.Prepare(t.Context(), "dated", text, nil); err != nil {
			t.Fatal(err)
		}
		ask(t, a, "set timezone = 'Asia/Tokyo'")
		executes := func(name string) (string, error) {
			got := a.ExecPrepared(t.Context(), name, nil, nil, nil).Read()
			return joined(got), got.Err
		}
		for range 4 { // on either connection
			ask(t, b, "begin")
			ask(t, b, "select 1")
			if got, err := executes("dated"); got != "2024-01-01 09:00:00+09Asia/Tokyo" {
				t.Errorf("answered %q %v", got, err)
			}
			if got := a.ParameterStatus("TimeZone"); got != "Asia/Tokyo" {
				t.Errorf("the client was told of time zone %s", got)
			}
			c := conn(t, r.Endpoint, harness.App())
			ask(t, c, "begin")
			ask(t, c, "select 1")
			ask(t, b, "commit")
			ask(t, c, "commit")
		}
		if _, err := a.Prepare(t.Context(), "anew", text, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := executes("anew"); got != "2024-01-01 00:00:00+09Asia/Tokyo" {
			t.Errorf("prepared anew: %q %v", got, err)
		}
	})
}

func TestAShortTimeoutIsRestoredAndNothingOfTheRestoreStays(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		a, b := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		const found = "select string_agg(setting || ' ' || source, ', ' order by name) from pg_settings where name in ('exit_on_error', 'lock_timeout', 'statement_timeout')"
		ask(t, a, "set statement_timeout to '999ms'")
		for i := range 4 {
			if i == 2 {
				_, _ = asked(t.Context(), a, "set lock_timeout = 7")
			}
			for c, want := range map[*pgconn.PgConn]string{a: fmt.Sprintf("off default, %s, 999 session", []string{"0 default", "7 session"}[i/2]), b: "off default, 0 default, 0 default"} {
				got, err := asked(t.Context(), c, found)
				if code(err) != "57014" && got != want || c.TxStatus() != 'I' { // the timeout is the client's own, and machines are slow
					t.Errorf("got %s %v %c, want %s", got, err, c.TxStatus(), want)
				}
			}
		}
	})
}

func TestATimeInTheUnnamedStatementIsTheOneOfItsParse(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for text, want := range map[string]string{
			"select '2024-01-01 00:00'::timestamptz::text || current_setting('timezone')": "2024-01-01 09:00:00+09Asia/Tokyo",
			"select extract(hour from timestamptz 'today')::text":                         "9",
			"select $$known$$ || current_setting('timezone')":                             "knownAsia/Tokyo",
		} {
			b := conn(t, r.Endpoint, harness.App())
			f := frontend(t, conn(t, r.Endpoint, harness.App()))
			f.send(&pgproto3.Query{String: "set timezone = 'UTC'"})
			f.expect("C(SET) S(TimeZone) Z(I)")
			f.send(&pgproto3.Parse{Name: "z", Query: "set timezone = 'Asia/Tokyo'"}, &pgproto3.Sync{}, &pgproto3.Parse{Query: text}, &pgproto3.Sync{})
			f.expect("1 Z(I) 1 Z(I)")
			f.send(&pgproto3.Bind{PreparedStatement: "z"}, &pgproto3.Execute{}, &pgproto3.Sync{})
			f.expect("2 C(SET) S(TimeZone) Z(I)")
			for range 2 {
				ask(t, b, "begin") // on the connection that the other session had
				ask(t, b, "select 1")
				f.send(&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Parse{Name: "show", Query: "show timezone"}, &pgproto3.Bind{PreparedStatement: "show"}, &pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "show"}, &pgproto3.Sync{})
				f.expect("2 D(" + want + ") C(SELECT 1) Z(I) 1 2 D(Asia/Tokyo) C(SHOW) 3 Z(I)")
				c := conn(t, r.Endpoint, harness.App())
				ask(t, c, "begin")
				ask(t, c, "select 1")
				ask(t, b, "commit")
				ask(t, c, "commit")
				_ = c.Close(t.Context())
			}
			f.send(&pgproto3.Terminate{})
			_ = b.Close(t.Context())
		}
	})
}

func TestNobodySeesAnothersSequenceValueBehindAFailedTransaction(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "lasting", "create table counted (n bigserial)") // without code for which backends are cleaned
		a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
		ask(t, a, "insert into counted default values")
		ask(t, b, "begin")
		if _, err := asked(t.Context(), b, "select 1/0"); code(err) != "22012" {
			t.Fatal(err)
		}
		for _, sql := range []string{"rollback; select lastval()", "commit; select lastval()", "rollback and chain; select lastval()", "rollback; " + strings.Repeat(" ", 1<<18) + "select lastval()",
			"/*" + strings.Repeat(" ", 1<<18) + "*/ rollback; select lastval()"} {
			if got, err := asked(t.Context(), b, sql); code(err) != "55000" && code(err) != "25P02" {
				t.Errorf("%.50s: the session is told %q, %v", sql, got, err)
			}
			ask(t, b, "rollback; begin")
			if _, err := asked(t.Context(), b, "select 1/0"); code(err) != "22012" {
				t.Fatal(err)
			}
		}
		ask(t, b, "rollback")
		if got, err := asked(t.Context(), b, "select lastval()"); code(err) != "55000" {
			t.Errorf("the session is told %q, %v", got, err)
		}
	})
}

func TestAFunctionBehindARollbackIsExecutedWhereNoCodeIsSuspected(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "pure", "create table counted (n bigserial)", "create function pure() returns int language sql immutable as 'select 5'")
		a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
		ask(t, a, "insert into counted default values")
		ask(t, b, "begin")
		if _, err := asked(t.Context(), b, "select 1/0"); code(err) != "22012" {
			t.Fatal(err)
		}
		if got, err := asked(t.Context(), b, "rollback; select pure()"); got != "5" {
			t.Errorf("the session is told %q, %v", got, err)
		}
		if got, err := asked(t.Context(), b, "select lastval()"); code(err) != "55000" {
			t.Errorf("the session is told %q, %v", got, err)
		}
	})
}

// What follows the end of a failed transaction in one text is executed as the server would, where the machine brings something before it.
func TestWhatFollowsARollbackInATextIsExecuted(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "rolled", "create table counted (n bigserial)", "create function setter() returns text language sql as $$ select set_config('my.own', 'x', false) $$")
		for _, sql := range []string{"rollback; select setter()", "abort work; select setter(); select 1/0", "commit; begin; select setter()", "end and no chain;; select setter(); vacuum", "rollback; vacuum; select setter()",
			"rollback; select setter(); selekt", "rollback to s; select setter()", "select setter(); rollback", "selekt; select setter()", "rollback; execute p", "rollback; rollback; select setter()",
			"rollback; select setter() from nowhere", "rollback; -- select setter();",
			"rollback and chain; select setter()", "commit and chain;; execute p; select setter()", "end work and chain; execute p", "abort and chain; selekt; execute p", "commit and chain; show transaction_isolation; select lastval()"} {
			var said [2]string
			for i, at := range []harness.Endpoint{r.Endpoint, r.server.Endpoint} {
				other, c := conn(t, at, l), conn(t, at, l)
				ask(t, other, "insert into counted default values")
				f := frontend(t, c)
				f.send(&pgproto3.Parse{Name: "p", Query: "select 8"}, &pgproto3.Sync{})
				f.untilReady()
				ask(t, other, "begin")
				ask(t, other, "commit")
				for _, q := range []string{"begin isolation level serializable", "select 1/0", sql, "select coalesce(current_setting('my.own', true), '')", "rollback"} {
					f.send(&pgproto3.Query{String: q})
					said[i] += q + ": " + f.untilReady() + "\n"
				}
				f.send(&pgproto3.Terminate{})
				_ = other.Close(t.Context())
			}
			if said[0] != said[1] && !strings.HasPrefix(sql, "rollback to") {
				t.Errorf("%s\nwant %s", said[0], said[1])
			}
		}
	})
}

func TestWhatARollbackInATextTakesBackIsReported(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "reported", "create function setter() returns text language sql as $$ select set_config('my.own', 'x', false) $$")
		other, f := conn(t, r.Endpoint, l), frontend(t, conn(t, r.Endpoint, l))
		ask(t, other, "begin")
		ask(t, other, "commit")
		for _, q := range []string{"begin", "set timezone to 'Asia/Tokyo'", "savepoint a", "select 1/0"} { // which takes back nothing from before the savepoint
			f.send(&pgproto3.Query{String: q})
			f.untilReady()
		}
		f.send(&pgproto3.Query{String: "rollback; select setter()"})
		if said := f.untilReady(); strings.Count(said, "S(TimeZone)") != 1 || strings.Count(said, "C(ROLLBACK)") != 1 || !strings.Contains(said, "D(x) C(SELECT 1)") {
			t.Error(said)
		}
		f.send(&pgproto3.Query{String: "show timezone"})
		if said := f.untilReady(); strings.Contains(said, "S(") || strings.Contains(said, "Tokyo") {
			t.Error(said)
		}
	})
}

// What a function sets by its owner's rights a session may not set again on another backend.
func TestASettingByAnothersRightsHoldsTheSessionUntilItIsReset(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		harness.Exec(t, r.server, "drop function if exists no_triggers()", `create function no_triggers() returns void language plpgsql security definer as $$
			begin perform set_config('session_replication_role', 'replica', false); end $$`)
		defer harness.Exec(t, r.server, "drop function no_triggers()")
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, c, "select no_triggers()")
		for range 3 {
			ask(t, other, "select 1")
			if got := ask(t, c, "show session_replication_role"); got != "replica" {
				t.Errorf("the session finds %q", got)
			}
			if got := ask(t, other, "show session_replication_role"); got != "origin" {
				t.Errorf("another session finds %q", got)
			}
		}
		if got := r.session(t, c.PID()).Pinned; got != "setting" {
			t.Errorf("pinned by %q", got)
		}
		ask(t, c, "reset all") // RESET of the one it is denied
		harness.Eventually(t, settleWithin, "it is held no longer", func() bool { return r.session(t, c.PID()).Pinned == "" })
	})
}

// Code is looked into by the server, and, while it is new, by the proxy: each in its own way.
func TestSettingsOfCodeAreTheSessionsHoweverTheirNamesAreWritten(t *testing.T) {
	bodies := []string{
		"set NAME = 'x'", "set session NAME to 'x'", "set /* a */ NAME = 'x'", "set -- a\n NAME = 'x'", "set SPACED = 'x'", "set QUOTED = 'x'", "set CAPITAL = 'x'",
		"perform set_config('NAME', 'x', false)", "perform set_config /* a */ (/* b */ 'NAME', 'x', false)", `perform "set_config"('NAME', 'x', false)`,
		"perform set_config(e'NAME', 'x', false)", "perform set_config(u&'NAME', 'x', false)", "perform set_config($q$NAME$q$, 'x', false)", "perform set_config(text 'NAME', 'x', false)",
		"perform set_config(cast('NAME' as text), 'x', false)",
		"perform set_config('NAME', 'x' /*, true) */, false)", "perform set_config('NAME', 'x' -- 'b', true)\n, false)", `perform set_config('NAME', 'x' -- "b", true)` + "\n, false)",
		"execute 'set NAME = ''x'''", "execute 'select set_config(''NAME'', ''x'', false)'", "execute 'select set_config($1, $2, false)' using 'NAME', 'x'", "execute format('set %s = 1', 'NAME')",
		"declare n text := 'NAME'; begin perform set_config(n, 'x', false); end", "declare n text := 'NAME'; begin execute 'set ' || n || ' = 1'; end",
		"perform set_config(concat_ws('.', 'hidden', 'N'), 'x', false)", // which a policy reads
	}
	write := func(i int, name, body string) string {
		last := fmt.Sprintf("n%d", i)
		return strings.NewReplacer("NAME", "hidden."+last, "SPACED", "hidden /* c */ . "+last, "QUOTED", `"hidden"."`+last+`"`, "CAPITAL", `"Hidden".`+strings.ToUpper(last), "'N'", "'"+last+"'").Replace(
			"create function " + name + "() returns text language plpgsql as $body$ begin " + body + "; return 'done'; end $body$")
	}
	each(t, alone(), func(t *testing.T, r *rig) {
		for _, through := range []bool{false, true} {
			setup := []string{"create table t ()", fmt.Sprintf("create policy p on t using (current_setting('hidden.n%d', true) = 'x')", len(bodies)-1)}
			for i, body := range bodies {
				setup = append(setup, write(i, fmt.Sprint("f", i), body))
			}
			direct := setup
			if through {
				direct = setup[:2]
			}
			l := ownDatabase(t, r.server, fmt.Sprintf("written_%t", through), direct...)
			a, other := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
			for i, body := range bodies {
				if through {
					ask(t, a, setup[i+2])
				}
				ask(t, a, fmt.Sprintf("select f%d()", i))
				found := fmt.Sprintf("select coalesce(current_setting('hidden.n%d', true), '')", i)
				if got := ask(t, other, found); got != "" {
					t.Errorf("%s: another session finds %q", body, got)
				}
				if got := ask(t, a, found); got == "" && !(through && i == len(bodies)-1) {
					t.Errorf("%s, through the proxy: %t: the session's setting is lost", body, through)
				}
			}
			_, _ = a.Close(t.Context()), other.Close(t.Context())
		}
	})
}
