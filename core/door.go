package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
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
	owner  atomic.Pointer[listener]
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
	var pause time.Duration
	for {
		nc, err := d.socket.Accept()
		l := d.owner.Load()
		switch {
		case err == nil:
			pause = 0
			l.receive(logins, nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		pause = min(max(2*pause, acceptPauseFirst), acceptPauseMost)
		l.log.Error().Err(err).Dur("pause", pause).Msg("no client can be accepted just now")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
