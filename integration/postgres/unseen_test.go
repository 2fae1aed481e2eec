package postgres

import (
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/berthdb/berth/integration/harness"
)

// hiding makes objects whose use leaves something in the session that no statement names.
var hiding = []string{
	"create function h_set() returns int language plpgsql as $$begin perform set_config('work_mem', '7777kB', false); return 1; end$$",
	"create function h_path(int, int) returns int language plpgsql as $$begin set search_path = pg_temp; return 1; end$$",
	"create operator @@@@ (function = h_path, leftarg = int, rightarg = int)",
	"create operator ### (function = pg_advisory_lock, rightarg = bigint)",
	"create view v as select h_set() as x",
	"create view direct as select set_config('work_mem', '7777kB', false) as x",
	"create table t (a int)",
	"create function trg() returns trigger language plpgsql as $$begin perform set_config('h.x', 'leak', false); return new; end$$",
	"create trigger t1 before insert on t for each row execute function trg()",
	"create table d (a int default h_set(), b int)",
	"create table dd (a text default set_config('work_mem', '7777kB', false), b int)",
	"create type ct as (a int)",
	"create function castf(ct) returns int language plpgsql as $$begin create temp table if not exists zz (a int); return 1; end$$",
	"create cast (ct as int) with function castf(ct)",
	"create domain dom as int check (h_set() = value)",
	"create table n (a int)",
	"create rule r as on insert to n do also select set_config('h.y', 'leak', false)",
	"create function lis() returns trigger language plpgsql as $$begin listen hidden; return new; end$$",
	"create table l (a int)", "create trigger t2 after insert on l for each row execute function lis()",
	"create function prep() returns trigger language plpgsql as $$begin execute 'prepare leaked as select 1'; return new; end$$",
	"create table p (a int)", "create trigger t3 after insert on p for each row execute function prep()",
	"create table dc (a int)",
	"create constraint trigger t4 after insert on dc deferrable initially deferred for each row execute function trg()",
	"create function role() returns trigger language plpgsql as $$begin set role pg_monitor; return new; end$$",
	"create table ro (a int)", "create trigger t5 after insert on ro for each row execute function role()",
	"create function held() returns trigger language plpgsql as $$begin execute 'declare c cursor with hold for select 1'; return new; end$$",
	"create table h (a int)", "create trigger t6 after insert on h for each row execute function held()",
	"create function atomic() returns text language sql begin atomic select set_config('work_mem', '7777kB', false); end",
	"create view sqlbody as select atomic() as x",
	"create table pol (a int)",
	"create sequence s", "create table seq (a int default nextval('s'), b int)", "create view last as select lastval() as x",
}

// unseenStatements use them.
var unseenStatements = []string{
	"select * from v", "table v", "explain analyze select * from v", "select * from direct", "select 1 operator(@@@@) 2",
	"select ### 4711", "insert into t values (1)", "insert into d (b) values (1)", "insert into dd (b) values (1)",
	"select row(1)::ct::int", "select cast(row(1)::ct as int)", "select 1::dom", "insert into n values (1)", "insert into l values (1)",
	"insert into p values (1)", "insert into dc values (1)", "begin; insert into dc values (1); commit", "insert into ro values (1)",
	"insert into h values (1)", "select * from sqlbody", "insert into seq (b) values (1)", "select x from v, (select 1/0) y",
	"update t set a = 2 from v",
}

// left is everything that a statement may have left, in one row.
const left = `select (select string_agg(name || '=' || setting, ',') from pg_settings where source = 'session'),
	coalesce(current_setting('h.x', true), '') || coalesce(current_setting('h.y', true), ''), current_user,
	(select count(*) from pg_prepared_statements where name <> ''), (select count(*) from pg_cursors where name <> ''),
	(select count(*) from pg_listening_channels()),
	(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_stat_get_backend_pid(0)),
	(select count(*) from pg_class where relnamespace = pg_my_temp_schema())`

// ownDatabase makes a database for a test, and returns how to log in to it as a superuser, who may SET ROLE.
func ownDatabase(t *testing.T, s *harness.Server, name string, statements ...string) harness.Login {
	t.Helper()
	name = fmt.Sprintf("%s_%d", name, os.Getpid())
	harness.Exec(t, s, "drop database if exists "+name+" with (force)", "create database "+name)
	t.Cleanup(func() { harness.Exec(cleanupT{t}, s, "drop database if exists "+name+" with (force)") })
	l := harness.Superuser().InClear()
	l.Database = name
	c := conn(t, s.Endpoint, l)
	for _, sql := range statements {
		ask(t, c, sql)
	}
	_ = c.Close(t.Context())
	return l
}
