package loop

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// The ownership word of a stream: the loop's id, whether the stream is parked, and above that a count of parkings and
// moves, so that no word comes twice.
const (
	maxLoop   = 1<<16 - 2
	loopMask  = 1<<16 - 1
	parkedBit = 1 << 16
	ownerStep = 1 << 17
	deadOwner = ^uint64(0) // the loop stopped when the stream was parked on it
)

// errFull is why a stream finds no slot.
var errFull = errors.New("loop: too many streams")

// stream is a socket on a Poll. Everything but owner belongs to the loop that owner names; while it is parked, to whoever
// its pool lends it to. A loop that finds in its slots a stream whose owner word is not the one it expects touches
// nothing else of it.
type stream struct {
	owner   atomic.Uint64
	loop    *Poll
	token   uint64
	handler Handler
	tls     *tls.Conn         // nil: plain
	mem     *socket.Transport // under tls
	in      input
	out     output
	linger  *Timer // after Finish
	fd      int32

	interest  interest // what the poller knows; 0: it does not know the stream
	marked    bool     // in loop.dirty
	queued    bool     // in loop.queued
	ending    bool     // CloseWrite was called
	finishing bool     // Finish was called
	shut      bool     // ending or finishing, and everything was sent
	closed    bool
}

var _ Stream = (*stream)(nil)

// register puts s, whose owner word is set, on l. On error it is closed.
func (s *stream) register(l *Poll) error {
	s.loop = l
	s.token = wakeToken // no slot's
	s.interest, s.marked, s.queued = 0, false, false
	index, ok := l.slots.take(s, s.owner.Load())
	err := errFull
	if ok {
		s.token = l.slots.token(index)
		err = l.poller.add(int(s.fd), s.token, wantRead)
	}
	if err != nil {
		s.Close()
		return err
	}
	s.interest = wantRead
	return nil
}

// mark makes the loop settle s when the current call has returned.
func (s *stream) mark() {
	if !s.marked {
		s.marked = true
		s.loop.dirty = append(s.loop.dirty, visit{s, s.owner.Load(), s.token})
	}
}

// queueIfPending makes the loop attend to s soon, if there is something that no event will tell.
func (s *stream) queueIfPending() {
	if !s.queued && !s.closed && s.pending() {
		s.queued = true
		s.loop.queued = append(s.loop.queued, visit{s, s.owner.Load(), s.token})
	}
}

func (s *stream) pending() bool {
	return s.in.fresh || s.in.err != nil && !s.in.told || s.out.err != nil && s.reading()
}

// settle sends what is staged and tells the poller what s wants to hear of now.
func (s *stream) settle() {
	s.marked = false
	if s.closed {
		return
	}
	if s.out.head != nil && !s.out.blocked {
		s.flush()
	}
	if s.finishing {
		s.finish()
	} else {
		if s.ending && !s.shut && s.out.head == nil && s.out.err == nil {
			s.shutWrite()
		}
		if s.out.full && s.out.size < MaxHeld/2 || s.out.err != nil && !s.out.told {
			s.out.full, s.out.told = false, s.out.err != nil
			s.callWritable()
		}
	}
	if s.closed {
		return
	}
	want := s.interest & wantRead // taken back when an event comes that is not wanted: a pause is often short
	if s.reading() {
		want = wantRead
	}
	if s.out.blocked {
		want |= wantWrite
	}
	s.watch(want)
}

// watch tells the poller.
func (s *stream) watch(want interest) {
	var err error
	switch had := s.interest; {
	case want == had:
		return
	case want == 0: // or a hang-up would be reported for ever
		s.loop.poller.remove(int(s.fd))
	case had == 0:
		err = s.loop.poller.add(int(s.fd), s.token, want)
	default:
		err = s.loop.poller.change(int(s.fd), s.token, had, want)
	}
	if err != nil {
		s.loop.poller.remove(int(s.fd))
		s.interest = 0
		s.fail(err)
		return
	}
	s.interest = want
}

// attend does one thing that is pending and says whether the handler was told something.
func (s *stream) attend() bool {
	s.queued = false
	switch in := &s.in; {
	case s.closed || s.finishing || in.told:
		return true
	case in.paused:
		return false // until Resume
	case in.fresh:
		s.deliver(in.held, in.held.waiting())
		s.queueIfPending()
	case in.err != nil:
		in.told = true
		s.callClose(in.err)
	case s.out.err != nil && s.reading():
		told := s.receive()
		s.queueIfPending()
		return told
	default:
		return false
	}
	return true
}

