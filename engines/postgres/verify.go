package postgres

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

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

// settingKinds are what the server tells of by listing the settings that were changed (verify_settings.go).
const settingKinds kindSet = 1<<engine.KindSetting | 1<<engine.KindRole

// questions are the columns: whether there is anything of a kind on the connection. What belongs to a schema, whatever it is,
// depends on it (pg_depend), and there is an index for that. Statements that the proxy shares among sessions begin with
// sharedPrefix; nobody else's do, but those of SQL. Operators have their schema in what is asked: the search path may lead to others, which would
// be executed with the session's rights, and answer what they like.
var questions = [len(verifiable)]string{
	"EXISTS (SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass" +
		" AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable)",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_listening_channels())",
	"EXISTS (SELECT 1 FROM pg_catalog.pg_prepared_statements WHERE from_sql OR name OPERATOR(pg_catalog.!~) '^" + sharedPrefix + "')",
}

// sharedQuestion counts the shared statements on the connection, which code may have dropped.
const sharedQuestion = "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements WHERE name OPERATOR(pg_catalog.~) '^" + sharedPrefix + "[0-9a-z]')"

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
	opaque  bool    // code of unknown effect was executed since the server was asked what is left
	typo    bool    // the first answer that is awaited tells whether something was executed
	all     bool    // the question is about everything, settings too,
	coded   bool    // because of code
	dirty   bool    // something may be left that the question does not show

	settings foundSettings // of the answer about everything
}

// open is what only the server can tell.
func (v *verification) open() kindSet {
	ask := v.told&v.ends | v.maybe&^v.told&^v.ignored
	if v.undone {
		ask |= v.made & v.told
	}
	return ask & (verifiableKinds | settingKinds)
}

// settle begins a new transaction.
func (v *verification) settle() { v.made, v.maybe, v.ends, v.undone = 0, 0, 0, false }

// tidy brings the held backend, at a boundary, to where it may go back, if it may, and says whether answers are awaited first.
func (m *machine) tidy(w engine.Wire) (waits bool) {
	s := &m.lend.sweep
	if s.creates {
		m.e.doubt()
		s.creates = false
	}
	s.later = false
	s.active, s.failed = false, false
	s.active = m.verify(w)
	return s.active
}

// verify asks what is open, or cleans up when nothing is. While something holds the session anyway, code of unknown effect is
// not asked about; the query would end an unnamed statement that cannot be made again, and waits for that one's end.
func (m *machine) verify(w engine.Wire) (waits bool) {
	v := &m.lend.verify
	m.settleSettings()
	kinds := v.open()
	if kinds == 0 && !v.unknown && m.pins != 0 && !m.lend.sets.unsure {
		v.settle()
		return false
	}
	if v.failed || m.unnamed.lost && m.pins != 0 {
		return false
	}
	all, waits := m.suspects(w)
	switch {
	case waits:
		return true
	case kinds == 0 && !v.unknown && m.pins != 0 && !m.lend.sets.unsure: // it pins now
		v.settle()
		return false
	case all && m.unseenChanges == engine.UnseenPin && !v.ignored.has(engine.KindUnknown):
		m.hold(engine.KindUnknown, m.lend.suspect, w)
		m.lend.sweep.used, v.opaque = false, false
		return m.verify(w)
	}
	v.coded = all
	if all = all || kinds&settingKinds != 0 || m.lend.sets.unsure; all {
		kinds = verifiableKinds
	}
	if kinds != 0 || v.unknown {
		m.ask(kinds, all, w)
		return true
	}
	v.settle()
	if m.pins == 0 && (v.dirty || v.ignored != 0) {
		m.clean(w)
		return true
	}
	return false
}

// suspects says whether code may have left anything whatsoever, or waits for what is known of the database's code.
func (m *machine) suspects(w engine.Wire) (all, waits bool) {
	v, u := &m.lend.verify, m.state.unseen
	if m.unseenChanges == engine.UnseenTrust || u == nil || !m.lend.sweep.used {
		return v.opaque, false
	}
	s := u.now()
	if s == suspicionNone {
		m.lend.sweep.used = false
		return v.opaque, false
	}
	known := u.known.Load()
	if u.take() || !known && !m.lend.sweep.vain {
		m.lend.sweep.verdict, m.lend.sweep.names = suspicionStale, nil // unless there is an answer
		w.ToBackend(unseenMessage)
		m.push(answerUnseen | answerSwallow)
		return false, true
	}
	sticks := s == suspicionPin || u.stuck.Load() || !known
	m.lend.sticks = m.lend.sticks || sticks
	if (sticks || len(u.settings()) > maxCustomNames) && !v.told.has(engine.KindUnknown) {
		m.hold(engine.KindUnknown, nil, w)
	}
	return true, false
}

