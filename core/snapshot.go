package core

import (
	"time"

	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/core/telemetry"
)

// Snapshot is a proxy at one moment, for status, metrics and health checks.
type Snapshot struct {
	Accepting bool // every listener accepts
	Draining  bool // and will not again
	Listeners []ListenerSnapshot
	Groups    []GroupSnapshot
}

// ListenerSnapshot is one listener.
type ListenerSnapshot struct {
	Name        string
	Engine      string
	Address     string // as bound; "" before that
	TargetGroup string
	Role        string
	Counters    *telemetry.Listener // live, not a copy
}

// GroupSnapshot is one target group.
type GroupSnapshot struct {
	Name    string
	Engine  string
	Targets []TargetSnapshot
}

// Usable says whether any target is up.
func (g GroupSnapshot) Usable() bool {
	for _, t := range g.Targets {
		if t.Health.State == target.Available {
			return true
		}
	}
	return false
}

// TargetSnapshot is one target with its pool.
type TargetSnapshot struct {
	Name     string
	Address  string
	Health   target.Health
	Pool     pool.Stats
	Counters *telemetry.Target // live, not a copy
}

// SessionSnapshot is one session.
type SessionSnapshot = relay.SessionSnapshot

// Snapshot reads the proxy's state. Any goroutine may call it.
func (p *Proxy) Snapshot() Snapshot {
	s := Snapshot{Accepting: p.accepting.Load(), Draining: p.draining.Load()}
	for _, l := range p.listeners {
		ls := ListenerSnapshot{
			Name: l.config.Name, Engine: l.config.Group.Engine().Name(),
			TargetGroup: l.config.Group.Name(), Role: l.config.Role.String(), Counters: &l.counters,
		}
		if p.opened.Load() {
			ls.Address = l.socket.Addr().String()
		}
		s.Listeners = append(s.Listeners, ls)
	}
	for _, g := range p.config.Groups {
		gs := GroupSnapshot{Name: g.Name(), Engine: g.Engine().Name()}
		for _, m := range g.Members() {
			gs.Targets = append(gs.Targets, TargetSnapshot{
				Name: m.Target().Name, Address: m.Target().Address, Health: m.Health(),
				Pool: m.Pool().Stats(), Counters: m.Pool().Counters(),
			})
		}
		s.Groups = append(s.Groups, gs)
	}
	return s
}

// sessionsWithin is how long Sessions waits for a loop.
const sessionsWithin = 2 * time.Second

// Sessions asks every loop for its sessions. It must not be called from a loop. A loop that does not answer in time is
// left out.
func (p *Proxy) Sessions() []SessionSnapshot {
	var out []SessionSnapshot
	for _, w := range p.workers {
		answer := make(chan []SessionSnapshot, 1)
		posted := w.Loop().Post(call(func() {
			var mine []SessionSnapshot
			w.Visit(func(s *relay.Session) { mine = append(mine, s.Snapshot()) })
			answer <- mine
		}))
		if !posted {
			continue
		}
		select {
		case mine := <-answer:
			out = append(out, mine...)
		case <-time.After(sessionsWithin):
		}
	}
	return out
}
