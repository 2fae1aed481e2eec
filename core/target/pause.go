package target

import (
	"context"
	"time"

	"github.com/berthdb/berth/core/relay"
)

// Pause makes sessions of the group wait for backends until Resume, and closes the backends that there are as they come
// back: the servers may be exchanged then. It says whether the group was not paused already. It runs on w's loop.
func (g *Group) Pause(w *relay.Worker) bool {
	if g.paused.Swap(true) {
		return false
	}
	for _, m := range g.roster.Load().all() {
		m.pool.Pause(w)
	}
	return true
}

// Ask asks the targets that are up how they are now, and returns when all have said so, or when ctx ends. Who exchanged their roles knows
// sooner than the monitors, which may be resting. Any goroutine may call it.
func (g *Group) Ask(ctx context.Context) {
	if g.solo() {
		return // it is used whatever it says
	}
	before := map[*Member]int{}
	for g.outdated(before) {
		select {
		case <-time.After(calm):
		case <-ctx.Done():
			return
		}
	}
}

// outdated makes every target that is up be asked that has not answered to a question which was put behind the first call with before, and says
// whether there is one.
func (g *Group) outdated(before map[*Member]int) (some bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.Members() {
		first, known := before[m]
		if !known {
			first = m.answers
			before[m] = first
		}
		if m.Health().State == Available && m.answers-first < freshAnswers {
			m.suspect()
			some = true
		}
	}
	return some
}

// Resume ends a Pause, and says whether there was one. It runs on w's loop.
func (g *Group) Resume(w *relay.Worker) bool {
	if !g.paused.Swap(false) {
		return false
	}
	for _, m := range g.roster.Load().all() {
		m.pool.Resume(w)
	}
	return true
}

// Paused says whether the group is paused. Any goroutine may call it.
func (g *Group) Paused() bool { return g.paused.Load() }

// Open is how many backends of the group there are, whatever their state.
func (g *Group) Open() (n int) {
	for _, m := range g.roster.Load().all() {
		n += m.pool.Stats().Open
	}
	return n
}
