package pool

import (
	"errors"
	"fmt"
)

// Check walks everything and returns which of the package's invariants does not hold. It is for tests.
func (p *Pool[K, V]) Check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var count [states]int
	var errs []error
	expect := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, a...))
		}
	}
	waiting, busy, doubtful, strange := 0, 0, 0, 0
	for k, b := range p.buckets {
		for s := dialing; s < states; s++ {
			expect(b.count[s] >= 0, "key %v: %d %s", k, b.count[s], s)
			count[s] += b.count[s]
		}
		waiting += b.waiters.len
		if b.waiters.len > 0 {
			busy++
		}
		if b.failures > 0 {
			doubtful += b.count[dialing]
		}
		if !b.trusted {
			strange += b.count[dialing]
		}
		expect(b.pool == p && b.key == k, "key %v: in the wrong place", k)
		expect(b.waiters.len == 0 || b.count[idle] == 0, "key %v: %d wait beside %d idle", k, b.waiters.len, b.count[idle])
		b.checkLists(expect)
		if b.failures == 0 && b.wants(0) > 0 && p.count[dialing] < p.config.MaxDials {
			expect(p.open() >= p.most(), "key %v: needy beside a free slot", k)
			expect(p.count[idle] == 0 || p.count[closing] > 0, "key %v: needy beside idle connections of other keys", k)
		}
	}
	for s := dialing; s < states; s++ {
		expect(count[s] == p.count[s], "%d %s, counted %d", count[s], s, p.count[s])
	}
	expect(p.waiting == waiting && p.busy.len == busy, "%d wait for %d keys, counted %d for %d", waiting, busy, p.waiting, p.busy.len)
	expect(p.doubtful == doubtful, "%d dials for keys that failed, counted %d", doubtful, p.doubtful)
	expect(p.strange == strange, "%d dials for keys that had none or whose last one failed, counted %d", strange, p.strange)
	expect(len(walk(&p.ages)) == count[idle], "%d idle, listed %d", count[idle], p.ages.len)
	expect(p.count[idle] == 0 || p.open()-p.count[closing] <= p.most(), "idle connections above a lowered limit")
	expect(p.claimed >= 0 && p.kept >= 0, "%d and %d slots claimed", p.claimed, p.kept)
	expect(!p.shut || waiting == 0 && count[idle] == 0, "closed with %d waiters and %d idle", waiting, count[idle])
	expect(!p.paused || count[idle] == 0, "paused with %d idle", count[idle])
	return errors.Join(errs...)
}

func (b *bucket[K, V]) checkLists(expect func(ok bool, format string, a ...any)) {
	var arrival uint64
	for _, w := range walk(&b.waiters) {
		expect(w.bucket == b, "key %v: a waiter does not know that it is queued", b.key)
		expect(w.arrival > arrival, "key %v: waiters out of order", b.key)
		expect(w.passed <= maxPassed, "key %v: a waiter was passed %d times", b.key, w.passed)
		arrival = w.arrival
	}
	waiters, conns := 0, 0
	for i := range b.lanes {
		arrival = 0
		for _, w := range walk(&b.lanes[i].waiters) {
			expect(w.bucket == b && w.Loop == i && w.arrival > arrival, "key %v: loop %d has a wrong waiter", b.key, i)
			arrival = w.arrival
			waiters++
		}
		for _, c := range walk(&b.lanes[i].idle) {
			expect(c.bucket == b && c.loop == i && c.state == idle, "key %v: loop %d has a wrong connection", b.key, i)
			expect(!c.outdated(), "key %v: an outdated connection is idle", b.key)
			conns++
		}
	}
	expect(waiters == b.waiters.len, "key %v: %d waiters, on loops %d", b.key, b.waiters.len, waiters)
	expect(conns == b.count[idle], "key %v: %d idle, on loops %d", b.key, b.count[idle], conns)
}

// walk returns what is in s, nil if its links are broken.
func walk[T any](s *list[T]) (all []*T) {
	var before *link[T]
	for l := s.first; l != nil; before, l = l, l.next {
		if l.prev != before || len(all) == s.len {
			return nil
		}
		all = append(all, l.of)
	}
	if before != s.last || len(all) != s.len {
		return nil
	}
	return all
}
