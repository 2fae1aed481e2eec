package mysql

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/berthdb/berth/core/engine"
)

// A server has max_prepared_stmt_count statements of all its connections together (manual, "Server System Variables"), and refuses the next
// to whoever asks, also to those that are no clients of Berth. What backends keep so that nobody need prepare it again must not take
// all of that: the more of it they have, the fewer each may keep.

// shelves are an engine's, one for each server that its backends are on. Any goroutine may use them.
type shelves struct {
	mu       sync.Mutex
	byServer map[string]*shelf // by identity
}

// shelf counts the shared statements that backends have on one server.
type shelf struct {
	limit    atomic.Int64 // max_prepared_stmt_count, as the last to log in found it
	held     atomic.Int64
	backends atomic.Int64
}

// place is one backend's on a shelf. The machine that holds the backend changes it. nil is one on which nothing is counted.
type place struct {
	shelf  *shelf
	server string
	held   int
}

// join makes a place for a backend until it leaves. A limit that is no number is none.
func (s *shelves) join(server, limit string, b *backendState) {
	n, err := strconv.ParseInt(limit, 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	on := s.byServer[server]
	if on == nil {
		if s.byServer == nil {
			s.byServer = make(map[string]*shelf)
		}
		on = new(shelf)
		s.byServer[server] = on
	}
	on.limit.Store(n)
	on.backends.Add(1)
	b.statements.place = &place{shelf: on, server: server}
}

// leave takes the place of a backend that is gone, with its statements.
func (s *shelves) leave(b *backendState) {
	p := b.statements.place
	if p == nil {
		return
	}
	b.statements.place = nil // a machine that has it may still count what it loses
	s.mu.Lock()
	defer s.mu.Unlock()
	p.add(-p.held)
	if p.shelf.backends.Add(-1) == 0 {
		delete(s.byServer, p.server)
	}
}

// Gone implements engine.Bookkeeper.
func (e *Engine) Gone(b *engine.Backend) {
	if state, ok := b.State.(*backendState); ok {
		e.shelves.leave(state)
	}
}

// add counts n statements more.
func (p *place) add(n int) {
	if p != nil {
		p.held += n
		p.shelf.held.Add(int64(n))
	}
}

// room is how many statements the backend may keep, of those that it has, when it is about to prepare another one.
func (p *place) room() int {
	if p == nil {
		return maxPrepared - 1
	}
	limit := p.shelf.limit.Load()
	switch free := limit - p.shelf.held.Load(); {
	case free > limit/4:
		return maxPrepared - 1
	case free > limit/8: // its part of half of them
		return min(maxPrepared-1, max(p.held-2, int(limit/2/max(p.shelf.backends.Load(), 1))))
	default:
		return max(min(maxPrepared-1, p.held-2), 0)
	}
}
