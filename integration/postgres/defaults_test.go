package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// A server's own defaults for settings may change while connections are there. A connection has those of a role or a database as
// they were when it was made, and those of the server as they are: so does a session through the proxy, by its connection.
func TestDefaultsOfSettingsAreThoseOfTheConnection(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			r := start(t, name, harness.Route{Server: s, MaxConnections: 1})
			alter := func(sql ...string) { t.Helper(); harness.Exec(t, s, sql...) }
			const show = "select current_setting('work_mem') || ' ' || current_setting('lock_timeout') || ' ' || current_setting('cpu_tuple_cost')"
			c, direct := conn(t, r.Endpoint, harness.App()), conn(t, s.Endpoint, harness.App())
			both := func(when, want string) {
				t.Helper()
				harness.Eventually(t, settleWithin, when+" the server has read its configuration", func() bool { return ask(t, direct, show) == want })
				harness.Eventually(t, settleWithin, when+" the session finds that, too", func() bool { return ask(t, c, show) == want })
				if got := r.session(t, c.PID()).Pinned; got != "" {
					t.Errorf("%s: pinned by %s", when, got)
				}
			}
			ask(t, c, "set lock_timeout = '7s'")
			ask(t, direct, "set lock_timeout = '7s'")
			both("at first", "4MB 7s 0.01")
			alter("alter role app set work_mem = '5MB'", "alter database "+harness.App().Database+" set lock_timeout = '8s'")
			both("with another default of the role", "4MB 7s 0.01")
			alter("alter system set cpu_tuple_cost = 0.02", "alter system set lock_timeout = '9s'", "select pg_reload_conf()")
			both("with another default of the server", "4MB 7s 0.02")
			ask(t, c, "reset all")
			ask(t, direct, "reset all")
			both("behind RESET ALL", "4MB 9s 0.02")
			// A session that begins now has the connection that is there, up to its end: of what another client of the server's has
			// done nobody tells Berth.
			other := conn(t, r.Endpoint, harness.App())
			if got := ask(t, other, show); got != "4MB 9s 0.02" {
				t.Errorf("a later session finds %s", got)
			}
			alter("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
			harness.Eventually(t, settleWithin, "sessions find the new defaults", func() bool {
				c, err := dial(t.Context(), r.Endpoint, harness.App())
				if err != nil {
					return false
				}
				defer func() { _ = c.Close(t.Context()) }()
				got, err := asked(t.Context(), c, show)
				return err == nil && got == "5MB 8s 0.02"
			})
		})
	}
}

func TestSessionsThatBeginWhenADefaultHasChangedHaveTheNewOne(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			r := start(t, name, harness.Route{Server: harness.Own(t, name), MaxConnections: 5, Users: appAndSuperuser()})
			const show = "select current_setting('work_mem') || ' ' || current_setting('lock_timeout')"
			database := harness.App().Database
			admin := conn(t, r.Endpoint, harness.Superuser())
			before := conn(t, r.Endpoint, harness.App())
			for _, c := range []struct{ alter, want string }{
				{"alter role app set work_mem = '5MB'", "5MB 0"},
				{"alter database " + database + " set lock_timeout = '8s'", "5MB 8s"},
				{"begin; alter role app reset work_mem; alter role app in database " + database + " set lock_timeout = '9s'; commit", "4MB 9s"},
				{"alter role all set work_mem = '6MB'", "6MB 9s"},
			} {
				if got := ask(t, before, show); got != "4MB 0" {
					t.Errorf("the session that was there has %s before %q", got, c.alter)
				}
				ask(t, admin, c.alter)
				after := conn(t, r.Endpoint, harness.App())
				if got := ask(t, after, show); got != c.want {
					t.Errorf("behind %q a session begins with %s, want %s", c.alter, got, c.want)
				}
				_ = after.Close(t.Context())
			}
			if _, err := askedExtended(t.Context(), admin, "alter role app set timezone = 'Asia/Tokyo'"); err != nil {
				t.Fatal(err)
			}
			if got := conn(t, r.Endpoint, harness.App()).ParameterStatus("TimeZone"); got != "Asia/Tokyo" {
				t.Errorf("a login is told of time zone %q", got)
			}
			if got, want := before.ParameterStatus("TimeZone"), "Asia/Tokyo"; got == want {
				t.Errorf("the session that was there is told of time zone %q", got)
			}
		})
	}
}

