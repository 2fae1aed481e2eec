package loop

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// ErrStopped is what Open and MoveTo answer when a loop they need has stopped.
var ErrStopped = errors.New("loop: stopped")

// epoch is where the time of all loops of the process begins: times of one loop mean the same on another.
var epoch = time.Now()

// scratchSize is how much is read at once. One stream is read once in an iteration, so that it cannot keep the others
// waiting.
const scratchSize = 64 << 10

// Options of a loop. The zero value is good.
type Options struct {
	// Panicked is told of a panic in a handler, task or timer, which the loop has caught. It is called on the loop's
	// goroutine and must not panic.
	Panicked func(value any, stack []byte)
}

// PanicError is why a stream failed whose handler panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Poll is a [Loop] on the operating system's poller. Its fields belong to the goroutine that is in Run, but for those
// that are atomic or have a lock of their own.
type Poll struct {
	id      int
	opts    Options
	now     atomic.Int64
	stopped atomic.Bool
	panics  atomic.Uint64

	poller poller
	box    mailbox
	timers Timers
	slots  slots
	buffers

	deferred []Task // to run when the current call has returned
	dirty    []visit
	queued   []visit // to be attended to at the end of the iteration
	visiting []visit // what queued was
	spurned  bool    // an event of this iteration was for a stream that somebody else is about to take

	scratch []byte // what was read from a socket
	plain   []byte // what was decrypted from it; allocated with the first TLS stream
}

var _ Loop = (*Poll)(nil)

// visit is a stream to be looked at, if it is then still where it was.
type visit struct {
	stream *stream
	owner  uint64
	token  uint64
}

// New makes a loop. No two loops of a process may have the same id. Its descriptors are freed when Run returns, so Run
// must be called, if only after Stop.
func New(id int, opts Options) (*Poll, error) {
	if id < 0 || id > maxLoop {
		return nil, fmt.Errorf("loop: id %d is out of range", id)
	}
	l := &Poll{id: id, opts: opts, scratch: make([]byte, scratchSize)}
	if err := l.poller.open(); err != nil {
		return nil, fmt.Errorf("loop: %w", err)
	}
	l.tick()
	return l, nil
}

// ID implements Loop.
func (l *Poll) ID() int { return l.id }

// Now implements Loop. All loops of a process have the same clock.
func (l *Poll) Now() time.Duration { return time.Duration(l.now.Load()) }

func (l *Poll) tick() { l.now.Store(int64(time.Since(epoch))) }

// Panics returns how many panics the loop has caught. Any goroutine may call it.
func (l *Poll) Panics() uint64 { return l.panics.Load() }

// Post implements Loop.
func (l *Poll) Post(t Task) bool {
	ok, wake := l.box.put(t)
	if wake {
		l.poller.wake()
	}
	return ok
}

// Defer implements Loop.
func (l *Poll) Defer(t Task) { l.deferred = append(l.deferred, t) }

// Schedule implements Loop. The clock is read anew: the iteration's time may be some milliseconds old.
func (l *Poll) Schedule(t *Timer, d time.Duration) {
	now := time.Since(epoch)
	l.timers.Schedule(t, now+min(max(d, 0), math.MaxInt64-now)) // the longest duration means never, not at once
}

// Cancel implements Loop.
func (l *Poll) Cancel(t *Timer) { l.timers.Cancel(t) }

// Stop makes Run return. Any goroutine may call it, and more than once.
func (l *Poll) Stop() {
	l.stopped.Store(true)
	l.poller.wake()
}

// Run runs the loop until Stop. Then it runs the tasks that were posted in time and closes all streams, whose handlers
// are not told.
func (l *Poll) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for !l.stopped.Load() {
		l.iterate()
	}
	l.box.close()
	l.runPosted()
	l.closeAll()
	l.poller.close()
}

func (l *Poll) iterate() {
	n := l.poller.poll()
	if n == 0 && len(l.queued) == 0 {
		if timeout := l.idleTime(); timeout != 0 && l.box.sleep() {
			n = l.poller.wait(timeout)
			l.box.awake()
		}
	}
	l.tick()
	l.spurned = false
	for i := range n {
		token, what := l.poller.event(i)
		if token != wakeToken {
			l.dispatch(token, what)
		}
	}
	l.runPosted()
	l.fire()
	l.attend()
	if l.spurned {
		runtime.Gosched() // the loop that was lent the stream may need this processor to take it
	}
}

// idleTime is how long nothing is to be done: negative for ever.
func (l *Poll) idleTime() time.Duration {
	at, ok := l.timers.Next()
	if !ok {
		return -1
	}
	return max(0, at-time.Since(epoch))
}

