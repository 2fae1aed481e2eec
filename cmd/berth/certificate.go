package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// reloadEvery is how often a certificate's files are looked at, at most, when clients come.
const reloadEvery = time.Second

// clientTLS makes a listener's TLS side. Its errors begin with the key below the listener's.
func clientTLS(l config.Listener, log zerolog.Logger) (engine.ClientTLS, error) {
	modes := map[config.ListenerTLSMode]engine.TLSMode{
		config.ListenerTLSAllow: engine.TLSAllow, config.ListenerTLSRequire: engine.TLSRequire,
	}
	mode, on := modes[l.TLS.Mode]
	if !on {
		return engine.ClientTLS{Mode: engine.TLSDisable}, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	var err error
	if l.TLS.CertFile == "" {
		err = serveSelfSigned(cfg, l.Address)
	} else {
		r := &reloader{certFile: l.TLS.CertFile, keyFile: l.TLS.KeyFile, renewal: renewal{log: log.With().Str("listener", l.Name).Logger()}}
		err = r.load()
		cfg.GetCertificate = r.certificate
	}
	if l.TLS.ClientCAFile != "" {
		var caErr error
		cfg.ClientCAs, caErr = readPool("tls.client_ca_file", l.TLS.ClientCAFile)
		err = errors.Join(err, caErr)
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
		if mode == engine.TLSRequire {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return engine.ClientTLS{Mode: mode, Config: cfg}, err
}

// readPool reads the certificates that key names the file of.
func readPool(key, name string) (*x509.CertPool, error) {
	pem, err := readKey(key, name)
	if err != nil {
		return nil, err
	}
	return parsePool(key, name, pem)
}

func parsePool(key, name string, pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", key, name)
	}
	return pool, nil
}

func serveSelfSigned(cfg *tls.Config, address string) error {
	cert, err := selfSigned(address)
	cfg.Certificates = []tls.Certificate{cert}
	return err
}

// selfSigned makes a certificate that protects against listening, not against impostors.
func selfSigned(address string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "berth"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if host != "" {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// renewal looks now and then whether what was read from files is to be read again. What cannot be used changes nothing, and files that do not
// answer, as on a network that is down, hold up nobody for long.
type renewal struct {
	log zerolog.Logger

	mu        sync.Mutex
	looked    time.Time     // when a look began last
	looking   chan struct{} // closed when the look is over that is under way, nil: none is
	complaint string        // what was logged last, "" since all was well
}

// lookWithin is how long somebody waits for files of which the last good content is known.
const lookWithin = time.Second

var errSlow = errors.New("reading it takes too long")

// look calls load if that is due, and waits for it for a while. Its error is logged, once, behind refused.
func (r *renewal) look(load func() error, refused string) {
	r.mu.Lock()
	if r.looking == nil && time.Since(r.looked) >= reloadEvery {
		r.looked, r.looking = time.Now(), make(chan struct{})
		go func() {
			err := relay.Safely(r.log, load)
			r.mu.Lock()
			defer r.mu.Unlock()
			close(r.looking)
			r.looking = nil
			r.complain(err, refused)
		}()
	}
	looking, left := r.looking, lookWithin-time.Since(r.looked)
	r.mu.Unlock()
	if looking == nil {
		return
	}
	late := time.NewTimer(left)
	defer late.Stop()
	select {
	case <-looking:
	case <-late.C:
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.looking == looking {
			r.complain(errSlow, refused)
		}
	}
}

// complain logs what is another complaint than the last. It is called with the lock held.
func (r *renewal) complain(err error, refused string) {
	complaint := ""
	if err != nil {
		complaint = err.Error()
	}
	if complaint != "" && complaint != r.complaint {
		r.log.Error().Str("reason", complaint).Msg(refused)
	}
	r.complaint = complaint
}

// reloader serves a certificate from files, and takes a new one when they change. A bad new one changes nothing.
type reloader struct {
	renewal
	certFile, keyFile string

	current   *tls.Certificate // under renewal's lock
	cert, key []byte           // what current was made of; load's
}

func (r *reloader) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.look(r.load, "new certificate refused, the old one stays")
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current, nil
}

// load reads the files, and takes what they hold if that changed. It compares all of it: modification times tell too
// little, since two files are written one after the other, perhaps within the clock's tick. It is called once at a time.
func (r *reloader) load() error {
	cert, certErr := readKey("tls.cert_file", r.certFile)
	key, keyErr := readKey("tls.key_file", r.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return err
	}
	if bytes.Equal(cert, r.cert) && bytes.Equal(key, r.key) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("tls.cert_file and tls.key_file: %s and %s: %w", r.certFile, r.keyFile, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.log.Info().Time("not_after", pair.Leaf.NotAfter).Msg("new certificate")
	}
	r.current, r.cert, r.key = &pair, cert, key
	return nil
}

func readKey(key, name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return b, err
}

// roots are those of a target group, from a file: new ones are taken when it changes. A bad new file changes nothing.
type roots struct {
	renewal
	file string

	current *x509.CertPool // under renewal's lock
	pem     []byte         // what current was made of; load's
}

// pool returns them. Any goroutine may call it.
func (r *roots) pool() *x509.CertPool {
	r.look(r.load, "new root certificates refused, the old ones stay")
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// load reads the file, and takes what it holds if that changed. It is called once at a time.
func (r *roots) load() error {
	const key = "tls.ca_file"
	pem, err := readKey(key, r.file)
	if err != nil || bytes.Equal(pem, r.pem) {
		return err
	}
	pool, err := parsePool(key, r.file, pem)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.log.Info().Msg("new root certificates")
	}
	r.current, r.pem = pool, pem
	return nil
}
