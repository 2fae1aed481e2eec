package relay

import (
	"context"

	"github.com/berthdb/berth/core/engine"
)

// goAside has a machine's blocking work done off the loop. The session may end meanwhile: then the work is broken off, and
// what it comes to is nobody's.
func (s *Session) goAside(work func(context.Context) func(engine.Wire)) {
	if s.aside != nil {
		panic("BUG: relay: a machine has two things done aside")
	}
	w := s.worker
	ctx, stop := context.WithTimeout(context.Background(), s.front.LoginTimeout)
	s.aside = stop
	w.spawn(func() {
		defer stop()
		var then func(engine.Wire)
		if err := Safely(w.log, func() error { then = work(ctx); return nil }); err != nil {
			then = func(w engine.Wire) { w.Close(err) }
		}
		w.loop.Post(&asideDone{s, then})
	})
}

// asideDone is posted to a session's loop when what was done aside is over.
type asideDone struct {
	session *Session
	then    func(engine.Wire)
}

func (d *asideDone) Run() {
	s := d.session
	if s.ended {
		return
	}
	s.aside = nil
	s.active = s.worker.loop.Now()
	s.guarded(func(s *Session) {
		d.then((*wire)(s))
		s.later() // its client may have gone on, and the proxy may be draining
	})
}
