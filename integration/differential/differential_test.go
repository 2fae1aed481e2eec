package differential

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

var (
	seed    = flag.Uint64("differential.seed", 1, "the first script's seed; each following script's is one more. 0: the time")
	scripts = flag.Int("differential.scripts", 20, "scripts for each server")
	servers = flag.String("differential.servers", "", "the only server to test")
	workers = flag.Int("differential.workers", 2, "scripts that are played at the same time")
	all     = flag.Int("differential.differences", 1, "stop after so many scripts with a difference")
	shrinks = flag.Duration("differential.shrink", time.Minute, "spend so long on making a script with a difference smaller")
)

// subjects are the servers and, for each worker, the engines that make its scripts: each seed is the next one's. What the engines of
// different workers make must not meet. No engines: there can be no such worker.
var subjects = []struct {
	server  string
	engines func(worker int) []engine
}{
	{"pg15", postgresOf},
	{"pg18", postgresOf},
	{"mysql97", func(worker int) []engine { return mysqlOf(mysql{worker: worker}) }},
	{"mariadb1011", func(worker int) []engine { return mysqlOf(mysql{worker: worker, maria: true}) }},
}

func postgresOf(worker int) []engine {
	return []engine{postgres{worker: worker, code: true}, postgres{worker: worker}}
}

func mysqlOf(m mysql) []engine {
	if m.worker >= maxMyWorkers {
		return nil
	}
	return []engine{m}
}

// between starts a proxy with two connections to a server for each of the engines.
func between(t *testing.T, name string, engines []engine, pool harness.Keys) []*rig {
	t.Helper()
	s := harness.Shared(t, name)
	keys := harness.Keys{"connection_borrow_timeout": "10m", "max_connections": 2}
	for name, value := range pool {
		keys[name] = value
	}
	users := []harness.Account{}
	for _, l := range []harness.Login{harness.App(), harness.Superuser()} {
		users = append(users, harness.Account{User: l.User, Password: l.Password})
	}
	var routes []harness.Route
	for i, e := range engines {
		e.prepare(t, s)
		routes = append(routes, harness.Route{Name: fmt.Sprint(name, "-", i), Server: s, Users: users, Plain: true, Pool: keys})
	}
	p := harness.Start(t, harness.Config{Env: []string{"BERTH_PARANOID=1"}, Routes: routes})
	var rigs []*rig
	for i, e := range engines {
		rigs = append(rigs, &rig{engine: e, server: s, proxy: p.Endpoint(routes[i].Name), accepted: e.accepted()})
	}
	return rigs
}

// seeds are those to play. Workers take them one by one.
type seeds struct {
	mu    sync.Mutex
	next  uint64
	left  int
	found int // scripts with a difference
}

func (s *seeds) take() (seed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return 0, false
	}
	s.left--
	s.next++
	return s.next - 1, true
}

// differs notes a difference, and ends all at the last one wanted.
func (s *seeds) differs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found++; s.found >= *all {
		s.left = 0
	}
}

// play is one worker.
func play(t *testing.T, from *seeds, rigs []*rig) {
	for seed, ok := from.take(); ok; seed, ok = from.take() {
		r := rigs[seed%uint64(len(rigs))]
		s := generate(r.engine, seed)
		d, err := r.compare(s)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			return
		}
		if d == nil {
			continue
		}
		from.differs()
		t.Errorf("seed %d: %s", seed, d)
		s, d = r.shrink(s, d, *shrinks)
		t.Errorf("%s\n%s", d, s)
	}
}

func TestSessionsBehindTheProxyAreToldWhatTheServerTellsThem(t *testing.T) {
	for _, subject := range subjects {
		t.Run(subject.server, func(t *testing.T) {
			if *servers != "" && *servers != subject.server {
				return
			}
			var engines []engine
			var ends []int // of each worker's
			for w := range *workers {
				if own := subject.engines(w); len(own) > 0 {
					engines = append(engines, own...)
					ends = append(ends, len(engines))
				}
			}
			rigs := between(t, subject.server, engines, nil)
			from := seeds{next: *seed, left: *scripts}
			if from.next == 0 {
				from.next = uint64(time.Now().UnixNano())
			}
			t.Logf("%d scripts from seed %d", *scripts, from.next)
			var all sync.WaitGroup
			begin := 0
			for _, end := range ends {
				own := rigs[begin:end]
				all.Go(func() { play(t, &from, own) })
				begin = end
			}
			all.Wait()
		})
	}
}

// TestALeakIsFound shows that the comparison can fail: with filters, or in trust, sessions lose what they made.
func TestALeakIsFound(t *testing.T) {
	for group, filter := range map[string]string{
		"temporary": "EXCLUDE_TEMPORARY_TABLES", "locks": "EXCLUDE_NAMED_LOCKS", "prepare": "EXCLUDE_PREPARED_STATEMENTS", "sequences": "EXCLUDE_SEQUENCES",
		"settings": "EXCLUDE_VARIABLE_SETS",
	} {
		t.Run(filter, func(t *testing.T) {
			e := postgres{groups: map[string]bool{group: true}}
			leaks(t, "pg15", e, harness.Keys{"session_pinning_filters": []string{filter}})
		})
	}
	t.Run("unseen_changes: trust", func(t *testing.T) {
		e := postgres{code: true, groups: map[string]bool{"functions": true, "look": true}}
		leaks(t, "pg15", e, harness.Keys{"unseen_changes": "trust"})
	})
}

// leaks plays an engine's scripts behind a proxy that lets something go until a difference shows.
func leaks(t *testing.T, server string, e engine, pool harness.Keys) {
	t.Helper()
	const enough = 200 // at least one in twenty shows it
	r := between(t, server, []engine{e}, pool)[0]
	for i := range uint64(enough) {
		d, err := r.compare(generate(e, 1+i))
		if err != nil {
			t.Fatal(err)
		}
		if d != nil {
			return
		}
	}
	t.Errorf("%d scripts show no difference", enough)
}
