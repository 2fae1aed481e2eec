package oracle

// mysqlGrammar makes SQL for MySQL, most of it correct, in which fragments that touch the session stand wherever they may.
var mysqlGrammar = &Grammar{
	Rules: map[string][]string{
		"text": {
			"<statement>", "<statement> ;", "<statement> ; <statement>", "; <statement> ; ; <statement> ;", "<touch> ; <statement>",
			"<statement> ; <touch> ; <statement>", "BEGIN ; <statement> ; COMMIT",
		},
		"statement": {
			"SELECT 1", "<query>", "<query>", "<query>", "<write>", "<write>", "<touch>", "<touch>", "<define>", "<utility>",
			"EXPLAIN <query>", "EXPLAIN ANALYZE <query>", "DESC <write>", "EXPLAIN FORMAT = <string> <query>",
		},
		"touch": {
			"SET <variable> = <expr>", "SET <variable> := <expr>", "SET <scope> <variable> = <expr>", "SET <variable> = <expr> , <variable> = <expr>",
			"SET GLOBAL <variable> = <expr> , <variable> = <expr>", "SET <user> = <expr>", "SET <user> := <expr> , <user> = <expr>", "SET <system> = <expr>",
			"SET <system> = DEFAULT , <user> = <expr>", "SET @@ GLOBAL . <variable> = 1 , <variable> = 1", "SET NAMES <charset>", "SET NAMES <string> COLLATE <string>", "SET CHARACTER SET <charset>",
			"SET NAMES DEFAULT", "SET ROLE NONE", "SET ROLE <name>", "SET DEFAULT ROLE <name> TO <name>", "SET PASSWORD = <string>",
			"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET SESSION TRANSACTION READ ONLY",
			"SET GLOBAL TRANSACTION READ ONLY", "SET autocommit = 1", "SET autocommit = 0", "SET LOCAL sql_mode = <string>", "SET sql_mode = CONCAT ( @@ sql_mode , <string> )",
			"CREATE TEMPORARY TABLE <name> ( <columns> )", "CREATE TEMPORARY TABLE IF NOT EXISTS <name> ( <columns> )", "CREATE TEMPORARY TABLE <name> LIKE <name>",
			"CREATE TEMPORARY TABLE <name> AS <query>", "CREATE TEMPORARY TABLE <name> <query>", "DROP TEMPORARY TABLE <name>", "LOCK TABLES <name> READ",
			"LOCK TABLE <name> WRITE , <name> AS <name> READ", "UNLOCK TABLES", "FLUSH TABLES WITH READ LOCK", "FLUSH TABLES <name> WITH READ LOCK", "FLUSH LOCAL TABLES",
			"PREPARE <name> FROM <string>", "PREPARE <name> FROM <user>", "EXECUTE <name>", "EXECUTE <name> USING <user> , <user>", "DEALLOCATE PREPARE <name>", "DROP PREPARE <name>",
			"CALL <called> ( <exprs> )", "CALL <name>", "KILL 5", "KILL QUERY 5", "KILL CONNECTION 7", "USE <name>", "BEGIN", "START TRANSACTION", "START TRANSACTION READ ONLY",
			"START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT", "ROLLBACK", "SAVEPOINT <name>", "ROLLBACK TO <name>", "RELEASE SAVEPOINT <name>", "COMMIT AND CHAIN", "ROLLBACK RELEASE",
			"SHOW WARNINGS", "SHOW ERRORS LIMIT 1", "SHOW COUNT ( * ) WARNINGS", "SHOW COUNT ( * ) ERRORS", "SELECT CONNECTION_ID ( )", "SELECT CONNECTION_ID ( ) ;",
			"SELECT CONNECTION_ID ( ) AS a", "SELECT CONNECTION_ID ( ) , <expr>", "SELECT SQL_CALC_FOUND_ROWS <expr> FROM <from>", "SELECT DISTINCT SQL_CALC_FOUND_ROWS <expr> FROM <from> LIMIT 1",
			"LOAD DATA LOCAL INFILE <string> INTO TABLE <name> ( a , <user> )", "LOAD DATA INFILE <string> INTO TABLE <name> ( <user> ) SET a = <expr>", "LOAD DATA INFILE <string> REPLACE INTO TABLE <name> SET a = <expr> , b = <expr>",
			"RENAME TABLE <name> TO <name>", "ALTER TABLE <name> RENAME TO <name>", "ALTER TABLE <name> RENAME AS <name>", "ALTER TABLE <name> ADD a int , RENAME <name>",
		},
		"scope": {"SESSION", "GLOBAL", "LOCAL", "PERSIST", "PERSIST_ONLY"},
		"query": {
			"SELECT 1", "SELECT <expr>", "SELECT <exprs>", "SELECT <expr> FROM <from>", "SELECT <expr> AS <name> FROM <from> WHERE <expr>",
			"SELECT DISTINCT <expr> FROM <from> GROUP BY <expr> WITH ROLLUP HAVING <expr>", "SELECT <expr> FROM <from> ORDER BY <expr> DESC LIMIT 1 OFFSET 2",
			"( <query> ) UNION ALL ( <query> )", "( <query> )", "SELECT <expr> UNION SELECT <expr>", "SELECT <expr> FROM <from> FOR UPDATE", "SELECT <expr> FROM <from> LOCK IN SHARE MODE",
			"WITH <name> AS ( <query> ) <query>", "WITH <name> ( a , b ) AS ( <query> ) SELECT <expr>", "WITH RECURSIVE <name> ( a ) AS ( <query> ) , <name> AS ( <query> ) SELECT <expr> FROM <from>",
			"SELECT <expr> OVER ( PARTITION BY <expr> ORDER BY <expr> ) FROM <from>", "SELECT COUNT ( * ) FROM <from> WINDOW w AS ( ORDER BY <expr> )", "TABLE <name>", "VALUES ROW ( <exprs> ) , ROW ( 1 )",
			"SELECT SQL_NO_CACHE <expr> FROM <from>", "SELECT STRAIGHT_JOIN <expr> FROM <from>", "SELECT <expr> FROM DUAL WHERE <expr>", "SELECT HIGH_PRIORITY SQL_CALC_FOUND_ROWS <expr> FROM <from>",
			"SELECT <expr> INTO OUTFILE <string> FROM <from>", "SELECT <expr> FROM <from> INTO OUTFILE <string>",
		},
		"from": {
			"<name>", "<name> , <name>", "<name> AS <name>", "( <query> ) AS <name>", "( <query> ) <name>", "( <query> ) AS <name> ( a )", "<name> JOIN <name> ON ( <expr> )", "<name> LEFT JOIN <name> ON <expr>",
			"<name> NATURAL JOIN <name>", "<name> JOIN <name> USING ( a )", "<name> FORCE INDEX ( a )", "<name> PARTITION ( p0 )", "( <name> , <name> )", "<name> . <name>", "<name> USE INDEX FOR ORDER BY ( a )",
			"LATERAL ( <query> ) AS <name>",
		},
		"exprs": {"1", "<expr>", "<expr> , <expr>", "<expr> , <expr> , <expr>"},
		"expr": {
			"1", "<literal>", "<name>", "<call>", "<call>", "<call>", "( <query> )", "<expr> <operator> <expr>", "NOT <expr>", "NOT ( <expr> )", "- <expr>", "! ( <expr> )", "~ <expr>",
			"( <expr> )", "( <expr> , <expr> )", "ROW ( <expr> , <expr> )", "CASE WHEN <expr> THEN <expr> ELSE <expr> END", "CASE <expr> WHEN ( <expr> ) THEN ( <expr> ) END", "CAST ( <expr> AS <type> )",
			"EXISTS ( <query> )", "<expr> IN ( <exprs> )", "<expr> NOT IN ( <query> )", "<expr> = ANY ( <query> )", "<expr> > ALL ( <query> )", "<expr> BETWEEN <expr> AND <expr>", "<expr> LIKE <expr>",
			"<expr> NOT LIKE ( <expr> )", "<expr> REGEXP <expr>", "<expr> IS NOT NULL", "<expr> IS TRUE", "<expr> COLLATE <charset>", "BINARY <expr>", "INTERVAL ( <expr> , <expr> )", "<expr> + INTERVAL <expr> DAY",
			"DATE_ADD ( <expr> , INTERVAL ( <expr> ) MINUTE )", "EXTRACT ( YEAR FROM <expr> )", "TRIM ( BOTH <expr> FROM <expr> )", "POSITION ( <expr> IN <expr> )", "SUBSTRING ( <expr> FROM <expr> )",
			"CONVERT ( <expr> USING utf8mb4 )", "CONVERT ( <expr> , <type> )", "GROUP_CONCAT ( DISTINCT <expr> ORDER BY <expr> SEPARATOR <string> )", "MATCH ( <name> ) AGAINST ( <expr> )", "<name> . <name>", "<name> -> <path>",
			"?", "<user>", "<user> := <expr>", "( <user> := <expr> )", "<system>", "DEFAULT ( <name> )", "VALUES ( <name> )", "CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP ( 3 )", "CURRENT_USER", "_utf8mb4 <string>", "N'x'", "DATE <string>",
			"{ d <string> }", "CHAR ( <exprs> USING utf8mb4 )", "WEIGHT_STRING ( <expr> )", "<expr> MEMBER OF ( <expr> )",
		},
		"call": {
			"<known> ( <exprs> )", "<touching> ( <exprs> )", "<touching> ( )", "<touching> ( <exprs> )", "<called> ( <exprs> )", "<called> ( )", "<aggregate> ( DISTINCT <expr> )", "<aggregate> ( <expr> ) OVER ( )",
			"<name> . <name> ( <exprs> )", "<quoted> ( <expr> )", "NEXT VALUE FOR <name>", "NEXTVAL ( <name> )", "LASTVAL ( <name> )", "SETVAL ( <name> , 5 )", "LAST_INSERT_ID ( )", "LAST_INSERT_ID ( <expr> )", "ROW_COUNT ( )", "FOUND_ROWS ( )",
			"GET_LOCK ( <expr> , 1 )", "<touching> ( ( <query> ) )",
		},
		"write": {
			"DELETE FROM <name>", "INSERT INTO <name> VALUES ( <exprs> )", "INSERT INTO <name> ( a , b ) VALUES ( <expr> , DEFAULT )", "INSERT INTO <name> <query>", "INSERT <name> ( a ) VALUES ( <expr> )", "INSERT IGNORE <name> VALUE ( <expr> )",
			"INSERT LOW_PRIORITY INTO <name> . <name> ( a ) <query>", "INSERT INTO <name> SET a = <expr> ON DUPLICATE KEY UPDATE a = <expr> , b = VALUES ( a )", "INSERT INTO <name> ( a ) VALUES ROW ( <expr> )", "REPLACE INTO <name> ( a ) VALUES ( <expr> )",
			"REPLACE <name> SET a = <expr>", "INSERT INTO <name> PARTITION ( p0 , p1 ) ( a ) VALUES ( <expr> )", "INSERT INTO <name> ( ) VALUES ( )", "INSERT HIGH_PRIORITY <name> ( <name> , <name> ) VALUES ( <expr> , <expr> )", "INSERT INTO <name> VALUES ( <expr> ) AS <name> ( a ) ON DUPLICATE KEY UPDATE a = <expr>",
			"UPDATE <name> SET a = <expr>", "UPDATE <name> SET a = <expr> , b = DEFAULT WHERE <expr> ORDER BY <expr> LIMIT 1", "UPDATE <name> , <name> SET a = <expr> WHERE <expr>", "DELETE <name> FROM <from> WHERE <expr>", "DELETE FROM <name> USING <from> WHERE <expr>",
			"WITH <name> AS ( <query> ) UPDATE <name> SET a = <expr>", "WITH <name> AS ( <query> ) DELETE FROM <name> WHERE <expr>", "DO <exprs>", "TRUNCATE TABLE <name>", "INSERT INTO <name> TABLE <name>",
		},
		"define": {
			"DROP TABLE <name>", "CREATE TABLE <name> ( <columns> )", "CREATE TABLE <name> ( <columns> ) AS <query>", "CREATE TABLE <name> <query>", "CREATE TABLE <name> LIKE <name>", "CREATE OR REPLACE VIEW <name> ( a ) AS <query>", "CREATE VIEW <name> AS <query>",
			"CREATE INDEX <name> ON <name> ( a , ( <expr> ) )", "ALTER TABLE <name> ADD COLUMN <name> int DEFAULT 1", "CREATE DATABASE <name>", "DROP VIEW <name>", "DROP DATABASE <name>", "CREATE USER <name>", "CREATE TABLE <name> ( <columns> ) PARTITION BY HASH ( <expr> ) PARTITIONS 4",
			"CREATE TABLE <name> ( <columns> ) IGNORE AS <query>", "CREATE TABLE <name> ( a int ) REPLACE <query>", "CREATE SEQUENCE <name>", "ALTER TABLE <name> MODIFY a int",
		},
		"columns": {"a int", "<columns> , b int DEFAULT 1", "a varchar(10) CHECK ( <expr> )", "<columns> , c int GENERATED ALWAYS AS ( <expr> ) STORED", "a int REFERENCES <name> ( a )", "<columns> , KEY <name> ( a )", "a int DEFAULT ( <expr> )"},
		"utility": {
			"SHOW TABLES", "SHOW TABLES LIKE <string>", "SHOW VARIABLES WHERE <expr>", "SHOW FULL COLUMNS FROM <name> WHERE <expr>", "SHOW CREATE TABLE <name>", "DESCRIBE <name>", "ANALYZE TABLE <name>", "OPTIMIZE TABLE <name>",
			"GRANT SELECT ON <name> . * TO <name>", "REVOKE ALL ON * . * FROM <name>", "SHOW PROCESSLIST", "SHOW GRANTS", "FLUSH PRIVILEGES", "SHOW INDEX FROM <name>", "SHOW GLOBAL STATUS LIKE <string>",
		},
		"aggregate": {"SUM", "MAX", "COUNT", "JSON_ARRAYAGG", "STD"},
		"called":    {"f", "<plain>", "<odd>", "<quoted>"},
		"name":      {"t", "<plain>", "<plain>", "<quoted>", "<word>"},
		"known":     {"LOWER", "NOW", "CONCAT", "IF", "COALESCE", "SLEEP", "RELEASE_LOCK", "IS_FREE_LOCK"},
		"user":      {"@a", "<users>"},
		"system":    {"@@sql_mode", "<systems>"},
		"variable":  {"sql_mode", "<variables>"},
		"literal":   {"1", "<string>", "<string>", "<number>", "NULL", "TRUE"},
		"string":    {"'x'", "<strings>"},
	},
	Tokens: map[string][]string{
		"strings": {
			"'a'", "''", "'it''s'", "'; SET a = 1; -- '", `'a\\'`, `'a\'b'`, `'\''`, `'a\\\\'`, `"a"`, `"a""b"`, `"a\"b"`, `"\\"`, `'"'`, `"'"`, "'/*'", "'*/'", "'-- '", "'#'", "'a\nb'", "'`'", "'GET_LOCK(1,2)'", `"/*!"`, `'\0\n\Z\%'`,
			`"; SET a = 1; -- "`, "'\\", `"\"`,
		},
		"number":    {"1", "1.5", ".5", "1e5", "0x1F", "0b1", "x'1F'", "b'1'", "1."},
		"plain":     {"t", "u", "x1", "a$b", "_a", "é", "temp", "sleep", "nextval", "get_lock", "f2", "$x", "1a"},
		"word":      {"begin", "start", "commit", "identity", "session", "global", "local", "value", "temporary", "transaction", "next", "names", "password", "warnings", "errors", "count", "query", "hash", "prepare", "execute", "role", "connection", "ignore_x", "offset", "action", "no", "work", "at", "xa", "hard", "quick", "last_insert_id", "release_x"},
		"quoted":    {"`t`", "`A B`", "`a``b`", "`select`", "`;`", "`'`", "`-- `", "`/*`", "`#`", "`\"`", "`\\`", "`get_lock`", "`if`", `"t"`, `"a;b"`},
		"odd":       {"f", "over_", "get_lock2", "sys_exec", "nextval2", "over", "value", "last_insert_id2", "getlock", "password", "format", "user", "database", "left", "insert", "replace", "char"},
		"operator":  {"+", "-", "*", "/", "%", "<", ">", "=", "<>", "!=", "<=>", "||", "&&", "AND", "OR", "XOR", "DIV", "MOD", "<<", "|", "&", "^"},
		"type":      {"SIGNED", "CHAR(10)", "DECIMAL(10,2)", "DATETIME(3)", "BINARY", "JSON", "UNSIGNED INTEGER", "CHAR CHARACTER SET utf8mb4"},
		"charset":   {"utf8mb4", "latin1", "binary"},
		"path":      {"'$.a'"},
		"users":     {"@a", "@`a b`", "@'a'", `@"a"`, "@a.b", "@_x$1", "@``"},
		"systems":   {"@@sql_mode", "@@session.sql_mode", "@@local.sql_mode", "@@global.sql_mode", "@@identity", "@@IDENTITY", "@@session.last_insert_id", "@@last_insert_id", "@@warning_count", "@@error_count", "@@pseudo_thread_id", "@@session.pseudo_thread_id", "@@`sql_mode`", "@@`identity`", "@@session.`last_insert_id`", "@@max_connections"},
		"variables": {"sql_mode", "`sql_mode`", "wait_timeout", "identity", "last_insert_id", "insert_id", "timestamp", "foreign_key_checks", "autocommit", "names", "session", "a.b"},
		"touching":  {"GET_LOCK", "get_lock", "CONNECTION_ID", "LAST_INSERT_ID", "last_insert_id", "FOUND_ROWS", "row_count", "ROW_COUNT", "PS_CURRENT_THREAD_ID", "sys.ps_thread_id", "`get_lock`"},
	},
	Gaps: []string{
		"", "\n", "\t", "\r\n", "\f", "/**/", "/* ' \" ` ; */", "/* SET a = 1; */", "-- x ' \" /* `\n", "#\n", "# ' \" /*\n", "/*-- */", " \v ", "--\t/*\n", "--\n", "/* # \n */", "/*!50000 */", "/*! */", "/***/", "/* * / */", "/*!00000*/",
	},
	Joins: func(left, right byte) bool {
		switch {
		case isNameByte(left) && (isNameByte(right) || right == '\'' || right == '"' || right == '@'):
			return true
		case left == '.' && isNameByte(right), isNameByte(left) && right == '.', left == '@' && right != '@':
			return true
		case isOperatorByte(left) && isOperatorByte(right):
			return true
		}
		return left == right && (left == '\'' || left == '"' || left == '`')
	},
}
