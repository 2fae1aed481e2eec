package core

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/berthdb/berth/core/relay"
)

// Socket is a listening socket and what it was opened for.
type Socket struct {
	Listener string // its name
	Address  string // as configured
	Conn     syscall.Conn
}

// Sockets are those of all listeners. Their descriptors may be duplicated; whoever has a duplicate can accept, too.
func (p *Proxy) Sockets() (all []Socket) {
	for _, l := range p.lineup.Load().listeners {
		if l.door == nil {
			continue
		}
		if c, ok := l.door.socket.(syscall.Conn); ok {
			all = append(all, Socket{l.config.Name, l.config.Address, c})
		}
	}
	return all
}

// PrepareHandOver lets no pause begin, which another process would not know of, until KeepOn or for good. It returns an error if there is
// one.
func (p *Proxy) PrepareHandOver() (err error) {
	p.on(p.workers[0], func() { // where pauses begin and end
		for _, g := range p.lineup.Load().groups {
			if g.Paused() {
				err = fmt.Errorf("target group %s is paused, which the new process would not know: resume it first", g.Name())
				return
			}
		}
		p.handing = true
	})
	return err
}

// KeepOn says that nothing comes of the hand-over that was prepared.
func (p *Proxy) KeepOn() { p.on(p.workers[0], func() { p.handing = false }) }

// HandOver says that another process accepts at the listeners' sockets now. The proxy accepts no more; its sessions go on
// until their clients leave, until the timeout for that, or until Run's context ends. Then Run drains and returns.
func (p *Proxy) HandOver() { p.once.Do(func() { close(p.handedOver) }) }

// outlive lets sessions go on without listeners. Backends that become free are closed soon: the budget is the successor's.
func (p *Proxy) outlive(ctx context.Context) {
	p.log.Info().Dur("timeout", p.config.HandOverTimeout).Int64("clients", p.clients()).
		Msg("handed over: sessions go on until their clients leave")
	for _, g := range p.lineup.Load().allGroups() {
		limits := g.Limits()
		limits.MaxIdlePercent, limits.IdleTimeout = 0, relay.TickEvery
		p.SetLimits(g, limits)
	}
	late := time.After(p.config.HandOverTimeout)
	for p.clients() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-late:
			return
		case <-time.After(drainPoll):
		}
	}
}

// listen opens the socket of a listener.
func (p *Proxy) listen(c ListenerConfig) (net.Listener, error) {
	if p.config.Listen != nil {
		return p.config.Listen(c.Name, c.Address)
	}
	return net.Listen("tcp", c.Address)
}
