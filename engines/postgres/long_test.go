package postgres

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// inPieces scans a text as if it were too long to be held.
func inPieces(text []byte, size int, lex lexing) verdict {
	l := newLongScan(lex)
	for len(text) > 0 {
		n := min(size, len(text))
		l.feed(text[:n])
		text = text[n:]
	}
	return l.finish()
}

// blown are long things that say nothing, of which each may stand between two words.
var blown = map[string]string{
	"blanks": strings.Repeat(" \n", 50<<10), "a comment": "/*" + strings.Repeat(" ' ; SET a = 1 /* */ ", 5000) + "*/",
	"lines": strings.Repeat("-- ; SET a = 1 '\n", 5000), "semicolons in a comment": "/*" + strings.Repeat(";", 100<<10) + "*/",
	"stars": "/*" + strings.Repeat("*", 100<<10+1) + "/",
}

func TestAStatementIsScannedWhateverItsLength(t *testing.T) {
	for name, gap := range blown {
		for _, sql := range harmless {
			if strings.HasSuffix(sql, "--'") { // a string that may go on behind the gap
				gap = " "
			}
			text := []byte(gap + sql + gap)
			if v := inPieces(text, 1000, lexing{}); v.kinds|v.maybe != 0 || v.reset {
				t.Errorf("%q between %s: %s", sql, name, v)
			}
		}
		for sql, want := range map[string]engine.Kind{
			"SET a = 1": engine.KindSetting, "SELECT pg_advisory_lock(1)": engine.KindNamedLock, "LISTEN a": engine.KindListen,
			"CREATE TEMP TABLE t (a int)": engine.KindTemporaryTable, "SELECT nextval('s')": engine.KindSequence,
		} {
			for size := 1 << 10; size < 100<<10; size = size*5/2 + 1 {
				text := []byte("INSERT INTO t VALUES (1, 'x')" + gap + ";" + gap + sql + gap)
				if v := inPieces(text, size, lexing{}); !v.kinds.has(want) || v.kinds.has(engine.KindUnknown) {
					t.Errorf("%q behind %s, in pieces of %d: %s", sql, name, size, v)
				}
			}
		}
	}
}

func TestLongStringsHideNothingBehindThem(t *testing.T) {
	long := strings.Repeat("; SET a = 1; \"/* -- ", 8<<10)
	for _, literal := range []string{
		"'" + long + "'", "'" + long + "''" + long + "'", "E'" + strings.Repeat(`\'`, 100<<10) + "'", "E'" + strings.Repeat(`\\`, 100<<10+1) + "'",
		"'" + strings.Repeat("''", 100<<10) + "'", "$$" + long + "$$", "$tag$" + strings.Repeat("$ta$ $tag ", 10<<10) + "$tag$", "B'" + strings.Repeat("01", 100<<10) + "'",
		"'a'\n '" + long + "'", "E'" + long + "'\n'\\'" + long + "'", strings.Repeat("1, ", 100<<10) + "1", "'" + strings.Repeat("'\n'", 50<<10) + "'",
	} {
		for _, size := range []int{997, 4 << 10, 50 << 10} {
			insert := "INSERT INTO t VALUES (" + literal + ")"
			if v := inPieces([]byte(insert), size, lexing{}); v.kinds|v.maybe != 0 || v.opaque || v.garbled {
				t.Errorf("%.20s... in pieces of %d: %s", literal, size, v)
			}
			if v := inPieces([]byte(insert+"; LISTEN x"), size, lexing{}); v.kinds != 1<<engine.KindListen {
				t.Errorf("LISTEN behind %.20s... in pieces of %d: %s", literal, size, v)
			}
		}
	}
}

