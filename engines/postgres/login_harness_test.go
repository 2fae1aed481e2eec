package postgres

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// users is a fixed set of credentials.
type users []engine.Credential

func (u users) Credential(_ context.Context, name string) (engine.Credential, error) {
	for _, c := range u {
		if c.User == name {
			return c, nil
		}
	}
	return engine.Credential{}, engine.ErrNoCredential
}

func (u users) Any(context.Context) (engine.Credential, error) {
	if len(u) == 0 {
		return engine.Credential{}, engine.ErrNoCredential
	}
	return u[0], nil
}

func user(name, password string) engine.Credential {
	return engine.Credential{User: name, Password: engine.NewSecret(password)}
}

// front is an engine that accepts logins on a port, and finishes them as a machine would.
type front struct {
	engine  *Engine
	address string
	results chan outcome
}

type outcome struct {
	accepted engine.Accepted
	err      error
}

func listen(t *testing.T, o engine.AcceptOptions, u ...engine.Credential) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &front{New(Config{Credentials: users(u)}), l.Addr().String(), make(chan outcome, 64)}
	if o.ID == 0 {
		o.ID = 4711
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(nc, o)
		}
	}()
	return f
}

func (f *front) serve(nc net.Conn, o engine.AcceptOptions) {
	c := socket.New(nc)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	a, err := f.engine.Accept(context.Background(), c, o)
	if err == nil && a.Cancel == nil {
		key := binary.BigEndian.AppendUint32([]byte{'K'}, uint32(8+len(a.Secret)))
		key = append(binary.BigEndian.AppendUint32(key, o.ID), a.Secret...)
		_, _ = c.Write(append(key, 'Z', 0, 0, 0, 5, 'I'))
	}
	f.results <- outcome{a, err}
	if err == nil {
		_, _ = io.Copy(io.Discard, c)
	}
}

func (f *front) result(t *testing.T) outcome {
	t.Helper()
	select {
	case r := <-f.results:
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("the login did not end")
		return outcome{}
	}
}

// connect logs in with pgx's client; change adjusts its configuration.
func (f *front) connect(t *testing.T, text string, change func(*pgconn.Config)) (*pgconn.PgConn, error) {
	t.Helper()
	host, port, _ := net.SplitHostPort(f.address)
	config, err := pgconn.ParseConfig("host=" + host + " port=" + port + " user=alice password=secret sslmode=disable " + text)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(config)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err == nil {
		t.Cleanup(func() { _ = pg.Conn().Close() })
	}
	return pg, err
}

func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("got %v, want an error of the server", err)
	}
	if pg.Code != code || pg.Message != message || pg.Severity != "FATAL" {
		t.Errorf("got %s %s %q, want FATAL %s %q", pg.Severity, pg.Code, pg.Message, code, message)
	}
}

// raw is a client that says what it is told to.
type raw struct {
	t *testing.T
	net.Conn
}

func (f *front) dial(t *testing.T) raw {
	t.Helper()
	nc, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return raw{t, nc}
}

func (r raw) send(p ...byte) {
	r.t.Helper()
	if _, err := r.Write(p); err != nil {
		r.t.Fatal(err)
	}
}

func (r raw) expect(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		r.t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// rest reads until the other side closes. A reset is a way to close, too.
func (r raw) rest() []byte {
	r.t.Helper()
	p, err := io.ReadAll(r)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		r.t.Fatal("the connection stays open")
	}
	return p
}

// message reads one typed message.
func (r raw) message() (kind byte, body []byte) {
	r.t.Helper()
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		r.t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(header[1:])-4)
	if _, err := io.ReadFull(r, body); err != nil {
		r.t.Fatal(err)
	}
	return header[0], body
}

// packet is a message without a type byte.
func packet(code uint32, body string) []byte {
	p := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(binary.BigEndian.AppendUint32(p, code), body...)
}

// certificate makes a self-signed one for 127.0.0.1 and localhost.
func certificate(t *testing.T, key crypto.Signer, algorithm x509.SignatureAlgorithm) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		SignatureAlgorithm:    algorithm,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func ecdsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certificate(t, key, x509.ECDSAWithSHA384)
}

func ed25519Certificate(t *testing.T) tls.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certificate(t, key, x509.PureEd25519)
}

func withTLS(mode engine.TLSMode, c tls.Certificate) engine.AcceptOptions {
	return engine.AcceptOptions{TLS: engine.ClientTLS{Mode: mode, Config: &tls.Config{Certificates: []tls.Certificate{c}}}}
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
