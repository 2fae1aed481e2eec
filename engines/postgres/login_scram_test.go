package postgres

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"github.com/berthdb/berth/core/engine"
)

func TestAVerifierIsTheOneOfTheStandard(t *testing.T) {
	// RFC 7677, section 3: user "user", password "pencil".
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := deriveVerifier("pencil", scram.KeyFactors{Salt: string(salt), Iters: scramIterations})
	if err != nil {
		t.Fatal(err)
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		t.Fatal(err)
	}
	const clientNonce, serverNonce = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	server.WithNonceGenerator(func() string { return serverNonce })
	c := server.NewConversation()
	first, err := c.Step("n,,n=user,r=" + clientNonce)
	if err != nil || first != "r="+clientNonce+serverNonce+",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096" {
		t.Fatalf("got %q, %v", first, err)
	}
	final, err := c.Step("c=biws,r=" + clientNonce + serverNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err != nil || final != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" || !c.Valid() {
		t.Fatalf("got %q, %v", final, err)
	}
}

func TestPasswordsAreNormalisedAsTheServerDoes(t *testing.T) {
	factors := scram.KeyFactors{Salt: "salt", Iters: scramIterations}
	verifier := func(password string) string {
		t.Helper()
		v, err := deriveVerifier(password, factors)
		if err != nil {
			t.Fatal(err)
		}
		return string(v.StoredKey)
	}
	// RFC 4013, section 3.
	for password, normal := range map[string]string{"I\u00adX": "IX", "\u2168": "IX", "\u00aa": "a", "user": "user", "a\u00a0b": "a b"} {
		if verifier(password) != verifier(normal) {
			t.Errorf("%q is not %q", password, normal)
		}
	}
	if verifier("USER") == verifier("user") {
		t.Error("letter case was folded")
	}
	for _, raw := range []string{"\u0007", "\u0627\u0031", "bad \xff"} {
		client, err := scram.SHA256.NewClientUnprepped("", raw, "")
		if err != nil {
			t.Fatal(err)
		}
		want, err := client.GetStoredCredentialsWithError(factors)
		if err != nil {
			t.Fatal(err)
		}
		if verifier(raw) != string(want.StoredKey) {
			t.Errorf("%q was not taken as it is", raw)
		}
	}
}

func TestAPasswordIsDerivedOnceUntilItChanges(t *testing.T) {
	e := New(Config{Credentials: users{}})
	a := account{user: "alice", password: engine.NewSecret("one"), exists: true}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := e.verifier(a); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, _ := e.verifiers.get("alice")
	if _, err := e.verifier(a); err != nil {
		t.Fatal(err)
	}
	if again, _ := e.verifiers.get("alice"); again != first {
		t.Error("derived twice")
	}
	a.password = engine.NewSecret("two")
	rotated, err := e.verifier(a)
	if err != nil {
		t.Fatal(err)
	}
	if string(rotated.StoredKey) == string(first.stored.StoredKey) {
		t.Error("the old password is still good")
	}
}

func TestAnUnknownUsersSaltLooksReal(t *testing.T) {
	e := New(Config{Credentials: users{}})
	mallory := account{user: "mallory"}
	one, _ := e.verifier(mallory)
	two, _ := e.verifier(mallory)
	other, _ := e.verifier(account{user: "eve"})
	alice, _ := e.verifier(account{user: "alice", password: engine.NewSecret("x"), exists: true})
	if one.Salt != two.Salt || one.Salt == other.Salt || len(one.Salt) != len(alice.Salt) || one.Iters != alice.Iters {
		t.Errorf("salts %x, %x, %x, %x", one.Salt, two.Salt, other.Salt, alice.Salt)
	}
	if New(Config{Credentials: users{}}).keyFactors("mallory", "").Salt == one.Salt {
		t.Error("the salt can be foretold")
	}
}

// offer begins a SCRAM login and returns the client after the server's offer.
func offer(t *testing.T, o engine.AcceptOptions) (*front, raw) {
	t.Helper()
	f := listen(t, o, user("alice", "secret"))
	r := f.dial(t)
	r.send(packet(protocol30, "user\x00alice\x00\x00")...)
	if kind, body := r.message(); kind != 'R' {
		t.Fatalf("got %q %q", kind, body)
	}
	return f, r
}

func initial(mechanism, data string) []byte {
	m := pgproto3.SASLInitialResponse{AuthMechanism: mechanism, Data: []byte(data)}
	p, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	return p
}

