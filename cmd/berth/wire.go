package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/engines/mysql"
	"github.com/berthdb/berth/engines/postgres"
	"github.com/berthdb/berth/plugins/secret"
)

// secretsWithin bounds the first look at a group's secrets.
const secretsWithin = 10 * time.Second

// wire turns a configuration into what a proxy is made of. It is the one place that names the engines. It reads files,
// but opens no socket. Its error names everything that is wrong, one a line, by configuration key.
func wire(c *config.Config, log zerolog.Logger) (core.Config, error) {
	pc := core.Config{
		Loops: c.Runtime.Loops, MaxLogins: c.Runtime.MaxLogins, DrainTimeout: c.Runtime.DrainTimeout, Log: log,
		PinsAsRDS: c.Log.PinFormat == config.PinFormatRDS,
	}
	var problems []error
	ids := new(atomic.Uint64)
	byName := make(map[string]*target.Group, len(c.TargetGroups))
	for i, tg := range c.TargetGroups {
		g, err := wireGroup(tg, ids, log)
		if err != nil {
			problems = append(problems, at(fmt.Sprintf("target_groups[%d] (%s)", i, tg.Name), err)...)
			continue
		}
		byName[tg.Name] = g
		pc.Groups = append(pc.Groups, g)
	}
	for i, l := range c.Listeners {
		clientTLS, err := clientTLS(l, log)
		if err != nil {
			problems = append(problems, at(fmt.Sprintf("listeners[%d] (%s)", i, l.Name), err)...)
		}
		if g := byName[l.TargetGroup]; g != nil && err == nil {
			pc.Listeners = append(pc.Listeners, wireListener(l, g, clientTLS))
		}
	}
	return pc, errors.Join(problems...)
}

// at puts a place before each line of an error, which is a problem of its own.
func at(place string, err error) []error {
	var all []error
	for line := range strings.Lines(err.Error()) {
		all = append(all, errors.New(place+": "+strings.TrimSuffix(line, "\n")))
	}
	return all
}

func wireListener(l config.Listener, g *target.Group, clientTLS engine.ClientTLS) core.ListenerConfig {
	role := relay.ReadWrite
	if l.Role == config.RoleReadOnly {
		role = relay.ReadOnly
	}
	return core.ListenerConfig{
		Name: l.Name, Address: l.Address, Group: g, Role: role, TLS: clientTLS,
		IdleTimeout: l.IdleClientTimeout, LoginTimeout: l.LoginTimeout,
		MaxClients: l.MaxClientConnections,
	}
}

// wireGroup makes a target group with an engine of its own. Its errors begin with the key below the group's.
func wireGroup(tg config.TargetGroup, ids *atomic.Uint64, log zerolog.Logger) (*target.Group, error) {
	e, err := wireEngine(tg, log)
	targets, targetsErr := wireTargets(tg)
	cp := tg.ConnectionPool
	if err := errors.Join(targetsErr, err); err != nil {
		return nil, err
	}
	return target.New(target.Config{
		Name: tg.Name, Engine: e, Targets: targets, Rules: wireRules(tg),
		Health: target.HealthCheck{Interval: tg.HealthCheck.Interval, Timeout: tg.HealthCheck.Timeout},
		Limits: target.Limits{
			MaxPercent: cp.MaxConnectionsPercent, MaxConnections: cp.MaxConnections,
			MaxIdlePercent: cp.MaxIdleConnectionsPercent, BorrowTimeout: cp.ConnectionBorrowTimeout,
			MaxLifetime: cp.MaxConnectionLifetime, IdleTimeout: cp.IdleConnectionTimeout,
			MaxDials: cp.MaxConcurrentDials, Rotate: paranoid(),
		},
	}, ids, log), nil
}

// wireRules returns what a group's sessions go by.
func wireRules(tg config.TargetGroup) target.Rules {
	cp := tg.ConnectionPool
	r := target.Rules{Policy: pin.Multiplex(), Unseen: unseenRules[cp.UnseenChanges]}
	if cp.SessionPinningPreset == config.PresetStrictAWS {
		r.Policy = pin.StrictAWS(string(tg.Engine))
	}
	for _, f := range cp.SessionPinningFilters {
		r.Policy = r.Policy.With(engine.Ignore, filtered[f]...)
	}
	return r
}

