package mysql

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// sets are texts that set system variables, as clients write them. Each leaves its session unpinned. Some may fail; either
// server lacks some of the variables.
var sets = []string{
	"set autocommit = 1", "SET autocommit=0", "set sql_mode = 'ANSI_QUOTES'", "set session sql_mode = concat(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')",
	"set sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES', time_zone = '-05:00'", "set sql_mode = ''", "set sql_mode = default",
	"SET SESSION sql_mode=(SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))",
	"set time_zone = '+03:30'", "set @@session.time_zone := 'SYSTEM', @@sort_buffer_size = 65536", "set time_zone = default",
	"set names latin1", "set names utf8mb4 collate utf8mb4_unicode_ci", "set names default", "set character set latin1",
	"set character_set_results = null", "set collation_connection = latin1_bin", "set character_set_connection = utf8mb4",
	"set names utf8mb4 collate utf8mb4_bin, collation_connection = latin1_german1_ci",
	"set names latin1 collate latin1_bin; set character_set_client = utf8mb4", "set names latin1 collate latin1_bin, character_set_results = latin1", "set names gbk", "set character_set_server = latin1",
	"set collation_server = utf8mb4_bin", "set character_set_filesystem = utf8mb4",
	"set foreign_key_checks = 0, unique_checks = off", "set foreign_key_checks = on", "set unique_checks = 1",
	"set session transaction isolation level read committed", "set session transaction isolation level serializable, read only",
	"set session transaction read write", "set transaction_isolation = 'READ-UNCOMMITTED'", "set tx_isolation = 'READ-UNCOMMITTED'",
	"set sql_select_limit = 7", "set sql_select_limit = default", "set group_concat_max_len = 99", "set net_write_timeout = 77, net_read_timeout = 78",
	"set wait_timeout = 7777", "set interactive_timeout = 7778", "set innodb_lock_wait_timeout = 3", "set lock_wait_timeout = 5",
	"set lc_time_names = 'de_DE'", "set lc_messages = 'fr_FR'", "set default_storage_engine = myisam", "set long_query_time = 0.25",
	"set max_statement_time = 2.5", "set max_execution_time = 30000", "set optimizer_switch = 'mrr=off'", "set optimizer_switch = default",
	"set sql_safe_updates = 1", "set sql_auto_is_null = 0", "set sql_quote_show_create = 0", "set div_precision_increment = 7", "set big_tables = 1",
	"set max_error_count = 5", "set sql_notes = 0", "set sql_big_selects = 0", "set join_buffer_size = 131072", "set myisam_sort_buffer_size = 8192",
	"set default_week_format = 6", "set auto_increment_increment = 2, auto_increment_offset = 2", "set completion_type = 'CHAIN'",
	"set old_mode = ''", "set log_slow_filter = ''", "set eq_range_index_dive_limit = 3", "set windowing_use_high_precision = off",
	"set session default_week_format = default; set @@session.max_sort_length = 99;",
	"set @@sql_mode = '', @@time_zone = '+04:00'", "set @@character_set_connection = latin1", "set @@autocommit = 0", "set @@sort_buffer_size = 77777, @@global.default_week_format = 0",
	"set @a = 1", "set @a = 'x', @b = 2.5, time_zone = '+05:00'", "select @a := 5", "select 1.5, 2 into @a, @b", "set @b = @@sql_mode, sql_mode = ''",
	"set no_such_variable = 1", "set time_zone = '+09:00', character_set_client = 'nonsense'", "set time_zone = 'Nowhere/Land'",
	"set time_zone = '+09:00', max_allowed_packet = 5", "set time_zone = '+09:00', sort_buffer_size = 'x'", "set sql_mode = 'nonsense'",
	"set time_zone = ", "set session_track_schema = on", "set global default_week_format = 0", "set profiling = 0", "set sql_log_bin = 0",
}

