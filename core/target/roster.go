package target

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/telemetry"
)

// roster is who a group's targets are. It is immutable: who joins or leaves makes another, under the group's lock.
type roster struct {
	members []*Member
	leaving []*Member // that are none any more, and have connections left
}

// all are also those that leave.
func (r *roster) all() []*Member { return slices.Concat(r.members, r.leaving) }

// Members returns the group's targets. The slice must not be written to.
func (g *Group) Members() []*Member { return g.roster.Load().members }

// solo says whether the group has one target, which is used whatever it says. One that was found may be what is left of
// several.
func (g *Group) solo() bool { return len(g.Members()) == 1 && g.config.Discovery.Source == nil }

// newMember makes the one of t.
func (g *Group) newMember(t engine.Target, counters *telemetry.Target) *Member {
	m := &Member{
		group: g, target: t, probed: make(chan struct{}), wake: make(chan struct{}, 1),
		log: g.log.With().Str("target", t.Name).Logger(), keep: keepingUp{wake: make(chan struct{}, 1), place: make(chan struct{}, 1)},
	}
	m.pool = relay.NewPool(g.config.Engine, t, g.accounts(engine.Facts{}), counters, g.ids, g.log)
	m.pool.OnTrouble(m.suspect)
	m.pool.OnRefusal(func() { m.refused.Store(true) })
	m.health.Store(&Health{State: Registering, Since: time.Now()})
	return m
}

// SetTargets changes which targets the group has. One of the same name and address stays as it is. One that is new is asked
// how it is, and used when it has answered. One that is gone is asked no more: its sessions move from their next transaction on, those
// that are pinned there as soon as there is another target for them, and its connections are closed as they come back. Any
// goroutine may call it.
func (g *Group) SetTargets(ts []engine.Target) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.roster.Load()
	next := &roster{leaving: was.leaving}
	for _, t := range ts {
		i := slices.IndexFunc(was.members, func(m *Member) bool { return m.target.Name == t.Name && m.target.Address == t.Address })
		if i >= 0 {
			next.members = append(next.members, was.members[i])
			continue
		}
		next.members = append(next.members, g.join(t, was))
	}
	if slices.Equal(was.members, next.members) {
		return
	}
	var left []*Member
	for _, m := range was.members {
		if !slices.Contains(next.members, m) {
			m.log.Info().Str("address", m.target.Address).Msg("target leaves the target group")
			left = append(left, m)
		}
	}
	next.leaving = slices.Concat(was.leaving, left)
	g.roster.Store(next)
	g.watch()
	g.reconsider()
	for _, m := range left {
		g.dismiss(m)
	}
}

// watch finds out anew whether what the targets say matters, and gives their pools the limits that follow. It needs the group's lock.
func (g *Group) watch() {
	watched := !g.solo() || g.replicas.MaxLag > 0
	if g.watched.Swap(watched) == watched || len(g.workers) == 0 {
		return
	}
	for _, m := range g.Members() {
		g.workers[0].Loop().Post(&reconfigure{m, g.workers[0], m.Health().Facts})
	}
}

// join makes a member of t and begins to ask it. It needs the group's lock.
func (g *Group) join(t engine.Target, was *roster) *Member {
	counters := &telemetry.Target{TargetGroup: g.config.Name, Target: t.Name}
	for _, m := range was.all() {
		if m.target.Name == t.Name {
			counters = m.pool.Counters() // they go on: metrics know a target by its name
		}
	}
	m := g.newMember(t, counters)
	m.log.Info().Str("address", t.Address).Msg("target joins the target group")
	switch {
	case g.running != nil:
		g.workers[0].Loop().Post(pauseToo{m.pool, g, g.workers[0]})
		g.begin(m)
	case g.retired:
		m.retire()
	}
	return m
}

// begin starts m's monitor. It needs the group's lock, and that the group runs.
func (g *Group) begin(m *Member) {
	ctx, stop := context.WithCancel(g.running)
	m.stop = stop
	g.monitors.Go(func() { m.monitor(ctx) })
	g.monitors.Go(func() { m.keepUp(ctx) })
}

// dismiss ends what there is of m, to which no role leads any more. It needs the group's lock.
func (g *Group) dismiss(m *Member) {
	if m.stop != nil {
		m.stop()
	}
	if len(g.workers) == 0 {
		m.closed.Store(true)
		return
	}
	// The pool is closed when no worker can borrow from it by what it knew: each has been told of the new route before.
	f := &farewell{member: m, closer: g.workers[0]}
	f.workers.Store(int32(len(g.workers)))
	for _, w := range g.workers {
		w.Loop().Post(f)
	}
}

// farewell is posted to every worker's loop, behind what tells it that the member leaves.
type farewell struct {
	member  *Member
	workers atomic.Int32 // that it has not reached
	closer  *relay.Worker
}

func (f *farewell) Run() {
	if f.workers.Add(-1) == 0 {
		f.closer.Loop().Post((*closing)(f))
	}
}

// closing is posted to the loop of its closer.
type closing farewell

func (c *closing) Run() {
	c.member.pool.Close(c.closer)
	c.member.closed.Store(true)
}

// pauseToo is posted to the first worker's loop, where pauses begin and end: it pauses the pool of who joined a paused group.
type pauseToo struct {
	pool   *relay.Pool
	group  *Group
	worker *relay.Worker
}

func (p pauseToo) Run() {
	if p.group.paused.Load() {
		p.pool.Pause(p.worker)
	}
}

// Tick does what is due in the pools now and then, every relay.TickEvery, and forgets who has left. It runs on w's loop.
func (g *Group) Tick(w *relay.Worker) {
	r := g.roster.Load()
	for _, m := range r.members {
		m.pool.Tick(w)
	}
	if len(r.leaving) == 0 {
		return
	}
	for _, m := range r.leaving {
		m.pool.Tick(w)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r = g.roster.Load()
	next := &roster{members: r.members}
	for _, m := range r.leaving {
		if m.closed.Load() && m.pool.Stats().Open == 0 {
			m.log.Info().Str("address", m.target.Address).Msg("target has left the target group")
			continue
		}
		next.leaving = append(next.leaving, m)
	}
	g.roster.Store(next)
}

// Close ends all pools. It runs on w's loop.
func (g *Group) Close(w *relay.Worker) {
	for _, m := range g.roster.Load().all() {
		m.pool.Close(w)
	}
}
