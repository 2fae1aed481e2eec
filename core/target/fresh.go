package target

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// Reads that see what was written before they came (Replicas.ReadYourWrites).
//
// What is promised: a request to a read-only listener sees every transaction that the group's writer had acknowledged when the
// request came, to whomever, or waits, or uses the writer, or gets an error in time.
//
// How it is kept: one goroutine a group asks the writer how far it is (engine.Positioner), in rounds. The mark of a read
// (relay.Mark) is the number of the first round that began after it came, so the position of that round, and of every
// later one, has what the read must see. One goroutine a replica asks there whether the position of a round is reached; what
// has reached a round has what every mark up to its number is of. So however many reads wait, each server is asked by
// one connection, one question at a time, and a write costs nothing. Nothing is asked while nobody reads.
//
// The writer itself has everything. Which it is, a round finds out after it began: a write that was acknowledged before went to that
// writer, or to one before it, and if the new one has not got it nobody will.
//
// What a writer has lost, because it crashed or was replaced, replicas never reach. So positions belong to an epoch, which
// is as long as the connection over which they were asked: a replica that waits for one of an older epoch goes on to
// the newest.

const (
	// pollFirst and pollMost are the pauses between two questions to a replica that has not got there: doubled each time.
	pollFirst = time.Millisecond
	pollMost  = 20 * time.Millisecond
	// unaskedFirst and unaskedMost are those before a server is asked again that could not say how far it is.
	unaskedFirst = 20 * time.Millisecond
	unaskedMost  = 200 * time.Millisecond
)

// errNoPositions is an engine that knows of none.
var errNoPositions = fmt.Errorf("%w: its engine has no positions", engine.ErrNoPosition)

// position is what a writer said in a round. It is immutable.
type position struct {
	round uint64
	epoch uint64
	text  string
}

// writes is what a group knows of how far its writer is. Any goroutine may use it.
type writes struct {
	on      atomic.Bool              // Replicas.ReadYourWrites
	catchUp atomic.Int64             // Replicas.CatchUpTimeout
	begun   atomic.Uint64            // the last round that began
	wanted  atomic.Uint64            // the last one that somebody waits for
	latest  atomic.Pointer[position] // of the last one that is over, nil before the first
	wake    chan struct{}            // tells followWriter that there is something to do
	told    []*caughtUp              // one for each worker
}

// init makes w ready, for a group with replicas of r.
func (w *writes) init(r Replicas) {
	w.wake = make(chan struct{}, 1)
	w.set(r)
}

func (w *writes) set(r Replicas) {
	w.catchUp.Store(int64(r.CatchUpTimeout))
	w.on.Store(r.ReadYourWrites)
	w.poke()
}

func (w *writes) poke() {
	select {
	case w.wake <- struct{}{}:
	default: // it will
	}
}

// want makes a round be asked, or one later.
func (w *writes) want(round uint64) {
	for {
		was := w.wanted.Load()
		if was >= round {
			return
		}
		if w.wanted.CompareAndSwap(was, round) {
			w.poke()
			return
		}
	}
}

// over is the last round that is over.
func (w *writes) over() uint64 {
	if p := w.latest.Load(); p != nil {
		return p.round
	}
	return 0
}

// another makes one more round be asked, if there ever was one: replicas may wait for what the writer before had.
func (w *writes) another() {
	if w.on.Load() && w.wanted.Load() > 0 {
		w.want(w.begun.Load() + 1)
	}
}

// Mark implements relay.Group.
func (g *Group) Mark() relay.Mark {
	if !g.writes.on.Load() {
		return 0
	}
	return relay.Mark(g.writes.begun.Load() + 1)
}

// CatchUpTimeout implements relay.Group.
func (g *Group) CatchUpTimeout() time.Duration { return time.Duration(g.writes.catchUp.Load()) }

// Has implements relay.Group.
func (g *Group) Has(p *relay.Pool, mark relay.Mark) bool {
	r := g.route.Load()
	m := at(r.read, p)
	if m == nil && r.write.poolOrNil() == p {
		m = r.write
	}
	if m != nil && g.has(r, m, mark) {
		return true
	}
	g.writes.want(uint64(mark))
	return false
}

// has says whether m, with the roles leading as r says, has what mark is of. It has if marks are of no interest any more.
func (g *Group) has(r *route, m *Member, mark relay.Mark) bool {
	return m == r.write && m.health.Load().writes() || m.keep.reached.Load() >= uint64(mark) || !g.writes.on.Load()
}

