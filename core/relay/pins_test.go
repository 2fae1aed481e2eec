package relay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/loop"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/telemetry"
)

// still is a loop at a moment that does not pass.
type still struct{ loop.Loop }

func (still) Now() time.Duration { return time.Second }

// shouting is an engine whose digests are in capitals.
type shouting struct{ engine.Engine }

func (shouting) Name() string { return "mysql" }

func (shouting) Digest(dst, sql []byte, limit int) []byte {
	return append(dst, bytes.ToUpper(sql[:min(len(sql), limit)])...)
}

// record is a session's pins in a test, and the log that they are written to.
type record struct {
	*testing.T
	*Session
	log  *bytes.Buffer
	pins *Pins
}

func newRecord(t *testing.T, policy pin.Policy, rds bool) record {
	log := new(bytes.Buffer)
	pins := NewPins(rds, zerolog.New(log))
	s := &Session{
		id: 7, user: "u", database: "d", application: "a", address: "10.0.0.1:5",
		front: &Front{
			Counters: &telemetry.Listener{Name: "l", TargetGroup: "g"}, Engine: shouting{}, Pins: pins,
		},
		worker:  &Worker{loop: still{}, log: zerolog.New(log).Level(zerolog.WarnLevel)},
		backend: &Backend{Backend: engine.Backend{ID: 42}},
	}
	s.pins.policy = &policy
	s.pins.Set = policy.Causes()
	return record{t, s, log, pins}
}

func (r record) report(ev engine.Event) engine.Action { return (*wire)(r.Session).Report(ev) }

func (r record) lines() (lines []map[string]any) {
	r.Helper()
	for text := range strings.Lines(r.log.String()) {
		line := map[string]any{}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			r.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

var takesLock = engine.Event{
	Kind: engine.KindNamedLock, Name: "jobs", Rule: "GET_LOCK", Statement: []byte("do get_lock(?, ?)"), Number: 12,
}

func TestAPinIsLoggedWithAllThatIsKnownOfIt(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), false)
	if r.report(takesLock) != engine.Pin {
		t.Fatal("a lock does not pin")
	}
	want := map[string]any{
		"level": "warn", "message": "session pinned", "reason": "named_lock", "rule": "GET_LOCK", "name": "jobs", "engine": "mysql",
		"listener": "l", "target_group": "g", "user": "u", "database": "d", "application": "a", "client": "10.0.0.1:5",
		"session": 7., "digest": "DO GET_LOCK(?, ?)", "statement": 12.,
	}
	lines := r.lines()
	if len(lines) != 1 || fmt.Sprint(lines[0]) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", lines, want)
	}
	if got := r.pins.Rows(); len(got) != 1 || got[0].Now != 1 || got[0].Digest != "DO GET_LOCK(?, ?)" || got[0].TargetGroup != "g" {
		t.Errorf("%+v", got)
	}
}

func TestAPinInRDSProxysWords(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), true)
	r.report(engine.Event{Kind: engine.KindSetting, Statement: []byte("set x")})
	r.report(engine.Event{Kind: engine.KindPreparedStatement})
	const begin = "The client session was pinned to the database connection [dbConnection=42] for the remainder of the session. " +
		"The proxy can't reuse this connection until the session ends. Reason: "
	want := []string{
		begin + "SQL changed session settings that the proxy doesn't track. Consider moving session configuration to the proxy's " +
			`initialization query. Digest: "SET X".`,
		begin + "Running a prepared statement.",
	}
	for i, line := range r.lines() {
		if line["message"] != want[i] {
			t.Errorf("got  %s\nwant %s", line["message"], want[i])
		}
	}
}

func TestEveryReasonCanBePutInRDSProxysWords(t *testing.T) {
	for k, reason := range rdsReasons {
		if !strings.HasSuffix(reason, ".") {
			t.Errorf("%s: %q", engine.Kind(k), reason)
		}
	}
}

func TestASessionLogsEachReasonOnceHoweverOftenItComes(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), false)
	for range 5 {
		r.report(takesLock)
		undo := takesLock
		undo.Undo = true
		r.report(undo)
	}
	r.report(engine.Event{Kind: engine.KindListen})
	if got := r.lines(); len(got) != 2 || got[1]["reason"] != "listen" {
		t.Errorf("%v", got)
	}
	if c := r.front.Counters; c.Pins[engine.KindNamedLock].Value() != 5 || c.Unpins[engine.KindNamedLock].Value() != 5 {
		t.Error("what is not logged is not counted")
	}
	for _, row := range r.pins.Rows() {
		if row.Reason == engine.KindNamedLock && (row.Count != 5 || row.Now != 0) {
			t.Errorf("%+v", row)
		}
	}
}

func TestALogFloodedWithPinsGetsTheirNumber(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), false)
	for range 3 * pinLines {
		r.Session.pins.logged = 0 // as of another session
		r.report(takesLock)
		undo := takesLock
		undo.Undo = true
		r.report(undo)
	}
	logged := len(r.lines())
	if logged < pinLines || logged > 2*pinLines {
		t.Fatalf("%d lines", logged)
	}
	r.pins.refilled = r.pins.refilled.Add(-time.Second)
	r.pins.Tick()
	r.pins.Tick()
	lines := r.lines()
	if last := lines[len(lines)-1]; len(lines) != logged+1 || last["pins"] != float64(3*pinLines-logged) {
		t.Errorf("%d lines more, the last is %v", len(lines)-logged, last)
	}
}

func TestAResetEndsEveryReasonAndEachIsCounted(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), false)
	r.report(takesLock)
	r.report(engine.Event{Kind: engine.KindListen})
	if s := r.pinned(); len(s) != 2 || s[0] != (PinSnapshot{engine.KindNamedLock, "GET_LOCK", "jobs", 12}) {
		t.Errorf("%+v", s)
	}
	r.report(engine.Event{Kind: engine.KindReset})
	c := r.front.Counters
	if c.SessionsPinned.Value() != 0 || c.Unpins[engine.KindNamedLock].Value() != 1 || c.Unpins[engine.KindListen].Value() != 1 || len(r.pinned()) != 0 {
		t.Errorf("%+v", r.pinned())
	}
	for _, row := range r.pins.Rows() {
		if row.Now != 0 {
			t.Errorf("%+v", row)
		}
	}
}

func TestUnderStrictAWSAResetEndsNothingUnlessTheBackendIsGone(t *testing.T) {
	r := newRecord(t, pin.StrictAWS("mysql"), false)
	r.report(takesLock)
	r.report(engine.Event{Kind: engine.KindReset})
	if !r.Session.pins.Pinned() {
		t.Fatal("unpinned")
	}
	r.backend = nil
	r.report(engine.Event{Kind: engine.KindReset})
	if r.Session.pins.Pinned() || r.front.Counters.SessionsPinned.Value() != 0 {
		t.Fatal("pinned to nothing")
	}
}

func TestASessionThatEndsPinnedPinsNoMore(t *testing.T) {
	r := newRecord(t, pin.Multiplex(), false)
	r.report(takesLock)
	r.unpin()
	r.unpin()
	if rows := r.pins.Rows(); rows[0].Now != 0 || r.front.Counters.SessionsPinned.Value() != 0 {
		t.Errorf("%+v", rows)
	}
}

func TestWhatIsIgnoredLeavesNoTrace(t *testing.T) {
	r := newRecord(t, pin.Multiplex().With(engine.Ignore, engine.KindNamedLock), false)
	if r.report(takesLock) != engine.Ignore || r.Session.pins.Pinned() || len(r.lines()) != 0 || len(r.pins.Rows()) != 0 {
		t.Error("it does")
	}
}