// fail ends reading. The handler is told soon.
func (s *stream) fail(err error) {
	if s.in.err == nil {
		s.in.err = err
	}
	s.watch(s.interest &^ wantRead)
	s.queueIfPending()
}

// panicked is fail for a handler that cannot be trusted with what is held.
func (s *stream) panicked(err *PanicError) {
	if s.closed || s.finishing {
		return
	}
	s.in.err, s.in.paused, s.in.fresh = err, false, false
	s.loop.put(s.in.held)
	s.in.held = nil
	s.fail(err)
}

func (s *stream) callData(p []byte) (n int) {
	defer s.loop.catch(s, s.owner.Load())
	n = len(p) // if it panics
	return s.handler.OnData(p)
}

// nothing tells the handler that took a parked stream for an event that no data came of it.
func (s *stream) nothing() {
	if !s.closed && !s.finishing && !s.in.told {
		s.callData(nil)
	}
}

func (s *stream) callWritable() {
	if !s.in.told {
		defer s.loop.catch(s, s.owner.Load())
		s.handler.OnWritable()
	}
}

// callClose tells the end. A handler that panics, now or before, may not come to closing the stream.
func (s *stream) callClose(err error) {
	sound := false
	defer func() {
		if _, ok := errors.AsType[*PanicError](err); (ok || !sound) && !s.finishing {
			s.Close()
		}
	}()
	defer s.loop.catch(nil, 0)
	s.handler.OnClose(err)
	sound = true
}

// SetHandler implements Stream.
func (s *stream) SetHandler(h Handler) {
	if !s.closed && !s.finishing {
		s.handler = h
	}
}

// Close implements Stream.
func (s *stream) Close() {
	if s.closed {
		return
	}
	s.closed = true
	l := s.loop
	s.owner.Store(s.owner.Load() &^ parkedBit)
	if s.linger != nil {
		l.timers.Cancel(s.linger)
	}
	l.put(s.in.held)
	s.in.held, s.in.fresh = nil, false
	s.dropOutput()
	l.slots.release(s.token)
	s.handler, s.tls, s.mem, s.linger = nil, nil, nil, nil
	_ = syscall.Close(int(s.fd)) // takes it from the poller too: nobody else has this open file
}

// Finish implements Stream. What the peer still sends is read and dropped, until it closes its side too: a socket closed
// with bytes unread resets the connection, and the peer could lose what it was sent (RFC 9293 section 3.6.1, RFC 1122
// section 4.2.2.13).
func (s *stream) Finish(d time.Duration) {
	if s.closed || s.finishing {
		return
	}
	if s.owner.Load()&parkedBit != 0 {
		s.Unpark()
	}
	if s.tls != nil && s.out.err == nil {
		_ = s.tls.Close() // stages close_notify; what is under it does not fail
		s.stageTLS()
	}
	if d <= 0 {
		s.flush()
		s.Close()
		return
	}
	s.finishing, s.handler = true, nil
	s.in.paused, s.in.fresh = false, false
	s.loop.put(s.in.held)
	s.in.held = nil
	s.linger = &Timer{Task: (*overdue)(s)}
	s.loop.Schedule(s.linger, d)
	s.mark()
}

// finish goes on with what Finish began.
func (s *stream) finish() {
	switch {
	case s.out.err != nil || s.out.head == nil && s.in.err != nil:
		s.Close()
	case s.out.head == nil && !s.shut:
		if !s.shutWrite() {
			s.Close()
		}
	}
}

// CloseWrite implements Stream.
func (s *stream) CloseWrite() {
	if s.closed || s.finishing || s.ending || s.out.err != nil {
		return
	}
	if s.tls != nil {
		_ = s.tls.CloseWrite() // stages close_notify; what is under it does not fail
		s.stageTLS()
	}
	s.ending = true
	s.mark()
}

// shutWrite tells the peer that everything was sent, and says whether that was possible. If not, reading tells why.
func (s *stream) shutWrite() bool {
	s.shut = true
	return syscall.Shutdown(int(s.fd), syscall.SHUT_WR) == nil
}

// overdue closes a stream whose peer did not take or answer its end in time.
type overdue stream

func (t *overdue) Run() { (*stream)(t).Close() }
