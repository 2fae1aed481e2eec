package relay

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	"github.com/berthdb/berth/core/engine"
)

// maxID keeps session IDs positive where a protocol calls them a signed 32-bit process id.
const maxID = 1<<31 - 1

// Registry knows every live session by its ID. Any goroutine may use it.
type Registry struct {
	mu       sync.Mutex
	sessions map[uint32]*Session // nil value: reserved by a login
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry { return &Registry{sessions: make(map[uint32]*Session)} }

// Reserve returns an ID that no live session has, for a login. IDs are random: what one client knows of its own says
// nothing about another's. Release or a started session ends the reservation.
func (r *Registry) Reserve() uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		id := binary.BigEndian.Uint32(b[:]) & maxID
		if _, taken := r.sessions[id]; id != 0 && !taken {
			r.sessions[id] = nil
			return id
		}
	}
}

// Release frees an ID.
func (r *Registry) Release(id uint32) {
	r.mu.Lock()
	delete(r.sessions, id)
	r.mu.Unlock()
}

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	r.sessions[s.id] = s
	r.mu.Unlock()
}

func (r *Registry) find(id uint32) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// Cancel stops what the session of req is executing, if req shows its secret, and calls done once the request can have
// no further effect; at once if there is nothing to stop.
func (r *Registry) Cancel(req engine.CancelRequest, done func()) {
	s := r.find(req.ID)
	if s == nil || len(s.secret) == 0 || subtle.ConstantTimeCompare(s.secret, req.Secret) != 1 {
		done()
		return
	}
	if !s.worker.loop.Post(&interrupt{session: s, what: engine.KillRequest, done: done}) {
		done()
	}
}

// kill is Cancel on behalf of another session of the same user and group (SQL's KILL).
func (r *Registry) kill(by *Session, id uint32, what engine.KillScope) error {
	r.mu.Lock()
	s := r.sessions[id]
	owner := s != nil && s.user == by.user
	r.mu.Unlock()
	switch {
	case s == nil || s.front.Group != by.front.Group:
		return engine.ErrNoSession
	case !owner:
		return engine.ErrNotOwner
	}
	s.worker.loop.Post(&interrupt{session: s, what: what, done: func() {}})
	return nil
}

// rename makes s another user's. It runs on its loop.
func (r *Registry) rename(s *Session, user string) {
	r.mu.Lock()
	s.user = user
	r.mu.Unlock()
}

// interrupt is posted to a session's loop. It allocates: it is rare.
type interrupt struct {
	session *Session
	what    engine.KillScope
	done    func()
}

func (i *interrupt) Run() {
	switch {
	case i.session.over():
		i.done()
	case i.what == engine.KillSession:
		defer i.done()
		i.session.guarded(func(s *Session) { s.stop(engine.ErrKilled) })
	default:
		i.session.guarded(func(s *Session) { s.cancel(i.done) })
	}
}
