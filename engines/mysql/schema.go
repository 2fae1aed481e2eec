package mysql

import (
	"encoding/hex"
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Servers report the name of a default database in utf8, and read it in character_set_client (dispatch_command, COM_INIT_DB). Here it
// is what servers report; only a login has it as the client sent it, until a server has accepted it. Where a backend would read another
// name, it reads utf8 for as long as it is told.

// loginDatabase is the default database that the session has logged in with.
func (s *sessionInfo) loginDatabase() userDatabase {
	return userDatabase{s.key.User, s.database, s.charset}
}

// nameSchema takes in, from the answer to it, what a server calls the default database of a login.
func (m *Machine) nameSchema(o *okPacket) bool {
	var r report
	if !r.parse(o.state) {
		return false
	}
	if r.hasSchema && len(r.schema) > 0 {
		m.session.schema = string(r.schema)
	}
	return true
}

// reads says whether the held backend reads a name as servers report it.
func (m *Machine) reads(name string) bool {
	if !varies(name) {
		return true
	}
	charset, known := m.state.settings.or(m.state.base, clientCharset)
	switch reported(clientCharset, charset) {
	case "utf8", "utf8mb3", "utf8mb4":
		return true
	}
	return !known
}

// knowsReading says whether it is known how the held backend reads a name. If not, the server is asked.
func (m *Machine) knowsReading(name string, w engine.Wire) bool {
	if !slices.Contains(m.session.asks, clientCharset) || !varies(name) {
		return true
	}
	m.askSettings(w)
	return false
}

// moves says whether the request that is being answered is one for another default database. Others may be told where the session before has left the
// backend: MySQL reports it late, with the next OK, where it has read a function's code for a COM_STMT_PREPARE.
func (m *Machine) moves() bool {
	r := &m.request
	return r.active && (r.command == protocol.COM_INIT_DB || r.command == protocol.COM_QUERY && r.class.has(classUse))
}

// sendSchema makes a database, named as servers report it, the held backend's default one.
func (m *Machine) sendSchema(name string, p purpose, w engine.Wire) {
	has := m.state.settings
	reading := has
	if !m.reads(name) {
		reading, _ = has.with(clientCharset, "utf8mb4")
		m.ask(string(difference([]byte("SET "), has, reading, m.state.base)), purposeReading, w)
	}
	m.send(protocol.COM_INIT_DB, name, w)
	m.expect(shapeOne, p, 1)
	if reading != has {
		m.ask(string(difference([]byte("SET "), reading, has, m.state.base)), purposeReading, w)
	}
}

// asksDatabase says whether text may tell the default database's name.
func asksDatabase(text []byte) bool {
	r := actReader{rest: text}
	for p := r.next(); p.kind != tokenNone; p = r.next() {
		if p.is("DATABASE", "SCHEMA") {
			return true
		}
	}
	return false
}

// A session may switch the reports off (session_track_schema), of which MariaDB does not always tell. It keeps its backend then, and so its default database,
// until a reset, behind which Berth must know it: the server is asked in front of that.

// readPlace is the same text in every character set and sql_mode, and has one row whatever sql_select_limit is.
const readPlace = "SELECT HEX(CONVERT(DATABASE() USING utf8mb4)) LIMIT 1"

// opaque are the kinds of state that may be MariaDB's switch of the reports.
const opaque = 1<<engine.KindSetting | 1<<engine.KindUnknown | 1<<engine.KindPreparedStatement

// doubtsPlace says whether the default database must be asked for.
func (m *Machine) doubtsPlace() bool {
	return !m.request.placed && (m.session.unplaced || m.state.mariaDB && m.pins.reported&opaque != 0)
}

// doubtsReset says whether it must be, in front of a reset for what neither pins nor is restored, or for what code may have left. The reports are on again
// behind each, so that only another statement of the same text may have been USE, or one that came while the reset had to wait (began).
func (m *Machine) doubtsReset() bool {
	r := &m.request
	if m.pins.pinned || r.placed {
		return false
	}
	return m.ignored && m.session.unplaced || m.state.mariaDB && r.command == protocol.COM_QUERY &&
		(m.ignored && !r.single && r.class.kinds&opaque != 0 || r.class.has(classMoves) && (m.dirty || !m.clean()))
}

func (m *Machine) askPlace(w engine.Wire) {
	m.state.scratch = m.state.scratch[:0]
	m.ask(readPlace, purposePlaced, w)
}

// placed takes in the answer. No command takes a default database away, so that nobody else of this key could use the backend (setSchema).
func (m *Machine) placed(w engine.Wire) bool {
	m.request.placed = true
	f := fields{rest: m.state.scratch}
	value, _ := cell(&f)
	name, err := hex.DecodeString(string(digits(value)))
	if f.bad || err != nil {
		return false
	}
	m.session.schema = string(name)
	m.state.schema = m.session.schema
	if (m.info.key.Database == "") != (m.session.schema == "") {
		m.keepLasting(engine.KindSchema, w)
	}
	return true
}
