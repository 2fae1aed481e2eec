package postgres

import (
	"hash/maphash"
	"strconv"

	"github.com/jackc/pgproto3/v2"

	"github.com/berthdb/berth/core/engine"
)

// The names of a session's prepared statements (54.2.3). They lead to statements that all sessions share (shared_statements.go).
//
// A client's own Parse always goes to the server, so that its errors are the server's and no plan is older than the client's
// Parse. Tables say what is so once everything that was sent has been done; what an error made the server skip is taken back.

// A session may have maxNamed statements prepared by name, and maxNamedBytes of names and short texts of them. Drivers that keep a
// thousand (Rails) prepare one more before they close one; others keep all.
const (
	maxNamed      = 10_000
	maxNamedBytes = 16 << 20
)

// mapped says that a client's name is not the backend's.
func (m *machine) mapped(name []byte) bool {
	return !m.named.direct || reserved(name) || m.named.byName[string(name)] != nil
}

var (
	nobodysName = []byte(sharedPrefix + "\x00") // a name that no backend ever has
	// closeNobody succeeds, bindNobody fails with 26000, whatever the backend has.
	closeNobody = statementMessage('C', nobodysName)
	bindNobody  = endMessage(append(append([]byte{'B', 0, 0, 0, 0, 0}, nobodysName...), 0, 0, 0, 0, 0, 0), 0)

	takenName = []byte(sharedPrefix + "=\x00") // a name that a backend has for a moment
	// closeTaken and parseTaken see to that, whatever the backend has; in a transaction that failed, too: the text is empty.
	closeTaken = statementMessage('C', takenName)
	parseTaken = parseMessage(takenName, []byte{0, 0, 0})

	flushMessage = []byte{'H', 0, 0, 0, 4}
	syncMessage  = []byte{'S', 0, 0, 0, 4}
)

// namedStatement is what a session has under a name.
type namedStatement struct {
	shared  *sharedStatement
	verdict verdict
	parsed  uint64 // when the client did it
	times   string // the calendar then, "" if it is not known or does not matter
	told
}

// told is what a client was told about a statement. shape is a hash of its parameters and columns, columns of what was told about the columns
// of it or of a portal; 0 if nothing was.
type told struct{ shape, columns uint64 }

// named is a session's statements with names.
type named struct {
	byName   map[string]*namedStatement // see set
	ops      []namedOp                  // sent and not answered, from head on: one for each answerNamed in the queue
	head     int
	batch    uint64          // how many requests were ended: Syncs and simple queries
	check    *namedStatement // the client's message waits until it is known whether this one is still what it was
	stale    *namedStatement // it is not
	shape    uint64          // of the description that is being answered
	clearing bool            // something was sent that may drop all statements
	flushed  bool            // the backend was asked for the answers that are waited for, all of them
	reported bool
	// direct says that names which byName does not have are the backend's own: SQL refers to them, and the session is pinned.
	direct   bool
	bytes    int32       // of maxNamedBytes
	standIns []reference // of the text that is under way, from the next one on, if the backend has some (named_sql.go)
	brought  bool        // they were sent for the client's next message
	standing bool        // the unnamed portal is of that text
	refused  []refusedStatement
}

// namedOp is what to do when an answer comes, or to undo when it does not.
type namedOp struct {
	batch    uint64
	name     string
	changes  bool            // of the session's table: what was there before
	before   *namedStatement // nil: nothing
	parses   *sharedStatement
	describe *namedStatement
	portal   bool   // of which a portal is described
	refusal  []byte // the error that the client gets instead of the server's about the name
}

// op notes a message about a named statement for which an answer is owed.
func (n *named) op(o namedOp) {
	if len(n.ops) == cap(n.ops) && n.head > len(n.ops)/2 { // of a client that always runs ahead it is never empty
		kept := copy(n.ops, n.ops[n.head:])
		clear(n.ops[kept:])
		n.ops, n.head = n.ops[:kept], 0
	}
	o.batch = n.batch
	n.ops = append(n.ops, o)
}

