package pool

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	stressLoops    = 4
	stressSessions = 16    // a loop
	stressSteps    = 15000 // a loop
	stressMax      = 10
)

// berth is what the stress test keeps in a connection. The plain field lets the race detector see who uses it when.
type berth struct{ uses int }

type (
	stressWaiter = Waiter[int, *berth]
	stressConn   = Conn[int, *berth]
	stressTodo   = Todo[int, *berth]
)

// client is a session of the stress test. Its loop's goroutine owns it.
type client struct {
	stressWaiter
	queued bool
	holds  *stressConn
}

// news is posted to a client's loop: a grant, or a refusal if conn is nil.
type news struct {
	to   *client
	conn *stressConn
}

// stress is a pool among goroutines that stand for loops, dials, closes and a janitor.
type stress struct {
	*testing.T
	pool  *Pool[int, *berth]
	start time.Time
	loops [stressLoops]chan news
	open  atomic.Int64 // counted apart from the pool
	woken atomic.Int64 // waiters
	under sync.WaitGroup
}

func (s *stress) now() time.Duration { return time.Since(s.start) }

func (s *stress) do(d stressTodo) {
	if w := d.Grant.Waiter; w != nil {
		s.loops[w.Loop] <- news{w.Owner.(*client), d.Grant.Conn}
	}
	for _, c := range d.Dial {
		if n := s.open.Add(1); n > stressMax {
			s.Errorf("%d connections open", n)
		}
		s.under.Go(func() { s.dial(c) })
	}
	for _, c := range d.Close {
		s.under.Go(func() { s.close(c) })
	}
}

func (s *stress) dial(c *stressConn) {
	time.Sleep(rand.N(200 * time.Microsecond))
	if rand.N(10) > 0 {
		c.Value = &berth{}
		s.pool.SetLoop(c, rand.N(stressLoops))
		s.do(s.pool.Opened(c, s.now()))
		return
	}
	s.open.Add(-1)
	failed, d := s.pool.DialFailed(c, s.now(), errDown, rand.N(2) == 0)
	for _, w := range failed {
		s.loops[w.Loop] <- news{w.Owner.(*client), nil}
	}
	s.do(d)
}

func (s *stress) close(c *stressConn) {
	c.Value.uses++
	s.open.Add(-1)
	s.do(s.pool.Closed(c, s.now()))
}

// loop runs the clients of one loop until each has done its part and has nothing more to come.
func (s *stress) loop(id int) {
	clients := make([]client, stressSessions)
	for i := range clients {
		clients[i].stressWaiter = stressWaiter{Session: uint32(id*stressSessions + i), Loop: id, Owner: &clients[i]}
	}
	var seen *stressConn
	for range stressSteps {
		for len(s.loops[id]) > 0 {
			s.hear(<-s.loops[id])
		}
		switch c := &clients[rand.N(stressSessions)]; {
		case c.holds != nil:
			seen = c.holds
			s.release(c)
		case !c.queued:
			s.borrow(c)
		case rand.N(10) == 0:
			c.queued = !s.pool.Abandon(&c.stressWaiter)
			if c.queued {
				s.hear(s.await(id, c))
			}
		default:
			s.rest(id)
		}
		if seen != nil && rand.N(20) == 0 && s.pool.Take(seen) {
			seen.Value.uses++
			s.do(s.pool.Return(seen, s.now()))
		}
		if rand.N(20) == 0 {
			s.check()
		}
	}
	for i := range clients {
		c := &clients[i]
		if c.queued && !s.pool.Abandon(&c.stressWaiter) {
			s.hear(s.await(id, c))
		}
		if c.holds != nil {
			s.release(c)
		}
	}
}

// rest lets time pass until there is news, if it comes soon.
func (s *stress) rest(id int) {
	select {
	case n := <-s.loops[id]:
		s.hear(n)
	case <-time.After(20 * time.Microsecond):
	}
}

// await hears whatever comes until there is news for c, which it returns.
func (s *stress) await(id int, c *client) news {
	for {
		n := <-s.loops[id]
		if n.to == c {
			return n
		}
		s.hear(n)
	}
}

func (s *stress) hear(n news) {
	if !n.to.queued || n.to.holds != nil {
		s.Error("a waiter was woken twice")
	}
	s.woken.Add(1)
	n.to.queued = false
	n.to.holds = n.conn
}

func (s *stress) borrow(c *client) {
	c.Key = rand.N(3)
	conn, outcome, d := s.pool.Borrow(&c.stressWaiter, s.now(), rand.N(10) == 0)
	c.holds, c.queued = conn, outcome == Queued
	s.do(d)
}

func (s *stress) release(c *client) {
	conn := c.holds
	c.holds = nil
	conn.Value.uses++
	if conn.Key() != c.Key {
		s.Error("a connection of another key was granted")
	}
	if rand.N(20) > 0 {
		s.do(s.pool.Return(conn, s.now()))
		return
	}
	s.pool.Discard(conn)
	s.do(stressTodo{Close: []*stressConn{conn}})
}

func (s *stress) check() {
	if err := s.pool.Check(); err != nil {
		s.Error(err)
	}
}

func (s *stress) janitor(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Millisecond):
		}
		s.do(s.pool.Tick(s.now()))
		if rand.N(5) == 0 {
			s.do(s.pool.Configure(Config{
				Max: 1 + rand.N(stressMax), MaxIdle: rand.N(stressMax), MaxDials: 3,
				MaxLifetime: 20 * time.Millisecond, IdleTimeout: 5 * time.Millisecond, RetryDelay: time.Millisecond, Rotate: rand.N(2) == 0,
			}, s.now()))
		}
	}
}

func TestUnderStressTheBudgetHoldsAndNothingIsLost(t *testing.T) {
	s := &stress{T: t, pool: New[int, *berth](Config{Max: stressMax, MaxIdle: stressMax}), start: time.Now()}
	for i := range s.loops {
		s.loops[i] = make(chan news, stressSessions) // at most one for each client: posting never blocks
	}
	stop := make(chan struct{})
	var loops sync.WaitGroup
	for i := range s.loops {
		loops.Go(func() { s.loop(i) })
	}
	s.under.Go(func() { s.janitor(stop) })
	loops.Wait()
	close(stop)
	s.under.Wait()
	s.check()
	refused, d := s.pool.Close(s.now())
	s.do(d)
	s.under.Wait()
	if n := s.woken.Load(); n < stressSteps/10 {
		t.Errorf("only %d waiters were woken: this was no stress", n)
	}
	if stats := s.pool.Stats(); len(refused) != 0 || stats != (Stats{Max: stats.Max}) || s.open.Load() != 0 {
		t.Errorf("at the end %d are refused, %d open, %+v", len(refused), s.open.Load(), stats)
	}
}