func TestWhatIsLongerThanAnythingSensibleIsNotRead(t *testing.T) {
	for name, sql := range map[string]string{
		"a name":         "SELECT " + strings.Repeat("a", 50<<10) + ", 1",
		"a quoted name":  `SELECT "` + strings.Repeat("a", 50<<10) + `", 1`,
		"a dollar quote": "SELECT $" + strings.Repeat("a", 50<<10) + "$ x $" + strings.Repeat("a", 50<<10) + "$",
		"a number":       "SELECT " + strings.Repeat("1", 50<<10) + ", 1",
		"a string's end": "SELECT E'a'" + strings.Repeat(" \n", 50<<10) + "'b'",
		"first words":    "SET SESSION /*" + strings.Repeat("x", 50<<10) + "*/ AUTHORIZATION a",
	} {
		if v := inPieces([]byte(sql), 1000, lexing{}); !v.kinds.has(engine.KindUnknown) {
			t.Errorf("%s: %s", name, v)
		}
	}
}

func TestTextOfPiecesIsReadUpToItsNUL(t *testing.T) {
	l := newLongScan(lexing{})
	l.feed([]byte("SELECT 1; LIS"))
	l.feed([]byte("TEN x\x00; SET a = 1"))
	l.feed([]byte("; SET a = 1"))
	if v := l.finish(); v.kinds != 1<<engine.KindListen {
		t.Errorf("%s", v)
	}
	l = newLongScan(lexing{opaque: true})
	l.feed([]byte("SELECT '\x95'"))
	if v := l.finish(); !v.kinds.has(engine.KindUnknown) {
		t.Errorf("an encoding that cannot be read: %s", v)
	}
}

func FuzzLongScan(f *testing.F) {
	for _, sql := range harmless {
		f.Add([]byte(sql), []byte("/* x */"), uint16(100))
	}
	f.Fuzz(func(t *testing.T, sql, gap []byte, size uint16) {
		text := bytes.ReplaceAll(sql, []byte{' '}, bytes.Repeat(gap, 1+int(size)%1000))
		if len(text) > 1<<20 || bytes.IndexByte(text, 0) >= 0 {
			return
		}
		whole, pieces := classify(text, lexing{}), inPieces(text, 1+int(size), lexing{})
		if pieces.kinds.has(engine.KindUnknown) {
			return // it may always be read less well
		}
		if missed := whole.kinds&^pieces.kinds | whole.maybe&^(pieces.maybe|pieces.kinds); missed != 0 ||
			whole.unlisted && !pieces.unlisted || whole.sequence && !pieces.sequence || whole.opaque && !pieces.opaque || whole.foreign && !pieces.foreign || whole.garbled && !pieces.garbled {
			t.Errorf("%q: in pieces %s, whole %s", text, pieces, whole)
		}
	})
}

// sends is client in pieces as they come from a socket.
func (s *stage) sends(p []byte) {
	for len(p) > 0 {
		n := min(len(p), 30<<10)
		s.client(p[:n])
		p = p[n:]
	}
}

var huge = "INSERT INTO t VALUES ('" + strings.Repeat("; SET a = 1; $$ \" /*", 10<<10) + "')"

func TestALongQueryPinsForWhatItDoes(t *testing.T) {
	for sql, want := range map[string]string{
		huge: "idle", huge + "; SELECT 1": "idle", huge + "; LISTEN x": "listen, kept", huge + ";\nSELECT pg_advisory_lock(1)": "named_lock, kept",
		huge + "; CREATE TEMP TABLE u (a int)": "temporary_table, kept", huge + "; SELECT nextval('s')": "sequence, kept", huge + "; LOAD 'x'": "library, kept",
		huge + "; SET a.b = 1": "unknown, kept", huge + "; SET a = 1": "idle", huge + "; RESET a; SET TIME ZONE 'x'": "idle", huge + "; SET seed = 1": "unknown, kept",
		huge + "; SELECT set_config('a', 'b', false)": "unknown, kept", huge + "; SET \"a\" = 1": "unknown, kept", "PREPARE p AS " + huge: "prepared_statement, kept", huge + "; DECLARE c CURSOR WITH HOLD FOR SELECT 1": "cursor, kept",
		"SET a.b = '" + huge[len("INSERT INTO t VALUES ('"):]: "unknown, kept", huge + "; SELECT U&\"x\"()": "unknown, kept",
	} {
		s := newStage(t)
		s.sends(message("Q " + sql))
		s.server(messages("C X, Z I"))
		if s.asksAbout() != "" {
			s.found()
		}
		got := strings.Join(s.events, ", ")
		if s.backend != nil {
			got += ", kept"
		}
		if got != want {
			t.Errorf("...%s: %s, want %s", sql[max(0, len(sql)-40):], got, want)
		}
	}
}