// done takes out the first op.
func (n *named) done() namedOp {
	o := n.ops[n.head]
	n.ops[n.head] = namedOp{}
	if n.head++; n.head == len(n.ops) {
		n.ops, n.head = n.ops[:0], 0
	}
	return o
}

// size is how much of maxNamedBytes a statement takes. A long one has its share elsewhere.
func (s *namedStatement) size(name string) int32 {
	if s == nil || s.shared.share != nil {
		return 0
	}
	return int32(len(name) + len(s.shared.text))
}

func (n *named) set(name string, s *namedStatement) {
	n.bytes += s.size(name) - n.byName[name].size(name)
	switch {
	case s == nil:
		delete(n.byName, name)
	case n.byName == nil:
		n.byName = map[string]*namedStatement{name: s}
	default:
		n.byName[name] = s
	}
}

// undoNamed takes back the first count ops: the server refused or skipped them.
func (m *machine) undoNamed(count int) {
	n := &m.named
	for i := n.head + count - 1; i >= n.head; i-- {
		switch o := &n.ops[i]; {
		case o.changes:
			n.set(o.name, o.before)
			fallthrough
		case o.parses != nil:
			if h := m.state.statements.held[o.parses]; h != nil {
				h.parsed = 0
			}
		case o.describe != nil:
			n.check = nil
		}
	}
	for range count {
		n.done()
	}
}

// unsettled says that a message about a name must wait, because an answer to an earlier request may change what the
// name means.
func (m *machine) unsettled(f *feed, w engine.Wire) bool {
	n := &m.named
	if n.check == nil && !(len(n.standIns) > 0 && !m.queue.empty()) && (n.head == len(n.ops) || n.ops[n.head].batch == n.batch) && !(n.clearing && !m.queue.empty()) {
		return false
	}
	m.flush(f, w)
	if !n.flushed && !m.queue.empty() {
		n.flushed = true
		w.ToBackend(flushMessage)
	}
	return true
}

// hasNames says that the session has statements under names that SQL may refer to, and the backend has not, or that this is not known yet.
func (m *machine) hasNames() bool { return len(m.named.byName) > 0 || m.named.head < len(m.named.ops) }

// settleNamed is called when every answer has come.
func (m *machine) settleNamed() { m.named.clearing, m.named.flushed = false, false }

// forgetOwn notes that the machine has made the server drop all statements.
func (m *machine) forgetOwn() {
	m.named.direct = false
	m.state.statements.clear()
}

// forgetNamed notes that the server has dropped all statements.
func (m *machine) forgetNamed() {
	m.named.byName, m.named.bytes = nil, 0
	m.state.statements.clear()
}

