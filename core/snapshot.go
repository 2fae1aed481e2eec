package core

import (
	"slices"
	"time"

	"github.com/berthdb/berth/core/pin"
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
	Role        relay.Role
	Counters    *telemetry.Listener // live, not a copy
}

// GroupSnapshot is one target group.
type GroupSnapshot struct {
	Name    string
	Engine  string
	Paused  bool // its sessions wait
	Targets []TargetSnapshot
	// Discovery is what came of asking where the targets are, nil if they are configured.
	Discovery *target.Discovered
}

// Usable says whether any target is up, or nobody wants one.
func (g GroupSnapshot) Usable() bool {
	for _, t := range g.Targets {
		if t.Health.State == target.Available || t.Health.State == target.Unused {
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
	Serves   []relay.Role // whose sessions it is there for just now
	Sessions int          // how many of them are to borrow from it
	Pool     pool.Stats
	Counters *telemetry.Target // live, not a copy
}

// SessionSnapshot is one session.
type SessionSnapshot = relay.SessionSnapshot

// Pins returns what pinned sessions, and pins them now. Any goroutine may call it.
func (p *Proxy) Pins() []pin.Row { return p.pins.Rows() }

// Snapshot reads the proxy's state. Any goroutine may call it.
func (p *Proxy) Snapshot() Snapshot {
	s := Snapshot{Accepting: p.accepting.Load(), Draining: p.draining.Load()}
	n := p.lineup.Load()
	for _, l := range n.listeners {
		ls := ListenerSnapshot{
			Name: l.config.Name, Engine: l.config.Group.Engine().Name(),
			TargetGroup: l.config.Group.Name(), Role: l.config.Role, Counters: &l.counters,
		}
		if l.door != nil {
			ls.Address = l.door.socket.Addr().String()
		}
		s.Listeners = append(s.Listeners, ls)
	}
	for _, g := range n.groups {
		gs := GroupSnapshot{Name: g.Name(), Engine: g.Engine().Name(), Paused: g.Paused(), Discovery: g.Discovery()}
		for _, m := range g.Members() {
			gs.Targets = append(gs.Targets, TargetSnapshot{
				Name: m.Target().Name, Address: m.Target().Address, Health: m.Health(),
				Serves: m.Serves(), Sessions: m.Pool().Sessions(), Pool: m.Pool().Stats(), Counters: m.Pool().Counters(),
			})
		}
		s.Groups = append(s.Groups, gs)
	}
	return s
}

// Available says whether any target is up that sessions of role use.
func (g GroupSnapshot) Available(role relay.Role) bool {
	for _, t := range g.Targets {
		if t.Health.State == target.Available && slices.Contains(t.Serves, role) && (role == relay.ReadOnly || !t.Health.Facts.ReadOnly) {
			return true
		}
	}
	return false
}

// sessionsWithin is how long Sessions and InTransaction wait for a loop.
const sessionsWithin = 2 * time.Second

// Sessions asks every loop for its sessions. It must not be called from a loop. A loop that does not answer in time is
// left out.
func (p *Proxy) Sessions() []SessionSnapshot {
	return visit(p, func(all []SessionSnapshot, s *relay.Session) []SessionSnapshot { return append(all, s.Snapshot()) })
}

// InTransaction asks every loop how many of its sessions have a transaction open, by listener. The rules of Sessions
// hold.
func (p *Proxy) InTransaction() map[*telemetry.Listener]int64 {
	open := visit(p, func(open []*telemetry.Listener, s *relay.Session) []*telemetry.Listener {
		if s.InTransaction() {
			open = append(open, s.Listener())
		}
		return open
	})
	n := make(map[*telemetry.Listener]int64)
	for _, l := range open {
		n[l]++
	}
	return n
}

// visit collects what add finds, on every loop.
func visit[T any](p *Proxy, add func([]T, *relay.Session) []T) (all []T) {
	var answers []chan []T
	for _, w := range p.workers {
		answer := make(chan []T, 1)
		posted := w.Loop().Post(call(func() {
			var mine []T
			w.Visit(func(s *relay.Session) { mine = add(mine, s) })
			answer <- mine
		}))
		if posted {
			answers = append(answers, answer)
		}
	}
	late := time.After(sessionsWithin)
	for _, answer := range answers {
		select {
		case mine := <-answer:
			all = append(all, mine...)
		case <-late:
			return all
		}
	}
	return all
}
