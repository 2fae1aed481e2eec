package core

import (
	"context"
	"errors"
	"net"
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
	Loops        int           // event loops, 0: one per processor that the process may use
	MaxLogins    int           // logins at work at once, 0: as many as processors
	DrainTimeout time.Duration // how long transactions may go on after Run's context has ended
	// HandOverTimeout is how long sessions may go on after HandOver, before they are drained.
	HandOverTimeout time.Duration
	// Listen opens the socket of a listener, by its name and address; nil: net.Listen.
	Listen    func(name, address string) (net.Listener, error)
	Log       zerolog.Logger
	PinsAsRDS bool // the log speaks of pins as RDS Proxy does
}

// Proxy is a running Berth.
type Proxy struct {
	config    Config
	registry  *relay.Registry
	loops     []*loop.Poll
	workers   []*relay.Worker
	turn      atomic.Uint32
	gate      gate
	pins      *relay.Pins
	ready     chan struct{}
	accepting atomic.Bool // the listeners accept
	draining  atomic.Bool // and they do not any more
	log       zerolog.Logger

	handing    bool          // no pause may begin; of the first worker's loop
	handedOver chan struct{} // closed by HandOver
	once       sync.Once     // closes it

	lineup   atomic.Pointer[lineup]
	changing sync.Mutex // who replaces lineup has it
	// What a change starts lives in these. The contexts are set by Run.
	until      context.Context // Run's
	logging    context.Context // of logins
	monitors   context.Context
	watched    map[*target.Group]context.CancelFunc // under changing
	doors      sync.WaitGroup
	logins     sync.WaitGroup
	monitoring sync.WaitGroup
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
		pins: relay.NewPins(c.PinsAsRDS, c.Log), watched: map[*target.Group]context.CancelFunc{}, handedOver: make(chan struct{}),
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
	first := &lineup{groups: c.Groups}
	for _, lc := range c.Listeners {
		first.listeners = append(first.listeners, newListener(p, lc, nil))
	}
	p.lineup.Store(first)
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

// Run opens the listeners and serves until ctx ends, or until another process has taken over, then drains: what is between requests ends at once, transactions
// get DrainTimeout. It returns when everything of the proxy has stopped.
func (p *Proxy) Run(ctx context.Context) error {
	// The runtime needs a processor beside the loops: with as many as loops, a query costs a third more CPU.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), len(p.loops)+1))
	var loops sync.WaitGroup
	for i, l := range p.loops {
		loops.Go(l.Run)
		p.on(p.workers[i], p.workers[i].Begin)
	}
	var stopMonitors context.CancelFunc
	p.monitors, stopMonitors = context.WithCancel(context.Background())
	p.watch(p.lineup.Load())
	ticker := &ticker{proxy: p}
	p.on(p.workers[0], ticker.start)

	err := p.serve(ctx)

	stopMonitors()
	p.monitoring.Wait()
	p.closePools()
	for _, l := range p.loops {
		l.Stop()
	}
	loops.Wait()
	return err
}

// serve opens the listeners, accepts until ctx ends, and drains.
func (p *Proxy) serve(ctx context.Context) error {
	if err := p.open(); err != nil {
		return err
	}
	p.awaitTargets(ctx)
	var stopLogins context.CancelFunc
	p.until = ctx
	p.logging, stopLogins = context.WithCancel(context.Background())
	defer stopLogins()
	if ctx.Err() == nil {
		for _, l := range p.lineup.Load().listeners {
			p.doors.Go(func() { l.door.run(ctx, p.logging) })
		}
		p.accepting.Store(true)
		close(p.ready)
		select {
		case <-ctx.Done():
		case <-p.handedOver:
		}
	}
	p.shut()
	p.doors.Wait()
	if ctx.Err() == nil {
		p.outlive(ctx)
	}
	stopLogins() // they are told, and cannot hold up the drain
	p.drain()
	return nil
}

// open opens the doors of all listeners, or none.
func (p *Proxy) open() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	old := p.lineup.Load()
	next := &lineup{groups: old.groups}
	var errs []error
	for _, l := range old.listeners {
		l = newListener(p, l.config, l)
		d, err := openDoor(l)
		l.door = d
		errs = append(errs, err)
		next.listeners = append(next.listeners, l)
	}
	err := errors.Join(errs...)
	if err == nil {
		p.lineup.Store(next)
		for _, l := range next.listeners {
			l.moveIn()
		}
		return nil
	}
	for _, l := range next.listeners {
		if l.door != nil {
			l.door.close()
		}
	}
	return err
}

// shut closes all doors, for good.
func (p *Proxy) shut() {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.draining.Store(true)
	p.accepting.Store(false)
	for _, l := range p.lineup.Load().listeners {
		l.door.close()
	}
}

// awaitTargets waits for the first answer of every target, within reason. Clients that come meanwhile wait in the
// kernel's queue.
func (p *Proxy) awaitTargets(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, firstProbeWithin)
	defer stop()
	for _, g := range p.lineup.Load().groups {
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
	p.logins.Wait() // so that no session begins after all were told to end
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
	for _, l := range p.lineup.Load().allListeners() {
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
	for _, g := range p.lineup.Load().allGroups() {
		p.on(w, func() { g.Close(w) })
	}
	for deadline := time.Now().Add(stopWithin); time.Now().Before(deadline); time.Sleep(drainPoll) {
		open := 0
		for _, g := range p.lineup.Load().allGroups() {
			open += g.Open()
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
	proxy *Proxy
	timer loop.Timer
}

func (t *ticker) start() {
	t.timer.Task = t
	t.Run()
}

func (t *ticker) Run() {
	w := t.proxy.workers[0]
	w.Loop().Schedule(&t.timer, relay.TickEvery) // first: a panic must not be the last tick
	for _, g := range t.proxy.lineup.Load().allGroups() {
		g.Tick(w)
	}
	t.proxy.pins.Tick()
	t.proxy.bury()
}
