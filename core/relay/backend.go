package relay

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
)

const (
	// partWithin is how long a server may take to close its side of a backend that was told the end.
	partWithin = 3 * time.Second
	// commitWithin is how long one may take for the COMMIT of a client that has gone, before that is stopped like anything else: it counts
	// against the server's limit, and may wait for a replica that is never going to come back.
	commitWithin = 30 * time.Second
	// abortCancels is how often what a client that has gone has left running is stopped, at most: a request to stop may come before the
	// server has begun with what was sent, and is for nothing then.
	abortCancels = 3
	// cancelWithin is how long a cancel may take. A backend waits for it before it goes to anyone else.
	cancelWithin = 10 * time.Second
	// drainPoll is how soon a backend that still has output to send is looked at again.
	drainPoll = time.Millisecond
)

// Backend is one database connection on a loop: a [loop.Handler] for its stream, and the glue between its pool, its
// worker and the session that holds it.
type Backend struct {
	engine.Backend
	pool   *Pool
	conn   *conn
	worker *Worker // whose loop the stream is on; changed only by who holds the connection
	stream loop.Stream

	session  *Session // who holds it
	secure   bool     // the connection uses TLS
	closing  bool
	late     bool // what it said since the last grant may have waited for a client that reads slowly
	haunted  bool // a cancel since the last grant may still hit what is executed next
	cancels  int  // in flight
	aborts   int  // how often what runs is stopped yet, if the server has been told the end and does not close
	waiting  bool // at a boundary, and kept until its cancels are over
	settling loop.Timer
	parting  loop.Timer
}

var _ loop.Handler = (*Backend)(nil)

// bring makes b's stream w's own. The caller was lent b.
func (b *Backend) bring(w *Worker) error {
	if b.worker == w {
		b.stream.Unpark()
		return nil
	}
	if err := b.stream.MoveTo(w.loop); err != nil {
		b.worker = w
		return err
	}
	b.worker = w
	return nil
}

// OnData implements loop.Handler.
func (b *Backend) OnData(p []byte) int {
	switch s := b.session; {
	case b.closing || len(p) == 0:
		return len(p)
	case s == nil:
		return b.onIdleData(p)
	default:
		return b.onAnswer(s, p)
	}
}

func (b *Backend) onAnswer(s *Session, p []byte) int {
	if s.client.Buffered() > loop.MaxHeld {
		s.throttle()
		return 0
	}
	if !b.late && s.client.Buffered() == 0 { // else it may have come long ago
		b.pool.heard.hear(b.worker.loop.Now())
	}
	n, err := s.machine.FromBackend(p, (*wire)(s))
	switch {
	case err != nil && b.session == s && s.backend == b:
		b.lost(s, err)
		return len(p)
	case err != nil:
		b.broken(s, err)
		return len(p)
	case b.closing:
		return len(p)
	}
	s.throttle()
	if s.leaving == nil && !s.ended && s.client.Held() > 0 {
		s.later() // the machine may go on with what its client sent meanwhile
	}
	return n
}

// broken discards a backend that misbehaved after its session had given it up or was over.
func (b *Backend) broken(s *Session, err error) {
	if s.leaving == b {
		s.leaving = nil
		s.parted(b)
	}
	b.discard(err)
}

// lost tells the session that its backend is unusable.
func (b *Backend) lost(s *Session, err error) {
	s.letGo()
	b.discard(err)
	b.pool.trouble()
	s.bereave(err)
}

// bereave tells the session's machine that its backend is gone. A request that was lent one, and could not be passed on to it, waits
// for the next with what is left of its time: it would wait for several times that where one server after the other is lost.
func (s *Session) bereave(err error) {
	if s.passing == unpassed && s.client.Held() > 0 {
		s.passing = bereft
	}
	s.machine.BackendLost(err, (*wire)(s))
	s.later()
}

// onIdleData looks at what a server says to nobody: a notice, a changed parameter, its end.
func (b *Backend) onIdleData(p []byte) int {
	n, err := b.pool.engine.Idle(&b.Backend, p)
	if err != nil {
		b.dismiss(err)
		return len(p)
	}
	return n
}

// comeBack returns a backend that was taken from the pool to look at what arrived; it is posted, and so runs when that
// has been delivered.
type comeBack Backend

func (t *comeBack) Run() { (*Backend)(t).giveBack() }

// OnWritable implements loop.Handler.
func (b *Backend) OnWritable() {
	if s := b.session; s != nil && s.clientPaused {
		s.clientPaused = false
		s.client.Resume()
		s.later()
	}
}

// OnClose implements loop.Handler.
func (b *Backend) OnClose(err error) {
	if errors.Is(err, io.EOF) {
		err = engine.ErrBackendClosed
	}
	switch s := b.session; {
	case b.closing:
		b.gone()
	case s != nil && s.backend == b:
		s.letGo()
		b.vanish(err)
		s.bereave(err)
	default:
		if s != nil && s.leaving == b {
			s.leaving = nil
			s.parted(b)
		}
		b.vanish(err)
	}
}

// OnWake implements loop.Handler: something arrived while the pool had b.
func (b *Backend) OnWake(on loop.Loop) bool {
	if !b.pool.accounts.Take(b.conn) {
		return false
	}
	if b.worker.loop != on { // it was lent, moved and returned since the event
		b.worker.loop.Post((*strayed)(b))
		return false
	}
	b.worker.loop.Post((*comeBack)(b))
	return true
}

// strayed returns a backend that was taken by a loop that it had left; it is posted to the backend's loop.
type strayed Backend

func (t *strayed) Run() {
	b := (*Backend)(t)
	b.stream.Unpark()
	b.giveBack()
}

