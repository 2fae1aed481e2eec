package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// faults is who makes things go wrong, one after the other. It runs on the test's goroutine.
type faults struct {
	t          *testing.T
	proxy      *harness.Proxy
	sides      []*side
	random     *rand.Rand
	generation *atomic.Int32
	old        <-chan struct{} // closed when the process that handed over has ended
	crashed    time.Time       // when a server was killed last
	deck       []int           // the kinds whose turn is still to come
	narrow     bool            // the pools have their lower limit
	counts     map[string]int
}

const (
	// backends is the limit of each pool, and fewBackends what a reload lowers it to.
	backends, fewBackends = 8, 6
	// handOver is how long sessions may stay with a process that has handed over.
	handOver = 15 * time.Second
	// crashEvery is the least time between two killed servers.
	crashEvery = 2 * time.Minute
)

// one makes something go wrong: one of each kind, in an order by the seed, and then anew. replaceable says that the process may be replaced.
func (f *faults) one(replaceable bool) {
	s := f.sides[f.random.IntN(len(f.sides))]
	switch {
	case time.Since(f.crashed) > crashEvery:
		f.do("server killed", f.crash, s)
		return
	case replaceable && f.replaced() && f.random.IntN(2) == 0:
		f.do("take-over", f.takeOver, s)
		return
	}
	kinds := []struct {
		name string
		do   func(*side)
	}{
		{"sockets reset", f.resetSockets},
		{"backends terminated", f.terminate},
		{"backends terminated", f.terminate},
		{"reload", f.reload},
		{"pause", f.pause},
		{"server stopped", f.stop},
	}
	if len(f.deck) == 0 {
		f.deck = f.random.Perm(len(kinds))
	}
	next := kinds[f.deck[0]]
	f.deck = f.deck[1:]
	f.do(next.name, next.do, s)
}

func (f *faults) do(name string, do func(*side), s *side) {
	f.counts[name]++
	f.t.Logf("%s %s: %s", time.Now().Format("15:04:05.000"), s.name, name)
	do(s)
}

// resetSockets resets those of a few clients.
func (f *faults) resetSockets(s *side) {
	for range 1 + f.random.IntN(4) {
		s.clients[f.random.IntN(len(s.clients))].cut()
	}
}

// terminate ends a few of Berth's connections at the server: backends, or the monitor's.
func (f *faults) terminate(s *side) {
	n := 1 + f.random.IntN(3)
	if s.server.Engine == harness.Postgres {
		harness.Exec(f.t, s.server, fmt.Sprintf("select pg_terminate_backend(pid) from "+
			"(select pid from pg_stat_activity where usename = 'app' order by random() limit %d) a", n))
		return
	}
	ids, err := texts(f.t.Context(), s.server, fmt.Sprintf("select id from information_schema.processlist where user = 'app' order by rand() limit %d", n))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, id := range ids {
		_ = s.server.Exec(f.t.Context(), "kill "+id) // it may have ended
	}
}

func (f *faults) reload(*side) {
	from, to := backends, fewBackends
	if f.narrow {
		from, to = to, from
	}
	f.narrow = !f.narrow
	f.proxy.Rewrite(f.t, fmt.Sprintf("max_connections: %d\n", from), fmt.Sprintf("max_connections: %d\n", to))
}

// pause makes a group wait, if it comes to a pause while sessions are pinned.
func (f *faults) pause(s *side) {
	code, out, err := f.proxy.Command(f.t.Context(), "pause", "--timeout", "1s", s.name)
	if err != nil {
		f.t.Fatalf("pause: %s %v", out, err)
	}
	if code != 0 {
		f.counts["pause taken back"]++
		return
	}
	time.Sleep(200 * time.Millisecond)
	if code, out, err := f.proxy.Command(f.t.Context(), "resume", s.name); code != 0 || err != nil {
		f.t.Fatalf("resume: %d, %s %v", code, out, err)
	}
}

func (f *faults) stop(s *side) {
	if err := s.server.Pause(500 * time.Millisecond); err != nil {
		f.t.Fatal(err)
	}
}

// replaced says that no process is left that has handed over.
func (f *faults) replaced() bool {
	if f.old == nil {
		return true
	}
	select {
	case <-f.old:
		return true
	default:
		return false
	}
}

// takeOver replaces the process. Clients that came before, or meanwhile, are excused when their connection ends.
func (f *faults) takeOver(*side) {
	f.generation.Add(1)
	f.old = f.proxy.TakeOver(f.t)
	f.generation.Add(1)
}

// crash kills a server and starts it again.
func (f *faults) crash(s *side) {
	ctx := context.WithoutCancel(f.t.Context())
	if err := s.server.Crash(ctx); err != nil {
		f.t.Fatal(err)
	}
	if err := s.server.Restart(ctx, options[s.name]...); err != nil {
		f.t.Fatal(err)
	}
	f.crashed = time.Now()
}
