package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// FromBackend passes on what the backend answers.
func (m *machine) FromBackend(in []byte, w engine.Wire) (int, error) {
	if m.reading.closed || m.backend == nil {
		return len(in), nil
	}
	f := feed{in: in}
	for f.at < len(in) && m.backend != nil {
		if m.reading.backend.rest > 0 {
			m.passBackend(&f, w)
			continue
		}
		fr, ok := readFrame(f.rest())
		if ok && (fr.size < headerLength || fr.size-1 > maxMessage) {
			return m.broken(&f, "bad message length", w)
		}
		if !backendMessage(in[f.at]) {
			return m.broken(&f, fmt.Sprintf("message type %q", in[f.at]), w)
		}
		if !ok || m.heldWhole(fr) && !whole(fr, &f) {
			break
		}
		forward, reason := m.answered(fr, &f, w)
		if reason != "" {
			return m.broken(&f, reason, w)
		}
		m.reading.backend = stream{rest: fr.size, drop: !forward}
		m.passBackend(&f, w)
	}
	m.toClient(&f, w)
	m.boundary(w)
	return f.at, nil
}

// passBackend moves over what has come of the current message.
func (m *machine) passBackend(f *feed, w engine.Wire) {
	s := &m.reading.backend
	if s.drop {
		m.toClient(f, w)
		f.at += s.take(len(f.rest()))
		f.run = f.at
		return
	}
	f.at += s.take(len(f.rest()))
	m.reading.partial = s.rest > 0
}

func (m *machine) toClient(f *feed, w engine.Wire) {
	if p := f.pending(); len(p) > 0 {
		w.ToClient(p)
	}
}

// broken says that the backend cannot be used any more.
func (m *machine) broken(f *feed, reason string, w engine.Wire) (int, error) {
	m.toClient(f, w)
	return f.at, &engine.ProtocolError{Side: engine.SideBackend, Reason: reason}
}

const (
	setTag           = "SET\x00"
	resetTag         = "RESET\x00"
	discardAllTag    = "DISCARD ALL\x00"
	deallocateAllTag = "DEALLOCATE ALL\x00"
	deallocateTag    = "DEALLOCATE\x00"
)

// heldWhole says that a message is looked into, and so waits until it is there: it is short, or an error.
func (m *machine) heldWhole(fr frame) bool {
	switch fr.kind {
	case 'D':
		return m.lend.sweep.active && fr.holdable()
	case 'Z', 'S', 'E', 'A':
		return fr.holdable()
	case 'N':
		return (m.rollsBack() || m.executesOwnCommand() || m.queue.marked(answerInserted)) && fr.holdable()
	case 'C':
		if m.queue.marked(answerFirst) || m.lend.logins != nil && fr.holdable() {
			return true
		}
		switch fr.size - headerLength {
		case len(discardAllTag), len(deallocateAllTag):
			return true
		case len(setTag), len(resetTag):
			return m.lend.sets.sent > 0
		case len(deallocateTag):
			return len(m.named.standIns) > 0
		}
	case 't', 'T', 'n':
		return !m.queue.empty() && m.queue.first().describes() && fr.holdable()
	}
	return false
}

// notificationOf is a NotificationResponse whose sender has the id that clients are told: a client knows by that what it sent itself.
// Only the session that holds a backend notifies from it, while it listens. text is the message's body.
func notificationOf(id uint32, text []byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{'A', 0, 0, 0, 0}, id)
	return endMessage(append(out, text[4:]...), 0)
}

// parsesAgain says whether the next answer is to a Parse of the machine's own. What the server notices about the text the client was told
// when it was parsed for it.
func (m *machine) parsesAgain() bool {
	return m.queue.marked(answerSwallow) && m.queue.first().kind() == answerParse
}

// executesOwnCommand says whether the next answer is to an Execute of the machine's own.
func (m *machine) executesOwnCommand() bool {
	return m.queue.marked(answerSwallow) && m.queue.first().kind() == answerExecute
}

