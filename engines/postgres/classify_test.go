package postgres

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// harmless is SQL that leaves no state in the session that executes it.
var harmless = []string{
	"", ";", " ; ; ", "-- nothing\n", "/* a /* b */ c */",
	"SELECT 1", "select * from t where id = $1", "(SELECT 1) UNION (SELECT 2)", "VALUES (1), (2)", "TABLE t",
	"SELECT abalance FROM pgbench_accounts WHERE aid = 1;",
	"UPDATE pgbench_accounts SET abalance = abalance + 5 WHERE aid = 1;",
	"INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);",
	"SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 2 ORDER BY c", "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 1 AND 2",
	"SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 5 AND 6", "DELETE FROM sbtest1 WHERE id=1",
	"SELECT count(*), max(x) FILTER (WHERE y > 0) FROM t GROUP BY z HAVING count(*) > 1",
	"SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t", "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
	"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
	"INSERT INTO t (a, b) VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET (b, c) = (EXCLUDED.b, 1) RETURNING id",
	"INSERT INTO public.t (a) SELECT b FROM u", `INSERT INTO "S"."T" ("A") VALUES (lower($1))`,
	"INSERT INTO f(a) VALUES (DEFAULT)",
	"WITH x (a, b) AS (SELECT 1, 2), y AS MATERIALIZED (SELECT 3), z (q) AS NOT MATERIALIZED (SELECT 4) SELECT * FROM x, y",
	"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
	"SELECT * FROM (VALUES (1, 'a')) AS v (id, name) JOIN (SELECT 1) s ON (s.a = v.id) LEFT JOIN t USING (id)",
	"SELECT * FROM generate_series(1, 3) AS g(n), LATERAL (SELECT n) l",
	"SELECT CAST(a AS numeric(10,2)), b::varchar(10), c::character varying (5), d::timestamp (3) with time zone, e::vector(3) FROM t",
	"SELECT EXTRACT(epoch FROM now()), COALESCE(a, 0), NULLIF(a, b), GREATEST(a, b), trim(both ' ' from c), overlay(a placing b from 1)",
	"SELECT a IN (1, 2), a = ANY ($1), NOT (b), EXISTS (SELECT 1), ARRAY(SELECT 1), ROW(1, 2), CASE WHEN (a) THEN (b) ELSE (c) END",
	"SELECT a FROM t WHERE b ILIKE ('x') AND c LIKE ('y') ESCAPE ('z') AND d SIMILAR TO ('e')",
	"SELECT t AT TIME ZONE ('UTC') FROM t", "SELECT pg_catalog.count(*) FROM t", "SELECT pg_catalog . lower ( 'A' )", "SELECT a.pg_catalog.lower('A')",
	"SELECT a, b FROM t GROUP BY GROUPING SETS ((a), (b)) ORDER BY (a)", "SELECT a FROM t GROUP BY ROLLUP (a)",
	"SELECT jsonb_build_object('a', 1) -> 'b', json_agg(t), to_jsonb(x) #>> '{a}' FROM t",
	"SELECT set_config('search_path', 'x', true)", "SELECT set_config('a.b', (SELECT 'nextval(1)'), TRUE)",
	"SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2), pg_notify('a', 'b'), txid_current()",
	"MERGE INTO t USING s ON (t.a = s.a) WHEN MATCHED THEN UPDATE SET b = s.b WHEN NOT MATCHED THEN INSERT (a, b) VALUES (s.a, s.b)",
	"BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION READ ONLY", "COMMIT", "END", "ROLLBACK", "ABORT", "COMMIT AND CHAIN",
	"SAVEPOINT a", "RELEASE a", "ROLLBACK TO SAVEPOINT a", "PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION $$x$$", "PREPARE TRANSACTION U&'x'", "COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'",
	"SET LOCAL search_path TO a", "SET LOCAL ROLE x", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set constraints all deferred",
	"COPY t FROM STDIN", "COPY t (a, b) TO STDOUT WITH (FORMAT csv)", "COPY (SELECT lower(a) FROM t) TO STDOUT",
	"EXPLAIN SELECT 1", "EXPLAIN (ANALYZE, BUFFERS) SELECT 1", "EXPLAIN ANALYZE VERBOSE (SELECT 1)", "EXPLAIN (SELECT 1)", "SHOW all",
	"CREATE TABLE t (id serial PRIMARY KEY, a varchar(10) DEFAULT f(), temp int, FOREIGN KEY (a) REFERENCES u (b), CHECK (g(a)))",
	"CREATE TABLE t AS SELECT lower(a) FROM u", "CREATE OR REPLACE VIEW v (a, b) AS SELECT 1, 2", "CREATE UNLOGGED TABLE t (a int)",
	"CREATE MATERIALIZED VIEW v AS SELECT 1", "CREATE UNIQUE INDEX CONCURRENTLY i ON t USING btree (lower(a), f(b)) INCLUDE (c)",
	"CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $x$ SET a = 1; SELECT 'it''s' $x$",
	"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "CREATE ROLE r", "CREATE SCHEMA s CREATE TABLE t (a int)",
	"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2)",
	"ALTER TABLE t ADD COLUMN a numeric(10,2) DEFAULT now(), ADD CONSTRAINT c UNIQUE (a), ADD FOREIGN KEY (a) REFERENCES s.u (b)",
	"ALTER ROLE r SET search_path = a", "ALTER DATABASE d SET x = 1", "ALTER SYSTEM SET work_mem = '1MB'", "DROP FUNCTION f(int)",
	"TRUNCATE t", "VACUUM (FULL) t (a)", "ANALYZE t (a)", "REINDEX TABLE t", "CLUSTER t", "COMMENT ON FUNCTION f(int) IS 'x'",
	"GRANT EXECUTE ON FUNCTION f(int) TO r", "REVOKE ALL ON t FROM r", "REFRESH MATERIALIZED VIEW v", "LOCK TABLE t",
	"DECLARE c CURSOR FOR SELECT 1", "DECLARE c SCROLL CURSOR WITHOUT HOLD FOR SELECT 1", "FETCH 5 FROM c", "MOVE c", "CLOSE c",
	"NOTIFY a, 'b'", "CHECKPOINT", "DISCARD PLANS", "DISCARD TEMP", "DISCARD SEQUENCES", "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
	"SELECT 'SET a = 1; LISTEN x'", `SELECT "nextval" FROM t`, "SELECT nextval FROM t", "SELECT E'\\'; SET a = 1; --'",
	"SELECT $$; SET a = 1$$, $a$ $$ ; LISTEN x $a$", "SELECT U&'\\0041', B'01', X'ff', N'a', 'it''s; SET a=1'", "SELECT a$b$c FROM t",
	"SELECT E'a'\n -- x\n '\\'; SET a = 1; --'", "BEGIN; SELECT 1; COMMIT", "/* app=x */ SELECT 1 -- trailing",
	"SELECT lastval", "SELECT 1e5, 1_000, 0x1F, .5, 1.5, $1, a[1:2], a[1::int], b || c, @ d, e <> f, g::int[]",
	"SELECT a FROM t FOR UPDATE SKIP LOCKED", "SELECT a FROM t FETCH FIRST 1 ROWS ONLY",
	"SELECT current_setting('a', true), current_date, current_timestamp(3), version(), current_schema()",
	"SELECT * FROM json_to_recordset($1) AS x(a int, b text)", "SELECT unnest($1::int[]), array_agg(a ORDER BY b), string_agg(a, ',')",
	"SELECT xmlelement(name a, xmlattributes(b)), JSON_OBJECT('a': 1)",
}

