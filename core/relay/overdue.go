package relay

import (
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/telemetry"
)

// How long things may take is looked at by the worker's sweep, not by a timer a request: the relay path notes times that it
// has read anyway, and nothing else. So a limit strikes late, by up to twice sweepEvery, and never early.
//
// What is under way is never cut off: the database is asked to stop it (Engine.Cancel), and its own answer is the client's,
// be it that the statement was stopped or that it, a COMMIT above all, came through. Only what ends between two requests,
// where it is certain that the database rolls back, ends with the session. If a database does not heed the request to stop,
// its connection is given up as a lost one, and the client is told of the two things that may have happened which one did.

// leastYield is how long a database has, at least, to stop what it was asked to stop. It may have to undo as much as it did.
const leastYield = 5 * time.Second

// TimeLimits are how long things of a session may take; 0: any time. It is immutable.
type TimeLimits struct {
	Query             time.Duration // from the request's way to the database to its last answer
	Transaction       time.Duration
	IdleInTransaction time.Duration // between two requests of a transaction
}

// Times are the limits that hold just now for all sessions of a listener. The zero value is without limits. Any goroutine
// may use it.
type Times struct{ now atomic.Pointer[TimeLimits] }

// Set changes the limits, at once and for everybody.
func (t *Times) Set(l TimeLimits) { t.now.Store(&l) }

// pace is what a session's limits are about.
type pace struct {
	owed        int           // requests that began and are not answered
	since       time.Duration // when the first of those began to be the first, or when the last answer went out
	transaction time.Duration // when a transaction was first seen to be open, 0: none was since the last end of one

	struck  error         // the limit that was struck: the database was asked to stop what it is executing. nil: none
	at      time.Duration // when it was struck
	yield   time.Duration // how long the database has
	holding int           // requests to stop that are on their way, and might hit what the client sends next, which waits
}

// began notes a request. Of several, the first is under way.
func (p *pace) began(now time.Duration) {
	if p.owed++; p.owed == 1 {
		p.since = now
	}
}

// ended notes an answer. The next request, if there is one, is under way from now on.
func (p *pace) ended(now time.Duration) {
	p.owed = max(p.owed-1, 0)
	p.since = now
	if p.struck == engine.ErrQueryTimeout {
		p.struck = nil
	}
}

// over notes that no transaction is open. Of a pipeline another one may begin before the session is quiet: it has its own time.
func (p *pace) over() {
	p.transaction = 0
	if p.struck == engine.ErrTransactionTimeout {
		p.struck = nil
	}
}

// checkTimes ends what takes too long. It is called by the sweep.
func (s *Session) checkTimes(now time.Duration) {
	p, l := &s.pace, s.front.times()
	busy, open := s.machine.Busy(), s.InTransaction()
	if !busy {
		p.owed = 0 // whatever was counted: an engine may answer what it did not announce
	}
	switch {
	case !open:
		p.transaction = 0
	case p.transaction == 0:
		p.transaction = now
	}
	if s.backend == nil || s.waits() || s.wanting || s.aside != nil || s.pins.Has(engine.KindReplication) {
		return // it waits, which connection_borrow_timeout or login_timeout is for, or has nothing, or a request without an end
	}
	switch {
	case p.struck != nil:
		s.follow(now)
	case open && l.Transaction > 0 && now-p.transaction >= l.Transaction:
		s.strike(engine.ErrTransactionTimeout, l.Transaction, now-p.transaction)
	case busy && p.owed > 0 && l.Query > 0 && now-max(p.since, s.lent) >= l.Query:
		s.strike(engine.ErrQueryTimeout, l.Query, now-max(p.since, s.lent))
	case open && !busy && l.IdleInTransaction > 0 && now-p.since >= l.IdleInTransaction:
		s.strike(engine.ErrIdleInTransaction, l.IdleInTransaction, now-p.since)
	}
}

// times returns the limits of f's sessions.
func (f *Front) times() TimeLimits {
	if f.Times == nil {
		return TimeLimits{}
	}
	if l := f.Times.now.Load(); l != nil {
		return *l
	}
	return TimeLimits{}
}

// strike ends what took longer than its limit: what the database executes by asking it to stop, a transaction in which
// nothing is under way with its session.
func (s *Session) strike(reason error, limit, took time.Duration) {
	s.front.Counters.Overdue[telemetry.OverdueOf(reason)].Inc()
	s.worker.log.Warn().Stringer("limit", telemetry.OverdueOf(reason)).Dur("took", took).
		Str("listener", s.front.Counters.Name).Str("target", s.backend.Target.Name).Str("user", s.user).
		Str("database", s.database).Str("application", s.application).Str("client", s.address).Uint32("session", s.id).
		Str("digest", s.running()).Msg("time limit exceeded")
	if s.quiet() {
		s.stop(reason)
		return
	}
	p := &s.pace
	p.struck, p.at, p.yield = reason, s.worker.loop.Now(), max(limit, leastYield)
	p.holding++
	s.backend.cancel(func() {
		p.holding--
		s.goOn()
	})
}

// running is the digest of the statement that is under way, "" if there is none, or nobody knows.
func (s *Session) running() string {
	if m, ok := s.machine.(engine.Teller); ok && s.machine.Busy() {
		return s.digest(m.Running())
	}
	return ""
}

// follow gives up a database that does not stop what it was asked to stop: it may wait for a client that sends COPY data, or
// that does not read.
func (s *Session) follow(now time.Duration) {
	p := &s.pace
	if s.heeded() || now-max(p.at, p.since) < p.yield {
		return
	}
	reason := p.struck
	p.struck = nil
	s.backend.lost(s, reason)
}

// heeded ends a transaction that took too long when what it executed is answered: with its session, if it is still open.
// Nothing of it is under way then. It says whether there was one.
func (s *Session) heeded() bool {
	reason := s.pace.struck
	if reason != engine.ErrTransactionTimeout || !s.quiet() {
		return false
	}
	s.pace.struck = nil
	if s.InTransaction() {
		s.stop(reason)
	}
	return true
}
