package mysql

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// User variables follow their session as system variables do, in the same settings: under a name that begins with @, with SQL
// of the value in place of the value. The server does not report them. So those that a statement names and may assign to are
// read when the backend would go back: type, sign, character set and collation make a literal that is the same value again.

// userVariables are names, with their @, in lower case.
type userVariables struct{ names []string }

const (
	// maxUserVariables is how many names there may be in a text, maxUserName how long each may be.
	maxUserVariables = 32
	maxUserName      = 64
)

// userVariablesIn takes the user variables from a class whose text names all that it may assign to, which includes those that
// it only reads. Names in double quotes, and of other than plain characters, are not understood.
func userVariablesIn(c class, text []byte) class {
	if c.kinds&bit(engine.KindUserVariable) == 0 {
		return c
	}
	u := &userVariables{}
	r := actReader{rest: text}
	for p := r.next(); p.kind != tokenNone; {
		if !p.char('@') {
			p = r.next()
			continue
		}
		if p = r.next(); p.char('@') {
			p = r.next()
			continue
		}
		name := []byte{'@'}
		for ; p.kind == tokenWord || p.kind == tokenName || p.kind == tokenText || p.char('.'); p = r.next() {
			part := p.bytes
			if p.kind == tokenName || p.kind == tokenText {
				part = part[1 : len(part)-1]
			}
			name = append(name, part...)
			if p.kind != tokenWord && !p.char('.') || p.kind == tokenWord && (len(r.rest) == 0 || r.rest[0] != '.') {
				p = r.next()
				break
			}
		}
		if !u.add(name) {
			return c
		}
	}
	if r.bad || r.conditional || len(u.names) == 0 {
		return c
	}
	c.kinds &^= bit(engine.KindUserVariable)
	c.assigned = &assigned{c.sets(), u}
	return c
}

func (u *userVariables) add(name []byte) bool {
	for _, c := range name[1:] {
		if !isWord[c] && c != '.' || c >= 0x80 {
			return false
		}
	}
	if len(name) == 1 || len(name) > maxUserName || len(u.names) == maxUserVariables {
		return false
	}
	u.names = append(u.names, string(bytes.ToLower(name)))
	return true
}

// tellUserVariables tells the core of the user variables to which the statement that is over may have assigned.
func (m *Machine) tellUserVariables(w engine.Wire) {
	u := m.request.class.users()
	if u == nil {
		return
	}
	for _, name := range u.names {
		if _, known := m.session.settings.value(name); !known && m.pins.reported&bit(engine.KindUserVariable) == 0 {
			e := m.event(engine.KindUserVariable)
			e.Name, e.Restorable = name[1:], true
			if m.submit(e, w) == engine.Ignore {
				continue
			}
		}
		m.askBack(name)
	}
}

// askPrepared asks for the variables to which the statement that was prepared would assign: servers give some of them a type at once.
func (m *Machine) askPrepared() {
	s := m.statements.last
	if s == nil || s.class.users() == nil {
		return
	}
	for _, name := range s.class.users().names {
		if _, known := m.session.settings.value(name); !known {
			m.askBack(name)
		}
	}
}

// askUserVariables asks for all of the session's variables, once behind a statement, if it may have executed code that
// changes them.
func (m *Machine) askUserVariables(w engine.Wire) {
	if m.request.asked || m.pins.pinned || m.clean() || m.unseenChanges == engine.UnseenTrust {
		return
	}
	users, _ := m.session.settings.users()
	for _, s := range users {
		if m.request.asked = true; len(m.session.asks) == maxSettings {
			m.keepLasting(engine.KindUserVariable, w)
			return
		}
		m.askBack(s.name)
	}
}

// userColumns is how many columns appendUserQuestion asks for.
const userColumns = 4

func appendUserQuestion(dst []byte, name string) []byte {
	dst = appendUser(dst, name)
	for _, f := range [...]string{"HEX(", "CHARSET(", "COLLATION(CONCAT("} {
		dst = append(dst, ", "...)
		dst = append(dst, f...)
		dst = append(appendUser(dst, name), ')')
	}
	return append(dst, ')')
}

// appendUser appends a variable as SQL.
func appendUser(dst []byte, name string) []byte {
	dst = append(dst, "@`"...)
	dst = append(dst, name[1:]...)
	return append(dst, '`')
}

// columnType is what the definition of a column says (section "Protocol::ColumnDefinition41").
type columnType struct {
	kind      byte
	unsigned  bool
	decimals  byte
	collation uint16
	width     uint32
}

const (
	columnUnsigned = 0x20 // UNSIGNED_FLAG
	notFixed       = 31   // decimals of a floating-point number
)

// noteColumn reads a definition in the answer to inquireSettings.
func (m *Machine) noteColumn(p []byte) {
	c, ok := m.columnType(p)
	if !ok || len(m.state.columns) > userColumns*maxSettings {
		c = columnType{kind: protocol.MYSQL_TYPE_GEOMETRY} // none that is known
	}
	if len(m.state.columns) <= userColumns*maxSettings {
		m.state.columns = append(m.state.columns, c)
	}
}

