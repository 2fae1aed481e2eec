package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

// dialWithin bounds the opening of one backend.
const dialWithin = 15 * time.Second

type (
	conn     = pool.Conn[engine.Key, *Backend]
	todo     = pool.Todo[engine.Key, *Backend]
	accounts = pool.Pool[engine.Key, *Backend]
)

// Pool is the backends of one target: the accounts, and the hands that do what the accounts decide. Any goroutine may
// use what is exported; the rest runs on loops.
type Pool struct {
	engine    engine.Engine
	target    engine.Target
	accounts  *accounts
	counters  *telemetry.Target
	log       zerolog.Logger
	lastID    *atomic.Uint64
	lastError atomic.Pointer[error]
	homes     atomic.Int64 // sessions that are at home here
	heard     hearing
	trouble   func()          // see OnTrouble
	refusal   func()          // see OnRefusal
	dials     context.Context // of all dials; ends with the pool
	stopDials context.CancelFunc
}

// NewPool makes the pool of a target. ids numbers backends over the whole process.
func NewPool(e engine.Engine, t engine.Target, c pool.Config, counters *telemetry.Target, ids *atomic.Uint64, log zerolog.Logger) *Pool {
	p := &Pool{
		engine: e, target: t, accounts: pool.New[engine.Key, *Backend](c),
		counters: counters, lastID: ids, trouble: func() {}, refusal: func() {}, log: log.With().Str("target", t.Name).Logger(),
	}
	p.heard.since = time.Now()
	p.dials, p.stopDials = context.WithCancel(context.Background())
	return p
}

// cancelSticks asks the engine, which may know only when it has seen its servers.
func (p *Pool) cancelSticks() bool {
	s, ok := p.engine.(engine.StickyCanceler)
	return ok && s.CancelSticks()
}

// gone tells the engine of the end of a backend.
func (p *Pool) gone(b *engine.Backend) {
	if e, ok := p.engine.(engine.Bookkeeper); ok {
		e.Gone(b)
	}
}

// Target returns the server that p's backends are connected to.
func (p *Pool) Target() engine.Target { return p.target }

// Counters returns what is counted for p's target.
func (p *Pool) Counters() *telemetry.Target { return p.counters }

// OnTrouble makes f be called, on loops, when something says that the target may not be as it was: a backend was lost or
// could not be opened, or the server takes no writes. f returns at once. It is set before the pool is used.
func (p *Pool) OnTrouble(f func()) { p.trouble = f }

// OnRefusal makes f be called, on loops, before OnTrouble's, when the server takes no writes from a session, be it that the session itself will
// have it so. f returns at once. It is set before the pool is used.
func (p *Pool) OnRefusal(f func()) { p.refusal = f }

// Claim takes a slot of the budget for a connection that is not the pool's, if one is free. Any goroutine may call it.
func (p *Pool) Claim() bool { return p.accounts.Claim() }

// Unclaim gives that slot back, on w's loop.
func (p *Pool) Unclaim(w *Worker) { p.do(w, p.accounts.Unclaim(w.loop.Now())) }

// ClaimKept is Claim for the slot that is kept for such a connection (pool.Config.Kept).
func (p *Pool) ClaimKept() bool { return p.accounts.ClaimKept() }

// UnclaimKept gives that slot back, on w's loop.
func (p *Pool) UnclaimKept(w *Worker) { p.do(w, p.accounts.UnclaimKept(w.loop.Now())) }

// Reachable says on w's loop that the target is up again: who waits for a dial that failed need not wait out its pause.
func (p *Pool) Reachable(w *Worker) { p.do(w, p.accounts.Reachable(w.loop.Now())) }

// Yield closes on w's loop an idle backend, if there is one: the server has no place for a connection more. It says whether there was one.
func (p *Pool) Yield(w *Worker) bool {
	todo, yielded := p.accounts.Yield()
	p.do(w, todo)
	return yielded
}

// Retire closes the idle backends, on w's loop: they may be dead without that anybody was told.
func (p *Pool) Retire(w *Worker) { p.do(w, p.accounts.Retire()) }

// Outdate closes the idle backends whose keys match picks, and the others that have begun to be dialed as they come back. It runs on w's loop.
func (p *Pool) Outdate(w *Worker, match func(engine.Key) bool) { p.do(w, p.accounts.Outdate(match)) }

// Stats returns the accounts in numbers.
func (p *Pool) Stats() pool.Stats { return p.accounts.Stats() }

// Sessions is how many sessions borrow here, as long as nothing changes. Any goroutine may call it.
func (p *Pool) Sessions() int { return int(p.homes.Load()) }

// LastError is why the latest dial failed, nil if it did not.
func (p *Pool) LastError() error {
	if e := p.lastError.Load(); e != nil {
		return *e
	}
	return nil
}

// hearEvery is how often it is noted that a server answers: all loops do it in one place.
const hearEvery = 10 * time.Millisecond

// hearing is when something of an answer came last.
type hearing struct {
	noted atomic.Int64 // by the loops' clock, which stands still where nothing happens
	at    atomic.Int64 // in nanoseconds since since
	since time.Time
}

// hear notes that something of an answer has come just now.
func (h *hearing) hear(now time.Duration) {
	if now-time.Duration(h.noted.Load()) >= hearEvery {
		h.noted.Store(int64(now))
		h.at.Store(int64(time.Since(h.since)))
	}
}