func TestALongQueryOfUnknownEffectIsAskedAbout(t *testing.T) {
	s := newStage(t)
	s.sends(message("Q " + huge + "; SELECT lo_import('x'); FROBNICATE"))
	s.server(messages("C X, Z I"))
	if !s.pins.has(engine.KindUnknown) {
		t.Errorf("events %s", strings.Join(s.events, ", "))
	}
}

func TestWhatFollowsALongQueryComesAfterItsVerdict(t *testing.T) {
	s := newStage(t)
	s.sends(append(message("Q "+huge+"; LISTEN x"), message("Q SELECT pg_advisory_lock(1)")...))
	if got := strings.Join(s.events, ", "); got != "listen, named_lock" {
		t.Errorf("events %s", got)
	}
	s = newStage(t)
	long := message("Q " + huge + "; LISTEN x")
	s.sends(long[:len(long)-3])
	if got := len(s.toBackend); got != len(long)-3 || len(s.events) > 0 {
		t.Errorf("%d bytes of %d at the backend, events %v", got, len(long)-3, s.events)
	}
	s.sends(long[len(long)-3:])
	if got := strings.Join(s.events, ", "); got != "listen" {
		t.Errorf("events %s", got)
	}
}

func TestALongParseWithoutANameCountsWhenItIsBound(t *testing.T) {
	for tail, want := range map[string]string{"": "", " RETURNING pg_advisory_lock(1)": "named_lock"} {
		s := newStage(t)
		s.sends(message("P |" + huge + tail + "|"))
		if len(s.events) > 0 {
			t.Errorf("events %v before it is bound", s.events)
		}
		s.client(messages("B ||, E |, S"))
		s.server(messages("1, 2, C X, Z I"))
		events := strings.Join(s.events, ", ")
		if want != "" && !strings.Contains(events, want) || want == "" && strings.Contains(events, "lock") {
			t.Errorf("%q: events %s", tail, events)
		}
	}
}

func TestScanningALongStatementTakesNoMemory(t *testing.T) {
	piece := []byte(strings.Repeat("(1, 'some text', now(), $$more$$), ", 2000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l := newLongScan(lexing{})
	l.feed([]byte("INSERT INTO t VALUES "))
	for n := 0; n < 64<<20; n += len(piece) {
		l.feed(piece)
	}
	l.feed([]byte("(1, 'x'); SELECT pg_advisory_lock(1)"))
	v := l.finish()
	runtime.ReadMemStats(&after)
	if v.kinds != 1<<engine.KindNamedLock {
		t.Errorf("%s", v)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes", n)
	}
}

func TestLongUnnamedStatementsAreKeptWhereThereIsRoom(t *testing.T) {
	parse := func(size int) []byte { return message("P |SELECT '" + strings.Repeat("x", size) + "'") }
	for size, keeps := range map[int]bool{maxUnnamed - 100: true, maxUnnamed: true, 60 << 10: true, 100 << 10: true, maxUnnamedLong - 100: true, maxUnnamedLong: false} {
		s := newStage(t)
		sent := parse(size)
		s.sends(append(append([]byte{}, sent...), messages("B |, E, S")...))
		s.server(messages("1, 2, C SELECT 1, Z I"))
		if (s.backend == nil) != keeps {
			t.Fatalf("%d bytes: events %s", size, strings.Join(s.events, ", "))
		}
		if !keeps {
			s.client(messages("P |SELECT 1, B |, E, S"))
			s.server(messages("1, 2, C SELECT 1, Z I"))
			if got := strings.Join(s.events, ", "); got != "prepared_statement, undo prepared_statement, idle" {
				t.Errorf("%d bytes, and a short one: events %s", size, got)
			}
			continue
		}
		s.moves()
		s.client(messages("B |, E, S"))
		if !bytes.HasPrefix(s.toBackend, sent) {
			t.Errorf("%d bytes are not there on another backend: %d were sent", size, len(s.toBackend))
		}
	}
}

func TestTheRoomForLongUnnamedStatementsComesBack(t *testing.T) {
	s := newStage(t)
	e := s.m.e
	e.unnamedBytes.Store(maxUnnamedAll - 150<<10)
	long := append(message("P |SELECT '"+strings.Repeat("x", 100<<10)+"'"), messages("B |, E, S")...)
	s.sends(long)
	s.server(messages("1, 2, C SELECT 1, Z I"))
	if s.backend != nil {
		t.Fatal("not kept though there is room")
	}
	s.sends(long) // both are kept until the server has said that it has taken the second one
	s.server(messages("1, 2, C SELECT 1, Z I"))
	if got := strings.Join(s.events, ", "); got != "idle, prepared_statement" {
		t.Fatalf("events %s", got)
	}
	s.client(messages("Q SELECT 1"))
	s.server(messages("C SELECT 1, Z I"))
	for deadline := time.Now().Add(time.Minute); e.unnamedBytes.Load() != maxUnnamedAll-150<<10; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes still count", e.unnamedBytes.Load()-(maxUnnamedAll-150<<10))
		}
	}
}

