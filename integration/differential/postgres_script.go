package differential

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// postgres makes sessions of PostgreSQL. Session N has the schemas dN and eN, both with a table t, the role rN, and locks
// of class 4000+N. Nothing is made in public, where they would meet.
type postgres struct {
	groups map[string]bool // which kinds of requests are made; all if nil
}

func (postgres) login(e harness.Endpoint, s *session) (connection, string, error) {
	c, greeting, err := openPostgres(e, s)
	if err != nil {
		return nil, "", err
	}
	return c, greeting, nil
}

func (postgres) prepare(t harness.T, s *harness.Server) {
	harness.Exec(t, s, "drop table if exists public.t")
	for i := range sessionsOfScript {
		harness.Exec(t, s, numbered(i, `do $$ begin create role r{i}; exception when duplicate_object or unique_violation then null; end $$`),
			numbered(i, `grant r{i} to app`), numbered(i, postgresObjects))
	}
	leaveNothing(t, s, "drop schema if exists d{i}, e{i} cascade")
}

// postgresObjects are one session's.
const postgresObjects = `
drop schema if exists d{i}, e{i} cascade;
create schema d{i} authorization app; create schema e{i} authorization app;
set session authorization app;
create table d{i}.t (id serial, name text); create table e{i}.t (id serial, name text, more int);
create table d{i}.u (id int primary key, name varchar(20) not null check (name <> 'bad'));
create sequence d{i}.q;
grant usage on schema d{i} to r{i}; grant select on all tables in schema d{i} to r{i};
create function d{i}.setter(n text, v text) returns text language plpgsql as $$ begin return set_config(n, v, false); end $$;
create function d{i}.local_setter(n text, v text) returns text language plpgsql as $$ begin return set_config(n, v, true); end $$;
create function d{i}.failer(n text, v text) returns text language plpgsql as $$ begin perform set_config(n, v, false); raise 'failed'; end $$;
create function d{i}.catcher(n text, v text) returns text language plpgsql as $$ begin
	begin perform set_config(n, v, false); perform 1/0; exception when division_by_zero then null; end; return current_setting(n); end $$;
create function d{i}.clause() returns text language sql set work_mem = '11MB' as $$ select current_setting('work_mem') $$;
create function d{i}.maker() returns void language plpgsql as $$ begin create temp table made as select 1 as one; end $$;
create function d{i}.locker() returns void language sql as $$ select pg_advisory_lock(400{i}, 9) $$;
create function d{i}.pure(n int) returns int language sql immutable as $$ select n + 1 $$;
create procedure d{i}.proc(n text, v text) language plpgsql as $$ begin perform set_config(n, v, false); commit; perform set_config(n, v, true); end $$;
reset session authorization`

func (postgres) reset(s *harness.Server, sessions int) error {
	var b strings.Builder
	b.WriteString("set lock_timeout = '30s';")
	for i := range sessions {
		b.WriteString(numbered(i, `drop table if exists d{i}.x;
			delete from d{i}.t; delete from e{i}.t; delete from d{i}.u;
			insert into d{i}.t values (1, 'one of d{i}'), (2, 'two of d{i}'); insert into e{i}.t values (1, 'one of e{i}', 7);
			insert into d{i}.u values (1, 'one');
			alter sequence d{i}.q restart; alter sequence d{i}.t_id_seq restart 10; alter sequence e{i}.t_id_seq restart 20;`))
	}
	return execWithin(s, b.String())
}

// numbered writes a session's number into a text.
func numbered(i int, text string) string { return strings.ReplaceAll(text, "{i}", fmt.Sprint(i)) }

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
	{"client_encoding", []string{"'UTF8'", "'LATIN1'", "'SQL_ASCII'"}},
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

// pgGroup is a kind of requests. A session makes requests of some groups only, so that each meets each.
type pgGroup struct {
	name   string
	weight int
	makes  func(g *pgGenerator) string // one statement
}

