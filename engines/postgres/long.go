package postgres

import (
	"bytes"

	"github.com/berthdb/berth/core/engine"
)

// longMessage is a Query or Parse that is too long to be held and passes in pieces. What it does is known, and noted, when its
// last piece has come: the server executes nothing before, and nothing that follows it is dealt with before.
type longMessage struct {
	scan   *longScan
	kind   byte
	named  bool
	head   []byte // the beginning of the text
	told   bool   // whether it may be read,
	spoilt bool   // and it may not
}

// untilRead is what a long statement counts as while it passes, where that decides about what is sent before it.
var untilRead = verdict{sequence: true}

// scanLong begins to scan the text of a long message; p is what has come of it.
func (m *machine) scanLong(kind byte, named bool, p []byte) {
	m.reading.long = &longMessage{
		scan: newLongScan(m.lexing), kind: kind, named: named, head: bytes.Clone(p[:min(len(p), maxSuspect)]),
	}
	m.reading.long.scan.feed(p)
	m.reading.long.told = m.reading.long.scan.over // of a Parse it was looked at, and a Query that goes on is refused anyhow
}

// longQuery passes on the beginning of a simple Query.
func (m *machine) longQuery(fr frame, f *feed, w engine.Wire) bool {
	if m.hasNames() && m.collect(fr, fr.size, f, w) {
		return true
	}
	if m.waits(m.lend.sequences, f, w) {
		return false
	}
	if m.lend.sequences != standingYes { // as in query
		if !m.queue.empty() {
			m.waitNamed(f, w)
			return false
		}
		if m.lend.tx == 'E' && endingOf(body(fr, f), false, m.lexing) != endingNot {
			m.refuseQuery(fr, f, w)
			return true
		}
	}
	m.flush(f, w)
	m.prepareSequences(true, false, w)
	m.beganApart(w)
	m.lend.unnamed.establish()
	m.named.batch++
	m.push(answerQuery)
	m.scanLong(fr.kind, false, body(fr, f))
	m.begin(fr, f, false, w)
	return true
}

// longParse passes on the beginning of a Parse. name is its statement's, rest is what has come behind that.
func (m *machine) longParse(fr frame, name, rest []byte, f *feed, w engine.Wire) bool {
	named := len(name) > 0
	if named && m.unsettled(f, w) {
		return false
	}
	if text, _, ok := cutString(rest); ok { // it is the types of parameters that are many
		if answer := m.reservedName(unread, text); answer != nil {
			m.refuse(answer, fr, f, w)
			return true
		}
	}
	switch {
	case named && (reserved(name) || m.named.byName[string(name)] != nil):
		m.refuse(alreadyExists(string(name)), fr, f, w)
		return true
	case named && (!m.named.direct || m.hasNames()) && m.roomForNamed(fr.size) && m.collect(fr, statementCopies*fr.size, f, w):
		return true
	case m.waits(m.lend.sequences, f, w):
		return false
	}
	m.flush(f, w)
	m.prepareSequences(false, false, w)
	owed := answerParse
	if named {
		m.named.direct = true
	} else {
		owed |= answerUnnamed
		m.parseSent(f.rest(), fr.size, untilRead)
	}
	m.scanLong(fr.kind, named, rest)
	m.pushBatch(owed, w)
	m.begin(fr, f, false, w)
	return true
}

// A Parse with a name that is too long to be held, and not too long to be kept, is taken in before anything of it is sent: it goes
// out under another name, and only then is known what it does. So is a Query of a session that has such names, which its text may refer to: what it
// names must be on the backend before it.
type collected struct {
	message []byte
	size    int
	share   *share
	began   bool // its request was counted
	waits   int  // for one of so many answers, as far as is known
}

// maxNamedLong is how much a session may have of such statements.
const maxNamedLong = 4 << 20

// roomForNamed says whether the session may have one more such statement, of this size.
func (m *machine) roomForNamed(size int) bool {
	all := size
	for _, s := range m.named.byName {
		if s.shared.share != nil {
			all += len(s.shared.parse)
		}
	}
	return all <= maxNamedLong
}

