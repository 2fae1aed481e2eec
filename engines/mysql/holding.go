package mysql

import (
	"bytes"
	"slices"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// holding is what keeps a session on its backend, and when that ends. Things that statements make and end by name are
// remembered by name: temporary tables, handlers, statements of PREPARE, what is locked, a distributed transaction. Locks
// of GET_LOCK are counted by the server, which is asked at the boundary behind what may have released one. Whatever else
// pins lasts until a reset. Names are compared as written, and count as different in doubt: then a pin only lasts longer.
// Where the server was not asked, the backend is reset before it goes back, so that nobody else depends on these names.
type holding struct {
	names   [holds][]string
	lasting uint32 // kinds of which something has no end that can be seen
	unsure  bool   // whether locks are still held
	found   uint64 // of names of locks: bit by bit, what the server said is held,
	told    bool   // if it said anything
}

// maxNames is how many things of a sort are remembered.
const maxNames = 16

func bit(k engine.Kind) uint32 { return 1 << k }

func (h *holding) add(o hold, name string) {
	if slices.Contains(h.names[o], name) {
		return
	}
	if len(h.names[o]) == maxNames {
		h.lasting |= bit(kindOf[o])
		return
	}
	h.names[o] = append(h.names[o], name)
}

func (h *holding) remove(o hold, names ...string) {
	h.names[o] = slices.DeleteFunc(h.names[o], func(name string) bool { return slices.Contains(names, name) })
}

// has says whether there is anything of a kind.
func (h *holding) has(k engine.Kind) bool {
	for o, names := range h.names {
		if kindOf[o] == k && len(names) > 0 {
			return true
		}
	}
	return h.lasting&bit(k) != 0
}

// harmful marks the names of statements of PREPARE that may leave something when they are executed.
const harmful = "\x00"

// endings are the errors that say that the one thing which a statement ends was not there.
var endings = [holds]uint16{
	holdTable: protocol.ER_BAD_TABLE_ERROR, holdHandler: protocol.ER_UNKNOWN_TABLE,
	holdPrepared: protocol.ER_UNKNOWN_STMT_HANDLER,
}

// remember reads what the request that is being sent does, if that may matter: text is its text.
func (m *Machine) remember(c class, text []byte) {
	if m.info.keepsText {
		m.running = append(m.running[:0], text[:min(len(text), maxText)]...)
	}
	if c.kinds == 0 && m.holding == nil && !c.has(classCalls) && c.sets() == nil && c.users() == nil {
		return
	}
	if !m.session.wide { // what a character hides there, no strict form has
		schema := m.session.schema
		if m.placedElsewhere() {
			schema = m.statements.current.schema
		}
		m.request.act = actOf(text)
		m.request.act.place(schema)
		m.request.act.unnamed = m.request.act.unnamed || len(m.request.act.locks) > 0 && m.broad()
		m.request.single = m.request.act.single
	} else {
		m.request.single = bytes.IndexByte(text, ';') < 0 // no character ends with that
	}
	if c.kinds != 0 || c.has(classCalls) || c.sets() != nil || c.users() != nil {
		m.text = append(m.text[:0], text[:min(len(text), maxText)]...)
	}
}

// place gives tables that are named without a schema the default one.
func (a *act) place(schema string) {
	for i, name := range a.names {
		if a.hold == holdTable && name[0] == 0 {
			a.names[i] = schema + name
		}
	}
}

// explains says whether it is no surprise that the server reports a change of state, without saying which.
func (r *request) explains() bool {
	const silent = 1<<engine.KindNamedLock | 1<<engine.KindTableLock | 1<<engine.KindCursor
	return r.class.kinds&^silent != 0 || r.class.sets() != nil || r.class.users() != nil || r.act != nil && r.act.verb == verbEnd
}

// maxText is how much of a statement is kept for the log of pins.
const maxText = 1 << 10

// holds notes what the request that is over left and ended. It returns the kinds of state that it left.
func (m *Machine) holds(kinds uint32) uint32 {
	r := &m.request
	a := r.act
	if a == nil {
		a = &act{}
	}
	if r.failed && r.errno == protocol.ER_PARSE_ERROR && a.single && !a.dynamic {
		kinds &^= r.class.kinds &^ r.class.beforeSignal() // nothing was executed
		if kinds == 0 {
			return 0
		}
	}
	if m.holding == nil {
		m.holding = &holding{}
	}
	h := m.holding
	known := m.apply(a) | m.applyLocks(a)
	h.lasting |= r.kinds | r.class.kinds&kinds&^known
	if r.class.has(classRenames) && len(h.names[holdTable]) > 0 {
		h.lasting |= bit(engine.KindTemporaryTable)
	}
	for o := range holds {
		if k := kindOf[o]; known&bit(k) != 0 && !m.keeps(k) {
			kinds &^= bit(k)
		}
	}
	return kinds
}

// beforeSignal is the kinds of what the text may have left before a function or trigger that it executes has failed with any number (SIGNAL).
func (c class) beforeSignal() uint32 {
	if !c.has(classCalls | classTables) {
		return 0
	}
	return bit(engine.KindNamedLock) | bit(engine.KindSequence) | bit(engine.KindUserVariable)
}

// keeps says whether there is anything of a kind.
func (m *Machine) keeps(k engine.Kind) bool {
	return m.holding.has(k) || k == engine.KindTableLock && m.session.locked ||
		k == engine.KindPreparedStatement && m.statements.kept > 0 || k == engine.KindUnknown && m.judging
}

// apply notes what an act did. It returns the kinds of what is known of it.
func (m *Machine) apply(a *act) (known uint32) {
	h, r := m.holding, &m.request
	known = bit(kindOf[a.hold])
	switch a.verb {
	case verbNone:
		return 0
	case verbMake:
		m.make(a)
	case verbEnd:
		if !r.failed || len(a.names) == 1 && r.errno == endings[a.hold] {
			h.remove(a.hold, a.names...)
			if slices.Contains(a.names, lockTables) {
				m.session.locked = false // which is not reported where it was before (stillLocked)
			}
			if a.hold == holdPrepared {
				h.remove(a.hold, harmful+a.names[0])
			}
		}
	case verbExecute:
		absent := r.failed && r.errno == protocol.ER_UNKNOWN_STMT_HANDLER && !slices.Contains(h.names[a.hold], harmful+a.names[0])
		if !slices.Contains(h.names[a.hold], a.names[0]) && !absent {
			return 0
		}
	case verbLock:
		h.remove(a.hold, lockTables)
		if r.failed {
			h.add(a.hold, lockTables)
		} else {
			m.session.locked = true // which MySQL does not report if it has not reported the end of other locks on this connection
		}
	case verbBegin:
		if !r.failed {
			h.remove(a.hold, lockTables)
			m.session.locked = false
		}
	case verbReleases:
		if !r.failed {
			h.names[a.hold] = nil
			h.lasting &^= known
		}
	}
	return known
}

// make notes what a statement made. Where it failed, and it is not sure that there is nothing, there is something.
func (m *Machine) make(a *act) {
	h, r := m.holding, &m.request
	name := a.names[0]
	switch a.hold {
	case holdPrepared:
		h.remove(a.hold, name, harmful+name) // even if it fails
		if !a.harmless {
			name = harmful + name
		}
		if !r.failed {
			h.add(a.hold, name)
		}
	case holdHandler, holdXA:
		if !r.failed {
			h.add(a.hold, name)
		}
	case holdTableLock:
		if r.class.kinds&bit(engine.KindTableLock) != 0 {
			h.add(a.hold, name)
		}
	default:
		h.add(a.hold, name)
	}
}

// applyLocks notes that locks may have been taken or released.
func (m *Machine) applyLocks(a *act) (known uint32) {
	h := m.holding
	h.unsure = h.unsure || a.releases
	if a.verb == verbReleases {
		return bit(engine.KindNamedLock)
	}
	if len(a.locks) == 0 || a.unnamed || slices.Contains(a.locks, "") {
		return 0
	}
	for _, name := range a.locks {
		h.add(holdLock, name)
	}
	h.unsure = true
	return bit(engine.KindNamedLock)
}

// letGo ends the pins whose cause is gone.
func (m *Machine) letGo(w engine.Wire) {
	for _, k := range kindOf {
		if m.pins.reported&bit(k) != 0 && !m.keeps(k) {
			m.undo(k, w)
		}
	}
	if m.pins.reported == 0 && !m.judging {
		m.holding = nil
	}
}

// undo reports that all state of a kind is gone.
func (m *Machine) undo(k engine.Kind, w engine.Wire) {
	if w.Report(engine.Event{Kind: k, Undo: true}) == engine.Pin {
		return // by configuration it pins until the session ends
	}
	m.pins.reported &^= bit(k)
	m.dirty = m.dirty || k != engine.KindNamedLock
	m.pins.pinned = m.pins.reported != 0 || m.pins.result || m.pins.traits
}

// inquire asks the server, at a boundary, which locks are held, if nothing else pins. It says whether the answer is
// awaited first.
func (m *Machine) inquire(w engine.Wire) (waits bool) {
	h := m.holding
	if !h.unsure || m.pins.reported != bit(engine.KindNamedLock) || m.pins.result || m.pins.traits ||
		h.lasting&bit(engine.KindNamedLock) != 0 {
		return false
	}
	switch {
	case slices.Contains(m.session.asks, connectionCollation):
		m.askSettings(w)
		return true
	case m.broad(), m.session.wide && slices.ContainsFunc(h.names[holdLock], varies) && m.letters():
		return false // it would be asked for other names
	}
	h.unsure, h.told = false, false
	m.ask(locksQuery(h.names[holdLock]), purposeLocks, w)
	return true
}

// locksQuery asks for a number with a bit for each lock that the connection holds. Numbers are the same in every
// character set.
func locksQuery(names []string) string {
	q := []byte("SELECT 0")
	for i, name := range names {
		q = append(q, "+COALESCE(IS_USED_LOCK('"...)
		q = append(q, name...)
		q = append(q, "')=CONNECTION_ID(),0)*"...)
		q = strconv.AppendUint(q, 1<<i, 10)
	}
	return string(q)
}

// locksRow reads the answer.
func (m *Machine) locksRow(p []byte) {
	if m.holding == nil {
		return
	}
	f := fields{rest: p}
	n, err := strconv.ParseUint(string(digits(f.text())), 10, 64)
	m.holding.found, m.holding.told = n, err == nil && !f.bad
}

// inquired acts on the answer. Without one, whatever was held is.
func (m *Machine) inquired(w engine.Wire) {
	h := m.holding
	if h == nil || !h.told {
		return
	}
	var held []string
	for i, name := range h.names[holdLock] {
		if h.found>>i&1 != 0 {
			held = append(held, name)
		}
	}
	h.names[holdLock], h.told = held, false
	m.letGo(w)
}

// event is the event of a kind of state that the statement at hand leaves.
func (m *Machine) event(k engine.Kind) engine.Event {
	e := engine.Event{Kind: k, Rule: rules[k], Number: m.number}
	if r := &m.request; r.class.kinds&bit(k) != 0 || k == engine.KindSetting && r.class.sets() != nil || k == engine.KindUserVariable && r.class.users() != nil {
		e.Statement = m.text
	}
	if h := m.holding; h != nil {
		for o, names := range h.names {
			if kindOf[o] == k && len(names) > 0 {
				e.Name = printable(names[len(names)-1])
			}
		}
	}
	return e
}

// printable is a name for people.
func printable(name string) string {
	b := []byte(name)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	for i, c := range b {
		if c == 0 {
			b[i] = '.'
		}
	}
	return string(b)
}

// rules say what in a statement means a kind.
var rules = [engine.Kinds]string{
	engine.KindUnknown:           "statement of unknown effect",
	engine.KindSetting:           "SET",
	engine.KindTransactionTrait:  "SET TRANSACTION",
	engine.KindRole:              "SET ROLE",
	engine.KindTemporaryTable:    "CREATE TEMPORARY TABLE",
	engine.KindTableLock:         "LOCK TABLES or FLUSH TABLES",
	engine.KindNamedLock:         "GET_LOCK",
	engine.KindPreparedStatement: "PREPARE",
	engine.KindCursor:            "HANDLER",
	engine.KindUserVariable:      "user variable",
	engine.KindLastResult:        "warnings, an error or SQL_CALC_FOUND_ROWS",
	engine.KindSequence:          "sequence",
	engine.KindSchema:            "USE",
	engine.KindConnectionID:      "CONNECTION_ID",
}
