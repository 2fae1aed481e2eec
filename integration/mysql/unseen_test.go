package mysql

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// hiding makes objects whose use leaves something that neither the statement's text nor a tracker shows.
var hiding = []string{
	"create function f_lock() returns int deterministic return get_lock(concat(database(), '.1'), 0)",
	"create function f_into() returns int deterministic begin select 5 into @hidden; return 1; end",
	"create function f_assign() returns int deterministic return (@hidden := 6)",
	"create function f_fails() returns int deterministic begin declare x int; set x = get_lock(concat(database(), '.2'), 0); " +
		"signal sqlstate '45000' set message_text = 'no'; return 1; end",
	"create view v_lock as select f_lock()", "create view v_into as select f_into()", "create view v_assign as select f_assign()",
	"create view v_direct as select get_lock(concat(database(), '.3'), 0)", "create view v_fails as select f_fails()",
	"create table tl (a int)",
	"create trigger tl1 before insert on tl for each row begin declare x int; set x = get_lock(concat(database(), '.4'), 0); end",
	"create table tv (a int)", "create trigger tv1 before insert on tv for each row begin select new.a into @hidden; end",
}

// unseenStatements use them.
var unseenStatements = []string{
	"select * from v_lock", "select * from v_into", "select * from v_assign", "select * from v_direct", "select * from v_fails",
	"insert into tl values (1)", "insert into tv values (1)", "begin; insert into tv values (1); commit", "table v_lock",
}

// left is what they may have left.
const left = "select @hidden, is_used_lock(concat(database(), '.1')), is_used_lock(concat(database(), '.2')), " +
	"is_used_lock(concat(database(), '.3')), is_used_lock(concat(database(), '.4')), database(), @@sql_mode = @@global.sql_mode"

// ownSchema makes a schema for a test and returns how to log in to it.
func ownSchema(t *testing.T, s *harness.Server, name string, statements ...string) harness.Login {
	t.Helper()
	l := superuser()
	w := dial(t, s.Endpoint, l, with([]uint32{multi}))
	name = fmt.Sprintf("%s_%d", name, os.Getpid())
	w.do(t, "drop database if exists "+name, "create database "+name, "use "+name)
	w.do(t, statements...)
	w.quit()
	t.Cleanup(func() {
		w := dial(t, s.Endpoint, l, with(nil))
		w.do(t, "drop database if exists "+name)
		w.quit()
	})
	l.Database = name
	return l
}

func TestWhatHiddenCodeLeavesReachesNoOtherSession(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "hidden", hiding...)
		statements := unseenStatements
		if f.mariaDB() {
			w := dial(t, f.server.Endpoint, l, with(nil))
			w.do(t, "create sequence sq", "create table tsq (a int default (nextval(sq)), b int)")
			w.quit()
			statements = append(statements[:len(statements):len(statements)], "insert into tsq (b) values (1)")
		}
		for _, sql := range statements {
			a, b := dial(t, f.Endpoint, l, with([]uint32{multi})), dial(t, f.Endpoint, l, with([]uint32{multi}))
			got := a.outcome(sql)
			if f.pinned(t) > 0 {
				a.quit() // the server reported something: the session keeps it for itself
				unpins(t, f)
			}
			want := fmt.Sprintf("[NULL,NULL,NULL,NULL,NULL,%s,1]", l.Database)
			if left := b.outcome(left); left != want {
				t.Errorf("after %s (%s) another session finds %s, not %s", sql, got, left, want)
			}
			if f.mariaDB() {
				b.sees(t, "select lastval(sq)", "[NULL]")
			}
			_ = a.Close()
			b.quit()
		}
	})
}

// made are temporary tables made from a SELECT, which servers do not report, by code that is not named.
var made = [][]string{
	{"insert into t values (1)", "create trigger t1 before insert on t for each row create temporary table if not exists made select 5 as a"},
	{"insert into t values (1)", "create procedure p_made() create temporary table if not exists made select 5 as a",
		"create trigger t1 before insert on t for each row call p_made()"},
	{"select * from v", "create function f_made() returns int deterministic begin create temporary table if not exists made select 5 as a; return 1; end",
		"create view v as select f_made()"},
	{"select * from v", "create procedure p_made() create temporary table if not exists made select 5 as a",
		"create function f_calls() returns int deterministic begin call p_made(); return 1; end", "create view v as select f_calls()"},
}

func TestTemporaryTablesThatHiddenCodeMakesReachNoOtherSession(t *testing.T) {
	for _, m := range made {
		own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, "made", append([]string{"create table t (a int)"}, m[1:]...)...)
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			a.do(t, "select 1", m[0])
			if got := b.outcome("select * from made"); got != "error 1146" {
				t.Errorf("behind %s, with %s, another session finds %s", m[0], m[1:], got)
			}
			a.quit()
			b.quit()
		})
	}
}

