package postgres

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// row is a DataRow; "-" stands for NULL.
func row(fields ...string) []byte {
	out := []byte{'D', 0, 0, 0, 0, 0, byte(len(fields))}
	for _, f := range fields {
		if f == "-" {
			out = append(out, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(f))), f...)
	}
	binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
	return out
}

// asksAbout is the question that was sent to the backend last, if the last message is one.
func (s *stage) asksAbout() string {
	sent := describeMessages(s.t, s.toBackend, true)
	at := strings.LastIndex(sent, "Q (")
	if at < 0 || !strings.HasSuffix(sent, ")") {
		return ""
	}
	return sent[at+len("Q (") : len(sent)-1]
}

// found answers a question about kinds: those of there are on the connection.
func (s *stage) found(there ...engine.Kind) { s.finds(nil, there...) }

// finds answers with settings (name, value) besides.
func (s *stage) finds(settings [][2]string, there ...engine.Kind) {
	if s.m.lend == nil {
		s.t.Fatal("nobody has asked")
	}
	fields := make([]string, len(verifiable))
	for i, k := range verifiable {
		fields[i] = "-"
		if s.m.lend.verify.asked.has(k) {
			fields[i] = "f"
		}
		for _, t := range there {
			if k == t {
				fields[i] = "t"
			}
		}
	}
	answer := append(append(message("T a"), row(append(fields, strconv.Itoa(s.shared))...)...), message("C SELECT 1")...)
	if s.m.lend.verify.all {
		answer = append(answer, message("T b")...)
		for _, v := range append([][2]string{{"role", "none"}, {"session_authorization", "u"}}, settings...) {
			answer = append(answer, row(v[0], v[1])...)
		}
		answer = append(answer, message("C SELECT 3")...)
	}
	s.server(append(answer, message("Z I")...))
}

// does is a client that sends a query, which the server answers with ready in the end, and forgets what was sent.
func (s *stage) does(sql, answer string) {
	s.toBackend = nil
	s.client(message("Q " + sql))
	s.server(messages(answer))
}

