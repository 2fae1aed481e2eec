package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/core/telemetry"
)

// idleGate fails the test unless every place in the gate is free.
func idleGate(t *testing.T, r *running) {
	t.Helper()
	until(t, "logins are over", func() bool { return r.lineup.Load().listeners[0].counters.ClientConnectionsInSetup.Value() == 0 })
	if n := len(r.gate); n != 0 {
		t.Errorf("%d places of the gate are taken", n)
	}
}

func TestARefusedClientLingersWithoutTheGate(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.MaxLogins = 1 })
	for range 3 { // one after the other: nobody else is in the gate
		c := r.dial()
		c.say("deny")
		c.expect(engine.ErrDenied.Error())
		c.expectEnd()
		_ = c.Close()
	}
	idleGate(t, r)
	l := &r.lineup.Load().listeners[0].counters
	if got := l.ClientConnectionsSetupFailedAuth.Value(); got != 3 {
		t.Errorf("%d logins failed for authentication, expected 3", got)
	}
	if n, closed := l.ClientConnections.Value(), l.ClientConnectionsClosed.Value(); n != 0 || closed != 3 {
		t.Errorf("%d clients, %d closed", n, closed)
	}
}

func TestEveryEndOfALoginLeavesTheGate(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.MaxLogins = 1 })
	for _, line := range []string{"deny", "panic", "cancel"} {
		c := r.dial()
		c.say(line)
		if _, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v", line, err)
		}
		_ = c.Close()
	}
	_ = r.dial().Close()
	idleGate(t, r)
	r.login().say("x")
}

func TestALoginThatWaitsAsideKeepsNobodyOut(t *testing.T) {
	e := &echo{aside: make(chan struct{})}
	r := start(t, e, func(c *Config) { c.MaxLogins = 1 })
	waiting := r.dial()
	waiting.say("aside")
	r.login()
	close(e.aside)
	waiting.expect("welcome")
	idleGate(t, r)
}

func TestAClientThatDribblesIsRefusedAtTheLoginTimeout(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].LoginTimeout = 100 * time.Millisecond })
	c := r.dial()
	began := time.Now()
	go func() {
		for range 1000 {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	c.expect(engine.ErrLoginTimeout.Error())
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
	_ = c.Close()
	idleGate(t, r)
}

func TestClientsBeyondTheLimitAreToldAndTakeNobodysPlace(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].MaxClients = 2 })
	first, second := r.login(), r.login()
	for range 3 {
		r.dial().expect(engine.ErrTooManyClients.Error()) // and lingers: it does not close
	}
	_ = first.Close()
	until(t, "the session ends", func() bool {
		l := r.lineup.Load().listeners[0]
		return l.counters.ClientConnections.Value()-l.refusing.Load() == 1
	})
	r.login()
	second.say("x")
	second.expect("x")
}

func TestAsManyOfACrowdGetInAsHaveRoom(t *testing.T) {
	const room, crowd = 20, 100
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].MaxClients = room })
	var in atomic.Int64
	done := make(chan struct{})
	for range crowd {
		c := r.dial()
		go func() {
			defer func() { done <- struct{}{} }()
			_, _ = io.WriteString(c, "hi\n")
			line, err := c.lines.ReadString('\n')
			if err == nil && line == "welcome\n" {
				in.Add(1)
			}
		}()
	}
	for range crowd {
		<-done
	}
	if got := in.Load(); got != room {
		t.Errorf("%d got in, expected %d", got, room)
	}
	until(t, "the refused are gone", func() bool { return r.lineup.Load().listeners[0].refusing.Load() == 0 })
}

