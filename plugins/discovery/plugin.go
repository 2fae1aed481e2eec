package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc/status"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/plugins/discoveryplugin"
	"github.com/berthdb/berth/plugins/discoveryplugin/wire"
	"github.com/berthdb/berth/plugins/host"
)

const (
	// maxAnswer is how long an answer of a plugin may be. 64 targets of the longest names take a quarter of it.
	maxAnswer = 256 << 10
	// maxPluginCause is how much is kept of an error that a plugin tells.
	maxPluginCause = 300
	// A plugin is started anew after restartFirst, then twice as long each time, up to restartMost, until it has lived for steady.
	restartFirst = 250 * time.Millisecond
	restartMost  = 30 * time.Second
	steady       = time.Minute
	// patience is how many intervals a plugin may say nothing, and leastPatience how long at least.
	patience      = 3
	leastPatience = 5 * time.Second
)

// Plugin is a program that tells who the targets are.
type Plugin struct {
	program host.Program
	request *wire.WatchRequest
	log     zerolog.Logger

	following atomic.Bool

	mu      sync.Mutex
	targets []engine.Target
	err     error         // why targets are not those of now
	heard   chan struct{} // closed when there is one of both
}

// NewPlugin makes a source of program. r tells the program what for.
func NewPlugin(program host.Program, r discoveryplugin.Request, log zerolog.Logger) (*Plugin, error) {
	if err := program.Check(); err != nil {
		return nil, err
	}
	return &Plugin{
		program: program, log: log.With().Str("plugin", program.Path).Logger(), heard: make(chan struct{}),
		request: &wire.WatchRequest{
			TargetGroup: r.TargetGroup, Engine: r.Engine, IntervalMs: uint32(min(r.Interval.Milliseconds(), 1<<31)), Settings: r.Settings,
		},
	}, nil
}

func (p *Plugin) String() string { return "plugin " + p.program.Path }

// Find implements target.Source: it returns what the plugin told last. Unless the source is followed, it starts the plugin, waits for
// its answer and ends it.
func (p *Plugin) Find(ctx context.Context) ([]engine.Target, error) {
	if !p.following.Load() {
		once, stop := context.WithCancel(ctx)
		defer stop()
		if err := p.run(once, stop); once.Err() == nil {
			return nil, err
		}
	}
	p.mu.Lock()
	heard := p.heard
	p.mu.Unlock()
	select {
	case <-heard:
	case <-ctx.Done():
		return nil, errors.New("the plugin has not answered yet")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.targets), p.err
}

// Follow implements target.Follower: it keeps the plugin running until ctx ends.
func (p *Plugin) Follow(ctx context.Context, changed func()) (wait func()) {
	p.following.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.following.Store(false)
		for pause := restartFirst; ctx.Err() == nil; pause = min(2*pause, restartMost) {
			began := time.Now()
			err := p.run(ctx, changed)
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > steady {
				pause = restartFirst
			}
			p.log.Error().Err(err).Stringer("restart_in", pause).Msg("discovery plugin ended")
			p.hear(nil, fmt.Errorf("the plugin is not running: %w", err))
			changed()
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}()
	return func() { <-done }
}

// run runs the plugin until ctx ends or something goes wrong, and says what: it returns an error in any case.
func (p *Plugin) run(ctx context.Context, changed func()) error {
	r, err := host.Start(host.Config{
		Program: p.program, Handshake: discoveryplugin.Handshake, Name: discoveryplugin.Name, Plugin: &discoveryplugin.Plugin{},
		MaxMessage: maxAnswer, Log: p.log,
	})
	if err != nil {
		return err
	}
	err = p.listen(ctx, r.Service, changed)
	return fmt.Errorf("%w (%s)", err, r.Stop())
}

// listen hears what a plugin that runs has to say. It returns an error in any case.
func (p *Plugin) listen(ctx context.Context, service any, changed func()) error {
	client, ok := service.(wire.DiscoveryClient)
	if !ok {
		return errors.New("it has no such service")
	}
	errSilent := errors.New("it has said nothing for too long")
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limit := max(patience*time.Duration(p.request.IntervalMs)*time.Millisecond, leastPatience)
	silence := time.AfterFunc(limit, func() { stop(errSilent) })
	defer silence.Stop()
	stream, err := client.Watch(ctx, p.request)
	for err == nil {
		var a *wire.Answer
		if a, err = stream.Recv(); err == nil {
			silence.Reset(limit)
			if !a.GetAlive() && p.hear(targetsIn(a)) {
				changed()
			}
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.New(oneLine(status.Convert(err).Message()))
}

// hear notes an answer, and says whether it is another one than the last.
func (p *Plugin) hear(targets []engine.Target, err error) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.heard:
		same := func(a, b engine.Target) bool {
			return a.Name == b.Name && a.Address == b.Address && a.TLS.ServerName == b.TLS.ServerName
		}
		news = fmt.Sprint(err) != fmt.Sprint(p.err) || !slices.EqualFunc(targets, p.targets, same)
	default:
		news = true
		close(p.heard)
	}
	p.targets, p.err = targets, err
	return news
}

// pluginName is what a target may be called by a plugin: it becomes a metric's label and part of log lines.
var pluginName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,252}$`)

// pluginHost is a name or an address.
var pluginHost = regexp.MustCompile(`^[A-Za-z0-9_:][A-Za-z0-9._:%-]{0,252}$`)

// targetsIn checks an answer.
func targetsIn(a *wire.Answer) (found []engine.Target, err error) {
	if a.GetError() != "" {
		return nil, errors.New(oneLine(a.GetError()))
	}
	for _, t := range a.GetTargets() {
		switch {
		case !pluginName.MatchString(t.GetName()):
			return nil, fmt.Errorf("the plugin names a target %q", cut(t.GetName()))
		case !pluginHost.MatchString(t.GetHost()):
			return nil, fmt.Errorf("the plugin says that the host of target %s is %q", t.GetName(), cut(t.GetHost()))
		case t.GetPort() == 0 || t.GetPort() > 1<<16-1:
			return nil, fmt.Errorf("the plugin says that the port of target %s is %d", t.GetName(), t.GetPort())
		case t.GetServerName() != "" && !pluginHost.MatchString(t.GetServerName()):
			return nil, fmt.Errorf("the plugin says that the certificate of target %s is for %q", t.GetName(), cut(t.GetServerName()))
		}
		found = append(found, engine.Target{
			Name: t.GetName(), Address: net.JoinHostPort(t.GetHost(), strconv.Itoa(int(t.GetPort()))),
			TLS: engine.TargetTLS{ServerName: t.GetServerName()},
		})
	}
	return found, nil
}

func cut(s string) string { return s[:min(len(s), maxPluginCause)] }

// oneLine is what a plugin says, for operators.
func oneLine(s string) string {
	return cut(strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " "))
}