// assigning are definitions of columns that assign to a user variable, which only MariaDB takes, and what evaluates them.
var assigning = [][2]string{
	{"create table t (a int default (@hidden := 5), b int)", "insert into t (b) values (1)"},
	{"create table t (a int default (@hidden := 5), b int)", "insert into t values (default, 1)"},
	{"create table t (b int, a int as (@hidden := 5) virtual)", "insert into t (b) values (1); select * from t"},
	{"create table t (a int, b int); alter table t alter a set default (@hidden := 5)", "insert into t (b) values (1)"},
	{"create table t (a int, b int); alter table t add c int default (/* x */ @hidden/* x */ := 5)", "insert into t (b) values (1)"},
}

func TestWhatColumnsAssignReachesNoOtherSession(t *testing.T) {
	for _, a := range assigning {
		for _, created := range []string{"before", "by another session"} {
			onMariaDB(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
				l := callersSchema(t, f.server, "assigning")
				b := dial(t, f.Endpoint, l, with([]uint32{multi}))
				e := f.server.Endpoint
				if created != "before" {
					b.do(t, "select 1")
					e = f.Endpoint
				}
				w := dial(t, e, l, with([]uint32{multi}))
				w.do(t, a[0])
				w.quit()
				c := dial(t, f.Endpoint, l, with([]uint32{multi}))
				c.do(t, "select 1", a[1])
				if got := b.outcome("select @hidden"); got != "["+null+"]" {
					t.Errorf("%s, created %s: behind %s another session has %s", a[0], created, a[1], got)
				}
				b.quit()
				c.quit()
			})
		}
	}
}

func TestVariablesOfPackagesAreTheSessionsOwn(t *testing.T) {
	for i, c := range []struct {
		body, query, want string
		pins              int64
	}{
		{"v int := 0; function f return int as begin v := v + 1; return v; end; end", "select * from v", "[1]", 0},
		{"v int := 0; function f return int as begin v := v + 1; return v; end; end", "select pk.f()", "[1]", 2},
		{"/* none */ function f return int as begin return 5; end; begin insert into made values (1); end", "select * from v", "[5]", 0},
		{"function f return int as begin return 5; end; end", "select pk.f()", "[5]", 0},
	} {
		onMariaDB(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, fmt.Sprintf("package_%d", i), "create table made (a int)", "set sql_mode = oracle", "create package pk as function f return int; end",
				"create package body pk as "+c.body, "create view v as select pk.f()")
			dialed := func() *wire {
				w := dial(t, f.Endpoint, l, modern)
				w.do(t, "set sql_mode = oracle", "truncate made") // in others pk is a schema
				return w
			}
			a, b := dialed(), dialed()
			a.outcome(c.query)
			b.outcome(c.query)
			if n := f.pinned(t); n != c.pins {
				t.Errorf("%s: %d pinned behind %s", c.body, n, c.query)
			}
			a.quit()
			b.quit()
			unpins(t, f)
			b = dialed()
			b.sees(t, c.query, c.want)
			if strings.Contains(c.body, "made") {
				b.sees(t, "select count(*) from made", "[1]")
			}
			b.quit()
		})
	}
}

func TestARoleThatHiddenCodeTakesReachesNoOtherSession(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "taken")
		for _, q := range []string{"create role if not exists taken", "grant taken to caller@'%'"} {
			if err := f.server.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		w := dial(t, f.server.Endpoint, l, modern)
		w.do(t, "create function f_takes() returns int deterministic begin set role taken; return 1; end", "create sql security invoker view v as select f_takes()")
		w.quit()
		a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		want := b.outcome("select current_role()")
		a.do(t, "select 1", "select * from v")
		if f.pinned(t) > 0 {
			a.quit() // the server reported something: the session keeps it for itself
			unpins(t, f)
		}
		b.sees(t, "select current_role()", want)
		_ = a.Close()
		b.quit()
		if err := f.server.Exec(t.Context(), "drop role taken"); err != nil {
			t.Error(err)
		}
	})
}

func TestCodeCreatedThroughTheProxyIsKnownAtOnce(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "created", "create table tv (a int)")
		b := dial(t, f.Endpoint, l, with(nil))
		b.do(t, "select 1")
		a := dial(t, f.Endpoint, l, with(nil))
		a.do(t, "create trigger tv1 before insert on tv for each row begin select new.a into @hidden; end")
		a.quit() // its text alone pins
		a = dial(t, f.Endpoint, l, with(nil))
		a.do(t, "insert into tv values (7)")
		b.sees(t, "select @hidden", "[NULL]")
		a.quit()
		b.quit()
	})
}

