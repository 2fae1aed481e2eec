package pool

import (
	"errors"
	"strings"
	"testing"
	"time"
)

type (
	conn   = Conn[string, string]
	waiter = Waiter[string, string]
	todo   = Todo[string, string]
)

var errDown = errors.New("down")

// world is a pool in a test: it checks the invariants after every step, and knows what is still to be done.
type world struct {
	*testing.T
	*Pool[string, string]
	now     time.Duration
	session uint32
	dials   []*conn // to be opened
	closes  []*conn // to be closed
	granted map[*waiter]*conn
	tickAt  time.Duration
}

func newWorld(t *testing.T, c Config) *world {
	return &world{T: t, Pool: New[string, string](c), granted: map[*waiter]*conn{}}
}

func (w *world) do(d todo) {
	w.Helper()
	w.dials = append(w.dials, d.Dial...)
	w.closes = append(w.closes, d.Close...)
	if g := d.Grant; g.Waiter != nil {
		if w.granted[g.Waiter] != nil {
			w.Fatal("a waiter was granted twice")
		}
		w.granted[g.Waiter] = g.Conn
	}
	if d.TickAt != 0 {
		w.tickAt = d.TickAt
	}
	if err := w.Check(); err != nil {
		w.Fatal(err)
	}
}

// ask borrows for a new session.
func (w *world) ask(key string, loop int) *waiter {
	w.Helper()
	w.session++
	r := &waiter{Key: key, Session: w.session, Loop: loop}
	w.again(r)
	return r
}

func (w *world) again(r *waiter) Outcome {
	w.Helper()
	c, o, d := w.Borrow(r, w.now, false)
	if (o == Granted) != (c != nil) {
		w.Fatalf("outcome %d with connection %p", o, c)
	}
	if c != nil {
		w.granted[r] = c
	}
	w.do(d)
	return o
}

func (w *world) give(r *waiter) {
	w.Helper()
	c := w.granted[r]
	if c == nil {
		w.Fatal("nothing to return")
	}
	delete(w.granted, r)
	w.do(w.Return(c, w.now))
}

// open ends all dials, closeAll all closes, settleAll whatever there is.
func (w *world) open() {
	w.Helper()
	for len(w.dials) > 0 {
		c := w.dials[0]
		w.dials = w.dials[1:]
		w.do(w.Opened(c, w.now))
	}
}

func (w *world) fail(permanent bool) (failed []*waiter) {
	w.Helper()
	c := w.dials[0]
	w.dials = w.dials[1:]
	failed, d := w.DialFailed(c, w.now, errDown, permanent)
	w.do(d)
	return failed
}

func (w *world) closeAll() {
	w.Helper()
	for len(w.closes) > 0 {
		c := w.closes[0]
		w.closes = w.closes[1:]
		w.do(w.Closed(c, w.now))
	}
}

func (w *world) tick(after time.Duration) {
	w.Helper()
	w.now += after
	w.do(w.Tick(w.now))
}

// fill lends n connections of key, on loop, to new sessions.
func (w *world) fill(key string, loop, n int) (rs []*waiter) {
	w.Helper()
	for range n {
		rs = append(rs, w.ask(key, loop))
		w.open()
	}
	w.has(rs...)
	return rs
}

func (w *world) has(rs ...*waiter) {
	w.Helper()
	for i, r := range rs {
		if w.granted[r] == nil {
			w.Fatalf("waiter %d has no connection", i)
		}
	}
}

func (w *world) hasNot(rs ...*waiter) {
	w.Helper()
	for i, r := range rs {
		if w.granted[r] != nil {
			w.Fatalf("waiter %d has a connection", i)
		}
	}
}

func (w *world) want(what string, got, want int) {
	w.Helper()
	if got != want {
		w.Fatalf("%s: %d, want %d", what, got, want)
	}
}

func (w *world) stats(want Stats) {
	w.Helper()
	want.Open = want.Idle + want.Lent + want.Dialing + want.Closing
	want.Max = w.config.Max
	if got := w.Stats(); got != want {
		w.Fatalf("stats %+v, want %+v", got, want)
	}
}

