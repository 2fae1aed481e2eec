package discovery

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Addresses is a DNS name of which every address (A, AAAA) is a target.
type Addresses struct {
	host, port string
	resolver   *net.Resolver
}

// NewAddresses makes a source of address, host:port. resolver is the host:port of a DNS server, or empty for the system's
// resolution of names, with its files and caches.
func NewAddresses(address, resolver string) (*Addresses, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return &Addresses{host, port, newResolver(resolver)}, nil
}

func newResolver(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
}

func (a *Addresses) String() string { return "dns " + net.JoinHostPort(a.host, a.port) }

// Find implements target.Source. A target is named by its address; certificates name the host.
func (a *Addresses) Find(ctx context.Context) (found []engine.Target, err error) {
	ips, err := a.resolver.LookupNetIP(ctx, "ip", a.host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		ip = ip.Unmap()
		found = append(found, engine.Target{
			Name: ip.String(), Address: net.JoinHostPort(ip.String(), a.port),
			TLS: engine.TargetTLS{ServerName: strings.TrimSuffix(a.host, ".")},
		})
	}
	return found, nil
}

// Services is a DNS name of which every SRV record (RFC 2782) is a target.
type Services struct {
	name     string
	resolver *net.Resolver
}

// NewServices makes a source of name, such as _postgresql._tcp.example.com. resolver is as in NewAddresses.
func NewServices(name, resolver string) *Services { return &Services{name, newResolver(resolver)} }

func (s *Services) String() string { return "srv " + s.name }

// Find implements target.Source. Priorities and weights are not looked at: the servers say who the writer is, and replicas
// share by their connections.
func (s *Services) Find(ctx context.Context) (found []engine.Target, err error) {
	_, records, err := s.resolver.LookupSRV(ctx, "", "", s.name)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		host, port := strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))
		if host == "" {
			return nil, fmt.Errorf("%s: the service is decidedly not available", s.name) // RFC 2782, "Target"
		}
		if r.Port == 0 {
			continue // no server listens there
		}
		found = append(found, engine.Target{Name: net.JoinHostPort(host, port), Address: net.JoinHostPort(host, port)})
	}
	return found, nil
}
