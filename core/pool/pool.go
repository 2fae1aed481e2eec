package pool

import (
	"sync"
	"time"
)

// Config is what limits a pool. Zero MaxDials and RetryDelay mean their defaults.
type Config struct {
	Max         int           // connections at most, whatever their state; 0: none may be opened
	Kept        int           // of Max: for connections that are not the pool's, see ClaimKept
	MaxIdle     int           // of which at most this many are kept that were idle for IdleTimeout
	MaxDials    int           // dials in flight at once; default 4
	MaxLifetime time.Duration // age at which a connection is closed instead of lent again, less up to a tenth; 0: none
	IdleTimeout time.Duration // when an unused connection begins to count against MaxIdle; 0: never
	RetryDelay  time.Duration // first pause of a key after a failed dial, doubled up to 16 times it; default 100 ms
	// Rotate is for tests of what sessions leave on connections: nobody is given the connection that it had, if there
	// is another. The least recently used of the key is lent, and until there are Max each borrow begins a dial more.
	Rotate bool
}

func (c Config) withDefaults() Config {
	if c.MaxDials <= 0 {
		c.MaxDials = 4
	}
	if c.RetryDelay <= 0 {
		c.RetryDelay = 100 * time.Millisecond
	}
	return c
}

// state is where a connection is in its life. Only Pool.move changes it.
type state uint8

const (
	closed  state = iota // not yet, or not any more, in the budget
	dialing              // the caller opens it
	idle                 // nobody has it
	lent                 // a borrower has it
	closing              // the caller closes it

	states
)

func (s state) String() string {
	return [states]string{"closed", "dialing", "idle", "lent", "closing"}[s]
}

// Conn is one connection in a pool, from the decision to open it until it is closed.
type Conn[K comparable, V any] struct {
	Value V // the caller's

	bucket *bucket[K, V] // never changes
	number uint64        // of its dial; later ones have larger ones; never changes
	spread uint8         // its part of the lifetime's jitter, in 1/256; never changes

	// Under the pool's lock.

	state   state
	loop    int
	session uint32        // who had it last
	opened  time.Duration // when its dial succeeded
	since   time.Duration // when it became idle
	age     link[Conn[K, V]]
	lane    link[Conn[K, V]]
}

// Key returns what the connection is bound to.
func (c *Conn[K, V]) Key() K { return c.bucket.key }

// Loop returns the loop that the connection is on: of the borrower it is lent to, or, while it is dialed, of the waiter
// that caused the dial (open it there), unless SetLoop said otherwise. Only who owns Value may call it.
func (c *Conn[K, V]) Loop() int { return c.loop }

// Grant is a connection lent to a waiter that was queued.
type Grant[K comparable, V any] struct {
	Waiter *Waiter[K, V]
	Conn   *Conn[K, V]
}

// Todo is what an operation leaves to its caller, to be done after it returned. Most are empty.
type Todo[K comparable, V any] struct {
	// Grant is to be told to the waiter, if Waiter is not nil. The connection is already lent to it. One operation
	// frees one connection, so there is never more than one.
	Grant Grant[K, V]
	Dial  []*Conn[K, V] // open each for its Key, then call Opened or DialFailed
	Close []*Conn[K, V] // close each, then call Closed; it keeps its slot until then
	// TickAt is when Tick must be called again, if it is not called sooner anyhow; 0: whenever it is called.
	TickAt time.Duration
}

// Outcome is how a Borrow ended.
type Outcome uint8

const (
	Refused Outcome = iota // nothing free and the borrower would not wait, or the pool is closed
	Queued                 // a Grant or a refusal follows, unless Abandon comes before it
	Granted                // lent
)

// Stats are a pool's counts at one instant.
type Stats struct {
	Open, Idle, Lent, Dialing, Closing int // Open is the sum of the others
	Waiting                            int
	Max                                int
}

