package postgres

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/berthdb/berth/core/engine"
)

// feed walks over what a peer sent. Messages that are passed on as they are go out in one piece: in[run:at].
type feed struct {
	in      []byte
	run, at int
}

// pending returns what is to be passed on, and begins a new run behind it.
func (f *feed) pending() []byte {
	p := f.in[f.run:f.at]
	f.run = f.at
	return p
}

// rest is what has not been looked at.
func (f *feed) rest() []byte { return f.in[f.at:] }

// FromClient passes on what the client sends (54.2.2 to 54.2.6).
func (m *machine) FromClient(in []byte, w engine.Wire) (int, error) {
	f := feed{in: in}
	for goOn := true; goOn && f.at < len(in) && !m.reading.closed; {
		if m.reading.collected != nil {
			goOn = m.takeIn(&f, w)
			continue
		}
		if m.reading.client.rest > 0 {
			m.passOn(&f, w)
			continue
		}
		limit := clientLimit(in[f.at])
		if limit == 0 {
			return m.violation(&f, fmt.Sprintf("invalid frontend message type %d", in[f.at]), w)
		}
		fr, ok := readFrame(f.rest())
		if !ok {
			break
		}
		if fr.size < headerLength || fr.size-1 > limit {
			return m.violation(&f, "invalid message length", w)
		}
		var err error
		if goOn, err = m.clientMessage(fr, &f, w); err != nil {
			return m.violation(&f, err.Error(), w)
		}
		if m.backend != nil {
			m.lend.owed = m.lend.owed && !goOn
		}
	}
	if m.reading.closed {
		return len(in), nil
	}
	m.flush(&f, w)
	m.boundary(w)
	return f.at, nil
}

// violation ends the session of a client that broke the protocol.
func (m *machine) violation(f *feed, reason string, w engine.Wire) (int, error) {
	m.flush(f, w)
	err := &engine.ProtocolError{Side: engine.SideClient, Reason: reason}
	if !m.reading.partial {
		w.ToClient(m.e.render(nil, err, true))
	}
	m.reading.closed = true
	return len(f.in), err
}

func (m *machine) flush(f *feed, w engine.Wire) {
	if p := f.pending(); len(p) > 0 {
		w.ToBackend(p)
	}
}

// passClient moves over n bytes, which go to the backend or nowhere.
func (m *machine) passClient(f *feed, n int, drop bool, w engine.Wire) {
	if drop {
		m.flush(f, w)
		f.at += n
		f.run = f.at
		return
	}
	f.at += n
}

// begin passes on, or drops, the message that begins at f.at, or as much of it as has come.
func (m *machine) begin(fr frame, f *feed, drop bool, w engine.Wire) {
	m.reading.client = stream{rest: fr.size, drop: drop}
	m.passClient(f, m.reading.client.take(len(f.rest())), drop, w)
}

// clientMessage deals with one message, if it can: goOn is false if it has to wait, unconsumed.
func (m *machine) clientMessage(fr frame, f *feed, w engine.Wire) (goOn bool, err error) {
	if m.backend != nil && fr.kind != 'D' {
		m.lend.bound, m.lend.ofUnnamed = nil, false
	}
	if m.reading.refused {
		m.reading.refused = false
		m.begin(fr, f, true, w)
		return true, nil
	}
	if m.reading.skipping && fr.kind != 'S' && fr.kind != 'X' {
		m.begin(fr, f, true, w)
		return true, nil
	}
	if m.backend != nil && (m.lend.sweep.active || m.named.check != nil || m.lend.checks || m.restoreHolds()) {
		return false, nil
	}
	switch fr.kind {
	case 'X':
		return m.terminate(f, w), nil
	case 'S':
		return m.sync(fr, f, w), nil
	case 'H':
		m.begin(fr, f, m.backend == nil, w)
		return true, nil
	case 'd', 'c', 'f':
		return m.copyData(fr, f, w), nil
	}
	if !wholeOrLong(fr, f) || m.queue.full() || m.backend != nil && (m.nameDue(f, w) || m.lexingDue(fr, f, w)) {
		return false, nil
	}
	if m.backend == nil && (m.afterLoss(fr, f, w) || m.resetLocally(fr, f, w)) {
		return true, nil
	}
	if m.backend == nil && (!m.borrow(fr.kind, w) || m.restoreHolds()) {
		return false, nil
	}
	m.trimKept(f, w)
	switch fr.kind {
	case 'Q':
		return m.query(fr, f, w), nil
	case 'F':
		return m.call(fr, f, w), nil
	case 'P':
		return m.parse(fr, f, w)
	}
	return m.extended(fr, f, w)
}

// wholeOrLong says that a message can be dealt with: it is there, or as much of it as can be held.
func wholeOrLong(fr frame, f *feed) bool {
	if n := len(f.rest()); n < fr.size {
		return !fr.holdable() && n >= engine.MaxHeld
	}
	return true
}

