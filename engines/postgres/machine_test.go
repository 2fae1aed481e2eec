package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestEveryRequestGetsItsOwnAnswersAndTheBackendGoesBackAtBoundariesOnly(t *testing.T) {
	runCases(t, []relayCase{
		{"a simple query", []step{{"client", "Q SELECT 1"}, {"server", "T a, D 1, C SELECT 1, Z I"}},
			"Q SELECT 1", "T a, D 1, C SELECT 1, Z I", "idle"},
		{"an empty query", []step{{"client", "Q "}, {"server", "I, Z I"}}, "Q ", "I, Z I", "idle"},
		{"several statements in one query", []step{{"client", "Q SELECT 1; SELECT 2"}, {"server", "T a, C SELECT 1, T b, C SELECT 1, Z I"}},
			"Q SELECT 1; SELECT 2", "T a, C SELECT 1, T b, C SELECT 1, Z I", "idle"},
		{"a transaction keeps the backend", []step{{"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q BAD"}, {"server", "! 42601, Z E"},
			{"client", "Q ROLLBACK"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q BAD, Q ROLLBACK", "C BEGIN, Z T, ! 42601, Z E, C ROLLBACK, Z I", "idle"},
		{"a savepoint heals a failed transaction", []step{{"client", "Q BEGIN"}, {"server", "C BEGIN, Z T, N x"}, {"client", "Q ROLLBACK TO a"},
			{"server", "C ROLLBACK, Z T"}, {"client", "Q COMMIT"}, {"server", "C COMMIT, Z I"}},
			"Q BEGIN, Q ROLLBACK TO a, Q COMMIT", "C BEGIN, Z T, N x, C ROLLBACK, Z T, C COMMIT, Z I", "idle"},
		{"the extended protocol", []step{{"client", "P |SELECT 1, B |, D P|, E, S"}, {"server", "1, 2, T a, D 1, C SELECT 1, Z I"}},
			"P |SELECT 1, B |, D P|, E, S", "1, 2, T a, D 1, C SELECT 1, Z I", "idle"},
		{"a pipeline with an error in the middle batch",
			[]step{{"client", "P |SELECT 1, B |, E, S, P |SELECT 2, B |, E, S, P |SELECT 3, B |, E, S"},
				{"server", "1, 2, C SELECT 1, Z I, 1, ! 22012, Z I, 1, 2, C SELECT 1, Z I"}},
			"P |SELECT 1, B |, E, S, P |SELECT 2, B |, E, S, P |SELECT 3, B |, E, S",
			"1, 2, C SELECT 1, Z I, 1, ! 22012, Z I, 1, 2, C SELECT 1, Z I", "idle"},
		{"after an error everything up to Sync is dropped", []step{{"client", "P |SELECT 1, H"}, {"server", "! 42601"},
			{"client", "B |, E, Q SELECT 2, P x|SET a = 1, S"}, {"server", "Z I"}},
			"P |SELECT 1, H, S", "! 42601, Z I", "idle"},
		{"Flush without Sync keeps the backend", []step{{"client", "P |SELECT 1, D S|, H"}, {"server", "1, t, T a"},
			{"client", "B |, E, H"}, {"server", "2, C SELECT 1"}, {"client", "S"}, {"server", "Z I"}},
			"P |SELECT 1, D S|, H, B |, E, H, S", "1, t, T a, 2, C SELECT 1, Z I", "idle"},
		{"a suspended portal", []step{{"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "P |SELECT 1, B p|, E p, S"}, {"server", "1, 2, D 1, s, Z T"},
			{"client", "E p, C P|p, S"}, {"server", "C SELECT 1, 3, Z T"}},
			"Q BEGIN, P |SELECT 1, B p|, E, S, E, C P|p, S", "C BEGIN, Z T, 1, 2, D 1, s, Z T, C SELECT 1, 3, Z T", ""},
		{"an error at Sync is one batch's", []step{{"client", "P |SELECT 1, B |, E, S"}, {"server", "1, 2, C SELECT 1, ! 23505, Z I"}},
			"P |SELECT 1, B |, E, S", "1, 2, C SELECT 1, ! 23505, Z I", "idle"},
		{"a simple query in an unsynced batch", []step{{"client", "P |SELECT 1, B |, E, Q SELECT 2"}, {"server", "1, 2, C SELECT 1, C SELECT 1, Z I"}},
			"P |SELECT 1, B |, E, Q SELECT 2", "1, 2, C SELECT 1, C SELECT 1, Z I", "idle"},
		{"an empty statement", []step{{"client", "P |, B |, D P|, E, S"}, {"server", "1, 2, n, I, Z I"}},
			"P |, B |, D P|, E, S", "1, 2, n, I, Z I", "idle"},
		{"a function call of an unknown function is asked about", []step{{"client", "F x"}, {"server", "V a, Z I"}}, "F, Q (all settings)", "V a, Z I", ""},
		{"notices, notifications and parameters are passed on", []step{{"client", "Q SELECT 1"}, {"server", "N x, A y, S TimeZone|UTC, C SELECT 1, Z I"}},
			"Q SELECT 1", "N x, A y, S TimeZone|UTC, C SELECT 1, Z I", "idle"},
		{"Sync alone needs no backend", []step{{"client", "S, H, S"}}, "", "Z I, Z I", ""},
		{"COPY data without COPY is ignored", []step{{"client", "d x, c, S"}}, "", "Z I", ""},
		{"Terminate ends the session", []step{{"client", "X"}}, "", "", "close"},
		{"Terminate waits for what was asked before", []step{{"client", "Q INSERT INTO t VALUES (1), X"}, {"server", "C INSERT 0 1, Z I"}},
			"Q INSERT INTO t VALUES (1)", "C INSERT 0 1, Z I", "idle, close"},
		{"an unknown message is a fatal error", []step{{"client", "Q SELECT 1"}, {"server", "C SELECT 1, Z I"}, {"client", "y"}},
			"Q SELECT 1", "C SELECT 1, Z I, ! FATAL|08P01", "idle, client broke the protocol"},
		{"an answer that nobody asked for", []step{{"client", "P |SELECT 1, S"}, {"server", "2"}}, "P |SELECT 1, S", "! FATAL|08006", "backend broke the protocol, close"},
		{"a fatal error is told once", []step{{"client", "Q SELECT 1"}, {"server", "! FATAL|57P01, x"}}, "Q SELECT 1", "! 08007, Z I", "backend broke the protocol"},
		{"a timeout of the session", []step{{"client", "Q SELECT 1"}, {"server", "! FATAL|57P05"}, {"lost", ""}}, "Q SELECT 1", "! FATAL|57P05", "close"},
		{"a fatal error about the client's own doing", []step{{"client", "Q SELECT 1"}, {"server", "! FATAL|08P01"}, {"lost", ""}}, "Q SELECT 1", "! FATAL|08P01", "close"},
	})
}

func TestACopyCountsTheSyncsThatTheServerAnswers(t *testing.T) {
	runCases(t, []relayCase{
		{"in by a simple query", []step{{"client", "Q COPY t FROM STDIN"}, {"server", "G"}, {"client", "d a, H, d b, c"}, {"server", "C COPY 2, Z I"}},
			"Q COPY t FROM STDIN, d a, H, d b, c", "G, C COPY 2, Z I", "idle"},
		{"out", []step{{"client", "Q COPY t TO STDOUT"}, {"server", "H, d a, d b, c, C COPY 2, Z I"}}, "Q COPY t TO STDOUT", "H, d a, d b, c, C COPY 2, Z I", "idle"},
		{"in by the extended protocol, with a Sync that the server ignores", []step{{"client", "P |COPY t FROM STDIN, B |, E, S"}, {"server", "1, 2, G"},
			{"client", "d a, S, c, S"}, {"server", "C COPY 1, Z I"}},
			"P |COPY t FROM STDIN, B |, E, S, d a, S, c, S", "1, 2, G, C COPY 1, Z I", "idle"},
		{"all sent before the server begins to copy", []step{{"client", "P |COPY t FROM STDIN, B |, E, d a, S, c, S"}, {"server", "1, 2, G, C COPY 1, Z I"}},
			"P |COPY t FROM STDIN, B |, E, d a, S, c, S", "1, 2, G, C COPY 1, Z I", "idle"},
		{"Terminate is the end of it", []step{{"client", "Q COPY t FROM STDIN, d a, X"}, {"server", "G"}}, "Q COPY t FROM STDIN, d a", "G", "close"},
		{"and not of one whose data has come", []step{{"client", "Q COPY t FROM STDIN, d a, c, X"}, {"server", "G, C COPY 1"}, {"server", "Z I"}},
			"Q COPY t FROM STDIN, d a, c", "G, C COPY 1, Z I", "idle, close"},
		{"the client gives up", []step{{"client", "Q COPY t FROM STDIN"}, {"server", "G"}, {"client", "d a, f no"}, {"server", "! 57014, Z I"}},
			"Q COPY t FROM STDIN, d a, f no", "G, ! 57014, Z I", "idle"},
		{"the server gives up while the client goes on", []step{{"client", "Q COPY t FROM STDIN"}, {"server", "G"}, {"client", "d a"}, {"server", "! 22P02, Z I"},
			{"client", "d b, c, Q SELECT 1"}, {"server", "C SELECT 1, Z I"}},
			"Q COPY t FROM STDIN, d a, Q SELECT 1", "G, ! 22P02, Z I, C SELECT 1, Z I", "idle, idle"},
		{"the server fails before it copies", []step{{"client", "Q COPY x FROM STDIN, d a, c"}, {"server", "! 42P01, Z I"}},
			"Q COPY x FROM STDIN, d a, c", "! 42P01, Z I", "idle"},
		{"an extended one fails after a Sync that may have been ignored, and was",
			[]step{{"client", "P |COPY t FROM STDIN, B |, E, S"}, {"server", "1, 2, G"}, {"client", "d a, c, S"}, {"server", "! 22P02, Z I"}, {"server", "3, Z I"}},
			"P |COPY t FROM STDIN, B |, E, S, d a, c, S, C P|berth:-, S", "1, 2, G, ! 22P02, Z I", "idle"},
		{"and was not", []step{{"client", "P |COPY t FROM STDIN, B |, E, S"}, {"server", "1, 2, G"}, {"client", "d a, c, S"},
			{"server", "! 22P02, Z I"}, {"server", "Z I, 3, Z I"}},
			"P |COPY t FROM STDIN, B |, E, S, d a, c, S, C P|berth:-, S", "1, 2, G, ! 22P02, Z I, Z I", "idle"},
		{"both ways", []step{{"client", "Q START_REPLICATION x"}, {"server", "W, d a"}, {"client", "d b, c"}, {"server", "c, C COPY, Z I"}},
			"Q START_REPLICATION x, d b, c, Q (all settings)", "W, d a, c, C COPY, Z I", ""},
	})
}

func TestTheUnnamedStatementBelongsToTheSession(t *testing.T) {
	again := []step{{"client", "P |SELECT 1, S"}, {"server", "1, Z I"}, {"another", ""}, {"client", "B |, E, S"}}
	runCases(t, []relayCase{
		{"it is there again on the same backend", []step{{"client", "P |SELECT 1, S"}, {"server", "1, Z I"}, {"client", "B |, E, S"}, {"server", "2, C SELECT 1, Z I"}},
			"P |SELECT 1, S, B |, E, S", "1, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"it is parsed again on another", append(again[:len(again):len(again)], step{"server", "1, 2, C SELECT 1, Z I"}),
			"P |SELECT 1, S, P |SELECT 1, B |, E, S", "1, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"a failure to do so is the batch's", append(again[:len(again):len(again)], step{"server", "! 42P01, Z I"}, step{"client", "B |, S"}, step{"server", "1, 2, Z I"}),
			"P |SELECT 1, S, P |SELECT 1, B |, E, S, P |SELECT 1, B |, S", "1, Z I, ! 42P01, Z I, 2, Z I", "idle, idle, idle"},
		{"another session's is never bound", []step{{"another", ""}, {"client", "B |, E, S"}, {"server", "3, ! 26000, Z I"}},
			"C S|, B |, E, S", "! 26000, Z I", "idle"},
		{"a simple query ends it, also one that fails", []step{{"client", "P |SELECT 1, S"}, {"server", "1, Z I"}, {"client", "Q SELECT"}, {"server", "! 42601, Z I"},
			{"another", ""}, {"client", "B |, S"}, {"server", "3, ! 26000, Z I"}},
			"P |SELECT 1, S, Q SELECT, C S|, B |, S", "1, Z I, ! 42601, Z I, ! 26000, Z I", "idle, idle, idle"},
		{"a Parse that fails ends it", []step{{"client", "P |SELECT 1, S"}, {"server", "1, Z I"}, {"client", "P |SELECT x, S"}, {"server", "! 42703, Z I"},
			{"client", "B |, S"}, {"server", "3, ! 26000, Z I"}},
			"P |SELECT 1, S, P |SELECT x, S, C S|, B |, S", "1, Z I, ! 42703, Z I, ! 26000, Z I", "idle, idle, idle"},
		{"a Parse that is skipped does not", []step{{"client", "P |SELECT 1, S"}, {"server", "1, Z I"}, {"another", ""},
			{"client", "E x, P |SELECT 2, S"}, {"server", "! 34000, Z I"}, {"client", "B |, S"}, {"server", "1, 2, Z I"}},
			"P |SELECT 1, S, E, P |SELECT 2, S, P |SELECT 1, B |, S", "1, Z I, ! 34000, Z I, 2, Z I", "idle, idle, idle"},
		{"a Bind in the batch behind waits until it is certain", []step{{"another", ""}, {"client", "P |SELECT 1, S, B |, S"}, {"server", "! 42601, Z I"}, {"server", "3, ! 26000, Z I"}},
			"P |SELECT 1, S, C S|, B |, S", "! 42601, Z I, ! 26000, Z I", "idle, idle"},
		{"what a skipped batch prepared is prepared again", []step{{"another", ""}, {"client", "E x, B |, S, B |, S"}, {"server", "! 34000, Z I"}, {"server", "3, ! 26000, Z I"}},
			"E, C S|, B |, S, C S|, B |, S", "! 34000, Z I, ! 26000, Z I", "idle, idle"},
		{"one whose text is not known any more keeps its backend while it lives",
			[]step{{"client", "P |SELECT 1, B |, P |SELECT 2, B |, S"}, {"server", "1, ! 22012, Z I"}, {"client", "Q SELECT 3"}, {"server", "C SELECT 1, Z I"}},
			"P |SELECT 1, B |, P |SELECT 2, B |, S, Q SELECT 3", "1, ! 22012, Z I, C SELECT 1, Z I", "prepared_statement, undo prepared_statement, idle"},
	})
}

// Where another backend gets the statement the server is asked, before it is used, whether its columns are those that the client knows.
func TestWhatAClientWasToldAboutItsUnnamedStatementStaysTrue(t *testing.T) {
	told := []step{{"client", "P |SELECT * FROM t, D S|, S"}, {"server", "1, t, T a, Z I"}, {"another", ""}, {"client", "B |, E , S"}}
	portal := []step{{"client", "P |SELECT * FROM t, B p|, D P|p, E p, S"}, {"server", "1, 2, T a, C SELECT 1, Z I"}, {"another", ""}, {"client", "B |, E , S"}}
	const asked, askedPortal = "P |SELECT * FROM t, D S|, S, P |SELECT * FROM t, D S|, H", "P |SELECT * FROM t, B p|, D P|p, E, S, P |SELECT * FROM t, D S|, H"
	on := func(before []step, more ...step) []step { return append(before[:len(before):len(before)], more...) }
	runCases(t, []relayCase{
		{"another backend is asked first", on(told, step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			asked + ", B |, E, S", "1, t, T a, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"once", on(told, step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}, step{"client", "B |, E , S"}, step{"server", "2, C SELECT 1, Z I"}),
			asked + ", B |, E, S, B |, E, S", "1, t, T a, Z I, 2, C SELECT 1, Z I, 2, C SELECT 1, Z I", "idle, idle, idle"},
		{"other columns are an error", on(told, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			asked + ", B |berth:, E, S", "1, t, T a, Z I, ! 0A000, Z I", "idle, idle"},
		{"each time", on(told, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}, step{"client", "B |, E , S"}, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			asked + ", B |berth:, E, S, P |SELECT * FROM t, D S|, H, B |berth:, E, S", "1, t, T a, Z I, ! 0A000, Z I, ! 0A000, Z I", "idle, idle, idle"},
		{"in the pipeline behind it, too", on(told, step{"client", "D S|, S"}, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I, 1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			asked + ", B |berth:, E, S, P |SELECT * FROM t, D S|, H, B |berth:, S", "1, t, T a, Z I, ! 0A000, Z I, ! 0A000, Z I", "idle, idle"},
		{"or no columns", on(told, step{"server", "1, t, n"}, step{"server", "! 26000, Z I"}),
			asked + ", B |berth:, E, S", "1, t, T a, Z I, ! 0A000, Z I", "idle, idle"},
		{"until they are back", on(told, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}, step{"client", "B |, E , S"}, step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			asked + ", B |berth:, E, S, P |SELECT * FROM t, D S|, H, B |, E, S", "1, t, T a, Z I, ! 0A000, Z I, 2, C SELECT 1, Z I", "idle, idle, idle"},
		{"what the client is told of a new statement counts", on(told[:3], step{"client", "P |SELECT * FROM u, B |, E , S"}, step{"server", "1, 2, C SELECT 1, Z I"}, step{"another", ""}, step{"client", "B |, E , S"}, step{"server", "1, 2, C SELECT 1, Z I"}),
			"P |SELECT * FROM t, D S|, S, P |SELECT * FROM u, B |, E, S, P |SELECT * FROM u, B |, E, S", "1, t, T a, Z I, 1, 2, C SELECT 1, Z I, 2, C SELECT 1, Z I", "idle, idle, idle"},
		{"those of a portal are the statement's", on(portal, step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			askedPortal + ", B |, E, S", "1, 2, T a, C SELECT 1, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"and others an error", on(portal, step{"server", "1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			askedPortal + ", B |berth:, E, S", "1, 2, T a, C SELECT 1, Z I, ! 0A000, Z I", "idle, idle"},
		{"behind what precedes it in its batch", on(portal[:3], step{"client", "P s|SELECT 1, B |, E , S"}, step{"server", "1, 1, t, T a|b"}, step{"server", "! 26000, Z I"}),
			"P |SELECT * FROM t, B p|, D P|p, E, S, P berth:1|SELECT 1, P |SELECT * FROM t, D S|, H, B |berth:, E, S", "1, 2, T a, C SELECT 1, Z I, 1, ! 0A000, Z I", "idle, idle"},
		{"where an error came before it is skipped", on(portal[:3], step{"client", "E x, B |, E , S"}, step{"server", "! 34000"}, step{"server", "Z I"}, step{"client", "B |, S"}, step{"server", "1, t, T a"}, step{"server", "2, Z I"}),
			"P |SELECT * FROM t, B p|, D P|p, E, S, E, P |SELECT * FROM t, D S|, H, S, P |SELECT * FROM t, D S|, H, B |, S", "1, 2, T a, C SELECT 1, Z I, ! 34000, Z I, 2, Z I", "idle, idle, idle"},
		{"a table that is gone is the server's error", on(told, step{"server", "! 42P01"}, step{"server", "Z I"}),
			asked + ", S", "1, t, T a, Z I, ! 42P01, Z I", "idle, idle"},
		{"so is what comes while it is asked", on(told, step{"server", "1, ! 57014"}, step{"server", "Z I"}, step{"client", "B |, S"}, step{"server", "2, Z I"}),
			asked + ", S, B |, S", "1, t, T a, Z I, ! 57014, Z I, 2, Z I", "idle, idle, idle"},
		{"and a backend that is lost then ends the batch", on(told, step{"lost", ""}, step{"client", "B |, E , S"}, step{"server", "1, t, T a"}, step{"server", "2, C SELECT 1, Z I"}),
			asked + ", P |SELECT * FROM t, D S|, H, B |, E, S", "1, t, T a, Z I, ! 40001, Z I, 2, C SELECT 1, Z I", "idle, idle"},
		{"sequences are forgotten once", []step{{"client", "P |SELECT lastval(), D S|, S"}, {"server", "1, t, T a, Z I"}, {"another", ""}, {"client", "B |, E , S"},
			{"server", "1, 2, C DISCARD SEQUENCES, 3, 3, Z I, 1, t, T a"}, {"server", "2, ! 55000, Z I"}},
			"P |SELECT lastval(), D S|, S, P berth:-|DISCARD SEQUENCES, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, S, P |SELECT lastval(), D S|, H, B |, E, S", "1, t, T a, Z I, 2, ! 55000, Z I", "idle, idle"},
		{"those of a cursor are found anew by the server itself", []step{{"client", "P |FETCH c, D S|, S"}, {"server", "1, t, T a, Z I"}, {"another", ""}, {"client", "B |, E , S"}, {"server", "1, 2, C FETCH 1, Z I"}},
			"P |FETCH c, D S|, S, P |FETCH c, B |, E, S", "1, t, T a, Z I, 2, C FETCH 1, Z I", "idle, idle"},
	})
}

func TestSessionStatePinsUntilAReset(t *testing.T) {
	runCases(t, []relayCase{
		{"LISTEN", []step{{"client", "Q LISTEN a"}, {"server", "C LISTEN, Z I"}}, "Q LISTEN a", "C LISTEN, Z I", "listen"},
		{"LISTEN by the extended protocol", []step{{"client", "P |LISTEN a, B |, E, S"}, {"server", "1, 2, C LISTEN, Z I"}}, "P |LISTEN a, B |, E, S", "1, 2, C LISTEN, Z I", "listen"},
		{"DISCARD ALL ends it", []step{{"client", "Q LISTEN a"}, {"server", "C LISTEN, Z I"}, {"client", "Q DISCARD ALL"}, {"server", "C DISCARD ALL, Z I"}},
			"Q LISTEN a, Q DISCARD ALL", "C LISTEN, Z I, C DISCARD ALL, Z I", "listen, reset, idle"},
		{"nor one that a LISTEN follows at once", []step{{"client", "Q DISCARD ALL, Q LISTEN a"}, {"server", "C DISCARD ALL, Z I, C LISTEN, Z I"}},
			"Q DISCARD ALL, Q LISTEN a", "C DISCARD ALL, Z I, C LISTEN, Z I", "listen"},
		{"lastval never shows another session's value", []step{{"another", ""}, {"client", "Q SELECT lastval()"}, {"server", "C DISCARD SEQUENCES, Z I, ! 55000, Z I"}},
			"Q DISCARD SEQUENCES, Q SELECT lastval()", "! 55000, Z I", "idle"},
		{"nor when the session had the backend before", []step{{"another", ""}, {"client", "Q SELECT 1"}, {"server", "C SELECT 1, Z I"},
			{"client", "Q SELECT lastval()"}, {"server", "C DISCARD SEQUENCES, Z I, ! 55000, Z I"}},
			"Q SELECT 1, Q DISCARD SEQUENCES, Q SELECT lastval()", "C SELECT 1, Z I, ! 55000, Z I", "idle, idle"},
		{"nor does it lose its own", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"},
			{"client", "Q INSERT INTO t DEFAULT VALUES"}, {"server", "C DISCARD SEQUENCES, Z T, C INSERT 0 1, Z T"},
			{"client", "Q SELECT lastval()"}, {"server", "C SELECT 1, Z T"}, {"client", "Q COMMIT"}, {"server", "C COMMIT, Z I"}},
			"Q BEGIN, Q DISCARD SEQUENCES, Q INSERT INTO t DEFAULT VALUES, Q SELECT lastval(), Q COMMIT",
			"C BEGIN, Z T, C INSERT 0 1, Z T, C SELECT 1, Z T, C COMMIT, Z I", "idle"},
		{"nor in a batch", []step{{"another", ""}, {"client", "P |SELECT lastval(), B |, E, S"}, {"server", "1, 2, C DISCARD SEQUENCES, 3, 3, Z I, 1, 2, ! 55000, Z I"}},
			"P berth:-|DISCARD SEQUENCES, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, S, P |SELECT lastval(), B |, E, S", "1, 2, ! 55000, Z I", "idle"},
		{"nor behind the end of a transaction that has failed", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q COMMIT; SELECT lastval()"}, {"server", "! 42601|exec_parse_message, Z E"}, {"server", "C ROLLBACK, Z I"}, {"server", "C DISCARD SEQUENCES, Z I, N C25P01, C COMMIT, ! 55000, Z I"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|COMMIT; SELECT lastval(), C S|berth:-, S, Q ROLLBACK, Q DISCARD SEQUENCES, Q COMMIT; SELECT lastval()", "C BEGIN, Z T, ! 22012, Z E, C ROLLBACK, ! 55000, Z I", "idle"},
		{"nor in a pipeline behind a statement that comes too late to be executed", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q INSERT INTO t DEFAULT VALUES, Q ROLLBACK, Q SELECT lastval()"}, {"server", "! 25P02, Z E, ! 25P02, Z E, C ROLLBACK, Z I"}, {"server", "C DISCARD SEQUENCES, Z I, ! 55000, Z I"}},
			"Q BEGIN, Q SELECT 1/0, Q DISCARD SEQUENCES, Q INSERT INTO t DEFAULT VALUES, Q ROLLBACK, Q DISCARD SEQUENCES, Q SELECT lastval()",
			"C BEGIN, Z T, ! 22012, Z E, ! 25P02, Z E, C ROLLBACK, Z I, ! 55000 hint, Z I", "idle, idle"},
		{"nor where the text is no SQL", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q ROLLBACK; SELEKT lastval()"}, {"server", "! 42601|scanner_yyerror, Z E"}, {"client", "Q ROLLBACK;"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|ROLLBACK; SELEKT lastval(), C S|berth:-, S, Q ROLLBACK;", "C BEGIN, Z T, ! 22012, Z E, ! 42601, Z E, C ROLLBACK, Z I", "idle"},
		{"nor where what precedes it is canceled", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q ROLLBACK; SELECT lastval()"}, {"server", "! 42601|exec_parse_message, Z E"}, {"server", "! 57014, Z E"}, {"client", "Q ROLLBACK;"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|ROLLBACK; SELECT lastval(), C S|berth:-, S, Q ROLLBACK, Q ROLLBACK;", "C BEGIN, Z T, ! 22012, Z E, ! 57014, Z E, C ROLLBACK, Z I", "idle"},
		{"nor behind a savepoint", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q ROLLBACK TO s; SELECT lastval()"}, {"server", "! 42601|exec_parse_message, Z E"}, {"server", "C ROLLBACK, Z T"}, {"server", "C DISCARD SEQUENCES, Z T, ! 55000, Z E"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|ROLLBACK TO s; SELECT lastval(), C S|berth:-, S, Q ROLLBACK TO s;, Q DISCARD SEQUENCES, Q                SELECT lastval()", "C BEGIN, Z T, ! 22012, Z E, C ROLLBACK, ! 55000, Z E", ""},
		{"nor before what a text says of its transaction", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q LOCK t; SET TRANSACTION READ ONLY; SELECT lastval()"},
			{"server", "C LOCK TABLE, C SET, Z T"}, {"server", "C DISCARD SEQUENCES, Z T, ! 55000, Z E"}},
			"Q BEGIN, Q LOCK t; SET TRANSACTION READ ONLY;, Q DISCARD SEQUENCES, Q                                    SELECT lastval()", "C BEGIN, Z T, C LOCK TABLE, C SET, ! 55000, Z E", ""},
		{"of which nothing is executed if it cannot be read", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q LOCK t; SELECT lastval() FROM"},
			{"server", "C LOCK TABLE, Z T"}, {"server", "C DISCARD SEQUENCES, Z T, ! 42601|file:scan.l, Z E"}},
			"Q BEGIN, Q LOCK t;, Q DISCARD SEQUENCES, Q         SELECT lastval() FROM", "C BEGIN, Z T, ! 42601, Z E", ""},
		{"or the rest if the first fails", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q LOCK t; LOCK u; SELECT lastval(), Q ROLLBACK"},
			{"server", "C LOCK TABLE, ! 57014, Z E"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q LOCK t; LOCK u;, Q ROLLBACK", "C BEGIN, Z T, C LOCK TABLE, ! 57014, Z E, C ROLLBACK, Z I", "idle"},
		{"nor in a pipeline", []step{{"another", ""}, {"client", "Q BEGIN, Q SELECT 1/0, Q ROLLBACK AND CHAIN; SELECT lastval()"}, {"server", "C BEGIN, Z T, ! 22012, Z E"}, {"server", "! 42601|exec_parse_message, Z E"},
			{"server", "C ROLLBACK, Z T"}, {"server", "C DISCARD SEQUENCES, Z T, C ROLLBACK, ! 55000, Z E"}, {"client", "Q ROLLBACK"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q SELECT 1/0, H, P berth:-|ROLLBACK AND CHAIN; SELECT lastval(), C S|berth:-, S, Q ROLLBACK AND CHAIN, Q DISCARD SEQUENCES, Q ROLLBACK AND CHAIN; SELECT lastval(), Q ROLLBACK",
			"C BEGIN, Z T, ! 22012, Z E, C ROLLBACK, ! 55000, Z E, C ROLLBACK, Z I", "idle"},
		{"nor behind a COMMIT that goes on", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q END AND CHAIN;; SELECT lastval()"}, {"server", "! 42601|exec_parse_message, Z E"}, {"server", "C ROLLBACK, Z T"}, {"server", "C DISCARD SEQUENCES, Z T, C COMMIT, ! 55000, Z E"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|END AND CHAIN;; SELECT lastval(), C S|berth:-, S, Q ROLLBACK AND CHAIN, Q DISCARD SEQUENCES, Q END AND CHAIN;; SELECT lastval()",
			"C BEGIN, Z T, ! 22012, Z E, C ROLLBACK, ! 55000, Z E", ""},
		{"nor where that is no SQL", []step{{"another", ""}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q ROLLBACK AND CHAIN; SELEKT lastval()"}, {"server", "! 42601|scanner_yyerror, Z E"}, {"client", "Q ROLLBACK"}, {"server", "C ROLLBACK, Z I"}},
			"Q BEGIN, Q SELECT 1/0, P berth:-|ROLLBACK AND CHAIN; SELEKT lastval(), C S|berth:-, S, Q ROLLBACK", "C BEGIN, Z T, ! 22012, Z E, ! 42601, Z E, C ROLLBACK, Z I", "idle"},
		{"nor where it cannot be read", []step{{"another", ""}, {"client", "Q SET client_encoding = 'SJIS'"}, {"server", "S client_encoding|SJIS, C SET, Z I"}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q /* \x95 */ ROLLBACK; SELECT f()"}, {"server", "! 42601|exec_parse_message, Z E"}, {"client", "Q ROLLBACK /* \x95; */"}, {"server", "1, 3, Z E"}, {"server", "! 25P02, Z E, C ROLLBACK, Z I"}},
			"Q SET client_encoding = 'SJIS', Q BEGIN, Q SELECT 1/0, P berth:-|/* \x95 */ ROLLBACK; SELECT f(), C S|berth:-, S, P berth:-|ROLLBACK /* \x95; */, C S|berth:-, S, Q DISCARD SEQUENCES, Q ROLLBACK /* \x95; */",
			"S client_encoding|SJIS, C SET, Z I, C BEGIN, Z T, ! 22012, Z E, ! 25P02, Z E, C ROLLBACK, Z I", "idle, unknown"},
		{"nor where only the rest cannot be", []step{{"another", ""}, {"client", "Q SET client_encoding = 'SJIS'"}, {"server", "S client_encoding|SJIS, C SET, Z I"}, {"client", "Q BEGIN"}, {"server", "C BEGIN, Z T"}, {"client", "Q SELECT 1/0"}, {"server", "! 22012, Z E"},
			{"client", "Q COMMIT; SELECT f('\x95')"}, {"server", "! 42601|exec_parse_message, Z E"}, {"server", "C ROLLBACK, Z I"}, {"server", "C DISCARD SEQUENCES, Z I, C COMMIT, C SELECT 1, Z I"}},
			"Q SET client_encoding = 'SJIS', Q BEGIN, Q SELECT 1/0, P berth:-|COMMIT; SELECT f('\x95'), C S|berth:-, S, Q ROLLBACK, Q DISCARD SEQUENCES, Q COMMIT; SELECT f('\x95')",
			"S client_encoding|SJIS, C SET, Z I, C BEGIN, Z T, ! 22012, Z E, C ROLLBACK, C SELECT 1, Z I", "idle, unknown"},
		{"nor an older one of its own", []step{{"client", "Q INSERT INTO t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}, {"other backend", ""},
			{"client", "Q INSERT INTO t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}, {"first backend", ""}, {"client", "Q SELECT lastval()"}, {"server", "C DISCARD SEQUENCES, Z I, ! 55000, Z I"}},
			"Q INSERT INTO t VALUES (1), Q INSERT INTO t VALUES (1), Q DISCARD SEQUENCES, Q SELECT lastval()", "C INSERT 0 1, Z I, C INSERT 0 1, Z I, ! 55000 hint, Z I", "idle, idle, idle"},
		{"who has asked once keeps the backend for it", []step{{"client", "Q INSERT INTO t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}, {"another", ""},
			{"client", "Q SELECT lastval()"}, {"server", "C DISCARD SEQUENCES, Z I, ! 55000, Z I"}, {"client", "Q INSERT INTO T(a) VALUES (1)"}, {"server", "C INSERT 0 1, Z I"},
			{"client", "Q SELECT lastval()"}, {"server", "C SELECT 1, Z I"}, {"client", "Q BEGIN; COMMIT"}, {"server", "C COMMIT, Z I"}, {"client", "Q SELECT 1"}, {"server", "C SELECT 1, Z I"}},
			"Q INSERT INTO t VALUES (1), Q DISCARD SEQUENCES, Q SELECT lastval(), Q INSERT INTO T(a) VALUES (1), Q SELECT lastval(), Q BEGIN; COMMIT, Q SELECT 1",
			"C INSERT 0 1, Z I, ! 55000 hint, Z I, C INSERT 0 1, Z I, C SELECT 1, Z I, C COMMIT, Z I, C SELECT 1, Z I", "idle, idle, last_result, undo last_result, idle"},
		{"but not for what another statement writes to", []step{{"client", "Q INSERT INTO t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}, {"client", "Q SELECT lastval()"}, {"server", "C SELECT 1, Z I"},
			{"client", "Q INSERT INTO s.t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}}, "Q INSERT INTO t VALUES (1), Q SELECT lastval(), Q INSERT INTO s.t VALUES (1)",
			"C INSERT 0 1, Z I, C SELECT 1, Z I, C INSERT 0 1, Z I", "idle, idle, idle"},
		{"nor where it asks in the transaction", []step{{"client", "Q INSERT INTO t VALUES (1); SELECT lastval()"}, {"server", "C INSERT 0 1, C SELECT 1, Z I"}, {"client", "Q INSERT INTO t VALUES (1); SELECT lastval()"}, {"server", "C INSERT 0 1, C SELECT 1, Z I"},
			{"client", "Q INSERT INTO t VALUES (1)"}, {"server", "C INSERT 0 1, Z I"}},
			"Q INSERT INTO t VALUES (1); SELECT lastval(), Q INSERT INTO t VALUES (1); SELECT lastval(), Q INSERT INTO t VALUES (1)", "C INSERT 0 1, C SELECT 1, Z I, C INSERT 0 1, C SELECT 1, Z I, C INSERT 0 1, Z I", "idle, idle, idle"},
		{"its own it may see", []step{{"client", "Q SELECT lastval()"}, {"server", "C SELECT 1, Z I"}}, "Q SELECT lastval()", "C SELECT 1, Z I", "idle"},
	})
}

func TestARefusedRequestIsAnsweredAndNeverExecuted(t *testing.T) {
	runCases(t, []relayCase{
		{"one that waited long enough", []step{{"busy", ""}, {"client", "P |SELECT 1, B |, E, S"}, {"granted", ""}, {"server", "1, 2, C SELECT 1, Z I"}},
			"P |SELECT 1, B |, E, S", "1, 2, C SELECT 1, Z I", "wait, idle"},
		{"a simple query", []step{{"busy", ""}, {"client", "Q SELECT 1"}, {"refuse", ""}, {"client", "S"}}, "", "! 08000, Z I, Z I", "wait"},
		{"a batch", []step{{"busy", ""}, {"client", "P |SELECT 1, B |, E, S"}, {"refuse", ""}}, "", "! 08000, Z I", "wait"},
		{"one that is canceled while it waits", []step{{"busy", ""}, {"client", "Q SELECT 1"}, {"cancel", ""}}, "", "! 57014, Z I", "wait"},
	})
}

func TestARequestThatIsDeclinedIsNotForTheHeldBackend(t *testing.T) {
	listens := []step{{"client", "Q LISTEN a"}, {"server", "C LISTEN, Z I"}, {"decline", ""}}
	next := []step{{"client", "Q SELECT 2"}, {"server", "C SELECT 1, Z I"}}
	runCases(t, []relayCase{
		{"a simple query", slices.Concat(listens, []step{{"client", "Q SELECT 1"}}, next),
			"Q LISTEN a, Q SELECT 2", "C LISTEN, Z I, ! 57014, Z I, C SELECT 1, Z I", "listen"},
		{"a batch", slices.Concat(listens, []step{{"client", "P |SELECT 1, B |, E, S"}, {"server", "Z I"}}, next),
			"Q LISTEN a, S, Q SELECT 2", "C LISTEN, Z I, ! 57014, Z I, C SELECT 1, Z I", "listen"},
		{"behind a Sync", slices.Concat(listens, []step{{"client", "S"}, {"server", "Z I"}, {"client", "Q SELECT 1"}}, next),
			"Q LISTEN a, S, Q SELECT 2", "C LISTEN, Z I, Z I, ! 57014, Z I, C SELECT 1, Z I", "listen"},
		{"a goodbye is none", slices.Concat(listens, []step{{"client", "X"}}), "Q LISTEN a", "C LISTEN, Z I", "listen, close"},
	})
}

func TestAClientIsToldHowABackendDiffersFromTheLast(t *testing.T) {
	s := newStage(t)
	s.free = newTestBackend(s.m.session.key, []parameter{{"server_version", "18.1"}, {"standard_conforming_strings", "off"}})
	s.client(message("Q SELECT 1"))
	if got, want := describeMessages(t, s.toClient, false), "S server_version|18.1, S standard_conforming_strings|off"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !s.m.lexing.backslash {
		t.Error("SQL is still read with conforming strings")
	}
}

func TestAFirstSessionBorrowsToLearnWhatServersReport(t *testing.T) {
	key := engine.Key{User: "u", Database: "d"}
	s := &stage{t: t, free: newTestBackend(key, []parameter{{"server_version", "18.0"}})}
	s.m = newMachine(New(Config{}), sessionInfo{id: 7, key: key, cancelSecret: []byte{1, 2, 3, 4}}).(*machine)
	s.m.Start(s)
	if got, want := describeMessages(t, s.toClient, false), "S server_version|18.0, K, Z I"; got != want || s.free == nil {
		t.Errorf("got %s, want %s; given back: %v", got, want, s.free != nil)
	}
	late := &stage{t: t}
	late.m = newMachine(New(Config{}), sessionInfo{key: key}).(*machine)
	late.m.Start(late)
	late.refuse(engine.ErrBorrowTimeout)
	if got := describeMessages(t, late.toClient, false); got != "! FATAL|08000" || !late.ended {
		t.Errorf("a refused login: %s, ended %v", got, late.ended)
	}
}

func TestMessagesLargerThanTheBufferPassInParts(t *testing.T) {
	for how, cut := range cuttings() {
		if how == "byte by byte" || how == "header by body" {
			continue
		}
		s := newStage(t)
		big := make([]byte, 200<<10)
		for i := range big {
			big[i] = 'x'
		}
		feedAll := func(p []byte, to func([]byte)) {
			for len(p) > 0 {
				n := min(cut(len(p)), len(p), 32<<10)
				to(p[:n])
				p = p[n:]
			}
		}
		feedAll(message("Q SELECT '"+string(big)+"'"), s.client)
		feedAll(append(message("d "+string(big)), messages("C SELECT 1, Z I")...), s.server)
		if len(s.toBackend) != len(big)+5+len("SELECT ''")+1 || len(s.toClient) < len(big) || s.pins != 0 {
			t.Errorf("%s: %d to the backend, %d to the client, pins %b", how, len(s.toBackend), len(s.toClient), s.pins)
		}
	}
}

func TestARefusedMessageThatIsStillComingIsDroppedToItsEnd(t *testing.T) {
	s := newStage(t)
	s.free = nil
	long := message("Q SELECT '" + string(make([]byte, 100<<10)) + "'")
	s.client(long[:70<<10])
	s.refuse(engine.ErrBorrowTimeout)
	s.client(long[70<<10:])
	s.client(message("S"))
	if got := describeMessages(t, s.toClient, false); got != "! 08000, Z I, Z I" {
		t.Errorf("got %s", got)
	}
}

func TestLengthsThatCannotBeAreRefused(t *testing.T) {
	for _, in := range []string{"Q\x00\x00\x00\x03", "Q\x7f\xff\xff\xff", "S\x00\x01\x00\x00", "Q\xff\xff\xff\xff"} {
		s := newStage(t)
		s.client([]byte(in))
		if got := describeMessages(t, s.toClient, false); got != "! FATAL|08P01" || !s.ended {
			t.Errorf("%q: %s", in, got)
		}
	}
}

func TestAClientMayNotRunAheadWithoutBound(t *testing.T) {
	s := newStage(t)
	var p []byte
	for range 2 * maxAnswers {
		p = append(p, message("S")...)
	}
	s.client(append(message("Q SELECT 1"), p...))
	if s.m.queue.n > maxAnswers || len(s.inClient) == 0 {
		t.Fatalf("%d answers expected, %d bytes wait", s.m.queue.n, len(s.inClient))
	}
	s.server(messages("C SELECT 1, Z I"))
	for range 2 * maxAnswers {
		s.server(message("Z I"))
	}
	if s.backend != nil || len(s.inClient) != 0 {
		t.Errorf("%d answers expected, %d bytes wait", s.m.queue.n, len(s.inClient))
	}
}

// quiet is a Wire that costs nothing.
type quiet struct {
	b *engine.Backend
	n int
}

func (q *quiet) ToClient(p []byte)                             { q.n += len(p) }
func (q *quiet) ToBackend(p []byte)                            { q.n += len(p) }
func (q *quiet) Borrow(engine.Want) *engine.Backend            { return q.b }
func (q *quiet) Idle() bool                                    { return true }
func (q *quiet) Discard(error)                                 {}
func (q *quiet) Report(engine.Event) engine.Action             { return engine.Pin }
func (q *quiet) Aside(func(context.Context) func(engine.Wire)) { panic("nothing is done aside") }
func (q *quiet) Kill(uint32, engine.KillScope) error           { return nil }
func (q *quiet) Outdate(string, string)                        {}
func (q *quiet) Become(string, string, string) error           { return nil }
func (q *quiet) Close(error)                                   {}
func (q *quiet) Observe(engine.Moment)                         {}

// roundTrips are what benchmarks and the allocation test play: a request and its answer.
var roundTrips = map[string][2]string{
	"simple":   {"Q SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "T abalance, D 1, C SELECT 1, Z I"},
	"extended": {"P |SELECT abalance FROM pgbench_accounts WHERE aid = $1, B |, D P|, E, S", "1, 2, T abalance, D 1, C SELECT 1, Z I"},
	"portal":   {"P |SELECT 1, B cursor|, D P|cursor, E cursor, S", "1, 2, T abalance, D 1, C SELECT 1, Z I"},
	"bind":     {"B |, E, S", "2, D 1, C SELECT 1, Z I"},
}

func player(tb testing.TB, name string) func() {
	s := newStage(tb)
	q := &quiet{b: s.free}
	if name == "bind" {
		request, answer := messages("P |SELECT 1, S"), messages("1, Z I")
		_, _ = s.m.FromClient(request, q)
		_, _ = s.m.FromBackend(answer, q)
	}
	request, answer := messages(roundTrips[name][0]), messages(roundTrips[name][1])
	return func() {
		if n, err := s.m.FromClient(request, q); n != len(request) || err != nil {
			tb.Fatal(n, err)
		}
		if n, err := s.m.FromBackend(answer, q); n != len(answer) || err != nil {
			tb.Fatal(n, err)
		}
	}
}

func TestAPlainQueryAllocatesNothing(t *testing.T) {
	for name := range roundTrips {
		play := player(t, name)
		play()
		play()
		if n := testing.AllocsPerRun(100, play); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for name := range roundTrips {
		b.Run(name, func(b *testing.B) {
			play := player(b, name)
			b.ReportAllocs()
			for b.Loop() {
				play()
			}
		})
	}
}

// FuzzMachine feeds arbitrary bytes from both sides, in pieces: the first byte of each piece says whose it is and how long.
func FuzzMachine(f *testing.F) {
	for _, r := range roundTrips {
		f.Add(append(append([]byte{40}, messages(r[0])...), append([]byte{168}, messages(r[1])...)...))
	}
	f.Add([]byte("0Q\x00\x00\x00\x04")) // a query without even an end
	f.Fuzz(func(t *testing.T, script []byte) {
		s := newStage(t)
		for len(script) > 0 && !s.ended {
			n := min(int(script[0]&0x7f), len(script)-1)
			p := script[1 : 1+n]
			fromServer := script[0] >= 0x80
			script = script[1+n:]
			switch {
			case s.waiting:
				s.refuse(engine.ErrBorrowTimeout)
			case fromServer:
				s.server(p)
			default:
				s.client(p)
			}
		}
		s.m.Stop(engine.ErrShutdown, s)
	})
}

func TestASessionWhoseSearchPathNamesTheTemporarySchemaPinsWithWhateverItCreates(t *testing.T) {
	for options, pinned := range map[string]bool{
		"search_path\x00Pg_Temp, public\x00": true, "options\x00-c search_path=pg_temp\x00": true, "search_path\x00public\x00": false,
	} {
		key := engine.Key{User: "u", Database: "d", Options: options}
		s := newStage(t)
		s.m.e.learn(key, nil)
		s.m = newMachine(s.m.e, sessionInfo{id: 7, key: key, cancelSecret: []byte{1, 2, 3, 4}}).(*machine)
		s.m.Start(s)
		s.does("CREATE TABLE t (a int)", "C CREATE TABLE, Z I")
		if s.asksAbout() != "" {
			s.found(engine.KindTemporaryTable)
		}
		if got := s.pins.has(engine.KindTemporaryTable); got != pinned {
			t.Errorf("%q: pinned %v", options, got)
		}
	}
}

func TestACallBehindTheEndOfATransactionInItsBatchIsTheFirstOfTheNext(t *testing.T) {
	const discard = "P berth:-|DISCARD SEQUENCES, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	const rollback = "P berth:-|ROLLBACK, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, "
	for request, want := range map[string]string{
		"P |ABORT, B |, E, P |CALL p(), B |, E, S":                    "P |ABORT, B |, E, " + discard + rollback + "P |CALL p(), B |, E, S",
		"P |COMMIT AND CHAIN, B |, E, P |CALL p(), B |, E, S":         "P |COMMIT AND CHAIN, B |, E, " + discard + "P |CALL p(), B |, E, S",
		"P |INSERT, B |, E, P |CALL p(), B |, E, S":                   "P |INSERT, B |, E, " + discard + "P |CALL p(), B |, E, S",
		"P |ABORT, B |, P |CALL p(), B |, E, S":                       "P |ABORT, B |, " + discard + "P |CALL p(), B |, E, S",
		"P |ABORT, B |, E, P |SELECT 1, B p|, P |CALL p(), B |, E, S": "P |ABORT, B |, E, P |SELECT 1, B p|, " + discard + "P |CALL p(), B |, E, S",
		"P |ABORT, B |, E, S, P |SELECT 1, P |CALL p(), B |, E, S":    "P |ABORT, B |, E, S, P |SELECT 1, " + discard + "P |CALL p(), B |, E, S",
	} {
		s := run(t, []step{{"another", ""}, {"client", strings.ReplaceAll(request, "E, ", "E |, ")}}, func(left int) int { return left })
		got := describeMessages(t, s.toBackend, true)
		if strings.HasPrefix(request, "P |INSERT") { // which may use a sequence itself
			want = strings.Replace(discard, "berth:-, C S|berth:-, ", "berth:-, C S|berth:-, S, ", 1) + "P |INSERT, B |, E, P |CALL p(), B |, E, S"
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", request, got, want)
		}
		if strings.Contains(want, rollback) {
			s.server(messages("1, 2, C ROLLBACK, 1, 2, C DISCARD SEQUENCES, 3, 3, 1, 2, N SWARNING|C25P01|, C ROLLBACK, 3, 3, 1, 2, C CALL, Z I"))
			if got := describeMessages(t, s.toClient, false); got != "1, 2, C ROLLBACK, 1, 2, C CALL, Z I" {
				t.Errorf("the client gets %s", got)
			}
		}
	}
}

func TestACallIsTheFirstOfItsBatchOnABackendThatDoesNotHaveItsStatement(t *testing.T) {
	const discard, discarded = ", S, P berth:-|DISCARD SEQUENCES, B berth:-|berth:-, E, C P|berth:-, C S|berth:-, S, ", "1, 2, C DISCARD SEQUENCES, 3, 3, Z I, "
	elsewhere := func(name, parse, told, answer string) []step {
		return []step{{"client", parse + ", S"}, {"server", told + ", Z I"}, {"other backend", ""}, {"another", ""}, {"client", "B |" + name + ", E , S"}, {"server", discarded + answer}, {"server", "2, C CALL, Z I"}}
	}
	runCases(t, []relayCase{
		{"with a name", elsewhere("s", "P s|CALL p()", "1", "1"), "P berth:1|CALL p()" + discard + "P berth:1|CALL p(), B |berth:1, E, S", "1, Z I, 2, C CALL, Z I", "idle, idle"},
		{"that was described", elsewhere("s", "P s|CALL p(), D S|s", "1, t, n", "1, t, n"), "P berth:1|CALL p(), D S|berth:1" + discard + "P berth:1|CALL p(), D S|berth:1, H, B |berth:1, E, S",
			"1, t, n, Z I, 2, C CALL, Z I", "idle, idle"},
		{"without a name", elsewhere("", "P |CALL p()", "1", "1"), "P |CALL p()" + discard + "P |CALL p(), B |, E, S", "1, Z I, 2, C CALL, Z I", "idle, idle"},
		{"described", elsewhere("", "P |CALL p(), D S|", "1, t, n", "1, t, n"), "P |CALL p(), D S|" + discard + "P |CALL p(), D S|, H, B |, E, S",
			"1, t, n, Z I, 2, C CALL, Z I", "idle, idle"},
	})
}
