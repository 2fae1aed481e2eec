package postgres

import (
	"encoding/binary"

	"github.com/berthdb/berth/core/engine"
)

// Some state holds a session to its backend, and ends: temporary objects, advisory locks, cursors WITH HOLD, channels,
// statements of PREPARE. Whether it is there is not for the scan to say: a lock is counted, a table goes with its schema, a
// rollback brings back what was dropped. So the pin begins with the statement that makes the state, and where one may have
// ended it the server is asked, at the boundary behind the transaction and in one query that the client sees nothing of.

// verifiable are the kinds that the server can be asked about, in the order of the columns of its answer.
var verifiable = [...]engine.Kind{
	engine.KindTemporaryTable, engine.KindNamedLock, engine.KindCursor, engine.KindListen, engine.KindPreparedStatement,
}

const verifiableKinds kindSet = 1<<engine.KindTemporaryTable | 1<<engine.KindNamedLock | 1<<engine.KindCursor |
	1<<engine.KindListen | 1<<engine.KindPreparedStatement

// questions are the columns: whether there is anything of a kind on the connection. What belongs to a schema, whatever it is,
// depends on it (pg_depend), and there is an index for that. Statements that the proxy shares among sessions begin with its
// name; nobody else's do.
var questions = [len(verifiable)]string{
	"EXISTS (SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass" +
		" AND refobjid = pg_catalog.pg_my_temp_schema())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable)",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_listening_channels())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE from_sql OR name !~ '^berth')",
}

// verification is what is known, since the last boundary, of state that holds the session to the backend of this lend.
type verification struct {
	told    kindSet // by report: it pins
	ignored kindSet // by report: it does not pin, by configuration, and is on the backend
	made    kindSet // a statement makes it, unless it fails or is undone
	maybe   kindSet // a statement may make it
	ends    kindSet // a statement may end it
	undone  bool    // something failed or was rolled back
	asked   kindSet // the question under way
	found   kindSet // its answer,
	answer  bool    // if there is one
	failed  bool    // the last question had no answer, and nothing was sent since
	unknown bool    // which pins
}

// open is what only the server can tell.
func (v *verification) open() kindSet {
	ask := v.told&v.ends | v.maybe&^v.told&^v.ignored
	if v.undone {
		ask |= v.made & v.told
	}
	return ask & verifiableKinds
}

// settle begins a new transaction.
func (v *verification) settle() { v.made, v.maybe, v.ends, v.undone = 0, 0, 0, false }

// tidy brings the held backend, at a boundary, to where it may go back, if it may, and says whether answers are awaited first.
func (m *machine) tidy(w engine.Wire) (waits bool) {
	s := &m.lend.sweep
	s.active, s.failed = false, false
	s.active = m.ask(w) || m.sweep(w)
	return s.active
}

// ask asks what is open. The query would end an unnamed statement that cannot be made again: it waits for that one's end.
func (m *machine) ask(w engine.Wire) (waits bool) {
	v := &m.lend.verify
	kinds := v.open()
	if kinds == 0 && !v.unknown {
		v.settle()
		return false
	}
	if v.failed || m.unnamed.lost && m.pins != 0 {
		return false
	}
	v.asked, v.found, v.answer = kinds, 0, false
	w.ToBackend(queryMessage(verifyQuery(kinds)))
	m.push(answerVerify | answerSwallow)
	return true
}

// verifyQuery asks about kinds.
func verifyQuery(kinds kindSet) string {
	q := []byte("SELECT ")
	for i, k := range verifiable {
		if i > 0 {
			q = append(q, ", "...)
		}
		if kinds.has(k) {
			q = append(q, questions[i]...)
		} else {
			q = append(q, "NULL"...)
		}
	}
	return string(q)
}

// verifyRow reads the row that answers the question: 't' or 'f' for a kind (54.7 "DataRow", 8.6).
func (m *machine) verifyRow(body []byte) {
	v := &m.lend.verify
	v.answer = false
	if len(body) < 2 || int(binary.BigEndian.Uint16(body)) != len(verifiable) {
		return
	}
	body = body[2:]
	for _, k := range verifiable {
		field, rest, ok := cutField(body)
		if !ok || v.asked.has(k) && len(field) != 1 {
			return
		}
		if v.asked.has(k) && field[0] != 'f' {
			v.found.add(k)
		}
		body = rest
	}
	v.answer = true
}

// cutField returns the first field of the rest of a DataRow, nil for NULL, and what follows.
func cutField(p []byte) (field, rest []byte, ok bool) {
	if len(p) < 4 {
		return nil, nil, false
	}
	n := int32(binary.BigEndian.Uint32(p))
	p = p[4:]
	if n == -1 {
		return nil, p, true
	}
	if n < 0 || int(n) > len(p) {
		return nil, nil, false
	}
	return p[:n], p[n:], true
}

