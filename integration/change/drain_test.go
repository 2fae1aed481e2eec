package change

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// A drain waits for transactions and statements, but for none longer than the limits of the listener have it.
func TestADrainEndsNoLaterThanTheTimeLimitsOfItsSessions(t *testing.T) {
	const limit = "2s"
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			table := fmt.Sprintf("drain_%d_%d", time.Now().UnixNano(), tables.Add(1))
			seen := dial(t, s.Endpoint)
			seen.must(t, "create table "+table+" (n int)")
			defer seen.must(t, "drop table "+table)
			p := harness.Start(t, harness.Config{
				Routes: []harness.Route{{Server: s, MaxConnections: 4, Listener: harness.Keys{"idle_in_transaction_timeout": limit, "query_timeout": limit}}},
				Top:    harness.Keys{"runtime": harness.Keys{"drain_timeout": "1h"}},
			})
			sleep, stopped := "select pg_sleep(3600)", []string{"57014"}
			if s.Engine != harness.Postgres {
				sleep, stopped = "do sleep(3600)", []string{"1317", "<nil>"} // SLEEP() returns 1 where it is interrupted, or fails
			}
			idles, works, ends := dial(t, p.Endpoint(name)), dial(t, p.Endpoint(name)), dial(t, p.Endpoint(name))
			idles.must(t, "begin", "insert into "+table+" values (1)")
			ends.must(t, "begin", "insert into "+table+" values (2)")
			told := make(chan error, 1)
			go func() { told <- works.exec(t.Context(), sleep) }()
			harness.Eventually(t, patience, "three backends are lent", func() bool {
				pool, err := p.Pool(t.Context(), name)
				return err == nil && pool.Lent == 3
			})
			if err := p.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			ends.must(t, "commit")
			err := fmt.Sprint(<-told)
			if !slices.ContainsFunc(stopped, func(part string) bool { return strings.Contains(err, part) }) {
				t.Errorf("a statement that takes too long is told: %s, want one of %s", err, stopped)
			}
			works.end() // on MySQL the error that can still be read keeps its backend, and a drain waits for what is kept
			select {
			case <-p.Exited():
			case <-time.After(patience):
				t.Fatal("the drain outlasts the limits of its sessions")
			}
			if err := idles.exec(t.Context(), "select 1"); err == nil {
				t.Error("the session that idled in its transaction goes on")
			}
			if n, err := seen.ask(t.Context(), "select sum(n) from "+table); err != nil || n != 2 {
				t.Errorf("of what was written there is %d, %v, want what was committed: 2", n, err)
			}
		})
	}
}