// columnType reads a definition (section "Column Definition").
func (m *Machine) columnType(p []byte) (c columnType, ok bool) {
	f := fields{rest: p}
	for range 6 { // catalogue, schema, table and name, both as they are and as they were
		f.text()
	}
	if m.state.capabilities&extendedMetadata != 0 {
		f.text()
	}
	f.integer()
	c.collation, c.width, c.kind = f.uint16(), f.uint32(), f.uint8()
	c.unsigned = f.uint16()&columnUnsigned != 0
	c.decimals = f.uint8()
	return c, !f.bad
}

// neverSet is a variable that no session has: what would assign to it pins, for its name.
const neverSet = "@`berth: never set`"

func asksUserVariables(asks []string) bool {
	return slices.ContainsFunc(asks, func(name string) bool { return name[0] == '@' })
}

// keepUserVariable reads the columns of a variable. unset is the type of one that nobody has set. NULL that looks otherwise pins until
// the variable has a value: the server keeps the type and the collation of the value before with it, and no assignment makes both.
func (m *Machine) keepUserVariable(name string, c, unset columnType, f *fields) {
	value, isNull := cell(f)
	digits, unread := cell(f) // NULL if they are more than max_allowed_packet
	charset, _ := cell(f)
	collation, _ := cell(f)
	_, known := m.session.settings.value(name)
	if isNull && !known && c == unset && !f.bad {
		return
	}
	m.session.nulls = slices.DeleteFunc(m.session.nulls, func(n string) bool { return n == name })
	if isNull && !f.bad && len(m.session.nulls) < maxSettings {
		m.session.nulls = append(m.session.nulls, name)
		return
	}
	literal, ok := c.literal(string(value), string(digits), string(charset), string(collation))
	if f.bad || isNull || unread || !ok {
		m.request.leaves(engine.KindUserVariable)
		return
	}
	if !m.state.mariaDB && literal[0] != '_' { // a number has a collation there, which is that of the connection when it was assigned
		literal += "\x00" + string(collation)
	}
	m.keepSetting(setting{name, literal})
}

// pinUserVariables pins on variables that were read and cannot be restored, or lets go of those of which NULL was all that pinned.
func (m *Machine) pinUserVariables(w engine.Wire) {
	lasts := m.request.kinds&bit(engine.KindUserVariable) != 0
	switch {
	case lasts:
		m.session.nulls = nil
		m.keepLasting(engine.KindUserVariable, w)
	case len(m.session.nulls) > 0:
		m.keepLasting(engine.KindUserVariable, w)
	case m.session.nullsPin:
		dirty := m.dirty
		m.holding.lasting &^= bit(engine.KindUserVariable)
		m.undo(engine.KindUserVariable, w)
		m.dirty = dirty // all of them are known
	}
	m.session.nullsPin = len(m.session.nulls) > 0
}

// nullsPin says whether nothing but NULL in user variables pins, so that it is worth to ask whether they have a value.
func (m *Machine) nullsPin() bool {
	return m.session.nullsPin && m.pins.reported == bit(engine.KindUserVariable) && !m.pins.result && !m.pins.traits
}

// mustForget says whether the held backend has variables that the session has not set. Nothing but a reset unsets one.
func (m *Machine) mustForget() bool {
	users, _ := m.state.settings.users()
	return slices.ContainsFunc(users, func(v setting) bool {
		_, own := m.session.settings.value(v.name)
		return !own
	})
}

// literal is SQL of a value that has the same type. It returns false where there is none for sure.
func (c columnType) literal(value, digits, charset, collation string) (string, bool) {
	switch c.kind {
	case protocol.MYSQL_TYPE_LONGLONG, protocol.MYSQL_TYPE_LONG:
		switch {
		case !isNumber(value) || value == "-9223372036854775808":
			return "", false
		case c.unsigned:
			return "CAST(" + value + " AS UNSIGNED)", true
		}
		return value, true
	case protocol.MYSQL_TYPE_NEWDECIMAL:
		if !strings.Contains(value, ".") {
			return "CAST(" + value + " AS DECIMAL(65,0))", isNumber(value)
		}
		return value, isNumber(value)
	case protocol.MYSQL_TYPE_DOUBLE:
		number, exponent, scientific := strings.Cut(value, "e")
		if !isNumber(number) || scientific && !isNumber(strings.TrimPrefix(exponent, "+")) || c.decimals != notFixed {
			return "", false
		}
		if !scientific {
			value += "e0"
		}
		return value, true
	case protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_STRING, protocol.MYSQL_TYPE_VARCHAR, protocol.MYSQL_TYPE_BLOB,
		protocol.MYSQL_TYPE_LONG_BLOB, protocol.MYSQL_TYPE_MEDIUM_BLOB, protocol.MYSQL_TYPE_TINY_BLOB:
		if _, err := hex.DecodeString(digits); err != nil || !plainWord(charset) || !plainWord(collation) {
			return "", false
		}
		return "_" + charset + " X'" + digits + "' COLLATE '" + collation + "'", true
	}
	return "", false
}
