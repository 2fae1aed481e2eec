package target

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/relay"
)

// history is what servers have, as numbers.
type history struct {
	mu    sync.Mutex
	has   map[string]int
	asked map[string]int // how often
	fails map[string]error
	open  map[string]int // connections
	most  map[string]int // of them at a time

	writer atomic.Value // its name
	limit  int          // max_connections
}

func (h *history) set(name string, n int) { h.mu.Lock(); h.has[name] = n; h.mu.Unlock() }
func (h *history) connect(name string, n int) {
	h.mu.Lock()
	h.open[name] += n
	h.most[name] = max(h.most[name], h.open[name])
	h.mu.Unlock()
}
func (h *history) connections(name string) (now, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open[name], h.most[name]
}
func (h *history) fail(name string, err error) {
	h.mu.Lock()
	h.fails[name] = err
	h.mu.Unlock()
}

// ask returns what name has, and counts the question.
func (h *history) ask(name string) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[name]++
	return h.has[name], h.fails[name]
}

func (h *history) questions(name string) int { h.mu.Lock(); defer h.mu.Unlock(); return h.asked[name] }

func (w *watched) Position(context.Context) (string, error) {
	time.Sleep(time.Millisecond)
	n, err := w.engine.history.ask(w.target.Name)
	return strconv.Itoa(n), err
}

func (w *watched) Reached(_ context.Context, position string) (bool, error) {
	time.Sleep(time.Millisecond)
	has, err := w.engine.history.ask(w.target.Name)
	n, _ := strconv.Atoi(position)
	return has >= n, err
}

// ordered is a still loop that runs one task at a time.
type ordered struct {
	still
	mu sync.Mutex
}

func (o *ordered) Post(t loop.Task) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.still.Post(t)
}

// freshGroup is a group that runs, with the writer w and replicas r and s, of which each has what h says.
func freshGroup(t *testing.T, h *history, r Replicas) *Group {
	h.has, h.asked, h.fails = map[string]int{}, map[string]int{}, map[string]error{}
	h.open, h.most = map[string]int{}, map[string]int{}
	h.writer.Store("w")
	limits := Limits{MaxPercent: 100, MaxConnections: h.limit}
	g := newGroup(limits, func(_ context.Context, t engine.Target) (engine.Facts, error) {
		return engine.Facts{MaxConnections: 10, ReadOnly: t.Name != h.writer.Load()}, nil
	}, "w", "r", "s")
	g.config.Engine.(*probed).history = h
	r.ReadYourWrites, r.CatchUpTimeout = true, time.Second
	g.SetReplicas(r)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Run(ctx, relay.NewWorker(&ordered{}, relay.NewRegistry(), nil, zerolog.Nop()))
	}()
	t.Cleanup(func() { stop(); <-done })
	g.AwaitFirst(t.Context())
	synctest.Wait()
	return g
}

func TestAReadGoesWhereWhatWasWrittenBeforeIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		g := freshGroup(t, h, Replicas{})
		w, r, s := g.Members()[0], g.Members()[1], g.Members()[2]
		settle := func() { time.Sleep(100 * time.Millisecond); synctest.Wait() }
		expect := func(what string, m relay.Mark, reach relay.Reach, want *Member) {
			t.Helper()
			if got := g.Current(r.pool, m, reach); got != want.poolOrNil() {
				t.Errorf("%s: not %+v", what, want)
			}
		}
		time.Sleep(time.Minute)
		if h.questions("w")+h.questions("r") > 0 {
			t.Error("somebody was asked while nobody reads")
		}
		h.set("w", 1)
		m := g.Mark()
		expect("nobody was asked", m, relay.Anywhere, nil)
		settle()
		expect("nobody has it", m, relay.Anywhere, nil)
		expect("but the writer", m, relay.AtWriter, w)
		if g.Has(r.pool, m) || !g.Has(w.pool, m) {
			t.Error("who has it")
		}
		h.set("s", 1)
		settle()
		expect("the other has it", m, relay.AtHome, nil)
		expect("the other has it", m, relay.Anywhere, s)
		h.set("r", 1)
		settle()
		expect("both have it", m, relay.Anywhere, r)
		rounds := h.questions("w")
		if rounds != 1 {
			t.Errorf("the writer was asked %d times", rounds)
		}

		// A thousand reads are one question.
		for range 1000 {
			m = g.Mark()
			expect("nobody was asked", m, relay.Anywhere, nil)
		}
		settle()
		expect("both have it", m, relay.Anywhere, r)
		if got := h.questions("w") - rounds; got > 2 {
			t.Errorf("a thousand reads are %d questions", got)
		}

		// What comes while a question is under way is for the next one.
		m = g.Mark()
		expect("nobody was asked", m, relay.AtHome, nil)
		time.Sleep(500 * time.Microsecond) // half of the question
		h.set("w", 2)
		late := g.Mark()
		if late <= m {
			t.Fatalf("marks %d, %d", m, late)
		}

		// A replica goes on if a later position cannot be reached.
		g.SetReplicas(Replicas{})
		if g.Mark() != 0 || g.Current(r.pool, late, relay.AtHome) != r.pool {
			t.Error("reads wait that need not any more")
		}
	})
}

func TestAReplicaDoesNotWaitForWhatAWriterLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		g := freshGroup(t, h, Replicas{})
		r := g.Members()[1]
		h.set("w", 10)
		h.set("r", 5)
		lost := g.Mark()
		g.Current(r.pool, lost, relay.AtHome)
		time.Sleep(time.Second)
		h.fail("w", errors.New("crashed"))
		m := g.Mark()
		if g.Current(r.pool, m, relay.AtHome) != nil {
			t.Fatal("nobody has it")
		}
		time.Sleep(time.Second)
		h.set("w", 4)
		h.fail("w", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if g.Current(r.pool, m, relay.AtHome) != r.pool || g.Current(r.pool, lost, relay.AtHome) != r.pool {
			t.Error("reads wait for what is lost")
		}
	})
}

