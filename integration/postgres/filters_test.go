package postgres

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestWhatAFilterKeepsFromPinningIsNobodyElses(t *testing.T) {
	filters := harness.Keys{"session_pinning_filters": []string{
		"EXCLUDE_VARIABLE_SETS", "EXCLUDE_TEMPORARY_TABLES", "EXCLUDE_NAMED_LOCKS", "EXCLUDE_PREPARED_STATEMENTS",
	}}
	each(t, harness.Route{MaxConnections: 1, Pool: filters}, func(t *testing.T, r *rig) {
		first, second := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for what, look := range map[string][2]string{
			"set work_mem = '7MB'":                 {"show work_mem", "4MB"},
			"create temp table filtered (a int)":   {"select to_regclass('filtered') is null", "t"},
			"prepare filtered as select 1":         {"select count(*) from pg_prepared_statements where from_sql", "0"},
			"select pg_advisory_lock(7)":           {"select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()", "0"},
			"set search_path = pg_catalog, public": {"show search_path", `"$user", public`},
		} {
			ask(t, first, what)
			if s := r.session(t, first.PID()); s.Pinned != "" {
				t.Errorf("%s: %+v", what, s)
			}
			if got := ask(t, second, look[0]); got != look[1] {
				t.Errorf("after %s another session finds %s", what, got)
			}
			ask(t, second, "discard all") // it may have asked for pg_backend_pid
		}
		r.whole(t)
	})
}
