package loop

import "time"

// maxEvents is how many events are taken from the kernel at once.
const maxEvents = 256

// interest is what a stream wants to hear of.
type interest uint8

const (
	wantRead interest = 1 << iota
	wantWrite
)

// readiness is what the kernel says of a descriptor.
type readiness uint8

const (
	readable readiness = 1 << iota
	writable
	hungUp // both directions are over, or the socket failed
)

// wakeToken is the token of the poller's own descriptor. No stream has it: see slots.
const wakeToken = ^uint64(0)

// milliseconds rounds up, so that a timer is due when its wait ends.
func milliseconds(d time.Duration) int {
	if d < 0 {
		return -1
	}
	const limit = time.Hour
	return int((min(d, limit) + time.Millisecond - 1) / time.Millisecond)
}
