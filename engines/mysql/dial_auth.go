package mysql

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// prover is the client's side of an authentication.
type prover struct {
	password string
	salt     []byte
	plugin   string // the method in use
	secure   bool   // inside TLS
	verified bool   // and the server's certificate was checked
	switched bool
	keyAsked bool
}

// knows says whether a proof can be made for plugin. The password itself is only for a server that is known to be
// the right one.
func (p *prover) knows(plugin string) bool {
	switch plugin {
	case protocol.AUTH_NATIVE_PASSWORD, protocol.AUTH_CACHING_SHA2_PASSWORD:
		return true
	case protocol.AUTH_CLEAR_PASSWORD:
		return p.verified
	}
	return false
}

// begin returns the proof for plugin.
func (p *prover) begin(plugin string) ([]byte, error) {
	p.plugin = plugin
	switch {
	case !p.knows(plugin) && plugin == protocol.AUTH_CLEAR_PASSWORD:
		return nil, permanentError{errors.New("the server wants the password in clear: that needs tls with " +
			"verification of its certificate")}
	case !p.knows(plugin):
		return nil, permanentError{fmt.Errorf("authentication method %q is not supported", plugin)}
	case plugin == protocol.AUTH_CLEAR_PASSWORD:
		return append([]byte(p.password), 0), nil
	case plugin == protocol.AUTH_NATIVE_PASSWORD:
		return protocol.CalcNativePassword(p.salt, []byte(p.password)), nil
	}
	return protocol.CalcCachingSha2Password(p.salt, []byte(p.password)), nil
}

// next answers a packet of the server that is neither OK nor ERR. A nil answer is none; an empty one is an empty
// packet.
func (p *prover) next(packet []byte) ([]byte, error) {
	switch {
	case packet[0] == authSwitchRequest:
		return p.switchTo(packet)
	case packet[0] != authMoreData || p.plugin != protocol.AUTH_CACHING_SHA2_PASSWORD:
		return nil, broken("unexpected packet during authentication")
	case p.keyAsked:
		p.keyAsked = false
		return p.encrypt(packet[1:])
	case len(packet) != 2:
		return nil, broken("malformed caching_sha2_password packet")
	case packet[1] == fastAuthSuccess:
		return nil, nil
	case packet[1] == performFullAuth && p.secure:
		return append([]byte(p.password), 0), nil
	case packet[1] == performFullAuth:
		p.keyAsked = true
		return []byte{requestPublicKey}, nil
	}
	return nil, broken("unknown caching_sha2_password packet")
}

// switchTo answers an AuthSwitchRequest. There is one at most (section "Authentication Method Mismatch").
func (p *prover) switchTo(packet []byte) ([]byte, error) {
	f := fields{rest: packet[1:]}
	plugin := string(f.lastTerminated())
	if p.switched {
		return nil, broken("second authentication switch")
	}
	p.switched = true
	if plugin == protocol.AUTH_CLEAR_PASSWORD {
		return p.begin(plugin) // with or without data
	}
	salt := f.bytes(saltSize)
	if f.bad {
		return nil, broken("truncated authentication switch")
	}
	p.salt = append([]byte(nil), salt...)
	proof, err := p.begin(plugin)
	if err == nil && proof == nil {
		proof = []byte{}
	}
	return proof, err
}

// encrypt returns the password for the server's RSA key.
func (p *prover) encrypt(key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, broken("rsa key is not pem")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, broken("malformed rsa key")
	}
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, broken("key is not rsa")
	}
	clear := protocol.Xor(append([]byte(p.password), 0), p.salt)
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, k, clear, nil)
}

// authenticate brings the authentication to its end.
func (u *upstream) authenticate(p *prover) error {
	for {
		packet, err := u.packets.read()
		if err != nil {
			return err
		}
		switch {
		case len(packet) == 0:
			return broken("empty packet during authentication")
		case packet[0] == protocol.OK_HEADER:
			return u.ok(packet)
		case packet[0] == errHeader:
			return parseERR(packet)
		}
		answer, err := p.next(packet)
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		if err := u.packets.write(answer); err != nil {
			return err
		}
	}
}
