package mysql

import (
	"context"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// A connection has the global values that there were when it was made. So does a session, if its statement that set them went through
// Berth.
func TestSessionsThatBeginWhenAGlobalValueHasChangedHaveTheNewOne(t *testing.T) {
	own(t, harness.Route{MaxConnections: 5, Users: accounts()}, func(t *testing.T, f front) {
		t.Cleanup(func() {
			if err := f.server.Exec(context.Background(), "set global long_query_time = default"); err != nil {
				t.Error(err)
			}
		})
		const shows = "select @@session.long_query_time"
		admin, before := dial(t, f.Endpoint, superuser(), modern|multi), f.client(t)
		before.do(t, "begin") // or its backend might be another, or one that was reset because of what code may have left
		first := before.outcome(shows)
		for _, c := range []struct{ sets, want string }{
			{"set global long_query_time = 21", "[21.000000]"},
			{"select 1; set @a = 1, @@global.long_query_time = 22", "[22.000000]"},
		} {
			admin.do(t, c.sets)
			before.sees(t, shows, first)
			after := f.client(t)
			after.sees(t, shows, c.want)
			after.quit()
		}
		s, err := admin.prepare("set global long_query_time = 23")
		if err != nil {
			t.Fatal(err)
		}
		admin.executes(t, s, "ok 0")
		after := f.client(t)
		after.sees(t, shows, "[23.000000]")
		before.sees(t, shows, first)
		before.do(t, "commit")
		if _, err := before.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		before.sees(t, shows, "[23.000000]")
		for _, w := range []*wire{admin, before, after} {
			w.quit()
		}
	})
}

// Whether an account may log in, and what it may do everywhere, is asked at the login.
func TestSessionsThatBeginWhenAnAccountHasChangedAreItsLogins(t *testing.T) {
	passing := harness.Account{User: "passing", Password: "secret"}
	own(t, harness.Route{MaxConnections: 5, Users: append(accounts(), passing)}, func(t *testing.T, f front) {
		admin := dial(t, f.Endpoint, superuser(), modern)
		admin.do(t, "drop user if exists passing@'%'")
		admin.do(t, "create user passing@'%' identified by 'secret'", "grant all on app.* to passing@'%'")
		t.Cleanup(func() {
			if err := f.server.Exec(context.Background(), "drop user if exists passing@'%'"); err != nil {
				t.Error(err)
			}
		})
		l := loginOf(passing.User, passing.Password)
		l.Database = harness.App().Database
		const needs = "flush status" // RELOAD
		begins := func() *wire { return dial(t, f.Endpoint, l, modern) }
		before := begins()
		refused := before.outcome(needs)
		for _, c := range []struct{ sql, after string }{
			{"grant reload on *.* to passing@'%'", "ok 0"},
			{"revoke reload on *.* from 'passing'@'%'", refused},
		} {
			admin.do(t, c.sql)
			after := begins()
			if got := after.outcome(needs); got != c.after {
				t.Errorf("behind %q: %q, want %q", c.sql, got, c.after)
			}
			after.quit()
		}
		before.sees(t, "select 1", "[1]")
		admin.do(t, "alter user passing@'%' account lock")
		locked := begins()
		if got := locked.outcome("select 1"); got != "error 3118" && got != "error 4151" { // ER_ACCOUNT_HAS_BEEN_LOCKED, the second is MariaDB's
			t.Errorf("a session that begins when its account is locked: %q", got)
		}
		_ = locked.Close()
		for _, w := range []*wire{before, admin} {
			w.quit()
		}
	})
}
