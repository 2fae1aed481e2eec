package postgres

import (
	"encoding/binary"
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

// asksAbout names the kinds that a question, the last thing that was sent to the backend, is about; "" if it is none.
func (s *stage) asksAbout() string {
	all := strings.Split(describeMessages(s.t, s.toBackend, true), ", Q ")
	last := strings.Join(all, "\n")
	if at := strings.LastIndex(last, "SELECT EXISTS"); at < 0 {
		if at = strings.LastIndex(last, "SELECT NULL"); at < 0 {
			return ""
		}
	}
	var kinds []string
	for i, k := range verifiable {
		if strings.Contains(last, questions[i]) {
			kinds = append(kinds, k.String())
		}
	}
	return strings.Join(kinds, ", ")
}

// found answers a question about kinds: those of there are on the connection.
func (s *stage) found(there ...engine.Kind) {
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
	s.server(append(append(message("T a"), row(fields...)...), messages("C SELECT 1, Z I")...))
}

// does is a client that sends a query, which the server answers with ready in the end, and forgets what was sent.
func (s *stage) does(sql, answer string) {
	s.toBackend = nil
	s.client(message("Q " + sql))
	s.server(messages(answer))
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
	if got := strings.Count(describeMessages(t, s.toBackend, true), "EXISTS"); got != 1 {
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

func TestAPinnedBackendThatIsLostDuringAQuestionEndsItsSession(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
	s.does("SELECT pg_advisory_unlock(1)", "C X, Z I")
	s.toClient = nil
	s.server(messages("! FATAL|57P01"))
	s.backend = nil
	s.m.BackendLost(engine.ErrBackendClosed, s)
	if got := describeMessages(t, s.toClient, false); !s.ended || got != "! FATAL|57P01" {
		t.Errorf("ended %v, the client got %s", s.ended, got)
	}
}

func TestWhatDoesNotPinByConfigurationIsCleanedAway(t *testing.T) {
	s := newStage(t)
	s.ignores = 1 << engine.KindTemporaryTable
	s.free.Target.InitQuery = "SET x = 1"
	s.does("CREATE TEMP TABLE a (b int)", "C CREATE TABLE, Z I")
	if got := describeMessages(t, s.toBackend, true); got != "Q CREATE TEMP TABLE a (b int), Q DISCARD ALL, Q SET x = 1" {
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
	whole := row("-", "t", "-", "-", "-")[headerLength:]
	for n := range whole {
		if s.m.verifyRow(whole[:n]); s.m.lend.verify.answer {
			t.Errorf("%d bytes of %d are an answer", n, len(whole))
		}
	}
	for _, bad := range [][]byte{{0, 4}, {0, 5, 0x80, 0, 0, 0}, row("-", "-", "-", "-", "-")[headerLength:], row("-", "yes", "-", "-", "-")[headerLength:]} {
		if s.m.verifyRow(bad); s.m.lend.verify.answer {
			t.Errorf("%v is an answer", bad)
		}
	}
	if s.m.verifyRow(whole); !s.m.lend.verify.answer || !s.m.lend.verify.found.has(engine.KindNamedLock) {
		t.Error("a whole answer is none")
	}
}