// everything is what a session sees of all its variables but those that change by themselves, and those that say what is
// tracked.
func (w *wire) everything(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, row := range w.must(t, "show session variables")[0].rows {
		switch name := row[0]; {
		case strings.HasPrefix(name, "session_track_"), strings.HasPrefix(name, "gtid_"), strings.HasPrefix(name, "rand_seed"):
		case name == "timestamp", name == "pseudo_thread_id", name == "statement_id", name == "last_gtid", name == "error_count", name == "warning_count":
		default:
			all[name] = row[1]
		}
	}
	return all
}

func sameVariables(t *testing.T, after string, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Fatalf("after %s: %s is %q, alone it would be %q", after, name, got[name], value)
		}
	}
}

// collation is the number of the collation that results of character_set_results have.
func (w *wire) collation(t testing.TB) uint16 {
	t.Helper()
	all, err := w.query("select 'x'")
	if err != nil || len(all) != 1 || len(all[0].columns) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return all[0].columns[0].collation
}

// TestParametersHaveTheCollationOfTheirSession has sessions of other collations take turns on one backend. MariaDB's parameters have the one that
// character_set_client got, which no variable shows.
func TestParametersHaveTheCollationOfTheirSession(t *testing.T) {
	for _, server := range []string{"mysql97", "mariadb1011"} {
		t.Run(server, func(t *testing.T) {
			s := harness.Shared(t, server)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 1, Users: accounts()}}})
			f := front{p.Endpoint(s.Name), p, s}
			shown := func(w *wire) string {
				c, err := w.prepare("select collation(?), ? = 'X', ? = 'x '")
				if err != nil {
					t.Fatal(err)
				}
				r, err := w.execute(c, 0, "x", "x", "x")
				return fmt.Sprint(r, err)
			}
			for _, sets := range []string{
				"set names utf8mb4 collate utf8mb4_bin", "set names utf8mb4 collate utf8mb4_unicode_ci, character_set_results = null",
				"set names utf8mb4 collate utf8mb4_bin, character_set_client = utf8mb4", "set names utf8mb4", "set names latin1 collate latin1_bin",
			} {
				mine, other, alone, plain := f.client(t), f.client(t), f.direct(t), f.direct(t)
				for _, w := range []*wire{mine, alone} {
					w.do(t, sets)
				}
				for range 2 {
					if got, want := shown(mine), shown(alone); got != want {
						t.Errorf("%s: %s, with the server itself %s", sets, got, want)
					}
					if got, want := shown(other), shown(plain); got != want {
						t.Errorf("beside %s: %s, with the server itself %s", sets, got, want)
					}
				}
				for _, w := range []*wire{mine, other, alone, plain} {
					w.quit()
				}
			}
		})
	}
}

// What SET NAMES x COLLATE y inside of code gives to character sets is not told.
func TestTheCollationThatCodeNamesIsItsSessionsAlone(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers()}, func(t *testing.T, f front) {
		shown := func(w *wire) string {
			c, err := w.prepare("select collation(?), @@character_set_client, @@character_set_results, @@collation_connection")
			if err != nil {
				t.Fatal(err)
			}
			r, err := w.execute(c, 0, "x")
			return fmt.Sprint(r, err, w.collation(t))
		}
		for i, names := range []string{"latin1 collate latin1_german1_ci", "utf8mb4 collate utf8mb4_bin"} {
			l := callersSchema(t, f.server, fmt.Sprintf("names_%d", i), "create procedure p_names() set names "+names,
				"create function f_names() returns int deterministic begin set names "+names+"; return 1; end", "create view v_names as select f_names() as a")
			for _, texts := range [][]string{
				{"call p_names()"}, {"select f_names()"}, {"set @a = f_names()"}, {"set sort_buffer_size = 100000 + f_names()"},
				{"set sort_buffer_size = (select 100000 + a from v_names)"}, {"set @a = f_names(), character_set_client = utf8mb4"},
				{"set names utf8mb4; set @a = f_names()"}, {"set names latin1 collate latin1_bin; set sort_buffer_size = 100000 + f_names()"},
				{"set character_set_results = latin1; set @a = f_names(), character_set_client = latin1"},
				{"prepare p from 'set names " + names + "'", "execute p", "deallocate prepare p"},
				{"prepare p from 'set sort_buffer_size = 100000 + f_names()'", "execute p", "deallocate prepare p"},
			} {
				mine, alone := dial(t, f.Endpoint, l, with([]uint32{multi})), dial(t, f.server.Endpoint, l, with([]uint32{multi}))
				mine.do(t, texts...)
				alone.do(t, texts...)
				other, plain := dial(t, f.Endpoint, l, modern), dial(t, f.server.Endpoint, l, modern)
				pinned := f.pinned(t) > 0
				for range 2 {
					if got, want := shown(mine), shown(alone); got != want {
						t.Errorf("%q: %s, with the server itself %s", texts, got, want)
					}
					if pinned {
						mine.quit()
						unpins(t, f)
					}
					if got, want := shown(other), shown(plain); got != want {
						t.Errorf("beside %q: %s, with the server itself %s", texts, got, want)
					}
					if pinned {
						break
					}
				}
				for _, w := range []*wire{mine, alone, other, plain} {
					_ = w.Close()
				}
			}
		}
	})
}

