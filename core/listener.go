package core

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/socket"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/core/telemetry"
)

const (
	// lingerWithin is how long a refused client may take to read why.
	lingerWithin = time.Second
	// lingerBytes is how much of what a refused client still sends is read, so that the answer is not lost in a reset.
	lingerBytes = 64 << 10
	// overflow is how many connections beyond the limit are told so at a time; more are closed unheard.
	overflow = 256
)

// ListenerConfig is one listener. It is immutable and comparable.
type ListenerConfig struct {
	Name         string
	Address      string
	Group        *target.Group
	Role         relay.Role
	TLS          engine.ClientTLS
	IdleTimeout  time.Duration // idle_client_timeout
	LoginTimeout time.Duration
	MaxClients   int
	Heads        *relay.HeadLimits // per user and per database; nil: none
	Times        relay.TimeLimits
}

// listener lets clients log in and hands them to a worker. It is immutable but for its tally: a reload makes another.
type listener struct {
	*tally
	config ListenerConfig
	front  relay.Front
	proxy  *Proxy
	door   *door // set before anybody else knows the listener
	log    zerolog.Logger
}

// tally is what goes on with a listener that a reload changed.
type tally struct {
	counters telemetry.Listener
	heads    relay.Headcount
	times    relay.Times
	refusing atomic.Int64 // of the client connections: how many are beyond the limit and being told so
}

// newListener makes a listener. was is the one of the same name so far, nil if there was none.
func newListener(p *Proxy, c ListenerConfig, was *listener) *listener {
	l := &listener{config: c, proxy: p, log: p.log.With().Str("listener", c.Name).Logger()}
	if was != nil && was.config.Group == c.Group && was.config.Role == c.Role {
		l.tally = was.tally
	} else {
		l.tally = &tally{}
		l.counters.Name, l.counters.TargetGroup, l.counters.Role = c.Name, c.Group.Name(), c.Role.String()
	}
	l.front = relay.Front{
		Group: c.Group, Role: c.Role, IdleTimeout: c.IdleTimeout, LoginTimeout: c.LoginTimeout, Counters: &l.counters,
		Engine: c.Group.Engine(), Pins: p.pins, Heads: &l.heads, Times: &l.times,
	}
	return l
}

// moveIn makes l the owner of its door: clients that come are its own, and its limits hold, for who is there too.
func (l *listener) moveIn() {
	l.heads.SetLimits(l.config.Heads)
	l.times.Set(l.config.Times)
	l.door.pass(l)
}

// receive starts the login of a client. Only its door's goroutine calls it, so that of the clients that come together
// exactly as many get in as have room.
func (l *listener) receive(ctx context.Context, nc net.Conn) {
	l.counters.ClientConnectionsReceived.Inc()
	var refuse error
	// In this order, against that of release: a client that just leaves counts rather twice than not at all.
	if n := l.counters.ClientConnections.Value(); n-l.refusing.Load() >= int64(l.config.MaxClients) {
		if l.refusing.Load() >= overflow {
			_ = nc.Close()
			l.counters.ClientConnectionsClosed.Inc()
			l.counters.Refused(engine.ErrTooManyClients)
			return
		}
		l.refusing.Add(1)
		refuse = engine.ErrTooManyClients
		l.counters.Refused(refuse)
	}
	l.counters.ClientConnections.Inc()
	l.counters.ClientConnectionsInSetup.Inc()
	l.proxy.logins.Go(func() { l.login(ctx, nc, refuse) })
}

// release ends what receive began, for a client that became no session.
func (l *listener) release(c *socket.Conn, id uint32, refuse error) {
	_ = c.Transport().Close() // without TLS's goodbye, which might block
	l.proxy.registry.Release(id)
	if refuse != nil {
		l.refusing.Add(-1)
	}
	l.counters.ClientConnectionsInSetup.Dec()
	l.counters.ClientConnections.Dec()
	l.counters.ClientConnectionsClosed.Inc()
}

