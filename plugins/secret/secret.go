package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/berthdb/berth/core/engine"
)

// Secret is who logs in with what. The password does not print.
type Secret struct {
	Username string
	Password engine.Secret
}

// Provider fetches secrets from one kind of store.
type Provider interface {
	// Fetch returns the secret as it is now. It is called at every login, so that a slow store needs a cache. It
	// may block until ctx ends. Its errors say what is wrong and never what the secret is.
	Fetch(ctx context.Context, reference string) (Secret, error)
}

// maxSize is the largest content of a secret, as AWS Secrets Manager has it.
const maxSize = 64 << 10

var errTooLarge = fmt.Errorf("larger than %d KiB", maxSize>>10)

// parse reads the content of a secret. The errors of encoding/json are not passed on: they quote what they stumble on.
func parse(content []byte) (Secret, error) {
	if len(content) > maxSize {
		return Secret{}, errTooLarge
	}
	if !utf8.Valid(content) {
		// encoding/json would replace the broken bytes, and the login would fail for no visible reason.
		return Secret{}, errors.New("not UTF-8 text")
	}
	// A map, because a struct's fields match keys of any case, and the last such key would win.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil || fields == nil {
		return Secret{}, errors.New(`not a JSON object such as {"username": "...", "password": "..."}`)
	}
	username, err := text(fields, "username")
	if err != nil {
		return Secret{}, err
	}
	password, err := text(fields, "password")
	if err != nil {
		return Secret{}, err
	}
	return Secret{username, engine.NewSecret(password)}, nil
}

// text returns the value of a key that must be a string of at least one character.
func text(fields map[string]json.RawMessage, key string) (string, error) {
	raw, ok := fields[key]
	if !ok {
		return "", fmt.Errorf("has no key %q", key)
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", fmt.Errorf("the value of %q is not a string", key)
	}
	if *value == "" {
		return "", fmt.Errorf("the value of %q is empty", key)
	}
	if strings.ContainsRune(*value, 0) {
		// Both protocols end a user name and a clear-text password with a zero byte.
		return "", fmt.Errorf("the value of %q contains a zero byte", key)
	}
	return *value, nil
}
