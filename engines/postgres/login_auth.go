package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgproto3/v2"
	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"

	"github.com/berthdb/berth/core/engine"
)

// authMD5 is the one client_password_auth_type that is not SCRAM.
const authMD5 = "postgres_md5"

// Authentication requests (54.7).
const (
	authOk                uint32 = 0
	authCleartextPassword uint32 = 3
	authMD5Password       uint32 = 5
	authSASL              uint32 = 10
	authSASLContinue      uint32 = 11
	authSASLFinal         uint32 = 12
)

// account is what a user who logs in is checked against. One that does not exist has a verifier all the same, which nothing
// passes, so that the exchange looks alike (PostgreSQL's "doomed" authentication).
type account struct {
	user     string
	authType string
	password engine.Secret
	exists   bool
}

// authenticate makes the client prove that it is user. It queues what is left to say of the exchange.
func (l *login) authenticate(ctx context.Context, user string) error {
	a, err := l.e.account(ctx, user)
	if err != nil {
		return fmt.Errorf("look up credential: %w", err)
	}
	var passed bool
	if a.authType == authMD5 {
		passed, err = l.authenticateMD5(a)
	} else {
		passed, err = l.authenticateSCRAM(a)
	}
	if err != nil || passed {
		return err
	}
	cause := engine.ErrDenied
	if !a.exists {
		cause = engine.ErrNoCredential
	}
	l.e.log.Info().Str("user", user).Str("client", l.o.ClientAddress).AnErr("reason", cause).Msg("login denied")
	return &roleError{user, cause}
}

// account looks user up. A user that nobody knows is asked for a password as the group's other users are.
func (e *Engine) account(ctx context.Context, user string) (account, error) {
	c, err := e.credentials.Credential(ctx, user)
	if err == nil {
		return account{user: user, authType: c.AuthType, password: c.Password, exists: true}, nil
	}
	if !errors.Is(err, engine.ErrNoCredential) {
		return account{}, err
	}
	a := account{user: user}
	if other, err := e.credentials.Any(ctx); err == nil {
		a.authType = other.AuthType
	}
	return a, nil
}

// authenticateMD5 is AuthenticationMD5Password (54.2.1): md5(md5(password user) salt), in hexadecimal.
func (l *login) authenticateMD5(a account) (passed bool, err error) {
	var salt [4]byte
	_, _ = rand.Read(salt[:]) // never fails (crypto/rand.Read)
	l.out = appendMessage(l.out, &pgproto3.AuthenticationMD5Password{Salt: salt})
	body, err := l.readAuthMessage()
	if err != nil {
		return false, err
	}
	if len(body) == 0 || body[len(body)-1] != 0 {
		return false, clientError("invalid password packet size")
	}
	inner := hexMD5([]byte(a.password.Reveal() + a.user))
	want := "md5" + hexMD5(append([]byte(inner), salt[:]...))
	return hmac.Equal([]byte(want), body[:len(body)-1]) && a.exists, nil
}

func hexMD5(p []byte) string {
	sum := md5.Sum(p)
	return hex.EncodeToString(sum[:])
}

// scramIterations is PostgreSQL's default, and what RDS Proxy uses.
const scramIterations = 4096

// verifier holds what SCRAM keeps of a password (RFC 5802, section 3), derived once.
type verifier struct {
	// password is a digest of the password that it was derived from: a rotated one needs another verifier.
	password [sha256.Size]byte
	derive   sync.Once
	stored   scram.StoredCredentials
	err      error
}

// verifier returns what a's password is checked against. It costs a key derivation (4096 rounds of HMAC) once a password;
// logins that come meanwhile wait for that one.
func (e *Engine) verifier(a account) (scram.StoredCredentials, error) {
	if !a.exists {
		// The salt is stable, as a real one is. Keys that nobody can have the password of are simply random.
		keys := make([]byte, 2*sha256.Size)
		_, _ = rand.Read(keys) // never fails (crypto/rand.Read)
		return scram.StoredCredentials{
			KeyFactors: e.keyFactors(a.user, ""),
			StoredKey:  keys[:sha256.Size],
			ServerKey:  keys[sha256.Size:],
		}, nil
	}
	password := a.password.Reveal()
	digest := [sha256.Size]byte(e.mac("password", password))
	v, ok := e.verifiers.get(a.user)
	if !ok || v.password != digest {
		v = e.verifiers.update(a.user, func(v *verifier, ok bool) *verifier {
			if ok && v.password == digest {
				return v
			}
			return &verifier{password: digest}
		})
	}
	v.derive.Do(func() { v.stored, v.err = deriveVerifier(password, e.keyFactors(a.user, password)) })
	return v.stored, v.err
}

// keyFactors returns a salt that depends on the user and the password alone: a random one would change whenever the cache
// loses it, and an unknown user's does not.
func (e *Engine) keyFactors(user, password string) scram.KeyFactors {
	salt := e.mac("salt", user, password)
	return scram.KeyFactors{Salt: string(salt[:16]), Iters: scramIterations} // 16 bytes as PostgreSQL's
}

// mac is a digest of parts that only this Engine can compute.
func (e *Engine) mac(parts ...string) []byte {
	h := hmac.New(sha256.New, e.secret[:])
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// deriveVerifier computes what SCRAM keeps of a password.
func deriveVerifier(password string, factors scram.KeyFactors) (scram.StoredCredentials, error) {
	client, err := scram.SHA256.NewClientUnprepped("", normalize(password), "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentialsWithError(factors)
}

// normalize prepares a password for SCRAM as RFC 4013 says if it can be, and takes it as it is otherwise, as PostgreSQL does
// (54.3.1 "SCRAM-SHA-256 Authentication").
func normalize(password string) string {
	if prepared, err := stringprep.SASLprep.Prepare(password); err == nil {
		return prepared
	}
	return password
}
