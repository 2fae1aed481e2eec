package relay

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/telemetry"
)

// deaf is an engine whose servers do not answer.
type deaf struct {
	engine.Engine
	dialing chan struct{}
}

func (d deaf) Dial(ctx context.Context, _ engine.Target, _ engine.Key) (engine.Dialed, error) {
	close(d.dialing)
	<-ctx.Done()
	return engine.Dialed{}, ctx.Err()
}

// wild is an engine that panics.
type wild struct{ engine.Engine }

func (wild) Dial(context.Context, engine.Target, engine.Key) (engine.Dialed, error) { panic("dial") }

// running is a loop that runs until the test is over.
func running(t *testing.T) *loop.Poll {
	l, err := loop.New(0, loop.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run() }()
	t.Cleanup(func() { l.Stop(); <-ended })
	return l
}

func TestAPanicInADialIsADialThatFails(t *testing.T) {
	l := running(t)
	w := NewWorker(l, NewRegistry(), nil, zerolog.Nop())
	p := NewPool(wild{}, engine.Target{}, pool.Config{Max: 1}, &telemetry.Target{}, new(atomic.Uint64), zerolog.Nop())
	l.Post(task(func() {
		_, _, todo := p.accounts.Borrow(&pool.Waiter[engine.Key, *Backend]{}, l.Now(), true)
		p.do(w, todo)
	}))
	for late := time.Now().Add(dialWithin); p.LastError() == nil || p.Stats().Open > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%v, %+v", p.LastError(), p.Stats())
		}
	}
}

type task func()

func (t task) Run() { t() }

func TestAPoolThatClosesBreaksOffItsDials(t *testing.T) {
	l := running(t)
	w := NewWorker(l, NewRegistry(), nil, zerolog.Nop())
	e := deaf{dialing: make(chan struct{})}
	p := NewPool(e, engine.Target{}, pool.Config{Max: 1}, &telemetry.Target{}, new(atomic.Uint64), zerolog.Nop())
	l.Post(task(func() {
		_, _, todo := p.accounts.Borrow(&pool.Waiter[engine.Key, *Backend]{}, l.Now(), true)
		p.do(w, todo)
	}))
	<-e.dialing
	l.Post(task(func() { p.Close(w) }))
	for late := time.Now().Add(dialWithin / 2); p.Stats().Open > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the dial goes on")
		}
	}
}
