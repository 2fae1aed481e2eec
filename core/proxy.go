package core

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
)

const (
	// firstProbeWithin is how long the listeners wait for the targets' first answer before they open all the same.
	firstProbeWithin = 3 * time.Second
	// stopWithin is how long sessions that are told to end at once may take.
	stopWithin = 6 * time.Second
	// drainPoll is how often a draining proxy looks whether it is done.
	drainPoll = 20 * time.Millisecond
)

// Config is what a proxy is made of. It is immutable.
type Config struct {
	Groups       []*target.Group
	Listeners    []ListenerConfig
	Loops        int           // event loops, 0: one per processor that the process may use
	MaxLogins    int           // logins at work at once, 0: as many as processors
	DrainTimeout time.Duration // how long transactions may go on after Run's context has ended
	Log          zerolog.Logger
	PinsAsRDS    bool // the log speaks of pins as RDS Proxy does
}

// Proxy is a running Berth.
type Proxy struct {
	config    Config
	registry  *relay.Registry
	loops     []*loop.Poll
	workers   []*relay.Worker
	turn      atomic.Uint32
	listeners []*listener
	gate      gate
	pins      *relay.Pins
	ready     chan struct{}
	opened    atomic.Bool // the listeners have their sockets
	accepting atomic.Bool // and they accept
	draining  atomic.Bool // and they do not any more
	log       zerolog.Logger
}

// New makes a proxy; Run runs it.
func New(c Config) (*Proxy, error) {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.MaxLogins <= 0 {
		c.MaxLogins = runtime.GOMAXPROCS(0)
	}
	p := &Proxy{
		config: c, registry: relay.NewRegistry(), gate: newGate(c.MaxLogins), ready: make(chan struct{}), log: c.Log,
		pins: relay.NewPins(c.PinsAsRDS, c.Log),
	}
	panicked := loop.Options{Panicked: func(value any, stack []byte) {
		c.Log.Error().Any("panic", value).Bytes("stack", stack).Msg("BUG: a session or task panicked")
	}}
	for i := range c.Loops {
		l, err := loop.New(i, panicked)
		if err != nil {
			p.stopLoops()
			return nil, err
		}
		p.loops = append(p.loops, l)
		p.workers = append(p.workers, relay.NewWorker(l, p.registry, nil, c.Log))
	}
	for _, lc := range c.Listeners {
		p.listeners = append(p.listeners, newListener(p, lc))
	}
	return p, nil
}

// stopLoops ends loops that were made and never ran.
func (p *Proxy) stopLoops() {
	for _, l := range p.loops {
		l.Stop()
		l.Run() // frees what New took
	}
}

// Ready is closed when every listener accepts.
func (p *Proxy) Ready() <-chan struct{} { return p.ready }

// nextWorker spreads sessions over the loops evenly.
func (p *Proxy) nextWorker() *relay.Worker {
	return p.workers[p.turn.Add(1)%uint32(len(p.workers))]
}

// Run opens the listeners and serves until ctx ends, then drains: what is between requests ends at once, transactions
// get DrainTimeout. It returns when everything of the proxy has stopped.
func (p *Proxy) Run(ctx context.Context) error {
	// The runtime needs a processor beside the loops: with as many as loops, a query costs a third more CPU.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), len(p.loops)+1))
	var loops sync.WaitGroup
	for i, l := range p.loops {
		loops.Go(l.Run)
		p.on(p.workers[i], p.workers[i].Begin)
	}
	monitors, stopMonitors := context.WithCancel(context.Background())
	var monitoring sync.WaitGroup
	for _, g := range p.config.Groups {
		if !p.leadsTo(g) {
			g.Retire()
			continue
		}
		monitoring.Go(func() { g.Run(monitors, p.workers...) })
	}
	ticker := &ticker{worker: p.workers[0], groups: p.config.Groups, pins: p.pins}
	p.on(p.workers[0], ticker.start)

	err := p.serve(ctx)

	stopMonitors()
	monitoring.Wait()
	p.closePools()
	for _, l := range p.loops {
		l.Stop()
	}
	loops.Wait()
	return err
}

