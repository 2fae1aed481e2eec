package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/pool"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/core/telemetry"
)

const patience = 20 * time.Second

// fixed is a proxy that does not change.
type fixed struct {
	snapshot core.Snapshot
	sessions []core.SessionSnapshot
	open     map[*telemetry.Listener]int64
	pins     []pin.Row
	held     []core.SessionSnapshot // not nil: a pause does not come about
	paused   map[string]bool
	waiting  chan struct{} // if not nil, gets one when a pause begins to wait, and one when that is over
}

func (f *fixed) Snapshot() core.Snapshot                      { return f.snapshot }
func (f *fixed) Sessions() []core.SessionSnapshot             { return f.sessions }
func (f *fixed) Pins() []pin.Row                              { return f.pins }
func (f *fixed) InTransaction() map[*telemetry.Listener]int64 { return f.open }

func (f *fixed) Pause(ctx context.Context, group string) error {
	if group != "a" {
		return core.ErrNoGroup
	}
	if f.held != nil {
		if f.waiting != nil {
			f.waiting <- struct{}{}
			defer func() { f.waiting <- struct{}{} }()
		}
		<-ctx.Done()
		return ctx.Err()
	}
	f.paused = map[string]bool{group: true}
	return nil
}

func (f *fixed) Resume(group string) error {
	if group != "a" {
		return core.ErrNoGroup
	}
	f.paused = nil
	return nil
}

func (f *fixed) Holders(string) []core.SessionSnapshot { return f.held }

// serving is a proxy with two listeners and two groups that works.
func serving() *fixed {
	listener := func(name, group string, role relay.Role) core.ListenerSnapshot {
		return core.ListenerSnapshot{
			Name: name, Engine: "postgres", Address: "127.0.0.1:6432", TargetGroup: group, Role: role, Counters: &telemetry.Listener{},
		}
	}
	group := func(name string, readOnly bool) core.GroupSnapshot {
		serves := []relay.Role{relay.ReadWrite, relay.ReadOnly}
		return core.GroupSnapshot{Name: name, Engine: "postgres", Targets: []core.TargetSnapshot{{
			Name: "t", Address: "10.0.0.1:5432",
			Health: target.Health{State: target.Available, Facts: engine.Facts{Version: "18.1", MaxConnections: 100, ReadOnly: readOnly}},
			Serves: serves, Sessions: 7, Pool: pool.Stats{Open: 4, Idle: 1, Lent: 2, Dialing: 1, Max: 45, Waiting: 3}, Counters: &telemetry.Target{},
		}}}
	}
	return &fixed{snapshot: core.Snapshot{
		Accepting: true,
		Listeners: []core.ListenerSnapshot{listener("rw", "a", relay.ReadWrite), listener("ro", "b", relay.ReadOnly)},
		Groups:    []core.GroupSnapshot{group("a", false), group("b", true)},
	}}
}

func ask(t *testing.T, c Config, s Source, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	c.Log = zerolog.Nop()
	h, err := newHandler(c, s)
	if err != nil {
		t.Fatal(err)
	}
	r := request(http.MethodGet, path, headers)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// request is one by address, unless headers say otherwise.
func request(method, path string, headers []string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:7070"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*core.Snapshot)
		reasons []string
	}{
		{"all is well", func(*core.Snapshot) {}, nil},
		{"starting", func(s *core.Snapshot) { s.Accepting = false }, []string{"starting"}},
		{"draining", func(s *core.Snapshot) { s.Accepting, s.Draining = false, true }, []string{"draining"}},
		{"no target", func(s *core.Snapshot) {
			s.Groups[0].Targets[0].Health.State = target.Unavailable
			s.Groups[1].Targets[0].Health.State = target.Registering
		}, []string{"target group a ", "target group b "}},
	} {
		s := serving()
		c.change(&s.snapshot)
		w := ask(t, Config{}, s, "/readyz")
		if (w.Code == http.StatusOK) != (c.reasons == nil) {
			t.Errorf("%s: %d", c.name, w.Code)
		}
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		for i, reason := range c.reasons {
			if len(lines) != len(c.reasons) || !strings.Contains(lines[i], reason) {
				t.Errorf("%s: %q", c.name, w.Body)
			}
		}
		if w := ask(t, Config{}, s, "/healthz"); w.Code != http.StatusOK {
			t.Errorf("%s: /healthz says %d", c.name, w.Code)
		}
	}
}

