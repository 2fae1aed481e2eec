package target

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/socket"
	"github.com/berthdb/berth/core/telemetry"
)

const patience = 20 * time.Second

// lender is an engine whose backends are connected to a server that says nothing.
type lender struct {
	probed
	server net.Listener
}

func (l *lender) Dial(context.Context, engine.Target, engine.Key) (engine.Dialed, error) {
	nc, err := net.Dial("tcp", l.server.Addr().String())
	if err != nil {
		return engine.Dialed{}, err
	}
	return engine.Dialed{Conn: socket.New(nc)}, nil
}

func (*lender) Goodbye() []byte { return nil }

// borrower is a machine that borrows at its start and keeps what it gets.
type borrower struct {
	engine.Machine
	granted chan struct{}
}

func (b *borrower) Start(w engine.Wire) {
	if w.Borrow(engine.Want{}) != nil {
		close(b.granted)
	}
}
func (b *borrower) Granted(*engine.Backend, engine.Wire) { close(b.granted) }
func (*borrower) Busy() bool                             { return false }
func (*borrower) InTransaction() bool                    { return false }

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func TestATargetWhoseProbeFailedIsUpWhenItsConnectionsWork(t *testing.T) {
	e := &lender{server: listen(t)}
	e.probe = func(context.Context, engine.Target) (engine.Facts, error) { return engine.Facts{}, errors.New("full") }
	g := New(Config{
		Name: "g", Engine: e, Targets: []engine.Target{{Name: "t"}},
		Limits: Limits{MaxConnections: 1, MaxDials: 1, BorrowTimeout: patience},
	}, new(atomic.Uint64), zerolog.Nop())
	l, err := loop.New(0, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := relay.NewWorker(l, relay.NewRegistry(), nil, zerolog.Nop())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run() }()
	defer func() { l.Stop(); <-ended }()

	g.workers = []*relay.Worker{w}
	m := g.Members()[0]
	if m.observe(t.Context()) || m.Health().State != Unavailable {
		t.Fatalf("after a question that failed: %+v", m.Health())
	}
	for late := time.Now().Add(patience); !m.pool.Claim(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the monitor keeps its place")
		}
	}
	free := make(chan struct{})
	l.Post(task(func() { m.pool.Unclaim(w); close(free) }))
	<-free
	m.trust()
	if m.Health().State != Unavailable {
		t.Fatal("it is trusted without a connection")
	}
	client := listen(t)
	if _, err := net.Dial("tcp", client.Addr().String()); err != nil {
		t.Fatal(err)
	}
	nc, err := client.Accept()
	if err != nil {
		t.Fatal(err)
	}
	machine := &borrower{granted: make(chan struct{})}
	c := socket.New(nc)
	s := relay.NewSession(relay.Login{ID: 1, Conn: c, Client: engine.Accepted{Machine: machine}, Front: &relay.Front{
		Group: g, Counters: new(telemetry.Listener), Heads: new(relay.Headcount),
	}}, w)
	l.Post(task(func() { s.Start(c) }))
	select {
	case <-machine.granted:
	case <-time.After(patience):
		t.Fatal("no backend was lent")
	}
	if !m.spared() {
		t.Error("it would be asked, beyond the limit")
	}
	m.trust()
	if m.Health().State != Available {
		t.Errorf("it has a connection: %+v", m.Health())
	}
}

// host is an engine with a server that may answer its sessions, and a monitor that is asked in vain when it says so.
type host struct {
	lender
	deaf atomic.Bool
}

func (h *host) ask(ctx context.Context, t engine.Target) (engine.Facts, error) {
	if t.Name == "w" && h.deaf.Load() {
		<-ctx.Done()
		return engine.Facts{}, ctx.Err()
	}
	return engine.Facts{MaxConnections: 10, ReadOnly: t.Name == "r"}, nil
}

// listener is a borrower that hears what its backend says, and is told when that is lost.
type listener struct {
	borrower
	lost chan error
}

func (*listener) FromBackend(p []byte, _ engine.Wire) (int, error) { return len(p), nil }
func (l *listener) BackendLost(err error, _ engine.Wire)           { l.lost <- err }
func (*listener) Commits() bool                                    { return true }

