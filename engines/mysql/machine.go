package mysql

import (
	"errors"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Machine relays one session. MySQL's protocol has one request at a time: while an answer is under way the client's
// bytes stay where they are.
//
// Packets pass in the buffer they came in. Where they must differ on the other side, they are changed in that buffer:
// the bytes of packets that a call consumes do not survive it.
type Machine struct {
	e    *Engine
	info sessionInfo

	// The held backend, nil for none, and its state.
	b     *engine.Backend
	state *backendState

	queue  answers
	reader reader

	request    request
	upload     upload
	session    session
	statements sessionStatements
	insertID   insertID
	previous   previous
	pins       pins
	used       bool     // something was sent that may execute code, since the held backend was clean
	dirty      bool     // it had state whose end only the texts of statements told
	judging    bool     // stored code was called, and nobody has said what it leaves
	holding    *holding // nil if nothing holds the session
	number     uint64   // of the request in its session
	text       []byte   // the beginning of the last one that pins
	running    []byte   // the beginning of the text of the one under way, where the session keeps it
	toJudge    []string // functions of which the server must say that they are stored ones: schema, NUL, name
	ignored    bool     // it has state that does not pin, by configuration, and that nobody else may find
	login      loginPhase
	change     *change // a COM_CHANGE_USER under way
	refusal    error   // why the client's next request is answered with an error
	notice     error   // what it has to be told of a lost backend with its next statement
	attempts   int     // backends lost in a row without an answer
	closed     bool
	// unseenChanges is the engine's Unseen when the session began.
	unseenChanges engine.Unseen
	small         [eofSize + headerSize]byte // for what is sent from nowhere else
}

var (
	_ engine.Machine   = (*Machine)(nil)
	_ engine.Teller    = (*Machine)(nil)
	_ engine.Patient   = (*Machine)(nil)
	_ engine.Committer = (*Machine)(nil)
	_ engine.Decliner  = (*Machine)(nil)
)

// machineState is what machines note about a backend.
type machineState struct {
	// last is the session whose statement was executed last: its ROW_COUNT() and the like are here.
	last *Machine
	// stale says that the list of warnings may not be empty. MariaDB empties it only with a statement that uses a table, MySQL with
	// each, but with none of some commands, which say how long it is.
	stale bool
	// disturbed says that a machine has sent something of its own since: they are nobody's.
	disturbed bool
	found     *Machine // whose FOUND_ROWS() is here, if that is known
	// options says that COM_SET_OPTION made it differ from what its key says, or that it has a record of statements (records), ends, or is in a
	// resource group. No reset undoes that.
	options    bool
	calls      bool // code was called since it was lent
	tracksLess bool // it reports what its session wants to hear, see tracking.go
	untouched  bool // the session has sent nothing to it yet,
	compared   bool // and knows which settings it has in common with it
	// How many changes of code (unseen) there had been when the machine asked about it, when it sent the request at hand, the first one since the
	// backend was clean that may execute some, and the first one that called some of which nobody has said what it leaves.
	asked, begun, used, called uint64
	changes                    bool // the request at hand changes code, and began so in a round of the group's
	round                      uint32
	statements                 backendStatements
	settings                   *settings // the session variables that somebody set, beside those that Dial found

	gtid     *string // last_gtid of the connection
	restores restoreTexts
	ran      ran

	// What a session needs only while it holds the backend is kept here: at rest it would take a third of the session's memory.
	scratch []byte        // for what the machine sends, and the row that it reads
	columns []columnType  // of the answer
	logins  []loginChange // of the request
	sent    []byte        // the COM_STMT_EXECUTE under way, as the client sent it, if it may be executed again
}

// session is the session's virtual state: what it would find on a connection of its own.
type session struct {
	schema      string // the default database
	settings    *settings
	asks        []string  // variables whose values must be asked for before the backend goes back
	nulls       []string  // user variables with a NULL that pins
	tracked     *tracked  // what it has set to be reported; nil if nothing
	owed        *settings // what it has yet to hear, see owed.go
	gtid        *string   // last_gtid, nil for "", see last_gtid.go
	status      uint16    // as the last OK said
	unsaid      bool      // a transaction, or locks of tables, of which no OK tells, see autocommit.go
	traits      bool      // SET TRANSACTION is waiting for its transaction
	locked      bool      // LOCK TABLES
	tracks      bool      // it may have set that since the backend has said what it is
	ownTrackers bool      // the backend reports what the session has set, and it keeps it
	unplaced    bool      // the backend may not report its default database, see schema.go
	nullsPin    bool      // nulls does pin
	roles       bool      // it may have others than its login: it does not see the code that others of its user reach
	wide        bool      // its character set has characters that end with a backslash, or letters in place of punctuation
	imposed     byte      // the id of a collation like that of the character set that servers have for it, 0: what its login asked for
	results     units     // of the character set of results, where that is not like ASCII: it pins
	ending      ending    // what may have become of the transaction that was open
}

// insertID is the session's LAST_INSERT_ID(). Backends have 0 while nobody holds them; the session's value is read
// before it gives one back, and set when a statement that may read it comes.
type insertID struct {
	value   uint64
	touched bool // a statement may have changed it on the held backend
	exact   bool // the held backend had value when it was last known; otherwise 0
	lost    bool // it cannot be known any more
}

// request is the client's request at hand.
type request struct {
	class     class
	read      reading // how class was found
	act       *act    // what it does to what holds the session, if that may matter
	rows      uint64  // that came
	errno     uint16  // of the error it failed with
	warnings  uint16
	oks       uint16 // how many of its results came to their end
	warned    bool   // one of its results had some
	active    bool   // its answer is due
	scanned   bool   // class belongs to the bytes that the client has sent and that wait
	command   byte   // COM_STMT_EXECUTE for a bulk execution
	single    bool   // it is one statement, where that may matter; false if that is not known
	failed    bool
	cleared   bool   // the diagnostics of others are gone
	counted   bool   // ROW_COUNT() is the session's
	results   uint16 // before the one at hand
	fetches   int    // errors of its session's that were made again in their place
	usesTable bool   // its text surely does, where the list of warnings depends on that
	asked     bool   // for the session's user variables, because code may have changed them
	placed    bool   // the default database was asked for in front of it
	// unsupported is what could not be prepared, because nobody can.
	unsupported *sharedStatement
	affected    int64  // ROW_COUNT() after its last result, unless it failed
	kinds       uint32 // session state that the server reported
	settings    settingsReport
	option      uint16    // of COM_SET_OPTION
	set         []setting // what it reported that one SET was about
	schema      string    // the default database before it
	file        bool      // the client is sending a file
	opens       bool      // COM_STMT_EXECUTE: it asks for a cursor
	bulk        bool      // COM_STMT_EXECUTE: of many rows, so that ROW_COUNT() may be that of the last one
	sequence    uint8     // of the client's last packet
	// otherColumns is statusOtherColumns if the result has not as many columns as the client knows of.
	otherColumns uint16
}

// leaves notes that the server reported a change of state of kind k.
func (r *request) leaves(k engine.Kind) { r.kinds |= 1 << k }

// pins is what the machine knows of the core's decision to leave it the backend.
type pins struct {
	pinned   bool   // the last answer of the core
	reported uint32 // kinds that pin
	result   bool   // KindLastResult is reported
	traits   bool   // KindTransactionTrait is reported
}

type loginPhase uint8

const (
	loginPending loginPhase = iota // the client does not know yet whether it is in
	loginDone
)

// newMachine returns the machine of a session that has authenticated.
func newMachine(e *Engine, s sessionInfo) engine.Machine {
	m := &Machine{e: e, unseenChanges: e.Unseen()}
	m.become(s)
	return m
}

// become starts the session afresh as s says: at the login, and after COM_CHANGE_USER.
func (m *Machine) become(s sessionInfo) {
	m.info = s
	m.login = loginPending
	m.session = session{schema: s.database, status: statusAutocommit, wide: wideCharset(s.charset)}
	m.statements = sessionStatements{}
	m.insertID = insertID{}
	m.previous = m.firstPrevious()
	m.pins, m.holding, m.judging, m.toJudge = pins{}, nil, false, nil
	m.request = request{}
}

// Start finishes the login.
func (m *Machine) Start(w engine.Wire) {
	name, verified := "", m.info.database == ""
	if !verified {
		name, verified = m.e.databaseVerified(m.info.loginDatabase())
	}
	if verified {
		m.session.schema = name
		m.welcome(w)
		return
	}
	if b := w.Borrow(engine.Want{Key: m.info.key}); b != nil {
		m.Granted(b, w)
	}
}

// welcome ends the login.
func (m *Machine) welcome(w engine.Wire) {
	m.login = loginDone
	w.ToClient(appendLoginOK(nil, &m.info, m.session.status))
	m.settle(w)
}

// fail ends the login, or a COM_CHANGE_USER, for good.
func (m *Machine) fail(err error, w engine.Wire) {
	w.ToClient(m.e.render(nil, m.info.sequence, m.info.capabilities, err))
	m.close(err, w)
}

func (m *Machine) close(reason error, w engine.Wire) {
	m.closed = true
	m.b, m.state = nil, nil
	m.queue.clear()
	w.Close(reason)
}

// Granted takes the backend over.
func (m *Machine) Granted(b *engine.Backend, w engine.Wire) {
	m.adopt(b)
	if m.login == loginPending && !m.closed {
		m.alignSettings(w) // the database's name is in the session's character set
		m.send(protocol.COM_INIT_DB, m.session.schema, w)
		m.expect(shapeOne, purposeSchema, 1)
	}
}

func (m *Machine) adopt(b *engine.Backend) {
	state, ok := b.State.(*backendState)
	if !ok {
		panic("BUG: mysql: a backend of another engine")
	}
	m.b, m.state = b, state
	state.untouched, state.compared, state.ran.own, state.calls = true, false, false, false
	state.sent = state.sent[:0]
	if _, own := m.session.settings.value("sql_mode"); !own {
		m.session.status |= state.status & statusLiteralBackslash
	}
	if state.imposed != 0 {
		m.impose(state.imposed)
	}
	m.adoptAutocommit()
	m.queue.clear()
	m.insertID.touched, m.insertID.exact = false, false
	m.request.cleared, m.request.counted, m.request.fetches = false, false, 0 // those of a backend that was lost
	m.used, m.judging, m.ignored, m.dirty = false, false, false, false
	m.toJudge = nil
}

// Refused answers the request that needed a backend, when it is given again.
func (m *Machine) Refused(err error, w engine.Wire) {
	if m.closed {
		return
	}
	if m.login == loginPending {
		m.fail(err, w)
		return
	}
	m.refusal = err
}

// Decline implements engine.Decliner.
func (m *Machine) Decline(in []byte, err error, _ engine.Wire) bool {
	if m.request.file || m.change != nil || len(in) <= headerSize {
		return false
	}
	switch in[headerSize] {
	case protocol.COM_QUERY, protocol.COM_STMT_PREPARE, protocol.COM_STMT_EXECUTE, comBulkExecute, protocol.COM_STMT_FETCH:
		m.refusal = err
		return true
	}
	return false
}

// lost is what the client is told: the server's own words, if it had any.
func lost(err error) error {
	var server *engine.ServerError
	if errors.As(err, &server) {
		return err
	}
	return engine.ErrBackendClosed
}

// answerSequence is the sequence id of the next packet of an answer to the client.
func (m *Machine) answerSequence() uint8 {
	if m.request.active && m.queue.count > 0 {
		return m.reader.sequence + m.reader.shift
	}
	return m.request.sequence + 1
}

// forget lets go of everything that concerns the held backend.
func (m *Machine) forget() {
	m.b, m.state, m.holding = nil, nil, nil
	m.queue.clear()
	m.reader = reader{}
	m.session.traits, m.session.locked, m.session.roles, m.session.results = false, false, false, units{}
	m.loseStatements()
	m.session.status &^= statusInTrans | statusReadOnly
	m.session.unsaid, m.session.ending = false, endingNone
	m.insertID.touched, m.insertID.exact = false, false
}

// Stop says goodbye, if the client is not in the middle of an answer.
func (m *Machine) Stop(reason error, w engine.Wire) {
	if m.closed || m.login == loginPending || m.change != nil || m.upload.active {
		return
	}
	switch {
	case m.statements.again != nil:
		w.ToClient(m.e.render(nil, 1, m.info.capabilities, reason))
	case !m.request.active:
		w.ToClient(m.e.render(nil, 0, m.info.capabilities, reason))
	case m.queue.count > 0 && m.reader.stage == stageFirst && m.reader.shift == 0 &&
		m.reader.sequence == m.request.sequence+1:
		w.ToClient(m.e.render(nil, m.reader.sequence, m.info.capabilities, reason))
	}
	m.closed = true
}

// Busy says whether a request is under way.
func (m *Machine) Busy() bool {
	return m.request.active || m.upload.active || m.statements.again != nil
}

// Commits implements engine.Committer: nothing but a COMMIT or ROLLBACK is under way.
func (m *Machine) Commits() bool {
	c := m.request.class
	return m.request.active && c.has(classEnds) && !c.has(classCode)
}

// Running implements engine.Teller.
func (m *Machine) Running() []byte {
	if !m.request.active {
		return nil
	}
	return m.running
}

// InTransaction is what the last OK said. An ERR says nothing: a transaction that was open counts as open until the
// next OK, and with autocommit off one may have begun.
func (m *Machine) InTransaction() bool {
	return m.session.status&statusInTrans != 0 || m.session.unsaid
}

// boundary says whether another session may have the backend.
func (m *Machine) boundary() bool {
	return m.queue.count == 0 && !m.request.active && !m.upload.active && !m.InTransaction() &&
		!m.session.locked && m.statements.live == 0 && m.login == loginDone
}

// settle gives the backend back if nothing of the session is on it, after bringing it to the state in which backends
// wait.
func (m *Machine) settle(w engine.Wire) {
	if m.b == nil || m.closed || !m.boundary() {
		return
	}
	if m.statements.gathered {
		m.release(evident, w)
	}
	m.reportTraits(w)
	if m.judging && m.judge(w) || m.holding != nil && m.inquire(w) {
		return
	}
	if m.state.tracksLess && !m.pins.pinned {
		m.trackAll(w)
		return
	}
	if m.hurries() && !m.pins.pinned {
		m.calm(w)
		return
	}
	if m.doubtsReset() {
		m.askPlace(w)
		return
	}
	m.askUserVariables(w)
	if m.inquireSettings(w) {
		return
	}
	if !m.pins.pinned && (m.insertID.touched || m.insertID.exact) {
		if m.insertID.touched {
			m.ask(readInsertID, purposeRead, w)
		}
		m.ask(zeroInsertID, purposeZero, w)
		return
	}
	if m.sweep(w) {
		return
	}
	if (m.state.options || m.grouped()) && !m.pins.pinned {
		w.Discard(nil)
		m.forget()
		return
	}
	if w.Idle() {
		if m.insertID.touched {
			m.insertID.lost = true // the core unpinned a session that nothing unpinned
		}
		m.pins.pinned = false
		m.forget()
		return
	}
	m.pins.pinned = true
}

// report tells the core of a kind of state, once.
func (m *Machine) report(k engine.Kind, w engine.Wire) {
	if m.pins.reported&(1<<k) != 0 {
		return
	}
	m.submit(m.event(k), w)
}

// submit tells the core of state of a kind that is not reported yet, and says what becomes of it.
func (m *Machine) submit(e engine.Event, w engine.Wire) engine.Action {
	action := w.Report(e)
	switch action {
	case engine.Pin:
		m.pins.pinned = true
		m.pins.reported |= bit(e.Kind)
	case engine.Ignore:
		m.ignored = true
	}
	return action
}

// reportTraits pins while SET TRANSACTION waits for its transaction.
func (m *Machine) reportTraits(w engine.Wire) {
	if m.session.traits == m.pins.traits {
		return
	}
	m.pins.traits = m.session.traits
	m.toggle(engine.KindTransactionTrait, m.session.traits, w)
}

// toggle reports a kind of state that comes and goes.
func (m *Machine) toggle(k engine.Kind, on bool, w engine.Wire) {
	e := m.event(k)
	e.Undo = !on
	action := w.Report(e)
	switch {
	case !on:
		m.pins.pinned = m.pins.reported != 0 || m.pins.result || m.pins.traits
	case action == engine.Pin:
		m.pins.pinned = true
	case action == engine.Ignore:
		m.ignored = true
	}
}

// statusLiteralBackslash is SERVER_STATUS_NO_BACKSLASH_ESCAPES.
const statusLiteralBackslash = protocol.SERVER_STATUS_NO_BACKSLASH_ESCAPED