// parseNamed sends a client's Parse under the shared name. rest is its body behind the name.
func (m *machine) parseNamed(fr frame, name, rest []byte, v verdict, f *feed, w engine.Wire) bool {
	n := &m.named
	if m.unsettled(f, w) {
		return false
	}
	if n.byName[string(name)] != nil {
		m.refuseParse(name, rest, fr, f, w)
		return true
	}
	switch {
	case len(n.byName) >= maxNamed:
		m.refuseStatement("53400", "too many prepared statements: "+strconv.Itoa(maxNamed)+" is the most for a session", fr, f, w)
		return true
	case n.bytes >= maxNamedBytes:
		m.refuseStatement("53400", "too many prepared statements: "+strconv.Itoa(maxNamedBytes>>20)+" MiB is the most for a session", fr, f, w)
		return true
	case m.e.statements.texts.Full(int(n.bytes) + len(n.byName)*statementRoom):
		m.refuseStatement("53400", "too many prepared statements: there is no room for more of all sessions, or of one that has as many", fr, f, w)
		return true
	case m.state.statements.bytes >= maxHeldBytes:
		m.refuseStatement("53400", "too many prepared statements in one batch", fr, f, w)
		return true
	}
	if text, _, _ := cutString(rest); m.timesWait(text, "", f, w) {
		return false
	}
	var share *share
	if c := m.reading.collected; c != nil {
		share = c.share
	}
	shared, now := m.e.statements.intern(m.readingNow(), rest, share, m.private())
	times := ""
	if shared.dated {
		times = m.times()
	}
	m.flush(f, w)
	m.sendParse(shared, now, w)
	m.pushBatch(answerParse|answerNamed, w)
	n.op(namedOp{name: string(name), changes: true, parses: shared})
	own := &namedStatement{shared: shared, verdict: v, parsed: now, times: times}
	engine.KeptFor(&m.e.statements.texts, own, statementRoom+len(name))
	if shared.dated && times == "" {
		m.lend.timeless = append(m.lend.timeless, own)
	}
	n.set(string(name), own)
	if !n.reported {
		n.reported = true
		m.tell(engine.Event{Kind: engine.KindPreparedStatement, Restorable: true, Rule: "Parse"}, w)
	}
	m.begin(fr, f, true, w)
	return true
}

// refuseStatement makes the server refuse what the client sent, and tells the client why in other words: an error of the
// proxy's own would not end the transaction.
func (m *machine) refuseStatement(code, text string, fr frame, f *feed, w engine.Wire) {
	m.refuse(appendError(nil, severityError, code, text), fr, f, w)
}

// planChanged is what the server says of a statement whose columns are not those that its client knows (plancache.c). Drivers that prepare
// it anew recognise it by the routine: pgjdbc, asyncpg.
var planChanged = appendMessage(nil, &pgproto3.ErrorResponse{
	Severity: severityError, SeverityUnlocalized: severityError, Code: codeNotSupported,
	Message: "cached plan must not change result type", File: "plancache.c", Routine: "RevalidateCachedQuery",
})

// refuse is refuseStatement with an ErrorResponse.
func (m *machine) refuse(answer []byte, fr frame, f *feed, w engine.Wire) {
	m.flush(f, w)
	w.ToBackend(bindNobody)
	m.pushBatch(answerFail|answerNamed, w)
	m.named.op(namedOp{refusal: answer})
	m.begin(fr, f, true, w)
}

// refuseSimple is refuse for a simple Query: the server says behind the error that it is ready, as behind one of those.
func (m *machine) refuseSimple(answer []byte, fr frame, f *feed, w engine.Wire) {
	m.refuse(answer, fr, f, w)
	w.ToBackend(syncMessage)
	m.endBatch()
}

// refuseParse is refuseStatement for a Parse under a name that the session has already. The server finds that out last,
// behind what is wrong with the text or the transaction: it gets the client's text under a name that is taken there.
func (m *machine) refuseParse(name, rest []byte, fr frame, f *feed, w engine.Wire) {
	m.flush(f, w)
	w.ToBackend(closeTaken)
	m.push(answerClose | answerSwallow)
	w.ToBackend(parseTaken)
	m.push(answerParse | answerSwallow)
	w.ToBackend(parseMessage(takenName, rest))
	m.pushBatch(answerFail|answerNamed, w)
	m.named.op(namedOp{refusal: alreadyExists(string(name))})
	m.begin(fr, f, true, w)
}

// fits says that what a server tells of a statement is what the client was told, as far as it was.
func (t told) fits(shape, columns uint64) bool {
	return (t.shape == 0 || t.shape == shape) && (t.columns == 0 || t.columns == columns)
}

// has says that the backend has s as the client knows it.
func (m *machine) has(s *namedStatement) bool {
	h := m.state.statements.held[s.shared]
	return h != nil && h.parsed >= s.parsed && (s.fits(h.shape, h.columns) || s.shared.fluid || m.named.stale == s)
}