func TestOnlyHealthChecksComeInWithoutTheToken(t *testing.T) {
	c := Config{Token: "s3cret"}
	for path, guarded := range map[string]bool{
		"/healthz": false, "/readyz": false, "/metrics": true, "/api/v1/status": true, "/api/v1/sessions": true, "/api/v1/pins": true,
	} {
		for _, header := range []string{"", "Bearer", "Bearer ", "Bearer S3cret", "Bearer s3cret2", "Basic s3cret", "s3cret"} {
			w := ask(t, c, serving(), path, "Authorization", header)
			if refused := w.Code == http.StatusUnauthorized; refused != guarded {
				t.Errorf("%s with %q: %d", path, header, w.Code)
			} else if refused && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s does not say how to authenticate", path)
			}
		}
		for _, header := range []string{"Bearer s3cret", "bearer s3cret", "BEARER  s3cret"} {
			if w := ask(t, c, serving(), path, "Authorization", header); w.Code != http.StatusOK {
				t.Errorf("%s with %q: %d", path, header, w.Code)
			}
		}
		if w := ask(t, Config{}, serving(), path); w.Code != http.StatusOK {
			t.Errorf("%s without a token configured: %d", path, w.Code)
		}
	}
}

func TestAPageInABrowserWhoseNameLeadsHereLearnsAndChangesNothing(t *testing.T) {
	page := []string{"Host", "page.example:7070", "Origin", "http://page.example:7070", "Sec-Fetch-Site", "same-origin"}
	for _, path := range []string{"/metrics", "/api/v1/status", "/api/v1/sessions", "/api/v1/pins"} {
		if w := ask(t, Config{}, serving(), path, page...); w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	s := serving()
	if w := post(t, Config{}, s, "/api/v1/target_groups/a/pause", page...); w.Code != http.StatusForbidden || len(s.paused) > 0 {
		t.Errorf("a pause: %d", w.Code)
	}
	if w := ask(t, Config{}, serving(), "/healthz", page...); w.Code != http.StatusOK {
		t.Errorf("a health check: %d", w.Code)
	}
	if w := ask(t, Config{Token: "t"}, serving(), "/metrics", append(page, "Authorization", "Bearer t")...); w.Code != http.StatusOK {
		t.Errorf("with the token: %d", w.Code)
	}
	for _, host := range []string{"localhost:7070", "LOCALHOST", "127.0.0.1", "[::1]:7070", "[::1]", ""} {
		if w := ask(t, Config{}, serving(), "/metrics", "Host", host); w.Code != http.StatusOK {
			t.Errorf("as %q: %d", host, w.Code)
		}
	}
}

func TestStatusIsTheWholePicture(t *testing.T) {
	s := serving()
	s.snapshot.Listeners[0].Counters.ClientConnections.Inc()
	w := ask(t, Config{}, s, "/api/v1/status")
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("it is %s", got)
	}
	var got Status
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	l, g := got.Listeners[0], got.TargetGroups[1]
	if !got.Accepting || l.Name != "rw" || l.Role != "read_write" || l.ClientConnections != 1 || len(got.Listeners) != 2 {
		t.Errorf("listeners: %+v", got)
	}
	x := g.Targets[0]
	if g.Name != "b" || x.State != "AVAILABLE" || !x.ReadOnly || x.MaxConnections != 100 || x.Version != "18.1" {
		t.Errorf("target groups: %+v", g)
	}
	if (x.Pool != Pool{Open: 4, Idle: 1, Lent: 2, Dialing: 1, Max: 45, Waiting: 3}) {
		t.Errorf("pool: %+v", x.Pool)
	}
}

func post(t *testing.T, c Config, s Source, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	c.Log = zerolog.Nop()
	h, err := newHandler(c, s)
	if err != nil {
		t.Fatal(err)
	}
	r := request(http.MethodPost, path, headers)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPauseAndResumeAnswerWithWhatBecameOfThem(t *testing.T) {
	const a, b = "/api/v1/target_groups/a", "/api/v1/target_groups/b"
	for _, c := range []struct {
		name, path string
		held       []core.SessionSnapshot
		headers    []string
		status     int
		body       string
	}{
		{"pause", a + "/pause", nil, nil, http.StatusOK, `"paused": true`},
		{"resume", a + "/resume", nil, nil, http.StatusOK, `"paused": false`},
		{"not in time", a + "/pause?timeout=1ms", []core.SessionSnapshot{{ID: 7}}, nil, http.StatusConflict, `"id": 7`},
		{"pause of nothing", b + "/pause", nil, nil, http.StatusNotFound, "no such target group"},
		{"resume of nothing", b + "/resume", nil, nil, http.StatusNotFound, "no such target group"},
		{"no duration", a + "/pause?timeout=10", nil, nil, http.StatusBadRequest, "such as 10s"},
		{"a negative one", a + "/pause?timeout=-1s", nil, nil, http.StatusBadRequest, "such as 10s"},
		{"a page in a browser", a + "/pause", nil, []string{"Origin", "https://elsewhere.example"}, http.StatusForbidden, ""},
	} {
		s := serving()
		s.held = c.held
		if w := post(t, Config{}, s, c.path, c.headers...); w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if w := post(t, Config{Token: "t0ken"}, s, c.path); w.Code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", c.name, w.Code)
		}
	}
}

