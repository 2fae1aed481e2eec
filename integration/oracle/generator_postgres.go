package oracle

// postgresGrammar makes SQL for PostgreSQL, most of it correct, in which fragments that touch the session stand wherever they may.
// Without names in quotes its texts have no letters whose case matters.
var postgresGrammar = &Grammar{
	Rules: map[string][]string{
		"text": {
			"<statement>", "<statement> ;", "<statement> ; <statement>", "; <statement> ; ; <statement> ;", "<touch> ; <statement>",
			"<statement> ; <touch> ; <statement>", "BEGIN ; <statement> ; COMMIT",
		},
		"statement": {
			"SELECT 1", "<query>", "<query>", "<query>", "<write>", "<write>", "<touch>", "<touch>", "<define>", "<utility>",
			"EXPLAIN ANALYZE <explained>", "EXPLAIN <explained>", "EXPLAIN ( <option> ) <explained>", "EXPLAIN ANALYZE VERBOSE <explained>",
		},
		"option": {"ANALYZE", "ANALYZE , BUFFERS", "VERBOSE", "ANALYZE FALSE", "FORMAT JSON , ANALYZE ON", "COSTS OFF , ANALYZE TRUE"},
		"explained": {
			"SELECT 1", "<query>", "<write>", "CREATE TABLE <name> AS <query>", "EXECUTE <name>", "EXECUTE <name> ( <expr> )",
			"DECLARE <name> CURSOR WITH HOLD FOR <query>", "CREATE TEMP TABLE <name> AS <query>", "REFRESH MATERIALIZED VIEW <name>",
		},
		"touch": {
			"SET <setting> = <value>", "SET <setting> TO <value>", "SET SESSION <setting> = <value>", "SET <setting> TO DEFAULT",
			"SET <setting> FROM CURRENT", "SET TIME ZONE <value>", "SET NAMES <string>", "SET SCHEMA <string>", "SET XML OPTION DOCUMENT",
			"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET ROLE <name>", "SET ROLE NONE", "SET SESSION AUTHORIZATION <name>",
			"SET SESSION AUTHORIZATION DEFAULT", "SET SESSION ROLE <name>", "SET SESSION SESSION AUTHORIZATION <name>", "RESET <setting>", "RESET ALL", "RESET TIME ZONE",
			"RESET ROLE", "RESET SESSION AUTHORIZATION", "RESET TRANSACTION ISOLATION LEVEL", "SET LOCAL <setting> = <value>", "SET TRANSACTION READ ONLY",
			"SET CONSTRAINTS ALL DEFERRED", "LISTEN <name>", "UNLISTEN <name>", "UNLISTEN *", "NOTIFY <name>", "LOAD <string>",
			"DECLARE <name> CURSOR WITH HOLD FOR <query>", "DECLARE <name> NO SCROLL CURSOR WITH HOLD FOR <query>",
			"DECLARE <name> CURSOR WITHOUT HOLD FOR <query>", "DECLARE <name> CURSOR FOR <query>", "CLOSE <name>", "CLOSE ALL",
			"FETCH 1 FROM <name>", "PREPARE <name> AS <query>", "PREPARE <name> ( int ) AS <query>", "PREPARE TRANSACTION <string>",
			"EXECUTE <name>", "EXECUTE <name> ( <expr> )", "DEALLOCATE <name>", "DEALLOCATE PREPARE <name>", "DEALLOCATE ALL",
			"DEALLOCATE PREPARE ALL", "DISCARD ALL", "DISCARD TEMP", "DISCARD PLANS", "DISCARD SEQUENCES", "DO <string>",
			"DO LANGUAGE plpgsql <string>", "CALL <called> ( <exprs> )", "CREATE <temp> TABLE <name> ( <columns> )",
			"CREATE <temp> TABLE IF NOT EXISTS <name> ( <columns> )", "CREATE <temp> TABLE <name> AS <query>", "CREATE <temp> SEQUENCE <name>",
			"CREATE <temp> VIEW <name> AS <query>", "CREATE OR REPLACE <temp> VIEW <name> AS <query>", "CREATE <temp> RECURSIVE VIEW <name> ( a ) AS <query>",
			"CREATE TABLE <tempname> ( <columns> )", "CREATE VIEW <tempname> AS <query>", "SELECT <expr> INTO <temp> <name> FROM <from>",
			"SELECT <expr> INTO <temp> TABLE <name>", "CREATE FUNCTION <tempname> ( ) RETURNS int LANGUAGE sql AS <string>",
			"CREATE TYPE <tempname> AS ENUM ( )", "CREATE TYPE <tempname> AS ( a int )", "CREATE DOMAIN <tempname> AS int",
			"CREATE TABLE <name> PARTITION OF <name> FOR VALUES FROM ( <expr> ) TO ( <expr> )",
			"CREATE TABLE <name> PARTITION OF <name> FOR VALUES IN ( <expr> , <expr> )",
			"CREATE TABLE <name> PARTITION OF <name> FOR VALUES IN ( <expr> ) PARTITION BY LIST ( a )",
			"ALTER TABLE <name> ATTACH PARTITION <name> FOR VALUES IN ( <expr> )",
			"ALTER TABLE <name> ADD COLUMN <name> int DEFAULT <expr>", "ALTER TABLE <name> ALTER <name> TYPE int USING <expr>",
			"ALTER TABLE <name> ADD CHECK ( <expr> )", "ALTER DOMAIN <name> ADD CHECK ( <expr> )", "CREATE EXTENSION <name>",
			"CREATE SCHEMA <name> CREATE <temp> TABLE <name> ( a int )", "CREATE SCHEMA <name> CREATE TABLE <tempname> ( a int ) CREATE VIEW <name> AS <query>",
			"UPDATE <settings> SET setting = <expr>", "UPDATE ONLY <settings> AS <name> SET setting = <expr> WHERE <expr>",
			"COMMIT", "ROLLBACK", "ROLLBACK TO <name>", "SAVEPOINT <name>", "RELEASE <name>", "ABORT", "END", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE",
			"ROLLBACK TRANSACTION TO SAVEPOINT <name>", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "COMMIT PREPARED <string>", "ROLLBACK PREPARED <string>",
			"BEGIN READ ONLY", "ALTER SYSTEM SET <setting> = <value>", "ALTER ROLE <name> SET <setting> = <value>", "ALTER DATABASE <name> RESET ALL",
		},
		"temp": {"TEMP", "TEMPORARY", "LOCAL TEMP", "LOCAL TEMPORARY", "GLOBAL TEMP", "GLOBAL TEMPORARY", "UNLOGGED"},
		"query": {
			"SELECT 1", "SELECT <expr>", "SELECT <exprs>", "SELECT <expr> FROM <from>", "SELECT <expr> AS <name> FROM <from> WHERE <expr>",
			"SELECT DISTINCT <expr> FROM <from> GROUP BY <expr> HAVING <expr>", "SELECT <expr> FROM <from> ORDER BY <expr> LIMIT <expr> OFFSET <expr>",
			"SELECT DISTINCT ON ( <expr> ) <expr> FROM <from>", "VALUES ( <exprs> )", "VALUES ( <expr> ) , ( <expr> )", "TABLE <name>",
			"( <query> ) UNION ALL ( <query> )", "( <query> )", "SELECT <expr> UNION SELECT <expr> EXCEPT SELECT <expr>",
			"WITH <name> AS ( <query> ) <query>", "WITH <name> ( a , b ) AS MATERIALIZED ( <query> ) SELECT <expr>",
			"WITH RECURSIVE <name> ( a ) AS NOT MATERIALIZED ( <query> ) , <name> AS ( <write> ) SELECT <expr> FROM <from>",
			"SELECT <expr> FROM <from> GROUP BY GROUPING SETS ( ( <expr> ) , ( <expr> ) )", "SELECT <expr> FROM <from> GROUP BY ROLLUP ( <expr> )",
			"SELECT <expr> OVER ( PARTITION BY <expr> ORDER BY <expr> ) FROM <from>", "SELECT count ( * ) FILTER ( WHERE <expr> ) FROM <from>",
			"SELECT <expr> FROM <from> FETCH FIRST ( <expr> ) ROWS ONLY", "SELECT <expr> FROM <from> FOR UPDATE SKIP LOCKED",
			"SELECT <expr> FROM <from> TABLESAMPLE SYSTEM ( <expr> ) REPEATABLE ( <expr> )", "SELECT <expr> FROM <from> WINDOW w AS ( ORDER BY <expr> )",
		},
		"from": {
			"<name>", "<name> , <name>", "<name> AS <name> ( a , b )", "( <query> ) AS <name>", "( <query> ) <name> ( a )", "LATERAL ( <query> ) <name>",
			"<call>", "<call> AS <name> ( a int , b text )", "<name> , <call> AS <name> ( a )", "<call> WITH ORDINALITY", "ROWS FROM ( <call> , <call> ) AS <name>",
			"<name> JOIN <name> ON ( <expr> )", "<name> LEFT JOIN <call> ON TRUE", "<name> NATURAL JOIN <name>", "<name> CROSS JOIN <call>",
			"<name> JOIN <name> USING ( a )", "XMLTABLE ( <expr> PASSING <expr> COLUMNS a int DEFAULT <expr> )",
			"JSON_TABLE ( <expr> , <string> COLUMNS ( a int PATH <string> ) )", "<tempname>", "<tempname> AS <name>",
		},
		"exprs": {"1", "<expr>", "<expr> , <expr>", "<expr> , <expr> , <expr>"},
		"expr": {
			"1", "<literal>", "<name>", "<call>", "<call>", "<call>", "( <query> )", "<expr> <operator> <expr>", "NOT <expr>", "NOT ( <expr> )", "- <expr>",
			"( <expr> )", "( <expr> , <expr> )", "ROW ( <exprs> )", "ARRAY [ <exprs> ]", "ARRAY ( <query> )", "( <expr> ) [ <expr> : <expr> ]",
			"CASE WHEN <expr> THEN <expr> ELSE <expr> END", "CASE <expr> WHEN ( <expr> ) THEN ( <expr> ) END", "CAST ( <expr> AS <type> )", "<expr> :: <type>",
			"EXISTS ( <query> )", "<expr> IN ( <exprs> )", "<expr> NOT IN ( <query> )", "<expr> = ANY ( <expr> )", "<expr> > ALL ( <query> )",
			"<expr> BETWEEN <expr> AND <expr>", "<expr> LIKE <expr> ESCAPE <expr>", "<expr> NOT ILIKE ( <expr> ) ESCAPE ( <expr> )", "<expr> SIMILAR TO <expr>",
			"<expr> IS NOT NULL", "<expr> IS DISTINCT FROM <expr>", "<expr> AT TIME ZONE <expr>", "<expr> COLLATE <name>", "<expr> OPERATOR ( pg_catalog . + ) <expr>",
			"COALESCE ( <exprs> )", "GREATEST ( <exprs> )", "NULLIF ( <expr> , <expr> )", "EXTRACT ( epoch FROM <expr> )", "OVERLAY ( <expr> PLACING <expr> FROM <expr> )",
			"POSITION ( <expr> IN <expr> )", "SUBSTRING ( <expr> FROM <expr> )", "TRIM ( BOTH <expr> FROM <expr> )", "TREAT ( <expr> AS <type> )",
			"NORMALIZE ( <expr> )", "XMLELEMENT ( NAME a , <expr> )", "XMLCONCAT ( <expr> , <expr> )", "JSON_OBJECT ( <expr> : <expr> )",
			"GROUPING ( <expr> )", "CURRENT_DATE", "CURRENT_TIMESTAMP ( 3 )", "CURRENT_USER", "<name> . <name>", "<name> . *", "( <expr> ) . <name>", "$1",
			"<tempname>", "INTERVAL <string>", "INTERVAL ( 3 ) <string>", "date <string>", "COLLATION FOR ( <expr> )", "ARRAY [ ] :: int [ ]",
		},
		"call": {
			"<known> ( )", "<known> ( <exprs> )", "<touching> ( <exprs> )", "<touching> ( )", "<touching> ( <exprs> )", "pg_catalog . <touching> ( <exprs> )",
			"set_config ( <expr> , <expr> , <expr> )", "set_config ( <expr> , <expr> , TRUE )", "set_config ( <expr> , <expr> , FALSE )",
			"<called> ( <exprs> )", "<called> ( )", "<name> . <touching> ( <expr> )", "<tempname> ( )", "<aggregate> ( DISTINCT <expr> ORDER BY <expr> )",
			"<aggregate> ( <expr> ) FILTER ( WHERE <expr> )", "<aggregate> ( <expr> ) OVER ( )", "<called> ( VARIADIC <expr> )", "<called> ( a => <expr> )",
			"percentile_cont ( <expr> ) WITHIN GROUP ( ORDER BY <expr> )", "<touching> ( ( <query> ) )", "<called> ( ( <exprs> ) )",
		},
		"write": {
			"DELETE FROM <name>", "INSERT INTO <name> VALUES ( <exprs> )", "INSERT INTO <name> ( a , b ) VALUES ( <expr> , DEFAULT )", "INSERT INTO <name> <query>",
			"INSERT INTO <name> DEFAULT VALUES RETURNING <expr>", "INSERT INTO <name> AS <name> ( a ) VALUES ( <expr> ) ON CONFLICT ( <name> ) DO UPDATE SET a = <expr> WHERE <expr>",
			"INSERT INTO <name> ( a ) OVERRIDING SYSTEM VALUE <query>", "INSERT INTO <tempname> ( a ) VALUES ( <expr> )",
			"UPDATE <name> SET a = <expr>", "UPDATE <name> SET a = DEFAULT", "UPDATE <name> SET ( a , b ) = ( <expr> , <expr> ) FROM <from> WHERE <expr> RETURNING <expr>",
			"UPDATE <name> AS <name> SET a [ 1 ] = <expr>", "DELETE FROM <name> USING <from> WHERE <expr> RETURNING <expr>", "WITH <name> AS ( <write> ) <write>",
			"MERGE INTO <name> USING <name> ON ( <expr> ) WHEN MATCHED THEN UPDATE SET a = <expr> WHEN NOT MATCHED THEN INSERT ( a ) VALUES ( <expr> )",
			"MERGE INTO <name> USING ( <query> ) AS <name> ON <expr> WHEN NOT MATCHED AND <expr> THEN INSERT VALUES ( <expr> ) WHEN MATCHED THEN DO NOTHING",
			"COPY <name> FROM STDIN", "COPY <name> ( a , b ) FROM STDIN WHERE <expr>", "COPY ( <query> ) TO STDOUT", "COPY <name> TO STDOUT WITH ( FORMAT csv )",
			"TRUNCATE <name>", "LOCK TABLE <name>", "DECLARE <name> CURSOR FOR <query>",
		},
		"define": {
			"DROP TABLE <name>", "CREATE TABLE <name> ( <columns> )", "CREATE TABLE <name> AS <query>", "CREATE TABLE <name> ( a ) ON COMMIT DROP AS <query>",
			"CREATE <temp> TABLE <name> ( <columns> ) ON COMMIT DROP", "CREATE TABLE <name> AS EXECUTE <name> ( <expr> )", "CREATE MATERIALIZED VIEW <name> AS <query>",
			"CREATE VIEW <name> ( a ) AS <query>", "CREATE INDEX <name> ON <name> ( <name> , ( <expr> ) ) WHERE <expr>", "CREATE SEQUENCE <name> START 5",
			"CREATE FUNCTION <name> ( a int DEFAULT <expr> ) RETURNS int LANGUAGE sql AS <string>", "CREATE RULE <name> AS ON INSERT TO <name> DO ALSO ( <query> ; <query> )",
			"CREATE TRIGGER <name> BEFORE INSERT ON <name> FOR EACH ROW WHEN ( <expr> ) EXECUTE FUNCTION <called> ( )", "CREATE SCHEMA <name>",
			"CREATE FUNCTION <name> ( ) RETURNS int LANGUAGE sql BEGIN ATOMIC <query> ; <query> ; END", "CREATE FUNCTION <name> ( ) RETURNS int RETURN <expr>",
			"ALTER TABLE <name> RENAME TO <name>", "DROP FUNCTION <name> ( int )", "CREATE POLICY <name> ON <name> USING ( <expr> )", "CREATE ROLE <name>",
			"CREATE AGGREGATE <name> ( int ) ( SFUNC = <name> , STYPE = int )", "CREATE TABLE <name> ( LIKE <name> INCLUDING ALL )", "DROP SCHEMA <name> CASCADE",
			"CREATE TABLE <name> ( <columns> ) PARTITION BY RANGE ( a , ( <expr> ) )", "CREATE PROCEDURE <name> ( ) LANGUAGE sql AS <string>",
		},
		"columns": {"a int", "<columns> , b int DEFAULT <expr>", "a <type> CHECK ( <expr> )", "<columns> , c int GENERATED ALWAYS AS ( <expr> ) STORED", "a int REFERENCES <name> ( a )"},
		"utility": {
			"SHOW ALL", "VACUUM <name>", "ANALYZE <name> ( a )", "REINDEX TABLE <name>", "COMMENT ON TABLE <name> IS <string>", "GRANT SELECT ON <name> TO <name>",
			"REFRESH MATERIALIZED VIEW <name>", "CHECKPOINT", "REVOKE ALL ON FUNCTION <name> ( int ) FROM <name>", "MOVE ALL FROM <name>", "CLUSTER <name>",
		},
		"known":     {"lower", "now", "count", "pg_catalog . lower", "current_setting", "unnest", "pg_advisory_xact_lock"},
		"aggregate": {"sum", "array_agg", "string_agg"},
		"called":    {"<name>", "<name> . <name>", "<odd>", "<quoted>", "<name> . <odd>"},
		"name":      {"t", "<plain>", "<plain>", "<quoted>", "<word>"},
		"tempname":  {"pg_temp . t", "<temporary> . <name>"},
		"settings":  {"pg_settings", "pg_catalog . pg_settings", "<quotedsettings>"},
		"setting":   {"a . b", "search_path", "work_mem", "local . x", "session . x", "transaction_isolation", "role", "<quoted> . b", "session_authorization"},
		"value":     {"1", "<string>", "a", "DEFAULT", "on", "a , <string> , b", "- 1"},
		"literal":   {"1", "<string>", "<string>", "<number>", "NULL", "TRUE"},
		"string":    {"'x'", "<strings>"},
	},
	Tokens: map[string][]string{
		"strings": {
			"'a'", "''", "'it''s'", "'; SET a = 1; --'", "'a\\'", "E'a\\'b; SET a = 1'", "e'\\\\'", "E'\\'''", "$$a; SET a = 1$$", "$a$ $$ ' $b$ $a$", "$_1$x$_1$", "U&'\\0041'", "u&'d!0061' UESCAPE '!'",
			"N'a'", "B'01'", "x'fF'", "'a'\n'b'", "'a' -- c\n 'b'", "E'a'\n'\\''", "'/*'", "'*/'", "'--'", "'a\nb'", "'$$'", "'\"'", "'pg_temp'", "$é$'$é$", "E'\\u0041\\x41\\101'", "U&'a'\n'b'", "'nextval(1)'",
		},
		"number":         {"1", "1.5", ".5", "1e5", "0x1F", "1_000", "0b1", "5."},
		"plain":          {"t", "u", "x1", "a$b$", "_a", "é", "nextval", "set_config", "pg_advisory_lock", "temp", "pg_temp1", "begin", "hold", "listen", "local", "set", "a_very_long_name_that_is_cut_by_the_server_since_it_has_more_than_63_bytes"},
		"word":           {"over", "filter", "key", "by", "conflict", "sets", "cube", "rollup", "zone", "insert", "update", "escape", "partition", "include", "columns", "materialized", "recursive", "transaction", "session", "role", "names", "prepare", "execute", "load", "discard", "reset", "temporary", "varying", "document", "passing", "operator", "atomic"},
		"quoted":         {`"t"`, `"A B"`, `"a""b"`, `"select"`, `";"`, `"'"`, `"--"`, `"/*"`, `U&"\0061"`, `u&"d!0061" UESCAPE '!'`, `"$$"`, `"nextval"`, `"in"`, `"set_config"`, `U&"set\005fconfig"`},
		"odd":            {"over", "filter", "f", "set", "by", "key", "columns", "include", "zone", "conflict", "cube", "rollup", "varying", "document", "passing", "escape", "set_config2", "dblink_connect", "dblink", "array_append", "insert", "update", "begin", "sets", "materialized", "recursive", "operator"},
		"temporary":      {"pg_temp", `"pg_temp"`, "PG_TEMP", "pg_temp_3", `"pg_temp_12"`, `U&"pg\005ftemp"`},
		"quotedsettings": {`"pg_settings"`, `U&"pg\005fsettings"`, "PG_settings", `pg_catalog."pg_settings"`},
		"operator":       {"+", "-", "*", "/", "%", "<", ">", "=", "<>", "||", "AND", "OR", "->", "->>", "#>>", "@>", "~", "!~*", "<=", "^", "&&", "|", "?", "@-"},
		"type":           {"int", "text", "numeric(10,2)", "varchar(5)", "character varying (5)", "timestamp (3) with time zone", "time without time zone", "bit varying(3)", "bit(2)", "int[]", "double precision", "mytype", "s.mytype(3)", "interval day to second (3)", "float(3)", "pg_temp.mytype", "nextval", "pg_advisory_lock"},
		"touching":       {`U&"setse\0065d"`, "nextval", "setval", "currval", "lastval", "pg_backend_pid", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_all", "PG_Advisory_Lock", `"pg_advisory_lock"`, `"set_config"`, `U&"nextval"`, `U&"set\005fconfig"`, "setseed", "query_to_xml", "ts_stat", "ts_rewrite", "pg_create_physical_replication_slot", "pg_replication_origin_session_setup", "dblink_connect", "pg_backup_start", "table_to_xml"},
	},
	Gaps: []string{
		"", "\n", "\t", "\r\n", "\f", "/**/", "/* ' \" $$ ; */", "/* /* */ SET a = 1; */", "-- x ' \" /* $$\n", "--\r", "/*-- */", "/*/**/*/", " \v ", "--/*\n", "/*\n*/ ", "/* --\n */",
	},
	Joins: func(left, right byte) bool {
		switch {
		case isNameByte(left) && (isNameByte(right) || right == '\'' || right == '"'):
			return true // E'...', U&"..."
		case isOperatorByte(left) && isOperatorByte(right), isNameByte(left) && right == '&':
			return true
		case left == '\'' && right == '\'', left == '"' && right == '"', left == '.' && isNameByte(right), isNameByte(left) && right == '.', left == ':' && right == ':':
			return true
		}
		return false
	},
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func isOperatorByte(c byte) bool {
	switch c {
	case '+', '-', '*', '/', '<', '>', '=', '~', '!', '@', '#', '%', '^', '&', '|', '`', '?':
		return true
	}
	return false
}
