package sim

import (
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// What is checked at every call between the core and a machine, whatever the engine: the contract of engine.Machine, who
// holds which backend, that each borrow ends in time, and that nobody waits for ever while others are served.

// watched is a machine of a session, and what it may expect of the core.
type watched struct {
	engine.Machine
	r    *run
	id   uint32
	wire watchedWire

	held   *engine.Backend
	asked  bool // a borrow is outstanding,
	since  time.Duration
	borrow int // and is the how many-th
	key    engine.Key
	passed int // by borrows that began later, and were granted
	bound  int // how often that may be
}

var (
	_ engine.Machine = (*watched)(nil)
	_ engine.Wire    = (*watchedWire)(nil)
)

// watch puts a machine under observation.
func (r *run) watch(m engine.Machine, id uint32) engine.Machine {
	x := &watched{Machine: m, r: r, id: id}
	x.wire.m = x
	return x
}

func (m *watched) fail(format string, a ...any) {
	m.r.w.fail("session %d: "+format, append([]any{m.id}, a...)...)
}

func (m *watched) on(w engine.Wire) engine.Wire {
	m.wire.Wire = w
	return &m.wire
}

func (m *watched) Start(w engine.Wire) { m.Machine.Start(m.on(w)) }

func (m *watched) FromClient(in []byte, w engine.Wire) (int, error) {
	if m.asked {
		m.fail("a request was delivered while a borrow is outstanding")
	}
	return m.Machine.FromClient(in, m.on(w))
}

func (m *watched) FromBackend(in []byte, w engine.Wire) (int, error) {
	return m.Machine.FromBackend(in, m.on(w))
}

func (m *watched) Granted(b *engine.Backend, w engine.Wire) {
	if !m.asked {
		m.fail("was granted what it did not ask for")
	}
	m.served()
	m.take(b)
	m.Machine.Granted(b, m.on(w))
}

func (m *watched) Refused(err error, w engine.Wire) {
	m.served()
	m.Machine.Refused(err, m.on(w))
}

func (m *watched) BackendLost(err error, w engine.Wire) {
	m.drop()
	m.Machine.BackendLost(err, m.on(w))
}

func (m *watched) Stop(reason error, w engine.Wire) { m.Machine.Stop(reason, m.on(w)) }

// asks notes a borrow that waits, and sees to it that it ends in time.
func (m *watched) asks(key engine.Key) {
	r := m.r
	m.asked, m.since, m.key, m.passed = true, r.w.now, key, 0
	m.borrow++
	m.bound = meanwhile
	for y := range r.waiters {
		if y.key == key {
			m.bound += 9
		}
	}
	r.waiters[m] = true
	which, within := m.borrow, r.longest+r.config.slack
	r.w.after(within, func() {
		if m.asked && m.borrow == which && m.alive() {
			m.fail("a borrow has been outstanding for %v, and may take %v", r.w.now-m.since, within)
		}
	})
}

// served ends a borrow.
func (m *watched) served() {
	m.asked = false
	delete(m.r.waiters, m)
}

// alive says whether the session is there. One that waits is told nothing when its client goes.
func (m *watched) alive() (found bool) {
	for _, worker := range m.r.workers {
		worker.Visit(func(s *relay.Session) { found = found || s.Snapshot().ID == m.id })
	}
	return found
}

// meanwhile is how often a waiter may be passed beside what core/pool allows, nine times for each one that it finds: by grants that are on
// their way from one loop to another.
const meanwhile = 9 + 16

// take notes that the session holds b, on which nothing may be left that holds a session to it.
func (m *watched) take(b *engine.Backend) {
	r := m.r
	if by := r.holders[b.ID]; by != nil && by.alive() {
		m.fail("was lent backend %d, which session %d holds", b.ID, by.id)
	}
	m.held, r.holders[b.ID] = b, m
	if c := r.connectionOf(b); c != nil {
		switch {
		case c.open || c.failed:
			m.fail("was lent connection %d in a transaction", c.id)
		case len(c.locks) > 0:
			m.fail("was lent connection %d with the locks of another: %v", c.id, c.left())
		}
	}
	if r.config.faults.poller > 0 || r.config.targets > 1 {
		return // who is granted what a poller refuses begins to wait anew; and each target has its own queues
	}
	for y := range r.waiters {
		if y.key != b.Key || y.since >= m.since || !y.alive() {
			continue
		}
		if y.passed++; y.passed > y.bound {
			y.fail("waits since %v, and %d that came later were served", y.since, y.passed)
		}
	}
}

// drop notes that the session holds nothing any more.
func (m *watched) drop() {
	if m.held != nil {
		delete(m.r.holders, m.held.ID)
		m.held = nil
	}
}

// watchedWire is the wire of a watched machine.
type watchedWire struct {
	engine.Wire
	m *watched
}

func (w *watchedWire) Borrow(want engine.Want) *engine.Backend {
	w.m.since = w.m.r.w.now
	b := w.Wire.Borrow(want)
	if b == nil {
		w.m.asks(want.Key)
		return nil
	}
	w.m.take(b)
	return b
}

func (w *watchedWire) Idle() bool {
	taken := w.Wire.Idle()
	if taken {
		w.m.drop()
	}
	return taken
}

func (w *watchedWire) Discard(reason error) {
	w.m.drop()
	w.Wire.Discard(reason)
}

func (w *watchedWire) Close(reason error) {
	w.m.drop()
	w.Wire.Close(reason)
}

// connectionOf finds the server's side of a backend.
func (r *run) connectionOf(b *engine.Backend) *session {
	return r.dialer.servers[b.Target.Name].sessions[r.dialer.ids[b.State]]
}

// step is what is checked after every event.
func (r *run) step() {
	for _, t := range r.targets {
		s := t.pool.Stats()
		if s.Open != s.Idle+s.Lent+s.Dialing+s.Closing {
			r.w.fail("open is not the sum: %+v", s)
		}
		if s.Open > max(s.Max, t.opened) {
			r.w.fail("more than the budget: %+v, %d before", s, t.opened)
		}
		t.opened = s.Open
	}
	if r.steps++; r.steps%checkEvery == 0 {
		r.check()
	}
}

// checkEvery is after how many events the pool's whole books are gone through.
const checkEvery = 16
