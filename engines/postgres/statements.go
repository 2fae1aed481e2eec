package postgres

import (
	"bytes"
	"math"
	"runtime"
	"sync/atomic"

	"github.com/berthdb/berth/core/engine"
)

// statementID says whose unnamed statement a backend has: a session's serial, and which of its statements. The zero value is
// none at all.
type statementID struct {
	session    uint64
	generation uint64
}

// anyStatement is an unnamed statement of which nobody knows whether it exists.
var anyStatement = statementID{session: math.MaxUint64}

// A Parse of the unnamed statement is kept, to be sent again on another backend. Longer ones than maxUnnamed count against what an
// engine keeps of such together. One that is too long even for that, or comes when there is no room, pins until its end.
const (
	maxUnnamed     = 16 << 10
	maxUnnamedLong = 1 << 20
	maxUnnamedAll  = 64 << 20
)

// unnamed is the session's unnamed statement. It lives from a successful Parse to the next one, or to the next simple Query
// (54.2.3), whatever backends the session has meanwhile.
type unnamed struct {
	exists     bool
	lost       bool  // it exists, but only on the held backend: its Parse was not kept
	reported   bool  // that it is lost
	batched    bool  // the last Parse was sent in this batch: whatever follows in it means that one, or is skipped
	inFlight   int32 // how many were sent and not answered
	generation uint64
	// unnamedTexts is nil before the session's first Parse of such a statement: many sessions never send one, and are idle
	// in memory nonetheless.
	*unnamedTexts
}

// unnamedTexts is what is kept of unnamed statements.
type unnamedTexts struct {
	parse   kept    // the whole message of the one that exists
	verdict verdict // on its text
	reading string  // with which its times are read (named_literals.go)
	times   string  // as in namedStatement
	told

	// The last Parse that was sent and may not have been answered yet.
	pending        kept
	pendingVerdict verdict
	pendingReading string
	pendingTimes   string
}

// kept is a Parse that is kept, nothing if it is not.
type kept struct {
	message []byte
	share   *share // of what the engine keeps, nil if the message is short
}

// share is a part of what an engine may keep. It is given back when nobody refers to it any more, or before.
type share struct {
	of      *atomic.Int64
	n       int64
	cleanup runtime.Cleanup
}

// share returns a share for n bytes, nil if there is no room.
func (e *Engine) share(n int) *share {
	all := &e.unnamedBytes
	if all.Add(int64(n)) > maxUnnamedAll {
		all.Add(int64(-n))
		return nil
	}
	s := &share{of: all, n: int64(n)}
	s.cleanup = runtime.AddCleanup(s, func(n int64) { all.Add(-n) }, s.n)
	return s
}

// giveBack gives the share back now, once.
func (s *share) giveBack() {
	s.cleanup.Stop()
	s.of.Add(-s.n)
	runtime.KeepAlive(s)
}

// keep begins to keep a message of a size, of which this much has come.
func (k *kept) keep(message []byte, size int, e *Engine) {
	if size <= maxUnnamed {
		k.message, k.share = append(k.message[:0], message...), nil
		return
	}
	*k = kept{}
	if size <= maxUnnamedLong {
		if s := e.share(size); s != nil {
			k.message, k.share = bytes.Clone(message), s
		}
	}
}

// text is the SQL, nil if it is not kept.
func (k *kept) text() []byte {
	if len(k.message) < headerLength {
		return nil
	}
	_, rest, _ := cutString(k.message[headerLength:])
	text, _, ok := cutString(rest)
	if !ok {
		return nil
	}
	return text
}

// release drops a long message.
func (k *kept) release() {
	if k.share != nil {
		*k = kept{}
	}
}

// standing is how sure it is, when a message is sent, that the backend will find something established when it comes to that
// message. An error makes the server skip to the next Sync, so that what this batch establishes is certain for the rest of
// the batch (if it was skipped, so is the rest), but for the next batch only once the server has said so.
type standing uint8

const (
	standingNo    standing = iota
	standingBatch          // sent in this batch
	standingSent           // sent in an earlier batch, and not confirmed
	standingYes            // confirmed
)

// establish notes that a message was sent that makes it so.
func (s *standing) establish() {
	if *s != standingYes {
		*s = standingBatch
	}
}

// sync notes the end of a batch.
func (s *standing) sync() {
	if *s == standingBatch {
		*s = standingSent
	}
}

// unnamedMatches says whether the backend's unnamed statement, as far as answers have come, is the session's.
func (m *machine) unnamedMatches() bool {
	if !m.unnamed.exists {
		return m.state.unnamed == statementID{}
	}
	return m.state.unnamed == statementID{m.serial, m.unnamed.generation}
}

// confirmUnnamed is called when an answer changed either side of unnamedMatches. Once they match, whatever the session has sent
// since then acts on both.
func (m *machine) confirmUnnamed() {
	if m.unnamedMatches() {
		m.lend.unnamed = standingYes
	}
}

// settleStandings decides what is certain when every answer has come.
func (m *machine) settleStandings() {
	m.lend.unnamed, m.lend.sequences = standingNo, standingNo
	m.confirmUnnamed()
	if m.lend.ownValues {
		m.lend.sequences = standingYes
	}
}

