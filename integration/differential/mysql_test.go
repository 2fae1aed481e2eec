package differential

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// TestALeakIsFoundOnMySQL is TestALeakIsFound for MySQL and MariaDB.
func TestALeakIsFoundOnMySQL(t *testing.T) {
	for _, m := range []struct {
		server string
		engine mysql
	}{{"mysql97", mysql{}}, {"mariadb1011", mysql{maria: true}}} {
		for group, filter := range map[string]string{
			"temporary": "EXCLUDE_TEMPORARY_TABLES", "locks": "EXCLUDE_NAMED_LOCKS", "prepare": "EXCLUDE_PREPARED_STATEMENTS", "settings": "EXCLUDE_VARIABLE_SETS",
		} {
			t.Run(m.server+" "+filter, func(t *testing.T) {
				e := m.engine
				e.groups = map[string]bool{group: true}
				leaks(t, m.server, e, harness.Keys{"session_pinning_filters": []string{filter}})
			})
		}
		t.Run(m.server+" unseen_changes: trust", func(t *testing.T) {
			e := m.engine
			e.groups = map[string]bool{"code": true}
			leaks(t, m.server, e, harness.Keys{"unseen_changes": "trust"})
		})
	}
}