func TestResultsHaveTheCollationOfTheLoginAgainAfterAReset(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		mine, other := dial(t, f.Endpoint, superuser(), modern), dial(t, f.Endpoint, superuser(), modern)
		want := dial(t, f.server.Endpoint, superuser(), modern).collation(t)
		mine.do(t, "set names latin1 collate latin1_bin")
		if _, err := mine.one(protocol.COM_RESET_CONNECTION); err != nil { // of the session; it holds no backend
			t.Fatal(err)
		}
		mine.do(t, "begin")
		mine.do(t, "set names latin1 collate latin1_bin")
		if _, err := mine.one(protocol.COM_RESET_CONNECTION); err != nil { // of the backend that it holds
			t.Fatal(err)
		}
		if got := mine.collation(t); got != want {
			t.Errorf("results have the collation %d, not %d", got, want)
		}
		if got := other.collation(t); got != want {
			t.Errorf("another session's results have the collation %d, not %d", got, want)
		}
	})
}

func TestEachSettingFollowsItsSessionAndNoOther(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		other := dial(t, f.Endpoint, superuser(), modern|multi)
		other.do(t, "set names latin1 collate latin1_bin, sql_mode = 'PIPES_AS_CONCAT', time_zone = '+01:23', sort_buffer_size = 99999")
		others := other.everything(t)
		for _, q := range sets {
			mine, alone := dial(t, f.Endpoint, superuser(), modern|multi), dial(t, f.server.Endpoint, superuser(), modern|multi)
			if got, want := mine.outcome(q), alone.outcome(q); got != want {
				t.Errorf("%s: %s, alone %s", q, got, want)
			}
			mine.do(t, "select 1") // an error or a warning keeps the backend for one statement
			if !unpinned(t, f) {
				t.Fatalf("pinned after %s", q)
			}
			want := alone.everything(t)
			for range 2 {
				sameVariables(t, q, mine.everything(t), want)
				if got, want := mine.collation(t), alone.collation(t); got != want {
					t.Errorf("after %s results have the collation %d, not %d", q, got, want)
				}
				mine.outcome("rollback and no chain") // SHOW may have begun a transaction
				sameVariables(t, "another's "+q, other.everything(t), others)
			}
			mine.quit()
			alone.quit()
		}
		other.quit()
		if n, err := f.Sum(t.Context(), "berth_session_restores_total", ""); err != nil || n < float64(len(sets)) {
			t.Errorf("%v restores, %v", n, err)
		}
	})
}