var pgGroups = []pgGroup{
	{"look", 30, (*pgGenerator).look},
	{"settings", 14, (*pgGenerator).setting},
	{"transactions", 10, (*pgGenerator).transaction},
	{"tables", 10, (*pgGenerator).table},
	{"errors", 3, (*pgGenerator).mistake},
	{"roles", 4, (*pgGenerator).role},
	{"temporary", 5, (*pgGenerator).temporaryTable},
	{"locks", 4, (*pgGenerator).lock},
	{"sequences", 3, (*pgGenerator).sequence},
	{"prepare", 4, (*pgGenerator).prepareSQL},
	{"cursors", 3, (*pgGenerator).cursor},
	{"channels", 2, (*pgGenerator).channel},
	{"functions", 4, (*pgGenerator).function},
	{"resets", 3, (*pgGenerator).discard},
}

// pgGenerator makes the requests of a session.
type pgGenerator struct {
	r         *rand.Rand
	number    int
	groups    []pgGroup
	total     int // of their weights
	local     int // of ten SETs, so many are SET LOCAL
	inTx      bool
	temporary bool // there are temporary tables
}

const pgRequests = 24

func (p postgres) generate(r *rand.Rand, number int) session {
	g := pgGenerator{r: r, number: number, local: r.IntN(6)}
	for _, one := range pgGroups {
		wanted := one.name == "look" || one.name == "transactions" || one.name == "tables" || r.IntN(3) == 0
		if p.groups != nil {
			wanted = p.groups[one.name]
		}
		if wanted {
			g.groups = append(g.groups, one)
			g.total += one.weight
			g.temporary = g.temporary || one.name == "temporary" || one.name == "functions"
		}
	}
	s := session{number: number, login: harness.App().InClear()}
	s.startup = g.startup()
	if r.IntN(12) == 0 {
		s.login = harness.Superuser().InClear()
	}
	for range pgRequests {
		s.requests = append(s.requests, g.request())
	}
	s.requests = append(s.requests, simple("rollback"), simple(pgAllSettings))
	return s
}

func (g *pgGenerator) startup() map[string]string {
	all := []map[string]string{
		{"application_name": "diff"},
		{"search_path": numbered(g.number, "e{i},d{i}"), "timezone": "Asia/Tokyo"},
		{"options": numbered(g.number, "-c work_mem=5MB --search_path=d{i} -c my.own=s")},
		{"datestyle": "German", "client_encoding": "LATIN1"},
		{"default_transaction_isolation": "serializable", "extra_float_digits": "0", "my.other": "start"},
	}
	if g.r.IntN(2) == 0 {
		return nil
	}
	return all[g.r.IntN(len(all))]
}

func (g *pgGenerator) pick(choices ...string) string {
	return numbered(g.number, choices[g.r.IntN(len(choices))])
}

// request makes one, by any of the ways that the protocol has.
func (g *pgGenerator) request() request {
	switch g.r.IntN(12) {
	case 0, 1, 2:
		return g.pipeline()
	case 3:
		return simple(g.several())
	case 4:
		return g.named()
	case 5:
		if g.r.IntN(3) == 0 {
			return g.copyIn()
		}
	}
	sql := g.statement()
	if g.r.IntN(3) > 0 {
		return simple(sql)
	}
	return g.extended(sql)
}

func (g *pgGenerator) statement() string {
	n := g.r.IntN(g.total)
	for _, one := range g.groups {
		if n -= one.weight; n < 0 {
			return one.makes(g)
		}
	}
	panic("weights do not add up")
}

func simple(sql string) pgRequest { return pgRequest{&pgproto3.Query{String: sql}} }

// several is a query of two to five statements.
func (g *pgGenerator) several() string {
	var all []string
	for range 2 + g.r.IntN(4) {
		all = append(all, g.statement())
	}
	return strings.Join(all, "; ") + g.pick("", ";", " ; ")
}

// extended is a statement by the extended protocol, without a name.
func (g *pgGenerator) extended(sql string) pgRequest {
	return append(g.unnamed(sql), &pgproto3.Sync{})
}

func (g *pgGenerator) unnamed(sql string) pgRequest {
	q := pgRequest{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}}
	if g.r.IntN(2) == 0 {
		q = append(q, &pgproto3.Describe{ObjectType: 'P'})
	}
	return append(q, &pgproto3.Execute{})
}

