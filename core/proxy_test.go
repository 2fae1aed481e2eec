package core

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/target"
)

func TestAClientIsEndedByTheTimeThatItHasSetItself(t *testing.T) {
	for own, limit := range map[string]time.Duration{"hour": time.Second, "second": 0, "second ": time.Hour} {
		r := start(t, &echo{}, func(c *Config) { c.Listeners[0].IdleTimeout = limit })
		patient, c := r.login(), r.login()
		c.say(strings.TrimSpace(own))
		c.expect(strings.TrimSpace(own))
		c.expect(engine.ErrIdleTimeout.Error())
		c.expectEnd()
		if limit != time.Second {
			patient.say("still here")
			patient.expect("still here")
		}
		_, _ = patient.Close(), c.Close()
	}
}

func TestADrainEndsIdleSessionsAtOnceAndWaitsForTransactions(t *testing.T) {
	r := start(t, &echo{}, nil)
	idle, busy := r.login(), r.login()
	busy.say("begin")
	busy.expect("begin")
	r.stop()
	idle.expect(engine.ErrShutdown.Error())
	idle.expectEnd()
	_ = idle.Close()
	if s := r.Snapshot(); s.Accepting || !s.Draining {
		t.Errorf("accepting %t, draining %t", s.Accepting, s.Draining)
	}
	if _, err := net.Dial("tcp", r.Snapshot().Listeners[0].Address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new client: %v", err)
	}
	busy.say("still here")
	busy.expect("still here")
	_ = busy.Close()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestADrainEndsTransactionsAtItsTimeout(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	busy := r.login()
	busy.say("begin")
	busy.expect("begin")
	r.stop()
	busy.expect(engine.ErrShutdown.Error())
	busy.expectEnd()
	_ = busy.Close()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestASessionWhoseBorrowIsRefusedDoesNotHoldUpADrain(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) {
		c.DrainTimeout = time.Hour
		g := c.Groups[0]
		c.Groups[0] = target.New(target.Config{
			Name: g.Name(), Engine: g.Engine(), Targets: []engine.Target{{Name: "t", Address: "127.0.0.1:1"}},
			Limits: target.Limits{MaxPercent: 100, BorrowTimeout: 300 * time.Millisecond},
		}, new(atomic.Uint64), c.Log)
		c.Listeners[0].Group = c.Groups[0]
	})
	if err := r.Pause(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	c := r.login()
	c.say("borrow")
	until(t, "the borrow waits", func() bool { return r.Snapshot().Listeners[0].Counters.WaitingClients.Value() == 1 })
	r.stop()
	c.expect(engine.ErrBorrowTimeout.Error())
	c.expect(engine.ErrShutdown.Error())
	c.expectEnd()
	_ = c.Close()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestLoginsDoNotHoldUpADrain(t *testing.T) {
	r := start(t, &echo{entered: make(chan struct{}, 10)}, func(c *Config) { c.DrainTimeout = time.Hour })
	c := r.dial()
	<-r.lineup.Load().listeners[0].config.Group.Engine().(*echo).entered
	began := time.Now()
	r.stop()
	c.expect(engine.ErrShutdown.Error())
	c.expectEnd()
	_ = c.Close()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
}

func TestALoginThatIsNotReadDoesNotHoldUpADrain(t *testing.T) {
	r := start(t, &echo{entered: make(chan struct{}, 10)}, func(c *Config) {
		c.DrainTimeout = time.Millisecond
		c.Listeners[0].LoginTimeout = time.Hour
	})
	c := r.dial()
	c.say("flood")
	<-r.lineup.Load().listeners[0].config.Group.Engine().(*echo).entered
	time.Sleep(50 * time.Millisecond) // the kernel has taken what it takes
	r.stop()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestADrainDuringALoginStormEndsEverything(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.DrainTimeout = time.Millisecond; c.Listeners[0].MaxClients = 50 })
	address := r.Snapshot().Listeners[0].Address
	var storm sync.WaitGroup
	over := make(chan struct{})
	for range 16 {
		storm.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				c, err := net.Dial("tcp", address)
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = c.Write([]byte("hi\nbegin\n"))
				_, _ = c.Read(make([]byte, 64))
				_ = c.Close()
			}
		})
	}
	l := r.lineup.Load().listeners[0]
	until(t, "the storm", func() bool { return l.counters.ClientConnectionsReceived.Value() > 200 })
	r.stop()
	err := r.wait()
	close(over)
	storm.Wait()
	if err != nil {
		t.Error(err)
	}
	c := &l.counters
	if c.ClientConnections.Value() != 0 || c.ClientConnectionsInSetup.Value() != 0 || c.ClientConnectionsNoTLS.Value() != 0 {
		t.Errorf("after the end: %d clients, %d in setup, %d sessions",
			c.ClientConnections.Value(), c.ClientConnectionsInSetup.Value(), c.ClientConnectionsNoTLS.Value())
	}
	if received, closed := c.ClientConnectionsReceived.Value(), c.ClientConnectionsClosed.Value(); received != closed {
		t.Errorf("received %d, closed %d", received, closed)
	}
	if len(r.gate) != 0 || l.refusing.Load() != 0 {
		t.Errorf("%d in the gate, %d being refused", len(r.gate), l.refusing.Load())
	}
}

