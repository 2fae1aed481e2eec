package relay

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
)

// sweepEvery is how often a worker looks for sessions that idled, or took, too long. An idle timeout is exact to this.
const sweepEvery = time.Second

// Worker is the relay's part on one loop. Only its loop's goroutine may use it; Post goes through the loop.
type Worker struct {
	loop     loop.Loop
	registry *Registry
	spawn    func(func()) // runs a blocking call of an engine, off the loop
	log      zerolog.Logger

	sessions sessionList
	behind   []*Session // that wait for replicas to catch up, and some that have waited
	crowd    int        // how many these may be before those are forgotten
	spare    []*Session // the memory of the behind before
	sweep    loop.Timer
	draining bool
}

// NewWorker makes the worker of l. Begin must be called on the loop before any session starts there. spawn runs an
// engine's blocking calls and returns at once; nil means a goroutine for each.
func NewWorker(l loop.Loop, r *Registry, spawn func(func()), log zerolog.Logger) *Worker {
	if spawn == nil {
		spawn = func(f func()) { go f() }
	}
	w := &Worker{loop: l, registry: r, spawn: spawn, log: log}
	w.sessions.init()
	w.sweep.Task = sweepTask{w}
	return w
}

// Loop returns the loop that w is on.
func (w *Worker) Loop() loop.Loop { return w.loop }

// Begin starts w's own timers. It runs on the loop.
func (w *Worker) Begin() { w.loop.Schedule(&w.sweep, sweepEvery) }

// Drain ends every session as soon as nothing of it is under way. It runs on the loop.
func (w *Worker) Drain() {
	w.draining = true
	w.each(func(s *Session) { s.stopIfQuiet(engine.ErrShutdown) })
}

// StopAll ends every session at once. It runs on the loop.
func (w *Worker) StopAll(reason error) {
	w.each(func(s *Session) { s.stop(reason) })
}

// Visit calls f for each session of the worker. It runs on the loop; f must not end sessions.
func (w *Worker) Visit(f func(*Session)) {
	for s := range w.sessions.all() {
		f(s)
	}
}

type sweepTask struct{ w *Worker }

func (t sweepTask) Run() {
	w := t.w
	w.loop.Schedule(&w.sweep, sweepEvery) // first: a panic must not be the last sweep
	now := w.loop.Now()
	w.each(func(s *Session) {
		if idle := s.patience(); idle > 0 && now-s.active >= idle && s.quiet() && !s.fresh.catching {
			s.stop(engine.ErrIdleTimeout)
			return
		}
		s.checkTimes(now)
	})
}

// each does work on every session, which may end of it. A panic is about one of them only.
func (w *Worker) each(work func(*Session)) {
	for s := range w.sessions.all() {
		s.guarded(work)
	}
}

// sessionList is an intrusive ring, so that a session costs two pointers and no allocation to be found.
type sessionList struct{ head Session }

func (l *sessionList) init() { l.head.next, l.head.prev = &l.head, &l.head }

func (l *sessionList) add(s *Session) {
	s.prev, s.next = l.head.prev, &l.head
	s.prev.next, l.head.prev = s, s
}

func (l *sessionList) remove(s *Session) {
	if s.next == nil {
		return
	}
	s.prev.next, s.next.prev = s.next, s.prev
	s.next, s.prev = nil, nil
}

// all yields every session; the one that was yielded may be removed.
func (l *sessionList) all() func(func(*Session) bool) {
	return func(yield func(*Session) bool) {
		for s := l.head.next; s != &l.head; {
			next := s.next
			if !yield(s) {
				return
			}
			s = next
		}
	}
}
