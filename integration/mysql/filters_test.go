package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestWhatAFilterKeepsFromPinningIsNobodyElses(t *testing.T) {
	filters := harness.Keys{"session_pinning_filters": []string{"EXCLUDE_VARIABLE_SETS", "EXCLUDE_TEMPORARY_TABLES", "EXCLUDE_NAMED_LOCKS"}}
	own(t, harness.Route{MaxConnections: 1, Pool: filters}, func(t *testing.T, f front) {
		first, second := f.client(t), f.client(t)
		for what, look := range map[string][2]string{
			"set @filtered = 7":                       {"select @filtered is null", "[1]"},
			"set sql_mode = 'NO_BACKSLASH_ESCAPES'":   {"select @@sql_mode = 'NO_BACKSLASH_ESCAPES'", "[0]"},
			"set time_zone = '+07:00'":                {"select @@time_zone = '+07:00'", "[0]"},
			"select get_lock('filtered', 0)":          {"select is_free_lock('filtered')", "[1]"},
			"create temporary table filtered (a int)": {"select count(*) from information_schema.tables where table_name = 'filtered'", "[0]"},
		} {
			first.do(t, what)
			second.sees(t, look[0], look[1])
			own := look[1]
			switch what { // these are restored, whatever the filters say
			case "set @filtered = 7":
				own = "[0]"
			case "set sql_mode = 'NO_BACKSLASH_ESCAPES'", "set time_zone = '+07:00'":
				own = "[1]"
			}
			first.sees(t, look[0], own)
		}
		if n, err := f.Sum(t.Context(), "berth_pins_total", ""); err != nil || n != 0 {
			t.Errorf("%v pins, %v", n, err)
		}
	})
}

// MariaDB does not say that SET @@session_track_schema=0 switches the reports off, and the reset that takes the place of a pin may have to wait.
func TestADatabaseThatNobodyHearsOfBehindAFilterIsTheSessionsOwn(t *testing.T) {
	filters := harness.Keys{"session_pinning_filters": []string{"EXCLUDE_VARIABLE_SETS", "EXCLUDE_PREPARED_STATEMENTS"}}
	own(t, harness.Route{MaxConnections: 1, Pool: filters, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "unheard")
		nowhere := l
		nowhere.Database = ""
		for _, texts := range [][]string{
			{"set @@session_track_schema=0; use information_schema"},
			{"set session_track_schema=0; use information_schema"},
			{"execute immediate 'set @@session_track_schema=0'; use information_schema"},
			{"begin", "set @@session_track_schema=0; use information_schema", "commit"},
			{"begin", "execute immediate 'set @@session_track_schema=0'", "use information_schema", "commit"},
			{"begin", "set @@session_track_schema=0", "use information_schema", "commit"},
		} {
			for _, login := range []harness.Login{l, nowhere} {
				if strings.Contains(texts[len(texts)/2], "immediate") && !f.mariaDB() {
					continue
				}
				a := dial(t, f.Endpoint, login, with([]uint32{multi}))
				for _, q := range texts {
					a.must(t, q)
				}
				a.sees(t, "select database()", "[information_schema]")
				a.quit() // it may be pinned
				b := dial(t, f.Endpoint, login, with([]uint32{multi}))
				if b.sees(t, "select coalesce(database(), '')", "["+login.Database+"]"); t.Failed() {
					t.Fatalf("%q, in %q", texts, login.Database)
				}
				b.quit()
			}
		}
	})
}

// MariaDB reports nothing of SET @@name, and the text may be put together.
func TestASettingOfATextThatIsPutTogetherIsTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		for _, texts := range [][]string{
			{"prepare s from 'set @@sql_quote_show_create = 0'", "execute s", "deallocate prepare s"},
			{"prepare s from concat('set @@', 'sql_quote_show_create = 0')", "execute s", "deallocate prepare s"},
			{"set @text = concat('set @@', 'sql_quote_show_create = 0')", "prepare s from @text", "execute s", "prepare s from 'select 1'", "deallocate prepare s"},
			{"execute immediate concat('set @@', 'sql_quote_show_create = 0')"},
			{"begin not atomic execute immediate concat('set @@', 'sql_quote_show_create = 0'); end"},
		} {
			if !f.mariaDB() && (strings.Contains(texts[0], "from concat") || len(texts) == 1) {
				continue
			}
			a := f.client(t)
			for _, q := range texts {
				a.must(t, q)
			}
			a.must(t, "do 1")
			if a.sees(t, "select @@sql_quote_show_create", "[0]"); t.Failed() {
				t.Errorf("%q", texts)
			}
			a.quit()
			b := f.client(t)
			if b.sees(t, "select @@sql_quote_show_create", "[1]"); t.Failed() {
				t.Fatalf("%q", texts)
			}
			b.quit()
		}
	})
}
