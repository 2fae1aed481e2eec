package relay

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

// finishWithin is how long a client may take to read the last bytes that it is sent.
const finishWithin = 5 * time.Second

// Group is what a session needs to know of its target group.
type Group interface {
	// Pool returns where a session that is at home at a pool (nil: nowhere yet) borrows for role just now: at home, if
	// that serves role. It returns nil if nothing does: then a borrow waits until Worker.Reroute is told that this has
	// changed. Any goroutine may call it.
	Pool(role Role, home *Pool) *Pool
	// Mark returns a mark of what was written so far that a read which comes now must see; 0: it may see an older state. Any
	// goroutine may call it.
	Mark() Mark
	// Current is Pool for a read with a mark: it returns a pool that serves ReadOnly and whose target has what the mark is
	// of, as far as it may be looked for. If it returns nil, what has changed is told to Worker.Reroute or Worker.CaughtUp.
	Current(home *Pool, m Mark, r Reach) *Pool
	// Has says whether the target of p has what m is of. If not, Worker.CaughtUp is told of a change.
	Has(p *Pool, m Mark) bool
	// CatchUpTimeout is how long a read waits for a replica that has what was written before.
	CatchUpTimeout() time.Duration
	// Balance returns where such a session is to be at home after the pools that serve role have changed: where it is, if
	// that serves role and no other has less to do. Any goroutine may call it.
	Balance(role Role, home *Pool) *Pool
	// Serves says whether a session may go on, for role, with a backend of p that it has. Any goroutine may call it.
	Serves(role Role, p *Pool) bool
	// BorrowTimeout is how long a borrow may wait; 0: not at all.
	BorrowTimeout() time.Duration
}

// Role is which targets a listener leads to.
type Role uint8

const (
	ReadWrite Role = iota
	ReadOnly
)

func (r Role) String() string { return [...]string{"read_write", "read_only"}[r] }

// Front is what all sessions of a listener have in common. It is immutable.
type Front struct {
	Group       Group
	Heads       *Headcount // needed
	Role        Role
	IdleTimeout time.Duration // idle_client_timeout, 0: none
	// LoginTimeout bounds what machines have done aside; 0 lets nothing be done there.
	LoginTimeout time.Duration
	Times        *Times // nil: without limits
	Counters     *telemetry.Listener
	Engine       engine.Engine // needed with Pins only
	Pins         *Pins         // nil: nobody wants to know
}

// Session is one client after its login. It belongs to its worker's loop.
type Session struct {
	next, prev *Session // in the worker's list

	id          uint32
	secure      bool   // the client uses TLS
	user        string // changed by Registry.rename only, which others may ask
	database    string
	application string
	address     string
	secret      []byte

	front   *Front
	worker  *Worker
	client  loop.Stream
	machine engine.Machine

	home    *Pool    // where it borrows for as long as that serves its role; nil before its first borrow
	backend *Backend // held, or nil
	leaving *Backend // given up at a boundary, to be returned by the deferred task
	pins    pinning

	waiter  pool.Waiter[engine.Key, *Backend]
	queue   *Pool // where the borrow waits; nil: not waiting, or astray
	fresh   freshness
	refusal error
	barred  error // why it is not let in; nil: it is, and counted in front.Heads
	timeout loop.Timer

	grant struct { // written by whoever wakes the session, read by its wake task
		conn *conn
		err  error
	}

	active    time.Duration // when the client last sent something, or was last answered
	requested time.Duration // when its request began
	borrowing time.Duration // when its borrow began: the request's first one
	lent      time.Duration // when it got its backend

	pace pace // how long things take

	aside context.CancelFunc // breaks off what is done aside; nil: nothing is

	// How many bytes a session has matters: flags stand together (TestASessionTakesNoMoreThan640Bytes).
	astray       bool // the borrow waits until there is a target for it
	wanting      bool // a borrow that could not be made yet: a backend is leaving, or it was refused at once
	passing      passing
	deferred     bool // the deferred task is on its way
	recalled     bool // the held backend's target does not serve the session's role any more
	clientPaused bool
	backPaused   bool
	ended        bool
}

// passing is how far the request has come that the last borrow was for.
type passing uint8

const (
	passed   passing = iota // to the backend, or there was none
	unpassed                // a backend was lent, and the machine has taken nothing from the client since
	bereft                  // that one was lost: the next borrow is for the same request
)

