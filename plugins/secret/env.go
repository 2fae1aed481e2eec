package secret

import (
	"context"
	"errors"
)

// Env fetches secrets from environment variables. A reference is a variable's name.
type Env struct {
	lookup func(name string) (string, bool)
}

var _ Provider = Env{}

// NewEnv makes a provider of what lookup, such as os.LookupEnv, finds.
func NewEnv(lookup func(name string) (string, bool)) Env { return Env{lookup} }

// Fetch implements [Provider].
func (e Env) Fetch(ctx context.Context, name string) (Secret, error) {
	if err := ctx.Err(); err != nil {
		return Secret{}, err
	}
	content, ok := e.lookup(name)
	if !ok {
		return Secret{}, errors.New("environment variable is not set")
	}
	return parse([]byte(content))
}
