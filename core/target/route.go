package target

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// route is where the roles lead. It is immutable.
type route struct {
	write *Member   // nil: nowhere
	read  []*Member // over which read-only sessions are spread
	// spare is where read-only sessions may stay with a backend that they have, beside read: the writer, if they may use it.
	spare *Member
}

func (r *route) equal(o *route) bool {
	return r.write == o.write && r.spare == o.spare && slices.Equal(r.read, o.read)
}

// Pool implements relay.Group.
func (g *Group) Pool(role relay.Role, home *relay.Pool) *relay.Pool {
	r := g.route.Load()
	switch {
	case role == relay.ReadWrite:
		return r.write.poolOrNil()
	case home != nil && at(r.read, home) != nil:
		return home
	}
	return least(r.read).poolOrNil()
}

// Balance implements relay.Group. Sessions move to a target that was not there before: it would stay without any.
func (g *Group) Balance(role relay.Role, home *relay.Pool) *relay.Pool {
	r := g.route.Load()
	if role == relay.ReadWrite {
		return r.write.poolOrNil()
	}
	if m := at(r.read, home); m != nil {
		return balanced(r.read, m).pool
	}
	return least(r.read).poolOrNil()
}

// Serves implements relay.Group.
func (g *Group) Serves(role relay.Role, p *relay.Pool) bool {
	r := g.route.Load()
	if role == relay.ReadWrite {
		return p == r.write.poolOrNil()
	}
	return at(r.read, p) != nil || p == r.spare.poolOrNil()
}

func (m *Member) poolOrNil() *relay.Pool {
	if m == nil {
		return nil
	}
	return m.pool
}

// freshAnswers is how often a target must have answered since something happened for an answer to be about what is so since: one question
// may have been on its way already.
const freshAnswers = 2

// reconsider draws the conclusions from what is known of all targets. It needs the group's lock.
func (g *Group) reconsider() {
	now, members := time.Now(), g.Members()
	judged := make([]Health, len(members))
	var writers, readers []*Member
	for i, m := range members {
		judged[i] = m.own(now)
		if judged[i].Cause == "" && g.replicas.ReadYourWrites {
			judged[i].Cause = m.keep.cause
		}
		if judged[i].writes() {
			writers = append(writers, m)
		}
		if judged[i].reads() {
			if lags, cause := m.lags(judged[i].Facts); lags {
				judged[i].Cause = cause
			} else {
				readers = append(readers, m)
			}
		}
	}
	insist := false
	if !g.solo() {
		insist = g.contest(writers)
	}
	for i, m := range members {
		if insist && judged[i].writes() {
			judged[i] = m.contested(writers, judged[i])
		}
		m.show(judged[i], now)
	}
	g.lead(writers, readers)
}

// contest looks whether there are several writers, and says whether they insist on that. It asks them again first.
func (g *Group) contest(writers []*Member) (insist bool) {
	if len(writers) < 2 {
		g.disputed = false
		if len(writers) == 1 {
			writers[0].replica = false // it is the group's writer now
		}
		return false
	}
	if !g.disputed {
		g.disputed = true
		for _, m := range writers {
			m.asked = 0
			m.suspect()
		}
	}
	for _, m := range writers {
		if m.asked < freshAnswers {
			return false
		}
	}
	return true
}

// contested is the health of a writer beside others.
func (m *Member) contested(writers []*Member, h Health) Health {
	var others []string
	for _, o := range writers {
		if o != m {
			others = append(others, o.target.Name)
		}
	}
	h.State, h.Reason = Unavailable, InvalidReplicationState
	h.Cause = fmt.Sprintf("%s and %s say that they are the writer: neither is used until one of them steps back",
		m.target.Name, strings.Join(others, ", "))
	if m.replica {
		h.Reason = Promoted
		h.Cause = fmt.Sprintf("it was a replica and has been promoted, while %s still says that it is the writer: "+
			"neither is used until one of them steps back", strings.Join(others, ", "))
	}
	return h
}

