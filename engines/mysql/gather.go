package mysql

import (
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// A session that sets what cannot be restored has statements whose meaning no other backend can be given, see meaning. All its
// statements are brought to the backend before that; they stay there if it has happened.

// mayObscure says whether a request of class c may set what decides how statements are understood, so that it cannot be restored.
func mayObscure(c class) bool {
	return c.kinds&bit(engine.KindSetting) != 0 || c.sets != nil && slices.ContainsFunc(c.sets.names, func(name string) bool {
		return !indifferent(name) && !restorable(name, "0")
	})
}

// gather brings the session's statements to the held backend if a request of class c may obscure their meaning. It returns false
// if answers are awaited first.
func (m *Machine) gather(c class, w engine.Wire) bool {
	t := &m.statements
	if len(t.byID) == 0 || !mayObscure(c) {
		return true
	}
	t.gathering = true
	for _, s := range t.byID {
		if s.own != nil || s.lost {
			continue
		}
		h := m.present(s, w)
		if h == nil && m.queue.count == 0 { // it cannot be prepared
			s.lost, m.refusal = true, nil
			continue
		}
		if h == nil {
			return false
		}
		m.detach(s, h)
		s.gathered, t.gathered = true, true
	}
	t.gathering = false
	return true
}

// release ends what gather began, behind a request of the client: obscured says whether the session's settings cannot be given to
// another backend now.
func (m *Machine) release(obscured bool, w engine.Wire) {
	t := &m.statements
	t.private = t.private || obscured
	if len(t.byID) == 0 || !obscured && !t.gathered {
		return
	}
	for _, s := range t.byID {
		s.gathered = false
		switch {
		case !obscured:
			m.share(s, w)
		case s.kept || s.lost:
		case s.own != nil:
			m.keep(s, s.own)
		default:
			if h := m.state.statements.held[s.shared]; h != nil {
				m.detach(s, h)
				m.keep(s, h)
			} else {
				s.lost = true
			}
		}
	}
	t.gathered = false
	if t.kept > 0 {
		m.tellKept(w)
	}
}

// settingsReport is what the server said of settings in its answer to a request.
type settingsReport struct {
	reported bool // it said something
	matter   bool // of one that matters to statements
}

// obscured says whether the request that is over has obscured the meaning of statements. Settings that do not pin, by
// configuration, do not last.
func (m *Machine) obscured() bool {
	r := &m.request
	if m.ignored && m.pins.reported&bit(engine.KindSetting) == 0 || r.command == protocol.COM_SET_OPTION {
		return false
	}
	if (r.kinds|r.class.kinds)&bit(engine.KindSetting) == 0 || r.settings.reported && !r.settings.matter && !r.failed {
		return false
	}
	a := r.class.sets
	return a == nil || a.charsets > 0 || r.class.kinds&bit(engine.KindSetting) != 0 || slices.ContainsFunc(a.names, func(name string) bool { return !indifferent(name) })
}
