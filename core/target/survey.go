package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// fresh is how old what a cluster's servers tell of an instance may be. An instance that was deleted is told for longer.
const fresh = 5 * time.Minute

// Survey is how a group whose servers know each other finds its targets: it asks them, with the questions of its monitors.
type Survey struct {
	Topology engine.Topology
	// Seed is asked by a connection of its own while there is no writer: at first, and when that is gone.
	Seed engine.Target
	// Locate says where an instance is. It checks what the server said of it.
	Locate func(engine.Instance) (engine.Target, error)
	Name   string // of all that, for operators
}

// view is what a target told of the servers of its cluster. It is immutable.
type view struct {
	instances []engine.Instance
	err       error // why it told nothing
	asked     time.Time
}

// surveyed is the Source of a group with a survey.
type surveyed struct {
	*Survey
	group *Group

	// Find's, which is called by one goroutine at a time.

	seeded time.Time // when the seed was asked last
	told   view      // what it told
}

func (s *surveyed) String() string { return s.Name }

// Find implements Source. While there is a writer, what it says counts. Then anybody else may be right, and the seed may lead
// to a writer of whom no target knows: what both say counts.
func (s *surveyed) Find(ctx context.Context) ([]engine.Target, error) {
	v, sure := s.group.bestView()
	if v == nil || !sure && time.Since(s.seeded) >= s.group.config.Discovery.Interval {
		s.seeded = time.Now()
		s.told.instances, s.told.err = s.askSeed(ctx)
	}
	switch {
	case v == nil, !sure && v.err != nil && s.told.err == nil:
		v = &s.told
	case !sure && s.told.err == nil:
		v = &view{instances: slices.Concat(v.instances, s.told.instances)}
	}
	if v.err != nil {
		return nil, v.err
	}
	return s.targets(v.instances)
}

// Follow implements Follower: what a monitor is told that is new counts at once.
func (s *surveyed) Follow(ctx context.Context, changed func()) (wait func()) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	s.group.viewChanged = changed
	return func() {}
}

// askSeed asks the seed over a connection of its own.
func (s *surveyed) askSeed(ctx context.Context) ([]engine.Instance, error) {
	c := &s.group.config
	ctx, stop := context.WithTimeout(ctx, c.Health.Timeout)
	defer stop()
	var instances []engine.Instance
	err := relay.Safely(s.group.log, func() error {
		w, err := c.Engine.Watch(ctx, s.Seed)
		if err != nil {
			return err
		}
		defer func() { go w.Close() }() // it may be dead
		instances, err = survey(ctx, w, s.Topology)
		return err
	})
	return instances, excuse(s.Seed.Address, err)
}

// excuse says in words why a server did not tell: in the same ones each time.
func excuse(address string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s was asked for its cluster: %s", address, explain(address, err).cause)
}

func survey(ctx context.Context, w engine.Watch, t engine.Topology) ([]engine.Instance, error) {
	s, ok := w.(engine.Surveyor)
	if !ok {
		return nil, errors.New("its engine has no clusters")
	}
	return s.Survey(ctx, t)
}

// targets are the instances that count: those of which something was heard of late, and of those that are said to be the writer the one
// of which something was heard last, whenever that was.
func (s *surveyed) targets(instances []engine.Instance) (found []engine.Target, err error) {
	instances = slices.Clone(instances)
	slices.SortStableFunc(instances, func(a, b engine.Instance) int { return int((a.Age - b.Age) / time.Millisecond) })
	seen, writer := map[string]bool{}, false
	var leftOut []string
	for _, i := range instances {
		if seen[i.ID] || i.Age > fresh && (!i.Writer || writer) {
			continue
		}
		seen[i.ID], writer = true, writer || i.Writer
		t, err := s.Locate(i)
		if err != nil {
			leftOut = append(leftOut, err.Error())
			continue
		}
		found = append(found, t)
	}
	if leftOut != nil {
		err = &engine.IncompleteError{LeftOut: leftOut}
	}
	return found, err
}

// bestView is the writer's view. While there is none it is the newest of a target that is up and has told something, or else one that has not; nil if
// there is no such target. sure says that it will do: that it is the writer's, or that no other connection may be opened to find a better one.
func (g *Group) bestView() (best *view, sure bool) {
	hard := g.limits.Load().MaxConnections > 0
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.route.Load().write; w != nil {
		return w.view, true
	}
	for _, m := range g.Members() {
		switch {
		case m.view == nil || !m.last.up:
		case best == nil, m.view.err == nil && (best.err != nil || m.view.asked.After(best.asked)):
			best = m.view
		}
	}
	return best, hard
}

// survey asks for the cluster, over the connection that has just answered, and completes the facts by what the cluster knows of m.
func (m *Member) survey(ctx context.Context, s *Survey, facts *engine.Facts) error {
	instances, err := survey(ctx, m.watch, s.Topology)
	var refused *engine.ServerError
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	v := &view{instances: instances, asked: time.Now(), err: excuse(m.target.Address, err)}
	for _, i := range instances {
		if i.ID == m.target.Name && facts.ReadOnly && !facts.LagKnown {
			facts.Lag, facts.LagKnown = i.Lag, i.LagKnown
		}
	}
	g := m.group
	g.mu.Lock()
	news := m.view == nil || v.names() != m.view.names()
	m.view = v
	changed := g.viewChanged
	g.mu.Unlock()
	if news && changed != nil {
		changed()
	}
	return nil
}

// names is what is said of who there is.
func (v *view) names() string {
	var all []string
	for _, i := range v.instances {
		all = append(all, fmt.Sprint(i.ID, i.Address, i.Age > fresh))
	}
	slices.Sort(all)
	return fmt.Sprint(strings.Join(all, "\n"), v.err)
}