// Nobody may assign sql_log_bin without a privilege, but for the default on MariaDB; and in which statement a text of several failed is not known.
func TestWhatASessionMayNotAssignIsNotRestored(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		a, b := f.client(t, multi), f.client(t, multi)
		alone := dial(t, f.server.Endpoint, plain(), modern|multi)
		for _, q := range []string{"set session sql_log_bin = 0; set sql_mode = ''", "set sql_mode = ''; set session sql_log_bin = 0", "set sql_log_bin = default"} {
			if got, want := a.outcome(q), alone.outcome(q); got != want {
				t.Errorf("%s: %s, alone %s", q, got, want)
			}
			a.do(t, "select 1") // an error keeps the backend for one statement
			b.sees(t, "select @@sql_log_bin", "[1]")
			a.sees(t, "select @@sql_log_bin", "[1]")
		}
		a.quit()
		b.quit()
	})
}

// TestSettingsOfManySessionsAreNeverMixedUp runs random scripts of several sessions over two database connections, each
// beside the same session on the server itself.
func TestSettingsOfManySessionsAreNeverMixedUp(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("BERTH_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		t.Logf("BERTH_TEST_SEED=%d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		type twin struct{ through, alone *wire }
		fresh := func() twin {
			return twin{dial(t, f.Endpoint, superuser(), modern|multi), dial(t, f.server.Endpoint, superuser(), modern|multi)}
		}
		var twins []twin
		for range 5 {
			twins = append(twins, fresh())
		}
		for range 400 {
			i := random.IntN(len(twins))
			w := twins[i]
			q := sets[random.IntN(len(sets))]
			switch random.IntN(12) {
			case 0:
				w.through.quit()
				w.alone.quit()
				twins[i] = fresh()
				continue
			case 1:
				for _, c := range []*wire{w.through, w.alone} {
					if _, err := c.one(protocol.COM_RESET_CONNECTION); err != nil {
						t.Fatal(err)
					}
					// MySQL itself does not go back to the login's, as Berth does.
					c.do(t, "set names utf8mb4 collate utf8mb4_general_ci")
				}
				continue
			case 2:
				w.through.outcome("begin")
				w.alone.outcome("begin")
			case 3, 4:
				q = "select @a, @b, collation(@a), @@session.sql_mode, @@session.time_zone, @@session.autocommit, @@session.collation_connection, @@session.foreign_key_checks"
			}
			if got, want := w.through.outcome(q), w.alone.outcome(q); got != want {
				t.Fatalf("%s: %s, alone %s", q, got, want)
			}
			if random.IntN(4) == 0 {
				sameVariables(t, q, w.through.everything(t), w.alone.everything(t))
			}
			w.through.outcome("rollback and no chain")
			w.alone.outcome("rollback and no chain")
		}
		for _, w := range twins {
			w.through.quit()
			w.alone.quit()
		}
	})
}

// prologues are what drivers and frameworks begin a session with.
var prologues = map[string][]string{
	"Rails": {"SET  @@SESSION.sql_mode = CONCAT(CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), ',NO_AUTO_VALUE_ON_ZERO'),  " +
		"@@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483"},
	"Rails with an encoding": {"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci,  @@SESSION.sql_mode = 'STRICT_ALL_TABLES',  " +
		"@@SESSION.sql_auto_is_null = 0, @@SESSION.wait_timeout = 2147483"},
	"Django": {"SET SQL_AUTO_IS_NULL = 0", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET autocommit=0", "SET autocommit=1"},
	"Laravel": {"use `app`;", "set names 'utf8mb4' collate 'utf8mb4_unicode_ci'", "set time_zone=\"+00:00\"",
		"set session sql_mode='ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES'"},
	"Laravel in one":       {"set names 'utf8mb4' collate 'utf8mb4_unicode_ci', session sql_mode='STRICT_TRANS_TABLES';"},
	"Doctrine":             {"SET SESSION sql_mode=(SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))"},
	"go-sql-driver":        {"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci", "SET time_zone = '+00:00'", "SELECT @@max_allowed_packet"},
	"Connector/J":          {"SET character_set_results = NULL", "SET autocommit=1", "SET sql_mode='STRICT_TRANS_TABLES'", "SET SQL_SELECT_LIMIT=10", "SET SQL_SELECT_LIMIT=DEFAULT"},
	"MariaDB Connector/J":  {"set autocommit=1, session_track_schema=1, sql_mode=concat(@@sql_mode,',STRICT_TRANS_TABLES')"},
	"PyMySQL":              {"SET NAMES utf8mb4", "SET AUTOCOMMIT = 0", "SET AUTOCOMMIT = 1"},
	"mysql-connector (py)": {"SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'", "SET @@session.autocommit = OFF", "SET @@session.autocommit = ON"},
	"Pomelo":               {"SET AUTOCOMMIT=1;", "SET NAMES utf8mb4;"},
	"WordPress":            {"SET NAMES 'utf8mb4' COLLATE 'utf8mb4_unicode_520_ci'", "SELECT @@SESSION.sql_mode", "SET SESSION sql_mode='NO_ZERO_DATE'"},
	"node-mysql2":          {"SET time_zone = '+00:00';", "SET SESSION group_concat_max_len = 1000000"},
}

func TestWhatDriversSetFirstPinsNobody(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		for name, lines := range prologues {
			c := f.client(t, multi)
			c.do(t, lines...)
			c.do(t, "select 1") // a warning keeps the backend for one statement
			if n := f.pinned(t); n != 0 {
				t.Errorf("%s: %d pinned", name, n)
			}
			c.quit()
		}
	})
}