// answered decides about one message: whether the client gets it, or for what reason the backend must not send it now.
func (m *machine) answered(fr frame, f *feed, w engine.Wire) (forward bool, reason string) {
	if m.lend.early != nil {
		m.tellFirst(fr, f, w)
	}
	switch fr.kind {
	case 'A':
		if text := body(fr, f); whole(fr, f) && len(text) >= 4 && binary.BigEndian.Uint32(text) == m.state.pid {
			m.toClient(f, w)
			w.ToClient(notificationOf(m.session.id, text))
			return false, ""
		}
		return true, ""
	case 'N':
		if m.queue.marked(answerInserted) && whole(fr, f) {
			if moved := m.lend.inserted.repositioned('N', body(fr, f)); moved != nil {
				m.toClient(f, w)
				w.ToClient(moved)
				return false, ""
			}
		}
		return !m.lend.sweep.active && !m.parsesAgain() && !((m.rollsBack() || m.executesOwnCommand()) && errorCode(body(fr, f)) == "25P01"), ""
	case 'S':
		own := m.lend.restoring || m.lend.sweep.active || m.queue.marked(answerSwallow) && !m.rollsAhead()
		return m.parameter(fr, f, own, w)
	case 'E':
		text := body(fr, f)
		if m.restoreCanceled(text) {
			m.lost.canceled = bytes.Clone(text)
			return false, "what brings a connection in line was canceled"
		}
		var instead []byte // what the client is told
		if whole(fr, f) {
			instead = m.instead(text)
		}
		if forward = m.failed(text, f, w); forward && instead != nil {
			m.toClient(f, w)
			w.ToClient(instead)
			forward = false
		}
		return forward, ""
	case 'Z':
		return m.readyForQuery(fr, f, w)
	}
	if m.queue.empty() {
		return false, fmt.Sprintf("message type %q without a request", fr.kind)
	}
	a := m.queue.first()
	forward = a&answerSwallow == 0
	if fr.kind == 'D' && a.kind() == answerUnseen {
		m.verdictRow(body(fr, f))
	}
	if fr.kind == 'D' && a.kind() == answerVerify {
		m.verifyRow(body(fr, f))
	}
	if fr.kind == 'C' && m.rollsBack() {
		*m.queue.at(0) &^= answerRolls
		m.toClient(f, w)
		w.ToClient(rollbackComplete)
		forward = false
	}
	if fr.kind == 'C' && (a.kind() == answerQuery || a.kind() == answerExecute) {
		m.completed(a, body(fr, f))
	}
	if fr.kind == 'C' && a&answerInserted != 0 && m.lend.inserted.complete() {
		forward = false
	}
	if fr.kind == 'C' && a&answerFirst != 0 {
		m.firstDone(f.rest()[:fr.size])
		forward = false
	}
	if fr.kind == 'G' || fr.kind == 'W' {
		m.copyBegan()
	}
	ends, ok := a.answeredBy(fr.kind)
	if ok && a.describes() {
		m.described(a, fr, body(fr, f), whole(fr, f))
	}
	if !ok {
		return false, fmt.Sprintf("message type %q as answer %#x", fr.kind, uint16(a))
	}
	if ends {
		m.ended(a)
	}
	return forward, ""
}

// answeredBy says whether kind may come while a is owed, and whether it is the end of it.
func (a expected) answeredBy(kind byte) (ends, ok bool) {
	switch a.kind() {
	case answerQuery, answerReset, answerUnseen, answerVerify, answerRestore, answerDoom:
		return false, true
	case answerCall:
		return false, kind == 'V'
	case answerParse, answerOwn:
		return true, kind == '1'
	case answerBind:
		return true, kind == '2'
	case answerClose:
		return true, kind == '3'
	case answerDescribe:
		return kind != 't', kind == 't' || kind == 'T' || kind == 'n'
	case answerExecute:
		switch kind {
		case 'C', 'I', 's':
			return true, true
		case 'D', 'G', 'H', 'W', 'd', 'c', 'T':
			return false, true
		}
	}
	return false, false
}

// describes says that the answer tells of a statement that is known, or of a portal of it.
func (a expected) describes() bool {
	return a&(answerNamed|answerUnnamed) != 0 && a.kind() == answerDescribe
}

// ended takes out an answer that has come in full.
func (m *machine) ended(a expected) {
	m.pop()
	if a&answerNamed != 0 {
		m.named.done()
	}
	if a&answerPortal != 0 && a.kind() == answerBind {
		m.named.standing = a&answerStands != 0
	}
	if a&answerUnnamed != 0 {
		switch a.kind() {
		case answerParse:
			m.parsed(a)
		case answerClose:
			m.unnamedGone()
		}
	}
	if a == answerOwn|answerSwallow|answerRolls {
		m.lend.rolling = rollingAlone
	}
	if a == answerClose|answerSwallow {
		m.lend.uncertain = false // it was the probe's, or came after all that was uncertain
	}
}