func TestBrokenExchangesAreRefused(t *testing.T) {
	long := strings.Repeat("x", maxSASLMessage)
	cases := []struct {
		name    string
		message []byte
		code    string
	}{
		{"another message", []byte("Q\x00\x00\x00\x05\x00"), "08P01"},
		{"a message shorter than its length", []byte("p\x00\x00\x00\x03"), "08P01"},
		{"a message of 64 KiB", []byte("p\x00\x01\x00\x04"), "08P01"},
		{"a message of 4 GiB", []byte("p\xff\xff\xff\xff"), "08P01"},
		{"an empty message", []byte("p\x00\x00\x00\x04"), "08P01"},
		{"a mechanism without its end", []byte("p\x00\x00\x00\x09SCRAM"), "08P01"},
		{"no length", []byte("p\x00\x00\x00\x14SCRAM-SHA-256\x00\x00\x00"), "08P01"},
		{"a length beyond the message", []byte("p\x00\x00\x00\x17SCRAM-SHA-256\x00\x00\x00\x00\x02n"), "08P01"},
		{"a negative length", []byte("p\x00\x00\x00\x17SCRAM-SHA-256\x00\x80\x00\x00\x01n"), "08P01"},
		{"bytes behind the response", []byte("p\x00\x00\x00\x18SCRAM-SHA-256\x00\x00\x00\x00\x01nx"), "08P01"},
		{"no response", []byte("p\x00\x00\x00\x16SCRAM-SHA-256\x00\xff\xff\xff\xff"), "08P01"},
		{"an unknown mechanism", initial("SCRAM-SHA-512", "n,,n=,r=abc"), "08P01"},
		{"binding without TLS", initial(mechanismSCRAMPlus, "p=tls-server-end-point,,n=,r=abc"), "08P01"},
		{"a binding flag for the plain mechanism", initial(mechanismSCRAM, "p=tls-server-end-point,,n=,r=abc"), "08P01"},
		{"an authorization identity", initial(mechanismSCRAM, "n,a=root,n=,r=abc"), "0A000"},
		{"an unknown flag", initial(mechanismSCRAM, "x,,n=,r=abc"), "08P01"},
		{"an extension", initial(mechanismSCRAM, "n,,m=1,n=,r=abc"), "08P01"},
		{"too few fields", initial(mechanismSCRAM, "n,"), "08P01"},
		{"nothing", initial(mechanismSCRAM, ""), "08P01"},
		{"a NUL", initial(mechanismSCRAM, "n,,n=,r=a\x00bc"), "08P01"},
		{"a long nonce", initial(mechanismSCRAM, "n,,n=,r="+long), "08P01"},
	}
	for _, c := range cases {
		f, r := offer(t, engine.AcceptOptions{})
		r.send(c.message...)
		kind, body := r.message()
		if got := parseServerError(body); kind != 'E' || got.Code != c.code {
			t.Errorf("%s: got %q %v", c.name, kind, got)
		}
		if err := f.result(t).err; err == nil || errors.Is(err, engine.ErrDenied) {
			t.Errorf("%s: accept returned %v", c.name, err)
		}
	}
}