func TestAFirstBorrowDialsAndIsGrantedWhenTheDialIsDone(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	r := w.ask("a", 3)
	w.stats(Stats{Dialing: 1, Waiting: 1})
	if c := w.dials[0]; c.Key() != "a" || c.Loop() != 3 {
		t.Fatalf("dial for key %s on loop %d", c.Key(), c.Loop())
	}
	w.open()
	w.has(r)
	w.give(r)
	w.stats(Stats{Idle: 1})
}

func TestAnIdleConnectionIsLentAtOnceToItsKeyOnly(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	w.give(w.fill("a", 0, 1)[0])
	w.has(w.ask("a", 1))
	w.hasNot(w.ask("b", 0))
	w.stats(Stats{Lent: 1, Dialing: 1, Waiting: 1})
}

func TestASessionGetsBackTheConnectionThatItHadLast(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 3})
	rs := w.fill("a", 0, 3)
	had := w.granted[rs[0]]
	for _, r := range rs {
		w.give(r)
	}
	rs[0].Loop = 1 // not even the loop matters more
	w.again(rs[0])
	if w.granted[rs[0]] != had {
		t.Error("it got another")
	}
}

func TestAConnectionThatAnotherSessionHadSinceIsNotPreferred(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	rs := w.fill("a", 0, 2)
	first, second := w.granted[rs[0]], w.granted[rs[1]]
	w.give(rs[0])
	other := w.ask("a", 0)
	w.give(other)
	w.give(rs[1]) // most recently used
	w.again(rs[0])
	if w.granted[rs[0]] != second || w.granted[rs[0]] == first {
		t.Error("it got the one that is not its own any more")
	}
}

func TestRotatingTheConnectionUsedLongestAgoIsLentOnWhicheverLoopAndToWhomever(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 3, Rotate: true})
	rs := []*waiter{w.ask("a", 0), w.ask("a", 1), w.ask("a", 2)}
	w.open()
	w.has(rs...)
	var turns []*conn
	for _, r := range rs {
		w.now++
		turns = append(turns, w.granted[r])
		w.give(r)
	}
	for i := range 9 {
		w.now++
		w.again(rs[0]) // always the same session
		if w.granted[rs[0]] != turns[i%3] {
			t.Fatalf("borrow %d: not the connection whose turn it is", i)
		}
		w.give(rs[0])
	}
	w.stats(Stats{Idle: 3})
}

func TestRotatingOneSessionAloneGetsEveryConnectionOpened(t *testing.T) {
	w := newWorld(t, Config{Max: 4, MaxIdle: 4, Rotate: true})
	r := w.ask("a", 0)
	w.stats(Stats{Dialing: 2, Waiting: 1})
	for range 3 {
		w.open()
		w.has(r)
		w.give(r)
		w.again(r)
	}
	w.stats(Stats{Idle: 3, Lent: 1})
}

func TestIdleConnectionsOfTheAskingLoopGoFirstAndTheMostRecentlyUsedOfThem(t *testing.T) {
	w := newWorld(t, Config{Max: 5, MaxIdle: 5})
	here, there := w.fill("a", 0, 2), w.fill("a", 1, 2)
	want := []*conn{w.granted[here[1]], w.granted[here[0]], w.granted[there[1]], w.granted[there[0]]}
	for _, r := range append(here, there...) {
		w.now++
		w.give(r)
	}
	for i, c := range want {
		r := w.ask("a", 0)
		if w.granted[r] != c {
			t.Fatalf("borrow %d got another connection", i)
		}
		if c.Loop() != 0 {
			t.Errorf("a connection lent to loop 0 is on loop %d", c.Loop())
		}
	}
}

func TestWithoutAnIdleConnectionOnItsLoopABorrowerGetsTheMostRecentlyUsedOfAll(t *testing.T) {
	for _, last := range []int{1, 2} {
		w := newWorld(t, Config{Max: 2, MaxIdle: 2})
		there := map[int]*waiter{1: w.fill("a", 1, 1)[0], 2: w.fill("a", 2, 1)[0]}
		want := w.granted[there[last]]
		w.give(there[3-last])
		w.now++
		w.give(there[last])
		if r := w.ask("a", 0); w.granted[r] != want {
			t.Errorf("with that on loop %d it got the other", last)
		}
	}
}

