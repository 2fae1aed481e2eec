package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// suspected is a stage whose backend's database has verdict s.
func suspected(t *testing.T, s suspicion) (*stage, *unseen) {
	st := newStage(t)
	u := st.m.e.unseenIn(engine.Target{Name: "primary"}, st.m.session.key)
	u.mu.Lock()
	u.set(s, trustWithin)
	u.known.Store(true)
	u.mu.Unlock()
	st.free.State.(*backendState).unseen = u
	st.free.Target.InitQuery = "SET x = 1"
	return st, u
}

func TestASuspectedBackendIsAskedAndCleanedBeforeItGoesBack(t *testing.T) {
	s, _ := suspected(t, suspicionReset)
	s.client(messages("Q SELECT 1"))
	s.server(messages("C SELECT 1, Z I"))
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1, Q (all settings)" {
		t.Errorf("to the backend: %s", got)
	}
	if got := describeMessages(t, s.toClient, false); got != "C SELECT 1, Z I" {
		t.Errorf("the client waits for its answer: %s", got)
	}
	s.client(messages("Q SELECT 2")) // waits
	s.found()
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1, Q (all settings), Q (clean), Q SET x = 1" {
		t.Errorf("to the backend: %s", got)
	}
	s.server(messages("C CLOSE, C RESET, Z I, C SET"))
	if len(s.events) != 0 || s.backend == nil || s.m.Busy() {
		t.Errorf("before it is over: %v", s.events)
	}
	s.server(messages("Z I, C SELECT 2, Z I"))
	if len(s.events) != 2 || s.backend != nil {
		t.Errorf("afterwards: %v", s.events)
	}
	if got := describeMessages(t, s.toClient, false); got != "C SELECT 1, Z I, C SELECT 2, Z I" && got != "C SELECT 1, Z I" {
		t.Errorf("the client saw the cleaning: %s", got)
	}
}

func TestCodeThatIsNewIsAskedAboutTheSettingsThatItsTextSets(t *testing.T) {
	for _, create := range []string{
		"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT set_config('My.Own', 'x', false)$$",
		"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT set_config(''my.own'', ''x'', false)'",
		"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET SESSION my.own = 5; END$$",
	} {
		s, u := suspected(t, suspicionNone)
		s.client(queryMessage(create))
		s.server(messages("C CREATE FUNCTION, Z I"))
		if u.now() != suspicionNew {
			t.Fatalf("%s: suspicion %d", create, u.now())
		}
		s.toBackend = nil
		if s.backend != nil {
			s.found()
			s.server(messages("C CLOSE, C RESET, Z I, C SET, Z I"))
		}
		s.client(messages("Q SELECT f()"))
		s.server(messages("C SELECT 1, Z I"))
		if !strings.Contains(string(s.toBackend), "'{my.own}'") {
			t.Errorf("%s: asked %q", create, s.toBackend)
		}
	}
}

func TestCodeThatIsNewAndSetsTooManySettingsPins(t *testing.T) {
	s, _ := suspected(t, suspicionNone)
	var body strings.Builder
	for i := range maxCustomNames + 1 {
		fmt.Fprintf(&body, "PERFORM set_config('my.own%d', 'x', false); ", i)
	}
	s.client(queryMessage("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN " + body.String() + "END$$"))
	s.server(messages("C CREATE FUNCTION, Z I"))
	if s.backend == nil || !s.m.pins.has(engine.KindUnknown) {
		t.Errorf("%v", s.events)
	}
}

