package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/socket"
)

// simLoop is a loop.Loop of a world. An iteration of it is an event; what one iteration does, and in which order, is
// chance, as far as core/loop leaves it open.
type simLoop struct {
	w       *world
	net     *network
	id      int
	lag     time.Duration // until an iteration, at most
	now     time.Duration
	due     bool // an iteration is on its way
	mailbox []loop.Task
	tasks   []loop.Task // deferred
	ready   []*stream
	dirty   []*stream // with output to flush
	timers  loop.Timers
	streams map[*stream]bool // open
	busy    bool             // in a call into the user
	spare   [][]byte         // buffers to lend, all worthless
}

var _ loop.Loop = (*simLoop)(nil)

func newLoop(n *network, id int, lag time.Duration) *simLoop {
	return &simLoop{
		w: n.w, net: n, id: id, lag: lag, streams: make(map[*stream]bool),
	}
}

// ID implements loop.Loop.
func (l *simLoop) ID() int { return l.id }

// Now implements loop.Loop.
func (l *simLoop) Now() time.Duration { return l.now }

// Post implements loop.Loop.
func (l *simLoop) Post(t loop.Task) bool {
	l.mailbox = append(l.mailbox, t)
	l.wake()
	return true
}

// Defer implements loop.Loop.
func (l *simLoop) Defer(t loop.Task) {
	if !l.busy {
		panic("BUG: a task is deferred outside of a call of its loop")
	}
	l.tasks = append(l.tasks, t)
}

// Schedule implements loop.Loop.
func (l *simLoop) Schedule(t *loop.Timer, d time.Duration) {
	l.own("Schedule")
	l.timers.Schedule(t, l.now+d)
	l.w.after(l.now+d-l.w.now, l.wake)
}

// Cancel implements loop.Loop.
func (l *simLoop) Cancel(t *loop.Timer) {
	l.own("Cancel")
	l.timers.Cancel(t)
}

// own panics if somebody else's goroutine would have made the call.
func (l *simLoop) own(what string) {
	if !l.busy {
		panic("BUG: " + what + " outside of the loop")
	}
}

// Open implements loop.Loop.
func (l *simLoop) Open(d socket.Detached, h loop.Handler) (loop.Stream, error) {
	l.own("Open")
	e := l.net.open[d.FD]
	if e == nil || d.TLS != nil {
		return nil, fmt.Errorf("no simulated descriptor %d", d.FD)
	}
	delete(l.net.open, d.FD)
	if l.net.refuse() {
		_ = e.Close()
		return nil, errors.New("simulated poller refuses")
	}
	s := &stream{l: l, e: e, h: h, rest: append([]byte(nil), d.Rest...)}
	e.notify = s.notice
	l.streams[s] = true
	s.notice()
	return s, nil
}

// wake makes an iteration happen soon.
func (l *simLoop) wake() {
	if !l.due {
		l.due = true
		l.w.after(l.w.upTo(l.lag), l.iterate)
	}
}

// iterate is one turn of the loop.
func (l *simLoop) iterate() {
	l.due = false
	l.now = l.w.now
	ready := l.ready
	l.ready = nil
	for _, s := range ready {
		if s.l == l {
			s.queued = false
		}
	}
	l.w.rng.Shuffle(len(ready), func(i, j int) { ready[i], ready[j] = ready[j], ready[i] })
	parts := []func(){l.readMail, l.fire}
	for len(ready) > 0 {
		n := l.w.between(1, len(ready))
		batch := ready[:n]
		ready = ready[n:]
		parts = append(parts, func() {
			for _, s := range batch {
				s.attend(l)
			}
		})
	}
	l.w.rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for _, part := range parts {
		part()
	}
}

func (l *simLoop) readMail() {
	for _, t := range l.takeMail() {
		l.call(t.Run)
	}
}

func (l *simLoop) takeMail() []loop.Task {
	mail := l.mailbox
	l.mailbox = nil
	return mail
}

// fire runs the timers that are due, the earliest first.
func (l *simLoop) fire() {
	for t := l.timers.Advance(l.now); t != nil; t = l.timers.Advance(l.now) {
		l.call(t.Task.Run)
	}
}