// collect begins to take in the message at f.at, if there is room for it: it takes so much of what the engine keeps.
func (m *machine) collect(fr frame, takes int, f *feed, w engine.Wire) bool {
	if fr.size > maxUnnamedLong {
		return false
	}
	s := m.e.share(takes)
	if s == nil {
		return false
	}
	m.flush(f, w)
	m.reading.collected = &collected{message: make([]byte, 0, fr.size), size: fr.size, share: s}
	m.reading.client = stream{rest: fr.size}
	m.began(w) // it holds the backend from now on, however slowly the rest comes
	m.reading.collected.began = true
	m.takeIn(f, w)
	return true
}

// takeIn takes in what has come of the message, but for its last byte: that stays until the message has been dealt with, so that
// the core gives it again where the message has to wait. It returns false then.
func (m *machine) takeIn(f *feed, w engine.Wire) bool {
	c := m.reading.collected
	n := min(len(f.rest()), c.size-1-len(c.message))
	c.message = append(c.message, f.rest()[:n]...)
	f.at += n
	f.run = f.at
	m.reading.client.rest -= n
	if len(f.rest()) == 0 {
		return true
	}
	if c.waits > 0 && m.queue.n == c.waits { // it is given again with whatever comes, and takes long to read
		return false
	}
	whole := feed{in: append(c.message, f.rest()[0])}
	fr, _ := readFrame(whole.in)
	if goOn, err := m.clientMessage(fr, &whole, w); err != nil || !goOn { // the backend may be another one by now, or none
		m.reading.client = stream{rest: 1}
		c.waits = m.queue.n
		return false
	}
	m.flush(&whole, w)
	if m.backend != nil {
		m.lend.owed = false // as where it was borrowed for the message's beginning
	}
	if fr.kind == 'Q' {
		c.share.giveBack()
	}
	m.reading.collected, m.reading.client = nil, stream{}
	f.at++
	f.run = f.at
	return true
}

// passOn passes on what has come of the current message.
func (m *machine) passOn(f *feed, w engine.Wire) {
	s := &m.reading.client
	n := s.take(len(f.rest()))
	refused := false
	if l := m.reading.long; l != nil {
		piece := f.rest()[:n]
		l.scan.feed(piece)
		if piece, refused = l.spoil(piece); refused {
			m.flush(f, w)
			w.ToBackend(piece)
		}
		if l.kind == 'P' && !l.named && m.unnamed.pending.share != nil {
			p := &m.unnamed.pending
			p.message = append(p.message, f.rest()[:n]...)
		}
	}
	m.passClient(f, n, s.drop || refused, w)
	if l := m.reading.long; l != nil && s.rest == 0 {
		m.reading.long = nil
		m.longSent(l, w)
	}
}

// longSent notes what a long message does. Unless it was kept, only the beginning of its text is there: names of settings that the
// server does not list are not known, and those of prepared statements came too late.
func (m *machine) longSent(l *longMessage, w engine.Wire) {
	v := l.scan.finish()
	v.opaque = v.opaque || v.garbled
	u := m.state.unseen
	if v.opaque || v.unlisted || v.kinds.has(engine.KindUnknown) || v.foreign && u != nil && u.now() != suspicionNone {
		var text []byte
		if l.kind == 'P' && !l.named {
			text = m.unnamed.pending.text()
		}
		if text != nil {
			v = m.judge(text)
		} else {
			v.kinds.add(engine.KindUnknown)
		}
	}
	switch {
	case l.kind == 'P' && !l.named:
		m.unnamed.pendingVerdict = v
		m.unnamed.pendingReading, m.unnamed.pendingTimes = m.readingOf(m.unnamed.pending.text())
		return
	case l.named:
		v.kinds.add(engine.KindPreparedStatement)
		m.creates = m.creates || v.creates || v.prepares || v.delivers
		m.directSets = m.directSets || v.changesSettings()
	}
	m.named.direct = m.named.direct || v.kinds.has(engine.KindPreparedStatement)
	m.report(v, l.head, true, w)
	if v.creates {
		m.e.mayLex()
	}
	m.lend.sets.lexes = m.lend.sets.lexes || v.opaque || v.foreign || v.changesSettings() || v.kinds.has(engine.KindUnknown)
}

