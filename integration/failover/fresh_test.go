package failover

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// freshClusters are the servers that reads of what was written are tested with.
var freshClusters = append([]struct {
	name    string
	options []string
}{{"pg15", nil}}, clusters...)

// seen asks how many rows there are, and the port of the server that says so.
func (c cluster) seen() string {
	if c.writer.Engine == harness.Postgres {
		return "select count(*)::text || ':' || inet_server_port() from t"
	}
	return "select concat(count(*), ':', @@port) from app.t"
}

// sees asks r, and returns the rows and the server: 0 is the writer, 1 and 2 are the replicas.
func (c cluster) sees(r reader) (rows string, server int, err error) {
	answer, err := r.ask(context.Background(), c.seen())
	rows, port, _ := strings.Cut(answer, ":")
	for i, s := range []*harness.Server{c.writer, c.replicas[0], c.replicas[1]} {
		if c.at(s) == ":"+port {
			server = i
		}
	}
	return rows, server, err
}

// home returns the replica (0 or 1) that a session reads from.
func (c cluster) home(t *testing.T, r reader) int {
	t.Helper()
	_, server, err := c.sees(r)
	if err != nil || server == 0 {
		t.Fatalf("the session reads from %d: %v", server, err)
	}
	return server - 1
}

func (c cluster) insert(n int) string {
	if c.writer.Engine == harness.Postgres {
		return fmt.Sprintf("insert into t values (%d)", n)
	}
	return fmt.Sprintf("insert into app.t values (%d)", n)
}

// startFreshCluster starts one whose monitoring user may see what reads of what was written need.
func startFreshCluster(t *testing.T, name string, options []string) cluster {
	t.Helper()
	c := startCluster(t, name, options)
	if c.writer.Engine == harness.Postgres {
		harness.Exec(t, c.writer, "grant pg_read_all_stats to app")
		for _, s := range c.replicas {
			harness.Eventually(t, settleWithin, "the replicas know the grant", func() bool {
				return s.Exec(t.Context(), "do $$ begin assert pg_has_role('app', 'pg_read_all_stats', 'member'); end $$") == nil
			})
		}
	}
	return c
}

