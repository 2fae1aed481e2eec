package postgres

import (
	"math"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// machineState is what machines note on a backend for each other.
type machineState struct {
	// unnamed is which unnamed statement the backend has.
	unnamed statementID
	// values is the tenure (values.go) of the only session that held the backend since it had no sequence values, 0 for none and
	// severalSessions for more than one. The text of a statement does not tell whether it uses a sequence.
	values uint64
	// statements are the shared ones that the backend has.
	statements backendStatements
	// snapshot is a copy of params that nobody changes, nil if params changed since it was made.
	snapshot []parameter
	// actual is what is set.
	actual *settings
	// lend is there, and not in the machine, because most machines hold no backend.
	lend lend
}

const severalSessions = math.MaxUint64

// machine relays one session (engine.Machine). It belongs to the goroutine of the session's loop. Requests are not kept: what
// must wait is left unconsumed. What it keeps is where it is in either stream, what the backend owes, and the session's
// unnamed statement.
type machine struct {
	e             *Engine
	session       sessionInfo
	serial        uint64 // unlike the session's id never used again
	backend       *engine.Backend
	state         *backendState // of backend
	queue         answers
	reading       reading
	lend          *lend // of backend
	unnamed       unnamed
	named         named
	values        values
	lost          lost
	pins          kindSet // what keeps the backend, as far as the core said so
	running       *running
	seen          []parameter // what the client was told last; nobody changes it
	number        uint64      // of the last statement that was sent, from 1
	customs       []string    // names of settings in statements that executed code of unknown effect
	settings      *settings   // what the session has set, if set: otherwise what the init query sets
	base          base
	reset         reset
	set           bool
	nameless      bool               // it has changed settings whose names are not known, since its last reset
	unseenChanges engine.Unseen      // the engine's Unseen when the session began
	roles         bool               // it has said who executes, since its last reset
	directSets    bool               // a statement under a name of the backend's own may change settings
	creates       bool               // it has prepared, by name, a statement that creates code, or brings what others have created
	lexing        lexing             // what seen says about how to read SQL
	head          [headerLength]byte // of a message that is sent under another length
}

// reading is where the machine is in the two streams.
type reading struct {
	client stream // of a message of the client
	long   *longMessage
	// collected is a message of which nothing has been sent yet.
	collected *collected
	backend   stream // of a message of the backend
	starting  bool   // the client waits for the end of its login
	waiting   bool   // for a borrow
	wanting   byte   // the type of the message that needed it
	refused   bool   // that message is not to be executed, and has been answered
	skipping  bool   // until Sync, after an error (54.2.3)
	batch     bool   // messages of the extended protocol were sent since the last Sync, Query or FunctionCall
	fatal     bool   // the backend has said why it goes
	partial   bool   // the client has got the beginning of a message
	closed    bool
}

// lend is the state of the backend that is held, since it was granted.
type lend struct {
	tx    byte // as the last ReadyForQuery says: 'I', 'T' or 'E'
	ready bool // nothing was sent since that
	// owed says that the message that it was borrowed for waits, for what brings the backend in line. Were the backend given back
	// meanwhile, the next one would have to be brought in line, too, and sessions that compete for backends would never get on.
	owed  bool
	asked bool // the core was asked to take it back at this boundary
	// copying says that the server reads COPY data and the client has not ended it. copySyncs counts the Syncs that came
	// before the end: the server ignores those it reads while it copies, and answers those it reads after an error. After
	// an error nobody can say which they were: uncertain, until the machine has asked something of its own.
	copying   bool
	copySyncs int
	uncertain bool
	unnamed   standing // of the backend's unnamed statement being the session's
	sequences standing // of the backend having no other session's sequence values
	ownValues bool     // that it surely has none
	part      int32    // how much of the text of the client's Query was sent before the rest (parts.go)
	sweep     sweep
	verify    verification
	sets      pendingSettings
	flight    flight
	portals   portals
	bound     *namedStatement   // of the Bind before the message that comes next, if the columns of its portal tell something new
	portal    []byte            // that one's name
	ofUnnamed bool              // it is one of the unnamed statement, and bound is nil
	checks    bool              // the client's message waits until it is known whether the unnamed statement is still what it was
	stale     bool              // it is not
	timeless  []*namedStatement // of the batch, whose times its end tells (named_literals.go)
	rolling   rolling
	dooms     uint8  // attempts to make a transaction that failed, 0 if none is under way
	sticks    bool   // what no reset undoes may be on it (sticking.go)
	mixed     bool   // a request was answered outside of a transaction while others were not
	untold    bool   // what a DISCARD ALL changes is reported behind a Sync of the machine's own, and not to the client yet
	restoring bool   // what brings the backend in line is not answered
	pinned    bool   // the session had state on the backend when that was sent
	calming   uint8  // attempts to take its timeout away before that, 0 if none is under way
	quiet     bool   // it was taken away,
	calm      bool   // and something was answered since
	early     []byte // what the client gets of the answer to part of its Query, if the server can read the rest
	suspect   []byte // the text of the last statement that may have left what only the server knows
	inserted  *inserted
	logins    *logins // what the transaction changes for logins, nil if nothing
}

// reset follows a DISCARD ALL: it counts if nothing that changes state was sent after it.
type reset struct {
	sent, done bool
}

var (
	_ engine.Machine   = (*machine)(nil)
	_ engine.Teller    = (*machine)(nil)
	_ engine.Committer = (*machine)(nil)
	_ engine.Decliner  = (*machine)(nil)
)

func newMachine(e *Engine, s sessionInfo) engine.Machine {
	s.temporary = strings.Contains(strings.ToLower(s.key.Options), "pg_temp")
	m := &machine{e: e, session: s, serial: e.sessions.Add(1), reading: reading{starting: true}, base: base{is: unknownSettings}, unseenChanges: e.Unseen()}
	if s.keepsText {
		m.running = &running{}
	}
	return m
}

// Start ends the login at once if it is known what servers report to sessions like this one.
func (m *machine) Start(w engine.Wire) {
	if params, ok := m.e.parameters(m.session.key); ok {
		m.welcome(params, w)
		return
	}
	if m.borrow('R', w) {
		m.Granted(m.backend, w)
	}
}

// welcome tells the client that it is logged in (54.2.1).
func (m *machine) welcome(params []parameter, w engine.Wire) {
	params = m.withApplication(params)
	var out []byte
	for _, p := range params {
		out = appendParameter(out, p)
	}
	out = appendKey(out, m.session.id, m.session.cancelSecret)
	w.ToClient(appendReady(out))
	m.reading.starting = false
	m.see(params)
}

// withApplication returns params, which are a backend's as it was dialed, with the application's name.
func (m *machine) withApplication(params []parameter) []parameter {
	if !m.session.named {
		return params
	}
	params = slices.Clone(params)
	for i := range params {
		if params[i].name == applicationName {
			params[i].value = m.session.application
		}
	}
	return params
}

// see notes what the client has been told.
func (m *machine) see(params []parameter) {
	m.seen = params
	m.lexing = lexingOf(params)
}

// borrow asks for the backend that a message of type kind needs, and says whether it is held now.
func (m *machine) borrow(kind byte, w engine.Wire) bool {
	b := w.Borrow(engine.Want{Key: m.session.key})
	if b == nil {
		m.reading.waiting, m.reading.wanting = true, kind
		return false
	}
	m.attach(b, w)
	return true
}

// attach begins a lend.
func (m *machine) attach(b *engine.Backend, w engine.Wire) {
	m.reading.waiting = false
	m.backend = b
	state, ok := b.State.(*backendState)
	if !ok {
		panic("BUG: postgres: a backend of another engine")
	}
	m.state = state
	state.lend = lend{tx: 'I', ready: true, owed: !m.reading.starting, ownValues: m.arrive(state), portal: state.lend.portal[:0]}
	m.lend = &state.lend
	m.align(w)
	if m.lost.tx == 'E' {
		m.doom(w)
	}
	m.settleStandings()
	if !m.reading.starting && !m.lend.restoring {
		m.tellParameters(w)
	}
	m.trimStatements(maxStatements, w) // no portal is open yet that would go with them
}

// tellParameters tells the client how this backend's reported parameters differ from what it was told last. It is at a clean
// boundary, so they are what any session of the key finds.
func (m *machine) tellParameters(w engine.Wire) {
	now := m.snapshot()
	if len(now) == 0 || len(now) == len(m.seen) && &now[0] == &m.seen[0] {
		return
	}
	if slices.Equal(now, m.seen) {
		m.seen = now
		return
	}
	var out []byte
	for _, p := range now {
		if value, ok := lookup(m.seen, p.name); !ok || value != p.value {
			out = appendParameter(out, p)
		}
	}
	if out != nil {
		w.ToClient(out)
	}
	m.see(now)
}

// snapshot returns what the held backend reports, as a slice that nobody changes: the one in the engine's cache if possible, so
// that sessions and backends share it.
func (m *machine) snapshot() []parameter {
	if m.state.snapshot == nil {
		if m.state.actual == m.state.base {
			m.e.learn(m.session.key, m.state.params)
		}
		shared, _ := m.e.parameters(m.session.key)
		if !slices.Equal(shared, m.state.params) { // another loop learned something else meanwhile
			shared = slices.Clone(m.state.params)
		}
		m.state.snapshot = shared
	}
	return m.state.snapshot
}

func lookup(params []parameter, name string) (value string, ok bool) {
	for _, p := range params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// Granted begins a lend; what waited for it comes by FromClient.
func (m *machine) Granted(b *engine.Backend, w engine.Wire) {
	if m.backend == nil {
		m.attach(b, w)
	}
	if m.reading.starting && !m.lend.restoring {
		m.welcome(m.snapshot(), w)
		m.boundary(w)
	}
}

// Refused answers the request that needed a backend. A simple query or a function call is answered in full; of the extended
// protocol everything up to Sync is dropped (54.2.3).
func (m *machine) Refused(err error, w engine.Wire) {
	m.reading.waiting = false
	if m.reading.starting {
		m.end(err, w)
		return
	}
	out := m.e.render(nil, err, false)
	if k := m.reading.wanting; k == 'Q' || k == 'F' {
		m.reading.refused = true
		out = appendReadyAs(out, m.lost.status())
	} else {
		m.reading.skipping = true
	}
	w.ToClient(out)
	if c := m.reading.collected; c != nil && c.began {
		w.Observe(engine.RequestEnded)
	}
}

// Decline implements engine.Decliner.
func (m *machine) Decline(in []byte, err error, w engine.Wire) bool {
	switch in[0] {
	case 'Q', 'F', 'P', 'B', 'D', 'E', 'C':
		m.reading.wanting = in[0]
		m.Refused(err, w)
		return true
	}
	return false
}

// Stop says goodbye, unless the client is in the middle of a message.
func (m *machine) Stop(reason error, w engine.Wire) {
	if !m.reading.closed && !m.reading.partial {
		w.ToClient(m.e.render(nil, reason, true))
	}
	m.reading.closed = true
}

// end closes the session for a reason that the client is told.
func (m *machine) end(reason error, w engine.Wire) {
	if !m.reading.partial {
		w.ToClient(m.e.render(nil, reason, true))
	}
	m.close(reason, w)
}

func (m *machine) close(reason error, w engine.Wire) {
	m.reading.closed = true
	m.release()
	w.Close(reason)
}

// release notes that no backend is held any more.
func (m *machine) release() { m.backend, m.state, m.lend = nil, nil, nil }

// Busy says whether the client waits for something, or has begun what it must finish.
func (m *machine) Busy() bool {
	r := &m.reading
	return r.starting || r.waiting || r.skipping || r.refused || r.client.rest > 0 || m.backend != nil && !m.lend.ready && !m.lend.sweep.active
}

// Commits implements engine.Committer.
func (m *machine) Commits() bool { return m.lend != nil && m.lend.flight.commits }

// InTransaction is what the server said last; a transaction keeps the backend.
func (m *machine) InTransaction() bool { return m.backend != nil && m.lend.tx != 'I' }

// boundary offers the backend to the core when nothing that the session did is left on it. This is the one place that decides.
func (m *machine) boundary(w engine.Wire) {
	if m.backend == nil || m.reading.closed || !m.queue.empty() {
		return
	}
	m.settleStandings()
	m.settleNamed()
	if !m.reading.batch && m.lend.tx == 'I' && m.dropStandIns(w) {
		return
	}
	l := m.lend
	if !l.ready || l.asked || l.owed || l.tx != 'I' || m.reading.backend.rest > 0 ||
		m.reading.client.rest > 0 && !m.reading.client.drop {
		return
	}
	if l.uncertain {
		m.probe(w)
		return
	}
	m.reportUnnamed(w)
	m.keepValues(w)
	if m.tidy(w) {
		return
	}
	if w.Idle() {
		m.release()
		return
	}
	if !l.sets.active && m.state.actual != unknownSettings {
		if m.align(w); l.restoring { // what was reset goes back to what the session began with
			return
		}
	}
	if m.rename(w); !m.queue.empty() {
		return
	}
	l.asked = true
}

// push notes what the backend owes for what is sent to it.
func (m *machine) push(a expected) {
	if m.named.brought && a&answerSwallow == 0 {
		m.named.brought = false
		a |= answerStands
	}
	m.queue.push(a)
	m.lend.ready, m.lend.asked = false, false
	if m.lend.sweep.creates {
		m.e.doubt()
	}
}

// probe asks the backend for something that only the machine can have asked, and that changes nothing: to close a portal that
// does not exist. Every ReadyForQuery before its answer belongs to a Sync in COPY data.
func (m *machine) probe(w engine.Wire) {
	w.ToBackend(closeProbe)
	m.push(answerClose | answerSwallow)
	m.push(answerSync | answerSwallow)
}
