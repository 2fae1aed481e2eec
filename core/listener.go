package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
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
	// acceptPause is how long accepting rests when the process is out of descriptors.
	acceptPause = 50 * time.Millisecond
	// overflow is how many connections beyond the limit are told so at a time; more are closed unheard.
	overflow = 256
)

// ListenerConfig is one listener. It is immutable.
type ListenerConfig struct {
	Name         string
	Address      string
	Group        *target.Group
	Role         relay.Role
	TLS          engine.ClientTLS
	Policy       pin.Policy
	IdleTimeout  time.Duration // idle_client_timeout
	LoginTimeout time.Duration
	MaxClients   int
}

// listener accepts clients, lets them log in and hands them to a worker.
type listener struct {
	config   ListenerConfig
	front    relay.Front
	counters telemetry.Listener
	proxy    *Proxy
	socket   net.Listener
	log      zerolog.Logger
	logins   sync.WaitGroup
}

func newListener(p *Proxy, c ListenerConfig) *listener {
	l := &listener{config: c, proxy: p, log: p.log.With().Str("listener", c.Name).Logger()}
	l.counters.Name, l.counters.TargetGroup, l.counters.Role = c.Name, c.Group.Name(), c.Role.String()
	l.front = relay.Front{
		Group: c.Group, Role: c.Role, Policy: &l.config.Policy, IdleTimeout: c.IdleTimeout, Counters: &l.counters,
	}
	return l
}

func (l *listener) open() error {
	var err error
	if l.socket, err = net.Listen("tcp", l.config.Address); err != nil {
		return fmt.Errorf("listener %s: %w", l.config.Name, err)
	}
	return nil
}

// run accepts until the socket is closed.
func (l *listener) run(ctx context.Context) error {
	for {
		nc, err := l.socket.Accept()
		switch {
		case err == nil:
			l.counters.ClientConnectionsReceived.Inc()
			l.counters.ClientConnections.Inc()
			l.counters.ClientConnectionsInSetup.Inc()
			l.logins.Go(func() { l.login(ctx, nc) })
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			l.log.Error().Err(err).Msg("no client can be accepted just now")
			time.Sleep(acceptPause)
		default:
			l.log.Warn().Err(err).Msg("accept failed")
			time.Sleep(time.Millisecond)
		}
	}
}

// login sees one client through its login.
func (l *listener) login(ctx context.Context, nc net.Conn) {
	c := socket.New(nc)
	id := l.proxy.registry.Reserve()
	started := false
	defer func() {
		if r := recover(); r != nil {
			l.log.Error().Any("panic", r).Bytes("stack", debug.Stack()).Msg("BUG: login panicked")
		}
		if !started {
			l.proxy.registry.Release(id)
			l.counters.ClientConnectionsInSetup.Dec()
			l.counters.ClientConnections.Dec()
			l.counters.ClientConnectionsClosed.Inc()
			_ = c.Close()
		}
	}()
	accepted, err := l.accept(ctx, c, id)
	switch {
	case err != nil:
		l.refused(c, err)
	case accepted.Cancel != nil:
		l.cancel(ctx, *accepted.Cancel)
	default:
		started = l.start(c, id, accepted)
	}
}

func (l *listener) accept(ctx context.Context, c *socket.Conn, id uint32) (engine.Accepted, error) {
	ctx, stop := context.WithTimeout(ctx, l.config.LoginTimeout)
	defer stop()
	if err := c.SetDeadline(time.Now().Add(l.config.LoginTimeout)); err != nil {
		return engine.Accepted{}, err
	}
	o := engine.AcceptOptions{TLS: l.config.TLS, ID: id, ClientAddress: c.RemoteAddr().String()}
	if n := l.counters.ClientConnections.Value(); n > int64(l.config.MaxClients) {
		o.Refuse = engine.ErrTooManyClients
		if n > int64(l.config.MaxClients)+overflow {
			return engine.Accepted{}, o.Refuse
		}
	}
	c.Admit(l.proxy.gate)
	l.proxy.gate.Enter()
	defer l.proxy.gate.Leave()
	a, err := l.config.Group.Engine().Accept(ctx, c, o)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", engine.ErrLoginTimeout, err)
	}
	return a, err
}

// refused ends a login that failed. The engine has told the client; what it still sends is read, or the reset that
// follows unread bytes might overtake the answer.
func (l *listener) refused(c *socket.Conn, err error) {
	if errors.Is(err, engine.ErrDenied) || errors.Is(err, engine.ErrNoCredential) || errors.Is(err, engine.ErrTLSRequired) {
		l.counters.ClientConnectionsSetupFailedAuth.Inc()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // a health check, or a client that changed its mind
		l.log.Debug().Stringer("client", c.RemoteAddr()).Err(err).Msg("client left during its login")
		return
	}
	l.log.Info().Stringer("client", c.RemoteAddr()).Err(err).Msg("login failed")
	if c.SetDeadline(time.Now().Add(lingerWithin)) != nil || c.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.Transport(), lingerBytes)
}

// cancel carries out a cancel request. The client sees its connection close when that is done.
func (l *listener) cancel(ctx context.Context, req engine.CancelRequest) {
	done := make(chan struct{})
	var once sync.Once
	l.proxy.registry.Cancel(req, func() { once.Do(func() { close(done) }) })
	ctx, stop := context.WithTimeout(ctx, l.config.LoginTimeout)
	defer stop()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// start hands a client to a worker.
func (l *listener) start(c *socket.Conn, id uint32, a engine.Accepted) bool {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return false
	}
	w := l.proxy.nextWorker()
	s := relay.NewSession(relay.Login{
		ID: id, Conn: c, Client: a, Front: &l.front, Address: c.RemoteAddr().String(),
	}, w)
	return w.Loop().Post(&begin{session: s, conn: c})
}

// begin is posted to the loop of a new session.
type begin struct {
	session *relay.Session
	conn    *socket.Conn
}

func (b *begin) Run() { b.session.Start(b.conn) }
