package mysql

import (
	"strconv"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// wait_timeout is for how many seconds a server lets a connection be silent. What a session has set of it is the session's, like any
// variable, and the core ends the session by it, since backends in the pool are silent for other reasons. One that has a short
// time would be ended there while somebody else takes it: it gets back what it had.

const waitTimeout = "wait_timeout"

// calmFrom is which time backends in the pool may have from sessions.
const calmFrom = time.Minute

// patience returns the wait_timeout in s; 0: there is none.
func (s *settings) patience() time.Duration {
	value, ok := s.value(waitTimeout)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 32) // at most a year
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// Patience implements engine.Patient.
func (m *Machine) Patience() time.Duration { return m.session.settings.patience() }

// hurries says whether the held backend would end too soon in the pool, for what a session has set.
func (m *Machine) hurries() bool {
	if m.state.settings == nil {
		return false
	}
	set, base := m.state.settings.patience(), m.state.base.patience()
	return set > 0 && set < calmFrom && base > set
}

// calm gives the held backend the time back that it began with.
func (m *Machine) calm(w engine.Wire) {
	base, _ := m.state.base.value(waitTimeout)
	m.ask("SET @@SESSION."+waitTimeout+"="+base, purposeCalm, w)
}

// calmed notes that it has it.
func (m *Machine) calmed() {
	base, _ := m.state.base.value(waitTimeout)
	m.state.settings, _ = m.state.settings.with(waitTimeout, base)
}
