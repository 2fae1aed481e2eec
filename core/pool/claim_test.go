package pool

import "testing"

func TestAPlaceThatIsKeptIsCountedFromTheClaimToItsEnd(t *testing.T) {
	w := newWorld(t, Config{Max: 2, MaxIdle: 2})
	lent := w.fill("a", 0, 2)
	if w.ClaimKept() {
		t.Fatal("claimed of a pool that is lent")
	}
	reconfigure := func(kept int) { w.do(w.Configure(Config{Max: 2, MaxIdle: 2, Kept: kept}, w.now)) }
	reconfigure(1)
	waiting := w.ask("a", 0)
	if w.ClaimKept() {
		t.Fatal("claimed before a connection came back")
	}
	w.give(lent[0])
	w.hasNot(waiting)
	w.closeAll()
	w.hasNot(waiting)
	w.want("dials", len(w.dials), 0)
	if w.Claim() || !w.ClaimKept() || w.ClaimKept() {
		t.Fatal("the place that is kept is not for who claims it")
	}
	reconfigure(0) // whoever has claimed it has it still
	w.want("dials", len(w.dials), 0)
	w.do(w.UnclaimKept(w.now))
	w.open()
	w.has(waiting)
	w.give(lent[1])
	w.give(waiting)
	if err := w.Check(); err != nil {
		t.Error(err)
	}
}