func TestSettingsWhoseNamesDoNotShowAreToldFromOthers(t *testing.T) {
	for text, want := range map[string]string{
		"SET work_mem = '7MB'": "", "SET app.tenant = 'a'": "app.tenant", "SET a = 1.5": "", `SET "App"."Tenant" = 'a'`: "app.tenant",
		"SET app . tenant = ''": "app.tenant", "SET app/**/.tenant = 'a'": "app.tenant", `SET U&"app\002Etenant" = 'a'`: "?",
		"SET seed = 0.5": "?", `SET SESSION "seed" TO 1`: "?", "SET Seed TO DEFAULT": "?", "SELECT set_config('seed', '1', false)": "?",
		"SELECT set_config($1, 'a', false)": "?", "SELECT SET_CONFIG('A.b', 'c', false)": "a.b", "SELECT set_config( 'a.b' , $1, false)": "a.b",
		"SELECT set_config('a.b', 'c', false), set_config(x, 'c', false)": "?", "SELECT set_config('a' || '.b', 'c', false)": "?", "SELECT set_config": "",
		`SELECT "set_config"('a.b', 'c', false)`: "a.b", `SELECT pg_catalog.set_config/* x */('a.b', 'it''s', false)`: "a.b",
		`SELECT set_config('a\.b', 'c', false)`: "?", `SELECT set_config('a.b', 'c\d', false)`: "a.b", "SELECT set_config(E'a.b', 'c', false)": "?",
		"SELECT set_config($$a.b$$, 'c', false)": "?", "SELECT set_config('a.''b', 'c', false)": "?", `SELECT U&"x"('a.b')`: "?",
		"UPDATE pg_settings SET setting = 'a' WHERE name = b": "", "SET a = '.x'": "", `SET "a.b".c = 1`: "a.b.c",
	} {
		r := readSettings([]byte(text), lexing{})
		got := strings.Join(r.names, " ")
		if r.nameless {
			got = "?"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestAPinEndsWhenTheServerSaysThatItsCauseIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		kind      engine.Kind
		make, end string
	}{
		"a temporary table":  {engine.KindTemporaryTable, "CREATE TEMP TABLE a (b int)", "DROP TABLE a"},
		"DISCARD TEMP":       {engine.KindTemporaryTable, "SELECT 1 INTO TEMP a", "DISCARD TEMP"},
		"a lock":             {engine.KindNamedLock, "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"},
		"all locks":          {engine.KindNamedLock, "SELECT pg_advisory_lock_shared(1)", "SELECT pg_advisory_unlock_all()"},
		"a cursor":           {engine.KindCursor, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"},
		"all cursors":        {engine.KindCursor, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL"},
		"a channel":          {engine.KindListen, "LISTEN c", "UNLISTEN c"},
		"all channels":       {engine.KindListen, "LISTEN c", "UNLISTEN *"},
		"a prepared one":     {engine.KindPreparedStatement, "PREPARE p AS SELECT 1", "DEALLOCATE p"},
		"all prepared ones":  {engine.KindPreparedStatement, "PREPARE p AS SELECT 1", "DEALLOCATE ALL"},
		"in a longer query":  {engine.KindNamedLock, "SELECT 1; SELECT pg_advisory_lock(1)", "SELECT 2; SELECT pg_advisory_unlock(1); SELECT 3"},
		"by a WITH":          {engine.KindNamedLock, "SELECT pg_advisory_lock(1)", "WITH x AS (SELECT pg_advisory_unlock(1)) SELECT 1"},
		"by an object's own": {engine.KindTemporaryTable, "CREATE TEMP TABLE a (b int)", "DROP OWNED BY x"},
	} {
		s := newStage(t)
		s.does(c.make, "C X, Z I")
		if s.backend == nil || len(s.events) != 1 || s.events[0] != c.kind.String() || s.asksAbout() != "" {
			t.Errorf("%s: events %v, asked about %q", name, s.events, s.asksAbout())
		}
		s.does("SELECT 1", "C SELECT 1, Z I")
		if s.asksAbout() != "" {
			t.Errorf("%s: asked about %s behind a statement that ends nothing", name, s.asksAbout())
		}
		s.does(c.end, "C X, Z I")
		if got := s.asksAbout(); got != c.kind.String() {
			t.Errorf("%s: asked about %q", name, got)
		}
		s.found(c.kind) // there is another one
		if s.backend == nil || len(s.events) != 1 {
			t.Errorf("%s: events %v while there is one more", name, s.events)
		}
		s.does(c.end, "C X, Z I")
		s.found()
		if got := strings.Join(s.events, ", "); s.backend != nil || got != c.kind.String()+", undo "+c.kind.String()+", idle" {
			t.Errorf("%s: %s", name, got)
		}
		if strings.Contains(describeMessages(t, s.toClient, false), "T a") {
			t.Errorf("%s: the client saw the question's answer", name)
		}
	}
}

func TestNobodyIsAskedWhileATransactionIsOpenAndOnceWhenItIsOver(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
	s.does("BEGIN", "C BEGIN, Z T")
	for range 3 {
		if s.does("SELECT pg_advisory_unlock(1)", "C X, Z T"); s.asksAbout() != "" {
			t.Error("asked within the transaction")
		}
	}
	s.does("COMMIT", "C COMMIT, Z I")
	if got := strings.Count(describeMessages(t, s.toBackend, true), "Q ("); got != 1 {
		t.Errorf("%d questions", got)
	}
	s.client(message("Q SELECT 1")) // waits
	if strings.Contains(describeMessages(t, s.toBackend, true), "Q SELECT 1") || s.m.Busy() {
		t.Error("a message passed before the answer, or the session is busy")
	}
	s.found()
	s.server(messages("C SELECT 1, Z I"))
	if got := describeMessages(t, s.toClient, false); !strings.HasSuffix(got, "C COMMIT, Z I, C SELECT 1, Z I") || s.backend != nil {
		t.Errorf("the client got %s", got)
	}
}

func TestWhatFailsOrIsRolledBackIsAskedFor(t *testing.T) {
	for name, play := range map[string]func(*stage){
		"fails": func(s *stage) { s.does("CREATE TEMP TABLE a (b int)", "! 42P07, Z I") },
		"is rolled back": func(s *stage) {
			s.does("BEGIN", "C BEGIN, Z T")
			s.does("CREATE TEMP TABLE a (b int)", "C CREATE TABLE, Z T")
			s.does("ROLLBACK", "C ROLLBACK, Z I")
		},
		"is rolled back to a savepoint": func(s *stage) {
			s.does("BEGIN; SAVEPOINT s", "C BEGIN, C SAVEPOINT, Z T")
			s.does("CREATE TEMP TABLE a (b int)", "C CREATE TABLE, Z T")
			s.does("ROLLBACK TO s", "C ROLLBACK, Z T")
			s.does("COMMIT", "C COMMIT, Z I")
		},
		"is rolled back by an error at the end": func(s *stage) {
			s.does("BEGIN", "C BEGIN, Z T")
			s.does("CREATE TEMP TABLE a (b int)", "C CREATE TABLE, Z T")
			s.does("SELECT 1/0", "! 22012, Z E")
			s.does("COMMIT", "C ROLLBACK, Z I")
		},
	} {
		s := newStage(t)
		play(s)
		if s.asksAbout() != "temporary_table" {
			t.Errorf("a table whose creation %s: asked about %q", name, s.asksAbout())
			continue
		}
		s.found()
		if s.backend != nil {
			t.Errorf("a table whose creation %s pins: %v", name, s.events)
		}
	}
}

func TestATableThatIsDroppedAtCommitNeitherPinsNorIsAskedFor(t *testing.T) {
	for _, sql := range []string{
		"CREATE TEMP TABLE a (b int) ON COMMIT DROP", "create local temporary table if not exists a (b int, c text) with (x = 1) on commit drop",
		"CREATE TEMP TABLE a ON COMMIT DROP AS SELECT 1",
	} {
		s := newStage(t)
		s.does("BEGIN", "C BEGIN, Z T")
		s.does(sql, "C CREATE TABLE, Z T")
		s.does("COMMIT", "C COMMIT, Z I")
		if s.backend != nil || s.asksAbout() != "" || len(s.events) != 1 {
			t.Errorf("%s: events %v, asked about %q", sql, s.events, s.asksAbout())
		}
	}
	for _, sql := range []string{
		"CREATE TEMP TABLE a (b int) ON COMMIT DELETE ROWS", "CREATE TEMP TABLE a AS SELECT 1 AS on, commit AS x, drop FROM t",
		"CREATE TEMP TABLE a (b int DEFAULT commit(drop))", "CREATE TEMP TABLE a (b int); CREATE TEMP TABLE c (b int) ON COMMIT DROP",
		"CREATE TEMP TABLE a (b int) ON COMMIT DROP; CREATE TEMP TABLE c (b int)", "CREATE TEMP SEQUENCE a",
	} {
		if v := classify([]byte(sql), lexing{}); !v.kinds.has(engine.KindTemporaryTable) {
			t.Errorf("%s: %s", sql, v)
		}
	}
}

func TestALockThatIsTriedPinsIfItWasGot(t *testing.T) {
	for _, got := range []bool{true, false} {
		s := newStage(t)
		s.does("SELECT pg_try_advisory_lock(1)", "C SELECT 1, Z I")
		if s.asksAbout() != "named_lock" || len(s.events) != 0 {
			t.Fatalf("asked about %q, events %v", s.asksAbout(), s.events)
		}
		if got {
			s.found(engine.KindNamedLock)
		} else {
			s.found()
		}
		if (s.backend != nil) != got || (len(s.events) == 1 && s.events[0] == "named_lock") != got {
			t.Errorf("got it %v, events %v", got, s.events)
		}
	}
}

func TestAQuestionWithoutAnAnswerKeepsTheBackendUntilThereIsOne(t *testing.T) {
	for _, answer := range []string{"! 57014, Z I", "C SELECT 0, Z I"} {
		s := newStage(t)
		s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
		s.does("SELECT pg_advisory_unlock(1)", "C X, Z I")
		s.server(messages(answer))
		if got := strings.Join(s.events, ", "); got != "named_lock, unknown" || s.backend == nil {
			t.Fatalf("after %s: %s", answer, got)
		}
		s.does("SELECT 1", "C SELECT 1, Z I")
		if s.asksAbout() != "named_lock" {
			t.Errorf("the next time: asked about %q", s.asksAbout())
		}
		s.found()
		if got := strings.Join(s.events, ", "); got != "named_lock, unknown, undo named_lock, undo unknown, idle" {
			t.Errorf("after %s and an answer: %s", answer, got)
		}
	}
}

func TestAPinnedBackendThatIsLostDuringAQuestionIsToldWithTheNextRequest(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
	s.does("SELECT pg_advisory_unlock(1)", "C X, Z I")
	s.toClient = nil
	s.server(messages("! FATAL|57P01"))
	s.lose()
	if got := describeMessages(t, s.toClient, false); s.ended || got != "" {
		t.Errorf("ended %v, the client got %s", s.ended, got)
	}
	s.does("SELECT 1", "")
	s.does("SELECT 2", "C X, Z I")
	if got := describeMessages(t, s.toClient, false); s.ended || got != "! 08006, Z I, C X, Z I" {
		t.Errorf("ended %v, the client got %s", s.ended, got)
	}
}

func TestWhatDoesNotPinByConfigurationIsCleanedAway(t *testing.T) {
	s := newStage(t)
	s.ignores = 1 << engine.KindTemporaryTable
	s.free.Target.InitQuery = "SET x = 1"
	s.does("CREATE TEMP TABLE a (b int)", "C CREATE TABLE, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q CREATE TEMP TABLE a (b int), Q (clean), Q SET x = 1" {
		t.Errorf("to the backend: %s", got)
	}
	s.server(messages("C DISCARD ALL, Z I, C SET, Z I"))
	if got := strings.Join(s.events, ", "); got != "temporary_table ignored, idle" {
		t.Errorf("events %s", got)
	}
	s.does("SELECT 1", "C SELECT 1, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestALoadedLibraryOutlivesDiscardAll(t *testing.T) {
	s := newStage(t)
	s.does("LOAD 'x'", "C LOAD, Z I")
	s.does("DISCARD ALL", "C DISCARD ALL, Z I")
	if got := strings.Join(s.events, ", "); got != "library, reset, library" || s.backend == nil {
		t.Errorf("events %s", got)
	}
}

func TestAnswersToAQuestionThatMakeNoSenseAreNone(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_try_advisory_lock(1)", "C SELECT 1, Z I")
	whole := row("-", "t", "-", "-", "-", "-")[headerLength:]
	for n := range whole {
		if s.m.verifyRow(whole[:n]); s.m.lend.verify.answer {
			t.Errorf("%d bytes of %d are an answer", n, len(whole))
		}
	}
	for _, bad := range [][]byte{{0, 4}, {0, 6, 0x80, 0, 0, 0}, row("-", "-", "-", "-", "-", "-")[headerLength:], row("-", "yes", "-", "-", "-", "-")[headerLength:]} {
		if s.m.verifyRow(bad); s.m.lend.verify.answer {
			t.Errorf("%v is an answer", bad)
		}
	}
	if s.m.verifyRow(whole); !s.m.lend.verify.answer || !s.m.lend.verify.found.has(engine.KindNamedLock) {
		t.Error("a whole answer is none")
	}
}

func TestCodeThatCannotBeSeenIsAskedAboutAndCleanedUpAfter(t *testing.T) {
	for _, sql := range []string{
		"DO $$ BEGIN END $$", "CREATE EXTENSION x", "SELECT query_to_xml('SELECT 1', true, true, '')", "BAD", "SELECT 'open",
	} {
		s := newStage(t)
		s.does(sql, "C X, Z I")
		if got := s.asksAbout(); got != "all settings" {
			t.Errorf("%s: asked about %q", sql, got)
		}
		s.found()
		if got := s.asksAbout(); got != "clean" {
			t.Errorf("%s: then %q", sql, got)
		}
		s.server(messages("C RESET, Z I"))
		if got := strings.Join(s.events, ", "); got != "idle" || describeMessages(t, s.toClient, false) != "C X, Z I" {
			t.Errorf("%s: events %s, the client got %s", sql, got, describeMessages(t, s.toClient, false))
		}
	}
}

func TestATypoIsNotAskedAbout(t *testing.T) {
	syntax := func(fields string) []byte {
		out := append([]byte{'E', 0, 0, 0, 0}, "SERROR\x00VERROR\x00C42601\x00"+fields+"\x00"...)
		binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
		return out
	}
	for name, c := range map[string]struct {
		client string
		server []byte
		asks   string
	}{
		"a typo":                 {"Q SELEC 1", append(syntax("P1\x00"), messages("Z I")...), ""},
		"an open string":         {"Q SELECT 'a", append(syntax("P1\x00"), messages("Z I")...), ""},
		"a typo that is parsed":  {"P |SELEC 1, B |, E, S", append(syntax("P1\x00"), messages("Z I")...), ""},
		"another error":          {"Q SELEC 1", messages("! 22012, Z I"), "all settings"},
		"one within a function":  {"Q SELEC 1", append(syntax("Wfunction f()\x00"), messages("Z I")...), "all settings"},
		"a statement's own code": {"Q DO 'x'", append(syntax("P1\x00"), messages("Z I")...), "all settings"},
		"both":                   {"Q DO 'x'; SELEC", append(syntax("P1\x00"), messages("Z I")...), "all settings"},
		"behind another request": {"Q SELECT 1, Q SELEC 1", append(messages("C SELECT 1, Z I"), append(syntax("P1\x00"), messages("Z I")...)...), "all settings"},
	} {
		s := newStage(t)
		s.client(messages(c.client))
		s.server(c.server)
		if got := s.asksAbout(); got != c.asks || (s.backend == nil) != (c.asks == "") {
			t.Errorf("%s: asked about %q, events %v", name, got, s.events)
		}
	}
}

func TestWhatCodeLeftKeepsTheBackendAsItsOwnKind(t *testing.T) {
	for name, c := range map[string]struct {
		settings [][2]string
		kinds    []engine.Kind
		events   string
	}{
		"a lock":         {nil, []engine.Kind{engine.KindNamedLock}, "named_lock"},
		"two things":     {nil, []engine.Kind{engine.KindTemporaryTable, engine.KindListen}, "temporary_table, listen"},
		"a setting":      {[][2]string{{"work_mem", "9MB"}}, nil, ""},
		"one of its own": {[][2]string{{"a.b", "c"}}, nil, ""},
		"a role":         {[][2]string{{"role", "x"}}, nil, ""},
		"another user":   {[][2]string{{"session_authorization", "x"}}, nil, ""},
		"temp_buffers":   {[][2]string{{"temp_buffers", "100"}}, nil, "setting"},
		"not ASCII":      {[][2]string{{"a.b", "\u00fc"}}, nil, "setting"},
		"the first ones": {[][2]string{{"work_mem", "7MB"}}, nil, ""},
	} {
		s := newStage(t)
		base, _ := s.m.e.settings.intern([]setting{{"work_mem", `SET "work_mem" = '7MB'`}})
		s.free.State.(*backendState).base, s.free.State.(*backendState).actual = base, base
		s.does("DO 'set_config(''a.b'', ''c'', false)'", "C DO, Z I")
		if got := s.asksAbout(); got != "all settings a.b" {
			t.Fatalf("%s: asked about %q", name, got)
		}
		s.finds(c.settings, c.kinds...)
		if got := strings.Join(s.events, ", "); got != c.events || (s.asksAbout() == "clean") != (c.events == "") {
			t.Errorf("%s: events %s, then %q", name, got, s.asksAbout())
		}
	}
	s := newStage(t)
	s.does("DO 'x'", "C DO, Z I")
	s.found(engine.KindNamedLock)
	s.does("SELECT pg_advisory_unlock(1)", "C SELECT 1, Z I")
	if s.asksAbout() != "named_lock" {
		t.Errorf("asked about %q", s.asksAbout())
	}
	s.found()
	if got := s.asksAbout(); got != "clean" {
		t.Errorf("what the code did besides is not cleaned up: %q", got)
	}
}

func TestWhileThereIsAPinNobodyIsAskedAboutCode(t *testing.T) {
	s := newStage(t)
	s.does("LISTEN a", "C LISTEN, Z I")
	s.does("DO 'x'", "C DO, Z I")
	if got := s.asksAbout(); got != "" {
		t.Errorf("asked about %q", got)
	}
	s.does("UNLISTEN a", "C UNLISTEN, Z I")
	if got := s.asksAbout(); got != "all settings" {
		t.Errorf("asked about %q", got)
	}
	s.found(engine.KindNamedLock)
	if got := strings.Join(s.events, ", "); got != "listen, named_lock, undo listen" && got != "listen, undo listen, named_lock" {
		t.Errorf("events %s", got)
	}
}

func TestASettingTooLongToBeHeldIsASetting(t *testing.T) {
	s := newStage(t)
	s.does("DO 'x'", "C DO, Z I")
	s.server(append(message("T a"), row("f", "f", "f", "f", "f", "0")...))
	s.server(append(message("T b"), row("my.own", strings.Repeat("x", 200<<10))...))
	s.server(messages("C SELECT 1, Z I"))
	if got := strings.Join(s.events, ", "); got != "setting" {
		t.Errorf("events %s", got)
	}
}

func TestNamesOfSettingsAreTakenOutOfTexts(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a": "", "a.b": "a.b", "'a.b'": "a.b", "x a.b.c, d1.e$": "a.b.c d1.e$", "1.5 a. b .c": "", "a..b": "", "é.ü": "é.ü", "a.'": "",
	} {
		var got []string
		for name := range customNames([]byte(text)) {
			got = append(got, string(name))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	s := newStage(t)
	for i := range maxCustomNames {
		if !s.m.remember(fmt.Appendf(nil, "set_config('A.b%d')", i)) {
			t.Fatalf("name %d is too much", i)
		}
	}
	if !s.m.remember([]byte("a.B0")) || s.m.remember([]byte("a.c")) || s.m.customs[0] != "a.b0" {
		t.Errorf("%v", s.m.customs)
	}
}

func TestCodeThatMakesNamesOfSettingsIsKnown(t *testing.T) {
	for text, want := range map[string]bool{
		"do $$ begin perform set_config('my.own', 'x', false); set my.own = 'y'; execute 'set my.own = 5'; update t set a = b; end $$": false,
		"do 'begin perform set_config(''my.own'', ''x'', false); end'":                                                                 false,
		"do $$ begin perform pg_catalog.set_config( 'my.own'::text , k || 'x', false); execute 'update t set a = ' || b; end $$":       false,
		"do $$ begin perform set_config('my.' || k, 'x', false); end $$":                                                               true,
		"do $$ begin perform \"set_config\"(k, 'x', false); end $$":                                                                    true,
		"do $$ begin perform set_config(format('my.%s', k), 'x', false); end $$":                                                       true,
		"do $$ begin execute format('set my.%s = %L', k, v); end $$":                                                                   true,
		"do $$ begin execute 'SET ' || k || ' = 5'; end $$":                                                                            true,
		"do $$ begin execute format('set session %I = 5', k); end $$":                                                                  true,
	} {
		if got := makesNames([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	s := newStage(t)
	s.client(queryMessage("DO $$ BEGIN PERFORM set_config('my.' || k, 'x', false); END $$"))
	s.server(messages("C DO, Z I"))
	if s.backend == nil || !s.m.pins.has(engine.KindUnknown) {
		t.Errorf("%v", s.events)
	}
}

func TestAResetByTheExtendedProtocolEndsPins(t *testing.T) {
	s := newStage(t)
	s.client(messages("P |LISTEN a, B |, E, S"))
	s.server(messages("1, 2, C LISTEN, Z I"))
	s.client(messages("P |DISCARD ALL, B |, E, S"))
	s.server(messages("1, 2, C DISCARD ALL, Z I"))
	if got := strings.Join(s.events, ", "); got != "listen, reset, idle" {
		t.Errorf("events %s", got)
	}
}

func TestSharedStatementsThatCodeHasDroppedAreMadeAgain(t *testing.T) {
	for there, want := range map[int]string{1: "B |berth:1, E, S", 0: "C S|berth:1, P berth:1|SELECT 1, B |berth:1, E, S"} {
		s := newStage(t)
		s.client(messages("P a|SELECT 1, S"))
		s.server(messages("1, Z I"))
		s.does("DO 'x'", "C DO, Z I")
		s.shared = there
		s.found()
		s.server(messages("C RESET, Z I"))
		s.toBackend = nil
		s.client(messages("B |a, E, S"))
		if got := describeMessages(t, s.toBackend, true); got != want {
			t.Errorf("with %d: %s", there, got)
		}
	}
}
