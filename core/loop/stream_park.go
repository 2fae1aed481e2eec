package loop

// Park implements Stream. What Open found already received, and nobody saw yet, may be held; OnWake is then called soon.
func (s *stream) Park() {
	if s.closed {
		return
	}
	s.flush()
	if s.in.delivering || s.out.head != nil || s.in.held != nil && !s.in.fresh || s.finishing {
		panic("BUG: loop: a stream is parked that is in use")
	}
	owner := s.owner.Load()
	if owner&parkedBit != 0 {
		panic("BUG: loop: a stream is parked twice")
	}
	s.in.paused, s.out.full = false, false
	if s.reading() {
		s.watch(wantRead)
	}
	owner += ownerStep
	slot := &s.loop.slots.all[uint32(s.token)]
	slot.place, slot.waker = owner, s.handler
	s.marked, s.queued = false, false // what was noted under the old word is void
	if s.pending() {
		s.loop.queued = append(s.loop.queued, visit{s, owner | parkedBit, s.token})
	}
	s.owner.Store(owner | parkedBit) // from here on it may be another loop's
}

// Unpark implements Stream.
func (s *stream) Unpark() {
	if owner := s.owner.Load(); !s.closed && owner&parkedBit != 0 && owner != deadOwner {
		s.owner.Store(owner &^ parkedBit)
		s.queueIfPending()
	}
}

// MoveTo implements Stream. The owner word is what two loops see of it at the same time: the loop that s leaves treats
// events that come from here on as stale, and frees its slot when it is told.
func (s *stream) MoveTo(l Loop) error {
	to, ok := l.(*Poll)
	if !ok {
		panic("BUG: loop: a stream is moved to another kind of loop")
	}
	from, owner := s.loop, s.owner.Load()
	switch {
	case s.closed:
		return ErrStopped
	case owner != deadOwner && owner&parkedBit == 0:
		panic("BUG: loop: a stream is moved that is not parked")
	case owner != deadOwner && from == to:
		s.Unpark()
		return nil
	case owner == deadOwner || !s.owner.CompareAndSwap(owner, owner&^(loopMask|parkedBit)+ownerStep|uint64(to.id)):
		s.closed = true // its loop stopped and has closed the descriptor
		return ErrStopped
	}
	from.poller.remove(int(s.fd))
	from.Post(&departure{from, s.token})
	if err := s.register(to); err != nil {
		return err
	}
	if !s.reading() {
		s.watch(0)
	}
	s.queueIfPending()
	return nil
}

// departure frees the slot of a stream that left.
type departure struct {
	loop  *Poll
	token uint64
}

func (d *departure) Run() { d.loop.slots.release(d.token) }
