package telemetry

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of a Histogram's buckets, in seconds; a last bucket takes the rest. They reach from a
// query that a local server answers from memory to a borrow timeout.
var Bounds = [...]float64{
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
}

// Histogram counts durations. The zero Histogram is ready.
type Histogram struct {
	buckets [len(Bounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
}

// Observe counts d; a negative one as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	s := d.Seconds()
	i := 0
	for i < len(Bounds) && s > Bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is a histogram at one moment. Buckets are not cumulative.
type Snapshot struct {
	Buckets [len(Bounds) + 1]uint64
	Count   uint64
	Sum     time.Duration
}

// Snapshot reads h. Observations that go on meanwhile may be in it in part.
func (h *Histogram) Snapshot() Snapshot {
	var s Snapshot
	for i := range h.buckets {
		s.Buckets[i] = h.buckets[i].Load()
		s.Count += s.Buckets[i]
	}
	s.Sum = time.Duration(h.sum.Load())
	return s
}