func TestADatabaseIsNotInUseByBackendsThatNobodyHolds(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			r := start(t, name, harness.Route{Server: harness.Own(t, name), MaxConnections: 5, Users: appAndSuperuser()})
			admin := conn(t, r.Endpoint, harness.Superuser())
			use := func(l harness.Login, database string) {
				t.Helper()
				l.Database = database
				c := conn(t, r.Endpoint, l)
				ask(t, c, "select 1")
				r.session(t, c.PID()) // has given its backend back
				_ = c.Close(t.Context())
			}
			ask(t, admin, "create database one")
			use(harness.Superuser(), "one")
			ask(t, admin, "create database two template one")
			use(harness.Superuser(), "two")
			ask(t, admin, `alter database two rename to "Three"`)
			use(harness.Superuser(), "Three")
			if _, err := askedExtended(t.Context(), admin, `drop database "Three"`); err != nil {
				t.Error(err)
			}
			// The server has to say first that the client may drop what another's sessions were in.
			use(harness.App(), "one")
			if _, err := asked(t.Context(), admin, "drop database one"); code(err) != "55006" {
				t.Errorf("the first attempt: %v", err)
			}
			ask(t, admin, "drop database one")
			ask(t, admin, "create database one")
			use(harness.App(), "one")
		})
	}
}

func appAndSuperuser() []harness.Account {
	app, root := harness.App(), harness.Superuser()
	return []harness.Account{{User: app.User, Password: app.Password}, {User: root.User, Password: root.Password}}
}

// What a trigger on logins sets, on a connection once, each of its sessions begins with, whatever others have made of that; RESET does not go back
// to it. What its user may not set himself no session has.
func TestSessionsThatBeginBehindATriggerOnLoginsFindWhatItSets(t *testing.T) {
	r := start(t, "pg18", alone())
	l := ownDatabase(t, r.server, "triggered", "create function at_login() returns event_trigger language plpgsql as $$ begin set work_mem = '5MB'; end $$")
	a := conn(t, r.Endpoint, l)
	for _, c := range []struct{ sql, want string }{
		{"create event trigger a on login execute function at_login()", "5MB"},
		{"alter event trigger a disable", "4MB"},
		{"begin; alter event trigger a enable; commit", "5MB"},
		{"drop event trigger a", "4MB"},
	} {
		ask(t, a, c.sql)
		b := conn(t, r.Endpoint, l)
		if got := ask(t, b, "show work_mem"); got != c.want {
			t.Errorf("%s: a session that begins has %s", c.sql, got)
		}
		_ = b.Close(t.Context())
	}
}

func TestSessionsBeginWithWhatATriggerOnLoginsHasSet(t *testing.T) {
	s := harness.Own(t, "pg18")
	harness.Exec(t, s, `create function at_login() returns event_trigger language plpgsql as $$ begin
		set work_mem = '5MB'; perform set_config('app.place', session_user, false); end $$`,
		"create function at_login_too() returns event_trigger language plpgsql security definer as $$ begin set log_statement = 'all'; end $$",
		"create event trigger a on login execute function at_login()", "create event trigger b on login execute function at_login_too()")
	for _, pool := range []harness.Keys{{}, {"init_query": "set app.init = 'yes'; set search_path = pg_catalog"}} {
		r := start(t, "pg18", harness.Route{Server: s, MaxConnections: 1, Pool: pool})
		const show = "select concat_ws(' ', current_setting('work_mem'), current_setting('app.place', true), current_setting('app.init', true), current_setting('search_path'))"
		init, path := "", `"$user", public`
		if len(pool) > 0 {
			init, path = " yes", "pg_catalog"
		}
		expect := func(c *pgconn.PgConn, when, want string) {
			t.Helper()
			if got := ask(t, c, show); got != want {
				t.Errorf("%s: %q, not %q", when, got, want)
			}
			if got := r.session(t, c.PID()).Pinned; got != "" {
				t.Errorf("%s: pinned by %s", when, got)
			}
		}
		a, b := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		all := "5MB app" + init + " " + path
		expect(a, "at first", all)
		ask(t, a, "do $$ begin set lock_timeout = '1h'; end $$")
		ask(t, a, "reset lock_timeout")
		expect(a, "behind code", all)
		expect(b, "behind another's code", all)
		ask(t, a, "reset work_mem")
		expect(b, "behind another's RESET", all)
		expect(a, "behind its own RESET", "4MB app"+init+" "+path)
		ask(t, a, "discard all")
		expect(b, "behind another's DISCARD ALL", all)
		if got := ask(t, a, "select concat_ws(' ', current_setting('work_mem'), nullif(current_setting('app.place', true), ''))"); got != "4MB" {
			t.Errorf("behind its own DISCARD ALL: %q", got)
		}
		expect(conn(t, r.Endpoint, harness.App()), "of a session that begins later", all)
		if got := ask(t, b, "show log_statement"); got != "none" {
			t.Errorf("what only a superuser may set: %s", got)
		}
	}
}
