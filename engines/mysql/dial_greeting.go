package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// mariaDBPrefix stands before the versions of MariaDB 10, so that old replicas take it for a MySQL.
const mariaDBPrefix = "5.5.5-"

// serverGreeting is a server's Protocol::HandshakeV10.
type serverGreeting struct {
	serverInfo
	id     uint32
	salt   []byte
	plugin string
}

// parseGreeting takes a greeting apart, or the ERR that a server sends in its place.
func parseGreeting(payload []byte) (serverGreeting, error) {
	f := fields{rest: payload}
	switch f.uint8() {
	case protocolVersion:
	case errHeader:
		return serverGreeting{}, parseERR(payload)
	default:
		return serverGreeting{}, broken("no greeting of protocol version 10")
	}
	var g serverGreeting
	g.version = string(f.terminated())
	g.id = f.uint32()
	g.salt = append(g.salt, f.bytes(8)...)
	f.bytes(1)
	g.capabilities = uint32(f.uint16())
	g.charset = f.uint8()
	f.uint16() // status
	g.capabilities |= uint32(f.uint16()) << 16
	size := int(f.uint8())
	f.bytes(6)
	g.capabilities = withExtended(g.capabilities, f.uint32())
	// The rest of the salt, and its NUL, take 13 bytes at least (section "Protocol::HandshakeV10").
	second := f.bytes(max(13, size-8))
	if g.capabilities&protocol.CLIENT_PLUGIN_AUTH != 0 {
		g.plugin = string(f.lastTerminated())
	}
	if f.bad {
		return serverGreeting{}, broken("truncated greeting")
	}
	g.salt = append(g.salt, second[:saltSize-8]...)
	g.mariaDB = g.capabilities&protocol.CLIENT_LONG_PASSWORD == 0 || strings.Contains(g.version, "MariaDB")
	return g, nil
}

func broken(reason string) error {
	return &engine.ProtocolError{Side: engine.SideBackend, Reason: reason}
}

// targetTLS is the configuration for a TLS connection to t.
func targetTLS(t engine.Target) (*tls.Config, error) {
	roots := t.TLS.Roots()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: t.TLS.ServerName}
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(t.Address)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
	}
	if t.TLS.Mode == engine.TargetTLSVerifyFull {
		return cfg, nil
	}
	cfg.InsecureSkipVerify = true
	if t.TLS.Mode == engine.TargetTLSVerifyCA {
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	}
	return cfg, nil
}

// verifyChain checks that the peer's certificate is signed by one of roots, whatever name it has.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("tls: no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(o)
	return err
}

func appendUint32(dst []byte, n uint32) []byte { return binary.LittleEndian.AppendUint32(dst, n) }
