package target

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

const (
	// retryFirst and retryMost are the pauses between attempts to reach a target that is down: doubled each time.
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
	// retryUrgent is the longest of them while the group has no writer, or nothing else.
	retryUrgent = 500 * time.Millisecond
	// askUrgent is how often targets are asked that may become the writer which the group has not.
	askUrgent = 100 * time.Millisecond
	// calm is how soon a target is asked again at the earliest: a hundred lost backends are one reason to ask.
	calm = 20 * time.Millisecond
	// yieldEvery is how often a pool gives an idle backend away for the monitor.
	yieldEvery = 5 * time.Second
	// lookEvery is how often a connection more is opened, at most, to see whether another server is to be found at a target's address.
	lookEvery = time.Second
	// renewFirst and renewMost are the pauses between two renewals of a pool, doubled each time.
	renewFirst = time.Second
	renewMost  = 10 * time.Minute
	// fallMemory is how long it is remembered that a target was lost.
	fallMemory = time.Minute
	// fallsForgiven is how often a target may be lost in that time without being suspected of flapping. Each time more
	// doubles how long it must answer before it is used again, from dampFirst to dampMost.
	fallsForgiven = 2
	dampFirst     = time.Second
	dampMost      = 16 * time.Second
)

// observation is what came of asking a target last.
type observation struct {
	facts   engine.Facts // the last that it told
	failure *failure     // why it told none this time, nil if it did
	up      bool
	known   bool // it was asked at all
}

// monitor asks m until ctx ends.
func (m *Member) monitor(ctx context.Context) {
	defer m.leave()
	retry := retryFirst
	for ctx.Err() == nil {
		if m.observe(ctx) {
			retry = retryFirst
			m.rest(ctx, m.pause())
			continue
		}
		if m.crowded && m.makePlace(ctx) {
			retry = retryFirst
		}
		m.rest(ctx, min(retry, m.longest()))
		retry = min(2*retry, retryMost)
	}
}

// makePlace closes an idle backend of a server, or of a budget, that has no place for the monitor, and says whether there was one. The place may be another's before
// the monitor comes for it: a pool gives one now and then. The only target of a group need not be asked while it has connections.
func (m *Member) makePlace(ctx context.Context) bool {
	if m.group.solo() && !m.group.limitsLag() && !m.refused.Load() || time.Since(m.yielded) < yieldEvery {
		return false
	}
	w, done := m.group.workers[0], make(chan bool, 1)
	w.Loop().Post(&yield{m.pool, w, done})
	select {
	case yielded := <-done:
		if yielded {
			m.yielded = time.Now()
		}
		return yielded
	case <-ctx.Done(): // the loop may have ended, too
		return false
	}
}

// yield is posted to the loop of its worker.
type yield struct {
	pool   *relay.Pool
	worker *relay.Worker
	done   chan<- bool
}

func (y *yield) Run() { y.done <- y.pool.Yield(y.worker) }

// longest is the longest pause between attempts to reach m. Servers lock accounts that come with wrong passwords too often.
func (m *Member) longest() time.Duration {
	if (m.group.headless() || m.group.solo()) && m.Health().Reason != AuthFailure {
		return retryUrgent
	}
	return retryMost
}

// pause is how long a target that answers is left alone.
func (m *Member) pause() time.Duration {
	switch {
	case m.group.headless():
		return askUrgent
	case m.Health().State == Unavailable: // until it is trusted again
		return retryFirst
	}
	return m.group.config.Health.Interval
}

// suspect makes the monitor ask soon. Any goroutine may call it; it does not block.
func (m *Member) suspect() {
	select {
	case m.wake <- struct{}{}:
	default: // it will
	}
}

// rest waits for the time to ask again: after pause, or because something happened.
func (m *Member) rest(ctx context.Context, pause time.Duration) {
	select {
	case <-time.After(calm):
	case <-ctx.Done():
		return
	}
	ctx, stop := context.WithTimeout(ctx, pause-calm)
	defer stop()
	if m.watch == nil {
		select {
		case <-m.wake:
		case <-ctx.Done():
		}
		return
	}
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		select {
		case <-m.wake:
			stop()
		case <-ctx.Done():
		}
	}()
	if err := relay.Safely(m.log, func() error { return m.watch.Rest(ctx) }); err != nil {
		m.log.Debug().Err(err).Msg("the monitoring connection ended")
		m.leave()
	}
	stop()
	<-woken
}