func TestOrdinarySQLLeavesNoState(t *testing.T) {
	for _, sql := range harmless {
		if v := classify([]byte(sql), lexing{}); v.kinds|v.maybe != 0 || v.reset {
			t.Errorf("%q: %s", sql, v)
		}
	}
}

// String lists kinds, for the tests' messages.
func (v verdict) String() string {
	var s []string
	for k := range engine.Kind(engine.Kinds) {
		if v.kinds.has(k) {
			s = append(s, k.String())
		}
	}
	for k := range engine.Kind(engine.Kinds) {
		if v.maybe.has(k) {
			s = append(s, "maybe "+k.String())
		}
		if v.ends.has(k) {
			s = append(s, "ends "+k.String())
		}
	}
	if v.reset {
		s = append(s, "is DISCARD ALL")
	}
	if v.sequence {
		s = append(s, "asks for sequence values")
	}
	return strings.Join(s, ", ")
}

func TestSQLThatLeavesStateIsSeenWhereverItHides(t *testing.T) {
	for sql, want := range map[string]engine.Kind{
		"SET a = 1": engine.KindSetting, "/* x */ SET a TO b": engine.KindSetting, "set session a = 1": engine.KindSetting,
		"SELECT 1; SET a = 1": engine.KindSetting, "BEGIN; SET a = 1; COMMIT": engine.KindSetting, ";;SET a = 1": engine.KindSetting,
		"UPDATE pg_settings SET setting = 1 WHERE name = 'a'": engine.KindSetting, "update only pg_catalog.\"pg_settings\" set setting = 1": engine.KindSetting,
		"WITH x AS (UPDATE pg_settings SET setting = 1) SELECT 1": engine.KindSetting,
		"-- x\rSET a = 1": engine.KindSetting, "/* /* */ */ SET a = 1": engine.KindSetting,
		"SELECT 'a\\'; SET a = 1; --'": engine.KindSetting, "SELECT $$a$$; SET a = 1": engine.KindSetting,
		"SELECT $a$ $b$ $a$; SET a = 1": engine.KindSetting, `SELECT "a;"; SET a = 1`: engine.KindSetting,
		"SELECT a$b$; SET a = 1; SELECT c$b$": engine.KindSetting, "SELECT E'a\\\\'; SET a = 1": engine.KindSetting,
		"SELECT 'a' 'b'; SET a = 1": engine.KindSetting, "SELECT xE'a\\'; SET a = 1; --'": engine.KindSetting,
		"SELECT 1--/*\n; SET a = 1 --*/": engine.KindSetting, "SELECT 1*/* x */2; SET a = 1": engine.KindSetting,
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": engine.KindSetting, "SET local.x = 1": engine.KindSetting,
		"SET transaction_isolation = 'serializable'": engine.KindSetting, "RESET a": engine.KindSetting, "RESET ALL": engine.KindSetting,
		"SET ROLE a": engine.KindRole, "SET SESSION AUTHORIZATION a": engine.KindRole, "RESET ROLE": engine.KindRole,
		"RESET SESSION AUTHORIZATION":        engine.KindRole,
		"SELECT set_config('a', 'b', false)": engine.KindSetting, "SELECT set_config('a', 'b', $1)": engine.KindSetting,
		"SELECT set_config('a', 'true', false OR true)": engine.KindSetting, "SELECT pg_catalog.set_config('a', 'b', false)": engine.KindSetting,
		`SELECT "set_config"('a', 'b', false)`: engine.KindSetting, "SELECT set_config/* x */\n('a', 'b', not true)": engine.KindSetting,
		"INSERT INTO t (a) SELECT set_config('a', 'b', false)": engine.KindSetting, "VALUES (set_config('a', 'b', f.true))": engine.KindSetting,
		"COPY (SELECT set_config('a', 'b', false)) TO STDOUT": engine.KindSetting, "EXPLAIN ANALYZE SELECT set_config('a', 'b', false)": engine.KindSetting,
		"CREATE TABLE t AS SELECT set_config('a', 'b', false)": engine.KindSetting, "SELECT setseed(0.5)": engine.KindUnknown,
		"DECLARE c CURSOR FOR SELECT set_config('a', 'b', false)": engine.KindSetting,
		"SELECT pg_advisory_lock(1)":                              engine.KindNamedLock, "SELECT pg_try_advisory_lock_shared(1, 2)": engine.KindNamedLock,
		"SELECT pg_advisory_unlock_all()": engine.KindNamedLock, "SELECT 1 ESCAPE pg_advisory_lock(1)": engine.KindNamedLock,
		"SELECT nextval('s')": engine.KindSequence, "INSERT INTO t VALUES (nextval('s'))": engine.KindSequence, "SELECT setval('s', 1)": engine.KindSequence,
		"SELECT pg_backend_pid()": engine.KindConnectionID,
		"SELECT a INTO t FROM u":  engine.KindTemporaryTable, "CREATE SEQUENCE s": engine.KindTemporaryTable, // by the search path
		"CREATE TEMP TABLE t (a int)": engine.KindTemporaryTable, "CREATE LOCAL TEMPORARY VIEW v AS SELECT 1": engine.KindTemporaryTable,
		"CREATE OR REPLACE TEMP VIEW v AS SELECT 1": engine.KindTemporaryTable, "CREATE TEMP SEQUENCE s": engine.KindTemporaryTable,
		"CREATE GLOBAL TEMP TABLE t AS SELECT 1": engine.KindTemporaryTable, "CREATE TABLE pg_temp.t (a int)": engine.KindTemporaryTable,
		"CREATE TABLE \"pg_temp\" . t (a int)": engine.KindTemporaryTable, "SELECT 1 INTO TEMP t": engine.KindTemporaryTable,
		"SELECT a INTO TEMPORARY TABLE t FROM u": engine.KindTemporaryTable, "CREATE FUNCTION pg_temp.f() RETURNS int AS '' LANGUAGE sql": engine.KindTemporaryTable,
		"CREATE SCHEMA s CREATE TEMP VIEW v AS SELECT 1": engine.KindTemporaryTable, "SELECT pg_temp_3.f()": engine.KindTemporaryTable,
		`CREATE TABLE U&"pg\005ftemp".t (a int)`:  engine.KindTemporaryTable,
		"DECLARE c CURSOR WITH HOLD FOR SELECT 1": engine.KindCursor, "LISTEN a": engine.KindListen, "UNLISTEN *": engine.KindListen,
		"LOAD 'x'": engine.KindLibrary, "PREPARE a AS SELECT 1": engine.KindPreparedStatement, "EXECUTE a": engine.KindPreparedStatement,
		"EXPLAIN ANALYZE EXECUTE a(1)":    engine.KindPreparedStatement,
		"CREATE TABLE t AS EXECUTE a":     engine.KindPreparedStatement,
		"PREPARE transaction AS SELECT 1": engine.KindPreparedStatement,
		"CALL p()":                        engine.KindUnknown, "DO $$ BEGIN END $$": engine.KindUnknown, "SELECT f()": engine.KindUnknown, "SELECT s.lower('A')": engine.KindUnknown,
		`SELECT "in"(1)`: engine.KindUnknown, `SELECT U&"lower"('A')`: engine.KindUnknown,
		"SELECT * FROM f(1) AS (a int)": engine.KindUnknown, "SELECT * FROM t, f(1) AS (a int)": engine.KindUnknown, "SELECT over(1)": engine.KindUnknown,
		"SELECT a, set(1)": engine.KindUnknown, "SELECT query_to_xml('SELECT 1', true, true, '')": engine.KindUnknown,
		"SELECT ts_stat('SELECT 1')": engine.KindUnknown, "SELECT dblink('x', 'y')": engine.KindUnknown, "CREATE EXTENSION x": engine.KindUnknown,
		"CREATE LANGUAGE x": engine.KindUnknown, "ALTER EXTENSION x UPDATE": engine.KindUnknown, "START_REPLICATION SLOT a": engine.KindUnknown,
		"CREATE TABLE p PARTITION OF t FOR VALUES IN (pg_advisory_lock(1))":                       engine.KindNamedLock,
		"CREATE TABLE p PARTITION OF t FOR /**/ VALUES FROM (set_config('a', 'b', false)) TO (2)": engine.KindSetting,
		"CREATE SCHEMA s CREATE TABLE p PARTITION OF t FOR VALUES IN (nextval('q'))":              engine.KindSequence,
		"INSERT INTO temp SELECT set_config('a', 'b', false)":                                     engine.KindSetting,
		"INSERT INTO local DEFAULT VALUES RETURNING pg_advisory_lock(1)":                          engine.KindNamedLock,
		"SELECT (5::bigint).pg_advisory_lock":                                                     engine.KindNamedLock, "SELECT x.pg_try_advisory_lock_shared FROM abs(5::bigint) x": engine.KindNamedLock,
		"SELECT x.nextval FROM to_regclass('s') x": engine.KindSequence, `SELECT x."setseed" FROM float8(0.5) x`: engine.KindUnknown,
		`SELECT x.U&"\0073etseed" FROM float8(0.5) x`: engine.KindUnknown, "SELECT ('dbname=x'::text).dblink_connect": engine.KindUnknown,
		"SELECT TREAT(1 AS pg_advisory_lock)": engine.KindUnknown, `SELECT U&"setse\0065d"(0.5)`: engine.KindUnknown,
		`SELECT U&"set!005fconfig" UESCAPE '!' ('a', 'b', false)`: engine.KindUnknown, `CREATE TABLE U&"pg!005ftemp" uescape '!' . t (a int)`: engine.KindTemporaryTable,
		"SET SESSION ROLE a": engine.KindRole, "SET SESSION SESSION AUTHORIZATION a": engine.KindRole,
		"SET session_authorization = a": engine.KindRole, "RESET session_authorization": engine.KindRole,
		"RESET session.x": engine.KindSetting, "SET session.x = 1": engine.KindSetting,
		"IDENTIFY_SYSTEM": engine.KindUnknown, "SELECT 'unterminated": engine.KindUnknown, "SELECT /* unterminated": engine.KindUnknown,
		"SELECT $a$ unterminated $b$": engine.KindUnknown, "FROBNICATE": engine.KindUnknown, `"SELECT" 1`: engine.KindUnknown, "1": engine.KindUnknown,
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END": engine.KindUnknown, "ALTER TABLE t ALTER a TYPE int USING f(a)": engine.KindUnknown,
		"SELECT lower" + strings.Repeat("x", 70) + "('A')": engine.KindUnknown, "SELECT a OPERATOR(pg_catalog.+) f(b)": engine.KindUnknown,
		"SELECT t AT TIME ZONE f(b)": engine.KindUnknown, "SELECT (a).f(1)": engine.KindUnknown, "SELECT é(1)": engine.KindUnknown,
		"SELECT 1 AS into, set_config('a', 'b', false)": engine.KindSetting, "SELECT 1 AS into FROM set_config('a', 'b', false)": engine.KindSetting,
		"SELECT t.references, pg_advisory_lock(1) FROM t": engine.KindNamedLock, "SELECT 1 references FROM pg_advisory_lock(1)": engine.KindNamedLock,
		"CREATE TABLE t AS SELECT 1 AS references UNION SELECT nextval('s')": engine.KindSequence,
		"SELECT a.pg_catalog.set_config('a', 'b', false)":                    engine.KindSetting, `SELECT U&"pg\005fcatalog".pg_advisory_lock(1)`: engine.KindNamedLock,
		"IMPORT FOREIGN SCHEMA s FROM SERVER x INTO pg_temp":        engine.KindTemporaryTable,
		"SELECT pg_create_logical_replication_slot('a', 'b', true)": engine.KindReplication, "DISCARD x": engine.KindUnknown,
	} {
		if v := classify([]byte(sql), lexing{}); !(v.kinds | v.maybe | v.ends).has(want) && !(want == engine.KindUnknown && (v.opaque || v.foreign || v.garbled)) {
			t.Errorf("%q: %q, want %v", sql, v, want)
		}
	}
}

