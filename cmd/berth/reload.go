package main

import (
	"context"
	"os"
	"regexp"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core/target"
)

// reloadable are the keys that SIGHUP changes. Those of target groups count for sessions that begin afterwards.
var reloadable = regexp.MustCompile(
	`^(log\.level|target_groups\[\d+\]\.connection_pool\.(session_pinning_preset|session_pinning_filters|unseen_changes))$`)

// reload carries out what can be changed while the proxy runs.
type reload struct {
	path    string
	started *config.Config // what all other keys are compared with
	current *config.Config // of which the reloadable keys hold
	groups  []*target.Group
	log     zerolog.Logger
}

// listen answers signals until ctx ends.
func (r *reload) listen(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				r.run()
				continue
			}
			r.log.Warn().Stringer("signal", s).Msg("this version cannot hand over its listeners: restart it")
		case <-ctx.Done():
			return
		}
	}
}

// run reads the configuration again. A bad one changes nothing.
func (r *reload) run() {
	next, err := config.Load(r.path, os.Environ())
	if err != nil {
		r.log.Error().Str("reason", err.Error()).Msg("configuration not reloaded: nothing changes")
		return
	}
	var changed, ignored []string
	for _, key := range config.Differences(r.current, next) {
		if reloadable.MatchString(key) {
			changed = append(changed, key)
		}
	}
	for _, key := range config.Differences(r.started, next) {
		if !reloadable.MatchString(key) {
			ignored = append(ignored, key)
		}
	}
	zerolog.SetGlobalLevel(levelOf(next.Log))
	for _, g := range r.groups {
		for _, tg := range next.TargetGroups {
			if tg.Name == g.Name() && string(tg.Engine) == g.Engine().Name() {
				g.SetRules(wireRules(tg))
			}
		}
	}
	r.current = next
	if len(ignored) > 0 {
		r.log.Warn().Strs("keys", ignored).Msg("changed keys need a restart")
	}
	// It answers somebody who asked, so no level leaves it out.
	r.log.Log().Str(zerolog.LevelFieldName, zerolog.LevelInfoValue).Strs("keys", changed).Msg("configuration reloaded")
}
