package mysql

import (
	"bytes"
	"encoding/binary"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// The commands of prepared statements. A client's own COM_STMT_PREPARE always goes to a server, so that its errors and what it
// says of parameters and columns are the server's. What a statement does counts when it is executed.

// statement relays the commands of prepared statements.
func (m *Machine) statement(p packet, w engine.Wire) (int, error) {
	switch {
	case p.command() == protocol.COM_STMT_PREPARE:
		return m.prepare(p, w)
	case p.command() == comBulkExecute && !m.can(bulkOperations):
		m.refusal = errBulk
		return m.refused(p, w)
	}
	if len(p.bytes) < min(p.size, maxWhole) {
		return 0, nil
	}
	f := fields{rest: p.body()[1:]}
	id := f.uint32()
	if f.bad && answered(p.command()) {
		m.refuse(errMalformed, w)
		return len(p.bytes), nil
	}
	s := m.find(id)
	if f.bad || s == nil {
		m.refusal = m.unknownStatement(p.command(), id)
		return m.refused(p, w)
	}
	switch p.command() {
	case protocol.COM_STMT_CLOSE:
		return m.closeStatement(p, s, w)
	case protocol.COM_STMT_SEND_LONG_DATA:
		return m.longData(p, s, w)
	case protocol.COM_STMT_FETCH:
		if !s.cursor {
			m.refusal = m.noCursor(id)
			return m.refused(p, w)
		}
		return m.toHeld(p, s, s.own, shapeRows, w)
	case protocol.COM_STMT_RESET:
		return m.resetStatement(p, s, w)
	}
	return m.execute(p, s, w)
}

// unknownStatement is what servers say of an id that there is not.
func (m *Machine) unknownStatement(command byte, id uint32) error {
	by := "mysql_stmt_precheck"
	if m.e.isMariaDB() {
		by = map[byte]string{
			protocol.COM_STMT_EXECUTE: "mysqld_stmt_execute", comBulkExecute: "mysqld_stmt_execute", protocol.COM_STMT_FETCH: "mysqld_stmt_fetch",
			protocol.COM_STMT_RESET: "mysqld_stmt_reset",
		}[command]
	}
	return &clientError{rendering{protocol.ER_UNKNOWN_STMT_HANDLER, "HY000",
		"Unknown prepared statement handler (" + strconv.FormatUint(uint64(id), 10) + ") given to " + by}, unknownID(id)}
}

// unknownID is the id, by the client, of a statement that its session does not have.
type unknownID uint32

func (id unknownID) Error() string { return "unknown statement " + strconv.FormatUint(uint64(id), 10) }

func (m *Machine) noCursor(id uint32) error {
	message := "The statement (" + strconv.FormatUint(uint64(id), 10) + ") has no open cursor"
	if !m.e.isMariaDB() {
		message += "."
	}
	return &clientError{rendering: rendering{protocol.ER_STMT_HAS_NO_OPEN_CURSOR, "HY000", message}}
}

var (
	// errAttributes is for a group whose servers differ in what they know.
	errAttributes = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		"The database server does not know query attributes, which were negotiated"}}
	// errBulk is what servers say to who has not agreed to bulk operations, and is for a group whose servers differ in them, too.
	errBulk = &clientError{rendering: rendering{protocol.ER_UNSUPPORTED_PS, "HY000",
		"This command is not supported in the prepared statement protocol yet"}}
	errTooManyStatements = &clientError{rendering: rendering{protocol.ER_MAX_PREPARED_STMT_COUNT_REACHED, "42000",
		"Can't create more than max_prepared_stmt_count statements (current value: " + strconv.Itoa(maxStatements) + ")"}}
	// errStatementLost is for statements that no other backend can have as they were.
	errStatementLost = &clientError{rendering: rendering{protocol.ER_NEED_REPREPARE, "HY000",
		"Prepared statement needs to be re-prepared"}}
	// errTypesApart is for what would be the only need to move the bytes of 16 MiB.
	errTypesApart = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		"A COM_STMT_EXECUTE of 16 MiB must send the types of its parameters"}}
)

