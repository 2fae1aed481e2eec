package target

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// directory is a source that answers what the test says.
type directory struct {
	mu    sync.Mutex
	found []engine.Target
	err   error
}

func (d *directory) Find(context.Context) ([]engine.Target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]engine.Target(nil), d.found...), d.err
}
func (*directory) String() string { return "the test" }

func (d *directory) set(err error, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found, d.err = targetsOf(names...), err
}

func TestTargetsAreWhatASourceSaysAndStayWhenItSaysNothingGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cast{facts: map[string]engine.Facts{}, err: map[string]error{}, asked: map[string]int{}, conns: map[string]*scripted{}}
		for _, name := range []string{"w", "r1", "r2"} {
			c.set(name, name != "w", nil)
		}
		var logged strings.Builder
		d := &directory{}
		d.set(nil, "w")
		like := engine.Target{InitQuery: "select 1", TLS: engine.TargetTLS{Mode: engine.TargetTLSRequire}}
		g := New(Config{
			Name: "g", Engine: actors{cast: c}, Limits: Limits{MaxPercent: 100},
			Discovery: Discovery{Source: d, Interval: time.Second, Like: like},
		}, new(atomic.Uint64), zerolog.New(&logged))
		go g.Run(t.Context(), newWorker())
		g.AwaitFirst(t.Context())
		leads(t, g, relay.ReadWrite, "w")
		if got := g.Members()[0].target; got.InitQuery != like.InitQuery || got.TLS.Mode != like.TLS.Mode || got.Address != "w:1" {
			t.Errorf("%+v", got)
		}
		say := func(err error, names ...string) {
			d.set(err, names...)
			time.Sleep(time.Second + soon)
			synctest.Wait()
		}
		say(nil, "r1", "w", "r2", "r1") // in whatever order, and twice
		leads(t, g, relay.ReadOnly, "r1r2")
		members := g.roster.Load()
		say(nil, "r2", "r1", "w")
		if g.roster.Load() != members {
			t.Error("another order makes other targets")
		}
		var many []string
		for i := range maxFound + 1 {
			many = append(many, string(rune('A'+i)))
		}
		for cause, bad := range map[string]func(){
			"it is down":   func() { say(errors.New("it is down"), "w") },
			"no server":    func() { say(nil) },
			"more than 64": func() { say(nil, many...) },
			"of the name":  func() { say(nil, "w", "w@", "r1") },
			"two servers at \"x\"": func() {
				d.mu.Lock()
				d.found, d.err = []engine.Target{{Name: "a", Address: "x"}, {Name: "b", Address: "x"}}, nil
				d.mu.Unlock()
				time.Sleep(time.Second + soon)
				synctest.Wait()
			},
		} {
			bad()
			if g.roster.Load() != members {
				t.Errorf("%s: the targets are others", cause)
			}
			if got := g.Discovery(); !strings.Contains(got.Cause, cause) || got.Source != "the test" || got.Asked.IsZero() {
				t.Errorf("%s: %+v", cause, got)
			}
		}
		logged.Reset()
		for range 3 {
			say(&engine.IncompleteError{LeftOut: []string{"no host"}}, "w", "r2")
		}
		leads(t, g, relay.ReadOnly, "r2")
		if got := g.Discovery(); got.Cause != "" || got.LeftOut != "no host" {
			t.Errorf("of an incomplete answer: %+v", got)
		}
		if n := strings.Count(logged.String(), `"cause":"no host"`); n != 1 {
			t.Errorf("logged %d times: %s", n, &logged)
		}
		say(&engine.IncompleteError{LeftOut: []string{"no host"}})
		leads(t, g, relay.ReadOnly, "r2")
		if got := g.Discovery(); got.Cause != "no host" || got.LeftOut != "" {
			t.Errorf("of an answer without any: %+v", got)
		}
		say(nil, "w", "r2")
		if got := g.Discovery().Cause; got != "" {
			t.Errorf("after a good answer: %s", got)
		}
	})
}