// readersMetric is the value of a metric of the listener for readers.
func readersMetric(t *testing.T, p *harness.Proxy, name string) float64 {
	t.Helper()
	sum, err := p.Sum(t.Context(), name, `listener="readers"`)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func committed(fallback, catchUp string) harness.Keys {
	return harness.Keys{"read_your_writes": "committed", "fallback": fallback, "catch_up_timeout": catchUp}
}

func TestReadsSeeWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	for _, k := range freshClusters {
		t.Run(k.name, func(t *testing.T) {
			c := startFreshCluster(t, k.name, k.options)
			written := 0
			write := func(p *harness.Proxy) string {
				t.Helper()
				written++
				read(t, p.Endpoint("all")).must(t, c.insert(written))
				return fmt.Sprint(written)
			}
			pause := func(i int) { t.Helper(); harness.Exec(t, c.replicas[i], c.pause...) }
			resume := func(i int) { t.Helper(); harness.Exec(t, c.replicas[i], c.resume...) }
			expect := func(r reader, rows string, servers ...int) {
				t.Helper()
				got, server, err := c.sees(r)
				for _, s := range servers {
					if err == nil && got == rows && server == s {
						return
					}
				}
				t.Errorf("a read sees %s rows at %d (%v), not %s at %d", got, server, err, rows, servers)
			}

			// Without the option a read is late.
			p := c.serve(t, harness.Keys{}, harness.Keys{})
			r := read(t, p.Endpoint("readers"))
			home := c.home(t, r)
			pause(home)
			write(p)
			expect(r, "0", 1+home)
			resume(home)

			// With it, it goes to the other replica, then to the writer, and back home.
			p = c.serve(t, committed("writer", "2s"), harness.Keys{})
			r = read(t, p.Endpoint("readers"))
			home = c.home(t, r)
			atHome := func() {
				t.Helper()
				harness.Eventually(t, settleWithin, "the session reads at home", func() bool {
					rows, server, err := c.sees(r)
					if err != nil || rows != fmt.Sprint(written) {
						t.Fatalf("%s rows, %v", rows, err)
					}
					return server == 1+home // which may not say in time that it is as far as the writer
				})
			}
			atHome()
			r.must(t, c.set)
			pause(home)
			expect(r, write(p), 2-home)
			expect(r, write(p), 2-home)
			pause(1 - home)
			expect(r, write(p), 0)
			if got := r.must(t, c.show); got != c.want {
				t.Errorf("its setting is %s", got)
			}
			resume(0)
			resume(1)
			atHome()
			if got := readersMetric(t, p, "berth_read_your_writes_fallbacks_total"); got < 1 {
				t.Errorf("%v reads at the writer", got)
			}

			// Without a fallback it waits, or fails in time.
			p = c.serve(t, committed("none", "100ms"), harness.Keys{"connection_borrow_timeout": "1s"})
			r = read(t, p.Endpoint("readers"))
			home = c.home(t, r)
			pause(0)
			pause(1)
			rows := write(p)
			if _, _, err := c.sees(r); err == nil || !strings.Contains(err.Error(), "replica that has everything that was written before") {
				t.Errorf("without a fallback: %v", err)
			}
			if got := readersMetric(t, p, "berth_read_your_writes_timeouts_total"); got != 1 {
				t.Errorf("%v reads that failed", got)
			}
			p = c.serve(t, committed("none", "100ms"), harness.Keys{})
			var waits sync.WaitGroup
			waits.Go(func() { expect(read(t, p.Endpoint("readers")), rows, 1, 2) })
			harness.Eventually(t, settleWithin, "the read waits", func() bool { return readersMetric(t, p, "berth_waiting_clients") == 1 })
			resume(0)
			waits.Wait()
			resume(1)
		})
	}
}

func TestAPinnedSessionSeesWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	for _, k := range freshClusters {
		t.Run(k.name, func(t *testing.T) {
			c := startFreshCluster(t, k.name, k.options)
			p := c.serve(t, committed("writer", "1s"), harness.Keys{"connection_borrow_timeout": "2s"})
			w := read(t, p.Endpoint("all"))
			r := read(t, p.Endpoint("readers"))
			r.must(t, c.pin)
			home := c.home(t, r)

			// It waits for its replica, and keeps it.
			harness.Exec(t, c.replicas[home], c.pause...)
			w.must(t, c.insert(1))
			var resumed sync.WaitGroup
			resumed.Go(func() {
				time.Sleep(500 * time.Millisecond) // the read is on its way; if it is not, the test shows less
				harness.Exec(t, c.replicas[home], c.resume...)
			})
			if rows, server, err := c.sees(r); rows != "1" || server != 1+home || err != nil {
				t.Errorf("it sees %s rows at %d: %v", rows, server, err)
			}
			resumed.Wait()
			if got := readersMetric(t, p, "berth_database_connections_currently_session_pinned"); got != 1 {
				t.Errorf("%v sessions are pinned", got)
			}

			// It loses it if that takes too long, and goes on elsewhere.
			harness.Exec(t, c.replicas[home], c.pause...)
			w.must(t, c.insert(2))
			if _, _, err := c.sees(r); code(err) != "08006" && code(err) != "HY000" {
				t.Errorf("told %v", err)
			}
			if rows, server, err := c.sees(r); rows != "2" || server == 1+home || err != nil {
				t.Errorf("it sees %s rows at %d: %v", rows, server, err)
			}
			harness.Exec(t, c.replicas[home], c.resume...)
		})
	}
}

