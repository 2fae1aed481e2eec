package loop

import (
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

func checkHeap(t *testing.T, h *Timers) {
	t.Helper()
	for i, tm := range h.heap {
		if tm.index != i+1 {
			t.Fatalf("the timer at %d says that it is at %d", i, tm.index-1)
		}
		if i > 0 && h.heap[(i-1)/fanout].at > tm.at {
			t.Fatalf("the timer at %d fires before its parent", i)
		}
	}
}

func TestTimersComeOutInTheOrderOfTheirTimesWhateverIsCanceledAndMoved(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h Timers
		timers := make([]Timer, 1+r.IntN(200))
		due := map[*Timer]time.Duration{}
		for range 4 * len(timers) {
			tm := &timers[r.IntN(len(timers))]
			if r.IntN(4) == 0 {
				h.Cancel(tm)
				delete(due, tm)
			} else {
				at := time.Duration(r.IntN(100))
				h.Schedule(tm, at)
				due[tm] = at
			}
			if tm.Scheduled() != (due[tm] > 0 || len(due) > 0 && hasKey(due, tm)) {
				t.Fatal("a timer does not know whether it is scheduled")
			}
			checkHeap(t, &h)
		}
		var want []time.Duration
		for _, at := range due {
			want = append(want, at)
		}
		sort.Slice(want, func(i, j int) bool { return want[i] < want[j] })
		for _, at := range want {
			if next, ok := h.Next(); !ok || next != at {
				t.Fatalf("next is %v, want %v", next, at)
			}
			if h.Advance(at-1) != nil {
				t.Fatal("a timer fires before its time")
			}
			if tm := h.Advance(at); tm == nil || due[tm] != at || tm.Scheduled() {
				t.Fatal("the wrong timer fires")
			}
			checkHeap(t, &h)
		}
		if _, ok := h.Next(); ok || h.Len() != 0 || h.Advance(1<<60) != nil {
			t.Fatal("a timer is left")
		}
	}
}

func hasKey(m map[*Timer]time.Duration, t *Timer) bool { _, ok := m[t]; return ok }

func TestATimerOfTheLongestTimeDoesNotFire(t *testing.T) {
	l := startLoop(t, 0, Options{})
	never := &Timer{Task: taskFunc(func() { t.Error("it fires") })}
	on(t, l, func() { l.Schedule(never, 1<<63-1) })
	fired := make(chan struct{})
	on(t, l, func() { l.Schedule(&Timer{Task: taskFunc(func() { close(fired) })}, time.Millisecond) })
	await(t, fired, "another timer")
	on(t, l, func() {
		if !never.Scheduled() {
			t.Error("it is gone")
		}
	})
}

func TestATimerFiresAfterItsTimeAndSoon(t *testing.T) {
	l := startLoop(t, 0, Options{})
	for _, d := range []time.Duration{0, time.Millisecond, 7 * time.Millisecond, 40 * time.Millisecond} {
		fired := make(chan time.Duration, 1)
		on(t, l, func() {
			begun := time.Now()
			l.Schedule(&Timer{Task: taskFunc(func() { fired <- time.Since(begun) })}, d)
		})
		if after := await(t, fired, "the timer"); after < d {
			t.Errorf("fired after %v, before %v", after, d)
		} else if after > d+2*time.Second {
			t.Errorf("fired after %v instead of %v", after, d)
		}
	}
}

func TestATimerThatSchedulesItselfForNowDoesNotStarveTheLoop(t *testing.T) {
	l := startLoop(t, 0, Options{})
	var tm Timer
	fired := 0
	tm.Task = taskFunc(func() { fired++; l.Schedule(&tm, 0) })
	on(t, l, func() { l.Schedule(&tm, 0) })
	for range 10 {
		on(t, l, func() {})
	}
	on(t, l, func() { l.Cancel(&tm) })
	count := 0
	on(t, l, func() { count = fired })
	on(t, l, func() {
		if fired != count {
			t.Error("a canceled timer fired")
		}
	})
}

func TestATimerCanBePutOffAndCanceledWhileOthersFire(t *testing.T) {
	l := startLoop(t, 0, Options{})
	late, never := Timer{}, Timer{}
	done := make(chan time.Time, 1)
	begun := time.Now()
	late.Task = taskFunc(func() { done <- time.Now() })
	never.Task = taskFunc(func() { t.Error("a canceled timer fired") })
	on(t, l, func() {
		l.Schedule(&late, time.Millisecond)
		l.Schedule(&never, 2*time.Millisecond)
		l.Schedule(&Timer{Task: taskFunc(func() { l.Cancel(&never); l.Cancel(&never) })}, 0)
		l.Schedule(&late, 30*time.Millisecond)
	})
	if at := await(t, done, "the timer"); at.Sub(begun) < 30*time.Millisecond {
		t.Error("the first time held")
	}
}
