package pin

import "github.com/berthdb/berth/core/engine"

// Set is a session's causes, counted per kind. The zero Set is empty.
type Set struct {
	kinds   kinds // counts[k] > 0
	lasting kinds // no event ends these
	counts  [engine.Kinds]uint16
}

// Change is what an event did to a set.
type Change uint8

const (
	Same     Change = iota // pinned as before, or not
	Pinned                 // the first cause came
	Unpinned               // the last cause went
)

// Pinned says whether there is any cause.
func (s *Set) Pinned() bool { return s.kinds != 0 }

// Has says whether there is a cause of kind k.
func (s *Set) Has(k engine.Kind) bool { return s.kinds.has(k) }

// First is the lowest kind present, for a status line. It is only meaningful while Pinned.
func (s *Set) First() engine.Kind {
	for k := range engine.Kinds {
		if s.Has(engine.Kind(k)) {
			return engine.Kind(k)
		}
	}
	return engine.KindUnknown
}

// Apply enters an event whose action is Pin. Undo takes back one cause of its kind; a reset takes back all.
func (s *Set) Apply(ev engine.Event) Change {
	was := s.Pinned()
	switch {
	case ev.Kind == engine.KindReset:
		s.reset()
	case ev.Undo:
		s.remove(ev.Kind)
	default:
		s.add(ev.Kind)
	}
	switch now := s.Pinned(); {
	case now && !was:
		return Pinned
	case was && !now:
		return Unpinned
	}
	return Same
}

func (s *Set) reset() {
	for k := range s.counts {
		if !s.lasting.has(engine.Kind(k)) {
			s.counts[k] = 0
		}
	}
	s.kinds &= s.lasting
}

// Clear takes back every cause, those that last too: the backend is gone.
func (s *Set) Clear() { *s = Set{lasting: s.lasting} }

// add saturates: a cause that came more often than can be counted stays until a reset.
func (s *Set) add(k engine.Kind) {
	if s.counts[k] < ^uint16(0) {
		s.counts[k]++
	}
	s.kinds |= 1 << k
}

func (s *Set) remove(k engine.Kind) {
	if s.counts[k] == 0 || s.counts[k] == ^uint16(0) || s.lasting.has(k) {
		return
	}
	s.counts[k]--
	if s.counts[k] == 0 {
		s.kinds &^= 1 << k
	}
}