func TestCodeThatIsNewAndLeavesWhatNoResetUndoesPins(t *testing.T) {
	for create, want := range map[string]bool{
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM setseed(0.5); RETURN 1; END$$":        true,
		"CREATE OR REPLACE FUNCTION f() RETURNS int AS $$BEGIN SET seed = 0.5; RETURN 1; END$$ LANGUAGE 'plpgsql'": true,
		"DO $$BEGIN EXECUTE 'create function f() returns int language plperl as ''$_SHARED{x} = 1'''; END$$":       true,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS '$_SHARED{x} = 1'":                                     true,
		"CREATE VIEW v AS SELECT setseed(0.5)":                                                                     true,
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$BEGIN UPDATE t SET a = 1; RETURN 1; END$$":          false,
		"CREATE TABLE t (language text, load /* */ int, /* a */ seed int, session seed)":                           false,
		`CREATE EXTENSION plv8`: true, `create extension IF NOT EXISTS "pg_variables"`: true, "ALTER EXTENSION foo UPDATE TO '2'": true, `CREATE EXTENSION "uuid-ossp"`: false,
		"CREATE EXTENSION IF NOT EXISTS postgis CASCADE": false, "CREATE TABLE extension (a int)": false,
		"CREATE TABLE t (load -- of the machine\n int)": false,
		"CREATE FUNCTION f() RETURNS int AS $$BEGIN UPDATE t SET seed = 1; UPDATE t AS u SET (seed) = (1) WHERE load % 2 = 1; RETURN 1; END$$ LANGUAGE plpgsql": false,
		"CREATE VIEW v AS SELECT * FROM my_replication_slot WHERE a = 'seed'":                                                                                   false,
		"CREATE FUNCTION f() RETURNS int AS 'BEGIN IF a THEN set local seed = 0.5; END IF; END' LANGUAGE plpgsql":                                               true,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT set_config('a.b', 'c', false)$$":                                                              false,
	} {
		s, u := suspected(t, suspicionNone)
		other := suspectedBy(t, s)
		elsewhere := s.m.e.unseenIn(engine.Target{Name: "primary"}, engine.Key{User: "u", Database: "e"})
		s.client(queryMessage(create))
		s.server(messages("C CREATE, Z I"))
		other.client(messages("Q SELECT f()"))
		other.server(messages("C SELECT 1, Z I"))
		if got := other.pins.has(engine.KindUnknown); got != want || elsewhere.stuck.Load() {
			t.Errorf("%s: pinned by %v", create, other.pins)
		}
		u.mu.Lock()
		u.set(suspicionAsked, answerWithin)
		u.mu.Unlock()
		if u.answered(suspicionReset, nil); u.stuck.Load() {
			t.Errorf("%s: the answer is not believed", create)
		}
	}
}

func TestWhatNoResetUndoesPinsWhileTheServerIsAskedAgain(t *testing.T) {
	for _, sql := range []string{"Q SELECT f()", "Q DO 'BEGIN END'"} {
		s, u := suspected(t, suspicionAsked)
		u.answered(suspicionPin, nil)
		u.mu.Lock()
		u.set(suspicionAsked, answerWithin) // by another session
		u.mu.Unlock()
		s.does(sql[2:], "C SELECT 1, Z I")
		if !s.pins.has(engine.KindUnknown) {
			t.Errorf("%s: pinned by %v", sql, s.pins)
		}
		s, u = suspected(t, suspicionStale)
		u.stuck.Store(true)
		s.does(sql[2:], "C SELECT 1, Z I")
		if got := describeMessages(t, s.toBackend, true); got != sql+", Q (code)" {
			t.Errorf("%s: to the backend: %s", sql, got)
		}
	}
}

func TestEverybodyAsksAsLongAsNothingIsKnown(t *testing.T) {
	for _, state := range []suspicion{suspicionAsked, suspicionNew, suspicionReset} {
		s, u := suspected(t, state)
		u.known.Store(false)
		s.does("SELECT f()", "C SELECT 1, Z I")
		if got := describeMessages(t, s.toBackend, true); got != "Q SELECT f(), Q (code)" {
			t.Fatalf("in state %d: to the backend: %s", state, got)
		}
		s.server(row("2", "-"))
		s.server(messages("C SELECT 1, Z I"))
		if !s.pins.has(engine.KindUnknown) || !u.stuck.Load() {
			t.Errorf("in state %d: pinned by %v", state, s.pins)
		}
		other := suspectedBy(t, s)
		other.does("SELECT f()", "C SELECT 1, Z I")
		if got := describeMessages(t, other.toBackend, true); got != "Q SELECT f()" || !other.pins.has(engine.KindUnknown) {
			t.Errorf("in state %d: pinned by %v, to the backend: %s", state, other.pins, got)
		}
	}
}