// parseSent keeps the Parse of the unnamed statement that is being sent. It has a size, and message is what has come of it.
func (m *machine) parseSent(message []byte, size int, v verdict) {
	u := &m.unnamed
	if u.unnamedTexts == nil {
		u.unnamedTexts = &unnamedTexts{}
	}
	u.inFlight++
	u.batched = true
	u.pending.release()
	u.pending.keep(message, size, m.e)
	u.pendingVerdict = v
	u.pendingReading, u.pendingTimes = m.readingOf(u.pending.text())
	m.reads(u.pending.text())
	m.lend.unnamed.establish()
}

// parsed notes a ParseComplete for the unnamed statement.
func (m *machine) parsed(a expected) {
	u := &m.unnamed
	if a&answerSwallow == 0 {
		u.inFlight--
		u.generation++
		u.exists, u.told = true, told{}
		// With another one in flight, pending is that other one's text.
		if u.lost = u.inFlight > 0 || len(u.pending.message) == 0; u.inFlight == 0 {
			u.parse, u.pending = u.pending, u.parse
			u.pending.release()
			u.verdict, u.reading, u.times = u.pendingVerdict, u.pendingReading, u.pendingTimes
		}
	}
	m.state.unnamed = statementID{m.serial, u.generation}
	m.confirmUnnamed()
}

// parseFailed notes that a Parse of the unnamed statement was refused. The server has dropped the old statement before it looked
// at the new one, unless it could not even read the message.
func (m *machine) parseFailed(a expected) {
	m.state.unnamed = anyStatement
	if a&answerSwallow == 0 {
		m.unnamed.inFlight--
		m.forgetUnnamed()
	}
}

// unnamedText is the SQL of the statement that a Bind which is sent now means, nil if it is not known.
func (m *machine) unnamedText() []byte {
	u := &m.unnamed
	switch {
	case u.unnamedTexts == nil, u.inFlight > 0 && !u.batched, u.inFlight == 0 && u.lost:
		return nil
	case u.inFlight > 0:
		return u.pending.text()
	}
	return u.parse.text()
}

func (m *machine) forgetUnnamed() {
	m.unnamed.exists, m.unnamed.lost = false, false
	if m.unnamed.unnamedTexts != nil {
		m.unnamed.parse.release()
	}
}

// unnamedGone notes that the server has no unnamed statement any more.
func (m *machine) unnamedGone() {
	m.forgetUnnamed()
	m.state.unnamed = statementID{}
	m.confirmUnnamed()
}

// reportUnnamed pins while the unnamed statement exists on this backend only.
func (m *machine) reportUnnamed(w engine.Wire) {
	u := &m.unnamed
	if u.lost != u.reported {
		m.tell(engine.Event{Kind: engine.KindPreparedStatement, Undo: u.reported}, w)
		u.reported = u.lost
	}
}

// Messages of the machine's own. The names are used for the length of one exchange.
var (
	closeUnnamed    = statementMessage('C', []byte{0})
	describeUnnamed = statementMessage('D', []byte{0})

	closeProbe = append(endMessage(append([]byte{'C', 0, 0, 0, 0, 'P'}, ownName...), 0), syncMessage...)

	discardSequences = []byte("Q\x00\x00\x00\x16DISCARD SEQUENCES\x00")
	// The same for the middle of a batch, where a simple Query would end the implicit transaction, by a portal and a
	// statement that the client cannot have; it leaves the unnamed ones alone.
	prepareDiscard = append(parseMessage(ownName, []byte("DISCARD SEQUENCES\x00\x00\x00")), executeOwn...)
	ownName        = []byte(sharedPrefix + "-\x00")
	closeOwn       = statementMessage('C', ownName)
	executeOwn     = makeExecuteOwn()
)

func makeExecuteOwn() []byte {
	const name = sharedPrefix + "-\x00"
	out := endMessage([]byte("B\x00\x00\x00\x00"+name+name+"\x00\x00\x00\x00\x00\x00"), 0)
	out = append(out, endMessage([]byte("E\x00\x00\x00\x00"+name+"\x00\x00\x00\x00"), 0)...)
	out = append(out, endMessage([]byte("C\x00\x00\x00\x00P"+name), 0)...)
	return append(out, closeOwn...)
}

// sendOwn executes a statement of the machine's own, and none that returns rows, in the middle of a batch.
func (m *machine) sendOwn(sql string, w engine.Wire) {
	w.ToBackend(parseMessage(ownName, append([]byte(sql), 0, 0, 0)))
	w.ToBackend(executeOwn)
	m.push(answerParse | answerSwallow)
	m.push(answerBind | answerSwallow)
	m.push(answerExecute | answerSwallow)
	m.push(answerClose | answerSwallow)
	m.push(answerClose | answerSwallow)
}

