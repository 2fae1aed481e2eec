package target

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/telemetry"
)

// Limits are a group's connection pool settings, for each of its targets.
type Limits struct {
	MaxPercent     int // of the server's max_connections
	MaxConnections int // an absolute limit instead, 0: the percentage
	MaxIdlePercent int // of the server's max_connections, or of MaxConnections
	BorrowTimeout  time.Duration
	MaxLifetime    time.Duration
	IdleTimeout    time.Duration
	MaxDials       int
	Rotate         bool // see pool.Config
}

// Config is what a group is made of. It is immutable: what SetLimits and SetRules change is elsewhere.
type Config struct {
	Name    string
	Engine  engine.Engine
	Targets []engine.Target // those of the beginning, see SetTargets
	// Discovery is how others are found, if it has a source. Targets are used until its first answer.
	Discovery Discovery
	Limits    Limits
	Health    HealthCheck
	Rules     Rules
	// Replicas are those of the beginning, see SetReplicas.
	Replicas Replicas
}

// HealthCheck is how a group's targets are watched. Zero values mean 2 s and 3 s.
type HealthCheck struct {
	Interval time.Duration // between two questions to a target that is up; more than 20 ms
	Timeout  time.Duration // for an answer, and for the login of a monitoring connection with its first answer
}

func (h HealthCheck) withDefaults() HealthCheck {
	if h.Interval == 0 {
		h.Interval = 2 * time.Second
	}
	if h.Timeout == 0 {
		h.Timeout = 3 * time.Second
	}
	return h
}

// Rules are what a session of the group goes by from its beginning to its end. They are immutable.
type Rules struct {
	Policy pin.Policy
	Unseen engine.Unseen
}

// Group is a target group. It implements relay.Group; any goroutine may use it.
type Group struct {
	config  Config
	ids     *atomic.Uint64
	roster  atomic.Pointer[roster]
	policy  atomic.Pointer[pin.Policy]
	limits  atomic.Pointer[Limits]
	paused  atomic.Bool // changed on one worker's loop only
	watched atomic.Bool // what its targets say matters: several of them are asked for as long as they are there
	route   atomic.Pointer[route]
	writes  writes
	workers []*relay.Worker // set by Run, before monitors begin; the first is where pools are reconfigured
	log     zerolog.Logger

	mu       sync.Mutex // for what the monitors found and who the members are: of members what says so, and
	disputed bool       // several targets say that they are the writer
	replicas Replicas
	running  context.Context // Run's, nil before and after it
	retired  bool
	// viewChanged is called when a target tells of other servers than before; nil: nobody listens.
	viewChanged func()

	discovered atomic.Pointer[Discovered] // nil: there is no source
	found      chan struct{}              // closed when the source has been asked for the first time
	once       sync.Once                  // closes it

	monitors sync.WaitGroup
}

// Member is one target of a group.
type Member struct {
	group  *Group
	target engine.Target
	pool   *relay.Pool
	health atomic.Pointer[Health]
	probed chan struct{} // closed when it was asked for the first time
	once   sync.Once
	wake   chan struct{} // tells the monitor to ask
	log    zerolog.Logger
	closed atomic.Bool // its pool is, because it left
	keep   keepingUp
	moves  atomic.Uint32 // how often another server was found at its address
	// refused says that it took no writes from a session since it was asked last.
	refused atomic.Bool

	// The monitor's.

	watch   engine.Watch // its connection, nil if there is none
	crowded bool         // there was no place for one
	yielded time.Time    // when the pool made one last
	looked  time.Time    // when it was looked last whether another server answers at the address
	renewal renewal

	// Under the group's lock.

	stop context.CancelFunc // ends its monitor

	last    observation
	told    time.Time   // when it answered last
	answers int         // that it gave
	asked   int         // of them, since the writer is disputed
	replica bool        // it was seen to be no writer since it was the group's last
	led     bool        // it was seen to be one at all
	risen   time.Time   // since when it answers
	falls   []time.Time // when it was lost of late
	fresh   time.Time   // up to when it has everything, as far as is known
	lagging bool        // it is too far behind
	view    *view       // what it told of its cluster last, nil: nothing yet
}

var _ relay.Group = (*Group)(nil)

// New makes a group. ids numbers backends over the whole process.
func New(c Config, ids *atomic.Uint64, log zerolog.Logger) *Group {
	c.Health = c.Health.withDefaults()
	log = log.With().Str("target_group", c.Name).Logger()
	g := &Group{config: c, log: log, replicas: c.Replicas, ids: ids}
	g.writes.init(c.Replicas)
	g.watched.Store(len(c.Targets) > 1 || c.Discovery.Source != nil || c.Discovery.Survey != nil || c.Replicas.MaxLag > 0)
	g.found = make(chan struct{})
	if s := c.Discovery.Survey; s != nil {
		g.config.Discovery.Source = &surveyed{Survey: s, group: g}
		c = g.config
	}
	if c.Discovery.Source != nil {
		g.discovered.Store(&Discovered{Source: c.Discovery.Source.String()})
	} else {
		close(g.found)
	}
	g.SetRules(c.Rules)
	g.limits.Store(&c.Limits)
	r := &roster{}
	for _, t := range c.Targets {
		r.members = append(r.members, g.newMember(t, &telemetry.Target{TargetGroup: c.Name, Target: t.Name}))
	}
	g.roster.Store(r)
	g.route.Store(&route{})
	if g.solo() {
		g.route.Store(g.only(r.members[0]))
	}
	return g
}

