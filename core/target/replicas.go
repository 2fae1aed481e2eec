package target

import (
	"slices"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// Replicas says which targets read-only sessions use. It is immutable.
type Replicas struct {
	// MaxLag is how far a replica may be behind, at most; 0: however far.
	MaxLag time.Duration
	// WaitForReplica makes sessions wait while no replica may be used; otherwise they use the writer meanwhile.
	WaitForReplica bool
	// ReadYourWrites makes reads see everything that the writer had committed when they came.
	ReadYourWrites bool
	// CatchUpTimeout is how long a read waits for a replica that has that before it uses the writer, if it may.
	CatchUpTimeout time.Duration
}

// SetReplicas changes which targets read-only sessions use. Any goroutine may call it.
func (g *Group) SetReplicas(r Replicas) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = r
	g.watch()
	g.reconsider()
	g.writes.set(r)
	for _, m := range g.Members() {
		m.followSoon()
	}
	g.tellCaughtUp() // who waits need not any more, maybe
}

// limitsLag says whether it matters how far a replica is behind.
func (g *Group) limitsLag() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replicas.MaxLag > 0
}

// Serves returns the roles whose sessions m is there for just now.
func (m *Member) Serves() (roles []relay.Role) {
	r := m.group.route.Load()
	if r.write == m {
		roles = append(roles, relay.ReadWrite)
	}
	if slices.Contains(r.read, m) {
		roles = append(roles, relay.ReadOnly)
	}
	return roles
}

// behind is how far m lags at now, after an answer in which it said f. It needs the group's lock.
//
// What a server says of its lag is true and not the whole truth: a replica that has executed all it has got cannot know what it
// has not got, or goes by the age of the last commit, which is that of the last minute when its writer did nothing for a minute.
// But what it once had it has. So the lag is counted from the latest moment up to which it was known to have everything.
func (m *Member) behind(f engine.Facts, now time.Time) (lag time.Duration, known bool) {
	if f.LagKnown {
		if at := now.Add(-f.Lag); at.After(m.fresh) {
			m.fresh = at
		}
	}
	if m.fresh.IsZero() {
		return 0, false
	}
	return now.Sub(m.fresh), true
}

// lags says whether m, with these facts, is too far behind to be read from, and why. One that was is read from again when it is
// behind by no more than half of what is allowed, so that one on the edge does not drive its sessions to and fro. It needs
// the group's lock.
func (m *Member) lags(f engine.Facts) (bool, string) {
	most := m.group.replicas.MaxLag
	if m.lagging {
		most /= 2
	}
	switch {
	case m.group.replicas.MaxLag == 0 || f.LagKnown && f.Lag <= most:
		m.lagging = false
		return false, ""
	case !f.LagKnown:
		m.lagging = true
		return true, "read-only sessions do not use it: it does not say how far it lags behind"
	}
	m.lagging = true
	return true, "read-only sessions do not use it: it lags behind by more than max_lag"
}

// load is what a target has to do.
type load struct {
	sessions int // that are at home there
	borrowed int // connections that are borrowed or waited for
	max      int // connections that it may be given
}

func (m *Member) load() load {
	s := m.pool.Stats()
	most := s.Max
	if most == 0 { // a loop gives a new pool its limits, and sessions may be spread before that
		c := m.group.accounts(m.Health().Facts)
		most = c.Max - c.Kept
	}
	return load{m.pool.Sessions(), s.Lent + s.Waiting, most}
}

// lighter says whether l has less to do than o, in proportion to their connections. Sessions count too, not only what they have
// borrowed: many that log in and idle would all go to the target that happens to lend nothing.
func (l load) lighter(o load) bool {
	return (l.borrowed+l.sessions)*o.max < (o.borrowed+o.sessions)*l.max
}

// relieves says whether a session of o is to move to l, so that each has its share of the sessions.
func (l load) relieves(o load) bool { return (l.sessions+1)*o.max < o.sessions*l.max }

// least returns the target that has the least to do, nil if there is none.
func least(ms []*Member) *Member { return leastOf(ms, func(*Member) bool { return true }) }

// leastOf returns the one of those that may be used which has the least to do, nil if none may.
func leastOf(ms []*Member, may func(*Member) bool) (best *Member) {
	var lightest load
	for _, m := range ms {
		if !may(m) {
			continue
		}
		if l := m.load(); best == nil || l.lighter(lightest) {
			best, lightest = m, l
		}
	}
	return best
}

// balanced returns home, or the target to which a session is to move from there.
func balanced(ms []*Member, home *Member) *Member {
	best, most := home, home.load()
	for _, m := range ms {
		if l := m.load(); m != home && l.relieves(most) {
			l.sessions++
			best, most = m, l
		}
	}
	return best
}

// at returns the one of ms whose pool p is, nil if none is.
func at(ms []*Member, p *relay.Pool) *Member {
	for _, m := range ms {
		if m.pool == p {
			return m
		}
	}
	return nil
}