func TestNowOrNeverTakesAnIdleConnectionOrNothingAndBeginsOneForTheNext(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	r := &waiter{Key: "a"}
	c, o, d := w.Borrow(r, 0, true)
	w.do(d)
	if c != nil || o != Refused {
		t.Fatalf("outcome %d of an empty pool", o)
	}
	w.stats(Stats{Open: 1, Dialing: 1})
	for range 3 {
		_, _, d = w.Borrow(r, 0, true)
		w.do(d)
	}
	w.stats(Stats{Open: 1, Dialing: 1})
	w.open()
	w.stats(Stats{Open: 1, Idle: 1})
	if c, o, _ = w.Borrow(r, 0, true); c == nil || o != Granted {
		t.Fatalf("outcome %d with an idle connection", o)
	}
	w.stats(Stats{Lent: 1})
}

func TestNoMoreIsOpenedThanMaxAndNoMoreDialedAtOnceThanMaxDials(t *testing.T) {
	w := newWorld(t, Config{Max: 5, MaxIdle: 5, MaxDials: 2})
	for i := range 9 {
		w.ask([]string{"a", "b"}[i%2], 0)
	}
	w.stats(Stats{Dialing: 2, Waiting: 9})
	w.do(w.Opened(w.dials[0], 0))
	w.stats(Stats{Lent: 1, Dialing: 2, Waiting: 8})
	w.dials = w.dials[1:]
	w.open()
	w.stats(Stats{Lent: 5, Waiting: 4})
}

func TestNoMoreDialsAreInFlightForAKeyThanItsWaitersNeed(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9, MaxDials: 9})
	w.ask("a", 0)
	w.ask("a", 0)
	w.ask("b", 0)
	w.stats(Stats{Dialing: 3, Waiting: 3})
}

func TestWaitersOfAKeyAreServedInOrder(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	holder := w.fill("a", 0, 1)[0]
	var rs []*waiter
	for range 5 {
		rs = append(rs, w.ask("a", 0))
	}
	for i, r := range rs {
		w.give(holder)
		w.has(r)
		w.hasNot(rs[i+1:]...)
		holder = r
	}
}

func TestALoopServesItsOwnWaitersFirstButPassesAnOlderOneAtMostEightTimes(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	holder := w.fill("a", 0, 1)[0]
	elsewhere := w.ask("a", 1)
	for range maxPassed {
		own := w.ask("a", 0)
		w.give(holder)
		w.has(own)
		holder = own
	}
	w.ask("a", 0)
	w.give(holder)
	w.has(elsewhere)
}

func TestAReturnPassesAnOlderWaiterOfAnotherKeyAtMostEightTimes(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	holder := w.fill("a", 0, 1)[0]
	other := w.ask("b", 0)
	for range maxPassed {
		own := w.ask("a", 0)
		w.give(holder)
		w.has(own)
		holder = own
	}
	late := w.ask("a", 0)
	w.give(holder)
	w.stats(Stats{Closing: 1, Waiting: 2})
	w.ask("c", 0) // whoever comes now does not get the slot
	w.closeAll()
	w.open()
	w.has(other)
	w.hasNot(late)
}

func TestAReturnServesAnOlderWaiterOfItsKeyWithoutAPass(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	holder := w.fill("a", 0, 1)[0]
	older := w.ask("a", 0)
	other := w.ask("b", 0)
	w.give(holder)
	w.has(older)
	w.want("passes", int(other.passed), 0)
}

func TestPassesAreNotCountedWhileASlotIsOnItsWay(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	rs := w.fill("a", 0, 2)
	other := w.ask("b", 0)
	w.Discard(w.granted[rs[0]])
	own := w.ask("a", 0)
	w.give(rs[1])
	w.has(own)
	w.want("passes", int(other.passed), 0)
}

func TestPassesAreNotCountedWhileNoDialMayStart(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2, MaxDials: 1})
	holder := w.fill("a", 0, 1)[0]
	w.ask("b", 0)
	other, own := w.ask("c", 0), w.ask("a", 0)
	w.give(holder)
	w.has(own)
	w.want("passes", int(other.passed), 0)
}

func TestPassesAreNotCountedWhileASlotIsFree(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 3, RetryDelay: time.Second})
	holder := w.fill("a", 0, 1)[0]
	other := w.ask("b", 0)
	w.fail(false)
	own := w.ask("a", 0)
	w.now += time.Second // the pause is over, and no tick came yet
	w.give(holder)
	w.has(own)
	w.want("passes", int(other.passed), 0)
	w.want("dials", len(w.dials), 2)
}

