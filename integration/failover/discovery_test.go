package failover

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// found starts a proxy whose targets are found, with a read-only listener named readers.
func (c cluster) found(t *testing.T, discovery harness.Keys) *harness.Proxy {
	t.Helper()
	discovery["interval"] = "200ms"
	return harness.Start(t, harness.Config{Routes: []harness.Route{{
		Name: "all", Server: c.writer, ReadOnly: "readers", Plain: c.plain, Pool: harness.Keys{"max_connections": 5},
		Group: harness.Keys{"targets": []harness.Keys{}, "discovery": discovery, "tls": harness.Keys{"server_name": "localhost"}, "health_check": harness.Keys{"interval": "200ms"}},
	}}})
}

// say waits until the status says something of the discovery, and nothing if cause is empty.
func say(t *testing.T, p *harness.Proxy, source, cause string) {
	t.Helper()
	harness.Eventually(t, settleWithin, "the status says of the discovery "+cause, func() bool {
		s, err := p.Status(t.Context())
		if err != nil {
			return false
		}
		d := s.TargetGroups[0].Discovery
		return d.Source == source && (cause == "") == (d.Cause == "") && strings.Contains(d.Cause, cause)
	})
}

func TestTargetsAreFoundInDNS(t *testing.T) {
	c := startCluster(t, "pg18", nil)
	dns := harness.StartDNS(t)
	const name = "_postgresql._tcp.db.test."
	// The name in a record is looked up as any target's, not at the directory.
	dns.SetSRV(name, "localhost.", 0, c.writer.Port, c.replicas[0].Port) // port 0 is nobody's
	p := c.found(t, harness.Keys{"source": "srv", "name": name, "resolver": dns.Address})
	say(t, p, "srv "+name, "")
	var sessions []reader
	for range 6 {
		sessions = append(sessions, read(t, p.Endpoint("readers")))
	}
	c.comes(t, "the replica is found", sessions, [3]int{0, 6, 0})
	if got := targets(t, p, "all"); len(got) != 2 || got[fmt.Sprintf("localhost:%d", c.writer.Port)].State != "AVAILABLE" {
		t.Errorf("%+v", got)
	}
	writes := read(t, p.Endpoint("all"))
	writes.must(t, "insert into t values (1)")

	dns.SetSRV(name, "localhost.", c.replicas[1].Port, c.replicas[0].Port, c.writer.Port)
	c.comes(t, "the new one is found", sessions, [3]int{0, 3, 3})
	dns.SetSRV(name, "localhost.", c.replicas[1].Port, c.writer.Port)
	c.comes(t, "the one that is gone is left", sessions, [3]int{0, 0, 6})

	// A directory that is down, or empty, changes nothing.
	dns.Break(true)
	say(t, p, "srv "+name, "server misbehaving")
	c.spread(t, sessions)
	writes.must(t, "insert into t values (2)")
	dns.Break(false)
	say(t, p, "srv "+name, "")
	dns.SetSRV(name, "localhost.")
	say(t, p, "srv "+name, "no such host")
	if got := c.spread(t, sessions); got != [3]int{0, 0, 6} {
		t.Errorf("with an empty directory: %d", got)
	}
	if _, out, err := p.Command(t.Context(), "status"); err != nil || !strings.Contains(out, "cannot be discovered (srv "+name+")") {
		t.Errorf("%v, %s", err, out)
	}
}

func TestEveryAddressOfANameIsATarget(t *testing.T) {
	c := startCluster(t, "pg18", nil)
	dns := harness.StartDNS(t)
	dns.SetA("db.test.", "127.0.0.1")
	p := c.found(t, harness.Keys{"source": "dns", "name": fmt.Sprintf("db.test.:%d", c.writer.Port), "resolver": dns.Address})
	read(t, p.Endpoint("all")).must(t, "insert into t values (1)")
	dns.SetA("db.test.", "127.0.0.1", "127.0.0.2")
	harness.Eventually(t, settleWithin, "both addresses are targets", func() bool {
		got := targets(t, p, "all")
		return len(got) == 2 && got["127.0.0.1"].State == "AVAILABLE" && got["127.0.0.2"].Address == fmt.Sprintf("127.0.0.2:%d", c.writer.Port)
	})
}

