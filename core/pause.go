package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
)

var (
	// ErrNoGroup is returned for a target group that the configuration does not have.
	ErrNoGroup = errors.New("no such target group")
	// ErrResumed is returned by a Pause that somebody ended before it had come about.
	ErrResumed = errors.New("the target group was resumed meanwhile")
	// ErrHandingOver is returned by Pause when another process takes over, or has.
	ErrHandingOver = errors.New("another process is taking over, which would not know of a pause: pause it there")
)

// Pause makes the sessions of a target group wait, and returns when no database connection of it is open any more: what
// transactions and pins hold is not taken from them. If ctx ends before that, the pause is taken back, unless it began
// with an earlier call, and the error is ctx's.
func (p *Proxy) Pause(ctx context.Context, group string) error {
	g, err := p.group(group)
	if err != nil {
		return err
	}
	w := p.workers[0]
	began, handing := false, false
	p.on(w, func() {
		if handing = p.handing; !handing {
			began = g.Pause(w)
		}
	})
	if handing {
		return ErrHandingOver
	}
	if began {
		p.log.Info().Str("target_group", group).Msg("pausing: sessions wait")
	}
	for {
		switch {
		case !g.Paused():
			return ErrResumed
		case g.Open() == 0:
			p.log.Info().Str("target_group", group).Msg("paused: no database connection is open")
			return nil
		}
		select {
		case <-ctx.Done():
			if began {
				p.resume(g)
			}
			return ctx.Err()
		case <-time.After(drainPoll):
		}
	}
}

// askWithin is how long a Resume waits for what the targets say.
const askWithin = 3 * time.Second

// Resume ends a Pause. Before that it asks the targets which of them is the writer: they may have exchanged their roles. A target group that is
// not paused stays as it is.
func (p *Proxy) Resume(group string) error {
	g, err := p.group(group)
	if err != nil {
		return err
	}
	if g.Paused() {
		ctx, stop := context.WithTimeout(context.Background(), askWithin)
		defer stop()
		g.Ask(ctx)
	}
	p.resume(g)
	return nil
}

func (p *Proxy) resume(g *target.Group) {
	w := p.workers[0]
	ended := false
	p.on(w, func() { ended = g.Resume(w) })
	if ended {
		p.log.Info().Str("target_group", g.Name()).Msg("resumed")
	}
}

// Holders are the sessions that hold a database connection of a target group. The rules of Sessions hold.
func (p *Proxy) Holders(group string) []SessionSnapshot {
	return visit(p, func(held []SessionSnapshot, s *relay.Session) []SessionSnapshot {
		if s.Listener().TargetGroup == group && s.Holds() {
			held = append(held, s.Snapshot())
		}
		return held
	})
}

func (p *Proxy) group(name string) (*target.Group, error) {
	for _, g := range p.lineup.Load().groups {
		if g.Name() == name {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNoGroup, name)
}
