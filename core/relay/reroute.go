package relay

import (
	"cmp"
	"slices"
)

// Reroute makes w's sessions of g follow a change of which pools serve g's roles, and spreads them over these. Those that wait
// go on waiting at the new place, in the order in which they asked, with what is left of their time; those that keep a
// backend which does not serve them any more lose it as soon as nothing of theirs is under way, if there is another
// place for them. It runs on the loop.
func (w *Worker) Reroute(g Group) {
	var moving []*Session
	for s := range w.sessions.all() {
		if s.front.Group != g || s.ended {
			continue
		}
		to := g.Balance(s.front.Role, s.home)
		if s.home != nil && to != nil {
			s.settle(to)
		}
		if s.waits() && s.queue != to {
			moving = append(moving, s)
		}
		s.recalled = s.backend != nil && to != nil && !g.Serves(s.front.Role, s.backend.pool)
		if s.recalled {
			s.later()
		}
	}
	slices.SortStableFunc(moving, func(a, b *Session) int { return cmp.Compare(a.borrowing, b.borrowing) })
	for _, s := range moving {
		s.guarded((*Session).move)
	}
}

// move borrows anew, unless a grant or a refusal is on its way already.
func (s *Session) move() {
	if s.ended || !s.abandon() {
		return
	}
	if b := s.borrow(); b != nil {
		s.machine.Granted(b, (*wire)(s))
		s.goOn()
	}
}

// Recall takes p's backends from w's sessions that keep them, as soon as nothing of theirs is under way: the server that they are connected to
// is p's target no more. It runs on w's loop.
func (p *Pool) Recall(w *Worker) {
	for s := range w.sessions.all() {
		if s.backend != nil && s.backend.pool == p {
			s.recalled = true
			s.later()
		}
	}
}

// Cut takes p's backends from w's sessions, and closes what is idle, because nothing can be expected of the server any
// more that they are connected to. It runs on w's loop.
func (p *Pool) Cut(w *Worker, reason error) {
	p.Retire(w)
	w.each(func(s *Session) {
		if b := s.backend; b != nil && b.pool == p {
			b.lost(s, reason)
		}
	})
}