func TestALongStatementWithANameIsSharedWhereThereIsRoom(t *testing.T) {
	parse := func(name string, size int) []byte {
		return message("P " + name + "|SELECT '" + strings.Repeat("x", size) + "'")
	}
	for size, shared := range map[int]bool{60 << 10: true, 70 << 10: true, 700 << 10: true, maxUnnamedLong - 100: true, maxUnnamedLong: false} {
		s := newStage(t)
		s.sends(append(parse("p", size), messages("B |p, E, S")...))
		s.server(messages("1, 2, C SELECT 1, Z I"))
		if got := strings.Join(s.events, ", "); got != map[bool]string{true: "idle", false: "prepared_statement"}[shared] {
			t.Fatalf("%d bytes: events %s", size, got)
		}
		if got, want := len(s.toBackend), size+len(message("P berth:1|SELECT ''"))+len(messages("B |berth:1, E, S")); shared && got != want {
			t.Fatalf("%d bytes: %d sent, not %d", size, got, want)
		}
		if !shared {
			continue
		}
		s.moves()
		s.client(messages("B |p, E, S"))
		if got := s.toBackend[:min(len(s.toBackend), size)]; !bytes.HasPrefix(got, []byte("P\x00")) || !bytes.Contains(got[:20], []byte("berth:1")) {
			t.Errorf("%d bytes are not there on another backend", size)
		}
		s.server(messages("1, 2, C SELECT 1, Z I"))
		if got := strings.Join(s.events, ", "); got != "idle, idle" {
			t.Errorf("%d bytes: events %s", size, got)
		}
	}
}

func TestALongStatementWithANameWaitsAndIsSkippedLikeOthers(t *testing.T) {
	long := message("P p|SELECT '" + strings.Repeat("x", 100<<10) + "'")
	s := newStage(t)
	s.client(messages("P |SELECT 1/0, B |"))
	s.sends(long[:80<<10])
	s.server(messages("1, ! 22012"))
	s.sends(append(long[80<<10:], messages("B |p, E, S")...))
	if got := describeMessages(t, s.toBackend, true); got != "P |SELECT 1/0, B |, S" {
		t.Errorf("behind an error: sent %.200s", got)
	}
	s.server(messages("Z I"))
	if got := describeMessages(t, s.toClient, false); got != "1, ! 22012, Z I" || len(s.m.named.byName) != 0 {
		t.Errorf("behind an error: the client sees %s", got)
	}

	s = newStage(t) // what an earlier request says about names may change this one's
	s.client(messages("P p|SELECT 1, S"))
	s.sends(long)
	s.sends(messages("S"))
	if got := describeMessages(t, s.toBackend, true); got != "P berth:1|SELECT 1, S, H" {
		t.Errorf("before the answer: sent %.200s", got)
	}
	s.server(messages("! 42601, Z I"))
	s.server(messages("1, Z I"))
	if got := describeMessages(t, s.toClient, false); got != "! 42601, Z I, 1, Z I" || s.m.named.byName["p"] == nil {
		t.Errorf("the client sees %s", got)
	}
}

