package mysql

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// What code there is depends on the roles that a session has taken.
func TestASessionWithoutItsRolesDoesNotSayWhatCodeOthersReach(t *testing.T) {
	r := harness.Route{MaxConnections: 2, Users: append(accounts(), harness.Account{User: "actor", Password: "secret"})}
	own(t, r, func(t *testing.T, f front) {
		mine := ownSchema(t, f.server, "stage").Database
		far := ownSchema(t, f.server, "backstage", "create table t (n int)",
			"create trigger tr before insert on t for each row set @got = get_lock('backstage', 0)").Database
		admin := dial(t, f.server.Endpoint, superuser(), modern)
		to := "to"
		if f.mariaDB() {
			to = "for"
		}
		admin.do(t, "drop user if exists actor", "drop role if exists acting", "create user actor identified by 'secret'", "create role acting",
			"grant all on "+mine+".* to actor", "grant all on "+far+".* to acting", "grant acting to actor", "set default role acting "+to+" actor")
		l := loginOf("actor", "secret")
		l.Database = mine
		p := dial(t, f.server.Endpoint, l, modern)
		p.do(t, "create procedure p() select 1") // whose body the user sees
		p.quit()
		a, b := dial(t, f.Endpoint, l, modern|multi), dial(t, f.Endpoint, l, modern|multi)
		a.do(t, "set role none", "call p()")
		b.do(t, "insert into "+far+".t values (1)")
		b.do(t, "select 1")
		admin.sees(t, "select is_free_lock('backstage')", "[1]")
		for _, w := range []*wire{a, b} {
			w.quit()
		}
		admin.do(t, "drop user actor", "drop role acting")
		admin.quit()
	})
}
