package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
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
	"github.com/berthdb/berth/plugins/discovery"
	"github.com/berthdb/berth/plugins/discoveryplugin"
	"github.com/berthdb/berth/plugins/host"
	"github.com/berthdb/berth/plugins/secret"
)

// secretsWithin bounds the first look at a group's secrets.
const secretsWithin = 10 * time.Second

// wire turns a configuration into what a proxy is made of. It is the one place that names the engines. It reads files,
// but opens no socket. Its error names everything that is wrong, one a line, by configuration key.
func wire(c *config.Config, log zerolog.Logger) (core.Config, *wiring, error) {
	w, ch, err := newWiring(log).next(c)
	return core.Config{
		Loops: c.Runtime.Loops, MaxLogins: c.Runtime.MaxLogins, DrainTimeout: c.Runtime.DrainTimeout, HandOverTimeout: c.Runtime.HandOverTimeout, Log: log,
		PinsAsRDS: c.Log.PinFormat == config.PinFormatRDS, Groups: ch.groups, Listeners: ch.listeners,
	}, w, err
}

// wiring is what a configuration was turned into, for the next one to be compared with.
type wiring struct {
	log       zerolog.Logger
	ids       *atomic.Uint64 // of backends
	groups    map[string]wiredGroup
	listeners map[string]wiredListener
}

// wiredGroup is a target group with what it is made of.
type wiredGroup struct {
	*target.Group
	config      config.TargetGroup
	credentials *credentials
}

// wiredListener is a listener's TLS side with what it is made of.
type wiredListener struct {
	config config.Listener
	core   core.ListenerConfig
}

func newWiring(log zerolog.Logger) *wiring {
	return &wiring{log: log, ids: new(atomic.Uint64), groups: map[string]wiredGroup{}, listeners: map[string]wiredListener{}}
}

// changes are what a configuration asks for.
type changes struct {
	groups    []*target.Group
	listeners []core.ListenerConfig
	carryOut  []func(*core.Proxy) // what changes in groups that stay
}

// next turns a configuration into what it asks for. What is in w and can stay, stays the same. w does not change, and
// nothing of the proxy does.
func (w *wiring) next(c *config.Config) (*wiring, changes, error) {
	next := newWiring(w.log)
	next.ids = w.ids
	var ch changes
	var problems []error
	for i, tg := range c.TargetGroups {
		g, carryOut, err := w.group(tg)
		if err != nil {
			problems = append(problems, at(fmt.Sprintf("target_groups[%d] (%s)", i, tg.Name), err)...)
			continue
		}
		next.groups[tg.Name] = g
		ch.groups = append(ch.groups, g.Group)
		ch.carryOut = append(ch.carryOut, carryOut...)
	}
	for i, l := range c.Listeners {
		tls, err := w.clientTLS(l)
		if err != nil {
			problems = append(problems, at(fmt.Sprintf("listeners[%d] (%s)", i, l.Name), err)...)
		}
		if g, ok := next.groups[l.TargetGroup]; ok && err == nil {
			lc := wireListener(l, g.Group, tls)
			lc.Heads = w.headLimits(l)
			next.listeners[l.Name] = wiredListener{l, lc}
			ch.listeners = append(ch.listeners, lc)
		}
	}
	return next, ch, errors.Join(problems...)
}

// group returns the group of that name and engine as tg wants it, and how it gets so; or makes one.
func (w *wiring) group(tg config.TargetGroup) (wiredGroup, []func(*core.Proxy), error) {
	was, ok := w.groups[tg.Name]
	if !ok || was.config.Engine != tg.Engine {
		g, c, err := wireGroup(tg, w.ids, w.log)
		return wiredGroup{g, tg, c}, nil, err
	}
	users, err := wireUsers(tg, w.log)
	targets, targetsErr := wireTargets(tg, w.log)
	if err := errors.Join(targetsErr, err); err != nil {
		return wiredGroup{}, nil, err
	}
	carryOut := func(p *core.Proxy) {
		was.credentials.Store(users)
		was.SetRules(wireRules(tg))
		if tg.Discovery.Source == config.DiscoveryNone {
			was.SetTargets(targets)
		}
		was.SetReplicas(wireReplicas(tg.Replicas))
		p.SetLimits(was.Group, wireLimits(tg))
	}
	return wiredGroup{was.Group, tg, was.credentials}, []func(*core.Proxy){carryOut}, nil
}

// clientTLS returns l's TLS side: the same as before if it is made of the same, since a self-signed certificate is made
// anew each time, and files that were read are looked at anyway.
func (w *wiring) clientTLS(l config.Listener) (engine.ClientTLS, error) {
	if was, ok := w.listeners[l.Name]; ok && was.config.TLS == l.TLS && was.config.Address == l.Address && l.TLS.ClientCAFile == "" {
		return was.core.TLS, nil
	}
	return clientTLS(l, w.log)
}

