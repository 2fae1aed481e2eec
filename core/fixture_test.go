package core

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/target"
)

const patience = 20 * time.Second

// echo is an engine of lines. A login is one line: "hi", or what the login should come to. A session repeats its
// client's lines; between "begin" and "end" it is in a transaction, for which it needs no backend.
type echo struct {
	engine.Engine               // nil: what is not implemented is not called
	entered       chan struct{} // Accept was called, if not nil
	aside         chan struct{} // "aside" waits for it
	begun         chan struct{} // a session's "aside" has begun, if not nil
	brokenOff     chan struct{} // closed when a session's "aside" is, if not nil
	probe         func(context.Context) (engine.Facts, error)
}

func (*echo) Name() string { return "echo" }

func (e *echo) Watch(context.Context, engine.Target) (engine.Watch, error) { return echoWatch{e}, nil }

type echoWatch struct{ e *echo }

func (w echoWatch) Ask(ctx context.Context) (engine.Facts, error) {
	if w.e.probe != nil {
		return w.e.probe(ctx)
	}
	return engine.Facts{Version: "1", MaxConnections: 10}, nil
}

func (echoWatch) Rest(ctx context.Context) error { <-ctx.Done(); return nil }
func (echoWatch) Close()                         {}

func (e *echo) Accept(ctx context.Context, c *engine.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	if e.entered != nil {
		e.entered <- struct{}{}
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	a, err := e.login(c, o)
	if !stop() {
		err = errors.Join(err, ctx.Err())
	}
	switch {
	case err == nil:
		return a, nil
	case errors.Is(ctx.Err(), context.Canceled):
		err = engine.ErrShutdown
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = engine.ErrLoginTimeout
	case errors.Is(err, io.EOF):
		return a, err
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, err.Error()+"\n")
	return a, err
}

func (e *echo) login(c *engine.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	if o.Refuse != nil {
		return engine.Accepted{}, o.Refuse
	}
	line, err := readLine(c)
	switch {
	case err != nil:
		return engine.Accepted{}, err
	case line == "deny":
		return engine.Accepted{}, engine.ErrDenied
	case line == "panic":
		panic("by request")
	case line == "flood": // more than the kernel takes for a client that does not read
		_, err := c.Write(make([]byte, 64<<20))
		return engine.Accepted{}, err
	case line == "cancel":
		return engine.Accepted{Cancel: &engine.CancelRequest{ID: 1}}, nil
	case line == "tls":
		return engine.Accepted{}, c.ServeTLS(context.Background(), o.TLS.Config)
	case line == "aside":
		c.Aside(func() { <-e.aside })
	}
	user, database, _ := strings.Cut(line, " ")
	return engine.Accepted{Machine: &echoMachine{e: e}, User: user, Database: database}, nil
}

// readLine reads no byte beyond the line.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for p := make([]byte, 1); ; {
		if _, err := r.Read(p); err != nil {
			return "", err
		}
		if p[0] == '\n' {
			return string(line), nil
		}
		line = append(line, p[0])
	}
}

type echoMachine struct {
	engine.Machine
	e       *echo
	busy    bool
	borrows bool
	own     time.Duration
}

func (m *echoMachine) Start(w engine.Wire) { w.ToClient([]byte("welcome\n")) }

func (m *echoMachine) FromClient(in []byte, w engine.Wire) (int, error) {
	consumed := 0
	for line := range strings.Lines(string(in[:bytes.LastIndexByte(in, '\n')+1])) {
		consumed += len(line)
		switch line {
		case "begin\n":
			m.busy = true
		case "end\n":
			m.busy = false
		case "second\n":
			m.own = time.Second
		case "hour\n":
			m.own = time.Hour
		case "aside\n":
			w.Aside(m.aside)
			return consumed, nil
		case "borrow\n":
			m.borrows = true
			w.Borrow(engine.Want{}) // the test sees to it that it is refused
			return consumed, nil
		}
		w.ToClient([]byte(line))
	}
	return consumed, nil
}

// aside waits until the test says so, or must not go on.
func (m *echoMachine) aside(ctx context.Context) func(engine.Wire) {
	if m.e.begun != nil {
		m.e.begun <- struct{}{}
	}
	answer := "done\n"
	select {
	case <-m.e.aside:
	case <-ctx.Done():
		answer = ctx.Err().Error() + "\n"
		if m.e.brokenOff != nil {
			close(m.e.brokenOff)
		}
	}
	return func(w engine.Wire) { w.ToClient([]byte(answer)) }
}

func (m *echoMachine) Refused(err error, w engine.Wire) {
	w.ToClient([]byte(err.Error() + "\n"))
	if !m.borrows {
		w.Close(err)
	}
}

func (m *echoMachine) Stop(reason error, w engine.Wire) { w.ToClient([]byte(reason.Error() + "\n")) }
func (m *echoMachine) Busy() bool                       { return m.busy }
func (m *echoMachine) InTransaction() bool              { return m.busy }
func (m *echoMachine) Patience() time.Duration          { return m.own }

// running is a proxy in a test.
type running struct {
	*Proxy
	t    *testing.T
	stop context.CancelFunc
	done chan error
}

// configured returns the configuration of a proxy with one listener.
func configured(e *echo) Config {
	c := Config{Loops: 2, MaxLogins: 2, DrainTimeout: patience, Log: zerolog.Nop()}
	g := target.New(target.Config{
		Name: "g", Engine: e, Targets: []engine.Target{{Name: "t", Address: "127.0.0.1:1"}},
		Limits: target.Limits{MaxPercent: 100},
	}, new(atomic.Uint64), c.Log)
	c.Groups = []*target.Group{g}
	c.Listeners = []ListenerConfig{{
		Name: "l", Address: "127.0.0.1:0", Group: g, LoginTimeout: patience, MaxClients: 100,
	}}
	return c
}

// start runs a proxy until the test ends.
func start(t *testing.T, e *echo, change func(*Config)) *running {
	t.Helper()
	c := configured(e)
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Proxy: p, t: t, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if r.done != nil {
			_ = r.wait()
		}
	})
	select {
	case <-p.Ready():
	case err := <-r.done:
		r.done = nil
		t.Fatalf("the proxy ended: %v", err)
	}
	return r
}

// wait waits until the proxy has ended, and returns how it did.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done = nil
		return err
	case <-time.After(patience):
		r.t.Fatal("the proxy does not end")
		return nil
	}
}

// until waits for something that happens soon.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// client is one connection to a proxy.
type client struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func (r *running) dial() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.Snapshot().Listeners[0].Address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return &client{Conn: nc, t: r.t, lines: bufio.NewReader(nc)}
}

// login returns a session's client.
func (r *running) login() *client {
	r.t.Helper()
	c := r.dial()
	c.say("hi")
	c.expect("welcome")
	return c
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(line string) {
	c.t.Helper()
	got, err := c.lines.ReadString('\n')
	if err != nil || got != line+"\n" {
		c.t.Fatalf("read %q, %v; expected %q", got, err, line)
	}
}

func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.lines); err != nil || len(rest) > 0 {
		c.t.Fatalf("read %q, %v; expected the end", rest, err)
	}
}
