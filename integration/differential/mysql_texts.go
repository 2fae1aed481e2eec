package differential

// mySettings are settings that everybody may set, and values of them.
var mySettings = []struct {
	name   string
	values []string
}{
	{"sql_mode", []string{"''", "'ANSI_QUOTES'", "'STRICT_ALL_TABLES'", "'NO_BACKSLASH_ESCAPES'", "'PIPES_AS_CONCAT'", "'ANSI'", "'TRADITIONAL'", "'NO_AUTO_VALUE_ON_ZERO'", "'HIGH_NOT_PRECEDENCE,IGNORE_SPACE'"}},
	{"time_zone", []string{"'+00:00'", "'-03:00'", "'+09:00'", "'SYSTEM'"}},
	{"autocommit", []string{"0", "1", "1"}},
	{"sql_select_limit", []string{"1", "100"}},
	{"group_concat_max_len", []string{"5", "2000"}},
	{"max_sort_length", []string{"100", "1024"}},
	{"sql_safe_updates", []string{"1", "0"}},
	{"foreign_key_checks", []string{"0", "1"}},
	{"unique_checks", []string{"0", "1"}},
	{"sql_auto_is_null", []string{"1", "0"}},
	{"character_set_results", []string{"latin1", "utf8mb4", "null", "binary"}},
	{"collation_connection", []string{"utf8mb4_bin", "utf8mb4_general_ci", "latin1_bin"}},
	{"character_set_client", []string{"latin1", "utf8mb4", "gbk"}},
	{"character_set_connection", []string{"latin1", "utf8mb4"}},
	{"lc_time_names", []string{"'de_DE'", "'en_US'"}},
	{"lc_messages", []string{"'en_US'"}},
	{"div_precision_increment", []string{"2", "8"}},
	{"default_week_format", []string{"3", "0"}},
	{"innodb_lock_wait_timeout", []string{"40", "50"}},
	{"lock_wait_timeout", []string{"100", "200"}},
	{"wait_timeout", []string{"1000", "2000"}},
	{"interactive_timeout", []string{"1500", "2500"}},
	{"sql_warnings", []string{"1", "0"}},
	{"sql_notes", []string{"0", "1"}},
	{"sql_quote_show_create", []string{"0", "1"}},
	{"sql_big_selects", []string{"0", "1"}},
	{"max_error_count", []string{"0", "2", "64"}},
	{"updatable_views_with_limit", []string{"0", "1"}},
	{"default_storage_engine", []string{"'InnoDB'", "'MyISAM'"}},
	{"auto_increment_increment", []string{"5", "1"}},
	{"auto_increment_offset", []string{"3", "1"}},
	{"cte_max_recursion_depth", []string{"5", "1000"}}, // MySQL's
	{"completion_type", []string{"'CHAIN'", "'NO_CHAIN'"}},
	{"timestamp", []string{"1000000000", "1500000000.5"}},
	{"insert_id", []string{"500"}},
	{"last_insert_id", []string{"77"}},
	{"rand_seed1", []string{"5"}},
	{"pseudo_thread_id", []string{"5"}},
	{"sql_log_bin", []string{"0"}},
	{"no_such_setting", []string{"1"}},
	{"version", []string{"'x'"}},
}

// allSettings shows the settings that scripts change.
func (g *myGenerator) allSettings() string {
	sql := "select database(), @@transaction_isolation, @@transaction_read_only"
	if g.maria {
		sql = "select database(), @@tx_isolation, @@tx_read_only"
	}
	for _, s := range mySettings {
		switch s.name {
		case "no_such_setting", "version", "timestamp", "last_insert_id", "insert_id", "rand_seed1", "pseudo_thread_id":
		case "cte_max_recursion_depth":
			if !g.maria {
				sql += ", @@" + s.name
			}
		default:
			sql += ", @@" + s.name
		}
	}
	return sql
}

func (g *myGenerator) look() string {
	return g.pick("select 1", "select database()", "select from_unixtime(86400)", "select 'a' \"b\"", "select 'x' || 'y'", "select 1/3", "select group_concat(name order by id) from t", "select name from t order by 1",
		"select * from t order by id", "select count(*) from e{i}.t", "select count (*) from t", "select current_user()", "select 'ü', length('ü'), '\\\\'", "select @@autocommit", "show tables", "show variables like 'sql_mode'",
		"select date_format('2020-03-04', '%M')", "select not 1 between -5 and 5", "select charset('a'), collation('a')", "select * from d{i}.u order by 1", "select * from d{i}.v", "select n from d{i}.w order by 1",
		g.allSettings(), g.allSettings(), g.allSettings())
}