// Before 15 no white space was needed there.
func TestANumberEndsWithItsExponent(t *testing.T) {
	for _, number := range []string{"1", "1e5", "1E+5", "1.5e-5", ".5", ".5e55", "1."} {
		if v := classify([]byte("SELECT "+number+"INTO TEMP t"), lexing{}); !v.kinds.has(engine.KindTemporaryTable) {
			t.Errorf("%s: %q", number, v)
		}
	}
	if v := classify([]byte("SELECT 1e5, 1e, 1e+a, 2.5E-3 AS e5 FROM t"), lexing{}); v != (verdict{}) {
		t.Errorf("%q", v)
	}
}

func TestTemporaryViewsHoldCode(t *testing.T) {
	for sql, want := range map[string]bool{
		"CREATE TEMP VIEW v AS SELECT 1": true, "CREATE OR REPLACE LOCAL TEMPORARY VIEW v AS SELECT 1": true,
		"CREATE TEMP TABLE t (a int)": false, "CREATE GLOBAL TEMP SEQUENCE s": false, "CREATE TABLE t (a int)": true,
		"IMPORT FOREIGN SCHEMA s FROM SERVER x INTO s": true,
	} {
		if v := classify([]byte(sql), lexing{}); v.creates != want {
			t.Errorf("%q creates code: %v", sql, v.creates)
		}
	}
}

