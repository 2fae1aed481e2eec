package engine

import "context"

// Secret is a string that will not print. Reveal is the only way to its value. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt prints the unexported fields of a struct without asking their methods.
	value *string
}

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value itself: for a login, never for a log.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Credential is what a user logs in with, on both sides of the proxy.
type Credential struct {
	User     string
	Password Secret
	// AuthType is the configuration's client_password_auth_type, "" for the engine's default.
	AuthType string
}

// Credentials finds the credential of a user by its exact name. It may block on a secret store until ctx ends. An
// unknown user is ErrNoCredential. It is safe for concurrent use.
type Credentials interface {
	Credential(ctx context.Context, user string) (Credential, error)
	// Any returns some credential of the group, for probes and for cancel requests that need a login.
	Any(ctx context.Context) (Credential, error)
}