func (g *myGenerator) setting() string {
	s := mySettings[g.r.IntN(len(mySettings))]
	value := g.pick(s.values...)
	switch g.r.IntN(16) {
	case 0:
		return "set " + s.name + " = default"
	case 1:
		return "set session " + s.name + " = 'no such value'"
	case 2, 3:
		return g.pick("set names latin1", "set names utf8mb4 collate utf8mb4_bin", "set names utf8mb4", "set character set latin1", "set names nothing", "set names 'utf8mb4' collate 'utf8mb4_unicode_ci'", "set names default",
			"set character set default", "set charset utf8mb4", "set names binary", "set names gbk")
	case 4:
		return g.pick("set session transaction isolation level serializable", "set session transaction read only", "set session transaction isolation level read committed", "set session transaction read write",
			"set local transaction isolation level repeatable read, read only")
	case 5, 6:
		return g.pick("set global max_error_count = default", "set @@session.sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')", "set sql_mode = 'ANSI', time_zone = '+01:00'", "set sql_mode = 'ANSI', no_such = 1",
			"set @@sql_mode := 'TRADITIONAL', @a := 4", "/*!40101 set names latin1 */", "/*!50000 set time_zone = '+05:00' */", "set autocommit = off", "set autocommit = on", "set @old = @@sql_mode, sql_mode = 'ANSI'", "set sql_mode = @old",
			"set time_zone = '+04:00', time_zone = 'nowhere'", "set group_concat_max_len = (select 900)", "set names latin1, time_zone = '+06:00'", "set @@session.time_zone = '-01:00', @@session.autocommit = 1",
			"set rand_seed1 = 3, rand_seed2 = 4; select rand()", "set rand_seed1 = 3, rand_seed2 = 4", "select unix_timestamp() in (1000000000, 1500000000)", "set lc_time_names = 44", "set session sql_mode = 0", "set sql_mode = 4")
	}
	return "set " + g.pick("", "session ", "@@session.", "@@", "local ") + s.name + g.pick(" = ", " := ") + value
}

func (g *myGenerator) transaction() string {
	if g.inTx = !g.inTx; g.inTx {
		return g.pick("begin", "begin", "start transaction", "start transaction read only", "start transaction with consistent snapshot", "set transaction read only", "set transaction isolation level serializable",
			"set transaction isolation level read uncommitted, read write")
	}
	if g.r.IntN(2) == 0 {
		g.inTx = true
		return g.pick("savepoint a", "savepoint a", "savepoint b", "rollback to a", "release savepoint a", "rollback to savepoint b", "commit and chain", "rollback and chain", "set transaction read write", "begin")
	}
	return g.pick("commit", "commit", "rollback", "rollback", "commit and no chain no release")
}

func (g *myGenerator) table() string {
	return g.pick("insert into d{i}.t (name) values ('new')", "insert into t (name) values ('a'), ('b')", "update d{i}.t set name = concat(name, '+') where id = 1", "delete from d{i}.t where id = 2",
		"update d{i}.t set name = name where id < 3",
		"insert into d{i}.u values (1, 1)", "insert ignore into d{i}.u values (1, 2)", "insert ignore into d{i}.u values (3, 999)", "replace into d{i}.u values (1, 3)", "select * from d{i}.u order by 1 for update",
		"create table d{i}.y (a int)", "drop table if exists d{i}.y", "alter table d{i}.x add b int default 2", "alter table d{i}.x drop b", "alter table d{i}.x modify a bigint", "drop table d{i}.x", "create table if not exists d{i}.x (a int)",
		"insert into d{i}.x (a) values (1)", "select * from d{i}.x",
		"insert into d{i}.u values (4, 4) on duplicate key update n = 5", "truncate e{i}.t", "update d{i}.u set n = n + 100", "insert into d{i}.w values (1), (2)", "create table d{i}.y as select 1 as a", "rename table d{i}.x to d{i}.y",
		"load data local infile 'file' into table d{i}.u fields terminated by ',' optionally enclosed by ''''")
}

