package mysql

import (
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// ending is what a session does: each statement that begins with + leaves it pinned, each with - not, and each
// with ! fails besides.
type ending struct {
	name  string
	steps string // separated by semicolons
	only  string // the kind of server, if not all
}

var endings = []ending{
	{"a temporary table", "+create temporary table kept_a (a int); -drop temporary table kept_a", ""},
	{"two temporary tables", "+create temporary table kept_a (a int); +create temporary table if not exists `kept_b` like kept_a; " +
		"+drop table kept_a; +insert into kept_b values (1); -/* done */ drop table if exists app.kept_b", ""},
	{"temporary tables dropped at once", "+create temporary table kept_a as select 1; +create temporary table app.kept_b (a int); " +
		"-drop temporary table if exists kept_a, kept_b", ""},
	{"a temporary table that is there already", "+create temporary table kept_a (a int); !+create temporary table kept_a (a int); -drop table kept_a", ""},
	{"a temporary table that cannot be", "!+create temporary table kept_a (a nonsense_type(; -select 1", ""},
	{"a temporary table with another name", "+create temporary table kept_a (a int); +alter table kept_a rename to kept_b; +drop table kept_b", ""},
	{"a base table under it", "+create temporary table kept_a (a int); +select 1; -drop table kept_a", ""},
	{"GET_LOCK", "+select get_lock('ends', 0); -select release_lock('ends')", ""},
	{"GET_LOCK twice", "+do get_lock('ends', 0); +do get_lock('ends', 0); +do release_lock('ends'); -do release_lock('ends')", ""},
	{"two names of locks", "+do get_lock('ends', 0); +do get_lock('ends2', 0); +do release_lock('ends'); -do release_lock('ends2')", ""},
	{"RELEASE_ALL_LOCKS", "+do get_lock('ends', 0); +do get_lock(concat('en', 'ds2'), 0); +do release_lock('ends'); -select release_all_locks()", ""},
	{"a lock of unknown name", "+do get_lock(concat('en', 'ds'), 0); +do release_lock('ends'); -do release_all_locks()", ""},
	{"a lock that another session has", "-select get_lock('taken', 0)", ""},
	{"a lock in a transaction", "~begin; +do get_lock('ends', 0); +do release_lock('ends'); -commit", ""},
	{"LOCK TABLES", "+lock tables mysql.time_zone read; -unlock tables", ""},
	{"LOCK TABLES and BEGIN", "+lock tables mysql.time_zone read; ~begin; -rollback", ""},
	{"FLUSH TABLES", "+flush tables mysql.time_zone with read lock; -unlock tables", ""},
	{"LOCK INSTANCE", "+lock instance for backup; +select 1; -unlock instance", "mysql"},
	{"BACKUP LOCK", "+backup lock mysql.time_zone; -backup unlock", "mariadb"},
	{"HANDLER", "+handler base open; +handler base open as h; +handler base read first; +handler base close; -handler h close", ""},
	{"XA", "+xa start 'ends'; +xa end 'ends'; +xa prepare 'ends'; -xa commit 'ends'", ""},
	{"XA undone", "+xa start 'ends','b',1; +xa end 'ends','b',1; -xa rollback 'ends','b',1", ""},
	{"PREPARE", "+prepare p from 'select 1'; +execute p; +prepare q from 'select 2'; +deallocate prepare p; -drop prepare q", ""},
	{"PREPARE of what cannot be", "!+prepare p from 'select from where'; -select 1", ""},
	{"EXECUTE of what holds", "+prepare p from 'create temporary table kept_a (a int)'; +execute p; +deallocate prepare p", ""},
	{"no statement", "!+frobnicate the database; -select 1", ""},
}

func TestAPinEndsWithItsCause(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		holder := dial(t, f.server.Endpoint, superuser(), modern)
		holder.do(t, "drop table if exists base, kept_a, kept_b", "create table base (a int)", "do get_lock('taken', 0)")
		for _, e := range endings {
			if e.only != "" && (e.only == "mariadb") != f.mariaDB() {
				continue
			}
			c := dial(t, f.Endpoint, superuser(), modern)
			for step := range strings.SplitSeq(e.steps, "; ") {
				step, may := strings.CutPrefix(step, "!")
				got := c.outcome(step[1:])
				if strings.HasPrefix(got, "error") != may {
					t.Errorf("%s: %s: %s", e.name, step[1:], got)
				}
				switch {
				case step[0] == '-' && !unpinned(t, f):
					t.Errorf("%s: pinned after %s", e.name, step[1:])
				case step[0] == '+' && f.pinned(t) != 1:
					t.Errorf("%s: not pinned after %s", e.name, step[1:])
				}
			}
			c.quit()
			unpins(t, f)
			for _, got := range f.everywhere(t, "select is_free_lock('ends'), is_free_lock('ends2')") {
				if got != "[1,1]" {
					t.Errorf("%s: locks are left: %s", e.name, got)
				}
			}
			for _, got := range f.everywhere(t, "select * from kept_a") {
				if got != "error 1146" {
					t.Errorf("%s: a table is left: %s", e.name, got)
				}
			}
		}
		holder.quit()
	})
}

// unpinned says whether nobody is pinned, at the latest when the proxy has asked the server what it had to.
func unpinned(t *testing.T, f front) bool {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if f.pinned(t) == 0 {
			return true
		}
	}
	return false
}
