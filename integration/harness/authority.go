package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is the files of a proxy's certificate. It is signed by another authority than the servers' ones: who verifies
// it knows that the proxy answers, and not the server behind it.
type authority struct{ ca, cert, key string }

func newAuthority(dir string) (authority, error) {
	a := authority{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "berth.crt"), filepath.Join(dir, "berth.key")}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, err
	}
	ca := template("Berth integration tests", 1)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if err := sign(a.ca, ca, ca, caKey, caKey); err != nil {
		return a, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, err
	}
	leaf := template("localhost", 2)
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames, leaf.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if err := sign(a.cert, leaf, ca, key, caKey); err != nil {
		return a, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return a, err
	}
	return a, writePEM(a.key, "PRIVATE KEY", der, 0o600)
}

func template(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
}

// sign writes the certificate of key, signed by the parent's.
func sign(path string, cert, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		return err
	}
	return writePEM(path, "CERTIFICATE", der, 0o644)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
