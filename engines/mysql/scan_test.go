package mysql

import (
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func kindsOf(c class) (out []string) {
	for k := range engine.Kinds {
		if c.kinds&(1<<k) != 0 {
			out = append(out, engine.Kind(k).String())
		}
	}
	if c.has(classCallsNamed) {
		out = append(out, "function")
	}
	return out
}

// ordinary are statements of benchmarks, frameworks and tools that leave nothing behind.
var ordinary = []string{
	"SELECT c FROM sbtest1 WHERE id=500",
	"SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 100 ORDER BY c",
	"SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 1 AND 100",
	"SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 1 AND 100 ORDER BY c",
	"UPDATE sbtest1 SET k=k+1 WHERE id=5", "DELETE FROM sbtest1 WHERE id=5",
	"INSERT INTO sbtest1 (id, k, c, pad) VALUES (5, 5, 'x', 'y')",
	"BEGIN", "begin work", "COMMIT", "ROLLBACK", "START TRANSACTION", "START TRANSACTION READ ONLY;",
	"START TRANSACTION WITH CONSISTENT SNAPSHOT", "SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK TO SAVEPOINT `a`",
	"COMMIT AND NO CHAIN NO RELEASE",
	"SELECT 1", "select 1;", "SELECT 1; ", " SELECT 1", "(SELECT 1)", "((SELECT 1) UNION (SELECT f FROM t)) LIMIT 3", "-- hello", "", "/* a */",
	"SELECT/**/1", "SELECT 1 -- GET_LOCK('x', 1)", "SELECT 1 # GET_LOCK('x', 1)", "SELECT /* GET_LOCK('x') */ 1",
	"SELECT 'GET_LOCK(1,2)'", `SELECT 'it''s f(1)', 'it\'s f(1)', "f(1)"`, "SELECT `f`, `a``b` FROM t",
	"SELECT 5--3", "SELECT 5-- 3", "SELECT 5--- GET_LOCK('x', 1)", "SELECT @`a`, @'a', t.`a`", "SELECT a/b, a*b, a:b",
	"SELECT @@version_comment LIMIT 1", "SELECT @@max_allowed_packet", "SELECT @@session.tx_isolation", "SELECT @a",
	"SELECT NOW(), NOW (6), CURRENT_TIMESTAMP(6), COUNT(*), COUNT( DISTINCT a), IF(a, 1, 2), COALESCE(a, b)",
	"SELECT * FROM t WHERE a IN (1, 2) AND (b = 2 OR NOT (c)) AND EXISTS (SELECT 1) ORDER BY FIELD(a, 1, 2)",
	"SELECT * FROM a JOIN b USING (id) LEFT JOIN (SELECT 1) AS c (x) ON (a.id = c.x)",
	"SELECT * FROM a FORCE INDEX (i) WHERE a > ANY (SELECT 1) FOR UPDATE SKIP LOCKED",
	"SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) FROM t WINDOW w AS (ORDER BY a)",
	"WITH c AS (SELECT 1) SELECT * FROM c", "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT * FROM c",
	"SELECT CAST(a AS CHAR(10)), CONVERT(b, DECIMAL(10,2)), a->>'$.b' FROM t",
	"SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a VARCHAR(10) PATH '$')) AS t",
	"INSERT INTO `db`.`t` (`a`, `b`) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = VALUES(a)",
	"INSERT INTO db.t (a) SELECT b FROM u", "INSERT IGNORE INTO t (a) VALUES (1)", "INSERT t (a) VALUES (1)",
	"INSERT INTO t VALUES (1), (2)", "INSERT INTO t PARTITION (p0) (a) VALUES (1)", "REPLACE INTO t (a) VALUES (1)",
	"INSERT INTO t (a) VALUES (1) AS new (x) ON DUPLICATE KEY UPDATE a = new.x", "INSERT INTO t SET a = 1",
	"REPLACE LOW_PRIORITY t (a) VALUES (1)", "INSERT INTO t(a) VALUES (1) RETURNING id",
	"UPDATE t SET a = REPLACE(a, 'x', 'y') WHERE b LIKE CONCAT('%', 'x')", "DELETE a FROM a INNER JOIN b ON (a.x = b.x)",
	"CREATE TABLE t (id INT(10) PRIMARY KEY, a VARCHAR(10) DEFAULT 'x', KEY k (a), CONSTRAINT c FOREIGN KEY (a) REFERENCES u (b))",
	"CREATE INDEX i ON t (a)", "DROP TABLE IF EXISTS t", "ALTER TABLE t ADD COLUMN b INT", "TRUNCATE TABLE t",
	"CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE DATABASE d", "USE d", "use `d`", "/* x */ USE d", "DROP TEMPORARY TABLE t",
	"SHOW TABLES", "SHOW FULL COLUMNS FROM t LIKE 'a%'", "SHOW CREATE TABLE t", "SHOW PROCESSLIST", "SHOW VARIABLES WHERE Variable_name IN ('a')",
	"EXPLAIN SELECT 1", "DESCRIBE t", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "GRANT SELECT ON d.* TO u",
	"FLUSH TABLES", "FLUSH PRIVILEGES", "SET GLOBAL max_connections = 5", "SET @@global.max_connections = 5", "SET PERSIST a = 1",
	"LOAD DATA LOCAL INFILE 'f' INTO TABLE t (a, b)", "DO 1", "DO SLEEP(1)", "VALUES ROW(1), ROW(2)", "TABLE t",
	"SELECT LAST_INSERT_ID()", "SELECT IS_FREE_LOCK('a'), RELEASE_LOCK('a')", "SELECT 1; SELECT 2",
	"SELECT INTERVAL(1, 2), DATE_ADD(NOW(), INTERVAL (1) DAY)", "SELECT SQL_NO_CACHE 1",
	"SELECT MATCH (a) AGAINST ('x' IN BOOLEAN MODE) FROM t", "SELECT GROUP_CONCAT(a ORDER BY a SEPARATOR ',') FROM t",
	"SELECT /*!40001 SQL_NO_CACHE */ * FROM t", "SELECT _utf8mb4'x' COLLATE utf8mb4_bin, x'00', 1e5, .5, 0x1F",
	"SET TRANSACTION ISOLATION LEVEL READ COMMITTED", // the trackers say it
}

func TestOrdinaryStatementsLeaveNothing(t *testing.T) {
	for _, s := range ordinary {
		if c := scan([]byte(s), false, false); c.kinds != 0 || c.has(classCalls) {
			t.Errorf("%s: %v", s, kindsOf(c))
		}
	}
}

func TestStatementsThatLeaveStateAreFound(t *testing.T) {
	for s, want := range map[string]string{
		"SELECT GET_LOCK('a', 1)": "named_lock", "select get_lock ('a', 1)": "named_lock", "DO GET_LOCK('a', 1)": "named_lock",
		"INSERT INTO t VALUES (GET_LOCK('a', 1))":    "named_lock",
		"SELECT 1; SELECT GET_LOCK('a',1)":           "named_lock",
		"UPDATE t SET a = GET_LOCK('a', 1)":          "named_lock",
		"SELECT /*!50000 GET_LOCK(1, 2) */":          "named_lock",
		"SELECT /*M! GET_LOCK(1, 2) */ 1":            "named_lock",
		"SELECT GET_LOCK/**/(1, 2)":                  "named_lock",
		"SHOW TABLES WHERE GET_LOCK(1, 2)":           "named_lock",
		"SELECT GET_LOCK --\n(1, 2)":                 "named_lock",
		"SELECT 'a''' , GET_LOCK(1, 2), ''":          "named_lock",
		`SELECT 'a\\', GET_LOCK(1, 2), ''`:           "named_lock",
		"SELECT service_get_read_locks('a', 'b', 1)": "function",
		"SELECT version_tokens_lock_shared('a', 1)":  "function",
		"SELECT f(1)":                                     "function",
		"SELECT mariadb_schema.get_lock('a', 1)":          "named_lock",
		"CALL p(f(1))":                                    "function",
		"CALL p(@out)":                                    "user_variable",
		"SELECT f (1)":                                    "function",
		"SELECT `d` . `f` (1)":                            "unknown",
		"SELECT `f`(1)":                                   "unknown",
		`SELECT "f"(1)`:                                   "unknown",
		"INSERT INTO t (a) VALUES (f(1))":                 "function",
		"INSERT INTO t VALUES (f(1))":                     "function",
		"INSERT INTO t SELECT f(1)":                       "function",
		"INSERT INTO t SET a = f(1)":                      "function",
		"UPDATE t SET a = f(1)":                           "function",
		"DELETE FROM t WHERE f(1)":                        "function",
		"CREATE TABLE t AS SELECT f(1)":                   "function",
		"EXPLAIN ANALYZE SELECT f(1)":                     "function",
		"SELECT 1 FROM t WHERE (a) AND f(1)":              "function",
		"XA START 'x'":                                    "unknown",
		"BEGIN NOT ATOMIC SET @a = 1; END":                "unknown",
		"IF 1 THEN SELECT 1; END IF":                      "unknown",
		"START SLAVE":                                     "unknown",
		"CHANGE MASTER TO a = 1":                          "unknown",
		"INSTALL PLUGIN x SONAME 'y'":                     "unknown",
		"frobnicate":                                      "unknown",
		"`SELECT` 1":                                      "unknown",
		"SELECT 'a":                                       "unknown",
		"SELECT /*!99999 ' */ , GET_LOCK(1, 2) -- '":      "unknown",
		"SELECT \"a\\\" , GET_LOCK(1, 2) -- \"":           "unknown",
		"LOCK TABLES t READ":                              "table_lock",
		"LOCK INSTANCE FOR BACKUP":                        "table_lock",
		"FLUSH TABLES WITH READ LOCK":                     "table_lock",
		"FLUSH TABLES t WITH READ LOCK":                   "table_lock",
		"FLUSH LOCAL TABLES t FOR EXPORT":                 "table_lock",
		"SELECT NEXTVAL(s)":                               "sequence",
		"SELECT LASTVAL(d.s)":                             "sequence",
		"DO SETVAL(s, 5)":                                 "sequence",
		"INSERT INTO t VALUES (NEXT VALUE FOR s)":         "sequence",
		"SELECT PREVIOUS VALUE FOR s":                     "sequence",
		"SELECT s.nextval FROM dual":                      "sequence",
		"SELECT s . currval":                              "sequence",
		"SELECT @a := 1":                                  "user_variable",
		"SELECT @a:=@a+1 FROM t":                          "user_variable",
		"UPDATE t SET a = (@b := @b + 1)":                 "user_variable",
		"SELECT 1 INTO @a":                                "user_variable",
		"SELECT a, b FROM t LIMIT 1 INTO @a, @b":          "user_variable",
		"SET @a = 1":                                      "user_variable",
		"LOAD DATA INFILE 'f' INTO TABLE t (a, @b)":       "user_variable",
		"GET DIAGNOSTICS @a = NUMBER":                     "user_variable",
		"SET @@sql_mode = '', @a = 1":                     "user_variable",
		"SET @a = 1; SET @@sql_mode = ''":                 "user_variable",
		"SET NAMES utf8, @`a` := 1":                       "user_variable",
		"SET @'a' = 1":                                    "user_variable",
		"SELECT 1 --- '\n, GET_LOCK(1, 2) -- '":           "named_lock",
		"SELECT @@`identity`":                             "unknown",
		"SELECT @@session.`warning_count`":                "unknown",
		"SET NAMES utf8mb4":                               "setting",
		"SET autocommit=0":                                "setting",
		"SET SESSION sql_mode = CONCAT(@@sql_mode, ',X')": "setting",
		"SET @@sql_mode = ''":                             "setting",
		"SET @@session.sql_mode = ''":                     "setting",
		"SET `sql_mode` = ''":                             "setting",
		"SET GLOBAL a = 1, b = 2":                         "setting",
		"SET SESSION TRANSACTION READ ONLY":               "setting",
		"SET STATEMENT max_statement_time=1 FOR SELECT 1": "setting",
		"SELECT 1; SET NAMES utf8":                        "setting",
		"/*!40101 SET NAMES utf8 */":                      "setting",
		"SET ROLE r":                                      "role",
		"HANDLER t OPEN":                                  "cursor",
		"PREPARE s FROM 'SELECT 1'":                       "prepared_statement",
		"EXECUTE s":                                       "prepared_statement",
		"EXECUTE IMMEDIATE 'SELECT 1'":                    "prepared_statement",
		"DEALLOCATE PREPARE s":                            "prepared_statement",
		"CREATE TEMPORARY TABLE t (a INT)":                "temporary_table",
		"create /* x */ temporary table t as select 1":    "temporary_table",
		"CREATE OR REPLACE TEMPORARY TABLE t (a INT)":     "temporary_table",
		"SELECT NEXT VALUE FOR s":                         "sequence",
		"SELECT CONNECTION_ID() + 1":                      "connection_id",
		"INSERT INTO t VALUES (CONNECTION_ID())":          "connection_id",
		"SELECT @@pseudo_thread_id":                       "connection_id",
		strings.Repeat(" ", 1000) + "SET" + strings.Repeat("\n", 1000) + "NAMES utf8": "setting",
	} {
		for _, size := range []int{1, 3, len(s)} {
			l := lexer{}
			for at := 0; at < len(s); at += size {
				l.feed([]byte(s[at:min(at+size, len(s))]))
			}
			got := kindsOf(l.finish())
			if len(got) == 0 || !strings.Contains(strings.Join(got, " "), want) {
				t.Errorf("%s in pieces of %d: %v, not %s", s, size, got, want)
			}
		}
	}
}

func TestWhatServersReadInTwoWaysIsUnknown(t *testing.T) {
	for _, c := range []struct {
		text          string
		literal, wide bool
		unknown       bool
	}{
		{`SELECT 'a\' , GET_LOCK(1, 2) -- '`, false, false, false},
		{`SELECT 'a\' , GET_LOCK(1, 2) -- '`, true, false, true},
		{`SELECT 'a\\b'`, true, false, true},
		{"SELECT '\x83\\' , GET_LOCK(1, 2) -- '", false, true, true},
		{"SELECT '\x83\\' , GET_LOCK(1, 2) -- '", false, false, false},
		{`SELECT 'a\'b'`, false, true, false},
	} {
		got := scan([]byte(c.text), c.literal, c.wide).kinds&(1<<engine.KindUnknown) != 0
		if got != c.unknown {
			t.Errorf("%q (literal %v, wide %v): unknown %v", c.text, c.literal, c.wide, got)
		}
	}
}

func TestFlagsOfStatements(t *testing.T) {
	const none = classFlags(0)
	const stored = classCalls | classInsertID | classSetsInsertID
	for s, want := range map[string]classFlags{
		"SELECT LAST_INSERT_ID()":                    classInsertID,
		"SELECT LAST_INSERT_ID(5)":                   classInsertID | classSetsInsertID,
		"SELECT LAST_INSERT_ID(5), LAST_INSERT_ID()": classInsertID | classSetsInsertID,
		"SELECT LAST_INSERT_ID(), LAST_INSERT_ID(5)": classInsertID | classSetsInsertID,
		"SELECT @@last_insert_id":                    classInsertID,
		"SELECT @@session.identity":                  classInsertID,
		"SELECT identity FROM t":                     none,
		"SET last_insert_id = 5":                     classInsertID | classSetsInsertID,
		"SET `last_insert_id` = 5":                   classInsertID | classSetsInsertID,
		"SELECT @@`identity`":                        classInsertID | classDiagnostics,
		"INSERT INTO t VALUES (1)":                   classWrites,
		"INSERT INTO t VALUES (LAST_INSERT_ID())":    classWrites | classInsertID,
		"CALL p()":                        stored,
		"CALL p":                          stored,
		"call `d`.`p` (1, 'x')":           stored,
		"SELECT d.f(1)":                   classCalls | classInsertID,
		"SELECT d.now()":                  classCalls | classInsertID,
		"SELECT 1; CALL p()":              stored,
		"SELECT f(1)":                     classCalls | classCallsNamed | classInsertID,
		"SELECT ROW_COUNT()":              classPrevious,
		"SELECT FOUND_ROWS() + 1":         classPrevious | classAsksFound,
		"SELECT SQL%ROWCOUNT":             classPrevious,
		"SELECT a % rowcount FROM t":      none,
		"SELECT 1; SELECT sql % rowcount": none,
		"CREATE FUNCTION f RETURN INT AS RETURN SQL%ROWCOUNT":         classDefinesPrevious,
		"CREATE TABLE t AS SELECT @a := 1, ROW_COUNT()":               classPrevious,
		"SET NAMES gbk; set /* a */ resource group slow":              classGroup,
		"CREATE PROCEDURE p() SET RESOURCE GROUP slow":                classGroup,
		"/*!80000SET*/ RESOURCE GROUP slow":                           classGroup | classInsertID,
		"SELECT 1; SELECT FOUND_ROWS()":                               none,
		"SET @a = 1; SELECT FOUND_ROWS()":                             classAsksFound,
		"UPDATE t SET a = 1; SELECT ROW_COUNT()":                      none,
		"CREATE VIEW v AS SELECT ROW_COUNT()":                         classDefinesPrevious,
		"CREATE TABLE t AS SELECT ROW_COUNT()":                        classPrevious,
		"CREATE FUNCTION f() RETURNS INT RETURN FOUND_ROWS()":         classDefinesPrevious,
		"CREATE TRIGGER a BEFORE INSERT ON b FOR EACH ROW SET @x = 1": none,
		"DROP PROCEDURE p":                                            classRemoves,
		"drop table if exists a":                                      classRemoves,
		"DROP TEMPORARY TABLE a":                                      none,
		"DROP PREPARE p":                                              none,
		"ALTER TABLE t DROP a":                                        classRemoves,
		"ALTER TABLE t ALTER a SET DEFAULT (@a := 5)":                 classRemoves,
		"CREATE OR REPLACE VIEW v AS SELECT 1":                        none,
		"CREATE VIEW v AS SELECT 1; ALTER VIEW v AS SELECT 2":         classRemoves,
		"CREATE TABLE a (b INT); CREATE VIEW v AS SELECT 1":           none,
		"SHOW WARNINGS":                                               classDiagnostics | classShows,
		"show errors limit 1":                                         classDiagnostics | classShows,
		"SHOW COUNT(*) WARNINGS":                                      classDiagnostics | classShows,
		"SELECT @@warning_count":                                      classDiagnostics | classCountsDiagnostics,
		"SHOW TABLES":                                                 classShows,
		"SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1":                 classFoundRows,
		"USE d":                            classUse,
		"USE d;":                           classUse,
		"USE d; SELECT 1":                  classMoves,
		"KILL 5":                           classKill,
		"kill connection 5 ;":              classKill,
		"KILL QUERY 5":                     classKill | classKillQuery,
		"KILL HARD QUERY 5":                classKill | classKillQuery,
		"KILL USER x":                      classKillOther,
		"KILL QUERY ID 5":                  classKillOther,
		"KILL 5 + 1":                       classKillOther,
		"KILL (5)":                         classKillOther,
		"KILL '5'":                         classKillOther,
		"KILL":                             classKillOther,
		"KILL CONNECTION_ID()":             classKill,
		"kill query connection_id ( );":    classKill | classKillQuery,
		"KILL CONNECTION CONNECTION_ID()":  classKill,
		"KILL CONNECTION_ID":               classKillOther,
		"KILL CONNECTION_ID(":              classKillOther,
		"KILL CONNECTION_ID() + 1":         classKillOther,
		"KILL CONNECTION_ID(5)":            classKillOther,
		"KILL 1 + CONNECTION_ID()":         classKillOther,
		"KILL a.CONNECTION_ID()":           classKillOther,
		"KILL (CONNECTION_ID())":           classKillOther,
		"KILL CONNECTION_ID CONNECTION ()": classKillOther,
		"KILL CONNECTION_ID(); SELECT 1":   classKillOther,
		"KILL 5; SELECT 1":                 classKillOther,
		"SELECT 1; KILL 5":                 classKillOther,
		"SET STATEMENT max_statement_time = 1 FOR KILL 5": classKillOther | classSetsInsertID,
		"BEGIN NOT ATOMIC KILL 5; END":                    classKillOther | classInsertID | classSetsInsertID,
		"IF 1 THEN KILL 5; END IF":                        classKillOther | classInsertID | classSetsInsertID,
		"SELECT t.kill, @kill, `kill` FROM t":             none,
		"CREATE PROCEDURE p(id INT) BEGIN SELECT 1; KILL id; IF id THEN KILL QUERY id; END IF; END": classInsertID | classSetsInsertID,
		"CREATE PROCEDURE p() BEGIN SELECT 1; KILL 5; END":                                          classKillOther | classInsertID | classSetsInsertID,
		"SET STATEMENT max_statement_time = 1 FOR CALL p()":                                         stored,
		"SET STATEMENT max_statement_time = 1 FOR DROP TABLE t":                                     classRemoves | classSetsInsertID,
		"/*!KILL*/ 5":                      classKill,
		"SELECT CONNECTION_ID()":           none,
		"SELECT CONNECTION_ID(); SELECT 1": none,
		"GET DIAGNOSTICS @a = ROW_COUNT":   classPrevious | classDiagnostics | classGets,
		"GET DIAGNOSTICS @a = NUMBER":      classDiagnostics | classGets,
		"COMMIT RELEASE":                   classRelease,
		"ROLLBACK AND CHAIN NO RELEASE":    none,
	} {
		if got := scan([]byte(s), false, false).flags &^
			(classCode | classDefines | classCounts | classFinds | classFindsRows | classKeepsFound | classKeeps | classOpens | classTables | classEnds); got != want {
			t.Errorf("%s: %b, not %b", s, got, want)
		}
	}
	if c := scan([]byte("KILL QUERY 4711"), false, false); c.kill != 4711 {
		t.Errorf("kill of %d", c.kill)
	}
	if c := scan([]byte("KILL 99999999999999999999"), false, false); c.kill == ownConnection {
		t.Error("a large number is the client's own id")
	}
}

func TestAKillBesideAByteThatMayBeWhiteSpaceIsFound(t *testing.T) {
	for s, want := range map[string]classFlags{
		"KILL\xa05": classKillOther, "\xa0kill 5": classKillOther, "SELECT 1;\xffKILL\xff\xa05": classKillOther, "5\xa0KILL": classKillOther, "kill \xa05": classKillOther,
		"KILL 5 -- \xa0": classKill, "SELECT 'a\xa0kill 5'": 0, "SELECT a\xa0killed": 0, "SELECT skill\xa05": 0, "SELECT \xa05, kil": 0,
	} {
		for size := 1; size <= len(s); size += len(s) - 1 {
			l := lexer{spaced: true}
			for at := 0; at < len(s); at += size {
				l.feed([]byte(s[at:min(at+size, len(s))]))
			}
			if got := l.finish().flags & (classKill | classKillOther); got != want {
				t.Errorf("%q in pieces of %d: %b, not %b", s, size, got, want)
			}
		}
	}
}

func TestFoundRowsIsCountedWhereItIsTheNumberOfRows(t *testing.T) {
	for s, want := range map[string]classFlags{
		"SELECT * FROM t": classCounts, "select 1;": classCounts, "SELECT a, b FROM t GROUP BY a LIMIT 5": classCounts,
		"SELECT * FROM (SELECT a FROM t LIMIT 5) AS d": classCounts, "SELECT a FROM t LIMIT ?": classCounts,
		"SELECT a FROM t LIMIT 5, 2": 0, "SELECT a FROM t LIMIT ?,?": 0, "SELECT a FROM t LIMIT 2 OFFSET 5": 0,
		"SELECT 1 UNION SELECT 2": 0, "(SELECT 1)": 0, "SELECT 1; SELECT 2": 0, "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1": 0,
		"SELECT a INTO @a FROM t": 0, "SELECT /*!50000 a */ FROM t": 0, "SELECT a FROM t LIMIT ROWS EXAMINED 5": 0,
		"SELECT a FROM t ORDER BY a FETCH FIRST 1 ROWS WITH TIES": 0, "WITH c AS (SELECT 1) SELECT * FROM c": classCounts, "TABLE t": classCounts,
		"SELECT * FROM (SELECT 1 UNION SELECT 2 LIMIT 1 OFFSET 1) AS d": classCounts, "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r) SELECT * FROM r": classCounts,
		"WITH c AS (SELECT 1) SELECT * FROM c UNION SELECT 2": 0, "TABLE t UNION SELECT 2": 0, "TABLE t LIMIT 1 OFFSET 1": 0, "TABLE t INTO @a": 0,
		"BEGIN": classKeepsFound, "COMMIT": classKeepsFound, "SAVEPOINT a": 0, "COMMIT; SELECT 1": 0, "UPDATE t SET a = 1": 0, "SHOW TABLES": 0,
	} {
		if got := scan([]byte(s), false, false).flags & (classCounts | classKeepsFound); got != want {
			t.Errorf("%s: %b, not %b", s, got, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range ordinary {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole := scan(text, false, false)
		if len(text) == 0 {
			return
		}
		at := int(uint(cut) % uint(len(text)))
		l := lexer{}
		l.feed(text[:at])
		l.feed(text[at:])
		if pieces := l.finish(); pieces != whole {
			t.Fatalf("%q: in pieces %+v, whole %+v", text, pieces, whole)
		}
	})
}

func TestExecutableCommentsAreReadAsTheServerDoes(t *testing.T) {
	mysql := lexer{dialect: dialect{version: 90704}}
	mariaDB := lexer{dialect: dialect{version: 101118, mariaDB: true}}
	for sql, want := range map[string][3]string{ // of MySQL 9.7.4, MariaDB 10.11.18, and a server of which nothing is known
		"SELECT /*!GET_LOCK(1, 2)*/":                     {"named_lock", "named_lock", "named_lock"},
		"SELECT /*! GET_LOCK('a', 2) */":                 {"named_lock", "named_lock", "named_lock"},
		"SELECT 1 /*!40101 , GET_LOCK('a', 2) */":        {"named_lock", "named_lock", "named_lock"},
		"SELECT 1 /*!50600, GET_LOCK('a', 2) */":         {"named_lock", "named_lock", "named_lock,unknown"},
		"SELECT 1 /*!50700 , GET_LOCK('a', 2) */":        {"named_lock", "", "named_lock,unknown"},
		"SELECT 1 /*!80000 , GET_LOCK('a', 2) */":        {"named_lock", "", "named_lock,unknown"},
		"SELECT 1 /*!90705 , GET_LOCK('a', 2) */":        {"", "", "named_lock,unknown"},
		"SELECT 1 /*!99999 , GET_LOCK('a', 2) */":        {"", "", "named_lock,unknown"},
		"SELECT 1 /*!100000 , GET_LOCK('a', 2) */":       {"", "named_lock", "named_lock,unknown"},
		"SELECT 1 /*!101118, GET_LOCK('a', 2) */":        {"named_lock", "named_lock", "named_lock,unknown"}, // MySQL: 10111 and 8
		"SELECT 1 /*!101119 , GET_LOCK('a', 2) */":       {"", "", "named_lock,unknown"},
		"SELECT 1 /*!090704\n, GET_LOCK('a', 2) */":      {"named_lock", "", "named_lock,unknown"},
		"SELECT 1 /*M! , GET_LOCK('a', 2) */":            {"", "named_lock", "named_lock,unknown"},
		"SELECT 1 /*M!100100 , GET_LOCK('a', 2) */":      {"", "named_lock", "named_lock,unknown"},
		"SELECT 1 /*M!80000 , GET_LOCK('a', 2) */":       {"", "named_lock", "named_lock,unknown"},
		"SELECT 1 /*M!101119 , GET_LOCK('a', 2) */":      {"", "", "named_lock,unknown"},
		"/*!99999 SELECT 1; */ SET @a = 1":               {"user_variable", "user_variable", "unknown,user_variable"},
		"/*!99999 SELECT 1, */ CALL p(@a)":               {"user_variable", "user_variable", "function,unknown"},
		"/*!80000 CREATE */ DROP TEMPORARY TABLE t":      {"temporary_table", "", "temporary_table,unknown"},
		"/*!40101 SET NAMES utf8mb4 */;":                 {"setting", "setting", "setting"},
		"/*!50003 CREATE TEMPORARY TABLE t (a int) */":   {"temporary_table", "temporary_table", "temporary_table"},
		"SELECT /*!99999 ' */ , GET_LOCK(1, 2) -- '":     {"named_lock", "named_lock", "unknown"},
		"SELECT /*!40000 '*/', GET_LOCK(1, 2), '*/' */ ": {"named_lock", "named_lock", "named_lock"},
		"SELECT /*!40000 'it''s', */ 1":                  {"", "", ""},
		"SELECT 1 /*!99999 /* a */ , GET_LOCK(1, 2) */":  {"named_lock,unknown", "named_lock,unknown", "named_lock,unknown"},
		"SELECT 1 /*!40000 /* a */ , 2 */":               {"unknown", "unknown", "unknown"},
		"SELECT 1 /*!40000 -- */ , GET_LOCK(1, 2)":       {"unknown", "unknown", "unknown"},
		"SELECT 1 /*!99999 x */":                         {"", "", "unknown"},
		"SELECT 1 /*!99999*/, 2 /*!99999 **/":            {"", "", "unknown"},
		"SELECT 1 /*!1234 + GET_LOCK(1, 2) */":           {"named_lock", "named_lock", "named_lock"},
		"SELECT 1 /*!40101":                              {"unknown", "unknown", "unknown"},
		"SELECT 1 /*!99999 , 2":                          {"", "", "unknown"},
		"SELECT 1 /*!5":                                  {"unknown", "unknown", "unknown"},
		"SELECT 1 /* !99999 GET_LOCK(1, 2) */ /*Mx*/, 5": {"", "", ""},
	} {
		for i, l := range []lexer{mysql, mariaDB, {}} {
			for cut := range len(sql) {
				l := l
				l.feed([]byte(sql[:cut]))
				l.feed([]byte(sql[cut:]))
				got := kindsOf(l.finish())
				slices.Sort(got)
				if strings.Join(got, ",") != want[i] {
					t.Errorf("%s, server %d, cut at %d: %v, not %s", sql, i, cut, got, want[i])
					break
				}
			}
		}
	}
	// What is sure of one version need not be of others.
	for _, c := range []struct {
		server dialect
		sql    string
		sure   bool
	}{
		{dialect{version: 80035}, "SELECT 1 /*!50700 , 2 */", true}, {dialect{version: 80035}, "SELECT 1 /*!080036 , 2 */", false},
		{dialect{version: 50744}, "SELECT 1 /*!50744, 2 */", true}, {dialect{version: 50744}, "SELECT 1 /*!507440, 2 */", false},
		{dialect{version: 100618, mariaDB: true}, "SELECT 1 /*!50800 , 2 */", true},
		{dialect{version: 100618, mariaDB: true}, "SELECT 1 /*!80000 , 2 */", false},
		{dialect{version: 110806, mariaDB: true}, "SELECT 1 /*!80000 , 2 */", true},
	} {
		if got := scanAs([]byte(c.sql), &lexer{dialect: c.server}).kinds == 0; got != c.sure {
			t.Errorf("%+v: %s: sure %v", c.server, c.sql, got)
		}
	}
}

// In big5, gbk and sjis the second byte of a character may be that of a backtick.
func TestABacktickBehindAHighByteMayBePartOfACharacter(t *testing.T) {
	for _, text := range []string{
		"SELECT 1 AS `\xbf``, GET_LOCK('x', 1), 2 AS `\xbf``",
		"SELECT 1 AS x\xbf`, GET_LOCK('x', 1), 2 AS y\xbf`",
	} {
		if c := scan([]byte(text), false, true); c.kinds&(1<<engine.KindUnknown) == 0 {
			t.Errorf("%q leaves %b", text, c.kinds)
		}
	}
	for _, text := range []string{"SELECT `a`, '\xbf\xbf', \xbf\xbf FROM `b`", "SELECT 1 AS `\xbf\xbfa`"} {
		if c := scan([]byte(text), false, true); c.kinds != 0 {
			t.Errorf("%q leaves %b", text, c.kinds)
		}
	}
	if c := scan([]byte("SELECT 1 AS `\xc3\xa9`"), false, false); c.kinds != 0 {
		t.Errorf("in UTF-8 it leaves %b", c.kinds)
	}
}

func TestMySQLsDollarQuotesAreDoubted(t *testing.T) {
	for text, want := range map[string]bool{
		"CREATE FUNCTION f() RETURNS INT LANGUAGE JAVASCRIPT AS $$ ' $$; SET @a = 1; -- '": true, "CREATE FUNCTION f() RETURNS INT LANGUAGE JAVASCRIPT AS $a$'$a$": true,
		"SELECT a$$b, $a FROM t": false,
	} {
		l := lexer{dialect: dialect{version: 90704}}
		if got := scanAs([]byte(text), &l).kinds&bit(engine.KindUnknown) != 0; got != want {
			t.Errorf("%s: unknown %v", text, got)
		}
		l = lexer{dialect: dialect{version: 101118, mariaDB: true}}
		if scanAs([]byte("SELECT $a$ FROM t"), &l).kinds != 0 {
			t.Error("MariaDB has no such quotes")
		}
	}
}

func TestTheSchemaSysIsSeenInPieces(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT * FROM `sys`.v": true, "SELECT * FROM \"SYS\".v": true, "SELECT * FROM sys.v": true, "SELECT * FROM `tsys`.v": false, "SELECT * FROM `sys2`.v": false,
		"SELECT `sy` FROM `ys`.v": false, "SELECT 'sys' FROM v": false,
	} {
		for cut := range text {
			var l lexer
			l.feed([]byte(text[:cut]))
			l.feed([]byte(text[cut:]))
			if got := l.finish().has(classSys); got != want {
				t.Errorf("%s, cut at %d: %v", text, cut, got)
			}
		}
	}
}
