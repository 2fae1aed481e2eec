package config

import (
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// address is host:port, taken apart.
type address struct {
	host string // empty: every address of the machine
	ip   netip.Addr
	port int
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

// parseAddress checks the form of an address; it looks nothing up.
func parseAddress(text string) (address, error) {
	host, portText, err := net.SplitHostPort(text)
	switch {
	case err != nil && strings.Count(text, ":") > 1:
		return address{}, errors.New("an IPv6 address goes in brackets: write [::1]:port")
	case err != nil:
		return address{}, errors.New("write host:port")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return address{}, errors.New("the port must be a number up to 65535")
	}
	a := address{host: host, port: int(port)}
	if host == "" {
		return a, nil
	}
	if a.ip, err = netip.ParseAddr(host); err == nil {
		a.ip = a.ip.Unmap()
		return a, nil
	}
	const longest = 253 // RFC 1035 section 2.3.4, less the length bytes
	if len(host) > longest || !hostName.MatchString(host) || looksLikeIPv4(host) {
		return address{}, errors.New("the host is neither a name nor an IP address")
	}
	return a, nil
}

// looksLikeIPv4 says whether a host that is no IP address was meant to be one: no top-level domain is a number.
func looksLikeIPv4(host string) bool {
	last := host[strings.LastIndex(host, ".")+1:]
	return strings.Trim(last, "0123456789") == "" && last != ""
}

// isLoopback says whether only this machine can reach the address.
func (a address) isLoopback() bool {
	return strings.EqualFold(a.host, "localhost") || a.ip.IsLoopback()
}

func (a address) isWildcard() bool { return a.host == "" || a.ip.IsUnspecified() }

// collides says whether not both can be listened on.
func (a address) collides(b address) bool {
	if a.port != b.port || a.port == 0 {
		return false
	}
	if a.isWildcard() || b.isWildcard() {
		return true
	}
	if a.ip.IsValid() && b.ip.IsValid() {
		return a.ip == b.ip
	}
	return strings.EqualFold(a.host, b.host) || a.isLocal(b) || b.isLocal(a)
}

// isLocal says whether a is the name of what b gives as a number.
func (a address) isLocal(b address) bool {
	return strings.EqualFold(a.host, "localhost") && (b.ip == netip.MustParseAddr("127.0.0.1") || b.ip == netip.IPv6Loopback())
}
