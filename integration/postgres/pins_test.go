package postgres

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// pinLine is what the log says of a pin.
type pinLine struct {
	Level, Message, Reason, Engine, Listener, User, Database, Application, Client string
	TargetGroup                                                                   string `json:"target_group"`
	Session                                                                       uint32
}

// pinLines are the lines on a reason, by session.
func (r *rig) pinLines(reason string) map[uint32][]pinLine {
	found := map[uint32][]pinLine{}
	for text := range strings.Lines(r.proxy.Log()) {
		var line pinLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Reason == reason && line.Level == "warn" {
			found[line.Session] = append(found[line.Session], line)
		}
	}
	return found
}

func (r *rig) pins(t *testing.T, reason string) (found []control.Pin) {
	t.Helper()
	status, body := r.get(t, "/api/v1/pins")
	var all []control.Pin
	if err := json.Unmarshal(body, &all); err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	for _, p := range all {
		if p.Reason == reason {
			found = append(found, p)
		}
	}
	return found
}

func named(application string) func(*pgconn.Config) {
	return func(c *pgconn.Config) { c.RuntimeParams["application_name"] = application }
}

func TestAPinIsInTheLogInTheListOfPinsAndInBerthPins(t *testing.T) {
	each(t, harness.Route{MaxConnections: 4}, func(t *testing.T, r *rig) {
		one, two := conn(t, r.Endpoint, harness.App(), named("reports")), conn(t, r.Endpoint, harness.App(), named("reports"))
		for _, c := range []*pgconn.PgConn{one, two} {
			ask(t, c, "create temp table kept (a int)")
			ask(t, c, "create temp table kept_too (a int)")
		}
		lines := r.pinLines("temporary_table")
		for _, c := range []*pgconn.PgConn{one, two} {
			of := lines[c.PID()]
			if len(of) != 1 {
				t.Fatalf("%d lines on session %d: %+v", len(of), c.PID(), lines)
			}
			l := of[0]
			if l.Message != "session pinned" || l.Engine != "postgres" || l.Listener != r.server.Name || l.TargetGroup != r.server.Name ||
				l.User != "app" || l.Database != "app" || l.Application != "reports" || !strings.HasPrefix(l.Client, "127.0.0.1:") {
				t.Errorf("%+v", l)
			}
		}
		pins := r.pins(t, "temporary_table")
		if len(pins) != 1 || pins[0].Count != 2 || pins[0].PinnedNow != 2 || pins[0].Application != "reports" || pins[0].Advice == "" {
			t.Errorf("%+v", pins)
		}
		if s := r.session(t, one.PID()); s.Pinned != "temporary_table" {
			t.Errorf("%+v", s)
		}
		table := r.berthPins(t)
		if !strings.Contains(table, "temporary_table: "+pins[0].Advice) || !strings.Contains(table, "reports") {
			t.Errorf("berth pins says\n%s", table)
		}
		_ = one.Close(t.Context())
		harness.Eventually(t, settleWithin, "one session is pinned", func() bool {
			pins = r.pins(t, "temporary_table")
			return len(pins) == 1 && pins[0].PinnedNow == 1
		})
		if pins[0].Count != 2 || pins[0].PinnedSeconds <= 0 {
			t.Errorf("%+v", pins)
		}
	})
}

// berthPins is what berth pins prints.
func (r *rig) berthPins(t *testing.T) string {
	t.Helper()
	binary, err := harness.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "pins", "--admin", r.proxy.Admin).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestAPinIsLoggedInRDSProxysWordsOnRequest(t *testing.T) {
	server := harness.PostgresNames()[0]
	p := harness.Start(t, harness.Config{
		Routes: []harness.Route{{Name: "l", Server: harness.Shared(t, server), MaxConnections: 2}},
		Top:    harness.Keys{"log": harness.Keys{"pin_format": "rds"}},
	})
	r := &rig{Endpoint: p.Endpoint("l"), proxy: p}
	c := conn(t, r.Endpoint, harness.App())
	ask(t, c, "create temp table kept (a int)")
	const begin, end = "The client session was pinned to the database connection [dbConnection=",
		"] for the remainder of the session. The proxy can't reuse this connection until the session ends. Reason: "
	lines := r.pinLines("temporary_table")[c.PID()]
	if len(lines) != 1 || !strings.HasPrefix(lines[0].Message, begin) || !strings.Contains(lines[0].Message, end) {
		t.Errorf("%+v", lines)
	}
}

func TestUnderStrictAWSWhatRDSProxyPinsOnPinsUntilTheSessionEnds(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2, Pool: harness.Keys{"session_pinning_preset": "strict-aws"}}, func(t *testing.T, r *rig) {
		for name, sql := range map[string][]string{
			"setting":         {"set work_mem = '5MB'", "reset work_mem"},
			"role":            {"set role app", "reset role"},
			"temporary_table": {"create temp table kept (a int)", "drop table kept"},
			"named_lock":      {"select pg_advisory_lock(4711)", "select pg_advisory_unlock(4711)"},
			"listen":          {"listen c", "unlisten c"},
		} {
			c := conn(t, r.Endpoint, harness.App())
			for _, q := range append(sql, "discard all") {
				ask(t, c, q)
				if s := r.session(t, c.PID()); s.Pinned == "" || s.Backend == 0 {
					t.Errorf("%s: after %s: %+v", name, q, s)
				}
			}
			_ = c.Close(t.Context())
		}
		c := conn(t, r.Endpoint, harness.App())
		if ask(t, c, "select 1"); r.session(t, c.PID()).Pinned != "" {
			t.Error("a plain query pins")
		}
	})
}

func TestARuleOfPinningThatChangesCountsForSessionsThatBeginAfterwards(t *testing.T) {
	server := harness.PostgresNames()[0]
	r := start(t, server, harness.Route{MaxConnections: 3, Pool: harness.Keys{"session_pinning_preset": "multiplex"}})
	before := conn(t, r.Endpoint, harness.App())
	ask(t, before, "select 1")
	r.proxy.Rewrite(t, "session_pinning_preset: multiplex", "session_pinning_preset: strict-aws")
	harness.Eventually(t, settleWithin, "the reload", func() bool { return strings.Contains(r.proxy.Log(), "configuration reloaded") })
	after := conn(t, r.Endpoint, harness.App())
	for _, c := range []*pgconn.PgConn{before, after} {
		ask(t, c, "listen c")
		ask(t, c, "discard all")
	}
	if s := r.session(t, before.PID()); s.Pinned != "" {
		t.Errorf("a session that began before: %+v", s)
	}
	if s := r.session(t, after.PID()); s.Pinned != "listen" {
		t.Errorf("a session that began after: %+v", s)
	}
}
