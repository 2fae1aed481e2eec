package differential

import (
	"fmt"
	"strings"
)

// pgSettings are settings that everybody may set, and values of them.
var pgSettings = []struct {
	name   string
	values []string
}{
	{"work_mem", []string{"'9MB'", "5000", "'64kB'", "'1GB'"}},
	{"search_path", []string{"d{i}", "e{i}", "d{i}, e{i}", "e{i}, d{i}, public", "'public'", "''", `"$user"`, "pg_catalog, d{i}", "nowhere", "pg_temp, e{i}"}},
	{"timezone", []string{"'UTC'", "'America/Lima'", "'Asia/Tokyo'", "'Europe/Berlin'", "'-3'"}},
	{"datestyle", []string{"'ISO'", "'German'", "'SQL, DMY'", "'ISO, YMD'", "'Postgres'"}},
	{"intervalstyle", []string{"'postgres'", "'iso_8601'", "'sql_standard'"}},
	{"application_name", []string{"'one'", "'two'", "''", "'with '' quote'", "'ünï'"}},
	{"client_encoding", []string{"'UTF8'", "'LATIN1'", "'SQL_ASCII'", "'WIN1252'", "'SJIS'", "'EUC_JP'", "'GB18030'"}},
	{"standard_conforming_strings", []string{"on", "off"}},
	{"extra_float_digits", []string{"0", "-3", "3"}},
	{"bytea_output", []string{"'hex'", "'escape'"}},
	{"statement_timeout", []string{"0", "'10min'", "600000"}},
	{"lock_timeout", []string{"0", "'9min'"}},
	{"default_transaction_isolation", []string{"'serializable'", "'read committed'", "'repeatable read'"}},
	{"default_transaction_read_only", []string{"on", "off"}},
	{"default_transaction_deferrable", []string{"on", "off"}},
	{"enable_seqscan", []string{"on", "off"}},
	{"plan_cache_mode", []string{"force_generic_plan", "force_custom_plan", "auto"}},
	{"client_min_messages", []string{"'warning'", "'error'", "'notice'", "'debug1'"}},
	{"check_function_bodies", []string{"on", "off"}},
	{"array_nulls", []string{"on", "off"}},
	{"xmloption", []string{"'document'", "'content'"}},
	{"my.own", []string{"'x'", "'y'", "1", "''", "'line\nbreak'"}},
	{"my.other", []string{"'a'", `'back\slash'`}},
	{"temp_buffers", []string{"'9MB'", "200"}},
	{"default_text_search_config", []string{"'pg_catalog.simple'", "'pg_catalog.german'"}},
	{"session_replication_role", []string{"replica", "origin"}}, // permission denied
	{"log_statement", []string{"'all'"}},                        // permission denied
	{"max_connections", []string{"5"}},                          // cannot be changed
	{"no_such_setting", []string{"1"}},
}

// pgInvalid are values that none of the settings takes that are not text.
var pgInvalid = []string{"'no such value'", "-17.5", "'99999999999TB'"}

// pgAllSettings shows the settings that scripts change, as they are. A setting of parts that nobody knows is NULL, but one
// that was set once on a connection, by whomever, is empty and stays so: no statement undoes it.
var pgAllSettings = func() string {
	var names []string
	for _, s := range pgSettings {
		names = append(names, "'"+s.name+"'")
	}
	return "select string_agg(n || '=' || coalesce(current_setting(n, true), ''), ', ') from unnest(array[" + strings.Join(names, ",") +
		", 'role', 'session_authorization', 'transaction_isolation', 'transaction_read_only']) n where n not like 'log%'"
}()

func (g *pgGenerator) look() string {
	s := pgSettings[g.r.IntN(len(pgSettings)-4)]
	if g.r.IntN(3) == 0 {
		if strings.Contains(s.name, ".") {
			return "select coalesce(current_setting('" + s.name + "', true), '')"
		}
		return g.pick("show "+s.name, "select current_setting('"+s.name+"', true)")
	}
	return g.pick("select 1", "select current_schema, current_schemas(false)", "select current_user, session_user", "show role",
		"show session_authorization", "show transaction_isolation", "show transaction_read_only",
		"select timestamptz '2020-06-01 12:00+00', interval '1 day 2 hours', '\\xff00'::bytea, 0.1::float8, 'ü'",
		"select name from t order by 1", "select * from t order by 1, 2", "select * from u order by 1", "select count(*) from e{i}.t", pgAllSettings, pgAllSettings,
		"select 'a\\nb', date '2020-03-04'", "values (1), (2)", "table t order by 1, 2", "/* look */ select 2 -- end", "")
}

