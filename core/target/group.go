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

// Config is what a group is made of. It is immutable.
type Config struct {
	Name    string
	Engine  engine.Engine
	Targets []engine.Target
	Limits  Limits
	Rules   Rules
}

// Rules are what a session of the group goes by from its beginning to its end. They are immutable.
type Rules struct {
	Policy pin.Policy
	Unseen engine.Unseen
}

// Group is a target group. It implements relay.Group; any goroutine may use it.
type Group struct {
	config  Config
	members []*Member
	policy  atomic.Pointer[pin.Policy]
	paused  atomic.Bool // changed on one worker's loop only
}

// Member is one target of a group.
type Member struct {
	group  *Group
	target engine.Target
	pool   *relay.Pool
	health atomic.Pointer[Health]
	probed chan struct{} // closed after the first probe
	once   sync.Once
	log    zerolog.Logger
}

var _ relay.Group = (*Group)(nil)

// New makes a group. ids numbers backends over the whole process.
func New(c Config, ids *atomic.Uint64, log zerolog.Logger) *Group {
	g := &Group{config: c}
	g.SetRules(c.Rules)
	log = log.With().Str("target_group", c.Name).Logger()
	for _, t := range c.Targets {
		counters := &telemetry.Target{TargetGroup: c.Name, Target: t.Name}
		m := &Member{group: g, target: t, probed: make(chan struct{}), log: log.With().Str("target", t.Name).Logger()}
		m.pool = relay.NewPool(c.Engine, t, c.Limits.pool(engine.Facts{}), counters, ids, log)
		m.health.Store(&Health{State: Registering})
		g.members = append(g.members, m)
	}
	return g
}

// pool turns limits into a pool's, for a server with these facts. Without facts a percentage allows nothing yet: how
// many connections the server takes is not known.
func (l Limits) pool(f engine.Facts) pool.Config {
	c := pool.Config{MaxDials: l.MaxDials, MaxLifetime: l.MaxLifetime, IdleTimeout: l.IdleTimeout, Rotate: l.Rotate}
	if l.MaxConnections > 0 {
		c.Max = l.MaxConnections
		c.MaxIdle = l.MaxConnections * l.MaxIdlePercent / 100
		return c
	}
	if f.MaxConnections == 0 {
		return c
	}
	const monitoring = 1 // the monitor's own connection
	c.Max = max(1, min(f.MaxConnections*l.MaxPercent/100, f.MaxConnections-f.Reserved)-monitoring)
	c.MaxIdle = min(c.Max, f.MaxConnections*l.MaxIdlePercent/100)
	return c
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

// Policy returns the policy for a session that begins.
func (g *Group) Policy() *pin.Policy { return g.policy.Load() }

// Engine returns the engine that speaks for the group.
func (g *Group) Engine() engine.Engine { return g.config.Engine }

// Members returns the group's targets.
func (g *Group) Members() []*Member { return g.members }

// BorrowTimeout implements relay.Group.
func (g *Group) BorrowTimeout() time.Duration { return g.config.Limits.BorrowTimeout }

// Pool implements relay.Group: the first of the targets that suit the role best.
func (g *Group) Pool(role relay.Role) *relay.Pool {
	var best *Member
	most := unsuited
	for _, m := range g.members {
		if s := m.health.Load().suits(role); best == nil || s > most {
			best, most = m, s
		}
	}
	if best == nil {
		return nil
	}
	return best.pool
}

// suitability is how well a target suits a role.
type suitability uint8

const (
	unsuited  suitability = iota
	misplaced             // it would refuse to write: for a group that has nothing else
	hoped                 // it is down: borrows wait for it
	fallback              // a writer serves reads while no reader does
	suited
)

func (h *Health) suits(role relay.Role) suitability {
	up, reader := h.State == Available, h.Facts.ReadOnly
	switch {
	case role == relay.ReadWrite && reader && up:
		return misplaced
	case role == relay.ReadWrite && reader:
		return unsuited
	case !up:
		return hoped
	case role == relay.ReadOnly && !reader:
		return fallback
	}
	return suited
}

// Run probes the group's targets until ctx ends. w is where pools are reconfigured.
func (g *Group) Run(ctx context.Context, w *relay.Worker) {
	var wg sync.WaitGroup
	for _, m := range g.members {
		wg.Go(func() { m.monitor(ctx, w) })
	}
	wg.Wait()
}

// Target returns the member's server.
func (m *Member) Target() engine.Target { return m.target }

// Pool returns the member's pool.
func (m *Member) Pool() *relay.Pool { return m.pool }

// Health returns what the monitor last found.
func (m *Member) Health() Health { return *m.health.Load() }

// AwaitFirst waits until every target was probed once, or until ctx ends.
func (g *Group) AwaitFirst(ctx context.Context) {
	for _, m := range g.members {
		select {
		case <-m.probed:
		case <-ctx.Done():
			return
		}
	}
}