func TestBackslashesEscapeInPlainStringsOnlyWithoutConformingStrings(t *testing.T) {
	hidden := []byte(`SELECT 'a\'; SET a = 1; --'`)
	if v := classify(hidden, lexing{backslash: true}); v != (verdict{}) {
		t.Errorf("a string with an escaped quote: %s", v)
	}
	if v := classify(hidden, lexing{}); !v.kinds.has(engine.KindSetting) {
		t.Errorf("a string that ends with a backslash: %q", v)
	}
	if v := classify([]byte(`SELECT 'a\\'; SET a = 1`), lexing{backslash: true}); !v.kinds.has(engine.KindSetting) {
		t.Errorf("an escaped backslash: %q", v)
	}
}

func TestTextInAnEncodingWithBackslashesInsideCharactersIsNotRead(t *testing.T) {
	l := lexingOf([]parameter{{"client_encoding", "SJIS"}, {"standard_conforming_strings", "on"}})
	if v := classify([]byte("SELECT '\x95\x5c'"), l); !v.kinds.has(engine.KindUnknown) {
		t.Errorf("got %q", v)
	}
	if v := classify([]byte("SELECT 'a'"), l); v != (verdict{}) {
		t.Errorf("plain ASCII: %q", v)
	}
}

func TestOnlyALoneDiscardAllIsAReset(t *testing.T) {
	for sql, want := range map[string]bool{
		"DISCARD ALL": true, " discard /* x */ all ; ": true, "DISCARD ALL; SELECT 1": false, "DISCARD PLANS": false,
		"SELECT 1; DISCARD ALL": false, "DISCARD ALL x": false, "EXPLAIN DISCARD ALL": true,
	} {
		if v := classify([]byte(sql), lexing{}); v.reset != want {
			t.Errorf("%q: reset %v, want %v", sql, v.reset, want)
		}
	}
}

