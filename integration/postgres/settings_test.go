package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// kept is settings that a session makes, and what it finds afterwards on whatever connection it has.
var kept = []struct {
	name        string
	do          []string // one that begins with ! fails
	probe, want string
}{
	{"SET", []string{"set work_mem = '7MB'"}, "show work_mem", "7MB"},
	{"a list", []string{`set search_path = "$user", pg_catalog, "A b"`}, "show search_path", `"$user", pg_catalog, "A b"`},
	{"a list with an error elsewhere", []string{`set search_path = "$user", pg_catalog, "A b"`, "!set work_mem = 'nonsense'"}, "show search_path", `"$user", pg_catalog, "A b"`},
	{"a value with quotes", []string{"select set_config('kept.own', 'it''s \"x\"; \\', false)"}, "show kept.own", `it's "x"; \`},
	{"a value under other rules for strings", []string{"set standard_conforming_strings = off", `select set_config('kept.own', 'a\\b''c', false)`}, "show kept.own", `a\b'c`},
	{"a word that is reserved", []string{"select set_config('kept.user', 'x', false)"}, `select current_setting('kept.user')`, "x"},
	{"SET and RESET of another", []string{`set search_path = pg_catalog`, "set work_mem = '7MB'", "reset search_path"}, "select current_setting('work_mem') || current_setting('search_path')", `7MB"$user", public`},
	{"a RESET that is rolled back", []string{"set work_mem = '7MB'", "begin", "reset work_mem", "rollback"}, "show work_mem", "7MB"},
	{"a SET that is rolled back", []string{"set work_mem = '7MB'", "begin", "set work_mem = '8MB'", "rollback"}, "show work_mem", "7MB"},
	{"SET in a savepoint that is rolled back", []string{"begin", "set work_mem = '7MB'", "savepoint s", "set work_mem = '8MB'", "rollback to s", "commit"}, "show work_mem", "7MB"},
	{"SET and SET LOCAL", []string{"begin", "set work_mem = '7MB'", "set local work_mem = '8MB'", "commit"}, "show work_mem", "7MB"},
	{"SET LOCAL and SET", []string{"begin", "set local work_mem = '8MB'", "set work_mem = '7MB'", "commit"}, "show work_mem", "7MB"},
	{"SET behind an error", []string{"!begin; set work_mem = '7MB'; commit; select 1/0"}, "show work_mem", "7MB"},
	{"a custom one", []string{"set kept.own = '7'", "set kept.other = '8'", "reset kept.other"}, "select current_setting('kept.own') || current_setting('kept.other')", "7"},
	{"an empty one", []string{"set kept.own = ''"}, "select current_setting('kept.own')", ""},
	{"SET TIME ZONE", []string{"set time zone 'Asia/Tokyo'"}, "show timezone", "Asia/Tokyo"},
	{"a time zone by an offset", []string{"set time zone -7"}, "show timezone", "<-07>+07"},
	{"a time zone by an interval", []string{"set time zone interval '-07:00' hour to minute"}, "show timezone", "<-07>+07"},
	{"half of DateStyle", []string{"set datestyle = 'German'", "set datestyle = mdy"}, "show datestyle", "German, MDY"},
	{"SET NAMES", []string{"set names 'LATIN1'"}, "show client_encoding", "LATIN1"},
	{"SESSION CHARACTERISTICS", []string{"set session characteristics as transaction isolation level serializable, read only, deferrable"},
		"select current_setting('transaction_isolation') || current_setting('transaction_read_only') || current_setting('transaction_deferrable')", "serializableonon"},
	{"a short timeout", []string{"set statement_timeout = 50"}, "show statement_timeout", "50ms"},
	{"DO", []string{"do $$ begin perform set_config('work_mem', '7MB', false); set lock_timeout = 77; end $$"}, "select current_setting('work_mem') || current_setting('lock_timeout')", "7MB77ms"},
	{"SET ROLE", []string{"set role KEPT", "set work_mem = '7MB'"}, "select current_user || current_setting('work_mem') || session_user", "KEPT7MBapp"},
	{"SET ROLE NONE", []string{"set role KEPT", "set role none"}, "select current_user || current_setting('role')", "appnone"},
	{"SET SESSION AUTHORIZATION", []string{"set session authorization app"}, "select current_user", "app"},
	{"application_name", []string{"set application_name = 'kept'"}, "show application_name", "kept"},
	{"what asyncpg's pool sends", []string{"set work_mem = '7MB'", "select pg_advisory_unlock_all();\nclose all;\nunlisten *;\nreset all;"}, "show work_mem", "4MB"},
	{"DISCARD ALL", []string{"set role KEPT", "set work_mem = '7MB'", "discard all"}, "select current_user || current_setting('work_mem')", "app4MB"},
}

func TestSettingsStayASessionsOwnOnWhateverConnection(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		names := objects(t, r.server)
		role := names.Replace("ROLE")
		names = strings.NewReplacer("KEPT", role)
		other := conn(t, r.Endpoint, harness.App())
		for _, k := range kept {
			for how, a := range askers(t, r) {
				name := fmt.Sprintf("%s (%s)", k.name, how)
				var do []string
				for _, sql := range k.do {
					do = append(do, names.Replace(sql))
				}
				r.plays(t, name, a.ask, do)
				harness.Eventually(t, settleWithin, name+" gives the connection back", func() bool {
					s := r.session(t, a.pid)
					if s.Pinned != "" {
						t.Fatalf("%s: pinned by %s", name, s.Pinned)
					}
					return s.Backend == 0
				})
				for range 2 {
					if got := ask(t, other, pristine()); got != pristineAnswer {
						t.Errorf("after %s another session finds %s", name, got)
					}
					if got, err := a.ask(t.Context(), names.Replace(k.probe)); got != names.Replace(k.want) {
						t.Errorf("%s: finds %q %v", name, got, err)
					}
				}
			}
		}
	})
}

