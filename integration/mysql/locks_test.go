package mysql

import (
	"fmt"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

func TestNamedLocksBelongToTheSessionThatTookThem(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for i, take := range []string{
			"select get_lock('%s', 0)", "do get_lock('%s', 0)", "set @got = get_lock('%s', 0)",
			"update berth_locks set n = get_lock('%s', 0)", "insert into berth_locks select get_lock('%s', 0)",
			"delete from berth_locks where get_lock('%s', 0) = 0", "select /*!50000 get_lock*/ ('%s', 0)",
		} {
			t.Run(take, func(t *testing.T) {
				name := fmt.Sprintf("berth-%s-%d", f.server.Name, i)
				a, b := f.client(t), f.client(t)
				a.do(t, "drop table if exists berth_locks", "create table berth_locks (n int)", "insert into berth_locks values (2)")
				a.do(t, fmt.Sprintf(take, name))
				free := fmt.Sprintf("select is_free_lock('%s')", name)
				b.sees(t, free, "[0]")
				b.sees(t, fmt.Sprintf("select get_lock('%s', 0)", name), "[0]")
				b.sees(t, fmt.Sprintf("select release_lock('%s')", name), "[0]")
				a.sees(t, fmt.Sprintf("select release_lock('%s')", name), "[1]")
				b.sees(t, free, "[1]")
				a.do(t, fmt.Sprintf(take, name))
				a.quit()
				eventually(t, b, free, "[1]")
			})
		}
	})
}

// Code may fail with the number of a syntax error, behind which nothing was executed.
func TestALockStaysTheSessionsBehindCodeThatFailsLikeASyntaxError(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "like_syntax", "create table x (a int)", "create trigger t1 before insert on x for each row signal sqlstate '42000' set mysql_errno = 1064",
			"create function f() returns int deterministic begin signal sqlstate '42000' set mysql_errno = 1064; return 1; end")
		for _, text := range []string{"insert into x values (get_lock('like_syntax', 0))", "select get_lock('like_syntax', 0), f()", "insert into x values (@`a b` := get_lock('like_syntax', 0))"} {
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			a.do(t, "select 1", "select 1")
			a.sees(t, text, "error 1064")
			a.do(t, "select 1")
			b.sees(t, "select get_lock('like_syntax', 0)", "[0]")
			a.sees(t, "select release_lock('like_syntax')", "[1]")
			b.sees(t, "select is_used_lock('like_syntax'), @`a b`", "["+null+","+null+"]")
			a.quit()
			b.quit()
			unpins(t, f)
		}
		a := dial(t, f.Endpoint, l, modern)
		a.sees(t, "select get_lock('like_syntax', 0) frm x where 1 = = 2", "error 1064")
		a.do(t, "select 1")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d sessions are pinned behind a syntax error", n)
		}
		a.quit()
	})
}

// eventually waits until a query shows what is wanted.
func eventually(t *testing.T, w *wire, query, want string) {
	t.Helper()
	waitFor(t, query+" shows "+want, func() bool { return w.outcome(query) == want })
}

func TestLockedTablesAreTheSessionsUntilItUnlocksThem(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "locked", "(n int)")
		a, b := f.client(t), f.client(t)
		b.do(t, "set lock_wait_timeout = 1")
		a.do(t, "lock tables "+name+" write", "insert into "+name+" values (1)")
		b.sees(t, "select * from "+name, "error 1205")
		a.sees(t, "select * from "+name, "[1]")
		a.do(t, "unlock tables")
		b.sees(t, "select * from "+name, "[1]")
		a.do(t, "lock table "+name+" read")
		a.quit()
		eventually(t, b, "insert into "+name+" values (2)", "ok 1")
	})
}

// MySQL reports no locks any more behind a statement that commits, as dumps have them, and keeps them.
func TestTablesStayLockedBehindStatementsThatCommit(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name, other := table(t, f.server, "altered", "(n int)"), table(t, f.server, "other", "(n int)")
		a, b := f.client(t), f.client(t)
		b.do(t, "set lock_wait_timeout = 1")
		a.do(t, "lock tables "+name+" write")
		for _, q := range []string{"/*!40000 alter table " + name + " disable keys */", "alter table " + name + " add m int", "create index i on " + name + " (n)", "commit", "analyze table " + name} {
			a.do(t, q)
			b.sees(t, "select * from "+name, "error 1205")
			a.sees(t, "select * from "+other, "error 1100")
		}
		a.do(t, "unlock tables")
		b.sees(t, "insert into "+name+" values (1, 2)", "ok 1")
		a.do(t, "lock tables "+name+" write", "truncate "+name, "begin", "rollback")
		b.sees(t, "insert into "+name+" values (1, 2)", "ok 1")
		unpins(t, f)
	})
}

func TestTablesAreLockedAgainBehindAReset(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "again", "(n int)")
		a, b := f.client(t), f.client(t)
		b.do(t, "set lock_wait_timeout = 1")
		for range 2 {
			a.do(t, "lock tables "+name+" write")
			b.sees(t, "select * from "+name, "error 1205")
			b.do(t, "select 1", "select 2")
			b.sees(t, "select * from "+name, "error 1205")
			if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			b.sees(t, "select count(*) from "+name, "[0]")
		}
		unpins(t, f)
	})
}

