package relay

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
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

// bookkeeper is an engine that is told of the end of its backends.
type bookkeeper struct {
	canceler
	gone map[any]int
	late time.Duration
}

func (b *bookkeeper) Gone(of *engine.Backend)   { b.gone[of.State]++ }
func (b *bookkeeper) CountedFor() time.Duration { return b.late }

func TestAnEngineIsToldOnceOfTheEndOfEachBackend(t *testing.T) {
	broken := errors.New("broken")
	for name, end := range map[string]func(*stage, *Backend){
		"discarded, and the server says nothing": func(w *stage, b *Backend) { b.discard(broken); w.later(partWithin) },
		"discarded, and the server closes":       func(_ *stage, b *Backend) { b.discard(broken); b.OnClose(io.EOF) },
		"dismissed":                              func(w *stage, b *Backend) { b.dismiss(nil); w.later(partWithin) },
		"lost":                                   func(_ *stage, b *Backend) { b.OnClose(io.EOF) },
		"aborted":                                func(w *stage, b *Backend) { b.abort(content{busy: true}); w.later(10 * partWithin) },
		"retired": func(w *stage, b *Backend) {
			b.pool.do(w.worker, b.pool.accounts.Return(b.conn, w.now))
			b.pool.Retire(w.worker)
			w.later(0)
			w.later(partWithin)
		},
	} {
		w, e := newStage(), &bookkeeper{gone: map[any]int{}, late: time.Second}
		p := w.pool(e, pool.Config{Max: 1})
		b := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{})
		b.State = name
		end(w, b)
		if e.gone[name] != 0 {
			t.Errorf("%s: the server may still count it", name)
		}
		for range 2 * abortCancels {
			w.later(partWithin)
		}
		if e.gone[name] != 1 || p.Stats().Open != 0 {
			t.Errorf("%s: told %d times, %+v", name, e.gone[name], p.Stats())
		}
	}
}

func TestAnEngineIsToldOfABackendThatNoLoopTakes(t *testing.T) {
	w, e := newStage(), &bookkeeper{gone: map[any]int{}}
	p := w.pool(e, pool.Config{Max: 1})
	_, _, todo := p.accounts.Borrow(&pool.Waiter[engine.Key, *Backend]{}, w.now, true)
	here, there := net.Pipe() // without a descriptor
	defer func() { _ = there.Close() }()
	d := &dialed{pool: p, worker: w.worker, conn: todo.Dial[0], dialed: engine.Dialed{Conn: engine.NewConn(here), State: "opened"}}
	d.Run()
	if e.gone["opened"] != 1 || p.Stats().Open != 0 {
		t.Errorf("told %d times, %+v", e.gone["opened"], p.Stats())
	}
}

// speaking is a machine that hears what its backend says.
type speaking struct{ content }

func (speaking) FromBackend(p []byte, _ engine.Wire) (int, error) { return len(p), nil }

// reader is a client that has not read everything yet.
type reader struct {
	silent
	left int
}

func (r *reader) Buffered() int { return r.left }

func (*silent) Broken() bool { return false }
func (*silent) Pause()       {}
func (*silent) Redeliver()   {}

func TestWhatWaitedForAClientThatReadsSlowlyIsNoSignOfLife(t *testing.T) {
	w, e := newStage(), &canceler{}
	w.now = time.Minute
	p := w.pool(e, pool.Config{Max: 1})
	b := w.lent(t, p, &pool.Waiter[engine.Key, *Backend]{})
	client := &reader{}
	s := w.session(speaking{}, &leading{to: p})
	s.client = client
	heard := func() bool {
		w.now += 2 * hearEvery
		before := p.heard.at.Load()
		b.OnData([]byte("x"))
		return p.heard.at.Load() != before
	}
	s.take(b.conn)
	if !heard() {
		t.Error("an answer that comes is none")
	}
	client.left = loop.MaxHeld + 1
	s.throttle()
	client.left = 0 // the kernel took all at once
	(*clientEnd)(s).OnWritable()
	if heard() {
		t.Error("an answer is one that came before it was read")
	}
	s.letGo()
	if s.take(b.conn); !heard() {
		t.Error("an answer to the next request is none")
	}
}
