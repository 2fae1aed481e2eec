package mysql

import (
	"fmt"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// rdsRow is a line of RDS Proxy's documentation on what pins a session of MySQL or MariaDB, and what Berth does instead.
type rdsRow struct {
	what   string
	rds    string   // what its documentation says
	do     []string // statements; one in capitals that begins with COM_ is a command
	pinned string   // the reason for which Berth pins behind them, "" if it does not
	ends   []string // what ends that pin; none if only a reset does
	only   string   // the kind of server, if not all
}

const (
	rdsPins   = "pins"
	rdsShares = "does not pin"
)

// rdsRows are all its lines, in its order: what pins on every engine, what pins and does not pin on MySQL.
var rdsRows = []rdsRow{
	{"a statement over 16 KB", rdsPins, []string{"select length('" + strings.Repeat("x", 20<<10) + "')"}, "", nil, ""},
	{"LOCK TABLES", rdsPins, []string{"lock tables mysql.time_zone read"}, "table_lock", []string{"unlock tables"}, ""},
	{"FLUSH TABLES WITH READ LOCK", rdsPins, []string{"flush tables mysql.time_zone with read lock"}, "table_lock", []string{"unlock tables"}, ""},
	{"GET_LOCK", rdsPins, []string{"select get_lock('rds', 0)"}, "named_lock", []string{"select release_lock('rds')"}, ""},
	{"a user variable", rdsPins, []string{"set @a = 1"}, "", nil, ""},
	{"a system variable that is not tracked", rdsPins, []string{"set sort_buffer_size = 100000"}, "", nil, ""},
	{"session_track_system_variables", rdsPins, []string{"set session_track_system_variables = 'time_zone'"}, "", nil, ""},
	{"SET TRANSACTION for the next one", rdsPins, []string{"set transaction read only"}, "transaction_trait", []string{"begin", "commit"}, ""},
	{"SET SESSION TRANSACTION", rdsShares, []string{"set session transaction isolation level read committed"}, "", nil, ""},
	{"CREATE TEMPORARY TABLE", rdsPins, []string{"create temporary table kept (a int)"}, "temporary_table", []string{"drop temporary table kept"}, ""},
	{"PREPARE", rdsPins, []string{"prepare p from 'select 1'"}, "prepared_statement", []string{"deallocate prepare p"}, ""},
	{"COM_STMT_PREPARE", rdsPins, []string{"COM_STMT_PREPARE"}, "", nil, ""},
	{"ROW_COUNT()", "pins, sometimes", []string{"select 1", "select row_count()"}, "", nil, ""},
	{"FOUND_ROWS()", "pins, sometimes", []string{"select 1", "select found_rows()"}, "", nil, ""},
	{"SQL_CALC_FOUND_ROWS", "pins, sometimes", []string{"select sql_calc_found_rows 1"}, "last_result", []string{"select 1"}, ""},
	{"LAST_INSERT_ID()", rdsShares, []string{"select last_insert_id(5)", "select last_insert_id()"}, "", nil, ""},
	{"an executable comment", rdsPins, []string{"select 1 /*!50000 + 1 */"}, "", nil, ""},
	{"an executable comment that changes something", rdsPins, []string{"/*!50000 create temporary table kept (a int) */"}, "temporary_table", nil, ""},
	{"USE", rdsShares, []string{"use mysql", "use app"}, "", nil, ""},
	{"DROP DATABASE", rdsShares, []string{"create database rds_dropped", "drop database rds_dropped"}, "", nil, ""},
	{"AUTOCOMMIT", rdsShares, []string{"set autocommit = 0"}, "", nil, ""},
	{"SET NAMES, SET CHARACTER SET", rdsShares, []string{"set names latin1", "set character set latin1"}, "", nil, ""},
	{"CHARACTER_SET_..., COLLATION_...", rdsShares, []string{"set character_set_client = latin1, character_set_connection = latin1, " +
		"character_set_results = latin1, character_set_filesystem = latin1, collation_connection = latin1_bin"}, "", nil, ""},
	{"SQL_MODE, TIME_ZONE", rdsShares, []string{"set sql_mode = 'ANSI_QUOTES', time_zone = '+03:30'"}, "", nil, ""},
	{"AUTO_INCREMENT_INCREMENT, NET_WRITE_TIMEOUT, INTERACTIVE_TIMEOUT, WAIT_TIMEOUT", rdsShares,
		[]string{"set auto_increment_increment = 2, net_write_timeout = 99, interactive_timeout = 999, wait_timeout = 999"}, "", nil, ""},
	{"QUERY_CACHE_TYPE", rdsShares, []string{"set query_cache_type = off"}, "", nil, "mariadb"},
	{"SESSION_TRACK_SCHEMA", rdsShares, []string{"set session_track_schema = off"}, "setting", nil, ""},
	{"SET LOCAL", rdsShares, []string{"set local sort_buffer_size = 100000"}, "", nil, ""},
	{"a procedure that changes nothing", rdsShares, []string{"call rds_nothing()"}, "", nil, ""},
	{"a procedure that makes a temporary table", "does not pin, and loses it", []string{"call rds_makes()"}, "unknown", nil, ""},
	{"GET DIAGNOSTICS", "does not pin, and may be wrong", []string{"select 1", "get diagnostics @n = number"}, "", nil, ""},
}

func TestEveryLineOfRDSProxysListOfPinsHasAnAnswer(t *testing.T) {
	rows := map[string]rdsRow{}
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		// Whoever can reach code that leaves something is pinned by any call: the two have users of their own.
		nothing := callersSchema(t, f.server, "rds", "create procedure rds_nothing() select 1")
		makes := ownSchema(t, f.server, "rds_makes", "create procedure rds_makes() create temporary table rds_made as select 3 as n")
		for _, row := range rdsRows {
			if row.only != "" && (row.only == "mariadb") != f.mariaDB() {
				continue
			}
			rows[row.what] = row
			t.Run(row.what, func(t *testing.T) {
				l := superuser()
				switch row.do[0] {
				case "call rds_nothing()":
					l = nothing
				case "call rds_makes()":
					l = makes
				}
				c := dial(t, f.Endpoint, l, modern)
				for _, q := range row.do {
					c.says(t, q)
				}
				f.pinnedBy(t, row.pinned)
				for _, q := range row.ends {
					if f.pinned(t) != 1 {
						t.Errorf("not pinned any more before %s", q)
					}
					c.says(t, q)
				}
				if len(row.ends) > 0 {
					f.pinnedBy(t, "")
				}
				c.says(t, "COM_RESET_CONNECTION")
				f.pinnedBy(t, "")
				c.quit()
				quiet(t, f)
			})
		}
	})
	if t.Failed() {
		return
	}
	if len(rows) != len(rdsRows) {
		t.Fatalf("%d of %d lines were tried", len(rows), len(rdsRows))
	}
	harness.Generated(t, "docs/pinning.md", "rds mysql", rdsDocument())
}