func TestAQuestionAboutCodeWithoutAnAnswerChangesNothing(t *testing.T) {
	for _, answer := range []string{"! 57014, Z I", "C SELECT 0, Z I", "Z I"} {
		s, u := suspected(t, suspicionAsked)
		u.answered(suspicionPin, []string{"a.b", lexingName})
		u.mu.Lock()
		u.set(suspicionStale, trustWithin)
		u.mu.Unlock()
		s.does("SELECT f()", "C SELECT 1, Z I")
		if got := describeMessages(t, s.toBackend, true); got != "Q SELECT f(), Q (code)" {
			t.Fatalf("to the backend: %s", got)
		}
		s.server(messages(answer))
		other := suspectedBy(t, s)
		other.does("SELECT f()", "C SELECT 1, Z I")
		if !s.pins.has(engine.KindUnknown) || !other.pins.has(engine.KindUnknown) || len(u.settings()) != 1 || !u.lexes.Load() {
			t.Errorf("%s: pinned by %v and %v, settings %q", answer, s.pins, other.pins, u.settings())
		}
	}
}

func TestWhoHasNoAnswerWhileNothingIsKnownIsPinned(t *testing.T) {
	for _, state := range []suspicion{suspicionStale, suspicionAsked, suspicionNew, suspicionReset} {
		s, u := suspected(t, state)
		u.known.Store(false)
		s.does("SELECT f()", "C SELECT 1, Z I")
		s.server(messages("! 57014, Z I"))
		if got := describeMessages(t, s.toBackend, true); got != "Q SELECT f(), Q (code)" || !s.pins.has(engine.KindUnknown) {
			t.Errorf("in state %d: pinned by %v, to the backend: %s", state, s.pins, got)
		}
		other := suspectedBy(t, s)
		other.does("SELECT f()", "C SELECT 1, Z I")
		if got := describeMessages(t, other.toBackend, true); got != "Q SELECT f(), Q (code)" {
			t.Errorf("in state %d: to the other's backend: %s", state, got)
		}
	}
}

func TestReadingAConstantMayExecuteCode(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT '{1}'::dom[]": true, "SELECT $$(1)$$::c": true, "SELECT a + $1 + 1.5 FROM t": false, "SELECT 'x": true,
	} {
		for _, name := range []string{"", "s"} {
			s, _ := suspected(t, suspicionReset)
			s.client(messages("P " + name + "|" + text + ", S"))
			s.server(messages("1, Z I"))
			if got := s.backend != nil; got != want {
				t.Errorf("%q as %q: to the backend: %s", text, name, describeMessages(t, s.toBackend, true))
			}
		}
	}
}

func TestTransactionsWithoutStatementsNeedNoReset(t *testing.T) {
	s, _ := suspected(t, suspicionReset)
	s.client(messages("Q BEGIN; COMMIT"))
	s.server(messages("C BEGIN, C COMMIT, Z I"))
	if s.backend != nil || describeMessages(t, s.toBackend, true) != "Q BEGIN; COMMIT" {
		t.Errorf("%v", describeMessages(t, s.toBackend, true))
	}
}