// Login is a client that Accept let in.
type Login struct {
	ID      uint32
	Conn    *engine.Conn
	Client  engine.Accepted
	Front   *Front
	Policy  *pin.Policy // nil pins on everything
	Address string
}

// NewSession makes the session of a login, and counts it in the front's headcount; Start brings it to life on w's loop.
// If there is no place for it, that is what Start tells its client: only now has it shown who it is.
func NewSession(l Login, w *Worker) *Session {
	_, secure := l.Conn.TLS()
	s := &Session{
		id: l.ID, secure: secure, user: l.Client.User, database: l.Client.Database,
		application: l.Client.Application, address: l.Address, secret: l.Client.Secret,
		front: l.Front, worker: w, machine: l.Client.Machine,
	}
	s.pins.policy = l.Policy
	if s.pins.policy == nil {
		s.pins.policy = &pin.Policy{}
	}
	s.pins.Set = s.pins.policy.Causes()
	s.waiter.Session = s.id
	s.waiter.Owner = s
	s.timeout.Task = (*borrowTimeout)(s)
	s.barred = s.front.Heads.Enter(s.user, s.database)
	return s
}

// Forgo gives up a session that is not going to be started.
func (s *Session) Forgo() {
	if s.barred == nil {
		s.front.Heads.Leave(s.user, s.database)
	}
}

// Start puts the session on its loop, whose goroutine calls it. The session ends itself.
func (s *Session) Start(c *engine.Conn) {
	c0 := s.front.Counters
	c0.ClientConnectionsInSetup.Dec()
	s.tlsGauge().Inc()
	if s.barred == nil {
		c0.ClientConnectionsSetupSucceeded.Inc()
	}
	s.active = s.worker.loop.Now()
	s.worker.registry.add(s)
	s.worker.sessions.add(s)
	d, err := c.Detach()
	if err == nil {
		s.client, err = s.worker.loop.Open(d, (*clientEnd)(s))
	}
	if err != nil {
		s.worker.log.Warn().Err(err).Msg("client connection could not be put on a loop")
		s.end()
		return
	}
	if s.barred != nil {
		s.front.Counters.Refused(s.barred)
		s.machine.Refused(s.barred, (*wire)(s))
		return
	}
	s.machine.Start((*wire)(s))
	if s.worker.draining {
		s.stopIfQuiet(engine.ErrShutdown)
	}
}

func (s *Session) tlsGauge() *telemetry.Gauge {
	if s.secure {
		return &s.front.Counters.ClientConnectionsTLS
	}
	return &s.front.Counters.ClientConnectionsNoTLS
}

// quiet says that nothing of the session is under way: it may be ended between two requests.
func (s *Session) quiet() bool {
	return !s.waits() && !s.wanting && s.aside == nil && !s.machine.Busy()
}

// patience is for how long the client may send nothing, 0: for ever.
func (s *Session) patience() time.Duration {
	limit := s.front.IdleTimeout
	if m, ok := s.machine.(engine.Patient); ok {
		if own := m.Patience(); own > 0 && (limit == 0 || own < limit) {
			return own
		}
	}
	return limit
}

// waits says whether a borrow waits for a grant or a refusal.
func (s *Session) waits() bool { return s.queue != nil || s.astray }

func (s *Session) over() bool { return s.ended }

// stopIfQuiet ends the session if it is between transactions and bound to nothing.
func (s *Session) stopIfQuiet(reason error) {
	if s.backend == nil && s.quiet() {
		s.stop(reason)
	}
}

// stop ends the session for a reason of the proxy's.
func (s *Session) stop(reason error) {
	if s.ended {
		return
	}
	s.machine.Stop(reason, (*wire)(s))
	s.close(reason)
}

// close ends the session after what it was sent has gone out.
func (s *Session) close(reason error) {
	if s.ended {
		return
	}
	if reason != nil {
		s.logEnd(reason)
	}
	s.client.Finish(finishWithin)
	s.end()
}

func (s *Session) logEnd(reason error) {
	ev := s.worker.log.Info()
	var p *engine.ProtocolError
	if errors.As(reason, &p) {
		ev = s.worker.log.Warn()
	}
	ev.Uint32("session", s.id).Str("user", s.user).Str("database", s.database).Str("client", s.address).AnErr("reason", reason).Msg("session ended")
}

