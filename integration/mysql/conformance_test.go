package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// script is what a session does, statement by statement.
type script struct {
	name string
	do   []string
	only string // the kind of server, if not all
}

// scripts are what pooling proxies got wrong about the state of sessions.
var scripts = []script{
	{"a failing statement that assigns", []string{"select @u := 7, (select 1 union select 2)", "select @u", "set @a = 1, sql_mode = 'nonsense'", "select @a, @@sql_mode"}, ""},
	{"what trackers do not report", []string{"select @v := 5", "select 6 into @w", "select @v, @w"}, ""},
	{"rows found, of a failing statement and by EXECUTE", []string{"begin", "select sql_calc_found_rows 1 union select 2 union select 3 limit 1", "select found_rows()",
		"prepare p from 'select sql_calc_found_rows 1 union select 2 limit 1'", "execute p", "select found_rows()", "commit"}, ""},
	{"character sets of which the trackers tell lies", []string{"set character_set_results = null", "select @@character_set_results is null", "set names utf8mb4 collate utf8mb4_bin",
		"select @@collation_connection, @@character_set_results", "set character set latin1", "select @@character_set_client, @@character_set_connection = @@character_set_database"}, ""},
	{"time that stands still and goes on", []string{"set timestamp = 86400", "select now() = now(), unix_timestamp()", "set timestamp = default", "select unix_timestamp() > 1000000000",
		"select @a := unix_timestamp(sysdate()) - unix_timestamp(now()) between 0 and 60"}, ""},
	{"values that are used up", []string{"set insert_id = 77", "select @@insert_id", "set last_insert_id = 5", "select last_insert_id()", "set rand_seed1 = 1, rand_seed2 = 2", "select rand()", "select rand() <> 0"}, ""},
	{"a SET that fails", []string{"set sort_buffer_size = 100000", "set sort_buffer_size = 'nonsense'", "select @@sort_buffer_size", "set no_such_variable = 1", "set time_zone = 'No/Where'", "select @@time_zone"}, ""},
	{"SET GLOBAL is not the session's", []string{"set global net_retry_count = 10", "select @@session.net_retry_count > 0", "set global net_retry_count = 10, session sort_buffer_size = 100000",
		"select @@sort_buffer_size"}, ""},
	{"values that refer to others", []string{"set @old = @@sql_mode", "set sql_mode = concat(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')", "select @@sql_mode", "set sql_mode = (select replace(@@sql_mode, 'NO_AUTO', 'NO_AUTO'))",
		"select @@sql_mode", "set sql_mode = @old", "select @@sql_mode", "set sql_mode = default", "select @@sql_mode"}, ""},
	{"SET by a prepared statement", []string{"prepare p from 'set sql_select_limit = 1'", "execute p", "select 1 union select 2", "set sql_select_limit = default", "select 1 union select 2"}, ""},
	{"SET STATEMENT", []string{"set statement sort_buffer_size = 100000 for select @@sort_buffer_size", "select @@sort_buffer_size"}, "mariadb"},
	{"a hint that sets", []string{"select /*+ set_var(sort_buffer_size = 100000) */ @@sort_buffer_size", "select @@sort_buffer_size"}, "mysql"},
	{"the server's timeouts", []string{"set wait_timeout = 999, net_write_timeout = 99", "select @@wait_timeout, @@net_write_timeout", "set interactive_timeout = 998", "select @@interactive_timeout"}, ""},
	{"USE in many forms", []string{"/* a */ use mysql", "select database()", "use `app`", "select database()", "select 1; use mysql", "select database()", "use nowhere", "select database()"}, ""},
	{"autocommit off", []string{"set autocommit = 0", "select @@autocommit", "commit", "rollback", "commit", "set autocommit = 1", "select @@autocommit"}, ""},
	{"COMMIT AND CHAIN", []string{"start transaction read only", "commit and chain", "insert into nowhere values (1)", "rollback and chain no release", "rollback"}, ""},
	{"the next transaction's traits", []string{"set transaction isolation level serializable", "select 1", "begin", "select count(*) from mysql.time_zone where false", "commit",
		"set transaction read only", "begin", "create table nowhere.nothing (a int)", "commit", "begin", "commit"}, ""},
	{"savepoints outside and inside", []string{"savepoint s", "rollback to s", "begin", "savepoint s", "rollback to s", "release savepoint s", "rollback to s", "commit"}, ""},
	{"an error inside a transaction", []string{"begin", "select * from nowhere", "select 1", "commit", "select 1"}, ""},
	{"DDL ends a transaction", []string{"begin", "create temporary table s_ended (a int)", "insert into s_ended values (1)", "drop table if exists s_nothing", "rollback", "select count(*) from s_ended"}, ""},
	{"a snapshot", []string{"start transaction with consistent snapshot, read only", "select 1", "commit"}, ""},
	{"PREPARE that fails, and again", []string{"prepare p from 'select from where'", "execute p", "prepare p from 'select 42'", "execute p", "deallocate prepare p", "execute p"}, ""},
	{"PREPARE under another sql_mode", []string{`prepare p from 'select "x"'`, "execute p", "set sql_mode = 'ANSI_QUOTES'", "execute p", `prepare p from 'select "x"'`, "execute p"}, ""},
	{"user variables", []string{"set @a = 1, @b := 'x', @`c d` = null", "select @a, @b, @`c d`", "set @a = @a + 1", "select @a", "select 5, 6 into @a, @b", "select @a, @b"}, ""},
	{"several results, one of which fails", []string{"select 1; set @a = 5; select * from nowhere; set @a = 6", "select @a"}, ""},
}

func TestScriptsAreAnsweredAsTheServerDoesWhoeverElseIsThere(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		for _, s := range scripts {
			if s.only != "" && (s.only == "mariadb") != f.mariaDB() {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				mine, theirs := dial(t, f.Endpoint, superuser(), modern|multi), dial(t, f.server.Endpoint, superuser(), modern|multi)
				others := []*wire{f.client(t), f.client(t)}
				for i, q := range s.do {
					// Another session holds one of the two connections meanwhile, this time one, then the other.
					other := others[i%len(others)]
					other.do(t, "begin")
					if got, want := mine.outcome(q), theirs.outcome(q); got != want {
						t.Errorf("%.120s: %.200s, the server itself says %.200s", q, got, want)
					}
					other.do(t, "rollback")
				}
				for _, w := range append(others, mine, theirs) {
					w.quit()
				}
				quiet(t, f)
			})
		}
	})
}

// What a reset returns to is what the client said when it logged in, on whatever connection, and not what MySQL makes of
// a connection that was reset (the server's own).
func TestAResetReturnsToTheCharacterSetOfTheLogin(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		const sets = "select @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection"
		resets, other := f.client(t), f.client(t)
		first := resets.outcome(sets)
		for range 2 {
			resets.do(t, "set names latin1", "set collation_connection = latin1_bin")
			if _, err := resets.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			other.sees(t, sets, first)
			resets.sees(t, sets, first)
		}
		resets.quit()
		other.quit()
	})
}