func TestUnseenChangesPinOrAreTrustedAsConfigured(t *testing.T) {
	for rule, pins := range map[string]int64{"pin": 1, "trust": 0} {
		own(t, harness.Route{MaxConnections: pair, Users: accounts(), Pool: harness.Keys{"unseen_changes": rule}}, func(t *testing.T, f front) {
			l := ownSchema(t, f.server, "configured", "create function f_lock() returns int deterministic return get_lock('configured', 0)",
				"create view v_lock as select f_lock()")
			c := dial(t, f.Endpoint, l, modern)
			for range 3 {
				c.do(t, "select * from v_lock")
			}
			if got := f.pinned(t); got != pins {
				t.Errorf("%s: %d sessions are pinned, not %d", rule, got, pins)
			}
			c.quit()
		})
	}
}

func TestWhatCodeSetsWithoutTheServersReportReachesNoOtherSession(t *testing.T) {
	for _, set := range []string{"set @@sort_buffer_size = 33333", "set@@sort_buffer_size=33333", "set/**/@@sort_buffer_size/**/=/**/33333", "set timestamp = default, @@`sort_buffer_size` := 33333"} {
		own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, "unreported", "create function f_set() returns int deterministic begin "+set+"; return 1; end", "create view v_set as select f_set()")
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			clean := b.outcome("select @@sort_buffer_size")
			a.do(t, "select * from v_set")
			if f.pinned(t) > 0 {
				a.quit()
				unpins(t, f)
			}
			if got := b.outcome("select @@sort_buffer_size"); got != clean {
				t.Errorf("behind %s another session has %s, not %s", set, got, clean)
			}
			_ = a.Close()
			b.quit()
		})
	}
}

// The functions that the views of the schema sys call keep what they have read in user variables.
func TestWhatViewsOfSysKeepReachesNoOtherSession(t *testing.T) {
	for _, name := range []string{"mysql97", "mariadb1011"} {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, 1, "performance_schema=ON")
			harness.Exec(t, f.server, "create database upon", "create view upon.direct as select query from sys.statement_analysis",
				"create view upon.indirect as select * from upon.direct", "create view upon.calls as select sys.format_statement('select 1')")
			const kept = "select @sys.statement_truncate_len is null"
			in := func(database string) harness.Login {
				l := superuser()
				l.Database = database
				return l
			}
			for q, database := range map[string]string{
				"select query from sys.statement_analysis": "", "select query from `sys`.statement_analysis": "", "select query from upon.direct": "",
				"select * from calls": "upon", "select query from statement_analysis": "sys", "select query from statement_analysis; use upon": "sys",
				"use upon; select * from indirect": "sys", "create table upon.t as select query from sys.statement_analysis": "sys", "drop table if exists upon.t; table upon.indirect": "",
			} {
				if strings.Contains(q, "table upon.indirect") && f.mariaDB() {
					continue
				}
				w := dial(t, f.server.Endpoint, in(database), with([]uint32{multi}))
				w.outcome(q)
				if got := w.outcome(kept); got != "[0]" {
					t.Errorf("%s: with the server itself %s", q, got)
				}
				w.quit()
				harness.Exec(t, f.server, "drop table if exists upon.t")
				a, b := dial(t, f.Endpoint, in(database), with([]uint32{multi})), dial(t, f.Endpoint, in(database), with([]uint32{multi}))
				a.outcome(q)
				a.quit() // in the schema sys it is pinned
				if b.sees(t, kept, "[1]"); t.Failed() {
					t.Fatal(q)
				}
				b.quit()
			}
			a, b := dial(t, f.Endpoint, in("sys"), modern), dial(t, f.Endpoint, in("sys"), modern)
			s := a.mustPrepare(t, "select query from statement_analysis")
			a.do(t, "use upon")
			if _, err := a.execute(s, 0); err != nil {
				t.Fatal(err)
			}
			a.quit()
			b.sees(t, kept, "[1]")
			b.quit()
		})
	}
}

// MariaDB does not report what a trigger sets by SET @@name, be it that nothing is to be reported.
func TestADatabaseThatHiddenCodeKeepsFromBeingReportedIsTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		if !f.mariaDB() {
			return
		}
		l := ownSchema(t, f.server, "mutes", "create table t (n int)", "create trigger tr before insert on t for each row set @@session_track_schema = 0")
		nowhere := l
		nowhere.Database = ""
		for _, text := range []string{
			"insert into " + l.Database + ".t values (1); use information_schema", "set names utf8mb4; insert into " + l.Database + ".t values (1); use information_schema",
			"set @a = 1; insert into " + l.Database + ".t values (1); use information_schema",
		} {
			for _, login := range []harness.Login{l, nowhere} {
				a := dial(t, f.Endpoint, login, with([]uint32{multi}))
				a.must(t, text)
				a.sees(t, "select database()", "[information_schema]")
				a.quit()
				b := dial(t, f.Endpoint, login, with([]uint32{multi}))
				if b.sees(t, "select coalesce(database(), '')", "["+login.Database+"]"); t.Failed() {
					t.Fatalf("%s, in %q", text, login.Database)
				}
				b.quit()
			}
		}
	})
}