// prepare relays a COM_STMT_PREPARE.
func (m *Machine) prepare(p packet, w engine.Wire) (int, error) {
	t := &m.statements
	if len(t.byID) >= maxStatements {
		m.refusal = errTooManyStatements
		return m.refused(p, w)
	}
	m.request.class, m.request.scanned = class{}, true
	if !m.hold(w) {
		return 0, nil
	}
	// Code that reads ROW_COUNT() finds that of the statement before. Where nothing may come between, the statement stays on its backend.
	mayAsk := !m.hides(hiddenPrevious) || m.foreign()
	if mayAsk && !m.knowsMeaning(w) {
		return 0, nil
	}
	text := p.body()[1:]
	c := m.classify(p, text)
	if c.has(classKill) || c.has(classKillOther) {
		m.refusal = errKillPrepared
		return m.refused(p, w)
	}
	if ok, n, err := m.ready(p, class{flags: c.flags & classTracking}, w); !ok {
		return n, err
	}
	s := &statement{class: c, schema: m.session.schema}
	// In none it cannot be prepared again once the session has chosen a default database, whose name it would tell.
	placed := m.session.schema != "" || !asksDatabase(text)
	if p.size <= maxWhole && int(t.bytes)+p.size <= maxStatementBytes && (mayAsk || !m.doubtsMeaning()) && placed &&
		!m.e.statements.texts.Full(int(t.bytes)+len(t.byID)*statementRoom) {
		s.shared = &sharedStatement{
			schema: m.session.schema, settings: m.session.settings, meaning: m.session.settings.meaning(m.state.base),
			packet: bytes.Clone(p.bytes),
		}
		if t.private {
			engine.KeptFor(&m.e.statements.texts, s.shared, p.size)
		} else {
			s.shared = m.e.statements.intern(s.shared)
		}
		m.drop(s.shared, w)
		m.makeRoom(m.state.statements.place.room(), w)
	}
	t.preparing, t.retried = s, false
	m.runs(c)
	m.lookAtTables(text)
	w.ToBackend(p.bytes)
	m.expect(shapePrepare, purposeForward, 1)
	m.streamOn(p)
	if m.upload.active {
		l := m.newLexer()
		l.spaced = m.spaced()
		m.upload.lexer = &l
		m.upload.lexer.feed(text)
	}
	return len(p.bytes), nil
}

// preparedAgain takes in the OK of a COM_STMT_PREPARE of the machine's own.
func (m *Machine) preparedAgain(id uint32) {
	h := &heldStatement{id: id}
	m.defines(h)
	m.state.statements.put(m.statements.restoring.shared, h)
}

// prepared takes in the OK of the client's COM_STMT_PREPARE. It returns the id that the client shall see.
func (m *Machine) prepared(id uint32, columns uint16, params int) uint32 {
	t := &m.statements
	h := &heldStatement{id: id}
	m.defines(h)
	s := t.preparing
	t.preparing = nil
	s.params, s.columns = params, columns
	if isSys(s.schema) {
		s.class.flags |= classSys // wherever it is executed
	}
	if params > maxParams || int(t.bytes)+s.size() > maxStatementBytes {
		s.shared = nil
	}
	s.repeatable = s.mayRepeat()
	t.add(s)
	engine.KeptFor(&m.e.statements.texts, s, statementRoom+2*s.params)
	if s.shared == nil {
		m.keep(s, h)
	} else {
		m.state.statements.put(s.shared, h)
	}
	return s.id
}

// tellPrepared reports the statement that the client has prepared.
func (m *Machine) tellPrepared(w engine.Wire) {
	t := &m.statements
	s := t.last
	switch {
	case s == nil:
	case s.kept:
		m.tellKept(w)
	case !t.told:
		t.told = true
		m.tellStatement(engine.Event{Statement: s.shared.text(), Restorable: true}, w)
	}
}

// tellKept reports that a statement cannot leave the backend.
func (m *Machine) tellKept(w engine.Wire) {
	if m.pins.reported&bit(engine.KindPreparedStatement) == 0 {
		m.tellStatement(engine.Event{}, w)
	}
}