// login sees one client through its login. refuse is why it cannot be let in, if it cannot.
func (l *listener) login(ctx context.Context, nc net.Conn, refuse error) {
	c := socket.New(nc)
	id := l.proxy.registry.Reserve()
	started := false
	defer func() {
		if r := recover(); r != nil {
			l.log.Error().Any("panic", r).Bytes("stack", debug.Stack()).Msg("BUG: login panicked")
		}
		if !started {
			l.release(c, id, refuse)
		}
	}()
	accepted, err := l.accept(ctx, c, engine.AcceptOptions{
		TLS: l.config.TLS, ID: id, ClientAddress: c.RemoteAddr().String(), Refuse: refuse,
		KeepText: l.config.Times != relay.TimeLimits{},
	})
	switch {
	case err != nil:
		l.refused(c, err)
	case accepted.Cancel != nil:
		l.cancel(ctx, c, *accepted.Cancel)
	default:
		started = l.start(c, id, accepted)
	}
}

func (l *listener) accept(ctx context.Context, c *socket.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	ctx, stop := context.WithTimeout(ctx, l.config.LoginTimeout)
	defer stop()
	if err := c.SetDeadline(time.Now().Add(l.config.LoginTimeout)); err != nil {
		return engine.Accepted{}, err
	}
	// Who does not read cannot be told, and must not hold up a drain. The engine ends what is read.
	defer context.AfterFunc(ctx, func() { _ = c.SetWriteDeadline(time.Now().Add(lingerWithin)) })()
	l.proxy.gate.Enter()
	c.Admit(l.proxy.gate)
	defer func() {
		c.Admit(nil)
		l.proxy.gate.Leave()
	}()
	return l.config.Group.Engine().Accept(ctx, c, o)
}

// refused ends a login that failed. The engine has told the client; what it still sends is read, or the reset that
// follows unread bytes might overtake the answer.
func (l *listener) refused(c *socket.Conn, err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // a health check, or a client that changed its mind
		l.log.Debug().Stringer("client", c.RemoteAddr()).Err(err).Msg("client left during its login")
		return
	}
	if isAuthFailure(err) {
		l.counters.ClientConnectionsSetupFailedAuth.Inc()
	}
	l.log.Info().Stringer("client", c.RemoteAddr()).Err(err).Msg("login failed")
	if goodbye(c) {
		_, _ = io.CopyN(io.Discard, c.Transport(), lingerBytes)
	}
}

// goodbye tells a client the end, with TLS's own words for it, and says whether that could be sent.
func goodbye(c *socket.Conn) bool {
	return c.SetDeadline(time.Now().Add(lingerWithin)) == nil && c.CloseWrite() == nil
}

// isAuthFailure says whether a login failed for its credentials or for TLS.
func isAuthFailure(err error) bool {
	for _, kind := range []error{engine.ErrDenied, engine.ErrNoCredential, engine.ErrTLSRequired} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return errors.Is(err, socket.ErrHandshake) && !errors.Is(err, engine.ErrLoginTimeout) && !errors.Is(err, engine.ErrShutdown)
}

// cancel carries out a cancel request. The client sees its connection close when that is done.
func (l *listener) cancel(ctx context.Context, c *socket.Conn, req engine.CancelRequest) {
	done := make(chan struct{})
	var once sync.Once
	l.proxy.registry.Cancel(req, func() { once.Do(func() { close(done) }) })
	ctx, stop := context.WithTimeout(ctx, l.config.LoginTimeout)
	defer stop()
	select {
	case <-done:
	case <-ctx.Done():
	}
	goodbye(c) // libpq 17 takes an end without it for a cancellation that failed
}

// start hands a client to a worker.
func (l *listener) start(c *socket.Conn, id uint32, a engine.Accepted) bool {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return false
	}
	w := l.proxy.nextWorker()
	s := relay.NewSession(relay.Login{
		ID: id, Conn: c, Client: a, Front: &l.front, Policy: l.config.Group.Policy(), Address: c.RemoteAddr().String(),
	}, w)
	if w.Loop().Post(&begin{session: s, conn: c}) {
		return true
	}
	s.Forgo()
	return false
}

// begin is posted to the loop of a new session.
type begin struct {
	session *relay.Session
	conn    *socket.Conn
}

func (b *begin) Run() {
	b.session.Start(b.conn)
	_ = b.conn.Transport().Close() // nothing, unless the session could not take the descriptor over
}