// longScan scans a text that is too long to be held, piece by piece as it passes. What it keeps is bounded, whatever the text is.
type longScan struct {
	classifier
	window []byte // what is left of the pieces so far
	over   bool   // the NUL behind the text has come,
	nul    int    // there in the piece

	mentions bool // it has what such a name begins with, perhaps elsewhere,
	quotes   bool // as SQL has to write that
	last     []byte
}

// refer looks, at a token that was read from here on, for what reservedName refuses. With escapes in it a name may be any.
func (c *classifier) refer(from int) {
	c.reserved = c.reserved || c.refers && c.kind == tokenQuoted && (reserved(c.word()) || c.length == 0 && bytes.Contains(c.text[from:c.at], []byte(`&"`)))
	c.refers = c.is("execute") || c.is("deallocate") || c.is("prepare")
}

// spoil makes of a piece of a long message that has been scanned one that the server refuses to read (08P01), if the text, which is over, names
// a statement as only the proxy does: the string has no end. Nothing is left of what a Parse has behind it, which might be one, and parameters,
// without its first bytes. p is not changed.
func (l *longMessage) spoil(p []byte) (spoiled []byte, refused bool) {
	end := 0
	if l.scan.over && !l.told {
		l.scan.finish()
		l.told, end = true, l.scan.nul
		l.spoilt = l.scan.reserved || l.scan.lost && l.scan.mentions || l.scan.does && l.scan.quotes
	}
	if !l.spoilt {
		return p, false
	}
	return append(bytes.Clone(p[:end]), bytes.Repeat([]byte{' '}, len(p)-end)...), true
}

// windowSize is how much of a long text is looked at together.
const windowSize = 4 * maxAhead

func newLongScan(lex lexing) *longScan {
	return &longScan{
		classifier: classifier{scanner: scanner{lex: lex, more: true}, verdict: verdict{inert: true}, parted: true},
		window:     make([]byte, windowSize),
	}
}

// feed takes the next piece, of any size. What follows a NUL in it is no SQL any more.
func (l *longScan) feed(p []byte) {
	if l.over {
		return
	}
	if n := bytes.IndexByte(p, 0); n >= 0 {
		p, l.over, l.nul = p[:n], true, n
	}
	l.mention(p)
	if l.lex.hides(p) {
		l.lost = true
	}
	for len(p) > 0 && !l.ended && !l.lost {
		left := copy(l.window, l.text[min(l.at, len(l.text)):])
		n := copy(l.window[left:], p)
		l.text, l.at = l.window[:left+n], 0
		p = p[n:]
		l.run()
	}
}

// quotedPrefix is what a name that is reserved begins with in SQL, in a string with SQL, too.
const quotedPrefix = `"` + sharedPrefix

// mention looks in the next piece for what a name that is reserved begins with, where the text cannot be read, or is another language's.
func (l *longScan) mention(p []byte) {
	const most = len(quotedPrefix) - 1
	l.last = append(l.last, p[:min(len(p), most)]...)
	for _, text := range [...][]byte{l.last, p} {
		l.mentions = l.mentions || bytes.Contains(text, []byte(sharedPrefix)) || bytes.Contains(text, []byte(`&"`))
		l.quotes = l.quotes || bytes.Contains(text, []byte(quotedPrefix))
	}
	if len(p) >= most {
		l.last = l.last[:0]
		l.last = append(l.last, p[len(p)-most:]...)
	} else {
		l.last = append(l.last[:0], l.last[max(len(l.last)-most, 0):]...)
	}
}

// finish says what the text, which is over, may do.
func (l *longScan) finish() verdict {
	l.more = false
	l.run()
	return l.end()
}