// leave ends the monitoring connection. Nobody waits for that: it may be dead.
func (m *Member) leave() {
	if w := m.watch; w != nil {
		m.watch = nil
		go w.Close()
	}
}

// hard says whether the group's limit is the user's last word, which no connection may exceed.
func (m *Member) hard() bool { return m.group.limits.Load().MaxConnections > 0 }

// observe asks the target and reports the answer. It says whether the target answered, as far as it was asked.
func (m *Member) observe(ctx context.Context) bool {
	if !m.hard() {
		m.refused.Store(false)
		return m.report(ctx, m.ask(ctx))
	}
	kept := m.group.watched.Load() && m.group.limits.Load().keeps(m.group.writes.on.Load())
	if m.spared() && !(m.refused.Load() && time.Since(m.looked) >= lookEvery) || !m.claim(ctx, kept) {
		m.leave() // there is one if the limit was another before a reload
		m.trust()
		return true
	}
	refused := m.refused.Swap(false)
	if refused {
		m.looked = time.Now()
	}
	o := m.ask(ctx)
	m.giveUp(kept)
	if refused && o.err == nil && !o.facts.ReadOnly {
		m.renew(time.Now())
	}
	return m.report(ctx, o)
}

// claim takes a place in the pool's budget, one that is kept or one that is left, and says whether there was one. A pool that keeps none
// for the monitor may have one the next time.
func (m *Member) claim(ctx context.Context, kept bool) bool {
	if kept {
		return m.pool.ClaimKept()
	}
	if m.pool.Claim() {
		return true
	}
	m.makePlace(ctx)
	return false
}

// spared says whether the only target of a group with a hard limit need not be asked: its role does not matter, and its
// connections would tell if it were gone.
func (m *Member) spared() bool {
	if !m.group.solo() || m.Health().State == Registering || m.group.limitsLag() {
		return false
	}
	doubtful := m.Health().State == Unavailable || m.pool.LastError() != nil
	return !doubtful || m.pool.Stats().Open > 0
}

// renewal is when a pool's connections were renewed last, and for how long they are not to be once more.
type renewal struct {
	at    time.Time
	pause time.Duration
}

// due says whether they are to be renewed now. Where that is of no use because sessions refuse themselves to write, it comes about ever more seldom.
func (r *renewal) due(now time.Time) bool {
	since := now.Sub(r.at)
	switch {
	case r.pause == 0, since > r.pause+renewMost:
		r.pause = renewFirst
	case since < r.pause:
		return false
	default:
		r.pause = min(2*r.pause, renewMost)
	}
	r.at = now
	return true
}

// renew closes the idle backends of a target that has refused a write and is a writer for who connects to it now, and the others as they come
// back: they may be another server's, that was at its address before. A hard limit leaves no place for a monitoring connection that would know.
func (m *Member) renew(now time.Time) {
	if !m.renewal.due(now) {
		return
	}
	m.log.Warn().Str("address", m.target.Address).Msg("a write was refused, and a new connection leads to a writer: connections are renewed as they come back")
	w := m.group.workers[0]
	w.Loop().Post(outdate{w, m.pool})
}

// outdate is posted to the loop of its worker.
type outdate struct {
	worker *relay.Worker
	pool   *relay.Pool
}

func (o outdate) Run() { o.pool.Outdate(o.worker, func(engine.Key) bool { return true }) }

// giveUp ends the monitoring connection and gives its place in the budget back, when the server does not count it any more.
func (m *Member) giveUp(kept bool) {
	w, worker := m.watch, m.group.workers[0]
	m.watch = nil
	free := func() {
		if kept {
			worker.Loop().Post(unclaimKept{m.pool, worker})
		} else {
			worker.Loop().Post(unclaim{m.pool, worker})
		}
	}
	if w == nil {
		free()
		return
	}
	go func() {
		m.group.closeCounted(w)
		free()
	}()
}