// present makes sure that the backend has s, as the client knows it, before a message that uses it is sent. It returns false
// if that message must wait.
func (m *machine) present(s *namedStatement, f *feed, w engine.Wire) bool {
	t := &m.state.statements
	if m.has(s) {
		t.clock++
		t.held[s.shared].used = t.clock
		return true
	}
	if s.times != "" && m.timesWait(nil, s.shared.reading, f, w) {
		return false
	}
	a := m.parsesAs(s.shared.reading, s.times, s.shared.dated)
	if !m.stays(s, a) && (a.reading != s.shared.reading || s.shared.private || m.private()) {
		// It is parsed again with what is set now, as the server would do by itself where that matters.
		s.shared, _ = m.e.statements.intern(a.reading, s.shared.rest(), s.shared.share, m.private())
		if h := t.held[s.shared]; h != nil {
			return m.present(s, f, w)
		}
	}
	if a.past && m.waitsAlone(f, w) {
		return false
	}
	m.flush(f, w)
	m.began(w)
	m.reading.batch = true
	m.beginCalendar(a, w)
	m.sendParse(s.shared, m.e.statements.now(), w)
	m.push(answerParse | answerNamed | answerSwallow)
	m.named.op(namedOp{parses: s.shared})
	m.endCalendar(a, w)
	if s.fits(0, 0) || s.shared.fluid {
		return true
	}
	w.ToBackend(s.shared.describe)
	w.ToBackend(flushMessage)
	m.push(answerDescribe | answerNamed | answerSwallow)
	m.named.op(namedOp{describe: s})
	m.named.check = s
	return false
}

// stays says that s is parsed again under the name that it has: it is the session's alone, and the backend has it. Under a new one each
// time, all would stay there.
func (m *machine) stays(s *namedStatement, a again) bool {
	alone := s.shared.private || unknownReading(s.shared.reading)
	return alone && m.state.statements.held[s.shared] != nil && (a.reading == s.shared.reading || unknownReading(a.reading))
}

// private says that a statement that is parsed now may find tables that are not there for others, as they are not visible, or not yet, or
// will never be: temporary ones, and what the transaction has made of others. Where the server finds such a statement's columns changed it
// refuses to execute it (plancache.c), also for a session to which they never were other ones.
func (m *machine) private() bool {
	v, s := &m.lend.verify, &m.lend.sweep
	return s.creates || (v.told | v.ignored | v.made | v.maybe | v.ends).has(engine.KindTemporaryTable)
}

// room makes sure that s may be kept as present needs it: where that is not as it was parsed, a long statement takes a share again.
func (m *machine) room(s *namedStatement) bool {
	if s.shared.share == nil || m.has(s) {
		return true
	}
	a := m.parsesAs(s.shared.reading, s.times, s.shared.dated)
	if a.reading == s.shared.reading || m.stays(s, a) {
		return true
	}
	share := m.e.share(statementCopies * len(s.shared.parse))
	if share != nil {
		s.shared, _ = m.e.statements.intern(a.reading, s.shared.rest(), share, m.private())
	}
	return share != nil
}

// useNamed makes a named statement ready for a message that uses it. It returns nil if the message was refused (goOn) or has
// to wait.
func (m *machine) useNamed(name []byte, executed, portal bool, fr frame, f *feed, w engine.Wire) (s *namedStatement, goOn bool) {
	if m.unsettled(f, w) {
		return nil, false
	}
	if s = m.named.byName[string(name)]; s == nil {
		m.refuse(doesNotExist(string(name)), fr, f, w)
		return nil, true
	}
	v := s.verdict
	if executed && v.sequence && m.sequencesWait(v, f, w) {
		return nil, false
	}
	if executed && v.names && !m.goDirect(v, s.shared.text, portal, f, w) {
		return nil, false
	}
	own := m.named.byName[string(name)] == nil // its text named itself
	if !own && !m.room(s) {
		m.refuseStatement("53200", "prepared statements of more than 64 KiB take too much memory in the proxy", fr, f, w)
		return nil, true
	}
	if executed && v.sequence { // what is parsed here begins a batch, and CALL must be the first that is executed in one
		m.flush(f, w)
		m.prepareSequences(false, v.apart(), w)
	}
	if !own && !m.present(s, f, w) {
		return nil, false
	}
	if m.named.stale == s {
		m.named.stale = nil
		m.refuse(planChanged, fr, f, w)
		return nil, true
	}
	m.flush(f, w)
	if executed {
		if v.bindsSeed(body(fr, f)) {
			v.stick()
		}
		v.opaque = v.opaque || v.garbled
		m.report(v, s.shared.text, portal, w)
		m.bindPortal(v, portal)
	}
	return s, true
}

