package pool

import "time"

// maxPassed is how often a waiter may be passed. See the package comment, Order.
const maxPassed = 8

// Waiter is a session's place in the queue, to be embedded in it. With its exported fields set the zero value is ready;
// it must not be copied. It serves one Borrow at a time, of any pool.
type Waiter[K comparable, V any] struct {
	Key     K
	Session uint32 // a session gets back the connection that it had last, if that is still idle
	passed  int32  // under the lock of the pool that it waits in, like those below
	Loop    int    // the loop that asks, counted from 0
	Owner   any    // the caller's way back to the session

	// Under the lock of the pool that it waits in.

	last    *Conn[K, V]   // what it was lent last
	bucket  *bucket[K, V] // nil: not queued
	arrival uint64        // older waiters have smaller ones
	turn    link[Waiter[K, V]]
	lane    link[Waiter[K, V]]
}

// bucket is what a pool knows of one key.
type bucket[K comparable, V any] struct {
	pool    *Pool[K, V]
	key     K
	count   [states]int        // its connections by state
	waiters list[Waiter[K, V]] // oldest first
	lanes   []lane[K, V]       // by loop
	busy    link[bucket[K, V]]
	// outdated is the number of the last dial that had begun when the key's connections were outdated, 0 if they never were.
	outdated uint64

	lastErr  error         // of the last dial
	failedAt time.Duration // when that was
	failures int           // in a row
	retryAt  time.Duration // no dial before, if there were failures
	trusted  bool          // its last dial succeeded
}

// lane is what concerns one loop in a bucket.
type lane[K comparable, V any] struct {
	idle    list[Conn[K, V]]   // most recently used last
	waiters list[Waiter[K, V]] // oldest first
}

// bucketOf returns the bucket of w's key. Where w's last connection leads to it that is cheaper than to look it up: while
// a connection is open its bucket is not forgotten.
func (p *Pool[K, V]) bucketOf(w *Waiter[K, V]) *bucket[K, V] {
	// The pool is compared first: a connection of another pool is under another lock.
	if c := w.last; c != nil && c.bucket.pool == p && c.state != closed && c.bucket.key == w.Key {
		return c.bucket
	}
	b := p.buckets[w.Key]
	if b == nil {
		b = &bucket[K, V]{pool: p, key: w.Key}
		p.buckets[w.Key] = b
	}
	return b
}

func (b *bucket[K, V]) lane(loop int) *lane[K, V] {
	for loop >= len(b.lanes) {
		b.lanes = append(b.lanes, lane[K, V]{})
	}
	return &b.lanes[loop]
}

// choose returns the idle connection that suits w best, nil if there is none: the one its session had last (there is
// nothing to restore), else one of its loop (nothing to move), else any.
//
// Among equals the most recently used goes first. Taking the least recently used would disturb fewer sessions that may
// ask again for theirs; but it would keep every connection in use by turns, so that none ever reached its idle timeout
// and the pool stayed at the size of its worst moment, with the database's caches cold in each.
func (b *bucket[K, V]) choose(w *Waiter[K, V]) *Conn[K, V] {
	if b.count[idle] == 0 {
		return nil
	}
	if b.pool.config.Rotate {
		return b.stalest()
	}
	// The bucket is compared first, for the same reason as in bucketOf.
	if c := w.last; c != nil && c.bucket == b && c.state == idle && c.session == w.Session {
		return c
	}
	if l := b.lane(w.Loop).idle.last; l != nil {
		return l.of
	}
	var best *Conn[K, V]
	for i := range b.lanes {
		if l := b.lanes[i].idle.last; l != nil && (best == nil || l.of.since > best.since) {
			best = l.of
		}
	}
	return best
}

// stalest returns the idle connection that was used longest ago. There is one.
func (b *bucket[K, V]) stalest() *Conn[K, V] {
	l := b.pool.ages.first
	for l.of.bucket != b {
		l = l.next
	}
	return l.of
}

func (p *Pool[K, V]) enqueue(b *bucket[K, V], w *Waiter[K, V]) {
	p.arrival++
	w.bucket, w.arrival, w.passed = b, p.arrival, 0
	if b.waiters.len == 0 {
		p.busy.push(&b.busy, b)
	}
	b.waiters.push(&w.turn, w)
	b.lane(w.Loop).waiters.push(&w.lane, w)
	p.waiting++
}

func (p *Pool[K, V]) dequeue(w *Waiter[K, V]) {
	b := w.bucket
	w.bucket = nil
	b.waiters.remove(&w.turn)
	b.lane(w.Loop).waiters.remove(&w.lane)
	if b.waiters.len == 0 {
		p.busy.remove(&b.busy)
	}
	p.waiting--
}