// TestManyReadOnlyClientsSeeTheirWrites writes and reads from many clients, while replicas stop and go on.
func TestManyReadOnlyClientsSeeTheirWrites(t *testing.T) {
	t.Parallel()
	for _, k := range freshClusters {
		t.Run(k.name, func(t *testing.T) {
			c := startFreshCluster(t, k.name, k.options)
			p := c.serve(t, committed("writer", "200ms"), harness.Keys{"max_connections": 8})
			const clients, each = 12, 60
			var all sync.WaitGroup
			for i := range clients {
				w, r := read(t, p.Endpoint("all")), read(t, p.Endpoint("readers"))
				all.Go(func() {
					for n := range each {
						id := i*each + n + 1
						w.must(t, c.insert(id))
						if got := r.must(t, c.seen()+fmt.Sprintf(" where n = %d", id)); !strings.HasPrefix(got, "1:") {
							t.Errorf("client %d does not see what it wrote: %s", i, got)
							return
						}
					}
				})
			}
			stop := make(chan struct{})
			var upset sync.WaitGroup
			upset.Go(func() {
				for i := 0; ; i = 1 - i {
					harness.Exec(t, c.replicas[i], c.pause...)
					select {
					case <-stop:
					case <-time.After(100 * time.Millisecond):
					}
					harness.Exec(t, c.replicas[i], c.resume...)
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
			})
			all.Wait()
			close(stop)
			upset.Wait()
		})
	}
}

// TestReadsDoNotWaitForWhatAFailoverLost lets reads wait for what the replicas never get.
func TestReadsDoNotWaitForWhatAFailoverLost(t *testing.T) {
	t.Parallel()
	for _, k := range freshClusters {
		t.Run(k.name, func(t *testing.T) {
			c := startFreshCluster(t, k.name, k.options)
			p := c.serve(t, committed("writer", "1s"), harness.Keys{"connection_borrow_timeout": "100s"})
			r, w := read(t, p.Endpoint("readers")), read(t, p.Endpoint("all"))
			c.home(t, r)
			for _, s := range c.replicas {
				harness.Exec(t, s, c.pause...)
			}
			w.must(t, c.insert(1))
			if rows, server, err := c.sees(r); rows != "1" || server != 0 || err != nil {
				t.Fatalf("it sees %s rows at %d: %v", rows, server, err)
			}
			if err := c.writer.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Without the writer nobody can say what was written.
			read := make(chan error, 1)
			go func() {
				_, server, err := c.sees(r)
				if err == nil && server != 1 {
					err = fmt.Errorf("read from %d", server)
				}
				read <- err
			}()
			harness.Eventually(t, settleWithin, "the read waits", func() bool { return readersMetric(t, p, "berth_waiting_clients") == 1 })
			harness.Exec(t, c.replicas[0], c.resume...)
			if err := c.replicas[0].Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-read; err != nil {
				t.Errorf("behind the failover: %v", err)
			}
			w.must(t, c.insert(2))
			if rows, server, err := c.sees(r); server != 1 || err != nil || rows == "0" {
				t.Errorf("it sees %s rows at %d: %v", rows, server, err)
			}
		})
	}
}

func TestAReplicaThatHidesItsTimelineIsNotReadFrom(t *testing.T) {
	t.Parallel()
	c := startCluster(t, "pg18", nil) // without the grant
	p := c.serve(t, committed("writer", "50ms"), harness.Keys{})
	w, r := read(t, p.Endpoint("all")), read(t, p.Endpoint("readers"))
	w.must(t, c.insert(1))
	if rows, server, err := c.sees(r); rows != "1" || server != 0 || err != nil {
		t.Errorf("it sees %s rows at %d: %v", rows, server, err)
	}
	cause := func() string { return targets(t, p, "all")["replica1"].Cause }
	harness.Eventually(t, settleWithin, "the status says why", func() bool { return strings.Contains(cause(), "pg_read_all_stats") })
	harness.Exec(t, c.writer, "grant pg_read_all_stats to app")
	harness.Eventually(t, settleWithin, "the replicas are read from", func() bool {
		rows, server, err := c.sees(r)
		if err != nil || rows != "1" {
			t.Fatalf("%s rows: %v", rows, err)
		}
		return server != 0
	})
	harness.Eventually(t, settleWithin, "the status says nothing any more", func() bool {
		c.home(t, r) // somebody asks
		return cause() == ""
	})
}