func TestAFreeSlotGoesToTheOldestWaiterWithoutADialOfItsOwn(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2, MaxDials: 2})
	holder := w.fill("a", 0, 1)[0]
	w.ask("b", 0) // has a dial
	w.ask("c", 0)
	w.ask("b", 0)
	c := w.granted[holder]
	w.Discard(c)
	w.do(w.Closed(c, 0))
	w.want("dials", len(w.dials), 2)
	if k := w.dials[1].Key(); k != "c" {
		t.Errorf("it went to %s", k)
	}
}

func TestTheLeastRecentlyUsedIdleConnectionOfAnotherKeyGivesUpItsSlot(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 3})
	rs := append(w.fill("a", 0, 2), w.fill("b", 0, 1)...)
	oldest := w.granted[rs[1]]
	w.give(rs[1])
	w.give(rs[0])
	w.give(rs[2])
	first, second := w.ask("c", 0), w.ask("d", 0)
	w.want("closing", len(w.closes), 2)
	if w.closes[0] != oldest {
		t.Error("another one was chosen")
	}
	w.do(w.Closed(w.closes[0], 0))
	w.want("dials", len(w.dials), 1)
	if w.dials[0].Key() != "c" {
		t.Errorf("the slot went to %s", w.dials[0].Key())
	}
	w.closes = w.closes[1:]
	w.closeAll()
	w.open()
	w.has(first, second)
}

func TestNothingIsEvictedForADialThatMayNotStart(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 3, MaxDials: 1})
	rs := w.fill("a", 0, 2)
	w.ask("b", 0)
	w.give(rs[0])
	w.give(rs[1])
	w.ask("c", 0)
	w.stats(Stats{Idle: 2, Dialing: 1, Waiting: 2})
	w.open()
	w.stats(Stats{Idle: 1, Lent: 1, Closing: 1, Waiting: 1})
}

func TestAnAbandonedWaiterIsNotGranted(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	holder := w.fill("a", 0, 1)[0]
	gone, next := w.ask("a", 0), w.ask("a", 0)
	if !w.Abandon(gone) {
		t.Fatal("it was queued")
	}
	w.give(holder)
	w.hasNot(gone)
	w.has(next)
	if w.Abandon(next) {
		t.Error("a granted waiter cannot abandon")
	}
}

func TestADialOutlivesTheBorrowerThatCausedIt(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	w.Abandon(w.ask("a", 0))
	next := w.ask("a", 1)
	w.want("dials", len(w.dials), 1)
	w.open()
	w.has(next)
	w.Abandon(w.ask("a", 0))
	w.open()
	w.stats(Stats{Idle: 1, Lent: 1})
}

func TestAPermanentFailureRefusesEveryWaiterOfTheKeyAndNoOther(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	a1, a2, b := w.ask("a", 0), w.ask("a", 1), w.ask("b", 0)
	failed := w.fail(true)
	if len(failed) != 2 || failed[0] != a1 || failed[1] != a2 {
		t.Fatalf("%d failed", len(failed))
	}
	if w.Abandon(a1) {
		t.Error("a refused waiter is not queued")
	}
	w.open()
	w.has(b)
	if err := w.LastError("a"); err != errDown {
		t.Errorf("last error %v", err)
	}
}

func TestAfterATemporaryFailureOneDialTriesAgainAfterAPauseThatDoublesUpToSixteenTimes(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9, MaxDials: 3, RetryDelay: time.Second})
	a, b := w.ask("a", 0), w.ask("a", 0)
	w.fail(false)
	w.fail(false) // in flight at the same time: the same failure
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 16} {
		w.tick(pause*time.Second - 1)
		w.want("dials in the pause", len(w.dials), 0)
		w.want("tick is due in", int(w.tickAt-w.now), 1)
		w.tick(1)
		w.want("dials after the pause", len(w.dials), 1)
		w.fail(false)
	}
	w.tick(16 * time.Second)
	w.do(w.Opened(w.dials[0], w.now))
	w.has(a)
	w.hasNot(b)
	w.dials = w.dials[1:]
	w.want("dials after a success", len(w.dials), 1)
	if err := w.LastError("a"); err != nil {
		t.Errorf("last error %v after a success", err)
	}
}

