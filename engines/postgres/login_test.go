package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

func TestAClientLogsInWithSCRAM(t *testing.T) {
	f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
	pg, err := f.connect(t, "application_name=App dbname=shop", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := f.result(t).accepted
	if a.User != "alice" || a.Database != "shop" || a.Application != "App" {
		t.Errorf("accepted %+v", a)
	}
	want := engine.Key{User: "alice", Database: "shop"}
	if a.Key != want {
		t.Errorf("key %q, want %q", a.Key, want)
	}
	if pg.PID() != 4711 || string(pg.SecretKey()) != string(a.Secret) || len(a.Secret) != 4 {
		t.Errorf("process id %d, secret %x; accepted secret %x", pg.PID(), pg.SecretKey(), a.Secret)
	}
}

func TestAPasswordThatCannotBeNormalisedIsTakenAsItIs(t *testing.T) {
	for _, password := range []string{"", "a\u0007b", "\u0627\u0031", "\U0001f511 key", strings.Repeat("long", 500)} {
		f := listen(t, engine.AcceptOptions{}, user("alice", password))
		_, err := f.connect(t, "", func(c *pgconn.Config) { c.Password = password })
		if err != nil {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

func TestAnUnknownUserCannotBeToldFromAWrongPassword(t *testing.T) {
	for _, authType := range []string{"", "postgres_scram_sha_256", authMD5} {
		t.Run(authType, func(t *testing.T) {
			alice := user("alice", "secret")
			alice.AuthType = authType
			f := listen(t, engine.AcceptOptions{}, alice)
			_, err := f.connect(t, "", func(c *pgconn.Config) { c.Password = "wrong" })
			wantCode(t, err, "28P01", "The password that was provided for the role alice is wrong.")
			if err := f.result(t).err; !errors.Is(err, engine.ErrDenied) || errors.Is(err, engine.ErrNoCredential) {
				t.Errorf("accept returned %v", err)
			}
			_, err = f.connect(t, "", func(c *pgconn.Config) { c.User = "mallory" })
			wantCode(t, err, "28P01", "The password that was provided for the role mallory is wrong.")
			if err := f.result(t).err; !errors.Is(err, engine.ErrNoCredential) {
				t.Errorf("accept returned %v", err)
			}
		})
	}
}

func TestAnEmptyPasswordOfAnUnknownUserIsWrongToo(t *testing.T) {
	bob := user("bob", "")
	bob.AuthType = authMD5
	f := listen(t, engine.AcceptOptions{}, bob)
	_, err := f.connect(t, "", func(c *pgconn.Config) { c.Password = "" })
	wantCode(t, err, "28P01", "The password that was provided for the role alice is wrong.")
}

func TestAClientLogsInWithMD5(t *testing.T) {
	alice := user("alice", "secret")
	alice.AuthType = authMD5
	f := listen(t, engine.AcceptOptions{}, alice)
	if _, err := f.connect(t, "require_auth=md5", nil); err != nil {
		t.Fatal(err)
	}
}

func TestTheLoginIsBoundToTheCertificate(t *testing.T) {
	f := listen(t, withTLS(engine.TLSAllow, ecdsaCertificate(t)), user("alice", "secret"))
	if _, err := f.connect(t, "sslmode=require channel_binding=require", nil); err != nil {
		t.Fatal(err)
	}
	// Without binding it works as well, for a client that does not know of it ("n")...
	if _, err := f.connect(t, "sslmode=disable", nil); err != nil {
		t.Fatal(err)
	}
}

func TestTheLoginIsBoundToTheCertificateThatWasServed(t *testing.T) {
	first, second := ecdsaCertificate(t), ecdsaCertificate(t)
	var mu sync.Mutex
	served := 0
	next := func() *tls.Certificate {
		mu.Lock()
		defer mu.Unlock()
		served++
		return []*tls.Certificate{&first, &second}[served%2]
	}
	configs := map[string]*tls.Config{
		"GetCertificate": {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return next(), nil }},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{*next()}}, nil
		}},
		"both": {
			Certificates: []tls.Certificate{first},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, nil
			},
		},
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			f := listen(t, engine.AcceptOptions{TLS: engine.ClientTLS{Mode: engine.TLSRequire, Config: config}}, user("alice", "secret"))
			for range 4 {
				if _, err := f.connect(t, "sslmode=require channel_binding=require", nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestACertificateWithoutAHashOffersNoBinding(t *testing.T) {
	f := listen(t, withTLS(engine.TLSAllow, ed25519Certificate(t)), user("alice", "secret"))
	if _, err := f.connect(t, "sslmode=require channel_binding=prefer", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.connect(t, "sslmode=require channel_binding=require", nil); err == nil {
		t.Fatal("a binding was offered")
	}
}

func TestDirectTLSNeedsTheProtocolsName(t *testing.T) {
	f := listen(t, withTLS(engine.TLSRequire, ecdsaCertificate(t)), user("alice", "secret"))
	if _, err := f.connect(t, "sslmode=require sslnegotiation=direct channel_binding=require", nil); err != nil {
		t.Fatal(err)
	}
	f.result(t)
	c := tls.Client(f.dial(t).Conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	kind, _ := raw{t, c}.message()
	if kind != 'E' {
		t.Errorf("got message %q", kind)
	}
	var protocol *engine.ProtocolError
	if err := f.result(t).err; !errors.As(err, &protocol) {
		t.Errorf("accept returned %v", err)
	}
	other := tls.Client(f.dial(t).Conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := other.Handshake(); err == nil {
		t.Error("another protocol was agreed on")
	}
}

func TestDirectTLSWhereTLSIsDisabledIsClosed(t *testing.T) {
	f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
	r := f.dial(t)
	r.send(0x16, 3, 1, 0, 5)
	if p := r.rest(); len(p) != 0 {
		t.Errorf("got %q", p)
	}
	if f.result(t).err == nil {
		t.Error("accepted")
	}
}

func TestAListenerMayRequireTLS(t *testing.T) {
	f := listen(t, withTLS(engine.TLSRequire, ecdsaCertificate(t)), user("alice", "secret"))
	_, err := f.connect(t, "sslmode=disable", nil)
	wantCode(t, err, "28000", "This RDS Proxy requires TLS connections.")
	if err := f.result(t).err; !errors.Is(err, engine.ErrTLSRequired) {
		t.Errorf("accept returned %v", err)
	}
	if _, err := f.connect(t, "sslmode=require", nil); err != nil {
		t.Error(err)
	}
}

func TestAClientThatPrefersTLSGoesOnWithoutIt(t *testing.T) {
	f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
	r := f.dial(t)
	r.send(packet(codeGSS, "")...)
	r.expect("N")
	r.send(packet(codeSSL, "")...)
	r.expect("N")
	r.send(packet(protocol30, "user\x00alice\x00\x00")...)
	if kind, body := r.message(); kind != 'R' || string(body) != "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00" {
		t.Errorf("got %q %q", kind, body)
	}
}

func TestBytesInClearBehindAnSSLRequestAreNeverUsed(t *testing.T) {
	f := listen(t, withTLS(engine.TLSAllow, ecdsaCertificate(t)), user("alice", "secret"))
	r := f.dial(t)
	r.send(append(packet(codeSSL, ""), packet(protocol30, "user\x00alice\x00\x00")...)...)
	r.expect("S")
	if p := r.rest(); strings.Contains(string(p), "SCRAM") {
		t.Errorf("got %q", p)
	}
	if err := f.result(t).err; err == nil {
		t.Error("accepted")
	}
}

func TestEncryptionCanBeAskedForOnce(t *testing.T) {
	for name, code := range map[string]uint32{"SSL": codeSSL, "GSSAPI encryption": codeGSS} {
		f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
		r := f.dial(t)
		r.send(packet(code, "")...)
		r.expect("N")
		r.send(packet(code, "")...)
		kind, body := r.message()
		want := parseServerError(body)
		if kind != 'E' || want.Code != "08P01" || want.Message != name+" was requested twice" {
			t.Errorf("%s: got %q %v", name, kind, want)
		}
		f.result(t)
	}
}

func TestEncryptionInsideTLSIsRefused(t *testing.T) {
	for _, code := range []uint32{codeSSL, codeGSS} {
		f := listen(t, withTLS(engine.TLSAllow, ecdsaCertificate(t)), user("alice", "secret"))
		r := f.dial(t)
		r.send(packet(codeSSL, "")...)
		r.expect("S")
		c := tls.Client(r.Conn, &tls.Config{InsecureSkipVerify: true})
		inner := raw{t, c}
		inner.send(packet(code, "")...)
		if kind, body := inner.message(); kind != 'E' || parseServerError(body).Code != "08P01" {
			t.Errorf("got %q %q", kind, body)
		}
	}
}

func TestCancelRequestsAreHandedOverWhateverTheListenerThinksOfTheClient(t *testing.T) {
	o := withTLS(engine.TLSRequire, ecdsaCertificate(t))
	o.Refuse = engine.ErrTooManyClients
	f := listen(t, o)
	for _, n := range []int{4, 32, 256} {
		secret := strings.Repeat("k", n)
		want := func(r raw) {
			r.send(packet(codeCancel, "\x00\x00\x00\x2a"+secret)...)
			got := f.result(t)
			if got.err != nil || got.accepted.Cancel == nil || got.accepted.Cancel.ID != 42 || string(got.accepted.Cancel.Secret) != secret {
				t.Errorf("key of %d bytes: %+v", n, got)
			}
		}
		want(f.dial(t))
		r := f.dial(t)
		r.send(packet(codeSSL, "")...)
		r.expect("S")
		want(raw{t, tls.Client(r.Conn, &tls.Config{InsecureSkipVerify: true})})
	}
}

func TestAMalformedCancelRequestGetsNoAnswer(t *testing.T) {
	f := listen(t, engine.AcceptOptions{})
	for _, n := range []int{0, 3, 7, 261} {
		r := f.dial(t)
		r.send(packet(codeCancel, strings.Repeat("x", n))...)
		if p := r.rest(); len(p) != 0 {
			t.Errorf("%d bytes: got %q", n, p)
		}
		if f.result(t).err == nil {
			t.Errorf("%d bytes: accepted", n)
		}
	}
}

func TestARefusedClientIsToldWhy(t *testing.T) {
	f := listen(t, engine.AcceptOptions{Refuse: engine.ErrTooManyClients}, user("alice", "secret"))
	_, err := f.connect(t, "", nil)
	wantCode(t, err, "53300", "The maximum number of client connections to the proxy was exceeded.")
	if err := f.result(t).err; !errors.Is(err, engine.ErrTooManyClients) {
		t.Errorf("accept returned %v", err)
	}
}

func TestAClientThatSaysNothingIsNoError(t *testing.T) {
	f := listen(t, engine.AcceptOptions{})
	_ = f.dial(t).Close()
	if err := f.result(t).err; err != io.EOF {
		t.Errorf("accept returned %v", err)
	}
}

// pair is both ends of one connection.
func pair(t *testing.T) (server *engine.Conn, client raw) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	return socket.New(far), raw{t, near}
}

func TestASlowClientIsToldThatItsTimeIsUp(t *testing.T) {
	e := New(Config{Credentials: users{user("alice", "secret")}})
	cases := map[string]func(*engine.Conn) (context.Context, context.CancelFunc){
		"deadline": func(c *engine.Conn) (context.Context, context.CancelFunc) {
			_ = c.SetDeadline(time.Now().Add(30 * time.Millisecond))
			return context.WithCancel(t.Context())
		},
		"context": func(*engine.Conn) (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 30*time.Millisecond)
		},
		"over as it is answered": func(c *engine.Conn) (context.Context, context.CancelFunc) {
			_ = c.SetWriteDeadline(time.Unix(1, 0))
			return context.WithTimeout(t.Context(), 30*time.Millisecond)
		},
	}
	for name, limit := range cases {
		for _, sent := range []string{"", "\x00\x00", string(packet(protocol30, "user\x00alice\x00\x00"))} {
			c, r := pair(t)
			r.send([]byte(sent)...)
			ctx, cancel := limit(c)
			_, err := e.Accept(ctx, c, engine.AcceptOptions{ID: 1})
			cancel()
			if !errors.Is(err, engine.ErrLoginTimeout) {
				t.Errorf("%s, %q: accept returned %v", name, sent, err)
			}
			_ = c.Close()
			if p := r.rest(); !strings.Contains(string(p), "C57014\x00") {
				t.Errorf("%s, %q: the client read %q", name, sent, p)
			}
		}
	}
}

func TestAcceptEndsWhenTheProxyStopsWaiting(t *testing.T) {
	c, r := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := New(Config{Credentials: users{}}).Accept(ctx, c, engine.AcceptOptions{ID: 1})
	if !errors.Is(err, engine.ErrShutdown) {
		t.Errorf("accept returned %v", err)
	}
	_ = c.Close()
	if p := r.rest(); !strings.Contains(string(p), "C57P01\x00") {
		t.Errorf("the client read %q", p)
	}
}

func TestASecretStoreThatFailsIsNotAWrongPassword(t *testing.T) {
	c, r := pair(t)
	r.send(packet(protocol30, "user\x00alice\x00\x00")...)
	failed := errors.New("the store at 10.1.2.3 is down")
	_, err := New(Config{Credentials: broken{failed}}).Accept(t.Context(), c, engine.AcceptOptions{ID: 1})
	if !errors.Is(err, failed) {
		t.Errorf("accept returned %v", err)
	}
	_ = c.Close()
	if p := string(r.rest()); !strings.Contains(p, "CXX000\x00") || strings.Contains(p, "10.1.2.3") {
		t.Errorf("the client read %q", p)
	}
}

type broken struct{ err error }

func (b broken) Credential(context.Context, string) (engine.Credential, error) {
	return engine.Credential{}, b.err
}
func (b broken) Any(context.Context) (engine.Credential, error) { return engine.Credential{}, b.err }

// scripted sends what a client says in single bytes, to show that nothing depends on how it is cut.
func TestALoginMayComeByteByByte(t *testing.T) {
	f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
	_, err := f.connect(t, "application_name="+strings.Repeat("x", 3000), func(c *pgconn.Config) {
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dial(ctx, network, address)
			return dribble{nc}, err
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestNothingIsReadBeyondTheLogin(t *testing.T) {
	f := New(Config{Credentials: users{{User: "alice", Password: engine.NewSecret("secret"), AuthType: authMD5}}})
	c, r := pair(t)
	done := make(chan error, 1)
	go func() {
		_, err := f.Accept(context.Background(), c, engine.AcceptOptions{ID: 1})
		done <- err
	}()
	r.send(packet(protocol30, "user\x00alice\x00\x00")...)
	_, body := r.message()
	answer := "md5" + hexMD5(append([]byte(hexMD5([]byte("secretalice"))), body[4:]...))
	r.send([]byte(fmt.Sprintf("p\x00\x00\x00\x28%s\x00Q\x00\x00\x00\x05", answer))...)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var next [5]byte
	if _, err := io.ReadFull(c, next[:]); err != nil || string(next[:]) != "Q\x00\x00\x00\x05" {
		t.Errorf("next came %q, %v", next, err)
	}
}

func TestSessionsOfOneUserHaveTheirNamesInCommon(t *testing.T) {
	e := New(Config{})
	accepted := func() engine.Accepted {
		settings := []parameter{{applicationName, strings.Clone("shop")}, {"timezone", "UTC"}}
		return (&login{e: e}).accepted(startup{user: strings.Clone("app"), database: strings.Clone("orders"), settings: settings})
	}
	a, b := accepted(), accepted()
	for _, pair := range [][2]string{
		{a.Key.User, b.Key.User}, {a.Key.Database, b.Key.Database}, {a.Key.Options, b.Key.Options}, {a.User, b.User}, {a.Application, b.Application},
	} {
		if pair[0] == "" || pair[0] != pair[1] || unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}