func TestTargetsComeAndGoUnderLoadAndNobodyNotices(t *testing.T) {
	c := startCluster(t, "pg18", nil)
	dns := harness.StartDNS(t)
	const name = "_postgresql._tcp.db.test."
	ports := []int{c.writer.Port, c.replicas[0].Port, c.replicas[1].Port}
	dns.SetSRV(name, "localhost.", ports...)
	p := c.found(t, harness.Keys{"source": "srv", "name": name, "resolver": dns.Address})
	say(t, p, "srv "+name, "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var busy sync.WaitGroup
	var done atomic.Int64
	for i := range 20 {
		listener, statements := "readers", []string{"select 1", "begin", "select count(*) from t", "commit"}
		if i%4 == 0 {
			listener, statements = "all", []string{"insert into t values (1)", "begin", "insert into t values (2)", "commit"}
		}
		r := read(t, p.Endpoint(listener))
		busy.Go(func() {
			for ctx.Err() == nil {
				for _, s := range statements {
					if _, err := r.ask(context.WithoutCancel(ctx), s); err != nil {
						t.Errorf("%s: %s: %v", listener, s, err)
						return
					}
				}
				done.Add(1)
			}
		})
	}
	for i := range 6 {
		known := [][]int{ports[:2], {ports[0], ports[2]}, ports}[i%3]
		dns.SetSRV(name, "localhost.", known...)
		harness.Eventually(t, settleWithin, "the targets are those that the directory knows", func() bool {
			got := targets(t, p, "all")
			for _, port := range known {
				if got[fmt.Sprintf("localhost:%d", port)].State != "AVAILABLE" {
					return false
				}
			}
			return len(got) == len(known)
		})
		before := done.Load()
		harness.Eventually(t, settleWithin, "the load goes on", func() bool { return done.Load() > before+40 || t.Failed() })
	}
	stop()
	busy.Wait()
}

// patroni speaks for a cluster as Patroni does.
type patroni struct {
	mu   sync.Mutex
	body string
}

func (p *patroni) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path != "/cluster" || p.body == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(w, p.body)
}

// set makes it know these members, the first of which leads.
func (p *patroni) set(servers ...*harness.Server) {
	var all []string
	for i, s := range servers {
		role, state := "replica", "streaming"
		if i == 0 {
			role, state = "leader", "running"
		}
		all = append(all, fmt.Sprintf(`{"name": "node-%d", "role": %q, "state": %q, "host": "127.0.0.1", "port": %d, "timeline": 1}`, s.Port, role, state, s.Port))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = ""
	if len(all) > 0 {
		p.body = `{"members": [` + strings.Join(all, ",") + `], "scope": "demo"}`
	}
}

func TestTargetsAreFoundAtPatroni(t *testing.T) {
	c := startCluster(t, "pg18", nil)
	node := &patroni{}
	node.set(c.writer, c.replicas[0])
	api := httptest.NewServer(node)
	defer api.Close()
	source := "patroni http://127.0.0.1:1 " + api.URL
	p := c.found(t, harness.Keys{"source": "patroni", "patroni": []harness.Keys{{"url": "http://127.0.0.1:1"}, {"url": api.URL}}})
	say(t, p, source, "")
	var sessions []reader
	for range 6 {
		sessions = append(sessions, read(t, p.Endpoint("readers")))
	}
	c.comes(t, "the replica is found", sessions, [3]int{0, 6, 0})
	writes := read(t, p.Endpoint("all"))
	writes.must(t, "insert into t values (1)")
	node.set(c.writer, c.replicas[0], c.replicas[1])
	c.comes(t, "a replica joins", sessions, [3]int{0, 3, 3})

	// Patroni is down while the writer fails and a replica is promoted: what was known is enough.
	node.set()
	say(t, p, source, "503")
	if err := c.writer.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.replicas[0].Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, settleWithin, "writes go on", func() bool {
		_, err := writes.ask(t.Context(), "insert into t values (2)")
		return err == nil
	})
	c.comes(t, "the other replica serves alone", sessions, [3]int{0, 0, 6})
	node.set(c.replicas[0], c.replicas[1])
	say(t, p, source, "")
	if got := targets(t, p, "all"); len(got) != 2 {
		t.Errorf("%+v", got)
	}
	if got := c.spread(t, sessions); got != [3]int{0, 0, 6} {
		t.Errorf("at last: %d", got)
	}
}