func TestAReplicaCatchesUpWithAWriterThatWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		g := freshGroup(t, h, Replicas{})
		r := g.Members()[1]
		first := g.Mark()
		for i := range 2000 { // the replica is always behind by 50
			h.set("w", i)
			h.set("r", i-50)
			g.Current(r.pool, g.Mark(), relay.AtHome)
			time.Sleep(time.Millisecond)
		}
		if g.Current(r.pool, first+500, relay.AtHome) != r.pool {
			t.Errorf("a replica that is behind by 50 ms is never said to have anything: %d", r.keep.reached.Load())
		}
	})
}

func TestAServerThatDoesNotSayHowFarItIsIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		g := freshGroup(t, h, Replicas{})
		r := g.Members()[1]
		h.fail("r", engine.ErrNoPosition)
		m := g.Mark()
		g.Current(r.pool, m, relay.AtHome)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.Health(); got.State != Available || !strings.Contains(got.Cause, "does not say how far it is") {
			t.Errorf("it is %+v", got)
		}
		h.fail("r", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.Health(); got.Cause != "" || g.Current(r.pool, m, relay.AtHome) != r.pool {
			t.Errorf("it is %+v", got)
		}
	})
}

func TestAnotherServerAtTheWritersAddressIsAskedHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		g := freshGroup(t, h, Replicas{})
		r, w := g.member("r"), g.member("w")
		epoch := func() uint64 {
			g.Has(r.pool, g.Mark())
			time.Sleep(time.Second)
			return g.writes.latest.Load().epoch
		}
		first := epoch()
		if again := epoch(); again != first {
			t.Fatalf("epochs %d and %d", first, again)
		}
		w.moves.Add(1)
		if epoch() == first {
			t.Error("the connection to the one before is kept")
		}
	})
}

func TestTheConnectionThatAsksHasItsPlace(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		max    int
	}{
		{Limits{MaxPercent: 100}, 98},
		{Limits{MaxConnections: 10}, 9},
		{Limits{MaxConnections: 1}, 1}, // no configuration says so
	} {
		if p := c.limits.pool(engine.Facts{MaxConnections: 100}, true, false); p.Max-p.Kept != c.max {
			t.Errorf("%+v: %+v", c.limits, p)
		}
	}
}

func TestWhoChangesItsRoleIsAskedOverOneConnection(t *testing.T) {
	for _, c := range []struct {
		name        string
		limit       int
		after, most int // connections to a target when its role is settled, and at any time
	}{
		{"percentage", 0, 2, 4}, // one is the monitor's; nobody waits for the end of another, and whoever steps back is looked for at its address
		{"hard limit", 10, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { changeRoles(t, c.limit, c.after, c.most) })
		})
	}
}

func changeRoles(t *testing.T, limit, after, most int) {
	h := &history{limit: limit}
	g := freshGroup(t, h, Replicas{})
	for i, writer := range []string{"w", "r", "s", "w", "r"} {
		h.writer.Store(writer)
		for range 20 {
			time.Sleep(time.Second)
			for _, m := range g.Members() {
				h.set(m.target.Name, i)
				g.Has(m.pool, g.Mark())
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, m := range g.Members() {
			name := m.target.Name
			if open, once := h.connections(name); open > after || once > most {
				t.Errorf("writer %s: %d connections to %s, once %d", writer, open, name, once)
			}
			if writes := g.route.Load().write == m; writes != (name == writer) {
				t.Errorf("writer %s: %s is it: %t", writer, name, writes)
			}
			if mark := g.Mark() - 1; !g.Has(m.pool, mark) {
				t.Errorf("writer %s: %s has not got %d", writer, name, mark)
			}
		}
	}
}

func TestTheConnectionThatAsksWaitsForAPlaceInAHardLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{limit: 10}
		g := freshGroup(t, h, Replicas{})
		w := g.workers[0]
		reload := func(on bool) {
			g.SetReplicas(Replicas{ReadYourWrites: on, CatchUpTimeout: time.Second})
			g.SetLimits(g.Limits(), w)
			for range 10 {
				time.Sleep(time.Second)
				for _, m := range g.Members() {
					g.Has(m.pool, relay.Mark(g.writes.begun.Load()+1))
				}
			}
			synctest.Wait()
		}
		expect := func(when string, open int) {
			for _, m := range g.Members() {
				if now, _ := h.connections(m.target.Name); now != open {
					t.Errorf("%s: %d connections to %s, expected %d", when, now, m.target.Name, open)
				}
			}
		}
		reload(true)
		expect("at first", 1)
		reload(false)
		expect("switched off", 0)
		for _, m := range g.Members() {
			for m.pool.Claim() { // all of it is in use
			}
			if !m.pool.ClaimKept() {
				t.Error("no place is kept for the monitor")
			}
		}
		reload(true)
		expect("without a place", 0)
		for _, m := range g.Members() {
			m.pool.Unclaim(w)
			if m.pool.Claim() {
				t.Error("the place that is kept is somebody else's")
			}
		}
		reload(true)
		expect("with a place", 1)
		reload(false)
		for _, m := range g.Members() {
			if !m.pool.Claim() || m.pool.Claim() {
				t.Error("the place was not given back once")
			}
		}
	})
}
