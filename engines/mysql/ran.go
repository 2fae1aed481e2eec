package mysql

// MySQL reads a procedure or function when a connection first calls it, with the settings of that moment, and keeps to that on this
// connection (manual, "Stored Program Caching"; a literal with an offset is converted to time_zone by then). So a session does not get a
// backend that has called code under other settings before that is reset. What the server keeps with the code itself makes no difference.

// ran is how a backend has read the code that it has called since it was clean.
type ran struct {
	any      bool
	settings *settings // of the last call
	meaning  string    // of all calls, ranMixed if they differ
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

// runs notes that a statement of class c is sent.
func (m *Machine) runs(c class) {
	r := &m.state.ran
	if !c.has(classCalls) || !m.state.dialect.isMySQL() || r.any && r.settings == m.session.settings {
		return
	}
	meaning := m.session.settings.codeMeaning(m.state.base)
	if r.any && r.meaning != meaning {
		meaning = ranMixed
	}
	*r = ran{true, m.session.settings, meaning}
}

// ranOtherwise says whether the held backend, to which the session has sent nothing yet, has called code under other settings.
func (m *Machine) ranOtherwise() bool {
	r := &m.state.ran
	switch {
	case !r.any || !m.state.untouched:
		return false
	case r.settings == m.session.settings && r.meaning != ranMixed:
		return false
	}
	return r.meaning != m.session.settings.codeMeaning(m.state.base)
}