// filtered are the kinds of state that a filter is about.
var filtered = map[config.PinningFilter][]engine.Kind{
	config.ExcludeVariableSets:       {engine.KindSetting, engine.KindUserVariable, engine.KindTransactionTrait},
	config.ExcludeTemporaryTables:    {engine.KindTemporaryTable},
	config.ExcludePreparedStatements: {engine.KindPreparedStatement},
	config.ExcludeNamedLocks:         {engine.KindNamedLock},
	config.ExcludeSequences:          {engine.KindSequence},
}

var unseenRules = map[config.UnseenChanges]engine.Unseen{
	config.UnseenVerify: engine.UnseenVerify, config.UnseenPin: engine.UnseenPin, config.UnseenTrust: engine.UnseenTrust,
}

// paranoid says whether backends rotate among sessions: for tests of what sessions leave on them.
func paranoid() bool { return os.Getenv("BERTH_PARANOID") == "1" }

func wireEngine(tg config.TargetGroup, log zerolog.Logger) (engine.Engine, error) {
	var entries []secret.Entry
	var problems []error
	for i, a := range tg.Auth {
		if a.IAMAuth != config.IAMDisabled {
			problems = append(problems, fmt.Errorf("auth[%d].iam_auth: %s is not supported by this version: write disabled", i, a.IAMAuth))
		}
		entries = append(entries, secret.Entry{Reference: a.Secret, AuthType: string(a.ClientPasswordAuthType)})
	}
	log = log.With().Str("target_group", tg.Name).Logger()
	providers := map[string]secret.Provider{
		"env": secret.NewEnv(os.LookupEnv),
		"file": secret.NewFile(func(path string, err error) {
			log.Error().Str("file", path).Err(err).Msg("changed secret refused, the old one stays")
		}),
	}
	ctx, stop := context.WithTimeout(context.Background(), secretsWithin)
	defer stop()
	credentials, err := secret.NewResolver(ctx, providers, entries)
	if err != nil {
		problems = append(problems, at("auth", err)...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	switch tg.Engine {
	case config.EnginePostgres:
		return postgres.New(postgres.Config{
			Credentials: credentials, Unseen: unseenRules[tg.ConnectionPool.UnseenChanges], Log: log,
			CloseLost: tg.ConnectionPool.PinnedSessionOnLoss == config.LossClose,
		}), nil
	case config.EngineMySQL:
		return mysql.New(mysql.Config{
			Credentials: credentials, Unseen: unseenRules[tg.ConnectionPool.UnseenChanges], Log: &log,
			CloseLost: tg.ConnectionPool.PinnedSessionOnLoss == config.LossClose,
		}), nil
	}
	return nil, fmt.Errorf("engine: %s is unknown", tg.Engine)
}

func wireTargets(tg config.TargetGroup) ([]engine.Target, error) {
	tls := engine.TargetTLS{Mode: targetModes[tg.TLS.Mode], ServerName: tg.TLS.ServerName}
	if tg.TLS.CAFile != "" {
		var err error
		if tls.RootCAs, err = readPool("tls.ca_file", tg.TLS.CAFile); err != nil {
			return nil, err
		}
	}
	var targets []engine.Target
	for _, t := range tg.Targets {
		targets = append(targets, engine.Target{
			Name: t.Name, Address: t.Address, TLS: tls, InitQuery: strings.TrimSpace(tg.ConnectionPool.InitQuery),
		})
	}
	return targets, nil
}

var targetModes = map[config.TargetTLSMode]engine.TargetTLSMode{
	config.TargetTLSDisable:    engine.TargetTLSDisable,
	config.TargetTLSPrefer:     engine.TargetTLSPrefer,
	config.TargetTLSRequire:    engine.TargetTLSRequire,
	config.TargetTLSVerifyCA:   engine.TargetTLSVerifyCA,
	config.TargetTLSVerifyFull: engine.TargetTLSVerifyFull,
}
