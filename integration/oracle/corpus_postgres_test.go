package oracle

import "strings"

// postgresCorpus are statements of every sort that PostgreSQL 17 parses, a line each.
var postgresCorpus = append(strings.Split(strings.TrimSpace(`
SELECT
SELECT 1
SELECT * FROM t
SELECT t.*, u.a AS b FROM t, u WHERE t.a = u.a AND NOT (t.b) OR u.c IS NULL
SELECT a FROM ONLY t WHERE b = $1 AND c <> ALL ($2::int[]) ORDER BY a DESC NULLS LAST LIMIT 10 OFFSET 5
SELECT DISTINCT ON (a, b) a, b FROM t ORDER BY a, b, c
SELECT a FROM t FOR UPDATE OF t NOWAIT
SELECT a FROM t FOR NO KEY UPDATE SKIP LOCKED
SELECT a FROM t FOR KEY SHARE
SELECT count(*), sum(a) FILTER (WHERE b) OVER w, rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (ORDER BY c)
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY a) FROM t GROUP BY GROUPING SETS ((a), (b), ()) HAVING grouping(a) > 0
SELECT a FROM t GROUP BY CUBE (a, b), ROLLUP (c)
SELECT a FROM t TABLESAMPLE BERNOULLI (10) REPEATABLE (5)
SELECT a FROM t ORDER BY a FETCH FIRST 5 ROWS WITH TIES
SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3 EXCEPT (SELECT 4 ORDER BY 1 LIMIT 1)
(SELECT 1) UNION (VALUES (2), (3))
VALUES (1, 'a'), (2, DEFAULT)
TABLE ONLY t
WITH a AS (SELECT 1), b (x, y) AS MATERIALIZED (SELECT 1, 2), c AS NOT MATERIALIZED (TABLE t) SELECT * FROM a, b, c
WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p SELECT sum(n) FROM t
WITH d AS (DELETE FROM t RETURNING *), i AS (INSERT INTO u SELECT * FROM d RETURNING a) UPDATE v SET a = i.a FROM i
SELECT * FROM a JOIN b USING (x) NATURAL LEFT JOIN c CROSS JOIN d FULL JOIN e ON (e.a = d.a)
SELECT * FROM generate_series(1, 10) AS g (n), LATERAL (SELECT g.n) AS l, unnest(ARRAY[1]) WITH ORDINALITY AS u (a, o)
SELECT * FROM ROWS FROM (generate_series(1, 2), json_to_record('{}') AS (a int, b text)) AS r
SELECT * FROM json_to_recordset('[]') AS x (a int, b text)
SELECT * FROM f() AS x (a int), s.g(1, a => 2, VARIADIC ARRAY[1])
SELECT * FROM XMLTABLE ('/a' PASSING x COLUMNS a int PATH 'b' DEFAULT f(1), b FOR ORDINALITY)
SELECT * FROM JSON_TABLE ('{}', '$' COLUMNS (a int PATH '$.a', NESTED PATH '$.b' COLUMNS (c text PATH '$')))
SELECT CASE a WHEN 1 THEN (2) ELSE (f(3)) END, CASE WHEN (a) THEN lower('x') END, COALESCE(a, f(b)), NULLIF(a, g(b)), GREATEST(a, h(b)), LEAST(1)
SELECT CAST(a AS numeric(10, 2)), b::varchar(5), c::character varying(3), d::timestamp(3) with time zone, e::time(2) without time zone, f::bit varying(3), g::int[][], h::interval day to second(3)
SELECT int '1', date '2020-01-01', interval(3) '1 second', interval '1' year to month, timestamp with time zone 'now', numeric(3) '1', s.mytype 'x', mytype(3) 'y'
SELECT EXTRACT(epoch FROM now()), POSITION('a' IN 'b'), SUBSTRING('a' FROM 1 FOR 2), SUBSTRING('a' SIMILAR 'b' ESCAPE 'c'), OVERLAY('a' PLACING 'b' FROM 1), TRIM(LEADING 'x' FROM 'y'), NORMALIZE('a', NFC)
SELECT XMLELEMENT(NAME a, XMLATTRIBUTES(b AS c), f(d)), XMLFOREST(a, b AS c), XMLPARSE(DOCUMENT x), XMLPI(NAME php), XMLROOT(x, VERSION '1'), XMLSERIALIZE(CONTENT x AS text), XMLEXISTS('x' PASSING y), XMLCONCAT(a)
SELECT JSON_OBJECT('a' VALUE f(1) NULL ON NULL), JSON_ARRAY(1, g(2)), JSON_ARRAYAGG(a ORDER BY b), JSON_OBJECTAGG(a: b), JSON('{}'), JSON_SCALAR(1), JSON_SERIALIZE('{}'), JSON_VALUE('{}', '$' DEFAULT f(1) ON EMPTY), JSON_EXISTS('{}', '$')
SELECT a IS JSON OBJECT, b IS NOT DISTINCT FROM c, d IS DOCUMENT, e IS NORMALIZED, f ISNULL, g NOTNULL, h IS UNKNOWN
SELECT a LIKE 'x' ESCAPE 'y', b NOT ILIKE c, d SIMILAR TO 'e', f BETWEEN SYMMETRIC 1 AND 2, g IN (1, f(2)), h = ANY (ARRAY[1]), i > ALL (SELECT 1), (1, 2) OVERLAPS (3, 4), EXISTS (SELECT 1)
SELECT a AT TIME ZONE 'UTC', b AT LOCAL, c COLLATE "C", COLLATION FOR (d), e OPERATOR(pg_catalog.+) f, -g, @ h, a.b.c, (a).b, (f(1)).c, a[1], a[1:2], a[:], ARRAY[[1], [2]], ARRAY(SELECT 1), ROW(1, 2), ROW(), (1, 2)
SELECT current_date, current_time(2), current_timestamp, localtime, localtimestamp(3), current_user, session_user, current_role, current_catalog, current_schema, user, system_user
SELECT "a b", "a""b", "select", U&"\0061", U&"!0061" UESCAPE '!', é, _a, a$b
SELECT 'a', 'it''s', E'\'', E'\\', U&'\0041', U&'!0041' UESCAPE '!', B'01', X'1F', N'a', $$a$$, $x$a $$ b$x$, 1, 1.5, .5, 1e10, 0x1F, 0o17, 0b1, 1_000
SELECT ';', E'\';', $$;$$, ";" /* ; */ -- ;
SELECT a FROM t WHERE b @> '{}' AND c ?| ARRAY['x'] AND d #>> '{a}' = 'b' AND e ~* 'f' AND g !~~ 'h' AND i <-> j < 5
SELECT nextval('s'), setval('s', 1), setval('s', 1, false)
SELECT currval('s')
SELECT lastval()
SELECT pg_catalog.nextval('s'), "nextval"('s'), U&"nextval"('s'), pg_catalog."nextval"('s'), NextVal('s')
SELECT U&"nextv!0061l" UESCAPE '!' ('s')
SELECT public.nextval('s')
SELECT nextval('s'::regclass) FROM t WHERE setval('u', 1) > 0
SELECT set_config('a.b', 'c', false)
SELECT set_config('a.b', 'c', true)
SELECT set_config('a.b', 'c', TRUE AND true)
SELECT set_config('a.b', 'c', $1)
SELECT set_config('a.b', 'c', 'true')
SELECT set_config('a.b', 'c', true::boolean)
SELECT set_config('a.b', 'c', (true))
SELECT set_config('a.b', 'c', is_local => true)
SELECT set_config(setting_name => 'a.b', is_local => true, new_value => 'c')
SELECT set_config(VARIADIC ARRAY['a', 'b'])
SELECT set_config('a', set_config('b', 'c', false), true)
SELECT set_config('a', (SELECT 'b' FROM t WHERE c IN (1, 2)), true)
SELECT pg_catalog.set_config('a', 'b', false)
SELECT public.set_config('a', 'b', false)
SELECT set_config FROM t
SELECT t.set_config FROM t
SELECT a AS set_config FROM t
SELECT set_config, (1) FROM t
SELECT pg_advisory_lock(1)
SELECT pg_advisory_lock(1, 2), pg_advisory_lock_shared(1)
SELECT pg_try_advisory_lock(1) AND pg_try_advisory_lock_shared(2)
SELECT pg_advisory_unlock(1)
SELECT pg_advisory_unlock_all()
SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)
SELECT 1 FROM t WHERE a = 1 AND pg_advisory_lock(2) IS NULL
SELECT 1 FROM t ORDER BY pg_advisory_lock(a)
SELECT 1 FROM t GROUP BY pg_advisory_lock(a)
SELECT 1 FROM t HAVING pg_advisory_lock(1) IS NULL
SELECT 1 LIMIT (SELECT 1 FROM pg_advisory_lock(1))
SELECT 1 OFFSET length(pg_advisory_lock(1)::text)
SELECT CASE WHEN pg_try_advisory_lock(1) THEN 1 END
SELECT (SELECT pg_advisory_lock(1))
SELECT ARRAY[pg_advisory_lock(1)]
SELECT ROW(pg_advisory_lock(1))
SELECT a FROM t WHERE b IN (SELECT pg_advisory_lock(1)::text)
SELECT a[pg_advisory_lock(1)::text::int]
SELECT lower(pg_advisory_lock(1)::text)
SELECT * FROM pg_advisory_lock(1)
SELECT * FROM t, LATERAL pg_advisory_lock(t.a)
SELECT * FROM t JOIN pg_advisory_lock(1) ON true
SELECT * FROM ROWS FROM (pg_advisory_lock(1), generate_series(1, 2)) AS x
SELECT * FROM (SELECT pg_advisory_lock(1)) AS x
SELECT * FROM t TABLESAMPLE SYSTEM (setval('s', 1))
SELECT count(*) FILTER (WHERE pg_try_advisory_lock(1)) FROM t
SELECT sum(a) OVER (ORDER BY pg_advisory_lock(1)) FROM t
SELECT string_agg(a, b ORDER BY nextval('s')) FROM t
SELECT COALESCE(nextval('s'), 1), GREATEST(pg_advisory_lock(1), NULL)
SELECT a COLLATE "C", pg_advisory_lock(1)
SELECT a ESCAPE, pg_advisory_lock(1) FROM t
SELECT TREAT(1 AS pg_advisory_lock)
SELECT TREAT('s' AS nextval), treat (a AS s.setseed)
SELECT JSON_OBJECT('a': nextval('s'))
SELECT XMLELEMENT(NAME a, nextval('s'))
SELECT setseed(0.5), random()
SELECT pg_backend_pid()
SELECT pg_cancel_backend(pg_backend_pid())
SELECT pg_stat_get_activity(pg_backend_pid())
SELECT pg_export_snapshot()
SELECT pg_create_logical_replication_slot('a', 'pgoutput', true)
SELECT pg_create_physical_replication_slot('a', true, true)
SELECT pg_copy_logical_replication_slot('a', 'b', true)
SELECT pg_replication_origin_session_setup('a')
SELECT pg_replication_origin_session_reset()
SELECT query_to_xml('SELECT pg_advisory_lock(1)', true, true, '')
SELECT cursor_to_xml('c', 1, true, true, '')
SELECT table_to_xml('t', true, true, ''), schema_to_xml('s', true, true, ''), database_to_xml(true, true, '')
SELECT * FROM ts_stat('SELECT 1')
SELECT ts_rewrite('a'::tsquery, 'SELECT 1')
SELECT dblink_connect('x'), dblink_exec('y'), public.dblink('z')
SELECT * FROM crosstab('SELECT 1') AS c (a int)
SELECT * FROM connectby('t', 'a', 'b', 'c', 0) AS t (a text)
SELECT myfunc(1), s.myfunc(2), "My Func"(3)
SELECT over(1), filter(2), set(3), key(4), by(5), zone(6), cube(7), rollup(8), escape(9), conflict(10), sets(11), include(12), document(13), passing(14)
SELECT a.over(1), "in"(2), "select"(3)
SELECT pg_temp.f(1)
SELECT "pg_temp".f(1), pg_temp_5.g()
SELECT * FROM pg_temp.t
SELECT U&"pg!005ftemp" UESCAPE '!' . f(1)
SELECT lo_create(0), lo_unlink(5), loread(1, 2)
SELECT 1 INTO t
SELECT 1 INTO TEMP t
SELECT a INTO LOCAL TEMPORARY TABLE t FROM u
SELECT a INTO GLOBAL TEMP t FROM set_config('a', 'b', false)
SELECT a INTO UNLOGGED TABLE t FROM u
SELECT a INTO TABLE t FROM f(1)
SELECT a INTO pg_temp.t FROM u
INSERT INTO t VALUES (1, DEFAULT, f(2))
INSERT INTO t DEFAULT VALUES
INSERT INTO t (a, b[1], c.d) VALUES (1, 2, 3) RETURNING a, f(b)
INSERT INTO t AS x (a) OVERRIDING USER VALUE SELECT f(a) FROM u ON CONFLICT DO NOTHING
INSERT INTO t (a) VALUES (1) ON CONFLICT ON CONSTRAINT c DO UPDATE SET a = EXCLUDED.a + set_config('a', 'b', false)::int WHERE t.a > pg_advisory_lock(1)::text::int
INSERT INTO t (a) VALUES (1) ON CONFLICT (lower(a) COLLATE "C" text_ops) WHERE b DO UPDATE SET (a, b) = (SELECT 1, 2)
INSERT INTO temp (a) VALUES (1)
INSERT INTO temp SELECT set_config('a', 'b', false)
INSERT INTO local VALUES (pg_advisory_lock(1))
INSERT INTO temporary DEFAULT VALUES RETURNING nextval('s')
INSERT INTO global (a) SELECT f(1)
INSERT INTO "temp" SELECT set_config('a', 'b', false)
INSERT INTO pg_temp.t VALUES (1)
INSERT INTO s.temp SELECT set_config('a', 'b', false)
INSERT INTO over (a) VALUES (f(1))
INSERT INTO f (a) VALUES (f(1))
UPDATE t SET a = 1
UPDATE ONLY t AS x SET a = f(1), (b, c) = ROW(1, g(2)), d = DEFAULT FROM u WHERE x.a = u.a RETURNING h(x.a)
UPDATE t SET a = nextval('s') WHERE CURRENT OF c
UPDATE pg_settings SET setting = 'x' WHERE name = 'a'
UPDATE pg_catalog.pg_settings AS s SET setting = 'x'
UPDATE ONLY "pg_settings" SET setting = 'x'
UPDATE U&"pg_setting\0073" SET setting = 'x'
WITH x AS (UPDATE pg_settings SET setting = '1' RETURNING *) SELECT * FROM x
DELETE FROM t USING u WHERE t.a = u.a AND f(t.b) RETURNING *
DELETE FROM t WHERE pg_try_advisory_lock(a)
MERGE INTO t USING (SELECT f(1) AS a) AS s ON t.a = s.a WHEN MATCHED AND g(s.a) THEN UPDATE SET a = h(1), b = DEFAULT WHEN NOT MATCHED THEN INSERT (a) VALUES (nextval('s')) WHEN MATCHED THEN DELETE
MERGE INTO t USING u ON a = b WHEN NOT MATCHED BY SOURCE THEN DO NOTHING RETURNING merge_action(), t.*
TRUNCATE t, ONLY u RESTART IDENTITY CASCADE
COPY t FROM STDIN
COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER, NULL '') WHERE f(a) > 1
COPY t TO STDOUT (DELIMITER '|')
COPY (SELECT set_config('a', 'b', false)) TO STDOUT
COPY (INSERT INTO t VALUES (1) RETURNING nextval('s')) TO STDOUT
COPY pg_temp.t FROM STDIN
COPY BINARY t FROM STDIN
EXPLAIN SELECT set_config('a', 'b', false)
EXPLAIN ANALYZE SELECT set_config('a', 'b', false)
EXPLAIN ANALYZE VERBOSE INSERT INTO t VALUES (nextval('s'))
EXPLAIN (ANALYZE) SELECT pg_advisory_lock(1)
EXPLAIN (ANALYZE true, BUFFERS, FORMAT json) (SELECT pg_advisory_lock(1))
EXPLAIN (VERBOSE, ANALYZE OFF, ANALYZE ON) CREATE TEMP TABLE t AS SELECT 1
EXPLAIN ((SELECT 1))
EXPLAIN ANALYZE DECLARE c CURSOR WITH HOLD FOR SELECT 1
EXPLAIN ANALYZE EXECUTE p (nextval('s'))
EXPLAIN EXECUTE p
EXPLAIN VERBOSE SELECT 1
SET a TO 1
SET a = 'b', "c", d, 1.5, on
SET SESSION a = 1
SET LOCAL a = 1
SET LOCAL a TO DEFAULT
SET a.b.c = 'd'
SET "a" = DEFAULT
SET a FROM CURRENT
SET local.a = 1
SET session.a = 1
SET session = 1
SET TIME ZONE 'UTC'
SET TIME ZONE INTERVAL '1' HOUR TO MINUTE
SET TIME ZONE LOCAL
SET LOCAL TIME ZONE DEFAULT
SET SESSION TIME ZONE -3
SET NAMES 'utf8'
SET NAMES
SET SCHEMA 's'
SET XML OPTION CONTENT
SET ROLE x
SET ROLE NONE
SET ROLE 'x'
SET LOCAL ROLE x
SET SESSION ROLE x
SET role TO x
SET role = DEFAULT
SET SESSION AUTHORIZATION x
SET SESSION AUTHORIZATION DEFAULT
SET SESSION SESSION AUTHORIZATION 'x'
SET LOCAL SESSION AUTHORIZATION x
SET session_authorization = 'x'
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY
SET SESSION TRANSACTION READ ONLY
SET LOCAL TRANSACTION READ ONLY
SET TRANSACTION SNAPSHOT 'x'
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE
SET transaction_isolation = 'serializable'
SET CONSTRAINTS ALL DEFERRED
SET CONSTRAINTS a, s.b IMMEDIATE
RESET a
RESET a.b
RESET ALL
RESET TIME ZONE
RESET ROLE
RESET role
RESET SESSION AUTHORIZATION
RESET session_authorization
RESET session.a
RESET TRANSACTION ISOLATION LEVEL
SHOW a
SHOW ALL
SHOW TIME ZONE
SHOW SESSION AUTHORIZATION
BEGIN
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE, DEFERRABLE
START TRANSACTION READ ONLY
COMMIT
COMMIT AND CHAIN
COMMIT WORK AND NO CHAIN
END TRANSACTION
ROLLBACK
ROLLBACK AND CHAIN
ABORT WORK
SAVEPOINT a
RELEASE SAVEPOINT a
ROLLBACK TO a
ROLLBACK WORK TO SAVEPOINT a
PREPARE TRANSACTION 'x'
PREPARE TRANSACTION $$x$$
PREPARE TRANSACTION E'x'
COMMIT PREPARED 'x'
ROLLBACK PREPARED 'x'
PREPARE p AS SELECT 1
PREPARE p (int, text) AS INSERT INTO t VALUES ($1, $2)
PREPARE transaction AS SELECT 1
PREPARE transaction (int) AS SELECT $1
EXECUTE p
EXECUTE p (1, f(2), set_config('a', 'b', false))
DEALLOCATE p
DEALLOCATE PREPARE p
DEALLOCATE ALL
DEALLOCATE PREPARE ALL
DEALLOCATE "all"
DEALLOCATE prepare
DISCARD ALL
DISCARD ALL;
DISCARD PLANS
DISCARD SEQUENCES
DISCARD TEMP
DISCARD TEMPORARY
LISTEN a
LISTEN "A b"
UNLISTEN a
UNLISTEN *
NOTIFY a
NOTIFY a, 'b'
LOAD 'x'
DECLARE c CURSOR FOR SELECT 1
DECLARE c BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT nextval('s')
DECLARE c CURSOR WITHOUT HOLD FOR SELECT set_config('a', 'b', false)
DECLARE hold CURSOR FOR SELECT 1
DECLARE "with" SCROLL CURSOR WITH HOLD FOR VALUES (1)
FETCH NEXT FROM c
FETCH FORWARD ALL IN c
MOVE 5 FROM c
CLOSE c
CLOSE ALL
DO 'BEGIN END'
DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; END $$
DO $$ BEGIN PERFORM set_config('a', 'b', false); END $$ LANGUAGE plpgsql
CALL p()
CALL s.p(1, f(2), a => 3)
CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL DEFAULT f(), c serial, d varchar(10) COLLATE "C" UNIQUE, CHECK (g(a) > 1), FOREIGN KEY (a) REFERENCES u (b) ON DELETE CASCADE, EXCLUDE USING gist (a WITH =))
CREATE TABLE IF NOT EXISTS s.t (LIKE u INCLUDING ALL, a int GENERATED ALWAYS AS IDENTITY, b int GENERATED ALWAYS AS (a + 1) STORED) INHERITS (v) WITH (fillfactor = 50) TABLESPACE x
CREATE UNLOGGED TABLE t (a int)
CREATE TABLE temp (a int)
CREATE TABLE temporary.t (a int)
CREATE TEMP TABLE t (a int)
CREATE TEMPORARY TABLE IF NOT EXISTS t (a int) ON COMMIT PRESERVE ROWS
CREATE LOCAL TEMP TABLE t (a int) ON COMMIT DELETE ROWS
CREATE GLOBAL TEMPORARY TABLE t (a int)
CREATE TEMP TABLE t (a int) ON COMMIT DROP
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1
CREATE TEMP TABLE t AS SELECT 1 WITH NO DATA
CREATE TABLE pg_temp.t (a int)
CREATE TABLE "pg_temp".t (a int)
CREATE TABLE U&"pg_tem\0070".t (a int)
CREATE TABLE pg_temp_3.t (a int)
CREATE TABLE t OF ty (a WITH OPTIONS DEFAULT 1)
CREATE TABLE t (a int) PARTITION BY RANGE (a, lower(b))
CREATE TABLE p PARTITION OF t FOR VALUES FROM (1) TO (MAXVALUE)
CREATE TABLE p PARTITION OF t FOR VALUES FROM (pg_advisory_lock(1)::text::int) TO (2)
CREATE TABLE p PARTITION OF t (a DEFAULT 5, CHECK (a > 1)) FOR VALUES IN (set_config('a', 'b', false)) PARTITION BY LIST (b)
CREATE TABLE p PARTITION OF t FOR VALUES WITH (MODULUS 4, REMAINDER 0)
CREATE TABLE p PARTITION OF t DEFAULT
CREATE FOREIGN TABLE p PARTITION OF t FOR VALUES IN (nextval('s')) SERVER x
CREATE SCHEMA s CREATE TABLE p PARTITION OF t FOR VALUES IN (pg_advisory_lock(1)) CREATE VIEW v AS SELECT 1
CREATE SCHEMA s CREATE TEMP TABLE t (a int)
CREATE SCHEMA AUTHORIZATION x CREATE SEQUENCE q GRANT SELECT ON t TO y
CREATE TABLE t AS SELECT set_config('a', 'b', false)
CREATE TABLE t (a, b) AS VALUES (1, f(2))
CREATE TABLE t AS EXECUTE p (1)
CREATE TABLE t AS TABLE u
CREATE MATERIALIZED VIEW v AS SELECT nextval('s') WITH DATA
REFRESH MATERIALIZED VIEW CONCURRENTLY v
CREATE VIEW v AS SELECT 1
CREATE OR REPLACE TEMP VIEW v (a) AS SELECT f(1) WITH CHECK OPTION
CREATE TEMPORARY RECURSIVE VIEW v (n) AS SELECT 1
CREATE VIEW pg_temp.v AS SELECT 1
CREATE SEQUENCE s START 5 INCREMENT BY 2 OWNED BY t.a
CREATE TEMP SEQUENCE s
CREATE SEQUENCE pg_temp.s
CREATE INDEX i ON t (a, lower(b), (f(c))) INCLUDE (d) WHERE g(e)
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t USING btree (a text_ops DESC)
CREATE STATISTICS x (ndistinct) ON a, b FROM t
CREATE FUNCTION f(a int DEFAULT g(1), OUT b text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE SET search_path = x AS $$ BEGIN PERFORM set_config('a', 'b', false); END $$
CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE c AS 'a', 'b'
CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN g(1)
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT set_config('a', 'b', false); END
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'
CREATE AGGREGATE a (int) (SFUNC = f, STYPE = int)
CREATE OPERATOR + (FUNCTION = f, LEFTARG = int, RIGHTARG = int)
CREATE TYPE ty AS (a int, b text)
CREATE TYPE ty AS ENUM ('a', 'b')
CREATE TYPE pg_temp.ty AS ENUM ('a')
CREATE TYPE pg_temp.ty AS (a int)
CREATE TYPE pg_temp.ty AS RANGE (SUBTYPE = int)
CREATE DOMAIN d AS int DEFAULT f() CHECK (g(VALUE))
CREATE DOMAIN pg_temp.d AS int
CREATE CAST (int AS ty) WITH FUNCTION f(int) AS ASSIGNMENT
CREATE TRIGGER g AFTER UPDATE OF a ON t REFERENCING NEW TABLE AS n FOR EACH ROW WHEN (f(NEW.a)) EXECUTE FUNCTION h('x')
CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE PROCEDURE f()
CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION f()
CREATE RULE r AS ON UPDATE TO t WHERE f(OLD.a) DO INSTEAD (INSERT INTO u VALUES (1); NOTIFY x)
CREATE POLICY p ON t FOR SELECT TO x USING (f(a)) WITH CHECK (g(b))
CREATE EXTENSION IF NOT EXISTS x WITH SCHEMA s CASCADE
ALTER EXTENSION x UPDATE TO '2'
CREATE LANGUAGE x
CREATE ROLE x LOGIN PASSWORD 'y'
CREATE USER x
CREATE DATABASE d TEMPLATE template0
CREATE TABLESPACE t LOCATION '/x'
CREATE SERVER s FOREIGN DATA WRAPPER w
CREATE USER MAPPING FOR x SERVER s
CREATE PUBLICATION p FOR TABLE t WHERE (a > 1)
CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p
CREATE COLLATION c (LOCALE = 'x')
CREATE TEXT SEARCH CONFIGURATION c (COPY = simple)
CREATE ACCESS METHOD m TYPE INDEX HANDLER h
CREATE TRANSFORM FOR int LANGUAGE x (FROM SQL WITH FUNCTION f(internal))
ALTER TABLE t ADD COLUMN a int DEFAULT nextval('s')
ALTER TABLE t ADD a text DEFAULT set_config('a', 'b', false), ALTER b TYPE int USING f(b)
ALTER TABLE t ADD CONSTRAINT c CHECK (pg_try_advisory_lock(a)), ADD FOREIGN KEY (a) REFERENCES u (b)
ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (pg_advisory_lock(1))
ALTER TABLE t RENAME COLUMN a TO b
ALTER TABLE t SET SCHEMA s
ALTER DOMAIN d ADD CHECK (f(VALUE))
ALTER INDEX i SET (fillfactor = 70)
ALTER SEQUENCE s RESTART
ALTER FUNCTION f(int) SET search_path = x
ALTER ROLE x SET a = 1
ALTER ROLE ALL IN DATABASE d RESET ALL
ALTER DATABASE d SET a FROM CURRENT
ALTER SYSTEM SET a = 1
ALTER SYSTEM RESET ALL
ALTER TYPE ty ADD VALUE 'c'
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x
ALTER VIEW v ALTER a SET DEFAULT f()
DROP TABLE IF EXISTS t, pg_temp.u CASCADE
DROP FUNCTION f(int)
DROP OWNED BY x
DROP SCHEMA s CASCADE
REASSIGN OWNED BY x TO y
GRANT EXECUTE ON FUNCTION f(int) TO x
GRANT x TO y WITH ADMIN OPTION
REVOKE ALL ON ALL TABLES IN SCHEMA s FROM PUBLIC
COMMENT ON FUNCTION f(int) IS 'x'
SECURITY LABEL ON TABLE t IS 'x'
LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT
VACUUM (FULL, ANALYZE) t (a)
ANALYZE VERBOSE t (a, b)
REINDEX (VERBOSE) TABLE CONCURRENTLY t
CLUSTER t USING i
CHECKPOINT
IMPORT FOREIGN SCHEMA s LIMIT TO (t) FROM SERVER x INTO y
SELECT 1; SET a = 1
SELECT 1;;; SELECT pg_advisory_lock(1)
;
;;SELECT 1
BEGIN; SELECT 1; COMMIT
BEGIN; SET LOCAL a = 1; COMMIT
BEGIN; CREATE TEMP TABLE t (a int) ON COMMIT DROP; INSERT INTO t VALUES (1); COMMIT
DISCARD ALL; SELECT 1
SELECT 1; DISCARD ALL
DISCARD ALL; DISCARD ALL
SELECT 'a;b'; LISTEN x
SELECT $$;$$; LISTEN x
SELECT 1 AS "a;b"; LISTEN x
CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); LISTEN x
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END; LISTEN x
`), "\n"),
	// With line breaks, and characters that a line cannot have.
	"", " ", "-- nothing", "/* nothing */", "/* a /* b */ c */ SELECT 1",
	"-- x\nSET a = 1", "-- x\rSET a = 1", "--\n--\nLISTEN a", "/* /* */ */ SET a = 1", "/*/**/*/LISTEN a", "SELECT 1 --\n;LISTEN a",
	"SELECT 1--1\n;LISTEN a", "SELECT 1 - -1; LISTEN a", "SELECT 1*/**/2; LISTEN a", "SELECT 1 /*;*/ ; LISTEN a", "SELECT 2-/* x */-1;LISTEN a",
	"SELECT 'a'\n'b'; LISTEN x", "SELECT E'a'\n'\\'; LISTEN x --'", "SELECT 'a'\n'\\'; LISTEN x --'", "SELECT 'a' /* x\n */ ; LISTEN x",
	"SELECT U&'a'\n'b'; LISTEN x", "SELECT B'0'\n'1', X'f'\n'f'; LISTEN x", "SELECT N'a'\n'b\\'; LISTEN x --'",
	"SELECT $a$\n$$\n$b$\n$a$; LISTEN x", "SELECT $é$;$é$; LISTEN x", "SELECT $a1$;$a1$; LISTEN x", "SELECT a$b$; LISTEN x; SELECT c$b$",
	"SELECT $1,$2; LISTEN x", "SELECT E'\\\\'; LISTEN x", "SELECT E'a\\\n'; LISTEN x",
	"SELECT \"a\nb\", \"--\", \"/*\", \"$$\", \"'\"; LISTEN x", "SELECT U&\"a\" UESCAPE\n'!'; LISTEN x", "SELECT U&'a' UESCAPE '!'; LISTEN x",
	"SET\na\nTO\n1", "SELECT S\u00e9T; LISTEN a", "SELECT\f1;\vLISTEN a", "SELECT 1\r;\rLISTEN a", "SELECT\tset_config\n(\n'a'\n,\n'b'\n,\nfalse\n)",
	"SELECT set_config -- x\n ('a', 'b', false)", "SELECT set_config/* (true) */('a', 'b', false)", "SELECT pg_catalog -- x\n. /* y */ pg_advisory_lock(1)",
	"SELECT pg_temp\n.\nf()", "SELECT a /*\n*/ INTO /* x */ TEMP -- y\n t", "CREATE /* x */ TEMP -- y\n TABLE t (a int)",
)