// says runs a statement, or a command that is named in capitals.
func (w *wire) says(t *testing.T, what string) {
	t.Helper()
	var err error
	switch what {
	case "COM_STMT_PREPARE":
		_, err = w.prepare("select ?")
	case "COM_RESET_CONNECTION":
		_, err = w.one(protocol.COM_RESET_CONNECTION)
	default:
		w.do(t, what)
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pinnedBy waits until the only session is pinned for this reason, or has given its backend back.
func (f front) pinnedBy(t *testing.T, reason string) {
	t.Helper()
	var all []control.Session
	defer func() {
		if t.Failed() {
			t.Logf("the sessions: %+v, want pinned %q", all, reason)
		}
	}()
	waitFor(t, "the session is pinned as it must be", func() bool {
		all = nil
		f.read(t, "/api/v1/sessions", &all)
		return len(all) == 1 && all[0].Pinned == reason && (reason != "" || all[0].Backend == 0)
	})
}

// rdsDocument is the rows as a table.
func rdsDocument() string {
	var b strings.Builder
	b.WriteString("| MySQL, MariaDB | RDS Proxy | Berth |\n| --- | --- | --- |\n")
	for _, row := range rdsRows {
		berth := "does not pin"
		if row.pinned != "" {
			berth = "pins (`" + row.pinned + "`) until a reset"
			if len(row.ends) > 0 {
				berth = "pins (`" + row.pinned + "`) until `" + strings.Join(row.ends, "`, `") + "`"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.what, row.rds, berth)
	}
	return b.String()
}
