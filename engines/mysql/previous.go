package mysql

import (
	"encoding/binary"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// What a statement may ask about the connection and its previous statement is answered here where no backend has it: what
// CONNECTION_ID() says is the proxy's own, and ROW_COUNT(), FOUND_ROWS() and LAST_INSERT_ID() are known from what the
// servers answered. That needs a SELECT of these functions and nothing else, because the name of a column that has no
// alias is its expression.

// previous is what the session's last statement left.
type previous struct {
	rows  int64  // ROW_COUNT()
	found uint64 // FOUND_ROWS()
	// foundOn is the backend on which FOUND_ROWS() is the session's own. Servers keep it beyond statements that are no SELECT,
	// which may have been executed elsewhere.
	foundOn *backendState
	// unsupported is the COM_STMT_PREPARE that it was, nil if it was none that servers refuse always.
	unsupported *sharedStatement
	// unknown is the ids, of four bytes each, of statements that there are not, which the session has asked for since. MySQL appends
	// the error to the list that it has.
	unknown    string
	rowsKnown  bool
	foundKnown bool
	failed     bool
	local      bool  // no backend has it, because the statement was answered here
	list       list  // of warnings and errors, MariaDB's
	deprecated bool  // it left the warning that it is deprecated, which MySQL has for FOUND_ROWS(), and no other
	recounted  uint8 // one more than what has come to MySQL's list since it began to count anew (recount), 0 if it has not
}

// repeats says whether there are errors in its list that any backend can be made to have.
func (v *previous) repeats() bool { return v.unsupported != nil || v.unknown != "" }

// maxUnknown is how many ids of unknown statements are remembered, maxFetches how many of them are asked for at a time.
const (
	maxUnknown = 16
	maxFetches = 2
)

func (v *previous) setRows(n int64) { v.rows, v.rowsKnown = n, true }

// firstPrevious is what a server's session begins with. MariaDB's FOUND_ROWS() is what the memory had.
func (m *Machine) firstPrevious() previous {
	return previous{rowsKnown: true, foundKnown: !m.e.isMariaDB()}
}

func (e *Engine) isMariaDB() bool {
	s := e.server.Load()
	return s != nil && s.mariaDB
}

// deprecatesFoundRows says whether FOUND_ROWS() leaves a warning (MySQL 8.0.17, "Deprecation Notes").
func (e *Engine) deprecatesFoundRows() bool {
	s := e.server.Load()
	return s != nil && !s.mariaDB && s.dialect.version >= 80017
}

// foreign says whether the held backend's values of the previous statement are not the session's.
func (m *Machine) foreign() bool {
	return m.state.last != m || m.state.disturbed || m.previous.local
}

// foundHere says whether FOUND_ROWS() on the held backend is the session's.
func (m *Machine) foundHere() bool { return m.previous.foundOn == m.state && m.state.found == m }

// disturb notes that the machine is sending something of its own to the held backend.
func (m *Machine) disturb(command byte, text string) {
	m.state.disturbed = true
	if command == protocol.COM_RESET_CONNECTION || strings.Contains(text, "SELECT ") {
		m.state.found = nil
	}
}

// sendDiagnostics leaves the diagnostics of the session's previous statement on a backend that does not have them, for a request of
// class c. Others keep their backend.
func (m *Machine) sendDiagnostics(c class, w engine.Wire) {
	v, asks := &m.previous, m.asksList(c)
	switch {
	case m.request.fetches > 0: // the rest of many
	case m.pins.result && m.state.last == m: // there are those that it had before a request that was answered here
	case v.unsupported != nil && asks: // it fails again
		w.ToBackend(v.unsupported.packet)
		m.disturb(protocol.COM_STMT_PREPARE, "")
		m.expect(shapePrepare, purposeRepeat, 1)
	case v.deprecated:
		m.ask("SELECT FOUND_ROWS()", purposeClear, w)
	default:
		m.ask(clearDiagnostics, purposeClear, w)
	}
	if !asks {
		return
	}
	for range min(maxFetches, len(v.unknown)/4-m.request.fetches) { // to fetch does nothing to a statement that the backend has
		at := 4 * m.request.fetches
		m.request.fetches++
		p := append(m.state.scratch[:0], 9, 0, 0, 0, protocol.COM_STMT_FETCH)
		p = append(append(p, v.unknown[at:at+4]...), 0, 0, 0, 0) // no rows
		w.ToBackend(p)
		m.state.scratch = p[:0]
		m.disturb(protocol.COM_STMT_FETCH, "")
		m.expect(shapeRows, purposeRepeat, 1)
	}
}

// recount notes that MySQL, which goes on with the list, begins to count at 0 what comes to it: what was done for that no backend need
// have heard of, or another one.
func (v *previous) recount() { v.recounted = 1 }

// recounted is what a command counts that says how long the list is, if the backend may count something else.
func (m *Machine) recounted() (n uint16, ok bool) {
	switch m.request.command {
	case protocol.COM_INIT_DB, protocol.COM_PING, protocol.COM_SET_OPTION:
		return uint16(m.previous.recounted) - 1, m.previous.recounted > 0 && !m.state.mariaDB
	}
	return 0, false
}

// keepsList says whether the request is a command that leaves MySQL's list of warnings as it is and says how long it is.
func (m *Machine) keepsList() bool {
	switch m.request.command {
	case protocol.COM_QUERY, protocol.COM_STMT_PREPARE, protocol.COM_STMT_EXECUTE, protocol.COM_RESET_CONNECTION, protocol.COM_STATISTICS:
		return false
	}
	return !m.e.isMariaDB()
}

// countsList says whether the request counts a list that no backend has: what is in it is made again, or it is empty.
func (m *Machine) countsList() bool {
	v := &m.previous
	return (v.repeats() || v.deprecated || v.list.gone) && m.keepsList()
}

// repeated takes in the answer to a request that has failed before.
func (m *Machine) repeated(failure *engine.ServerError) {
	m.diagnosed()
	if failure == nil || failure.Number != protocol.ER_UNSUPPORTED_PS && failure.Number != protocol.ER_UNKNOWN_STMT_HANDLER {
		m.refusal = errPrevious // a server of another version, or one with a statement of that id
	}
	if m.pins.result && m.request.cleared && m.queue.count == 0 {
		m.previous.unknown = "" // the list is complete, and its backend stays
	}
}

// diagnosed notes that something that sendDiagnostics sent is answered, which is over if all was sent.
func (m *Machine) diagnosed() { m.request.cleared = 4*m.request.fetches == len(m.previous.unknown) }

// refusedUnknown returns what a refusal because there is no statement id leaves: with the server it would be one more error in the list.
func (m *Machine) refusedUnknown(id unknownID) previous {
	v := m.previous
	v.setRows(-1)
	v.found, v.foundKnown, v.foundOn, v.failed, v.local = 0, false, nil, false, true
	v.recounted = 0
	v.list.gone = v.list.gone || m.e.isMariaDB() || len(v.unknown) == 4*maxUnknown
	v.unknown += string(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	if v.list.gone {
		v.unknown, v.unsupported, v.deprecated = "", nil, false
	}
	return v
}

// unsupported returns what is being prepared, if it has just been refused in a way that does not depend on what is in the server. A
// driver that does not know what can be prepared comes by that for every transaction.
func (m *Machine) unsupported() *sharedStatement {
	s := m.statements.preparing
	if !m.request.failed || m.request.errno != protocol.ER_UNSUPPORTED_PS || s == nil || s.shared == nil || len(s.shared.packet) > maxUnsupported ||
		m.state.mariaDB { // it prepares most things, and keeps errors beyond the next statement
		return nil
	}
	return s.shared
}

// maxUnsupported is how long a COM_STMT_PREPARE may be that is remembered though it failed.
const maxUnsupported = 1 << 10

// notePrevious notes what the statement that is over left.
func (m *Machine) notePrevious() {
	r, v := &m.request, &m.previous
	if r.command == protocol.COM_STMT_PREPARE && !r.failed {
		v.deprecated, v.unsupported, v.unknown, v.recounted = false, nil, "", 0 // it replaces the list, and nothing else
		return
	}
	switch {
	case r.command == protocol.COM_INIT_DB && r.failed && v.recounted > 0 && v.recounted < 255:
		v.recounted++
	case r.command == protocol.COM_INIT_DB:
	case r.class.has(classDiagnostics) && !r.failed && !r.class.has(classCountsDiagnostics) && r.results == 0:
		v.recount()
	default:
		v.recounted = 0
	}
	shown := r.affected < 0 && !r.failed // WITH may begin a DELETE
	switch {
	case r.class.has(classFinds) && !r.failed, r.class.has(classFindsRows) && shown:
		v.foundOn, m.state.found = m.state, m
	case r.class.has(classKeepsFound):
	case !m.foundHere(): // it may have made one of its own
		v.foundOn, m.state.found = nil, nil
	}
	v.local, v.failed = false, r.failed
	if !r.class.has(classDiagnostics) || r.class.has(classCountsDiagnostics) || r.failed {
		v.deprecated, v.unsupported, v.unknown = false, r.unsupported, ""
	}
	switch {
	case r.failed:
		v.rows, v.rowsKnown, v.foundKnown = -1, true, false
		return
	case r.class.has(classGets):
		m.noteGot()
	case r.bulk, // what the OK counts is of all rows, or of the last one
		r.class.has(classDiagnostics) && r.results > 0 && r.affected >= 0: // the last of several may be a GET DIAGNOSTICS, see noteGot
		v.rowsKnown = false
	case r.command == protocol.COM_QUERY, r.command == protocol.COM_STMT_EXECUTE, r.command == protocol.COM_INIT_DB:
		v.rows, v.rowsKnown = r.affected, true
	default:
		v.rowsKnown = false
	}
	switch {
	case r.class.has(classCounts) && shown:
		v.found, v.foundKnown = r.rows, true
	case !r.class.has(classKeepsFound):
		v.foundKnown = false
	}
}

// noteGot notes that GET DIAGNOSTICS leaves ROW_COUNT() what it was, also on the backend, but where what it asks for is not there.
func (m *Machine) noteGot() {
	r, v := &m.request, &m.previous
	switch {
	case r.warnings > 0:
		v.setRows(-1)
	case m.state.last != m, m.state.disturbed: // of another statement
		v.local = true
	}
}

// noteCommand notes what a command that is no statement left: it has an OK of its own, or something else.
func (m *Machine) noteCommand() {
	switch m.request.command {
	case protocol.COM_PING, protocol.COM_STMT_RESET, protocol.COM_RESET_CONNECTION:
		m.previous.setRows(0)
		if m.request.command == protocol.COM_STMT_RESET && !m.request.failed {
			m.previous.recount()
		}
	case protocol.COM_STATISTICS:
	default:
		m.previous.rowsKnown = false
	}
}

// asked is one column of what is answered here.
type asked struct {
	function string // in upper case
	name     []byte // of the column
}

// maxAsked bounds columns; names are no longer than a server's aliases.
const (
	maxAsked     = 8
	maxAskedName = 250
)

// askedBy takes a SELECT apart that asks for nothing but the values told here.
func askedBy(text []byte) (all []asked, ok bool) {
	r := actReader{rest: text}
	take := func() (p piece, start int) {
		p = r.next()
		return p, len(text) - len(r.rest) - len(p.bytes)
	}
	if p, _ := take(); !p.is("SELECT") {
		return nil, false
	}
	for {
		p, start := take()
		if !p.is("ROW_COUNT", "FOUND_ROWS", "LAST_INSERT_ID", "CONNECTION_ID") || len(all) == maxAsked {
			return nil, false
		}
		a := asked{function: strings.ToUpper(string(p.bytes))}
		if p, _ = take(); !p.char('(') {
			return nil, false
		}
		if p, _ = take(); !p.char(')') {
			return nil, false
		}
		a.name = text[start : len(text)-len(r.rest)]
		if p, ok = a.alias(&r); !ok || !plainAlias(a.name) {
			return nil, false
		}
		all = append(all, a)
		if p.char(',') {
			continue
		}
		p = tail(p, &r)
		return all, p.kind == tokenNone && !r.conditional && !r.bad
	}
}

// tail reads what may follow such a SELECT without changing it, from p on, and returns the piece behind it.
func tail(p piece, r *actReader) piece {
	if p.is("FROM") {
		if p = r.next(); !p.is("DUAL") {
			return p
		}
		p = r.next()
	}
	if p.is("LIMIT") {
		if p = r.next(); !p.is("1") {
			return p
		}
		p = r.next()
	}
	if p.char(';') {
		p = r.next()
	}
	return p
}

// alias reads the alias, if there is one, and returns the piece behind it.
func (a *asked) alias(r *actReader) (piece, bool) {
	p := r.next()
	as := p.is("AS")
	if as {
		p = r.next()
	}
	name, named := p.bytes, true
	switch {
	case p.kind == tokenName, p.kind == tokenText, p.kind == tokenPunctuation && len(name) > 1: // double quotes
		name = name[1 : len(name)-1]
	case p.kind == tokenWord && nameless(name) && (name[0] < '0' || name[0] > '9'):
	default:
		named = false
	}
	if named {
		a.name = name
		p = r.next()
	}
	return p, named || !as
}

// nameless says whether a word has no meaning of its own where an alias stands.
func nameless(name []byte) bool {
	w := words.find([]byte(strings.ToUpper(string(name))))
	switch w.keyword {
	case kwRowCount, kwLastGTID, kwResource, kwSys: // which mean something behind SQL%, @@ and SET, and in front of a dot
		w.keyword = kwOther
	}
	return w == word{}
}

// plainAlias says whether a column's name reaches the client as it is written, whatever its character set.
func plainAlias(name []byte) bool {
	for _, c := range name {
		if c < ' ' || c >= 0x7f || c == '\\' || c == '*' || c == '#' || c == '-' { // comments in front of the parenthesis, too
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxAskedName && name[0] != ' ' && name[len(name)-1] != ' '
}

// tell answers a statement of class c that asks for nothing but values that are known here, unless the held backend has
// them. It returns false if it did not.
func (m *Machine) tell(c class, text []byte, w engine.Wire) bool {
	if c.kinds&^bit(engine.KindConnectionID) != 0 || c.kinds == 0 && c.flags&(classPrevious|classInsertID) == 0 {
		return false
	}
	if m.b != nil && m.InTransaction() && m.previous.failed {
		return false // it may have ended the transaction, which an error does not say
	}
	all, ok := askedBy(text)
	if !ok {
		return false
	}
	var row []byte
	deprecated := 0
	for _, a := range all {
		value, known := m.value(a.function)
		if !known {
			return false
		}
		if a.function == "FOUND_ROWS" && m.e.deprecatesFoundRows() {
			deprecated++
		}
		if m.e.isMariaDB() { // MySQL's numbers are in no character set
			value = m.session.results.encode(value)
		}
		row = appendText(row, value)
	}
	if deprecated > 1 {
		return false // as many warnings
	}
	m.reply(w, m.appendTold(nil, all, row, uint16(deprecated)))
	m.previous = previous{rows: -1, rowsKnown: true, found: 1, foundKnown: true, local: true, list: m.previous.list, deprecated: deprecated > 0}
	if m.b != nil {
		if !m.state.mariaDB { // it keeps warnings until a statement uses a table
			m.endResult(w)
		}
		m.settle(w)
	}
	return true
}

// endResult ends the pin of what the last statement left: the one that was answered here has replaced it.
func (m *Machine) endResult(w engine.Wire) {
	if m.pins.result {
		m.pins.result = false
		m.toggle(engine.KindLastResult, false, w)
	}
}

// value is what a function returns, if that is for the proxy to say.
func (m *Machine) value(function string) (text []byte, known bool) {
	if function == "CONNECTION_ID" {
		return strconv.AppendUint(nil, uint64(m.info.id), 10), true
	}
	v := &m.previous
	switch there := m.b != nil && !m.foreign(); function {
	case "ROW_COUNT":
		return strconv.AppendInt(nil, v.rows, 10), v.rowsKnown && !there
	case "FOUND_ROWS":
		return strconv.AppendUint(nil, v.found, 10), v.foundKnown && !(there && m.foundHere())
	default:
		return strconv.AppendUint(nil, m.insertID.value, 10), !m.insertID.touched && !m.insertID.lost
	}
}

// appendTold appends the result with one row.
func (m *Machine) appendTold(dst []byte, all []asked, row []byte, warnings uint16) []byte {
	dst = append(appendHeader(dst, 1, 1), byte(len(all)))
	sequence := uint8(2)
	for _, a := range all {
		column := append(appendText(nil, m.session.results.encode([]byte("def"))), 0, 0, 0)
		column = append(appendText(column, m.session.results.encode(a.name)), 0) // it has no other name
		if m.can(extendedMetadata) {
			column = append(column, 0) // nor another type
		}
		column = append(column, m.definition(a.function)...)
		dst = append(appendHeader(dst, len(column), sequence), column...)
		sequence++
	}
	if m.endsColumns() {
		dst = appendEOF(dst, sequence, m.session.status)
		sequence++
	}
	dst = append(appendHeader(dst, len(row), sequence), row...)
	end := len(dst) + headerSize
	if m.endsColumns() {
		dst = appendEOF(dst, sequence+1, m.session.status)
		binary.LittleEndian.PutUint16(dst[end+1:], warnings)
		return dst
	}
	dst = appendOK(dst, sequence+1, m.session.status)
	dst[end] = protocol.EOF_HEADER
	binary.LittleEndian.PutUint16(dst[end+5:], warnings)
	return dst
}

// definition is what follows a column's names and its extended type (section "Column Definition"): integers that are never NULL.
func (m *Machine) definition(function string) string {
	switch {
	case function == "CONNECTION_ID" && m.e.isMariaDB():
		return "\x0c\x3f\x00\x0a\x00\x00\x00\x03\xa1\x00\x00\x00\x00"
	case function == "ROW_COUNT", function == "FOUND_ROWS":
		return "\x0c\x3f\x00\x15\x00\x00\x00\x08\x81\x00\x00\x00\x00"
	}
	return "\x0c\x3f\x00\x15\x00\x00\x00\x08\xa1\x00\x00\x00\x00"
}