// ask asks about kinds, or about everything.
func (m *machine) ask(kinds kindSet, all bool, w engine.Wire) {
	v := &m.lend.verify
	v.asked, v.found, v.answer, v.all, v.settings = kinds, 0, false, all, foundSettings{}
	names, mentioned := m.customs, []string(nil)
	for _, s := range m.state.base.all() {
		if strings.Contains(s.name, ".") && !slices.Contains(names, s.name) {
			names = append(names[:len(names):len(names)], s.name)
		}
	}
	if m.state.unseen != nil {
		for _, name := range m.state.unseen.settings() {
			if !slices.Contains(names, name) {
				mentioned = append(mentioned, name)
			}
		}
	}
	w.ToBackend(queryMessage(verifyQuery(kinds, all, names, mentioned, m.state.version())))
	m.push(answerVerify | answerSwallow)
}

// verifyQuery asks about kinds, or about everything, with names of settings (settingsQuery).
func verifyQuery(kinds kindSet, all bool, names, mentioned []string, version int) string {
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
	if all {
		return string(q) + ", " + sharedQuestion + "; " + settingsQuery(names, mentioned, version)
	}
	return string(q) + ", NULL"
}

// verifyRow reads a row of the answer to the question: 't' or 'f' for each kind (54.7 "DataRow", 8.6) and a number, then names and values of
// settings.
func (m *machine) verifyRow(body []byte) {
	v := &m.lend.verify
	if v.answer {
		m.settingRow(body)
		return
	}
	if len(body) < 2 || int(binary.BigEndian.Uint16(body)) != len(verifiable)+1 {
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
	shared, _, ok := cutField(body)
	if !ok {
		return
	}
	v.answer = true
	if n, err := strconv.Atoi(string(shared)); v.all && (err != nil || n < m.state.statements.certain()) {
		m.state.statements.doubt()
	}
}

// settingRow reads a row of settingsQuery. One that is too long to be held is a setting that somebody made.
func (m *machine) settingRow(body []byte) {
	if len(body) >= 2 && binary.BigEndian.Uint16(body) == 2 {
		if name, rest, ok := cutField(body[2:]); ok {
			if value, _, ok := cutField(rest); ok {
				m.settingFound(name, value)
				return
			}
		}
	}
	m.lend.verify.settings.strange = true
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
		if v.unknown || !m.holds() {
			return v.unknown
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
			m.named.direct = m.named.direct || k == engine.KindPreparedStatement
		}
	}
	if v.all {
		m.holdSettings(w)
	}
	if v.unknown {
		m.tell(engine.Event{Kind: engine.KindUnknown, Undo: true}, w)
		v.unknown = false
	}
	if v.all {
		v.dirty = v.dirty || v.coded
		v.opaque, m.lend.sweep.used = false, false
	}
	v.settle()
	m.lend.suspect = nil
	return true
}

