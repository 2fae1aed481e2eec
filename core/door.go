package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// acceptPauseFirst is how long accepting rests when it failed, say because the process is out of descriptors. The
	// pause doubles up to acceptPauseMost while it goes on failing.
	acceptPauseFirst = 5 * time.Millisecond
	acceptPauseMost  = time.Second
)

// door is an open address. Clients that come in belong to the listener whose door it is just then: a reload gives it to
// another without closing it, so that no client finds it closed meanwhile.
type door struct {
	key    string
	socket net.Listener
	mu     sync.Mutex // held while a client is given to the owner
	owner  atomic.Pointer[listener]
	over   atomic.Bool // nobody comes any more, not even somebody who was accepted before the door was closed
}

// doorKey says which listeners of two configurations may have the same door. Where the system chooses the port, the
// address does not say which door it is.
func doorKey(c ListenerConfig) string {
	if strings.HasSuffix(c.Address, ":0") {
		return c.Name + " " + c.Address
	}
	return c.Address
}

func openDoor(l *listener) (*door, error) {
	socket, err := l.proxy.listen(l.config)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.config.Name, err)
	}
	d := &door{key: doorKey(l.config), socket: socket}
	d.owner.Store(l)
	return d, nil
}

// close lets nobody in any more. Who waited in the kernel's queue is reset.
func (d *door) close() { _ = d.socket.Close() }

// run accepts until the door is closed, or until ctx ends while it cannot accept. Logins last until theirs does.
func (d *door) run(ctx, logins context.Context) {
	defer d.over.Store(true)
	var pause time.Duration
	for {
		nc, err := d.socket.Accept()
		switch {
		case err == nil:
			pause = 0
			d.admit(logins, nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		pause = min(max(2*pause, acceptPauseFirst), acceptPauseMost)
		d.owner.Load().log.Error().Err(err).Dur("pause", pause).Msg("no client can be accepted just now")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// admit gives a client to the owner. Who becomes the owner meanwhile waits for that, or the one before might be buried
// before it counts this client.
func (d *door) admit(logins context.Context, nc net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owner.Load().receive(logins, nc)
}

// pass makes l the owner.
func (d *door) pass(l *listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owner.Store(l)
}

// expects says whether clients may still come to l.
func (d *door) expects(l *listener) bool { return d.owner.Load() == l && !d.over.Load() }