// body is what has come of the message at f.at, without its header.
func body(fr frame, f *feed) []byte {
	return f.rest()[headerLength:min(fr.size, len(f.rest()))]
}

func whole(fr frame, f *feed) bool { return len(f.rest()) >= fr.size }

// terminate ends the session, once what the client asked for before has been answered: the server would have done it, too.
func (m *machine) terminate(f *feed, w engine.Wire) bool {
	if m.queue.ready > 0 && !(m.backend != nil && m.lend.copying) { // the server waits for COPY data that does not come
		return false
	}
	m.flush(f, w)
	m.close(nil, w)
	return true
}

// sync passes on a Sync, or answers it if there is nothing that a server could say to it.
func (m *machine) sync(fr frame, f *feed, w engine.Wire) bool {
	if !whole(fr, f) || m.queue.full() {
		return false
	}
	if m.backend == nil {
		m.begin(fr, f, true, w)
		m.reading.skipping = false
		if m.lost.nothing() {
			w.ToClient(readyIdle)
			return true
		}
		w.ToClient(appendReadyAs(m.lost.notice, m.lost.status()))
		m.lost.notice, m.lost.state = nil, false
		return true
	}
	m.begin(fr, f, false, w)
	if m.lend.copying {
		m.lend.copySyncs++ // ignored by the server (54.2.6)
		return true
	}
	m.reading.skipping = false
	m.began(w)
	m.endBatch()
	return true
}

// endBatch notes that a Sync was sent for the client.
func (m *machine) endBatch() {
	m.reading.batch = false
	m.lend.portals.endBatch()
	m.named.batch++
	m.lend.unnamed.sync()
	m.unnamed.batched = false
	m.lend.sequences.sync()
	m.push(answerSync)
}

var readyIdle = appendReady(nil)

// copyData passes on CopyData, CopyDone and CopyFail. Where there is no COPY the server ignores them: they follow one that
// failed (54.2.6).
func (m *machine) copyData(fr frame, f *feed, w engine.Wire) (goOn bool) {
	if m.backend == nil || m.queue.empty() {
		m.begin(fr, f, true, w)
		return true
	}
	switch {
	case fr.kind == 'd':
	case m.lend.copying:
		m.lend.copying = false
	case m.queue.full():
		return false
	default:
		m.push(answerCopyEnd)
	}
	m.begin(fr, f, false, w)
	return true
}

// began counts the beginning of a request: a simple one, or a batch.
func (m *machine) began(w engine.Wire) {
	if c := m.reading.collected; !m.reading.batch && (c == nil || !c.began) {
		w.Observe(engine.RequestBegan)
	}
}

// beganApart counts the beginning of a simple Query or a FunctionCall. It ends a batch that has had no Sync, as asyncpg's have not
// that it only flushes: the server ends that one's transaction behind it, and says that it is ready.
func (m *machine) beganApart(w engine.Wire) {
	m.began(w)
	m.reading.batch = false
	m.lend.portals.endBatch()
	m.lend.timeless = nil
}

// query passes on a simple Query.
func (m *machine) query(fr frame, f *feed, w engine.Wire) bool {
	if m.lend.part > 0 && !m.queue.empty() {
		return false // for what was sent first
	}
	v, owed := unread, answerQuery
	text := body(fr, f)
	switch n := len(text) - 1; {
	case !whole(fr, f):
		return m.longQuery(fr, f, w)
	case n >= 0 && bytes.IndexByte(text, 0) == n:
		text = text[m.lend.part:n]
		v = m.judge(text)
	default:
		owed = answerCall // the server refuses to read it, and answers with an error and ReadyForQuery
	}
	if answer := m.reservedName(v, text); answer != nil {
		m.refuseSimple(answer, fr, f, w)
		return true
	}
	if v.sequence && m.waits(m.lend.sequences, f, w) {
		return false
	}
	if n := m.opening(v, text); n > 0 {
		if !m.queue.empty() {
			m.waitNamed(f, w)
		} else {
			m.sendFirst(n, f, w)
		}
		return false
	}
	put := m.insert(v, text)
	if put != nil && !m.queue.empty() {
		m.waitNamed(f, w)
		return false
	}
	if waits, refused := m.beforeQuery(v, text, fr, f, w); waits || refused {
		return refused
	}
	if v.names && !m.goDirect(v, text, false, f, w) {
		return false
	}
	if v.sequence {
		m.flush(f, w)
		m.prepareSequences(true, false, w)
	}
	m.guess(&v, 0)
	m.lend.inserted = cmp.Or(put, m.lend.inserted)
	m.report(v, text, false, w)
	if m.lend.part == 0 {
		m.beganApart(w)
	}
	if owed == answerQuery {
		m.lend.unnamed.establish() // it ends both sides' unnamed statement
	}
	m.named.batch++
	if m.lend.rolling == rollingBehind {
		owed, m.lend.rolling = owed|answerRolls, rollingNot
	}
	if put != nil {
		m.push(owed | answerInserted | m.forgetting())
		m.sendInserted(fr, put, f, w)
		return true
	}
	m.push(owed | m.forgetting())
	if m.lend.part > 0 {
		m.beginRest(fr, f, w)
		return true
	}
	m.begin(fr, f, false, w)
	return true
}

