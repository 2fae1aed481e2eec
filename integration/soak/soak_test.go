package soak

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

var (
	length  = flag.Duration("soak.time", 15*time.Second, "how long there is load")
	rate    = flag.Float64("soak.rate", 40, "requests a second, of each server")
	seed    = flag.Uint64("soak.seed", 1, "of the faults and the clients' choices; 0: the time")
	servers = flag.String("soak.servers", "pg15 pg18 mysql97 mariadb1011", "which servers, with blanks between them")
)

const (
	crowd = 32 // clients of a server
	parts = 10 // lines of the table
	early = 3  // the part at whose end the memory is what it may be; until its end processes may be replaced, but for one part
)

// options are what servers are started with. A page that a killed server had half written must be mended.
var options = map[string][]string{"mysql97": {"innodb_doublewrite=ON"}, "mariadb1011": {"innodb_doublewrite=ON"}}

func TestEverythingAtOnceEndsWithBalancedBooks(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-soak.seed=%d -soak.time=%s -soak.rate=%g -soak.servers=%q", *seed, *length, *rate, *servers)
	r := set(t)
	before, openBefore := r.warm()
	r.load()
	r.close(before, openBefore)
}

// run is one run of everything.
type run struct {
	t          *testing.T
	proxy      *harness.Proxy
	sides      []*side
	faults     *faults
	wrongs     *wrongs
	ctx        context.Context // ends when too much is wrong
	generation atomic.Int32
	samples    []sample
}

// set starts the servers and a Berth in front of them.
func set(t *testing.T) *run {
	t.Helper()
	r := &run{t: t, wrongs: &wrongs{}}
	r.ctx, r.wrongs.stop = context.WithCancel(t.Context())
	c := harness.Config{Top: harness.Keys{"runtime": harness.Keys{"hand_over_timeout": handOver.String(), "drain_timeout": "10s"}}}
	for _, name := range strings.Fields(*servers) {
		s := &side{
			name: name, server: harness.Own(t, name, options[name]...), book: ledger.NewBook(), generation: &r.generation, wrongs: r.wrongs,
			due: make(chan time.Time, int(*rate*length.Seconds())+1), pins: make(chan struct{}, pinsAtOnce),
		}
		if s.server.Engine == harness.Postgres {
			harness.Exec(t, s.server, pgTables...)
		} else {
			harness.Exec(t, s.server, myTables()...)
			size, err := texts(t.Context(), s.server, "select @@global.sort_buffer_size")
			if err != nil {
				t.Fatal(err)
			}
			s.sortBuffer = size[0]
		}
		r.sides = append(r.sides, s)
		c.Routes = append(c.Routes, harness.Route{Name: name, Server: s.server, MaxConnections: backends})
	}
	r.proxy = harness.Start(t, c)
	r.faults = &faults{t: t, proxy: r.proxy, sides: r.sides, random: rand.New(rand.NewPCG(*seed, 0)), generation: &r.generation, crashed: time.Now(), counts: map[string]int{}}
	return r
}

// warm measures the process when each pool has had something to do, and nobody is there.
func (r *run) warm() (before sample, open int) {
	r.t.Helper()
	for _, s := range r.sides {
		s.proxy = r.proxy.Endpoint(s.name)
		s.record = newRecord(time.Now(), *length, parts)
		for i := range crowd {
			c := &session{side: s, number: i, random: rand.New(rand.NewPCG(*seed, uint64(i)+1))}
			if s.server.Engine == harness.Postgres {
				c.dialect = newPostgres(c)
			} else {
				c.dialect = newMySQL(c)
			}
			c.ops = c.dialect.operations()
			s.clients = append(s.clients, c)
		}
		first := s.clients[0]
		if v, err := first.login(r.t.Context()); v != fine || err != nil {
			r.t.Fatalf("%s: %s %v", s.name, v, err)
		}
		first.end()
	}
	b := balance{t: r.t}
	open = b.settled(r.proxy, r.sides)
	before, err := measure(r.t.Context(), r.proxy)
	if err != nil {
		r.t.Fatal(err)
	}
	return before, open
}

// load is the run itself: requests at their times, clients, faults, and a sample of the process at the end of each part.
func (r *run) load() {
	r.t.Helper()
	start := time.Now()
	var running, timing sync.WaitGroup
	for _, s := range r.sides {
		s.record = newRecord(start, *length, parts)
		for _, c := range s.clients {
			running.Go(func() { c.serve(r.ctx) })
		}
		timing.Go(func() { s.tick(r.ctx, start) })
	}
	timing.Go(func() { r.sample(start) })
	r.harm(start)
	timing.Wait()
	running.Wait()
	for _, err := range r.wrongs.all {
		r.t.Errorf("seed %d: %v", *seed, err)
	}
}

// tick puts the requests of a server in line when they are due.
func (s *side) tick(ctx context.Context, start time.Time) {
	defer close(s.due)
	for n := 0; ; n++ {
		at := time.Duration(float64(n) / *rate * float64(time.Second))
		if at >= *length || !sleepUntil(ctx, start.Add(at)) {
			return
		}
		s.due <- start.Add(at)
	}
}

// sample measures the process at the end of each part.
func (r *run) sample(start time.Time) {
	r.samples = make([]sample, parts)
	for i := range parts {
		if !sleepUntil(r.ctx, start.Add(*length/parts*time.Duration(i+1))) {
			return
		}
		// A process that is being replaced may not answer.
		r.samples[i], _ = measure(r.ctx, r.proxy)
	}
}

// harm makes things go wrong until there are no more requests.
func (r *run) harm(start time.Time) {
	r.t.Helper()
	r.faults.crashed = start.Add(-crashEvery / 2)
	for {
		wait := time.Second + time.Duration(r.faults.random.Int64N(int64(2*time.Second)))
		at := time.Since(start) + wait
		if at > *length-time.Second || !sleepUntil(r.ctx, start.Add(at)) {
			break
		}
		r.faults.one(at < *length/parts*early)
	}
	sleepUntil(r.ctx, start.Add(*length))
	if r.faults.narrow {
		r.faults.reload(nil)
	}
}

// close closes the books, and prints them.
func (r *run) close(before sample, openBefore int) {
	r.t.Helper()
	b := &balance{t: r.t}
	harness.Eventually(r.t, settleWithin, "the processes that handed over have ended", r.faults.replaced)
	open := b.settled(r.proxy, r.sides)
	b.acknowledged(r.sides)
	b.process(r.proxy, before, r.samples[early], openBefore, open)
	b.statements(r.proxy, r.sides)
	if err := r.proxy.Stop(); err != nil {
		r.t.Error(err)
	}
	b.ended(r.sides)
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(r.faults.counts)) {
		faults = append(faults, fmt.Sprintf("%s %d", name, r.faults.counts[name]))
	}
	r.t.Logf("\n%s\n%s\nfaults: %s\n\n%s", table(r.sides, r.samples), kinds(r.sides), strings.Join(faults, ", "), &b.text)
}

// sleepUntil returns false if ctx ends first.
func sleepUntil(ctx context.Context, at time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(at)):
		return true
	}
}

func sorted(all []string) string { slices.Sort(all); return strings.Join(all, ", ") }
