package mysql

import (
	"fmt"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// inSchemas is crossed with schemas in place of tables: the one's sessions go through the proxy, the other's to the server.
// The verdict on the code is known when it returns.
func inSchemas(t *testing.T, f front, sessions int, name string, statements ...string) *crossed {
	t.Helper()
	mine, theirs := ownSchema(t, f.server, name+"_a", statements...), ownSchema(t, f.server, name+"_b", statements...)
	c := &crossed{t: t}
	for range sessions {
		c.mine = append(c.mine, dial(t, f.Endpoint, mine, with([]uint32{multi})))
		c.theirs = append(c.theirs, dial(t, f.server.Endpoint, theirs, with([]uint32{multi})))
	}
	first := dial(t, f.Endpoint, mine, modern)
	first.do(t, "select 1", "select 1")
	first.quit()
	return c
}

var readsInsertID = []string{
	"create table ids (id int auto_increment primary key, n int)", "create table log (n int, last bigint)", "create table plain (n int)",
	"create function f_id() returns bigint deterministic return last_insert_id()",
	"create view v_id as select last_insert_id() as last",
	"create function f_var() returns bigint deterministic return @@identity", "create view v_var as select f_var() as last",
	"create view v_f as select f_id() as last",
	"create trigger plain1 before insert on plain for each row set new.n = last_insert_id()",
	"create trigger plain2 after update on plain for each row insert into log values (old.n, f_id())",
	"create procedure p_id() select last_insert_id()",
}

func TestLastInsertIDInsideHiddenCodeIsTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 3, "reads_id", readsInsertID...)
		statements := []string{"select * from v_id", "select * from v_f", "insert into plain values (0)", "select * from plain",
			"update plain set n = 5", "select * from log order by 1, 2", "delete from log", "delete from plain", "begin; select * from v_id; commit"}
		if !f.mariaDB() {
			statements = append(statements, "table v_id") // of MySQL's own grammar
		}
		statements = append(statements, "select * from v_var")
		for round := range 2 {
			for i := range c.mine {
				c.same(i, fmt.Sprintf("insert into ids (n) values (%d)", i))
			}
			for _, sql := range statements {
				for i := range c.mine {
					c.same(i, sql)
				}
			}
			if round == 0 {
				c.same(0, "insert into ids values (5000, 1)") // changes no LAST_INSERT_ID()
				c.same(0, "begin")
				c.same(1, "select * from v_id")
				c.same(0, "select * from v_id")
				c.same(0, "insert into ids (n) values (1)")
				c.same(0, "select * from v_id")
				c.same(0, "rollback")
			}
		}
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d sessions are pinned", n)
		}
		c.same(1, "call p_id()") // its text is enough
		c.same(2, "select f_id()")
	})
}

func TestHiddenCodeThatSetsLastInsertIDSetsTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 3, "sets_id", "create table ids (id int auto_increment primary key, n int)",
			"create view v_set as select last_insert_id(77) as last")
		c.same(0, "insert into ids (n) values (1)")
		c.same(1, "select * from v_set")
		for i := range c.mine {
			c.same(i, "select last_insert_id()")
		}
	})
}

func TestWhatHiddenCodeReadsOfThePreviousStatementIsTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: 3, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 2, "reads_rows", "create table ids (id int auto_increment primary key, n int)",
			"create view v_rows as select row_count() as r, found_rows() as f")
		c.same(0, "insert into ids (n) values (1), (2), (3)")
		c.same(1, "select 1 union select 2")
		c.same(0, "select r from v_rows")
		c.same(1, "select f from v_rows")
		c.same(0, "update ids set n = n + 1 where n > 2")
		c.same(1, "select * from ids limit 2")
		c.same(1, "select f from v_rows")
		c.same(0, "select r from v_rows")
	})
}

func TestCodeThatReadsRowCountOfItsOwnStatementsKeepsNoBackend(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 2, "own_rows", "create table ids (id int auto_increment primary key, n int)",
			"create procedure p_rows() begin update ids set n = 1; select row_count(); end")
		c.same(0, "insert into ids (n) values (7)")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d sessions are pinned", n)
		}
		c.same(1, "call p_rows()")
	})
}