// call is a call of the loop into its user, and what follows: deferred tasks, then output.
func (l *simLoop) call(f func()) {
	if l.busy {
		panic("BUG: sim: a loop called within a call")
	}
	l.busy = true
	f()
	for len(l.tasks) > 0 {
		t := l.tasks[0]
		l.tasks = l.tasks[1:]
		t.Run()
	}
	l.busy = false
	for len(l.dirty) > 0 {
		s := l.dirty[0]
		l.dirty = l.dirty[1:]
		s.flush()
	}
}

// stream is a loop.Stream over a simulated connection.
type stream struct {
	l    *simLoop
	e    *end
	h    loop.Handler
	rest []byte // received before Open
	held []byte
	out  []byte

	queued     bool // for its loop's attention
	unflushed  bool
	paused     bool
	parked     bool
	delivering bool
	full       bool // Buffered was above MaxHeld
	broken     bool // nothing can be sent any more; toldBroken: the handler knows
	toldBroken bool
	ending     bool // CloseWrite was called
	finishing  bool
	ended      bool // OnClose was called
	closed     bool
}

var _ loop.Stream = (*stream)(nil)

// notice queues the stream for its loop's attention. A connection that belongs to nobody tells the loop that it is on.
func (s *stream) notice() {
	if !s.queued && !s.closed {
		s.queued = true
		s.l.ready = append(s.l.ready, s)
	}
	s.l.wake()
}

// attend is what a loop does about an event. The stream may have moved since.
func (s *stream) attend(l *simLoop) {
	if s.closed || s.ended {
		return
	}
	if s.l != l {
		s.stale(l)
		return
	}
	if s.parked {
		spurious := l.w.chance(8) // a record of TLS that carries nothing
		if !spurious && len(s.rest) == 0 && !s.e.ready() {
			return
		}
		mine := false
		l.call(func() { mine = s.h.OnWake(l) })
		if !mine {
			return
		}
		s.parked = false
		if spurious && len(s.rest) == 0 && !s.e.ready() {
			l.call(func() { s.h.OnData(nil) })
			return
		}
	}
	s.flush()
	s.read()
}

// stale is an event of a loop that the stream has left. If it is parked again the loop may have missed that it was away.
func (s *stream) stale(l *simLoop) {
	if s.parked && l.w.chance(2) {
		l.call(func() {
			if s.h.OnWake(l) {
				panic("BUG: a loop was given a stream that is on another")
			}
		})
	}
}

// read delivers one piece of what arrived, or the end.
func (s *stream) read() {
	if s.closed || s.ended || s.paused && !s.finishing || len(s.held) >= loop.MaxHeld {
		return
	}
	piece, err := s.piece()
	switch {
	case err != nil && s.finishing:
		s.shut()
	case err != nil:
		s.ended = true
		s.l.call(func() { s.h.OnClose(err) })
		if !s.closed && !s.finishing {
			panic("BUG: a stream was not closed when it ended")
		}
	case len(piece) > 0 && !s.finishing:
		s.held = append(s.held, piece...)
		s.l.call(s.deliver)
	}
	if !s.closed && s.e.ready() {
		s.notice()
	}
}

func (s *stream) piece() ([]byte, error) {
	w := s.l.w
	if len(s.rest) > 0 {
		n := w.between(1, len(s.rest))
		piece := s.rest[:n]
		s.rest = s.rest[n:]
		s.notice()
		return piece, nil
	}
	n := loop.MaxHeld
	switch w.rng.IntN(4) {
	case 0:
		n = w.between(1, 8)
	case 1:
		n = w.between(1, 2000)
	}
	buf := w.scratch[:n]
	k, err := s.e.receive(buf)
	return buf[:k], err
}

// deliver gives the handler what is held, in a buffer that is worthless afterwards.
func (s *stream) deliver() {
	if s.delivering {
		panic("BUG: a stream delivers within its own delivery")
	}
	s.delivering = true
	lent := s.l.lend(s.held)
	n := s.h.OnData(lent)
	for i := range lent {
		lent[i] = '#'
	}
	s.l.spare = append(s.l.spare, lent)
	s.delivering = false
	if n < 0 || n > len(s.held) {
		panic(fmt.Sprintf("BUG: %d of %d bytes consumed", n, len(s.held)))
	}
	s.held = append(s.held[:0], s.held[n:]...)
}

// lend copies p into a buffer that is given back by the caller; deliveries of two streams may be nested.
func (l *simLoop) lend(p []byte) []byte {
	var buf []byte
	if last := len(l.spare) - 1; last >= 0 {
		buf, l.spare = l.spare[last], l.spare[:last]
	}
	return append(buf[:0], p...)
}

