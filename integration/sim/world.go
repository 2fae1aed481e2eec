package sim

import (
	"container/heap"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/berthdb/berth/core/loop"
)

// world is the scheduler: virtual time, the events to come, and everything that chance decides.
type world struct {
	rng     *rand.Rand
	now     time.Duration
	events  eventQueue
	seq     uint64
	procs   map[*proc]bool // not ended
	current *proc          // running just now, nil: none
	failure error
	each    func() // checks, after every event
	over    bool   // what is left is unwound
	scratch []byte // to receive into, see reader and stream

	trace  hash.Hash64
	traced uint64
	recent []string  // the last lines of the trace
	out    io.Writer // where all of it goes, nil: nowhere
}

// recentLines is how much of a trace is shown with a failure.
const recentLines = 60

func newWorld(seed uint64) *world {
	return &world{
		rng: rand.New(rand.NewPCG(seed, 0x5eed)), procs: make(map[*proc]bool), trace: fnv.New64a(), scratch: make([]byte, loop.MaxHeld),
	}
}

// reseed makes what follows depend on these alone.
func (w *world) reseed(seed uint64, variant int) {
	w.rng = rand.New(rand.NewPCG(seed, uint64(variant)+1))
}

// event is something that happens at a time. Those of one instant happen in the order in which they were made.
type event struct {
	at  time.Duration
	seq uint64
	run func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *eventQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}

// after makes f run in d.
func (w *world) after(d time.Duration, f func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + max(d, 0), w.seq, f})
}

// run lets the world go on until done says so, or until it failed, or until the time limit, which is a failure.
func (w *world) run(limit time.Duration, done func() bool) {
	for w.failure == nil && !done() {
		if len(w.events) == 0 {
			w.fail("nothing is going to happen any more")
			return
		}
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		if w.now > limit {
			w.fail("still not done after %v of virtual time", limit)
			return
		}
		w.guard(e.run)
		if w.each != nil {
			w.each()
		}
	}
}

// guard makes a panic the world's failure.
func (w *world) guard(f func()) {
	defer func() {
		switch r := recover(); r {
		case nil, stopped{}:
		default:
			w.fail("panic: %v\n%s", r, debug.Stack())
		}
	}()
	f()
}

// fail notes why the run is a failure; the first reason counts.
func (w *world) fail(format string, a ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf("at %v: %w", w.now, fmt.Errorf(format, a...))
	}
}

// log enters a line into the trace.
func (w *world) log(format string, a ...any) {
	if w.over {
		return
	}
	line := fmt.Sprintf("%12v ", w.now) + fmt.Sprintf(format, a...)
	_, _ = w.trace.Write([]byte(line))
	w.traced++
	if w.out != nil {
		_, _ = fmt.Fprintln(w.out, line)
	}
	if len(w.recent) == 2*recentLines {
		w.recent = append(w.recent[:0], w.recent[recentLines:]...)
	}
	w.recent = append(w.recent, line)
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return n > 0 && w.rng.IntN(n) == 0 }

// upTo returns a duration below d, small ones more often.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d)+1)) >> w.rng.IntN(6)
}

// between returns a number in lo..hi.
func (w *world) between(lo, hi int) int { return lo + w.rng.IntN(hi-lo+1) }

// stopped unwinds a process whose world has ended.
type stopped struct{}

// proc is a process: code that blocks, as a coroutine.
type proc struct {
	w      *world
	name   string
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	awake  bool // a resumption is on its way
	ended  bool
}

// spawn starts a process, soon.
func (w *world) spawn(name string, f func(*proc)) *proc {
	p := &proc{w: w, name: name}
	p.resume, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		w.guard(func() { f(p) })
	})
	w.procs[p] = true
	p.wake()
	return p
}

// wake resumes p soon, if it is parked. It may find that what it waits for has not happened.
func (p *proc) wake() {
	if p.awake || p.ended {
		return
	}
	p.awake = true
	p.w.after(0, p.step)
}

func (p *proc) step() {
	p.awake = false
	outer := p.w.current
	p.w.current = p
	_, more := p.resume()
	p.w.current = outer
	if !more {
		p.ended = true
		delete(p.w.procs, p)
	}
}

// park waits for the next wake.
func (p *proc) park() {
	if p.w.current != p {
		panic("BUG: sim: a process parks another")
	}
	if !p.yield(struct{}{}) {
		panic(stopped{})
	}
}

// sleep waits in virtual time.
func (p *proc) sleep(d time.Duration) {
	until := p.w.now + d
	p.w.after(d, p.wake)
	for p.w.now < until {
		p.park()
	}
}

// close ends all processes.
func (w *world) close() {
	w.over = true
	for p := range w.procs {
		p.stop()
	}
}