// Current implements relay.Group.
func (g *Group) Current(home *relay.Pool, mark relay.Mark, reach relay.Reach) *relay.Pool {
	r := g.route.Load()
	h := at(r.read, home)
	if h != nil && g.has(r, h, mark) {
		return home
	}
	if h == nil || reach != relay.AtHome {
		if m := leastOf(r.read, func(m *Member) bool { return g.has(r, m, mark) }); m != nil {
			return m.pool
		}
	}
	if reach == relay.AtWriter && r.spare != nil && g.has(r, r.spare, mark) {
		return r.spare.pool
	}
	g.writes.want(uint64(mark))
	return nil
}

// caughtUp is posted to the loop of its worker when sessions there may go on.
type caughtUp struct {
	worker *relay.Worker
	group  *Group
	posted atomic.Bool
}

func (c *caughtUp) Run() {
	c.posted.Store(false) // what changes from now on is told anew
	c.worker.CaughtUp(c.group)
}

// tellCaughtUp makes sessions look again at what has which mark.
func (g *Group) tellCaughtUp() {
	for _, c := range g.writes.told {
		if !c.posted.Swap(true) {
			c.worker.Loop().Post(c)
		}
	}
}

// followWriter asks the writer how far it is, when somebody wants to know, until ctx ends.
func (g *Group) followWriter(ctx context.Context) {
	w, a, pause := &g.writes, asker{}, unaskedFirst
	defer a.leave()
	for ctx.Err() == nil {
		if !w.on.Load() || w.over() >= w.wanted.Load() {
			if !w.on.Load() {
				a.leave()
			}
			await(ctx, w.wake)
			continue
		}
		if g.askWriter(ctx, &a) {
			pause = unaskedFirst
			for _, m := range g.Members() {
				m.followSoon()
			}
			continue
		}
		rest(ctx, pause)
		pause = min(2*pause, unaskedMost)
	}
}

// askWriter asks for a position, as a new round, and says whether there is one.
func (g *Group) askWriter(ctx context.Context, a *asker) bool {
	round := g.writes.begun.Add(1)
	m := g.route.Load().write // only now: see above
	if a.of != m {            // the place at the writer before is its keepUp's now
		a.leave()
	}
	if m == nil || !m.health.Load().writes() {
		return false
	}
	p := &position{round: round}
	err := a.ask(ctx, m, func(ctx context.Context, at engine.Positioner) (err error) {
		p.text, err = at.Position(ctx)
		return err
	})
	if err != nil {
		return false
	}
	p.epoch = a.opened
	g.writes.latest.Store(p)
	return true
}

// keepingUp is what is known of how far a replica is.
type keepingUp struct {
	reached atomic.Uint64 // the last round whose position it was seen to have; keepUp alone changes it
	wake    chan struct{} // tells keepUp that there is something to do
	place   chan struct{} // full while an asker is connected: there is place for one, that of a writer or that of a replica
	mute    atomic.Bool   // it is known not to say how far it is
	cause   string        // why, under the group's lock
}

// setMute notes that m does not say how far it is, or with nil that it does.
func (m *Member) setMute(err error) {
	if err == nil && !m.keep.mute.Load() {
		return
	}
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	m.keep.mute.Store(err != nil)
	m.keep.cause = ""
	if err != nil {
		m.keep.cause = "reads that must see what was written before wait in vain for it: " + err.Error()
	}
	g.reconsider()
}

// followSoon makes keepUp look again. Any goroutine may call it.
func (m *Member) followSoon() {
	select {
	case m.keep.wake <- struct{}{}:
	default: // it will
	}
}

// follows says whether reads use m and must know how far it is.
func (m *Member) follows() bool {
	r := m.group.route.Load()
	return m.group.writes.on.Load() && m != r.write && at(r.read, m.pool) != nil
}