// end gives up everything that the session has. The client's stream is closed already, or about to.
func (s *Session) end() {
	if s.ended {
		return
	}
	s.ended = true
	s.worker.sessions.remove(s)
	s.worker.registry.Release(s.id)
	s.abandon()
	if s.aside != nil {
		s.aside()
	}
	if s.leaving != nil {
		s.later() // its stream may be in the middle of delivering to this session
	}
	if b := s.backend; b != nil {
		s.letGo()
		b.abort(s.machine)
	}
	s.unpin()
	s.Forgo()
	s.settle(nil)
	s.tlsGauge().Dec()
	s.front.Counters.ClientConnections.Dec()
	s.front.Counters.ClientConnectionsClosed.Inc()
}

// guarded does work on the session, which no stream calls that would fail of a panic in its machine: the session ends then, or its client
// would wait, with its backend, for an answer that never comes. The panic goes on in a task of its own: what called this may be about others.
// The end itself is in parts, each of which comes whatever became of the one before.
func (s *Session) guarded(work func(*Session)) {
	if s.survives(work) || s.ended {
		return
	}
	s.survives(func(s *Session) { s.client.Close() })
	s.survives(func(s *Session) {
		if b := s.backend; b != nil { // without asking the machine what it has under way
			s.letGo()
			b.discard(errPanicked)
		}
	})
	s.survives((*Session).end)
}

// survives says whether work came to its end. If not, the panic goes on in a task.
func (s *Session) survives(work func(*Session)) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			s.worker.loop.Defer(goesOn{v, debug.Stack()})
		}
	}()
	work(s)
	return true
}

var errPanicked = errors.New("a machine panicked")

// goesOn panics as something did before.
type goesOn struct {
	value any
	stack []byte
}

func (g goesOn) Run() { panic(fmt.Sprintf("%v\n%s", g.value, g.stack)) }

// cancel stops what the session is executing, as its client asked by another connection.
func (s *Session) cancel(done func()) {
	switch {
	case s.waits() || s.wanting:
		if s.abandon() {
			s.refuse(engine.ErrCanceled)
		}
		done()
	case s.fresh.catching:
		s.decline()
		done()
	case s.backend != nil && s.machine.Busy():
		s.backend.cancel(done)
	default:
		done()
	}
}

// clientEnd is the session as its client's stream sees it.
type clientEnd Session

func (c *clientEnd) OnData(p []byte) int {
	s := (*Session)(c)
	s.active = s.worker.loop.Now()
	if s.ended || s.waits() || s.wanting || s.aside != nil || s.pace.holding > 0 || s.unread() || s.mustCatchUp(p) {
		return 0
	}
	if s.backPressed() {
		s.throttle()
		return 0
	}
	n, err := s.machine.FromClient(p, (*wire)(s))
	if n > 0 {
		s.fresh.checked, s.passing = false, passed
	}
	if err != nil {
		s.close(err)
		return len(p)
	}
	if s.ended {
		return len(p)
	}
	s.throttle()
	return n
}

func (c *clientEnd) OnWritable() {
	s := (*Session)(c)
	if s.client.Broken() {
		// As a server does, whose answer cannot be sent: what else the client has sent could hold a backend for as long as it likes.
		c.OnClose(nil)
		return
	}
	if s.backPaused && s.backend != nil {
		s.backPaused = false
		s.backend.stream.Resume()
		s.backend.stream.Redeliver()
	}
	if s.client.Held() > 0 {
		s.later()
	}
}

func (c *clientEnd) OnClose(error) {
	s := (*Session)(c)
	s.client.Close()
	s.end()
}

func (c *clientEnd) OnWake(loop.Loop) bool { return true }

// unread says that the client does not read what it is answered without a backend, which would bound that. OnWritable ends it.
func (s *Session) unread() bool { return s.backend == nil && s.client.Buffered() > loop.MaxHeld }

// backPressed says that the backend does not take what the client sends.
func (s *Session) backPressed() bool {
	return s.backend != nil && s.backend.stream.Buffered() > loop.MaxHeld
}

// throttle stops reading the side that sends faster than the other one takes.
func (s *Session) throttle() {
	if s.ended || s.backend == nil {
		return
	}
	if !s.clientPaused && s.backPressed() {
		s.clientPaused = true
		s.client.Pause()
	}
	if !s.backPaused && s.client.Buffered() > loop.MaxHeld {
		s.backPaused, s.backend.late = true, true
		s.backend.stream.Pause()
	}
}

// goOn gives the machine what its client sent meanwhile.
func (s *Session) goOn() {
	if !s.ended && s.client.Held() > 0 {
		s.client.Redeliver()
	}
}
