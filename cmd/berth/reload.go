package main

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/core/relay"
)

// reload carries out what can be changed while the proxy runs.
type reload struct {
	path  string
	proxy *core.Proxy
	log   zerolog.Logger
	// patience is how long reading may take, with the lock held: loadWithin.
	patience time.Duration

	mu      sync.Mutex
	current *config.Config // what is in effect
	wiring  *wiring        // and what it was turned into
	reading chan struct{}  // closed when the reading is over that took too long, nil: none did
}

// loadWithin is how long a reload waits for the configuration and the files that it names. It is less than the admin server gives to an answer.
const loadWithin = 20 * time.Second

var errLoading = errors.New("reading the configuration, and the files that it names, takes too long")

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
	l, err := r.load()
	if err != nil {
		return done, err
	}
	if err := r.proxy.Apply(l.changes.groups, l.changes.listeners); err != nil {
		return done, err
	}
	for _, f := range l.changes.carryOut {
		f(r.proxy)
	}
	zerolog.SetGlobalLevel(levelOf(l.next.Log))
	done.Changed = append([]string{}, config.Differences(r.current, l.next)...)
	done.NeedRestart = append([]string{}, config.Differences(l.next, l.wanted)...)
	r.current, r.wiring = l.next, l.wiring
	return done, nil
}

// loaded is what was read for a reload.
type loaded struct {
	wanted, next *config.Config
	wiring       *wiring
	changes      changes
}

// load reads what a reload is to make true, which changes nothing. Files that do not answer, as on a network that is down, cannot be
// given up: the reading goes on, for nothing, while the lock is free again. There is one at a time.
func (r *reload) load() (*loaded, error) {
	late := time.NewTimer(r.patience)
	defer late.Stop()
	if r.reading != nil {
		select {
		case <-r.reading:
		case <-late.C:
			return nil, errLoading
		}
	}
	l, reading := &loaded{}, make(chan struct{})
	r.reading = reading
	path, current, was := r.path, r.current, r.wiring
	var err error
	go func() {
		defer close(reading)
		err = relay.Safely(r.log, func() error { return l.read(path, current, was) })
	}()
	select {
	case <-reading:
		r.reading = nil
		return l, err
	case <-late.C:
		return nil, errLoading
	}
}

func (l *loaded) read(path string, current *config.Config, was *wiring) (err error) {
	if l.wanted, err = config.Load(path, os.Environ()); err != nil {
		return err
	}
	l.next = effective(current, l.wanted)
	l.wiring, l.changes, err = was.next(l.next)
	return err
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