// mayTellValues says that text has several statements, of which one may tell a sequence's last value, or which cannot be read. Where no
// code is suspected, functions that are not the server's do not.
func (m *machine) mayTellValues(v verdict, text []byte) bool {
	if bytes.IndexByte(bytes.TrimRight(text, "; \t\r\n"), ';') < 0 {
		return false
	}
	lower := bytes.ToLower(text)
	u := m.state.unseen
	foreign := v.foreign && (u == nil || u.now() != suspicionNone)
	return foreign || v.opaque || v.garbled || v.kinds.has(engine.KindUnknown) || bytes.Contains(lower, []byte("lastval")) || bytes.Contains(lower, []byte("currval"))
}

// refuseQuery answers a simple query in a failed transaction as the server answers one that does not end it. Nothing is awaited.
func (m *machine) refuseQuery(fr frame, f *feed, w engine.Wire) {
	m.flush(f, w)
	m.began(w)
	out := appendError(nil, severityError, "25P02", "current transaction is aborted, commands ignored until end of transaction block")
	start := len(out)
	w.ToClient(endMessage(append(out, 'Z', 0, 0, 0, 0, 'E'), start))
	w.Observe(engine.RequestEnded)
	m.begin(fr, f, true, w)
}

// parse passes on a Parse. A statement with a name lives on one backend; the unnamed one is kept.
func (m *machine) parse(fr frame, f *feed, w engine.Wire) (bool, error) {
	name, rest, ok := cutString(body(fr, f))
	if !ok && !whole(fr, f) {
		return false, errName
	}
	if !whole(fr, f) {
		return m.longParse(fr, name, rest, f, w), nil
	}
	v := unread
	text, _, ok := cutString(rest)
	if ok {
		v = m.judge(text)
	}
	if answer := m.reservedName(v, text); answer != nil {
		m.refuse(answer, fr, f, w)
		return true, nil
	}
	if ok && m.executesOwn(v, text) && !m.goDirect(v, text, false, f, w) {
		return false, nil
	}
	if len(name) > 0 && m.unsettled(f, w) {
		return false, nil
	}
	if len(name) > 0 && ok && (!m.named.direct || m.named.byName[string(name)] != nil) {
		return m.parseNamed(fr, name, rest, v, f, w), nil
	}
	if len(name) > 0 && reserved(name) {
		m.refuse(alreadyExists(string(name)), fr, f, w)
		return true, nil
	}
	if v.sequence && m.waits(m.lend.sequences, f, w) {
		return false, nil
	}
	if len(name) > 0 && v.names && !m.goDirect(v, text, true, f, w) { // nobody looks at it again
		return false, nil
	}
	if len(name) == 0 && m.timesWait(text, "", f, w) {
		return false, nil
	}
	if v.sequence && (m.lend.tx != 'E' || m.reading.batch || !m.queue.empty()) { // or else the server refuses it
		m.flush(f, w)
		m.prepareSequences(false, v.apart(), w)
	}
	owed := answerParse
	if len(name) > 0 {
		m.named.direct = true
		v.kinds.add(engine.KindPreparedStatement)
		v.opaque = v.opaque || v.garbled
		if v.given { // what it is given nobody looks at
			v.stick()
		}
		m.creates = m.creates || v.creates || v.prepares || v.delivers
	} else {
		owed |= answerUnnamed
		m.parseSent(f.rest()[:fr.size], fr.size, v)
	}
	if len(name) > 0 { // the unnamed one is reported when it is bound
		m.directSets = m.directSets || v.changesSettings()
		m.report(v, text, true, w)
	}
	m.pushBatch(owed, w)
	m.begin(fr, f, false, w)
	return true, nil
}

// pushBatch notes a message of the extended protocol.
func (m *machine) pushBatch(a expected, w engine.Wire) {
	m.began(w)
	m.reading.batch = true
	m.named.flushed = false
	m.push(a)
}