func TestASettingThatCannotBeMadeAgainPins(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App())
		for _, step := range [][2]string{{"set temp_buffers = '7MB'", "setting"}, {"reset temp_buffers", ""}} {
			ask(t, c, step[0])
			harness.Eventually(t, settleWithin, "the pin after "+step[0], func() bool { return r.session(t, c.PID()).Pinned == step[1] })
		}
	})
}

func TestARestoreThatFailsEndsTheSessionAndNothingElse(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		role := fmt.Sprintf("%s_gone", strings.ToLower(table(t, r.server, "(a int)")))
		harness.Exec(t, r.server, "create role "+role, "grant "+role+" to app")
		counted := table(t, r.server, "(a int)")
		harness.Exec(t, r.server, "grant all on "+counted+" to public")
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, c, "set role "+role)
		ask(t, other, "select 1")
		harness.Exec(t, r.server, "drop role "+role)
		_, err := asked(t.Context(), c, "insert into "+counted+" values (1)")
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Severity != "FATAL" || !strings.Contains(pg.Message, "could not restore the session's settings") || !strings.Contains(pg.Message, role) {
			t.Errorf("the session is told %v", err)
		}
		if _, err := asked(t.Context(), c, "select 1"); err == nil {
			t.Error("the session goes on")
		}
		if got := ask(t, other, "select count(*) from "+counted); got != "0" {
			t.Errorf("the request was executed: %s", got)
		}
		if got := ask(t, other, pristine()); got != pristineAnswer {
			t.Errorf("another session finds %s", got)
		}
	})
}

func TestSettingsAreRestoredBesideAnInitQuery(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1, Pool: harness.Keys{"init_query": "set work_mem = '5MB'; set search_path = pg_catalog, public"}}, func(t *testing.T, r *rig) {
		const show = "select current_setting('work_mem') || ' ' || current_setting('search_path')"
		a, b := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for _, step := range []struct{ do, a string }{
			{"select 1", "5MB pg_catalog, public"}, {"set work_mem = '7MB'", "7MB pg_catalog, public"}, {"reset search_path", `7MB "$user", public`},
			{"set search_path = pg_catalog, public", "7MB pg_catalog, public"}, {"reset all", `4MB "$user", public`}, {"discard all", `4MB "$user", public`},
		} {
			ask(t, a, step.do)
			if got := ask(t, b, show); got != "5MB pg_catalog, public" {
				t.Errorf("after %s another session finds %s", step.do, got)
			}
			if got := ask(t, a, show); got != step.a {
				t.Errorf("after %s the session finds %s", step.do, got)
			}
			if s := r.session(t, a.PID()); s.Pinned != "" {
				t.Errorf("after %s: pinned by %s", step.do, s.Pinned)
			}
		}
	})
}

func TestStatementsMeanWhatTheyMeanUnderTheSessionsSettings(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		one := strings.ToLower(table(t, r.server, "(a int)"))
		harness.Exec(t, r.server, "create schema "+one, "create table "+one+"."+one+" (a text)", "grant all on schema "+one+" to public",
			"grant all on "+one+"."+one+" to public", "grant all on "+one+" to public")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop schema "+one+" cascade"); err != nil {
				t.Error(err)
			}
		})
		a, b := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, b, "set search_path = "+one)
		for _, c := range []struct {
			conn  *pgconn.PgConn
			value string
			oid   uint32
		}{{a, "7", 23}, {b, "x", 25}} {
			d, err := c.conn.Prepare(ctx, "insert", "insert into "+one+" values ($1) returning a", nil)
			if err != nil || d.ParamOIDs[0] != c.oid {
				t.Fatalf("%v %v", d, err)
			}
		}
		for range 3 {
			for c, value := range map[*pgconn.PgConn]string{a: "7", b: "x"} {
				got := c.ExecPrepared(ctx, "insert", [][]byte{[]byte(value)}, nil, nil).Read()
				if got.Err != nil || string(got.Rows[0][0]) != value {
					t.Errorf("%s: %v", value, got.Err)
				}
			}
		}
		if got := ask(t, a, "select count(*) from "+one); got != "3" {
			t.Errorf("%s rows", got)
		}
	})
}