func (m *Machine) tellStatement(e engine.Event, w engine.Wire) {
	e.Kind, e.Rule, e.Number = engine.KindPreparedStatement, "COM_STMT_PREPARE", m.number
	switch w.Report(e) {
	case engine.Pin:
		m.pins.pinned = true
		m.pins.reported |= bit(engine.KindPreparedStatement)
	case engine.Ignore:
		m.ignored = m.ignored || !e.Restorable
	}
}

// lacks says whether the held backend does not have s.
func (m *Machine) lacks(s *statement) bool {
	if s.own != nil || s.shared == nil {
		return s.own == nil
	}
	h := m.state.statements.held[s.shared]
	return h == nil || !m.fits(h, s)
}

// present returns what the held backend has of s, after preparing it there if need be. It returns nil if answers are awaited
// first, or if the request must be refused (m.refusal).
func (m *Machine) present(s *statement, w engine.Wire) *heldStatement {
	t := &m.statements
	switch {
	case s.own != nil:
		return s.own
	case m.refusal != nil:
		return nil
	case s.lost || s.shared == nil:
		m.refusal = errStatementLost
		return nil
	}
	if h := m.state.statements.use(s.shared); h != nil && m.fits(h, s) {
		return h
	} else if h != nil {
		m.drop(s.shared, w)
	}
	t.restoring = s
	if !m.knowsMeaning(w) || !m.alignMeaning(s.shared, w) {
		return nil
	}
	if schema := s.shared.schema; schema != m.state.schema && schema != "" {
		if m.session.schema == "" { // nothing would take it away again
			m.refusal = errStatementLost
			return nil
		}
		m.sendSchema(schema, purposePlace, w)
		return nil
	}
	if !t.gathering {
		m.makeRoom(m.state.statements.place.room(), w)
	}
	m.runs(s.class)
	w.ToBackend(s.shared.packet)
	m.disturb(protocol.COM_STMT_PREPARE, "")
	m.expect(shapePrepare, purposePrepare, 1)
	return nil
}

// restored deals with the end of the answer to what present sent.
func (m *Machine) restored(p purpose, failure *engine.ServerError, w engine.Wire) {
	t := &m.statements
	s := t.restoring
	switch {
	case failure == nil && p != purposePrepare:
		if p == purposePlace {
			m.state.schema = s.shared.schema
		}
		m.present(s, w) // before the session's own comes back
		return
	case failure == nil:
		t.retried = false
		t.brought++ // if it is gathered
		m.readsAgain(w)
	case p == purposePrepare && m.fullServer(failure, w):
		return // it is tried again
	case p == purposePrepare && (m.endsFirst(s, failure, w) || m.writesFirst(failure, w)):
		return // then, too
	case t.gathering:
		t.brought++
		m.miss(s)
		m.readsAgain(w)
	default:
		m.refusal = failure
		m.readsAgain(w)
	}
	t.restoring = nil
}

// endsFirst ends a READ ONLY transaction in which MariaDB does not prepare s again, which would end it when it is executed: CREATE TABLE
// and the like, whatever becomes of them.
func (m *Machine) endsFirst(s *statement, failure *engine.ServerError, w engine.Wire) bool {
	if failure.Number != protocol.ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION || !m.state.mariaDB || m.session.status&statusReadOnly == 0 ||
		!s.class.has(classEnds) || s.params > 0 || m.statements.gathering {
		return false
	}
	m.session.status &^= statusInTrans | statusReadOnly
	m.ask("COMMIT AND NO CHAIN NO RELEASE", purposeEnd, w)
	return true
}

// writesFirst lets the next transaction write, which the session has set to be READ ONLY, for a statement to be prepared again that servers do not
// prepare then, and readsAgain ends that. When it is executed the server decides.
func (m *Machine) writesFirst(failure *engine.ServerError, w engine.Wire) bool {
	t := &m.statements
	if failure.Number != protocol.ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION || t.writes || !m.session.traits || m.session.status&statusInTrans != 0 {
		return false
	}
	t.writes = true
	m.ask("SET TRANSACTION READ WRITE", purposeEnd, w)
	return true
}

