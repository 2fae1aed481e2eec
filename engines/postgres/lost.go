package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/berthdb/berth/core/engine"
)

// A backend that is lost does not end its session. The client is told, by an error that is no FATAL one, which of two things
// happened to what it had under way:
//
//   - it has no effect, for certain: 40001, which drivers and frameworks try again;
//   - nobody knows: 08007, because a COMMIT or a statement outside of a transaction was sent and not answered.
//
// What was not sent at all is sent to another backend, and nothing else ever is. A transaction that was open goes on as one that
// failed, until the client ends it: what it still sends must not be executed outside of it.

// flight is what the statements that were sent since every answer had come may do.
type flight struct {
	any     bool // there are some
	effects bool // beside beginning and ending transactions
	commits bool // they may commit one
	decides bool // they may begin or end one:
	opens   bool // the last that does so begins it
}

// portals is what some may do that were bound and, as far as is known, not executed: a portal outlives the Sync in a transaction.
type portals struct {
	commits     bool
	deallocates bool // all statements
	ends        bool // the one without a name ends a transaction, and does nothing else,
	ended       bool // and was executed in this batch, and nothing bound since
	any         bool // one was bound in this batch,
	changes     bool // that may change what is set, or the transaction
	unnamed     bool // the one without a name may,
	others      bool // and others
}

// bound notes a Bind of a statement: to a portal with a name, or to the one without.
func (p *portals) bound(v verdict, named bool) {
	changes := v.changesTimes()
	if p.ended, p.any = false, true; named {
		p.others = p.others || changes
	} else {
		p.ends, p.unnamed = v.inert && v.decides && !v.opens, changes
	}
	p.changes = p.changes || changes
	p.commits = p.commits || v.commits
	p.deallocates = p.deallocates || v.deallocates
}

func (p *portals) endBatch() { p.ended, p.any, p.changes = false, false, false }

// add notes a statement that is sent.
func (f *flight) add(v verdict) {
	f.any = true
	f.effects = f.effects || !v.inert
	f.commits = f.commits || v.commits
	if v.decides {
		f.decides, f.opens = true, v.opens
	}
}

// loss is a lost backend as its session sees it.
type loss struct {
	code, message string
	after         byte // the session's transaction status from now on: 'I' or 'E'
}

const lostConnection = "The connection to the database was lost"

// loss says what became of the session's transaction and of what was sent in it.
func (f *flight) loss(tx byte) loss {
	after := tx
	switch {
	case f.decides && !f.opens:
		after = 'I'
	case f.decides || tx == 'T':
		after = 'E'
	}
	switch {
	case f.commits, f.any && f.effects && (tx == 'I' || f.decides):
		return loss{"08007", lostConnection + ": it is not known whether the statement was executed.", after}
	case tx == 'I':
		return loss{"40001", lostConnection + ": the statement was not executed.", after}
	}
	return loss{"40001", lostConnection + ": the transaction was rolled back.", after}
}

// control notes what a statement whose first word is read does to transactions. What is not to be seen there counts as
// the worst: that it commits, and that a transaction may be open behind it.
func (c *classifier) control() {
	if c.kind != tokenWord {
		return
	}
	switch string(c.word()) {
	case "begin", "start":
		c.decides, c.opens = true, true
	case "commit", "end":
		c.commits = true
		c.finish()
	case "rollback", "abort":
		c.finish()
	case "prepare": // PREPARE TRANSACTION
		c.commits = true
	}
}

// finish reads on behind a word that ends a transaction, or goes back to a savepoint (TO), or is about a prepared one.
func (c *classifier) finish() {
	ahead := c.scanner
	if ahead.next(); ahead.is("work") || ahead.is("transaction") {
		ahead.next()
	}
	chain := ahead.is("and") && ahead.follow("chain")
	switch {
	case ahead.is("to"):
	case ahead.is("prepared"):
		c.commits = true
		c.delivers = c.delivers || c.is("commit")
	default:
		c.decides, c.opens = true, chain || ahead.kind == tokenMore
	}
}

// survives says that a FATAL error is not for the client: it goes on without this backend. What a client caused by breaking the
// protocol it would cause again; and the timeouts of sessions and transactions are meant for it.
func survives(body []byte) bool {
	switch code := errorCode(body); code {
	case "25P03", "25P04", "57P05": // idle in a transaction, a transaction's, idle
		return false
	default:
		return isFatal(body) && !strings.HasPrefix(code, "08P")
	}
}

// timedOutAlone says that a FATAL error is a transaction_timeout's that has ended what the machine asks between two requests. The client has no
// transaction that it would be meant for.
func (m *machine) timedOutAlone(body []byte) bool {
	return errorCode(body) == "25P04" && isFatal(body) && m.lend.tx == 'I' && !m.reading.batch && !m.queue.empty() && m.queue.forwarded() == 0
}

