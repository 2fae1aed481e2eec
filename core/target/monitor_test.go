package target

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

var refused = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}

// cast is servers that say what the test wants.
type cast struct {
	mu    sync.Mutex
	facts map[string]engine.Facts
	err   map[string]error
	asked map[string]int
	conns map[string]*scripted
	moved map[string]string // who answers at the address of another
}

// scripted is a monitoring connection to one of them.
type scripted struct {
	cast *cast
	name string
	end  chan struct{} // closed by the server
	once sync.Once
}

func (s *scripted) Ask(context.Context) (engine.Facts, error) {
	select {
	case <-s.end:
		return engine.Facts{}, syscall.ECONNRESET
	default:
	}
	c := s.cast
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[s.name]++
	return c.facts[s.name], c.err[s.name]
}

func (s *scripted) Rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.end:
		return syscall.ECONNRESET
	}
}

func (*scripted) Close() {}

func (s *scripted) hangUp() { s.once.Do(func() { close(s.end) }) }

// actors is the engine of a cast.
type actors struct {
	engine.Engine
	cast *cast
}

func (actors) Name() string { return "cast" }

func (a actors) Watch(_ context.Context, t engine.Target) (engine.Watch, error) {
	a.cast.mu.Lock()
	defer a.cast.mu.Unlock()
	name := t.Name
	if to, ok := a.cast.moved[name]; ok {
		name = to
	}
	if err := a.cast.err[name]; err != nil {
		return nil, err
	}
	s := &scripted{cast: a.cast, name: name, end: make(chan struct{})}
	a.cast.conns[name] = s
	return s, nil
}

// set makes a server say something else; a dead one ends its monitoring connection.
func (c *cast) set(name string, readOnly bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.facts[name], c.err[name] = engine.Facts{MaxConnections: 10, ReadOnly: readOnly}, err
	if err != nil && c.conns[name] != nil {
		c.conns[name].hangUp()
	}
}

// play runs a group of servers: names that begin with "w" are writers, others readers.
func play(t *testing.T, l Limits, names ...string) (*cast, *Group) {
	c := &cast{facts: map[string]engine.Facts{}, err: map[string]error{}, asked: map[string]int{}, conns: map[string]*scripted{}}
	config := Config{Name: "g", Engine: actors{cast: c}, Limits: l}
	for _, name := range names {
		c.set(name, name[0] != 'w', nil)
		config.Targets = append(config.Targets, engine.Target{Name: name, Address: name + ":1"})
	}
	g := New(config, new(atomic.Uint64), zerolog.Nop())
	go g.Run(t.Context(), newWorker())
	g.AwaitFirst(t.Context())
	synctest.Wait()
	return c, g
}

// member finds one by its name.
func (g *Group) member(name string) *Member {
	for _, m := range g.Members() {
		if m.target.Name == name {
			return m
		}
	}
	panic(name)
}

// leads fails t unless the role leads to that target.
func leads(t *testing.T, g *Group, role relay.Role, name string) {
	t.Helper()
	synctest.Wait()
	got := ""
	for _, m := range g.Members() {
		if slices.Contains(m.Serves(), role) {
			got += m.target.Name
		}
	}
	if got != name {
		t.Errorf("role %s leads to %q, not to %q", role, got, name)
	}
}

// soon is enough to notice what a connection or a suspicion tells.
const soon = 2*calm + askUrgent

func TestAPromotedReplicaIsTheWriterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r")
		leads(t, g, relay.ReadWrite, "w")
		leads(t, g, relay.ReadOnly, "r")
		c.set("w", false, refused)
		time.Sleep(soon)
		leads(t, g, relay.ReadWrite, "")
		if h := g.member("w").Health(); h.State != Unavailable || h.Reason != Unreachable {
			t.Errorf("the dead writer: %+v", h)
		}
		time.Sleep(10 * time.Second) // nobody promotes it yet
		c.set("r", false, nil)
		time.Sleep(soon)
		leads(t, g, relay.ReadWrite, "r")
		leads(t, g, relay.ReadOnly, "r") // it serves reads while no reader does
		if h := g.member("r").Health(); h.State != Available || h.Cause != "" {
			t.Errorf("the new writer: %+v", h)
		}
		c.set("w", true, nil) // the old one comes back as a replica
		time.Sleep(retryMost)
		leads(t, g, relay.ReadWrite, "r")
		leads(t, g, relay.ReadOnly, "w")
	})
}

