package relay

import (
	"fmt"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
)

// borrow asks the pool for a backend of s.waiter.Key. It returns it if one is there; otherwise the session waits, or its
// refusal is on its way.
func (s *Session) borrow() *engine.Backend {
	p := s.place()
	timeout := s.front.Group.BorrowTimeout()
	if p == nil {
		if timeout == 0 {
			s.refuseLater(engine.ErrNoTarget)
			return nil
		}
		s.astray = true
		s.wait(timeout)
		return nil
	}
	for {
		s.waiter.Loop = s.worker.loop.ID()
		c, outcome, todo := p.accounts.Borrow(&s.waiter, s.worker.loop.Now(), timeout == 0)
		p.do(s.worker, todo)
		switch outcome {
		case pool.Granted:
			if b := s.take(c); b != nil {
				return &b.Backend
			}
			continue // the poller refused it; it is gone, so this ends
		case pool.Queued:
			s.queue = p
			s.wait(timeout)
			return nil
		default:
			err := engine.ErrShutdown // the pool is closed
			if timeout == 0 {
				s.front.Counters.ConnectionBorrowTimeout.Inc()
				err = fmt.Errorf("%w: none is free", engine.ErrBorrowTimeout)
			}
			s.refuseLater(err)
			return nil
		}
	}
}

// settle makes p, which may be nil, the session's home.
func (s *Session) settle(p *Pool) {
	if s.home == p {
		return
	}
	if s.home != nil {
		s.home.homes.Add(-1)
	}
	if s.home = p; p != nil {
		p.homes.Add(1)
	}
}

// wait begins the session's time in a queue.
func (s *Session) wait(timeout time.Duration) {
	s.front.Counters.WaitingClients.Inc()
	s.worker.loop.Schedule(&s.timeout, s.untilNextReach(timeout)-(s.worker.loop.Now()-s.borrowing)) // it counts from the request
}

// take makes a lent connection the session's backend, on the session's loop. It returns nil if that failed.
func (s *Session) take(c *conn) *Backend {
	b := c.Value
	if err := b.bring(s.worker); err != nil {
		b.discard(err)
		return nil
	}
	b.session = s
	b.haunted, b.late = false, false
	s.fresh.checked = true
	s.recalled = false
	s.passing = unpassed
	s.backend = b
	s.lent = s.worker.loop.Now()
	s.pace.struck = nil
	s.front.Counters.DatabaseConnectionsBorrow.Observe(s.lent - s.borrowing)
	s.front.Counters.DatabaseConnectionsInSession.Inc()
	return b
}

// letGo takes the backend from the session; what becomes of it is the caller's.
func (s *Session) letGo() {
	b := s.backend
	s.caught()
	s.backend = nil
	s.parted(b)
}

func (s *Session) parted(b *Backend) {
	b.session = nil
	if s.backPaused {
		s.backPaused = false
		b.stream.Resume()
	}
	if s.clientPaused && !s.ended {
		s.clientPaused = false
		s.client.Resume()
	}
	s.front.Counters.DatabaseConnectionsInSession.Dec()
}

// later makes the deferred task run, once, when the call that is on the stack has returned.
func (s *Session) later() {
	if !s.deferred {
		s.deferred = true
		s.worker.loop.Defer((*deferredWork)(s))
	}
}

// deferredWork is what a session may only do when no call into it is on the stack.
type deferredWork Session

func (d *deferredWork) Run() { (*Session)(d).guarded((*Session).catchUp) }

func (s *Session) catchUp() {
	s.deferred = false
	s.leave()
	if s.ended {
		return
	}
	if s.recalled && s.backend != nil && s.quiet() && !s.machine.InTransaction() {
		reason := engine.ErrDemoted
		if s.front.Role == ReadOnly {
			reason = engine.ErrNoReader
		}
		s.backend.lost(s, reason)
		return
	}
	if s.backend != nil && s.heeded() && s.ended {
		return
	}
	switch {
	case s.refusal != nil:
		err := s.refusal
		s.refusal, s.wanting = nil, false
		s.refuse(err)
		return
	case s.wanting:
		s.wanting = false
		if b := s.borrow(); b != nil {
			s.machine.Granted(b, (*wire)(s))
		}
		if s.waits() || s.wanting {
			return
		}
	case s.worker.draining && s.client.Held() == 0:
		s.stopIfQuiet(engine.ErrShutdown)
		return
	}
	s.goOn()
}

