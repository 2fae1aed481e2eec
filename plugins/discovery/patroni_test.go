package discovery

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// documented is an answer of GET /cluster as Patroni's documentation has it, with a member more that has no address yet.
const documented = `{"members": [
	{"name": "patroni1", "role": "leader", "state": "running", "api_url": "http://10.0.0.1:8008/patroni", "host": "10.0.0.1", "port": 5432,
	 "timeline": 5, "tags": {"noloadbalance": true, "replicatefrom": "patroni1"}},
	{"name": "patroni2", "role": "replica", "state": "streaming", "api_url": "http://10.0.0.2:8008/patroni", "host": "10.0.0.2", "port": 5433,
	 "timeline": 5, "tags": {"clonefrom": true}, "lag": 0},
	{"name": "patroni3", "role": "replica", "state": "streaming", "host": "10.0.0.3", "port": 5432, "tags": {"noloadbalance": true}, "lag": "unknown"},
	{"name": "patroni4", "role": "replica", "state": "creating replica"}
], "scope": "demo", "scheduled_switchover": {"at": "2023-09-24T10:36:00+02:00", "from": "patroni1", "to": "patroni3"}}`

// find asks p, and returns what it found as name=address.
func find(t *testing.T, p *Patroni) (found []string, err error) {
	t.Helper()
	targets, err := p.Find(t.Context())
	for _, f := range targets {
		found = append(found, f.Name+"="+f.Address)
	}
	return found, err
}

func TestPatroniSaysWhoTheMembersAre(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); r.URL.Path != "/cluster" || user != "berth" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, documented)
	}
	want := []string{"patroni1=10.0.0.1:5432", "patroni2=10.0.0.2:5433"}
	plain, secure := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewTLSServer(http.HandlerFunc(answer))
	defer plain.Close()
	defer secure.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for _, url := range []string{plain.URL, secure.URL + "/"} {
		p, err := NewPatroni([]string{"http://127.0.0.1:1", strings.Replace(url, "://", "://berth:secret@", 1)}, roots)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := find(t, p); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", url, got, err)
		}
		if strings.Contains(p.String(), "secret") {
			t.Errorf("it prints as %s", p)
		}
	}
}

func TestAnAnswerThatIsNoClusterIsAnErrorThatTellsNoPassword(t *testing.T) {
	mode := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode {
		case "redirect":
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusFound)
		case "503":
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, documented)
		case "endless":
			fmt.Fprint(w, `{"members": [`, strings.Repeat(" ", maxCluster), documented)
		case "cut off":
			w.Header().Set("Content-Length", "1000000")
			fmt.Fprint(w, documented[:40])
		default:
			fmt.Fprint(w, mode)
		}
	}))
	defer s.Close()
	p, err := NewPatroni([]string{strings.Replace(s.URL, "://", "://berth:secret@", 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, mode = range []string{
		"redirect", "503", "endless", "cut off", "", "[]", "{}", `{"members": []}`, `{"members": [{"name": "a", "host": "h", "port": 70000}]}`,
		`{"members": [{"name": "a", "port": 1}]}`, `{"members": {"name": 1}}`, "<html>",
	} {
		if got, err := find(t, p); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %q, %v", mode, got, err)
		}
	}
	if p, err = NewPatroni([]string{"http://berth:secret@127.0.0.1:1"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := find(t, p); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
	for _, url := range []string{"", "h:8008", "ftp://user:secret@h", "http://", "http://user:secret@h:x"} {
		if _, err := NewPatroni([]string{url}, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestNodesThatDoNotAnswerLeaveTimeToTheOthers(t *testing.T) {
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, documented) }))
	defer answers.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	var nodes []string
	for range 3 {
		nodes = append(nodes, "http://"+silent.Addr().String())
	}
	p, err := NewPatroni(append(nodes, answers.URL), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	if found, err := p.Find(ctx); err != nil || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestAMemberWhoseNameOrHostIsNoneIsLeftOut(t *testing.T) {
	answer := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	defer s.Close()
	p, err := NewPatroni([]string{s.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{
		`"name": "a\u001b[2Jb", "host": "10.0.0.1"`, `"name": "a\nb", "host": "10.0.0.1"`, `"name": "` + strings.Repeat("a", 300) + `", "host": "10.0.0.1"`,
		`"name": "a", "host": "10.0.0.1\u001b[2J"`, `"name": "a", "host": "a b"`, `"name": ["a\u001b\n"], "host": "a"`, `"name": "a", "host": 1`,
	} {
		answer = `{"members": [{` + member + `, "role": "leader", "port": 5432}]}`
		if got, err := find(t, p); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("alone: %s: %q, %v", member, got, err)
		}
		answer = `{"members": [{` + member + `, "role": "leader", "port": 5432}, {"name": "b", "host": "10.0.0.2", "port": 5432}]}`
		got, err := find(t, p)
		var incomplete *engine.IncompleteError
		if !slices.Equal(got, []string{"b=10.0.0.2:5432"}) || !errors.As(err, &incomplete) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("beside a good one: %s: %q, %v", member, got, err)
		}
	}
}
