package relay

import (
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
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
