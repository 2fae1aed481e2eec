package mysql

import (
	"bytes"
	"iter"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// statusStateChanged is SERVER_SESSION_STATE_CHANGED: the OK has session state.
const statusStateChanged = protocol.SERVER_SESSION_STATE_CHANGED

// okPacket is an OK packet of a server that speaks SESSION_TRACK (section "OK_Packet"). Its slices point into what was
// parsed.
type okPacket struct {
	affected uint64
	insertID uint64
	status   uint16
	warnings uint16
	state    []byte // entries, without the length of all
	// Where in the payload the status is, and the info with its length.
	statusAt, infoAt, infoEnd int
}

// parse reads the payload of an OK packet, with either header, into an okPacket that is zero. It says whether the payload is one.
func (o *okPacket) parse(payload []byte) bool {
	f := fields{rest: payload[1:]}
	o.affected, o.insertID = f.integer(), f.integer()
	o.statusAt = len(payload) - len(f.rest)
	o.status, o.warnings = f.uint16(), f.uint16()
	o.infoAt = len(payload) - len(f.rest)
	if len(f.rest) > 0 {
		f.text()
	}
	o.infoEnd = len(payload) - len(f.rest)
	if o.status&statusStateChanged != 0 && len(f.rest) > 0 {
		o.state = f.text()
	}
	return !f.bad
}

// Types of session state (section "OK_Packet", enum_session_state_type).
const (
	trackVariables       = 0
	trackSchema          = 1
	trackStateChange     = 2
	trackCharacteristics = 4
	trackTransaction     = 5
)

// report is what the entries of one OK packet say.
type report struct {
	variables bool   // the session changed a variable
	derived   bool   // one that changes with the default database
	trackers  bool   // one that says what is tracked,
	tracked   bool   // of variables
	unplaced  bool   // the default database is reported no more
	matters   bool   // one that changes how statements are understood and cannot be restored
	changed   bool   // something changed
	gtid      []byte // last_gtid, nil if it was not reported
	schema    []byte
	hasSchema bool
	// What is to come of the next transaction, if anything was said about it.
	traits, hasTraits bool
	locked, hasLocked bool // LOCK TABLES
}

// parse reads entries of session state into a report that is zero. It says whether they are well formed.
func (r *report) parse(state []byte) bool {
	f := fields{rest: state}
	for len(f.rest) > 0 && !f.bad {
		kind := f.uint8()
		data := fields{rest: f.text()}
		switch kind {
		case trackVariables:
			for len(data.rest) > 0 && !data.bad {
				name := data.text()
				f.bad = f.bad || len(name) == 0
				r.variable(name, data.text())
			}
		case trackSchema:
			r.schema, r.hasSchema = data.text(), true
		case trackStateChange:
			r.changed = r.changed || len(data.rest) > 0 && data.rest[0] == '1'
		case trackCharacteristics:
			r.traits, r.hasTraits = len(data.text()) > 0, true
		case trackTransaction:
			flags := data.text()
			r.locked, r.hasLocked = bytes.IndexByte(flags, 'L') >= 0, true
		}
		f.bad = f.bad || data.bad
	}
	return !f.bad
}

// variable notes that a system variable was reported.
func (r *report) variable(name, value []byte) {
	switch {
	case string(name) == lastGTID:
		r.gtid = value
		return
	case automatic(name):
		return
	case derived(name):
		r.derived = true
		return
	}
	r.variables = true
	r.matters = r.matters || !indifferent(string(name)) && !restorable(string(name), string(value))
	if string(name) == trackedVariable {
		r.tracked = true
	} else {
		r.trackers = r.trackers || bytes.HasPrefix(name, []byte("session_track_")) && !armed(name, value)
		r.unplaced = r.unplaced || string(name) == trackedSchema && !armed(name, value)
	}
}

// automatic says whether a variable changes by itself: MySQL numbers statements, MariaDB says what it logged last.
func automatic(name []byte) bool {
	return string(name) == "statement_id" || string(name) == "last_gtid"
}

// derived says whether a variable changes with the default database.
func derived(name []byte) bool {
	return string(name) == "character_set_database" || string(name) == "collation_database"
}

// armed says whether a session confirms one of the trackers that are on for all.
func armed(name, value []byte) bool {
	return string(name) == "session_track_schema" && string(value) == "ON"
}

// variables are the system variables in entries of session state that a report has read, each with its value.
func variables(state []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		f := fields{rest: state}
		for len(f.rest) > 0 && !f.bad {
			kind := f.uint8()
			data := fields{rest: f.text()}
			for kind == trackVariables && len(data.rest) > 0 && !data.bad {
				if name, value := data.text(), data.text(); !data.bad && !yield(name, value) {
					return
				}
			}
		}
	}
}

// trackedByDefault says whether a server reports a variable to a session that did not ask for more (the default of
// session_track_system_variables).
func trackedByDefault(name []byte) bool {
	switch string(name) {
	case "time_zone", "autocommit", "character_set_client", "character_set_results", "character_set_connection":
		return true
	}
	return false
}

