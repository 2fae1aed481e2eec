package postgres

import (
	"fmt"
	"strings"
	"testing"
)

func TestStatementsAboutLoginsAreRead(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER DATABASE d SET x = 1":                               "/d",
		`/* a */ alter database "D" reset all`:                     "/D",
		"ALTER DATABASE d RENAME TO e":                             "/d apart",
		"ALTER DATABASE d SET TABLESPACE t":                        "/d apart",
		"ALTER DATABASE d OWNER TO r":                              "/d",
		"ALTER DATABASE d CONNECTION LIMIT 5":                      "/d",
		"ALTER DATABASE d":                                         "",
		"ALTER ROLE r SET search_path = a":                         "r/",
		"ALTER USER r IN DATABASE d RESET search_path":             "r/d",
		"ALTER ROLE ALL SET x = 1":                                 "/",
		"ALTER ROLE ALL IN DATABASE d SET x = 1":                   "/d",
		"ALTER ROLE CURRENT_USER SET x = 1":                        "me/",
		`ALTER ROLE U&"\0061" SET x = 1`:                           "me/",
		`ALTER DATABASE U&"\0061" SET x = 1`:                       "me/",
		"ALTER DATABASE " + strings.Repeat("d", 64) + " SET x = 1": "me/",
		"ALTER ROLE r PASSWORD 'x'":                                "r/",
		"ALTER USER r NOLOGIN":                                     "r/",
		"ALTER ROLE r RENAME TO s":                                 "r/",
		"ALTER GROUP r RENAME TO s":                                "r/",
		"DROP ROLE r":                                              "r/", "DROP USER IF EXISTS R": "r/", "DROP GROUP r, s": "/", "DROP USER MAPPING IF EXISTS FOR r SERVER s": "", "DROP USER MAPPING FOR r SERVER s": "",
		"ALTER USER MAPPING FOR r SERVER s OPTIONS (SET a 'b')": "",
		"DROP DATABASE d":                        "/d apart",
		"DROP DATABASE IF EXISTS d WITH (FORCE)": "/d apart",
		"DROP TABLE d":                           "",
		"CREATE DATABASE d":                      "/template1 apart",
		"CREATE DATABASE template OWNER r":       "/template1 apart",
		"CREATE DATABASE d WITH OWNER r TEMPLATE = e STRATEGY wal_log":             "/e apart",
		"CREATE DATABASE d TEMPLATE DEFAULT":                                       "/template1 apart",
		"CREATE ROLE d":                                                            "",
		"SELECT 1; ALTER ROLE r SET x = 1; DROP DATABASE d; ALTER ROLE s RESET":    "r/, /d apart, s/",
		"CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION f()":                     "/here",
		`create event trigger "E" on LOGIN when tag in ('a') execute function f()`: "/here",
		"CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f()":           "/here", "CREATE EVENT": "/here",
		"ALTER EVENT TRIGGER e DISABLE": "/here", "DROP EVENT TRIGGER IF EXISTS e": "/here",
		"ALTER ROLE r": "", "ALTER": "", "DROP DATABASE": "me/ apart", "ALTER ROLE r SET x = 'a": "r/", ";;": "",
	} {
		var got []string
		for r := (loginsReader{scanner: scanner{text: []byte(sql)}, self: "me", here: "here"}); r.advance(); {
			got = append(got, fmt.Sprint(r.User, "/", r.Database, map[bool]string{true: " apart"}[r.apart]))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
		if v := classify([]byte(sql), lexing{}); len(got) > 0 && !v.logins {
			t.Errorf("%s: the classifier does not see it", sql)
		}
	}
}

func TestBackendsThatNobodyHoldsAreGivenUpWhereADatabaseMustNotBeInUse(t *testing.T) {
	runCases(t, []relayCase{
		{"the user's own at once", []step{{"client", "Q DROP DATABASE e"}, {"server", "C DROP DATABASE, Z I"}},
			"Q DROP DATABASE e", "C DROP DATABASE, Z I", "outdate u/e, idle"},
		{"everybody's where the server says that it is", []step{{"client", "P |DROP DATABASE e, B |, E, S"}, {"server", "1, 2, ! 55006|dropdb, Z I"}},
			"P |DROP DATABASE e, B |, E, S", "1, 2, ! 55006, Z I", "outdate u/e, outdate /e, idle"},
		{"not where something else is in use", []step{{"client", "Q ALTER DATABASE e SET x = 1"}, {"server", "! 55006|exec_stmt_raise, Z I"}},
			"Q ALTER DATABASE e SET x = 1", "! 55006, Z I", "idle"},
		{"not where the client may not", []step{{"client", "Q DROP DATABASE e"}, {"server", "! 42501|dropdb, Z I"}},
			"Q DROP DATABASE e", "! 42501, Z I", "outdate u/e, idle"},
		{"not where it may be another that is", []step{{"client", "Q DROP DATABASE e, Q DROP DATABASE f"}, {"server", "! 55006|dropdb, Z I, ! 42501, Z I"}},
			"Q DROP DATABASE e, Q DROP DATABASE f", "! 55006, Z I, ! 42501, Z I", "outdate u/e, outdate u/f, idle"},
	})
}