func TestASettingThatCannotBeRestoredEndsItsSessionWithTheReason(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			privilege := "SESSION_VARIABLES_ADMIN"
			if strings.HasPrefix(name, "mariadb") {
				privilege = "BINLOG ADMIN"
			}
			user := fmt.Sprintf("fickle%d", os.Getpid())
			account := harness.Account{User: user, Password: "secret"}
			if err := s.Exec(t.Context(), "create user "+user+" identified by 'secret'", "grant "+privilege+" on *.* to "+user,
				"grant all on app.* to "+user); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Exec(t.Context(), "drop user "+user) })
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: []harness.Account{account}}}})
			l := harness.Login{User: user, Password: "secret", Database: "app", Plain: true}
			f := front{p.Endpoint(name), p, s}
			c := dial(t, f.Endpoint, l, modern)
			c.do(t, "set sql_log_bin = 0")
			if err := s.Exec(t.Context(), "revoke "+privilege+" on *.* from "+user); err != nil {
				t.Fatal(err)
			}
			if err := kill(s, user); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the killed connection is gone", func() bool {
				pool, err := f.Pool(t.Context(), name)
				return err == nil && pool.Open == 0
			})
			got := c.outcome("select 1")
			if !strings.HasPrefix(got, "error 1227") {
				t.Errorf("the session got %s", got)
			}
			if err := c.command(protocol.COM_PING); err == nil {
				if _, err = c.read(); err == nil {
					t.Error("the session goes on")
				}
			}
			again := dial(t, f.Endpoint, l, modern)
			again.sees(t, "select @@sql_log_bin", "[1]")
			again.quit()
			quiet(t, f)
		})
	}
}

// kill ends the connections of a user.
func kill(s *harness.Server, user string) error {
	w, err := login(s.Endpoint, superuser(), modern)
	if err != nil {
		return err
	}
	defer w.quit()
	all, err := w.query("select id from information_schema.processlist where user = '" + user + "'")
	if err != nil {
		return err
	}
	for _, row := range all[0].rows {
		if _, err := w.query("kill " + row[0]); err != nil {
			return err
		}
	}
	return nil
}

func TestSnapshotsOfSessionsWithoutAutocommitAreTheirOwn(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "snapshot", "(n int) engine=innodb")
		a, b := f.client(t), f.client(t)
		for _, c := range []*wire{a, b} {
			c.do(t, "set autocommit = 0")
		}
		for i := range 5 {
			a.do(t, fmt.Sprintf("insert into %s values (%d)", name, i), "commit")
			b.sees(t, "select count(*) from "+name, fmt.Sprintf("[%d]", i+1))
			b.do(t, "rollback")
		}
		a.do(t, "insert into "+name+" values (9)", "rollback")
		b.sees(t, "select count(*) from "+name, "[5]")
		b.do(t, "commit")
		a.quit()
		b.quit()
	})
}