// verified acts on the answer. It returns false if the backend must not be used any more.
func (m *machine) verified(failed bool, status byte, w engine.Wire) bool {
	v := &m.lend.verify
	asked := v.asked
	v.asked = 0
	if status != 'I' {
		return false
	}
	if failed || !v.answer {
		v.failed = true
		if v.unknown {
			return true
		}
		v.unknown = m.tell(engine.Event{Kind: engine.KindUnknown, Rule: "the database did not say what is left", Number: m.number}, w) == engine.Pin
		return v.unknown
	}
	for _, k := range verifiable {
		switch {
		case asked.has(k) && v.told.has(k) && !v.found.has(k):
			m.tell(engine.Event{Kind: k, Undo: true}, w)
			v.told &^= 1 << k
			m.named.direct = m.named.direct && k != engine.KindPreparedStatement
		case v.found.has(k) && !v.told.has(k):
			m.hold(k, m.lend.suspect, w)
		}
	}
	if v.unknown {
		m.tell(engine.Event{Kind: engine.KindUnknown, Undo: true}, w)
		v.unknown = false
	}
	v.settle()
	m.lend.suspect = nil
	return true
}

// hold reports state of a kind that is on the backend now, or will be.
func (m *machine) hold(k engine.Kind, text []byte, w engine.Wire) {
	v := &m.lend.verify
	if m.tell(engine.Event{Kind: k, Rule: rules[k], Statement: text, Number: m.number}, w) == engine.Pin {
		v.told.add(k)
	} else {
		v.ignored.add(k)
	}
}

// rules say what in a statement means a kind.
var rules = [engine.Kinds]string{
	engine.KindUnknown:           "statement of unknown effect",
	engine.KindSetting:           "SET",
	engine.KindRole:              "SET ROLE",
	engine.KindTemporaryTable:    "temporary object",
	engine.KindNamedLock:         "session advisory lock",
	engine.KindPreparedStatement: "PREPARE",
	engine.KindCursor:            "DECLARE ... WITH HOLD",
	engine.KindListen:            "LISTEN",
	engine.KindSequence:          "nextval or setval",
	engine.KindLibrary:           "LOAD",
	engine.KindReplication:       "replication",
	engine.KindConnectionID:      "pg_backend_pid",
}

// maxSuspect is how much of a statement is kept for the case that the server finds what it left.
const maxSuspect = 1 << 10

// report tells the core what a statement that is being sent may leave behind; text is its text, or nil. It counts from here
// on, not from the server's confirmation: where it fails, the server is asked.
func (m *machine) report(v verdict, text []byte, w engine.Wire) {
	m.number++
	if m.session.temporary && !v.inert {
		v.maybe.add(engine.KindTemporaryTable)
	}
	s := &m.lend.verify
	s.failed = false
	if v.kinds|v.maybe|v.ends != 0 || v.rolls {
		m.changes(v, text, w)
	}
	if v.reset {
		m.reset.sent = true
	}
	m.named.clearing = m.named.clearing || v.deallocates
	l := &m.lend.sweep
	l.used, l.creates = l.used || !v.inert, l.creates || v.creates
}

// changes notes what a statement does.
func (m *machine) changes(v verdict, text []byte, w engine.Wire) {
	s := &m.lend.verify
	s.made |= v.kinds
	s.maybe |= v.maybe
	s.ends |= v.ends
	s.undone = s.undone || v.rolls
	if v.kinds|v.maybe == 0 {
		return
	}
	m.reset = reset{}
	if v.maybe&^s.told != 0 {
		m.lend.suspect = append(m.lend.suspect[:0], text[:min(len(text), maxSuspect)]...)
	}
	for k := engine.Kind(0); v.kinds>>k != 0; k++ {
		if v.kinds.has(k) && !s.told.has(k) && !s.ignored.has(k) {
			m.hold(k, text, w)
		}
	}
}

// forgotten notes that the server has forgotten everything about the session. What it has loaded stays.
func (m *machine) forgotten(w engine.Wire) {
	v := &m.lend.verify
	loaded := v.told.has(engine.KindLibrary)
	m.tell(engine.Event{Kind: engine.KindReset}, w)
	v.told, v.ignored, v.ends, v.unknown = 0, 0, 0, false
	m.unnamed.reported = false
	if loaded {
		m.hold(engine.KindLibrary, nil, w)
	}
}

// tell reports an event, and notes what the core makes of it.
func (m *machine) tell(e engine.Event, w engine.Wire) engine.Action {
	action := w.Report(e)
	switch {
	case e.Kind == engine.KindReset:
		if action != engine.Pin {
			m.pins = 0
		}
	case e.Undo:
		if action != engine.Pin {
			m.pins &^= 1 << e.Kind
		}
	case action == engine.Pin:
		m.pins.add(e.Kind)
	}
	return action
}
