package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// rsaKey is the proxy's key for passwords that clients send without TLS. It lives as long as the engine: a client that
// does not know it asks for it each time.
type rsaKey struct {
	private *rsa.PrivateKey
	public  []byte // PEM
}

func newRSAKey() (*rsaKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2<<10)
	if err != nil {
		return nil, fmt.Errorf("rsa key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("rsa key: %w", err)
	}
	return &rsaKey{private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}, nil
}

// fullAuthentication asks for the password itself (section "Caching_sha2_password information").
type fullAuthentication struct {
	secure   bool // inside TLS: the password comes as it is, ended by a NUL
	key      func() (*rsaKey, error)
	keyAsked bool
}

// fullAnswer takes what a client answers to performFullAuth.
func (a *authentication) fullAnswer(packet []byte) ([]byte, verdict) {
	if a.full.secure {
		a.step = nil
		return nil, a.password0(packet)
	}
	key, err := a.full.key()
	if err != nil {
		return nil, verdictDenied
	}
	if len(packet) == 1 && packet[0] == requestPublicKey && !a.full.keyAsked {
		a.full.keyAsked = true
		return append([]byte{authMoreData}, key.public...), verdictMore
	}
	a.step = nil
	// The label and hash are MySQL's: RSA_PKCS1_OAEP_PADDING with its default, SHA-1.
	clear, err := rsa.DecryptOAEP(sha1.New(), nil, key.private, packet, nil)
	if err != nil {
		return nil, verdictDenied
	}
	for _, salt := range a.salts() {
		if v := a.password0(protocol.Xor(clear, salt)); v == verdictAccepted {
			return nil, v
		}
	}
	return nil, verdictDenied
}

// password0 checks a password that a NUL ends.
func (a *authentication) password0(packet []byte) verdict {
	n := len(packet) - 1
	if n < 0 || packet[n] != 0 || !a.matches(packet[:n]) {
		return verdictDenied
	}
	return verdictAccepted
}