// lost is what a session goes by after it has lost a backend, and until that is over.
type lost struct {
	tx       byte                // 'E': its transaction failed with the backend, and it has not ended it
	state    bool                // the notice says that more than a transaction is lost
	attempts int32               // backends lost in a row without an answer
	notice   []byte              // the error that it has to be told yet, nil if none
	words    *engine.ServerError // why the held backend goes, as its server said
	canceled []byte              // the ErrorResponse's body if it goes because of a canceled restore
}

// maxAttempts is how many backends a request may lose before it was sent. Then it is refused: it may be what kills them.
const maxAttempts = 5

// nothing says that the session goes by nothing special.
func (l *lost) nothing() bool { return l.notice == nil && l.tx != 'E' }

// status is the transaction status of a session without a backend.
func (l *lost) status() byte {
	if l.tx == 'E' {
		return 'E'
	}
	return 'I'
}

// BackendLost tells the client what that means, and goes on without a backend.
func (m *machine) BackendLost(err error, w engine.Wire) {
	if m.reading.closed {
		m.release()
		return
	}
	var broken *engine.ProtocolError
	r := &m.reading
	canceled := m.lost.canceled != nil && !m.lend.pinned
	kept, owed, failed := m.keeps() && !canceled, m.owed(), r.skipping || m.lend.tx == 'E'
	l := m.lend.flight.loss(m.lend.tx)
	batch := r.batch
	open := m.lend.tx != 'I' || batch
	if kept {
		l.message += " State of the session that was on it is lost, too: " + m.pins.String() + "."
	}
	if m.queue.marked(answerFirst) {
		m.dropRest()
	}
	notice := m.lossError(l)
	if canceled {
		notice, l.after = appendServerError(nil, severityError, parseServerError(m.lost.canceled)), m.lend.tx
	}
	m.letGo(w)
	if batch && len(owed) == 0 { // what is told of it begins another one
		w.Observe(engine.RequestEnded)
		if r.collected != nil {
			r.collected.began = false
		}
	}
	switch {
	case r.fatal:
		m.close(err, w) // the client was told
	case r.partial, kept && m.e.closesLost:
		m.end(err, w)
	case len(owed) > 0 && m.lost.words == nil && m.lost.canceled == nil && errors.As(err, &broken):
		m.end(err, w) // nobody knows to which requests the answers so far belong
	case r.starting:
		if m.lost.attempts++; m.lost.attempts > maxAttempts {
			m.end(err, w)
		} else if m.borrow('R', w) {
			m.Granted(m.backend, w)
		}
	case len(owed) > 0:
		m.lost.tx = l.after
		m.answerLost(owed, notice, w)
	case open:
		m.lost.tx = l.after
		if !failed || kept {
			m.lost.notice, m.lost.state = notice, kept
		} else if m.lost.attempts++; m.lost.attempts > maxAttempts {
			m.end(err, w)
		}
	case kept:
		l.code, l.message = codeConnectionFailure, strings.Replace(l.message, ": the statement was not executed", "", 1)
		m.lost.notice, m.lost.state = m.lossError(l), true
	default:
		if m.lost.attempts++; m.lost.attempts > maxAttempts || canceled {
			m.lost.attempts = 0
			m.lost.notice = notice
		}
	}
	m.lost.words, m.lost.canceled = nil, nil
}

// keeps says whether state of the session was on the held backend that no other one can have: what pins, and what only the
// server could have told of statements that were answered.
func (m *machine) keeps() bool {
	v, l := &m.lend.verify, m.lend
	return m.pins != 0 || (l.sets.active || v.maybe != 0 || v.opaque) && (l.mixed || l.tx == 'I' && !l.flight.any)
}

// String names the kinds, for a message.
func (s kindSet) String() string {
	var names []string
	for k := range engine.Kinds {
		if s.has(engine.Kind(k)) {
			names = append(names, strings.ReplaceAll(engine.Kind(k).String(), "_", " "))
		}
	}
	if names == nil {
		return "settings"
	}
	return strings.Join(names, ", ")
}

// owed is what the client waits for: an error ('E') for each request or batch, and a ReadyForQuery ('Z') at its end.
func (m *machine) owed() (pattern []byte) {
	told := false
	for i := range m.queue.n {
		a := *m.queue.at(i)
		if a&answerSwallow != 0 || a.kind() == answerCopyEnd {
			continue
		}
		if !told {
			pattern = append(pattern, 'E')
		}
		if told = !a.readies(); !told {
			pattern = append(pattern, 'Z')
		}
	}
	return pattern
}

// answerLost gives the client what it waits for.
func (m *machine) answerLost(owed, notice []byte, w engine.Wire) {
	var out []byte
	for _, kind := range owed {
		if kind == 'E' {
			out = append(out, notice...)
			continue
		}
		out = appendReadyAs(out, m.lost.status())
		w.Observe(engine.RequestEnded)
	}
	if m.reading.skipping = owed[len(owed)-1] == 'E'; m.reading.skipping { // up to the Sync that is yet to come
		w.Observe(engine.RequestEnded)
	}
	w.ToClient(out)
}

