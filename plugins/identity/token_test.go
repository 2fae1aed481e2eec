package identity

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

var (
	example = Credentials{AccessKey: "AKIDEXAMPLE", Secret: engine.NewSecret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")}
	then    = time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("", 3600))
)

// The signatures are those that botocore 1.43.11 (generate_db_auth_token) makes.
func TestATokenIsTheOneThatAWSsOwnToolsMake(t *testing.T) {
	const between = "/?Action=connect&DBUser=%s&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%%2F20260102%%2Fus-east-1%%2Frds-db%%2Faws4_request" +
		"&X-Amz-Date=20260102T030405Z&X-Amz-Expires=900%s&X-Amz-SignedHeaders=host&X-Amz-Signature=%s"
	for _, c := range []struct {
		host                     string
		port                     int
		user, escaped            string
		session, parameter, sign string
	}{
		{"my-proxy.proxy-abc123.us-east-1.rds.amazonaws.com", 5432, "app user+x@y", "app%20user%2Bx%40y", "", "", "113e14adf9abbf81b5b97cdef0134aeb487bb5ecfc904654986e3fb5f7565c0c"},
		{"h.example.com", 443, "u", "u", "", "", "9543cd926621e943e67821bdcddf053989e7719ac1f9e8113bb014cd3fa023d4"},
		{"MyProxy.Example.com", 3306, "jane_doe", "jane_doe", "tok/en==", "&X-Amz-Security-Token=tok%2Fen%3D%3D", "7b84211045553fd4b146a84036fcaf1243ec98af9f7bbb0c4036203e0a7ecf80"},
		{"db.eu-central-1.rds.amazonaws.com", 3306, "jürgen*'~!(%)", "j%C3%BCrgen%2A%27~%21%28%25%29", "", "", "ba9588ed9da8ec1bfe55aeb584de3aa49a4cbf94b0aaf0c1a5bcc8fdf63ddf6f"},
	} {
		with := example
		with.Session = c.session
		got, err := Token(Login{c.host, c.port, c.user, "us-east-1"}, with, then)
		want := fmt.Sprintf("%s:%d", strings.ToLower(c.host), c.port) + fmt.Sprintf(between, c.escaped, c.parameter, c.sign)
		if err != nil || got != want {
			t.Errorf("%v\n%s, want\n%s", err, got, want)
		}
	}
}

func TestNothingIsSignedThatCannotBeALogin(t *testing.T) {
	good := Login{"db.example.com", 3306, "u", "us-east-1"}
	for what, change := range map[string]func(*Login){
		"a port in the host": func(l *Login) { l.Host = "db.example.com:3306" },
		"a URL":              func(l *Login) { l.Host = "https://db.example.com" },
		"no host":            func(l *Login) { l.Host = "" },
		"port 0":             func(l *Login) { l.Port = 0 },
		"port 65536":         func(l *Login) { l.Port = 1 << 16 },
		"no user":            func(l *Login) { l.User = "" },
		"an odd region":      func(l *Login) { l.Region = "us-east-1/x" },
		"no region":          func(l *Login) { l.Region = "" },
	} {
		l := good
		change(&l)
		if got, err := Token(l, example, then); err == nil {
			t.Errorf("%s: %s", what, got)
		}
	}
	for _, c := range []Credentials{{}, {AccessKey: "a"}, {Secret: example.Secret}} {
		if got, err := Token(good, c, then); err == nil {
			t.Errorf("%v: %s", c, got)
		}
	}
}
