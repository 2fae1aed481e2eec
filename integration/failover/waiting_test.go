package failover

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestRequestsOfIdleSessionsWaitForTheNewWriter(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			writer, replica := harness.Pair(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{
				Server: writer, Replica: replica, Pool: harness.Keys{"connection_borrow_timeout": "120s"},
			}}})
			c, err := p.Endpoint(name).PgxConn(t.Context(), harness.App())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(t.Context()) }()
			if _, err := c.Exec(t.Context(), "create table t (n int); set work_mem = '7MB'"); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "the replica has the table", func() bool {
				return replica.Exec(t.Context(), "select * from t") == nil
			})
			harness.Eventually(t, settleWithin, "the backend is back", func() bool {
				return targets(t, p, name)["primary"].Pool.Lent == 0
			})
			if err := writer.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "the loss is noticed", func() bool {
				return targets(t, p, name)["primary"].State == "UNAVAILABLE"
			})
			answer := make(chan error, 1)
			var setting string
			go func() {
				_, err := c.Exec(t.Context(), "insert into t values (1)")
				if err == nil {
					err = c.QueryRow(t.Context(), "show work_mem").Scan(&setting)
				}
				answer <- err
			}()
			harness.Eventually(t, settleWithin, "the request waits", func() bool {
				select {
				case err := <-answer:
					t.Fatalf("it did not wait: %v", err)
				default:
				}
				l, err := p.Listener(t.Context(), name)
				return err == nil && l.WaitingClients == 1
			})
			if err := replica.Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-answer; err != nil || setting != "7MB" {
				t.Errorf("%v, work_mem %s", err, setting)
			}
			if got := targets(t, p, name)["replica"]; got.State != "AVAILABLE" || got.ReadOnly || got.Reason != "" {
				t.Errorf("the new writer: %+v", got)
			}
		})
	}
}
