package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/berthdb/berth/core/engine"
)

// requestTLS asks a server for TLS (54.2.10) and performs the handshake. It returns nil if the server has none and t does not
// insist. Exactly the one byte of the answer is read before the handshake, so whatever an attacker puts behind it is
// read by TLS, which fails (CVE-2021-23222).
func requestTLS(ctx context.Context, conn *engine.Conn, t engine.Target) (*tls.Conn, error) {
	request := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 8}, codeSSL)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, fmt.Errorf("answer to SSLRequest: %w", err)
	}
	switch answer[0] {
	case 'S':
	case 'N':
		if t.TLS.Mode == engine.TargetTLSPrefer {
			return nil, nil
		}
		return nil, &mismatch{engine.ErrTargetTLS}
	default:
		// An ErrorResponse may be a server's that could not even start a process. It is not authenticated, so
		// nobody is shown its text (CVE-2024-10977).
		return nil, &engine.ProtocolError{Side: engine.SideBackend, Reason: fmt.Sprintf("answer to SSLRequest: unexpected byte %q", answer[0])}
	}
	config, err := targetTLSConfig(t)
	if err != nil {
		return nil, err
	}
	encrypted := tls.Client(conn.Transport(), config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		var certificate *tls.CertificateVerificationError
		if errors.As(err, &certificate) {
			return nil, &mismatch{err}
		}
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	return encrypted, conn.Adopt(encrypted)
}

// targetTLSConfig is libpq's sslmode in crypto/tls' terms.
func targetTLSConfig(t engine.Target) (*tls.Config, error) {
	name := t.TLS.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(t.Address)
		if err != nil {
			return nil, err
		}
		name = host
	}
	roots := t.TLS.Roots()
	c := &tls.Config{
		ServerName: name, // also sent to the server (SNI), whatever the mode, unless it is an IP address
		RootCAs:    roots,
		NextProtos: []string{alpn},
		MinVersion: tls.VersionTLS12,
	}
	switch t.TLS.Mode {
	case engine.TargetTLSVerifyFull:
	case engine.TargetTLSVerifyCA:
		c.InsecureSkipVerify = true // replaced by a check of the chain alone
		c.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	default:
		c.InsecureSkipVerify = true
	}
	return c, nil
}

// verifyChain checks that a peer's certificate chains to roots, whomever it names.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	if err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}