// extended passes on Bind, Describe, Execute and Close.
func (m *machine) extended(fr frame, f *feed, w engine.Wire) (bool, error) {
	p := body(fr, f)
	owed := answerExecute
	switch fr.kind {
	case 'B':
		owed = answerBind
		portal, rest, ok := cutString(p)
		statement, _, named := cutString(rest)
		if (!ok || !named) && !whole(fr, f) {
			return false, errName
		}
		if len(portal) == 0 {
			owed |= answerPortal
		}
		if len(statement) > 0 && m.named.direct && m.unsettled(f, w) {
			return false, nil
		}
		if len(statement) > 0 && m.mapped(statement) {
			return m.bindNamed(p[:len(portal)+1], statement, fr, f, w), nil
		}
		if len(statement) == 0 {
			if ready, goOn := m.useUnnamed(true, len(portal) > 0, fr, f, w); !ready {
				return goOn, nil
			}
			m.boundUnnamed(portal)
		}
		if len(statement) > 0 { // what it does is not known
			m.lend.flight.add(verdict{commits: true})
			m.bindPortal(verdict{commits: true, opaque: true}, len(portal) > 0)
		}
		if len(statement) > 0 && m.directSets {
			m.settingsSent(verdict{}, nil, false)
		}
		if len(statement) > 0 && m.creates {
			m.createsCode(verdict{creates: true, prepares: true}, nil)
		}
	case 'D':
		name := statementName(p)
		if name != nil && m.named.direct && m.unsettled(f, w) {
			return false, nil
		}
		if name != nil && m.mapped(name) {
			return m.describeNamed(name, fr, f, w), nil
		}
		owed = answerDescribe | m.describesBound(p)
		if ofUnnamed(p) {
			if ready, goOn := m.useUnnamed(false, false, fr, f, w); !ready {
				return goOn, nil
			}
			owed |= answerUnnamed
		}
	case 'C':
		name := statementName(p)
		if name != nil && m.named.direct && m.unsettled(f, w) {
			return false, nil
		}
		if name != nil && m.mapped(name) {
			return m.closeNamed(name, fr, f, w), nil
		}
		owed = answerClose
		if ofUnnamed(p) {
			owed |= answerUnnamed
			m.lend.unnamed.establish()
		}
	}
	if fr.kind == 'E' {
		m.lend.flight.commits = m.lend.flight.commits || m.lend.portals.commits
		m.named.clearing = m.named.clearing || m.lend.portals.deallocates
		owed |= m.forgetting()
		m.lend.portals.ended = len(p) > 0 && p[0] == 0 && m.lend.portals.ends
		m.executePortal(len(p) > 0 && p[0] != 0)
		if len(p) > 0 && p[0] == 0 {
			owed |= answerPortal
		}
	}
	m.pushBatch(owed, w)
	m.begin(fr, f, false, w)
	return true, nil
}

var errName = errors.New("invalid message format")

// ofUnnamed says whether the body of a Describe or Close names the unnamed statement.
func ofUnnamed(body []byte) bool { return len(body) >= 2 && body[0] == 'S' && body[1] == 0 }

// statementName returns the name in the body of a Describe or Close of a named statement, nil if it is something else.
func statementName(body []byte) []byte {
	if len(body) < 3 || body[0] != 'S' {
		return nil
	}
	name, _, ok := cutString(body[1:])
	if !ok || len(name) == 0 {
		return nil
	}
	return name
}

// useUnnamed makes the unnamed statement ready for a message that uses it. If it is not, the message was refused (goOn) or has to wait for
// answers.
func (m *machine) useUnnamed(executed, portal bool, fr frame, f *feed, w engine.Wire) (ready, goOn bool) {
	var v verdict
	if m.unnamed.exists {
		v = m.unnamed.verdict
	}
	switch {
	case m.unnamed.inFlight > 0 && m.unnamed.batched:
		v = m.unnamed.pendingVerdict
	case m.unnamed.inFlight > 0:
		v = v.or(m.unnamed.pendingVerdict)
	}
	if m.waits(m.lend.unnamed, f, w) || executed && v.sequence && m.sequencesWait(v, f, w) || m.calendarWaits(f, w) ||
		executed && v.names && !m.goDirect(v, m.unnamedText(), portal, f, w) {
		return false, false
	}
	if m.lend.stale {
		m.lend.stale = false
		m.refuse(planChanged, fr, f, w)
		return false, true
	}
	m.flush(f, w)
	if executed && v.sequence {
		m.prepareSequences(false, v.apart(), w)
	}
	if m.prepareUnnamed(w); m.lend.checks {
		return false, false
	}
	if executed && v.bindsSeed(body(fr, f)) {
		v.stick()
	}
	if executed {
		m.guess(&v, int(m.unnamed.inFlight)) // its Parse, if that is not over
		m.report(v, m.unnamedText(), portal, w)
		m.bindPortal(v, portal)
		m.lend.portals.ends = m.lend.portals.ends && (m.unnamed.inFlight == 0 || m.unnamed.batched)
	}
	return true, true
}