// leave returns the backend that the machine gave up.
func (s *Session) leave() {
	if b := s.leaving; b != nil {
		s.leaving = nil
		s.parted(b)
		b.giveBack()
	}
}

// refuseLater ends a borrow that was never queued.
func (s *Session) refuseLater(err error) {
	s.wanting = true
	s.refusal = err
	s.later()
}

// refuse tells the machine that its borrow ended without a backend.
func (s *Session) refuse(err error) {
	if s.ended {
		return
	}
	s.active = s.worker.loop.Now()
	s.machine.Refused(err, (*wire)(s))
	s.goOn()
	if s.worker.draining {
		s.later() // this may be all that it was there for
	}
}

// abandon withdraws the session's borrow. It returns false if there was none, or if a grant is on its way already.
func (s *Session) abandon() bool {
	if s.wanting {
		s.wanting, s.refusal = false, nil
		return true
	}
	if !s.waits() {
		return false
	}
	withdrawn := s.astray || s.queue.accounts.Abandon(&s.waiter)
	if withdrawn {
		s.waited()
		if s.ended {
			s.front.Counters.BorrowRequestsAborted.Inc()
		}
	}
	return withdrawn
}

// waited ends the session's time in the queue.
func (s *Session) waited() {
	s.queue, s.astray = nil, false
	s.worker.loop.Cancel(&s.timeout)
	s.front.Counters.WaitingClients.Dec()
}

// borrowTimeout fires when the session has waited long enough.
type borrowTimeout Session

func (t *borrowTimeout) Run() { (*Session)(t).guarded((*Session).outwaited) }

func (s *Session) outwaited() {
	if s.reachesFurther() {
		return
	}
	p := s.queue
	if !s.abandon() {
		return // the grant that is on its way wins
	}
	s.front.Counters.ConnectionBorrowTimeout.Inc()
	err := engine.ErrBorrowTimeout
	if p == nil && s.outrun() {
		err = engine.ErrBehind
	} else if p == nil {
		err = fmt.Errorf("%w: %w", engine.ErrBorrowTimeout, engine.ErrNoTarget)
	} else if cause := p.accounts.LastError(s.waiter.Key); cause != nil {
		err = fmt.Errorf("%w: %w", engine.ErrBorrowTimeout, cause)
	}
	s.worker.log.Warn().Uint32("session", s.id).Str("user", s.user).Err(err).Msg("borrow timed out")
	s.refuse(err)
}

// wake ends the session's wait with a connection or an error, from the loop of w. The pool sees to it that this happens
// once for each wait.
func (s *Session) wake(w *Worker, c *conn, err error) {
	s.grant.conn, s.grant.err = c, err
	if s.worker == w {
		(*woken)(s).Run()
		return
	}
	if !s.worker.loop.Post((*woken)(s)) && c != nil {
		c.Value.discard(engine.ErrShutdown)
	}
}

// woken is posted to a session's loop when its wait is over.
type woken Session

func (t *woken) Run() { (*Session)(t).guarded((*Session).wakeUp) }

func (s *Session) wakeUp() {
	c, err := s.grant.conn, s.grant.err
	s.grant.conn, s.grant.err = nil, nil
	if s.ended {
		if c != nil {
			c.Value.unwanted(s.worker)
		}
		if s.queue != nil {
			s.waited()
		}
		return
	}
	s.waited()
	if c == nil {
		s.refuse(err)
		return
	}
	if !s.front.Group.Serves(s.front.Role, c.Value.pool) { // any more: no change of the roles finds the session on c later
		c.Value.unwanted(s.worker)
	} else if b := s.take(c); b != nil {
		s.machine.Granted(&b.Backend, (*wire)(s))
		s.goOn()
		return
	}
	if b := s.borrow(); b != nil {
		s.machine.Granted(b, (*wire)(s))
		s.goOn()
	}
}
