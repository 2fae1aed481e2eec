package discoveryplugin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/berthdb/berth/plugins/discoveryplugin/wire"
)

// Handshake is what a program and Berth recognise each other by. The cookie is no secret: it keeps people from running a plugin by hand.
var Handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BERTH_DISCOVERY_PLUGIN", MagicCookieValue: "where-are-the-berths"}

// Name is what a program calls its only service to go-plugin.
const Name = "discovery"

// Plugin is both halves of the protocol, for go-plugin.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Source Source // nil on Berth's side
}

var _ plugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer implements plugin.GRPCPlugin.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterDiscoveryServer(s, &server{source: p.Source})
	return nil
}

// GRPCClient implements plugin.GRPCPlugin. It returns a wire.DiscoveryClient.
func (*Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return wire.NewDiscoveryClient(c), nil
}

// server is a source's side of the protocol.
type server struct {
	wire.UnimplementedDiscoveryServer
	source Source
}

// Watch implements wire.DiscoveryServer.
func (s *server) Watch(r *wire.WatchRequest, stream grpc.ServerStreamingServer[wire.Answer]) error {
	ctx, stop := context.WithCancel(stream.Context())
	defer stop()
	request := Request{
		TargetGroup: r.GetTargetGroup(), Engine: r.GetEngine(),
		Interval: time.Duration(r.GetIntervalMs()) * time.Millisecond, Settings: r.GetSettings(),
	}
	last := &told{news: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- s.source.Watch(ctx, request, last.tell) }()
	again := time.NewTicker(max(request.Interval, time.Millisecond))
	defer again.Stop()
	for {
		select {
		case err := <-ended:
			return errors.Join(errors.New("it stopped looking"), err)
		case <-ctx.Done():
			return ctx.Err()
		case <-last.news:
		case <-again.C:
		}
		if err := stream.Send(last.answer()); err != nil {
			return err
		}
	}
}

// told is what a source told last, if anything.
type told struct {
	news chan struct{} // it was not sent yet

	mu      sync.Mutex
	known   bool // it has told something
	targets []Target
	err     error
}

func (t *told) tell(targets []Target, err error) {
	t.mu.Lock()
	t.known, t.targets, t.err = true, slices.Clone(targets), err
	t.mu.Unlock()
	select {
	case t.news <- struct{}{}:
	default:
	}
}

func (t *told) answer() *wire.Answer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		return &wire.Answer{Alive: true}
	}
	if t.err != nil {
		return &wire.Answer{Error: t.err.Error()}
	}
	a := &wire.Answer{}
	for _, x := range t.targets {
		port := uint32(0) // which is refused
		if x.Port > 0 && x.Port < 1<<16 {
			port = uint32(x.Port)
		}
		a.Targets = append(a.Targets, &wire.Target{Name: x.Name, Host: x.Host, Port: port, ServerName: x.ServerName})
	}
	return a
}
