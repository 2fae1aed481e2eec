package postgres

import (
	"bytes"

	"github.com/jackc/pgproto3/v2"

	"github.com/berthdb/berth/core/engine"
)

// A simple Query of several statements, of which the first ends a transaction that has failed, may need something brought to its
// backend before the others: that it forgets another session's sequence values, or the statements that SQL names. In the failed
// transaction nothing can be brought. So the machine rolls it back itself, just before, and hides that the text's own ROLLBACK or
// COMMIT has nothing left to do. As text that is no SQL ends no transaction, the server reads the text first: as one for a
// prepared statement, which it refuses because of the other statements, and only if there is nothing else wrong with it
// (postgres.c exec_parse_message). What begins with text that the machine itself cannot read, as in an encoding like SJIS, may end the transaction,
// too: it is read in that way, and then refused as what does not end it.

// rolling is how far the machine is with that; the client's message waits.
type rolling uint8

const (
	rollingNot    rolling = iota
	rollingAsked          // the server reads the text
	rollingRead           // it has, and found nothing wrong
	rollingAlone          // it has, and found one statement that it executes even there
	rollingBack           // ROLLBACK was sent
	rollingOn             // or ROLLBACK AND CHAIN
	rollingBehind         // and is done
)

var rollbackMessage, chainMessage = queryMessage("ROLLBACK"), queryMessage("ROLLBACK AND CHAIN")

// ending is what the first of several statements does in a transaction that has failed. Unless it ends that, or goes back to a
// savepoint, the server executes none of them.
type ending uint8

const (
	endingNot  ending = iota
	endingRuns        // it is rolled back, and other statements follow outside of it
	endingOn          // it is rolled back, and others follow in the next one, with its characteristics
	endingBack        // it goes back to a savepoint, and others follow within it
	endingElse        // something else, or what cannot be read
)

// endingOf reads a text, or the beginning of one. What cannot be read does not matter behind its first statement, except that there is something.
func endingOf(text []byte, whole bool, lex lexing) ending {
	hidden := lex.hides(text)
	if hidden {
		text, whole = text[:bytes.IndexFunc(text, func(r rune) bool { return r >= 0x80 })], false
	}
	s := scanner{text: text, lex: lex}
	for s.next(); s.kind == ';'; {
		s.next()
	}
	first := s
	switch {
	case s.is("prepare"), !whole && (s.kind == tokenEnd || s.kind == tokenBroken):
		return endingElse
	case whole && leading(text, true, lex) > 0:
		return endingBack
	case hidden && first.goesBack():
		return endingElse // it would have to go before the rest, which has blanks in its place
	case !s.is("rollback") && !s.is("abort") && !s.is("commit") && !s.is("end"):
		return endingNot
	}
	if s.next(); s.is("work") || s.is("transaction") {
		s.next()
	}
	ends := endingRuns
	if s.is("and") {
		if s.next(); s.is("no") {
			s.next()
		} else {
			ends = endingOn
		}
		if !s.is("chain") {
			return endingElse
		}
		s.next()
	}
	if s.kind != ';' {
		return endingElse
	}
	for s.kind == ';' {
		s.next()
	}
	if !hidden && (s.kind == tokenEnd || s.kind == tokenBroken) {
		return endingElse
	}
	return ends
}

// beforeQuery makes the next step before a Query with v is sent, if something has to be brought for it that cannot be brought in a
// transaction that has failed. It says whether the Query waits for that, or was refused.
func (m *machine) beforeQuery(v verdict, text []byte, fr frame, f *feed, w engine.Wire) (waits, refused bool) {
	others := v.sequence && m.lend.sequences != standingYes
	tells := others && m.mayTellValues(v, text)
	if !tells && !(others && v.makes && m.lend.tx == 'E') && !(v.kinds.has(engine.KindPreparedStatement) && len(m.named.byName) > 0) {
		return false, false
	}
	// In a failed transaction the DISCARD fails, and what follows a ROLLBACK in this text would not.
	if !m.queue.empty() {
		if m.lend.rolling == rollingNot {
			m.waitNamed(f, w)
		}
		return true, false
	}
	ends := endingNot
	if m.lend.tx == 'E' {
		ends = endingOf(text, true, m.lexing)
	}
	switch {
	case ends == endingBack && m.lend.rolling == rollingRead:
		m.lend.rolling = rollingNot
		m.sendFirst(leading(text, true, m.lexing), f, w)
		return true, false
	case ends == endingRuns, ends == endingOn, ends == endingBack:
		m.flush(f, w)
		m.rollBack(text, ends == endingOn, w)
		return true, false
	case ends == endingElse && tells && m.lend.rolling == rollingNot:
		m.flush(f, w)
		m.rollBack(text, false, w)
		return true, false
	case ends == endingElse && tells && m.lend.rolling == rollingRead:
		m.lend.rolling = rollingNot
		m.refuseQuery(fr, f, w)
		return false, true
	}
	if m.lend.rolling == rollingAlone {
		m.lend.rolling = rollingNot
	}
	return false, false
}

// rollBack makes the next step towards the end of the failed transaction that text ends, on says whether by AND CHAIN. The queue is empty.
func (m *machine) rollBack(text []byte, on bool, w engine.Wire) {
	l := m.lend
	l.owed = true
	if l.rolling == rollingRead {
		rolling, message := rollingBack, rollbackMessage
		if on {
			rolling, message = rollingOn, chainMessage
		}
		l.rolling = rolling
		w.ToBackend(message)
		m.push(answerQuery | answerSwallow | answerRolls)
		return
	}
	l.rolling = rollingAsked
	w.ToBackend(parseMessage(ownName, append(bytes.Clone(text), 0, 0, 0)))
	w.ToBackend(closeOwn) // which it does not come to
	w.ToBackend(syncMessage)
	m.push(answerOwn | answerSwallow | answerRolls)
	m.push(answerClose | answerSwallow)
	m.push(answerSync | answerSwallow)
}

// rollFailed notes an error in the answer to that, and says whether it is the answer to the client's message.
func (m *machine) rollFailed(a expected, body []byte, w engine.Wire) (forward bool) {
	for !m.queue.first().readies() {
		m.pop()
	}
	if a.kind() == answerOwn && errorCode(body) == "42601" && errorField(body, 'R') == "exec_parse_message" {
		m.lend.rolling = rollingRead
		return false
	}
	m.lend.rolling = rollingNot
	m.reading.refused = true
	*m.queue.at(0) = answerCall // up to the ReadyForQuery that is awaited
	m.began(w)
	return true
}

// rolledBack notes the end of the machine's own ROLLBACK. It returns false if the backend must not be used any more.
func (m *machine) rolledBack(status byte) bool {
	want := byte('I')
	if m.lend.rolling == rollingOn {
		want = 'T'
	}
	m.lend.rolling = rollingBehind
	return status == want
}

// rollsAhead says that the machine's own ROLLBACK is under way. What becomes of settings with it, the client has rolled back.
func (m *machine) rollsAhead() bool {
	return !m.queue.empty() && m.queue.first() == answerQuery|answerSwallow|answerRolls
}

// rollsBack says that the first statement is under way of a client's Query that the machine has gone before.
func (m *machine) rollsBack() bool {
	return !m.queue.empty() && m.queue.first()&(answerRolls|answerSwallow) == answerRolls
}

var rollbackComplete = appendMessage(nil, &pgproto3.CommandComplete{CommandTag: []byte("ROLLBACK")})
