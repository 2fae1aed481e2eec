package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// record counts requests by when they were due.
type record struct {
	mu      sync.Mutex
	start   time.Time
	width   time.Duration // of a part
	parts   []part
	kinds   map[string]int
	backlog time.Duration // the longest time between due and taken
}

// part is a tenth of the run.
type part struct {
	counts  [verdicts]int
	latency []time.Duration
}

func newRecord(start time.Time, whole time.Duration, parts int) *record {
	return &record{start: start, width: whole / time.Duration(parts), parts: make([]part, parts), kinds: map[string]int{}}
}

func (r *record) at(t time.Time) *part {
	return &r.parts[min(max(int(t.Sub(r.start)/r.width), 0), len(r.parts)-1)]
}

func (r *record) add(due, taken, done time.Time, kind string, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.at(due)
	p.counts[v]++
	p.latency = append(p.latency, done.Sub(due))
	r.kinds[kind]++
	r.backlog = max(r.backlog, taken.Sub(due))
}

// count counts what a client was told before it tried again.
func (r *record) count(v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at(time.Now()).counts[v]++
}

// kind counts something that a client has met.
func (r *record) kind(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kinds[name]++
}

// table has a line for each part, of all sides together.
func table(sides []*side, samples []sample) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-13s %9s %7s %7s %7s %7s %7s %8s %8s %8s %7s %5s %10s\n", "until", "requests", "retry", "unknown", "lost", "refused", "dropped",
		"p50 ms", "p99 ms", "max ms", "RSS MiB", "fds", "goroutines")
	for i := range sides[0].record.parts {
		var counts [verdicts]int
		var all []time.Duration
		for _, s := range sides {
			p := &s.record.parts[i]
			for v, n := range p.counts {
				counts[v] += n
			}
			all = append(all, p.latency...)
		}
		slices.Sort(all)
		fmt.Fprintf(&b, "%-13s %9d %7d %7d %7d %7d %7d %s %s %s %7.1f %5.0f %10.0f\n", (sides[0].record.width * time.Duration(i+1)).Round(100*time.Millisecond),
			len(all), counts[retry], counts[unknown], counts[lost], counts[refused], counts[dropped], quantile(all, 50), quantile(all, 99), quantile(all, 100),
			samples[i].resident/(1<<20), samples[i].descriptors, samples[i].goroutines)
	}
	return b.String()
}

// quantile is in milliseconds.
func quantile(sorted []time.Duration, percent int) string {
	if len(sorted) == 0 {
		return fmt.Sprintf("%8s", "-")
	}
	at := max(0, (len(sorted)*percent+99)/100-1)
	return fmt.Sprintf("%8.1f", float64(sorted[at])/float64(time.Millisecond))
}

// kinds is how often what was done, and how late the last request was taken.
func kinds(sides []*side) string {
	var b strings.Builder
	for _, s := range sides {
		fmt.Fprintf(&b, "%s:", s.name)
		for _, k := range slices.Sorted(maps.Keys(s.record.kinds)) {
			fmt.Fprintf(&b, " %s %d", k, s.record.kinds[k])
		}
		fmt.Fprintf(&b, "; taken at most %s after it was due\n", s.record.backlog.Round(time.Millisecond))
	}
	return b.String()
}
