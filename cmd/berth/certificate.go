package main

import (
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
)

// reloadEvery is how often a certificate's files are looked at, at most, when clients come.
const reloadEvery = time.Second

// clientTLS makes a listener's TLS side.
func clientTLS(l config.Listener, log zerolog.Logger) (engine.ClientTLS, error) {
	modes := map[config.ListenerTLSMode]engine.TLSMode{
		config.ListenerTLSAllow: engine.TLSAllow, config.ListenerTLSRequire: engine.TLSRequire,
	}
	mode, on := modes[l.TLS.Mode]
	if !on {
		return engine.ClientTLS{Mode: engine.TLSDisable}, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
	if l.TLS.CertFile == "" {
		cert, err := selfSigned(l.Address)
		if err != nil {
			return engine.ClientTLS{}, err
		}
		cfg.Certificates = []tls.Certificate{cert}
	} else {
		r := &reloader{certFile: l.TLS.CertFile, keyFile: l.TLS.KeyFile, log: log}
		if err := r.load(); err != nil {
			return engine.ClientTLS{}, fmt.Errorf("tls: %w", err)
		}
		cfg.GetCertificate = r.certificate
	}
	if l.TLS.ClientCAFile != "" {
		pem, err := os.ReadFile(l.TLS.ClientCAFile)
		if err != nil {
			return engine.ClientTLS{}, fmt.Errorf("tls.client_ca_file: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
			return engine.ClientTLS{}, fmt.Errorf("tls.client_ca_file: %s holds no PEM certificate", l.TLS.ClientCAFile)
		}
		cfg.ClientAuth = tls.VerifyClientCertIfGiven
		if mode == engine.TLSRequire {
			cfg.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return engine.ClientTLS{Mode: mode, Config: cfg}, nil
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

// reloader serves a certificate from files, and takes a new one when they change. A bad new one changes nothing.
type reloader struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time // modification times of the files that were tried last
	looked  time.Time
}

func (r *reloader) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) >= reloadEvery {
		if err := r.load(); err != nil {
			r.log.Error().Err(err).Msg("new certificate refused, the old one stays")
		}
	}
	return r.current, nil
}

// load reads the files if they changed since it last looked.
func (r *reloader) load() error {
	r.looked = time.Now()
	var stamp [2]time.Time
	for i, name := range []string{r.certFile, r.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		stamp[i] = info.ModTime()
	}
	if stamp == r.stamp {
		return nil
	}
	r.stamp = stamp
	cert, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
	if err != nil {
		return err
	}
	if cert.Leaf == nil {
		return errors.New("certificate without a leaf")
	}
	r.current = &cert
	return nil
}
