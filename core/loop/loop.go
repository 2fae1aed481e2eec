package loop

import (
	"time"

	"github.com/berthdb/berth/core/socket"
)

// MaxHeld is how many unconsumed bytes a stream holds before it stops reading.
const MaxHeld = socket.MaxHeld

// Task is posted to a loop.
type Task interface{ Run() }

// Loop is an event loop. Everything but ID, Post and Now of a running loop belongs to the loop's own goroutine.
type Loop interface {
	ID() int
	// Post makes the loop run t soon. Any goroutine may call it. Tasks of one goroutine run in order. It does not
	// allocate for a pointer task beyond the mailbox's own growth. It returns false if the loop has stopped.
	Post(t Task) bool
	// Defer makes the loop run t as soon as its current call into its user (a handler, task, timer or deferred
	// task) has returned, before staged output goes out. Only the loop's goroutine may call it.
	Defer(t Task)
	// Now is the loop's monotonic time, read once an iteration. All loops have the same clock.
	Now() time.Duration
	// Schedule makes t fire after d (not before; within a few milliseconds after), instead of when it was to
	// fire before.
	Schedule(t *Timer, d time.Duration)
	// Cancel makes t not fire. It is harmless if t is not scheduled.
	Cancel(t *Timer)
	// Open puts a detached connection on this loop. What it had already received is delivered soon after, not
	// from within Open. On error the descriptor is closed.
	Open(d socket.Detached, h Handler) (Stream, error)
}

// Stream is one socket on a loop. Only its loop's goroutine may use it. No method calls the handler before it returns
// but Redeliver.
type Stream interface {
	// Write stages p behind what was written before. p may be reused when it returns. It goes out when the
	// current call of the loop into its user returns. Writing to a closed stream does nothing.
	Write(p []byte)
	// Buffered is how many bytes were written that the kernel has not taken yet.
	Buffered() int
	// Broken says that nothing can be sent any more: the peer is gone. What it sent before is still read.
	Broken() bool
	// Pause stops reading; Resume goes on. They do not nest. While paused, OnClose is not called either, so that
	// what the peer sent before its end is not lost.
	Pause()
	Resume()
	// Held is how many bytes wait for the handler: delivered and not consumed, or received before Open. Within
	// OnData it is 0.
	Held() int
	// Redeliver gives the handler what is held, if anything is and the stream is not paused.
	Redeliver()
	// Park says that from now on other loops may take the stream with MoveTo. Nothing may be held or buffered, but
	// for what Open found received; it must not be called while the stream is delivering. It ends a pause.
	Park()
	// Unpark takes a parked stream of this same loop back into exclusive use.
	Unpark()
	// MoveTo brings a parked stream to l, whose goroutine calls it and from now on owns the stream, unparked. An
	// error means that the poller refused; the stream is then closed.
	MoveTo(l Loop) error
	// SetHandler changes who is called.
	SetHandler(h Handler)
	// CloseWrite sends what is staged, then tells the peer that nothing more comes. Reading goes on.
	CloseWrite()
	// Finish sends what is staged, then closes, at the latest after d. The handler is not called any more. In
	// between it tells the peer the end, and waits for the peer's, so that a late byte does not reset the
	// connection under what was sent.
	Finish(d time.Duration)
	// Close closes at once and drops what is staged. The handler is not called any more. It is harmless to
	// close twice.
	Close()
}

// Handler is told what happens on a stream, on the goroutine of the stream's loop.
type Handler interface {
	// OnData gets every byte not yet consumed, contiguous, and returns how many it consumed. p is valid until it
	// returns. The rest is held and comes again with the next bytes, or by Redeliver. While MaxHeld bytes or
	// more are held the stream does not read.
	OnData(p []byte) int
	// OnWritable says that Buffered fell below half of MaxHeld after it had been above MaxHeld, or that the stream is Broken now.
	OnWritable()
	// OnClose says that the peer closed (io.EOF) or the socket failed, once; nothing follows. Bytes held are
	// lost. The stream must still be closed.
	OnClose(err error)
	// OnWake says that something happened on a stream that was parked on this loop a moment ago. It returns true if
	// the stream is now this loop's own, unparked: the event is then delivered as usual, and if no data came of it
	// (say, it was a TLS key update) OnData gets an empty p. False: somebody else has it, and the event is stale.
	OnWake(on Loop) bool
}

// Timer fires once on its loop. Embed one per purpose; the zero value with Task set is ready. It must not be copied.
type Timer struct {
	Task  Task
	at    time.Duration
	index int // in the heap, plus one; 0: not scheduled
}

// Scheduled says whether the timer is going to fire.
func (t *Timer) Scheduled() bool { return t.index != 0 }