func (g *myGenerator) insertID() string {
	if g.r.IntN(3) == 0 {
		return g.pick("select last_insert_id()", "select last_insert_id()", "select @@last_insert_id", "select @@identity", "select last_insert_id() + 1", "select last_insert_id(), row_count()", "select last_insert_id() from d{i}.u")
	}
	return g.pick("insert into d{i}.a (k) values (1)", "insert into d{i}.a (k) values (2), (3)", "insert into d{i}.a (id, k) values (50, 4)", "insert into d{i}.a (id, k) values (0, 5)", "insert into d{i}.a (id, k) values (null, 6), (90, 7)",
		"insert into d{i}.a (k) values (1) on duplicate key update n = n + 1", "insert into d{i}.a (k) values (1) on duplicate key update id = last_insert_id(id), n = n + 1", "insert ignore into d{i}.a (k) values (1)", "insert ignore into d{i}.a (k) values (1), (8)",
		"replace into d{i}.a (k) values (1)", "select last_insert_id(42)", "select last_insert_id(id) from d{i}.a where k = 1", "update d{i}.a set n = last_insert_id(n + 1) where k = 1", "insert into d{i}.t (name) values (last_insert_id())",
		"select * from d{i}.a where id = last_insert_id()", "select id, k from d{i}.a where id is null", "insert into d{i}.a (k) select last_insert_id() + 20", "do last_insert_id(9)", "set @l = last_insert_id()", "select last_insert_id(-1)",
		"insert into d{i}.a (k) select k + 100 from (select k from d{i}.a) as s", "insert into d{i}.a (k) values (1), (30)", "set last_insert_id = 12", "set @@session.insert_id = 300", "insert into t (name) values ('more')", "delete from d{i}.a where id = last_insert_id()",
		"select d{i}.adder(60)", "call d{i}.adds('called')", "insert into d{i}.a (k) values ('x')", "insert into d{i}.w values (last_insert_id())", "update d{i}.u set n = last_insert_id(3)")
}

func (g *myGenerator) variable() string {
	return g.pick("set @a = 1", "set @a = 'text'", "set @b = 1.5", "set @a = null", "set @a := @b, @b = 2", "select @a := @a + 1", "select 5, 'six' into @a, @b", "select @a, @b, @p", "select @a, @b, @p", "select max(id) into @a from d{i}.t",
		"set @c = _latin1'x' collate latin1_bin", "select @c, collation(@c)", "set @a = 1e-7, @b = -5, @c = x'00ff'", "select @a, hex(@b), @c, coercibility(@a), charset(concat(@b, ''))",
		"set @a = @a, @b = @a", "select @a := 7, (select 1 union select 2)", "select @a := @b, @c := 'in one'; select @a, @c", "set @b = cast(9 as unsigned), @a = 'A' collate utf8mb4_bin", "select @d := id from d{i}.t order by id", "set @d = now() is null", "select @d", "set @`q u` = 3", "select @`q u`", "call d{i}.changes(@a, @b)", "select @e := 1, nothing()", "set @f = (select count(*) from d{i}.t)")
}

// value makes statements about the one before.
func (g *myGenerator) value() string {
	if g.r.IntN(2) == 0 {
		return g.pick("select row_count()", "show warnings", "show errors", "show count(*) warnings", "show count(*) errors", "select @@warning_count", "select @@error_count",
			"show warnings limit 1", "get diagnostics @n = number, @r = row_count", "get diagnostics condition 1 @m = message_text", "select @n, @r, @m", "select row_count() as n", "select @@session.warning_count + 1",
			"select found_rows()", "select found_rows() as n", "select row_count(), found_rows()", "select found_rows() + 0")
	}
	return g.pick("select sql_calc_found_rows name from d{i}.t limit 1", "select name from d{i}.t limit 1", "select name from d{i}.t union select 'x'", "with c as (select name from d{i}.t) select * from c limit 1", "select * from (select 1 union select 2) s", "select cast('1x' as signed)", "insert ignore into d{i}.u values (8, 1000)", "drop table if exists d{i}.nothing",
		"update d{i}.t set name = 'z' where id < 3", "delete from d{i}.t where id > 100", "select * from d{i}.nothing", "select 1/0 from d{i}.t", "create table if not exists d{i}.t (id int)", "select 1", "select count(*) from d{i}.t", "signal sqlstate '01000' set message_text = 'careful'",
		"do 1/0", "set @a = 1/0", "call d{i}.warner()", "call d{i}.adds('x')", "select 5 from d{i}.t where 0", "commit", "use d{i}", "insert into d{i}.u select id + 50, 300 from d{i}.t")
}