func (g *pgGenerator) setting() string {
	s := pgSettings[g.r.IntN(len(pgSettings))]
	if s.name == "temp_buffers" && g.temporary {
		s = pgSettings[0] // it cannot be changed on a connection that had a temporary table, whosever
	}
	value := g.pick(s.values...)
	if g.r.IntN(12) == 0 {
		value = g.pick(pgInvalid...)
	}
	scope := g.pick("", "", "session ")
	if g.r.IntN(10) < g.local {
		scope = "local "
	}
	quoted := value
	if value[0] != '\'' {
		quoted = "'" + value + "'"
	}
	switch g.r.IntN(14) {
	case 0:
		return "reset " + s.name
	case 1:
		return "set " + scope + s.name + " to default"
	case 2:
		return fmt.Sprintf("select set_config('%s', %s, %t)", s.name, quoted, scope == "local ")
	case 3:
		return "set " + scope + "time zone " + g.pick("'UTC'", "'America/Lima'", "local", "default", "-3", "interval '-02:30' hour to minute", "'nowhere'")
	case 4:
		return g.pick("set names 'LATIN1'", "set names default", "set names 'UTF8'", "set local names 'LATIN1'", "set names 'nothing'")
	case 5:
		return "set session characteristics as transaction " + g.pick("isolation level serializable", "read only", "read write, isolation level read committed", "deferrable")
	case 6:
		return g.pick("reset all", "reset all", "set local work_mem = '7MB'", "set schema 'e{i}'", "set xml option document", "set session schema 'd{i}'")
	case 7:
		return g.pick("update pg_settings set setting = '9216' where name = 'work_mem'", "select set_config(name, 'z', false) from (values ('my.own'), ('my.other')) v (name)",
			"select set_config('search_path', 'd{i}', false), set_config('timezone', 'UTC', false)", "with c as (select set_config('my.own', 'w', false)) select * from c",
			"explain (analyze, costs off, timing off, summary off, buffers off) select set_config('my.own', 'e', false)")
	}
	return "set " + scope + s.name + g.pick(" = ", " to ") + value
}

func (g *pgGenerator) transaction() string {
	if g.inTx = !g.inTx; g.inTx {
		return g.pick("begin", "begin", "start transaction", "begin isolation level serializable", "begin read only", "begin isolation level repeatable read, read write")
	}
	if g.r.IntN(2) == 0 {
		g.inTx = true
		return g.pick("savepoint a", "savepoint a", "savepoint b", "rollback to a", "rollback to savepoint b", "release a", "release b", "set transaction read only",
			"set transaction isolation level serializable", "set local my.own = 'l'", "commit and chain", "rollback and chain", "set constraints all deferred")
	}
	return g.pick("commit", "commit", "rollback", "rollback", "end", "abort")
}

func (g *pgGenerator) table() string {
	return g.pick("insert into t (name) values ('new') returning name", "insert into t (id, name) values (3, 'three')", "update t set name = name || '+' where id = 1 returning *",
		"delete from t where id = 3", "insert into d{i}.u values (2, 'two')", "insert into d{i}.u values (2, 'bad')", "insert into d{i}.u values (3, 'three') on conflict do nothing",
		"create table d{i}.x (a int)", "alter table d{i}.x add b text default 'b'", "drop table d{i}.x", "drop table if exists d{i}.x", "insert into d{i}.x values (1)",
		"select * from d{i}.x", "copy (table t order by 1, 2) to stdout", "copy (select 1, 'x') to stdout", "lock table d{i}.u", "select * from d{i}.u order by 1 for update", "truncate e{i}.t",
		"create table d{i}.x as select 1 as one", "vacuum d{i}.x")
}

func (g *pgGenerator) mistake() string {
	return g.pick("select 1/0", "selekt", "select * from nowhere", "select 'x'::int", "select nothing()", "insert into d{i}.u values (1, 'again')", "select $1", "set", "begin; select 1/0",
		"raise", "select 1 as \"unclosed", "show no_such_setting", "select current_setting('no.such')", "set my.own = 'kept'; select 1/0", "begin; set my.own = 'kept'; commit; select 1/0")
}

func (g *pgGenerator) role() string {
	return g.pick("set role r{i}", "set role r{i}", "set local role r{i}", "set role none", "reset role", "set session authorization app", "set session authorization default", "reset session authorization",
		"set local session authorization app", "set role nobody_at_all", "select set_config('role', 'r{i}', false)", "set role = 'r{i}'", "set role to default", "set session authorization r{i}",
		"set role app", "select current_user", "insert into d{i}.t (id) values (4)")
}

func (g *pgGenerator) temporaryTable() string {
	return g.pick("create temp table t (id int, name text)", "create temp table t as select 99 as id, 'temporary' as name", "insert into t values (5, 'tmp')", "drop table pg_temp.t", "drop table pg_temp.t",
		"create temp table k (n int) on commit drop", "create temp table k (n int) on commit delete rows", "insert into k values (1), (2)", "select * from k order by 1", "drop table if exists k",
		"create temp view v as select 7 as seven", "select * from v", "drop view v", "discard temp", "create table pg_temp.k (n int)", "select 8 as eight into temp w", "select * from w", "drop table w",
		"create temp sequence ts", "select nextval('ts')", "drop sequence ts", "alter table k rename to w", "create function pg_temp.f() returns int language sql as 'select 5'", "select pg_temp.f()",
		"select to_regclass('k') is null, to_regclass('pg_temp.t') is null")
}

