package mysql

import "github.com/berthdb/berth/core/engine"

// Procedures, and functions that a statement names together with their schema, are SQL of the server's own: what they do is
// in their bodies. The server reports most of what they leave (trackers), and has said whether any code leaves anything else
// (hidden). So a statement that calls some is judged where its backend would go back: it pins only where there is such code.
// Without a fresh verdict the backend stays until there is one. After an error nothing is reported, so that pins.

// called notes that a statement of class c is over that called stored code. It returns the kinds of state that it has left
// for all that is known.
func (m *Machine) called(c class) (kinds uint32) {
	if !c.has(classCalls) {
		return 0
	}
	u := m.state.unseen
	switch {
	case m.request.failed, m.unseenChanges == engine.UnseenPin, m.unseenChanges != engine.UnseenTrust && u == nil:
		return bit(engine.KindUnknown)
	case m.unseenChanges != engine.UnseenTrust:
		m.judging = true
	}
	return 0
}

// judge decides, at a boundary, about the code that was called. It says whether an answer is awaited first.
func (m *Machine) judge(w engine.Wire) (waits bool) {
	u := m.state.unseen
	switch u.now() {
	case suspicionNone, suspicionReset:
		m.judging = false
		if m.hides(hiddenLeaves | hiddenCallsLeave) {
			m.leaveUnseen(w)
		} else if m.holding != nil {
			m.letGo(w)
		}
		return false
	case suspicionStale:
		// The question would replace what SHOW WARNINGS has.
		if !m.pins.result && u.take() {
			m.ask(unseenQuery, purposeUnseen, w)
			return true
		}
	}
	m.report(engine.KindUnknown, w)
	if m.holding == nil {
		m.holding = &holding{}
	}
	return false
}