// lead publishes where the roles lead, and makes waiting sessions follow. It needs the group's lock.
func (g *Group) lead(writers, readers []*Member) {
	r := &route{read: readers}
	switch {
	case g.solo():
		r = g.only(g.Members()[0])
	case len(writers) == 1:
		r.write = writers[0]
		if !g.replicas.WaitForReplica {
			r.spare = r.write
		}
	}
	if len(r.read) == 0 && r.spare != nil {
		r.read = []*Member{r.spare}
	}
	old := g.route.Swap(r)
	if old.equal(r) {
		return
	}
	if r.write != old.write && !g.solo() {
		g.logWriter(r.write)
	}
	if r.write == nil { // whoever rests for a whole interval may be promoted now
		for _, m := range g.Members() {
			m.suspect()
		}
		if g.viewChanged != nil { // there may be others
			g.viewChanged()
		}
	}
	g.writes.another()
	for _, m := range g.Members() {
		m.followSoon()
	}
	for _, w := range g.workers {
		w.Loop().Post(reroute{w, g})
	}
}

// only is the route of a group whose only target m is: it is used whatever it says, unless what it says is that reads are not to go
// there. It needs the group's lock.
func (g *Group) only(m *Member) *route {
	h := m.health.Load()
	if h.writes() && g.replicas.WaitForReplica || h.reads() && m.lagging {
		return &route{write: m}
	}
	return &route{write: m, read: []*Member{m}}
}

func (g *Group) logWriter(m *Member) {
	if m == nil {
		g.log.Error().Msg("the target group has no writer: borrows wait")
		return
	}
	g.log.Info().Str("target", m.target.Name).Str("address", m.target.Address).Str("version", m.Health().Facts.Version).
		Msg("target is now available for read/write access")
}

// reroute is posted to the loop of its worker.
type reroute struct {
	worker *relay.Worker
	group  *Group
}

func (r reroute) Run() { r.worker.Reroute(r.group) }

// cut is posted to the loop of its worker.
type cut struct {
	worker *relay.Worker
	pool   *relay.Pool
	reason error
}

func (c cut) Run() { c.pool.Cut(c.worker, c.reason) }

// recall is posted to the loop of its worker.
type recall struct {
	worker *relay.Worker
	pool   *relay.Pool
	first  bool // of the workers
}

func (r recall) Run() {
	if r.first {
		outdate{r.worker, r.pool}.Run()
	}
	r.pool.Recall(r.worker)
}

// cutAll ends what sessions have under way on m.
func (m *Member) cutAll(reason error) {
	for _, w := range m.group.workers {
		w.Loop().Post(cut{w, m.pool, reason})
	}
}

// welcome ends the pauses of dials that failed.
func (m *Member) welcome() {
	if ws := m.group.workers; len(ws) > 0 {
		ws[0].Loop().Post(reachable{ws[0], m.pool})
	}
}

// reachable is posted to the loop of its worker.
type reachable struct {
	worker *relay.Worker
	pool   *relay.Pool
}

func (r reachable) Run() { r.pool.Reachable(r.worker) }

// headless says whether a group of several targets has no writer.
func (g *Group) headless() bool { return !g.solo() && g.route.Load().write == nil }

// show publishes a health, and says so if it differs. It needs the group's lock.
func (m *Member) show(h Health, now time.Time) {
	was := m.health.Load()
	h.Since = was.Since
	if h.State != was.State || h.Cause != was.Cause {
		h.Since = now
		ev := m.log.Info()
		switch {
		case h.State == Unavailable:
			ev = m.log.Error().Str("reason", h.Reason).Str("cause", h.Cause)
		case h.Cause != "":
			ev = m.log.Warn().Str("cause", h.Cause)
		}
		ev.Str("state", string(h.State)).Str("version", h.Facts.Version).Bool("read_only", h.Facts.ReadOnly).
			Int("max_connections", h.Facts.MaxConnections).Msg("target health changed")
	}
	m.health.Store(&h)
	switch {
	case was.State == Unavailable && h.State == Available:
		m.welcome()
	case was.State != Available || h.State != Unavailable:
	case h.Reason == InvalidReplicationState, h.Reason == Promoted:
		m.cutAll(engine.ErrManyWriters)
	case m.last.failure != nil && m.last.failure.silent:
		m.cutAll(engine.ErrTargetLost)
	}
}
