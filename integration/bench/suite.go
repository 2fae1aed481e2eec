package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

const (
	stopWithin     = 30 * time.Second
	warmUpSeconds  = 1 // too short to measure
	maxConnections = "max_connections=300"
)

// suite is an engine's part of the benchmark.
type suite struct {
	title     string
	engine    harness.Engine
	server    string // scripts/db's name
	port      int    // above the base; the paths' ports follow it
	peers     []string
	reference string // the path to which others are compared
	loads     []load
	pool      int       // connections of proxies that have a limit
	idle      bool      // whether the memory of idle sessions is measured
	cost      [2]string // of the CPU of one load, that over the other's is printed, if not empty
	prepare   func(ctx context.Context, s *harness.Server) error
}

// path is a way to the server.
type path struct {
	name     string
	endpoint harness.Endpoint
	pid      int // of the proxy, 0 for none
	stop     func() error
}

// result is what one load on one path showed.
type result struct {
	perSecond float64
	latency   float64 // mean, milliseconds
	cpu       float64 // of the proxy, microseconds a transaction
}

// measure runs the suite and prints its tables. It returns what could not be measured; an error is about the rest.
func (s suite) measure(ctx context.Context, o options) (failed []string, err error) {
	s.loads = slices.DeleteFunc(slices.Clone(s.loads), func(l load) bool { return !o.loads.MatchString(l.name) })
	s.idle = s.idle && o.idleToo
	if len(s.loads) == 0 && !s.idle {
		return nil, nil
	}
	server, err := harness.StartServer(ctx, s.server, o.below(s.server), o.base+s.port, maxConnections)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, within(server.Stop)) }()
	if len(s.loads) > 0 {
		if err := s.prepare(ctx, server); err != nil {
			return nil, err
		}
		if failed, err = s.rounds(ctx, o, server); err != nil {
			return nil, err
		}
	}
	if !s.idle {
		return failed, nil
	}
	if err := s.measureIdle(ctx, o, server); err != nil {
		failed = append(failed, fmt.Sprintf("idle sessions of %s: %v", s.server, err))
	}
	return failed, ctx.Err()
}

// rounds measures every load on every path as often as asked, and prints the medians.
func (s suite) rounds(ctx context.Context, o options, server *harness.Server) (failed []string, err error) {
	paths, err := s.open(ctx, o, server)
	defer func() {
		for _, p := range paths {
			err = errors.Join(err, p.stop())
		}
	}()
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		p.pid = 0
		if _, err := s.loads[0].run(ctx, p, warmUpSeconds); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	t := newTable(s, paths)
	for round := range o.rounds {
		for _, l := range s.loads {
			for _, p := range paths {
				r, err := l.run(ctx, p, o.seconds)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					failed = append(failed, fmt.Sprintf("%s, %s on %s: %v", s.title, l.name, p.name, err))
					fmt.Fprintln(os.Stderr, failed[len(failed)-1])
					continue
				}
				t.add(l.name, p.name, r)
			}
		}
		fmt.Fprintf(os.Stderr, "%s: round %d of %d done\n", s.title, round+1, o.rounds)
	}
	t.print()
	return failed, nil
}

// open starts all paths. On an error it returns those that were started.
func (s suite) open(ctx context.Context, o options, server *harness.Server) ([]path, error) {
	paths := []path{{name: "direct", endpoint: server.Endpoint, stop: func() error { return nil }}}
	port := server.Port
	for _, kind := range s.peers {
		port++
		p, err := harness.StartPeer(ctx, kind, o.below(kind+"-"+s.server), port, server,
			harness.PeerOptions{PoolSize: s.pool, Workers: 1})
		if err != nil {
			return paths, err
		}
		paths = append(paths, path{kind, p.Endpoint, p.PID, func() error { return within(p.Stop) }})
	}
	for loops := 1; loops <= 2; loops++ {
		port++
		name := fmt.Sprintf("berth, %d loop", loops)
		if loops > 1 {
			name += "s"
		}
		p, err := startBerth(ctx, o, server, port, loops, s.pool)
		if err != nil {
			return paths, err
		}
		paths = append(paths, path{name, p.Endpoint(route), p.PID(), p.Stop})
	}
	return paths, nil
}

const route = "bench"

func startBerth(ctx context.Context, o options, server *harness.Server, port, loops, pool int) (*harness.Proxy, error) {
	dir := o.below(fmt.Sprintf("berth-%s-%d", server.Name, port))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return harness.StartProxy(ctx, dir, harness.Config{
		AdminPort: port + 50,
		Routes: []harness.Route{{
			Name: route, Server: server, MaxConnections: pool, Plain: true, Port: port,
			Pool: harness.Keys{"max_idle_connections_percent": 100},
		}},
		Top: harness.Keys{"runtime": harness.Keys{"loops": loops}},
	})
}

// within stops something even though the run was interrupted.
func within(stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	return stop(ctx)
}