// pop takes out the first answer; the ends of COPY data that nobody asked for are owed nothing.
func (m *machine) pop() {
	m.queue.pop()
	for !m.queue.empty() && m.queue.first().kind() == answerCopyEnd {
		m.queue.pop()
	}
}

// completed notes a CommandComplete.
func (m *machine) completed(a expected, tag []byte) {
	m.lend.copying, m.lend.copySyncs = false, 0
	if a&answerSequences != 0 {
		m.lend.ownValues, m.state.values = true, m.values.tenure
		m.lend.sequences = standingYes
	}
	all := string(tag) == discardAllTag
	if a&answerSwallow == 0 && (all || string(tag) == setTag || string(tag) == resetTag) {
		m.lend.sets.done++
		m.lend.sets.discard = all
		m.lend.sets.forgot = m.lend.sets.forgot || a.kind() == answerExecute && a&answerForgets != 0
	}
	if m.reset.sent && all {
		m.reset.done = true
	}
	if m.lend.logins != nil {
		m.lend.logins.completed(tag)
	}
	if all || string(tag) == deallocateAllTag {
		m.forgetNamed()
	}
	if m.named.stoodFor(a) && string(tag) == deallocateTag {
		m.deallocated()
	}
}

// copyBegan notes that the server reads COPY data now. Syncs that it has not read yet it will ignore, up to the end of the
// data, which may have been sent already.
func (m *machine) copyBegan() {
	syncs, ended := m.queue.endOfCopy()
	m.lend.copying = !ended
	m.lend.copySyncs += syncs
}

// parameter notes a ParameterStatus, which the client gets, too (54.2.7), unless the machine's own doing is the cause: then
// the client is told of what differs in the end.
func (m *machine) parameter(fr frame, f *feed, own bool, w engine.Wire) (forward bool, reason string) {
	name, value, ok := "", "", false
	if whole(fr, f) {
		name, value, ok = parseParameterStatus(body(fr, f))
	}
	if !ok {
		return false, "malformed ParameterStatus"
	}
	m.state.setParam(name, value)
	if own {
		return false, ""
	}
	forward = true
	if name == applicationName && m.forgetsApplication(value) {
		forward, value = false, m.session.application
	}
	if old, ok := lookup(m.seen, name); ok && old == value {
		return forward, ""
	}
	if !forward {
		m.toClient(f, w)
		w.ToClient(appendParameter(nil, parameter{name, value}))
	}
	m.seeOne(parameter{name, value})
	return forward, ""
}

// seeOne notes what the client has been told of one parameter.
func (m *machine) seeOne(p parameter) {
	seen := make([]parameter, 0, len(m.seen)+1)
	for _, s := range m.seen {
		if s.name != p.name {
			seen = append(seen, s)
		}
	}
	m.see(append(seen, p))
}

// tellName tells the client, behind a RESET, that its application has the name again that it began with. The server says nothing of
// that if the name was empty.
func (m *machine) tellName(f *feed, w engine.Wire) {
	p := parameter{applicationName, m.session.application}
	if value, ok := lookup(m.seen, p.name); !ok || value == p.value {
		return
	}
	if _, own := m.state.base.lookup(p.name); own {
		return
	}
	m.toClient(f, w)
	w.ToClient(appendParameter(nil, p))
	m.seeOne(p)
}

// tellUntold tells the client, in front of the ReadyForQuery that the server would have told it with, what the held backend reports now
// and the client has not been told.
func (m *machine) tellUntold(f *feed, w engine.Wire) {
	var out []byte
	for _, p := range m.state.params {
		if value, ok := lookup(m.seen, p.name); ok && value != p.value {
			out = appendParameter(out, p)
			m.seeOne(p)
		}
	}
	if out != nil {
		m.toClient(f, w)
		w.ToClient(out)
	}
}

