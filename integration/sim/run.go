package sim

import (
	"fmt"
	"io"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/socket"
	"github.com/berthdb/berth/core/telemetry"
)

// config is what a seed makes up before it begins.
type config struct {
	loops, clients, sessions, batches, pipeline int

	pool        pool.Config
	timeout     time.Duration // of a borrow
	slack       time.Duration // how late anything may be
	idleTimeout time.Duration
	times       relay.TimeLimits
	rest        time.Duration // between the sessions of a client, at most
	think       time.Duration // between its requests, at most
	sleep       int           // milliseconds of a sleep, at most
	leave       int           // a client leaves in the middle of something, once in so many batches
	faults      faults
	users       []string
	pins, kills bool
	sticky      bool
	drain       bool
	resize      bool // the pools' limit changes
	targets     int  // how many; the first is the writer in the beginning
	failover    bool // others take its place
	reload      bool // limits and rules change
	pause       bool // the pools are paused
	stall       int  // a client does not read for long, once in so many batches
	mariaDB     bool // the model of MySQL is one of MariaDB
	files       bool // the server may ask MySQL's clients for files
	variant     int  // see changes
}

// often is n where a coin says so, 0 elsewhere.
func (w *world) often(n int) int {
	if w.chance(2) {
		return n
	}
	return 0
}

func configure(w *world) config {
	c := config{
		loops: w.between(1, 3), clients: w.between(2, 30), sessions: w.between(1, 4), batches: w.between(1, 25),
		pipeline: w.between(2, 12),
		pool: pool.Config{
			Max: w.between(1, 8), MaxDials: w.between(1, 4),
			MaxLifetime: time.Duration(w.often(w.between(1, 30))) * time.Second,
			IdleTimeout: time.Duration(w.often(w.between(1, 10))) * time.Second,
		},
		timeout: time.Duration(w.between(1, 8000)) * time.Millisecond,
		slack:   time.Second,
		rest:    time.Second,
		think:   time.Duration(w.between(1, 4000)) * time.Millisecond,
		sleep:   w.between(1, 1500),
		leave:   w.often(w.between(3, 60)),
		users:   []string{"ann", "bob", "eve"}[:w.between(1, 3)],
		targets: 1, reload: w.chance(3), pause: w.chance(8), stall: w.often(w.between(10, 100)),
		pins: w.chance(2), kills: w.chance(4), sticky: w.chance(3), drain: w.chance(4), resize: w.chance(4),
	}
	c.pool.MaxIdle = w.between(0, c.pool.Max)
	if w.chance(5) {
		c.timeout = 0
	}
	if w.chance(4) {
		c.idleTimeout = time.Duration(w.between(1000, 4000)) * time.Millisecond
	}
	if w.chance(4) {
		c.users = append(c.users, "nobody")
	}
	if w.chance(2) {
		c.faults = faults{
			refuseDial: w.often(3), tear: w.often(w.between(2, 8)), bye: w.often(20), slow: w.often(10),
			notice: w.often(4), cancel: w.often(3), poller: w.often(30), hang: w.often(5), stall: w.often(50), half: w.often(30),
		}
	}
	if w.chance(4) {
		c.targets, c.failover = w.between(2, 3), true
	}
	if w.chance(2) {
		c.times = relay.TimeLimits{
			Query:             time.Duration(w.often(w.between(20, 1500))) * time.Millisecond,
			Transaction:       time.Duration(w.often(w.between(300, 4000))) * time.Millisecond,
			IdleInTransaction: time.Duration(w.often(w.between(100, 2000))) * time.Millisecond,
		}
	}
	c.mariaDB, c.files = w.chance(2), w.chance(2)
	return c
}

// run is one seed's run.
type run struct {
	protocol       string
	w              *world
	config         config
	net            *network
	db             *database
	targets        []*target
	loops          []*simLoop
	workers        []*relay.Worker
	registry       *relay.Registry
	group          *group
	engine         engine.Engine
	listener       telemetry.Listener
	heads          relay.Headcount
	times          relay.Times
	strict         bool          // sessions that begin are pinned by everything
	idleTimeout    time.Duration // of clients that connect
	lastConnection int           // of a server
	clients        []*client
	order          []*transaction // that clients began
	killed         map[uint32]bool
	draining       bool
	quiet          bool // all clients have gone: nothing more is done to anybody
	lastID         uint32
	dialect        dialect
	dialer         *dialer
	visits         int           // sessions that clients began
	longest        time.Duration // that a borrow may take

	waiters map[*watched]bool
	holders map[uint64]*watched // by the backend's ID
	steps   int
}