func TestAsManyOfAUserGetInAsMayWhateverEndsTheirSessions(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].Heads = &relay.HeadLimits{PerUser: 2, PerDatabase: 3} })
	user := func(login, answer string) *client {
		c := r.dial()
		c.say(login)
		c.expect(answer)
		return c
	}
	full := (&engine.LimitError{Err: engine.ErrUserConnections, Name: "a", Limit: 2}).Error()
	for range 3 {
		first, second := user("a x", "welcome"), user("a x", "welcome")
		for range 3 {
			user("a y", full).expectEnd()
		}
		b := user("b x", "welcome")
		user("c x", (&engine.LimitError{Err: engine.ErrDatabaseConnections, Name: "x", Limit: 3}).Error()).expectEnd()
		_ = first.Close()
		for _, w := range r.workers {
			r.on(w, func() { w.StopAll(engine.ErrKilled) })
		}
		second.expect(engine.ErrKilled.Error())
		b.expect(engine.ErrKilled.Error())
		l := r.lineup.Load().listeners[0]
		until(t, "all are gone", func() bool { return l.counters.ClientConnections.Value() == 0 })
		if n, m := l.heads.Count("a", "x"); n != 0 || m != 0 {
			t.Errorf("%d sessions of the user and %d of the database are counted, and none is there", n, m)
		}
	}
	l := r.lineup.Load().listeners[0]
	if n := l.counters.ClientConnectionsRefused[telemetry.RefusedUser].Value(); n != 9 {
		t.Errorf("%d refused for their user", n)
	}
	if n := l.counters.ClientConnectionsRefused[telemetry.RefusedDatabase].Value(); n != 3 {
		t.Errorf("%d refused for their database", n)
	}
	if n := l.counters.ClientConnectionsSetupSucceeded.Value(); n != 9 {
		t.Errorf("%d succeeded", n)
	}
}

func TestAReloadChangesALimitForWhoComes(t *testing.T) {
	r := start(t, &echo{}, nil)
	c := r.lineup.Load().listeners[0].config
	apply := func(heads *relay.HeadLimits) {
		c.Heads = heads
		if err := r.Apply([]*target.Group{c.Group}, []ListenerConfig{c}); err != nil {
			t.Fatal(err)
		}
	}
	in := []*client{r.login(), r.login()}
	apply(&relay.HeadLimits{PerUser: 2})
	refused := r.dial()
	refused.say("hi")
	refused.expect((&engine.LimitError{Err: engine.ErrUserConnections, Name: "hi", Limit: 2}).Error())
	apply(&relay.HeadLimits{PerUser: 1, Users: map[string]int{"hi": 3}})
	in = append(in, r.login())
	apply(nil)
	in = append(in, r.login())
	for _, c := range in {
		c.say("x")
		c.expect("x")
	}
}

func TestAnOverflowOfClientsIsClosedUnheard(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].MaxClients = 1 })
	r.login()
	l := r.lineup.Load().listeners[0]
	for range overflow { // as many as are being told; real ones would be done too soon on a slow machine
		l.refusing.Add(1)
		l.counters.ClientConnections.Inc()
	}
	r.dial().expectEnd()
	if got := l.counters.ClientConnectionsReceived.Value(); got != 2 {
		t.Errorf("received %d", got)
	}
	for range overflow {
		l.counters.ClientConnections.Dec()
		l.refusing.Add(-1)
	}
	r.dial().expect(engine.ErrTooManyClients.Error())
}

func TestAFailedTLSHandshakeIsAnAuthenticationFailure(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) {
		c.Listeners[0].TLS = engine.ClientTLS{Mode: engine.TLSAllow, Config: &tls.Config{}}
	})
	c := r.dial()
	c.say("tls")
	c.say("this is no ClientHello")
	_, _ = io.ReadAll(c)
	_ = c.Close()
	idleGate(t, r)
	if got := r.lineup.Load().listeners[0].counters.ClientConnectionsSetupFailedAuth.Value(); got != 1 {
		t.Errorf("%d failures counted", got)
	}
}

// poor is a listener of a process without descriptors.
type poor struct {
	net.Listener
	times []time.Duration
	since time.Time
	stop  context.CancelFunc
}

func (p *poor) Accept() (net.Conn, error) {
	p.times = append(p.times, time.Since(p.since))
	if len(p.times) == 20 {
		p.stop()
	}
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

func TestAcceptingBacksOffWithoutDescriptorsAndStopsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		p := &poor{since: time.Now(), stop: stop}
		d := &door{socket: p}
		d.owner.Store(&listener{log: zerolog.Nop()})
		d.run(ctx, ctx)
		if p.times[1] != acceptPauseFirst || p.times[2] != 3*acceptPauseFirst {
			t.Errorf("accepted at %v", p.times)
		}
		if last := p.times[19] - p.times[18]; last != acceptPauseMost {
			t.Errorf("the last pause was %s", last)
		}
	})
}
