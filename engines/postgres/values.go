package postgres

import (
	"bytes"
	"sync/atomic"

	"github.com/berthdb/berth/core/engine"
)

// What nextval gave a session is on the backend that gave it (9.17), and no command tells which sequences those were. Where
// nextval is in a statement's text the session keeps its backend. Mostly it is not: a column's default calls it, and hardly anybody
// asks for the value, because INSERT ... RETURNING tells it. To keep the backend after every INSERT would end multiplexing; so
// it goes back, and there are two rules.
//
//   - Nobody is told another session's value, nor an older one of its own: a statement that may ask finds a backend without
//     values, unless it is the one that the session had last and nobody else has had it since.
//   - Who asks after all, in a later transaction, tells by that what this application does: behind statements that write to the
//     same table its user's sessions keep their backend, up to their next statement that neither asks nor writes.
//
// So the first who asks may be refused, with a hint, if others took the backend in that moment.

// An asking is how many sessions may keep their backend in vain, behind statements that write to a table. One that asks gives
// back what it took, and more, so that an application with many sessions is not cut short; where nobody asks any more, it
// comes to an end.
type asking struct{ credit atomic.Int32 }

const (
	askingCredit    = 16
	maxAskingCredit = 1 << 10
	maxAskings      = 1 << 10 // of an engine
)

// askingOf is what an asking is about.
type askingOf struct {
	user, database string
	target         uint32 // as in verdict
}

// take says whether a session shall keep its backend.
func (a *asking) take() bool {
	for {
		n := a.credit.Load()
		if n <= 0 {
			return false
		}
		if a.credit.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// give notes that somebody asked. A few more than the most that is allowed do no harm.
func (a *asking) give() {
	if a.credit.Load() < maxAskingCredit {
		a.credit.Add(askingCredit)
	}
}

// values is what is known of the session's sequence values.
type values struct {
	// tenure is what the only backend has, as its values, on which the session's can be; 0 if there is none.
	tenure uint64
	// made says that a statement may have made values, target which, and place under which tenure.
	made   bool
	target uint32
	place  uint64

	held bool // the backend is kept for them

	// Since the last boundary:
	fresh, asked, other bool // a statement made values, asked for one, did something else
}

// arrive notes whose values a backend has that the session gets, and says whether it has no others than this session's last ones.
func (m *machine) arrive(b *backendState) (own bool) {
	s := &m.values
	switch {
	case b.values == 0:
		s.tenure = m.e.tenures.Add(1)
		b.values = s.tenure
	case b.values != s.tenure:
		s.tenure, b.values = 0, severalSessions
		return false
	}
	return true
}

// valuesSent notes what a statement that is being sent does to the session's values.
func (m *machine) valuesSent(v verdict) {
	s := &m.values
	if v.asks {
		s.asked = true
		if s.made && !s.fresh && m.pins&^(1<<engine.KindLastResult) == 0 {
			m.e.askings.update(m.asking(s.target), func(a *asking, ok bool) *asking {
				if !ok {
					a = &asking{}
				}
				a.give()
				return a
			})
		}
	}
	if v.makes {
		s.made, s.fresh, s.target, s.place = true, true, v.target, s.tenure
	}
	s.other = s.other || !v.asks && !v.makes && !v.inert
}

func (m *machine) asking(target uint32) askingOf {
	return askingOf{m.session.key.User, m.session.key.Database, target}
}

// keepValues decides, at a boundary, whether the session keeps its backend for the sake of its values.
func (m *machine) keepValues(w engine.Wire) {
	s := &m.values
	if s.held && (s.fresh || s.other && !s.asked) {
		s.held = false
		m.tell(engine.Event{Kind: engine.KindLastResult, Undo: true}, w)
	}
	if s.fresh && m.pins == 0 {
		if a, ok := m.e.askings.get(m.asking(s.target)); ok && a.take() {
			s.held = true
			m.tell(engine.Event{Kind: engine.KindLastResult, Rule: "a value of a sequence that is likely asked for", Number: m.number}, w)
		}
	}
	s.fresh, s.asked, s.other = false, false, false
}

// valuesLost says that an error is the server's answer to a session that asks for a value which it has on another backend.
func (m *machine) valuesLost(body []byte) bool {
	s := &m.values
	return s.asked && s.made && s.place != s.tenure && errorCode(body) == "55000"
}

const valuesHint = "The statement that used the sequence ran on another database connection, if one has. Use INSERT ... RETURNING, or ask in the same transaction."

// withHint returns an ErrorResponse with the body of another, and a hint (54.8) if that has none.
func withHint(body []byte, hint string) []byte {
	out := append([]byte{'E', 0, 0, 0, 0}, body...)
	for rest := body; len(rest) > 1 && rest[0] != 0; {
		if rest[0] == 'H' {
			return endMessage(out, 0)
		}
		_, next, ok := cutString(rest[1:])
		if !ok {
			return endMessage(out, 0)
		}
		rest = next
	}
	out = append(bytes.TrimSuffix(out, []byte{0}), 'H')
	return endMessage(append(append(out, hint...), 0, 0), 0)
}
