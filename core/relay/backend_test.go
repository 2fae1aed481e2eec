package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

func TestWhatAClientHasLeftIsStoppedInTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		commits bool
		after   time.Duration // it is stopped for the first time
	}{"a statement": {false, 0}, "a commit": {true, commitWithin}} {
		w, e := newStage(), &canceler{}
		p := w.pool(e, pool.Config{Max: 1})
		b := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{})
		b.abort(content{busy: true, commits: c.commits})
		w.later(0)
		if c.commits {
			w.later(c.after - 1)
			if e.cancels > 0 {
				t.Errorf("%s: stopped early", name)
			}
			w.later(1)
		}
		for n := 1; n <= abortCancels; n++ {
			if e.cancels != n || p.Stats().Open != 1 {
				t.Fatalf("%s: stopped %d times instead of %d, %+v", name, e.cancels, n, p.Stats())
			}
			w.later(partWithin)
		}
		if e.cancels != abortCancels || p.Stats().Open != 0 || !b.stream.(*silent).closed {
			t.Errorf("%s: stopped %d times, %+v", name, e.cancels, p.Stats())
		}
	}
}

func TestASessionThatKeepsABackendLosesItWhenAnotherServerTakesItsPlace(t *testing.T) {
	w, e := newStage(), &canceler{}
	p, other := w.pool(e, pool.Config{Max: 1}), w.pool(e, pool.Config{Max: 1})
	b, elsewhere := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{}), w.lent(t, other, &pool.Waiter[engine.Key, *Backend]{})
	lost := map[*Backend]error{}
	for _, b := range []*Backend{b, elsewhere} {
		s := &Session{
			worker: w.worker, front: &Front{Group: &leading{to: p}, Counters: &telemetry.Listener{}}, client: &silent{}, backend: b,
			machine: content{lost: func(err error) { lost[b] = err }},
		}
		b.session = s
		w.worker.sessions.add(s)
	}
	p.Recall(w.worker)
	w.later(0)
	if !errors.Is(lost[b], engine.ErrDemoted) || len(lost) != 1 {
		t.Errorf("%v", lost)
	}
}
