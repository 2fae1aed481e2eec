package loop

import "time"

// Timers is a heap of timers by the time at which they fire. It has no clock: its owner says what time it is, so a
// simulation can drive it with a time of its own. The zero value is empty and ready. One goroutine may use it.
type Timers struct{ heap []*Timer }

// fanout is how many children a node of the heap has. Four makes it half as deep as two, and the children share a
// cache line.
const fanout = 4

// Len is how many timers are scheduled.
func (h *Timers) Len() int { return len(h.heap) }

// Schedule makes t fire at the time at, instead of when it was to fire before.
func (h *Timers) Schedule(t *Timer, at time.Duration) {
	t.at = at
	if t.index == 0 {
		h.heap = append(h.heap, t)
		t.index = len(h.heap)
	}
	h.fix(t.index - 1)
}

// Cancel makes t not fire. It is harmless if t is not scheduled.
func (h *Timers) Cancel(t *Timer) {
	if t.index == 0 {
		return
	}
	i, last := t.index-1, len(h.heap)-1
	moved := h.heap[last]
	h.heap[last] = nil
	h.heap = h.heap[:last]
	t.index = 0
	if i != last {
		h.put(moved, i)
		h.fix(i)
	}
}

// Next says when the first timer fires, and false if there is none.
func (h *Timers) Next() (time.Duration, bool) {
	if len(h.heap) == 0 {
		return 0, false
	}
	return h.heap[0].at, true
}

// Advance takes out and returns the first timer that fires at now or before, or nil. The caller runs its task.
func (h *Timers) Advance(now time.Duration) *Timer {
	if len(h.heap) == 0 || h.heap[0].at > now {
		return nil
	}
	t := h.heap[0]
	h.Cancel(t)
	return t
}

func (h *Timers) put(t *Timer, i int) {
	h.heap[i] = t
	t.index = i + 1
}

// fix moves the timer at i to where it belongs.
func (h *Timers) fix(i int) {
	t := h.heap[i]
	for i > 0 {
		parent := (i - 1) / fanout
		if h.heap[parent].at <= t.at {
			break
		}
		h.put(h.heap[parent], i)
		i = parent
	}
	for {
		first := i*fanout + 1
		if first >= len(h.heap) {
			break
		}
		least := first
		for c := first + 1; c < len(h.heap) && c < first+fanout; c++ {
			if h.heap[c].at < h.heap[least].at {
				least = c
			}
		}
		if h.heap[least].at >= t.at {
			break
		}
		h.put(h.heap[least], i)
		i = least
	}
	h.put(t, i)
}
