package secret

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Entry is a secret of a target group, as it is configured.
type Entry struct {
	Reference string // provider:reference
	AuthType  string // passed on with the credential
}

// Resolver finds the credentials of one target group by user name. It does not change: what changes are the secrets.
type Resolver struct {
	sources []source
}

var _ engine.Credentials = (*Resolver)(nil)

// source is an Entry whose provider was found.
type source struct {
	Entry
	provider Provider
	local    string // the reference without the provider
}

// NewResolver makes a resolver of entries, each of which is fetched once: what does not work at the start is a problem of
// the configuration. The error names everything that is wrong, one a line. providers go by the names that references
// begin with.
func NewResolver(ctx context.Context, providers map[string]Provider, entries []Entry) (*Resolver, error) {
	r := &Resolver{}
	var problems []error
	users := map[string]string{} // who has a user name
	for i, s := range entries {
		name, local, _ := strings.Cut(s.Reference, ":")
		provider, ok := providers[name]
		if !ok {
			// The reference is not shown: it may be a password in the wrong place.
			problems = append(problems, fmt.Errorf("secret %d: no known provider: write provider:reference with one of %s",
				i+1, strings.Join(slices.Sorted(maps.Keys(providers)), ", ")))
			continue
		}
		known := source{s, provider, local}
		secret, err := known.fetch(ctx)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if first, twice := users[secret.Username]; twice {
			problems = append(problems, fmt.Errorf("secret %s: user %q is already that of %s: a target group has one secret a user",
				s.Reference, secret.Username, first))
			continue
		}
		users[secret.Username] = s.Reference
		r.sources = append(r.sources, known)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return r, nil
}

func (s source) fetch(ctx context.Context) (Secret, error) {
	secret, err := s.provider.Fetch(ctx, s.local)
	if err != nil {
		return Secret{}, fmt.Errorf("secret %s: %w", s.Reference, err)
	}
	return secret, nil
}

// Credential implements [engine.Credentials]. Every secret is asked for, in the order of the configuration, since a
// rotation may change the user name too. If secrets could not be fetched, one of which may be the user's, the error is
// still engine.ErrNoCredential, and says why.
func (r *Resolver) Credential(ctx context.Context, user string) (engine.Credential, error) {
	return r.first(ctx, func(s Secret) bool { return s.Username == user })
}

// Any implements [engine.Credentials]: the first secret that can be fetched.
func (r *Resolver) Any(ctx context.Context) (engine.Credential, error) {
	return r.first(ctx, func(Secret) bool { return true })
}

func (r *Resolver) first(ctx context.Context, wanted func(Secret) bool) (engine.Credential, error) {
	var failed []error
	for _, s := range r.sources {
		if ctx.Err() != nil {
			return engine.Credential{}, ctx.Err()
		}
		switch secret, err := s.fetch(ctx); {
		case err != nil && ctx.Err() != nil:
			return engine.Credential{}, ctx.Err()
		case err != nil:
			failed = append(failed, err)
		case wanted(secret):
			return engine.Credential{User: secret.Username, Password: secret.Password, AuthType: s.AuthType}, nil
		}
	}
	if len(failed) > 0 {
		return engine.Credential{}, fmt.Errorf("%w: %w", engine.ErrNoCredential, errors.Join(failed...))
	}
	return engine.Credential{}, engine.ErrNoCredential
}
