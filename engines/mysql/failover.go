package mysql

import (
	"errors"
	"math"
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// A backend that is lost does not end its session. The client is told which of two things happened to its request:
//
//   - it has no effect, for certain, and neither has the transaction that it was in: 1213, which drivers and frameworks try
//     again, and behind which there is no transaction any more (17.7.5.3 "How to Minimize and Handle Deadlocks");
//   - nobody knows: 9502, because a COMMIT, or a statement outside of a transaction, was sent and not answered.
//
// What was not sent at all is sent to another backend, and nothing else ever is.

const lostConnection = "The connection to the database was lost"

var (
	errRolledBack = &clientError{rendering: rendering{protocol.ER_LOCK_DEADLOCK, "40001",
		lostConnection + ": the transaction was rolled back; try restarting transaction"}}
	errNotExecuted = &clientError{rendering: rendering{protocol.ER_LOCK_DEADLOCK, "40001",
		lostConnection + ": the statement was not executed; try restarting transaction"}}
	errNotKnown = &clientError{rendering: rendering{errUnknownOutcome, "08007",
		lostConnection + ": it is not known whether the statement was executed"}}
	errEndNotKnown = &clientError{rendering: rendering{errUnknownOutcome, "08007",
		lostConnection + ": it is not known whether the transaction was rolled back"}}
	errStateLost = &clientError{rendering: rendering{errServerLost, "HY000",
		lostConnection + ", and state of the session with it that was on that connection only"}}
)

// errUnknownOutcome is a number that no server uses, beside RDS Proxy's 9501.
const errUnknownOutcome = 9502

// maxAttempts is how many backends a request may lose before it was sent. Then it is refused: it may be what kills them.
const maxAttempts = 5

// readOnly says whether a server says by an error that it takes no writes: it may not be the writer any more. Or the
// client's own transaction is read only; who hears of it asks the server.
func readOnly(number uint16) bool {
	switch number {
	case protocol.ER_OPTION_PREVENTS_STATEMENT, protocol.ER_READ_ONLY_MODE, protocol.ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
		return true
	}
	return false
}

// ending is what the error of the last request may have done to the transaction that is open by all that the server has said: no ERR says it.
type ending uint8

const (
	endingNone   ending = iota
	endingUndone        // the server may have rolled it back, so that the next statement is not in it
	endingAny           // it may have been committed
)

// noteEnding notes what the request that is over may have done to the transaction.
func (m *Machine) noteEnding() {
	r, s := &m.request, &m.session
	if !r.failed || !m.InTransaction() || s.ending == endingAny {
		return
	}
	executes := r.command == protocol.COM_QUERY || r.command == protocol.COM_STMT_EXECUTE
	inert := r.class.has(classKeeps) || r.errno == protocol.ER_PARSE_ERROR && r.class.kinds == 0 && !r.class.has(classCalls)
	switch {
	case executes && !inert:
		s.ending = endingAny // DDL commits, and fails then
	case undoes(r.errno):
		s.ending = endingUndone
	}
}

// undoes says whether a server may have rolled the transaction back when it failed a statement with an error.
func undoes(number uint16) bool {
	switch number {
	case protocol.ER_PARSE_ERROR, protocol.ER_DUP_ENTRY, protocol.ER_NO_SUCH_TABLE, protocol.ER_BAD_FIELD_ERROR, protocol.ER_BAD_NULL_ERROR,
		protocol.ER_DATA_TOO_LONG, protocol.ER_WARN_DATA_OUT_OF_RANGE, protocol.ER_NO_REFERENCED_ROW_2, protocol.ER_ROW_IS_REFERENCED_2,
		protocol.ER_NO_DEFAULT_FOR_FIELD, protocol.ER_TRUNCATED_WRONG_VALUE_FOR_FIELD, protocol.ER_SUBQUERY_NO_1_ROW:
		return false
	}
	return true
}

// outlives says whether a transaction may outlive its connection, as one of XA does that is prepared.
func (m *Machine) outlives() bool { return m.holding != nil && m.holding.has(engine.KindUnknown) }

// outcome is what the client is told of the request that is under way.
func (m *Machine) outcome() error {
	c := m.request.class
	autocommits := m.session.status&statusAutocommit != 0
	open := m.InTransaction() || !autocommits
	undone := errRolledBack
	if m.session.ending == endingAny || m.outlives() {
		undone = errEndNotKnown
	}
	switch m.request.command {
	case protocol.COM_QUERY, protocol.COM_STMT_EXECUTE:
	case protocol.COM_STMT_FETCH: // of rows that were found before
		if !open {
			return errNotKnown
		}
		return undone
	default: // without effect
		if open {
			return undone
		}
		return errNotExecuted
	}
	switch {
	case m.upload.active && !m.upload.discard: // it is not there in full
		if open {
			return undone
		}
		return errNotExecuted
	case open && c.has(classKeeps) && (m.session.ending == endingNone || !autocommits || c.has(classOpens)):
		return undone
	case !m.InTransaction() && c.has(classOpens):
		return errNotExecuted
	}
	return errNotKnown
}

// answerable says whether the client can be told something in the middle of the answer that it gets: between two packets,
// where there may be an ERR.
func (m *Machine) answerable() bool {
	r := &m.reader
	if m.request.file {
		return false
	}
	if m.queue.count == 0 || m.queue.head().purpose != purposeForward {
		return true
	}
	return r.skip == 0 && !r.continued && (r.stage == stageFirst || r.stage == stageRows)
}

// bound says whether state of the session is on the held backend that no other one can have.
func (m *Machine) bound() bool {
	return m.pins.pinned || m.session.locked || m.statements.live > 0 || len(m.session.asks) > 0 || m.session.tracks
}

// BackendLost tells the client what that means, and goes on without a backend.
func (m *Machine) BackendLost(err error, w engine.Wire) {
	if m.closed {
		return
	}
	if m.insertID.touched {
		m.insertID.lost = true
	}
	var ended *clientError
	active, open, kept := m.request.active, m.InTransaction(), m.bound()
	waiting := active || m.request.scanned
	sequence, tellable := m.answerSequence(), m.answerable()
	told, outlives := m.outcome(), m.session.ending == endingAny || m.outlives()
	answered := m.upload.active && !active
	eof := tellable && m.reader.eof && m.queue.count > 0 && m.queue.head().purpose == purposeForward
	again := m.statements.again != nil // the client has sent it once, and it waits to be executed
	if active && m.state != nil {
		m.tellLogins(math.MaxInt) // it may have been executed
	}
	m.forget()
	if m.change != nil {
		m.info.sequence = m.change.sequence + 1
	}
	switch {
	case m.login == loginPending, m.change != nil:
		m.fail(lost(err), w)
		return
	case waiting && errors.As(err, &ended): // its settings cannot be had on another one
		w.ToClient(m.e.render(nil, sequence, m.info.capabilities, err))
		m.close(err, w)
		return
	case answered, active && !tellable, kept && m.e.closesLost, kept && m.session.unplaced:
		m.close(err, w)
		return
	case again && open && outlives:
		m.notAgain(errEndNotKnown, w)
	case again && open:
		m.notAgain(errRolledBack, w)
	case again:
		m.notAgain(errNotExecuted, w)
	case !active && open && outlives:
		m.notice = errEndNotKnown
	case !active && open:
		m.notice = errRolledBack
	case !active && kept:
		m.notice = errStateLost
	}
	if kept {
		w.Report(engine.Event{Kind: engine.KindReset, Rule: "connection lost"})
		m.pins, m.judging, m.toJudge = pins{}, false, nil
		if slices.Contains(m.session.asks, clientCharset) {
			m.session.wide = m.wideAsKnown()
		}
		m.session.asks, m.session.nulls, m.session.nullsPin = nil, nil, false
		m.session.tracks, m.session.ownTrackers = false, false
	}
	switch {
	case m.upload.active:
		m.upload.discard, m.refusal = true, told // it is answered when it is over
	case active:
		if eof {
			w.ToClient(appendEOF(m.small[:0], sequence, m.session.status))
			sequence++
		}
		m.request.active = false
		w.ToClient(m.e.render(nil, sequence, m.info.capabilities, told))
		w.Observe(engine.RequestEnded)
	case again:
	case m.notice == nil && waiting:
		if m.attempts++; m.attempts > maxAttempts {
			m.attempts, m.notice = 0, errNotExecuted
		}
	}
}

// notAgain answers the request that was about to be executed again, and has had no effect.
func (m *Machine) notAgain(err error, w engine.Wire) {
	m.request.scanned = false
	w.ToClient(m.e.render(nil, 1, m.info.capabilities, err))
	w.Observe(engine.RequestEnded)
}

// remind makes what the session has to be told yet the answer to the request of p, if it is one that can fail for it.
func (m *Machine) remind(p packet) {
	switch p.command() {
	case protocol.COM_RESET_CONNECTION, protocol.COM_CHANGE_USER:
		m.notice = nil // it begins afresh
	case protocol.COM_QUIT, protocol.COM_PING, protocol.COM_STMT_CLOSE, protocol.COM_STMT_RESET:
	case protocol.COM_STMT_SEND_LONG_DATA: // nobody is told by this, and what needs the data must fail
		m.refusal = m.notice
	case protocol.COM_STMT_EXECUTE, comBulkExecute:
		m.failLongData(p, nil) // as it fails now
		m.refusal, m.notice = m.notice, nil
	default:
		m.refusal, m.notice = m.notice, nil
	}
}