// said are the statements that a server executed for a user, in order, from its history.
func (f front) said(t *testing.T) []string {
	t.Helper()
	root := dial(t, f.server.Endpoint, superuser(), modern)
	defer root.quit()
	var said []string
	for _, row := range root.must(t, "select sql_text from performance_schema.events_statements_history_long h join "+
		"performance_schema.threads t using (thread_id) where t.processlist_user = 'app' and sql_text not like '%session_track%' "+
		"and sql_text not like 'SELECT @@GLOBAL.server_id, @@GLOBAL.hostname, @@SESSION.character_set_client%' and sql_text not like 'SELECT %COALESCE(BIT_OR(bits)%' order by timer_start")[0].rows {
		said = append(said, row[0])
	}
	return said
}

func TestOnlyASessionThatGetsAnotherBackendIsRestored(t *testing.T) {
	f := ownServer(t, "mysql97", 1, "performance_schema=ON")
	root := dial(t, f.server.Endpoint, superuser(), modern)
	root.do(t, "update performance_schema.setup_consumers set enabled = 'YES' where name like 'events_statements_history%'")
	root.quit()
	a, b := f.client(t), f.client(t)
	a.do(t, "set time_zone = '+01:00', sql_mode = 'ANSI_QUOTES'", "select 1", "select 2")
	b.do(t, "select 3", "select 4")
	a.do(t, "select 5", "select 6")
	want := []string{
		"set time_zone = '+01:00', sql_mode = 'ANSI_QUOTES'", "select 1", "select 2",
		"SET @@SESSION.sql_mode=BASE, @@SESSION.time_zone='SYSTEM'", "select 3", "select 4",
		"SET @@SESSION.sql_mode='ANSI_QUOTES', @@SESSION.time_zone='+01:00'", "select 5", "select 6",
	}
	got := f.said(t)
	for i := range want {
		if i >= len(got) || got[i] != want[i] && !(strings.Contains(want[i], "BASE") && strings.HasSuffix(got[i], "@@SESSION.time_zone='SYSTEM'")) {
			t.Fatalf("the server executed %q, not %q", got, want)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the server executed %q, not %q", got, want)
	}
	a.quit()
	b.quit()
}

func TestSettingsOfCodePinAlsoIfTheServerDoesNotReportThem(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "silent", "create procedure p_silent() set @@sort_buffer_size = 77777",
			"create procedure p_said() set @@session.sort_buffer_size = 88888")
		for call, want := range map[string]string{"call p_silent()": "[77777]", "call p_said()": "[88888]"} {
			c, other := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			other.do(t, "select 1")
			clean := other.outcome("select @@sort_buffer_size")
			c.do(t, call)
			other.sees(t, "select @@sort_buffer_size", clean)
			c.sees(t, "select @@sort_buffer_size", want)
			c.quit()
			other.sees(t, "select @@sort_buffer_size", clean)
			other.quit()
			quiet(t, f)
		}
	})
}

// The moment is told in the session's time zone, which is set behind it, and may have changed since.
func TestTheMomentForTablesWithHistoryIsTheSessionsOwn(t *testing.T) {
	onMariaDB(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		a, b, alone := f.client(t), f.client(t), f.direct(t)
		for _, text := range []string{
			"set system_versioning_asof = default", "set time_zone = '+03:00'", "set system_versioning_asof = '2020-01-01 00:00:00'", "set time_zone = '+05:00'", "set system_versioning_asof = default",
		} {
			a.do(t, text)
			alone.do(t, text)
			b.sees(t, "select @@system_versioning_asof", "[DEFAULT]")
			const shows = "select @@system_versioning_asof, @@time_zone"
			if got, want := a.outcome(shows), alone.outcome(shows); got != want {
				t.Errorf("behind %s: %s, with the server itself %s", text, got, want)
			}
		}
		for _, w := range []*wire{a, b, alone} {
			w.quit()
		}
	})
}