func (m *Machine) readsAgain(w engine.Wire) {
	if t := &m.statements; t.writes {
		t.writes = false
		m.ask("SET TRANSACTION READ ONLY", purposeEnd, w)
	}
}

// fullServer closes all that the backend has for everybody if a COM_STMT_PREPARE failed because the server has too many
// statements. It says whether that makes sense to be tried again.
func (m *Machine) fullServer(failure *engine.ServerError, w engine.Wire) bool {
	t := &m.statements
	if failure.Number != protocol.ER_MAX_PREPARED_STMT_COUNT_REACHED || t.retried || len(m.state.statements.held) == 0 {
		t.retried = false
		return false
	}
	t.retried = true
	m.makeRoom(0, w)
	return true
}

// prepareAgain sends the client's COM_STMT_PREPARE, which failed for want of room on the server, once more.
func (m *Machine) prepareAgain(failure *engine.ServerError, w engine.Wire) bool {
	s := m.statements.preparing
	if m.request.command != protocol.COM_STMT_PREPARE || s == nil || s.shared == nil || !m.fullServer(failure, w) {
		return false
	}
	w.ToBackend(s.shared.packet)
	return true
}

// resetStatement relays a COM_STMT_RESET, or answers it where no server has anything to reset.
func (m *Machine) resetStatement(p packet, s *statement, w engine.Wire) (int, error) {
	s.failure = nil
	if m.b == nil || m.lacks(s) {
		m.previous.setRows(0)
		m.previous.recount()
		m.previous.local = true
		m.reply(w, appendOK(m.small[:0], 1, m.session.status))
		return len(p.bytes), nil
	}
	return m.toHeld(p, s, m.present(s, w), shapeOne, w)
}

// toHeld passes on a request about a statement that the held backend has as h.
func (m *Machine) toHeld(p packet, s *statement, h *heldStatement, answer shape, w engine.Wire) (int, error) {
	if ok, n, err := m.ready(p, class{}, w); !ok {
		return n, err
	}
	m.uses(s, h)
	putID(p, h.id)
	w.ToBackend(p.bytes)
	m.expect(answer, purposeForward, 1)
	m.streamOn(p)
	return len(p.bytes), nil
}

// unknownSchema is no database's name: what the default database of a backend is must be said before it is used.
const unknownSchema = "\x00"

// placedElsewhere says whether the request executes a statement in another default database than the session's. The server goes
// back to the session's own when it is done, after what it reports.
func (m *Machine) placedElsewhere() bool {
	s := m.statements.current
	return m.request.command == protocol.COM_STMT_EXECUTE && s != nil && s.schema != m.session.schema
}

// uses notes that the request is about s, which the server has as h.
func (m *Machine) uses(s *statement, h *heldStatement) {
	t := &m.statements
	t.current, t.using, t.opened = s, h, false
}

// putID writes the server's id in place of the session's.
func putID(p packet, id uint32) { binary.LittleEndian.PutUint32(p.body()[1:], id) }

// closeStatement takes a statement from the session. The backend keeps it for others if it can.
func (m *Machine) closeStatement(p packet, s *statement, w engine.Wire) (int, error) {
	t := &m.statements
	if s.own != nil {
		m.closeOnServer(s.own.id, w)
		s.own = nil
	}
	if s.live() {
		s.long, s.cursor = false, false
		t.live--
	}
	t.remove(s)
	if s.kept {
		t.kept--
		m.unkept(w)
	}
	m.request.scanned = false
	m.settle(w)
	return len(p.bytes), nil
}

// unkept ends the pin of statements that could not leave the backend, if there are none any more.
func (m *Machine) unkept(w engine.Wire) {
	if m.b == nil || m.statements.kept > 0 || m.pins.reported&bit(engine.KindPreparedStatement) == 0 {
		return
	}
	if m.holding != nil && m.holding.has(engine.KindPreparedStatement) {
		return
	}
	dirty := m.dirty
	m.undo(engine.KindPreparedStatement, w)
	m.dirty = dirty // the statements were closed
}

