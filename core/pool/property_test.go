package pool

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// place in the queue, as the property test remembers it.
type place struct {
	ahead  int // waiters of the key that were there before
	served int // grants of the key until then
}

// random drives a world by chance, in virtual time. After every step world.do checks the invariants.
type random struct {
	*world
	*rand.Rand
	keys, loops int
	resting     []*waiter
	queued      map[*waiter]place
	order       []*waiter // of queued, so that a seed means the same in every run
	served      map[string]int
	holders     []*waiter
}

// stalest returns the idle connection of a key that was returned first, nil if there is none.
func (r *random) stalest(key string) (c *conn) {
	for _, x := range walk(&r.ages) {
		if x.Key() == key && (c == nil || x.since < c.since) {
			c = x
		}
	}
	return c
}

// record notes who was granted something in the last step, and that it was in time.
func (r *random) record() {
	for i := 0; i < len(r.order); i++ {
		w := r.order[i]
		if r.granted[w] == nil {
			continue
		}
		r.order = append(r.order[:i], r.order[i+1:]...)
		at := r.queued[w]
		delete(r.queued, w)
		r.served[w.Key]++
		if n := r.served[w.Key] - at.served; n > (maxPassed+1)*(at.ahead+1) {
			r.Fatalf("granted as number %d after finding %d waiters", n, at.ahead)
		}
		r.holders = append(r.holders, w)
		i--
	}
}

func (r *random) borrow() {
	if len(r.resting) == 0 {
		return
	}
	w := pick(r.Rand, &r.resting)
	w.Key, w.Loop = string(rune('a'+r.IntN(r.keys))), r.IntN(r.loops)
	ahead := 0
	if b := r.buckets[w.Key]; b != nil {
		ahead = b.waiters.len
	}
	stalest := r.stalest(w.Key)
	if r.again(w) == Granted {
		if r.config.Rotate && r.granted[w] != stalest {
			r.Fatal("another connection was lent than the one used longest ago")
		}
		r.holders = append(r.holders, w)
		return
	}
	r.queued[w] = place{ahead, r.served[w.Key]}
	r.order = append(r.order, w)
}

func (r *random) giveBack() {
	if len(r.holders) == 0 {
		return
	}
	w := pick(r.Rand, &r.holders)
	r.resting = append(r.resting, w)
	if r.IntN(10) > 0 {
		r.give(w)
		return
	}
	r.Discard(r.granted[w])
	r.closes = append(r.closes, r.granted[w])
	delete(r.granted, w)
}

func (r *random) abandon() {
	if len(r.order) == 0 {
		return
	}
	w := pick(r.Rand, &r.order)
	delete(r.queued, w)
	if !r.Abandon(w) {
		r.Fatal("a queued waiter could not abandon")
	}
	r.resting = append(r.resting, w)
}

func (r *random) endDial(failing int) {
	if len(r.dials) == 0 {
		return
	}
	c := pick(r.Rand, &r.dials)
	if r.IntN(100) >= failing {
		r.do(r.Opened(c, r.now))
		return
	}
	failed, d := r.DialFailed(c, r.now, errDown, r.IntN(4) == 0)
	for _, w := range failed {
		if w.Key != c.Key() {
			r.Fatal("a waiter of another key was refused")
		}
		delete(r.queued, w)
		for i, q := range r.order {
			if q == w {
				r.order = append(r.order[:i], r.order[i+1:]...)
				break
			}
		}
		r.resting = append(r.resting, w)
	}
	r.do(d)
}

func (r *random) endClose() {
	if len(r.closes) > 0 {
		r.do(r.Closed(pick(r.Rand, &r.closes), r.now))
	}
}

func (r *random) takeIdle() {
	if r.ages.len == 0 {
		return
	}
	c := r.ages.first.of
	if !r.Take(c) {
		r.Fatal("an idle connection could not be taken")
	}
	r.do(r.Return(c, r.now))
}

func (r *random) limits() Config {
	c := Config{Max: r.IntN(8), MaxIdle: r.IntN(8), MaxDials: 1 + r.IntN(4), Rotate: r.IntN(3) == 0}
	if r.IntN(2) == 0 {
		c.MaxLifetime, c.IdleTimeout = time.Minute, 10*time.Second
	}
	return c
}

func (r *random) step() {
	before := r.Stats().Open
	switch n := r.IntN(100); {
	case n < 35:
		r.borrow()
	case n < 65:
		r.giveBack()
	case n < 70:
		r.abandon()
	case n < 82:
		r.endDial(20)
	case n < 93:
		r.endClose()
	case n < 95:
		r.takeIdle()
	case n < 99:
		r.tick(time.Duration(r.IntN(1000)) * time.Millisecond)
	case r.IntN(2) == 0:
		r.do(r.Configure(r.limits(), r.now))
	case r.IntN(2) == 0:
		r.do(r.Outdate(func(string) bool { return r.IntN(2) == 0 }))
	case r.paused:
		r.do(r.Resume(r.now))
	default:
		r.do(r.Pause())
	}
	r.record()
	if s := r.Stats(); s.Open > max(before, s.Max) {
		r.Fatalf("%d open of at most %d", s.Open, s.Max)
	}
}

// drain lets everything that is under way end well, and nothing new begin.
func (r *random) drain() {
	r.do(r.Configure(Config{Max: 1 + r.IntN(3), MaxIdle: 1}, r.now))
	r.do(r.Resume(r.now))
	for range 1000 {
		for len(r.holders) > 0 {
			r.giveBack()
			r.record()
		}
		r.endDial(0)
		r.record()
		r.closeAll()
		r.tick(time.Second)
		r.record()
		if len(r.order) == 0 && len(r.holders)+len(r.dials)+len(r.closes) == 0 {
			return
		}
	}
	r.Fatalf("%d still wait: %+v", len(r.order), r.Stats())
}

func TestWhateverHappensTheInvariantsHoldAndEveryoneIsServed(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			source := rand.New(rand.NewPCG(seed, 1))
			r := &random{
				world: newWorld(t, Config{}), Rand: source, keys: 1 + source.IntN(4), loops: 1 + source.IntN(3),
				queued: map[*waiter]place{}, served: map[string]int{},
			}
			r.do(r.Configure(r.limits(), 0))
			for i := range 20 {
				r.resting = append(r.resting, &waiter{Session: uint32(i)})
			}
			for range 1000 {
				r.step()
			}
			r.drain()
			_, d := r.Pool.Close(r.now)
			r.do(d)
			r.closeAll()
			r.stats(Stats{})
		})
	}
}

// pick takes a random element out of s, which is not empty.
func pick[T any](r *rand.Rand, s *[]T) T {
	i := r.IntN(len(*s))
	x := (*s)[i]
	*s = append((*s)[:i], (*s)[i+1:]...)
	return x
}
