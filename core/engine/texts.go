package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Texts counts the memory that an engine takes for prepared statements, above all their texts, of all sessions together. What each session may have is
// bounded, but thousands of sessions might have as much. Its zero value is empty; any goroutine may use it.
type Texts struct {
	Most int64 // bytes; 0: MostTexts
	kept atomic.Int64
	// collected is when memory was collected last to find out what is in use, in nanoseconds since 1970.
	collected atomic.Int64
}

// MostTexts is how much there may be of them. A hundred thousand different statements of a usual length take a fifth of it.
const MostTexts = 512 << 20

// collectEvery is how often memory is collected on that account.
const collectEvery = 10 * time.Second

// Add counts n bytes more, or less.
func (t *Texts) Add(n int) { t.kept.Add(int64(n)) }

// KeptFor counts n bytes more until nobody has owner any more.
func KeptFor[T any](t *Texts, owner *T, n int) {
	t.Add(n)
	runtime.AddCleanup(owner, func(n int) { t.Add(-n) }, n)
}

// Kept is how many there are.
func (t *Texts) Kept() int64 { return t.kept.Load() }

// apart is in how many parts what is left is thought of, of which a session may have one.
const apart = 8

// Full says whether nothing more is to be kept for a session that has so much itself: no more than a part of what is left, so that those that have little
// find place when others have taken all that they can. What nobody uses any more counts until memory is collected, which is seen to.
func (t *Texts) Full(has int) bool {
	most := t.Most
	if most == 0 {
		most = MostTexts
	}
	if left := most - t.kept.Load(); left > 0 && int64(has) <= left/apart {
		return false
	}
	now, last := time.Now().UnixNano(), t.collected.Load()
	if time.Duration(now-last) >= collectEvery && t.collected.CompareAndSwap(last, now) {
		go runtime.GC()
	}
	return true
}
