package loop

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

type numbered struct {
	from, n int
	seen    *[]int // by sender: the next number
	bad     *atomic.Bool
	done    *sync.WaitGroup
}

func (p *numbered) Run() {
	if (*p.seen)[p.from] != p.n {
		p.bad.Store(true)
	}
	(*p.seen)[p.from]++
	p.done.Done()
}

func TestTasksOfManyGoroutinesAllRunEachGoroutinesInOrder(t *testing.T) {
	l := startLoop(t, 0, Options{})
	const senders, each = 16, 5000
	seen := make([]int, senders)
	var bad atomic.Bool
	var done sync.WaitGroup
	done.Add(senders * each)
	for from := range senders {
		go func() {
			for n := range each {
				if !l.Post(&numbered{from, n, &seen, &bad, &done}) {
					t.Error("a running loop refuses a task")
				}
				if n%500 == 0 {
					time.Sleep(time.Millisecond) // lets the loop fall asleep
				}
			}
		}()
	}
	done.Wait()
	if bad.Load() {
		t.Error("tasks ran out of order")
	}
}

func TestTasksThatWereAcceptedRunBeforeTheLoopStopsAndLaterOnesAreRefused(t *testing.T) {
	for range 50 {
		l, err := New(0, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var ran, accepted atomic.Int64
		var all sync.WaitGroup
		all.Go(l.Run)
		for range 4 {
			all.Go(func() {
				for l.Post(taskFunc(func() { ran.Add(1) })) {
					accepted.Add(1)
				}
			})
		}
		time.Sleep(time.Millisecond)
		l.Stop()
		all.Wait()
		if ran.Load() != accepted.Load() {
			t.Fatalf("%d tasks accepted, %d ran", accepted.Load(), ran.Load())
		}
		l.Stop() // harmless
	}
}

func TestStopClosesStreamsAndTellsNobody(t *testing.T) {
	l, err := New(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(l.Run)
	p, parked := newProbe(), newProbe()
	p.ended = func(err error) { t.Errorf("OnClose(%v)", err) }
	b, c := open(t, l, p), open(t, l, parked)
	on(t, l, parked.Park)
	l.Stop()
	done.Wait()
	for _, peer := range []interface{ Read([]byte) (int, error) }{b, c} {
		if _, err := peer.Read(make([]byte, 1)); err == nil {
			t.Error("a stream is open after Stop")
		}
	}
	other := startLoop(t, 1, Options{})
	on(t, other, func() {
		if err := parked.MoveTo(other); !errors.Is(err, ErrStopped) {
			t.Errorf("a stream moved from a loop that stopped: %v", err)
		}
		parked.Write([]byte("x"))
		parked.Finish(time.Second)
		parked.Close()
	})
}

func TestDeferredTasksRunAfterTheCallAndBeforeOutputGoesOut(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	var order []string
	p.data = func(b []byte) int {
		p.Write([]byte("one "))
		l.Defer(taskFunc(func() {
			order = append(order, "first")
			p.Write([]byte("two "))
			l.Defer(taskFunc(func() {
				order = append(order, "third")
				p.Write([]byte("three"))
				if p.Buffered() != len("one two three") {
					t.Errorf("%d bytes are staged", p.Buffered())
				}
			}))
		}))
		l.Defer(taskFunc(func() { order = append(order, "second") }))
		order = append(order, "call")
		return len(b)
	}
	b := open(t, l, p)
	send(t, b, []byte("x"))
	if got := string(receive(t, b, len("one two three"))); got != "one two three" {
		t.Errorf("got %q", got)
	}
	on(t, l, func() {
		if len(order) != 4 || order[0] != "call" || order[1] != "first" || order[2] != "second" || order[3] != "third" {
			t.Errorf("order %v", order)
		}
		check(t, l)
	})
}

func TestAPanicEndsItsStreamOnly(t *testing.T) {
	var logged atomic.Int32
	l := startLoop(t, 0, Options{Panicked: func(v any, stack []byte) {
		if v == "oh" && len(stack) > 0 {
			logged.Add(1)
		}
	}})
	p, q := newProbe(), newProbe()
	p.data = func([]byte) int { panic("oh") }
	b, c := open(t, l, p), open(t, l, q)
	send(t, b, []byte("x"))
	var caught *PanicError
	if err := await(t, p.closed, "OnClose"); !errors.As(err, &caught) || caught.Value != "oh" || len(caught.Stack) == 0 {
		t.Errorf("closed by %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is open")
	}
	on(t, l, func() { l.Schedule(&Timer{Task: taskFunc(func() { panic("oh") })}, 0) })
	l.Post(taskFunc(func() { panic("oh") }))
	send(t, c, []byte("still here"))
	q.expect(t, []byte("still here"))
	for end := time.Now().Add(patience); logged.Load() != 3 || l.Panics() != 3; {
		if time.Now().After(end) {
			t.Fatalf("%d panics logged, %d counted", logged.Load(), l.Panics())
		}
		time.Sleep(time.Millisecond)
	}
	on(t, l, func() { check(t, l) })
}

func TestAHandlerThatPanicsInItsEndLosesTheDescriptorToo(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	p.ended = func(error) { panic("again") }
	p.data = func(b []byte) int { return len(b) + 1 } // a lie
	b := open(t, l, p)
	send(t, b, []byte("x"))
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is open")
	}
	on(t, l, func() {
		if len(l.slots.free) != 1 {
			t.Error("the slot is in use")
		}
		check(t, l)
	})
}

func TestABadDescriptorIsAnErrorAndAnIDOutOfRangeToo(t *testing.T) {
	l := startLoop(t, 0, Options{})
	on(t, l, func() {
		if s, err := l.Open(socket.Detached{FD: -1}, newProbe()); err == nil || s != nil {
			t.Error("descriptor -1 was opened")
		}
		check(t, l)
	})
	for _, id := range []int{-1, maxLoop + 1} {
		if _, err := New(id, Options{}); err == nil {
			t.Errorf("id %d is accepted", id)
		}
	}
}

func TestASleepingLoopIsWokenHoweverOftenItWasBefore(t *testing.T) {
	l := startLoop(t, 0, Options{})
	for range 2000 { // an eventfd that is written a large number takes few of them
		on(t, l, func() {})
		time.Sleep(10 * time.Microsecond) // lets it go to sleep
	}
}