func TestABackendThatCannotBeResetIsLostAndItsSessionGoesOn(t *testing.T) {
	for i, answer := range []string{"! 57014, Z I", "! FATAL|57P01", "! 57014, Z I", "! FATAL|57P01"} {
		cleaning := i >= 2 // or still asking
		s, _ := suspected(t, suspicionReset)
		s.client(messages("Q SELECT 1"))
		s.server(messages("C SELECT 1, Z I"))
		if cleaning {
			s.found()
		}
		s.server(messages(answer))
		if s.backend != nil {
			s.backend = nil
			s.m.BackendLost(engine.ErrBackendClosed, s)
		}
		if s.ended || s.free != nil || describeMessages(t, s.toClient, false) != "C SELECT 1, Z I" {
			t.Errorf("after %s: ended %v, in the pool %v, the client got %s", answer, s.ended, s.free != nil, describeMessages(t, s.toClient, false))
		}
	}
}

// asyncpg prepares with a Flush, and goes on with a simple Query.
func TestASessionGoesOnWithoutItsBackendBehindABatchThatASimpleRequestEnded(t *testing.T) {
	for _, request := range []string{"Q COPY t FROM STDIN, f no", "F x"} {
		s, _ := suspected(t, suspicionReset)
		s.client(messages("P |SELECT 1, D S|, H"))
		s.server(messages("1, t, T a"))
		s.client(messages(request))
		s.server(messages("! 57014, Z I"))
		s.free = newTestBackend(s.m.session.key, s.backend.State.(*backendState).params)
		s.server(messages("! 57014, Z I")) // a late cancel hits the question what is left
		s.toClient = nil
		s.client(messages("Q SELECT 2"))
		s.server(messages("C SELECT 1, Z I"))
		if got := describeMessages(t, s.toClient, false); got != "C SELECT 1, Z I" {
			t.Errorf("behind %s the client got %s; %v", request, got, s.events)
		}
	}
}

func TestAStaleVerdictIsAskedForOnceAndTrustedByNobodyMeanwhile(t *testing.T) {
	for verdict, want := range map[string]suspicion{"0": suspicionNone, "1": suspicionReset, "2": suspicionPin} {
		s, u := suspected(t, suspicionStale)
		s.client(messages("Q SELECT 1"))
		s.server(messages("C SELECT 1, Z I"))
		if u.now() != suspicionAsked || u.take() {
			t.Fatalf("state %d", u.now())
		}
		s.server(row(verdict, "a.b,c.d"))
		s.server(messages("C SELECT 1, Z I"))
		if u.now() != want || strings.Join(u.settings(), " ") != "a.b c.d" {
			t.Errorf("after %s: state %d, settings %v", verdict, u.now(), u.settings())
		}
	}
	s, u := suspected(t, suspicionStale)
	s.client(messages("Q SELECT 1"))
	s.server(messages("C SELECT 1, Z I"))
	s.server(messages("! 42501, Z I"))
	if u.now() != suspicionReset {
		t.Errorf("an error is no verdict: state %d", u.now())
	}
}

func TestCreatingCodeMakesEverythingSuspected(t *testing.T) {
	for sql, want := range map[string]suspicion{
		"CREATE VIEW v AS SELECT 1": suspicionNew, "ALTER TABLE t ADD a int": suspicionNew, "CREATE INDEX ON t (a)": suspicionNone,
		"CREATE TEMP TABLE t (a int)": suspicionNone, "DO 'CREATE VIEW v AS SELECT 1'": suspicionNew, "SELECT 1": suspicionNone,
	} {
		s, u := suspected(t, suspicionNone)
		s.client(messages("Q " + sql))
		if u.now() != want {
			t.Errorf("%s: state %d, not %d", sql, u.now(), want)
		}
	}
}

func TestADatabaseThatSetsMoreSettingsThanAreRememberedPins(t *testing.T) {
	s, u := suspected(t, suspicionStale)
	s.client(messages("Q SELECT 1"))
	s.server(messages("C SELECT 1, Z I"))
	names := make([]string, maxCustomNames+1)
	for i := range names {
		names[i] = fmt.Sprintf("a.b%d", i)
	}
	s.server(row("1", strings.Join(names, ",")))
	s.server(messages("C SELECT 1, Z I"))
	if u.now() != suspicionPin || s.backend == nil {
		t.Errorf("state %d, events %v", u.now(), s.events)
	}
}

