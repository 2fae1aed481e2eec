package loop

import "math"

// slot is what a loop knows of a stream that is registered with its poller. It stays when another loop has taken the
// stream, until that loop's message arrives.
type slot struct {
	stream *stream
	// place is the stream's ownership word (see stream.owner) without its parked bit, as it is while the stream is this
	// loop's. Any other word means that the stream left.
	place uint64
	// waker is whom to ask about an event while the stream is parked, when its own fields may not be read.
	waker Handler
	// generation tells this use of the slot from those before, for events that were on their way when it was freed.
	generation uint32
}

// slots gives streams their tokens: the slot's index in the lower half, its generation in the upper.
type slots struct {
	all  []slot
	free []uint32
}

// take finds a slot for s. ok is false if there is none, which more than four thousand million streams take.
func (t *slots) take(s *stream, place uint64) (index uint32, ok bool) {
	if n := len(t.free); n > 0 {
		index = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		if len(t.all) == math.MaxUint32 { // the last index is in the poller's own token
			return 0, false
		}
		t.all = append(t.all, slot{})
		index = uint32(len(t.all) - 1)
	}
	t.all[index].stream = s
	t.all[index].place = place
	return index, true
}

// token returns what the poller says of the stream in slot index.
func (t *slots) token(index uint32) uint64 {
	return uint64(index) | uint64(t.all[index].generation)<<32
}

// at returns the slot that token is of, or nil if that was freed since.
func (t *slots) at(token uint64) *slot {
	index := uint32(token)
	if uint64(index) >= uint64(len(t.all)) {
		return nil
	}
	if s := &t.all[index]; s.stream != nil && s.generation == uint32(token>>32) {
		return s
	}
	return nil
}

// release frees the slot of token, if it is in use.
func (t *slots) release(token uint64) {
	if s := t.at(token); s != nil {
		*s = slot{generation: s.generation + 1}
		t.free = append(t.free, uint32(token))
	}
}