func TestNoKeyWaitsOutItsPauseWhenTheServerIsSaidToBeReachable(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9, MaxDials: 9, RetryDelay: time.Second})
	a, other, b := w.ask("a", 0), w.ask("a", 0), w.ask("b", 0)
	for range 3 {
		w.fail(false)
	}
	w.do(w.Reachable(w.now))
	w.want("dials", len(w.dials), 3)
	for range 3 {
		w.open()
	}
	w.has(a, other, b)
	w.do(w.Reachable(w.now))
	w.want("dials for nobody", len(w.dials), 0)
}

func TestTickSaysWhenTheSoonestPauseOfAllKeysEnds(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9, MaxDials: 12, RetryDelay: time.Second})
	for i := range 9 {
		w.now = time.Duration(i+1) * time.Millisecond
		w.ask(string(rune('a'+i)), 0)
		w.fail(false)
	}
	for i := range 9 {
		w.tickAt = 0
		w.tick(0)
		w.want("tick is due at", int(w.tickAt), int(time.Duration(i+1)*time.Millisecond+time.Second))
		w.now = w.tickAt
		w.tick(0)
		w.want("dials", len(w.dials), i+1)
	}
	w.tickAt = 0
	w.tick(0)
	w.want("tick is due, without a pause, at", int(w.tickAt), 0)
}

func TestAKeyThatCannotBeDialedDoesNotHoldUpAnother(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	w.ask("a", 0)
	b := w.ask("b", 0)
	w.fail(false)
	w.open()
	w.has(b)
	// Nor is what the others use closed or kept from them while it pauses.
	w.want("passes", int(w.busy.first.of.waiters.first.of.passed), 0)
	c := w.ask("b", 0)
	w.give(b)
	w.has(c)
}

func TestDialsThatHangForOneKeyLeaveSomeToOthers(t *testing.T) {
	w := newWorld(t, Config{Max: 99, MaxIdle: 99, MaxDials: 8})
	for range 20 {
		w.ask("a", 0)
	}
	w.want("dials", len(w.dials), 6)
	b := w.ask("b", 0)
	w.want("dials", len(w.dials), 7)
	w.do(w.Opened(w.dials[6], w.now))
	w.has(b)
}

func TestFewDialsThatHangLeaveSomeToOthers(t *testing.T) {
	for most := 2; most < 8; most++ {
		w := newWorld(t, Config{Max: 99, MaxIdle: 99, MaxDials: most})
		w.fill("x", 0, 1)
		for range 20 {
			w.ask("a", 0) // for the first time
		}
		b := w.ask("b", 0)
		if n := len(w.dials); n < 2 || n > most || w.dials[n-1].bucket.key != "b" {
			t.Fatalf("%d dials of %d, none for who has not been dialed", n, most)
		}
		w.do(w.Opened(w.dials[len(w.dials)-1], w.now))
		w.has(b)
	}
	for most := 4; most < 8; most++ {
		w := newWorld(t, Config{Max: 99, MaxIdle: 99, MaxDials: most})
		w.fill("x", 0, 1)
		for i := range 20 {
			w.ask(string(rune('a'+i)), 0)
		}
		w.want("dials", len(w.dials), most-1)
		x := w.ask("x", 0)
		w.want("dials", len(w.dials), most)
		w.do(w.Opened(w.dials[most-1], w.now))
		w.has(x)
	}
}

func TestKeysThatCannotBeDialedLeaveDialsToOthers(t *testing.T) {
	w := newWorld(t, Config{Max: 99, MaxIdle: 99, MaxDials: 8, RetryDelay: time.Second})
	var others []*waiter
	for range 3 {
		others = append(others, w.fill("x", 0, 1)...)
	}
	for i := range 20 {
		w.ask(string(rune('a'+i)), 0)
	}
	for i := range 20 {
		w.now = time.Duration(i) * time.Millisecond
		w.fail(false)
	}
	for _, o := range others {
		w.give(o)
	}
	w.tick(time.Minute)
	w.want("dials", len(w.dials), 6)
	w.want("closing for them", len(w.closes), 0)
	y := w.ask("y", 0)
	w.want("dials", len(w.dials), 7)
	w.do(w.Opened(w.dials[6], w.now))
	w.has(y)
}