func (g *myGenerator) mistake() string {
	return g.pick("selekt", "select * from nowhere.at_all", "select nothing()", "insert into d{i}.u values (1, 9)", "select 1; selekt", "set @a = (select 1 union select 2)", "set @a = 3, time_zone = 'nowhere'", "signal sqlstate '45000' set message_text = 'mine'",
		"use nowhere", "", ";", "select 1;", "/* nothing */", "insert into d{i}.u values (20, 1), (1, 2), (21, 3)", "select 'unclosed", "select count(*) from d{i}.t where (select id from d{i}.t) = 1", "select 2; insert into d{i}.u values (1, 1); select 3", "release savepoint nothing",
		"call d{i}.nothing()", "insert into d{i}.t (nothing) values (1)", "grant nothing to app", "help 'nothing'")
}

func (g *myGenerator) temporaryTable() string {
	return g.pick("create temporary table t (id int, name varchar(20))", "create temporary table d{i}.t as select 99 as id, 'temporary' as name", "drop temporary table t", "drop temporary table if exists d{i}.t", "create temporary table d{i}.k (n int)",
		"insert into d{i}.k values (1), (2)", "select * from d{i}.k order by 1", "drop temporary table d{i}.k", "drop table if exists d{i}.k", "alter table d{i}.k add m int", "create temporary table if not exists d{i}.k (n int)", "alter table d{i}.k rename to d{i}.k2", "drop table d{i}.k2",
		"create temporary table d{i}.k like d{i}.t", "create temporary table d{i}.bad (n nothing)", "truncate d{i}.k", "call d{i}.uses()", "select * from pt", "drop temporary table if exists d{i}.k, d{i}.k2, t", "create temporary table e{i}.k (id int auto_increment primary key)",
		"show create table d{i}.k", "insert into e{i}.k values (), ()")
}

func (g *myGenerator) lock() string {
	return g.pick("select get_lock('l{i}a', 0)", "select get_lock('l{i}a', 0)", "select release_lock('l{i}a')", "select release_lock('l{i}a')", "select get_lock('l{i}b', 0)", "select release_lock('l{i}b')", "select release_all_locks()",
		"select is_free_lock('l{i}a'), is_free_lock('l{i}b'), is_free_lock('l{i}c')", "lock tables d{i}.t write", "lock tables d{i}.t read, d{i}.u write", "unlock tables", "do get_lock('l{i}c', 0)", "select release_lock('l{i}c')", "select get_lock('l{i}a', 0), get_lock('l{i}d', 0)",
		"select is_used_lock('l{i}a') is null", "do release_lock('l{i}d')", "select get_lock(concat('l{i}', 'b'), 0)", "set @g = get_lock('l{i}c', 0)", "select get_lock('L{i}A', 1)", "lock tables d{i}.nothing read", "select get_lock(null, 0)", "select release_lock('nobody{i}')")
}

func (g *myGenerator) handler() string {
	return g.pick("handler d{i}.t open", "handler d{i}.t open as h", "handler h read first", "handler t read first", "handler h read next", "handler h close", "handler t close", "handler h close", "handler d{i}.nothing open", "handler t read `PRIMARY` last",
		"handler d{i}.u open h2", "handler h2 close", "alter table d{i}.x modify a int")
}

func (g *myGenerator) xa() string {
	if g.r.IntN(3) == 0 {
		g.follow("insert into d{i}.u values (70, 1)", "xa end 'g{i}'", "xa prepare 'g{i}'", g.pick("xa commit 'g{i}'", "xa rollback 'g{i}'"))
		return numbered(g.number, "xa start 'g{i}'")
	}
	return g.pick("xa start 'g{i}'", "xa begin 'g{i}'", "xa end 'g{i}'", "xa end 'g{i}'", "xa rollback 'g{i}'", "xa rollback 'g{i}'", "xa commit 'g{i}' one phase", "xa commit 'g{i}' one phase", "xa commit 'nothing'", "insert into d{i}.u values (71, 1)", "xa start 'g{i}', 'b', 3")
}

