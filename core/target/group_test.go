package target

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/relay"
)

// probed is an engine whose probes the test answers.
type probed struct {
	engine.Engine
	probe   func(context.Context, engine.Target) (engine.Facts, error)
	history *history // for reads that must see what was written
}

func (*probed) Name() string { return "probed" }

func (p *probed) Watch(_ context.Context, t engine.Target) (engine.Watch, error) {
	if p.history != nil {
		p.history.connect(t.Name, 1)
	}
	return &watched{p, t, make(chan struct{})}, nil
}

// watched is a monitoring connection. It rests until its engine's test ends it.
type watched struct {
	engine *probed
	target engine.Target
	closed chan struct{}
}

func (w *watched) Ask(ctx context.Context) (engine.Facts, error) {
	return w.engine.probe(ctx, w.target)
}
func (w *watched) Rest(ctx context.Context) error { <-ctx.Done(); return nil }
func (w *watched) Close() {
	close(w.closed)
	if h := w.engine.history; h != nil {
		h.connect(w.target.Name, -1)
	}
}

// still is a loop that runs what is posted at once, and knows no time.
type still struct{ loop.Loop }

func (still) Post(t loop.Task) bool { t.Run(); return true }
func (still) Now() time.Duration    { return 0 }

func newWorker() *relay.Worker {
	return relay.NewWorker(still{}, relay.NewRegistry(), nil, zerolog.Nop())
}

func newGroup(l Limits, probe func(context.Context, engine.Target) (engine.Facts, error), targets ...string) *Group {
	c := Config{Name: "g", Engine: &probed{probe: probe}, Limits: l}
	for _, name := range targets {
		c.Targets = append(c.Targets, engine.Target{Name: name})
	}
	return New(c, new(atomic.Uint64), zerolog.Nop())
}

func TestThePercentageLeavesRoomForOthersAndTheMonitor(t *testing.T) {
	for _, c := range []struct {
		limits    Limits
		facts     engine.Facts
		max, idle int
	}{
		{Limits{MaxPercent: 100, MaxIdlePercent: 50}, engine.Facts{}, 0, 0},
		{Limits{MaxPercent: 100, MaxIdlePercent: 50}, engine.Facts{MaxConnections: 100}, 99, 50},
		{Limits{MaxPercent: 100, MaxIdlePercent: 100}, engine.Facts{MaxConnections: 100, Reserved: 3}, 96, 96},
		{Limits{MaxPercent: 50, MaxIdlePercent: 25}, engine.Facts{MaxConnections: 100, Reserved: 3}, 49, 25},
		{Limits{MaxPercent: 1, MaxIdlePercent: 1}, engine.Facts{MaxConnections: 20, Reserved: 3}, 1, 0},
		{Limits{MaxPercent: 100}, engine.Facts{MaxConnections: 3, Reserved: 5}, 1, 0},
		{Limits{MaxPercent: 100, MaxConnections: 45, MaxIdlePercent: 50}, engine.Facts{MaxConnections: 20}, 45, 22},
		{Limits{MaxPercent: 100, MaxConnections: 45, MaxIdlePercent: 50}, engine.Facts{}, 45, 22},
	} {
		if got := c.limits.pool(c.facts, false, false); got.Max != c.max || got.MaxIdle != c.idle {
			t.Errorf("%+v of %+v: max %d, idle %d; expected %d, %d", c.limits, c.facts, got.Max, got.MaxIdle, c.max, c.idle)
		}
	}
}

