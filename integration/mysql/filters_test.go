package mysql

import (
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
