package secret

import (
	"context"
	"errors"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// store is a provider in memory: a reference is a user name and a password, or an error.
type store map[string]any

func (s store) Fetch(_ context.Context, reference string) (Secret, error) {
	switch entry := s[reference].(type) {
	case [2]string:
		return Secret{entry[0], engine.NewSecret(entry[1])}, nil
	case error:
		return Secret{}, entry
	}
	return Secret{}, errors.New("no such entry")
}

func newResolver(t *testing.T, s store, references ...string) *Resolver {
	t.Helper()
	var entries []Entry
	for _, r := range references {
		entries = append(entries, Entry{Reference: r, AuthType: "type of " + r})
	}
	r, err := NewResolver(t.Context(), map[string]Provider{"mem": s}, entries)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAResolverAnswersByUserName(t *testing.T) {
	r := newResolver(t, store{"a": [2]string{"app", "one"}, "b:c": [2]string{"App", "two"}}, "mem:a", "mem:b:c")
	for user, want := range map[string][2]string{"app": {"one", "type of mem:a"}, "App": {"two", "type of mem:b:c"}} {
		c, err := r.Credential(t.Context(), user)
		if err != nil || c.User != user || c.Password.Reveal() != want[0] || c.AuthType != want[1] {
			t.Errorf("%s: got %+v (%s), %v", user, c, c.Password.Reveal(), err)
		}
	}
	if _, err := r.Credential(t.Context(), "APP"); !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("got %v for an unknown user", err)
	}
	if c, err := r.Any(t.Context()); err != nil || c.User != "app" {
		t.Errorf("any: got %+v, %v", c, err)
	}
}

func TestARotationCountsAtOnce(t *testing.T) {
	s := store{"a": [2]string{"app", "one"}}
	r := newResolver(t, s, "mem:a")
	s["a"] = [2]string{"app_2", "two"}
	if _, err := r.Credential(t.Context(), "app"); !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("got %v for the old user", err)
	}
	if c, err := r.Credential(t.Context(), "app_2"); err != nil || c.Password.Reveal() != "two" {
		t.Errorf("got %+v, %v for the new user", c, err)
	}
}

func TestASecretThatCannotBeFetchedIsInNobodysWay(t *testing.T) {
	broken := errors.New("store is down")
	s := store{"a": [2]string{"app", "one"}, "b": [2]string{"other", "two"}}
	r := newResolver(t, s, "mem:a", "mem:b")
	s["a"] = broken
	if c, err := r.Credential(t.Context(), "other"); err != nil || c.User != "other" {
		t.Errorf("got %+v, %v", c, err)
	}
	if c, err := r.Any(t.Context()); err != nil || c.User != "other" {
		t.Errorf("any: got %+v, %v", c, err)
	}
	_, err := r.Credential(t.Context(), "app")
	if !errors.Is(err, engine.ErrNoCredential) || !errors.Is(err, broken) {
		t.Errorf("got %v: want both what it means and why", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Credential(done, "other"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the context's end", err)
	}
}

// slow is a provider whose answer comes when the context has ended.
type slow struct {
	store
	ends func()
}

func (s slow) Fetch(ctx context.Context, reference string) (Secret, error) {
	defer s.ends()
	return s.store.Fetch(ctx, reference)
}

func TestASecretThatWasFetchedCountsThoughTheTimeIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &Resolver{sources: []source{{provider: slow{store{"a": [2]string{"app", "one"}}, cancel}, local: "a"}}}
	if c, err := r.Credential(ctx, "app"); err != nil || c.User != "app" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestEverythingWrongWithTheSecretsIsSaidAtOnce(t *testing.T) {
	s := store{
		"a": [2]string{"app", "one"}, "b": [2]string{"other", "two"}, "c": [2]string{"app", "three"},
		"d": errors.New("store is down"),
	}
	entries := []Entry{
		{Reference: "mem:a"}, {Reference: "mem:b"}, {Reference: "mem:c"}, {Reference: "mem:d"},
		{Reference: "hunter2"}, {Reference: "vault:hunter2"},
	}
	r, err := NewResolver(t.Context(), map[string]Provider{"mem": s, "env": s}, entries)
	const want = `secret mem:c: user "app" is already that of mem:a: a target group has one secret a user
secret mem:d: store is down
secret 5: no known provider: write provider:reference with one of env, mem
secret 6: no known provider: write provider:reference with one of env, mem`
	if r != nil || err == nil || err.Error() != want {
		t.Errorf("got %v:\n%v\nwant:\n%s", r, err, want)
	}
}

func TestAResolverWithoutEntriesKnowsNobody(t *testing.T) {
	if _, err := newResolver(t, store{}).Any(t.Context()); !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("got %v", err)
	}
}