func TestAServerThatAnswersSessionsIsNotCutOffBecauseItsMonitorWaits(t *testing.T) {
	for name, end := range map[string]struct {
		ended func(*host, *Group, chan struct{})
		lost  error
	}{
		"it answers again": {func(h *host, _ *Group, _ chan struct{}) { h.deaf.Store(false) }, nil},
		"it is silent":     {func(_ *host, _ *Group, quiet chan struct{}) { close(quiet) }, engine.ErrTargetLost},
		"another writer": {func(_ *host, g *Group, _ chan struct{}) {
			g.SetTargets([]engine.Target{{Name: "w"}, {Name: "w2"}})
		}, engine.ErrTargetLost},
	} {
		t.Run(name, func(t *testing.T) {
			server, quiet := listen(t), make(chan struct{})
			e := &host{lender: lender{server: server}}
			e.probe = e.ask
			targets := []engine.Target{{Name: "w"}, {Name: "r"}}
			g := New(Config{
				Name: "g", Engine: e, Targets: targets, Health: HealthCheck{Interval: 30 * time.Millisecond, Timeout: 400 * time.Millisecond},
				Limits: Limits{MaxPercent: 100, MaxDials: 1, BorrowTimeout: patience},
			}, new(atomic.Uint64), zerolog.Nop())
			l, err := loop.New(0, loop.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := relay.NewWorker(l, relay.NewRegistry(), nil, zerolog.Nop())
			ended := make(chan struct{})
			go func() { defer close(ended); l.Run() }()
			defer func() { l.Stop(); <-ended }()
			go g.Run(t.Context(), w)
			g.AwaitFirst(t.Context())
			m := g.member("w")

			client := listen(t)
			if _, err := net.Dial("tcp", client.Addr().String()); err != nil {
				t.Fatal(err)
			}
			nc, err := client.Accept()
			if err != nil {
				t.Fatal(err)
			}
			machine := &listener{borrower: borrower{granted: make(chan struct{})}, lost: make(chan error, 1)}
			c := socket.New(nc)
			s := relay.NewSession(relay.Login{ID: 1, Conn: c, Client: engine.Accepted{Machine: machine}, Front: &relay.Front{
				Group: g, Counters: new(telemetry.Listener), Heads: new(relay.Headcount),
			}}, w)
			l.Post(task(func() { s.Start(c) }))
			backend, err := server.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for every := time.NewTicker(time.Millisecond); ; {
					select {
					case <-quiet:
						return
					case <-every.C:
						if _, err := backend.Write([]byte("x")); err != nil {
							return
						}
					}
				}
			}()
			<-machine.granted
			e.deaf.Store(true)
			await := func(what string, is func(Health) bool) {
				t.Helper()
				for late := time.Now().Add(patience); !is(m.Health()); time.Sleep(time.Millisecond) {
					select {
					case err := <-machine.lost:
						t.Fatalf("%s: it is cut off: %v", what, err)
					default:
					}
					if time.Now().After(late) {
						t.Fatalf("%s: %+v", what, m.Health())
					}
				}
			}
			await("asked in vain", func(h Health) bool { return h.State == Available && h.Cause != "" })
			end.ended(e, g, quiet)
			if end.lost == nil {
				await("asked again", func(h Health) bool { return h.State == Available && h.Cause == "" })
				return
			}
			select {
			case err := <-machine.lost:
				if !errors.Is(err, end.lost) && !errors.Is(err, engine.ErrDemoted) { // what is told first of the two
					t.Error(err)
				}
			case <-time.After(patience):
				t.Errorf("it is not cut off: %+v", m.Health())
			}
		})
	}
}

// writer is a borrower whose server takes no writes.
type writer struct{ borrower }

func (*writer) FromBackend(p []byte, w engine.Wire) (int, error) {
	w.Observe(engine.WriteRefused)
	w.Idle()
	return len(p), nil
}

func TestInAHardLimitConnectionsThatRefuseWritesAreRenewedWhenTheAddressLeadsToAWriter(t *testing.T) {
	for name, readOnly := range map[string]bool{"it does": false, "it does not": true} {
		t.Run(name, func(t *testing.T) {
			server := listen(t)
			e := &lender{server: server}
			var asked atomic.Int64
			e.probe = func(context.Context, engine.Target) (engine.Facts, error) {
				asked.Add(1)
				return engine.Facts{MaxConnections: 10, ReadOnly: readOnly}, nil
			}
			g := New(Config{
				Name: "g", Engine: e, Targets: []engine.Target{{Name: "t"}},
				Health: HealthCheck{Interval: 30 * time.Millisecond, Timeout: patience},
				Limits: Limits{MaxConnections: 2, MaxIdlePercent: 100, MaxDials: 1, BorrowTimeout: patience},
			}, new(atomic.Uint64), zerolog.Nop())
			l, err := loop.New(0, loop.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := relay.NewWorker(l, relay.NewRegistry(), nil, zerolog.Nop())
			ended := make(chan struct{})
			go func() { defer close(ended); l.Run() }()
			defer func() { l.Stop(); <-ended }()
			go g.Run(t.Context(), w)
			g.AwaitFirst(t.Context())

			client := listen(t)
			if _, err := net.Dial("tcp", client.Addr().String()); err != nil {
				t.Fatal(err)
			}
			nc, err := client.Accept()
			if err != nil {
				t.Fatal(err)
			}
			machine := &writer{borrower{granted: make(chan struct{})}}
			c := socket.New(nc)
			s := relay.NewSession(relay.Login{ID: 1, Conn: c, Client: engine.Accepted{Machine: machine}, Front: &relay.Front{
				Group: g, Counters: new(telemetry.Listener), Heads: new(relay.Headcount),
			}}, w)
			l.Post(task(func() { s.Start(c) }))
			backend, err := server.Accept()
			if err != nil {
				t.Fatal(err)
			}
			<-machine.granted
			before := asked.Load()
			if _, err := backend.Write([]byte("no")); err != nil {
				t.Fatal(err)
			}
			closed := make(chan error, 1)
			go func() {
				_, err := backend.Read(make([]byte, 1))
				closed <- err
			}()
			if readOnly {
				for late := time.Now().Add(patience); asked.Load() < before+1; time.Sleep(time.Millisecond) {
					if time.Now().After(late) {
						t.Fatal("it is not asked")
					}
				}
			}
			select {
			case err := <-closed:
				if readOnly {
					t.Errorf("it is closed: %v", err)
				}
			case <-time.After(map[bool]time.Duration{false: patience, true: 200 * time.Millisecond}[readOnly]):
				if !readOnly {
					t.Error("it stays")
				}
			}
		})
	}
}

func TestConnectionsAreRenewedEverMoreSeldomWhereThatIsOfNoUse(t *testing.T) {
	var r renewal
	begin := time.Now()
	times := 0
	for at := time.Duration(0); at < time.Hour; at += 100 * time.Millisecond {
		if r.due(begin.Add(at)) {
			times++
		}
	}
	if times < 5 || times > 16 {
		t.Errorf("%d times in an hour", times)
	}
	if later := begin.Add(2 * time.Hour); !r.due(later) || r.due(later) || !r.due(later.Add(renewFirst)) {
		t.Error("it does not forget")
	}
}

type task func()

func (t task) Run() { t() }
