package pool

import "time"

// errorMemory is how long LastError is known for a key that nobody has used since.
const errorMemory = time.Minute

// Tick closes what is too old and, above MaxIdle, what was idle for too long, begins dials whose pause is over, and forgets unused keys. It
// wants to be called about once a second, and at the soonest TickAt: it returns the one after that.
func (p *Pool[K, V]) Tick(now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := p.ages.first; l != nil; {
		c := l.of
		l = l.next
		if p.tooOld(c, now) || p.ages.len > p.config.MaxIdle && p.unused(c, now) {
			p.retire(c, idle, &todo)
		}
	}
	for k, b := range p.buckets {
		if b.failures > 0 && now < b.retryAt && (todo.TickAt == 0 || b.retryAt < todo.TickAt) {
			todo.TickAt = b.retryAt
		}
		if b.unused() && (b.lastErr == nil || now-b.failedAt > errorMemory) {
			delete(p.buckets, k)
		}
	}
	p.settle(now, &todo)
	return todo
}

// Configure changes the limits. Where there are now too many connections the idle ones go first, the lent ones as they
// come back.
func (p *Pool[K, V]) Configure(c Config, now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = c.withDefaults()
	p.settle(now, &todo)
	return todo
}

// Pause stops the lending until Resume: whoever borrows waits, what is idle is to be closed, and everything else when it
// comes back, or when its dial ends. Somebody who would borrow now or never gets nothing.
func (p *Pool[K, V]) Pause() (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = true
	for p.ages.len > 0 {
		p.retire(p.ages.first.of, idle, &todo)
	}
	return todo
}

// Resume ends a Pause.
func (p *Pool[K, V]) Resume(now time.Duration) (todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = false
	p.settle(now, &todo)
	return todo
}

// Close ends the lending: the waiters are returned, for the caller to refuse them, idle connections are to be closed, and
// all others when they come back. Borrow refuses from now on; every other method goes on working.
func (p *Pool[K, V]) Close(now time.Duration) (refused []*Waiter[K, V], todo Todo[K, V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	for p.busy.len > 0 {
		refused = p.dismiss(p.busy.first.of, refused)
	}
	for p.ages.len > 0 {
		p.retire(p.ages.first.of, idle, &todo)
	}
	return refused, todo
}

// tooOld says whether c is past its lifetime. Connections that were opened together must not all end together.
func (p *Pool[K, V]) tooOld(c *Conn[K, V], now time.Duration) bool {
	most := p.config.MaxLifetime
	return most > 0 && now-c.opened > most-most/(10*256)*time.Duration(c.spread)
}

// unused says whether c is idle for so long that it counts against MaxIdle. Connections that come and go with the load
// must not: each would be dialed again a moment later.
func (p *Pool[K, V]) unused(c *Conn[K, V], now time.Duration) bool {
	return p.config.IdleTimeout > 0 && now-c.since > p.config.IdleTimeout
}

// unused says that a bucket holds nothing but perhaps an error.
func (b *bucket[K, V]) unused() bool {
	return b.waiters.len == 0 && b.count[dialing]+b.count[idle]+b.count[lent]+b.count[closing] == 0
}