func TestLongStatementsWithNamesAreBounded(t *testing.T) {
	s := newStage(t)
	for i := range 6 {
		s.sends(append(message(fmt.Sprintf("P p%d|SELECT %d, '%s'", i, i, strings.Repeat("x", 1000<<10))), messages("S")...))
		s.server(messages("1, Z I"))
	}
	if got := strings.Join(s.events, ", "); !strings.HasPrefix(got, "idle, idle, idle, idle, prepared_statement") {
		t.Errorf("events %s", got)
	}
	s = newStage(t)
	e := s.m.e
	e.unnamedBytes.Store(maxUnnamedAll - 400<<10)
	s.sends(append(message("P p|SELECT '"+strings.Repeat("x", 100<<10)+"'"), messages("S")...))
	s.server(messages("1, Z I"))
	s.does("SET a = 1", "C SET, Z I")
	s.moves()
	s.toClient = nil
	s.client(messages("B |p, E, S"))
	s.server(messages("1, 2, C SET, C SET, C RESET, Z I, ! 26000, Z I"))
	if got := describeMessages(t, s.toClient, false); got != "! 53200, Z I" {
		t.Errorf("without room under other settings: %s", got)
	}
	s.client(messages("C S|p, S"))
	s.server(messages("3, Z I"))
	for deadline := time.Now().Add(time.Minute); e.unnamedBytes.Load() != maxUnnamedAll-400<<10; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes still count", e.unnamedBytes.Load()-(maxUnnamedAll-400<<10))
		}
	}
}

func TestALongStatementWithANameGoesToAnotherBackendWhereItsOwnIsLost(t *testing.T) {
	long := append(message("P p|SELECT '"+strings.Repeat("x", 100<<10)+"'"), messages("B |p, E, S")...)
	for _, before := range []struct{ request, answer, sent, told string }{
		{"", "", "P berth:1|SELECT, B |berth:1, E, S", "1, 2, C SELECT 1, Z I"},
		{"Q BEGIN", "C BEGIN, Z T", "", "C BEGIN, Z T, ! 40001, Z E"}, // what comes behind a lost transaction is not executed
	} {
		s := newStage(t)
		if before.request != "" {
			s.client(messages(before.request))
			s.server(messages(before.answer))
		}
		s.sends(long[:80<<10])
		another := newTestBackend(s.m.session.key, s.backend.State.(*backendState).params)
		s.backend, s.free, s.toBackend = nil, another, nil
		s.m.BackendLost(engine.ErrBackendClosed, s)
		s.check()
		s.sends(long[80<<10:])
		if before.sent != "" {
			s.server(messages("1, 2, C SELECT 1, Z I"))
		}
		got := describeMessages(t, s.toBackend, true)
		if at := strings.Index(got, " 'x"); at >= 0 {
			got = got[:at] + got[strings.Index(got, "x'")+len("x'"):]
		}
		if got != before.sent {
			t.Errorf("behind %q: sent %.200s", before.request, got)
		}
		if got := describeMessages(t, s.toClient, false); got != before.told {
			t.Errorf("behind %q: the client sees %s", before.request, got)
		}
	}
}

