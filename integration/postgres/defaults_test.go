package postgres

import (
	"testing"

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