// giveBack returns b to its pool, on its loop, with no call into its stream on the stack. It was let go at a boundary.
func (b *Backend) giveBack() {
	if b.closing {
		return
	}
	if b.stream.Held() > 0 {
		b.stream.Redeliver()
		if b.closing {
			return
		}
	}
	switch {
	case b.stream.Held() > 0:
		b.dismiss(&engine.ProtocolError{Side: engine.SideBackend, Reason: "bytes after the end of an answer"})
	case b.stream.Buffered() > 0:
		b.worker.loop.Schedule(&b.settling, drainPoll)
	case b.cancels > 0:
		b.waiting = true
	case b.haunted:
		b.dismiss(engine.ErrCanceled)
	default:
		b.stream.Park()
		w := b.worker // with the Return it may be another's, on another loop
		b.pool.do(w, b.pool.accounts.Return(b.conn, w.loop.Now()))
	}
}

type settle Backend

func (t *settle) Run() { (*Backend)(t).giveBack() }

// unwanted returns b, which was lent to a session of w that is over or must not use it, from where it is parked.
func (b *Backend) unwanted(w *Worker) {
	b.pool.accounts.SetLoop(b.conn, b.worker.loop.ID()) // the grant took it for moved
	b.pool.do(w, b.pool.accounts.Return(b.conn, w.loop.Now()))
}

// cancel stops what b is executing, and calls done, on b's loop, when that can have no further effect.
func (b *Backend) cancel(done func()) {
	b.cancels++
	w := b.worker
	w.spawn(func() {
		ctx, stop := context.WithTimeout(context.Background(), cancelWithin)
		defer stop()
		err := Safely(w.log, func() error { return b.pool.engine.Cancel(ctx, b.Target, &b.Backend) })
		if err != nil {
			w.log.Warn().Err(err).Str("target", b.Target.Name).Msg("cancel request failed")
		}
		w.loop.Post(&canceled{b, err, done})
	})
}

type canceled struct {
	b    *Backend
	err  error
	done func()
}

func (c *canceled) Run() {
	b := c.b
	b.cancels--
	b.haunted = b.haunted || c.err != nil || b.pool.cancelSticks()
	c.done()
	if b.cancels == 0 && b.waiting {
		b.waiting = false
		b.giveBack()
	}
}

// abort ends b, whose session is over, perhaps in the middle of something. What still runs is stopped, or it would go on
// and count against the server's limit after its connection is closed. But a COMMIT is let through for a while, whoever waits for it: the
// server executes what it has got before it sees the end of the connection.
func (b *Backend) abort(m engine.Machine) {
	if !m.Busy() {
		b.dismiss(nil)
		return
	}
	if b.closing {
		return
	}
	b.discard(nil)
	b.aborts = abortCancels
	if c, ok := m.(engine.Committer); ok && c.Commits() {
		b.worker.loop.Schedule(&b.parting, commitWithin)
		return
	}
	(*partedTask)(b).Run()
}

// discard closes b for good, on its loop. It was held or taken by the caller. Its place in the budget is free when the
// server has closed too.
//
// No goodbye is said: the server may be in the middle of a message, and would take it for the rest of that.
func (b *Backend) discard(reason error) {
	if !b.closing {
		b.pool.accounts.Discard(b.conn)
		b.part(reason)
	}
}

// dismiss is discard for a backend that awaits a request.
func (b *Backend) dismiss(reason error) {
	if !b.closing {
		b.stream.Write(b.pool.engine.Goodbye())
		b.discard(reason)
	}
}

// part tells the server the end, and waits for the server's.
func (b *Backend) part(reason error) {
	b.closing = true
	if reason != nil {
		b.worker.log.Info().Uint64("backend", b.ID).Str("target", b.Target.Name).AnErr("reason", reason).Msg("backend closed")
	}
	b.worker.loop.Cancel(&b.settling)
	b.stream.Resume()
	b.stream.CloseWrite()
	b.worker.loop.Schedule(&b.parting, partWithin)
}

// parted fires when the server did not close its side in time.
type partedTask Backend

func (t *partedTask) Run() {
	b := (*Backend)(t)
	if b.aborts == 0 {
		b.gone()
		return
	}
	b.aborts--
	b.cancel(func() {})
	b.worker.loop.Schedule(&b.parting, partWithin)
}

// vanish is discard for a stream that is closed already.
func (b *Backend) vanish(reason error) {
	if b.closing {
		return
	}
	b.pool.accounts.Discard(b.conn)
	b.worker.log.Info().Uint64("backend", b.ID).Str("target", b.Target.Name).AnErr("reason", reason).Msg("backend lost")
	b.closing = true
	b.pool.trouble()
	b.gone()
}

// gone ends b, whose connection is closed on both sides. Its place is free once the server does not count it any more.
func (b *Backend) gone() {
	b.worker.loop.Cancel(&b.parting)
	b.worker.loop.Cancel(&b.settling)
	b.stream.Close()
	if late, ok := b.pool.engine.(engine.LateCloser); ok {
		b.settling.Task = (*freed)(b)
		b.worker.loop.Schedule(&b.settling, late.CountedFor())
		return
	}
	b.free()
}

type freed Backend

func (t *freed) Run() { (*Backend)(t).free() }

// free gives b's place back.
func (b *Backend) free() {
	p := b.pool
	p.gone(&b.Backend)
	if b.secure {
		p.counters.DatabaseConnectionsWithTLS.Dec()
	}
	p.do(b.worker, p.accounts.Closed(b.conn, b.worker.loop.Now()))
}

// retire closes an idle backend that the pool has given up; it is posted to the backend's loop.
type retire Backend

func (t *retire) Run() {
	b := (*Backend)(t)
	b.stream.Unpark()
	b.stream.Write(b.pool.engine.Goodbye())
	b.part(nil)
}