// bindNamed sends a Bind under the shared name. before is what precedes the name in the message's body, name is as the client
// sent it, without its NUL.
func (m *machine) bindNamed(before, name []byte, fr frame, f *feed, w engine.Wire) bool {
	s, goOn := m.useNamed(name, true, len(before) > 1, fr, f, w)
	if s == nil {
		return goOn
	}
	m.bound(s, before[:len(before)-1])
	owed := answerBind
	if len(before) == 1 {
		owed |= answerPortal
	}
	m.pushBatch(owed, w)
	if m.named.byName[string(name)] == nil {
		m.begin(fr, f, false, w)
		return true
	}
	size := fr.size - len(name) - 1 + len(s.shared.name)
	head := append(m.head[:0], 'B')
	head = append(head, byte((size-1)>>24), byte((size-1)>>16), byte((size-1)>>8), byte(size-1))
	w.ToBackend(head)
	w.ToBackend(before)
	w.ToBackend(s.shared.name)
	f.at += headerLength + len(before) + len(name) + 1
	f.run = f.at
	m.reading.client = stream{rest: fr.size - headerLength - len(before) - len(name) - 1}
	m.passClient(f, m.reading.client.take(len(f.rest())), false, w)
	return true
}

// describeNamed sends a Describe under the shared name.
func (m *machine) describeNamed(name []byte, fr frame, f *feed, w engine.Wire) bool {
	s, goOn := m.useNamed(name, false, false, fr, f, w)
	if s == nil {
		return goOn
	}
	w.ToBackend(s.shared.describe)
	m.pushBatch(answerDescribe|answerNamed, w)
	m.named.op(namedOp{describe: s})
	m.begin(fr, f, true, w)
	return true
}

// bound notes the statement of a Bind if a Describe of the portal, which is how libpq and pgjdbc ask for columns, tells more than is known.
func (m *machine) bound(s *namedStatement, portal []byte) {
	h := m.state.statements.held[s.shared]
	if h != nil && !s.shared.fluid && (s.columns == 0 || h.columns == 0) && len(portal) <= maxPortal {
		m.lend.bound, m.lend.portal = s, append(m.lend.portal[:0], portal...)
	}
}

// maxPortal is how long a portal's name may be for its columns to be noted.
const maxPortal = 256

// boundUnnamed is bound for the unnamed statement.
func (m *machine) boundUnnamed(portal []byte) {
	if u := &m.unnamed; (u.inFlight > 0 || u.unnamedTexts != nil && u.columns == 0) && len(portal) <= maxPortal {
		m.lend.ofUnnamed, m.lend.portal = true, append(m.lend.portal[:0], portal...)
	}
}

// describesBound returns the mark of a Describe if it is of the portal of the Bind before it, and somebody needs to know what it tells.
func (m *machine) describesBound(body []byte) expected {
	if m.lend.bound == nil && !m.lend.ofUnnamed || len(body) == 0 || body[0] != 'P' {
		return 0
	}
	if name, _, ok := cutString(body[1:]); !ok || string(name) != string(m.lend.portal) {
		return 0
	}
	if m.lend.ofUnnamed {
		return answerUnnamed
	}
	m.named.op(namedOp{describe: m.lend.bound, portal: true})
	return answerNamed
}