func TestKeysThatHangForTheFirstTimeLeaveADialToThoseThatHaveBeenDialed(t *testing.T) {
	w := newWorld(t, Config{Max: 99, MaxIdle: 99, MaxDials: 8, RetryDelay: time.Second})
	w.fill("x", 0, 1)
	for i := range 20 {
		w.ask(string(rune('a'+i)), 0)
	}
	w.want("dials", len(w.dials), 7)
	x := w.ask("x", 0)
	w.want("dials", len(w.dials), 8)
	w.do(w.Opened(w.dials[7], w.now))
	w.has(x)
	w.want("closing for them", len(w.closes), 0)
	w.dials = w.dials[:7]
	w.do(w.Opened(w.dials[0], w.now)) // one place more for who comes first
	w.want("dials", len(w.dials), 8)
}

func TestAKeyThatIsRefusedIsNotDialedForEachWhoAsks(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9, RetryDelay: time.Second})
	w.ask("a", 0)
	w.want("refused", len(w.fail(true)), 1)
	for range 3 {
		w.ask("a", 0)
	}
	w.want("dials", len(w.dials), 0)
	w.tick(time.Second)
	w.want("dials", len(w.dials), 1)
	w.want("refused", len(w.fail(true)), 3)
	w.ask("a", 0)
	w.tick(time.Second)
	w.want("dials", len(w.dials), 0)
	w.tick(time.Second)
	w.want("dials", len(w.dials), 1)
}

// As where a password is changed, here before there: who is logged in stays.
func TestAPermanentFailureRefusesNobodyWhoseKeyHasConnections(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2, RetryDelay: time.Second})
	first := w.fill("a", 0, 1)[0]
	a := w.ask("a", 0)
	w.want("refused", len(w.fail(true)), 0)
	w.give(first)
	w.has(a)
}

func TestTheLastErrorIsForgottenAfterAMinuteWithTheKey(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	w.ask("a", 0)
	w.fail(true)
	w.tick(time.Minute)
	if w.LastError("a") == nil {
		t.Error("forgotten too soon")
	}
	w.tick(1)
	if w.LastError("a") != nil {
		t.Error("not forgotten")
	}
	w.want("keys", len(w.buckets), 0)
}

func TestWhatIsIdleForTooLongIsClosedByTick(t *testing.T) {
	w := newWorld(t, Config{Max: 2, IdleTimeout: time.Minute})
	rs := w.fill("a", 0, 2)
	w.give(rs[0])
	w.now += time.Second
	w.give(rs[1])
	w.tick(time.Minute)
	w.stats(Stats{Idle: 1, Closing: 1})
	w.closeAll()
	w.stats(Stats{Idle: 1})
}

func TestAConnectionIsClosedWithinTheLastTenthOfItsLifetime(t *testing.T) {
	const n = 20
	w := newWorld(t, Config{Max: n, MaxIdle: n, MaxLifetime: 100 * time.Minute})
	rs := w.fill("a", 0, n)
	for _, r := range rs[:n-1] {
		w.give(r)
	}
	w.tick(90 * time.Minute)
	w.want("closing at nine tenths", len(w.closes), 0)
	w.tick(5 * time.Minute)
	if half := len(w.closes); half < n/4 || half > n*3/4 {
		t.Errorf("%d of %d end in the first half of the last tenth", half, n)
	}
	w.tick(5*time.Minute + 1)
	w.stats(Stats{Lent: 1, Closing: n - 1})
	w.give(rs[n-1])
	w.stats(Stats{Closing: n})
}

func TestALifetimeOfManyYearsIsNoneAtAll(t *testing.T) {
	w := newWorld(t, Config{Max: 20, MaxIdle: 20, MaxLifetime: 1<<63 - 1})
	for _, r := range w.fill("a", 0, 20) {
		w.give(r)
	}
	w.tick(time.Hour)
	w.stats(Stats{Idle: 20})
}

