package relay

import (
	"cmp"
	"slices"
)

// Reroute makes w's sessions of g follow a change of where g's roles lead: those that wait go on waiting at the new place,
// in the order in which they asked, with what is left of their time; those that keep a backend elsewhere lose it as soon
// as nothing of theirs is under way. It runs on the loop.
func (w *Worker) Reroute(g Group) {
	var moving []*Session
	for s := range w.sessions.all() {
		if s.front.Group != g || s.ended {
			continue
		}
		to := g.Pool(s.front.Role)
		switch {
		case s.waits() && s.queue != to:
			moving = append(moving, s)
		case s.backend != nil && to != nil && s.backend.pool != to:
			s.recalled = true
			s.later()
		}
	}
	slices.SortStableFunc(moving, func(a, b *Session) int { return cmp.Compare(a.borrowing, b.borrowing) })
	for _, s := range moving {
		s.move()
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

// Cut takes p's backends from w's sessions, and closes what is idle, because nothing can be expected of the server any
// more that they are connected to. It runs on w's loop.
func (p *Pool) Cut(w *Worker, reason error) {
	p.Retire(w)
	for s := range w.sessions.all() {
		if b := s.backend; b != nil && b.pool == p {
			b.lost(s, reason)
		}
	}
}