// failed notes an ErrorResponse, and says whether the client gets it.
func (m *machine) failed(body []byte, f *feed, w engine.Wire) (forward bool) {
	if (survives(body) || m.timedOutAlone(body)) && (!m.lend.restoring || strings.HasPrefix(errorCode(body), "57P")) {
		m.lost.words = parseServerError(body)
		return false
	}
	m.reading.fatal = m.reading.fatal || isFatal(body)
	m.lend.timeless = nil // the server has set back what counted for them
	m.lend.verify.undone = m.lend.verify.undone || !m.lend.sweep.active && !m.lend.restoring
	if p := &m.lend.sets; p.forgot || m.queue.marked(answerForgets) {
		p.forgot = false
		m.lapse()
	}
	if errorCode(body) == codeReadOnly {
		w.Observe(engine.WriteRefused)
	}
	m.loginsFailed(body, w)
	if m.queue.empty() {
		return true
	}
	*m.queue.at(0) &^= answerForgets
	a := m.queue.first()
	if a&(answerRolls|answerSwallow) == answerRolls|answerSwallow && !isFatal(body) {
		return m.rollFailed(a, body, w)
	}
	if m.calmable(body) {
		m.lend.sweep.failed = true
		return false
	}
	if m.lend.restoring && !strings.HasPrefix(errorCode(body), "57P") {
		m.toClient(f, w)
		m.restoreFailed(body, w)
		return false
	}
	if k := a.kind(); k == answerQuery || k == answerExecute {
		m.lend.copying = false
		m.lend.uncertain = m.lend.uncertain || m.lend.copySyncs > 0
		m.lend.copySyncs = 0
	}
	if m.lend.verify.typo && a&answerSwallow == 0 && isSyntaxError(body) {
		m.lend.verify.typo = false
	}
	if a.readies() {
		m.lend.sweep.failed = true
		return a&answerSwallow == 0 || m.reading.fatal && m.holds()
	}
	forward = true
	code := errorCode(body)
	if a.kind() == answerFail && !isFatal(body) && (code == "26000" || code == "42P05") {
		m.toClient(f, w)
		w.ToClient(m.named.ops[m.named.head].refusal)
		forward = false
	}
	if a.kind() != answerFail && (code == "26000" || code == "0A000") {
		// The backend has lost statements, or the plan of one does not fit any more.
		m.state.statements.doubt()
	}
	m.named.shape = 0 // of a description that ends here
	undone := 0
	if a&answerNamed != 0 {
		undone = 1
		if a.kind() == answerOwn {
			m.named.refusedDirect(body)
		}
	}
	if a&answerUnnamed != 0 && a.kind() == answerParse {
		m.parseFailed(a)
	} else {
		m.skipped(a)
	}
	m.pop()
	// The server reads on at the next Sync, whatever it was sent before (54.2.3).
	for !m.queue.empty() && m.queue.first().kind() != answerSync {
		m.skipped(m.queue.first())
		if m.queue.first()&answerNamed != 0 {
			undone++
		}
		m.pop()
	}
	m.undoNamed(undone)
	m.reading.skipping = m.queue.empty()
	if a&answerSwallow != 0 && !m.reading.skipping && m.queue.first()&answerSwallow != 0 {
		return isFatal(body) // the client's message follows behind a Sync of the machine's
	}
	return forward
}

// instead returns the ErrorResponse that the client gets in place of one with this body, nil if it gets that one.
func (m *machine) instead(body []byte) []byte {
	switch {
	case m.valuesLost(body):
		return withHint(body, valuesHint)
	case m.queue.marked(answerInserted):
		return m.lend.inserted.repositioned('E', body)
	case !m.queue.empty() && m.queue.first()&answerSwallow == 0:
		return m.named.refusal(body)
	}
	return nil
}

// skipped notes that a message was not executed.
func (m *machine) skipped(a expected) {
	if a.kind() == answerParse && a&answerUnnamed != 0 && a&answerSwallow == 0 {
		m.unnamed.inFlight--
	}
	m.lend.checks = m.lend.checks && a != checksUnnamed
}

// errorCode reads the SQLSTATE in the body of an ErrorResponse, "" if there is none.
func errorCode(body []byte) string { return errorField(body, 'C') }

// errorField reads a field (54.8) of an ErrorResponse or NoticeResponse with body, "" if there is none.
func errorField(body []byte, field byte) string {
	for len(body) > 1 && body[0] != 0 {
		value, rest, ok := cutString(body[1:])
		if !ok {
			break
		}
		if body[0] == field {
			return string(value)
		}
		body = rest
	}
	return ""
}