func TestNoMoreThanMaxIdleAreKeptOnceTheyWereIdleForLong(t *testing.T) {
	w := newWorld(t, Config{Max: 3, MaxIdle: 1, IdleTimeout: time.Minute})
	for _, r := range w.fill("a", 0, 3) {
		w.give(r)
	}
	w.tick(time.Minute)
	w.stats(Stats{Idle: 3})
	w.tick(time.Second)
	w.stats(Stats{Idle: 1, Closing: 2})
}

func TestALoweredMaxClosesIdleConnectionsNowAndLentOnesWhenTheyComeBack(t *testing.T) {
	w := newWorld(t, Config{Max: 5, MaxIdle: 5})
	rs := w.fill("a", 0, 5)
	w.give(rs[0])
	w.do(w.Configure(Config{Max: 2, MaxIdle: 2}, 0))
	w.stats(Stats{Lent: 4, Closing: 1})
	r := w.ask("a", 0)
	w.give(rs[1])
	w.give(rs[2])
	w.hasNot(r)
	w.stats(Stats{Lent: 2, Closing: 3, Waiting: 1})
	w.give(rs[3])
	w.has(r)
	w.closeAll()
	w.stats(Stats{Lent: 2})
}

func TestARaisedMaxServesWaiters(t *testing.T) {
	w := newWorld(t, Config{})
	r := w.ask("a", 0)
	w.stats(Stats{Waiting: 1})
	w.do(w.Configure(Config{Max: 1}, 0))
	w.open()
	w.has(r)
}

func TestAPausedPoolEmptiesAsItsConnectionsComeBackAndServesWhoWaitedWhenItResumes(t *testing.T) {
	w := newWorld(t, Config{Max: 4, MaxIdle: 4})
	rs := w.fill("a", 0, 3)
	w.give(rs[0])
	w.ask("b", 0) // its dial is in flight
	w.do(w.Pause())
	w.stats(Stats{Lent: 2, Dialing: 1, Closing: 1, Waiting: 1})
	a := w.ask("a", 0)
	w.open()
	w.give(rs[1])
	w.closeAll()
	w.tick(time.Hour)
	w.stats(Stats{Lent: 1, Waiting: 2})
	if _, o, d := w.Borrow(&waiter{Key: "a"}, w.now, true); o != Refused || len(d.Dial) > 0 {
		t.Errorf("now or never: outcome %d, %d dials", o, len(d.Dial))
	}
	w.give(rs[2])
	w.closeAll()
	w.stats(Stats{Waiting: 2})
	w.do(w.Resume(w.now))
	w.stats(Stats{Dialing: 2, Waiting: 2})
	w.open()
	w.has(a)
}

func TestCloseRefusesWaitersAndClosesEverythingAsItComesBack(t *testing.T) {
	w := newWorld(t, Config{Max: 4, MaxIdle: 4})
	rs := w.fill("a", 0, 3)
	w.give(rs[0])
	w.ask("b", 0)
	w.ask("c", 0)
	refused, d := w.Pool.Close(0)
	w.do(d)
	w.want("refused", len(refused), 2)
	w.want("outcome of a borrow", int(w.again(&waiter{Key: "a"})), int(Refused))
	w.give(rs[1])
	w.Discard(w.granted[rs[2]])
	w.closes = append(w.closes, w.granted[rs[2]])
	w.open()
	w.closeAll()
	w.stats(Stats{})
}

func TestTheConnectionThatWasUsedLongestAgoYields(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9})
	if todo, yielded := w.Yield(); yielded || len(todo.Close) > 0 {
		t.Error("an empty pool yields")
	}
	a, b := w.fill("a", 0, 1), w.fill("b", 0, 1)
	w.give(a[0])
	w.now++
	w.give(b[0])
	todo, yielded := w.Yield()
	if !yielded || len(todo.Close) != 1 || todo.Close[0].Key() != "a" {
		t.Errorf("%+v", todo)
	}
	w.do(todo)
	w.stats(Stats{Open: 2, Idle: 1, Closing: 1, Max: 9})
}

