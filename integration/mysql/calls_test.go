package mysql

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// caller is a user who sees no code but its own: other tests leave theirs in the database app.
func caller() harness.Login { return loginOf("caller", "secret") }

func callers() []harness.Account {
	return append(accounts(), harness.Account{User: "caller", Password: "secret"})
}

// callersSchema makes a schema of caller's.
func callersSchema(t *testing.T, s *harness.Server, name string, statements ...string) harness.Login {
	t.Helper()
	own := ownSchema(t, s, name)
	for _, q := range []string{
		"create user if not exists caller@'%' identified by 'secret'", "grant all on " + own.Database + ".* to caller@'%'",
	} {
		if err := s.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	l := caller()
	l.Database = own.Database
	w := dial(t, s.Endpoint, l, modern)
	w.do(t, statements...)
	w.quit()
	return l
}

var harmlessCode = []string{
	"create table ids (id int auto_increment primary key, n int)",
	"create procedure p_read(in a int, out b int) begin declare c int default 1; select count(*) into c from ids; set b = a + c; end",
	"create procedure p_rows() begin select 1; select n from ids; end",
	"create procedure p_write() begin declare exit handler for sqlexception rollback; start transaction; insert into ids (n) values (5); commit; end",
	"create procedure p_mode() begin if @@sql_mode = '' then select 'none'; else select 'some'; end if; end",
	"create function f_twice(a int) returns int deterministic return 2 * a",
}

func TestCallsOfProceduresThatLeaveNothingDoNotPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		mine, theirs := callersSchema(t, f.server, "harmless_a", harmlessCode...), callersSchema(t, f.server, "harmless_b", harmlessCode...)
		c := &crossed{t: t}
		for range 2 {
			c.mine = append(c.mine, dial(t, f.Endpoint, mine, with([]uint32{multi})))
			c.theirs = append(c.theirs, dial(t, f.server.Endpoint, theirs, with([]uint32{multi})))
		}
		c.same(0, "select 1")
		c.same(0, "select 1") // the verdict is known
		for range 2 {
			for _, sql := range []string{
				"call p_rows()", "CALL p_rows", "call p_write()", "select last_insert_id()", "call `p_rows`()", "call p_mode()",
				"begin; call p_write(); commit", "select row_count()",
			} {
				for i := range c.mine {
					c.same(i, sql)
				}
				if n := f.pinned(t); n != 0 {
					t.Errorf("%d pinned after %s", n, sql)
				}
			}
		}
		prepared, err := c.mine[0].prepare("call p_rows()")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.mine[0].execute(prepared, 0); err != nil {
			t.Fatal(err)
		}
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after a prepared call", n)
		}
		c.same(1, "call p_read(5, @b)")
		c.same(1, "select @b")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after an OUT parameter", n)
		}
		c.mine[0].sees(t, "select "+mine.Database+".f_twice(4)", "[8]")
		c.mine[0].do(t, "call "+mine.Database+".p_write()")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after a function with its schema", n)
		}
		c.same(0, "call p_nowhere()")
		if n := f.pinned(t); n != 1 {
			t.Errorf("%d pinned after an error", n)
		}
	})
}

// leavingCode are bodies of procedures that leave something.
var leavingCode = []string{
	"do get_lock(concat(database(), '.call'), 0)", "set @hidden = 1", "select 5 into @hidden",
	"begin prepare p from 'set @hidden = 2'; execute p; deallocate prepare p; end", "prepare p from 'select 1'",
	"create temporary table kept_a (a int)", "create temporary table kept_a as select 3 as n", "set sql_mode = 'ANSI'", "set session transaction read only",
	"begin set sort_buffer_size = 100000; signal sqlstate '45000'; end", "set role none", "set/* a */role/**/none", "set # a\n role none", "create/**/temporary table kept_a as select 3 as n",
	"begin select 1; set sort_buffer_size = 100000; end", "begin set sort_buffer_size = 100000; select 1; end",
	"begin select 1; set sort_buffer_size = 100000; select 2; end", "begin if 1 then set sort_buffer_size = 100000; end if; end",
	"begin declare continue handler for sqlexception begin end; set sort_buffer_size = 100000; select * from nowhere; end",
	"begin declare continue handler for sqlexception set sort_buffer_size = 100000; select * from nowhere; end",
	"begin set sort_buffer_size = 100000; commit; end", "begin start transaction; set sort_buffer_size = 100000; rollback; end",
	"call p_inner()",
	"insert into fires values (1)", "set names latin1", "set time_zone = '+03:00'", "begin declare x int default f_sets(); end",
	"select f_sets()", "begin declare x int; select f_sets() into x; end", "begin declare x int; set x = f_sets(); end", "return_early: begin set sort_buffer_size = 100000; leave return_early; end",
}

