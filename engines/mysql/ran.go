package mysql

// MySQL reads a procedure or function when a connection first calls it, with the settings of that moment, and keeps to that on this
// connection (manual, "Stored Program Caching"; a literal with an offset is converted to time_zone by then), or prepares what calls it. So a
// session does not get a backend that has read code under other settings before that is reset. What the server keeps with the code itself makes
// no difference, nor what it keeps with a table for all connections: triggers, though not the functions that they call.

// ran is how a backend has read code since it was clean.
type ran struct {
	any      bool
	own      bool      // the last time was the session's that holds it
	settings *settings // of the last time
	meaning  string    // of all times, ranMixed if they differ
}

// ranMixed is no meaning.
const ranMixed = "?"

// codeMeaning is how code is read with s on a backend that was dialed with base.
func (s *settings) codeMeaning(base *settings) string { return s.spelled(base, indifferentToCode) }

// indifferentToCode says whether a setting changes nothing in how code is read: some the server keeps with the code.
func indifferentToCode(name string) bool {
	switch name {
	case "sql_mode", clientCharset, connectionCharset, connectionCollation:
		return true
	}
	return indifferent(name)
}

// runs notes that a statement of class c is sent, or prepared.
func (m *Machine) runs(c class) {
	r, now := &m.state.ran, m.state.settings
	if !m.state.dialect.isMySQL() || !c.has(classCalls) && !(c.has(classTables|classDefines) && !c.has(classShows) && m.hides(hiddenRuns)) {
		return
	}
	meaning := ranMixed
	if c.sets() == nil {
		if r.any && r.settings == now {
			r.own = true
			return
		}
		meaning = now.codeMeaning(m.state.base)
	}
	if r.any && r.meaning != meaning {
		meaning = ranMixed
	}
	*r = ran{true, true, now, meaning}
}

// ranOtherwise says whether the held backend, to which the session has sent nothing yet, has read code under other settings.
func (m *Machine) ranOtherwise() bool {
	r := &m.state.ran
	switch {
	case !r.any || r.own || !m.state.untouched:
		return false
	case r.settings == m.session.settings && r.meaning != ranMixed:
		return false
	}
	return r.meaning != m.session.settings.codeMeaning(m.state.base)
}
