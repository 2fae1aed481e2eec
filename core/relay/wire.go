package relay

import (
	"context"

	"github.com/berthdb/berth/core/engine"
)

// wire is the session as its machine sees it: engine.Wire.
type wire Session

var _ engine.Wire = (*wire)(nil)

func (w *wire) ToClient(p []byte) { w.client.Write(p) }

func (w *wire) ToBackend(p []byte) {
	if w.backend == nil {
		panic("BUG: relay: a machine wrote to a backend that it does not hold")
	}
	w.backend.stream.Write(p)
}

func (w *wire) Borrow(want engine.Want) *engine.Backend {
	s := (*Session)(w)
	if s.backend != nil || s.waits() || s.wanting {
		panic("BUG: relay: a machine borrowed twice")
	}
	s.waiter.Key = want.Key // no pool looks at it: the session waits in none
	if s.passing != bereft {
		s.borrowing = s.worker.loop.Now()
	}
	s.passing = passed
	s.front.Counters.BorrowRequests.Inc()
	s.mark()
	if s.leaving != nil {
		// Whoever waits has a claim on the backend that is leaving; the deferred task settles that first.
		s.wanting = true
		return nil
	}
	return s.borrow()
}

func (w *wire) Idle() bool {
	s := (*Session)(w)
	if s.backend == nil {
		panic("BUG: relay: a machine gave back a backend that it does not hold")
	}
	if s.pins.Pinned() {
		if s.recalled {
			s.later()
		}
		return false
	}
	s.caught()
	s.leaving = s.backend
	s.backend = nil
	s.later()
	return true
}

func (w *wire) Discard(reason error) {
	s := (*Session)(w)
	if b := s.backend; b != nil {
		s.letGo()
		b.discard(reason)
		s.later() // the machine may go on with what its client sent meanwhile
	}
}

func (w *wire) Report(ev engine.Event) engine.Action {
	s := (*Session)(w)
	action := s.pins.policy.Action(ev)
	if action == engine.Pin || ev.Kind == engine.KindReset {
		s.apply(ev)
		if ev.Undo && !s.pins.Has(ev.Kind) || ev.Kind == engine.KindReset && !s.pins.Pinned() {
			return engine.Ignore
		}
	}
	return action
}

func (w *wire) Become(user, database, application string) error {
	s := (*Session)(w)
	if err := s.front.Heads.Move(s.user, s.database, user, database); err != nil {
		s.front.Counters.Refused(err)
		return err
	}
	s.worker.registry.rename(s, user)
	s.database, s.application = database, application
	return nil
}

func (w *wire) Aside(work func(context.Context) func(engine.Wire)) { (*Session)(w).goAside(work) }

func (w *wire) Kill(id uint32, what engine.KillScope) error {
	return w.worker.registry.kill((*Session)(w), id, what)
}

func (w *wire) Outdate(user, database string) {
	if w.backend == nil {
		panic("BUG: relay: a machine outdated backends of a target, and holds none of it")
	}
	w.backend.pool.Outdate(w.worker, func(k engine.Key) bool {
		return (user == "" || k.User == user) && (database == "" || k.Database == database)
	})
}

func (w *wire) Close(reason error) { (*Session)(w).close(reason) }

func (w *wire) Observe(m engine.Moment) {
	s := (*Session)(w)
	c := s.front.Counters
	switch m {
	case engine.RequestBegan:
		s.requested = s.worker.loop.Now()
		s.pace.began(s.requested)
		c.QueryRequests.Inc()
		if s.secure {
			c.QueryRequestsTLS.Inc()
		} else {
			c.QueryRequestsNoTLS.Inc()
		}
	case engine.RequestEnded:
		s.passing = passed
		s.active = s.worker.loop.Now()
		s.pace.ended(s.active)
		if s.pace.struck != nil {
			s.later()
		}
		c.QueryDuration.Observe(s.active - s.requested)
		if s.backend != nil || s.leaving != nil { // a request that waited began to be answered when it got its backend
			c.QueryDatabaseResponse.Observe(s.active - max(s.requested, s.lent))
		}
	case engine.TransactionEnded:
		s.pace.over()
		c.TransactionsDuration.Observe(s.worker.loop.Now() - s.lent)
	case engine.StateRestored:
		c.SessionRestores.Inc()
	case engine.WriteRefused:
		if s.backend != nil {
			s.backend.pool.refusal()
			s.backend.pool.trouble()
		}
	}
}