// prepareUnnamed makes sure, before a Bind or Describe of the unnamed statement is sent, that it means the session's own. If
// the session has none, the backend must not have one either, and then says so itself (26000). If it is parsed again, and the client was
// told what its columns are, the server is asked whether they still are, and the message waits (checks).
func (m *machine) prepareUnnamed(w engine.Wire) {
	if m.lend.unnamed != standingNo {
		return
	}
	m.lend.unnamed.establish()
	if m.unnamed.exists && !m.unnamed.lost {
		a := m.unnamedAgain()
		m.beginCalendar(a, w)
		w.ToBackend(m.unnamed.parse.message)
		m.reads(m.unnamed.parse.text())
		m.push(answerParse | answerUnnamed | answerSwallow)
		m.endCalendar(a, w)
		if m.unnamed.told != (told{}) && !fluid(m.unnamed.parse.text()) {
			m.began(w)
			m.reading.batch, m.lend.checks = true, true
			w.ToBackend(describeUnnamed)
			w.ToBackend(flushMessage)
			m.push(checksUnnamed)
		}
		return
	}
	w.ToBackend(closeUnnamed)
	m.push(answerClose | answerUnnamed | answerSwallow)
}

// unnamedAgain is parsesAs for the unnamed statement.
func (m *machine) unnamedAgain() again {
	return m.parsesAs(m.unnamed.reading, m.unnamed.times, m.unnamed.reading != undated)
}

const checksUnnamed = answerDescribe | answerUnnamed | answerSwallow

// describedUnnamed notes what the server tells of the unnamed statement, or of a portal of it, and then of its columns only. If they are not
// what the client was told, the server itself, had it parsed the statement then, would execute it no more (plancache.c), on whatever backend.
func (m *machine) describedUnnamed(a expected, is told) {
	u := &m.unnamed
	switch {
	case u.unnamedTexts == nil: // there is none
	case a == checksUnnamed:
		m.lend.checks = false
		if !u.fits(is.shape, is.columns) {
			m.lend.stale = true
			m.state.unnamed, m.lend.unnamed = anyStatement, standingNo // as the next one must not find it either
		}
	case is.shape == 0:
		u.columns = is.columns
	default:
		u.told = is
	}
}

// waits says that a message must wait until something is certain that was sent in an earlier batch. What was sent of its own
// batch is answered at a Sync or Flush only, and the Sync may be behind the message.
func (m *machine) waits(s standing, f *feed, w engine.Wire) bool {
	if s == standingSent && m.reading.batch {
		m.waitNamed(f, w)
	}
	return s == standingSent
}

// sequencesWait is waits for what prepareSequences does for a statement with v that is executed.
func (m *machine) sequencesWait(v verdict, f *feed, w engine.Wire) bool {
	s := m.lend.sequences
	return m.waits(s, f, w) || s == standingNo && v.apart() && m.reading.batch && m.waitsAlone(f, w)
}

// calendarWaits says that a message that uses the unnamed statement waits before that is parsed again as it was.
func (m *machine) calendarWaits(f *feed, w engine.Wire) bool {
	if m.lend.unnamed != standingNo || !m.unnamed.exists || m.unnamed.lost {
		return false
	}
	return m.unnamed.times != "" && m.timesWait(nil, m.unnamed.reading, f, w) || m.unnamedAgain().past && m.waitsAlone(f, w)
}

// prepareSequences makes the backend forget what nextval gave another session, before a statement is sent that may ask
// for currval or lastval. apart says that it may end the transaction.
func (m *machine) prepareSequences(simple, apart bool, w engine.Wire) {
	if m.lend.sequences != standingNo {
		return
	}
	m.lend.sequences.establish()
	m.values.tenure = m.e.tenures.Add(1)
	if simple {
		m.lend.sequences = standingSent // it fails, and nobody hears of it, where a transaction turns out to have failed that ends later
		w.ToBackend(discardSequences)
		m.push(answerQuery | answerSwallow | answerSequences)
		return
	}
	w.ToBackend(prepareDiscard)
	m.push(answerParse | answerSwallow)
	m.push(answerBind | answerSwallow)
	m.push(answerExecute | answerSwallow | answerSequences)
	m.push(answerClose | answerSwallow)
	m.push(answerClose | answerSwallow)
	switch { // CALL and others are refused behind another statement of their transaction
	case !m.reading.batch:
		w.ToBackend(syncMessage)
		m.push(answerSync | answerSwallow)
	case m.lend.portals.ended, apart && m.untouched(): // a Sync would end the batch, too, and what follows is executed though something in it has failed
		m.sendOwn("ROLLBACK", w)
	}
}

// apart says that a statement may end its transaction, which the server allows only to the first that is executed in one.
func (v verdict) apart() bool { return v.opaque || v.rolls }

// untouched says that a ROLLBACK of the machine's own, in a batch, undoes nothing but what it has executed itself: no transaction is open, and
// the client has bound nothing. What follows is then the first of its transaction. It changes nothing about prepared statements.
func (m *machine) untouched() bool {
	return m.lend.tx == 'I' && !m.lend.portals.any && !m.queue.awaits()
}

// waitsAlone says that a message waits for the answers to earlier requests, before something is executed for it in its batch that may have to
// be rolled back.
func (m *machine) waitsAlone(f *feed, w engine.Wire) bool {
	return !m.lend.portals.any && m.queue.awaits() && m.waitNamed(f, w)
}