func TestWhoAsksLearnsAtOnceWhichTargetIsTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r", "down")
		c.set("down", true, refused)
		time.Sleep(soon)
		c.set("w", true, nil)
		c.set("r", false, nil)
		leads(t, g, relay.ReadWrite, "w")
		began := time.Now()
		g.Ask(t.Context())
		if took := time.Since(began); took > 5*calm {
			t.Errorf("it took %s", took)
		}
		leads(t, g, relay.ReadWrite, "r")
		c.set("w", true, refused)
		g.Ask(t.Context()) // returns when that is known
		leads(t, g, relay.ReadWrite, "r")
	})
}

func TestAReplicaIsAskedOftenAsSoonAsTheWriterIsLost(t *testing.T) {
	for _, c := range []struct {
		how      string
		readOnly bool
		err      error
	}{
		{"killed", false, refused},
		{"demoted", true, nil},
	} {
		t.Run(c.how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cast, g := play(t, Limits{MaxPercent: 100}, "w", "r")
				time.Sleep(soon) // both are left alone for an interval now
				cast.set("w", c.readOnly, c.err)
				g.member("w").suspect()
				time.Sleep(soon)
				leads(t, g, relay.ReadWrite, "")
				cast.set("r", false, nil)
				time.Sleep(soon)
				leads(t, g, relay.ReadWrite, "r")
			})
		})
	}
}

func TestOfTwoWritersNoneIsUsedUntilOneStepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r", "reader")
		c.set("r", false, nil)
		time.Sleep(g.config.Health.Interval + soon)
		synctest.Wait()
		leads(t, g, relay.ReadWrite, "")
		leads(t, g, relay.ReadOnly, "reader")
		if h := g.member("w").Health(); h.State != Unavailable || h.Reason != InvalidReplicationState || !strings.Contains(h.Cause, "w and r say") {
			t.Errorf("the old writer: %+v", h)
		}
		if h := g.member("r").Health(); h.State != Unavailable || h.Reason != Promoted || !strings.Contains(h.Cause, "while w still says") {
			t.Errorf("the new writer: %+v", h)
		}
		c.set("w", true, nil)
		time.Sleep(retryFirst + soon)
		leads(t, g, relay.ReadWrite, "r")
		for _, name := range []string{"w", "r"} {
			if h := g.member(name).Health(); h.State != Available || h.Cause != "" {
				t.Errorf("%s: %+v", name, h)
			}
		}
	})
}

func TestAWriterThatStepsBackWhenAskedIsNoSecondOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r")
		// A switchover between two questions to each: the new writer is heard of first.
		c.set("w", true, nil)
		c.set("r", false, nil)
		g.member("r").suspect()
		time.Sleep(soon)
		leads(t, g, relay.ReadWrite, "r")
		for _, name := range []string{"w", "r"} {
			if h := g.member(name).Health(); h.State != Available || h.Cause != "" {
				t.Errorf("%s: %+v", name, h)
			}
		}
	})
}

func TestAWriterIsFoundThatAnswersAtTheAddressOfTheOneBefore(t *testing.T) {
	for _, others := range [][]string{nil, {"r"}} {
		synctest.Test(t, func(t *testing.T) {
			c, g := play(t, Limits{MaxPercent: 100}, append(others, "w")...)
			c.set("new", true, nil)
			c.set("w", true, nil) // which keeps its connections
			time.Sleep(time.Minute)
			facts := func() engine.Facts { return g.member("w").Health().Facts }
			if !facts().ReadOnly {
				t.Fatal("a writer is seen that there is not")
			}
			c.mu.Lock()
			c.moved = map[string]string{"w": "new"} // a name is
			asked := c.asked["w"]
			c.mu.Unlock()
			time.Sleep(3 * time.Second)
			if !facts().ReadOnly || c.conns["new"] == nil || c.asked["w"] == asked {
				t.Error("a connection to somebody who is no writer is kept")
			}
			c.set("new", false, nil)
			time.Sleep(lookEvery + 2*time.Second)
			if facts().ReadOnly {
				t.Error("the new writer is not seen")
			}
			leads(t, g, relay.ReadWrite, "w")
		})
	}
}

func TestAReplicaIsAskedOverOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, names := range [][]string{{"r"}, {"w", "r"}} {
			c, g := play(t, Limits{MaxPercent: 100}, names...)
			first := c.conns["r"]
			c.moved = map[string]string{"r": "new"}
			c.set("new", false, nil)
			time.Sleep(time.Minute)
			if c.conns["r"] != first || c.conns["new"] != nil || !g.member("r").Health().Facts.ReadOnly {
				t.Errorf("%q: it is looked for another", names)
			}
		}
	})
}

func TestAMonitoringConnectionThatEndsAloneIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r")
		since := g.member("w").Health().Since
		for range 10 {
			c.mu.Lock()
			c.conns["w"].hangUp()
			c.mu.Unlock()
			time.Sleep(soon)
			leads(t, g, relay.ReadWrite, "w")
		}
		if h := g.member("w").Health(); h.State != Available || h.Since != since {
			t.Errorf("it was down: %+v", h)
		}
	})
}

func TestATargetThatFlapsIsUsedOnlyAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w", "r")
		fall := func() {
			c.set("w", false, refused)
			time.Sleep(soon)
			leads(t, g, relay.ReadWrite, "")
			c.set("w", false, nil)
			g.member("w").suspect()
			time.Sleep(soon)
		}
		for range fallsForgiven {
			fall()
			leads(t, g, relay.ReadWrite, "w")
		}
		for _, wait := range []time.Duration{dampFirst, 2 * dampFirst} {
			fall()
			leads(t, g, relay.ReadWrite, "")
			if h := g.member("w").Health(); h.State != Unavailable || h.Reason != Unreachable || !strings.Contains(h.Cause, "it answers again, but was lost") {
				t.Errorf("flapping: %+v", h)
			}
			time.Sleep(wait + retryFirst)
			leads(t, g, relay.ReadWrite, "w")
		}
		time.Sleep(fallMemory)
		fall()
		leads(t, g, relay.ReadWrite, "w") // forgotten
	})
}

func TestATargetWithoutRoomForTheMonitorStaysUpWhileItsPoolHasConnections(t *testing.T) {
	full := &engine.ServerError{Code: "53300", Message: "sorry, too many clients already"}
	g := newGroup(Limits{MaxPercent: 100}, nil, "w", "r")
	w := g.Members()[0]
	w.publish(engine.Facts{MaxConnections: 10}, nil)
	w.publish(engine.Facts{}, full)
	if h := w.Health(); h.State != Unavailable || h.Reason != ConnectionFailed || !strings.Contains(h.Cause, "too many connections") {
		t.Errorf("without connections: %+v", h)
	}
}

func TestAGroupThatNobodyLeadsToIsUnused(t *testing.T) {
	g := newGroup(Limits{MaxPercent: 100}, nil, "w")
	g.Retire()
	g.AwaitFirst(t.Context())
	if h := g.Members()[0].Health(); h.State != Unused || h.Cause == "" {
		t.Errorf("%+v", h)
	}
}

func TestAMonitorWithAHardLimitTakesItsPlaceFromTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxConnections: 1}, "w", "r")
		leads(t, g, relay.ReadWrite, "w")
		w := g.member("w")
		if !w.pool.Claim() {
			t.Fatal("the monitor keeps its place")
		}
		if w.pool.Claim() {
			t.Fatal("the limit is 1")
		}
		c.mu.Lock()
		before := c.asked["w"]
		c.mu.Unlock()
		time.Sleep(3 * g.config.Health.Interval)
		synctest.Wait()
		c.mu.Lock()
		if c.asked["w"] != before {
			t.Error("it was asked without a place")
		}
		c.mu.Unlock()
		w.pool.Unclaim(g.workers[0])
		time.Sleep(2 * g.config.Health.Interval)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.asked["w"] == before {
			t.Error("it is asked no more")
		}
	})
}

