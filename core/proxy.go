package core

import (
	"context"
	"errors"
	"runtime"
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
	Loops        int           // event loops, 0: one per processor
	MaxLogins    int           // logins at work at once, 0: as many as processors
	DrainTimeout time.Duration // how long transactions may go on after Run's context has ended
	Log          zerolog.Logger
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
	ready     chan struct{}
	opened    atomic.Bool // the listeners have their sockets
	accepting atomic.Bool // and the proxy does not drain
	log       zerolog.Logger
}

// New makes a proxy; Run runs it.
func New(c Config) (*Proxy, error) {
	if c.Loops <= 0 {
		c.Loops = runtime.NumCPU()
	}
	if c.MaxLogins <= 0 {
		c.MaxLogins = runtime.NumCPU()
	}
	p := &Proxy{
		config: c, registry: relay.NewRegistry(), gate: newGate(c.MaxLogins), ready: make(chan struct{}), log: c.Log,
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
	return p.workers[int(p.turn.Add(1))%len(p.workers)]
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
		monitoring.Go(func() { g.Run(monitors, p.workers[0]) })
	}
	ticker := &ticker{worker: p.workers[0], groups: p.config.Groups}
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

// serve opens the listeners, accepts until ctx ends, and drains.
func (p *Proxy) serve(ctx context.Context) error {
	first, stop := context.WithTimeout(ctx, firstProbeWithin)
	for _, g := range p.config.Groups {
		g.AwaitFirst(first)
	}
	stop()
	var accepting sync.WaitGroup
	logins, stopLogins := context.WithCancel(context.Background())
	defer stopLogins()
	var errs []error
	for _, l := range p.listeners {
		errs = append(errs, l.open())
	}
	err := errors.Join(errs...)
	if err == nil {
		for _, l := range p.listeners {
			accepting.Go(func() { _ = l.run(logins) })
		}
		p.opened.Store(true)
		p.accepting.Store(true)
		close(p.ready)
		<-ctx.Done()
		p.accepting.Store(false)
	}
	for _, l := range p.listeners {
		if l.socket != nil {
			_ = l.socket.Close()
		}
	}
	accepting.Wait()
	p.drain()
	stopLogins()
	for _, l := range p.listeners {
		l.logins.Wait()
	}
	return err
}

// drain lets sessions end: at a boundary until DrainTimeout, then at once.
func (p *Proxy) drain() {
	p.log.Info().Dur("timeout", p.config.DrainTimeout).Msg("draining")
	for _, w := range p.workers {
		p.on(w, w.Drain)
	}
	if p.emptyWithin(p.config.DrainTimeout) {
		return
	}
	for _, w := range p.workers {
		p.on(w, func() { w.StopAll(engine.ErrShutdown) })
	}
	p.emptyWithin(stopWithin)
}

// emptyWithin waits until no client is left, and says whether that came true.
func (p *Proxy) emptyWithin(d time.Duration) bool {
	for deadline := time.Now().Add(d); ; time.Sleep(drainPoll) {
		var n int64
		for _, l := range p.listeners {
			n += l.counters.ClientConnections.Value()
		}
		if n == 0 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
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
	if w.Loop().Post(call(func() { f(); close(done) })) {
		<-done
	}
}

type call func()

func (c call) Run() { c() }

// ticker runs the pools' janitors on one loop.
type ticker struct {
	worker *relay.Worker
	groups []*target.Group
	timer  loop.Timer
}

func (t *ticker) start() {
	t.timer.Task = t
	t.Run()
}

func (t *ticker) Run() {
	for _, g := range t.groups {
		for _, m := range g.Members() {
			m.Pool().Tick(t.worker)
		}
	}
	t.worker.Loop().Schedule(&t.timer, relay.TickEvery)
}
