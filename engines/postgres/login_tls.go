package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/berthdb/berth/core/engine"
)

// alpn is the protocol's name in TLS (54.2.10).
const alpn = "postgresql"

// recordHandshake is the first byte of a TLS record that begins a handshake.
const recordHandshake = 0x16

// directTLS performs a TLS handshake if the client begins with one instead of asking (54.2.10). A start-up packet cannot
// begin with the same byte, because it would be 350 MB long.
func (l *login) directTLS(ctx context.Context) error {
	first, err := l.c.Peek(1)
	if err != nil || first[0] != recordHandshake {
		return err
	}
	l.sslDone, l.gssDone = true, true
	if l.o.TLS.Mode == engine.TLSDisable {
		return silent{clientError("direct TLS where TLS is disabled")}
	}
	if err := l.serveTLS(ctx); err != nil {
		return err
	}
	// ALPN is mandatory here, lest an attacker make another protocol's client talk to a database.
	if state, _ := l.c.TLS(); state.NegotiatedProtocol != alpn {
		return clientError("received direct SSL connection request without ALPN protocol negotiation extension")
	}
	return nil
}

// answerSSL answers an SSLRequest, and performs the handshake if the answer is yes.
func (l *login) answerSSL(ctx context.Context) error {
	answer := byte('S')
	if l.o.TLS.Mode == engine.TLSDisable {
		answer = 'N'
	}
	if _, err := l.c.Write([]byte{answer}); err != nil {
		return silent{err}
	}
	if answer == 'N' {
		return nil
	}
	l.gssDone = true // encryption inside encryption is nobody's wish
	return l.serveTLS(ctx)
}

func (l *login) serveTLS(ctx context.Context) error {
	if l.o.TLS.Config == nil {
		return silent{errors.New("postgres: the listener has no certificate")}
	}
	var leaf *tls.Certificate
	err := l.c.ServeTLS(ctx, recordCertificate(l.o.TLS.Config, &leaf))
	if err != nil {
		return silent{fmt.Errorf("client: %w", err)}
	}
	l.leaf = leaf
	return nil
}

// recordCertificate returns cfg as this protocol needs it, and makes a handshake leave the certificate that it showed in
// leaf: channel binding needs it, and a server's tls.ConnectionState does not tell. Sessions are not resumed, as in
// PostgreSQL, since a resumed one shows no certificate.
func recordCertificate(cfg *tls.Config, leaf **tls.Certificate) *tls.Config {
	c := cfg.Clone()
	c.NextProtos = []string{alpn}
	c.SessionTicketsDisabled = true
	if perClient := cfg.GetConfigForClient; perClient != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := perClient(hello)
			if err != nil || chosen == nil {
				return nil, err
			}
			return recordCertificate(chosen, leaf), nil
		}
	}
	c.Certificates = nil
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		chosen, err := chooseCertificate(cfg, hello)
		*leaf = chosen
		return chosen, err
	}
	return c
}

// chooseCertificate chooses as crypto/tls does (tls.Config.Certificates, GetCertificate).
func chooseCertificate(cfg *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cfg.GetCertificate != nil && (len(cfg.Certificates) == 0 || hello.ServerName != "") {
		if chosen, err := cfg.GetCertificate(hello); chosen != nil || err != nil {
			return chosen, err
		}
	}
	if len(cfg.Certificates) == 0 {
		return nil, errors.New("no certificates configured")
	}
	for i := range cfg.Certificates {
		if hello.SupportsCertificate(&cfg.Certificates[i]) == nil {
			return &cfg.Certificates[i], nil
		}
	}
	return &cfg.Certificates[0], nil
}

// leafOf parses the first certificate of a chain, unless that was done.
func leafOf(c *tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	if len(c.Certificate) == 0 {
		return nil, errors.New("empty certificate chain")
	}
	return x509.ParseCertificate(c.Certificate[0])
}