func TestCallsOfProceduresThatLeaveSomethingPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		for i, body := range leavingCode {
			l := callersSchema(t, f.server, fmt.Sprintf("leaving_%d", i), "create table fires (a int)",
				"create trigger fires1 before insert on fires for each row set session sort_buffer_size = 100000",
				"create function f_sets() returns int deterministic begin set session sort_buffer_size = 100000; return 1; end",
				"create procedure p_inner() set sort_buffer_size = 100000", "create procedure p_leaves() "+body)
			c := dial(t, f.Endpoint, l, modern)
			c.do(t, "select 1")
			waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
			got := c.outcome("call p_leaves()")
			if strings.HasPrefix(got, "error") != strings.Contains(body, "signal") {
				t.Errorf("%s: %s", body, got)
			}
			if n := f.pinned(t); n != 1 {
				t.Errorf("%s: %d pinned after the call", body, n)
			}
			c.quit()
			unpins(t, f)
			if c := dial(t, f.Endpoint, l, modern); !strings.Contains(body, "signal") {
				s, err := c.prepare("call p_leaves()")
				if err == nil {
					_, err = c.execute(s, 0)
				}
				if n := f.pinned(t); err != nil || n != 1 {
					t.Errorf("%s: %v, %d pinned after the prepared call", body, err, n)
				}
				c.quit()
			}
			unpins(t, f)
			for _, got := range f.everywhere(t, "select @hidden, @@sort_buffer_size = @@global.sort_buffer_size, @@sql_mode = @@global.sql_mode") {
				if got != "[NULL,1,1]" {
					t.Errorf("%s: left %s", body, got)
				}
			}
		}
	})
}

func TestCallsOfWhatTheServerBringsPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "brought", "create table nothing (a int)")
		harness.Exec(t, f.server, "grant all on sys.* to caller@'%'")
		for _, sql := range []string{
			"call sys.table_exists(database(), 'nothing', @exists)", "call `sys`.`table_exists`(database(), 'nothing', @exists)",
			"call sys.execute_prepared_stmt('select 5 into @hidden')", "use sys; call execute_prepared_stmt('select 5 into @hidden')",
		} {
			c := dial(t, f.Endpoint, l, with([]uint32{multi}))
			if got := c.outcome(sql); strings.HasPrefix(got, "error") {
				t.Errorf("%s: %s", sql, got)
			}
			if n := f.pinned(t); n != 1 {
				t.Errorf("%s: %d pinned", sql, n)
			}
			c.quit()
			unpins(t, f)
			for _, got := range f.everywhere(t, "select @hidden, @exists, @sys.debug") {
				if got != "[NULL,NULL,NULL]" {
					t.Errorf("%s: left %s", sql, got)
				}
			}
		}
		harness.Exec(t, f.server, "revoke all on sys.* from caller@'%'")
	})
}

func TestStoredFunctionsThatLeaveNothingDoNotPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		mine, theirs := callersSchema(t, f.server, "functions_a", harmlessCode...), callersSchema(t, f.server, "functions_b", harmlessCode...)
		c := &crossed{t: t}
		for range 2 {
			c.mine = append(c.mine, dial(t, f.Endpoint, mine, with([]uint32{multi})))
			c.theirs = append(c.theirs, dial(t, f.server.Endpoint, theirs, with([]uint32{multi})))
		}
		c.same(0, "select 1")
		c.same(0, "select 1") // the verdict on all code is known
		for range 2 {
			for _, sql := range []string{
				"select f_twice(4), F_TWICE(5)", "insert into ids (n) values (f_twice(3))", "select last_insert_id()", "select f_twice (2) as `f`",
				"select n from ids where n > f_twice(1) group by n", "update ids set n = f_twice(n)", "select row_count()", "begin; select f_twice(1); commit",
			} {
				for i := range c.mine {
					c.same(i, sql)
				}
				if n := f.pinned(t); n != 0 {
					t.Errorf("%d pinned after %s", n, sql)
				}
			}
		}
		s, err := c.mine[0].prepare("select f_twice(?)")
		if err == nil {
			_, err = c.mine[0].execute(s, 0, int64(21))
		}
		if n := f.pinned(t); err != nil || n != 0 {
			t.Errorf("%v, %d pinned after a prepared call", err, n)
		}
		c.same(0, "select f_twice(1)/0") // leaves a warning, too
		c.same(0, "show warnings")
		c.same(0, "select 1")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned behind a warning", n)
		}
		c.same(0, "create function f_new() returns int deterministic return 5")
		c.same(0, "select f_new()")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after what is new", n)
		}
		// What is no stored function of that name in the session's database may be anything.
		c.same(1, "select f_nowhere()")
		if n := f.pinned(t); n != 1 {
			t.Errorf("%d pinned after an error", n)
		}
	})
}

func TestStoredFunctionsThatLeaveSomethingPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		for i, body := range []string{
			"return get_lock(concat(database(), '.f'), 0)", "begin set @hidden = 1; return 1; end", "begin set session sort_buffer_size = 100000; return 1; end",
			"begin create temporary table kept_a (a int); return 1; end",
		} {
			l := callersSchema(t, f.server, fmt.Sprintf("function_%d", i), "create function f_leaves() returns int deterministic "+body)
			c := dial(t, f.Endpoint, l, modern)
			c.do(t, "select 1", "select f_leaves()")
			if n := f.pinned(t); n != 1 {
				t.Errorf("%s: %d pinned after the call", body, n)
			}
			c.quit()
			unpins(t, f)
			for _, got := range f.everywhere(t, "select @hidden, @@sort_buffer_size = @@global.sort_buffer_size") {
				if got != "[NULL,1]" {
					t.Errorf("%s: left %s", body, got)
				}
			}
		}
	})
}

func TestAFirstCallIsJudgedBeforeItsBackendGoesBack(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "first", "create procedure p_rows() select 1")
		c := dial(t, f.Endpoint, l, modern)
		c.sees(t, "call p_rows()", "[1] ok 0")
		waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		c.quit()
	})
}

func TestIdleSessionsThatCalledAtTheSameTimeAreNotPinned(t *testing.T) {
	const sessions = 12
	for _, rule := range []string{"verify", "pin"} {
		own(t, harness.Route{MaxConnections: 10, Users: callers(), Pool: harness.Keys{"unseen_changes": rule}}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, "together", harmlessCode...)
			sql := map[string]string{"verify": "call p_rows()", "pin": "update ids set n = 1"}[rule]
			all := make([]*wire, sessions)
			for i := range all {
				all[i] = dial(t, f.Endpoint, l, modern)
			}
			var group sync.WaitGroup
			for _, c := range all {
				group.Go(func() {
					if got := c.outcome(sql); strings.HasPrefix(got, "error") {
						t.Error(got)
					}
				})
			}
			group.Wait()
			waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
			for _, c := range all {
				c.quit()
			}
		})
	}
}

func TestACallBehindACreationIsJudgedByWhatWasCreated(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "behind", harmlessCode...)
		a, b := dial(t, f.Endpoint, l, with([]uint32{multi})), dial(t, f.Endpoint, l, with([]uint32{multi}))
		prepared := func(w *wire, sql string) {
			s, err := w.prepare(sql)
			if err == nil {
				_, err = w.execute(s, 0)
			}
			if err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
		for i, create := range []func(name, body string){
			func(name, body string) { a.do(t, "create procedure "+name+"() "+body) },
			func(name, body string) { a.do(t, "select 1; create procedure "+name+"() "+body+"; select 2") },
			func(name, body string) {
				a.do(t, "create procedure "+name+"() "+strings.Repeat(" ", 70<<10)+body)
			},
		} {
			name := fmt.Sprintf("p_new_%d", i)
			create(name, "select 1")
			if i%2 == 0 {
				b.do(t, "call "+name+"()")
			} else {
				prepared(b, "call "+name+"()")
			}
			waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		}
		for i, body := range []string{"do get_lock(concat(database(), '.behind'), 0)", "select 5 into @hidden", "set @hidden = 6"} {
			name := fmt.Sprintf("p_leaves_%d", i)
			w := dial(t, f.Endpoint, l, modern)
			w.do(t, "create procedure "+name+"() "+body) // whose text may pin by itself
			w.quit()
			c := dial(t, f.Endpoint, l, modern)
			c.do(t, "call "+name+"()")
			if n := f.pinned(t); n != 1 {
				t.Errorf("%s: %d pinned", body, n)
			}
			b.sees(t, "select @hidden", "["+null+"]")
			c.quit()
			unpins(t, f)
			b.sees(t, "select is_used_lock(concat(database(), '.behind'))", "["+null+"]")
			a.do(t, "drop procedure "+name)
		}
	})
}