func TestEveryAddressThatCannotBeOpenedIsNamedBeforeTargetsAreWaitedFor(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := configured(&echo{probe: func(ctx context.Context) (engine.Facts, error) {
		<-ctx.Done()
		return engine.Facts{}, ctx.Err()
	}})
	c.Listeners = append(c.Listeners, c.Listeners[0])
	c.Listeners[0].Address, c.Listeners[1].Address = taken.Addr().String(), taken.Addr().String()
	c.Listeners[1].Name = "m"
	began := time.Now()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "listener l: ") || !strings.Contains(err.Error(), "listener m: ") ||
		!errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took >= firstProbeWithin {
		t.Errorf("it took %s", took)
	}
}

func TestAProxyThatIsStoppedBeforeItIsReadyNeverSaysThatItIs(t *testing.T) {
	c := configured(&echo{})
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Ready():
		t.Error("it was ready")
	default:
	}
}

func TestAPanicOnALoopDoesNotHangWhoeverWaitsForIt(t *testing.T) {
	r := start(t, &echo{}, nil)
	r.on(r.workers[0], func() { panic("by request") })
	r.login()
}

func TestSessionsAreListedWithTheirListener(t *testing.T) {
	r := start(t, &echo{}, nil)
	c := r.login()
	c.say("begin")
	c.expect("begin")
	all := r.Sessions()
	if len(all) != 1 || all[0].User != "hi" || all[0].Listener != "l" || !all[0].InTransaction {
		t.Errorf("sessions: %+v", all)
	}
}

func TestAClientThatDoesNotReadIsNotReadEither(t *testing.T) {
	p := start(t, &echo{}, nil)
	c := p.login()
	socket := c.Conn.(*net.TCPConn)
	if err := errors.Join(socket.SetReadBuffer(64<<10), socket.SetWriteBuffer(64<<10)); err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 1<<10-1)
	line = append(line, '\n')
	const lines = 32 << 10
	var sent atomic.Int64
	go func() {
		for range lines {
			if _, err := c.Write(line); err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	for was := int64(-1); was != sent.Load(); time.Sleep(200 * time.Millisecond) {
		was = sent.Load()
	}
	if n := sent.Load(); n == lines {
		t.Errorf("%d lines were taken of a client that has read none", n)
	}
	for i := range lines {
		if got, err := c.lines.ReadBytes('\n'); err != nil || !bytes.Equal(got, line) {
			t.Fatalf("line %d is %.20q, %v", i, got, err)
		}
	}
}