func TestWhatMayMakeASequenceValueIsKnown(t *testing.T) {
	for _, sql := range []string{
		"INSERT INTO t DEFAULT VALUES", "WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x", "COPY t FROM STDIN", "BEGIN; INSERT INTO t VALUES (1)",
		"MERGE INTO t USING s ON a = b WHEN NOT MATCHED THEN INSERT VALUES (1)", "UPDATE t SET a = DEFAULT", "SELECT nextval('s')",
		"SELECT setval('s', 1)", "SELECT mine()", "DO 'x'", "CALL p()", "EXECUTE p", "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
	} {
		if v := classify([]byte(sql), lexing{}); !v.sequence {
			t.Errorf("%q: %q", sql, v)
		}
	}
	for _, sql := range []string{"SELECT 1", "UPDATE t SET a = 1", "DELETE FROM t", "BEGIN", "SELECT a FROM t FOR UPDATE"} {
		if v := classify([]byte(sql), lexing{}); v.sequence {
			t.Errorf("%q: %q", sql, v)
		}
	}
}

func TestCurrvalAndLastvalAskForSequenceValues(t *testing.T) {
	for _, sql := range []string{"SELECT lastval()", "INSERT INTO t VALUES (currval('s'))", "SELECT pg_catalog.lastval()"} {
		if v := classify([]byte(sql), lexing{}); !v.sequence || v.kinds != 0 {
			t.Errorf("%q: %q", sql, v)
		}
	}
}

