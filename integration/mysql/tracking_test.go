package mysql

import (
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// trackingScripts set and read session_track_system_variables. None of them pins.
var trackingScripts = [][]string{
	{"select @@session_track_system_variables", "set time_zone = '+01:00', sql_mode = 'ANSI'", "set autocommit = 0", "set autocommit = 1"},
	{"set session_track_system_variables = 'sql_mode,time_zone'", "set time_zone = '+01:00', sql_mode = 'ANSI'", "set autocommit = 0", "set autocommit = 1",
		"select @@session.session_track_system_variables as now", "select @@global.session_track_system_variables"},
	{"set sql_mode = concat(@@sql_mode, ',STRICT_TRANS_TABLES'), session_track_system_variables = concat(@@session_track_system_variables, ',sql_select_limit')",
		"select @@sql_mode, @@session_track_system_variables", "set sql_select_limit = 9", "set time_zone = '+02:00'"},
	{"set session_track_system_variables = concat(@@global.session_track_system_variables, ',lc_time_names')", "set lc_time_names = 'de_DE'", "select @@session_track_system_variables"},
	{"set session_track_system_variables = '*'", "set sort_buffer_size = 100000", "set sort_buffer_size = default", "set names latin1", "set names utf8mb4"},
	{"set session_track_system_variables = ''", "set time_zone = '+03:00'", "select @@session_track_system_variables, @@time_zone", "set session_track_system_variables = default",
		"set time_zone = default", "select @@session_track_system_variables"},
	{"set sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'),session_track_system_variables=CONCAT('sql_mode,sql_select_limit',IF(LOCATE('*',@@session_track_system_variables)>0 OR " +
		"FIND_IN_SET('last_gtid',LOWER(REPLACE(@@session_track_system_variables,' ','')))>0,',last_gtid','')),session_track_schema=1",
		"set sql_select_limit = 5", "set autocommit = 0", "set autocommit = 1", "select @@session_track_schema, @@session_track_system_variables"},
	{"begin", "set @@session.session_track_system_variables = 'sql_mode , lc_messages'", "set sql_mode = ''", "set lc_messages = 'de_DE'", "rollback", "set sql_mode = default",
		"select @@session_track_system_variables, @@lc_messages"},
	{"set @v = 1, session_track_system_variables = 'sql_select_limit', sql_select_limit = 7", "select @@sql_select_limit, @v", "set sql_select_limit = 8"},
	{"prepared: set session_track_system_variables = 'div_precision_increment'", "prepared: select @@session_track_system_variables", "set div_precision_increment = 5", "prepared: set div_precision_increment = 6"},
	{"set session_track_system_variables = 'character_set_database'", "set session_track_system_variables = 'collation_connection'", "set names latin1 collate latin1_bin", "set names utf8mb4"},
	{"set sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'),session_track_system_variables=CONCAT('sql_mode,sql_select_limit',IF(LOCATE('*',@@session_track_system_variables)>0 OR " +
		"FIND_IN_SET('last_gtid',LOWER(REPLACE(@@session_track_system_variables,' ','')))>0,',last_gtid','')),session_track_schema=1, NAMES utf8mb4",
		"set autocommit = 0", "select @@character_set_client, @@character_set_results, @@collation_connection, @@session_track_system_variables", "set autocommit = 1"},
	{"set names latin1, session_track_system_variables = 'sql_mode'", "select @@character_set_client, @@character_set_results, @@collation_connection", "select @@session_track_system_variables", "set names utf8mb4"},
	{"begin", "set session_track_system_variables = 'time_zone', names gbk", "select 'a'", "select @@character_set_client", "rollback", "select @@character_set_client", "set names utf8mb4"},
	{"set session_track_system_variables = 'character_set_client', character set latin1", "select @@character_set_client, @@character_set_connection, @@collation_connection", "set character set utf8mb4", "set names utf8mb4"},
	{"set session_track_system_variables = 'time_zone'", "COM_RESET_CONNECTION", "select @@session_track_system_variables", "set time_zone = '+04:00'", "set sql_mode = 'ANSI'"},
}

// reports are the system variables that an answer reports, but for MySQL's number of the statement.
func reports(all []result) (said []string) {
	for _, r := range all {
		for _, entry := range r.tracked {
			if strings.HasPrefix(entry, "0: ") && !strings.Contains(entry, "statement_id") {
				said = append(said, entry)
			}
		}
	}
	slices.Sort(said)
	return said
}

func TestASessionHearsOfTheVariablesThatItAskedFor(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		other := f.client(t)
		other.do(t, "set time_zone = '-01:00'")
		for _, script := range trackingScripts {
			mine, alone := f.client(t, protocol.CLIENT_SESSION_TRACK), f.direct(t, protocol.CLIENT_SESSION_TRACK)
			within := false
			for _, q := range script {
				within = q == "begin" || within && q != "rollback"
				got, want := mine.executed(t, q), alone.executed(t, q)
				if show(got, nil) != show(want, nil) {
					t.Errorf("%s: %s, alone %s", q, show(got, nil), show(want, nil))
				}
				if got, want := reports(got), reports(want); !slices.Equal(got, want) {
					t.Errorf("%s: reports %q, alone %q", q, got, want)
				}
				if !within && f.pinned(t) == 0 {
					other.sees(t, "select @@time_zone, @@sql_mode = '', @v", "[-01:00,0,NULL]")
				}
			}
			mine.quit()
			alone.quit()
		}
		if n, err := f.Sum(t.Context(), "berth_pins_total", ""); err != nil || n > 0 {
			t.Errorf("%v pins, %v", n, err)
		}
		other.quit()
	})
}

