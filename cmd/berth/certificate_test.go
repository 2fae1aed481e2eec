package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core/engine"
)

// pemPair is a new certificate and its key.
func pemPair(t *testing.T) (cert, key string) {
	t.Helper()
	c, err := selfSigned("db.example:5432")
	if err != nil {
		t.Fatal(err)
	}
	private, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", c.PrivateKey)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

// files are a reloader's, in a directory of their own. Every change has the same modification time.
type files struct {
	t   *testing.T
	dir string
}

func (f files) write(name, content string) {
	f.t.Helper()
	path := place(f.t, f.dir, name, content)
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		f.t.Fatal(err)
	}
}

func newReloader(t *testing.T, log zerolog.Logger) (*reloader, files, string) {
	t.Helper()
	f := files{t, t.TempDir()}
	cert, key := pemPair(t)
	f.write("crt", cert)
	f.write("key", key)
	r := &reloader{certFile: filepath.Join(f.dir, "crt"), keyFile: filepath.Join(f.dir, "key"), renewal: renewal{log: log}}
	if err := r.load(); err != nil {
		t.Fatal(err)
	}
	return r, f, cert
}

// shown returns what r shows to a client that comes later than reloadEvery after the last.
func shown(t *testing.T, r *reloader) string {
	t.Helper()
	r.mu.Lock()
	r.looked = time.Time{}
	r.mu.Unlock()
	c, err := r.certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

func TestANewCertificateIsTakenWhenBothOfItsFilesAreThere(t *testing.T) {
	var log bytes.Buffer
	r, f, old := newReloader(t, zerolog.New(&log))
	cert, key := pemPair(t)
	f.write("crt", cert)
	for range 3 {
		if shown(t, r) != old {
			t.Fatal("half of a new pair is shown")
		}
	}
	if n := strings.Count(log.String(), "refused"); n != 1 {
		t.Errorf("it is refused %d times:\n%s", n, &log)
	}
	f.write("key", key)
	if shown(t, r) != cert {
		t.Error("the new certificate is not shown")
	}
}

func TestACertificateThatVanishesOrBreaksStaysTheOldOne(t *testing.T) {
	r, f, old := newReloader(t, zerolog.Nop())
	f.write("crt", "no certificate")
	if shown(t, r) != old {
		t.Error("a broken one is shown")
	}
	if err := os.Remove(r.certFile); err != nil {
		t.Fatal(err)
	}
	if shown(t, r) != old {
		t.Error("a missing one is shown")
	}
}

func TestNewRootCertificatesCountForTheNextConnection(t *testing.T) {
	f := files{t, t.TempDir()}
	old, _ := pemPair(t)
	renewed, _ := pemPair(t)
	f.write("ca", old)
	var log bytes.Buffer
	like, err := wireLike(config.TargetGroup{Name: "g", TLS: config.TargetTLS{
		Mode: config.TargetTLSVerifyCA, CAFile: filepath.Join(f.dir, "ca"),
	}}, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	want := func(pem string) {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(pem))
		if !like.TLS.Roots().Equal(pool) {
			t.Error("others count")
		}
	}
	want(old)
	for _, change := range []struct{ file, counts string }{{"no certificate", old}, {renewed, renewed}} {
		f.write("ca", change.file)
		time.Sleep(reloadEvery + reloadEvery/10)
		want(change.counts)
		want(change.counts)
	}
	if n := strings.Count(log.String(), "refused"); n != 1 {
		t.Errorf("a file without certificates is refused %d times:\n%s", n, &log)
	}
}

func TestFilesAreLookedAtAtMostOnceAnInterval(t *testing.T) {
	r, f, old := newReloader(t, zerolog.Nop())
	cert, key := pemPair(t)
	f.write("crt", cert)
	f.write("key", key)
	r.looked = time.Now().Add(time.Hour)
	c, err := r.certificate(nil)
	if err != nil || string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})) != old {
		t.Errorf("it was looked at again, %v", err)
	}
}

func TestFilesThatDoNotAnswerHoldUpNobody(t *testing.T) {
	var log bytes.Buffer
	r, _, old := newReloader(t, zerolog.New(&log))
	if err := errors.Join(os.Remove(r.certFile), syscall.Mkfifo(r.certFile, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if c, err := r.certificate(nil); err != nil || string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})) != old {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	f, err := os.OpenFile(r.certFile, os.O_WRONLY, 0) // which lets the reading end
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := strings.Count(log.String(), errSlow.Error()); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, &log)
	}
}

func TestALookThatPanicsEndsNeitherTheProcessNorWhatIsServed(t *testing.T) {
	var log bytes.Buffer
	r := renewal{log: zerolog.New(&log)}
	for range 2 {
		r.look(func() error { panic("odd content") }, "refused")
		r.looked = time.Time{}
	}
	looked := false
	r.look(func() error { looked = true; return nil }, "refused")
	if n := strings.Count(log.String(), `"refused"`); n != 1 || !looked {
		t.Errorf("looked again: %v, complained %d times:\n%s", looked, n, &log)
	}
}

func TestHandshakesGoOnWhileTheCertificateChanges(t *testing.T) {
	r, f, _ := newReloader(t, zerolog.Nop())
	server := &tls.Config{GetCertificate: r.certificate}
	client := &tls.Config{InsecureSkipVerify: true} // which certificate it is does not matter
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				a, b := net.Pipe()
				done := make(chan error, 1)
				go func() { done <- tls.Server(a, server).Handshake() }()
				if err := tls.Client(b, client).Handshake(); err != nil {
					t.Error(err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				_, _ = a.Close(), b.Close()
			}
		})
	}
	for range 20 {
		cert, key := pemPair(t)
		f.write("key", key)
		f.write("crt", cert)
		shown(t, r)
	}
	all.Wait()
}

func TestTheTLSSideFollowsItsMode(t *testing.T) {
	ca := files{t, t.TempDir()}
	cert, _ := pemPair(t)
	ca.write("ca", cert)
	caFile := filepath.Join(ca.dir, "ca")
	for _, c := range []struct {
		tls  config.ListenerTLS
		mode engine.TLSMode
		auth tls.ClientAuthType
	}{
		{config.ListenerTLS{Mode: config.ListenerTLSDisable}, engine.TLSDisable, tls.NoClientCert},
		{config.ListenerTLS{Mode: config.ListenerTLSAllow}, engine.TLSAllow, tls.NoClientCert},
		{config.ListenerTLS{Mode: config.ListenerTLSAllow, ClientCAFile: caFile}, engine.TLSAllow, tls.VerifyClientCertIfGiven},
		{config.ListenerTLS{Mode: config.ListenerTLSRequire, ClientCAFile: caFile}, engine.TLSRequire, tls.RequireAndVerifyClientCert},
	} {
		got, err := clientTLS(config.Listener{Address: "127.0.0.1:0", TLS: c.tls}, zerolog.Nop())
		if err != nil || got.Mode != c.mode {
			t.Errorf("%+v: mode %d, %v", c.tls, got.Mode, err)
			continue
		}
		if (got.Config == nil) != (c.mode == engine.TLSDisable) || got.Config != nil && got.Config.ClientAuth != c.auth {
			t.Errorf("%+v: %+v", c.tls, got.Config)
		}
	}
}