func TestARoleLeadsToTheTargetsThatSaySo(t *testing.T) {
	const (
		newcomer = "new"
		writer   = "writer"
		reader   = "reader"
		down     = "down"
		gone     = "gone reader"
		late     = "late reader" // by more than the limit
		unsaid   = "reader that does not know how late it is"
		nobody   = -1
	)
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		targets     []string
		write       int
		read        []int
		readWaiting []int // without a fallback
	}{
		{[]string{writer}, 0, []int{0}, nil},
		{[]string{reader}, 0, []int{0}, []int{0}}, // it is all there is
		{[]string{gone}, 0, []int{0}, []int{0}},
		{[]string{late}, 0, nil, nil},
		{[]string{newcomer}, 0, []int{0}, []int{0}},
		{[]string{newcomer, newcomer}, nobody, nil, nil},
		{[]string{reader, writer}, 1, []int{0}, []int{0}},
		{[]string{writer, reader}, 0, []int{1}, []int{1}},
		{[]string{writer, reader, reader}, 0, []int{1, 2}, []int{1, 2}},
		{[]string{writer, late, reader}, 0, []int{2}, []int{2}},
		{[]string{writer, unsaid, reader}, 0, []int{2}, []int{2}},
		{[]string{writer, late, unsaid}, 0, []int{0}, nil},
		{[]string{reader, down}, nobody, []int{0}, []int{0}}, // a write waits for its writer; a reader would refuse it
		{[]string{reader, reader}, nobody, []int{0, 1}, []int{0, 1}},
		{[]string{gone, down}, nobody, nil, nil},
		{[]string{gone, reader}, nobody, []int{1}, []int{1}},
		{[]string{down, writer}, 1, []int{1}, nil},
		{[]string{writer, gone}, 0, []int{0}, nil},
		{[]string{writer, newcomer}, 0, []int{0}, nil},
		{[]string{writer, writer}, nobody, nil, nil},
		{[]string{writer, writer, reader}, nobody, []int{2}, []int{2}},
	} {
		g := newGroup(Limits{}, nil, c.targets...)
		g.SetReplicas(Replicas{MaxLag: time.Second})
		for i, name := range c.targets {
			m := g.Members()[i]
			switch name {
			case writer:
				m.publish(engine.Facts{}, nil)
			case reader:
				m.publish(engine.Facts{ReadOnly: true, LagKnown: true}, nil)
			case late:
				m.publish(engine.Facts{ReadOnly: true, LagKnown: true, Lag: time.Minute}, nil)
			case unsaid:
				m.publish(engine.Facts{ReadOnly: true}, nil)
			case down:
				m.publish(engine.Facts{}, nil)
				m.publish(engine.Facts{}, refused)
			case gone:
				m.publish(engine.Facts{ReadOnly: true, LagKnown: true}, nil)
				m.publish(engine.Facts{}, refused)
			}
		}
		check := func(when string, role relay.Role, expected ...int) {
			t.Helper()
			for i, m := range g.Members() {
				if serves := slices.Contains(expected, i); slices.Contains(m.Serves(), role) != serves {
					t.Errorf("of %q, %s, role %s is to lead to %d", c.targets, when, role, expected)
				} else if serves && g.Pool(role, m.pool) != m.pool {
					t.Errorf("of %q, %s, a session of role %s does not stay at %d", c.targets, when, role, i)
				}
			}
			if got := g.Pool(role, nil); (got == nil) != (len(expected) == 0 || expected[0] == nobody) {
				t.Errorf("of %q, %s, role %s leads somewhere or nowhere", c.targets, when, role)
			}
		}
		check("", relay.ReadWrite, c.write)
		check("", relay.ReadOnly, c.read...)
		g.SetReplicas(Replicas{MaxLag: time.Second, WaitForReplica: true})
		check("without a fallback", relay.ReadWrite, c.write)
		check("without a fallback", relay.ReadOnly, c.readWaiting...)
	}
	if newGroup(Limits{}, nil).Pool(relay.ReadWrite, nil) != nil {
		t.Error("a group without targets has a pool")
	}
}

func TestATargetThatIsDownIsAskedMoreOftenAndAtLessAndLessHaste(t *testing.T) {
	for _, c := range []struct {
		reason string
		err    error
		most   time.Duration
	}{
		{Unreachable, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, retryUrgent},
		{AuthFailure, &engine.ServerError{Code: "28P01", Message: "refused"}, retryMost}, // it may lock the account
	} {
		t.Run(c.reason, func(t *testing.T) { askAgain(t, c.reason, c.err, c.most) })
	}
}

// askAgain lets the only target of a group be down for a reason, and up again.
func askAgain(t *testing.T, reason string, down error, most time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var (
			mu sync.Mutex // also for the race detector, to which sleeping is no order
			at []time.Duration
			up bool
		)
		g := newGroup(Limits{MaxPercent: 100}, func(context.Context, engine.Target) (engine.Facts, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(began))
			if up {
				return engine.Facts{MaxConnections: 10, Version: "1"}, nil
			}
			return engine.Facts{}, down
		}, "t")
		m := g.Members()[0]
		ctx := t.Context()
		go g.Run(ctx, newWorker())
		g.AwaitFirst(ctx)
		synctest.Wait()
		if h := m.Health(); h.State != Unavailable || h.Reason != reason || !strings.Contains(h.Cause, "refused") {
			t.Errorf("down: %+v", h)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		since := m.Health().Since
		if since.Sub(began) != 0 {
			t.Errorf("it is down since %s", since)
		}
		mu.Lock()
		for i := 2; i < len(at); i++ {
			if gap, last := at[i]-at[i-1], at[i-1]-at[i-2]; gap != min(2*last, most) {
				t.Errorf("probed at %v", at)
				break
			}
		}
		up = true
		mu.Unlock()
		time.Sleep(most)
		synctest.Wait()
		if h := m.Health(); h.State != Available || h.Reason != "" || h.Cause != "" || h.Since == since {
			t.Errorf("up: %+v", h)
		}
		if s := m.Pool().Stats(); s.Max != 9 {
			t.Errorf("the pool's limit is %d", s.Max)
		}
		mu.Lock()
		probes := len(at)
		mu.Unlock()
		time.Sleep(3 * g.config.Health.Interval)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(at) != probes+3 {
			t.Errorf("%d probes in three intervals", len(at)-probes)
		}
	})
}

func TestATargetThatNeverAnswersIsDownInTimeAndDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(Limits{MaxPercent: 100}, func(ctx context.Context, _ engine.Target) (engine.Facts, error) {
			<-ctx.Done()
			return engine.Facts{}, ctx.Err()
		}, "t")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.Run(ctx, newWorker()) }()
		impatient, leave := context.WithTimeout(ctx, time.Second)
		g.AwaitFirst(impatient)
		leave()
		if s := g.Members()[0].Health().State; s != Registering {
			t.Errorf("it is %s already", s)
		}
		time.Sleep(g.config.Health.Timeout)
		synctest.Wait()
		h := g.Members()[0].Health()
		if h.State != Unavailable || h.Reason != ConnectionFailed || !strings.Contains(h.Cause, "does not answer") {
			t.Errorf("hanging: %+v", h)
		}
		time.Sleep(retryFirst + time.Second) // in the middle of the next
		stop()
		<-done
		if got := g.Members()[0].Health(); got != h {
			t.Errorf("the end counted as a failure: %+v", got)
		}
	})
}
