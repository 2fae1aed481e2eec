package mysql

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"strings"
)

// certificateProof is the info of the final OK for clients of MariaDB 11.4 and later. It proves to a client that cannot
// verify the certificate that who owns it knows the client's password too: then nobody stands in between (MariaDB,
// "Zero-configuration TLS"). It is made for mysql_native_password, with the salt of the proof that was accepted.
func certificateProof(password string, salt, certificate []byte) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	fingerprint := sha256.Sum256(certificate)
	sum := sha256.New()
	sum.Write(twice[:])
	sum.Write(salt)
	sum.Write(fingerprint[:])
	return "\x01" + strings.ToUpper(hex.EncodeToString(sum.Sum(nil)))
}

// served is the certificate that a listener with cfg shows to a client in state s; nil if that cannot be said.
func served(cfg *tls.Config, s tls.ConnectionState) []byte {
	var c *tls.Certificate
	switch {
	case cfg.GetCertificate != nil:
		hello := &tls.ClientHelloInfo{ServerName: s.ServerName, SupportedVersions: []uint16{s.Version},
			CipherSuites: []uint16{s.CipherSuite}}
		var err error
		if c, err = cfg.GetCertificate(hello); err != nil {
			return nil
		}
	case len(cfg.Certificates) == 1:
		c = &cfg.Certificates[0]
	}
	if c == nil || len(c.Certificate) == 0 {
		return nil
	}
	return c.Certificate[0]
}