// holdSettings lets go of settings that can be restored, and holds what cannot.
func (m *machine) holdSettings(w engine.Wire) {
	v := &m.lend.verify
	if !m.settingsVerified() {
		if !v.told.has(engine.KindSetting) && !v.ignored.has(engine.KindSetting) {
			m.hold(engine.KindSetting, m.lend.suspect, w)
		}
		return
	}
	for _, k := range [...]engine.Kind{engine.KindSetting, engine.KindRole} {
		if v.told.has(k) {
			m.tell(engine.Event{Kind: k, Undo: true}, w)
			v.told &^= 1 << k
		}
	}
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
func (m *machine) report(v verdict, text []byte, portal bool, w engine.Wire) {
	m.number++
	m.lend.flight.add(v)
	if m.running != nil {
		m.running.keep(text, m.queue.empty())
	}
	if m.session.temporary && !v.inert {
		v.maybe.add(engine.KindTemporaryTable)
	}
	m.valuesSent(v)
	s := &m.lend.verify
	s.failed = false
	m.lend.sticks = m.lend.sticks || v.sticks
	v.opaque = v.opaque && m.unseenChanges != engine.UnseenTrust
	if v.changesSettings() {
		m.settingsSent(v, text, portal)
	}
	if v.kinds|v.maybe|v.ends != 0 || v.rolls || v.opaque {
		m.changes(v, text, w)
	}
	if v.reset {
		m.reset.sent = true
	}
	if v.logins {
		m.loginsSent(text, w)
	}
	if v.prepares && m.lend.logins != nil || v.delivers {
		m.twoPhase(text)
	}
	m.named.clearing = m.named.clearing || v.deallocates
	m.createsCode(v, text)
	m.lend.sets.lexes = m.lend.sets.lexes || (v.opaque || v.foreign) && (text == nil || mentionsLexing(text))
	l := &m.lend.sweep
	l.used = l.used || !v.inert
}

// reads notes that text, nil if it is not there any more, is parsed. The server reads constants then, and some types call functions for that:
// arrays and rows of domains, for their checks.
func (m *machine) reads(text []byte) {
	s := &m.lend.sweep
	s.used = s.used || text == nil || mentionsConstant(text)
}

// mentionsConstant says that text may have a string in it.
func mentionsConstant(text []byte) bool {
	for i, c := range text {
		if c == '\'' || c == '$' && i+1 < len(text) && !isDigit(text[i+1]) {
			return true
		}
	}
	return false
}

// judge reads SQL that is going to be executed, and takes what else is needed out of it. Its verdict may be used again.
func (m *machine) judge(text []byte) verdict {
	v := classify(text, m.lexing)
	sets := v.kinds.has(engine.KindSetting)
	if (v.opaque || sets) && !m.remember(text) || sets && !m.readNames(text) || v.opaque && makesNames(text) {
		v.kinds.add(engine.KindUnknown)
	}
	if (v.opaque || v.garbled || v.kinds.has(engine.KindUnknown)) && mentionsSticking(text) || v.givesSeed(text, m.lexing) {
		v.stick()
	}
	if v.creates {
		m.e.creating(text, m.session.key.Database)
	}
	if u := m.state.unseen; v.foreign && u != nil && u.now() != suspicionNone {
		m.rememberStrings(text)
	}
	return v
}

// guess settles what a message may do whose text is no SQL as far as the scan knows. Where the server agrees, it has executed
// nothing: that can be told if the client waits for no more than the answers to this request's messages, of which there were
// so many before this one.
func (m *machine) guess(v *verdict, before int) {
	if !v.garbled {
		return
	}
	m.lend.verify.typo = !v.opaque && m.queue.forwarded() == before && m.unseenChanges != engine.UnseenTrust
	v.opaque = v.opaque || !m.lend.verify.typo
}

// settleTypo ends a guess: the answer is over, with an error or without.
func (m *machine) settleTypo() {
	v := &m.lend.verify
	v.opaque = v.opaque || v.typo
	v.typo = false
}

// changes notes what a statement does.
func (m *machine) changes(v verdict, text []byte, w engine.Wire) {
	s := &m.lend.verify
	s.made |= v.kinds
	s.maybe |= v.maybe
	s.ends |= v.ends
	s.undone = s.undone || v.rolls
	s.opaque = s.opaque || v.opaque
	for _, k := range [...]engine.Kind{engine.KindSetting, engine.KindRole} {
		if (v.ends | v.kinds).has(k) && !s.told.has(k) && !s.ignored.has(k) {
			m.setting(k, v, text, w)
		}
	}
	if v.kinds|v.maybe == 0 && !v.opaque {
		return
	}
	m.reset = reset{}
	if v.maybe&^s.told != 0 || v.opaque || v.kinds&settingKinds != 0 {
		m.lend.suspect = append(m.lend.suspect[:0], text[:min(len(text), maxSuspect)]...)
	}
	v.kinds &^= settingKinds
	for k := engine.Kind(0); v.kinds>>k != 0; k++ {
		if v.kinds.has(k) && !s.told.has(k) && !s.ignored.has(k) {
			m.hold(k, text, w)
		}
	}
}

// setting reports settings that are restored, unless the policy wants otherwise.
func (m *machine) setting(k engine.Kind, v verdict, text []byte, w engine.Wire) {
	s := &m.lend.verify
	m.roles = m.roles || k == engine.KindRole
	rule := rules[k]
	if !v.kinds.has(k) {
		rule = "RESET"
	}
	switch m.tell(engine.Event{Kind: k, Restorable: true, Rule: rule, Statement: text, Number: m.number}, w) {
	case engine.Pin:
		s.told.add(k)
	case engine.Ignore:
		s.ignored.add(k)
	}
}

// forgotten notes that the server has forgotten about the session what it forgets at all.
func (m *machine) forgotten(w engine.Wire) {
	v := &m.lend.verify
	kept := v.told & (1<<engine.KindLibrary | 1<<engine.KindReplication)
	if m.lend.sticks {
		kept.add(engine.KindUnknown)
	}
	m.tell(engine.Event{Kind: engine.KindReset}, w)
	v.told, v.ignored, v.ends, v.unknown = 0, 0, 0, false
	m.unnamed.reported, m.nameless, m.roles = false, false, false
	m.values = values{tenure: m.values.tenure}
	m.settle(nil)
	for _, k := range kept.list() {
		m.hold(k, nil, w)
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