func TestTheMonitorsOfAFullGroupWithAHardLimitSeeWhoIsPromoted(t *testing.T) {
	fill := func(t *testing.T, m *Member, most int) {
		n := 0
		for ; m.pool.Claim(); n++ {
		}
		if n != most {
			t.Errorf("%s gives %d connections to sessions, expected %d", m.target.Name, n, most)
		}
	}
	promoted := func(t *testing.T, c *cast, g *Group) {
		t.Helper()
		leads(t, g, relay.ReadWrite, "w")
		c.set("r", false, nil)
		c.set("w", false, errors.New("gone"))
		time.Sleep(2 * g.config.Health.Interval)
		leads(t, g, relay.ReadWrite, "r")
	}
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxConnections: 2}, "w", "r")
		for _, m := range g.Members() {
			fill(t, m, 1)
		}
		promoted(t, c, g)
	})
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxConnections: 5}, "w")
		c.set("r", true, nil)
		g.SetTargets([]engine.Target{{Name: "w", Address: "w:1"}, {Name: "r", Address: "r:1"}})
		synctest.Wait()
		for _, m := range g.Members() {
			fill(t, m, 4)
		}
		promoted(t, c, g)
		c.set("r", true, nil)
		g.SetTargets([]engine.Target{{Name: "r", Address: "r:1"}})
		synctest.Wait()
		fill(t, g.member("r"), 1) // nobody needs the place that was kept
	})
}

func TestTheLagOfAFullTargetIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxConnections: 5}, "w")
		g.SetReplicas(Replicas{MaxLag: time.Second})
		m := g.member("w")
		for m.pool.Claim() {
		}
		c.mu.Lock()
		before := c.asked["w"]
		c.mu.Unlock()
		time.Sleep(3 * g.config.Health.Interval)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.asked["w"] == before {
			t.Error("it is not asked")
		}
	})
}

func TestAClientThatIsRefusedItsWritesAllTheTimeIsNoReasonToConnectAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxConnections: 5}, "w")
		m := g.member("w")
		asked := func() int {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.asked["w"]
		}
		before := asked()
		for range 100 {
			m.refused.Store(true)
			m.suspect()
			time.Sleep(2 * calm)
		}
		if n := asked() - before; n < 2 || n > 6 {
			t.Errorf("it is asked %d times in %s", n, 200*calm)
		}
	})
}

func TestARefusedWriteIsForgottenWhereTheMonitorStaysConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, g := play(t, Limits{MaxPercent: 100}, "w")
		m := g.member("w")
		m.refused.Store(true)
		m.suspect()
		time.Sleep(2 * calm)
		synctest.Wait()
		if m.refused.Load() {
			t.Error("idle connections are closed for the monitor ever since")
		}
	})
}

// tooBusy is what becomes of a writer that answers sessions and not the monitor.
func tooBusy(m *Member, told time.Time) {
	m.told = told
	m.last = observation{facts: engine.Facts{MaxConnections: 10}, failure: &failure{slow: true, silent: true, reason: ConnectionFailed, cause: "it does not answer"}, up: true, known: true}
}

func TestOfTwoWritersThatAreTooBusyToAnswerTheOneThatSaidSoLastIsUsed(t *testing.T) {
	g := newGroup(Limits{MaxPercent: 100}, nil, "w1", "w2")
	w1, w2, now := g.member("w1"), g.member("w2"), time.Now()
	tooBusy(w1, now.Add(-2*time.Second))
	tooBusy(w2, now.Add(-time.Second))
	g.mu.Lock()
	g.reconsider()
	g.mu.Unlock()
	if a, b := w1.Health().State, w2.Health().State; a != Unavailable || b != Available {
		t.Errorf("the one before is %s, the other %s", a, b)
	}
	if w := g.route.Load().write; w != w2 {
		t.Errorf("writes go to %v", w)
	}
	w2.publish(engine.Facts{ReadOnly: true}, nil)
	if w := g.route.Load().write; w != w1 {
		t.Errorf("writes go to %v", w)
	}
}

func TestATargetThatFlapsIsNotUsedSoonerForBeingSlow(t *testing.T) {
	g := newGroup(Limits{MaxPercent: 100}, nil, "w", "r")
	w, now := g.member("w"), time.Now()
	tooBusy(w, now)
	w.risen = now
	for range fallsForgiven + 1 {
		w.falls = append(w.falls, now)
	}
	if h := w.own(now); h.State != Unavailable || !strings.Contains(h.Cause, "it answers again, but was lost") {
		t.Errorf("%+v", h)
	}
	if h := w.own(now.Add(dampFirst)); h.State != Available || !strings.Contains(h.Cause, "not the monitor in time") {
		t.Errorf("afterwards: %+v", h)
	}
}
