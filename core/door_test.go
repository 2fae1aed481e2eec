package core

import (
	"context"
	"net"
	"testing"
	"time"
)

// stalling is a client whose refusal takes as long as the test wants.
type stalling struct {
	net.Conn
	closing, goOn chan struct{}
}

func (s *stalling) Close() error {
	s.closing <- struct{}{}
	<-s.goOn
	return nil
}

// doorway is a listening socket by which come whom the test sends.
type doorway struct {
	net.Listener
	clients chan net.Conn
}

func (d *doorway) Accept() (net.Conn, error) {
	if c, ok := <-d.clients; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func TestWhoTakesADoorOverWaitsUntilTheClientWhoIsInItBelongsToSomebody(t *testing.T) {
	d := &door{socket: &doorway{clients: make(chan net.Conn)}}
	was, next := &listener{tally: &tally{}, door: d}, &listener{tally: &tally{}, door: d}
	was.refusing.Store(overflow)
	was.counters.ClientConnections.Inc()
	was.config.MaxClients = -overflow
	d.owner.Store(was)
	over, moved := make(chan struct{}), make(chan struct{})
	go func() { d.run(t.Context(), t.Context()); close(over) }()
	c := &stalling{closing: make(chan struct{}), goOn: make(chan struct{})}
	d.socket.(*doorway).clients <- c
	<-c.closing
	go func() { next.moveIn(); close(moved) }()
	select {
	case <-moved:
		t.Error("the door has another owner before the client was counted")
	case <-time.After(20 * time.Millisecond):
	}
	close(c.goOn)
	<-moved
	close(d.socket.(*doorway).clients)
	<-over
}

func TestAListenerIsNotBuriedBeforeItsDoorIsOver(t *testing.T) {
	p, err := New(configured(&echo{}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.stopLoops()
	d := &door{socket: &doorway{clients: make(chan net.Conn)}}
	l := &listener{tally: &tally{}, door: d, config: p.config.Listeners[0]}
	d.owner.Store(l)
	p.lineup.Store(&lineup{formerListeners: []*listener{l}})
	p.bury()
	if len(p.lineup.Load().formerListeners) != 1 {
		t.Error("buried while a client may come")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	close(d.socket.(*doorway).clients)
	d.run(ctx, ctx)
	p.bury()
	if len(p.lineup.Load().formerListeners) != 0 {
		t.Error("never buried")
	}
}