// Pool lends the connections of one target. See the package comment.
type Pool[K comparable, V any] struct {
	mu      sync.Mutex
	config  Config
	shut    bool
	paused  bool
	buckets map[K]*bucket[K, V]
	count   [states]int        // connections by state; that of closed means nothing
	ages    list[Conn[K, V]]   // the idle connections of all keys, least recently used first
	busy    list[bucket[K, V]] // the buckets with waiters
	waiting int                // waiters in all buckets
	claimed int                // slots of connections that are not the pool's, by Claim
	kept    int                // and by ClaimKept
	// doubtful is how many of the dials in flight are for keys whose last dial failed.
	doubtful int
	// strange is how many of them are for keys that have not shown that they can be dialed, or not since a dial failed.
	strange int
	arrival uint64 // of the last waiter
	dials   uint64 // begun so far
}

// New returns an empty pool.
func New[K comparable, V any](c Config) *Pool[K, V] {
	return &Pool[K, V]{config: c.withDefaults(), buckets: make(map[K]*bucket[K, V])}
}

// Borrow lends w's session a connection of w.Key, or queues w. With nowOrNever it takes an idle connection of the key or
// nothing. What w would have waited for is begun all the same, as if w had been abandoned at once: a pool in which
// nobody waits would otherwise never open a connection.
func (p *Pool[K, V]) Borrow(w *Waiter[K, V], now time.Duration, nowOrNever bool) (c *Conn[K, V], o Outcome, todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.bucket != nil {
		panic("BUG: pool: Borrow by a waiter that is queued")
	}
	if p.shut {
		return nil, Refused, todo
	}
	b := p.bucketOf(w)
	if c = b.choose(w); c != nil {
		p.lend(c, idle, w)
		p.widen(w, b, &todo)
		return c, Granted, todo
	}
	p.enqueue(b, w)
	p.settle(now, &todo)
	p.widen(w, b, &todo)
	if nowOrNever {
		p.dequeue(w)
		return nil, Refused, todo
	}
	return nil, Queued, todo
}

// Abandon takes w out of the queue. False means that the pool decided first: a grant or a refusal is on its way to w,
// and a granted connection must be returned.
func (p *Pool[K, V]) Abandon(w *Waiter[K, V]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.bucket == nil {
		return false
	}
	if w.bucket.pool != p {
		panic("BUG: pool: Abandon of a waiter in another pool")
	}
	p.dequeue(w)
	return true
}

// Return gives back a lent connection that is at a boundary and clean.
func (p *Pool[K, V]) Return(c *Conn[K, V], now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.place(c, lent, now, &todo)
	return todo
}

// Discard gives back a lent connection that must not be used again. The caller closes it, then calls Closed.
func (p *Pool[K, V]) Discard(c *Conn[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(c, lent, closing)
}

// Take claims an idle connection on which something happened. True: it is lent to the caller. False: it is not idle any
// more, and none of the caller's business.
func (p *Pool[K, V]) Take(c *Conn[K, V]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state != idle {
		return false
	}
	p.move(c, idle, lent)
	return true
}

// SetLoop says which loop a connection that is being dialed or lent is on. Lending it says that it is on the borrower's:
// a borrower that returns it without having moved it there sets that right.
func (p *Pool[K, V]) SetLoop(c *Conn[K, V], loop int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.state != dialing && c.state != lent {
		panic("BUG: pool: SetLoop of a connection that is " + c.state.String())
	}
	c.loop = loop
}

// Opened says that c, which was to be dialed, is ready: logged in, clean, and on c.Loop().
func (p *Pool[K, V]) Opened(c *Conn[K, V], now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.opened = now
	c.bucket.lastErr = nil
	c.bucket.fails(0)
	c.bucket.trust(true)
	p.place(c, dialing, now, &todo)
	return todo
}

// DialFailed says that c could not be opened; its slot is free. The key pauses before its next dial. If the failure is permanent (trying again
// with this key cannot help), and nobody has a connection of the key that could come back, its waiters are taken out of the queue and returned,
// for the caller to refuse them with err. Otherwise they go on waiting.
func (p *Pool[K, V]) DialFailed(c *Conn[K, V], now time.Duration, err error, permanent bool) (failed []*Waiter[K, V], todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(c, dialing, closed)
	b := c.bucket
	b.lastErr, b.failedAt = err, now
	b.pause(now, p.config.RetryDelay)
	todo.TickAt = b.retryAt
	if permanent && b.count[lent] == 0 {
		failed = p.dismiss(b, nil)
	}
	p.settle(now, &todo)
	return failed, todo
}

// Reachable says that the server takes logins again: keys whose last dial failed do not wait until their pauses end.
func (p *Pool[K, V]) Reachable(now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.buckets {
		b.fails(0)
	}
	p.settle(now, &todo)
	return todo
}

// Claim takes a free slot of the budget for a connection that is not the pool's, and says whether there was one.
func (p *Pool[K, V]) Claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut || p.open() >= p.most() {
		return false
	}
	p.claimed++
	return true
}

