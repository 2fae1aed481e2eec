package postgres

import (
	"strings"
	"testing"
)

func TestWhatOnlyResetsIsAnsweredWithoutABackend(t *testing.T) {
	for text, want := range map[string]string{
		"DISCARD ALL": "C DISCARD ALL, Z I", " discard /* x */ all ; ": "C DISCARD ALL, Z I", "RESET ALL": "C RESET, Z I", "CLOSE ALL;": "C CLOSE CURSOR ALL, Z I",
		"UNLISTEN *": "C UNLISTEN, Z I", "DEALLOCATE ALL": "C DEALLOCATE ALL, Z I", "deallocate prepare all": "C DEALLOCATE ALL, Z I",
		"SELECT pg_advisory_unlock_all()": "T \x00\x01pg_advisory_unlock_all, D \x00\x01, C SELECT 1, Z I", "SET SESSION AUTHORIZATION DEFAULT": "C SET, Z I", "RESET SESSION AUTHORIZATION": "C RESET, Z I",
		"DISCARD TEMP": "C DISCARD TEMP, Z I", "DISCARD PLANS": "C DISCARD PLANS, Z I", "DISCARD SEQUENCES": "C DISCARD SEQUENCES, Z I",
		"CLOSE ALL;\nUNLISTEN *; RESET ALL;": "C CLOSE CURSOR ALL, C UNLISTEN, C RESET, Z I",

		"": "", ";": "", "DISCARD": "", "DISCARD ALL; SELECT 1": "", "DISCARD ALL; RESET ALL": "", "RESET work_mem": "", "UNLISTEN a": "", "CLOSE a": "",
		"SELECT pg_advisory_unlock_all() FROM a": "", "SELECT x.pg_advisory_unlock_all()": "", "SELECT pg_advisory_unlock_all(), 1": "", "DEALLOCATE a": "",
		"SET SESSION AUTHORIZATION a": "", "RESET SESSION a": "", "RESET ALL x": "", "CLOSE ALL UNLISTEN *": "", "/* DISCARD ALL": "", "SELECT 1": "",
		"CLOSE ALL; SELECT 1": "", "DISCARD ALL" + strings.Repeat(" ", maxLocal): "",
	} {
		s := newStage(t)
		s.does("SELECT 1", "C SELECT 1, Z I") // so that it is known what backends begin with
		s.toClient, s.toBackend = nil, nil
		s.client(message("Q " + text))
		got := describeMessages(t, s.toClient, false)
		if cut := strings.Index(got, "pg_advisory_unlock_all"); cut >= 0 {
			got = got[:cut] + "pg_advisory_unlock_all" + got[strings.Index(got, ", D"):]
		}
		if (want == "") != (s.backend != nil) || want != "" && !strings.HasSuffix(got, want[strings.LastIndex(want, "C "):]) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q; held %v", text, got, want, s.backend != nil)
		}
	}
}

func TestALocalResetTakesBackWhatTheSessionHasSet(t *testing.T) {
	for _, reset := range []string{"DISCARD ALL", "RESET ALL"} {
		s := newStage(t)
		s.free.State.(*backendState).setParam("TimeZone", "GMT")
		s.m.e.learn(s.m.session.key, s.free.State.(*backendState).params)
		s.client(messages("P a|SELECT 1, S"))
		s.server(messages("1, Z I"))
		s.does("SET TIME ZONE 'x'", "S TimeZone|x, C SET, Z I")
		s.toClient, s.toBackend = nil, nil
		s.client(message("Q " + reset))
		tag, _, _ := strings.Cut(reset, " ALL")
		if reset == "DISCARD ALL" {
			tag = reset
		}
		if got := describeMessages(t, s.toClient, false); got != "C "+tag+", S TimeZone|GMT, Z I" || len(s.toBackend) > 0 {
			t.Errorf("%s: the client sees %s, the backend %s", reset, got, describeMessages(t, s.toBackend, true))
		}
		s.moves()
		s.client(messages("B |a, E, S"))
		want := "P berth:1|SELECT 1, B |berth:1, E, S"
		if reset == "DISCARD ALL" {
			want = "B |berth:, E, S" // which fails
		}
		if got := describeMessages(t, s.toBackend, true); got != want {
			t.Errorf("behind %s: sent %s", reset, got)
		}
	}
}

func TestALocalResetForgetsTheValuesOfSequences(t *testing.T) {
	for _, reset := range []string{"DISCARD ALL", "DISCARD SEQUENCES", "CLOSE ALL; DISCARD SEQUENCES"} {
		s := newStage(t)
		s.does("INSERT INTO a VALUES (DEFAULT)", "C INSERT 0 1, Z I")
		s.client(message("Q " + reset))
		s.toBackend = nil
		s.client(message("Q SELECT lastval()"))
		if got := describeMessages(t, s.toBackend, true); got != "Q DISCARD SEQUENCES, Q SELECT lastval()" {
			t.Errorf("behind %s: sent %s", reset, got)
		}
	}
}

func TestARoleIsResetByTheServer(t *testing.T) {
	for sql, local := range map[string]bool{"DISCARD ALL": true, "RESET ALL": false, "SET SESSION AUTHORIZATION DEFAULT": false, "CLOSE ALL": true} {
		s := newStage(t)
		s.does("SET ROLE x", "C SET, Z I")
		s.toBackend = nil
		s.client(message("Q " + sql))
		if got := len(s.toBackend) == 0; got != local {
			t.Errorf("%s: sent %s", sql, describeMessages(t, s.toBackend, true))
		}
	}
}