// flush sends what the peer takes.
func (s *stream) flush() {
	s.unflushed = false
	if s.closed {
		return
	}
	for len(s.out) > 0 {
		n, err := s.e.send(s.out)
		if err != nil {
			s.out, s.broken = nil, true
			s.notice() // the end is read
			break
		}
		if n == 0 {
			break
		}
		s.out = s.out[n:]
	}
	if s.finishing && len(s.out) == 0 {
		s.shut()
		return
	}
	if s.ending && len(s.out) == 0 {
		s.e.closeWrite()
	}
	if s.full && len(s.out) < loop.MaxHeld/2 || s.broken && !s.toldBroken {
		s.full, s.toldBroken = false, s.broken
		if !s.ended && !s.finishing && !s.parked {
			s.l.call(s.h.OnWritable)
		}
	}
}

// Write implements loop.Stream.
func (s *stream) Write(p []byte) {
	s.own("Write")
	if s.closed || s.ended || s.ending || s.finishing {
		return
	}
	if s.parked {
		panic("BUG: a write to a parked stream")
	}
	s.out = append(s.out, p...)
	s.full = s.full || len(s.out) > loop.MaxHeld
	s.stage()
}

func (s *stream) stage() {
	if !s.unflushed {
		s.unflushed = true
		s.l.dirty = append(s.l.dirty, s)
	}
}

// own panics where a call comes from elsewhere than the stream's loop.
func (s *stream) own(what string) { s.l.own(what + " of a stream") }

// Buffered implements loop.Stream.
func (s *stream) Buffered() int { return len(s.out) }

// Broken implements loop.Stream.
func (s *stream) Broken() bool { return s.broken }

// Pause implements loop.Stream.
func (s *stream) Pause() { s.own("Pause"); s.paused = true }

// Resume implements loop.Stream.
func (s *stream) Resume() { s.own("Resume"); s.paused = false; s.notice() }

// Held implements loop.Stream.
func (s *stream) Held() int { return len(s.held) }

// Redeliver implements loop.Stream.
func (s *stream) Redeliver() {
	s.own("Redeliver")
	if len(s.held) > 0 && !s.paused && !s.closed && !s.finishing {
		s.deliver()
		s.notice()
	}
}

// Park implements loop.Stream.
func (s *stream) Park() {
	s.own("Park")
	if len(s.held) > 0 || len(s.out) > 0 || s.paused || s.parked || s.closed {
		panic(fmt.Sprintf("BUG: parked with %d held, %d buffered, paused %v, parked %v, closed %v",
			len(s.held), len(s.out), s.paused, s.parked, s.closed))
	}
	s.parked = true
	s.notice()
}

// Unpark implements loop.Stream.
func (s *stream) Unpark() {
	s.own("Unpark")
	if !s.parked {
		panic("BUG: a stream that is not parked is unparked")
	}
	s.parked = false
	s.notice()
}

// MoveTo implements loop.Stream.
func (s *stream) MoveTo(to loop.Loop) error {
	l, ok := to.(*simLoop)
	if !ok || !s.parked {
		panic("BUG: a stream is moved that is not parked")
	}
	l.own("MoveTo")
	s.parked = false
	delete(s.l.streams, s)
	s.queued = false // the old loop's event is stale
	s.l = l
	l.streams[s] = true
	if l.net.refuse() {
		s.shut()
		return errors.New("simulated poller refuses")
	}
	s.notice()
	return nil
}

// SetHandler implements loop.Stream.
func (s *stream) SetHandler(h loop.Handler) { s.own("SetHandler"); s.h = h }

// CloseWrite implements loop.Stream.
func (s *stream) CloseWrite() {
	s.own("CloseWrite")
	if !s.closed && !s.finishing && !s.ending {
		s.ending = true
		s.stage()
	}
}

// Finish implements loop.Stream.
func (s *stream) Finish(d time.Duration) {
	s.own("Finish")
	if s.closed || s.finishing {
		return
	}
	s.finishing = true
	s.stage()
	l := s.l
	l.w.after(d, s.shut)
}

// Close implements loop.Stream.
func (s *stream) Close() { s.own("Close"); s.shut() }

func (s *stream) shut() {
	if s.closed {
		return
	}
	s.closed = true
	s.out, s.held = nil, nil
	delete(s.l.streams, s)
	_ = s.e.Close()
}