// lossError makes the ErrorResponse of a loss, with the server's own words if it had any.
func (m *machine) lossError(l loss) []byte {
	out := appendError(nil, severityError, l.code, l.message)
	if m.lost.words == nil || m.lost.words.Message == "" {
		return out
	}
	out = append(out[:len(out)-1], 'D')
	out = appendString(out, "The database said: "+m.lost.words.Message)
	return endMessage(append(out, 0), 0)
}

// letGo forgets the held backend, and what was sent to it and not answered.
func (m *machine) letGo(w engine.Wire) {
	n := &m.named
	m.undoNamed(len(n.ops) - n.head)
	n.check, n.stale, n.shape, n.clearing, n.flushed, n.direct = nil, nil, 0, false, false, false
	n.standIns, n.brought, n.standing, n.refused = nil, false, false, nil
	for i := range m.queue.n {
		m.skipped(*m.queue.at(i))
	}
	if m.unnamed.batched = false; m.unnamed.lost {
		m.forgetUnnamed() // it was there only
	}
	m.unnamed.reported = false
	if m.pins != 0 {
		m.tell(engine.Event{Kind: engine.KindReset, Rule: "connection lost"}, w)
		m.pins = 0
	}
	m.queue, m.reset, m.values = answers{}, reset{}, values{}
	r := &m.reading
	r.backend, r.long, r.batch = stream{}, nil, false
	r.client.drop = r.client.rest > 0 && r.collected == nil // of which nothing was sent
	m.release()
}

// afterLoss deals with a message of a session that has something to be told, or whose transaction failed with its backend. done is
// false if the message goes on its way.
func (m *machine) afterLoss(fr frame, f *feed, w engine.Wire) (done bool) {
	if m.lost.nothing() {
		return false
	}
	out := m.lost.notice
	ends := byte(0)
	if fr.kind == 'Q' && m.lost.tx == 'E' && whole(fr, f) {
		ends = endsTransaction(body(fr, f), m.lexing)
	}
	switch {
	case ends == 'r' && !m.lost.state, ends == 'c' && out == nil: // as the server says where a transaction has failed
		out = appendMessage(nil, &pgproto3.CommandComplete{CommandTag: []byte("ROLLBACK")})
	case out == nil:
		return false
	}
	m.lost.notice, m.lost.state = nil, false
	m.flush(f, w)
	m.began(w)
	if ends != 0 {
		m.lost.tx = 'I'
	}
	if fr.kind == 'Q' || fr.kind == 'F' {
		m.number++
		m.forgetUnnamed() // a simple Query ends it (54.2.3)
		m.named.batch++
		out = appendReadyAs(out, m.lost.status())
	} else {
		m.reading.skipping = true
	}
	w.Observe(engine.RequestEnded)
	w.ToClient(out)
	m.begin(fr, f, true, w)
	return true
}

// endsTransaction says whether a simple Query is nothing but a COMMIT ('c') or ROLLBACK ('r') of the transaction; otherwise it
// is 0.
func endsTransaction(body []byte, lex lexing) (kind byte) {
	text, rest, ok := cutString(body)
	if !ok || len(rest) > 0 {
		return 0
	}
	s := scanner{text: text, lex: lex}
	switch s.next(); {
	case s.is("commit"), s.is("end"):
		kind = 'c'
	case s.is("rollback"), s.is("abort"):
		kind = 'r'
	default:
		return 0
	}
	if s.next(); s.is("work") || s.is("transaction") {
		s.next()
	}
	for s.kind == ';' {
		s.next()
	}
	if s.kind != tokenEnd {
		return 0
	}
	return kind
}

// doomMessage makes a transaction that has failed, whatever is set: there is no such savepoint.
var doomMessage = queryMessage("BEGIN; ROLLBACK TO SAVEPOINT berth")

// maxDooms is how often a backend is brought there while a timeout or a cancel request prevents it.
const maxDooms = 3

// doom brings the backend to where the client believes to be. What it sends then is refused, or ends the transaction, in the
// server's own way. It waits until the server has said so: otherwise it might be executed outside of the transaction.
func (m *machine) doom(w engine.Wire) {
	m.lost.tx = 'I'
	m.state.unnamed = statementID{} // a simple Query ends it (54.2.3)
	w.ToBackend(doomMessage)
	m.push(answerDoom | answerSwallow)
	m.lend.tx = 'E'
	m.lend.dooms++
}

// doomed notes the answer to that. It returns false if the backend cannot be brought there.
func (m *machine) doomed(status byte, w engine.Wire) bool {
	m.lend.sweep.failed = false
	m.lend.tx = 'E' // to the client, whatever the server says
	switch {
	case status == 'E':
		m.lend.dooms = 0
	case status == 'T' || m.lend.dooms == maxDooms:
		return false
	default:
		m.doom(w)
	}
	return true
}