func TestEveryBuiltinIsFoundAndNothingElse(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(builtinNames, "\n"), "\n")[1:]
	for _, name := range lines {
		if !builtin([]byte(name)) {
			t.Errorf("%s is not found", name)
		}
	}
	found := 0
	for _, name := range builtins {
		if name != "" {
			found++
		}
	}
	if found != len(lines) {
		t.Errorf("%d of %d names", found, len(lines))
	}
	for _, name := range []string{"x", "set_config", "pg_advisory_lock", "nextval", "counts", "coun", "my_own_function", strings.Repeat("x", maxWord)} {
		if builtin([]byte(name)) {
			t.Errorf("%s is found", name)
		}
	}
}

func TestReadingSQLAllocatesNothing(t *testing.T) {
	sql := []byte("SELECT a, count(*) FROM t AS x(a) WHERE b = 'c' GROUP BY a")
	if n := testing.AllocsPerRun(100, func() { classify(sql, lexing{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkClassify(b *testing.B) {
	for name, sql := range map[string]string{
		"point_select": "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
		"insert":       "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP);",
		"begin":        "BEGIN;",
		"calls":        "SELECT count(*), upper(a), max(b), jsonb_build_object('x', c), now() FROM t GROUP BY a",
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(sql)
			b.ReportAllocs()
			for b.Loop() {
				classify(text, lexing{})
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	for _, sql := range harmless {
		f.Add([]byte(sql), false)
	}
	f.Fuzz(func(t *testing.T, sql []byte, backslash bool) {
		v := classify(sql, lexing{backslash: backslash})
		// What stands behind a whole harmless statement, or behind a comment before it, is read as if it stood alone.
		if v == (verdict{}) {
			if w := classify(append(sql[:len(sql):len(sql)], "\n;SET a = 1"...), lexing{backslash: backslash}); w.kinds == 0 {
				// Only an open parenthesis keeps the semicolon from ending the statement, and that is a syntax error.
				if !unbalanced(sql, backslash) {
					t.Errorf("%q hides what follows it", sql)
				}
			}
		}
	})
}

func unbalanced(sql []byte, backslash bool) bool {
	s := scanner{text: sql, lex: lexing{backslash: backslash}}
	for depth := 0; ; {
		switch s.next() {
		case '(', '[':
			depth++
		case ')', ']':
			depth = max(depth-1, 0)
		case tokenEnd, tokenBroken:
			return depth > 0
		}
	}
}
