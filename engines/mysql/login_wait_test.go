package mysql

import (
	"context"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// door is a gate that tells who leaves.
type door chan struct{}

func (door) Enter()   {}
func (d door) Leave() { d <- struct{}{} }

func TestALoginThatWaitsForAServerLeavesTheGateAndIsToldWhenItsTimeIsUp(t *testing.T) {
	e := New(Config{Credentials: users("")})
	client, server := loopback(t)
	c := socket.New(server)
	left := make(door, 1)
	c.Admit(left)
	deadline := time.Now().Add(50 * time.Millisecond) // the login timeout, as the core sets it
	if err := c.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := e.accept(ctx, c, engine.AcceptOptions{ID: 1})
		done <- err
	}()
	within(t, (<-chan struct{})(left))
	if err := within(t, (<-chan error)(done)); err == nil {
		t.Fatal("accepted")
	}
	if got := parseERR(newPeer(t, client).get()); got.Number == 0 {
		t.Errorf("told %+v", got)
	}
}
