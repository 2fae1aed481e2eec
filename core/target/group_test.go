package target

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
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
	probe func(context.Context, engine.Target) (engine.Facts, error)
}

func (*probed) Name() string { return "probed" }

func (p *probed) Probe(ctx context.Context, t engine.Target) (engine.Facts, error) {
	return p.probe(ctx, t)
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
		if got := c.limits.pool(c.facts); got.Max != c.max || got.MaxIdle != c.idle {
			t.Errorf("%+v of %+v: max %d, idle %d; expected %d, %d", c.limits, c.facts, got.Max, got.MaxIdle, c.max, c.idle)
		}
	}
}

func TestARoleGetsTheTargetThatSuitsItBest(t *testing.T) {
	const (
		newcomer = "new"
		writer   = "writer"
		reader   = "reader"
		down     = "down"
		gone     = "gone reader"
	)
	healths := map[string]Health{
		newcomer: {State: Registering},
		writer:   {State: Available},
		reader:   {State: Available, Facts: engine.Facts{ReadOnly: true}},
		down:     {State: Unavailable},
		gone:     {State: Unavailable, Facts: engine.Facts{ReadOnly: true}},
	}
	for _, c := range []struct {
		targets     []string
		write, read int
	}{
		{[]string{writer}, 0, 0},
		{[]string{reader}, 0, 0},
		{[]string{gone}, 0, 0},
		{[]string{newcomer, newcomer}, 0, 0},
		{[]string{reader, writer}, 1, 0},
		{[]string{writer, reader}, 0, 1},
		{[]string{writer, writer}, 0, 0},
		{[]string{reader, down}, 1, 0}, // a write waits for its writer; a reader would refuse it
		{[]string{gone, down}, 1, 0},
		{[]string{gone, reader}, 1, 1},
		{[]string{down, writer}, 1, 1},
		{[]string{writer, gone}, 0, 0},
	} {
		g := newGroup(Limits{}, nil, c.targets...)
		for i, name := range c.targets {
			h := healths[name]
			g.members[i].health.Store(&h)
		}
		for role, expected := range map[relay.Role]int{relay.ReadWrite: c.write, relay.ReadOnly: c.read} {
			if g.Pool(role) != g.members[expected].pool {
				t.Errorf("of %q another target than %d gets role %s", c.targets, expected, role)
			}
		}
	}
	if newGroup(Limits{}, nil).Pool(relay.ReadWrite) != nil {
		t.Error("a group without targets has a pool")
	}
}

func TestATargetThatIsDownIsAskedMoreOftenAndAtLessAndLessHaste(t *testing.T) {
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
			return engine.Facts{}, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}, "t")
		m := g.Members()[0]
		ctx := t.Context()
		go g.Run(ctx, newWorker())
		g.AwaitFirst(ctx)
		synctest.Wait()
		if h := m.Health(); h.State != Unavailable || h.Reason != Unreachable || h.Cause == "" {
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
			if gap, last := at[i]-at[i-1], at[i-1]-at[i-2]; gap != min(2*last, retryMost) {
				t.Errorf("probed at %v", at)
				break
			}
		}
		up = true
		mu.Unlock()
		time.Sleep(retryMost)
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
		time.Sleep(3 * probeEvery)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(at) != probes+3 {
			t.Errorf("%d probes in three intervals", len(at)-probes)
		}
	})
}

func TestAProbeThatHangsIsAFailureInTimeAndDoesNotHoldUpTheEnd(t *testing.T) {
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
		time.Sleep(probeWithin)
		synctest.Wait()
		if h := g.Members()[0].Health(); h.State != Unavailable {
			t.Errorf("hanging: %+v", h)
		}
		time.Sleep(retryFirst) // in the middle of the next
		stop()
		<-done
		if h := g.Members()[0].Health(); h.Cause != context.DeadlineExceeded.Error() {
			t.Errorf("the end counted as a failure: %s", h.Cause)
		}
	})
}

func TestReasonsAreRDSProxysWords(t *testing.T) {
	for _, c := range []struct {
		err    error
		reason string
	}{
		{errors.New("refused"), Unreachable},
		{context.DeadlineExceeded, Unreachable},
		{engine.ErrNoCredential, AuthFailure},
		{&engine.DialError{Err: engine.ErrDenied}, AuthFailure},
		{&engine.DialError{Err: &engine.ServerError{Code: "28P01"}}, AuthFailure},
		{&engine.ServerError{Code: "28000", Number: 1045}, AuthFailure},
		{&engine.ServerError{Code: "53300"}, ConnectionFailed},
		{&engine.ServerError{Code: "28"}, ConnectionFailed},
	} {
		if got := reasonOf(c.err); got != c.reason {
			t.Errorf("%v: %s, expected %s", c.err, got, c.reason)
		}
	}
}
