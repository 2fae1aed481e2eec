package relay

import (
	"errors"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pool"
)

// behind is a group whose only replica never gets what was written.
type behind struct{ leading }

func (behind) Mark() Mark           { return 1 }
func (behind) Has(*Pool, Mark) bool { return false }

// holding is a client whose bytes wait until they are taken.
type holding struct {
	silent
	s     *Session
	bytes []byte
}

func (c *holding) Held() int { return len(c.bytes) }
func (c *holding) Redeliver() {
	if p := c.bytes; len(p) > 0 {
		c.bytes = p[(*clientEnd)(c.s).OnData(p):]
	}
}

// refusing is a machine that answers requests, and declines them but for "x".
type refusing struct {
	content
	declined *error
	executed *string
}

func (m refusing) Decline(in []byte, err error, _ engine.Wire) bool {
	if in[0] == 'x' {
		return false
	}
	*m.declined = err
	return true
}

func (m refusing) FromClient(in []byte, _ engine.Wire) (int, error) {
	if *m.declined == nil {
		*m.executed += string(in)
	}
	return len(in), nil
}

func TestACancelEndsTheWaitOfAReadThatTheHeldBackendMustCatchUpFor(t *testing.T) {
	for request, ends := range map[string]bool{"q": true, "x": false} {
		w, e := newStage(), &canceler{}
		p := w.pool(e, pool.Config{Max: 1})
		b := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{})
		var declined error
		var executed string
		s := w.session(refusing{declined: &declined, executed: &executed}, &behind{leading{to: p}})
		client := &holding{s: s}
		front := *s.front
		front.Role = ReadOnly
		s.client, s.front = client, &front
		s.take(b.conn)
		s.fresh.checked = false
		client.bytes = []byte(request)
		client.Redeliver()
		if !s.fresh.catching || executed != "" {
			t.Fatal("it does not wait")
		}
		done := false
		s.cancel(func() { done = true })
		w.later(time.Millisecond)
		if !done || executed != "" || s.backend != b || e.cancels > 0 {
			t.Errorf("%s: done %v, executed %q, backend kept %v, canceled %d", request, done, executed, s.backend == b, e.cancels)
		}
		if errors.Is(declined, engine.ErrCanceled) != ends || s.fresh.catching == ends || (client.Held() == 0) != ends {
			t.Errorf("%s: declined %v, waits %v, held %d", request, declined, s.fresh.catching, client.Held())
		}
		if declined = nil; ends {
			client.bytes = []byte("next")
			client.Redeliver()
			if !s.fresh.catching || executed != "" {
				t.Error("the next request does not wait")
			}
		}
	}
}

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