func TestALongTextReachesNoStatementOfOthers(t *testing.T) {
	blanks := strings.Repeat(" ", 100_000)
	for text, refused := range map[string]bool{
		blanks + `EXECUTE "berth:1"`: true, `SELECT 1; DEALLOCATE` + blanks + `"berth:x"; SELECT 2`: true, blanks + `PREPARE "berth:1" AS SELECT 1`: true, blanks + `EXECUTE U&"b\0065rth:1"`: true,
		"DO $$BEGIN" + blanks + `EXECUTE 'EXECUTE "berth:1"'; END$$`: true, "DO $$BEGIN" + blanks + `RAISE NOTICE 'berth: 1'; END$$`: false, `SELECT '` + blanks + `"berth:1"'`: false,
		`SELECT 1; DEALLOCATE` + blanks + `"a"; SELECT 2`: false, blanks + `EXECUTE "berth"`: false, blanks + `EXECUTE "a""b"`: false, blanks + `SELECT 'EXECUTE "berth:1"'`: false, `EXECUTE "berth:1"` + blanks: true,
	} {
		for _, kind := range "QP" {
			for _, cut := range []int{1 << 20, 30 << 10, 70_001} {
				message := queryMessage(text)
				if kind == 'P' {
					message = parseMessage([]byte{0}, []byte(text+"\x00\x00\x01\x00\x00\x00\x17"))
				}
				s := newStage(t)
				for p := message; len(p) > 0; {
					n := min(len(p), cut)
					if len(p) > len(message)-engine.MaxHeld { // as a socket's buffer fills
						n = min(n, engine.MaxHeld)
					}
					s.client(p[:n])
					p = p[n:]
				}
				sent := s.toBackend
				if at := bytes.Index(sent, message[:1]); at < 0 || len(sent) < len(message) {
					t.Fatalf("%c of %.20s...: %d bytes of %d were sent", kind, strings.TrimSpace(text), len(sent), len(message))
				}
				sent = sent[len(sent)-len(message):]
				if got := !bytes.Equal(sent, message); got != refused || refused && bytes.IndexByte(sent[headerLength+1:], 0) >= 0 {
					t.Errorf("%c of %s in pieces of %d: refused %v", kind, strings.TrimSpace(text), cut, got)
				}
			}
		}
	}
}

func TestTheTypesOfALongParseStayWhatTheyAre(t *testing.T) {
	for _, name := range []string{`U&"a"`, `"a"`} {
		text := "EXECUTE " + name + strings.Repeat(" ", 60_000)
		message := parseMessage([]byte{0}, []byte(text+"\x00\x20\x20"+strings.Repeat("\x00\x00\x00\x17", 0x2020)))
		s := newStage(t)
		s.client(message[:engine.MaxHeld])
		for p := message[engine.MaxHeld:]; len(p) > 0; p = p[min(len(p), 100):] {
			s.client(p[:min(len(p), 100)])
		}
		if !bytes.HasSuffix(s.toBackend, message) {
			t.Errorf("of EXECUTE %s something else was sent", name)
		}
	}
}

func TestALongQueryFindsWhatWasPreparedByTheProtocol(t *testing.T) {
	gap := strings.Repeat(" ", 100<<10)
	for sql, want := range map[string]struct{ before, answer, told, events string }{
		gap + "EXECUTE p":                     {"P p|SELECT 1, S, Q ", "1, Z I, C SELECT 1, Z I", "C SELECT 1, Z I", "idle, prepared_statement"},
		"SELECT 1;" + gap + "DEALLOCATE p":    {"P p|, S, Q ", "1, Z I, C SELECT 1, C DEALLOCATE, Z I", "C SELECT 1, C DEALLOCATE, Z I", "idle, idle"},
		"SELECT '" + gap + "'":                {"Q ", "C SELECT 1, Z I", "C SELECT 1, Z I", "idle, idle"},
		"SELECT 1;" + gap + "DEALLOCATE p; x": {"P p|, S, Q ", "1, Z I, ! 42601, Z I|3, Z I", "! 42601, Z I", "idle, idle"},
	} {
		s := newStage(t)
		s.client(messages("P p|SELECT 1, S"))
		s.server(messages("1, Z I"))
		s.toClient, s.toBackend = nil, nil
		query := message("Q " + sql)
		s.sends(query)
		if got, begins, _ := strings.Cut(describeMessages(t, s.toBackend, true), "Q "); got+"Q " != want.before || begins != sql {
			t.Errorf("%s: sent %.100s", strings.Join(strings.Fields(sql), " "), got)
		}
		for _, answer := range strings.Split(want.answer, "|") { // to what the machine has sent by then
			s.server(messages(answer))
		}
		if got := describeMessages(t, s.toClient, false); got != want.told {
			t.Errorf("%s: the client sees %s", strings.Join(strings.Fields(sql), " "), got)
		}
		if got := strings.Join(s.events, ", "); got != want.events {
			t.Errorf("%s: events %s", strings.Join(strings.Fields(sql), " "), got)
		}
		if n := s.m.e.unnamedBytes.Load(); n != 0 || s.m.reading.collected != nil {
			t.Errorf("%s: %d bytes still count", strings.Join(strings.Fields(sql), " "), n)
		}
	}
}