// simulate runs a seed to its end and returns what went wrong, its trace goes to trace, if that is not nil.
//
// The garbage collector rests meanwhile: the engines keep some things for as long as anybody has them, and when that ends must not
// depend on anything but the seed.
func simulate(protocol string, seed uint64, ch changes, trace io.Writer) (*run, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	w := newWorld(seed)
	w.out = trace
	defer w.close()
	r := &run{
		w: w, protocol: protocol, config: configure(w), net: newNetwork(w), killed: make(map[uint32]bool), registry: relay.NewRegistry(),
		waiters: make(map[*watched]bool), holders: make(map[uint64]*watched),
		lastID: 1 << 20, // which no server's connection has
	}
	ch.apply(&r.config)
	w.reseed(seed, r.config.variant)
	r.longest = r.config.timeout * 2
	r.build()
	w.each = r.step
	w.log("%+v", r.config)
	for i := range r.config.clients {
		c := &client{r: r, number: i}
		r.clients = append(r.clients, c)
		c.p = w.spawn(fmt.Sprintf("client %d", i), func(*proc) { c.live(r.config.sessions) })
	}
	ended := func() bool {
		return !slices.ContainsFunc(r.clients, func(c *client) bool { return !c.p.ended })
	}
	w.run(2*time.Hour, ended)
	r.wind()
	if w.failure == nil {
		r.judge()
	}
	if w.failure != nil {
		return r, fmt.Errorf("%w\n%+v\n%s\n%s", w.failure, r.config, strings.Join(w.recent, "\n"), r.state())
	}
	return r, nil
}

// state describes what there is, for a failure.
func (r *run) state() string {
	var b strings.Builder
	for _, t := range r.targets {
		fmt.Fprintf(&b, "pool: %+v\n", t.pool.Stats())
	}
	for i, worker := range r.workers {
		worker.Visit(func(s *relay.Session) { fmt.Fprintf(&b, "session on loop %d: %+v\n", i, s.Snapshot()) })
		for s := range r.loops[i].streams {
			fmt.Fprintf(&b, "stream on loop %d: %s-%s: %d held, %d buffered, %d arriving, paused %v, parked %v, finishing %v\n",
				i, s.e.name, s.e.peer.name, len(s.held), len(s.out), s.e.waiting, s.paused, s.parked, s.finishing)
		}
	}
	for p := range r.w.procs {
		fmt.Fprintf(&b, "process: %s\n", p.name)
	}
	return b.String()
}

func (r *run) build() {
	w, c := r.w, r.config
	r.net.delay, r.net.jitter = w.upTo(5*time.Millisecond), w.upTo(2*time.Millisecond)
	r.net.space = w.between(100, 200<<10)
	r.net.poller = c.faults.poller
	r.db = newDatabase()
	d := &dialer{w: w, servers: make(map[string]*server), faults: c.faults, ids: make(map[any]int), sticky: c.sticky}
	r.dialer = d
	r.speak(d)
	ids := new(atomic.Uint64)
	for range c.targets {
		r.addTarget(ids)
	}
	r.group = &group{timeout: c.timeout}
	r.idleTimeout = c.idleTimeout
	r.times.Set(c.times)
	for i := range c.loops {
		lag := 2 * time.Millisecond
		if w.chance(4) {
			lag = 50 * time.Millisecond // it has much to do, so that much happens meanwhile
		}
		l := newLoop(r.net, i, w.upTo(lag))
		worker := relay.NewWorker(l, r.registry, func(f func()) { w.spawn("blocking call", func(*proc) { f() }) }, zerolog.Nop())
		r.loops, r.workers = append(r.loops, l), append(r.workers, worker)
		l.Post(task(worker.Begin))
	}
	r.lead(r.targets[0])
	r.tick()
	if c.resize {
		w.after(w.upTo(20*time.Second), r.resize)
	}
	if c.reload {
		w.after(w.upTo(10*time.Second), r.reload)
	}
	if c.pause {
		w.after(w.upTo(10*time.Second), r.pause)
	}
	if c.failover {
		w.after(w.upTo(10*time.Second), r.failOver)
	}
	if c.drain {
		w.after(w.upTo(40*time.Second), r.drain)
	}
}

// speak chooses the protocol.
func (r *run) speak(d *dialer) {
	switch r.protocol {
	case "postgres":
		e := newPgEngine(d)
		r.engine, r.dialect = e, pg{e}
		r.config.kills = false
	case "mysql":
		e := newMyEngine(d, r.config.mariaDB)
		r.engine, r.dialect = e, my{e, r.config.mariaDB}
	default:
		e := &lineEngine{dialer: d, known: make(map[engine.Key]bool)}
		d.state = e.adopt
		r.engine, r.dialect = e, lines{e}
	}
}

// task is a function as a task.
type task func()

func (t task) Run() { t() }

// tick does what is done all the time: the pool's janitor, the server's mischief, the checks.
func (r *run) tick() {
	l := r.loops[0]
	for _, t := range r.targets {
		l.Post(task(func() { t.pool.Tick(r.workers[0]) }))
		if !r.quiet {
			t.server.mischief(r.dialect.mischief)
		}
	}
	r.check()
	r.w.after(relay.TickEvery, r.tick)
}

