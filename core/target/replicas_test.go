package target

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

func TestSessionsAreSpreadInProportionToConnections(t *testing.T) {
	for _, c := range []struct {
		targets []load // without sessions
		n       int
		want    []int
	}{
		{[]load{{max: 100}, {max: 100}}, 10, []int{5, 5}},
		{[]load{{max: 100}, {max: 100}, {max: 100}}, 9, []int{3, 3, 3}},
		{[]load{{max: 100}, {max: 300}}, 40, []int{10, 30}},
		{[]load{{max: 100, borrowed: 4}, {max: 100}}, 10, []int{3, 7}},
		{[]load{{max: 100, borrowed: 50}, {max: 1000, borrowed: 50}}, 100, []int{0, 100}},
		{[]load{{max: 0}, {max: 10}}, 5, []int{0, 5}}, // how many it takes is not known yet
	} {
		got := make([]int, len(c.targets))
		for range c.n {
			best := 0
			for i, l := range c.targets {
				if l.lighter(c.targets[best]) {
					best = i
				}
			}
			c.targets[best].sessions++
			got[best]++
		}
		for i := range got {
			if got[i] < c.want[i]-1 || got[i] > c.want[i]+1 {
				t.Errorf("%d sessions over %+v: %d, not %d", c.n, c.targets, got, c.want)
			}
		}
	}
}

func TestASessionMovesOnlyWhereItLeavesNoGap(t *testing.T) {
	for _, c := range []struct {
		from, to load
		moves    bool
	}{
		{load{sessions: 2, max: 10}, load{sessions: 0, max: 10}, true},
		{load{sessions: 1, max: 10}, load{sessions: 0, max: 10}, false},
		{load{sessions: 10, max: 10}, load{sessions: 9, max: 10}, false},
		{load{sessions: 10, max: 10}, load{sessions: 8, max: 10}, true},
		{load{sessions: 10, max: 100}, load{sessions: 9, max: 200}, true},
		{load{sessions: 10, max: 100}, load{sessions: 30, max: 300}, false},
		{load{sessions: 10, borrowed: 10, max: 10}, load{sessions: 9, max: 10}, false}, // to and fro
	} {
		if got := c.to.relieves(c.from); got != c.moves {
			t.Errorf("from %+v to %+v: %v", c.from, c.to, got)
		}
		if c.moves {
			c.from.sessions--
			c.to.sessions++
			if c.from.relieves(c.to) {
				t.Errorf("and back, %+v to %+v", c.to, c.from)
			}
		}
	}
}

func TestATargetHasItsShareBeforeALoopHasGivenItsPoolTheLimits(t *testing.T) {
	g := newGroup(Limits{MaxPercent: 50}, nil, "w", "r")
	m := g.Members()[1]
	if l := m.load(); l.max != 0 {
		t.Errorf("of which nothing is known: %+v", l)
	}
	m.publish(engine.Facts{MaxConnections: 100, ReadOnly: true}, nil)
	if l := m.load(); l.max != 49 || m.pool.Stats().Max != 0 {
		t.Errorf("%+v", l)
	}
}

func TestTheLagIsCountedFromWhenAReplicaHadEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(Limits{}, nil, "w", "r")
		w, r := g.Members()[0], g.Members()[1]
		w.publish(engine.Facts{}, nil)
		g.SetReplicas(Replicas{MaxLag: 10 * time.Second, WaitForReplica: true})
		const unknown = -1
		for i, c := range []struct {
			after  time.Duration
			says   time.Duration
			lag    time.Duration
			serves bool
		}{
			{0, unknown, unknown, false},
			{0, time.Hour, time.Hour, false},
			{time.Second, 0, 0, true},
			{2 * time.Second, time.Hour, 2 * time.Second, true}, // the age of the last commit before a long pause
			{time.Second, unknown, 3 * time.Second, true},
			{7 * time.Second, unknown, 10 * time.Second, true},
			{time.Second, unknown, 11 * time.Second, false},
			{time.Second, 8 * time.Second, 8 * time.Second, false}, // not to and fro
			{time.Second, 5 * time.Second, 5 * time.Second, true},
			{time.Second, 8 * time.Second, 6 * time.Second, true},
			{5 * time.Second, time.Second, time.Second, true},
		} {
			time.Sleep(c.after)
			r.publish(engine.Facts{ReadOnly: true, Lag: max(0, c.says), LagKnown: c.says != unknown}, nil)
			f := r.Health().Facts
			if f.LagKnown != (c.lag != unknown) || f.LagKnown && f.Lag != c.lag {
				t.Errorf("%d: it is %s behind (known: %v), not %s", i, f.Lag, f.LagKnown, c.lag)
			}
			if got := g.Pool(relay.ReadOnly, nil) != nil; got != c.serves {
				t.Errorf("%d: read from: %v, %+v", i, got, r.Health())
			}
			if cause := r.Health().Cause; c.serves != (cause == "") || !c.serves && !strings.Contains(cause, "behind") {
				t.Errorf("%d: cause %q", i, cause)
			}
		}
		r.publish(engine.Facts{}, refused)
		r.publish(engine.Facts{ReadOnly: true}, nil)
		if r.Health().Facts.LagKnown {
			t.Error("what comes back is taken for what went")
		}
	})
}
