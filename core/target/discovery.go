package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// maxFound is how many targets a source may name. Each has a monitoring connection.
const maxFound = 64

// findWithin bounds one question to a source.
const findWithin = 10 * time.Second

// Source says which servers a group's targets are.
type Source interface {
	// Find asks once, and blocks until done or until ctx ends. Of each target it tells the name, the address and, where it
	// knows better than the address, TLS.ServerName. With an *engine.IncompleteError, what it found counts nonetheless.
	Find(ctx context.Context) ([]engine.Target, error)
	// String is what is asked, for operators: without secrets.
	String() string
}

// Follower is a Source that hears of changes by itself.
type Follower interface {
	Source
	// Follow begins to listen, until ctx ends, and calls changed, from any goroutine, when Find has something new to say. The function that
	// it returns waits for its end.
	Follow(ctx context.Context, changed func()) (wait func())
}

// Discovery is how a group finds its targets. It is immutable.
type Discovery struct {
	Source   Source
	Survey   *Survey       // instead of a source: the servers are asked themselves
	Interval time.Duration // between two questions
	// Like is what all targets have in common: all but what the source tells.
	Like engine.Target
}

// Discovered is what came of asking a source last. It is immutable.
type Discovered struct {
	Source string
	Asked  time.Time // zero: never
	Cause  string    // why the targets are those of an earlier answer, "" if they are not
	// LeftOut is why not everything that the source named is a target, "" if it is.
	LeftOut string
}

// Discovery returns what came of asking the group's source, nil if it has none. Any goroutine may call it.
func (g *Group) Discovery() *Discovered { return g.discovered.Load() }

// discover asks the source until ctx ends.
func (g *Group) discover(ctx context.Context) {
	d := g.config.Discovery
	changed := make(chan struct{}, 1)
	if f, ok := d.Source.(Follower); ok {
		defer f.Follow(ctx, func() {
			select {
			case changed <- struct{}{}:
			default: // it is going to be asked
			}
		})()
	}
	for ctx.Err() == nil {
		_ = g.Find(ctx)
		select {
		case <-changed:
		case <-time.After(d.Interval):
		case <-ctx.Done():
		}
	}
}

// Find asks the group's source once. An answer that is no good changes nothing: that a directory is down or empty says
// nothing of the servers.
func (g *Group) Find(ctx context.Context) error {
	d := g.config.Discovery
	asking, stop := context.WithTimeout(ctx, findWithin)
	found, err := d.Source.Find(asking)
	stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	was := g.discovered.Load()
	now := &Discovered{Source: was.Source, Asked: time.Now()}
	var incomplete *engine.IncompleteError
	if errors.As(err, &incomplete) && len(found) > 0 {
		now.LeftOut, err = err.Error(), nil
	}
	if err == nil {
		found, err = sane(found)
	}
	if err != nil {
		now.Cause = err.Error()
	}
	g.discovered.Store(now)
	if now.Cause != was.Cause {
		ev := g.log.Error().Str("cause", now.Cause)
		if err == nil {
			ev = g.log.Info()
		}
		ev.Str("source", now.Source).Msg(map[bool]string{
			true: "targets are discovered again", false: "targets cannot be discovered: they stay as they are",
		}[err == nil])
	}
	if now.LeftOut != "" && now.LeftOut != was.LeftOut {
		g.log.Warn().Str("source", now.Source).Str("cause", now.LeftOut).Msg("not everything that was discovered is used")
	}
	if err == nil {
		for i, t := range found {
			like := d.Like
			like.Name, like.Address = t.Name, t.Address
			if like.TLS.ServerName == "" {
				like.TLS.ServerName = t.TLS.ServerName
			}
			found[i] = like
		}
		g.SetTargets(found)
	}
	g.once.Do(func() { close(g.found) })
	return err
}

// sane returns what was found in an order that does not depend on that of the answer, or why it is no good.
func sane(found []engine.Target) ([]engine.Target, error) {
	slices.SortFunc(found, func(a, b engine.Target) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Address, b.Address))
	})
	found = slices.CompactFunc(found, func(a, b engine.Target) bool { return a.Name == b.Name && a.Address == b.Address })
	if len(found) == 0 {
		return nil, errors.New("the answer names no server")
	}
	if len(found) > maxFound {
		return nil, fmt.Errorf("the answer names %d servers, more than %d", len(found), maxFound)
	}
	addresses := map[string]bool{}
	for i, t := range found {
		if i > 0 && found[i-1].Name == t.Name {
			return nil, fmt.Errorf("the answer has two servers of the name %q", t.Name)
		}
		if addresses[t.Address] {
			return nil, fmt.Errorf("the answer has two servers at %q", t.Address)
		}
		addresses[t.Address] = true
	}
	return found, nil
}
