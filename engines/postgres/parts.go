package postgres

import (
	"bytes"

	"github.com/berthdb/berth/core/engine"
)

// A simple Query of several statements, within a transaction, may need something brought to its backend that its first statements
// must not find there. Where that takes a snapshot, SET TRANSACTION is refused behind it, and what LOCK waits for is not seen; and in a
// transaction that has failed it can be brought behind ROLLBACK TO only. So these statements are sent before it, as a Query of their own,
// and the rest behind it, with blanks in their place, so that errors say the same positions. The client gets one answer. As the server
// reads all of a Query before it executes the first statement, the answer to these begins once it has read the rest.

// leading returns the length of the statements that begin text and must go before what is brought, with the semicolon, 0 if there are
// none, or nothing follows. failed says that the transaction has.
func leading(text []byte, failed bool, lex lexing) (n int) {
	if lex.hides(text) {
		return 0
	}
	s := scanner{text: text, lex: lex}
	for {
		for s.next(); s.kind == ';'; {
			s.next()
		}
		if s.kind == tokenEnd {
			return 0
		}
		must, may := s.goesBack(), false
		if !failed {
			must, may = s.beforeSnapshot()
		}
		if !must && !may {
			break
		}
		for s.kind != ';' {
			if s.next(); s.kind == tokenEnd || s.kind == tokenBroken {
				return 0
			}
		}
		if must {
			n = s.at
		}
	}
	for _, b := range text[:n] {
		if b >= 0x80 { // positions are characters
			return 0
		}
	}
	return n
}

// beforeSnapshot says whether a statement, of which the first word is read, counts only, or otherwise, before the transaction's first
// snapshot, and whether it may go before what is brought: it takes no snapshot, and executes no code.
func (s *scanner) beforeSnapshot() (must, may bool) {
	if s.is("lock") {
		return true, true
	}
	if !s.is("set") {
		return false, false
	}
	if _, resets := s.setsName(); resets { // what follows has to find the name (inserted.go)
		return false, false
	}
	if s.next(); s.is("local") || s.is("session") {
		s.next()
	}
	must = s.kind == tokenWord && bytes.HasPrefix(s.word(), []byte("transaction"))
	return must, !s.is("constraints") || s.defers()
}

// defers says whether SET CONSTRAINTS, of which the second word is read, is about DEFERRED: IMMEDIATE executes what has been deferred.
func (s *scanner) defers() (deferred bool) {
	for ahead := *s; ahead.kind != ';' && ahead.kind != tokenEnd && ahead.kind != tokenBroken; ahead.next() {
		deferred = ahead.is("deferred")
	}
	return deferred
}

// goesBack says whether a statement, of which the first word is read, is ROLLBACK TO.
func (s *scanner) goesBack() bool {
	if !s.is("rollback") {
		return false
	}
	if s.next(); s.is("work") || s.is("transaction") {
		s.next()
	}
	return s.is("to")
}

// opening returns how much of the text of a Query goes before what has to be brought for it in an open transaction, 0 if nothing has to
// be, or can be, that matters.
func (m *machine) opening(v verdict, text []byte) int {
	brings := v.sequence && m.lend.sequences != standingYes || v.names && len(m.named.byName) > 0
	if !brings || v.garbled || m.reading.batch || m.queue.empty() && m.lend.tx != 'T' {
		return 0
	}
	return leading(text, false, m.lexing)
}

// sendFirst sends the next n bytes of the text of the Query at f.at, which waits for the answer. The queue is empty.
func (m *machine) sendFirst(n int, f *feed, w engine.Wire) {
	m.flush(f, w)
	part := int(m.lend.part)
	end := headerLength + part + n
	text := f.rest()[headerLength+part : end]
	m.report(m.judge(text), text, false, w)
	if part == 0 {
		m.beganApart(w)
	}
	message := append([]byte{'Q', 0, 0, 0, 0}, bytes.Repeat([]byte{' '}, part)...)
	w.ToBackend(endMessage(append(append(message, text...), 0), 0))
	m.lend.part += int32(n)
	m.lend.unnamed.establish() // it ends both sides' unnamed statement
	m.named.batch++
	m.push(answerQuery | answerFirst)
}

// beginRest passes on the Query at f.at without what has been sent of it.
func (m *machine) beginRest(fr frame, f *feed, w engine.Wire) {
	m.flush(f, w)
	part := int(m.lend.part)
	m.lend.part = 0
	w.ToBackend(f.rest()[:headerLength])
	w.ToBackend(bytes.Repeat([]byte{' '}, part))
	f.at += headerLength + part
	f.run = f.at
	m.reading.client = stream{rest: fr.size - headerLength - part}
	m.passClient(f, m.reading.client.take(len(f.rest())), false, w)
}

// firstReady notes the ReadyForQuery to what sendFirst sent, and says whether the client gets it: if that failed, the rest is not executed.
func (m *machine) firstReady(status byte) (forward bool) {
	if status == 'T' {
		return false
	}
	m.dropRest()
	return true
}

// dropRest gives up the Query of which a part was sent. It is answered.
func (m *machine) dropRest() {
	m.reading.refused = true
	m.lend.part, m.lend.early = 0, nil
}

// firstDone keeps the CommandComplete of a statement that sendFirst sent.
func (m *machine) firstDone(message []byte) { m.lend.early = append(m.lend.early, message...) }

// tellFirst gives the client what was kept, before a message that it gets, unless that is what the server says to a text that it cannot
// read, of which it executes nothing.
func (m *machine) tellFirst(fr frame, f *feed, w engine.Wire) {
	if fr.kind == 'S' || fr.kind == 'A' || m.queue.empty() {
		return
	}
	a := m.queue.first()
	if a&answerSwallow != 0 || a&answerFirst != 0 && fr.kind != 'E' {
		return
	}
	if fr.kind != 'E' || a&answerFirst != 0 || !isUnreadable(body(fr, f)) {
		m.toClient(f, w)
		w.ToClient(m.lend.early)
	}
	m.lend.early = nil
}

// isUnreadable says that the body of an ErrorResponse is what the server's parser says to the text itself: it names no statement within
// it, nor what called it (54.8).
func isUnreadable(body []byte) bool {
	switch errorField(body, 'F') {
	case "scan.l", "gram.y", "parser.c":
		return errorField(body, 'W') == "" && errorField(body, 'q') == ""
	}
	return false
}