// Whoever creates a procedure for one call, as migrations do, must not leave what it did to somebody else.
func TestWhatACallLeavesIsKnownThoughTheProcedureIsGone(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "gone", harmlessCode...)
		const body = "begin do get_lock(concat(database(), '.gone'), 0); signal sqlstate '01000' set message_text = 'a warning'; end"
		for _, texts := range [][]string{
			{"create procedure p_once() " + body, "call p_once()", "drop procedure p_once"},
			{"create procedure p_once() " + body, "begin", "call p_once()", "drop procedure p_once"},
			{"create procedure p_once() " + body + "; call p_once(); drop procedure p_once"},
			{"create procedure p_once() " + body, "call p_once(); drop procedure p_once"},
			{"create function f_once() returns int deterministic return get_lock(concat(database(), '.gone'), 0)", "begin; do f_once(); drop function f_once"},
		} {
			c := dial(t, f.Endpoint, l, with([]uint32{multi}))
			w := dial(t, f.Endpoint, l, with([]uint32{multi}))
			for i, text := range texts {
				if i == 0 && len(texts) > 1 {
					w.do(t, text) // whose text may pin by itself
					w.quit()
					continue
				}
				if got := c.outcome(text); strings.HasPrefix(got, "error") {
					t.Errorf("%s: %s", text, got)
				}
			}
			c.do(t, "select 1", "select 1")
			if n := f.pinned(t); n != 1 {
				t.Errorf("%q: %d pinned", texts, n)
			}
			_ = w.Close()
			c.quit()
			unpins(t, f)
		}
		// What no statement calls needs no pin: the backend is reset.
		c, b := dial(t, f.Endpoint, l, with([]uint32{multi})), dial(t, f.Endpoint, l, with([]uint32{multi}))
		c.do(t, "create trigger t_once before insert on ids for each row set new.n = get_lock(concat(database(), '.gone'), 0); "+
			"insert into ids (n) values (5); drop trigger t_once")
		waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		b.sees(t, "select is_used_lock(concat(database(), '.gone'))", "["+null+"]")
		c.quit()
		b.quit()
	})
}

func TestAQuestionAboutCodeLeavesNoTransactionOpen(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "open", harmlessCode...)
		c := dial(t, f.Endpoint, l, modern)
		c.do(t, "set autocommit = 0", "do f_twice(1)")
		w := dial(t, f.server.Endpoint, superuser(), modern)
		waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		if !f.mariaDB() {
			w.sees(t, "select count(*) from performance_schema.events_transactions_current e join performance_schema.threads t using (thread_id) "+
				"where e.state = 'ACTIVE' and t.processlist_user = 'caller'", "[0]")
		}
		w.sees(t, "select count(*) from information_schema.innodb_trx x join information_schema.processlist p on p.id = x.trx_mysql_thread_id where p.user = 'caller'", "[0]")
		c.quit()
		w.quit()
	})
}

func TestCallsAreTrustedOrPinAsConfigured(t *testing.T) {
	for rule, pins := range map[string]int64{"pin": 1, "trust": 0} {
		own(t, harness.Route{MaxConnections: pair, Users: accounts(), Pool: harness.Keys{"unseen_changes": rule}}, func(t *testing.T, f front) {
			l := ownSchema(t, f.server, "called", "create procedure p_lock() do get_lock('called', 0)", "create procedure p_set() set sql_mode = 'ANSI'")
			c := dial(t, f.Endpoint, l, modern)
			c.do(t, "call p_lock()", "do release_all_locks()")
			if got := f.pinned(t); got != pins {
				t.Errorf("%s: %d sessions are pinned, not %d", rule, got, pins)
			}
			c.do(t, "call p_set()")
			if got := f.pinned(t); got != 1 {
				t.Errorf("%s: %d sessions are pinned after a setting", rule, got)
			}
			c.quit()
		})
	}
}

// MariaDB reports the database of a procedure with its first result, and nothing when it goes back behind an error.
func TestAProcedureLeavesTheDefaultDatabase(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		other := "berth_fails_" + f.server.Name
		harness.Exec(t, f.server, "drop database if exists "+other, "create database "+other, "grant all on "+other+".* to app@'%'",
			"create procedure "+other+".fails() begin select 1; signal sqlstate '45000'; end",
			"create procedure "+other+".works() begin select 1; select 2; end")
		t.Cleanup(func() {
			if err := f.server.Exec(context.Background(), "drop database "+other, "revoke all on "+other+".* from app@'%'"); err != nil {
				t.Error(err)
			}
		})
		none := plain()
		none.Database = ""
		for _, c := range []struct {
			login harness.Login
			want  string
		}{{plain(), "[app]"}, {none, "[" + null + "]"}} {
			a, b := dial(t, f.Endpoint, c.login, modern), dial(t, f.Endpoint, c.login, modern)
			for round := range 6 {
				if round == 3 {
					a.do(t, "set names gbk") // in which a statement's text is harder to read
				}
				a.outcome("call " + other + ".works()")
				a.sees(t, "select database()", c.want)
				b.sees(t, "select database()", c.want)
				a.outcome("call " + other + ".fails()")
				if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil { // which ends the pin
					t.Fatal(err)
				}
				b.sees(t, "select database()", c.want)
				a.sees(t, "select database()", c.want)
			}
			a.quit()
			b.quit()
		}
	})
}

