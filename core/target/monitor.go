package target

import (
	"context"
	"errors"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

const (
	probeEvery  = 10 * time.Second
	probeWithin = 5 * time.Second
	retryFirst  = 250 * time.Millisecond
	retryMost   = 5 * time.Second
)

// State is a target's health, in RDS Proxy's words.
type State string

const (
	Registering State = "REGISTERING"
	Available   State = "AVAILABLE"
	Unavailable State = "UNAVAILABLE"
)

// Reasons for Unavailable, in RDS Proxy's words.
const (
	Unreachable      = "UNREACHABLE"
	ConnectionFailed = "CONNECTION_FAILED"
	AuthFailure      = "AUTH_FAILURE"
)

// Health is what is known of a target at one moment.
type Health struct {
	State  State
	Reason string // RDS Proxy's word, "" while available
	Cause  string // the precise cause; it may name addresses, so it is for operators only
	Facts  engine.Facts
	Since  time.Time
}

// monitor probes m until ctx ends, often while it is down.
func (m *Member) monitor(ctx context.Context, w *relay.Worker) {
	retry := retryFirst
	for ctx.Err() == nil {
		pause := probeEvery
		switch {
		case !m.mayProbe():
			m.trust()
			retry = retryFirst
		case m.probe(ctx, w):
			retry = retryFirst
		default:
			pause = retry
			retry = min(2*retry, retryMost)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// mayProbe says whether a probe fits into the budget. With a percentage, a place is kept for it. An absolute limit is
// the user's last word: then a probe is made only when it has something to find out, while nothing else is open.
func (m *Member) mayProbe() bool {
	if m.group.config.Limits.MaxConnections == 0 || m.Health().State == Registering {
		return true
	}
	doubtful := m.Health().State == Unavailable || m.pool.LastError() != nil
	return doubtful && m.pool.Stats().Open == 0
}

// trust takes a target that could not be probed since it was down, and has connections, for up.
func (m *Member) trust() {
	s := m.pool.Stats()
	if m.Health().State == Unavailable && m.pool.LastError() == nil && s.Idle+s.Lent > 0 {
		m.publish(m.Health().Facts, nil)
	}
}

// probe asks the server once and publishes the answer. It says whether the target is up.
func (m *Member) probe(ctx context.Context, w *relay.Worker) bool {
	ctx, stop := context.WithTimeout(ctx, probeWithin)
	defer stop()
	facts, err := m.group.config.Engine.Probe(ctx, m.target)
	if errors.Is(ctx.Err(), context.Canceled) {
		return true
	}
	m.publish(facts, err)
	if err == nil {
		w.Loop().Post(&reconfigure{m, w, facts})
	}
	return err == nil
}

// publish changes the health, and logs it if the state or its cause changed.
func (m *Member) publish(facts engine.Facts, err error) {
	was := m.health.Load()
	now := &Health{State: Available, Facts: facts, Since: was.Since}
	if err != nil {
		now.State, now.Reason, now.Cause = Unavailable, reasonOf(err), err.Error()
		now.Facts = was.Facts
	}
	if now.State != was.State || now.Cause != was.Cause {
		now.Since = time.Now()
		ev := m.log.Info()
		if err != nil {
			ev = m.log.Error().Str("reason", now.Reason).Err(err)
		}
		ev.Str("state", string(now.State)).Str("version", facts.Version).
			Int("max_connections", facts.MaxConnections).Msg("target health changed")
	}
	m.health.Store(now)
	m.once.Do(func() { close(m.probed) })
}

func reasonOf(err error) string {
	var s *engine.ServerError
	switch {
	case errors.Is(err, engine.ErrDenied), errors.Is(err, engine.ErrNoCredential):
		return AuthFailure
	case errors.As(err, &s):
		if len(s.Code) == 5 && s.Code[:2] == "28" {
			return AuthFailure
		}
		return ConnectionFailed
	}
	return Unreachable
}

// reconfigure gives a pool the limits that follow from what the server says. It runs on a worker's loop.
type reconfigure struct {
	member *Member
	worker *relay.Worker
	facts  engine.Facts
}

func (r *reconfigure) Run() {
	r.member.pool.Configure(r.worker, r.member.group.config.Limits.pool(r.facts))
}
