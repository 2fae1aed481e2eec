package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestWhatASessionHasSetDoesNotChangeWhatTheServerSaysOfCode(t *testing.T) {
	for _, set := range []string{
		"set sql_mode = 'EMPTY_STRING_IS_NULL'", "set names swe7", "set collation_connection = swe7_swedish_ci", "set collation_connection = utf16_bin",
		"set names binary", "set default_regex_flags = 'EXTENDED'", "set sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,HIGH_NOT_PRECEDENCE'",
	} {
		own(t, harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, "askers", hiding...)
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
			a.outcome(set)
			a.do(t, "set names utf8mb4", "select 1", "select 1")
			a.outcome(set)
			a.do(t, "select count(*) from tv", "select count(*) from tv") // behind which the server is asked
			a.outcome("select * from v_lock")
			a.outcome("select * from v_into")
			b.sees(t, left, "[NULL,NULL,NULL,NULL,NULL,"+l.Database+",1]")
			a.quit()
			b.quit()
		})
	}
}

func TestWhatASessionHasSetDoesNotHideItsInsertID(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		mine, theirs := table(t, f.server, "mute_a", "(id int auto_increment primary key, n int)"), table(t, f.server, "mute_b", "(id int auto_increment primary key, n int)")
		for _, set := range []string{"set sql_select_limit = 0", "set character_set_results = utf16", "set character_set_results = utf32"} {
			a, b := f.client(t), f.direct(t)
			for _, q := range []string{"insert into %s (n) values (5)", "select 1", set, "insert into %s values (1, 5)", "select last_insert_id() + 0 limit 1"} {
				got, want := a.outcome(strings.ReplaceAll(q, "%s", mine)), b.outcome(strings.ReplaceAll(q, "%s", theirs))
				if got != want {
					t.Errorf("%s: %s: %q, with the server itself %q", set, q, got, want)
				}
			}
			a.quit()
			b.quit()
		}
	})
}

func TestWhatASessionHasSetDoesNotKeepTheServerFromSayingWhatCodeThereIs(t *testing.T) {
	for _, set := range []string{
		"set sql_mode = 'NO_BACKSLASH_ESCAPES'", "set max_execution_time = 1", "set collation_connection = utf16_bin",
		"set max_statement_time = 0.001", "set sql_big_selects = 0", "set default_regex_flags = 'EXTENDED'", "set tmp_disk_table_size = 16384",
		"set character_set_client = swe7", "set names swe7",
	} {
		own(t, harness.Route{MaxConnections: pair, Users: callers(), Pool: harness.Keys{"unseen_changes": "pin"}}, func(t *testing.T, f front) {
			l := callersSchema(t, f.server, "said", "create table t (n int)", "create procedure p() select 1")
			for _, q := range []string{"revoke all on " + l.Database + ".* from caller@'%'", "grant all on `" + strings.ReplaceAll(l.Database, "_", `\_`) + "`.* to caller@'%'"} {
				if err := f.server.Exec(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			w := dial(t, f.Endpoint, l, modern)
			w.outcome(set)
			w.outcome("select n from t") // which may take too long,
			w.do(t, "do 1")              // and then its error keeps the backend for one statement
			if n := f.pinned(t); n > 0 {
				t.Errorf("%s: code is taken for unknown", set)
			}
			w.quit()
		})
	}
}

// A session that has set what no other may find is pinned, and keeps it while the server is asked.
func TestALimitThatPinsASessionMakesCodeUnknownToNobody(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "limited", "create function f(n int) returns int deterministic return n")
		a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		a.do(t, "set max_join_size = 1", "do f(2)")
		n := f.pinned(t)
		if b.do(t, "do f(2)", "do f(2)"); f.pinned(t) > n {
			t.Error("code is taken for unknown")
		}
		a.quit()
		b.quit()
	})
}

func TestTheQuestionAboutCodeLeavesASessionItsLimits(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "limits", "create function f(n int) returns int deterministic return n")
		for _, set := range []string{"set sql_big_selects = 0", "set max_join_size = 99999999"} {
			a, b := dial(t, f.Endpoint, l, modern), dial(t, f.server.Endpoint, l, modern)
			for _, q := range []string{"create function own(n int) returns int deterministic begin set @o = n; return n; end", set, "do f(2)", "select @@sql_big_selects, @@max_join_size", "drop function own"} {
				if got, want := a.outcome(q), b.outcome(q); got != want && !strings.Contains(q, "function") {
					t.Errorf("%s: %s: %q, with the server itself %q", set, q, got, want)
				}
			}
			a.quit()
			b.quit()
		}
	})
}

func TestWhatBerthTellsItselfIsInTheCharacterSetOfResults(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		a, b := f.client(t), f.direct(t)
		for _, charset := range []string{"utf16", "utf8mb4", "ucs2", "utf32", "utf16le", "latin1"} {
			for _, set := range []string{"set character_set_results = ", "set @@character_set_results = "} {
				for _, q := range []string{set + charset, "select last_insert_id() as x", "select row_count(), last_insert_id()", "select found_rows() y"} {
					got, err := a.query(q)
					want, err2 := b.query(q)
					same(t, charset+": "+q, got, err, want, err2)
				}
			}
		}
		a.quit()
		b.quit()
	})
}
