package main

import (
	"os"
	"sync"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/control"
)

// reload carries out what can be changed while the proxy runs.
type reload struct {
	path  string
	proxy *core.Proxy
	log   zerolog.Logger

	mu      sync.Mutex
	current *config.Config // what is in effect
	wiring  *wiring        // and what it was turned into
}

// run reads the configuration again, and makes the proxy what it says as far as that is possible. With an error nothing
// has changed.
func (r *reload) run() (control.Reload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, err := r.change()
	if err != nil {
		r.log.Error().Str("reason", err.Error()).Msg("configuration not reloaded: nothing changes")
		return done, err
	}
	if len(done.NeedRestart) > 0 {
		r.log.Warn().Strs("keys", done.NeedRestart).Msg("changed keys need a restart")
	}
	// It answers somebody who asked, so no level leaves it out.
	r.log.Log().Str(zerolog.LevelFieldName, zerolog.LevelInfoValue).Strs("keys", done.Changed).Msg("configuration reloaded")
	return done, nil
}

func (r *reload) change() (done control.Reload, err error) {
	wanted, err := config.Load(r.path, os.Environ())
	if err != nil {
		return done, err
	}
	next := effective(r.current, wanted)
	wiring, changes, err := r.wiring.next(next)
	if err != nil {
		return done, err
	}
	if err := r.proxy.Apply(changes.groups, changes.listeners); err != nil {
		return done, err
	}
	for _, f := range changes.carryOut {
		f(r.proxy)
	}
	zerolog.SetGlobalLevel(levelOf(next.Log))
	done.Changed = append([]string{}, config.Differences(r.current, next)...)
	done.NeedRestart = append([]string{}, config.Differences(next, wanted)...)
	r.current, r.wiring = next, wiring
	return done, nil
}

// effective is what comes of wanted without a restart: all of it, but for what stays as it is in current.
func effective(current, wanted *config.Config) *config.Config {
	next := *wanted
	next.Admin, next.Runtime = current.Admin, current.Runtime
	next.Log.Format, next.Log.PinFormat = current.Log.Format, current.Log.PinFormat
	next.TargetGroups = nil
	for _, tg := range wanted.TargetGroups {
		for _, was := range current.TargetGroups {
			if was.Name == tg.Name && was.Engine == tg.Engine {
				if was.Discovery.Source != config.DiscoveryNone || tg.Discovery.Source != config.DiscoveryNone {
					tg.Targets = was.Targets
				}
				tg.Discovery = was.Discovery
				tg.TLS, tg.ConnectionPool.InitQuery = was.TLS, was.ConnectionPool.InitQuery
				tg.HealthCheck = was.HealthCheck
				tg.ConnectionPool.PinnedSessionOnLoss = was.ConnectionPool.PinnedSessionOnLoss
			}
		}
		next.TargetGroups = append(next.TargetGroups, tg)
	}
	return &next
}