func TestLoginsAreToldApartByWhatChangedBeforeThem(t *testing.T) {
	s := newStage(t)
	key := func() string { return s.m.e.loginsBefore("u", "d") }
	told := map[string]bool{}
	for _, c := range []struct {
		client, server string
		changes        bool
	}{
		{"Q ALTER DATABASE d SET x = 1", "C ALTER DATABASE, Z I", true},
		{"Q CREATE EVENT TRIGGER e ON login EXECUTE FUNCTION f()", "C CREATE EVENT TRIGGER, Z I", true},
		{"Q ALTER EVENT TRIGGER e DISABLE", "C ALTER EVENT TRIGGER, Z I", true},
		{"Q ALTER EVENT TRIGGER e DISABLE", "! 42501, Z I", false},
		{"Q ALTER DATABASE d SET x = 1", "! 42501, Z I", false},
		{"Q ALTER DATABASE e SET x = 1", "C ALTER DATABASE, Z I", false},
		{"P |ALTER ROLE u SET x = 1, B |, E, S", "1, 2, C ALTER ROLE, Z I", true},
		{"Q ALTER ROLE v IN DATABASE d SET x = 1", "C ALTER ROLE, Z I", false},
		{"Q ALTER ROLE u IN DATABASE d SET x = 1", "C ALTER ROLE, Z I", true},
		{"Q ALTER ROLE ALL RESET x", "C ALTER ROLE, Z I", true},
		{"Q DROP DATABASE d", "C DROP DATABASE, Z I", true},
		{"Q BEGIN", "C BEGIN, Z T", false},
		{"Q ALTER ROLE u SET x = 1", "C ALTER ROLE, Z T", false},
		{"Q ALTER ROLE v SET x = 1", "C ALTER ROLE, Z T", false},
		{"Q COMMIT", "C COMMIT, Z I", true},
		{"Q SELECT 1", "C SELECT 1, Z I", false},
		// What was refused changes nothing, though the client may say the same of itself.
		{"Q ALTER ROLE v SET x = 1; ALTER ROLE ALL SET x = 1", "C ALTER ROLE, ! 42501, Z I", false},
		{"Q BEGIN; ALTER ROLE v SET x = 1; SAVEPOINT s", "C BEGIN, C ALTER ROLE, C SAVEPOINT, Z T", false},
		{"Q ALTER ROLE ALL SET x = 1", "! 42501, Z E", false},
		{"Q ROLLBACK TO s; COMMIT", "C ROLLBACK, C COMMIT, Z I", false},
		{"Q BEGIN", "C BEGIN, Z T", false},
		{"P |ALTER ROLE ALL SET x = 1, B p|, P |ALTER ROLE v SET x = 1, B |, E, S", "1, 2, 1, 2, C ALTER ROLE, Z T", false},
		{"Q COMMIT", "C COMMIT, Z I", false},
		{"Q BEGIN", "C BEGIN, Z T", false},
		{"P |ALTER ROLE ALL SET x = 1, B p|, S", "1, 2, Z T", false},
		{"Q ALTER GROUP g ADD USER v", "C ALTER ROLE, Z T", false},
		{"Q COMMIT", "C COMMIT, Z I", false},
		{"Q ALTER ROLE u SET x = 1; ALTER ROLE ALL SET x = 1", "C ALTER ROLE, ! 42501, Z I", true}, // those of its own
		// An error of something else is none of theirs.
		{"Q BEGIN; ALTER ROLE ALL SET x = 1; SAVEPOINT s", "C BEGIN, C ALTER ROLE, C SAVEPOINT, Z T", false},
		{"Q x", "! 42601, Z E", false},
		{"Q ROLLBACK TO s; COMMIT", "C ROLLBACK, C COMMIT, Z I", true},
		{"Q ALTER GROUP u RENAME TO v", "C ALTER ROLE, Z I", true},
		{"P |ALTER ROLE u SET x = 1, B |, E, S, Q ALTER DATABASE d SET x = 1", "1, 2, C ALTER ROLE, Z I", false},
		{"", "C ALTER DATABASE, Z I", true},
		// What is prepared for two-phase commit is there when that comes.
		{"Q BEGIN; ALTER ROLE u SET x = 1", "C BEGIN, C ALTER ROLE, Z T", false},
		{"Q PREPARE TRANSACTION 'a'", "C PREPARE TRANSACTION, Z I", true},
		{"Q COMMIT PREPARED 'b'", "C COMMIT PREPARED, Z I", false},
		{"Q COMMIT PREPARED 'a'", "! 42501, Z I", false},
		{"P |COMMIT PREPARED 'a', B |, E, S", "1, 2, C COMMIT PREPARED, Z I", true},
	} {
		before := key()
		s.client(messages(c.client))
		s.server(messages(c.server))
		if now := key(); now != before != c.changes || told[now] && c.changes {
			t.Errorf("%s: %q, then %q", c.client, before, now)
		}
		told[before] = true
	}
}
