package mysql

import (
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// A session that sets what cannot be restored has statements whose meaning no other backend can be given, see meaning. All its
// statements are brought to the backend before that; they stay there if it has happened. Code sets what it wants, and nobody knows what
// by the time that it is reported, or failed.

// maxBrought is how many statements are prepared for the sake of a call of code of which nobody is asked what it sets. It may be all that
// a session ever does, and hardly any sets such things; if it does after all, the other statements are lost.
const maxBrought = 32

// mayObscure says whether a request of class c may set what decides how statements are understood, so that it cannot be restored: by
// its text, or by code that it calls.
func (m *Machine) mayObscure(c class) (itself, calls bool) {
	const opaque = 1<<engine.KindSetting | 1<<engine.KindUnknown | 1<<engine.KindPreparedStatement // EXECUTE of any text
	return c.kinds&opaque != 0 || c.sets().obscure(), c.has(classCalls) && m.mayHide(hiddenSets|hiddenCallsLeave)
}

// obscure says whether a variable is assigned to that decides how statements are understood and cannot be restored, whatever its value, or with one
// that it may have now.
func (a *assignments) obscure() bool {
	return a != nil && slices.ContainsFunc(a.names, func(name string) bool {
		return name == autoIsNull || !indifferent(name) && !restorable(name, "0")
	})
}

// mayDisturb says whether statements may be prepared in front of a request of class c: not if that, or code that is no part of it, may read
// what the one before left on the held backend.
func (m *Machine) mayDisturb(c class) bool {
	return m.foreign() || c.flags&(classPrevious|classDiagnostics) == 0 && !(c.has(classTables) && m.hides(hiddenPrevious))
}

// gather brings the session's statements to the held backend if a request of class c may obscure their meaning. It returns false
// if answers are awaited first.
func (m *Machine) gather(c class, w engine.Wire) bool {
	t := &m.statements
	if len(t.byID) == 0 {
		return true
	}
	itself, calls := m.mayObscure(c)
	if !itself && !calls {
		return true
	}
	disturbs := m.mayDisturb(c)
	guess := !itself && !m.hides(hiddenSets|hiddenCallsLeave)
	if !t.gathering {
		t.brought = 0
	}
	t.gathering = true
	for _, s := range t.byID {
		if s.own != nil || s.lost || s.missing || !disturbs && m.lacks(s) {
			continue
		}
		if guess && t.brought >= maxBrought && m.lacks(s) {
			m.miss(s)
			continue
		}
		h := m.present(s, w)
		if h != nil && itself && disturbs && m.garblesLong(s, h) { // not for code that may set something: that would cost each call of it as much
			m.drop(s.shared, w)
			h = m.present(s, w)
		}
		switch {
		case h != nil:
			m.detach(s, h)
			s.gathered, t.gathered = true, true
		case m.queue.count > 0:
			m.losesList()
			return false
		default: // it cannot be prepared
			m.refusal = nil
			m.miss(s)
		}
	}
	t.gathering = false
	return true
}

// miss notes that gather could not bring s to the backend.
func (m *Machine) miss(s *statement) { s.missing, m.statements.gathered = true, true }

// obscurity says whether the session's settings cannot be given to another backend now.
type obscurity uint8

const (
	evident  obscurity = iota // they can
	doubtful                  // code failed, and the server reports what was set only with what succeeds
	obscure
)

// decisive are the settings that decide how statements are understood wherever people set some. In doubt the server is asked for them.
var decisive = [...]string{"sql_mode", "time_zone", clientCharset, connectionCollation}

// release ends what gather began, behind a request of the client.
func (m *Machine) release(o obscurity, w engine.Wire) {
	t := &m.statements
	if o == doubtful && len(t.byID) > 0 {
		if len(m.session.asks)+len(decisive) > maxSettings {
			o = obscure
		} else {
			for _, name := range decisive {
				m.askBack(name)
			}
		}
	}
	obscured := o != evident
	t.private = t.private || obscured
	if len(t.byID) == 0 || !obscured && !t.gathered {
		return
	}
	for _, s := range t.byID {
		s.gathered, s.missing = false, false
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
				s.lost = o == obscure
			}
		}
	}
	t.gathered = false
	m.makeRoom(maxPrepared, w)
	if t.kept > 0 {
		m.tellKept(w)
	}
}

// settingsReport is what the server said of settings in its answer to a request.
type settingsReport struct {
	reported bool // it said something
	matter   bool // of one that matters to statements and cannot be restored
}

// obscures says whether the request that is over has obscured the meaning of statements. Settings that do not pin, by
// configuration, do not last. kinds are those of what it left.
func (m *Machine) obscures(kinds uint32) obscurity {
	r := &m.request
	if m.ignored && m.pins.reported&bit(engine.KindSetting) == 0 || r.command == protocol.COM_SET_OPTION {
		return evident
	}
	switch a := r.class.sets(); {
	case (r.kinds|r.class.kinds)&bit(engine.KindSetting) == 0, r.settings.reported && !r.settings.matter && !r.failed && !a.obscure():
	case m.reportsLate():
		return doubtful
	case a == nil, a.charsets > 0, r.class.kinds&bit(engine.KindSetting) != 0, slices.ContainsFunc(a.names, func(name string) bool { return !indifferent(name) }):
		return obscure
	}
	if r.failed && (kinds&bit(engine.KindUnknown) != 0 || m.executedAny()) {
		return doubtful
	}
	return evident
}

// reportsLate says whether what the request reports was set before it, by code that failed: an ERR has no reports, and the next OK has
// those that are due. What matters of it is going to be asked for.
func (m *Machine) reportsLate() bool {
	c := m.request.class
	const sets = 1<<engine.KindSetting | 1<<engine.KindUnknown
	return len(m.session.asks) > 0 && c.sets() == nil && c.kinds&sets == 0 && !c.has(classCalls)
}

// executedAny says whether the request, which failed, may have executed any text by EXECUTE.
func (m *Machine) executedAny() bool {
	r, h := &m.request, m.holding
	switch {
	case r.class.kinds&bit(engine.KindPreparedStatement) == 0, r.errno == protocol.ER_UNKNOWN_STMT_HANDLER && r.single:
		return false
	case r.act == nil, !r.act.single:
		return true
	}
	return r.act.verb == verbExecute && (h == nil || !slices.Contains(h.names[holdPrepared], r.act.names[0]))
}