// closeCounted closes a connection, and returns when the server does not count it any more.
func (g *Group) closeCounted(w engine.Watch) {
	w.Close()
	if late, ok := g.config.Engine.(engine.LateCloser); ok {
		time.Sleep(late.CountedFor())
	}
}

// unclaim is posted to the loop of its worker.
type unclaim struct {
	pool   *relay.Pool
	worker *relay.Worker
}

func (u unclaim) Run() { u.pool.Unclaim(u.worker) }

// answer is what a target said.
type answer struct {
	facts engine.Facts
	err   error
}

// ask asks over the connection that there is. If that fails, the connection may be all that is wrong: then over a new one.
func (m *Member) ask(ctx context.Context) answer {
	had := m.watch != nil
	facts, err := m.askOnce(ctx)
	if err != nil && had && ctx.Err() == nil {
		facts, err = m.askOnce(ctx)
	} else if err == nil && had && facts.ReadOnly && m.stepsBack() {
		facts = m.lookAgain(ctx, facts)
	}
	return answer{facts, err}
}

// stepsBack says whether m, which says that it is no writer, was one, and the group has no other now. Then another server may answer at its
// address, and be the writer: the monitoring connection stays with the one before, for as long as that lives.
func (m *Member) stepsBack() bool {
	g := m.group
	if w := g.route.Load().write; w != m && w != nil || time.Since(m.looked) < lookEvery {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return m.led
}

// lookAgain asks over a new connection, and returns what counts: facts, which the one before has told, unless the new one leads to a writer.
func (m *Member) lookAgain(ctx context.Context, facts engine.Facts) engine.Facts {
	defer func() { m.looked = time.Now() }()
	before := m.watch
	m.watch = nil
	found, err := m.askOnce(ctx)
	if err != nil || found.ReadOnly {
		m.leave()
		m.watch = before
		return facts
	}
	go before.Close()
	m.moves.Add(1)
	m.log.Warn().Str("address", m.target.Address).Msg("another server answers at the target's address: connections to the one before are closed as they come back")
	for i, w := range m.group.workers {
		w.Loop().Post(recall{w, m.pool, i == 0})
	}
	return found
}

func (m *Member) askOnce(ctx context.Context) (facts engine.Facts, err error) {
	ctx, stop := context.WithTimeout(ctx, m.group.config.Health.Timeout)
	defer stop()
	err = relay.Safely(m.log, func() (err error) {
		if m.watch == nil {
			if m.watch, err = m.group.config.Engine.Watch(ctx, m.target); err != nil {
				m.watch = nil
				return err
			}
		}
		facts, err = m.watch.Ask(ctx)
		if s := m.group.config.Discovery.Survey; err == nil && s != nil {
			err = m.survey(ctx, s, &facts)
		}
		return err
	})
	if err != nil {
		m.leave()
	}
	return facts, err
}

// report notes an answer, unless the end of ctx caused it.
func (m *Member) report(ctx context.Context, a answer) bool {
	if ctx.Err() != nil {
		return true
	}
	m.crowded = a.err != nil && explain(m.target.Address, a.err).crowded
	m.publish(a.facts, a.err)
	if a.err == nil {
		w := m.group.workers[0]
		w.Loop().Post(&reconfigure{m, w, a.facts})
	}
	return a.err == nil
}

// trust takes a target that could not be asked, and has connections, for up.
func (m *Member) trust() {
	s := m.pool.Stats()
	if m.group.solo() && m.Health().State != Available && m.pool.LastError() == nil && s.Idle+s.Lent > 0 {
		f := m.Health().Facts
		f.LagKnown = false
		m.publish(f, nil)
	}
}

// publish notes what the target said, or why it did not, and draws the conclusions.
func (m *Member) publish(facts engine.Facts, err error) {
	g := m.group
	g.mu.Lock()
	m.note(facts, err, time.Now())
	g.reconsider()
	g.mu.Unlock()
	m.once.Do(func() { close(m.probed) })
}

// note remembers an answer. It needs the group's lock.
func (m *Member) note(facts engine.Facts, err error, now time.Time) {
	was := m.last
	o := observation{facts: facts, known: true, up: err == nil}
	if err != nil {
		f := explain(m.target.Address, err)
		o.facts, o.failure = was.facts, &f
		o.facts.LagKnown = false
		s := m.pool.Stats()
		o.up = was.up && (f.crowded && s.Idle+s.Lent > 0 || f.slow && m.pool.Heard(m.group.config.Health.Timeout/2))
	}
	if o.up && !was.up {
		m.risen = now
	}
	if !o.up && was.up {
		m.falls = append(m.recentFalls(now), now)
	}
	if !o.up || !o.facts.ReadOnly {
		m.fresh = time.Time{} // what comes back may be another server
	}
	if err == nil {
		m.told = now
		m.answers++
		m.asked++
		m.replica = m.replica || facts.ReadOnly
		m.led = m.led || !facts.ReadOnly
	}
	o.facts.Lag, o.facts.LagKnown = m.behind(o.facts, now)
	m.last = o
}

// recentFalls is when the target was lost, of late.
func (m *Member) recentFalls(now time.Time) []time.Time {
	for len(m.falls) > 0 && now.Sub(m.falls[0]) > fallMemory {
		m.falls = m.falls[1:]
	}
	return m.falls
}

// own is what follows for the target from its own answers alone.
func (m *Member) own(now time.Time) Health {
	o := m.last
	h := Health{State: Available, Facts: o.facts}
	switch {
	case !o.known:
		h.State = Registering
	case !o.up:
		h.State, h.Reason, h.Cause = Unavailable, o.failure.reason, o.failure.cause
	case o.failure != nil && o.failure.slow && !o.facts.ReadOnly && m.group.hasOtherWriter(m):
		h.State, h.Reason, h.Cause = Unavailable, o.failure.reason, o.failure.cause
	case m.damped(now, &h):
	case o.failure != nil && o.failure.slow:
		h.Cause = "it is up, since it answers sessions, but not the monitor in time: " + o.failure.cause
	case o.failure != nil:
		h.Cause = "it is up, but not to be asked: " + o.failure.cause
	}
	return h
}

// damped makes h that of a target which is up and not to be used yet, if m is one.
func (m *Member) damped(now time.Time, h *Health) bool {
	n, wait := m.damping(now)
	if now.Sub(m.risen) >= wait {
		return false
	}
	h.State, h.Reason = Unavailable, m.health.Load().Reason
	h.Cause = fmt.Sprintf("it answers again, but was lost %d times within %s: it is used when it has answered for %s",
		n, fallMemory, wait)
	return true
}

// hasOtherWriter says whether another target than m, which does not answer, has said that it is the writer: when it was asked last, or, if that one
// is too busy to answer, too, later than m has. It needs the group's lock.
func (g *Group) hasOtherWriter(m *Member) bool {
	return slices.ContainsFunc(g.Members(), func(o *Member) bool {
		switch l := &o.last; {
		case o == m || !l.known || l.facts.ReadOnly:
			return false
		case l.failure == nil:
			return true
		default:
			return l.up && l.failure.slow && o.told.After(m.told)
		}
	})
}

// damping is how often the target was lost of late, and how long it must have answered to be used.
func (m *Member) damping(now time.Time) (falls int, wait time.Duration) {
	falls = len(m.recentFalls(now))
	if falls <= fallsForgiven {
		return falls, 0
	}
	return falls, min(dampFirst<<min(falls-fallsForgiven-1, 8), dampMost)
}

// reconfigure gives a pool the limits that follow from what the server says. It runs on a worker's loop.
type reconfigure struct {
	member *Member
	worker *relay.Worker
	facts  engine.Facts
}

func (r *reconfigure) Run() {
	g := r.member.group
	r.member.pool.Configure(r.worker, g.accounts(r.facts))
}
