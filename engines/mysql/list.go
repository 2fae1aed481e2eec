package mysql

// MariaDB clears its list of warnings and errors only with a statement that uses a table, or that has some itself (manual, "SHOW
// WARNINGS"): SELECT 1, SET and COMMIT leave it as it is. A session does not keep its backend for that, or every pool would hold
// backends whose connections have rolled back an error and wait. Who asks for the list behind such a statement, on another
// backend, is told that it is gone.

// list is what is known of the session's list where no pin says it.
type list struct {
	some bool // MariaDB: there may be something in it, on the backend of the statement before
	gone bool // it cannot be had: that backend went back, or the error was the proxy's own
}

// any says whether it matters when the next statement comes that uses a table.
func (l list) any() bool { return l.some || l.gone }

// noteListed notes what the statement that is over left of the list. told says that it had warnings or failed.
func (m *Machine) noteListed(told bool) {
	r := &m.request
	switch {
	case m.state.mariaDB && told:
		m.previous.list = list{some: true}
		m.state.stale = true
	case m.state.mariaDB && r.usesTable:
		m.previous.list = list{}
		m.state.stale = false
	case !m.state.mariaDB && !m.keepsList() && (told || !r.class.has(classDiagnostics)):
		m.previous.list = list{}
	}
}

// noteCount notes that the answer at hand says that there is something in MySQL's list, or nothing: each says so, but for those of what shows the
// list.
func (m *Machine) noteCount(some bool) {
	switch {
	case m.state.mariaDB:
	case some:
		m.state.stale = true
	case m.queue.head().purpose != purposeForward || !m.request.class.has(classDiagnostics):
		m.state.stale = false
	}
}

// disown notes that what the statement before left on the held backend is nobody's. Of MySQL's list noteCount has said what there is.
func (m *Machine) disown() {
	m.state.last = nil
	m.state.stale = m.state.stale || m.state.mariaDB
}

// listGone says whether the held backend has not what may be in the list.
func (m *Machine) listGone() bool {
	l := m.previous.list
	return l.gone || l.some && !m.pins.result && m.foreign()
}

// movesList notes, in front of a statement, that the list stays behind.
func (m *Machine) movesList() {
	if m.listGone() {
		m.previous.list = list{gone: true}
	}
}

// losesList notes that the held backend is being asked to prepare a statement for the session, which clears the list if that uses a table.
func (m *Machine) losesList() {
	if m.state.mariaDB && m.previous.list.any() {
		m.previous.list = list{gone: true}
	}
}

// lookAtTables notes whether the request that is being sent, with this text, clears the list.
func (m *Machine) lookAtTables(text []byte) {
	if m.previous.list.any() {
		m.request.usesTable = usesTable(text)
	}
}

// usesTable says whether a text surely uses a table and is nothing else.
func usesTable(text []byte) (uses bool) {
	r := actReader{rest: text}
	first := r.next()
	uses = first.is("INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE")
	depth, over := 0, false
	var prev piece
	for p := r.next(); p.kind != tokenNone; p = r.next() {
		switch {
		case over:
			return false // several statements
		case p.char(';'):
			over = true
		case p.char('('):
			depth++
		case p.char(')'):
			depth--
		}
		if prev.is("FROM") && depth == 0 && (p.kind == tokenName || p.kind == tokenWord && !p.is("DUAL")) {
			uses = uses || first.is("SELECT")
		}
		prev = p
	}
	return uses && !r.conditional && !r.bad
}