// dismiss takes all of b's waiters out of the queue and appends them to ws.
func (p *Pool[K, V]) dismiss(b *bucket[K, V], ws []*Waiter[K, V]) []*Waiter[K, V] {
	for b.waiters.len > 0 {
		w := b.waiters.first.of
		p.dequeue(w)
		ws = append(ws, w)
	}
	return ws
}

// wants is how many dials for the key would be of use now, as far as it may have them. After a failure one dial tries whether it was
// the last.
func (b *bucket[K, V]) wants(now time.Duration) int {
	p := b.pool
	if p.paused {
		return 0
	}
	n := max(0, b.waiters.len-b.count[dialing])
	if !b.trusted {
		n = min(n, p.strangers()-p.strange)
	}
	if b.failures == 0 {
		return max(0, min(n, p.share()-b.count[dialing]))
	}
	if b.count[dialing] > 0 || now < b.retryAt || p.doubtful >= p.share() {
		return 0
	}
	return max(0, min(n, 1))
}

// share is how many of the dials in flight one key may have, and those keys together whose last one failed: a few are left to others,
// since dials that hang take long. It is less than strangers, or one key would have all that is for those, but where that would leave
// nothing, or a single one.
func (p *Pool[K, V]) share() int {
	n := p.config.MaxDials
	switch {
	case n >= fewDials:
		return n - max(2, n/4)
	case n > 1:
		return n - 1
	}
	return n
}

// strangers is how many of the dials in flight those keys may have together whose last one did not succeed, or that had none yet: as many
// of these as there are dials may hang, each for the first time.
func (p *Pool[K, V]) strangers() int {
	n := p.config.MaxDials
	if n >= fewDials {
		return n - max(1, n/8)
	}
	return n
}

// fewDials is how many may be in flight, at least, for one to be left to those keys that have shown that they can be dialed.
const fewDials = 4

// need is how many dials would be of use now, over all keys.
func (p *Pool[K, V]) need(now time.Duration) (n int) {
	doubtful, strange := 0, 0
	for l := p.busy.first; l != nil; l = l.next {
		switch b := l.of; {
		case b.failures > 0:
			doubtful += b.wants(now)
		case !b.trusted:
			strange += b.wants(now)
		default:
			n += b.wants(now)
		}
	}
	strange += min(doubtful, max(0, p.share()-p.doubtful))
	return n + min(strange, max(0, p.strangers()-p.strange))
}

// trust sets whether the last dial of b succeeded.
func (b *bucket[K, V]) trust(now bool) {
	switch {
	case now && !b.trusted:
		b.pool.strange -= b.count[dialing]
	case !now && b.trusted:
		b.pool.strange += b.count[dialing]
	}
	b.trusted = now
}

// fails sets how often dials of b failed in a row.
func (b *bucket[K, V]) fails(n int) {
	if was := b.failures > 0; was != (n > 0) {
		if was {
			b.pool.doubtful -= b.count[dialing]
		} else {
			b.pool.doubtful += b.count[dialing]
		}
	}
	b.failures = n
}

// neediest returns the oldest needy waiter of any key but that of except for which a dial would be of use now. It costs
// a step a key that has waiters and a dial in flight.
func (p *Pool[K, V]) neediest(now time.Duration, except *bucket[K, V]) (oldest *Waiter[K, V]) {
	for l := p.busy.first; l != nil; l = l.next {
		b := l.of
		if b == except || b.wants(now) == 0 {
			continue
		}
		w := b.waiters.first
		for range b.count[dialing] {
			w = w.next // covered
		}
		if oldest == nil || w.of.arrival < oldest.arrival {
			oldest = w.of
		}
	}
	return oldest
}

// successor returns who gets a connection of b that is on loop, nil if nobody waits for one; or yield, if the connection
// has to be closed because an older waiter of another key was passed too often.
func (p *Pool[K, V]) successor(b *bucket[K, V], loop int, now time.Duration) (w *Waiter[K, V], yield bool) {
	if b.waiters.len == 0 {
		return nil, false
	}
	first := b.waiters.first.of
	if p.open() >= p.most() && p.count[closing] == 0 && p.count[dialing] < p.config.MaxDials {
		if h := p.neediest(now, b); h != nil && h.arrival < first.arrival {
			if h.passed == maxPassed {
				return nil, true
			}
			h.passed++
		}
	}
	if l := b.lane(loop).waiters.first; l != nil && l.of != first && first.passed < maxPassed {
		first.passed++
		return l.of, false
	}
	return first, false
}

// pause puts off the next dial for the key. Dials that were in flight together fail together: that is one failure.
func (b *bucket[K, V]) pause(now, first time.Duration) {
	b.trust(false)
	if b.failures > 0 && now < b.retryAt {
		return
	}
	b.retryAt = now + first<<min(b.failures, 4)
	b.fails(b.failures + 1)
}
