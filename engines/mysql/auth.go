package mysql

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// method is how a client proves its password.
type method uint8

const (
	methodCachingSHA2 method = iota
	methodNative
)

// plugin is the method's name on the wire.
func (m method) plugin() string {
	if m == methodNative {
		return protocol.AUTH_NATIVE_PASSWORD
	}
	return protocol.AUTH_CACHING_SHA2_PASSWORD
}

// methodOf reads a credential's AuthType. What it does not know, and "", is the group's default.
func methodOf(authType string, s *serverInfo) method {
	switch authType {
	case "mysql_native_password":
		return methodNative
	case "mysql_caching_sha2_password":
		return methodCachingSHA2
	}
	return defaultMethod(s)
}

// defaultMethod is what the greeting proposes, before the user is known: what the group's servers propose themselves.
func defaultMethod(s *serverInfo) method {
	if s.mariaDB {
		return methodNative
	}
	return methodCachingSHA2
}

// saltSize is the length of a nonce, without the NUL that ends it on the wire.
const saltSize = 20

// newSalt returns a nonce without the bytes that end it early in some client: NUL, and '$', which a server avoids too
// (generate_user_salt). They are ASCII, as some clients want.
func newSalt() []byte {
	salt := make([]byte, saltSize)
	for i := range salt {
		salt[i] = saltByte()
	}
	return salt
}

func saltByte() byte {
	var b [1]byte
	for {
		_, _ = rand.Read(b[:]) // it never fails
		if c := b[0] & 0x7f; c != 0 && c != '$' {
			return c
		}
	}
}

// verdict is what becomes of an authentication after a packet of the client.
type verdict uint8

const (
	verdictMore verdict = iota // another packet of the client is needed
	verdictAccepted
	verdictDenied
)

// Packets of an authentication (sections "AuthSwitchRequest", "AuthMoreData", and "Caching_sha2_password
// information").
const (
	authSwitchRequest = 0xfe
	authMoreData      = 0x01
	requestPublicKey  = 0x02
	fastAuthSuccess   = 0x03
	performFullAuth   = 0x04
)

// errHeader begins an ERR packet.
const errHeader = protocol.ERR_HEADER

// account is what an authentication compares with. The decoy for an unknown user has a random password and is denied
// in the end, whatever the client sends.
type account struct {
	method   method
	password string
	known    bool
}

// authentication is the server's side of an authentication. It does no I/O: the login drives it in a goroutine of its
// own, COM_CHANGE_USER on a loop.
type authentication struct {
	account
	salt      []byte // what the next proof is computed with
	switched  bool   // the method was switched once; there is no second time
	canSwitch bool   // the client has PLUGIN_AUTH
	// full asks for the password itself; nil if a proof is enough.
	full *fullAuthentication
	// retry switches to a fresh salt when a proof is wrong, if the client may have used another salt than ours.
	retry bool

	step          func(a *authentication, packet []byte) ([]byte, verdict)
	usingPassword bool // whether the client showed any password, for the words of a denial
}

// first takes the client's first answer: the proof in its response, made for plugin.
func (a *authentication) first(plugin string, proof []byte) ([]byte, verdict) {
	a.usingPassword = shows(proof)
	if plugin == "" {
		plugin = protocol.AUTH_NATIVE_PASSWORD // what clients without PLUGIN_AUTH, and JDBC, mean
	}
	if plugin != a.method.plugin() {
		return a.switchMethod()
	}
	return a.check(proof)
}

// next takes a further packet of the client.
func (a *authentication) next(packet []byte) ([]byte, verdict) {
	if a.step == nil {
		return nil, verdictDenied
	}
	return a.step(a, packet)
}

// switchMethod asks for another proof: by the account's method, with a fresh salt.
func (a *authentication) switchMethod() ([]byte, verdict) {
	if a.switched || !a.canSwitch {
		return nil, verdictDenied
	}
	a.switched = true
	a.salt = newSalt()
	a.step = func(a *authentication, packet []byte) ([]byte, verdict) {
		a.usingPassword = shows(packet)
		return a.check(packet)
	}
	request := append([]byte{authSwitchRequest}, a.method.plugin()...)
	request = append(request, 0)
	request = append(request, a.salt...)
	return append(request, 0), verdictMore
}

// shows says whether proof proves anything but an empty password, which is nothing, or a NUL.
func shows(proof []byte) bool { return len(proof) > 1 || len(proof) == 1 && proof[0] != 0 }

func (a *authentication) check(proof []byte) ([]byte, verdict) {
	a.step = nil
	if !shows(proof) {
		if a.known && a.password == "" {
			return nil, verdictAccepted
		}
		return a.wrong()
	}
	if a.method == methodNative {
		if a.proves(proof, protocol.CalcNativePassword) {
			return nil, verdictAccepted
		}
		return a.wrong()
	}
	if a.full != nil {
		a.step = (*authentication).fullAnswer
		return []byte{authMoreData, performFullAuth}, verdictMore
	}
	if a.proves(proof, protocol.CalcCachingSha2Password) {
		return []byte{authMoreData, fastAuthSuccess}, verdictAccepted
	}
	return a.wrong()
}

func (a *authentication) wrong() ([]byte, verdict) {
	if a.retry {
		return a.switchMethod()
	}
	return nil, verdictDenied
}

// salts are what a client may have taken for the salt. Go drivers count the NUL that ends the salt of an
// AuthSwitchRequest to it; a server hides this by asking for the password itself then.
func (a *authentication) salts() [2][]byte {
	return [...][]byte{a.salt, append(a.salt[:len(a.salt):len(a.salt)], 0)}
}

func (a *authentication) proves(proof []byte, calculate func(salt, password []byte) []byte) bool {
	same := 0
	for _, salt := range a.salts() {
		same |= subtle.ConstantTimeCompare(proof, calculate(salt, []byte(a.password)))
	}
	return same == 1 && a.known && a.password != ""
}

// matches compares a password without telling by time where it differs, or how long it is.
func (a *authentication) matches(password []byte) bool {
	got, want := sha256.Sum256(password), sha256.Sum256([]byte(a.password))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && a.known
}
