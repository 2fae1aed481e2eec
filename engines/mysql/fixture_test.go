package mysql

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// accounts are Credentials from memory: user to password.
type accounts struct {
	passwords map[string]string
	authType  string
}

func (a accounts) Credential(_ context.Context, user string) (engine.Credential, error) {
	password, ok := a.passwords[user]
	if !ok {
		return engine.Credential{}, engine.ErrNoCredential
	}
	return engine.Credential{User: user, Password: engine.NewSecret(password), AuthType: a.authType}, nil
}

func (a accounts) Any(ctx context.Context) (engine.Credential, error) {
	for user := range a.passwords {
		return a.Credential(ctx, user)
	}
	return engine.Credential{}, engine.ErrNoCredential
}

const (
	native      = "mysql_native_password"
	cachingSHA2 = "mysql_caching_sha2_password"
)

// password is longer than a salt, because it is encrypted with one.
const password = "s3cret-and-longer-than-a-salt"

// users are the accounts of most tests.
func users(authType string) accounts {
	return accounts{map[string]string{"app": password, "open": ""}, authType}
}

// mysqlServer and mariaServer are what a probe would have found out.
var (
	mysqlServer = serverInfo{version: "9.7.4", charset: 255, capabilities: 0xdfffffff}
	mariaServer = serverInfo{version: "5.5.5-10.11.18-MariaDB", mariaDB: true, charset: 8, capabilities: 0x81fff7fe}
)

// testEngine is an engine that has reached a server.
func testEngine(c Config, s serverInfo) *Engine {
	e := New(c)
	e.reach(s)
	return e
}

// certificate makes a self-signed certificate for localhost, and the pool that trusts it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// loopback returns both ends of a TCP connection.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return client, server
}

// outcome is what one login came to.
type outcome struct {
	info sessionInfo
	err  error
}

// startLogin runs accept on one end of a connection and returns the client's.
func startLogin(t testing.TB, e *Engine, o engine.AcceptOptions) (net.Conn, <-chan outcome) {
	t.Helper()
	client, server := loopback(t)
	done := make(chan outcome, 1)
	go func() {
		info, err := e.accept(context.Background(), socket.New(server), o)
		done <- outcome{info, err}
		if err != nil {
			_ = server.Close()
		}
	}()
	return client, done
}

// serve is a proxy without backends: clients log in, and every command is answered with OK.
func serve(t testing.TB, e *Engine, o engine.AcceptOptions) (address string, outcomes <-chan outcome) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	done := make(chan outcome, 64)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go serveOne(e, nc, o, done)
		}
	}()
	return ln.Addr().String(), done
}

func serveOne(e *Engine, nc net.Conn, o engine.AcceptOptions, done chan<- outcome) {
	c := socket.New(nc)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	o.ClientAddress = nc.RemoteAddr().String()
	info, err := e.accept(context.Background(), c, o)
	done <- outcome{info, err}
	if err != nil {
		return
	}
	answer := appendLoginOK(nil, &info, statusAutocommit)
	for {
		if _, err := c.Write(answer); err != nil {
			return
		}
		p := packets{conn: c}
		command, err := p.read()
		if err != nil || len(command) == 0 || command[0] == protocol.COM_QUIT {
			return
		}
		if answer = variablesFor(command); answer == nil {
			answer = appendOK(nil, 1, statusAutocommit)
		}
	}
}

// variablesFor answers the question for a fresh connection's variables; nil if command is another.
func variablesFor(command []byte) []byte {
	_, names, ok := strings.Cut(string(command), "SELECT "+identity)
	if !ok {
		return nil
	}
	packets := []string{string(rune(strings.Count(identity+names, ",") + 1))}
	row := ""
	for range packets[0][0] {
		packets = append(packets, columnOne)
		row += "\x017"
	}
	return reply(append(packets, row, endMariaDB)...)
}

// peer is the client's or the server's end of a scripted connection.
type peer struct {
	t testing.TB
	packets
	conn net.Conn
}

func newPeer(t testing.TB, c net.Conn) *peer {
	return &peer{t: t, packets: packets{conn: c}, conn: c}
}

func (p *peer) get() []byte {
	p.t.Helper()
	payload, err := p.read()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return payload
}

func (p *peer) put(payload []byte) {
	p.t.Helper()
	if err := p.write(payload); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// greetingFrom reads the greeting.
func (p *peer) greetingFrom() serverGreeting {
	p.t.Helper()
	g, err := parseGreeting(p.get())
	if err != nil {
		p.t.Fatal(err)
	}
	return g
}

// clientCaps are those of an ordinary client.
const clientCaps = protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION | protocol.CLIENT_PLUGIN_AUTH |
	protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_LONG_PASSWORD

// fixedPart begins a response: capabilities, packet size, charset 45, filler.
func fixedPart(caps uint32) []byte {
	p := binary.LittleEndian.AppendUint32(nil, caps)
	p = binary.LittleEndian.AppendUint32(p, 1<<24)
	return append(append(p, 45), make([]byte, 23)...)
}

// clientResponse is a whole response with clientCaps.
func clientResponse(user string, proof []byte, plugin string) []byte {
	p := append(fixedPart(clientCaps), user...)
	p = append(p, 0, byte(len(proof)))
	p = append(p, proof...)
	p = append(p, plugin...)
	return append(p, 0)
}

// within fails a test that waits for ever.
func within[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing happened for 10 seconds")
		panic("unreachable")
	}
}