func TestAGlobalReadLockEndsWithItsSession(t *testing.T) {
	// It stops everybody who writes, so it needs a server of its own.
	for _, name := range []string{"mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair)
			a, b := dial(t, f.Endpoint, superuser(), modern), f.client(t)
			b.do(t, "create table writes (n int)", "set lock_wait_timeout = 1")
			for _, q := range []string{"flush tables with read lock", "FLUSH /* all */ TABLES writes WITH READ LOCK"} {
				a.do(t, q)
				b.sees(t, "insert into writes values (1)", "error 1205")
				a.do(t, "unlock tables")
				b.sees(t, "insert into writes values (1)", "ok 1")
			}
			a.do(t, "flush tables with read lock")
			a.quit()
			eventually(t, b, "insert into writes values (1)", "ok 1")
		})
	}
}

func TestATransactionTraitIsForTheSessionsNextTransactionOnly(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "traits", "(n int)")
		a, b := f.client(t), f.client(t)
		for _, begin := range []string{"begin", "start transaction"} {
			a.do(t, "set transaction read only")
			b.sees(t, "insert into "+name+" values (1)", "ok 1")
			a.sees(t, "select 1", "[1]")
			b.sees(t, "insert into "+name+" values (2)", "ok 1")
			a.do(t, begin)
			a.sees(t, "insert into "+name+" values (3)", "error 1792")
			b.sees(t, "insert into "+name+" values (4)", "ok 1")
			a.do(t, "rollback")
			a.sees(t, "insert into "+name+" values (5)", "ok 1")
		}
		unpins(t, f)
		a.do(t, "set transaction read only")
		a.quit()
		for _, got := range f.everywhere(t, "insert into "+name+" values (6)") {
			if got != "ok 1" {
				t.Errorf("another session's transaction: %s", got)
			}
		}
	})
}

func TestTransactionsEndAsTheServerSays(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "ends", "(n int)")
		a, b := f.client(t), f.client(t)
		count := "select count(*) from " + name
		insert := "insert into " + name + " values (1)"
		a.do(t, "begin", insert, "commit and chain", insert)
		b.sees(t, count, "[1]")
		a.do(t, "rollback and chain", insert, "savepoint s", insert, "rollback to s")
		b.sees(t, count, "[1]")
		a.do(t, "commit")
		b.sees(t, count, "[2]")
		a.do(t, "begin", insert, "create table if not exists ended_by_definition (n int)") // commits
		b.sees(t, count, "[3]")
		a.do(t, "drop table ended_by_definition", "savepoint nothing", "set autocommit = 0", insert)
		b.sees(t, count, "[3]")
		a.do(t, "rollback", "commit", "rollback", insert, "set autocommit = 1") // commits
		b.sees(t, count, "[4]")
		a.do(t, "start transaction read only")
		a.sees(t, insert, "error 1792")
		a.sees(t, "select 1", "[1]")
		a.do(t, "commit", "start transaction with consistent snapshot")
		b.do(t, insert)
		a.sees(t, count, "[4]")
		a.do(t, "commit")
		a.sees(t, count, "[5]")
		a.do(t, "set completion_type = 'CHAIN'", "begin", insert) // which the answer to a release shows, though nothing follows
		all, err := a.query("commit release")
		if err != nil || len(all) != 1 || all[0].err != nil {
			t.Fatalf("commit release: %v %v", all, err)
		}
		if _, err := a.query("select 1"); err == nil {
			t.Error("the session goes on after a release")
		}
		b.sees(t, count, "[6]")
	})
}

func TestADistributedTransactionHoldsItsBackendToTheEnd(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "xa", "(n int)")
		a, b := f.client(t), f.client(t)
		id := "'" + f.server.Name + "'"
		a.do(t, "xa start "+id, "insert into "+name+" values (1)", "xa end "+id, "xa prepare "+id)
		for range 3 {
			b.sees(t, "select count(*) from "+name, "[0]")
		}
		a.do(t, "xa commit "+id)
		b.sees(t, "select count(*) from "+name, "[1]")
	})
}

func TestBinaryPreparedStatementsAreTheSessionsOwn(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s, err := a.prepare("select ? + 1, @mine")
		if err != nil {
			t.Fatal(err)
		}
		b.sees(t, "select 1", "[1]")
		got, err := b.execute(s, 0, int64(1))
		if show(got, err) != "error 1243" {
			t.Errorf("another session executes it: %s", show(got, err))
		}
		b.do(t, "select 1")
		for i := range int64(5) {
			got, err := a.execute(s, 0, i)
			if want := fmt.Sprintf("[%d,NULL]", i+1); show(got, err) != want {
				t.Errorf("%s, want %s", show(got, err), want)
			}
			b.sees(t, "select 2", "[2]")
		}
		a.quit()
		if _, err := b.one(protocol.COM_STMT_RESET, byte(s.id), byte(s.id>>8), 0, 0); numberOf(err) != 1243 {
			t.Errorf("resetting another's statement: %v", err)
		}
	})
}