// longData relays a COM_STMT_SEND_LONG_DATA, which has no answer.
func (m *Machine) longData(p packet, s *statement, w engine.Wire) (int, error) {
	if s.failure != nil { // what is before it is lost
		m.refusal = s.failure
		return m.refused(p, w)
	}
	m.request.class, m.request.scanned = class{}, true
	if !m.hold(w) {
		return 0, nil
	}
	h := m.present(s, w)
	switch {
	case h == nil:
	case m.garblesLong(s, h):
		m.drop(s.shared, w)
		h = m.present(s, w)
	case h.strange: // and what it means cannot be had again
		m.refusal, h = errStatementLost, nil
	}
	if h == nil {
		if m.refusal != nil && m.queue.count == 0 {
			return m.refused(p, w)
		}
		return 0, nil
	}
	m.request.scanned = false
	m.mark(s, h, true, s.cursor, w)
	putID(p, h.id)
	w.ToBackend(p.bytes)
	m.streamOn(p)
	return len(p.bytes), nil
}

// garblesLong says whether the server's statement h, which is not that of s alone, may have had types of others in its last execution. MariaDB takes
// long data for a number, and what it has of it in memory for its value, behind one with a number in its place. MySQL's depend on the shape.
func (m *Machine) garblesLong(s *statement, h *heldStatement) bool {
	return m.state.mariaDB && s.own == nil && s.params > 0 && h.used && !h.knows(s)
}

// failLongData notes that parts of long data are not sent.
func (m *Machine) failLongData(p packet, err error) {
	f := fields{rest: p.body()[1:]}
	if s := m.find(f.uint32()); s != nil && !f.bad {
		s.failure = err
	}
}

// cursor notes whether the statement that was executed has a cursor open: its backend cannot leave.
func (m *Machine) cursor(status uint16, w engine.Wire) {
	s := m.statements.current
	switch {
	case s == nil:
	case m.request.command == protocol.COM_STMT_EXECUTE && status&statusCursor != 0:
		m.statements.opened = true
		m.mark(s, m.statements.using, s.long, true, w)
	case m.request.command == protocol.COM_STMT_FETCH && status&statusLastRow != 0:
		m.mark(s, s.own, s.long, false, w)
	}
}

// finishPrepared notes what the end of the client's request means for the statement that it was about.
func (m *Machine) finishPrepared(w engine.Wire) {
	t, r := &m.statements, &m.request
	if r.command == protocol.COM_STMT_PREPARE {
		r.unsupported = m.unsupported()
		t.preparing = nil
		if !r.failed {
			m.tellPrepared(w)
			m.askPrepared()
		}
		return
	}
	s, h := t.current, t.using
	t.current, t.using = nil, nil
	if s == nil {
		return
	}
	if t.opened { // its rows are still to come
		r.class.flags &^= classCounts | classFinds | classFindsRows
	}
	switch {
	case r.failed && (s.own == nil || s.gathered && !s.live()) && (r.errno == protocol.ER_UNKNOWN_STMT_HANDLER || r.errno == protocol.ER_NEED_REPREPARE):
		// It is prepared again for the next execution.
		if s.own != nil {
			m.closeOnServer(s.own.id, w)
			s.own, s.gathered = nil, false
		} else {
			m.drop(s.shared, w)
		}
	case r.command == protocol.COM_STMT_EXECUTE && r.failed:
		h.types = nil // nobody knows how far it came
		if m.usedUp(s, h) {
			m.closeOnServer(h.id, w)
			s.own = nil
		}
		m.mark(s, h, false, t.opened, w)
	case r.command == protocol.COM_STMT_EXECUTE:
		h.strange = false
		m.mark(s, h, false, t.opened, w)
	case r.command == protocol.COM_STMT_RESET && !r.failed:
		m.mark(s, h, false, false, w)
	}
}

// usedUp says whether the server's statement h, the execution of which failed, had long data and can be closed in case that not all of
// it is gone: servers use it up then, too, and it holds the backend no longer.
func (m *Machine) usedUp(s *statement, h *heldStatement) bool {
	return s.long && s.own == h && !m.statements.opened && !s.kept && !s.gathered
}