// filterState keeps, in place, the entries that a session sees which asked for t: the schema and variables. The result is never longer.
func filterState(state []byte, t *tracked) []byte {
	out := state[:0]
	f := fields{rest: state}
	for len(f.rest) > 0 && !f.bad {
		kind := f.uint8()
		data := f.text()
		if f.bad {
			break
		}
		if kind == trackVariables {
			data = filterVariables(data, t)
		}
		if kind == trackVariables && len(data) > 0 || kind == trackSchema {
			// What is written ends before what is yet to be read begins: lengths only shrink.
			out = append(out, kind)
			out = appendText(out, data)
		}
	}
	return out
}

func filterVariables(data []byte, t *tracked) []byte {
	out := data[:0]
	f := fields{rest: data}
	for len(f.rest) > 0 {
		pair := f.rest
		name := f.text()
		f.text()
		if f.bad {
			break
		}
		if t.has(name) {
			out = append(out, pair[:len(pair)-len(f.rest)]...)
		}
	}
	return out
}

// appendText appends a length-encoded string. It may overlap with b if b is not moved forward.
func appendText(dst, b []byte) []byte {
	n := len(b)
	switch {
	case n < 251:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = append(dst, 0xfc, byte(n), byte(n>>8))
	default:
		dst = append(dst, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return append(dst, b...)
}

// statusOfSession are the status flags that are about the session and not about one statement.
const statusOfSession = statusInTrans | statusAutocommit | statusLiteralBackslash | statusReadOnly | statusQuotes

const (
	statusReadOnly = 0x2000 // SERVER_STATUS_IN_TRANS_READONLY
	statusQuotes   = 0x8000 // SERVER_STATUS_ANSI_QUOTES, MariaDB's
)

// observe takes in what the OK packet of one of the client's own requests says.
func (m *Machine) observe(o *okPacket) bool {
	m.session.status, m.session.ending = o.status&statusOfSession, endingNone
	m.request.warnings = o.warnings
	m.request.oks++
	m.request.warned = m.request.warned || o.warnings > 0
	if o.insertID != 0 {
		m.touchInsertID()
	}
	if len(o.state) == 0 {
		return true
	}
	var r report
	if !r.parse(o.state) {
		return false
	}
	switch {
	case !r.hasSchema:
	case m.placedElsewhere():
		m.state.schema = unknownSchema
	case m.session.schema != m.state.schema && !m.moves():
		m.state.schema = string(r.schema) // which the session has not been given yet
	default:
		m.setSchema(r.schema)
	}
	if r.gtid != nil {
		m.noteGTID(r.gtid)
	}
	if r.hasTraits {
		m.session.traits = r.traits
	}
	if r.hasLocked {
		m.session.locked = r.locked || m.session.locked && m.stillLocked()
	}
	m.request.settings.reported = m.request.settings.reported || r.variables
	m.request.settings.matter = m.request.settings.matter || r.matters
	m.session.ownTrackers = m.session.ownTrackers || r.trackers || r.tracked && !m.state.tracksLess
	m.session.unplaced = m.session.unplaced || r.unplaced
	switch {
	case r.variables || r.derived && m.request.class.sets() != nil:
		m.noteSettings(o.state, r.changed)
	case r.changed && !r.hasSchema && !m.request.explains():
		// The report of a new schema says that something changed as well.
		m.request.leaves(engine.KindUnknown)
	}
	return true
}

// stillLocked says whether tables are locked although the server reports that they are not: MySQL says so behind a statement that ends a
// transaction, as ALTER TABLE does, and keeps the locks of LOCK TABLES (manual, "LOCK TABLES and UNLOCK TABLES Statements").
func (m *Machine) stillLocked() bool {
	a := m.request.act
	return !m.state.mariaDB && a != nil && !a.unlocks
}

// setSchema notes that the default database of session and backend is name now.
func (m *Machine) setSchema(name []byte) {
	if string(name) != m.session.schema {
		m.session.schema = string(name)
	}
	if m.session.schema != m.state.schema {
		m.state.schema = m.session.schema
	}
	// No command takes a default database away, so that nobody else of this key can use the backend.
	m.request.kinds &^= bit(engine.KindSchema)
	if (m.info.key.Database == "") != (m.session.schema == "") {
		m.request.leaves(engine.KindSchema)
	}
}

// leftSchema corrects what was reported in the midst of a procedure. Servers report its database with its first result, and go
// back without a word where it failed, or where the session has no default database. A procedure cannot have another effect on
// that: USE is not allowed in it.
func (m *Machine) leftSchema() {
	r := &m.request
	if r.class.has(classCalls) && r.single && r.schema != m.session.schema {
		m.session.schema, m.state.schema = r.schema, r.schema
		r.kinds &^= bit(engine.KindSchema)
	}
}