// keepUp asks m whether it has what its writer has said to have, until ctx ends.
func (m *Member) keepUp(ctx context.Context) {
	w, k, a := &m.group.writes, &m.keep, asker{}
	defer a.leave()
	var p *position // that m is to reach; it stays so until then, or m would run after a writer that writes
	poll, pause := pollFirst, unaskedFirst
	for ctx.Err() == nil {
		newest, follows := w.latest.Load(), m.follows()
		if !follows || newest == nil || k.reached.Load() >= newest.round {
			if !follows {
				a.leave()
			}
			await(ctx, k.wake)
			continue
		}
		if p == nil || p.epoch != newest.epoch || k.reached.Load() >= p.round {
			p, poll = newest, pollFirst
		}
		reached, opened := false, a.opened
		err := a.ask(ctx, m, func(ctx context.Context, at engine.Positioner) (err error) {
			reached, err = at.Reached(ctx, p.text)
			return err
		})
		if err != nil || a.opened != opened {
			k.reached.Store(0) // it may have been started again, and be behind what it had
		}
		switch {
		case err != nil:
			rest(ctx, pause)
			pause = min(2*pause, unaskedMost)
			continue
		case reached:
			k.reached.Store(p.round)
			m.group.tellCaughtUp()
		default:
			rest(ctx, poll)
			poll = min(2*poll, pollMost)
		}
		pause = unaskedFirst
	}
}

// asker asks servers how far they are, over a connection that it keeps. It belongs to one goroutine.
type asker struct {
	of     *Member // whose server watch is connected to
	moves  uint32  // of that, when it was connected
	watch  engine.Watch
	opened uint64 // connections so far
	said   string // the last error, "" if there is none
	place  bool   // it has a place in the budget of the pool of of
}

// ask asks m's server over the connection that there is. If that fails, the connection may be all that is wrong: then over a new one.
func (a *asker) ask(ctx context.Context, m *Member, question func(context.Context, engine.Positioner) error) error {
	if moves := m.moves.Load(); a.of != m || a.moves != moves {
		a.leave()
		a.of, a.moves = m, moves
	}
	had := a.watch != nil
	err := a.once(ctx, question)
	if err != nil && had && ctx.Err() == nil {
		err = a.once(ctx, question)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		a.said = ""
		m.setMute(nil)
	case err.Error() != a.said:
		a.said = err.Error()
		m.log.Warn().Err(err).Msg("the target does not say how far it is in what was written")
		if errors.Is(err, engine.ErrNoPosition) {
			m.setMute(err)
		}
	}
	return err
}

func (a *asker) once(ctx context.Context, question func(context.Context, engine.Positioner) error) (err error) {
	ctx, stop := context.WithTimeout(ctx, a.of.group.config.Health.Timeout)
	defer stop()
	if a.watch == nil {
		select {
		case a.of.keep.place <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err = a.claim(ctx); err != nil {
			<-a.of.keep.place
			return err
		}
		a.opened++
		err = relay.Safely(a.of.log, func() (err error) {
			a.watch, err = a.of.group.config.Engine.Watch(ctx, a.of.target)
			return err
		})
		if err != nil {
			a.watch = nil
			a.unclaim()
			<-a.of.keep.place
			return err
		}
	}
	p, ok := a.watch.(engine.Positioner)
	if !ok {
		return errNoPositions
	}
	if err = relay.Safely(a.of.log, func() error { return question(ctx, p) }); err != nil {
		a.leave()
	}
	return err
}

// claim takes the place in a hard limit that is kept for the connection. After a reload its pool may have to get one back first.
func (a *asker) claim(ctx context.Context) error {
	if !a.of.hard() {
		return nil
	}
	for !a.of.pool.ClaimKept() {
		if rest(ctx, calm); ctx.Err() != nil {
			return fmt.Errorf("all of its max_connections are in use: %w", ctx.Err())
		}
	}
	a.place = true
	return nil
}

// unclaim gives the place back, if there is one.
func (a *asker) unclaim() {
	if a.place {
		a.place = false
		w := a.of.group.workers[0]
		w.Loop().Post(unclaimKept{a.of.pool, w})
	}
}

// unclaimKept is posted to the loop of its worker.
type unclaimKept struct {
	pool   *relay.Pool
	worker *relay.Worker
}

func (u unclaimKept) Run() { u.pool.UnclaimKept(u.worker) }

// leave ends the connection. Only with a hard limit, where another one must not be opened before, is that waited for.
func (a *asker) leave() {
	w := a.watch
	if w == nil {
		return
	}
	a.watch = nil
	if a.place || a.of.hard() {
		a.of.group.closeCounted(w)
	} else {
		go w.Close()
	}
	a.unclaim()
	<-a.of.keep.place
}

// await returns when something comes from c, or ctx ends.
func await(ctx context.Context, c <-chan struct{}) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// rest returns after d, or when ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
