package differential

import (
	"math/rand/v2"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// mysql makes sessions of MySQL and MariaDB. Session N has the databases dN and eN, both with a table t, and locks whose names
// begin with lN.
type mysql struct {
	groups map[string]bool // which kinds of requests are made; all if nil
	maria  bool
	open   bool // whether to ask what is known to differ
}

func (m mysql) login(e harness.Endpoint, s *session) (connection, string, error) {
	collation := "utf8mb4_0900_ai_ci"
	if m.maria {
		collation = "utf8mb4_general_ci"
	}
	c, greeting, err := openMySQL(e, s, collation)
	if err != nil {
		return nil, "", err
	}
	return c, greeting, nil
}

func (mysql) prepare(t harness.T, s *harness.Server) {
	for i := range sessionsOfScript {
		for _, q := range []string{
			"drop database if exists d{i}", "drop database if exists e{i}", "create database d{i}", "create database e{i}",
			"grant all on d{i}.* to app@'%'", "grant all on e{i}.* to app@'%'",
			"create table d{i}.t (id int auto_increment primary key, name varchar(20))",
			"create table e{i}.t (id int auto_increment primary key, name varchar(20), more int)",
			"create table d{i}.u (id int primary key, n tinyint)",
			"create procedure d{i}.p(in n int) begin set @p = n; select n + 1; end",
			"create procedure d{i}.setter(in z varchar(20)) begin set time_zone = z; end",
			"create procedure d{i}.failer() begin set @f = 1; signal sqlstate '45000' set message_text = 'failed'; end",
			"create function d{i}.f(n int) returns int deterministic return n + 1",
		} {
			harness.Exec(t, s, numbered(i, q))
		}
	}
	leaveNothing(t, s, "drop database if exists d{i}", "drop database if exists e{i}")
}

func (mysql) reset(s *harness.Server, sessions int) error {
	var all []string
	for i := range sessions {
		for _, q := range []string{
			"drop table if exists d{i}.x", "truncate d{i}.t", "truncate e{i}.t", "truncate d{i}.u",
			"insert into d{i}.t (name) values ('one of d{i}'), ('two of d{i}')", "insert into e{i}.t (name, more) values ('one of e{i}', 7)",
			"insert into d{i}.u values (1, 1)",
		} {
			all = append(all, numbered(i, q))
		}
	}
	return execWithin(s, all...)
}

// mySettings are settings that everybody may set, and values of them.
var mySettings = []struct {
	name   string
	values []string
}{
	{"sql_mode", []string{"''", "'ANSI_QUOTES'", "'STRICT_ALL_TABLES'", "'NO_BACKSLASH_ESCAPES'", "'PIPES_AS_CONCAT'"}},
	{"time_zone", []string{"'+00:00'", "'-03:00'", "'+09:00'", "'SYSTEM'"}},
	{"autocommit", []string{"0", "1", "1"}},
	{"sql_select_limit", []string{"1", "100"}},
	{"group_concat_max_len", []string{"5", "2000"}},
	{"max_sort_length", []string{"100", "1024"}},
	{"sql_safe_updates", []string{"1", "0"}},
	{"foreign_key_checks", []string{"0", "1"}},
	{"unique_checks", []string{"0", "1"}},
	{"sql_auto_is_null", []string{"1", "0"}},
	{"character_set_results", []string{"latin1", "utf8mb4", "null"}},
	{"collation_connection", []string{"utf8mb4_bin", "utf8mb4_general_ci"}},
	{"character_set_client", []string{"latin1", "utf8mb4"}},
	{"lc_time_names", []string{"'de_DE'", "'en_US'"}},
	{"div_precision_increment", []string{"2", "8"}},
	{"default_week_format", []string{"3", "0"}},
	{"innodb_lock_wait_timeout", []string{"40", "50"}},
	{"lock_wait_timeout", []string{"100", "200"}},
	{"wait_timeout", []string{"1000", "2000"}},
	{"sql_warnings", []string{"1", "0"}},
	{"sql_notes", []string{"0", "1"}},
	{"timestamp", []string{"1000000000", "1500000000.5"}},
	{"insert_id", []string{"500"}},
	{"last_insert_id", []string{"77"}},
	{"auto_increment_increment", []string{"5", "1"}},
	{"no_such_setting", []string{"1"}},
	{"version", []string{"'x'"}},
}

// myGroup is a kind of requests.
type myGroup struct {
	name   string
	weight int
	makes  func(g *myGenerator) string
}

var myGroups = []myGroup{
	{"look", 30, (*myGenerator).look},
	{"settings", 14, (*myGenerator).setting},
	{"transactions", 10, (*myGenerator).transaction},
	{"tables", 10, (*myGenerator).table},
	{"variables", 5, (*myGenerator).variable},
	{"values", 6, (*myGenerator).value},
	{"errors", 3, (*myGenerator).mistake},
	{"temporary", 5, (*myGenerator).temporaryTable},
	{"locks", 4, (*myGenerator).lock},
	{"prepare", 4, (*myGenerator).prepareSQL},
	{"routines", 4, (*myGenerator).routine},
	{"databases", 4, (*myGenerator).database},
}

// myGenerator makes the requests of a session.
type myGenerator struct {
	r      *rand.Rand
	number int
	maria  bool
	open   bool
	groups []myGroup
	total  int // of their weights
	inTx   bool
}

const myRequests = 24

func (m mysql) generate(r *rand.Rand, number int) session {
	g := myGenerator{r: r, number: number, maria: m.maria, open: m.open}
	for _, one := range myGroups {
		wanted := one.name == "look" || one.name == "transactions" || one.name == "tables" || r.IntN(3) == 0
		if m.groups != nil {
			wanted = m.groups[one.name]
		}
		if wanted {
			g.groups = append(g.groups, one)
			g.total += one.weight
		}
	}
	s := session{number: number, login: harness.App().InClear()}
	if r.IntN(3) > 0 {
		s.login.Database = numbered(number, "d{i}")
	}
	for range myRequests {
		s.requests = append(s.requests, g.request())
	}
	s.requests = append(s.requests, query("rollback"), query(g.allSettings()))
	return s
}

func query(sql string) myRequest { return myRequest{command: protocol.COM_QUERY, text: sql} }

func (g *myGenerator) pick(choices ...string) string {
	return numbered(g.number, choices[g.r.IntN(len(choices))])
}

func (g *myGenerator) statement() string {
	n := g.r.IntN(g.total)
	for _, one := range g.groups {
		if n -= one.weight; n < 0 {
			return one.makes(g)
		}
	}
	panic("weights do not add up")
}

// myStatements are prepared in the binary protocol. None reads user variables: the types that a statement has of them stay those of when it
// was prepared, or not.
var myStatements = []string{
	"select ? + 1", "select name from t where id = ? order by 1", "insert into d{i}.t (name) values (?)", "select @@sql_mode, @@time_zone", "selekt ?",
	"update d{i}.t set name = 'upd' where id = ?", "select * from d{i}.x", "select last_insert_id()", "set @a = ?", "select ? into @b", "select @c := ?", "select database()", "commit",
}

func (g *myGenerator) request() request {
	switch g.r.IntN(14) {
	case 0, 1:
		return myRequest{command: protocol.COM_STMT_PREPARE, statement: g.pick("a", "b"), text: g.pick(myStatements...)}
	case 2, 3:
		return myRequest{command: protocol.COM_STMT_EXECUTE, statement: g.pick("a", "b"), values: []string{g.pick("1", "2", "x")}}
	case 4:
		return myRequest{command: protocol.COM_STMT_EXECUTE, statement: g.pick("a", "b")}
	case 5:
		if g.r.IntN(3) == 0 {
			return myRequest{command: protocol.COM_STMT_CLOSE, statement: g.pick("a", "b")}
		}
		return query(g.statement() + "; " + g.statement() + g.pick("", "; select 3"))
	case 6:
		if g.r.IntN(4) == 0 {
			return myRequest{command: protocol.COM_RESET_CONNECTION}
		}
	case 7:
		if g.r.IntN(4) == 0 {
			return myRequest{command: protocol.COM_INIT_DB, text: g.pick("d{i}", "e{i}", "nowhere")}
		}
	}
	return query(g.statement())
}

// allSettings shows the settings that scripts change.
func (g *myGenerator) allSettings() string {
	sql := "select database(), @@transaction_isolation, @@transaction_read_only"
	if g.maria {
		sql = "select database(), @@tx_isolation, @@tx_read_only"
	}
	for _, s := range mySettings {
		switch s.name {
		case "no_such_setting", "version", "timestamp", "last_insert_id", "insert_id":
		default:
			sql += ", @@" + s.name
		}
	}
	return sql
}

func (g *myGenerator) look() string {
	return g.pick("select 1", "select database()", "select from_unixtime(86400)", "select 'a' \"b\"", "select 'x' || 'y'", "select 1/3", "select group_concat(name order by id) from t", "select name from t order by 1",
		"select * from t order by id", "select count(*) from e{i}.t", "select current_user()", "select 'ü', length('ü')", "select @@autocommit", "show tables", "show variables like 'sql_mode'",
		"/*!50000 select 5 */", "/* look */ select 2 -- end", "select date_format('2020-03-04', '%M')", g.allSettings(), g.allSettings())
}

func (g *myGenerator) setting() string {
	s := mySettings[g.r.IntN(len(mySettings))]
	value := g.pick(s.values...)
	switch g.r.IntN(14) {
	case 0:
		return "set " + s.name + " = default"
	case 1:
		return "set session " + s.name + " = 'no such value'"
	case 2:
		return g.pick("set names latin1", "set names utf8mb4 collate utf8mb4_bin", "set names utf8mb4", "set character set latin1", "set names nothing")
	case 3:
		return g.pick("set session transaction isolation level serializable", "set session transaction read only", "set session transaction isolation level read committed", "set session transaction read write")
	case 4:
		return g.pick("set global sql_mode = ''", "set @@session.sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')", "set sql_mode = 'ANSI', time_zone = '+01:00'", "set sql_mode = 'ANSI', no_such = 1",
			"set @@sql_mode := 'TRADITIONAL', @a := 4", "/*!40101 set names latin1 */", "/*!50000 set time_zone = '+05:00' */", "set autocommit = off", "set autocommit = on")
	}
	return "set " + g.pick("", "session ", "@@session.", "@@", "local ") + s.name + g.pick(" = ", " := ") + value
}

func (g *myGenerator) transaction() string {
	if g.inTx = !g.inTx; g.inTx {
		return g.pick("begin", "begin", "start transaction", "start transaction read only", "start transaction with consistent snapshot", "set transaction read only", "set transaction isolation level serializable")
	}
	if g.r.IntN(2) == 0 {
		g.inTx = true
		return g.pick("savepoint a", "savepoint a", "savepoint b", "rollback to a", "release savepoint a", "rollback to savepoint b", "commit and chain", "set transaction read write")
	}
	return g.pick("commit", "commit", "rollback", "rollback")
}

func (g *myGenerator) table() string {
	return g.pick("insert into d{i}.t (name) values ('new')", "insert into t (name) values ('a'), ('b')", "update d{i}.t set name = concat(name, '+') where id = 1", "delete from d{i}.t where id = 2",
		"insert into d{i}.u values (1, 1)", "insert ignore into d{i}.u values (1, 2)", "insert ignore into d{i}.u values (3, 999)", "replace into d{i}.u values (1, 3)", "select * from d{i}.u order by 1 for update",
		"create table d{i}.x (a int)", "alter table d{i}.x add b int default 2", "drop table d{i}.x", "drop table if exists d{i}.x", "insert into d{i}.x (a) values (1)", "select * from d{i}.x",
		"insert into d{i}.u values (4, 4) on duplicate key update n = 5", "truncate e{i}.t", "update d{i}.u set n = n + 100")
}

func (g *myGenerator) variable() string {
	return g.pick("set @a = 1", "set @a = 'text'", "set @b = 1.5", "set @a = null", "set @a := @b, @b = 2", "select @a := @a + 1", "select 5, 'six' into @a, @b", "select @a, @b, @p", "select @a, @b, @p", "select max(id) into @a from d{i}.t",
		"set @c = _latin1'x' collate latin1_bin", "select @c, collation(@c)", "set @a = 1e-7, @b = -5, @c = x'00ff'", "select @a, hex(@b), @c, coercibility(@a), charset(concat(@b, ''))",
		"set @a = @a, @b = @a", "select @a := 7, (select 1 union select 2)", "select @a := @b, @c := 'in one'; select @a, @c", "set @b = cast(9 as unsigned), @a = 'A' collate utf8mb4_bin", "select @d := id from d{i}.t order by id", "set @d = now() is null", "select @d", "set @`q u` = 3", "select @`q u`")
}

func (g *myGenerator) value() string {
	if g.open && g.r.IntN(2) == 0 {
		// A statement without tables leaves the list of warnings as it is; what the proxy keeps of it goes with the next statement.
		return g.pick("select found_rows()", "select row_count()", "show warnings", "show errors", "show count(*) warnings", "select @@warning_count", "select @@error_count")
	}
	return g.pick("select last_insert_id()", "select last_insert_id()", "select last_insert_id(42)",
		"select @@last_insert_id", "select @@identity", "select sql_calc_found_rows name from d{i}.t limit 1", "insert into d{i}.t (name) values (last_insert_id())", "select cast('1x' as signed)", "get diagnostics @n = number")
}

func (g *myGenerator) mistake() string {
	return g.pick("selekt", "select * from nowhere.at_all", "select nothing()", "insert into d{i}.u values (1, 9)", "select 1; selekt", "set @a = (select 1 union select 2)", "set @a = 3, time_zone = 'nowhere'", "signal sqlstate '45000' set message_text = 'mine'", "use nowhere", "")
}

func (g *myGenerator) temporaryTable() string {
	return g.pick("create temporary table t (id int, name varchar(20))", "create temporary table d{i}.t as select 99 as id, 'temporary' as name", "drop temporary table t", "drop temporary table if exists d{i}.t", "create temporary table d{i}.k (n int)",
		"insert into d{i}.k values (1), (2)", "select * from d{i}.k order by 1", "drop temporary table d{i}.k", "drop table if exists d{i}.k", "alter table d{i}.k add m int", "create temporary table if not exists d{i}.k (n int)")
}

func (g *myGenerator) lock() string {
	return g.pick("select get_lock('l{i}a', 0)", "select get_lock('l{i}a', 0)", "select release_lock('l{i}a')", "select release_lock('l{i}a')", "select get_lock('l{i}b', 0)", "select release_lock('l{i}b')", "select release_all_locks()",
		"select is_free_lock('l{i}a'), is_free_lock('l{i}b')", "lock tables d{i}.t write", "unlock tables", "do get_lock('l{i}c', 0)", "select release_lock('l{i}c')")
}

func (g *myGenerator) prepareSQL() string {
	return g.pick("prepare p from 'select 7'", "prepare p from 'select ? + 1'", "execute p", "execute p using @a", "deallocate prepare p", "drop prepare p", "set @s = 'set time_zone = ''+02:00'''", "prepare q from @s", "execute q")
}

func (g *myGenerator) routine() string {
	return g.pick("call d{i}.p(1)", "call d{i}.p(2)", "call d{i}.setter('+03:00')", "call d{i}.setter('nowhere')", "call d{i}.failer()", "select d{i}.f(1)", "select @p, @f", "do d{i}.f(2)")
}

func (g *myGenerator) database() string {
	return g.pick("use d{i}", "use e{i}", "use d{i}", "select database()", "select * from t order by id", "use nowhere")
}
