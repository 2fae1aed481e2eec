package postgres

import (
	"bytes"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestALostBackendIsAnErrorAndTheSessionGoesOn(t *testing.T) {
	const doomed = "Q BEGIN; ROLLBACK TO SAVEPOINT berth"
	lost := func(steps ...step) []step { return append(steps, step{"lost", ""}) }
	then := func(before []step, after ...step) []step { return append(before, after...) }
	begun := []step{{"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}}
	in := func(steps ...step) []step { return append(append([]step(nil), begun...), steps...) }
	runCases(t, []relayCase{
		{"a statement outside of a transaction", then(lost(step{"client", "Q INSERT INTO t VALUES (1)"}), step{"client", "Q SELECT 1"}, step{"server", "C SELECT 1, Z I"}),
			"Q INSERT INTO t VALUES (1), Q SELECT 1", "! 08007, Z I, C SELECT 1, Z I", "idle"},
		{"one that was answered but for its end", lost(step{"client", "Q INSERT INTO t VALUES (1)"}, step{"server", "C INSERT 0 1"}),
			"Q INSERT INTO t VALUES (1)", "C INSERT 0 1, ! 08007, Z I", ""},
		{"BEGIN has no effect", lost(step{"client", "Q BEGIN"}), "Q BEGIN", "! 40001, Z E", ""},
		{"ROLLBACK without a transaction neither", lost(step{"client", "Q ROLLBACK"}), "Q ROLLBACK", "! 40001, Z I", ""},
		{"a statement in a transaction", then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...),
			step{"client", "Q INSERT INTO t VALUES (2)"}, step{"server", "C BEGIN, ! 3B001, Z E"}, step{"server", "! 25P02, Z E"}, step{"client", "Q ROLLBACK"}, step{"server", "C ROLLBACK, Z I"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1), " + doomed + ", Q INSERT INTO t VALUES (2), Q ROLLBACK", "C BEGIN, Z T, ! 40001, Z E, ! 25P02, Z E, C ROLLBACK, Z I", "idle"},
		{"and ROLLBACK needs no backend", then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...), step{"client", "Q rollback work;"}, step{"client", "Q COMMIT"}, step{"server", "C COMMIT, Z I"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1), Q COMMIT", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I, C COMMIT, Z I", "idle"},
		{"nor COMMIT, which is one", then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...), step{"client", "Q END"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1)", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"a Query of which a part was sent", then(append([]step{{"another", ""}}, lost(in(step{"client", "Q LOCK t; SELECT lastval()"})...)...), step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q LOCK t;", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"and executed", then(append([]step{{"another", ""}}, lost(in(step{"client", "Q LOCK t; SELECT lastval()"}, step{"server", "C LOCK TABLE, Z T"})...)...), step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q LOCK t;, Q DISCARD SEQUENCES, Q         SELECT lastval()", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"and not the rest", then(append([]step{{"another", ""}}, lost(in(step{"client", "Q LOCK t; SELECT lastval()"}, step{"server", "C LOCK TABLE"})...)...), step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q LOCK t;", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"COMMIT under way", lost(in(step{"client", "Q COMMIT"})...), "Q BEGIN, Q COMMIT", "C BEGIN, Z T, ! 08007, Z I", ""},
		{"COMMIT of a portal that was bound before", lost(in(step{"client", "P |COMMIT, B p|, S"}, step{"server", "1, 2, Z T"}, step{"client", "E, S"})...),
			"Q BEGIN, P |COMMIT, B p|, S, E, S", "C BEGIN, Z T, 1, 2, Z T, ! 08007, Z E", ""},
		{"and of the unnamed one", lost(in(step{"client", "P s|COMMIT, B |s, S"}, step{"server", "1, 2, Z T"}, step{"client", "E, S"})...),
			"Q BEGIN, P berth:1|COMMIT, B |berth:1, S, E, S", "C BEGIN, Z T, 1, 2, Z T, ! 08007, Z E", ""},
		{"but not of another's rows", lost(in(step{"client", "P |SELECT 1, B p|, S"}, step{"server", "1, 2, Z T"}, step{"client", "E, S"})...),
			"Q BEGIN, P |SELECT 1, B p|, S, E, S", "C BEGIN, Z T, 1, 2, Z T, ! 40001, Z E", ""},
		{"nor in the next transaction", lost(in(step{"client", "P |COMMIT, B p|, S"}, step{"server", "1, 2, Z T"}, step{"client", "E, S"}, step{"server", "C COMMIT, Z I"},
			step{"client", "Q BEGIN"}, step{"server", "C BEGIN, Z T"}, step{"client", "P |SELECT 1, B p|, S"}, step{"server", "1, 2, Z T"}, step{"client", "E, S"})...),
			"Q BEGIN, P |COMMIT, B p|, S, E, S, Q BEGIN, P |SELECT 1, B p|, S, E, S", "C BEGIN, Z T, 1, 2, Z T, C COMMIT, Z I, C BEGIN, Z T, 1, 2, Z T, ! 40001, Z E", "idle"},
		{"COMMIT among others", lost(in(step{"client", "Q INSERT INTO t VALUES (1); COMMIT"})...), "Q BEGIN, Q INSERT INTO t VALUES (1); COMMIT", "C BEGIN, Z T, ! 08007, Z I", ""},
		{"COMMIT, and a new transaction", lost(in(step{"client", "Q COMMIT; BEGIN"})...), "Q BEGIN, Q COMMIT; BEGIN", "C BEGIN, Z T, ! 08007, Z E", ""},
		{"COMMIT AND CHAIN", lost(in(step{"client", "Q COMMIT AND CHAIN"})...), "Q BEGIN, Q COMMIT AND CHAIN", "C BEGIN, Z T, ! 08007, Z E", ""},
		{"PREPARE TRANSACTION", lost(in(step{"client", "Q PREPARE TRANSACTION 'a'"})...), "Q BEGIN, Q PREPARE TRANSACTION 'a'", "C BEGIN, Z T, ! 08007, Z E", ""},
		{"ROLLBACK under way", lost(in(step{"client", "Q ROLLBACK"})...), "Q BEGIN, Q ROLLBACK", "C BEGIN, Z T, ! 40001, Z I", ""},
		{"ROLLBACK, and more", lost(in(step{"client", "Q ROLLBACK; INSERT INTO t VALUES (1)"})...), "Q BEGIN, Q ROLLBACK; INSERT INTO t VALUES (1)", "C BEGIN, Z T, ! 08007, Z I", ""},
		{"ROLLBACK TO leaves the transaction", lost(in(step{"client", "Q ROLLBACK TO SAVEPOINT a"})...), "Q BEGIN, Q ROLLBACK TO SAVEPOINT a", "C BEGIN, Z T, ! 40001, Z E", ""},
		{"COMMIT PREPARED", lost(step{"client", "Q COMMIT PREPARED 'a'"}), "Q COMMIT PREPARED 'a'", "! 08007, Z I", ""},
		{"an idle transaction is told with the next statement", then(lost(in()...), step{"client", "Q INSERT INTO t VALUES (1)"}, step{"client", "Q ROLLBACK"}),
			"Q BEGIN", "C BEGIN, Z T, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"or with COMMIT", then(lost(in()...), step{"client", "Q COMMIT"}), "Q BEGIN", "C BEGIN, Z T, ! 40001, Z I", ""},
		{"but ROLLBACK is what happened", then(lost(in()...), step{"client", "Q ROLLBACK"}), "Q BEGIN", "C BEGIN, Z T, C ROLLBACK, Z I", ""},
		{"by the extended protocol", then(lost(in()...), step{"client", "P |INSERT INTO t VALUES (1), B |, E, S"}, step{"client", "P |ROLLBACK, B |, E, S"}, step{"server", "C BEGIN, ! 3B001, Z E"}, step{"server", "1, 2, C ROLLBACK, Z I"}),
			"Q BEGIN, " + doomed + ", P |ROLLBACK, B |, E, S", "C BEGIN, Z T, ! 40001, Z E, 1, 2, C ROLLBACK, Z I", "idle"},
		{"a failed transaction stays one", then(lost(in(step{"client", "Q x"}, step{"server", "! 42601, Z E"})...), step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q x", "C BEGIN, Z T, ! 42601, Z E, C ROLLBACK, Z I", ""},
		{"one that is lost twice", then(then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...), lost(step{"client", "Q SELECT 1"}, step{"server", "C BEGIN, ! 3B001, Z E"})...), step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1), " + doomed + ", Q SELECT 1", "C BEGIN, Z T, ! 40001, Z E, ! 40001, Z E, C ROLLBACK, Z I", ""},
		{"one that no other backend is found for stays one", then(lost(in(step{"client", "Q x"}, step{"server", "! 42601, Z E"})...), step{"busy", ""},
			step{"client", "Q SELECT 1"}, step{"cancel", ""}, step{"client", "P |SELECT 1, B |, E, S"}, step{"refuse", ""}, step{"client", "Q ROLLBACK"}),
			"Q BEGIN, Q x", "C BEGIN, Z T, ! 42601, Z E, ! 57014, Z E, ! 08000, Z E, C ROLLBACK, Z I", "wait, wait"},
		{"one that cannot be made again at once", then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...), step{"client", "Q SELECT 1"},
			step{"server", "! 57014, Z I"}, step{"server", "C BEGIN, ! 3B001, Z E"}, step{"server", "! 25P02, Z E"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1), " + doomed + ", " + doomed + ", Q SELECT 1", "C BEGIN, Z T, ! 40001, Z E, ! 25P02, Z E", ""},
		{"what comes behind a lost transaction is never executed outside of it", then(lost(in(step{"client", "Q INSERT INTO t VALUES (1)"})...), step{"client", "Q INSERT INTO t VALUES (2)"},
			step{"server", "! 57014, Z I"}, step{"lost", ""}, step{"server", "! 57014, Z I"}),
			"Q BEGIN, Q INSERT INTO t VALUES (1), " + doomed + ", " + doomed + ", " + doomed + ", " + doomed, "C BEGIN, Z T, ! 40001, Z E", ""},
		{"a batch", lost(step{"client", "P |INSERT INTO t VALUES (1), B |, E, S"}), "P |INSERT INTO t VALUES (1), B |, E, S", "! 08007, Z I", ""},
		{"a batch that only prepares", lost(step{"client", "P |INSERT INTO t VALUES (1), D S|, S"}), "P |INSERT INTO t VALUES (1), D S|, S", "! 40001, Z I", ""},
		{"a batch without its end", then(lost(step{"client", "P |INSERT INTO t VALUES (1), B |, E, H"}), step{"client", "P |SELECT 2, B |, E, S"}, step{"client", "Q SELECT 1"}, step{"server", "C SELECT 1, Z I"}),
			"P |INSERT INTO t VALUES (1), B |, E, H, Q SELECT 1", "! 08007, Z I, C SELECT 1, Z I", "idle"},
		{"one whose answers have come", then(lost(step{"client", "P |INSERT INTO t VALUES (1), B |, E, H"}, step{"server", "1, 2, C INSERT 0 1"}), step{"client", "S"}),
			"P |INSERT INTO t VALUES (1), B |, E, H", "1, 2, C INSERT 0 1, ! 08007, Z I", ""},
		{"one that failed", then(lost(step{"client", "P |x, B |, E, H"}, step{"server", "! 42601"}), step{"client", "S"}),
			"P |x, B |, E, H", "! 42601, Z I", ""},
		{"many requests", lost(step{"client", "Q SELECT 1, Q SELECT 2, P |SELECT 3, B |, E, S"}, step{"server", "C SELECT 1, Z I"}),
			"Q SELECT 1, Q SELECT 2, P |SELECT 3, B |, E, S", "C SELECT 1, Z I, ! 08007, Z I, ! 08007, Z I", ""},
		{"COPY", then(lost(step{"client", "Q COPY t FROM STDIN"}, step{"server", "G"}, step{"client", "d a"}), step{"client", "d b, c"}, step{"client", "Q SELECT 1"}, step{"server", "C SELECT 1, Z I"}),
			"Q COPY t FROM STDIN, d a, Q SELECT 1", "G, ! 08007, Z I, C SELECT 1, Z I", "idle"},
		{"a function call", lost(in(step{"client", "F x"})...), "Q BEGIN, F", "C BEGIN, Z T, ! 40001, Z E", ""},
		{"an error of the server that goes", lost(step{"client", "Q SELECT 1"}, step{"server", "! FATAL|57P01"}), "Q SELECT 1", "! 08007, Z I", ""},
		{"a named statement stays", then(lost(step{"client", "P s|SELECT 1, S"}, step{"server", "1, Z I"}, step{"client", "B |s, E, S"}), step{"client", "B |s, E, S"}, step{"server", "1, 2, C SELECT 1, Z I"}),
			"P berth:1|SELECT 1, S, B |berth:1, E, S, P berth:1|SELECT 1, B |berth:1, E, S", "1, Z I, ! 08007, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"one that was being prepared is not there", then(lost(step{"client", "P s|SELECT 1, S"}), step{"client", "B |s, E, S"}, step{"server", "! 26000, Z I"}),
			"P berth:1|SELECT 1, S, B |berth:, E, S", "! 40001, Z I, ! 26000, Z I", "idle"},
		{"a pin is told of and over", then(lost(step{"client", "Q CREATE TEMP TABLE a (b int)"}, step{"server", "C CREATE TABLE, Z I"}), step{"client", "Q SELECT 1"}, step{"client", "Q SELECT 2"}, step{"server", "C SELECT 1, Z I"}),
			"Q CREATE TEMP TABLE a (b int), Q SELECT 2", "C CREATE TABLE, Z I, ! 08006, Z I, C SELECT 1, Z I", "temporary_table, reset, idle"},
		{"settings that were answered and not settled", then(lost(step{"client", "Q SET work_mem = '7MB', Q SELECT 1"}, step{"server", "C SET, Z I"})),
			"Q SET work_mem = '7MB', Q SELECT 1", "C SET, Z I, ! 08007, Z I", ""},
	})
}

func TestALostBackendEndsTheSessionsThatShallEnd(t *testing.T) {
	s := newStage(t)
	s.m.e.closesLost = true
	s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
	s.lose()
	if got := describeMessages(t, s.toClient, false); !s.ended || got != "C X, Z I, ! FATAL|08006" {
		t.Errorf("pinned: ended %v, the client got %s", s.ended, got)
	}
	s = newStage(t)
	s.m.e.closesLost = true
	s.does("SELECT 1", "")
	s.lose()
	if got := describeMessages(t, s.toClient, false); s.ended || got != "! 08007, Z I" {
		t.Errorf("not pinned: ended %v, the client got %s", s.ended, got)
	}
	s = newStage(t)
	s.does("SELECT 1", "")
	s.server(messages("D aaaaaaaaaa")[:9])
	s.lose()
	if !s.ended {
		t.Error("it goes on in the middle of a row")
	}
}

func TestALossSaysWhatTheServerSaidAndWhatIsLost(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_advisory_lock(1)", "C X, Z I")
	s.toClient = nil
	s.server(endMessage([]byte("E\x00\x00\x00\x00SFATAL\x00VFATAL\x00C57P01\x00Mgoing down\x00\x00"), 0))
	s.lose()
	s.client(messages("Q SELECT 1"))
	for _, want := range []string{"C08006\x00", "named lock", "DThe database said: going down\x00"} {
		if !bytes.Contains(s.toClient, []byte(want)) {
			t.Errorf("no %q in %q", want, s.toClient)
		}
	}
}

func TestARequestThatKillsEveryBackendIsRefusedInTheEnd(t *testing.T) {
	s := newStage(t)
	for range maxAttempts + 1 {
		s.m.attach(s.Borrow(engine.Want{}), s)
		s.lose()
	}
	s.client(messages("Q SELECT 1"))
	if got := describeMessages(t, s.toClient, false); got != "! 40001, Z I" {
		t.Errorf("the client got %s", got)
	}
}

func TestATransactionTimeoutThatEndsTheMachinesQuestionDoesNotEndTheSession(t *testing.T) {
	const ignored = "CREATE TEMP TABLE t (a int)" // and cleaned up
	for sql, want := range map[string]string{
		"DO $$ x $$": "C X, Z I, ! 08006, Z I, C SELECT 1, Z I", // nobody knows what it has left
		"CREATE TEMP TABLE t (a int); DROP TABLE t": "C X, Z I, ! 08006, Z I, C SELECT 1, Z I", // which may be there
		ignored: "C X, Z I, C SELECT 1, Z I, C SELECT 1, Z I",
		"BEGIN": "C X, Z T, ! FATAL|25P04",
	} {
		s := newStage(t)
		if sql == ignored {
			s.ignores.add(engine.KindTemporaryTable)
		}
		s.does(sql, "C X, Z "+map[bool]string{true: "T", false: "I"}[sql == "BEGIN"])
		s.server(messages("! FATAL|25P04"))
		s.lose()
		for range 2 {
			if !s.ended {
				s.does("SELECT 1", "")
			}
			if s.backend != nil {
				s.server(messages("C SELECT 1, Z I"))
			}
		}
		if got := describeMessages(t, s.toClient, false); got != want {
			t.Errorf("%s: the client sees %s", sql, got)
		}
	}
}

func TestABatchWhoseBackendIsLostIsNotUnderWay(t *testing.T) {
	s := newStage(t)
	s.client(messages("P |SELECT 1, B |, E"))
	s.lose()
	s.client(messages("S"))
	if got := describeMessages(t, s.toClient, false); s.under != 0 || got != "! 08007, Z I" {
		t.Errorf("%d are under way, the client sees %s", s.under, got)
	}
	s = newStage(t)
	s.does("BEGIN", "C BEGIN, Z T")
	s.lose()
	s.client(messages("P |SELECT 1, B |, E, S"))
	if got := describeMessages(t, s.toClient, false); s.under != 0 || got != "C BEGIN, Z T, ! 40001, Z E" {
		t.Errorf("in a transaction: %d are under way, the client sees %s", s.under, got)
	}
}
