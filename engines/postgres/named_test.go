package postgres

import (
	"bytes"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestANamedStatementGoesWhereItsSessionGoes(t *testing.T) {
	prepared := []step{{"client", "P s|SELECT 1, S"}, {"server", "1, Z I"}}
	with := func(more ...step) []step { return append(append([]step(nil), prepared...), more...) }
	runCases(t, []relayCase{
		{"it does not pin", prepared, "P berth:1|SELECT 1, S", "1, Z I", "idle"},
		{"its backend has it", with(step{"client", "B |s, E, S"}, step{"server", "2, C SELECT 1, Z I"}),
			"P berth:1|SELECT 1, S, B |berth:1, E, S", "1, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"another backend gets it in front of what uses it", with(step{"other backend", ""}, step{"client", "B p|s, E p, S"}, step{"server", "1, 2, C SELECT 1, Z I"}),
			"P berth:1|SELECT 1, S, P berth:1|SELECT 1, B p|berth:1, E, S", "1, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"what the server notices about it again is told nobody", with(step{"other backend", ""}, step{"client", "B |s, E, S"}, step{"server", "N x, 1, N y, 2, C SELECT 1, Z I"}),
			"P berth:1|SELECT 1, S, P berth:1|SELECT 1, B |berth:1, E, S", "1, Z I, N y, 2, C SELECT 1, Z I", "idle, idle"},
		{"once", with(step{"other backend", ""}, step{"client", "B |s, E, B |s, E, S"}, step{"server", "1, 2, C SELECT 1, 2, C SELECT 1, Z I"}),
			"P berth:1|SELECT 1, S, P berth:1|SELECT 1, B |berth:1, E, B |berth:1, E, S", "1, Z I, 2, C SELECT 1, 2, C SELECT 1, Z I", "idle, idle"},
		{"a batch may prepare and use it", []step{{"client", "P s|SELECT 1, B |s, E, S"}, {"server", "1, 2, C SELECT 1, Z I"}},
			"P berth:1|SELECT 1, B |berth:1, E, S", "1, 2, C SELECT 1, Z I", "idle"},
		{"two names may mean the same", with(step{"client", "P t|SELECT 1, S"}, step{"server", "3, 1, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:1, P berth:1|SELECT 1, S, B |berth:1, S", "1, Z I, 1, Z I, 2, Z I", "idle, idle, idle"},
		{"a closed one is gone", with(step{"client", "C S|s, S"}, step{"server", "3, Z I"}, step{"client", "B |s, S"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:, S, B |berth:, S", "1, Z I, 3, Z I, ! 26000, Z I", "idle, idle, idle"},
		{"and its name is free", with(step{"client", "C S|s, P s|SELECT 2, S"}, step{"server", "3, 1, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:, P berth:2|SELECT 2, S, B |berth:2, S", "1, Z I, 3, 1, Z I, 2, Z I", "idle, idle, idle"},
		{"a name that is taken is refused", with(step{"client", "P s|SELECT 2, S"}, step{"server", "3, 1, ! 42P05, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:=, P berth:=|, P berth:=|SELECT 2, S, B |berth:1, S", "1, Z I, ! 42P05, Z I, 2, Z I", "idle, idle, idle"},
		{"a refusal ends its batch", with(step{"client", "P s|SELECT 2, B |s, E, S"}, step{"server", "3, 1, ! 42P05, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:=, P berth:=|, P berth:=|SELECT 2, B |berth:1, E, S", "1, Z I, ! 42P05, Z I", "idle, idle"},
		{"what is wrong with the text comes before that the name is taken", with(step{"client", "P s|SELEC 2, S"}, step{"server", "3, 1, ! 42601, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, C S|berth:=, P berth:=|, P berth:=|SELEC 2, S, B |berth:1, S", "1, Z I, ! 42601, Z I, 2, Z I", "idle, idle, idle"},
		{"one that does not exist is refused, also under the proxy's name", with(step{"client", "B |berth:1, S"}, step{"server", "! 26000, Z I"}, step{"client", "D S|berth:1, S"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, B |berth:, S, B |berth:, S", "1, Z I, ! 26000, Z I, ! 26000, Z I", "idle, idle, idle"},
		{"one that failed does not exist", []step{{"client", "P s|SELEC 1, S"}, {"server", "! 42601, Z I"}, {"client", "P s|SELECT 1, S"}, {"server", "1, Z I"}},
			"P berth:1|SELEC 1, S, P berth:2|SELECT 1, S", "! 42601, Z I, 1, Z I", "idle, idle"},
		{"nor does one that was skipped", []step{{"client", "E x, P s|SELECT 1, S"}, {"server", "! 34000, Z I"}, {"client", "B |s, S"}, {"server", "! 26000, Z I"}},
			"E, P berth:1|SELECT 1, S, B |berth:, S", "! 34000, Z I, ! 26000, Z I", "idle, idle"},
		{"a close that was skipped did not happen", with(step{"client", "E x, C S|s, S"}, step{"server", "! 34000, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, E, C S|berth:, S, B |berth:1, S", "1, Z I, ! 34000, Z I, 2, Z I", "idle, idle, idle"},
		{"what another backend skipped it gets again", with(step{"other backend", ""}, step{"client", "E x, B |s, S"}, step{"server", "! 34000, Z I"}, step{"client", "B |s, S"}, step{"server", "3, 1, 2, Z I"}),
			"P berth:1|SELECT 1, S, E, P berth:1|SELECT 1, B |berth:1, S, C S|berth:1, P berth:1|SELECT 1, B |berth:1, S", "1, Z I, ! 34000, Z I, 2, Z I", "idle, idle, idle"},
		{"the next batch waits until the Parse is certain", []step{{"client", "P s|SELECT 1, S, B |s, S"}, {"server", "! 42P01"}, {"server", "Z I, ! 26000, Z I"}},
			"P berth:1|SELECT 1, S, H, B |berth:, S", "! 42P01, Z I, ! 26000, Z I", "idle"},
		{"DEALLOCATE ALL by a portal that was bound before drops no later one", []step{{"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "P |DEALLOCATE ALL, B |, S"}, {"server", "1, 2, Z T"},
			{"client", "E, P s|SELECT 1, S"}, {"server", "C DEALLOCATE ALL"}, {"server", "1, Z T"}, {"client", "B |s, E, S"}, {"server", "2, C SELECT 1, Z T"}},
			"Q BEGIN, P |DEALLOCATE ALL, B |, S, E, H, P berth:1|SELECT 1, S, B |berth:1, E, S", "C BEGIN, Z T, 1, 2, Z T, C DEALLOCATE ALL, 1, Z T, 2, C SELECT 1, Z T", ""},
		{"DEALLOCATE ALL drops it", with(step{"client", "Q DEALLOCATE ALL"}, step{"client", "B |s, S"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, B |berth:, S", "1, Z I, C DEALLOCATE ALL, Z I, ! 26000, Z I", "idle, idle"},
		{"SQL finds it by its name, and keeps the backend", with(step{"client", "Q EXECUTE s"}, step{"server", "1, Z I, C SELECT 1, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, P s|SELECT 1, S, Q EXECUTE s, B |s, S", "1, Z I, C SELECT 1, Z I, 2, Z I", "idle, prepared_statement"},
		{"not in a transaction that failed: nothing can be prepared there", with(step{"client", "Q BEGIN"}, step{"server", "C BEGIN, Z T"}, step{"client", "Q SELECT 1/0"}, step{"server", "! 22012, Z E"},
			step{"client", "Q EXECUTE s"}, step{"server", "! 25P02, Z E"}, step{"client", "B |s, S"}, step{"server", "! 25P02, Z E"}),
			"P berth:1|SELECT 1, S, Q BEGIN, Q SELECT 1/0, Q EXECUTE s, B |berth:1, S", "1, Z I, C BEGIN, Z T, ! 22012, Z E, ! 25P02, Z E, ! 25P02, Z E", "idle, prepared_statement"},
		{"nor behind an error in its batch: it would be skipped", with(step{"client", "E x, P |EXECUTE s, B |, E, S"}, step{"server", "! 34000"}, step{"server", "Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, E, H, S, B |berth:1, S", "1, Z I, ! 34000, Z I, 2, Z I", "idle, idle, idle"},
		{"SQL that has nothing to do with one that cannot be prepared any more", with(step{"client", "Q EXECUTE x"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, Q EXECUTE x, Q (all settings)", "1, Z I, ! 26000, Z I", "idle, prepared_statement"},
		{"a DEALLOCATE takes away what stands for it", with(step{"client", "Q DEALLOCATE s"}, step{"server", "1, Z I, C DEALLOCATE, Z I"}, step{"client", "B |s, S"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, P s|, S, Q DEALLOCATE s, B |berth:, S", "1, Z I, C DEALLOCATE, Z I, ! 26000, Z I", "idle, idle, idle"},
		{"or else it is closed", with(step{"client", "Q SELECT 1/0; DEALLOCATE s"}, step{"server", "1, Z I, ! 22012, Z I"}, step{"server", "3, Z I"}, step{"client", "B |s, S"}, step{"server", "2, Z I"}),
			"P berth:1|SELECT 1, S, P s|, S, Q SELECT 1/0; DEALLOCATE s, C S|s, S, B |berth:1, S", "1, Z I, ! 22012, Z I, 2, Z I", "idle, idle, idle"},
	})
}

func TestWhatAClientWasToldAboutAStatementStaysTrue(t *testing.T) {
	described := []step{{"client", "P s|SELECT * FROM t, D S|s, S"}, {"server", "1, t, T a, Z I"}, {"other backend", ""}, {"client", "B |s, E, S"}}
	const sent = "P berth:1|SELECT * FROM t, D S|berth:1, S, P berth:1|SELECT * FROM t, D S|berth:1, H"
	runCases(t, []relayCase{
		{"another backend is asked first", append(described[:4:4], step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			sent + ", B |berth:1, E, S", "1, t, T a, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"other columns are an error", append(described[:4:4], step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			sent + ", B |berth:, E, S", "1, t, T a, Z I, ! 0A000, Z I", "idle, idle"},
		{"a description that ends with an error is none", append(append([]step{{"client", "P s|SELECT * FROM t, D S|s, S"}, {"server", "1, t, ! 57014, Z I"}, {"client", "D S|s, S"}, {"server", "t, T a, Z I"}}, described[2:]...),
			step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			"P berth:1|SELECT * FROM t, D S|berth:1, S, D S|berth:1, S, P berth:1|SELECT * FROM t, D S|berth:1, H, B |berth:1, E, S", "1, t, ! 57014, Z I, t, T a, Z I, 2, C SELECT 1, Z I", "idle, idle, idle"},
		{"a table that is gone is the server's error", append(described[:4:4], step{"server", "! 42P01"}, step{"server", "Z I"}),
			sent + ", S", "1, t, T a, Z I, ! 42P01, Z I", "idle, idle"},
	})
}

func TestABackendKeepsABoundedNumberOfStatements(t *testing.T) {
	s := newStage(t)
	for i := range maxStatements + 50 {
		if i == 0 {
			continue
		}
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		s.client(messages("P " + name + "|SELECT " + name + ", S"))
		s.answerAll("Z I")
	}
	if n := len(s.free.State.(*backendState).statements.held); n > maxStatements+1 {
		t.Errorf("the backend has %d statements", n)
	}
}

// answerAll lets the server do whatever it was sent.
func (s *stage) answerAll(ready string) {
	for s.m.queue.n > 0 {
		switch s.m.queue.first().kind() {
		case answerClose:
			s.server(message("3"))
		case answerParse:
			s.server(message("1"))
		case answerBind:
			s.server(message("2"))
		case answerExecute:
			s.server(message("C X"))
		default:
			s.server(message(ready))
		}
	}
}

func TestABackendThatASessionKeepsHasABoundedNumberOfStatements(t *testing.T) {
	for begins, ready := range map[string]string{"LISTEN a": "Z I", "BEGIN": "Z T"} {
		t.Run(begins, func(t *testing.T) {
			s := newStage(t)
			s.does(begins, "C X, "+ready)
			s.client(messages("P kept|SELECT 1, S"))
			s.answerAll(ready)
			for i := range maxStatements + 50 {
				name := "s" + strconv.Itoa(i)
				s.client(messages("P " + name + "|SELECT " + name + ", S, C S|" + name + ", S"))
				s.answerAll(ready)
			}
			if n := len(s.m.state.statements.held); n > maxStatements+2 {
				t.Errorf("the backend has %d statements", n)
			}
			s.client(messages("B |kept, E, S"))
			s.answerAll(ready)
			if len(s.m.named.byName) != 1 || s.ended {
				t.Error("the session has lost one")
			}
		})
	}
}

func TestABatchWithoutAnEndPreparesABoundedAmount(t *testing.T) {
	s := newStage(t)
	s.client(messages("P kept|SELECT 1, H"))
	text := string(bytes.Repeat([]byte("x"), 60_000))
	for i := range 2 * maxHeldBytes / len(text) {
		s.m.state.statements.hold(&sharedStatement{parse: []byte(text)}, uint64(i))
		if s.m.state.statements.bytes >= maxHeldBytes {
			break
		}
	}
	s.answerAll("Z I")
	s.client(messages("P more|SELECT 2, H"))
	if s.m.named.byName["more"] != nil || s.m.queue.first().kind() != answerFail {
		t.Error("a further one is not refused")
	}
	s.server(messages("! 26000"))
	s.client(messages("S"))
	s.server(messages("Z I"))
	for s.m.backend != nil || s.free.State.(*backendState).statements.bytes >= maxHeldBytes {
		s.client(messages("P |SELECT 3, S"))
		s.answerAll("Z I")
	}
	s.client(messages("P more|SELECT 2, S"))
	s.answerAll("Z I")
	if s.m.named.byName["more"] == nil {
		t.Error("it is refused for good")
	}
}

func TestWhatIsAwaitedOfNamedStatementsIsBounded(t *testing.T) {
	s := newStage(t)
	s.client(messages("C S|a, H"))
	for range 10_000 {
		s.client(messages("C S|a, H"))
		s.server(message("3"))
	}
	if n := cap(s.m.named.ops); n > 64 {
		t.Errorf("room for %d answers, of which one is awaited", n)
	}
}

func TestASessionMayHaveSoManyStatements(t *testing.T) {
	for name, each := range map[string]struct{ count, size int }{"by number": {maxNamed, 1}, "by size": {16, maxNamedBytes / 16}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			text := bytes.Repeat([]byte("x"), each.size)
			for i := range each.count {
				s.m.named.set(strconv.Itoa(i), &namedStatement{shared: &sharedStatement{text: text}})
			}
			s.client(messages("P more|SELECT 1, S"))
			s.server(messages("! 26000, Z I"))
			if got := describeMessages(t, s.toClient, false); got != "! 53400, Z I" {
				t.Errorf("the client is told %s", got)
			}
			s.toClient = nil
			s.client(messages("C S|0, P more|SELECT 1, S"))
			s.server(messages("3, 1, Z I"))
			if got := describeMessages(t, s.toClient, false); got != "3, 1, Z I" {
				t.Errorf("after a Close the client is told %s", got)
			}
			s.client(messages("Q DISCARD ALL"))
			if n := &s.m.named; n.byName != nil || n.bytes != 0 {
				t.Errorf("%d statements of %d bytes are left", len(n.byName), n.bytes)
			}
		})
	}
}

func TestAllSessionsMayHaveSoManyTexts(t *testing.T) {
	s := newStage(t)
	s.client(messages("P known|SELECT 1, S"))
	s.server(messages("1, Z I"))
	s.m.e.statements.texts.Most = 1
	s.toClient = nil
	s.client(messages("P more|SELECT 2, S"))
	s.server(messages("! 26000, Z I"))
	if got := describeMessages(t, s.toClient, false); got != "! 53400, Z I" {
		t.Errorf("the client is told %s", got)
	}
	if got := s.m.e.statements.texts.Kept(); got != statementRoom+int64(len("known"))+statementCopies*int64(len("SELECT 1\x00\x00\x00")) {
		t.Errorf("%d bytes are counted", got)
	}
}

func TestTextsThatNobodyHasAreForgotten(t *testing.T) {
	var texts sharedStatements
	texts.intern("", []byte("SELECT 1\x00\x00\x00"), nil, false)
	for range 100 {
		runtime.GC()
		time.Sleep(time.Millisecond)
		texts.mu.Lock()
		n := len(texts.byKey)
		texts.mu.Unlock()
		if n == 0 && texts.texts.Kept() == 0 {
			return
		}
	}
	t.Error("a text is kept, or counted, that nobody has")
}

func TestUsingAKnownStatementAllocatesNothing(t *testing.T) {
	s := run(t, []step{{"client", "P s|SELECT 1, S"}, {"server", "1, Z I"}}, func(left int) int { return left })
	q := &quiet{b: s.free}
	request, answer := messages("B |s, E, S"), messages("2, C SELECT 1, Z I")
	if n := testing.AllocsPerRun(100, func() {
		if n, err := s.m.FromClient(request, q); n != len(request) || err != nil {
			t.Fatalf("consumed %d: %v", n, err)
		}
		if n, err := s.m.FromBackend(answer, q); n != len(answer) || err != nil {
			t.Fatalf("consumed %d: %v", n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAStatementWithATimeIsParsedAgainUnderTheTimeZoneOfItsParse(t *testing.T) {
	const own = ", B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const back = ", P berth:-|ROLLBACK" + own
	for _, c := range []struct{ text, then, now, sent string }{
		{"SELECT '2024-01-01 00:00'::timestamptz", "SET TIME ZONE 'UTC'", "SET TIME ZONE 'Asia/Tokyo'",
			"P berth:-|SET TIME ZONE 'UTC'" + own + "P berth:1|TEXT" + back},
		{"SELECT '2024-01-01 00:00'::timestamptz", "SET TIME ZONE 'UTC'", "RESET timezone", "P berth:-|SET TIME ZONE 'UTC'" + own + "P berth:1|TEXT" + back},
		{"SELECT '2024-01-01 00:00'::timestamptz", "RESET timezone", "SET intervalstyle = iso_8601", "P berth:-|RESET \"intervalstyle\"" + own + "P berth:1|TEXT" + back},
		{"SELECT '2024-01-01 00:00'::timestamptz", "SET TIME ZONE 'UTC'", "SET search_path = a; SET TIME ZONE 'x'", "P berth:2|TEXT, "},
		{`SELECT 'a\b'`, "SET standard_conforming_strings = off", "SET search_path = a; RESET standard_conforming_strings", "P berth:-|SET standard_conforming_strings = off" + own +
			"P berth:2|TEXT" + back},
		{"SELECT '\xe9'", "SET NAMES 'latin1'", "SET NAMES 'utf8'", "P berth:-|SET NAMES 'latin1'" + own + "P berth:1|TEXT" + back},
		{"SELECT 'x-y'", "SET TIME ZONE 'UTC'", "SET TIME ZONE 'Asia/Tokyo'", "P berth:2|TEXT, "}, {"SELECT 1 - 2", "SET TIME ZONE 'UTC'", "SET TIME ZONE 'Asia/Tokyo'", "P berth:2|TEXT, "},
	} {
		s := newStage(t)
		tag := func(sql string) string {
			return strings.Repeat("C "+sql[:strings.IndexByte(sql, ' ')]+", ", 1+strings.Count(sql, ";")) + "Z I"
		}
		s.does(c.then, tag(c.then))
		s.client(messages("P a|" + c.text + ", S"))
		s.server(messages("1, Z I"))
		s.does(c.now, tag(c.now))
		s.toBackend = nil
		s.client(messages("B |a, E, S"))
		if got := describeMessages(t, s.toBackend, true); got != "B |berth:1, E, S" {
			t.Errorf("%s: on the backend that has it: %s", c.text, got)
		}
		s.server(messages("2, C SELECT 1, Z I"))
		s.moves()
		s.client(messages("B |a, E, S"))
		got := describeMessages(t, s.toBackend, true)
		if at := strings.Index(got, "RESET exit_on_error, "); at >= 0 {
			got = got[at+len("RESET exit_on_error, "):]
		}
		want := strings.ReplaceAll(c.sent, "TEXT", c.text)
		name := strings.ReplaceAll(want, "berth:-", "")
		name = name[strings.Index(name, "berth:"):]
		if got != want+"B |"+name[:len("berth:1")]+", E, S" {
			t.Errorf("%s, behind %s and %s: on another: %s", c.text, c.then, c.now, got)
		}
	}
}

// A transaction that is open goes on: what was set for the Parse is set back.
func TestWhatAParseIsReadByIsRolledBackWhereNothingElseIs(t *testing.T) {
	const own = ", B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const before, parse = "P berth:-|SET TIME ZONE 'UTC'" + own, "P berth:1|CALL p('2024-01-01 00:00')"
	const rolls, back = ", P berth:-|ROLLBACK" + own, ", P berth:-|SET TIME ZONE 'Asia/Tokyo'" + own
	for name, c := range map[string]struct {
		first, answer string // in the way
		batch, sent   string
	}{
		"alone":                         {"", "", "B |a, E, S", before + parse + rolls + "B |berth:1, E, S"},
		"behind a Close":                {"", "", "C S|old, B |a, E, S", "C S|berth:, " + before + parse + rolls + "B |berth:1, E, S"},
		"behind a portal":               {"", "", "B x|old, B |a, E, S", "P berth:3|SELECT 1, B x|berth:3, " + before + parse + back + "B |berth:1, E, S"},
		"in a transaction":              {"Q BEGIN", "C BEGIN, Z T", "B |a, E, S", before + parse + back + "B |berth:1, E, S"},
		"while a BEGIN is not answered": {"Q BEGIN", "", "B |a, E, S", "H"},
		"while another batch is not":    {"P |SELECT 1, S", "", "C S|old, B |a, E, S", "C S|berth:, H"},
		"behind a transaction":          {"Q BEGIN; COMMIT", "C BEGIN, C COMMIT, Z I", "B |a, E, S", before + parse + rolls + "B |berth:1, E, S"},
	} {
		s := newStage(t)
		s.does("SET TIME ZONE 'UTC'", "C SET, Z I")
		for _, parse := range []string{"P a|CALL p('2024-01-01 00:00'), S", "P old|SELECT 1, S"} {
			s.client(messages(parse))
			s.server(messages("1, Z I"))
		}
		s.does("SET TIME ZONE 'Asia/Tokyo'", "C SET, Z I")
		s.moves()
		if c.first == "" {
			c.first, c.answer = "Q SELECT 1", "C SELECT 1, Z I"
		}
		s.client(messages(c.first))
		s.server(messages("1, 2, C SET, C SET, C RESET, Z I"))
		s.server(messages(c.answer))
		s.toBackend = nil
		s.client(messages(c.batch))
		got := describeMessages(t, s.toBackend, true)
		got = strings.ReplaceAll(got, "P berth:-|DISCARD SEQUENCES"+own, "")
		if got != c.sent {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.sent)
		}
	}
}

func TestAStatementThatSQLNamesIsParsedUnderTheSettingsOfItsParse(t *testing.T) {
	const own = ", B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	for _, c := range []struct{ text, then, now string }{
		{"SELECT '2024-01-01 00:00'::timestamptz", "SET TIME ZONE 'UTC'", "SET TIME ZONE 'Asia/Tokyo'"},
		{`SELECT 'a\b'`, "SET standard_conforming_strings = off", "SET standard_conforming_strings = on"},
		{"SELECT '\xe9'", "SET NAMES 'latin1'", "SET NAMES 'utf8'"}, {"SELECT 1", "", "SET TIME ZONE 'UTC'"},
	} {
		before, after := "P berth:-|"+c.then+own, ", P berth:-|ROLLBACK"+own
		if c.then == "" {
			before, after = "", ", "
		}
		for sql, want := range map[string]string{
			"Q EXECUTE a":             before + "P a|" + c.text + after + "S, Q EXECUTE a",
			"P |EXECUTE a, B |, E, S": before + "P a|" + c.text + after + "S, P |EXECUTE a, B |, E, S",
		} {
			s := newStage(t)
			if c.then != "" {
				s.does(c.then, "C SET, Z I")
			}
			s.client(messages("P a|" + c.text + ", S"))
			s.server(messages("1, Z I"))
			s.does(c.now, "C SET, Z I")
			s.toBackend = nil
			s.client(messages(sql))
			if got := describeMessages(t, s.toBackend, true); got != want {
				t.Errorf("%s of %s:\n got %s\nwant %s", sql, c.text, got, want)
			}
		}
	}
}

// A libpq program asks for no description: the server alone knows which columns its statement had.
func TestAStatementOfTablesThatOthersDoNotSeeIsNobodyElses(t *testing.T) {
	for _, c := range []struct{ makes, tag, ends, endTag string }{
		{"CREATE TEMP TABLE t (b text)", "C CREATE TABLE, Z I", "DROP TABLE t", "C DROP TABLE, Z I"},
		{"BEGIN; ALTER TABLE t ADD b text", "C BEGIN, C ALTER TABLE, Z T", "ROLLBACK", "C ROLLBACK, Z I"},
		{"BEGIN; DROP TABLE t", "C BEGIN, C DROP TABLE, Z T", "ROLLBACK", "C ROLLBACK, Z I"},
	} {
		s := newStage(t)
		s.client(messages("P s|TABLE t, S"))
		s.server(messages("1, Z I"))
		other := newStage(t)
		other.m = newMachine(s.m.e, sessionInfo{id: 8, key: s.m.session.key, cancelSecret: []byte{1, 2, 3, 4}}).(*machine)
		other.m.Start(other)
		other.does(c.makes, c.tag)
		other.toBackend = nil
		other.client(messages("P s|TABLE t, B |s, E, S"))
		if got := describeMessages(t, other.toBackend, true); got != "P berth:2|TABLE t, B |berth:2, E, S" {
			t.Errorf("behind %s: %s", c.makes, got)
		}
		other.server(messages("1, 2, C SELECT 1, Z " + c.tag[len(c.tag)-1:]))
		other.does(c.ends, c.endTag)
		if strings.HasPrefix(c.ends, "DROP") {
			other.found()
		}
		if other.backend != nil {
			t.Fatalf("behind %s it is kept: %v", c.ends, other.events)
		}
		s.free, s.toBackend = other.free, nil
		s.client(messages("B |s, E, S"))
		if got := describeMessages(t, s.toBackend, true); got != "P berth:1|TABLE t, B |berth:1, E, S" {
			t.Errorf("behind %s and %s: %s", c.makes, c.ends, got)
		}
		other.free, other.toBackend = newTestBackend(s.m.session.key, s.backend.State.(*backendState).params), nil
		other.client(messages("B |s, E, S"))
		if got := describeMessages(t, other.toBackend, true); got != "P berth:1|TABLE t, B |berth:1, E, S" {
			t.Errorf("its own, on another backend behind %s: %s", c.ends, got)
		}
	}
}

func TestACallIsTheFirstOfItsTransactionBehindWhatTheMachineExecutesInItsBatch(t *testing.T) {
	const discards = "P berth:-|DISCARD SEQUENCES, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const rolls = "P berth:-|ROLLBACK, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	prepared := []step{{"client", "P c|CALL f(), S"}, {"server", "1, Z I"}, {"client", "P i|INSERT INTO t VALUES (1), S"}, {"server", "1, Z I"}, {"another", ""}}
	begin := "P berth:1|CALL f(), S, P berth:2|INSERT INTO t VALUES (1), S, "
	runCases(t, []relayCase{
		{"behind a Close", append(prepared[:5:5], step{"client", "C S|old, B |c, E, S"},
			step{"server", "3, 1, 2, C DISCARD SEQUENCES, 3, 3, 1, 2, C ROLLBACK, 3, 3, 2, C CALL, Z I"}),
			begin + "C S|berth:, " + discards + rolls + "B |berth:1, E, S", "1, Z I, 1, Z I, 3, 2, C CALL, Z I", "idle, idle, idle"},
		{"that may have been one's own", append(prepared[:5:5], step{"client", "D S|i, B |i, E, S"},
			step{"server", "t, n, 1, 2, C DISCARD SEQUENCES, 3, 3, 2, C INSERT 0 1, Z I"}),
			begin + "D S|berth:2, " + discards + "B |berth:2, E, S", "1, Z I, 1, Z I, t, n, 2, C INSERT 0 1, Z I", "idle, idle, idle"},
	})
}

// In a transaction, and behind code, a session's settings are not known, but for what the server reports.
func TestAStatementWithATimeIsParsedAgainAsItWasAlsoInATransaction(t *testing.T) {
	const own = ", B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const text = "SELECT '2024-01-01 00:00'::timestamptz"
	const tokyo, utc = "P berth:-|SET \"timezone\" = 'Asia/Tokyo'" + own, "P berth:-|SET \"timezone\" = 'UTC'" + own
	const within, without = "P berth:-|SAVEPOINT \"berth:savepoint\"" + own, ", P berth:-|ROLLBACK TO \"berth:savepoint\"" + own + "P berth:-|RELEASE \"berth:savepoint\"" + own
	const rolls = ", P berth:-|ROLLBACK" + own
	local := []string{"Q BEGIN", "C BEGIN, Z T", "Q SET LOCAL timezone = 'Asia/Tokyo'", "C SET, S TimeZone|Asia/Tokyo, Z T"}
	committed := []string{"Q COMMIT", "C COMMIT, S TimeZone|UTC, Z I"}
	for name, c := range map[string]struct {
		before, behind []string // the client's Parse: what each side says
		use, sent      string
	}{
		"set for the transaction":               {nil, local, "B |s, E, S", within + utc + "PARSE" + without + "BIND, E, S"},
		"was set for the transaction":           {local, committed, "B |s, E, S", tokyo + "PARSE" + rolls + "BIND, E, S"},
		"was set otherwise for it":              {nil, append(local[:2:2], "Q SET timezone = 'Asia/Tokyo'", local[3]), "B |s, E, S", within + utc + "PARSE" + without + "BIND, E, S"},
		"another setting":                       {nil, append(local[:2:2], "Q SET LOCAL work_mem = '8MB'", "C SET, Z T"), "B |s, E, S", "PARSE, BIND, E, S"},
		"another path, so that it is looked up": {nil, append(local[:2:2], "Q SET LOCAL timezone = 'Asia/Tokyo'; SET LOCAL search_path = a", "C SET, C SET, S TimeZone|Asia/Tokyo, Z T"), "B |s, E, S", "PARSE, BIND, E, S"},
		"not answered":                          {nil, append(local[:3:3], ""), "B |s, E, S", "H"},
		"behind a COMMIT of the batch":          {nil, local, "P |COMMIT, B |, E, B |s, E, S", "P |COMMIT, B |, E, PARSE, BIND, E, S"},
	} {
		params := []parameter{{"TimeZone", "UTC"}, {"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"standard_conforming_strings", "on"}, {"client_encoding", "UTF8"}}
		s := newStage(t)
		s.free = newTestBackend(s.m.session.key, params)
		s.m.e.learn(s.m.session.key, params)
		s.m.see(params)
		says := func(steps []string) {
			for i := 0; i < len(steps); i += 2 {
				s.client(messages(steps[i]))
				s.server(messages(steps[i+1]))
			}
		}
		says(c.before)
		status := "I"
		if s.backend != nil {
			status = "T"
		}
		says([]string{"P s|" + text + ", S", "1, Z " + status})
		if status == "I" {
			s.moves()
		}
		says(c.behind)
		if status == "T" {
			s.moves()
		}
		s.toBackend = nil
		s.client(messages(c.use))
		got := describeMessages(t, s.toBackend, true)
		got = regexp.MustCompile("P berth:[0-9a-z]+[|]SELECT '2024[^,]*").ReplaceAllString(got, "PARSE")
		if got = regexp.MustCompile("B [|]berth:[0-9a-z]+").ReplaceAllString(got, "BIND"); got != c.sent {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.sent)
		}
	}
}

// Within a batch nobody knows what a SET or a DO in front has done; at its end the server has reported it.
func TestAStatementWithATimeIsParsedAgainAsItWasBehindASetOfItsBatch(t *testing.T) {
	const own = ", B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const again = "P berth:-|SET \"timezone\" = 'Asia/Tokyo'" + own + "PARSE, P berth:-|ROLLBACK" + own + "BIND, E, S"
	const sets, text = "P |SET TIME ZONE 'Asia/Tokyo', B |, E", "SELECT '2024-01-01 00:00'::timestamptz"
	for name, c := range map[string]struct{ batch, answer, sent string }{
		"alone":                     {sets + ", P s|" + text + ", S", "1, 2, C SET, 1, S TimeZone|Asia/Tokyo, Z I", again},
		"and executed":              {sets + ", P s|" + text + ", B |s, E, S", "1, 2, C SET, 1, 2, C SELECT 1, S TimeZone|Asia/Tokyo, Z I", again},
		"and before it is executed": {"P |SET TIME ZONE 'Asia/Tokyo', B |, P s|" + text + ", E, S", "1, 2, 1, C SET, S TimeZone|Asia/Tokyo, Z I", "PARSE, BIND, E, S"},
		"and before another":        {sets + ", P s|" + text + ", P |SET TIME ZONE 'UTC', B |, E, S", "1, 2, C SET, 1, 1, 2, C SET, Z I", "PARSE, BIND, E, S"},
		"and another one's request": {sets + ", P s|" + text + ", S, Q SET TIME ZONE 'Asia/Tokyo'", "1, 2, C SET, 1, Z I, C SET, S TimeZone|Asia/Tokyo, Z I", "PARSE, BIND, E, S"},
		"and before an error":       {sets + ", P s|" + text + ", P |x, S", "1, 2, C SET, 1, ! 42601, Z I", "PARSE, BIND, E, S"},
		"and in vain":               {sets + ", P s|" + text + ", S", "1, ! 22023, Z I", ""},
	} {
		params := []parameter{{"TimeZone", "UTC"}, {"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"standard_conforming_strings", "on"}, {"client_encoding", "UTF8"}}
		s := newStage(t)
		s.free = newTestBackend(s.m.session.key, params)
		s.m.e.learn(s.m.session.key, params)
		s.m.see(params)
		s.client(messages(c.batch))
		s.server(messages(c.answer))
		if s.asksAbout() != "" {
			s.found()
		}
		if c.sent == "" {
			if s.m.named.byName["s"] != nil {
				t.Errorf("%s: the session has the statement", name)
			}
			continue
		}
		now := "UTC"
		if strings.Contains(c.answer, "!") { // the SET was undone
			now = "Asia/Tokyo"
		}
		s.does("SET TIME ZONE '"+now+"'", "C SET, S TimeZone|"+now+", Z I")
		s.moves()
		s.client(messages("B |s, E, S"))
		got := describeMessages(t, s.toBackend, true)
		if _, behind, ok := strings.Cut(got, "RESET exit_on_error, "); ok {
			got = behind
		}
		got = regexp.MustCompile("P berth:[0-9a-z]+[|]SELECT '2024[^,]*").ReplaceAllString(got, "PARSE")
		if got = regexp.MustCompile("B [|]berth:[0-9a-z]+").ReplaceAllString(got, "BIND"); got != c.sent {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.sent)
		}
	}
}

func TestTheTimesOfAStatementAreThoseBehindAPortalOfAnEarlierRequest(t *testing.T) {
	for _, portal := range []string{"", "p"} {
		params := []parameter{{"TimeZone", "UTC"}, {"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"standard_conforming_strings", "on"}, {"client_encoding", "UTF8"}}
		s := newStage(t)
		s.free = newTestBackend(s.m.session.key, params)
		s.m.see(params)
		s.does("BEGIN", "C BEGIN, Z T")
		s.client(messages("P |SET TIME ZONE 'Asia/Tokyo', B " + portal + "|, S"))
		s.server(messages("1, 2, Z T"))
		s.client(messages("E " + portal + ", P s|SELECT '2024-01-01 00:00'::timestamptz, S"))
		s.server(messages("C SET, 1, S TimeZone|Asia/Tokyo, Z T"))
		if got := settingIn(s.m.named.byName["s"].times, "timezone"); !strings.Contains(got, "Tokyo") {
			t.Errorf("portal %q: %q", portal, got)
		}
	}
}

func TestStatementsOfOtherAbbreviationsOfTimeZonesAreNotShared(t *testing.T) {
	const text = "SELECT '2024-01-01 00:00 EST'::timestamptz"
	params := []parameter{{"TimeZone", "UTC"}, {"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"standard_conforming_strings", "on"}, {"client_encoding", "UTF8"}}
	e := New(Config{})
	names := make(map[string]bool)
	for _, abbreviations := range []string{"Default", "Australia"} {
		s := newStage(t)
		s.m.e = e
		s.free = newTestBackend(s.m.session.key, params)
		e.learn(s.m.session.key, params)
		s.m.see(params)
		if abbreviations != "Default" {
			s.does("SET timezone_abbreviations = '"+abbreviations+"'", "C SET, Z I")
		}
		s.client(messages("P |SET TIME ZONE 'Asia/Tokyo', B |, E, P s|" + text + ", S"))
		s.server(messages("1, 2, C SET, 1, S TimeZone|Asia/Tokyo, Z I"))
		if s.asksAbout() != "" {
			s.found()
		}
		s.does("SET TIME ZONE 'UTC'", "C SET, S TimeZone|UTC, Z I")
		s.moves()
		s.client(messages("B |s, E, S"))
		names[string(s.m.named.byName["s"].shared.name)] = true
	}
	if len(names) != 2 {
		t.Errorf("both are %v", names)
	}
}

func TestAStatementThatWaitsForTheTimesIsKeptOnce(t *testing.T) {
	s := newStage(t)
	s.client(messages("Q SET LOCAL timezone = 'UTC'"))
	s.client(messages("P s|SELECT '2024-01-01 00:00'::timestamptz, S"))
	for range 100 {
		s.server(messages("N x"))
	}
	if n := len(s.m.e.statements.byKey); n != 0 {
		t.Errorf("%d statements", n)
	}
	s.server(messages("C SET, Z I"))
	if n := len(s.m.e.statements.byKey); n != 1 || s.m.named.byName["s"] == nil {
		t.Errorf("then %d", n)
	}
}