// isFatal reads the severity in the body of an ErrorResponse (54.8). The server sends it first, and may translate it; the
// one that it does not translate follows.
func isFatal(body []byte) bool {
	for len(body) > 1 && body[0] != 0 {
		value, rest, ok := cutString(body[1:])
		if !ok {
			return false
		}
		if (body[0] == 'S' || body[0] == 'V') && (string(value) == severityFatal || string(value) == "PANIC") {
			return true
		}
		body = rest
	}
	return false
}

// isSyntaxError says that the body of an ErrorResponse is what the server says to text that is no SQL (42601, appendix A), and
// not what some code says that the text has called (the field W, 54.8).
func isSyntaxError(body []byte) bool {
	found := false
	for len(body) > 1 && body[0] != 0 {
		value, rest, ok := cutString(body[1:])
		if !ok || body[0] == 'W' || body[0] == 'q' {
			return false
		}
		found = found || body[0] == 'C' && string(value) == "42601"
		body = rest
	}
	return found
}

// readyForQuery notes the end of a request or a batch.
func (m *machine) readyForQuery(fr frame, f *feed, w engine.Wire) (forward bool, reason string) {
	status := body(fr, f)
	if len(status) != 1 || status[0] != 'I' && status[0] != 'T' && status[0] != 'E' {
		return false, "malformed ReadyForQuery"
	}
	if m.queue.empty() || !m.queue.first().readies() {
		if !m.lend.uncertain {
			return false, "ReadyForQuery without a request"
		}
		m.reading.skipping = m.reading.skipping && !m.queue.empty()
		m.lend.tx = status[0]
		return true, ""
	}
	a := m.queue.first()
	if a&answerSequences != 0 && !m.lend.ownValues && status[0] != 'E' {
		return false, "DISCARD SEQUENCES refused"
	}
	m.pop()
	if a.kind() == answerQuery {
		m.unnamedGone()
		m.lend.copying, m.lend.copySyncs = false, 0
	}
	if a&answerInserted != 0 {
		m.lend.inserted = nil
	}
	m.lend.tx, m.lend.ready = status[0], m.queue.empty() && !m.reading.batch
	if m.lend.ready {
		m.lend.flight = flight{}
		if status[0] == 'I' {
			m.lend.portals = portals{}
		}
	}
	if a.kind() == answerDoom {
		if !m.doomed(status[0], w) {
			return false, "a transaction that did not fail"
		}
		return false, ""
	}
	if a&(answerRolls|answerSwallow) == answerRolls|answerSwallow {
		if !m.rolledBack(status[0]) {
			return false, "a transaction that is not rolled back"
		}
		return false, ""
	}
	if a.kind() == answerRestore {
		m.restored(w)
		return false, ""
	}
	if k := a.kind(); (k == answerReset || k == answerUnseen || k == answerVerify) && !m.swept(a, status[0], w) {
		return false, "a backend that cannot be cleaned up"
	}
	if a&answerSwallow != 0 || a&answerFirst != 0 && !m.firstReady(status[0]) {
		return false, ""
	}
	m.settleTypo()
	m.settleTimes()
	m.lost.attempts, m.lend.mixed = 0, m.lend.mixed || status[0] == 'I' && !m.lend.ready
	if m.lend.sets.forgot = m.lend.sets.forgot || a&answerForgets != 0; m.lend.sets.forgot {
		m.tellName(f, w)
	}
	if m.lend.untold {
		m.lend.untold = false
		m.tellUntold(f, w)
	}
	w.Observe(engine.RequestEnded)
	if status[0] == 'I' {
		w.Observe(engine.TransactionEnded)
		if m.lend.logins != nil {
			m.loginsOver()
		}
	}
	m.afterReset(w)
	m.rename(w)
	return true, ""
}

// afterReset reports a DISCARD ALL that is over and done, if it was the last thing that was sent.
func (m *machine) afterReset(w engine.Wire) {
	if m.reset.done && m.queue.empty() && m.lend.tx == 'I' {
		m.forgotten(w)
		m.named.direct = false
	}
	if m.queue.empty() {
		m.reset = reset{}
	}
}
