package mysql

import (
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Prepared statements live on the backend on which they were prepared, under its own ids: the first one pins the
// session, so that ids need no translation.

// statement relays the commands of prepared statements.
func (m *Machine) statement(p packet, w engine.Wire) (int, error) {
	if p.command() == protocol.COM_STMT_PREPARE {
		return m.prepare(p, w)
	}
	f := fields{rest: p.body()[1:]}
	m.request.id = f.uint32()
	if f.bad && answered(p.command()) {
		m.refuse(errMalformed, w)
		return len(p.bytes), nil
	}
	if m.b == nil || f.bad {
		return m.noStatement(p, w)
	}
	switch p.command() {
	case protocol.COM_STMT_CLOSE, protocol.COM_STMT_SEND_LONG_DATA:
		return m.unanswered(p, w)
	case protocol.COM_STMT_FETCH:
		return m.forward(p, class{}, shapeRows, w)
	case protocol.COM_STMT_RESET:
		m.closeCursor()
		return m.forward(p, class{}, shapeOne, w)
	}
	if m.can(protocol.CLIENT_QUERY_ATTRIBUTES) != (m.state.capabilities&protocol.CLIENT_QUERY_ATTRIBUTES != 0) {
		m.refusal = errAttributes
		return m.refused(p, w)
	}
	m.closeCursor()
	return m.forward(p, class{}, shapeResults, w)
}

// errAttributes is for a group whose servers differ in what they know.
var errAttributes = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
	"The database server does not know query attributes, which were negotiated"}}

// prepare relays a COM_STMT_PREPARE. What the statement may ask for when it is executed is brought in line now: the
// backend stays.
func (m *Machine) prepare(p packet, w engine.Wire) (int, error) {
	if !m.request.scanned && p.whole() {
		c := scan(p.body()[1:], m.literalBackslash(), m.session.wide)
		if c.has(classKill) || c.has(classKillOther) {
			m.refuse(errKillPrepared, w)
			return len(p.bytes), nil
		}
	}
	return m.forward(p, class{flags: classInsertID}, shapePrepare, w)
}

// noStatement answers for statements of a session that has none, since it has no backend.
func (m *Machine) noStatement(p packet, w engine.Wire) (int, error) {
	m.refusal = errNoStatement
	return m.refused(p, w)
}

var errNoStatement = &clientError{rendering: rendering{protocol.ER_UNKNOWN_STMT_HANDLER, "HY000",
	"Unknown prepared statement handler given to mysql_stmt_execute"}}

// unanswered relays a command that has no answer.
func (m *Machine) unanswered(p packet, w engine.Wire) (int, error) {
	if p.command() == protocol.COM_STMT_CLOSE {
		m.closeCursor()
	}
	w.ToBackend(p.bytes)
	m.streamOn(p)
	if !m.upload.active {
		m.settle(w)
	}
	return len(p.bytes), nil
}

// cursor notes whether the statement that was executed has a cursor open: its backend cannot leave.
func (m *Machine) cursor(status uint16) {
	switch m.request.command {
	case protocol.COM_STMT_EXECUTE:
		if status&statusCursor != 0 && !slices.Contains(m.session.cursors, m.request.id) {
			m.session.cursors = append(m.session.cursors, m.request.id)
		}
	case protocol.COM_STMT_FETCH:
		if status&statusLastRow != 0 {
			m.closeCursor()
		}
	}
}

// closeCursor notes that the statement of the request has none any more.
func (m *Machine) closeCursor() {
	if i := slices.Index(m.session.cursors, m.request.id); i >= 0 {
		m.session.cursors = slices.Delete(m.session.cursors, i, i+1)
	}
}