const pgLocks = "select objid, count(*) from pg_locks where locktype = 'advisory' and classid = 400{i} and database = (select oid from pg_database where datname = current_database()) group by 1 order by 1"

func (g *pgGenerator) lock() string {
	return g.pick("select pg_advisory_lock(400{i}, 1)", "select pg_advisory_unlock(400{i}, 1)", "select pg_advisory_unlock(400{i}, 1)", "select pg_try_advisory_lock(400{i}, 2)", "select pg_advisory_unlock(400{i}, 2)",
		"select pg_advisory_lock_shared(400{i}, 3)", "select pg_advisory_unlock_shared(400{i}, 3)", "select pg_advisory_xact_lock(400{i}, 4)", "select pg_advisory_unlock_all()", pgLocks, pgLocks)
}

func (g *pgGenerator) sequence() string {
	return g.pick("select nextval('d{i}.q')", "select currval('d{i}.q')", "select lastval()", "select setval('d{i}.q', 100)", "discard sequences", "select nextval('d{i}.q'), nextval('d{i}.q')")
}

func (g *pgGenerator) prepareSQL() string {
	return g.pick("prepare p as select 7", "prepare p (int) as select $1 + 1", "execute p", "execute p (1)", "deallocate p", "deallocate all", "prepare o as insert into d{i}.t (id) values (6)", "execute o", "deallocate prepare o",
		"execute a (1)", "deallocate a", "prepare s as select set_config('my.own', 'p', false)", "execute s", "prepare a as select 'SQL'", "execute a")
}

func (g *pgGenerator) cursor() string {
	return g.pick("declare c cursor for select generate_series(1, 9)", "declare h cursor with hold for select generate_series(1, 9)", "declare h scroll cursor with hold for select name from t order by 1",
		"fetch c", "fetch 2 from c", "fetch 2 from h", "fetch h", "move h", "close c", "close h", "close all", "select name, is_holdable from pg_cursors where name <> '' order by 1")
}

func (g *pgGenerator) channel() string {
	return g.pick("listen ch{i}", "listen ch{i}", "unlisten ch{i}", "unlisten *", "notify ch{i}, 'x'", "select pg_notify('ch{i}', 'y')", "select pg_listening_channels()")
}

func (g *pgGenerator) function() string {
	s := pgSettings[g.r.IntN(8)]
	v := strings.Trim(g.pick(s.values...), "'")
	v = strings.ReplaceAll(v, "'", "''")
	args := fmt.Sprintf("('%s', '%s')", s.name, strings.ReplaceAll(v, "''''", "''"))
	return g.pick("select d{i}.setter"+args, "select d{i}.local_setter"+args, "select d{i}.failer"+args, "select d{i}.catcher"+args, "select d{i}.clause()", "select d{i}.maker()", "select * from made", "drop table made",
		"select d{i}.locker()", "select pg_advisory_unlock(400{i}, 9)", "select d{i}.pure(1)", "call d{i}.proc"+args, "do $$ begin perform set_config('my.own', 'do', false); end $$",
		"do $$ begin set local my.own = 'do'; end $$", "do $$ begin raise notice 'told'; end $$", "do $$ begin create temp table made as select 2 as two; end $$", "do $$ begin raise 'wrong'; end $$")
}

func (g *pgGenerator) discard() string {
	return g.pick("discard all", "discard all", "discard plans", "discard temp", "discard sequences", "reset all", "deallocate all", "close all", "unlisten *", "select pg_advisory_unlock_all()", "reset session authorization")
}

// deferred is what fails when a transaction is committed.
func (g *pgGenerator) deferred() string {
	return g.pick("insert into d{i}.f (id, n) values (4, 1)", "insert into d{i}.f values (2, 9)", "insert into d{i}.f values (3, 1, 3) returning *", "update d{i}.f set n = n + 1",
		"delete from d{i}.f where id > 1", "set constraints all immediate", "set constraints all deferred", "set constraints d{i}.f_n_key immediate",
		"begin; insert into d{i}.f (id, n) values (4, 1); commit", "begin; set work_mem = '8MB'; insert into d{i}.f values (5, 6); end", "select id, ref, n from d{i}.f order by 1, 2",
		"set my.own = 'deferred'; insert into d{i}.f (id, n) values (4, 1)", "begin; insert into d{i}.f (id, n) values (4, 1); commit and chain", "rollback prepared 'nobody''s'")
}