// pool turns limits into a pool's, for a server with these facts. Without facts a percentage allows nothing yet: how
// many connections the server takes is not known.
//
// fresh says that beside the monitor there is a connection that asks how far the target is. watched says that the monitor must not wait
// until the pool has a place left.
func (l Limits) pool(f engine.Facts, fresh, watched bool) pool.Config {
	asking := asking(fresh)
	c := pool.Config{MaxDials: l.MaxDials, MaxLifetime: l.MaxLifetime, IdleTimeout: l.IdleTimeout, Rotate: l.Rotate}
	if l.MaxConnections > 0 {
		c.Max, c.Kept = l.MaxConnections, asking
		if watched {
			c.Kept += monitoring
		}
		c.Kept = min(c.Kept, l.MaxConnections-1)
		c.MaxIdle = l.MaxConnections * l.MaxIdlePercent / 100
		return c
	}
	if f.MaxConnections == 0 {
		return c
	}
	c.Max = max(1, min(f.MaxConnections*l.MaxPercent/100, f.MaxConnections-f.Reserved)-monitoring-asking)
	c.MaxIdle = min(c.Max, f.MaxConnections*l.MaxIdlePercent/100)
	return c
}

// monitoring is the monitor's own connection.
const monitoring = 1

// asking is the connection that asks how far the target is, if there is one.
func asking(fresh bool) int {
	if fresh {
		return 1
	}
	return 0
}

// keeps says whether a hard limit leaves a place for the monitor beside that for the connection which asks how far the target is and one for
// sessions.
func (l Limits) keeps(fresh bool) bool { return l.MaxConnections > asking(fresh)+monitoring }

// accounts are the limits of a pool whose server says f.
func (g *Group) accounts(f engine.Facts) pool.Config {
	return g.limits.Load().pool(f, g.writes.on.Load(), g.watched.Load())
}

// Name returns the group's name.
func (g *Group) Name() string { return g.config.Name }

// SetRules changes the rules for sessions that begin from now on.
func (g *Group) SetRules(r Rules) {
	g.policy.Store(&r.Policy)
	if e, ok := g.config.Engine.(engine.UnseenSetter); ok {
		e.SetUnseen(r.Unseen)
	}
}

// SetLimits changes the limits: where there are too many connections now, the idle ones are closed at once and the others
// as they come back. It runs on w's loop, which is where pools are configured.
func (g *Group) SetLimits(l Limits, w *relay.Worker) {
	g.limits.Store(&l)
	for _, m := range g.roster.Load().all() {
		m.pool.Configure(w, g.accounts(m.Health().Facts))
	}
}

// Limits returns the limits that are in effect.
func (g *Group) Limits() Limits { return *g.limits.Load() }

// Policy returns the policy for a session that begins.
func (g *Group) Policy() *pin.Policy { return g.policy.Load() }

// Engine returns the engine that speaks for the group.
func (g *Group) Engine() engine.Engine { return g.config.Engine }

// BorrowTimeout implements relay.Group.
func (g *Group) BorrowTimeout() time.Duration { return g.limits.Load().BorrowTimeout }

// Run asks the group's targets until ctx ends. The sessions of ws follow where the roles lead; pools are reconfigured on the
// first of them.
func (g *Group) Run(ctx context.Context, ws ...*relay.Worker) {
	g.mu.Lock()
	g.workers, g.running, g.retired = ws, ctx, false
	g.writes.told = nil
	for _, w := range ws {
		g.writes.told = append(g.writes.told, &caughtUp{worker: w, group: g})
	}
	g.monitors.Go(func() { g.followWriter(ctx) })
	for _, m := range g.Members() {
		g.begin(m)
	}
	if g.config.Discovery.Source != nil {
		g.monitors.Go(func() { g.discover(ctx) })
	}
	g.mu.Unlock()
	<-ctx.Done()
	g.mu.Lock()
	g.running = nil
	g.mu.Unlock()
	g.monitors.Wait()
}

// Retire says instead of Run that no listener leads to the group: nobody asks its targets.
func (g *Group) Retire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.retired = true
	if g.config.Discovery.Source != nil {
		g.once.Do(func() { close(g.found) })
	}
	for _, m := range g.Members() {
		m.retire()
	}
}

func (m *Member) retire() {
	m.health.Store(&Health{State: Unused, Cause: "no listener leads to this target group", Since: time.Now()})
	m.once.Do(func() { close(m.probed) })
}

// Target returns the member's server.
func (m *Member) Target() engine.Target { return m.target }

// Pool returns the member's pool.
func (m *Member) Pool() *relay.Pool { return m.pool }

// Health returns what the monitor last found.
func (m *Member) Health() Health { return *m.health.Load() }

// AwaitFirst waits until every target was found and asked once, or until ctx ends.
func (g *Group) AwaitFirst(ctx context.Context) {
	select {
	case <-g.found:
	case <-ctx.Done():
		return
	}
	for _, m := range g.Members() {
		select {
		case <-m.probed:
		case <-ctx.Done():
			return
		}
	}
}