// closeNamed takes a name from the session. The backend keeps the statement for others.
func (m *machine) closeNamed(name []byte, fr frame, f *feed, w engine.Wire) bool {
	if m.unsettled(f, w) {
		return false
	}
	m.flush(f, w)
	w.ToBackend(closeNobody)
	m.pushBatch(answerClose|answerNamed, w)
	m.named.op(namedOp{name: string(name), changes: true, before: m.named.byName[string(name)]})
	m.named.set(string(name), nil)
	m.begin(fr, f, true, w)
	return true
}

// waitNamed asks for the answers that are waited for.
func (m *machine) waitNamed(f *feed, w engine.Wire) bool {
	m.flush(f, w)
	if !m.named.flushed {
		m.named.flushed = true
		w.ToBackend(flushMessage)
	}
	return true
}

// hashColumns adds the body of a RowDescription, but not which columns of which tables they are: for the server it is no
// other result if they come from another table (plancache.c RevalidateCachedQuery). Nor are formats of it, which are each portal's own. The
// modifiers of types are left out for portals, whose plans may know more of them than their statements do.
func hashColumns(h *maphash.Hash, body []byte, modifiers bool) {
	const table, kind, modifier, format = 4 + 2, 4 + 2, 4, 2 // behind the name: the table's and the column's number, type and size
	if len(body) < 2 {
		return
	}
	for body = body[2:]; len(body) > 0; {
		name, fields, ok := cutString(body)
		if !ok || len(fields) < table+kind+modifier+format {
			_, _ = h.Write(body)
			return
		}
		_, _ = h.Write(body[:len(name)+1])
		_, _ = h.Write(fields[table : table+kind])
		if modifiers {
			_, _ = h.Write(fields[table+kind : table+kind+modifier])
		}
		body = fields[table+kind+modifier+format:]
	}
}

var shapeSeed = maphash.MakeSeed()

// hashDescription is a hash of one message of a description, behind what came before.
func hashDescription(before uint64, fr frame, body []byte, modifiers bool) uint64 {
	var h maphash.Hash
	h.SetSeed(shapeSeed)
	var bytes [8]byte
	for i := range bytes {
		bytes[i] = byte(before >> (8 * i))
	}
	_, _ = h.Write(bytes[:])
	_, _ = h.Write([]byte{fr.kind, byte(fr.size >> 24), byte(fr.size >> 16), byte(fr.size >> 8), byte(fr.size)})
	if fr.kind == 'T' {
		hashColumns(&h, body, modifiers)
	} else {
		_, _ = h.Write(body)
	}
	return h.Sum64() | 1
}

// described takes in one message of the answer to a Describe of a statement, 't', then 'T' or 'n', or of a portal of one.
func (m *machine) described(a expected, fr frame, body []byte, held bool) {
	n := &m.named
	if !held {
		body = nil // too long to compare: any other of that length is taken for the same
	}
	if fr.kind == 't' {
		n.shape = hashDescription(0, fr, body, true)
		return
	}
	shape, columns := n.shape, hashDescription(0, fr, body, false)
	if n.shape = 0; shape != 0 {
		shape = hashDescription(shape, fr, body, true)
	}
	if a&answerUnnamed != 0 {
		m.describedUnnamed(a, told{shape, columns})
		return
	}
	o := &n.ops[n.head]
	s := o.describe
	h := m.state.statements.held[s.shared]
	if h != nil {
		h.columns = columns
	}
	if o.portal {
		s.columns = columns
		return
	}
	if h != nil {
		h.shape = shape
	}
	if n.check == s {
		n.check = nil
		if !s.fits(shape, columns) {
			n.stale = s
		}
		return
	}
	s.told = told{shape, columns}
}
