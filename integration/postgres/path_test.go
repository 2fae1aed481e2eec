package postgres

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestTablesThatASearchPathMakesTemporaryPin(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		for _, statements := range [][]string{
			{"set search_path = pg_temp", "create table path_made (a int)"},
			{"set search_path to 'pg_temp', public; create table path_made (a int)"},
			{"select set_config('search_path', 'pg_temp', false)", "create table path_made as select 1"},
			{"begin", "set local search_path = PG_TEMP", "create table path_made (a int)", "commit"},
			{"begin", "set local search_path = \"pg_temp\"", "select 1 as a into path_made", "commit"},
			{"begin", "set local search_path = pg_temp", "create sequence path_made", "commit"},
			{"set search_path = pg_temp", "select 1 as a into path_made"},
			{"begin", "select set_config('search_path', 'pg_' || 'temp', true)", "create sequence path_made", "commit"},
			{"begin; set local search_path = E'pg\\137temp'; create view path_made as select 1; commit"},
		} {
			r := start(t, name, harness.Route{MaxConnections: 1}) // another one knows that code was created
			c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
			for _, sql := range statements {
				ask(t, c, sql)
			}
			harness.Eventually(t, settleWithin, statements[0]+": the session is pinned", func() bool { return r.session(t, c.PID()).Pinned == "temporary_table" })
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, other, "select count(*) from pg_class where relname = 'path_made'"); got != "0" {
				t.Errorf("%q: another session's backend has it: %s", statements, got)
			}
		}
	}
}