func (g *myGenerator) prepareSQL() string {
	return g.pick("prepare p from 'select 7'", "prepare p from 'select ? + 1'", "execute p", "execute p", "execute p using @a", "deallocate prepare p", "drop prepare p", "set @s = 'set time_zone = ''+02:00'''", "prepare q from @s", "execute q", "prepare q from 'set @a = 5'",
		"prepare p from 'selekt'", "prepare p from 'insert into d{i}.t (name) values (''prepared'')'", "prepare q from 'create temporary table d{i}.k (n int)'", "deallocate prepare q", "prepare p from 'select * from d{i}.x'", "alter table d{i}.x add c int",
		"prepare p from 'select database(), @@sql_mode'", "prepare q from 'select get_lock(''l{i}a'', 0)'", "execute immediate 'select 8'", "execute p using @a, @b", "deallocate prepare nothing", "prepare p from 'call d{i}.p(3)'")
}

func (g *myGenerator) routine() string {
	return g.pick("call d{i}.p(1)", "call d{i}.p(2)", "call p(3)", "call d{i}.setter('+03:00')", "call d{i}.setter('nowhere')", "call d{i}.failer()", "select d{i}.f(1)", "select f(2)", "do d{i}.f(2)", "call d{i}.changes(@x, @y)", "select @x, @y", "call d{i}.warner()",
		"call d{i}.adds('by call')", "select d{i}.adder(70)", "call d{i}.p()", "select d{i}.nothing()", "select d{i}.f(id) from d{i}.t order by id", "select d{i}.fails(2)", "select d{i}.fails(1)", "call d{i}.ansi()", "select \"a\"", "insert into d{i}.w values (d{i}.f(3))", "call d{i}.uses()", "set @z = d{i}.f(9)")
}

// code makes routines that leave more than servers report. While they are there, nobody's calls leave nothing. What leaves a lock or a
// statement is called at once, and what it left is used: by chance alone hardly a script has the three in a row.
func (g *myGenerator) code() string {
	const locks, prepares = "create procedure d{i}.mine() begin do get_lock('l{i}a', 0); end", "create procedure d{i}.mine() prepare p from 'select 9'"
	sql := g.pick("create procedure d{i}.mine() begin set @p = 1; set @q = 'two'; end", locks, "call d{i}.mine()", "call d{i}.mine()", "drop procedure d{i}.mine", "select @p, @q", "select is_free_lock('l{i}a')",
		"create function d{i}.own(n int) returns int deterministic begin set @o = n; return n; end", "select d{i}.own(4)", "select @o", "drop function if exists d{i}.own", "select own(5)", "create procedure d{i}.mine() select row_count()",
		prepares, "execute p", "select 1")
	switch sql {
	case numbered(g.number, locks):
		g.follow("call d{i}.mine()", "select 1", "select release_lock('l{i}a')")
	case numbered(g.number, prepares):
		g.follow("call d{i}.mine()", "select 1", "execute p")
	}
	return sql
}

func (g *myGenerator) database() string {
	return g.pick("use d{i}", "use e{i}", "use d{i}", "select database()", "select * from t order by id", "use nowhere", "/* to */ use `e{i}`", "create database x{i}", "use x{i}", "drop database x{i}", "select @@character_set_database, @@collation_database", "create table x{i}.t (id int)",
		"create table z (s varchar(5)); show create table z; drop table z", "use information_schema")
}

func (g *myGenerator) comment() string {
	return g.pick("/*!50000 select 5 */", "/* look */ select 2 -- end", "select /*!99999 1 + */ 2", "select /*!50000 1 + */ 2", "select /*M! 1 + */ 2", "select /*M!100100 1 + */ 2", "select 3 # end", "select 4 --1", "/*!40101 set @old_mode = @@sql_mode, sql_mode = '' */", "select '/*' , '*/'",
		"/*! select 6 */", "select 1 /*!50000 ; select 2 */", "insert /*! ignore */ into d{i}.u values (1, 7)", "select /* unclosed", "select `a``b` from (select 1 as `a``b`) s", "select \"it's\", 'say \"x\"'", "select 'back\\\\slash', 'quote\\'s'")
}
