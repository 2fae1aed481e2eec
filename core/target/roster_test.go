package target

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// targetsOf names targets; "name@" is one of that name at another address.
func targetsOf(names ...string) (ts []engine.Target) {
	for _, name := range names {
		t := engine.Target{Name: name, Address: name + ":1"}
		if name[len(name)-1] == '@' {
			t.Name, t.Address = name[:len(name)-1], name+":2"
		}
		ts = append(ts, t)
	}
	return ts
}

func TestTargetsJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, g := play(t, Limits{MaxPercent: 100}, "w1", "r1")
		c.set("w2", false, nil)
		c.set("r2", true, nil)
		w1, r1 := g.member("w1"), g.member("r1")
		change := func(names ...string) {
			g.SetTargets(targetsOf(names...))
			time.Sleep(soon)
		}

		change("w1", "r1", "r2")
		leads(t, g, relay.ReadWrite, "w1")
		leads(t, g, relay.ReadOnly, "r1r2")
		if g.member("w1") != w1 || g.member("r1") != r1 {
			t.Error("who stays is not the same")
		}

		change("w1", "r2")
		leads(t, g, relay.ReadOnly, "r2")
		if g.Pool(relay.ReadOnly, r1.pool) != g.member("r2").pool || g.Serves(relay.ReadOnly, r1.pool) {
			t.Error("sessions stay at who left")
		}
		c.mu.Lock()
		asked := c.asked["r1"]
		c.mu.Unlock()
		time.Sleep(time.Minute)
		c.mu.Lock()
		if c.asked["r1"] != asked {
			t.Error("who left is still asked")
		}
		c.mu.Unlock()
		if got := len(g.roster.Load().leaving); got != 1 {
			t.Errorf("%d are leaving", got)
		}
		g.Tick(newWorker())
		if got := len(g.roster.Load().leaving); got != 0 {
			t.Errorf("%d are leaving without connections", got)
		}

		// The writer is exchanged: of the two, only the new one is a target.
		change("w2", "r2")
		leads(t, g, relay.ReadWrite, "w2")

		// The same name at another address is another server, with the counters of the old one.
		counters := g.member("r2").pool.Counters()
		old := g.member("r2")
		change("w2", "r2@")
		if m := g.member("r2"); m == old || m.target.Address != "r2@:2" || m.pool.Counters() != counters {
			t.Errorf("a new address: %+v", m.target)
		}
		leads(t, g, relay.ReadOnly, "r2")

		// One alone is used whatever it says.
		change("r1")
		leads(t, g, relay.ReadWrite, "r1")
		leads(t, g, relay.ReadOnly, "r1")
	})
}

func TestOneTargetThatWasDiscoveredMustSayThatItIsTheWriter(t *testing.T) {
	g := New(Config{
		Name: "g", Engine: &probed{}, Discovery: Discovery{Source: &directory{}}, Targets: targetsOf("t"),
	}, new(atomic.Uint64), zerolog.Nop())
	m := g.Members()[0]
	m.publish(engine.Facts{ReadOnly: true}, nil)
	if g.Pool(relay.ReadWrite, nil) != nil || g.Pool(relay.ReadOnly, nil) != m.pool {
		t.Error("a replica is taken for the writer")
	}
	m.publish(engine.Facts{}, nil)
	if g.Pool(relay.ReadWrite, nil) != m.pool {
		t.Error("the writer is not used")
	}
}
