package relay

import (
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

// session is one on s, as if it had begun there.
func (s *stage) session(m engine.Machine, g Group) *Session {
	c := &Session{
		worker: s.worker, front: &Front{Group: g, Counters: &telemetry.Listener{}, Heads: &Headcount{}}, machine: m, client: &silent{},
	}
	c.timeout.Task = (*borrowTimeout)(c)
	c.waiter.Owner = c
	c.barred = c.front.Heads.Enter("", "")
	s.worker.sessions.add(c)
	return c
}

// wrong is a machine with a bug.
type wrong struct{ content }

func (wrong) Busy() bool { panic("busy") }

func TestAPanicOverOneSessionIsNotTheLastLookAtTheOthers(t *testing.T) {
	w := newStage()
	w.worker.Begin()
	first, second := w.session(wrong{}, &leading{}), w.session(stopped{content{}, new(int)}, &leading{})
	for _, s := range []*Session{first, second} {
		s.front.IdleTimeout = time.Minute
	}
	w.later(time.Minute + sweepEvery)
	if !first.ended || !first.client.(*silent).closed || !second.ended {
		t.Errorf("ended: %v, closed: %v; the other one ended: %v", first.ended, first.client.(*silent).closed, second.ended)
	}
}

// stopped is a machine that is told to stop.
type stopped struct {
	content
	times *int
}

func (s stopped) Stop(error, engine.Wire) { *s.times++ }

func TestASessionThatPanicsOverABackendGivesItUp(t *testing.T) {
	w, e := newStage(), &canceler{}
	p := w.pool(e, pool.Config{Max: 1})
	s := w.session(content{granted: func() { panic("granted") }}, &leading{to: p})
	holder := &pool.Waiter[engine.Key, *Backend]{}
	b := w.lent(t, p, holder)
	if s.borrow() != nil || s.queue != p {
		t.Fatal("it does not wait")
	}
	p.do(w.worker, p.accounts.Return(b.conn, w.now))
	w.later(0)
	w.later(partWithin)
	if len(w.panics) != 1 || w.panics[0] != "granted" {
		t.Errorf("the loop hears of %v", w.panics)
	}
	if !s.ended || !s.client.(*silent).closed || p.Stats().Open > 0 {
		t.Errorf("ended: %v, closed: %v, %+v", s.ended, s.client.(*silent).closed, p.Stats())
	}
}

// brokenStream is a backend's connection that panics when it is to end.
type brokenStream struct{ silent }

func (*brokenStream) CloseWrite() { panic("close") }

func TestAnEndThatPanicsEndsTheSessionAllTheSameAndNobodyElses(t *testing.T) {
	w, e := newStage(), &canceler{}
	w.worker.Begin()
	p := w.pool(e, pool.Config{Max: 1})
	holder := &pool.Waiter[engine.Key, *Backend]{}
	b := w.lent(t, p, holder)
	b.stream = &brokenStream{}
	first, second := w.session(wrong{}, &leading{to: p}), w.session(stopped{content{}, new(int)}, &leading{})
	first.take(b.conn)
	for _, s := range []*Session{first, second} {
		s.front.IdleTimeout = time.Minute
	}
	w.later(time.Minute + sweepEvery)
	if len(w.panics) < 2 {
		t.Errorf("the loop hears of %v", w.panics)
	}
	if !first.ended || !first.client.(*silent).closed || !second.ended {
		t.Errorf("ended: %v, closed: %v; the other one ended: %v", first.ended, first.client.(*silent).closed, second.ended)
	}
	for range w.worker.sessions.all() {
		t.Error("a session is left")
	}
}
