package mysql

import (
	"bytes"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Since 8.0.22 MySQL decides by the types of an execution's parameters what a statement means, and keeps to it: after an execution
// with a number, "SELECT ?" makes numbers of the strings that later ones send. Other servers forget an execution's types with it.
//
// A statement that sessions share must not have the meaning that another session's execution gave it. So the server's statement
// is used for executions of one shape only, which is the type and sign of each parameter; for others it is prepared
// again. What a session executes thus means what it would if it had just been prepared, whatever was executed before. A NULL, sent as a
// type, decides nothing: in its place stands what the session sent there before.

// Strings are the exception (Prepared_statement::check_parameter_types): the server takes them for what the parameter is, whatever they
// say, but for a number that is no integer, or none that fits, where it expects one. Behind that the parameter is a DECIMAL. So a statement
// that was executed with such a string is nobody's any more.

// firstShaped is the version since which that is so (8.0.22, "Prepared Statements").
const firstShaped = 80022

// mixedShape is that of a statement whose executions differed, or are not known. No statement of a session has it: the others
// have two bytes for each parameter.
const mixedShape = "?"

// keepsShape says whether the held backend keeps to the types of an execution.
func (m *Machine) keepsShape() bool {
	return m.state.dialect.isMySQL() && m.state.dialect.version >= firstShaped
}

// fits says whether s can be executed by the server's statement h.
func (m *Machine) fits(h *heldStatement, s *statement) bool {
	return !h.used || !m.keepsShape() || h.shape == s.shape && !m.garbles(h)
}

// garbles says whether the server's statement h would not answer as the protocol says: one whose first execution opened a cursor sends
// no rows to an execution that opens none, nor what ends them.
func (m *Machine) garbles(h *heldStatement) bool {
	opens := m.request.opens && !m.statements.gathering
	return h.opened && !opens && m.keepsShape()
}

// prepareApart closes the server's statement that s has for its cursor if it garbles answers: s is prepared again, and loses the cursor, as
// with any execution. It returns false if something else binds s to it.
func (m *Machine) prepareApart(s *statement, w engine.Wire) bool {
	if s.own == nil || !m.garbles(s.own) {
		return true
	}
	if s.long || s.kept || s.gathered {
		return false
	}
	m.closeOnServer(s.own.id, w)
	s.own, s.cursor = nil, false
	m.statements.live--
	return true
}

// reshape notes the types of an execution of s. named says that there are names between them, as with query attributes, of
// which those behind the statement's own parameters are.
func (s *statement) reshape(types []byte, named bool) {
	var shape []byte // s.shape if nil
	f := fields{rest: types}
	for i := range s.params {
		t := f.bytes(2)
		if named {
			f.text()
		}
		if f.bad {
			return // the server refuses it
		}
		at := 2 * i
		known := at < len(s.shape)
		switch {
		case known && (t[0] == protocol.MYSQL_TYPE_NULL || t[0] == s.shape[at] && t[1] == s.shape[at+1]):
			continue
		case shape == nil:
			shape = append(make([]byte, 0, 2*s.params), s.shape...)
			shape = append(shape, bytes.Repeat([]byte{protocol.MYSQL_TYPE_NULL, 0}, s.params-len(s.shape)/2)...)
		}
		copy(shape[at:], t)
	}
	if shape != nil {
		s.shape = string(shape)
	}
}

// shaped notes that s is being executed by the server's statement h. known says whether the types are those of s.shape.
func (m *Machine) shaped(h *heldStatement, s *statement, known bool) {
	h.opened = h.opened || m.request.opens // the first since the server prepared it again by itself, which nobody sees
	switch {
	case !m.keepsShape():
	case !known || h.used && h.shape != s.shape:
		h.shape = mixedShape
	default:
		h.shape = s.shape
	}
}

// defines begins what the server says of the parameters of h.
func (m *Machine) defines(h *heldStatement) {
	m.state.statements.defined, m.state.statements.parameter = h, 0
}

// noteParameter takes in the definition of the next parameter of the statement that is being prepared.
func (m *Machine) noteParameter(p []byte) {
	t := &m.state.statements
	i := t.parameter
	t.parameter++
	if c, ok := m.columnType(p); t.defined == nil || ok && !isInteger(c.kind) {
		return
	}
	if grown := i/8 + 1 - len(t.defined.integers); grown > 0 {
		t.defined.integers = append(t.defined.integers, make([]byte, grown)...)
	}
	t.defined.integers[i/8] |= 1 << (i % 8)
}

// isInteger says whether kind is one of those that servers evaluate as integers (INT_RESULT).
func isInteger(kind byte) bool {
	switch kind {
	case protocol.MYSQL_TYPE_TINY, protocol.MYSQL_TYPE_SHORT, protocol.MYSQL_TYPE_INT24, protocol.MYSQL_TYPE_LONG, protocol.MYSQL_TYPE_LONGLONG,
		protocol.MYSQL_TYPE_YEAR, protocol.MYSQL_TYPE_BIT:
		return true
	}
	return false
}

// widened says that the execution e of s may make the server take a parameter of h for a DECIMAL from now on. named is as in reshape.
func (h *heldStatement) widened(e *execution, s *statement, named bool) bool {
	if h.integers == nil {
		return false
	}
	types, values := fields{rest: s.types}, fields{rest: e.values}
	for i := range s.params {
		t := types.bytes(2)
		if named {
			types.text()
		}
		switch {
		case types.bad || s.long: // of which only some are among the values
			return true
		case e.nulls[i/8]&(1<<(i%8)) != 0 || t[0] == protocol.MYSQL_TYPE_NULL:
			continue
		case !isText(t[0]):
			skipValue(&values, t[0])
			continue
		}
		if v := values.text(); values.bad || h.takesInteger(i) && !staysInteger(v) {
			return true
		}
	}
	return false
}

func (h *heldStatement) takesInteger(i int) bool {
	return i/8 < len(h.integers) && h.integers[i/8]&(1<<(i%8)) != 0
}

// isText says whether a value of this type is a string to servers. A DECIMAL looks like one, and is a number.
func isText(kind byte) bool {
	switch kind {
	case protocol.MYSQL_TYPE_VARCHAR, protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_STRING, protocol.MYSQL_TYPE_ENUM, protocol.MYSQL_TYPE_SET, protocol.MYSQL_TYPE_JSON,
		protocol.MYSQL_TYPE_TINY_BLOB, protocol.MYSQL_TYPE_MEDIUM_BLOB, protocol.MYSQL_TYPE_LONG_BLOB, protocol.MYSQL_TYPE_BLOB:
		return true
	}
	return false
}

// staysInteger says whether a string is certainly an integer of every type of 64 bits, or certainly no number, which is 0 to servers.
func staysInteger(v []byte) bool {
	const digits = 18
	v = bytes.TrimLeft(v, " \t\n\v\f\r")
	if len(v) == 0 || !isDigit(v[0]) && v[0] != '-' && v[0] != '+' && v[0] != '.' {
		return true
	}
	for _, c := range v {
		if !isDigit(c) {
			return false
		}
	}
	return len(v) <= digits
}
