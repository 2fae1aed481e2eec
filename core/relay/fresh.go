package relay

import (
	"slices"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// Reads that must see what was written before they came (replicas.read_your_writes).
//
// A request that needs a backend gets a mark when it comes, and is lent a backend only of a target that has what the mark is of. While
// none has, the session waits as one does for which there is no target: astray. It looks at home first, which is where what it
// prepared is, then at all replicas, and in the end at the writer. A session that keeps its backend between two transactions
// has no such choice: its request is left unread until the target has caught up, and if that takes too long the backend is lost to it.
//
// What is looked at is the beginning of a transaction, or of a request outside of one. Further requests of a transaction, and
// what a client sends before the last answer, go where the transaction, or what it is sent behind, has gone.

// Mark is of what was written in a target group up to a moment. Larger ones are of later moments. 0 is of nothing.
type Mark uint64

// Reach is where a read may look for a target that has what was written.
type Reach uint8

const (
	AtHome   Reach = iota // at home only, or anywhere if home does not serve it
	Anywhere              // at all replicas
	AtWriter              // also at the writer, if reads may use it
)

// leaveHomeAfter is how long a read waits for the target at which its session is at home before it looks at others. Replicas get what was
// written one a little before the other: without it the first would get all reads.
const leaveHomeAfter = 10 * time.Millisecond

// freshness is what a session's reads must see.
type freshness struct {
	mark     Mark // of the request that waits, or waited last; 0: any state will do
	seeking  bool // no target was found for that yet
	checked  bool // the held backend has what the request must see that the client's next bytes begin
	catching bool // the client's next request waits until the held backend has what it must see
	listed   bool // in its worker's list
	declined bool // the client wants that request no more
}

// mark marks what the request must see that comes now.
func (s *Session) mark() {
	s.fresh.mark = 0
	if s.front.Role == ReadOnly {
		s.fresh.mark = s.front.Group.Mark()
	}
	s.fresh.seeking = s.fresh.mark > 0
}

// place returns where the session borrows, nil if there is nothing just now, and makes it at home there unless it is away
// because its home has not caught up.
func (s *Session) place() *Pool {
	g := s.front.Group
	p := g.Pool(s.front.Role, s.home)
	if p != nil {
		s.settle(p)
	}
	f := &s.fresh
	if f.mark == 0 {
		return p
	}
	r := s.reach()
	p = g.Current(s.home, f.mark, r)
	if p == nil || !f.seeking {
		return p
	}
	f.seeking = false
	s.front.Counters.ReadsCurrent.Observe(s.worker.loop.Now() - s.borrowing)
	if r == AtWriter && p == g.Pool(ReadWrite, nil) {
		s.front.Counters.ReadsAtWriter.Inc()
	}
	return p
}

// reach is where the borrow may look by now.
func (s *Session) reach() Reach {
	switch waited := s.worker.loop.Now() - s.borrowing; {
	case waited >= s.front.Group.CatchUpTimeout():
		return AtWriter
	case waited >= leaveHomeAfter:
		return Anywhere
	}
	return AtHome
}

// untilNextReach is when, counted from the request, a borrow that waits is to be looked at again: when it may look further, or after timeout. It
// puts a session that waits for replicas into its worker's list.
func (s *Session) untilNextReach(timeout time.Duration) time.Duration {
	if !s.astray || s.fresh.mark == 0 {
		return timeout
	}
	s.worker.await(s)
	switch s.reach() {
	case AtHome:
		return min(timeout, leaveHomeAfter, s.front.Group.CatchUpTimeout())
	case Anywhere:
		return min(timeout, s.front.Group.CatchUpTimeout())
	}
	return timeout
}

// reachesFurther goes on with a wait for replicas whose time is not over. It returns false if there is none.
func (s *Session) reachesFurther() bool {
	if s.fresh.catching {
		s.caught()
		s.front.Counters.ReadsBehind.Inc()
		s.backend.lost(s, engine.ErrNoReader)
		return true
	}
	if !s.astray || s.fresh.mark == 0 || s.worker.loop.Now()-s.borrowing >= s.front.Group.BorrowTimeout() {
		return false
	}
	s.move()
	return true
}

// outrun counts a read that has found no target in time. It returns false if that is not because replicas are behind: there is none.
func (s *Session) outrun() bool {
	if s.fresh.mark == 0 || s.front.Group.Pool(ReadOnly, s.home) == nil {
		return false
	}
	s.front.Counters.ReadsBehind.Inc()
	return true
}

// mustCatchUp says whether p, which the client has sent, begins a request which the held backend must catch up for.
func (s *Session) mustCatchUp(p []byte) bool {
	f := &s.fresh
	if f.catching {
		return !s.declines(p)
	}
	if s.front.Role != ReadOnly || f.checked || s.backend == nil || s.machine.Busy() || s.machine.InTransaction() {
		return false
	}
	if s.mark(); f.mark == 0 || s.front.Group.Has(s.backend.pool, f.mark) {
		f.checked = true
		return false
	}
	f.catching = true
	s.borrowing = s.worker.loop.Now()
	s.worker.loop.Schedule(&s.timeout, s.front.Group.BorrowTimeout())
	s.worker.await(s)
	return true
}

// caught ends the wait for the held backend, if there is one.
func (s *Session) caught() {
	if s.fresh.catching {
		s.fresh.catching, s.fresh.declined = false, false
		s.worker.loop.Cancel(&s.timeout)
		s.later() // what the client sent waits
	}
}

// decline ends such a wait, as the client asks by another connection: its request is not executed.
func (s *Session) decline() {
	s.fresh.declined = true
	s.client.Redeliver() // the machine has to see what it answers
}

// declines ends the wait if the client has asked for that, and p can be answered without the backend.
func (s *Session) declines(p []byte) bool {
	m, ok := s.machine.(engine.Decliner)
	if !s.fresh.declined || !ok || !m.Decline(p, engine.ErrCanceled, (*wire)(s)) {
		s.fresh.declined = false
		return false
	}
	s.fresh.checked = true
	s.caught()
	return true
}

// awaits says whether the session waits for replicas.
func (s *Session) awaits() bool {
	return !s.ended && (s.fresh.catching || s.astray && s.fresh.mark > 0)
}

// await makes CaughtUp look after s, which waits.
func (w *Worker) await(s *Session) {
	if s.fresh.listed {
		return
	}
	if len(w.behind) >= w.crowd {
		w.forgetBehind()
	}
	s.fresh.listed = true
	w.behind = append(w.behind, s)
}

// fewBehind is how many sessions are listed before it is looked which of them still wait.
const fewBehind = 64

// forgetBehind takes those out that wait no more: of replicas that do not catch up CaughtUp may be told nothing for days. It costs little
// a session, since it comes when there are twice as many as the last time.
func (w *Worker) forgetBehind() {
	w.behind = slices.DeleteFunc(w.behind, func(s *Session) bool {
		s.fresh.listed = s.awaits()
		return !s.fresh.listed
	})
	w.crowd = max(fewBehind, 2*len(w.behind))
}

// CaughtUp says that targets of g may have what they had not before: sessions of w that wait for that go on. It runs on the loop.
func (w *Worker) CaughtUp(g Group) {
	waiting := w.behind
	w.behind = w.spare
	for _, s := range waiting {
		s.fresh.listed = false
		switch f := &s.fresh; {
		case !s.awaits():
		case s.front.Group != g:
			w.await(s)
		case f.catching:
			if !g.Has(s.backend.pool, f.mark) {
				w.await(s)
				continue
			}
			s.front.Counters.ReadsCurrent.Observe(w.loop.Now() - s.borrowing)
			f.checked = true
			s.caught()
		case g.Current(s.home, f.mark, s.reach()) == nil:
			w.await(s)
		default:
			s.move()
		}
	}
	clear(waiting)
	w.spare = waiting[:0]
}
