package mysql

import (
	"crypto/tls"
	"encoding/hex"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestTheProofOfACertificateNeedsPasswordSaltAndCertificate(t *testing.T) {
	proof := certificateProof("secret", fakeSalt, []byte("certificate"))
	if len(proof) != 65 || proof[0] != 1 {
		t.Fatalf("%q", proof)
	}
	if _, err := hex.DecodeString(proof[1:]); err != nil {
		t.Error(err)
	}
	for _, other := range []string{
		certificateProof("other", fakeSalt, []byte("certificate")),
		certificateProof("secret", []byte("another"), []byte("certificate")),
		certificateProof("secret", fakeSalt, []byte("another")),
	} {
		if other == proof {
			t.Error("something does not matter")
		}
	}
}

func TestTheFinalOKProvesTheCertificateToMariaDBsClients(t *testing.T) {
	cert, _ := certificate(t)
	one := &tls.Config{Certificates: []tls.Certificate{cert}}
	chosen := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}
	for name, c := range map[string]struct {
		server   serverInfo
		authType string
		cfg      *tls.Config
		user     string
		proof    bool
	}{
		"one certificate":      {mariaServer, native, one, "app", true},
		"a chosen certificate": {mariaServer, native, chosen, "app", true},
		"no password":          {mariaServer, native, one, "open", false},
		"another method":       {mariaServer, cachingSHA2, one, "app", false},
		"mysql":                {mysqlServer, native, one, "app", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEngine(Config{Credentials: users(c.authType)}, c.server)
			conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1, TLS: engine.ClientTLS{Mode: engine.TLSRequire, Config: c.cfg}})
			p := newPeer(t, conn)
			g := p.greetingFrom()
			p.put(fixedPart(clientCaps | protocol.CLIENT_SSL))
			p.packets.conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			secret := users("").passwords[c.user]
			answer, plugin := protocol.CalcNativePassword(g.salt, []byte(secret)), protocol.AUTH_NATIVE_PASSWORD
			if c.authType == cachingSHA2 {
				answer, plugin = protocol.CalcCachingSha2Password(g.salt, []byte(secret)), protocol.AUTH_CACHING_SHA2_PASSWORD
			}
			p.put(append(append(append(append(fixedPart(clientCaps|protocol.CLIENT_SSL), c.user...), 0, byte(len(answer))), answer...), plugin...))
			o := within(t, done)
			if o.err != nil {
				t.Fatal(o.err)
			}
			want := ""
			if c.proof {
				want = certificateProof(secret, g.salt, cert.Certificate[0])
			}
			if o.info.info != want {
				t.Errorf("%q, not %q", o.info.info, want)
			}
		})
	}
}

func TestAListenerWithSeveralCertificatesProvesNone(t *testing.T) {
	cert, _ := certificate(t)
	for _, cfg := range []*tls.Config{
		{}, {Certificates: []tls.Certificate{cert, cert}}, {Certificates: make([]tls.Certificate, 1)},
		{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, engine.ErrNoTarget }},
	} {
		if served(cfg, tls.ConnectionState{}) != nil {
			t.Errorf("%+v", cfg)
		}
	}
}