// Unclaim gives a claimed slot back.
func (p *Pool[K, V]) Unclaim(now time.Duration) Todo[K, V] { return p.unclaim(&p.claimed, now) }

// ClaimKept is Claim for one of the slots that are kept. Of those that are kept since a moment ago the pool may not have been able to free
// any yet, and one may be claimed that is not kept any more: it counts until it is given back.
func (p *Pool[K, V]) ClaimKept() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut || p.open() >= p.config.Max {
		return false
	}
	p.kept++
	return true
}

// UnclaimKept gives such a slot back.
func (p *Pool[K, V]) UnclaimKept(now time.Duration) Todo[K, V] { return p.unclaim(&p.kept, now) }

// unclaim gives back one of slots.
func (p *Pool[K, V]) unclaim(slots *int, now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *slots == 0 {
		panic("BUG: pool: a slot is given back that was not claimed")
	}
	*slots--
	p.settle(now, &todo)
	return todo
}

// Retire closes what is idle.
func (p *Pool[K, V]) Retire() (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.ages.len > 0 {
		p.retire(p.ages.first.of, idle, &todo)
	}
	return todo
}

// Outdate says of the keys that match picks that a connection which begins from now on is not what those are that have begun: none of these
// is lent again. match is called with the pool's lock held.
func (p *Pool[K, V]) Outdate(match func(K) bool) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, b := range p.buckets {
		if match(k) {
			b.outdated = p.dials
		}
	}
	for l := p.ages.first; l != nil; {
		c := l.of
		l = l.next
		if c.outdated() {
			p.retire(c, idle, &todo)
		}
	}
	return todo
}

// outdated says whether c had begun when connections of its key were outdated.
func (c *Conn[K, V]) outdated() bool { return c.number <= c.bucket.outdated }

// Yield closes the idle connection that was used longest ago, of whatever key, and says whether there was one: the server has no place for
// somebody who needs one more.
func (p *Pool[K, V]) Yield() (todo Todo[K, V], yielded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ages.len == 0 {
		return todo, false
	}
	p.retire(p.ages.first.of, idle, &todo)
	return todo, true
}

// Closed says that a closing connection is closed as far as the server is concerned; its slot is free. Its Value is
// dropped: sessions that remember the connection must not keep it alive.
func (p *Pool[K, V]) Closed(c *Conn[K, V], now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(c, closing, closed)
	var none V
	c.Value = none
	p.settle(now, &todo)
	return todo
}

// LastError returns why the last dial for k failed, nil if it succeeded or is long past.
func (p *Pool[K, V]) LastError(k K) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.buckets[k]; b != nil {
		return b.lastErr
	}
	return nil
}

// Stats returns the counts.
func (p *Pool[K, V]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Open: p.open() - p.claimed - p.kept, Idle: p.count[idle], Lent: p.count[lent], Dialing: p.count[dialing], Closing: p.count[closing],
		Waiting: p.waiting, Max: p.config.Max - p.config.Kept,
	}
}

// What follows is called with the lock held.

// open is how much of the budget is taken.
func (p *Pool[K, V]) open() int {
	return p.count[dialing] + p.count[idle] + p.count[lent] + p.count[closing] + p.claimed + p.kept
}

// most is how much of the budget may be taken, what is kept being left.
func (p *Pool[K, V]) most() int { return p.config.Max - max(0, p.config.Kept-p.kept) }

