package mysql

import (
	"slices"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// What the machine itself asks of a backend, always in an order that the answers' queue records. Whatever a statement
// of the client depends on is set, and answered, before the statement is sent: a failure then cannot make it run
// against another session's state. A KILL QUERY that comes late could make any of these fail.

const (
	readInsertID = "SELECT LAST_INSERT_ID() LIMIT 1" // whatever sql_select_limit is
	zeroInsertID = "SET last_insert_id=0"
	setInsertID  = "SET last_insert_id="
	// clearDiagnostics leaves SHOW WARNINGS empty. MariaDB keeps warnings until a statement uses a table, if only a
	// derived one; MySQL until the next statement.
	clearDiagnostics = "SELECT 1 FROM (SELECT 1) AS berth"
)

// maxInsertID is the length of a row with an unsigned 64-bit number, in character_set_results of up to four bytes a digit.
const maxInsertID = 1 + 4*20

// digits are those of a number in any character set: the other bytes of UTF-16 and UTF-32 are 0.
func digits(text []byte) []byte {
	return slices.DeleteFunc(text, func(c byte) bool { return c == 0 })
}

// send sends a command of the machine's own.
func (m *Machine) send(command byte, text string, w engine.Wire) {
	p := append(m.state.scratch[:0], 0, 0, 0, 0, command)
	if command == protocol.COM_QUERY && m.state.capabilities&protocol.CLIENT_QUERY_ATTRIBUTES != 0 {
		p = append(p, 0, 1) // no attributes, in one set (section "COM_QUERY")
	}
	p = append(p, text...)
	if command == protocol.COM_RESET_CONNECTION {
		m.dropStatements()
	}
	resize(p, len(p)-headerSize)
	w.ToBackend(p)
	m.state.scratch = p[:0]
	m.disturb(command, text)
}

// ask sends a query whose answer is swallowed.
func (m *Machine) ask(query string, p purpose, w engine.Wire) {
	m.send(protocol.COM_QUERY, query, w)
	m.expect(shapeResults, p, 1)
}

// align brings the held backend in line with the session for a statement of class c. It returns false if answers are
// awaited first, or if the statement must be refused (m.refusal).
func (m *Machine) align(c class, w engine.Wire) bool {
	if m.refusal != nil {
		return false
	}
	if c.has(classDiagnostics) && m.listGone() {
		m.refusal = errPrevious
		return false
	}
	if c.has(m.writtenElsewhere()) {
		m.refusal = errWritten
		return false
	}
	if m.session.schema != m.state.schema && m.session.schema != "" && !c.has(classUse) {
		if !m.knowsReading(m.session.schema, w) {
			return false
		}
		m.sendSchema(m.session.schema, purposeSchema, w)
	}
	m.alignTracking(c, w)
	foreign := m.foreign()
	asks := m.asksList(c) || m.state.stale && !m.pins.result && m.keepsList()
	if !m.insertID.exact && (c.has(classInsertID) || m.mayRead(c)) {
		m.alignInsertID(c, w)
		if asks && m.queue.count > 0 {
			return false // it may go on, and replaces diagnostics
		}
	}
	if m.state.stale && m.state.mariaDB && m.state.last != m || asks && foreign && (!m.pins.result || m.previous.unknown != "") && !m.request.cleared {
		m.sendDiagnostics(c, w)
	}
	if foreign && m.queue.count == 0 {
		m.alignRows(c, w)
	}
	if (c.has(classPrevious) && foreign || c.has(classAsksFound) && !m.foundHere()) && m.queue.count == 0 {
		m.refusal = errPrevious
	}
	return m.queue.count == 0 && m.refusal == nil
}

// codeReads says whether a statement of class c may execute code that reads ROW_COUNT() and the like of the statement before.
func (m *Machine) codeReads(c class) bool {
	return c.has(classCode) && !c.has(classDiagnostics) && m.hides(hiddenPrevious)
}

// asksList says whether a statement of class c may read the list of warnings and errors, or the length of one that no backend has.
func (m *Machine) asksList(c class) bool {
	return c.has(classDiagnostics) || m.countsList() || m.codeReads(c) && (m.previous.repeats() || m.previous.deprecated)
}

// alignRows makes ROW_COUNT() on the held backend, which has not the session's, what it is known to be, if code may read it. What code
// reads of a statement that has changed rows is where that was executed: the session has kept its backend.
func (m *Machine) alignRows(c class, w engine.Wire) {
	v := &m.previous
	if m.request.counted || !v.rowsKnown || m.refusal != nil || !m.codeReads(c) {
		return
	}
	m.request.counted = true
	switch {
	case v.rows == 0:
		m.send(protocol.COM_PING, "", w)
		m.expect(shapeOne, purposeRows, 1)
	case v.rows < 0 && !m.request.cleared && (v.local || !m.pins.result): // it replaces the list
		m.ask("SELECT 1", purposeRows, w)
	}
}

// mayRead says whether a statement that does not say so may read LAST_INSERT_ID(), where the backend's may not be the
// session's. Where the session's is lost, a statement is not refused for what it hardly does; and to set it would replace
// diagnostics. Where code may read the values of the previous statement, too, nothing may come between that one and the code:
// it is set in front of the first statement of any sort.
func (m *Machine) mayRead(c class) bool {
	return (c.has(classCode) || m.hides(hiddenPrevious)) && !c.has(classDiagnostics) && m.insertID.value != 0 && !m.insertID.lost && m.hides(hiddenInsertID)
}

// touchInsertID notes that a statement may have changed LAST_INSERT_ID() on the held backend. That had 0 when it was borrowed: if the
// session's was 0, too, it is the session's still, whatever it is.
func (m *Machine) touchInsertID() {
	m.insertID.touched = true
	m.insertID.exact = m.insertID.exact || m.insertID.value == 0 && !m.insertID.lost
}

// alignInsertID gives the backend the session's LAST_INSERT_ID() for a statement of class c, unless a statement has just made it there.
func (m *Machine) alignInsertID(c class, w engine.Wire) {
	switch {
	case m.insertID.value == 0 && !m.insertID.touched && !m.insertID.lost: // as backends have
	case c.has(classDiagnostics) && m.pins.result && !m.state.mariaDB:
		m.refusal = errPrevious // to set or to ask for it replaces the diagnostics, but for MariaDB's
	case m.insertID.touched:
		m.ask(readInsertID, purposeRead, w) // then set, if it had not changed after all
	case m.insertID.lost:
		m.refusal = errInsertIDLost
	default:
		m.send(protocol.COM_QUERY, setInsertID+strconv.FormatUint(m.insertID.value, 10), w)
		m.expect(shapeResults, purposeWrite, 1)
	}
}

// swallowed deals with the answer to something that the machine asked itself.
func (m *Machine) swallowed(p purpose, failure *engine.ServerError, w engine.Wire) error {
	switch {
	case p == purposeUnseen || p == purposeReset && failure == nil:
		m.swept(p, failure)
	case p == purposeStored:
		m.functionsKnown(failure, w)
		m.settle(w)
		return nil
	case p == purposeLocks:
		m.inquired(w)
		m.settle(w)
		return nil
	case p == purposePlace || p == purposePrepare || p == purposeMeaning:
		m.restored(p, failure, w)
	case p == purposeSettings:
		m.answeredSettings(failure, w)
	case p == purposeRepeat:
		m.repeated(failure)
	case failure != nil:
		return m.swallowedFailure(p, failure, w)
	case p == purposeSchema && m.login == loginPending:
		m.state.schema = m.session.schema
		m.e.verifyDatabase(m.info.loginDatabase(), m.session.schema)
		m.welcome(w)
		return nil
	default:
		if err := m.done(p, w); err != nil {
			return err
		}
	}
	if !m.request.scanned {
		m.settle(w)
	}
	return nil
}

// swallowedFailure deals with the failure of something that nothing else is prepared for.
func (m *Machine) swallowedFailure(p purpose, failure *engine.ServerError, w engine.Wire) error {
	switch {
	case p == purposeRestore && m.refusedRestore(failure, w):
		return nil
	case p == purposeRestore || p == purposeCompare:
		return notRestored(failure)
	case p == purposeSchema:
		m.noSchema(failure, w)
		return nil
	}
	return failure // the backend's state is not known any more
}

// done notes that something has been executed.
func (m *Machine) done(p purpose, w engine.Wire) error {
	switch p {
	case purposeSchema:
		m.state.schema = m.session.schema
	case purposeAfresh:
		m.disown()
		m.wasCleaned()
	case purposeCompare:
		if !m.compared() {
			return broken("not as many values as variables")
		}
	case purposeRestore:
		w.Observe(engine.StateRestored)
	case purposeTrack:
		m.state.tracksLess = true
	case purposeTracked:
		m.learnTracked(w)
	case purposeTrackAll:
		m.state.tracksLess = false
	case purposeCalm:
		m.calmed()
	case purposeEase:
		m.state.settings = m.state.settings.eased(m.state.dialect)
	case purposeClear:
		m.state.stale = m.state.stale && !m.state.mariaDB
		m.diagnosed()
	case purposePlaced:
		if !m.placed(w) {
			return broken("malformed name of a database")
		}
	case purposeRead:
		if !m.readInsertID() {
			return broken("malformed LAST_INSERT_ID()")
		}
	case purposeWrite:
		m.insertID.exact = true
	case purposeZero:
		m.insertID.exact = false
	}
	return nil
}

// noSchema deals with a default database that is gone, or that the user may not use any more.
func (m *Machine) noSchema(failure *engine.ServerError, w engine.Wire) {
	m.e.forgetDatabase(m.info.key.User, m.session.schema)
	if m.login == loginPending {
		m.fail(failure, w)
		return
	}
	m.refusal = failure
}

// readInsertID takes in the answer to readInsertID.
func (m *Machine) readInsertID() bool {
	f := fields{rest: m.state.scratch}
	n, err := strconv.ParseUint(string(digits(f.text())), 10, 64)
	if err != nil || f.bad {
		return false
	}
	m.insertID.touched = false
	if n != 0 || m.insertID.exact {
		// Backends have 0 when they are borrowed: anything else is the session's own.
		m.insertID.value, m.insertID.exact, m.insertID.lost = n, true, false
	}
	return true
}

// resetBackend makes the held backend like new, for a purpose of the machine's own.
func (m *Machine) resetBackend(p purpose, w engine.Wire) {
	m.state.tracksLess = false
	m.send(protocol.COM_RESET_CONNECTION, "", w)
	m.expect(shapeOne, p, 1)
	if m.state.initConnect != "" {
		m.ask(m.state.initConnect, p, w)
	}
	m.ask(m.state.arm, p, w)
	if m.state.role != "" {
		m.ask(m.state.role, p, w)
	}
	if q := m.b.Target.InitQuery; q != "" {
		m.ask(q, p, w)
	}
}

// rearm brings back what COM_RESET_CONNECTION took from the backend beyond what was the client's. Roles that code may have taken go; those
// of SET ROLE stay, as they do on a server, and keep the backend.
func (m *Machine) rearm(w engine.Wire) {
	m.state.tracksLess = false
	if m.state.initConnect != "" {
		m.ask(m.state.initConnect, purposeArm, w)
	}
	m.ask(m.state.arm, purposeArm, w)
	if m.state.role != "" && m.pins.reported&bit(engine.KindRole) == 0 {
		m.ask(m.state.role, purposeArm, w)
	}
	if q := m.b.Target.InitQuery; q != "" {
		m.ask(q, purposeArm, w)
	}
}

// wasReset starts the session afresh on the backend that it holds. Its default database stays (manual,
// "mysql_reset_connection()").
func (m *Machine) wasReset(w engine.Wire) {
	m.resetVirtual()
	m.adoptAutocommit()
	m.wasCleaned()
	role := m.pins.reported&bit(engine.KindRole) != 0
	w.Report(engine.Event{Kind: engine.KindReset})
	m.pins, m.holding, m.judging, m.toJudge = pins{}, nil, false, nil
	if role { // servers keep it, and so does the session
		m.keepLasting(engine.KindRole, w)
	}
	if (m.info.key.Database == "") != (m.session.schema == "") {
		m.report(engine.KindSchema, w)
	}
	if m.state.options {
		m.report(engine.KindSetting, w)
	}
}

// wasCleaned notes that the held backend was reset. It keeps its default database, but not what that says of character sets.
func (m *Machine) wasCleaned() {
	m.state.settings, m.state.ran, m.state.gtid = nil, ran{}, nil
	if m.state.schema != "" {
		m.state.schema = unknownSchema
	}
}

// loseVirtual is what a reset of the backend does to a session with state that neither pins nor is restored.
func (m *Machine) loseVirtual() {
	s := m.session
	m.session = session{schema: s.schema, settings: s.settings, gtid: s.gtid, status: statusOf(s.settings), wide: s.wide, imposed: s.imposed, tracked: s.tracked, owed: s.owed}
}

// resetVirtual is what COM_RESET_CONNECTION does to the session.
func (m *Machine) resetVirtual() {
	m.loginsAnew()
	imposed := m.session.imposed
	m.session = session{schema: m.session.schema, status: statusAutocommit, imposed: imposed}
	m.session.wide = wideCharset(m.charset())
	m.previous.setRows(0)
	m.previous.list, m.previous.deprecated, m.previous.unsupported, m.previous.unknown = list{}, false, nil, ""
	m.statements = sessionStatements{}
	m.insertID = insertID{}
}
