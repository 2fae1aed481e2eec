package mysql

import (
	"bytes"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// execution is what the beginning of a COM_STMT_EXECUTE says (section "COM_STMT_EXECUTE"). Its slices point into what was
// parsed.
type execution struct {
	params int    // that have values
	typed  bool   // their types follow
	flag   int    // where in the payload that is said, 0 if nowhere
	bulk   bool   // of many rows
	types  []byte // with names, if query attributes were agreed on
	nulls  []byte // a bit for each parameter
	values []byte // of those that are not NULL, as far as they are there
	opens  bool   // a cursor is asked for
}

// executionHead is the command, the id, flags, and the number of iterations.
const executionHead = 1 + 4 + 1 + 4

// cursorTypes are the flags that ask for a cursor.
const cursorTypes = protocol.CURSOR_TYPE_READ_ONLY | protocol.CURSOR_TYPE_FOR_UPDATE | protocol.CURSOR_TYPE_SCROLLABLE

// hasCount is PARAMETER_COUNT_AVAILABLE: there may be more parameters than the statement has.
const hasCount = 8

// parseExecution reads as much of a payload as is there. params is how many parameters the statement has.
func parseExecution(payload []byte, params int, attributes bool) (e execution, ok bool) {
	f := fields{rest: payload}
	head := f.bytes(executionHead)
	if f.bad {
		return e, false
	}
	e.params, e.opens = params, head[5]&cursorTypes != 0
	if attributes && (params > 0 || head[5]&hasCount != 0) {
		n := f.integer()
		if n > maxAttributeCount {
			return e, false
		}
		e.params = int(n)
	}
	if e.params == 0 {
		return e, !f.bad
	}
	e.nulls = f.bytes((e.params + 7) / 8)
	e.flag = len(payload) - len(f.rest)
	e.typed = f.uint8() == 1
	e.values = f.rest
	if !e.typed || f.bad {
		return e, !f.bad
	}
	before := f.rest
	if attributes {
		for range e.params {
			f.uint16()
			f.text()
		}
	} else {
		f.bytes(2 * e.params)
	}
	e.types, e.values = before[:len(before)-len(f.rest)], f.rest
	return e, !f.bad
}

// comBulkExecute is MariaDB's COM_STMT_BULK_EXECUTE ("COM_STMT_BULK_EXECUTE"): the statement is executed for each of many rows of values, with one
// answer. Here it is a COM_STMT_EXECUTE of another form.
const comBulkExecute = 0xfa

// bulkTypes is the flag, in the first of two bytes of a bulk execution's, that says that types follow.
const bulkTypes = 128

// parseBulk is parseExecution for a COM_STMT_BULK_EXECUTE, whose values are not taken apart: in a row each has an indicator before it, and there
// may be millions.
func parseBulk(payload []byte, params int) (e execution, ok bool) {
	f := fields{rest: payload}
	f.bytes(1 + 4) // the command and the id
	e.params, e.bulk, e.flag = params, true, len(payload)-len(f.rest)
	e.typed = f.uint16()&bulkTypes != 0
	if e.typed {
		e.types = f.bytes(2 * params)
	}
	return e, !f.bad
}

// execute relays a COM_STMT_EXECUTE, or a COM_STMT_BULK_EXECUTE.
func (m *Machine) execute(p packet, s *statement, w engine.Wire) (int, error) {
	c := s.class
	c.flags &^= classUse // behind which a server goes back to the default database that it had
	m.request.class, m.request.scanned = c, true
	if s.failure != nil { // as a server has used long data up when it has executed a statement
		m.refusal, s.failure = s.failure, nil
		return m.refused(p, w)
	}
	if !m.hold(w) {
		return 0, nil
	}
	attributes := m.can(protocol.CLIENT_QUERY_ATTRIBUTES)
	if attributes != (m.state.capabilities&protocol.CLIENT_QUERY_ATTRIBUTES != 0) {
		m.refusal = errAttributes
		return m.refused(p, w)
	}
	var e execution
	var sound bool
	if m.request.bulk {
		if m.state.capabilities&bulkOperations == 0 {
			m.refusal = errBulk
			return m.refused(p, w)
		}
		e, sound = parseBulk(p.body(), s.params)
	} else {
		e, sound = parseExecution(p.body(), s.params, attributes)
	}
	m.request.opens = e.opens
	if !m.prepareApart(s, w) {
		m.refusal = errStatementLost
		return m.refused(p, w)
	}
	h, types := m.typed(s, &e, sound, attributes, c, w)
	if h == nil || !m.gather(c, w) {
		if m.refusal != nil && m.queue.count == 0 {
			return m.refused(p, w)
		}
		return 0, nil
	}
	if len(types) > 0 && p.size+len(types) >= headerSize+maxPayload {
		m.refusal = errTypesApart
		return m.refused(p, w)
	}
	if ok, n, err := m.ready(p, c, w); !ok {
		return n, err
	}
	m.uses(s, h)
	m.remember(c, s.text())
	m.lookAtTables(s.text())
	m.loginsSent(c, s.text())
	m.keepRequest(p, s)
	putID(p, h.id)
	if len(types) > 0 {
		m.executeTyped(p, &e, types, w)
	} else {
		w.ToBackend(p.bytes)
	}
	m.shaped(h, s, sound && !e.bulk && s.typed == e.params && !h.widened(&e, s, attributes))
	h.types, h.retyped, h.used = s, s.retyped, true
	m.expect(shapeResults, purposeForward, 1)
	m.streamOn(p)
	return len(p.bytes), nil
}

// text is the statement's, nil if it is not remembered.
func (s *statement) text() []byte {
	if s.shared == nil {
		return nil
	}
	return s.shared.text()
}

// typed returns what the backend has of s, and the types of parameters that must be added to the execution e. It returns nil as
// present does.
func (m *Machine) typed(s *statement, e *execution, sound, attributes bool, c class, w engine.Wire) (h *heldStatement, types []byte) {
	switch {
	case sound && e.typed:
		s.reshape(e.types, attributes)
		s.remember(e) // even if the statement cannot be prepared here: its own server would know them now
	case sound && s.typed == e.params:
		s.reshape(s.types, attributes)
	}
	if (c.has(classPrevious) || c.has(classDiagnostics) && m.pins.result) && m.lacks(s) {
		m.refusal = errPrevious // preparing it replaces what it asks for
		return nil, nil
	}
	h = m.present(s, w)
	if h == nil {
		return nil, nil
	}
	switch {
	case sound && e.typed:
		if h.types == s { // the server has those of before, should this one be refused
			h.types = nil
		}
	case sound && e.params == 0, s.own != nil && h.knows(s):
	case sound && s.typed == e.params:
		if !h.knows(s) {
			types = s.types
		}
	case h.used && s.own == nil: // the server would take another session's types
		m.drop(s.shared, w)
		return m.present(s, w), nil
	}
	return h, types
}

// remember notes the types of parameters that an execution sends. Those of query attributes have names, which may be of any length.
func (s *statement) remember(e *execution) {
	if s.typed == e.params && bytes.Equal(s.types, e.types) {
		return
	}
	s.retyped++
	s.types, s.typed = s.types[:0], 0
	if len(e.types) <= 4*s.params+maxNamedTypes {
		s.types, s.typed = append(s.types, e.types...), e.params
	}
}

// maxNamedTypes is how many bytes of types are remembered for attributes.
const maxNamedTypes = 256

// keepRequest remembers p, which executes s, in case the server turns out not to have s as it should be. It is not remembered a
// second time, nor if another of the server's statements would not be the same.
func (m *Machine) keepRequest(p packet, s *statement) {
	m.state.sent = m.state.sent[:0]
	if !m.request.bulk && m.statements.again == nil && s.own == nil && s.repeatable && p.whole() && p.size <= maxWhole {
		m.state.sent = append(m.state.sent, p.bytes...)
	}
}

// mayRepeat says whether s may be executed once more after an error whose number says that it was not executed: in a procedure
// that may be the number of another error, behind something that was.
func (s *statement) mayRepeat() bool {
	if s.class.kinds != 0 || s.shared == nil || bytes.IndexByte(s.shared.text(), '(') >= 0 { // no function either
		return false
	}
	r := actReader{rest: s.shared.text()}
	first := r.next()
	return first.is("SELECT") && !r.conditional
}

// executeAgain says whether the request, which failed, is executed once more: the server did not know the statement, or wants it
// prepared again.
func (m *Machine) executeAgain(failure *engine.ServerError, w engine.Wire) bool {
	t := &m.statements
	// EXECUTE in SQL fails in the same words, and what an earlier request sent is not its.
	if m.request.command != protocol.COM_STMT_EXECUTE || len(m.state.sent) == 0 ||
		failure.Number != protocol.ER_UNKNOWN_STMT_HANDLER && failure.Number != protocol.ER_NEED_REPREPARE {
		return false
	}
	t.again = t.current
	m.drop(t.again.shared, w)
	t.current, t.using = nil, nil
	m.request.active, m.request.scanned = false, true
	m.number--
	return true
}

// goAgain goes on with what executeAgain began, when no answers are awaited.
func (m *Machine) goAgain(w engine.Wire) error {
	t := &m.statements
	p := packet{bytes: m.state.sent, size: len(m.state.sent)}
	m.request.command, m.request.sequence = p.command(), 0
	var n int
	var err error
	if m.refusal != nil {
		n, err = m.refused(p, w)
	} else {
		n, err = m.execute(p, t.again, w)
	}
	if n > 0 {
		t.again = nil
	}
	return err
}

// executeTyped sends p, the execution e without types, with types behind its flag.
func (m *Machine) executeTyped(p packet, e *execution, types []byte, w engine.Wire) {
	head := append(m.state.scratch[:0], p.bytes[:headerSize+e.flag]...)
	rest := p.bytes[headerSize+e.flag:]
	if e.bulk {
		head = append(head, rest[0]|bulkTypes, rest[1])
		rest = rest[2:]
	} else {
		head = append(head, 1)
		rest = rest[1:]
	}
	head = append(head, types...)
	resize(head, p.size-headerSize+len(types))
	w.ToBackend(head)
	w.ToBackend(rest)
	m.state.scratch = head[:0]
}
