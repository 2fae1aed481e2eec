package relay

import "testing"

func TestSessionsThatHaveWaitedForReplicasAreForgotten(t *testing.T) {
	w := &Worker{}
	waiting := func() *Session {
		s := &Session{worker: w, astray: true, fresh: freshness{mark: 1}}
		w.await(s)
		return s
	}
	still := waiting()
	for range 100 * fewBehind {
		waiting().ended = true
		waiting().astray = false
	}
	if n := len(w.behind); n > 2*fewBehind {
		t.Errorf("%d sessions are kept", n)
	}
	if w.behind[0] != still || !still.fresh.listed {
		t.Error("one that waits is forgotten")
	}
}
