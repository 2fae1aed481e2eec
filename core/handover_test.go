package core

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
)

func TestNoPauseBeginsWhileAnotherProcessTakesOver(t *testing.T) {
	p := start(t, &echo{}, nil)
	ctx := t.Context()
	pause := func() error { return p.Pause(ctx, "g") }
	if err := errors.Join(p.PrepareHandOver(), p.Resume("g")); err != nil {
		t.Fatal(err)
	}
	if err := pause(); !errors.Is(err, ErrHandingOver) || p.Snapshot().Groups[0].Paused {
		t.Errorf("a pause comes to %v", err)
	}
	p.KeepOn()
	if err := pause(); err != nil {
		t.Errorf("a pause comes to %v when the take-over has failed", err)
	}
	if err := p.PrepareHandOver(); err == nil || !strings.Contains(err.Error(), "g is paused") {
		t.Errorf("a hand-over comes to %v", err)
	}
	if err := p.Resume("g"); err != nil {
		t.Error(err)
	}
}

func TestAHandOverClosesAlsoWhatGroupsHoldThatAreGoneFromTheConfiguration(t *testing.T) {
	p := start(t, &echo{}, nil)
	c := p.login()
	old := p.config.Groups[0]
	g := target.New(target.Config{
		Name: "h", Engine: &echo{}, Targets: []engine.Target{{Name: "t", Address: "127.0.0.1:1"}}, Limits: target.Limits{MaxPercent: 100},
	}, new(atomic.Uint64), zerolog.Nop())
	next := p.config.Listeners[0]
	next.Group = g
	if err := p.Apply([]*target.Group{g}, []ListenerConfig{next}); err != nil {
		t.Fatal(err)
	}
	p.SetLimits(old, target.Limits{MaxPercent: 100, MaxIdlePercent: 50, IdleTimeout: time.Hour})
	p.HandOver()
	until(t, "the idle timeout", func() bool { return old.Limits().IdleTimeout == relay.TickEvery && old.Limits().MaxIdlePercent == 0 })
	_ = c.Close()
}
