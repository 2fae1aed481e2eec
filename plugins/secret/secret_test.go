package secret

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
)

func TestASecretIsAJSONObjectWhoseOtherKeysAreIgnored(t *testing.T) {
	s, err := parse([]byte(`{"engine": "postgres", "port": 5432, "Password": "no", "username": "app ü",
		"password": "p\"w", "PASSWORD": "neither", "hosts": [{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Username != "app ü" || s.Password.Reveal() != `p"w` {
		t.Errorf("got %q, %q", s.Username, s.Password.Reveal())
	}
}

func TestWhatIsNoSecretIsRefusedWithoutShowingIt(t *testing.T) {
	const noObject = `not a JSON object such as {"username": "...", "password": "..."}`
	for content, want := range map[string]string{
		"":                                   noObject,
		"hunter2":                            noObject,
		`"hunter2"`:                          noObject,
		"null":                               noObject,
		`["hunter2"]`:                        noObject,
		`{"username": "a", "password": hunt`: noObject,
		`{"username": "a", "password": "hunter2"} hunter2`:                      noObject,
		"{\"username\": \"a\", \"password\": \"hunt\xff\"}":                     "not UTF-8 text",
		`{"password": "hunter2"}`:                                               `has no key "username"`,
		`{"username": "a", "Password": "hunter2"}`:                              `has no key "password"`,
		`{"username": 5, "password": "hunter2"}`:                                `the value of "username" is not a string`,
		`{"username": "a", "password": null}`:                                   `the value of "password" is not a string`,
		`{"username": "a", "password": ["hunter2"]}`:                            `the value of "password" is not a string`,
		`{"username": "", "password": "hunter2"}`:                               `the value of "username" is empty`,
		`{"username": "a", "password": ""}`:                                     `the value of "password" is empty`,
		`{"username": "a", "password": "hunter2\u0000"}`:                        `the value of "password" contains a zero byte`,
		`{"username": "a", "password": "` + strings.Repeat("x", maxSize) + `"}`: "larger than 64 KiB",
	} {
		if _, err := parse([]byte(content)); err == nil || err.Error() != want {
			t.Errorf("%.60s: got %v, want %s", content, err, want)
		}
	}
}

func TestThePasswordDoesNotPrint(t *testing.T) {
	s := Secret{"app", engine.NewSecret("hunter2")}
	c := engine.Credential{User: "app", Password: s.Password}
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Interface("secret", s).Any("password", s.Password).Stringer("string", s.Password).Msgf("%v %+v", s, &c)
	asJSON, err := json.Marshal([]any{s, &s, c})
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{log.String(), string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{s, &s, s.Password, &s.Password, c, []Secret{s}, map[string]Secret{"": s}} {
			printed = append(printed, fmt.Sprintf(verb, value))
		}
	}
	for _, p := range printed {
		if strings.Contains(p, "hunter2") || strings.Contains(strings.ToLower(p), "68756e74") {
			t.Errorf("the password shows in %s", p)
		}
	}
	if !strings.Contains(log.String(), "redacted") {
		t.Errorf("nothing says that there is a password: %s", log.String())
	}
}

func TestEnvFetchesFromVariables(t *testing.T) {
	variables := map[string]string{"A": `{"username": "app", "password": "one"}`, "EMPTY": ""}
	env := NewEnv(func(name string) (string, bool) { value, ok := variables[name]; return value, ok })
	s, err := env.Fetch(t.Context(), "A")
	if err != nil || s.Username != "app" || s.Password.Reveal() != "one" {
		t.Errorf("got %v, %v", s, err)
	}
	if _, err := env.Fetch(t.Context(), "B"); err == nil || err.Error() != "environment variable is not set" {
		t.Errorf("got %v for a variable that is not set", err)
	}
	if _, err := env.Fetch(t.Context(), "EMPTY"); err == nil || !strings.Contains(err.Error(), "not a JSON object") {
		t.Errorf("got %v for an empty variable", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := env.Fetch(done, "A"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the context's end", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"username": "a", "password": "b"}`))
	f.Add([]byte(`{"username": "\ud800", "password": "\u0000"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parse(content)
		if err == nil && (s.Username == "" || s.Password.Reveal() == "") {
			t.Errorf("half a secret: %q", content)
		}
	})
}
