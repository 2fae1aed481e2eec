package target

import "github.com/berthdb/berth/core/relay"

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
