package mysql

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// read asks the admin server.
func (f front) read(t testing.TB, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, into) != nil {
		t.Fatalf("%s: %s, %v: %s", path, resp.Status, err, body)
	}
}

func TestAPinIsInTheLogAndInTheListOfPins(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		c := f.client(t)
		c.do(t, "select 1", "create temporary table kept (a int default 5)")
		var line struct {
			Level, Reason, Engine, Listener, User, Client, Rule, Name, Digest string
			Statement                                                         int
		}
		for text := range strings.Lines(f.Log()) {
			if strings.Contains(text, `"session pinned"`) && json.Unmarshal([]byte(text), &line) == nil && line.Reason == "temporary_table" {
				break
			}
		}
		if line.Reason != "temporary_table" || line.Level != "warn" || line.Engine != "mysql" || line.Listener != f.server.Name ||
			line.User != "app" || !strings.HasPrefix(line.Client, "127.0.0.1:") {
			t.Errorf("the log's line: %+v", line)
		}
		if line.Rule != "CREATE TEMPORARY TABLE" || line.Name != "app.kept" || line.Statement != 2 ||
			line.Digest != "create temporary table kept(a int default ?)" {
			t.Errorf("what pinned: %+v", line)
		}
		var pins []control.Pin
		f.read(t, "/api/v1/pins", &pins)
		found := false
		for _, p := range pins {
			found = found || p.Reason == "temporary_table" && p.Count == 1 && p.PinnedNow == 1 && p.User == "app" && p.Advice != ""
		}
		if !found {
			t.Errorf("%+v", pins)
		}
		var sessions []control.Session
		f.read(t, "/api/v1/sessions", &sessions)
		if len(sessions) != 1 || len(sessions[0].Pins) != 1 || sessions[0].Pins[0].Reason != "temporary_table" {
			t.Errorf("%+v", sessions)
		}
		c.quit()
	})
}

func TestUnderStrictAWSWhatRDSProxyPinsOnPinsUntilTheSessionEnds(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts(), Pool: harness.Keys{"session_pinning_preset": "strict-aws"}}, func(t *testing.T, f front) {
		for name, sql := range map[string][]string{
			"a temporary table":          {"create temporary table kept (a int)", "drop temporary table kept"},
			"LOCK TABLES":                {"lock tables mysql.time_zone read", "unlock tables"},
			"GET_LOCK":                   {"do get_lock('pins', 0)", "do release_lock('pins')"},
			"a variable not tracked":     {"set sort_buffer_size = 100000", "set sort_buffer_size = default"},
			"a user variable":            {"set @a = 1", "set @a = null"},
			"the next transaction":       {"set transaction read only", "select 1"},
			"a statement prepared (SQL)": {"prepare p from 'select 1'", "deallocate prepare p"},
		} {
			c := dial(t, f.Endpoint, superuser(), modern)
			for _, q := range sql {
				c.do(t, q)
				if f.pinned(t) != 1 {
					t.Errorf("%s: not pinned after %s", name, q)
				}
			}
			c.quit()
			waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		}
	})
}
