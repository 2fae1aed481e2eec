package core

import (
	"context"
	"errors"
	"slices"

	"github.com/berthdb/berth/core/target"
)

// ErrNotServing is returned by Apply while the proxy does not accept: it starts, or drains.
var ErrNotServing = errors.New("the proxy is starting or draining")

// lineup is what a proxy consists of just now. It is immutable: a reload makes another.
type lineup struct {
	listeners []*listener
	groups    []*target.Group
	// Gone from the configuration, with sessions or database connections left.
	formerListeners []*listener
	formerGroups    []*target.Group
}

// listener returns the one of that name, nil if there is none.
func (n *lineup) listener(name string) *listener {
	for _, l := range n.listeners {
		if l.config.Name == name {
			return l
		}
	}
	return nil
}

// allGroups are also those that are gone from the configuration.
func (n *lineup) allGroups() []*target.Group { return slices.Concat(n.groups, n.formerGroups) }

// allListeners are also those that are gone from the configuration.
func (n *lineup) allListeners() []*listener { return slices.Concat(n.listeners, n.formerListeners) }

// Apply makes the proxy consist of other target groups and listeners. Of both, those that are there already are
// recognised: a group by being the same, a listener by its name. Addresses that stay are never closed; sessions that
// have begun stay as they are, whatever becomes of their listener; groups that go end with their last session. If an
// address cannot be opened nothing changes.
func (p *Proxy) Apply(groups []*target.Group, listeners []ListenerConfig) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if !p.accepting.Load() {
		return ErrNotServing
	}
	old := p.lineup.Load()
	next := &lineup{groups: groups, formerListeners: old.formerListeners, formerGroups: old.formerGroups}
	doors := map[string]*door{}
	for _, l := range old.listeners {
		doors[l.door.key] = l.door
	}
	var opened []*door
	var errs []error
	for _, c := range listeners {
		was := old.listener(c.Name)
		if was != nil && was.config == c {
			next.listeners = append(next.listeners, was)
			continue
		}
		l := newListener(p, c, was)
		if l.door = doors[doorKey(c)]; l.door == nil {
			d, err := openDoor(l)
			l.door = d
			opened, errs = append(opened, d), append(errs, err)
		}
		next.listeners = append(next.listeners, l)
	}
	if err := errors.Join(errs...); err != nil {
		for _, d := range opened {
			if d != nil {
				d.close()
			}
		}
		return err
	}
	next.inherit(old)
	p.lineup.Store(next)
	p.watch(next)
	for _, l := range next.listeners {
		l.moveIn()
	}
	for _, d := range opened {
		p.doors.Go(func() { d.run(p.until, p.logging) })
	}
	for key, d := range doors {
		if !slices.ContainsFunc(next.listeners, func(l *listener) bool { return l.door.key == key }) {
			d.close()
		}
	}
	return nil
}

// SetLimits changes the limits of a target group's pools.
func (p *Proxy) SetLimits(g *target.Group, l target.Limits) {
	p.on(p.workers[0], func() { g.SetLimits(l, p.workers[0]) })
}

// inherit keeps what is not in the configuration any more and not over yet.
func (n *lineup) inherit(old *lineup) {
	for _, l := range old.listeners {
		if !slices.ContainsFunc(n.listeners, func(m *listener) bool { return m.tally == l.tally }) {
			n.formerListeners = append(slices.Clone(n.formerListeners), l)
		}
	}
	for _, g := range old.groups {
		if !slices.Contains(n.groups, g) {
			n.formerGroups = append(slices.Clone(n.formerGroups), g)
		}
	}
}

// watch begins to ask the targets of the groups how they are to which a listener leads now. The lock for changes is held,
// or nothing runs yet.
func (p *Proxy) watch(n *lineup) {
	for _, g := range n.groups {
		switch {
		case p.watched[g] != nil:
		case n.leadsTo(g):
			ctx, stop := context.WithCancel(p.monitors)
			p.watched[g] = stop
			p.monitoring.Go(func() { g.Run(ctx, p.workers...) })
		default:
			g.Retire()
		}
	}
}

// leadsTo says whether g is behind any listener.
func (n *lineup) leadsTo(g *target.Group) bool {
	return slices.ContainsFunc(n.allListeners(), func(l *listener) bool { return l.config.Group == g })
}

// bury forgets what is gone from the configuration and over: listeners without clients, then the groups to which none
// leads any more. It runs on the first worker's loop, now and then.
func (p *Proxy) bury() {
	n := p.lineup.Load()
	if len(n.formerListeners)+len(n.formerGroups) == 0 || !p.changing.TryLock() {
		return // nothing, or next time
	}
	defer p.changing.Unlock()
	n = p.lineup.Load()
	next := &lineup{listeners: n.listeners, groups: n.groups}
	for _, l := range n.formerListeners {
		if l.door.expects(l) || l.counters.ClientConnections.Value() > 0 {
			next.formerListeners = append(next.formerListeners, l)
		}
	}
	for _, g := range n.formerGroups {
		led := next.leadsTo(g)
		if stop := p.watched[g]; stop != nil && !led {
			stop()
			delete(p.watched, g)
			g.Close(p.workers[0])
		}
		if led || g.Open() > 0 {
			next.formerGroups = append(next.formerGroups, g)
		}
	}
	p.lineup.Store(next)
}
