package core

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/target"
)

// mirror is the engine of a server that sends back every line. A session borrows a backend for each line, and gives it back with the answer.
type mirror struct{ echo }

func (*mirror) Goodbye() []byte { return nil }

func (*mirror) Dial(ctx context.Context, t engine.Target, _ engine.Key) (engine.Dialed, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return engine.Dialed{}, err
	}
	return engine.Dialed{Conn: engine.NewConn(nc)}, nil
}

func (m *mirror) Accept(ctx context.Context, c *engine.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	a, err := m.echo.Accept(ctx, c, o)
	a.Machine = &mirrorMachine{}
	return a, err
}

// mirrorMachine has one line under way at a time.
type mirrorMachine struct {
	echoMachine
	held bool
	sent bool
}

func (m *mirrorMachine) FromClient(in []byte, w engine.Wire) (int, error) {
	end := bytes.IndexByte(in, '\n') + 1
	if end == 0 || m.sent {
		return 0, nil
	}
	if !m.held && w.Borrow(engine.Want{}) == nil {
		return 0, nil
	}
	m.held, m.sent = true, true
	w.ToBackend(in[:end])
	return end, nil
}

func (m *mirrorMachine) Granted(*engine.Backend, engine.Wire) { m.held = true }

func (m *mirrorMachine) FromBackend(in []byte, w engine.Wire) (int, error) {
	end := bytes.IndexByte(in, '\n') + 1
	if end == 0 {
		return 0, nil
	}
	w.ToClient(in[:end])
	m.sent = false
	m.held = !w.Idle()
	return end, nil
}

// serveMirror runs such a server until the test ends.
func serveMirror(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = nc.Close() }(); _, _ = io.Copy(nc, nc) }()
		}
	}()
	return l.Addr().String()
}

// mirrored makes the one group of a proxy lead there, with fewer backends than clients.
func mirrored(c *Config, address string) {
	c.Groups = []*target.Group{target.New(target.Config{
		Name: "g", Engine: &mirror{}, Targets: []engine.Target{{Name: "t", Address: address}},
		Limits: target.Limits{MaxConnections: 2, BorrowTimeout: patience},
	}, new(atomic.Uint64), c.Log)}
	c.Listeners[0].Group = c.Groups[0]
}

func TestBackendsGoToAndFroBetweenLoops(t *testing.T) {
	address := serveMirror(t)
	r := start(t, nil, func(c *Config) { mirrored(c, address) })
	var clients sync.WaitGroup
	for i := range 4 {
		c := r.login()
		clients.Go(func() {
			for n := range 1000 {
				line := fmt.Sprintf("%d of %d\n", n, i)
				if _, err := io.WriteString(c, line); err != nil {
					t.Error(err)
					return
				}
				if got, err := c.lines.ReadString('\n'); got != line {
					t.Errorf("read %q, %v; expected %q", got, err, line)
					return
				}
			}
		})
	}
	clients.Wait()
}