// Heard says whether something of an answer to a session has come of late. Any goroutine may call it.
func (p *Pool) Heard(within time.Duration) bool {
	at := time.Duration(p.heard.at.Load())
	return at > 0 && time.Since(p.heard.since)-at <= within
}

// Check returns an error if the accounts are wrong. It walks everything: for tests.
func (p *Pool) Check() error { return p.accounts.Check() }

// Configure changes the limits. It runs on w's loop.
func (p *Pool) Configure(w *Worker, c pool.Config) {
	p.do(w, p.accounts.Configure(c, w.loop.Now()))
}

// Pause stops the lending and empties the pool as its backends come back. It runs on w's loop.
func (p *Pool) Pause(w *Worker) { p.do(w, p.accounts.Pause()) }

// Resume ends a Pause. It runs on w's loop.
func (p *Pool) Resume(w *Worker) { p.do(w, p.accounts.Resume(w.loop.Now())) }

// TickEvery is how often Tick wants to be called.
const TickEvery = 100 * time.Millisecond

// Tick closes what idled or lived too long and retries dials. It runs on w's loop, every TickEvery.
func (p *Pool) Tick(w *Worker) { p.do(w, p.accounts.Tick(w.loop.Now())) }

// Close ends the pool: who waits is refused, what is idle is closed, dials are broken off. It runs on w's loop.
func (p *Pool) Close(w *Worker) {
	p.stopDials()
	refused, todo := p.accounts.Close(w.loop.Now())
	for _, waiter := range refused {
		waiter.Owner.(*Session).wake(w, nil, engine.ErrShutdown)
	}
	p.do(w, todo)
}

// do carries out what the accounts decided, on w's loop, in an order that nobody waits for: connections to give away
// first.
func (p *Pool) do(w *Worker, t todo) {
	if g := t.Grant; g.Waiter != nil {
		g.Waiter.Owner.(*Session).wake(w, g.Conn, nil)
	}
	for _, c := range t.Close {
		p.retire(w, c)
	}
	for _, c := range t.Dial {
		w.spawn(func() { p.dial(w, c) })
	}
}

func (p *Pool) retire(w *Worker, c *conn) {
	b := c.Value
	if b.worker == w {
		w.loop.Defer((*retire)(b))
		return
	}
	b.worker.loop.Post((*retire)(b))
}

// dial opens a backend in a goroutine of its own and brings the outcome to w's loop.
func (p *Pool) dial(w *Worker, c *conn) {
	ctx, stop := context.WithTimeout(p.dials, dialWithin)
	defer stop()
	p.counters.DatabaseConnectionRequests.Inc()
	var d engine.Dialed
	err := Safely(p.log, func() (err error) {
		d, err = p.engine.Dial(ctx, p.target, c.Key())
		return err
	})
	if err == nil {
		if _, secure := d.Conn.TLS(); secure {
			p.counters.DatabaseConnectionRequestsWithTLS.Inc()
		}
	}
	if !w.loop.Post(&dialed{pool: p, worker: w, conn: c, dialed: d, err: err}) && err == nil {
		_ = d.Conn.Close() // the process is ending
	}
}

// dialed is the outcome of a dial, posted to the loop that wanted it.
type dialed struct {
	pool   *Pool
	worker *Worker
	conn   *conn
	dialed engine.Dialed
	err    error
}

func (d *dialed) Run() {
	if d.err == nil {
		if d.err = d.open(); d.err != nil {
			d.pool.gone(&engine.Backend{Key: d.conn.Key(), Target: d.pool.target, State: d.dialed.State})
		}
	}
	if d.err != nil {
		d.failed()
		return
	}
	p := d.pool
	p.counters.DatabaseConnectionsSetupSucceeded.Inc()
	p.lastError.Store(nil)
	p.do(d.worker, p.accounts.Opened(d.conn, d.worker.loop.Now()))
}

func (d *dialed) open() error {
	p, w := d.pool, d.worker
	_, secure := d.dialed.Conn.TLS()
	detached, err := d.dialed.Conn.Detach()
	if err != nil {
		_ = d.dialed.Conn.Close()
		return err
	}
	b := &Backend{pool: p, conn: d.conn, worker: w, secure: secure}
	b.ID, b.Key, b.Target, b.State = p.lastID.Add(1), d.conn.Key(), p.target, d.dialed.State
	b.settling.Task = (*settle)(b)
	b.parting.Task = (*partedTask)(b)
	if b.stream, err = w.loop.Open(detached, b); err != nil {
		return err
	}
	b.stream.Park()
	d.conn.Value = b
	p.accounts.SetLoop(d.conn, w.loop.ID())
	if secure {
		p.counters.DatabaseConnectionsWithTLS.Inc()
	}
	return nil
}

func (d *dialed) failed() {
	p, w := d.pool, d.worker
	p.counters.DatabaseConnectionsSetupFailed.Inc()
	p.lastError.Store(&d.err)
	p.trouble()
	p.log.Warn().Err(d.err).Str("user", d.conn.Key().User).Msg("backend could not be opened")
	waiters, todo := p.accounts.DialFailed(d.conn, w.loop.Now(), d.err, engine.IsPermanent(d.err))
	err := d.err
	var dial *engine.DialError
	if !errors.As(err, &dial) {
		err = &engine.DialError{Target: p.target.Name, Err: err}
	}
	for _, waiter := range waiters {
		waiter.Owner.(*Session).wake(w, nil, err)
	}
	p.do(w, todo)
}
