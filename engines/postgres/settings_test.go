package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestWhatATextDoesToTheSettings(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT 1": "0", "": "0", ";;": "0", "SET a = 1": "1 a:SET a = 1", "set  A to\n'b' ; ": "1 a:set  A to\n'b'",
		"SET SESSION a = b, \"C\", 1.5": "1 a:SET SESSION a = b, \"C\", 1.5", "SELECT 1; SET a = -1; RESET b": "2 a:SET a = -1 -b",
		"SET a.b = 'c'": "1 a.b:SET a.b = 'c'", `SET "A"."b" TO on`: `1 a.b:SET "A"."b" TO on`, "SET a = DEFAULT": "1 -a", "SET a TO DEFAULT": "1 -a",
		"SET LOCAL a = 1": "1", "SET LOCAL a = DEFAULT": "1", "SET TRANSACTION READ ONLY": "1", "SET CONSTRAINTS ALL DEFERRED": "0",
		"SET transaction_read_only = on": "1", "SET TIME ZONE 'x'": "1 timezone:SET TIME ZONE 'x'", "SET TIME ZONE LOCAL": "1 -timezone",
		"SET TIME ZONE DEFAULT": "1 -timezone", "RESET TIME ZONE": "1 -timezone", "SET NAMES 'utf8'": "1 client_encoding:SET NAMES 'utf8'",
		"SET NAMES": "1 -client_encoding", "SET NAMES DEFAULT": "1 -client_encoding", "SET SCHEMA 'a'": "1 search_path:SET SCHEMA 'a'",
		"SET ROLE a": "1 role:SET ROLE a", "SET SESSION ROLE a": "1 role:SET SESSION ROLE a", "SET ROLE NONE": "1 role:SET ROLE NONE", "SET role = 'a'": "1 role:SET role = 'a'", "RESET ROLE": "1 -role",
		"RESET a": "1 -a", "RESET a.b": "1 -a.b", "RESET ALL": "1 all", "DISCARD ALL": "1 discard", "DISCARD TEMP": "0",
		"SET a = 'b;c'; RESET d": "2 a:SET a = 'b;c' -d", "SET a = 1; SET b = 2": "2 a:SET a = 1 b:SET b = 2",

		"SET a = 'b' -- c": "1 a:SET a = 'b'", "SET a = 'b'/* c */": "1 a:SET a = 'b'", "/* x */ SET a = 1/**/.5, /* y -- */'--' -- z\n; RESET /**/ b -- x": "2 a:SET a = 1 .5, '--' -b",
		"SET /* x */ a = 1": "1 a:SET /* x */ a = 1", "SET a -- x\n = 1": "1 a:SET a -- x\n = 1", "SET a = 1 /* x": "?", `SET a = 'b\'`: "?", `SET a = E'b\n'`: "?", "SET a = $$b$$": "?", "SET a = '\u00fc'": "?",
		"SET SESSION AUTHORIZATION a": "?", "RESET SESSION AUTHORIZATION": "?", "SET session_authorization = a": "?",
		"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": "?", "SET TIME ZONE INTERVAL '1' HOUR": "?", "SET DateStyle = DMY": "?",
		"SET temp_buffers = 100": "?", "SET seed = 0.5": "?", "SET exit_on_error = on": "?", "SET sort_mem = 1": "?", "SET XML OPTION DOCUMENT": "?",
		"SET session = 1": "?", "SET local.x = 1": "?", "SET session.x = 1": "?", "SET LOCAL TO 'x'": "?", "SELECT set_config('a', 'b', false)": "?",
		"UPDATE pg_settings SET setting = 1": "?", `SET U&"a" = 1`: "?", "SET a = 'b": "?", "SET": "?", "SET a = DEFAULT b": "?", "RESET": "?",
		"SET a = 1; SELECT \"set_config\"('a', 'b', false)": "?",
	} {
		got := "?"
		if r := readSettings([]byte(text), lexing{}); !r.unsure {
			got = fmt.Sprint(r.commands)
			for _, op := range r.ops {
				got += map[settingOpKind]string{opSet: " " + op.name + ":" + op.sql, opReset: " -" + op.name, opResetAll: " all", opDiscard: " discard"}[op.kind]
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestReadingATextWithoutSettingsOrWithLocalOnesAllocatesNothing(t *testing.T) {
	text := []byte("SET LOCAL statement_timeout = 1000; SELECT 1 FROM a WHERE b = 'c'")
	if n := testing.AllocsPerRun(100, func() { readSettings(text, lexing{}) }); n > 1 { // the name
		t.Errorf("%v allocations", n)
	}
}

func TestValuesAreWrittenSoThatTheyMeanTheSameUnderAllSettings(t *testing.T) {
	for value, want := range map[string]string{
		"a": "'a'", "it's": "'it''s'", `a\b`: `$berth$a\b$berth$`, `'\`: `$berth$'\$berth$`, `\$berth$`: "", `\$`: "", "\u00fc": "", "a\x00": "",
	} {
		if want != "" {
			want = `SET "a"."b" = ` + want
		}
		if got, _ := settingSQL("a.b", value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	const defined = `SELECT pg_catalog.set_config('a.b', '', false) WHERE NOT EXISTS (`
	if got, ok := settingSQL("a.b", ""); !ok || !strings.HasPrefix(got, defined) {
		t.Errorf("an empty one: %s", got)
	}
	if got, _ := settingSQL("a", ""); got != `SET "a" = ''` {
		t.Errorf("an empty one of the server's: %s", got)
	}
	for name, want := range map[string]string{
		"role": "SET ROLE 'x'", "session_authorization": "SET SESSION AUTHORIZATION 'x'", "timezone": `SET "timezone" = 'x'`,
		"search_path": "SELECT pg_catalog.set_config('search_path', 'x', false)", `a"b`: "", "": "",
	} {
		if got, _ := settingSQL(name, "x"); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

func TestABackendIsBroughtInLineByWhatDiffers(t *testing.T) {
	made := func(names string) *settings {
		if names == "?" {
			return unknownSettings
		}
		var list []setting
		for _, n := range strings.Fields(names) {
			name, value, _ := strings.Cut(n, "=")
			list = append(list, setting{name, name + ":" + value})
		}
		var table sharedSettings
		s, _ := table.intern(list)
		return s
	}
	const identity = "RESET SESSION AUTHORIZATION; RESET ROLE; "
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""}, {"a=1 b=2", "b=2 a=1", ""}, {"", "a=1 b=2", "a:1; b:2"}, {"a=1", "", `RESET "a"`}, {"a=1 b=2", "a=2 c=3 b=2", "a:2; c:3"},
		{"a.b=1", "", "RESET ALL; SET exit_on_error = on"}, {"a.b=1 c=2", "d=1 c=2", "RESET ALL; SET exit_on_error = on; d:1; c:2"}, {"a.b=1", "a.b=2", "a.b:2"}, {"role=x", "role=x", ""}, {"role=x", "", identity}, {"", "role=x", identity + "role:x"},
		{"role=x a=1", "role=x", identity + "RESET ALL; SET exit_on_error = on; role:x"}, {"session_authorization=x", "session_authorization=y role=z", identity + "session_authorization:y; role:z"},
		{"statement_timeout=1", "statement_timeout=1", ""}, {"statement_timeout=1", "statement_timeout=1 a=1", "SET statement_timeout = 0; a:1; statement_timeout:1"},
		{"statement_timeout=1", "", `SET statement_timeout = 0; RESET "statement_timeout"`},
		{"", "statement_timeout=1 lock_timeout=2 a=1", "a:1; statement_timeout:1; lock_timeout:2"},
		{"lock_timeout=2", "statement_timeout=1 lock_timeout=2 a=1", "SET lock_timeout = 0; a:1; statement_timeout:1; lock_timeout:2"},
		{"default_transaction_deferrable=on", "", `SET TRANSACTION NOT DEFERRABLE; RESET "default_transaction_deferrable"`},
		{"default_transaction_isolation=x", "", `SET TRANSACTION ISOLATION LEVEL READ COMMITTED; RESET "default_transaction_isolation"`},
		{"?", "a=1", identity + "RESET ALL; SET exit_on_error = on; a:1"}, {"?", "", identity + "RESET ALL; SET exit_on_error = on"},
	} {
		want := c.want
		if want != "" {
			want = strings.TrimSuffix(want, "; ") + "; RESET exit_on_error"
		}
		if got := strings.ReplaceAll(restoreSQL(made(c.from), made(c.to)), ";\n", "; "); got != want {
			t.Errorf("from %s to %s:\n %s\nwant\n %s", c.from, c.to, got, want)
		}
	}
}

func TestAShortTimeoutCountsForNoStatementOfARestore(t *testing.T) {
	const closing = "SELECT pg_catalog.set_config('statement_timeout', VALUE, false), pg_catalog.set_config('exit_on_error', NULL, false)"
	for sql, value := range map[string]string{
		"SET statement_timeout = 5": "'5'", "set session statement_timeout to '5 ms'": "'5 ms'", `SET "statement_timeout" = '999ms'`: "'999ms'", "SET statement_timeout='5'": "'5'",
		"SET statement_timeout = 5s": "", "SET statement_timeout = 1000": "", "SET statement_timeout = 010": "", "SET statement_timeout = 0x10": "", "SET statement_timeout = 1.5": "",
		"SET statement_timeout FROM CURRENT": "", "SET statement_timeout = e'5'": "",
		"SET statement_timeout = 5_0": "", "SET statement_timeout = /**/ 5": "", "SET statement_timeout = 5e1": "", `SET statement_timeout = '5\\155s'`: "", "SET statement_timeout = '5'\n'ms'": "",
	} {
		want := sql + ";\nSET lock_timeout = 3;\nRESET exit_on_error"
		if value != "" {
			want = "SET lock_timeout = 3;\n" + strings.ReplaceAll(closing, "VALUE", value)
		}
		var table sharedSettings
		to, _ := table.intern([]setting{{"statement_timeout", sql}, {"lock_timeout", "SET lock_timeout = 3"}})
		if got := restoreSQL(nil, to); got != want {
			t.Errorf("%s: %s", sql, got)
		}
		alone, _ := table.intern([]setting{{"statement_timeout", sql}})
		if got := restoreSQL(nil, alone); strings.Count(got, ";\n") != 1 {
			t.Errorf("%s alone is not of two statements: %s", sql, got)
		}
	}
}

func TestEqualSettingsAreOneAndTooManyAreNone(t *testing.T) {
	var table sharedSettings
	one, _ := table.intern([]setting{{"a", "x"}, {"application_name", "y"}})
	same, _ := table.intern([]setting{{"a", "x"}, {"application_name", "y"}})
	other, _ := table.intern([]setting{{"a", "x"}, {"application_name", "z"}})
	if one != same || one == other || one.text() != other.text() || one.text() == (*settings)(nil).text() {
		t.Errorf("%p %p %p: %q %q", one, same, other, one.text(), other.text())
	}
	var many []setting
	for i := range maxSettings + 1 {
		many = append(many, setting{fmt.Sprint(i), "x"})
	}
	if _, ok := table.intern(many); ok {
		t.Error("too many are kept")
	}
	if _, ok := table.intern(many[1:]); !ok {
		t.Error("as many as may be are not")
	}
	if _, ok := table.intern([]setting{{"a", strings.Repeat("x", maxSettingsBytes)}}); ok {
		t.Error("too long ones are kept")
	}
}

// guarded is how what restores begins.
const guarded = "P |SET exit_on_error = on, B |, E, Q "

const restoringA = guarded + "SET a = 1;\nRESET exit_on_error"

// moves lets the session find another backend, as it was dialed, when it borrows next.
func (s *stage) moves() {
	s.free = newTestBackend(s.m.session.key, s.free.State.(*backendState).params)
	s.toBackend, s.toClient = nil, nil
}

func TestSettingsAreRestoredInTheSameWriteAsTheRequest(t *testing.T) {
	s := newStage(t)
	s.does("SET a = 1", "C SET, Z I")
	if s.backend != nil || describeMessages(t, s.toBackend, true) != "Q SET a = 1" {
		t.Fatalf("not given back at once: %v, sent %s", s.events, describeMessages(t, s.toBackend, true))
	}
	s.does("SELECT 1", "C SELECT 1, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1" {
		t.Errorf("on the same backend: %s", got)
	}
	s.moves()
	s.client(messages("P |SELECT 1, B |, E, S"))
	if got := describeMessages(t, s.toBackend, true); got != restoringA+", P |SELECT 1, B |, E, S" {
		t.Errorf("on another: %s", got)
	}
	s.server(messages("1, 2, C SET, C SET, C RESET, Z I, 1, 2, C SELECT 1, Z I"))
	if got := describeMessages(t, s.toClient, false); got != "1, 2, C SELECT 1, Z I" || s.backend != nil {
		t.Errorf("the client sees %s; given back %v", got, s.backend == nil)
	}
	s.does("RESET ALL", "C RESET, Z I")
	s.moves()
	s.does("SELECT 1", "C SELECT 1, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1" {
		t.Errorf("behind RESET ALL: %s", got)
	}
}

func TestWhatRestoringReportsTheClientIsToldOnlyWhereItIsNews(t *testing.T) {
	s := newStage(t)
	s.does("SET TIME ZONE 'x'", "S TimeZone|x, C SET, Z I")
	s.moves()
	s.client(message("Q SELECT 1"))
	s.server(messages("1, 2, C SET, S TimeZone|x, S server_version|19, C SET, C RESET, Z I, C SELECT 1, Z I"))
	if got := describeMessages(t, s.toClient, false); got != "S server_version|19, C SELECT 1, Z I" {
		t.Errorf("the client sees %s", got)
	}
}

func TestWhatExecuteHasSetIsFoundBehindDeallocate(t *testing.T) {
	for _, execute := range []string{"EXECUTE a", "CREATE TABLE t AS EXECUTE a"} {
		s := newStage(t)
		s.does("PREPARE a AS SELECT set_config('search_path', 'x', false)", "C PREPARE, Z I")
		s.finds(nil, engine.KindPreparedStatement)
		s.does(execute, "C SELECT 1, Z I")
		s.does("DEALLOCATE a", "C DEALLOCATE, Z I")
		if got := s.asksAbout(); !strings.HasPrefix(got, "all settings") {
			t.Errorf("%s: asked about %q, sent %s", execute, got, describeMessages(t, s.toBackend, true))
		}
	}
}

func TestATextWaitsUntilItIsKnownHowTheServerReadsIt(t *testing.T) {
	const set, text = "SET standard_conforming_strings = off", `SELECT 'a\'; LISTEN x; --'`
	off, on := step{"server", "S standard_conforming_strings|off, C SET, Z I"}, step{"server", "C SELECT 1, Z I"}
	runCases(t, []relayCase{
		{"behind a SET", []step{{"client", "Q " + set + ", Q " + text}, off, on}, "Q " + set + ", H, Q " + text,
			"S standard_conforming_strings|off, C SET, Z I, C SELECT 1, Z I", "idle, idle"},
		{"in a batch", []step{{"client", "P |" + set + ", B |, E, P |" + text + ", B |, E, S"}, {"server", "1, 2, S standard_conforming_strings|off, C SET"}, {"server", "1, 2, C SELECT 1, Z I"}},
			"P |" + set + ", B |, E, H, P |" + text + ", B |, E, S", "1, 2, S standard_conforming_strings|off, C SET, 1, 2, C SELECT 1, Z I", "idle"},
		{"behind its rollback", []step{{"client", "Q BEGIN; " + set}, {"server", "S standard_conforming_strings|off, C BEGIN, C SET, Z T"}, {"client", "Q ROLLBACK AND CHAIN, Q " + text},
			{"server", "S standard_conforming_strings|on, C ROLLBACK, Z T"}, {"server", "C SELECT 1, C LISTEN, Z T"}}, "Q BEGIN; " + set + ", Q ROLLBACK AND CHAIN, H, Q " + text,
			"S standard_conforming_strings|off, C BEGIN, C SET, Z T, S standard_conforming_strings|on, C ROLLBACK, Z T, C SELECT 1, C LISTEN, Z T", "listen"},
		{"but not what means the same", []step{{"client", "Q " + set + ", Q SELECT 'a'"}, off, on}, "Q " + set + ", Q SELECT 'a'",
			"S standard_conforming_strings|off, C SET, Z I, C SELECT 1, Z I", "idle"},
	})
}

func TestWhereTheTextDoesNotTellTheServerIsAskedWhatIsSet(t *testing.T) {
	for name, c := range map[string]struct{ client, server string }{
		"the view":               {"Q UPDATE pg_settings SET setting = 1", "C UPDATE 1, Z I"},
		"an error":               {"Q SET a = 1", "! 22023, Z I"},
		"an error behind it":     {"Q SET a = 1; SELECT 1/0", "C SET, ! 22012, Z I"},
		"a rollback":             {"Q BEGIN; SET a = 1; ROLLBACK", "C BEGIN, C SET, C ROLLBACK, Z I"},
		"never executed":         {"P |SET a = 1, B |, S", "1, 2, Z I"},
		"a procedure's rollback": {"P |SET a = 1, B |, E, P |CALL p(), B |, E, S", "1, 2, C SET, 1, 2, C CALL, Z I"},
		"executed later":         {"P |SET a = 1, B p|, P |SET a = 2, B |, E, E p, S", "1, 2, 1, 2, C SET, C SET, Z I"},
		"another one executed":   {"P |SET LOCAL b = 1, B |, E, P |SET a = 1, B |, S", "1, 2, C SET, 1, 2, Z I"},
		"code of unknown effect": {"Q SET a = 1; DO ''", "C SET, C DO, Z I"},
		"a half of a value":      {"Q SET datestyle = DMY", "C SET, Z I"},
		"a RESET that failed":    {"Q RESET b", "! 42704, Z I"},
		"a savepoint":            {"Q BEGIN; SAVEPOINT x; SET a = 1; ROLLBACK TO x; COMMIT", "C BEGIN, C SAVEPOINT, C SET, C ROLLBACK, C COMMIT, Z I"},
	} {
		s := newStage(t)
		s.client(messages(c.client))
		s.server(messages(c.server))
		if got := s.asksAbout(); !strings.HasPrefix(got, "all settings") {
			t.Errorf("%s: asked about %q, sent %s", name, got, describeMessages(t, s.toBackend, true))
			continue
		}
		s.finds([][2]string{{"TimeZone", "it's"}})
		if s.asksAbout() == "clean" {
			s.server(messages("C RESET, Z I"))
		}
		if s.backend != nil {
			t.Fatalf("%s: not given back: %v", name, s.events)
		}
		s.moves()
		s.client(message("Q SELECT 1"))
		if got := describeMessages(t, s.toBackend, true); got != guarded+"SET \"timezone\" = 'it''s';\nRESET exit_on_error, Q SELECT 1" {
			t.Errorf("%s: then sent %s", name, got)
		}
	}
}

func TestWhatASessionHasSetNobodyElseFinds(t *testing.T) {
	s := newStage(t)
	s.does("SET a = 1", "C SET, Z I")
	other := &stage{t: t, free: s.free}
	other.m = newMachine(s.m.e, sessionInfo{id: 8, key: s.m.session.key}).(*machine)
	other.m.Start(other)
	other.client(message("Q SELECT 1"))
	if got := describeMessages(t, other.toBackend, true); got != guarded+"RESET \"a\";\nRESET exit_on_error, Q SELECT 1" {
		t.Errorf("sent %s", got)
	}
}

func TestALoginWaitsForABackendWithoutSettings(t *testing.T) {
	s := newStage(t)
	s.does("SET TIME ZONE 'x'", "S TimeZone|x, C SET, Z I")
	e := New(Config{})
	other := &stage{t: t, free: s.free}
	other.m = newMachine(e, sessionInfo{id: 8, key: s.m.session.key}).(*machine)
	other.m.Start(other)
	if len(other.toClient) > 0 {
		t.Errorf("the client is told %s", describeMessages(t, other.toClient, false))
	}
	other.server(messages("1, 2, C SET, S TimeZone|y, C RESET, C RESET, Z I"))
	if got := describeMessages(t, other.toClient, false); !strings.HasSuffix(got, "S TimeZone|y, K, Z I") || other.backend != nil {
		t.Errorf("the client is told %s", got)
	}
}

func TestARestoreThatFailsEndsTheSession(t *testing.T) {
	for _, answer := range []string{"1, 2, C SET, ! FATAL|42704", "1, 2, C SET, ! 42704, Z I, C SELECT 1, Z I"} {
		s := newStage(t)
		s.does("SET ROLE x", "C SET, Z I")
		s.moves()
		s.client(message("Q SELECT 1"))
		s.server(messages(answer))
		if got := describeMessages(t, s.toClient, false); got != "! FATAL|42704" || !s.ended || s.backend != nil {
			t.Errorf("%s: the client sees %s, ended %v", answer, got, s.ended)
		}
	}
}

func TestASettingThatCannotBeRestoredPinsUntilItIsReset(t *testing.T) {
	s := newStage(t)
	s.does("SET temp_buffers = 100", "C SET, Z I")
	s.finds([][2]string{{"temp_buffers", "100"}})
	if got := strings.Join(s.events, ", "); got != "setting" || s.backend == nil {
		t.Fatalf("events %s", got)
	}
	s.does("RESET temp_buffers", "C RESET, Z I")
	s.finds(nil)
	if got := strings.Join(s.events, ", "); got != "setting, undo setting, idle" {
		t.Errorf("events %s", got)
	}
	s.moves()
	s.does("SELECT 1", "C SELECT 1, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q SELECT 1" {
		t.Errorf("sent %s", got)
	}
}

func TestStatementsAreSharedAmongSessionsWithEqualSettings(t *testing.T) {
	s := newStage(t)
	s.client(messages("P a|SELECT 1, S"))
	s.server(messages("1, Z I"))
	s.does("SET search_path = x", "C SET, Z I")
	s.toBackend = nil
	s.client(messages("P b|SELECT 1, S"))
	if got := describeMessages(t, s.toBackend, true); got != "P berth:2|SELECT 1, S" {
		t.Errorf("with other settings: %s", got)
	}
	s.server(messages("1, Z I"))
	s.toBackend = nil
	s.client(messages("B |a, E, S"))
	if got := describeMessages(t, s.toBackend, true); got != "B |berth:1, E, S" {
		t.Errorf("what the backend has is used: %s", got)
	}
	s.server(messages("2, C SELECT 1, Z I"))
	s.moves()
	s.client(messages("B |a, E, S"))
	if got := describeMessages(t, s.toBackend, true); !strings.HasSuffix(got, "P berth:2|SELECT 1, B |berth:2, E, S") {
		t.Errorf("on another backend: %s", got)
	}
	s.server(messages("1, 2, C SET, C SET, C RESET, Z I, 1, 2, C SELECT 1, Z I"))
	s.does("BEGIN", "C BEGIN, Z T")
	s.does("SET LOCAL search_path = y", "C SET, Z T")
	s.toBackend = nil
	s.client(messages("P c|SELECT 1, S"))
	if got := describeMessages(t, s.toBackend, true); got != "P berth:3|SELECT 1, S" {
		t.Errorf("with settings of the transaction: %s", got)
	}
}

func TestTheApplicationsNameIsRestoredAndResetToWhatTheClientBeganWith(t *testing.T) {
	e, key := New(Config{}), engine.Key{User: "u", Database: "d"}
	params := []parameter{{"server_version", "18.0"}, {"application_name", ""}}
	e.learn(key, params)
	s := &stage{t: t, free: newTestBackend(key, params)}
	s.m = newMachine(e, sessionInfo{id: 7, key: key, application: "it's x", named: true}).(*machine)
	s.m.Start(s)
	if got := describeMessages(t, s.toClient, false); got != "S server_version|18.0, S application_name|it's x, K, Z I" {
		t.Errorf("the client is told %s", got)
	}
	const restore, restored = guarded + "SET \"application_name\" = 'it''s x';\nRESET exit_on_error", "1, 2, C SET, S application_name|it's x, C SET, C RESET, Z I, "
	const again = ", P berth:-|SET \"application_name\" = 'it''s x', B berth:-|berth:-, E, C P|berth:-, C S|berth:-, S"
	step := func(sql, answer, backend, client string) {
		t.Helper()
		s.toClient = nil
		s.does(sql, answer)
		if got := describeMessages(t, s.toBackend, true); got != backend {
			t.Errorf("%s: sent %s", sql, got)
		}
		if got := describeMessages(t, s.toClient, false); got != client {
			t.Errorf("%s: the client sees %s", sql, got)
		}
	}
	step("SELECT 1", restored+"C SELECT 1, Z I", restore+", Q SELECT 1", "C SELECT 1, Z I")
	step("SELECT 2", "C SELECT 1, Z I", "Q SELECT 2", "C SELECT 1, Z I")
	step("SET application_name = y", "S application_name|y, C SET, Z I", "Q SET application_name = y", "S application_name|y, C SET, Z I")
	step("RESET application_name", "S application_name|, C RESET, Z I", "Q RESET application_name", "S application_name|it's x, C RESET, Z I")
	step("SELECT 3", restored+"C SELECT 1, Z I", restore+", Q SELECT 3", "C SELECT 1, Z I")
	const undone = "BEGIN; SET a = 1; ROLLBACK; RESET ALL"
	step(undone, "C BEGIN, C SET, C ROLLBACK, S application_name|, C RESET, Z I", "Q "+undone+", Q (all settings)", "C BEGIN, C SET, C ROLLBACK, C RESET, Z I")
	s.finds(nil)
	step("SELECT 4", restored+"C SELECT 1, Z I", restore+", Q SELECT 4", "C SELECT 1, Z I")
	step("BEGIN", "C BEGIN, Z T", "Q BEGIN", "C BEGIN, Z T")
	step("RESET ALL", "S application_name|, C RESET, Z T, 1, 2, C SET, 3, 3, S application_name|it's x, Z T", "Q RESET ALL"+again, "C RESET, Z T")
	step("SET application_name = y", "S application_name|y, C SET, Z T", "Q SET application_name = y", "S application_name|y, C SET, Z T")
	step("ROLLBACK", "S application_name|it's x, C ROLLBACK, Z I", "Q ROLLBACK, Q (all settings)", "S application_name|it's x, C ROLLBACK, Z I")
	s.finds([][2]string{{"application_name", "it's x"}})
	step("LISTEN a", "C LISTEN, Z I", "Q LISTEN a", "C LISTEN, Z I")
	step("RESET ALL", "S application_name|, C RESET, Z I", "Q RESET ALL, "+restore, "C RESET, Z I")
	step("SET application_name = ''", restored+"S application_name|, C SET, Z I", "Q SET application_name = ''", "S application_name, C SET, Z I")
	step("DISCARD ALL", "S application_name|, C DISCARD ALL, Z I", "Q DISCARD ALL", "S application_name|it's x, C DISCARD ALL, Z I")
	other := &stage{t: t, free: newTestBackend(key, params)}
	other.m = newMachine(e, sessionInfo{id: 8, key: key}).(*machine)
	other.m.Start(other)
	if got := describeMessages(t, other.toClient, false); got != "S server_version|18.0, S application_name, K, Z I" {
		t.Errorf("another client is told %s", got)
	}
}

func TestWhatIsSentInOneGoWithAResetFindsTheNameThatTheClientBeganWith(t *testing.T) {
	const again = "P berth:-|SET \"application_name\" = 'x', B berth:-|berth:-, E, C P|berth:-, C S|berth:-"
	const restore, restored = guarded + "SET \"application_name\" = 'x';\nRESET exit_on_error", "1, 2, C SET, S application_name|x, C SET, C RESET, Z I, "
	type step struct{ server, sent string }
	for client, steps := range map[string][]step{
		"Q BEGIN, Q RESET ALL, Q SHOW a": {{"", "Q BEGIN, Q RESET ALL, H"},
			{"C BEGIN, Z T, C RESET, S application_name|, Z T", again + ", S, Q SHOW a"}, {"1, 2, C SET, 3, 3, S application_name|x, Z T", ""}},
		"P |RESET ALL, B |, E, P |SHOW a, B |, E, S": {{"", "P |RESET ALL, B |, E, H"}, {"1, 2, C RESET", again + ", P |SHOW a, B |, E, S"}},
		"P n|RESET ALL, B |n, E, P |SHOW a, B |, E, S": {{"", "P berth:1|RESET ALL, B |berth:1, E, H"},
			{"1, 2, C RESET", again + ", P |SHOW a, B |, E, S"}},
		"P |RESET ALL, B |, E, S, Q SHOW a": {{"", "P |RESET ALL, B |, E, S, H"},
			{"1, 2, C RESET, S application_name|, Z I", restore + ", Q SHOW a"}},
		"Q BEGIN, Q RESET ALL, Q SHOW a, Q SHOW b":                 {{"", "Q BEGIN, Q RESET ALL, H"}, {"C BEGIN, Z T, ! 57014, Z E", "Q SHOW a, Q SHOW b"}},
		"P |RESET ALL, B |, E, S, Q BEGIN, Q RESET ALL":            {{"", "P |RESET ALL, B |, E, S, H"}, {"! 42501, Z I", "Q (all settings)"}},
		"Q BEGIN, Q RESET work_mem, Q SHOW a":                      {{"", "Q BEGIN, Q RESET work_mem, Q SHOW a"}},
		"Q BEGIN, Q RESET ALL; SET application_name = y, Q SHOW a": {{"", "Q BEGIN, Q RESET ALL; SET application_name = y, Q SHOW a"}},
	} {
		e, key := New(Config{}), engine.Key{User: "u", Database: "d"}
		params := []parameter{{"server_version", "18.0"}, {"application_name", ""}}
		e.learn(key, params)
		s := &stage{t: t, free: newTestBackend(key, params)}
		s.m = newMachine(e, sessionInfo{id: 7, key: key, application: "x", named: true}).(*machine)
		s.m.Start(s)
		s.does("SELECT 1", restored+"C SELECT 1, Z I")
		s.toClient, s.toBackend = nil, nil
		s.client(messages(client))
		for _, step := range steps {
			s.server(messages(step.server))
			if got := describeMessages(t, s.toBackend, true); got != step.sent {
				t.Errorf("%s: behind %q sent %s\nwant %s", client, step.server, got, step.sent)
			}
			s.toBackend = nil
		}
		if got := describeMessages(t, s.toClient, false); strings.Contains(got, "application_name") {
			t.Errorf("%s: the client is told %s", client, got)
		}
	}
}

func TestTheClientHearsWhatADiscardAllInABatchHasChanged(t *testing.T) {
	e, key := New(Config{}), engine.Key{User: "u", Database: "d"}
	params := []parameter{{"server_version", "18.0"}, {"DateStyle", "ISO"}, {"application_name", ""}}
	e.learn(key, params)
	s := &stage{t: t, free: newTestBackend(key, params)}
	s.m = newMachine(e, sessionInfo{id: 7, key: key, application: "x", named: true}).(*machine)
	s.m.Start(s)
	s.does("SET DateStyle = DMY", "1, 2, C SET, S application_name|x, C SET, C RESET, Z I, S DateStyle|DMY, C SET, Z I")
	s.finds([][2]string{{"application_name", "x"}, {"DateStyle", "DMY"}})
	s.toClient, s.toBackend = nil, nil
	s.client(messages("P |DISCARD ALL, B |, E, P |SHOW a, B |, E, S"))
	s.server(messages("1, 2, S application_name|, C DISCARD ALL"))
	s.server(messages("1, 2, C SET, 3, 3, S application_name|x, S DateStyle|ISO, Z I"))
	s.server(messages("1, 2, D x, C SHOW, Z I"))
	if got, want := describeMessages(t, s.toClient, false), "1, 2, C DISCARD ALL, 1, 2, D x, C SHOW, S DateStyle|ISO, Z I"; got != want {
		t.Errorf("the client is told %s, want %s", got, want)
	}
}

func TestNothingBehindARestoreIsExecutedBeforeItHasSucceeded(t *testing.T) {
	for name, c := range map[string]struct{ client, first string }{
		"simple queries":   {"Q SELECT 1, Q SELECT 2", "Q SELECT 1"},
		"batches":          {"P |SELECT 1, B |, E, S, P |SELECT 2, B |, E, S", "P |SELECT 1, B |, E, S"},
		"names that go":    {"Q DEALLOCATE x, Q SELECT 2", ""},
		"a named one more": {"B |x, E, S, Q SELECT 2", ""},
	} {
		s := newStage(t)
		s.client(messages("P x|SELECT 3, S"))
		s.server(messages("1, Z I"))
		s.does("SET a = 1", "C SET, Z I")
		s.moves()
		s.client(messages(c.client))
		got := describeMessages(t, s.toBackend, true)
		if c.first != "" && got != restoringA+", "+c.first || strings.Contains(got, "SELECT 2") || strings.Contains(got, "Q DEALLOCATE") {
			t.Errorf("%s: sent %s", name, got)
		}
		s.server(messages("! 42501")) // the guard; the server reads on at a Sync
		if got := describeMessages(t, s.toClient, false); got != "! FATAL|42501" || !s.ended {
			t.Errorf("%s: the client sees %s, ended %v", name, got, s.ended)
		}
	}
}

func TestACancelDuringARestoreIsTheStatementsAndTheSessionGoesOn(t *testing.T) {
	for client, want := range map[string]string{
		"Q SELECT 1":                         "! 57014, Z I",
		"Q BEGIN":                            "! 57014, Z I",
		"Q LISTEN a":                         "! 57014, Z I",
		"Q CREATE TEMP TABLE a (b int)":      "! 57014, Z I",
		"F 2026":                             "! 57014, Z I",
		"P |SELECT 1, B |, E, S":             "! 57014, Z I",
		"P x|SELECT 1, B |x, E, S":           "! 57014, Z I",
		"P |SELECT 1, B |, E, H, S":          "! 57014, Z I",
		"Q SELECT 1, Q SELECT 2":             "! 57014, Z I, C SELECT 2, Z I",
		"P |SELECT 1, B |, E, S, Q SELECT 2": "! 57014, Z I, C SELECT 2, Z I",
		"Q EXECUTE x, Q SELECT 2":            "! 57014, Z I, C SELECT 2, Z I",
	} {
		for _, answer := range []string{"! 57014", "1, 2, C SET, ! FATAL|57014", "1, 2, C SET, C SET, ! FATAL|57014"} { // the guard, or behind it
			s := newStage(t)
			s.does("SET a = 1", "C SET, Z I")
			s.moves()
			next := &engine.Backend{ID: 9, Key: s.m.session.key, State: newBackendState(9, nil, s.free.State.(*backendState).params)}
			s.client(messages(client))
			s.free = next
			s.server(messages(answer))
			if strings.Contains(client, "SELECT 2") {
				if got := describeMessages(t, s.toBackend, true); !strings.HasSuffix(got, restoringA+", Q SELECT 2") {
					t.Errorf("%s: sent %s", client, got)
				}
				s.server(messages("1, 2, C SET, C SET, C RESET, Z I, C SELECT 2, Z I"))
			}
			if got := describeMessages(t, s.toClient, false); got != want || s.ended || s.backend != nil || s.pins != 0 {
				t.Errorf("%s: %s: the client sees %s, ended %v, held %v, pins %v", client, answer, got, s.ended, s.backend != nil, s.pins)
			}
			s.toBackend, s.toClient = nil, nil
			s.client(message("Q SELECT 3"))
			if got := describeMessages(t, s.toBackend, true); !strings.HasSuffix(got, "Q SELECT 3") || s.backend != next {
				t.Errorf("%s: afterwards sent %s", client, got)
			}
		}
	}
}

func TestACancelDuringARestoreOfAPinnedSessionSaysWhatIsLost(t *testing.T) {
	s := newStage(t)
	s.does("SET a = 1; LISTEN b", "C SET, C LISTEN, Z I")
	s.m.settings, s.m.set = s.m.state.actual, true
	s.m.lend.restoring, s.m.lend.pinned = true, true
	s.m.push(answerRestore | answerSwallow)
	s.toClient = nil
	s.server(messages("! FATAL|57014"))
	s.client(message("Q SELECT 1"))
	if got := describeMessages(t, s.toClient, false); got != "! 08006, Z I" || s.pins != 0 {
		t.Errorf("the client sees %s, pins %v", got, s.pins)
	}
}

func TestATimeoutThatASessionHasLeftEndsNothingOfAnothers(t *testing.T) {
	const calm = "Q SET statement_timeout = 0"
	for sql, short := range map[string]bool{
		"SET statement_timeout = 999": true, "SET statement_timeout TO '5ms'": true, "SET statement_timeout = '1 s'": true, "SET statement_timeout = 1e9": true,
		"SET statement_timeout = 1000": false, "SET statement_timeout = '5s'": false, "SET statement_timeout = 0": false,
	} {
		s := newStage(t)
		s.does(sql, "C SET, Z I")
		other := &stage{t: t, free: s.free}
		other.m = newMachine(s.m.e, sessionInfo{id: 8, key: s.m.session.key}).(*machine)
		other.m.Start(other)
		other.client(messages("Q SELECT 1, Q SELECT 2"))
		rest := guarded + "SET statement_timeout = 0;\nRESET \"statement_timeout\";\nRESET exit_on_error"
		if short {
			rest = strings.Repeat(calm+", ", 4) + rest
			other.server(messages("! 57014, Z I"))
			other.server(messages("C SET, Z I, ! 57014, Z I, C SET, Z I"))
			other.client(nil)
		}
		if got := describeMessages(t, other.toBackend, true); got != rest+", Q SELECT 1" {
			t.Errorf("%s: sent %s", sql, got)
		}
		other.server(messages("1, 2, C SET, C SET, C RESET, C RESET, Z I, C SELECT 1, Z I"))
		other.toClient = nil
		other.client(nil)
		other.server(messages("C SELECT 2, Z I"))
		if got := describeMessages(t, other.toClient, false); got != "C SELECT 2, Z I" || other.backend != nil {
			t.Errorf("%s: the client sees %s", sql, got)
		}
	}
}

func TestASettingThatEndsAnIdleConnectionPins(t *testing.T) {
	for name, values := range map[string][2]string{"idle_session_timeout": {"5000", "0"}, "transaction_timeout": {"999", "1000"}} {
		for pinned, value := range values {
			s := newStage(t)
			s.does("SET "+name+" = "+value, "C SET, Z I")
			s.finds([][2]string{{name, value}})
			if (s.backend != nil) != (pinned == 0) {
				t.Errorf("%s = %s: %v", name, value, s.events)
			}
		}
	}
}

func TestWhatIsFoundIsMadeAgainInAnOrderThatWorks(t *testing.T) {
	made := func(names ...string) (list []setting) {
		for _, n := range names {
			list = append(list, setting{name: n})
		}
		return list
	}
	var table sharedSettings
	for _, c := range []struct{ before, found, want []setting }{
		{made("role", "a"), made("role", "a", "b"), made("b", "role", "a")},
		{made("role", "a"), made("role", "session_authorization", "a"), made("a", "session_authorization", "role")},
		{made("session_authorization", "role", "a"), made("a", "role", "session_authorization"), made("session_authorization", "role", "a")},
	} {
		before, _ := table.intern(c.before)
		f := foundSettings{list: c.found}
		if got := f.after(before, nil); !slices.Equal(got, c.want) {
			t.Errorf("%v found behind %v: made as %v", c.found, c.before, got)
		}
	}
}

func TestASettingThatTheSessionMayNotMakeAgainPins(t *testing.T) {
	for _, sql := range [][2]string{
		{"DO 'x'", "C DO, Z I"}, {"SET ROLE r; SET session_replication_role = replica; RESET ROLE", "C SET, C SET, C RESET, Z I"},
	} {
		s := newStage(t)
		s.does(sql[0], sql[1])
		if got := s.asksAbout(); !strings.HasPrefix(got, "all settings") {
			t.Fatalf("behind %s asked about %q", sql[0], got)
		}
		s.finds([][2]string{{"session_replication_role", "-"}}) // NULL
		if !s.pins.has(engine.KindSetting) || s.backend == nil {
			t.Errorf("behind %s: %v", sql[0], s.events)
		}
	}
	for _, sql := range []string{"SET ROLE r; SET work_mem = '5MB'; RESET ROLE", "SET session_replication_role = replica; RESET session_replication_role; SET ROLE r"} {
		s := newStage(t)
		s.does(sql, "C SET, C SET, C RESET, Z I")
		if s.backend != nil {
			t.Errorf("behind %s: %s", sql, s.asksAbout())
		}
	}
}
