package postgres

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// TestACommitOfAClientThatDoesNotWaitForItIsNotStopped has commits that take a while, by a deferred trigger, and clients that are gone by then.
// What else a client has under way that leaves is stopped.
func TestACommitOfAClientThatDoesNotWaitForItIsNotStopped(t *testing.T) {
	simple := func(f *pgproto3.Frontend, sql string) { f.Send(&pgproto3.Query{String: sql}) }
	extended := func(f *pgproto3.Frontend, sql string) {
		f.Send(&pgproto3.Parse{Query: sql})
		f.Send(&pgproto3.Bind{})
		f.Send(&pgproto3.Execute{})
		f.Send(&pgproto3.Sync{})
	}
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(v text)")
		harness.Exec(t, r.server,
			"create function "+name+"_slow() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$",
			"create constraint trigger slow after insert on "+name+" deferrable initially deferred for each row execute function "+name+"_slow()",
		)
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop function "+name+"_slow() cascade"); err != nil {
				t.Error(err)
			}
		})
		insert := func(v string) string { return fmt.Sprintf("insert into %s values ('%s')", name, v) }
		for what, c := range map[string]struct {
			send  func(f *pgproto3.Frontend, mark string)
			stays bool
		}{
			"commit":            {func(f *pgproto3.Frontend, _ string) { simple(f, "commit") }, true},
			"end":               {func(f *pgproto3.Frontend, _ string) { simple(f, "END TRANSACTION;") }, true},
			"extended":          {func(f *pgproto3.Frontend, _ string) { extended(f, "commit") }, true},
			"goodbye":           {func(f *pgproto3.Frontend, _ string) { simple(f, "commit"); f.Send(&pgproto3.Terminate{}) }, true},
			"pipelined":         {func(f *pgproto3.Frontend, _ string) { extended(f, "select pg_sleep(0.5)"); simple(f, "commit") }, true},
			"in one text":       {func(f *pgproto3.Frontend, _ string) { simple(f, "select pg_sleep(0.5); commit") }, true},
			"a statement alone": {func(f *pgproto3.Frontend, mark string) { simple(f, "select pg_sleep(600) /* "+mark+" */; select 1") }, false},
		} {
			t.Run(what, func(t *testing.T) {
				mark := fmt.Sprintf("%s %s", name, what)
				c1 := conn(t, r.Endpoint, harness.App())
				ask(t, c1, "begin")
				ask(t, c1, insert(mark))
				f := c1.Frontend()
				c.send(f, mark)
				if err := f.Flush(); err != nil {
					t.Fatal(err)
				}
				hangUp(c1)
				direct := conn(t, r.server.Endpoint, harness.Superuser())
				harness.Eventually(t, settleWithin, "nothing of it is under way", func() bool {
					return ask(t, direct, "select count(*) from pg_locks l join pg_class c on l.relation = c.oid where relname = '"+name+"' and pid <> pg_backend_pid()") == "0"
				})
				r.whole(t)
				if got := ask(t, direct, fmt.Sprintf("select count(*) from %s where v = '%s'", name, mark)) == "1"; got != c.stays {
					t.Errorf("committed: %v, expected %v", got, c.stays)
				}
			})
		}
	})
}