// dispatch tells a stream of an event.
func (l *Poll) dispatch(token uint64, what readiness) {
	slot := l.slots.at(token)
	if slot == nil {
		return // freed by an event before this one
	}
	s := slot.stream
	owner := s.owner.Load()
	if owner&^parkedBit != slot.place {
		return // another loop has it, and has said or is about to say so to the poller
	}
	awoken := owner&parkedBit != 0
	if awoken {
		if !l.wake(s, slot) {
			return
		}
		owner = s.owner.Load()
	}
	if what&(writable|hungUp) != 0 && s.out.blocked {
		s.out.blocked = false
		s.mark()
		l.settle()
		if s.owner.Load() != owner || s.closed {
			return
		}
	}
	told := s.input(what)
	l.settle()
	if awoken && !told && s.owner.Load() == owner {
		s.nothing()
		l.settle()
	}
}

// wake asks about an event of a parked stream, and says whether the stream is now this loop's own.
func (l *Poll) wake(s *stream, slot *slot) bool {
	waker, place := slot.waker, slot.place
	ok := l.callWake(waker)
	l.settle()
	owner := s.owner.Load()
	switch {
	case !ok:
		l.spurned = true
		return false
	case owner&^parkedBit != place:
		return false
	case owner&parkedBit != 0:
		s.Unpark()
	}
	return !s.closed
}

func (l *Poll) callWake(h Handler) (ok bool) {
	defer l.catch(nil, 0)
	return h.OnWake(l)
}

// catch ends a panic of the call that deferred it. s, if any, fails of it, unless it went elsewhere during the call.
func (l *Poll) catch(s *stream, owner uint64) {
	v := recover()
	if v == nil {
		return
	}
	stack := debug.Stack()
	l.panics.Add(1)
	if s != nil && s.owner.Load() == owner {
		s.panicked(&PanicError{v, stack})
	}
	if l.opts.Panicked != nil {
		l.opts.Panicked(v, stack)
	}
}

func (l *Poll) run(t Task) {
	defer l.catch(nil, 0)
	t.Run()
}

// settle does what the call that has just returned left to do: deferred tasks first, then what they and it wrote.
func (l *Poll) settle() {
	for len(l.deferred)+len(l.dirty) > 0 {
		for i := 0; i < len(l.deferred); i++ {
			t := l.deferred[i]
			l.deferred[i] = nil
			l.run(t)
		}
		l.deferred = l.deferred[:0]
		for i := 0; i < len(l.dirty) && len(l.deferred) == 0; i++ {
			v := l.dirty[i]
			l.dirty[i] = visit{}
			if v.stream != nil && v.stream.owner.Load() == v.owner {
				v.stream.settle()
			}
			if i == len(l.dirty)-1 {
				l.dirty = l.dirty[:0]
			}
		}
	}
}

func (l *Poll) runPosted() {
	tasks := l.box.take()
	if tasks == nil {
		return
	}
	for _, t := range tasks {
		l.run(t)
		l.settle()
	}
	l.box.done(tasks)
}

// fire runs the timers that are due. One that schedules itself anew waits for the next iteration.
func (l *Poll) fire() {
	now := l.Now()
	for range l.timers.Len() {
		t := l.timers.Advance(now)
		if t == nil {
			return
		}
		l.run(t.Task)
		l.settle()
	}
}

// attend looks at the streams that have something to do which is no event of the poller's.
func (l *Poll) attend() {
	l.visiting, l.queued = l.queued, l.visiting[:0]
	for i, v := range l.visiting {
		l.visiting[i] = visit{}
		s := v.stream
		if s.owner.Load() != v.owner {
			continue
		}
		if v.owner&parkedBit == 0 {
			s.attend()
			l.settle()
			continue
		}
		slot := l.slots.at(v.token)
		if slot == nil || !l.wake(s, slot) {
			continue // whoever takes it queues it again
		}
		owner := s.owner.Load()
		told := s.attend()
		l.settle()
		if !told && s.owner.Load() == owner {
			s.nothing()
			l.settle()
		}
	}
}

// Open implements Loop.
func (l *Poll) Open(d socket.Detached, h Handler) (Stream, error) {
	s := &stream{handler: h, fd: int32(d.FD), tls: d.TLS, mem: d.Mem}
	s.owner.Store(uint64(l.id))
	if err := s.register(l); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s.hold(d.Rest)
	if s.tls != nil {
		s.readAhead()
	}
	s.in.fresh = s.in.held != nil
	s.queueIfPending()
	return s, nil
}

// closeAll closes what is on the loop. Other loops may be taking parked streams at the same time; the ownership word
// says who was first.
func (l *Poll) closeAll() {
	l.settle()
	for i := range l.slots.all {
		slot := &l.slots.all[i]
		s := slot.stream
		switch {
		case s == nil:
		case s.owner.CompareAndSwap(slot.place|parkedBit, deadOwner):
			_ = syscall.Close(int(s.fd)) // nothing else of it may be touched: see stream.MoveTo
		case s.owner.Load() == slot.place:
			s.Close()
		}
	}
}