// headLimits returns l's limits per user and database: the same as before if they are the same, so that the listener is.
func (w *wiring) headLimits(l config.Listener) *relay.HeadLimits {
	h := &relay.HeadLimits{
		PerUser: l.MaxConnectionsPerUser, PerDatabase: l.MaxConnectionsPerDatabase,
		Users: map[string]int{}, Databases: map[string]int{},
	}
	for _, c := range l.ConnectionLimits {
		if c.User != "" {
			h.Users[c.User] = c.MaxConnections
		} else {
			h.Databases[c.Database] = c.MaxConnections
		}
	}
	if was, ok := w.listeners[l.Name]; ok && reflect.DeepEqual(was.core.Heads, h) {
		return was.core.Heads
	}
	return h
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
		Times: relay.TimeLimits{
			Query: l.QueryTimeout, Transaction: l.TransactionTimeout, IdleInTransaction: l.IdleInTransactionTimeout,
		},
	}
}

// wireGroup makes a target group with an engine of its own. Its errors begin with the key below the group's.
func wireGroup(tg config.TargetGroup, ids *atomic.Uint64, log zerolog.Logger) (*target.Group, *credentials, error) {
	users, err := wireUsers(tg, log)
	targets, targetsErr := wireTargets(tg, log)
	discovery, discoveryErr := wireDiscovery(tg, log)
	if err := errors.Join(targetsErr, discoveryErr, err); err != nil {
		return nil, nil, err
	}
	c := &credentials{}
	c.Store(users)
	e, err := wireEngine(tg, c, log)
	if err != nil {
		return nil, nil, err
	}
	return target.New(target.Config{
		Name: tg.Name, Engine: e, Targets: targets, Rules: wireRules(tg), Limits: wireLimits(tg),
		Health:   target.HealthCheck{Interval: tg.HealthCheck.Interval, Timeout: tg.HealthCheck.Timeout},
		Replicas: wireReplicas(tg.Replicas), Discovery: discovery,
	}, ids, log), c, nil
}

func wireReplicas(r config.Replicas) target.Replicas {
	return target.Replicas{
		MaxLag: r.MaxLag, WaitForReplica: r.Fallback == config.FallbackNone,
		ReadYourWrites: r.ReadYourWrites == config.ReadCommitted, CatchUpTimeout: r.CatchUpTimeout,
	}
}

func wireLimits(tg config.TargetGroup) target.Limits {
	cp := tg.ConnectionPool
	return target.Limits{
		MaxPercent: cp.MaxConnectionsPercent, MaxConnections: cp.MaxConnections,
		MaxIdlePercent: cp.MaxIdleConnectionsPercent, BorrowTimeout: cp.ConnectionBorrowTimeout,
		MaxLifetime: cp.MaxConnectionLifetime, IdleTimeout: cp.IdleConnectionTimeout,
		MaxDials: cp.MaxConcurrentDials, Rotate: paranoid(),
	}
}

// credentials are a group's users, whom a reload may change.
type credentials struct {
	atomic.Pointer[secret.Resolver]
}

var _ engine.Credentials = (*credentials)(nil)

func (c *credentials) Credential(ctx context.Context, user string) (engine.Credential, error) {
	return c.Load().Credential(ctx, user)
}

func (c *credentials) Any(ctx context.Context) (engine.Credential, error) { return c.Load().Any(ctx) }

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

// wireUsers makes what knows the users of a group. It reads their secrets.
func wireUsers(tg config.TargetGroup, log zerolog.Logger) (*secret.Resolver, error) {
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
	users, err := secret.NewResolver(ctx, providers, entries)
	if err != nil {
		problems = append(problems, at("auth", err)...)
	}
	return users, errors.Join(problems...)
}

func wireEngine(tg config.TargetGroup, users *credentials, log zerolog.Logger) (engine.Engine, error) {
	log = log.With().Str("target_group", tg.Name).Logger()
	switch tg.Engine {
	case config.EnginePostgres:
		return postgres.New(postgres.Config{
			Credentials: users, Unseen: unseenRules[tg.ConnectionPool.UnseenChanges], Log: log,
			CloseLost: tg.ConnectionPool.PinnedSessionOnLoss == config.LossClose,
		}), nil
	case config.EngineMySQL:
		return mysql.New(mysql.Config{
			Credentials: users, Unseen: unseenRules[tg.ConnectionPool.UnseenChanges], Log: &log,
			CloseLost: tg.ConnectionPool.PinnedSessionOnLoss == config.LossClose,
		}), nil
	}
	return nil, fmt.Errorf("engine: %s is unknown", tg.Engine)
}