func TestWhatBecomesOfUnseenChangesIsConfigured(t *testing.T) {
	for _, c := range []struct {
		rule         engine.Unseen
		sql          string
		asks, events string
	}{
		{engine.UnseenVerify, "DO 'x'", "all settings", ""}, {engine.UnseenVerify, "SELECT f()", "all settings", ""},
		{engine.UnseenPin, "DO 'x'", "", "unknown"}, {engine.UnseenPin, "SELECT f()", "", "unknown"},
		{engine.UnseenTrust, "DO 'x'", "", "idle"}, {engine.UnseenTrust, "SELECT f()", "", "idle"}, {engine.UnseenTrust, "BAD", "", "idle"},
	} {
		s, _ := suspected(t, suspicionReset)
		s.m.unseenChanges = c.rule
		s.does(c.sql, "C X, Z I")
		if got := strings.Join(s.events, ", "); s.asksAbout() != c.asks || got != c.events {
			t.Errorf("%s with rule %d: asked about %q, events %s", c.sql, c.rule, s.asksAbout(), got)
		}
	}
}

func TestCodeOfAPreparedTransactionIsNewWhenItIsCommitted(t *testing.T) {
	for _, steps := range [][][2]string{
		{{"Q CREATE FUNCTION f()", "C CREATE FUNCTION, Z T"}, {"Q PREPARE TRANSACTION 'a'", "C PREPARE TRANSACTION, Z I"}},
		{{"P |PREPARE TRANSACTION 'a', B p|", "1, 2"}, {"P |CREATE FUNCTION f(), B |, E , E p, S", "1, 2, C CREATE FUNCTION, C PREPARE TRANSACTION, Z I"}},
		nil,
	} {
		s, u := suspected(t, suspicionNone)
		for i, st := range append([][2]string{{"Q BEGIN", "C BEGIN, Z T"}}, steps...) {
			if i > 0 || steps != nil {
				s.client(messages(st[0]))
				s.server(messages(st[1]))
			}
		}
		u.mu.Lock()
		u.set(suspicionNone, trustWithin) // it was asked meanwhile, and has seen nothing
		u.mu.Unlock()
		other := suspectedBy(t, s)
		other.client(messages("Q COMMIT PREPARED 'a'"))
		other.server(messages("C COMMIT PREPARED, Z I"))
		if want := map[bool]suspicion{true: suspicionNew, false: suspicionNone}[steps != nil]; u.now() != want {
			t.Errorf("behind %q: state %d, not %d", steps, u.now(), want)
		}
	}
}

func TestAnotherDatabaseOfTheNameIsSuspected(t *testing.T) {
	for sql, want := range map[string]suspicion{
		"CREATE DATABASE E TEMPLATE f": suspicionNew, `ALTER DATABASE f RENAME TO "e"`: suspicionNew, `ALTER DATABASE f RENAME TO U&"\0065"`: suspicionNew,
		"CREATE DATABASE g": suspicionNone, "ALTER DATABASE e SET x = 1": suspicionNone, "DROP DATABASE e": suspicionNew,
	} {
		s, own := suspected(t, suspicionNone)
		u := s.m.e.unseenIn(engine.Target{Name: "primary"}, engine.Key{User: "u", Database: "e"})
		u.mu.Lock()
		u.set(suspicionNone, trustWithin)
		u.mu.Unlock()
		s.client(queryMessage(sql))
		if u.now() != want {
			t.Errorf("%s: suspicion %d", sql, u.now())
		}
		if own.now() != suspicionNone && !strings.Contains(sql, "U&") {
			t.Errorf("%s: suspicion %d of its own", sql, own.now())
		}
	}
}