func TestListsAreNeverNull(t *testing.T) {
	for path, expected := range map[string]string{
		"/api/v1/status":   `{"accepting":false,"draining":false,"listeners":[],"target_groups":[]}`,
		"/api/v1/sessions": `[]`,
		"/api/v1/pins":     `[]`,
	} {
		var b bytes.Buffer
		if err := json.Compact(&b, ask(t, Config{}, &fixed{}, path).Body.Bytes()); err != nil || b.String() != expected {
			t.Errorf("%s: %s, %v", path, &b, err)
		}
	}
}

func TestSessionsAreListed(t *testing.T) {
	s := &fixed{sessions: []core.SessionSnapshot{{ID: 7, Listener: "l", User: "u", Pinned: "temporary_table", Idle: 1500 * time.Millisecond, Pins: []relay.PinSnapshot{
		{Reason: engine.KindTemporaryTable, Rule: "CREATE TEMPORARY TABLE", Name: "t", Statement: 3},
	}}}}
	var got []Session
	if err := json.Unmarshal(ask(t, Config{}, s, "/api/v1/sessions").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []Session{{ID: 7, Listener: "l", User: "u", Pinned: "temporary_table", IdleSeconds: 1.5, Pins: []SessionPin{
		{Reason: "temporary_table", Rule: "CREATE TEMPORARY TABLE", Name: "t", Statement: 3},
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestPinsAreListedWithAdvice(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &fixed{pins: []pin.Row{{
		Cause: pin.Cause{Reason: engine.KindNamedLock, Rule: "GET_LOCK", Engine: "mysql", TargetGroup: "g", User: "u", Database: "d", Application: "a", Digest: "SELECT GET_LOCK(?)"},
		Count: 3, Now: 2, First: at, Last: at.Add(time.Hour), Pinned: 90 * time.Second,
	}}}
	var got []Pin
	if err := json.Unmarshal(ask(t, Config{}, s, "/api/v1/pins").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []Pin{{
		Reason: "named_lock", Rule: "GET_LOCK", Engine: "mysql", TargetGroup: "g", User: "u", Database: "d", Application: "a", Digest: "SELECT GET_LOCK(?)",
		Count: 3, PinnedNow: 2, First: at, Last: at.Add(time.Hour), PinnedSeconds: 90, Advice: pin.Advice("mysql", engine.KindNamedLock),
	}}
	if !reflect.DeepEqual(got, want) || got[0].Advice == "" {
		t.Errorf("%+v", got)
	}
}

func TestTheServerServesOnIPv6AndEndsWithItsContext(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	address := "[::1]:0"
	if err != nil {
		address = "127.0.0.1:0" // a machine without IPv6
	} else {
		_ = probe.Close()
	}
	s, err := Listen(Config{Address: address, Log: zerolog.Nop()}, serving())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	resp, err := http.Get("http://" + s.Address() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	silent, err := net.Dial("tcp", s.Address()) // a client that says nothing does not hold it up
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}

func TestAServerWhoseSocketFailsSaysSo(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Log: zerolog.Nop()}, serving())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Config{Address: s.Address(), Log: zerolog.Nop()}, serving()); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("an address that is taken: %v", err)
	}
	_ = s.listener.Close()
	if err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
		t.Errorf("a socket that is closed: %v", err)
	}
}

func TestAPauseIsOverWhenItsClientLeavesWhateverThatHasSent(t *testing.T) {
	for _, body := range []string{"", "{}"} {
		f := serving()
		f.held, f.waiting = []core.SessionSnapshot{{ID: 7}}, make(chan struct{}, 2)
		h, err := newHandler(Config{Log: zerolog.Nop()}, f)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(h)
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /api/v1/target_groups/a/pause?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		<-f.waiting
		_ = c.Close()
		select {
		case <-f.waiting:
		case <-time.After(patience / 4):
			t.Errorf("with a body %q the pause waits on", body)
			s.CloseClientConnections()
		}
		s.Close()
	}
}

func TestConnectionsThatNobodyUsesMakePlaceForOthers(t *testing.T) {
	s, err := Listen(Config{Address: "127.0.0.1:0", Log: zerolog.Nop()}, &fixed{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	var first net.Conn
	for i := range maxConnections + 1 {
		c, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: loc"); err != nil { // and nothing more
			t.Fatal(err)
		}
		if i == 0 {
			first = c
		}
	}
	resp, err := http.Get("http://" + s.Address() + "/healthz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	_ = first.SetReadDeadline(time.Now().Add(headersWithin / 2))
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first one is still there: %v", err)
	}
}