func TestALongQueryOfASessionWithNamesPassesWhereThereIsNoRoom(t *testing.T) {
	s := newStage(t)
	s.client(messages("P p|SELECT 1, S"))
	s.server(messages("1, Z I"))
	s.m.e.unnamedBytes.Store(maxUnnamedAll - 50<<10)
	s.toBackend = nil
	query := message("Q " + huge)
	s.sends(query[:len(query)-1])
	if got := len(s.toBackend); got != len(query)-1 {
		t.Errorf("%d bytes of %d were sent", got, len(query)-1)
	}
}

func TestALongQueryOfASessionWithNamesWaitsAndIsRefusedLikeOthers(t *testing.T) {
	query := message("Q SELECT '" + strings.Repeat("x", 100<<10) + "'")
	s := newStage(t)
	s.client(messages("P p|SELECT 1, S"))
	s.server(messages("1, Z I"))
	backend := s.free
	s.free, s.toClient = nil, nil
	s.sends(query[:80<<10])
	s.refuse(engine.ErrBorrowTimeout)
	s.sends(query[80<<10:])
	if got := describeMessages(t, s.toClient, false); got != "! 08000, Z I" {
		t.Errorf("without a backend the client sees %s", got)
	}
	s.free, s.toBackend = backend, nil
	s.sends(query[:80<<10])
	s.lose()
	s.sends(query[80<<10:])
	if !bytes.Equal(s.toBackend, query) {
		t.Errorf("%d bytes at the other backend, not %d", len(s.toBackend), len(query))
	}
}

func TestALongRequestIsUnderWayWhileItIsTakenIn(t *testing.T) {
	long := "SELECT '" + strings.Repeat("x", 100<<10) + "'"
	for _, request := range [][]byte{message("Q " + long), append(message("P q|"+long), message("S")...)} {
		s := newStage(t)
		s.client(messages("P p|SELECT 1, S"))
		s.server(messages("1, Z I"))
		if s.sends(request[:80<<10]); s.under != 1 {
			t.Errorf("%c: %d are under way", request[0], s.under)
		}
		if s.sends(request[80<<10:]); s.under != 1 {
			t.Errorf("%c, of which all is there: %d are under way", request[0], s.under)
		}
		if request[0] == 'Q' {
			s.server(messages("C SELECT 1, Z I"))
		} else {
			s.server(messages("1, Z I"))
		}
		if s.under != 0 || s.backend != nil {
			t.Errorf("%c, answered: %d are under way", request[0], s.under)
		}
	}
}

func TestALongRequestGivesBackTheBackendThatItWasBorrowedAgainFor(t *testing.T) {
	long := "SELECT '" + strings.Repeat("x", 100<<10) + "'"
	for request, answer := range map[string]string{"Q " + long: "C SELECT 1, Z I", "P q|" + long: "1"} {
		s := newStage(t)
		s.client(messages("P p|SELECT 1, S"))
		s.server(messages("1, Z I"))
		q := message(request)
		s.sends(q[:80<<10])
		s.lose()
		s.sends(q[80<<10:])
		s.server(messages(answer))
		if answer == "1" {
			s.client(messages("S"))
			s.server(messages("Z I"))
		}
		if got := strings.Join(s.events, ", "); got != "idle, idle" || s.backend != nil {
			t.Errorf("%.2s: events %s", request, got)
		}
	}
}

