package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestTheTokenDoesNotPrint(t *testing.T) {
	c := &Config{Admin: Admin{Token: "hunter2"}}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(asJSON), c.Admin.Token.String(), c.Admin.Token.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.Admin.Token))
	}
	for _, p := range printed {
		if strings.Contains(p, "hunter2") || strings.Contains(strings.ToLower(p), "68756e74") {
			t.Errorf("the token shows in %s", p)
		}
	}
	if c.Admin.Token.Reveal() != "hunter2" {
		t.Error("Reveal does not return the token")
	}
}