// move makes every transition of a connection, and keeps what is counted and listed by state.
func (p *Pool[K, V]) move(c *Conn[K, V], from, to state) {
	b := c.bucket
	if c.state != from || b.pool != p {
		panic("BUG: pool: a connection that is " + c.state.String() + " cannot go from " + from.String() + " to " + to.String() + " here")
	}
	p.count[from]--
	p.count[to]++
	b.count[from]--
	b.count[to]++
	c.state = to
	if b.failures > 0 && from == dialing {
		p.doubtful--
	}
	if b.failures > 0 && to == dialing {
		p.doubtful++
	}
	if !b.trusted && from == dialing {
		p.strange--
	}
	if !b.trusted && to == dialing {
		p.strange++
	}
	if from == idle {
		p.ages.remove(&c.age)
		b.lane(c.loop).idle.remove(&c.lane)
	}
	if to == idle {
		p.ages.push(&c.age, c)
		b.lane(c.loop).idle.push(&c.lane, c)
	}
}

// lend gives w a connection, whether it was idle, comes back from another borrower or is new.
func (p *Pool[K, V]) lend(c *Conn[K, V], from state, w *Waiter[K, V]) {
	p.move(c, from, lent)
	c.session, c.loop = w.Session, w.Loop
	w.last = c
}

// place decides what becomes of a connection that comes back, or is new.
func (p *Pool[K, V]) place(c *Conn[K, V], from state, now time.Duration, todo *Todo[K, V]) {
	if surplus := p.open() - p.count[closing] - p.most(); p.shut || p.paused || surplus > 0 || p.tooOld(c, now) || c.outdated() {
		p.retire(c, from, todo)
	} else if w, yield := p.successor(c.bucket, c.loop, now); yield {
		p.retire(c, from, todo)
	} else if w != nil {
		p.dequeue(w)
		p.lend(c, from, w)
		todo.Grant = Grant[K, V]{w, c}
	} else {
		c.since = now
		p.move(c, from, idle)
	}
	p.settle(now, todo)
}

func (p *Pool[K, V]) retire(c *Conn[K, V], from state, todo *Todo[K, V]) {
	p.move(c, from, closing)
	todo.Close = append(todo.Close, c)
}

// settle starts what the waiters need and the budget allows, and keeps what is idle within the budget.
func (p *Pool[K, V]) settle(now time.Duration, todo *Todo[K, V]) {
	for p.open() < p.most() && p.count[dialing] < p.config.MaxDials {
		w := p.neediest(now, nil)
		if w == nil {
			break
		}
		p.dial(w.bucket, w.Loop, todo)
	}
	if p.ages.len == 0 {
		return
	}
	// The waiters that could be dialed for if they had slots, less the slots that are free or on their way, is how
	// many idle connections give theirs up: by now all of other keys. Where Max was lowered fewer than none are free.
	need := min(p.need(now), max(0, p.config.MaxDials-p.count[dialing]))
	short := need - (p.most() - p.open()) - p.count[closing]
	for range min(short, p.ages.len) {
		p.retire(p.ages.first.of, idle, todo)
	}
}

// widen begins a dial that nobody needs, where connections rotate.
func (p *Pool[K, V]) widen(w *Waiter[K, V], b *bucket[K, V], todo *Todo[K, V]) {
	if p.config.Rotate && !p.paused && p.open() < p.most() && p.count[dialing] < p.config.MaxDials && b.failures == 0 {
		p.dial(b, w.Loop, todo)
	}
}

// dial begins a connection of b, on the account of a waiter on loop.
func (p *Pool[K, V]) dial(b *bucket[K, V], loop int, todo *Todo[K, V]) {
	p.dials++
	c := &Conn[K, V]{bucket: b, loop: loop, number: p.dials, spread: spread(p.dials)}
	p.move(c, closed, dialing)
	todo.Dial = append(todo.Dial, c)
}

// spread scatters successive numbers over a byte (Fibonacci hashing). Jitter needs to be spread, not secret, and a pool
// that draws no random numbers behaves the same in every run of a simulation.
func spread(n uint64) uint8 { return uint8(n * 0x9e3779b97f4a7c15 >> 56) }