func TestAStatementOfASessionAloneIsOnItsBackendOnce(t *testing.T) {
	parse := append(message("P p|SELECT '"+strings.Repeat("x", 100<<10)+"'"), messages("S")...)
	for _, c := range []struct {
		where  string
		begins func(s *stage)
	}{
		{"with a temporary table", func(s *stage) {
			s.sends(parse)
			s.server(messages("1, Z I"))
			s.does("CREATE TEMP TABLE t (a int)", "C CREATE TABLE, Z I")
		}},
		{"with settings that are not known", func(s *stage) {
			s.does("LISTEN x", "C LISTEN, Z I")
			s.does("BEGIN; SET LOCAL a = 1", "C BEGIN, C SET, Z T")
			s.sends(parse)
			s.server(messages("1, Z T"))
		}},
	} {
		s := newStage(t)
		c.begins(s)
		status := string(s.m.lend.tx)
		for range 10 {
			s.m.state.statements.doubt() // as behind 0A000 and 26000
			s.toBackend = nil
			s.client(messages("B |p, E, S"))
			s.server(messages(strings.Repeat("3, ", bytes.Count(s.toBackend, []byte("Sberth:"))) + "1, 2, C SELECT 1, Z " + status))
		}
		if n := len(s.m.state.statements.held); s.backend == nil || n > 2 {
			t.Errorf("%s: %d statements, events %s", c.where, n, s.events)
		}
		if got := s.m.e.unnamedBytes.Load(); got > 2*statementCopies*101<<10 {
			t.Errorf("%s: %d bytes are taken", c.where, got)
		}
	}
}

func TestALongQueryThatWaitsIsNotReadAgainWithEachAnswer(t *testing.T) {
	s := newStage(t)
	s.client(messages("P p|SELECT 1, S"))
	s.server(messages("1, Z I"))
	s.client(messages("Q SELECT a FROM t"))
	query := message("Q EXECUTE p; SELECT " + strings.Repeat("f(a.b) + ", 100_000) + "1")
	s.sends(query)
	row := messages("D a")
	began := time.Now()
	for range 2000 {
		s.server(row)
	}
	if took := time.Since(began); took > 10*time.Second { // each time would be minutes
		t.Errorf("%v behind 2000 rows", took)
	}
	s.server(messages("C SELECT 2000, Z I"))
	if got := s.m.named.byName["p"]; got != nil || s.m.queue.empty() {
		t.Error("it did not go on")
	}
	s.server(messages("1, Z I, C SELECT 1, C SELECT 1, Z I"))
	if !s.m.queue.empty() || !bytes.HasSuffix(s.toBackend, query) {
		t.Errorf("%d answers are awaited", s.m.queue.n)
	}
}

func TestALongRequestThatIsRefusedInTheEndIsNotUnderWay(t *testing.T) {
	long := "SELECT '" + strings.Repeat("x", 100<<10) + "'"
	for _, request := range []string{"Q " + long, "P q|" + long} {
		s := newStage(t)
		s.client(messages("P p|SELECT 1, S"))
		s.server(messages("1, Z I"))
		p := message(request)
		s.sends(p[:80<<10])
		s.lose()
		s.free, s.toClient = nil, nil
		s.sends(p[80<<10:])
		s.refuse(engine.ErrBorrowTimeout)
		if request[0] == 'P' {
			s.client(messages("S"))
		}
		if got := describeMessages(t, s.toClient, false); s.under != 0 || len(s.inClient) > 0 || !strings.HasSuffix(got, ", Z I") {
			t.Errorf("%.1s: %d are under way, the client sees %s", request, s.under, got)
		}
	}
}