// pipeline is several statements before the first answer, with a Sync behind some.
func (g *pgGenerator) pipeline() pgRequest {
	var q pgRequest
	for range 2 + g.r.IntN(4) {
		switch g.r.IntN(4) {
		case 0:
			q = append(q, g.named()...)
		case 1:
			// Behind an error a server skips all up to a Sync, queries too, and does not answer them.
			q = append(q, &pgproto3.Sync{}, &pgproto3.Query{String: g.statement()})
		default:
			q = append(q, g.unnamed(g.statement())...)
			if g.r.IntN(3) == 0 {
				q = append(q, &pgproto3.Sync{})
			}
		}
	}
	return append(q, &pgproto3.Sync{})
}

// pgStatements are prepared by name: each with a parameter of type int, which some have declared.
var pgStatements = []string{
	"select $1::int + 1", "select name from t where id = $1 order by 1", "insert into t (id, name) values ($1, 'by name') returning id",
	"select current_setting('work_mem'), $1::int", "select * from x where $1::int > 0", "select current_schemas(false), $1::int",
	"update t set name = 'upd' where id = $1", "selekt $1", "select to_char(timestamptz '2020-06-01 12:00+00', 'HH24') || $1::int",
}

// named is one to three messages about a prepared statement, and a Sync.
func (g *pgGenerator) named() pgRequest {
	name := g.pick("a", "b", "c", "")
	var q pgRequest
	if g.r.IntN(3) == 0 {
		parse := &pgproto3.Parse{Name: name, Query: g.pick(pgStatements...)}
		if g.r.IntN(2) == 0 {
			parse.ParameterOIDs = []uint32{23}
		}
		q = append(q, parse)
	}
	switch g.r.IntN(8) {
	case 0:
		q = append(q, &pgproto3.Close{ObjectType: 'S', Name: name})
	case 1:
		q = append(q, &pgproto3.Describe{ObjectType: 'S', Name: name})
	case 2: // a portal that is read in pieces, and may outlive the Sync
		q = append(q, &pgproto3.Parse{Name: name, Query: "select n from generate_series(1, 5) n where $1::int > 0"}, g.bind("p", name),
			&pgproto3.Execute{Portal: "p", MaxRows: uint32(1 + g.r.IntN(3))}, &pgproto3.Sync{}, &pgproto3.Execute{Portal: "p"})
	default:
		if g.r.IntN(4) == 0 {
			q = append(q, &pgproto3.Describe{ObjectType: 'S', Name: name})
		}
		q = append(q, g.bind("", name), &pgproto3.Execute{})
	}
	return append(q, &pgproto3.Sync{})
}

func (g *pgGenerator) bind(portal, name string) *pgproto3.Bind {
	n := 1 + g.r.IntN(3)
	b := &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name, Parameters: [][]byte{[]byte(fmt.Sprint(n))}}
	if g.r.IntN(4) == 0 {
		b.ParameterFormatCodes, b.Parameters[0] = []int16{1}, binary.BigEndian.AppendUint32(nil, uint32(n))
	}
	return b
}

func (g *pgGenerator) copyIn() pgRequest {
	q := simple(g.pick("copy t (id, name) from stdin", "copy d{i}.u from stdin", "copy nowhere from stdin"))
	q = append(q, &pgproto3.CopyData{Data: []byte(g.pick("5\tcopied\n", "6\t\\N\n", "wrong\n"))})
	if g.r.IntN(4) == 0 {
		return append(q, &pgproto3.CopyFail{Message: "enough"})
	}
	return append(q, &pgproto3.CopyDone{})
}

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
		"select 'a\\nb', date '2020-03-04'", "values (1), (2)", "table t", "/* look */ select 2 -- end", "")
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
			"explain (analyze, costs off, timing off, summary off) select set_config('my.own', 'e', false)")
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
		"select * from d{i}.x", "copy t to stdout", "copy (select 1, 'x') to stdout", "lock table d{i}.u", "select * from d{i}.u order by 1 for update", "truncate e{i}.t",
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

const pgLocks = "select objid, count(*) from pg_locks where locktype = 'advisory' and classid = 400{i} group by 1 order by 1"

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

// leaveNothing drops what a test made: code on a server makes proxies clean their connections in other tests.
func leaveNothing(t harness.T, s *harness.Server, statements ...string) {
	t.Cleanup(func() {
		for i := range sessionsOfScript {
			for _, q := range statements {
				if err := s.Exec(context.Background(), numbered(i, q)); err != nil {
					t.Errorf("%s: %v", numbered(i, q), err)
				}
			}
		}
	})
}