// leadsTo says whether g is behind any listener.
func (p *Proxy) leadsTo(g *target.Group) bool {
	return slices.ContainsFunc(p.config.Listeners, func(l ListenerConfig) bool { return l.Group == g })
}

// serve opens the listeners, accepts until ctx ends, and drains.
func (p *Proxy) serve(ctx context.Context) error {
	var errs []error
	for _, l := range p.listeners {
		errs = append(errs, l.open())
		defer l.close()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.opened.Store(true)
	p.awaitTargets(ctx)
	logins, stopLogins := context.WithCancel(context.Background())
	defer stopLogins()
	var accepting sync.WaitGroup
	if ctx.Err() == nil {
		for _, l := range p.listeners {
			accepting.Go(func() { l.run(ctx, logins) })
		}
		p.accepting.Store(true)
		close(p.ready)
		<-ctx.Done()
	}
	p.draining.Store(true)
	p.accepting.Store(false)
	for _, l := range p.listeners {
		l.close()
	}
	accepting.Wait()
	stopLogins() // they are told, and cannot hold up the drain
	p.drain()
	return nil
}

// awaitTargets waits for the first answer of every target, within reason. Clients that come meanwhile wait in the
// kernel's queue.
func (p *Proxy) awaitTargets(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, firstProbeWithin)
	defer stop()
	for _, g := range p.config.Groups {
		g.AwaitFirst(ctx)
	}
}

// drain lets sessions end: at a boundary until DrainTimeout, then at once. Logins were told to stop.
func (p *Proxy) drain() {
	p.log.Info().Dur("timeout", p.config.DrainTimeout).Int64("clients", p.clients()).Msg("draining")
	deadline := time.Now().Add(p.config.DrainTimeout)
	for _, w := range p.workers {
		p.on(w, w.Drain)
	}
	for _, l := range p.listeners {
		l.logins.Wait() // so that no session begins after all were told to end
	}
	if !p.emptyBy(deadline) {
		p.log.Warn().Int64("clients", p.clients()).Msg("drain timeout: ending the remaining sessions")
		for _, w := range p.workers {
			p.on(w, func() { w.StopAll(engine.ErrShutdown) })
		}
		p.emptyBy(time.Now().Add(stopWithin))
	}
	p.log.Info().Msg("drained")
}

// clients returns how many clients are connected.
func (p *Proxy) clients() (n int64) {
	for _, l := range p.listeners {
		n += l.counters.ClientConnections.Value()
	}
	return n
}

// emptyBy waits until no client is left, and says whether that came true.
func (p *Proxy) emptyBy(deadline time.Time) bool {
	for p.clients() > 0 {
		if !time.Now().Before(deadline) {
			return false
		}
		time.Sleep(min(drainPoll, time.Until(deadline)))
	}
	return true
}

func (p *Proxy) closePools() {
	w := p.workers[0]
	for _, g := range p.config.Groups {
		for _, m := range g.Members() {
			p.on(w, func() { m.Pool().Close(w) })
		}
	}
	for deadline := time.Now().Add(stopWithin); time.Now().Before(deadline); time.Sleep(drainPoll) {
		open := 0
		for _, g := range p.config.Groups {
			for _, m := range g.Members() {
				open += m.Pool().Stats().Open
			}
		}
		if open == 0 {
			return
		}
	}
}

// on runs f on w's loop and waits for it.
func (p *Proxy) on(w *relay.Worker, f func()) {
	done := make(chan struct{})
	if w.Loop().Post(call(func() {
		defer close(done) // even if f panics, which the loop survives
		f()
	})) {
		<-done
	}
}

type call func()

func (c call) Run() { c() }

// ticker does what is due now and then, on one loop.
type ticker struct {
	worker *relay.Worker
	groups []*target.Group
	pins   *relay.Pins
	timer  loop.Timer
}

func (t *ticker) start() {
	t.timer.Task = t
	t.Run()
}

func (t *ticker) Run() {
	t.worker.Loop().Schedule(&t.timer, relay.TickEvery) // first: a panic must not be the last tick
	for _, g := range t.groups {
		for _, m := range g.Members() {
			m.Pool().Tick(t.worker)
		}
	}
	t.pins.Tick()
}