func TestWhatIsSetBesideStartUpParametersIsKept(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App(), func(c *pgconn.Config) {
			c.RuntimeParams["search_path"], c.RuntimeParams["kept.own"], c.RuntimeParams["application_name"] = "e5,d5", "own value", "kept"
		})
		other := conn(t, r.Endpoint, harness.App())
		const show = "select current_setting('search_path') || '|' || current_setting('kept.own') || '|' || current_setting('application_name')"
		for _, step := range []struct{ do, want string }{
			{"select 1", "e5,d5|own value|kept"},
			{"do $$ begin perform set_config('search_path', 'e5', false); end $$", "e5|own value|kept"},
			{"do $$ begin perform set_config('kept.own', 'own', false); end $$", "e5|own|kept"},
			{"create temp table kept (a int)", "e5|own|kept"}, // which pins
			{"update pg_settings set setting = '9216' where name = 'work_mem'", "e5|own|kept"},
			{"set session application_name to default", "e5|own|kept"},
			{"reset all", "e5,d5|own value|kept"},
			{"drop table kept", "e5,d5|own value|kept"},
		} {
			ask(t, c, step.do)
			ask(t, c, "select 1")
			if got := ask(t, c, show); got != step.want {
				t.Errorf("behind %s: %s, not %s", step.do, got, step.want)
			}
			if r.session(t, c.PID()).Pinned == "" {
				ask(t, other, "select 1")
			}
			if got := ask(t, c, show); got != step.want {
				t.Errorf("behind %s and others: %s, not %s", step.do, got, step.want)
			}
		}
	})
}

func TestClientsOfSeveralNamesShareConnections(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		names := []string{"one", "it's \\two", "", "x"}
		var clients []*pgconn.PgConn
		for _, name := range names {
			clients = append(clients, conn(t, r.Endpoint, harness.App(), func(c *pgconn.Config) { c.RuntimeParams["application_name"] = name }))
		}
		const show = "select current_setting('application_name') || '|' || application_name from pg_stat_activity where pid in (select pid from pg_stat_activity where query = current_query() and state = 'active')"
		check := func(when string) {
			t.Helper()
			for i, c := range clients {
				if got, want := ask(t, c, fmt.Sprintf("%s /* %s %d */", show, when, i)), names[i]+"|"+names[i]; got != want || c.ParameterStatus("application_name") != names[i] {
					t.Errorf("%s: %q is %q, and was told %q", when, names[i], got, c.ParameterStatus("application_name"))
				}
			}
		}
		check("at first")
		for _, sql := range []string{"reset all", "discard all", "reset application_name", "set application_name to default"} {
			for _, c := range clients {
				ask(t, c, "set application_name = 'changed'")
				if ask(t, clients[2], "select 1"); ask(t, c, "show application_name") != "changed" {
					t.Errorf("before %s a client does not find its own", sql)
				}
				ask(t, c, sql)
			}
			check(sql)
		}
		ask(t, clients[0], "listen kept") // which keeps its connection, and so what was reset there
		ask(t, clients[0], "reset all")
		if got := ask(t, clients[0], "show application_name"); got != "one" {
			t.Errorf("pinned, behind RESET ALL: %q", got)
		}
		ask(t, clients[0], "unlisten *")
		r.whole(t)
	})
}

// A PREPARE waits for what brings its connection in line with the session. Nobody else may have the connection meanwhile: it would be
// closed for a login with other start-up parameters, and that one's in turn.
func TestSessionsThatWaitForTheirSettingsGetOn(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		var all sync.WaitGroup
		for _, path := range []string{"one", "two", "three"} {
			c := conn(t, r.Endpoint, harness.App().InClear(), func(c *pgconn.Config) {
				c.RuntimeParams["search_path"], c.RuntimeParams["application_name"] = path, path
			})
			all.Go(func() {
				ctx, stop := context.WithTimeout(t.Context(), settleWithin)
				defer stop()
				for range 3 {
					if got, err := asked(ctx, c, "prepare p as select current_setting('search_path'); execute p; deallocate p"); err != nil || got != path {
						t.Errorf("%s is answered %q, %v", path, got, err)
						return
					}
				}
			})
		}
		all.Wait()
		r.whole(t)
	})
}