// suspectedBy is a stage of another session of the same engine.
func suspectedBy(t *testing.T, s *stage) *stage {
	other := newStage(t)
	other.m = newMachine(s.m.e, sessionInfo{id: 8, key: s.m.session.key, cancelSecret: []byte{1, 2, 3, 4}}).(*machine)
	other.free.State.(*backendState).unseen = s.m.e.unseenIn(engine.Target{Name: "primary"}, s.m.session.key)
	other.m.Start(other)
	other.toClient = nil
	return other
}

func TestWhatTriggersOnLoginsHaveSetIsSetAgainWhenTheBackendIsCleaned(t *testing.T) {
	s, _ := suspected(t, suspicionReset)
	base, _ := s.m.e.settings.intern([]setting{{"app.place", "SET app.place = 'x'"}, {"work_mem", "SET work_mem = '5MB'"}})
	state := s.free.State.(*backendState)
	state.base, state.actual, state.triggers = base, base, true
	s.client(messages("Q SELECT 1"))
	s.server(messages("C SELECT 1, Z I"))
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1, Q (all settings app.place)" {
		t.Errorf("to the backend: %s", got)
	}
	s.toBackend = nil
	s.finds([][2]string{{"app.place", "x"}, {"work_mem", "5MB"}})
	const again = "Q RESET SESSION AUTHORIZATION;\nRESET ROLE;\nRESET ALL;\nSET exit_on_error = on;\nSET app.place = 'x';\nSET work_mem = '5MB';\nRESET exit_on_error"
	if got := describeMessages(t, s.toBackend, true); got != "Q (clean), Q SET x = 1, "+again {
		t.Errorf("to the backend: %s", got)
	}
	s.server(messages("Z I, Z I"))
	if s.backend == nil {
		t.Error("given back too early")
	}
	s.server(messages("Z I"))
	if s.backend != nil || state.actual != base {
		t.Errorf("given back %v, with %v", s.backend == nil, state.actual)
	}
}

func TestATextWaitsBehindCodeThatMayChangeHowItIsRead(t *testing.T) {
	const text = `SELECT 'a\'; LISTEN x; --'`
	for first, answer := range map[string]string{
		"SELECT f()":                                         "S standard_conforming_strings|off, C SELECT 1, Z I",
		"DO 'SET client_encoding TO SJIS'":                   "S standard_conforming_strings|off, C DO, Z I",
		"SELECT f('client_encoding','x')":                    "S standard_conforming_strings|off, C SELECT 1, Z I",
		"CREATE FUNCTION f() AS 'SET NAMES x', Q SELECT f()": "C CREATE FUNCTION, Z I, S standard_conforming_strings|off, C SELECT 1, Z I",
	} {
		s, u := suspected(t, suspicionReset)
		u.lexes.Store(first == "SELECT f()")
		s.client(messages("Q " + first + ", Q " + text))
		if got := describeMessages(t, s.toBackend, true); got != "Q "+first+", H" {
			t.Errorf("behind %s: %s", first, got)
		}
		s.toBackend = nil
		s.server(messages(answer))
		s.finds([][2]string{{"standard_conforming_strings", "off"}})
		s.server(messages("Z I, Z I"))
		if s.pins.has(engine.KindListen) || strings.Contains(describeMessages(t, s.toClient, false), "listen") {
			t.Errorf("behind %s it is read as before: %v", first, s.events)
		}
	}
	s, u := suspected(t, suspicionAsked)
	for _, name := range []string{lexingName, "a.b"} {
		u.answered(suspicionReset, []string{name})
		if u.lexes.Load() != (name == lexingName) || len(u.settings()) != map[string]int{"a.b": 1}[name] {
			t.Errorf("%s: %v, and names %v", name, u.lexes.Load(), u.settings())
		}
		u.mu.Lock()
		u.set(suspicionAsked, trustWithin)
		u.mu.Unlock()
	}
	s.client(messages("Q SELECT f(), Q " + text))
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT f(), Q "+text {
		t.Errorf("behind code that changes nothing of that: %s", got)
	}
}