func TestCodeCreatedThroughTheProxyThatReadsValuesIsKnownAtOnce(t *testing.T) {
	own(t, harness.Route{MaxConnections: 3, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 2, "new_rows", "create table ids (id int auto_increment primary key, n int)")
		c.same(0, "create view v_rows as select row_count() as r, last_insert_id() as l")
		c.same(0, "insert into ids (n) values (1), (2)")
		c.same(1, "insert into ids (n) values (3), (4), (5)")
		c.same(0, "select * from v_rows")
		c.same(1, "select * from v_rows")
		c.same(1, "select l from v_rows")
	})
}

func TestWhatHiddenCodeReadsIsNotWhatTheProxyAskedInBetween(t *testing.T) {
	own(t, harness.Route{MaxConnections: 4, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 2, "between_rows", "create table ids (id int auto_increment primary key, n int)", "create table opened (n int)")
		for i, pins := range []string{"do 0", "handler opened open"} {
			c.same(i, pins)
			for _, before := range []string{"drop table if exists gone", "create table made (n int)", "drop table made", "set @a = 1", "set @a = (select 5)", "do 1", "select 1",
				"insert into ids (n) values (1), (2), (3)", "set sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')", "alter table ids add k int", "insert into ids (n) values (1)", "update ids set n = 7"} {
				c.same(i, "create procedure p_rows() select row_count()")
				c.same(1-i, "select 1")
				c.same(i, before)
				c.same(i, "call p_rows()")
				c.same(i, "drop procedure p_rows")
			}
			c.same(i, "drop table ids")
			c.same(i, "create table ids (id int auto_increment primary key, n int)")
		}
	})
}

// TestCodeReadsTheRowCountOfWhatWasAnsweredHere has procedures read ROW_COUNT() behind requests that reach no backend.
func TestCodeReadsTheRowCountOfWhatWasAnsweredHere(t *testing.T) {
	rotating(t, harness.Route{Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "answered_here", "create procedure p_mine() select row_count()", "create table x (n int) engine=memory")
		first := dial(t, f.Endpoint, l, modern)
		first.do(t, "select 1", "select 1") // the verdict is known
		first.quit()
		// MariaDB goes on counting ids where a connection takes the place of another one: small ones may be somebody's statements.
		for name, request := range map[string]func(w *wire, s statement){
			"nothing": func(*wire, statement) {},
			"an execution of an unknown statement": func(w *wire, _ statement) {
				_, _ = w.one(protocol.COM_STMT_EXECUTE, 99, 0, 0, 0x70, 0, 1, 0, 0, 0)
			},
			"a reset of an unknown statement": func(w *wire, _ statement) { _, _ = w.one(protocol.COM_STMT_RESET, 99, 0, 0, 0x70) },
			"a reset of a statement":          func(w *wire, s statement) { w.about(t, protocol.COM_STMT_RESET, s); _, _ = w.read() },
			"a ping":                          func(w *wire, _ statement) { _, _ = w.one(protocol.COM_PING) },
			"CONNECTION_ID()":                 func(w *wire, _ statement) { w.do(t, "select connection_id()") },
			"ROW_COUNT()":                     func(w *wire, _ statement) { w.do(t, "select row_count()") },
			"two executions of none": func(w *wire, _ statement) {
				_, _ = w.one(protocol.COM_STMT_EXECUTE, 99, 0, 0, 0x70, 0, 1, 0, 0, 0)
				_, _ = w.one(protocol.COM_STMT_EXECUTE, 98, 0, 0, 0x70, 0, 1, 0, 0, 0)
			},
		} {
			for _, first := range []string{"", "select 1", "insert into x values (1), (2)", "selekt", "delete from x where n = 77", "do 1"} {
				told := func(e harness.Endpoint) string {
					w := dial(t, e, l, modern)
					defer w.quit()
					s := w.mustPrepare(t, "select 1")
					if first != "" {
						w.outcome(first)
					}
					request(w, s)
					return w.outcome("call p_mine()")
				}
				other := dial(t, f.Endpoint, l, modern)
				other.do(t, "insert into x values (1), (2), (3), (4), (5)")
				if got, want := told(f.Endpoint), told(f.server.Endpoint); got != want {
					t.Errorf("%q, %s: %s, with the server itself %s", first, name, got, want)
				}
				other.quit()
			}
		}
	})
}
