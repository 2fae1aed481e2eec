package main

import (
	"context"
	"crypto/x509"
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
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/engines/mysql"
	"github.com/berthdb/berth/engines/postgres"
	"github.com/berthdb/berth/plugins/secret"
)

// secretsWithin bounds the first look at a group's secrets.
const secretsWithin = 10 * time.Second

// wire turns a configuration into a proxy. It is the one place that names the engines. It opens files, but no socket.
func wire(c *config.Config, log zerolog.Logger) (*core.Proxy, error) {
	groups, err := wireGroups(c, log)
	if err != nil {
		return nil, err
	}
	pc := core.Config{
		Loops: c.Runtime.Loops, MaxLogins: c.Runtime.MaxLogins, DrainTimeout: c.Runtime.DrainTimeout, Log: log,
	}
	byName := make(map[string]*target.Group, len(groups))
	for _, g := range groups {
		byName[g.Name()] = g
		pc.Groups = append(pc.Groups, g)
	}
	var errs []error
	for _, l := range c.Listeners {
		lc, err := wireListener(l, byName[l.TargetGroup], log)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %s: %w", l.Name, err))
			continue
		}
		pc.Listeners = append(pc.Listeners, lc)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return core.New(pc)
}

func wireListener(l config.Listener, g *target.Group, log zerolog.Logger) (core.ListenerConfig, error) {
	tls, err := clientTLS(l, log)
	if err != nil {
		return core.ListenerConfig{}, err
	}
	role := relay.ReadWrite
	if l.Role == config.RoleReadOnly {
		role = relay.ReadOnly
	}
	return core.ListenerConfig{
		Name: l.Name, Address: l.Address, Group: g, Role: role, TLS: tls,
		IdleTimeout: l.IdleClientTimeout, LoginTimeout: l.LoginTimeout, MaxClients: l.MaxClientConnections,
	}, nil
}

// wireGroups makes the target groups, with one engine each.
func wireGroups(c *config.Config, log zerolog.Logger) ([]*target.Group, error) {
	ids := new(atomic.Uint64)
	var groups []*target.Group
	var errs []error
	for _, tg := range c.TargetGroups {
		g, err := wireGroup(tg, ids, log)
		if err != nil {
			errs = append(errs, fmt.Errorf("target group %s: %w", tg.Name, err))
			continue
		}
		groups = append(groups, g)
	}
	return groups, errors.Join(errs...)
}

func wireGroup(tg config.TargetGroup, ids *atomic.Uint64, log zerolog.Logger) (*target.Group, error) {
	e, err := wireEngine(tg, log)
	if err != nil {
		return nil, err
	}
	targets, err := wireTargets(tg)
	if err != nil {
		return nil, err
	}
	cp := tg.ConnectionPool
	if len(cp.SessionPinningFilters) > 0 {
		return nil, errors.New("session_pinning_filters: not supported by this version: leave the list empty")
	}
	return target.New(target.Config{
		Name: tg.Name, Engine: e, Targets: targets,
		Limits: target.Limits{
			MaxPercent: cp.MaxConnectionsPercent, MaxConnections: cp.MaxConnections,
			MaxIdlePercent: cp.MaxIdleConnectionsPercent, BorrowTimeout: cp.ConnectionBorrowTimeout,
			MaxLifetime: cp.MaxConnectionLifetime, IdleTimeout: cp.IdleConnectionTimeout,
			MaxDials: cp.MaxConcurrentDials,
		},
	}, ids, log), nil
}

func wireEngine(tg config.TargetGroup, log zerolog.Logger) (engine.Engine, error) {
	var entries []secret.Entry
	for i, a := range tg.Auth {
		if a.IAMAuth != config.IAMDisabled {
			return nil, fmt.Errorf("auth[%d].iam_auth: %s is not supported by this version: write disabled", i, a.IAMAuth)
		}
		entries = append(entries, secret.Entry{Reference: a.Secret, AuthType: string(a.ClientPasswordAuthType)})
	}
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
		return nil, err
	}
	log = log.With().Str("target_group", tg.Name).Logger()
	switch tg.Engine {
	case config.EnginePostgres:
		return postgres.New(postgres.Config{Credentials: credentials, Log: log}), nil
	case config.EngineMySQL:
		return mysql.New(mysql.Config{Credentials: credentials, Log: &log}), nil
	}
	return nil, fmt.Errorf("engine %s is unknown", tg.Engine)
}

func wireTargets(tg config.TargetGroup) ([]engine.Target, error) {
	tls := engine.TargetTLS{Mode: targetModes[tg.TLS.Mode], ServerName: tg.TLS.ServerName}
	if tg.TLS.CAFile != "" {
		pem, err := os.ReadFile(tg.TLS.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		tls.RootCAs = x509.NewCertPool()
		if !tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no PEM certificate", tg.TLS.CAFile)
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