func TestWhatHadBegunWhenItsKeyWasOutdatedIsNotLentAgain(t *testing.T) {
	w := newWorld(t, Config{Max: 9, MaxIdle: 9})
	held, b := w.fill("a", 0, 2), w.fill("b", 0, 1)
	w.give(held[0])
	w.give(b[0])
	w.again(&waiter{Key: "a"}) // takes the idle one
	waits := w.ask("a", 0)
	w.do(w.Outdate(func(key string) bool { return key == "a" }))
	w.stats(Stats{Idle: 1, Lent: 2, Dialing: 1, Waiting: 1})
	w.give(held[1])
	w.hasNot(waits)
	w.open() // the dial that had begun, and the one in its place
	w.has(waits)
	w.stats(Stats{Idle: 1, Lent: 2, Closing: 2})
	w.give(waits)
	w.closeAll()
	w.stats(Stats{Idle: 2, Lent: 1})
	w.do(w.Outdate(func(string) bool { return true }))
	w.stats(Stats{Lent: 1, Closing: 2})
}

func TestOnlyAnIdleConnectionCanBeTaken(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	r := w.fill("a", 0, 1)[0]
	c := w.granted[r]
	if w.Take(c) {
		t.Fatal("it was lent")
	}
	w.give(r)
	if !w.Take(c) {
		t.Fatal("it was idle")
	}
	w.hasNot(w.ask("a", 0))
	w.do(w.Return(c, 0))
	w.stats(Stats{Lent: 1})
}

func TestALentConnectionIsIdleOnTheLoopThatItWasSaidToBeOn(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	rs := w.fill("a", 0, 2)
	moved := w.granted[rs[0]]
	w.SetLoop(moved, 7)
	w.give(rs[0])
	w.give(rs[1])
	r := w.ask("a", 7)
	if w.granted[r] != moved {
		t.Error("loop 7 got another connection")
	}
}

func TestAClosedConnectionKeepsNothingAliveInTheSessionsThatRememberIt(t *testing.T) {
	w := newWorld(t, Config{Max: 1, MaxIdle: 1})
	c := w.granted[w.fill("a", 0, 1)[0]]
	c.Value = "state"
	w.Discard(c)
	w.do(w.Closed(c, 0))
	if c.Value != "" {
		t.Error("it keeps its value")
	}
}

func TestAWaiterMayGoToAnotherPoolWithoutItsConnectionThere(t *testing.T) {
	w, other := newWorld(t, Config{Max: 1, MaxIdle: 1}), newWorld(t, Config{Max: 1, MaxIdle: 1})
	r := w.fill("a", 0, 1)[0]
	w.give(r)
	other.give(other.fill("a", 0, 1)[0])
	other.again(r)
	if c := other.granted[r]; c == nil || c.bucket.pool != other.Pool {
		t.Error("it got a connection of the pool that it left")
	}
}

func TestMisusePanics(t *testing.T) {
	for name, misuse := range map[string]func(w *world, idle, lent *conn, queued *waiter){
		"a return of an idle connection":  func(w *world, idle, _ *conn, _ *waiter) { w.Return(idle, 0) },
		"a discard of an idle connection": func(w *world, idle, _ *conn, _ *waiter) { w.Discard(idle) },
		"a close of a lent connection":    func(w *world, _, lent *conn, _ *waiter) { w.Closed(lent, 0) },
		"opening a connection twice":      func(w *world, _, lent *conn, _ *waiter) { w.Opened(lent, 0) },
		"a failed dial of what is open":   func(w *world, _, lent *conn, _ *waiter) { w.DialFailed(lent, 0, errDown, false) },
		"moving an idle connection":       func(w *world, idle, _ *conn, _ *waiter) { w.SetLoop(idle, 1) },
		"queueing twice":                  func(w *world, _, _ *conn, queued *waiter) { w.Borrow(queued, 0, false) },
		"abandoning in another pool":      func(w *world, _, _ *conn, queued *waiter) { newWorld(w.T, Config{}).Abandon(queued) },
		"returning to another pool":       func(w *world, _, lent *conn, _ *waiter) { newWorld(w.T, Config{Max: 9}).Return(lent, 0) },
		"closing what has been closed":    func(w *world, _, lent *conn, _ *waiter) { w.Discard(lent); w.Closed(lent, 0); w.Closed(lent, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{Max: 3, MaxIdle: 3})
			rs := w.fill("a", 0, 2)
			idle, lent := w.granted[rs[0]], w.granted[rs[1]]
			w.give(rs[0])
			queued := w.ask("b", 0)
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "BUG: pool: ") {
					t.Errorf("it said %q", s)
				}
			}()
			misuse(w, idle, lent, queued)
		})
	}
}