// A session that sets another tracker keeps its backend, which reports from then on what the session itself has asked for.
func TestASessionWithTrackersOfItsOwnHearsOfTheVariablesThatItAskedFor(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		for _, asks := range []string{"do 1", "set session_track_system_variables = ''", "set session_track_system_variables = 'max_error_count'"} {
			mine, alone := f.client(t, protocol.CLIENT_SESSION_TRACK), f.direct(t, protocol.CLIENT_SESSION_TRACK)
			for _, w := range []*wire{mine, alone} {
				w.do(t, asks, "set session_track_schema = off")
			}
			for _, q := range []string{"set max_error_count = 5", "set time_zone = '+01:00'", "select @@session_track_system_variables"} {
				got, want := mine.executed(t, q), alone.executed(t, q)
				if show(got, nil) != show(want, nil) || !slices.Equal(reports(got), reports(want)) {
					t.Errorf("%s; %s: %s, reports %q, alone %s, %q", asks, q, show(got, nil), reports(got), show(want, nil), reports(want))
				}
			}
			mine.quit()
			alone.quit()
		}
	})
}

func TestWarningsAboutWhatIsTrackedPinForAStatement(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		other, mine, alone := f.client(t), f.client(t), f.direct(t)
		const warns = "set session_track_system_variables = 'sql_mode', max_sort_length = 1, names utf8mb4"
		for _, script := range [][]string{
			{"show warnings", "show warnings limit 1", "set time_zone = '+01:00'", "show warnings"},
			{"show count(*) warnings", "select 1"},
			{"select @@session_track_system_variables", "show warnings", "set session_track_system_variables = default"},
			{"set time_zone = '+02:00'", "show warnings", "select @@time_zone, @@session_track_system_variables"},
		} {
			for _, q := range append([]string{warns}, script...) {
				got, want := show(mine.executed(t, q), nil), show(alone.executed(t, q), nil)
				if got != want && !(f.mariaDB() && got == "error 1105") { // which keeps warnings beyond a SET
					t.Errorf("%s: %s, alone %s", q, got, want)
				}
			}
			if n := f.pinned(t); n != 0 {
				t.Fatalf("%d pinned behind %q", n, script)
			}
			other.sees(t, "select @@time_zone", "[SYSTEM]")
			other.sees(t, "show warnings", "[]")
		}
		// What reads how many there are, and may do anything else, comes behind questions of the proxy's own.
		mine.do(t, warns)
		alone.do(t, warns)
		if got, want := mine.outcome("select @@warning_count"), alone.outcome("select @@warning_count"); got != want && got != "error 1105" {
			t.Errorf("warnings are counted: %s, alone %s", got, want)
		}
		mine.do(t, "select 1")
		for _, w := range []*wire{mine, alone, other} {
			w.quit()
		}
	})
}

// TestAnOlderClientHearsBehindRowsWithTheNextOK is about clients without DEPRECATE_EOF: what ends their rows has no room for reports.
func TestAnOlderClientHearsBehindRowsWithTheNextOK(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "older",
			"create function f_zone(z varchar(20)) returns int deterministic begin set time_zone = z; return 1; end",
			"create procedure p_zone(z varchar(20)) begin set time_zone = z; select 1; set autocommit = 1; end")
		caps := uint32(basics | protocol.CLIENT_SESSION_TRACK | multi)
		mine, alone := dial(t, f.Endpoint, l, caps), dial(t, f.server.Endpoint, l, caps)
		alone.announces = true
		for _, q := range []string{
			"select f_zone('+07:00')", "do 1", "do 1", "select f_zone('+08:00')", "set time_zone = '+09:00'", "select 1", "do 1",
			"select f_zone('+06:00'); set autocommit = 1; select 1", "commit", "select f_zone('+05:00')", "selekt", "select f_zone('+04:00')", "COM_PING", "do 1",
			"call p_zone('+03:00')", "do 1", "prepared: select f_zone('+02:00')", "begin", "set session_track_system_variables = 'sql_mode'", "select f_zone('+01:00')", "commit",
			"select f_zone('+01:00')", "COM_RESET_CONNECTION", "do 1",
		} {
			got, want := mine.executed(t, q), alone.executed(t, q)
			if show(got, nil) != show(want, nil) {
				t.Errorf("%s: %s, alone %s", q, show(got, nil), show(want, nil))
			}
			if got, want := reports(got), reports(want); !slices.Equal(got, want) {
				t.Errorf("%s: reports %q, alone %q", q, got, want)
			}
		}
		mine.quit()
		alone.quit()
	})
}
