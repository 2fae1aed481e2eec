package sim

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/telemetry"
)

// target is a server, and the proxy's pool of connections to it. All servers have one database, as if they replicated in no time: what
// a failover loses of its data is no business of the relay's.
type target struct {
	server   *server
	pool     *relay.Pool
	counters telemetry.Target
	opened   int // at the last step, or a limit since if that is higher
}

// addTarget makes one more of r's targets.
func (r *run) addTarget(ids *atomic.Uint64) {
	name := fmt.Sprintf("target %d", len(r.targets))
	t := &target{server: &server{
		w: r.w, net: r.net, db: r.db, budget: r.config.pool.Max, sessions: make(map[int]*session), sticky: r.config.sticky,
		faults: r.config.faults, lastID: &r.lastConnection, serve: r.dialect.serve, undoes: r.dialect.undoes(), dooms: r.dialect.dooms(),
	}}
	t.pool = relay.NewPool(r.engine, engine.Target{Name: name}, r.config.pool, &t.counters, ids, zerolog.Nop())
	r.targets = append(r.targets, t)
	r.dialer.servers[name] = t.server
}

// group is where the roles lead.
type group struct {
	write   *target // nil: nowhere
	read    []*target
	timeout time.Duration
}

func (t *target) poolOrNil() *relay.Pool {
	if t == nil {
		return nil
	}
	return t.pool
}

func (g *group) Pool(role relay.Role, home *relay.Pool) *relay.Pool {
	if role == relay.ReadWrite {
		return g.write.poolOrNil()
	}
	var least *relay.Pool
	for _, t := range g.read {
		if t.pool == home {
			return home
		}
		if least == nil || t.pool.Sessions() < least.Sessions() {
			least = t.pool
		}
	}
	return least
}

func (g *group) Balance(role relay.Role, home *relay.Pool) *relay.Pool { return g.Pool(role, home) }

func (g *group) Serves(role relay.Role, p *relay.Pool) bool {
	if role == relay.ReadWrite {
		return p == g.write.poolOrNil()
	}
	for _, t := range g.read {
		if t.pool == p {
			return true
		}
	}
	return false
}

func (g *group) BorrowTimeout() time.Duration { return g.timeout }

// All servers have everything at all times: reads have nothing to wait for.

func (g *group) Mark() relay.Mark { return 0 }
func (g *group) Current(*relay.Pool, relay.Mark, relay.Reach) *relay.Pool {
	panic("BUG: sim: a mark that nobody made")
}
func (g *group) Has(*relay.Pool, relay.Mark) bool { return true }
func (g *group) CatchUpTimeout() time.Duration    { return 0 }

// lead makes t the writer, nobody if it is nil, and tells every loop.
func (r *run) lead(t *target) {
	r.group.write, r.group.read = t, nil
	for _, o := range r.targets {
		if o != t && !o.server.down {
			r.group.read = append(r.group.read, o)
		}
	}
	if t != nil && len(r.group.read) == 0 {
		r.group.read = []*target{t}
	}
	for i, l := range r.loops {
		l.Post(task(func() { r.workers[i].Reroute(r.group) }))
	}
	clear(r.waiters) // who waits goes to another queue, and is a newcomer there
}

// failOver makes another target the writer, because the one that is was lost, or as planned; and so on.
func (r *run) failOver() {
	w := r.w
	if r.quiet {
		return
	}
	old, next := r.group.write, r.targets[w.rng.IntN(len(r.targets))]
	crash := old != nil && w.chance(2)
	if crash {
		w.log("a server crashes")
		old.server.crash()
		if w.chance(2) {
			for i, l := range r.loops {
				l.Post(task(func() { old.pool.Cut(r.workers[i], engine.ErrTargetLost) }))
			}
		}
		w.after(w.upTo(8*time.Second), func() { old.server.down = false })
	}
	if crash || w.chance(2) {
		r.lead(nil)
	}
	w.after(w.upTo(6*time.Second), func() {
		w.log("the writer is another one")
		next.server.down = false
		r.lead(next)
		w.after(w.upTo(20*time.Second), r.failOver)
	})
}

// reload changes what may change while sessions are there; and again.
func (r *run) reload() {
	w, c := r.w, r.config
	if r.quiet {
		return
	}
	w.log("reload")
	switch w.rng.IntN(5) {
	case 0:
		r.times.Set(relay.TimeLimits{})
		if w.chance(2) {
			r.times.Set(c.times)
		}
	case 1:
		r.group.timeout = c.timeout
		if w.chance(2) {
			r.group.timeout = r.longest
		}
	case 2:
		r.idleTimeout = 0
		if w.chance(2) {
			r.idleTimeout = c.idleTimeout
		}
	case 3:
		r.strict = !r.strict
	case 4:
		r.resize()
	}
	w.after(w.upTo(10*time.Second), r.reload)
}

// pause makes everybody wait for a while; and again.
func (r *run) pause() {
	w := r.w
	if r.quiet {
		return
	}
	w.log("paused")
	each := func(do func(*relay.Pool)) {
		r.loops[0].Post(task(func() {
			for _, t := range r.targets {
				do(t.pool)
			}
		}))
	}
	each(func(p *relay.Pool) { p.Pause(r.workers[0]) })
	w.after(w.upTo(5*time.Second), func() {
		w.log("resumed")
		each(func(p *relay.Pool) { p.Resume(r.workers[0]) })
		w.after(w.upTo(20*time.Second), r.pause)
	})
}
