package telemetry

import (
	"sync"
	"testing"
	"time"
)

func TestAnObservationIsInTheFirstBucketThatReachesIt(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{-time.Second, 0, 100 * time.Microsecond, 101 * time.Microsecond, 2 * time.Minute, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	last := len(Bounds)
	if s.Buckets[0] != 3 || s.Buckets[1] != 1 || s.Buckets[last-1] != 1 || s.Buckets[last] != 1 || s.Count != 6 {
		t.Errorf("%+v", s)
	}
	if expected := 201*time.Microsecond + 2*time.Minute + time.Hour; s.Sum != expected {
		t.Errorf("sum %s, expected %s", s.Sum, expected)
	}
}

func TestBoundsRise(t *testing.T) {
	for i := 1; i < len(Bounds); i++ {
		if Bounds[i] <= Bounds[i-1] {
			t.Errorf("bound %d is %g after %g", i, Bounds[i], Bounds[i-1])
		}
	}
}

func TestCountersMayBeUsedFromEverywhere(t *testing.T) {
	const each = 1000
	var l Listener
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range each {
				l.QueryRequests.Inc()
				l.ClientConnections.Inc()
				l.QueryDuration.Observe(time.Millisecond)
				l.ClientConnections.Dec()
				_ = l.QueryDuration.Snapshot()
			}
		})
	}
	all.Wait()
	if l.QueryRequests.Value() != 4*each || l.ClientConnections.Value() != 0 || l.QueryDuration.Snapshot().Count != 4*each {
		t.Errorf("%d requests, %d clients", l.QueryRequests.Value(), l.ClientConnections.Value())
	}
}
