package pool

import "testing"

// benchKey is of the shape and length of real keys.
type benchKey struct{ user, database, options string }

// benchPool returns a pool of one connection, lent.
func benchPool() (*Pool[benchKey, int], *Conn[benchKey, int]) {
	p := New[benchKey, int](Config{Max: 1, MaxIdle: 1})
	_, _, todo := p.Borrow(&Waiter[benchKey, int]{Key: keyOfBench}, 0, false)
	c := todo.Dial[0]
	p.Opened(c, 0)
	return p, c
}

var keyOfBench = benchKey{"application", "orders", "client_encoding=UTF8"}

func BenchmarkBorrowAndReturnOfAnIdleConnection(b *testing.B) {
	p, c := benchPool()
	p.Return(c, 0)
	w := &Waiter[benchKey, int]{Key: keyOfBench, Session: 1}
	b.ReportAllocs()
	for b.Loop() {
		c, _, _ := p.Borrow(w, 0, false)
		p.Return(c, 0)
	}
}

func BenchmarkReturnToOneOfManyWaitersWhoQueuesAgain(b *testing.B) {
	p, c := benchPool()
	for i := range 64 {
		p.Borrow(&Waiter[benchKey, int]{Key: keyOfBench, Session: uint32(i), Loop: i % 2}, 0, false)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := p.Return(c, 0).Grant.Waiter
		p.Borrow(w, 0, false)
	}
}

func TestBorrowReturnAndHandOverAllocateNothing(t *testing.T) {
	p, c := benchPool()
	ws := [2]Waiter[benchKey, int]{{Key: keyOfBench, Session: 1}, {Key: keyOfBench, Session: 2, Loop: 1}}
	p.Return(c, 0)
	if n := testing.AllocsPerRun(100, func() {
		c, _, _ := p.Borrow(&ws[0], 0, false)
		p.Borrow(&ws[1], 0, false)
		p.Return(c, 0)
		p.Return(c, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