func TestBrokenProofsAreRefused(t *testing.T) {
	cases := []struct{ name, final, code string }{
		{"a wrong proof", "c=biws,r=NONCE,p=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "28P01"},
		{"a short proof", "c=biws,r=NONCE,p=AAAA", "08P01"},
		{"another nonce", "c=biws,r=NONCEx,p=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "08P01"},
		{"another header", "c=eSws,r=NONCE,p=" + base64.StdEncoding.EncodeToString(make([]byte, 32)), "28000"},
		{"no proof", "c=biws,r=NONCE", "08P01"},
		{"garbage", "\xff\xfe", "08P01"},
		{"nothing", "", "08P01"},
		{"too much", "c=biws,r=NONCE," + strings.Repeat("x", maxSASLMessage), "08P01"},
	}
	for _, c := range cases {
		_, r := offer(t, engine.AcceptOptions{})
		r.send(initial(mechanismSCRAM, "n,,n=ignored,r=abc")...)
		kind, body := r.message()
		nonce, _, ok := strings.Cut(strings.TrimPrefix(string(body[4:]), "r="), ",")
		if kind != 'R' || !ok {
			t.Fatalf("got %q %q", kind, body)
		}
		final := strings.Replace(c.final, "NONCE", nonce, 1)
		p := binary.BigEndian.AppendUint32([]byte{'p'}, uint32(4+len(final)))
		r.send(append(p, final...)...)
		kind, body = r.message()
		if got := parseServerError(body); kind != 'E' || got.Code != c.code {
			t.Errorf("%s: got %q %v", c.name, kind, got)
		}
	}
}

func TestAClientThatCouldBindLogsInWhereNothingIsToBeBound(t *testing.T) {
	f, r := offer(t, engine.AcceptOptions{})
	client, err := scram.SHA256.NewClient("somebody", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewConversationAdvertisingChannelBinding()
	first, err := c.Step("")
	if err != nil || !strings.HasPrefix(first, "y,,") {
		t.Fatalf("%q, %v", first, err)
	}
	r.send(initial(mechanismSCRAM, first)...)
	_, body := r.message()
	final, err := c.Step(string(body[4:]))
	if err != nil || !strings.HasPrefix(final, "c=eSws,") {
		t.Fatalf("%q, %v", final, err)
	}
	p := binary.BigEndian.AppendUint32([]byte{'p'}, uint32(4+len(final)))
	r.send(append(p, final...)...)
	_, body = r.message()
	if _, err := c.Step(string(body[4:])); err != nil || !c.Valid() {
		t.Errorf("the server did not prove itself: %q, %v", body, err)
	}
	if kind, body := r.message(); kind != 'R' || binary.BigEndian.Uint32(body) != authOk {
		t.Errorf("got %q %q", kind, body)
	}
	if err := f.result(t).err; err != nil {
		t.Error(err)
	}
}

func TestAClientThatWasNotShownTheBindingIsWarned(t *testing.T) {
	l := &login{}
	cert := ecdsaCertificate(t)
	l.leaf = &cert
	binding := l.channelBinding()
	if !binding.IsSupported() || binding.Type != scram.ChannelBindingTLSServerEndpoint || len(binding.Data) != 48 {
		t.Fatalf("binding %+v", binding) // SHA-384, as the certificate's signature
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return scram.StoredCredentials{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	first, err := parseSASLInitial(initial(mechanismSCRAM, "y,,n=,r=abc")[5:], true)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := server.NewConversationWithChannelBinding(binding).Step(first)
	if code, message := describe(scramError(reply, err)); code != "28000" || !strings.Contains(message, "does support channel binding") {
		t.Errorf("got %s %q", code, message)
	}
	// Without TLS there was nothing to show.
	if _, err := server.NewConversationWithChannelBinding(scram.ChannelBinding{}).Step(first); err != nil {
		t.Error(err)
	}
}

func TestTheHashOfABindingIsTheSignaturesOwn(t *testing.T) {
	rsa := rsaKey(t)
	for algorithm, size := range map[x509.SignatureAlgorithm]int{
		x509.SHA256WithRSA: 32, x509.SHA384WithRSA: 48, x509.SHA512WithRSA: 64, x509.SHA256WithRSAPSS: 32,
	} {
		cert := certificate(t, rsa, algorithm)
		l := &login{leaf: &cert}
		if got := len(l.channelBinding().Data); got != size {
			t.Errorf("%v: %d bytes, want %d", algorithm, got, size)
		}
	}
}

// BenchmarkVerifier is what a login costs beside the exchange once its password has been derived.
func BenchmarkVerifier(b *testing.B) {
	e := New(Config{Credentials: users{}})
	a := account{user: "alice", password: engine.NewSecret("secret"), exists: true}
	for b.Loop() {
		if _, err := e.verifier(a); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzSASLInitial compares with pgx: what we take it takes, with the same data.
func FuzzSASLInitial(f *testing.F) {
	f.Add(initial(mechanismSCRAM, "n,,n=,r=abc")[5:], false)
	f.Add(initial(mechanismSCRAMPlus, "p=tls-server-end-point,,n=,r=abc")[5:], true)
	f.Add([]byte("SCRAM-SHA-256\x00\xff\xff\xff\xff"), true)
	f.Fuzz(func(t *testing.T, body []byte, plus bool) {
		first, err := parseSASLInitial(body, plus)
		if err != nil {
			return
		}
		var m pgproto3.SASLInitialResponse
		if err := m.Decode(body); err != nil || string(m.Data) != first {
			t.Fatalf("%q: %q, pgx says %q, %v", body, first, m.Data, err)
		}
	})
}

// FuzzSCRAM runs whole exchanges with whatever a client may send.
func FuzzSCRAM(f *testing.F) {
	f.Add("n,,n=,r=abc", "c=biws,r=NONCE,p=AAAA", false)
	f.Add("y,,n=,r=abc", "c=eSws,r=NONCE,x=y,p=", false)
	f.Add("p=tls-server-end-point,,n==2C,r=abc,x=", "c=,r=,p=", true)
	f.Fuzz(func(t *testing.T, first, final string, plus bool) {
		mechanism, binding := mechanismSCRAM, scram.ChannelBinding{}
		if plus {
			mechanism = mechanismSCRAMPlus
			binding = scram.ChannelBinding{Type: scram.ChannelBindingTLSServerEndpoint, Data: []byte("hash")}
		}
		text, err := parseSASLInitial(initial(mechanism, first)[5:], plus)
		if err != nil {
			return
		}
		server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
			return scram.StoredCredentials{StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		c := server.NewConversationWithChannelBinding(binding)
		reply, err := c.Step(text)
		if err != nil {
			_ = scramError(reply, err)
			return
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(reply, "r="), ",")
		reply, err = c.Step(strings.ReplaceAll(final, "NONCE", nonce))
		if err == nil || c.Valid() {
			t.Fatalf("%q and %q prove a password that nobody has: %q", first, final, reply)
		}
		_ = scramError(reply, err)
	})
}
