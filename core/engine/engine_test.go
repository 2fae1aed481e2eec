package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestASecretDoesNotPrintHoweverItIsAsked(t *testing.T) {
	const value = "tr0ub4dor"
	type hidden struct{ inner Secret }
	s := NewSecret(value)
	c := Credential{User: "app", Password: s}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{s, &s, c, &c, hidden{s}, []Secret{s}, map[string]Secret{"k": s}} {
			if out := fmt.Sprintf(format, v); strings.Contains(out, value) || strings.Contains(out, fmt.Sprintf("%x", value)) {
				t.Errorf("%s of %T shows the secret: %s", format, v, out)
			}
		}
	}
	out, err := json.Marshal(c)
	if err != nil || strings.Contains(string(out), value) {
		t.Errorf("JSON shows the secret: %s, %v", out, err)
	}
	if s.Reveal() != value {
		t.Errorf("revealed %q", s.Reveal())
	}
	if (Secret{}).Reveal() != "" {
		t.Error("the zero secret is not empty")
	}
}

func TestEveryKindHasItsOwnName(t *testing.T) {
	seen := map[string]Kind{}
	for k := range Kinds {
		name := Kind(k).String()
		if first, twice := seen[name]; name == "" || twice {
			t.Errorf("kind %d is called %q, like %d", k, name, first)
		}
		seen[name] = Kind(k)
	}
	if Kind(Kinds).String() != "invalid" {
		t.Errorf("a kind from the future is called %q", Kind(Kinds))
	}
}

func TestAPermanentDialErrorIsSeenThroughWhatWrapsIt(t *testing.T) {
	refused := &ServerError{Code: "3D000", Message: "no such database"}
	err := fmt.Errorf("borrow: %w", &DialError{Target: "primary", Permanent: true, Err: refused})
	if !IsPermanent(err) {
		t.Error("not seen as permanent")
	}
	var s *ServerError
	if !errors.As(err, &s) || s != refused {
		t.Error("the server's own error is lost")
	}
	if IsPermanent(&DialError{Target: "primary", Err: refused}) || IsPermanent(refused) {
		t.Error("an error that may go away is taken for permanent")
	}
}

func TestTheConditionsAreDistinct(t *testing.T) {
	all := Conditions()
	for i, a := range all {
		for _, b := range all[:i] {
			if errors.Is(a, b) || a.Error() == b.Error() {
				t.Errorf("%v and %v are the same", a, b)
			}
		}
	}
}
