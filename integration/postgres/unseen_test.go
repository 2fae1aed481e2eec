package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

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
	(select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())),
	(select count(*) from pg_class where relnamespace = pg_my_temp_schema())`

// ownDatabase makes a database for a test, and returns how to log in to it as a superuser, who may SET ROLE.
func ownDatabase(t *testing.T, s *harness.Server, name string, statements ...string) harness.Login {
	t.Helper()
	name = fmt.Sprintf("%s_%d", name, os.Getpid())
	harness.Exec(t, s, "drop database if exists "+name+" with (force)", "create database "+name)
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "drop database if exists "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	l := harness.Superuser().InClear()
	l.Database = name
	c := conn(t, s.Endpoint, l)
	for _, sql := range statements {
		ask(t, c, sql)
	}
	_ = c.Close(t.Context())
	return l
}

// pinned says whether c keeps its connection, once that is decided: there is one connection, and c holds it until then.
func (r *rig) pinned(t *testing.T, c *pgconn.PgConn) (pinned bool) {
	t.Helper()
	harness.Eventually(t, settleWithin, "the session is pinned or gives its connection back", func() bool {
		s := r.session(t, c.PID())
		pinned = s.Pinned != ""
		return pinned || s.Backend == 0
	})
	return pinned
}

// alone is a route whose sessions meet on one connection.
func alone() harness.Route {
	return harness.Route{MaxConnections: 1, Users: []harness.Account{{User: harness.Superuser().User, Password: harness.Superuser().Password}}}
}

func TestAStringDoesNotMakeASettingLocal(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		for i, value := range []string{"'b, true)'", "$q$b, true)$q$", `E'\'b, true)'`, "'b''c, true)'", "'b' /*, true) */", "'b' -- 'c', true)\n", "'b' -- \"c\", true)\n"} {
			l := ownDatabase(t, r.server, fmt.Sprint("string", i), "create function f() returns text language plpgsql as $$begin return set_config('h.x', "+value+", false); end$$",
				"create view v as select f()")
			a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
			set := ask(t, a, "select * from v")
			if got := ask(t, b, "select coalesce(current_setting('h.x', true), '')"); got != "" {
				t.Errorf("%s: another session finds %s", value, got)
			}
			if got := ask(t, a, "select current_setting('h.x', true)"); got != set {
				t.Errorf("%s: the session finds %s, not %s", value, got, set)
			}
			hangUp(a)
			hangUp(b)
		}
	})
}

func TestWhatHiddenCodeLeavesReachesNoOtherSession(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "hidden", hiding...)
		clean := ask(t, conn(t, r.server.Endpoint, l), left)
		for _, sql := range unseenStatements {
			for _, extended := range []bool{false, true} {
				if extended && strings.Contains(sql, ";") {
					continue
				}
				a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
				run := asked
				if extended {
					run = func(ctx context.Context, c *pgconn.PgConn, sql string) (string, error) {
						return askedExtended(ctx, c, sql)
					}
				}
				if _, err := run(t.Context(), a, sql); err != nil && code(err) != "22012" {
					t.Fatalf("%s: %v", sql, err)
				}
				if r.pinned(t, a) {
					if got := ask(t, a, left); got == clean {
						t.Errorf("after %s (extended %v) the session is pinned, and has nothing", sql, extended)
					}
					_ = a.Close(t.Context())
				}
				if got := ask(t, b, left); got != clean {
					t.Errorf("after %s (extended %v) another session finds %s, not %s", sql, extended, got, clean)
				}
				if got, err := asked(t.Context(), b, "select * from last"); code(err) != "55000" {
					t.Errorf("after %s another session's view finds a last value: %s %v", sql, got, err)
				}
				_ = a.Close(t.Context())
				_ = b.Close(t.Context())
			}
		}
	})
}

func TestCodeCreatedThroughTheProxyIsKnownAtOnce(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "created")
		b := conn(t, r.Endpoint, l)
		clean := ask(t, b, left)
		for _, c := range []struct{ create, use string }{
			{"create table t (a text default set_config('work_mem', '7777kB', false), b int)", "insert into t (b) values (1)"},
			{"begin; create function f() returns trigger language plpgsql as $$begin set role pg_monitor; return new; end$$; " +
				"create trigger g before insert on t for each row execute function f(); commit", "insert into t (a) values ('')"},
		} {
			a := conn(t, r.Endpoint, l)
			ask(t, a, c.create)
			ask(t, a, c.use)
			if r.pinned(t, a) {
				_ = a.Close(t.Context())
			}
			if got := ask(t, b, left); got != clean {
				t.Errorf("right after %s another session finds %s, not %s", c.create, got, clean)
			}
			_ = a.Close(t.Context())
		}
	})
}

func TestCodeThatWasCreatedJustNowLeavesNoSeedToOthers(t *testing.T) {
	const value = "0.9851677175347999" // the first behind this seed
	each(t, harness.Route{MaxConnections: 2, Users: alone().Users}, func(t *testing.T, r *rig) {
		for i, sql := range []string{"begin; %s; select seeds(); commit", "begin; %s; select seeds(); rollback", "%s; select seeds(); drop function seeds()"} {
			l := ownDatabase(t, r.server, fmt.Sprint("stuck", i))
			a, other := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
			ask(t, a, fmt.Sprintf(sql, "create function seeds() returns int language plpgsql as $$begin perform setseed(0.5); return 1; end$$"))
			r.session(t, a.PID())
			if got := ask(t, other, "select random()"); got == value {
				t.Errorf("behind %s another session can tell what random() returns", sql)
			}
			if got := ask(t, a, "select random()"); got != value {
				t.Errorf("behind %s the session finds %s", sql, got)
			}
			hangUp(a)
			hangUp(other)
		}
	})
}

// Constants are read where a statement is parsed, parameters where it is bound: the checks of domains in them call functions then.
func TestWhatIsExecutedBeforeExecutionLeavesNothingToOthers(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "early", "create function leaves() returns int language plpgsql as $$begin perform set_config('work_mem', '7777kB', false), pg_advisory_lock(4711); return 1; end$$",
			"create function folds() returns int immutable language plpgsql as $$begin perform set_config('work_mem', '7777kB', false), pg_advisory_lock(4711); return 1; end$$",
			"create domain dom as int check (leaves() = value)", "create type comp as (d dom)", "create table t (a int)", "analyze t")
		b := conn(t, r.Endpoint, l)
		clean := ask(t, b, left)
		for name, use := range map[string]func(f *pgproto3.Frontend){
			"parse":          func(f *pgproto3.Frontend) { f.Send(&pgproto3.Parse{Query: "select '{1}'::dom[]"}) },
			"parse, named":   func(f *pgproto3.Frontend) { f.Send(&pgproto3.Parse{Name: "a", Query: "select '(1)'::comp"}) },
			"parse, as type": func(f *pgproto3.Frontend) { f.Send(&pgproto3.Parse{Name: "b", Query: "select comp '(1)'"}) },
			"parse, compared": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Parse{Name: "e", Query: "select 1 from (values (null::comp)) c (x) where x = '(1)'"})
			},
			"bind": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Parse{Query: "select $1::comp"})
				f.Send(&pgproto3.Bind{Parameters: [][]byte{[]byte("(1)")}})
			},
			"bind, named": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Parse{Name: "c", Query: "select $1::comp"})
				f.Send(&pgproto3.Bind{PreparedStatement: "c", Parameters: [][]byte{[]byte("(1)")}})
			},
			"bind, folded": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Parse{Name: "d", Query: "select folds()"})
				f.Send(&pgproto3.Bind{PreparedStatement: "d"})
			},
			"explain": func(f *pgproto3.Frontend) { f.Send(&pgproto3.Query{String: "explain select folds()"}) },
			"prepare": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Query{String: "prepare x as select '(1)'::comp; deallocate x"})
			},
			"set": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Query{String: "begin; declare c cursor for select '(1)'::comp; commit"})
			},
			"execute of an error": func(f *pgproto3.Frontend) { f.Send(&pgproto3.Query{String: "select '(1)'::comp, 1/0"}) },
			"bind that fails": func(f *pgproto3.Frontend) {
				f.Send(&pgproto3.Parse{Query: "select $1::comp, $2::int"})
				f.Send(&pgproto3.Bind{Parameters: [][]byte{[]byte("(1)"), []byte("x")}})
			},
		} {
			a := conn(t, r.Endpoint, l)
			use(a.Frontend())
			a.Frontend().Send(&pgproto3.Sync{})
			if err := a.Frontend().Flush(); err != nil {
				t.Fatal(err)
			}
			for {
				m, err := a.Frontend().Receive()
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := m.(*pgproto3.ReadyForQuery); ok {
					break
				}
			}
			if !r.pinned(t, a) {
				if got := ask(t, b, left); got != clean {
					t.Errorf("behind %s another session finds %s, not %s", name, got, clean)
				}
			}
			hangUp(a)
		}
	})
}

// Whoever may create operators could otherwise answer for the server what Berth asks it, with the rights of the session.
func TestNoOperatorOfAUserIsInWhatBerthAsks(t *testing.T) {
	statements := []string{"create table caught (n int)", "create function leaves() returns int language plpgsql as $$begin perform set_config('work_mem', '7777kB', false), " +
		"pg_advisory_lock(4711); create temp table zz (a int); execute 'prepare leaked as select 1'; return 1; end$$"}
	for i, o := range []struct{ name, left, right string }{
		{">=", "oid", "int"}, {"=", "oid", "regclass"}, {"=", "oid", "regproc"}, {"=", "regproc", "oid"}, {"=", "oid", "regnamespace"}, {"||", "text", "oid"}, {"=", "text", "text"}, {"<>", "text", "text"},
		{"~", "text", "text"}, {"~*", "text", "text"}, {"~", "name", "text"}, {"!~", "text", "text"}, {"=", "int", "int"}, {"=", "name", "name"}, {"=", "oid", "oid"}, {">=", "oid", "oid"},
	} {
		result, value := "bool", "false"
		if o.name == "||" {
			result, value = "text", "'x'"
		}
		statements = append(statements, fmt.Sprintf("create function o%d(%s, %s) returns %s language plpgsql as $$begin insert into public.caught values (%d); return %s; end$$", i, o.left, o.right, result, i, value),
			fmt.Sprintf("create operator public.%s (function = o%d, leftarg = %s, rightarg = %s)", o.name, i, o.left, o.right))
	}
	each(t, alone(), func(t *testing.T, r *rig) {
		for i, path := range []string{"default", "public, pg_catalog"} {
			all := statements
			if r.server.Name == "pg18" {
				all = append(statements[:len(statements):len(statements)], "create function enters() returns event_trigger language plpgsql as $$begin perform set_config('my.own', 'x', false); end$$",
					"create event trigger enters on login execute function enters()")
			}
			l := ownDatabase(t, r.server, fmt.Sprint("operators", i), all...)
			b := conn(t, r.Endpoint, l)
			clean := ask(t, b, left)
			for _, sql := range []string{"select leaves()", "begin; select leaves(); select 1"} {
				a := conn(t, r.Endpoint, l)
				ask(t, a, "set search_path = "+path)
				ask(t, a, sql)
				if strings.HasPrefix(sql, "begin") {
					ask(t, a, "commit")
				}
				if !r.pinned(t, a) {
					t.Errorf("with search_path %s: the session is not pinned", path)
				}
				hangUp(a)
				if got := ask(t, b, left); got != clean {
					t.Errorf("with search_path %s: behind %s another session finds %s, not %s", path, sql, got, clean)
				}
			}
			direct := conn(t, r.server.Endpoint, l)
			if got := ask(t, direct, "select string_agg(distinct n::text, ' ') from caught"); got != "" {
				t.Errorf("with search_path %s: operators of a user's were executed: %s", path, got)
			}
			hangUp(direct)
			hangUp(b)
		}
	})
}

func TestNobodyTrustsCodeThatSomebodyElseIsStillAskingAbout(t *testing.T) {
	const value = "0.9851677175347999" // the first behind this seed
	each(t, harness.Route{MaxConnections: 6, Users: alone().Users}, func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "asking", "create function seeds() returns int language plpgsql as $$begin perform setseed(0.5); return 1; end$$")
		owner := harness.Superuser()
		owner.Database = l.Database
		blocker := conn(t, r.server.Endpoint, owner)
		ask(t, blocker, "begin; lock table pg_catalog.pg_policy in access exclusive mode")
		first, a := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
		ask(t, first, "select 1") // what follows waits for the lock
		ask(t, a, "select seeds()")
		ask(t, blocker, "commit")
		harness.Eventually(t, settleWithin, "the session is pinned", func() bool { return r.session(t, a.PID()).Pinned == "unknown" })
		for range 3 {
			if got := ask(t, conn(t, r.Endpoint, l), "select random()"); got == value {
				t.Error("another session can tell what random() returns")
			}
		}
		if got := ask(t, a, "select random()"); got != value {
			t.Errorf("the session finds %s", got)
		}
	})
}

func TestNoTimeoutOfASessionEndsTheQuestionAboutCode(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		for i, name := range []string{"statement_timeout", "transaction_timeout"} {
			if name == "transaction_timeout" && r.version(t) < 17 {
				continue
			}
			l := ownDatabase(t, r.server, fmt.Sprint("hurried", i))
			owner := harness.Superuser()
			owner.Database = l.Database
			blocker := conn(t, r.server.Endpoint, owner)
			ask(t, blocker, "begin; lock table pg_catalog.pg_policy in access exclusive mode")
			c := conn(t, r.Endpoint, l)
			ask(t, c, "set "+name+" = '1s'; select 1") // what follows waits for the lock
			time.Sleep(1500 * time.Millisecond)
			ask(t, blocker, "commit")
			if got, err := asked(t.Context(), c, "select 'alive'"); err != nil || got != "alive" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			if r.pinned(t, c) {
				t.Errorf("%s: the session is pinned", name)
			}
			hangUp(c)
			hangUp(blocker)
		}
	})
}

func TestHiddenCodeWhoseTracesCannotBeResetPins(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		for i, function := range []string{
			"language plpgsql as $$begin perform setseed(0.5); return 1; end$$", "language plpgsql as $$begin set seed to 0.5; return 1; end$$",
			`language plpgsql as $$begin set local "seed" = 0.5; return 1; end$$`, "language plpgsql as $$begin perform set_config('seed', '0.5', true); return 1; end$$",
			"language sql set seed = 0.5 as 'select 1'", "language plpgsql as $$begin if random() > 2 then perform pg_backup_start('x'); end if; return 1; end$$",
			`language sql as $$select case when U&"sets\0065ed"(0.5) is null then 1 end$$`, "language plpgsql as $$begin perform set_config(E'seed', '0.5', true); return 1; end$$",
			"language plpgsql as $$begin perform set_config($a$seed$a$, '0.5', true); return 1; end$$", "language plpgsql as $$declare n text := 'seed'; begin perform set_config(n, '0.5', true); return 1; end$$",
			"language plpgsql as $$begin perform set_config(x, '0.5', true) from (values ('seed')) v (x); return 1; end$$", "language plpgsql as $$begin execute format('set %I = 0.5', 'seed'); return 1; end$$",
			"language sql as 'select length(set_config(upper(''seed''), ''0.5'', true))'", "language sql begin atomic select length(set_config('Seed', '0.5', true)); end",
			"language sql begin atomic select length(set_config(x, '0.5', true)) from (values ('seed')) v (x); end",
		} {
			if strings.Contains(function, "language sql set") && r.server.Name != "pg15" {
				continue // refused
			}
			l := ownDatabase(t, r.server, fmt.Sprint("seeded", i), "create function leaves() returns int "+function, "create view seeded as select leaves() as x")
			a := conn(t, r.Endpoint, l)
			ask(t, a, []string{"select * from seeded", "do $$begin perform leaves(); end$$"}[i%2])
			harness.Eventually(t, settleWithin, "the session is pinned by a function "+function, func() bool { return r.session(t, a.PID()).Pinned == "unknown" })
			hangUp(a)
		}
		l := ownDatabase(t, r.server, "seedless", "create table games (seed int)",
			"create function plays() returns int language plpgsql as $$begin update games set seed = 1; insert into games (seed) values (2) on conflict do nothing; return 1; end$$")
		a := conn(t, r.Endpoint, l)
		ask(t, a, "select plays()")
		if r.pinned(t, a) {
			t.Error("a column pins")
		}
	})
}

func TestWhatNoResetUndoesStaysWithItsSession(t *testing.T) {
	const value = "0.9851677175347999" // the first behind this seed
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		other := conn(t, r.Endpoint, harness.App())
		for _, sql := range []string{
			"select setseed(0.5)", "set seed = 0.5", "begin; set local seed = 0.5; commit", "select set_config('seed', '0.5', true)", "do $$begin perform setseed(0.5); end$$",
			"do $$begin set local seed = 0.5; end$$", "do $$begin execute 'set seed = 0.5'; end$$", "select query_to_xml('select setseed(0.5)', true, true, '')",
			"select set_config($$seed$$, '0.5', true)", "select set_config(x, '0.5', true) from (values ('seed')) v (x)", `select set_config(U&'s\0065ed', '0.5', true)`, `select set_config(E'\x73eed', '0.5', true)`,
			"select set_config('se'\n'ed', '0.5', true)", "select set_config(E'seed', '0.5', true)", "select set_config('seed'::text, '0.5', true)", "do $a$begin perform set_config(x, '0.5', true) from (values ('seed')) v (x); end$a$", "do $$begin execute format('set %I = 0.5', 'seed'); end$$",
			"select set_config($1, $2, true)", "prepare p as select set_config($1, $2, true); execute p('seed', '0.5'); deallocate p",
		} {
			for _, reset := range []string{"select 1", "discard all"} {
				a := conn(t, r.Endpoint, harness.App())
				if strings.HasSuffix(sql, "($1, $2, true)") {
					if _, err := askedExtended(t.Context(), a, sql, "seed", "0.5"); err != nil {
						t.Fatal(err)
					}
				} else {
					ask(t, a, sql)
				}
				ask(t, a, reset)
				if s := r.session(t, a.PID()); s.Pinned == "" {
					t.Errorf("behind %s and %s the session is not pinned", sql, reset)
				}
				if got := ask(t, other, "select random()"); got == value {
					t.Errorf("behind %s and %s another session can tell what random() returns", sql, reset)
				}
				if got := ask(t, a, "select random()"); got != value {
					t.Errorf("behind %s and %s the session finds %s", sql, reset, got)
				}
				hangUp(a)
			}
		}
	})
}

// Expressions may call the server's own functions in places that no statement shows.
func TestLocksThatExpressionsOfTheDatabaseTakeAreTheSessionsOwn(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "locking", "create function nothing(bigint) returns bool language sql as 'select true'",
			"create aggregate moving(bigint) (sfunc = int8pl, stype = int8, finalfunc = nothing, msfunc = int8pl, minvfunc = int8mi, mstype = int8, mfinalfunc = pg_try_advisory_lock)")
		measured := ownDatabase(t, r.server, "measured", "create table m as select n::bigint as a from generate_series(1, 9) n",
			"create statistics ms on (pg_try_advisory_lock(a)) from m")
		for sql, l := range map[string]harness.Login{
			"select moving(n) over (order by n rows between 1 preceding and current row) from generate_series(4711, 4713) n": l, "analyze m": measured,
		} {
			a := conn(t, r.Endpoint, l)
			ask(t, a, sql)
			if !r.pinned(t, a) {
				t.Errorf("%s: the session is not pinned", sql)
			}
			hangUp(a)
		}
	})
}