func wireTargets(tg config.TargetGroup, log zerolog.Logger) ([]engine.Target, error) {
	like, err := wireLike(tg, log)
	if err != nil {
		return nil, err
	}
	var targets []engine.Target
	for _, t := range tg.Targets {
		like.Name, like.Address = t.Name, t.Address
		targets = append(targets, like)
	}
	return targets, nil
}

// wireDiscovery makes what finds a group's targets, if they are to be found.
func wireDiscovery(tg config.TargetGroup, log zerolog.Logger) (target.Discovery, error) {
	d := tg.Discovery
	if d.Source == config.DiscoveryNone {
		return target.Discovery{}, nil
	}
	like, err := wireLike(tg, log)
	if err != nil {
		return target.Discovery{}, nil //nolint:nilerr // wireTargets says so
	}
	made := target.Discovery{Interval: d.Interval, Like: like}
	switch d.Source {
	case config.DiscoveryDNS:
		made.Source, err = discovery.NewAddresses(d.Name, d.Resolver)
	case config.DiscoverySRV:
		made.Source = discovery.NewServices(d.Name, d.Resolver)
	case config.DiscoveryPatroni:
		made.Source, err = wirePatroni(d)
	case config.DiscoveryAurora:
		made.Survey, err = wireSurvey(d, engine.TopologyAurora, like)
	case config.DiscoveryMultiAZ:
		made.Survey, err = wireSurvey(d, engine.TopologyMultiAZ, like)
	case config.DiscoveryPlugin:
		made.Source, err = wirePlugin(tg, log)
	}
	return made, err
}

func wireSurvey(d config.Discovery, t engine.Topology, seed engine.Target) (*target.Survey, error) {
	cluster, err := discovery.NewCluster(d.Name, d.InstanceHostPattern, t == engine.TopologyMultiAZ)
	if err != nil {
		return nil, fmt.Errorf("discovery.instance_host_pattern: %w", err)
	}
	seed.Name, seed.Address = "seed", d.Name
	return &target.Survey{Topology: t, Seed: seed, Locate: cluster.Locate, Name: string(d.Source) + " " + d.Name}, nil
}

func wirePlugin(tg config.TargetGroup, log zerolog.Logger) (target.Source, error) {
	d := tg.Discovery
	program := host.Program{Path: d.Plugin.Path}
	if d.Plugin.SHA256 != "" {
		var err error
		if program.SHA256, err = hex.DecodeString(d.Plugin.SHA256); err != nil {
			return nil, fmt.Errorf("discovery.plugin.sha256: %w", err)
		}
	}
	settings := map[string]string{}
	for _, s := range d.Plugin.Settings {
		settings[s.Name] = s.Value.Reveal()
	}
	p, err := discovery.NewPlugin(program, discoveryplugin.Request{
		TargetGroup: tg.Name, Engine: string(tg.Engine), Interval: d.Interval, Settings: settings,
	}, log.With().Str("target_group", tg.Name).Logger())
	if err != nil {
		return nil, fmt.Errorf("discovery.plugin.path: %w", err)
	}
	return p, nil
}

func wirePatroni(d config.Discovery) (target.Source, error) {
	var roots *x509.CertPool
	if d.CAFile != "" {
		var err error
		if roots, err = readPool("discovery.ca_file", d.CAFile); err != nil {
			return nil, err
		}
	}
	var nodes []string
	for _, n := range d.Patroni {
		nodes = append(nodes, n.URL)
	}
	p, err := discovery.NewPatroni(nodes, roots)
	if err != nil {
		return nil, fmt.Errorf("discovery.patroni: %w", err)
	}
	return p, nil
}

// wireLike is what all targets of a group have in common.
func wireLike(tg config.TargetGroup, log zerolog.Logger) (engine.Target, error) {
	tls := engine.TargetTLS{Mode: targetModes[tg.TLS.Mode], ServerName: tg.TLS.ServerName}
	if tg.TLS.CAFile != "" {
		r := &roots{file: tg.TLS.CAFile, renewal: renewal{log: log.With().Str("target_group", tg.Name).Logger()}}
		if err := r.load(); err != nil {
			return engine.Target{}, err
		}
		tls.Renewed = r.pool
	}
	return engine.Target{TLS: tls, InitQuery: strings.TrimSpace(tg.ConnectionPool.InitQuery)}, nil
}

var targetModes = map[config.TargetTLSMode]engine.TargetTLSMode{
	config.TargetTLSDisable:    engine.TargetTLSDisable,
	config.TargetTLSPrefer:     engine.TargetTLSPrefer,
	config.TargetTLSRequire:    engine.TargetTLSRequire,
	config.TargetTLSVerifyCA:   engine.TargetTLSVerifyCA,
	config.TargetTLSVerifyFull: engine.TargetTLSVerifyFull,
}
