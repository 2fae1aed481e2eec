package failover

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// backends is how many connections the pool of these tests gets.
const backends = 12

func TestAFullServerGetsAPlaceForTheMonitorAndSessionsGoOn(t *testing.T) {
	for _, name := range []string{"pg18", "mariadb1011"} {
		t.Run(name, func(t *testing.T) {
			c := startPair(t, name, false)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{
				Server: c.primary, Replica: c.replica, Pool: harness.Keys{"max_connections_percent": 50},
			}}})
			var sessions []reader
			for range backends {
				r := read(t, p.Endpoint(name))
				r.run(t, "begin", "insert into direct values ('x')")
				sessions = append(sessions, r)
			}
			fill(t, c.primary)
			got := harness.TargetStatus{}
			harness.Eventually(t, settleWithin, "there is no place for the monitor", func() bool {
				got = targets(t, p, name)["primary"]
				return got.Cause != ""
			})
			if got.State != "AVAILABLE" || !strings.Contains(got.Cause, "it is up, but not to be asked: "+"too many connections: ") {
				t.Errorf("a full server: %+v", got)
			}
			for _, r := range sessions {
				r.run(t, "insert into direct values ('y')", "commit", "begin")
			}
			for _, r := range sessions[1:] {
				r.run(t, "rollback")
			}
			harness.Eventually(t, settleWithin, "the monitor has got the place of an idle backend", func() bool {
				got = targets(t, p, name)["primary"]
				return got.Cause == "" && got.Pool.Open == backends-1
			})
			sessions[0].run(t, "insert into direct values ('z')", "commit")
			if got.State != "AVAILABLE" {
				t.Errorf("at last: %+v", got)
			}
		})
	}
}

// fill ends the monitor's connection, and leaves no place for one beside the pool's.
func fill(t *testing.T, s *harness.Server) {
	t.Helper()
	if s.Engine == harness.Postgres {
		harness.Exec(t, s, fmt.Sprintf("alter role app connection limit %d", backends),
			"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'berth probe'")
		return
	}
	monitor := mysqlValue(t, s, "select id from information_schema.processlist where user = 'app' order by id limit 1") // the oldest of app's
	harness.Exec(t, s, fmt.Sprintf("set global max_connections = %d", backends+1), "kill "+monitor)                     // one is the replica's
}