// MySQL reads code when a connection first calls it, and converts a literal with an offset by then.
func TestCodeMeansToASessionWhatItsOwnSettingsSay(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "5s"}}, func(t *testing.T, f front) {
		if f.mariaDB() {
			return // knows no such literals
		}
		l := callersSchema(t, f.server, "means", "create procedure p() select timestamp'2020-01-01 00:00:00+00:00', week('2008-02-20'), 1/3",
			"create function f() returns varchar(40) deterministic return timestamp'2020-01-01 00:00:00+00:00'")
		var all [3]*wire
		for i, text := range []string{"set time_zone = '+05:00', default_week_format = 3", "set time_zone = '+00:00'", "set div_precision_increment = 2, time_zone = '+00:00'"} {
			all[i] = dial(t, f.Endpoint, l, modern)
			all[i].do(t, "select 1", "select 1", text)
		}
		for round := range 2 {
			for i, want := range []string{"[2020-01-01 05:00:00,8,0.3333] ok 0", "[2020-01-01 00:00:00,7,0.3333] ok 0", "[2020-01-01 00:00:00,7,0.33] ok 0"} {
				all[i].sees(t, "call p()", want)
				all[i].sees(t, "select substr(f(), 1, 19)", "["+want[1:20]+"]")
				if round == 1 {
					all[i].do(t, "begin", "select 1")
					all[i].sees(t, "call p()", want)
					all[i].do(t, "commit")
				}
			}
		}
		for _, w := range all {
			w.quit()
		}
		f.neverPinned(t)
	})
}

// Code is read not only where a statement calls it.
func TestCodeThatIsReadOutOfSightMeansToOthersWhatTheirSettingsSay(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "5s"}}, func(t *testing.T, f front) {
		if f.mariaDB() {
			return // knows no such literals
		}
		l := callersSchema(t, f.server, "read", "create function f() returns varchar(40) deterministic return timestamp'2020-01-01 00:00:00+00:00'",
			"create view v as select f() as x", "create procedure p() select f()", "create table t (a int)", "create trigger t1 before insert on t for each row begin declare x varchar(40); set x = f(); end")
		const set = "set time_zone = '+05:00'"
		for _, read := range []string{
			set + "|select * from v", set + "|insert into t values (1)", set + "|explain select * from v", set + "|create or replace view w as select * from v",
			set + "|prepare select f()", set + "|prepare select * from v", set + "|prepare call p()",
			"do 1|select /*+ SET_VAR(time_zone = '+05:00') */ f()", "do 1|select /*+ MAX_EXECUTION_TIME(9999) set_var(time_zone='+05:00')*/ * from v",
			set + "|prepare select * from v|set time_zone = '+01:00'|elsewhere|execute",
		} {
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			b.do(t, "set time_zone = '+00:00'", "do 1")
			var s statement
			for _, q := range strings.Split(read, "|") {
				text, prepares := strings.CutPrefix(q, "prepare ")
				switch {
				case prepares:
					s = a.mustPrepare(t, text)
				case q == "elsewhere":
					c := dial(t, f.Endpoint, l, modern)
					c.do(t, "set time_zone = '+03:00'", "select f()", "do 1")
					c.quit()
				case q == "execute":
					a.executes(t, s, "[2020-01-01 05:00:00]")
				default:
					a.do(t, q)
				}
			}
			if f.pinned(t) > 0 {
				a.quit() // the server reported something: the session keeps it for itself
				unpins(t, f)
			}
			want := "[2020-01-01 00:00:00]"
			if strings.HasSuffix(read, "execute") {
				b.do(t, "set time_zone = '+01:00'")
				want = "[2020-01-01 01:00:00]"
			}
			if got := b.outcome("select f()"); got != want {
				t.Errorf("behind %s another session is told %s", read, got)
			}
			_ = a.Close()
			b.quit()
		}
	})
}