func (r *run) check() {
	for _, t := range r.targets {
		if err := t.pool.Check(); err != nil {
			r.w.fail("the pool's accounts: %w", err)
		}
	}
}

// resize changes the pool's limit.
func (r *run) resize() {
	c := r.config.pool
	c.Max = r.w.between(1, 8)
	c.MaxIdle = r.w.between(0, c.Max)
	r.w.log("the limit is %d now", c.Max)
	for _, t := range r.targets {
		t.server.budget = max(t.server.budget, c.Max)
		r.loops[0].Post(task(func() {
			t.opened = max(t.opened, t.pool.Stats().Max, c.Max)
			t.pool.Configure(r.workers[0], c)
		}))
	}
}

func (r *run) drain() {
	r.w.log("draining")
	r.draining = true
	for i, l := range r.loops {
		l.Post(task(r.workers[i].Drain))
	}
}

// connect is a client's way to the proxy.
func (r *run) connect(c *client) *end {
	near, far := r.net.connect(fmt.Sprintf("client %d", c.number), "proxy")
	if r.w.chance(r.config.faults.tear) {
		near.breakAt, far.breakAt = breakAfter(r.w.between(0, 4000)), breakAfter(r.w.between(0, 4000))
	}
	r.lastID++
	r.visits++
	id := r.lastID
	i := r.w.rng.IntN(len(r.loops))
	policy := pin.Multiplex()
	if r.strict {
		policy = pin.Policy{}
	}
	front := &relay.Front{
		Group: r.group, IdleTimeout: r.idleTimeout, Counters: &r.listener, Heads: &r.heads, Times: &r.times,
	}
	if r.config.failover && r.w.chance(3) {
		front.Role = relay.ReadOnly
	}
	r.listener.ClientConnections.Inc()
	r.listener.ClientConnectionsInSetup.Inc()
	r.w.spawn("login", func(*proc) {
		conn := socket.New(far)
		a, err := r.dialect.accept(r, c, id, conn)
		if err != nil {
			r.w.log("login of client %d failed: %v", c.number, err)
			r.listener.ClientConnectionsInSetup.Dec()
			r.listener.ClientConnections.Dec()
			_ = conn.Close()
			return
		}
		a.Machine = r.watch(a.Machine, id)
		s := relay.NewSession(relay.Login{ID: id, Conn: conn, Client: a, Front: front, Policy: &policy, Address: "client"}, r.workers[i])
		r.loops[i].Post(task(func() { s.Start(conn) }))
	})
	return near
}

// cancel is a client's cancel request, which comes in d.
func (r *run) cancel(id uint32, secret []byte, d time.Duration) {
	r.w.after(d, func() {
		r.registry.Cancel(engine.CancelRequest{ID: id, Secret: secret}, func() {})
	})
}

// wind waits until all is quiet, then ends the proxy.
func (r *run) wind() {
	w := r.w
	r.quiet = true
	wait := func(d time.Duration) {
		until := w.now + d
		if w.failure == nil {
			w.run(until+time.Hour, func() bool { return w.now >= until })
		}
	}
	wait(30 * time.Second)
	if w.failure != nil {
		return
	}
	for _, t := range r.targets {
		if s := t.pool.Stats(); s.Lent != 0 || s.Waiting != 0 || s.Closing != 0 || s.Dialing != 0 {
			w.fail("at the end: %+v", s)
			return
		}
		r.loops[0].Post(task(func() { t.pool.Close(r.workers[0]) }))
	}
	wait(10 * time.Second)
}

// judge looks at what is left when all is over.
func (r *run) judge() {
	w := r.w
	for _, t := range r.targets {
		if s := t.pool.Stats(); s.Open != 0 {
			w.fail("after the end: %+v", s)
		}
		if n := len(t.server.sessions); n != 0 {
			w.fail("after the end a server has %d connections", n)
		}
	}
	for i, worker := range r.workers {
		worker.Visit(func(s *relay.Session) { w.fail("session left: %+v", s.Snapshot()) })
		l := r.loops[i]
		if l.timers.Len() != 1 || len(l.streams) != 0 {
			w.fail("loop %d has %d timers and %d streams left", i, l.timers.Len(), len(l.streams))
		}
	}
	for p := range w.procs {
		w.fail("process left: %s", p.name)
	}
	for _, c := range r.clients {
		if n, m := r.heads.Count(c.user(), "db"); n != 0 || m != 0 {
			w.fail("after the end %d sessions of %s are counted, and %d of the database", n, c.user(), m)
		}
	}
	counted := []any{&r.listener}
	for _, t := range r.targets {
		counted = append(counted, &t.counters)
	}
	for _, counters := range counted {
		v := reflect.ValueOf(counters).Elem()
		for i := range v.NumField() {
			if g, ok := v.Field(i).Addr().Interface().(*telemetry.Gauge); ok && g.Value() != 0 {
				w.fail("%s is %d at the end", v.Type().Field(i).Name, g.Value())
			}
		}
	}
	r.audit()
}
