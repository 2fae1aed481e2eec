package relay

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

// stage is a worker on a loop that somebody else's goroutine runs on: what is posted and spawned waits in lists, time stands still.
type stage struct {
	loop.Loop
	worker  *Worker
	now     time.Duration
	timers  loop.Timers
	tasks   []loop.Task
	spawned []func()
	panics  []any // of sessions
}

func newStage() *stage {
	s := &stage{}
	s.worker = NewWorker(s, NewRegistry(), func(f func()) { s.spawned = append(s.spawned, f) }, zerolog.Nop())
	return s
}

func (*stage) ID() int                                   { return 0 }
func (s *stage) Now() time.Duration                      { return s.now }
func (s *stage) Post(t loop.Task) bool                   { s.tasks = append(s.tasks, t); return true }
func (s *stage) Defer(t loop.Task)                       { s.tasks = append(s.tasks, t) }
func (s *stage) Schedule(t *loop.Timer, d time.Duration) { s.timers.Schedule(t, s.now+d) }
func (s *stage) Cancel(t *loop.Timer)                    { s.timers.Cancel(t) }
func (s *stage) pool(e engine.Engine, c pool.Config) *Pool {
	return NewPool(e, engine.Target{}, c, &telemetry.Target{}, new(atomic.Uint64), zerolog.Nop())
}

// later lets d pass, and runs what is due.
func (s *stage) later(d time.Duration) {
	for s.now += d; ; {
		t := s.timers.Advance(s.now)
		if t == nil {
			break
		}
		t.Task.Run()
	}
	for len(s.tasks)+len(s.spawned) > 0 {
		tasks, spawned := s.tasks, s.spawned
		s.tasks, s.spawned = nil, nil
		for _, f := range spawned {
			f()
		}
		for _, t := range tasks {
			if g, ok := t.(goesOn); ok {
				s.panics = append(s.panics, g.value) // which a loop logs
				continue
			}
			t.Run()
		}
	}
}

// lent returns a backend of p, which is lent to holder.
func (s *stage) lent(t *testing.T, p *Pool, holder *pool.Waiter[engine.Key, *Backend]) *Backend {
	t.Helper()
	_, _, todo := p.accounts.Borrow(holder, s.now, false)
	if len(todo.Dial) != 1 {
		t.Fatal("no dial")
	}
	b := &Backend{pool: p, conn: todo.Dial[0], worker: s.worker, stream: &silent{}}
	b.settling.Task, b.parting.Task = (*settle)(b), (*partedTask)(b)
	b.conn.Value = b
	if todo = p.accounts.Opened(b.conn, s.now); todo.Grant.Waiter != holder {
		t.Fatal("not lent")
	}
	return b
}

// silent is a connection to a server that says nothing.
type silent struct {
	loop.Stream
	closed bool
}

func (*silent) Write([]byte)  {}
func (*silent) Buffered() int { return 0 }
func (*silent) Held() int     { return 0 }
func (*silent) Resume()       {}
func (*silent) Park()         {}
func (*silent) Unpark()       {}
func (*silent) CloseWrite()   {}
func (s *silent) Close()      { s.closed = true }

func (s *silent) Finish(time.Duration) {}

// canceler is an engine that counts the requests to stop something.
type canceler struct {
	engine.Engine
	cancels int
}

func (c *canceler) Cancel(context.Context, engine.Target, *engine.Backend) error {
	c.cancels++
	return nil
}
func (*canceler) Goodbye() []byte { return nil }

// leading is a group whose roles all lead to one pool.
type leading struct {
	Group
	to *Pool
}

func (g *leading) Pool(Role, *Pool) *Pool       { return g.to }
func (g *leading) Balance(Role, *Pool) *Pool    { return g.to }
func (g *leading) Serves(_ Role, p *Pool) bool  { return p == g.to }
func (g *leading) BorrowTimeout() time.Duration { return time.Minute }

// content is a machine that takes what it is lent.
type content struct {
	engine.Machine
	busy, commits bool
	taking        int // bytes that it takes from its client at once
	granted       func()
	lost          func(error)
}

func (m content) Granted(*engine.Backend, engine.Wire) {
	if m.granted != nil {
		m.granted()
	}
}
func (m content) FromClient([]byte, engine.Wire) (int, error) { return m.taking, nil }

func (m content) Busy() bool                           { return m.busy }
func (m content) Commits() bool                        { return m.commits }
func (content) InTransaction() bool                    { return false }
func (m content) BackendLost(err error, _ engine.Wire) { m.lost(err) }

func TestABackendThatWasLentBeforeTheRolesChangedIsNotUsedBehindThat(t *testing.T) {
	for name, next := range map[string]bool{"another writer": true, "no writer": false} {
		w := newStage()
		e := &canceler{}
		old, g := w.pool(e, pool.Config{Max: 1}), &leading{}
		g.to = old
		s := &Session{worker: w.worker, front: &Front{Group: g, Counters: &telemetry.Listener{}}, machine: content{}, client: &silent{}}
		s.timeout.Task = (*borrowTimeout)(s)
		s.waiter.Owner = s
		w.worker.sessions.add(s)
		b := w.lent(t, old, &pool.Waiter[engine.Key, *Backend]{})
		if s.borrow() != nil || s.queue != old {
			t.Fatal("it does not wait")
		}
		todo := old.accounts.Return(b.conn, w.now) // on another loop, which posts the grant
		if g.to = nil; next {
			g.to = w.pool(e, pool.Config{Max: 1})
		}
		w.worker.Reroute(g)
		s.grant.conn = todo.Grant.Conn
		(*woken)(s).Run()
		if s.backend != nil || s.queue != g.to || s.astray == next || old.Stats().Lent > 0 {
			t.Errorf("%s: it has the backend: %v, or waits elsewhere: astray %v, %+v", name, s.backend != nil, s.astray, old.Stats())
		}
	}
}

// holds is a client that has sent a request which the machine has not taken.
type holds struct{ silent }

func (*holds) Held() int { return 1 }

func TestARequestWhoseBackendIsLostUnusedWaitsWithWhatIsLeftOfItsTime(t *testing.T) {
	for name, taken := range map[string]bool{"unused": false, "used": true} {
		w := newStage()
		p, g := w.pool(&canceler{}, pool.Config{Max: 1}), &leading{}
		s := &Session{
			worker: w.worker, front: &Front{Group: g, Counters: &telemetry.Listener{}}, client: &holds{},
			machine: content{taking: 1, lost: func(error) {}},
		}
		s.timeout.Task = (*borrowTimeout)(s)
		s.waiter.Owner = s
		w.worker.sessions.add(s)
		(*wire)(s).Borrow(engine.Want{})
		s.abandon()
		w.now += time.Second
		b := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{})
		if s.take(b.conn) == nil {
			t.Fatal("it is not lent")
		}
		if taken {
			(*clientEnd)(s).OnData([]byte{0})
		}
		b.lost(s, engine.ErrBackendClosed)
		(*wire)(s).Borrow(engine.Want{})
		if since := w.now - s.borrowing; (since == time.Second) == taken {
			t.Errorf("%s: it has waited for %v", name, since)
		}
	}
}
