package mysql

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestOnlyTextsThatAssignAndNothingElseLeaveSettingsToTheServersReports(t *testing.T) {
	for text, want := range map[string]string{
		"SET autocommit=1": "sets", "set NAMES utf8mb4": "sets", "SET NAMES 'utf8mb4' COLLATE utf8mb4_bin;": "sets",
		"SET NAMES utf8mb4, @@SESSION.sql_mode = CONCAT(@@sql_mode, ',X'), @@session.wait_timeout = 5": "sets",
		"SET CHARACTER SET latin1": "sets", "SET CHARSET latin1": "sets", "SET a = 1; SET b = DEFAULT ;": "sets",
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY": "sets",
		"SET sql_mode=(SELECT REPLACE(@@sql_mode, 'A,B', ''))":              "sets", "SET `sql_mode` = ''": "sets",
		"SET a = 1, GLOBAL b = 2": "sets", "SET @@local.a := 5": "sets", "SET a = (SELECT 1 INTO @b)": "@b setting", "SET SESSION a = IF(1, (2), 3), b = 'x,y;z'": "sets",
		"SET a = 1, @b = 2": "sets @b", "SET @a = 1, sql_mode = ''": "sets @a",
		"SET STATEMENT a = 1 FOR SELECT 1": "setting", "SET a = 1; SELECT 1": "setting", "SET a = @b := 5": "@b setting",
		"SET @A.b = 1, @`c` = @@x, @'d' = 2": "sets @a.b,@c,@d", "SELECT @a := 1, @@b, @c": "@a,@c", "SELECT 1 INTO @a": "@a",
		"SET @`a b` = 1": "sets user_variable", "SET @\"a\" = 1": "setting user_variable", "SELECT 1 INTO @\xc3\xa4": "user_variable",
		"SELECT @a := '\\''": "user_variable", "SELECT @a": "",
		"SET SESSION AUTHORIZATION bob": "setting", "SET RESOURCE GROUP g": "setting", "SET a": "setting", "SET a =": "setting",
		"SET a = 1,": "setting", "SET a = (1": "setting", "SET a.b = 1": "setting", "SET NAMES": "setting",
		"SET sql_mode = 'a\\'b'": "setting", "/*!40101 SET NAMES utf8 */": "setting", "SET sql_mode = 'a": "unknown setting",
	} {
		c := settingsIn(scan([]byte(text), false, false), []byte(text))
		var got []string
		if c.sets() != nil {
			got = append(got, "sets")
		}
		if c.users() != nil {
			got = append(got, strings.Join(c.users().names, ","))
		}
		for k := range engine.Kinds {
			if c.kinds>>k&1 != 0 {
				got = append(got, engine.Kind(k).String())
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: %s, not %s", text, s, want)
		}
	}
}

func TestValuesAreWrittenSoThatEverySQLModeReadsThemAlike(t *testing.T) {
	for value, want := range map[string]string{
		"5": "5", "-5": "-5", "0.500000": "0.500000", "ON": "'ON'", "": "''", "a'b": "'a''b'", "-": "'-'", "5.": "'5.'", ".5": "'.5'",
		"+01:00": "'+01:00'", `"`: `'"'`, "1e5": "'1e5'",
	} {
		if got := string(appendValue(nil, "x", value)); got != want {
			t.Errorf("%q: %s", value, got)
		}
	}
	if got := string(appendValue(nil, resultsCharset, "")); got != "NULL" {
		t.Error(got)
	}
}

func TestWhatCannotBeHadElsewhereIsNotRestorable(t *testing.T) {
	for _, s := range []setting{
		{"timestamp", "5"}, {"insert_id", "5"}, {"rand_seed1", "5"}, {"pseudo_thread_id", "5"}, {"gtid_next", "AUTOMATIC"},
		{"session_track_system_variables", "x"}, {"wsrep_on", "ON"}, {"sql_mode", `a\b`}, {"lc_messages", "\xc3"},
		{"component.variable", "1"}, {"enforce_storage_engine", ""}, {"sql_select_limit", "0"}, {"character_set_results", "utf16le"},
		{"profiling", "ON"}, {"completion_type", "RELEASE"}, {"sql_mode", "a\nb"},
	} {
		if restorable(s.name, s.value) {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range []setting{{"sql_mode", ""}, {"character_set_results", ""}, {"profiling", "OFF"}, {"sort_buffer_size", "100"}} {
		if !restorable(s.name, s.value) {
			t.Errorf("%+v", s)
		}
	}
}

func TestSettingsAreBounded(t *testing.T) {
	var s *settings
	ok := true
	for i := 0; ok && i < 2*maxSettings; i++ {
		s, ok = s.with("v"+string(rune('a'+i)), "1")
	}
	if ok || len(s.all) != maxSettings+1 {
		t.Errorf("%d variables", len(s.all))
	}
	if _, ok := (*settings)(nil).with("a", strings.Repeat("x", maxSettingsSize)); ok {
		t.Error("a long value")
	}
	a, _ := (*settings)(nil).with("a", "1")
	b, _ := a.with("a", "22")
	if v, _ := a.value("a"); v != "1" || b.size != 3 {
		t.Errorf("%q, %d bytes", v, b.size)
	}
}

// reports is an OK that reports variables: names and values in turn.
func reports(all ...string) []byte {
	var state []byte
	for i := 0; i < len(all); i += 2 {
		state = append(state, trackVariables)
		state = appendText(state, appendText(appendText(nil, []byte(all[i])), []byte(all[i+1])))
	}
	state = append(state, trackStateChange, 1, '1')
	p := []byte("\x00\x00\x00\x02\x40\x00\x00\x00")
	return reply(string(appendText(p, state)))
}

// set lets the session of r set variables.
func (r *rig) set(all ...string) {
	r.t.Helper()
	text := "SET "
	for i := 0; i < len(all); i += 2 {
		text += all[i] + " = 1, "
	}
	q := query(strings.TrimSuffix(text, ", "))
	r.ask(q, q, reports(all...))
}

func TestWhatASessionSetsFollowsItToAnotherBackend(t *testing.T) {
	r := newRig(t, modernClient)
	first := r.pool
	base, _ := (*settings)(nil).with("sql_mode", "BASE")
	first.State.(*backendState).base = base
	r.set("sql_mode", "ANSI_QUOTES,IT'S", "sort_buffer_size", "100", "autocommit", "OFF")
	if r.held != nil || r.pins != 0 || len(r.backend) != 0 {
		t.Fatalf("held %v, events %v, backend got %q", r.held, r.events, r.backend)
	}
	if e := r.events[0]; len(r.events) != 3 || e.Name != "sql_mode" || e.Value != "ANSI_QUOTES,IT'S" || !e.Restorable {
		t.Fatalf("events %+v", r.events)
	}
	// Nobody else was there.
	one := query("SELECT 1")
	row := reply("\x01", columnOne, "\x011", endMySQL)
	r.ask(one, one, row)
	// Another backend.
	r.pool = &engine.Backend{ID: 2, State: &backendState{id: 78, arm: trackers}}
	restore := query("SET @@SESSION.autocommit='OFF', @@SESSION.sort_buffer_size=100, @@SESSION.sql_mode='ANSI_QUOTES,IT''S'")
	r.ask(one, restore, reports("sql_mode", "ANSI_QUOTES,IT'S", "autocommit", "OFF", "sort_buffer_size", "100"))
	if !bytes.Equal(r.backend, one) || r.moments[engine.StateRestored] != 1 {
		t.Fatalf("backend got %q, %v", r.backend, r.moments)
	}
	r.answer(row)
	// The first backend goes to a session that has set something else.
	other := newRig(t, modernClient)
	other.m.session.settings, _ = other.m.session.settings.with("autocommit", "1")
	other.pool = first
	undo := query("SET @@SESSION.autocommit=1, @@SESSION.sort_buffer_size=DEFAULT, @@SESSION.sql_mode='BASE'")
	other.ask(one, undo, reply(okPlain))
	other.answer(row)
	if first.State.(*backendState).settings != other.m.session.settings || other.held != nil {
		t.Fatal("the backend is not as the session wants it")
	}
}

func TestSettingsThatAreThereAlreadyAreNotSet(t *testing.T) {
	r := newRig(t, modernClient)
	r.set("autocommit", "ON", "time_zone", "SYSTEM")
	base, _ := (*settings)(nil).with("autocommit", "1")
	base, _ = base.with("time_zone", "SYSTEM")
	r.pool = &engine.Backend{ID: 2, State: &backendState{base: base}}
	one := query("SELECT 1")
	r.ask(one, one, reply("\x01", columnOne, "\x011", endMySQL))
}

func TestASessionWhoseSettingsCannotBeRestoredEndsWithTheServersError(t *testing.T) {
	for name, answer := range map[string][]byte{
		"an error":      reply("\xff\x12\x05#HY000Unknown or incorrect time zone"),
		"another value": reports("time_zone", "SYSTEM"),
	} {
		r := newRig(t, modernClient)
		r.set("time_zone", "Mars/Olympus")
		r.pool = &engine.Backend{ID: 2, State: &backendState{}}
		r.client, r.backend = nil, nil
		r.send(query("SELECT 1"))
		r.backend = nil
		err := r.feed(&r.fromBackend, answer, r.m.FromBackend)
		if err == nil || len(r.backend) != 0 {
			t.Fatalf("%s: backend got %q", name, r.backend)
		}
		r.held = nil
		r.m.BackendLost(err, r.wire)
		number := uint16(1298)
		if name == "another value" {
			number = 1231
		}
		wantErr(t, r.client, 1, number)
		if !bytes.Contains(r.client, []byte("could not be restored")) || !r.closed {
			t.Errorf("%s: %q, closed %v", name, r.client, r.closed)
		}
	}
}

func TestWhatTheReportLeavesOpenIsAskedFor(t *testing.T) {
	r := newRig(t, modernClient)
	names := query("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
	r.ask(names, names, reports("character_set_client", "utf8mb4", "character_set_connection", "utf8mb4", "character_set_results", "utf8mb4"))
	if want := query("SELECT @@SESSION.collation_connection"); !bytes.Equal(r.backend, want) || r.held == nil {
		t.Fatalf("backend got %q", r.backend)
	}
	r.answer(reply("\x01", columnOne, "\x0butf8mb4_bin", endMySQL))
	if v, _ := r.m.session.settings.value(connectionCollation); v != "utf8mb4_bin" || r.held != nil || len(r.m.session.settings.all) != 3 {
		t.Fatalf("%q, held %v, events %v", v, r.held, r.events)
	}
	if v, _ := r.m.session.settings.value(resultsCharset); v != "utf8mb4 utf8mb4_bin" {
		t.Fatalf("results are in %q", v)
	}
	// A hint changes a variable for one statement, which is reported.
	hint := query("SELECT /*+ SET_VAR(sort_buffer_size = 5) */ 1")
	r.ask(hint, hint, reply("\x01", columnOne, "\x011",
		"\xfe\x00\x00\x02\x40\x00\x00\x00\x18\x00\x16\x10sort_buffer_size\x049999"))
	if want := query("SELECT @@SESSION.sort_buffer_size"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.answer(reply("\x01", columnOne, "\x06262144", endMySQL))
	if v, _ := r.m.session.settings.value("sort_buffer_size"); v != "262144" || r.held != nil {
		t.Fatalf("%q, held %v, events %v", v, r.held, r.events)
	}
}

func TestTheCollationOfResultsIsThatOfTheLastAssignment(t *testing.T) {
	const latin1, utf8 = "latin1", "utf8mb4"
	for text, want := range map[string]string{
		"SET NAMES latin1 COLLATE latin1_bin":                                              "latin1 latin1_bin",
		"SET NAMES 'latin1' COLLATE 'Latin1_BIN', sql_mode = ''":                           "latin1 latin1_bin",
		"SET NAMES latin1 COLLATE \"latin1_bin\"":                                          "latin1 latin1_bin",
		"SET NAMES latin1 COLLATE DEFAULT":                                                 latin1,
		"SET NAMES latin1 COLLATE latin1_bin, NAMES latin1":                                latin1,
		"SET NAMES latin1 COLLATE latin1_bin, character_set_results = latin1":              latin1,
		"SET NAMES latin1 COLLATE latin1_bin, @@session.character_set_results = 'latin1'":  latin1,
		"SET NAMES latin1 COLLATE latin1_bin; SET CHARACTER SET latin1":                    latin1,
		"SET NAMES latin1 COLLATE latin1_bin; SET CHARSET latin1":                          latin1,
		"SET CHARACTER SET latin1; SET NAMES latin1 COLLATE latin1_bin; SET time_zone='X'": "latin1 latin1_bin",
		"SET NAMES latin1 COLLATE 'latin1 bin'":                                            "",
	} {
		r := newRig(t, modernClient)
		q := query(text)
		r.ask(q, q, reports(clientCharset, latin1, resultsCharset, latin1))
		if v, _ := r.m.session.settings.value(resultsCharset); want != "" && v != want || (r.pins > 0) != (want == "") {
			t.Errorf("%s: %q, %d pins", text, v, r.pins)
		}
	}
	for name, answer := range map[string][]byte{"not reported": reply(okPlain), "an error behind it": reply(errSyntax)} {
		r := newRig(t, modernClient)
		q := query("SET NAMES latin1 COLLATE latin1_bin; SET time_zone = 'X'")
		r.ask(q, q, answer)
		if r.pins == 0 {
			t.Errorf("%s: no pin", name)
		}
	}
	set := func(all ...string) (s *settings) {
		for i := 0; i < len(all); i += 2 {
			s, _ = s.with(all[i], all[i+1])
		}
		return s
	}
	base := set(clientCharset, utf8, resultsCharset, utf8, connectionCollation, "utf8mb4_general_ci")
	german := set(clientCharset, latin1, resultsCharset, "latin1 latin1_german1_ci", connectionCollation, "latin1_bin")
	for _, c := range []struct {
		from, to *settings
		want     string
	}{
		{nil, german, "NAMES 'latin1' COLLATE 'latin1_german1_ci', @@SESSION.character_set_client='latin1', @@SESSION.collation_connection='latin1_bin'"},
		{german, nil, "@@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='utf8mb4', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{german, german, ""},
		{nil, set(clientCharset, "latin1 latin1_german1_ci", resultsCharset, "latin1 latin1_german1_ci", connectionCollation, "latin1_german1_ci"),
			"NAMES 'latin1' COLLATE 'latin1_german1_ci', @@SESSION.collation_connection='latin1_german1_ci'"},
		{nil, set(clientCharset, "utf8mb4 utf8mb4_bin", resultsCharset, ""),
			"NAMES 'utf8mb4' COLLATE 'utf8mb4_bin', @@SESSION.character_set_results=NULL, @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{set(clientCharset, "utf8mb4 utf8mb4_bin", resultsCharset, "utf8mb4 utf8mb4_bin"), nil, "@@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='utf8mb4'"},
		{set(clientCharset, latin1), set(resultsCharset, "utf8mb4 utf8mb4_bin", "sql_mode", ""),
			"NAMES 'utf8mb4' COLLATE 'utf8mb4_bin', @@SESSION.character_set_client='utf8mb4', @@SESSION.collation_connection='utf8mb4_general_ci', @@SESSION.sql_mode=''"},
		{set(resultsCharset, "utf8mb4 utf8mb4_bin"), set(resultsCharset, utf8), "@@SESSION.character_set_results='utf8mb4'"},
		{german, set(clientCharset, utf8, resultsCharset, "latin1 latin1_german1_ci", connectionCollation, "latin1_bin"), "@@SESSION.character_set_client='utf8mb4'"},
		{nil, set("@a", "1\x00utf8mb4_general_ci", "@b", "_binary X'' COLLATE 'binary'", "sql_mode", ""), "@@SESSION.sql_mode='', @`a`=1, @`b`=_binary X'' COLLATE 'binary'"},
		{set("@a", "1"), set("@a", "1", "@b", "2"), "@`b`=2"},
		{nil, set("@a", "1\x00latin1_bin", "@b", "2\x00latin1_bin", "@c", "3"), "@@SESSION.collation_connection='latin1_bin', @`a`=1, @`b`=2, @`c`=3, " +
			"@@SESSION.collation_connection='utf8mb4_general_ci'"},
		{nil, set("@a", "1\x00latin1_swedish_ci", connectionCollation, "latin1_bin", resultsCharset, "latin1 latin1_bin"), "NAMES 'latin1' COLLATE 'latin1_bin', " +
			"@@SESSION.character_set_client='utf8mb4', @@SESSION.collation_connection='latin1_bin', @@SESSION.collation_connection='latin1_swedish_ci', @`a`=1, " +
			"@@SESSION.collation_connection='latin1_bin'"},
	} {
		if got := string(difference(nil, c.from, c.to, base)); got != c.want {
			t.Errorf("%s, not %s", got, c.want)
		}
	}
	// A statement that was prepared under one collation is prepared again for a session that has another one.
	mixed := set(clientCharset, utf8, resultsCharset, "utf8mb4 utf8mb4_bin").meaningOf(set(clientCharset, "latin1 latin1_bin"), base)
	if got := string(difference(nil, nil, mixed, base)); got != "NAMES 'latin1' COLLATE 'latin1_bin', @@SESSION.collation_connection='utf8mb4_general_ci'" {
		t.Error(got)
	}
}

func TestTheCollationOfTheClientsCharacterSetIsThatOfTheLastAssignment(t *testing.T) {
	const latin1 = "latin1"
	for text, want := range map[string]string{
		"SET NAMES latin1 COLLATE latin1_bin":                                           "latin1 latin1_bin",
		"SET NAMES latin1 COLLATE latin1_bin, character_set_results = latin1":           "latin1 latin1_bin",
		"SET NAMES latin1 COLLATE latin1_bin, character_set_client = latin1":            latin1,
		"SET NAMES latin1 COLLATE latin1_bin; SET CHARACTER SET latin1":                 latin1,
		"SET character_set_client = latin1; SET NAMES latin1 COLLATE latin1_german1_ci": "latin1 latin1_german1_ci",
	} {
		r := newRig(t, modernClient)
		q := query(text)
		r.ask(q, q, reports(clientCharset, latin1, resultsCharset, latin1))
		if v, _ := r.m.session.settings.value(clientCharset); v != want || r.pins > 0 {
			t.Errorf("%s: %q, %d pins", text, v, r.pins)
		}
	}
}

func TestTheCollationOfResultsIsTheHandshakesUntilSomethingElseIsSet(t *testing.T) {
	mysql9, maria := serverInfo{version: "9.7.4"}, serverInfo{version: "10.11.18-MariaDB", mariaDB: true}
	for _, c := range []struct {
		server                              serverInfo
		charset, collation, initQuery, want string
		arm                                 string
	}{
		{mysql9, "utf8mb4", "utf8mb4_0900_ai_ci", "", "utf8mb4", ", @@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='utf8mb4', @@SESSION.collation_connection='utf8mb4_0900_ai_ci'"},
		{mysql9, "utf8mb4", "utf8mb4_general_ci", "", "utf8mb4 utf8mb4_general_ci", ", NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{mysql9, "utf8mb4", "utf8mb4_general_ci", "SET time_zone = '+01:00'", "utf8mb4 utf8mb4_general_ci", ", NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{mysql9, "utf8mb4", "utf8mb4_general_ci", "SET Collation_connection = utf8mb4_general_ci", "utf8mb4", ", @@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='utf8mb4', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{mysql9, "utf8mb4", "utf8mb4_general_ci", "SET NAMES utf8mb4", "utf8mb4", ", @@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='utf8mb4', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{mysql9, "latin1", "utf8mb4_general_ci", "", "latin1", ", NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci', @@SESSION.character_set_results='latin1', @@SESSION.collation_connection='utf8mb4_general_ci'"},
		{mysql9, "binary", "binary", "", "binary", ", @@SESSION.character_set_client='utf8mb4', @@SESSION.character_set_results='binary', @@SESSION.collation_connection='binary'"},
		{maria, "utf8mb4", "utf8mb4_general_ci", "", "utf8mb4", ""},
		{maria, "latin1", "latin1_swedish_ci", "", "latin1", ""},
		{maria, "latin1", "latin1_bin", "", "latin1 latin1_bin", ""},
		{serverInfo{version: "11.8.1-MariaDB", mariaDB: true}, "utf8mb4", "utf8mb4_general_ci", "", "utf8mb4 utf8mb4_general_ci", ""},
	} {
		u := &upstream{greeting: serverGreeting{serverInfo: c.server}}
		u.base, _ = u.base.with(clientCharset, "utf8mb4")
		u.base, _ = u.base.with(resultsCharset, c.charset)
		u.base, _ = u.base.with(connectionCollation, c.collation)
		u.collate(c.initQuery)
		if got, _ := u.base.value(resultsCharset); got != c.want || u.arm() != trackers+c.arm {
			t.Errorf("%+v: %q, armed with %q", c, got, u.arm())
		}
	}
}

func TestWhatIsSetAndNotReportedIsAskedFor(t *testing.T) {
	r := newRig(t, modernClient)
	q := query("SET @@sort_buffer_size = 5, @@Time_Zone = '+01:00', GLOBAL max_connections = 7")
	r.ask(q, q, reports("time_zone", "+01:00"))
	if want := query("SELECT @@SESSION.sort_buffer_size"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.answer(reply("\x01", columnOne, "\x015", endMySQL))
	if v, _ := r.m.session.settings.value("sort_buffer_size"); v != "5" || r.held != nil {
		t.Fatalf("%q, held %v", v, r.held)
	}
	for _, name := range []string{"insert_id", "collation_database", "session_track_schema"} {
		r = newRig(t, modernClient)
		q = query("SET @@" + name + " = 5")
		r.ask(q, q, reply(okPlain))
		if r.held == nil || r.pins != 1 {
			t.Errorf("%s: held %v, events %v", name, r.held, r.events)
		}
	}
}

func TestWithoutAnAnswerToTheQuestionTheSessionKeepsItsBackend(t *testing.T) {
	for name, answer := range map[string][]byte{
		"an error": reply(errSyntax), "NULL": reply("\x01", columnOne, "\xfb", endMySQL), "no row": reply("\x01", columnOne, endMySQL),
	} {
		r := newRig(t, modernClient)
		r.set("character_set_connection", "utf8mb4")
		r.answer(answer)
		if r.held == nil || !slices.Contains(r.kinds(), engine.KindSetting) || r.m.session.asks != nil {
			t.Errorf("%s: held %v, events %v", name, r.held, r.events)
		}
	}
}

func TestSettingsThatCannotBeRestoredPin(t *testing.T) {
	for _, all := range [][]string{
		{"timestamp", "5.000000"}, {"collation_database", "utf8mb4_bin"}, {"sql_mode", `\`}, {"session_track_schema", "OFF"},
		{"sql_mode", strings.Repeat("x", maxSettingsSize)},
	} {
		r := newRig(t, modernClient)
		r.set(all...)
		if r.held == nil || r.pins != 1 {
			t.Errorf("%s: held %v, events %v", all[0], r.held, r.events)
		}
	}
	r := newRig(t, modernClient)
	r.strict = true
	r.set("sql_mode", "")
	if r.held == nil || r.pins != 1 {
		t.Errorf("a strict policy: held %v, events %v", r.held, r.events)
	}
}

func TestSETThatFailsMakesTheServerBeAskedOnlyIfItMayHaveAssigned(t *testing.T) {
	const unknown, denied, other = "\xff\xa9\x04#HY000Unknown system variable", "\xff\xcb\x04#42000Access denied", "\xff\xce\x04#42000no default value"
	for _, c := range []struct {
		text   string
		oks    int // before the error
		answer string
		asks   []string
		pins   bool
	}{
		{"SET a = 1, b = 2", 0, unknown, nil, false},
		{"SET a = 1, b = 2", 0, other, []string{"a", "b"}, false},
		{"SET a = 1; SET b = 2", 0, other, []string{"a"}, true},
		{"SET a = 1; SET b = 2, c = 3; SET d = 4", 1, other, []string{"a", "b", "c"}, true},
		{"SET a = 1; SET b = 2, c = 3; SET d = 4", 1, denied, []string{"a"}, false},
		{"SET a = 1; SET b = 2", 0, denied, nil, false},
		{"SET NAMES x, b = 2", 0, other, []string{"b"}, true},
		{"SET a = 1, timestamp = 2", 0, other, []string{"a"}, true},
	} {
		r := newRig(t, modernClient)
		q := query(c.text)
		packets := slices.Repeat([]string{"\x00\x00\x00\x0a\x00\x00\x00"}, c.oks)
		r.ask(q, q, reply(append(packets, c.answer)...))
		if got := slices.Contains(r.kinds(), engine.KindSetting); got != c.pins || !slices.Equal(r.m.session.asks, c.asks) {
			t.Errorf("%s: %v, asks for %q", c.text, r.events, r.m.session.asks)
		}
	}
}

func TestAResetForgetsTheSettings(t *testing.T) {
	r := newRig(t, modernClient)
	r.set("character_set_client", "gbk")
	if !r.m.session.wide {
		t.Error("the scan does not know of the character set")
	}
	r.ask(command(protocol.COM_RESET_CONNECTION, ""), nil, nil)
	if r.m.session.settings != nil || r.m.session.wide {
		t.Error("something is left")
	}
	// The backend still has them, and gets rid of them when somebody needs it.
	one := query("SELECT 1")
	r.ask(one, query("SET @@SESSION.character_set_client=DEFAULT"), reply(okPlain))
	r.answer(reply("\x01", columnOne, "\x011", endMySQL))
	if r.held != nil {
		t.Error("held")
	}
}

func TestUntilACharacterSetIsKnownItsCharactersMayHideSomething(t *testing.T) {
	const hides = "SELECT 1 AS x\xbf`, GET_LOCK('x', 1), 2 AS y\xbf`"
	r := newRig(t, modernClient)
	r.pool.State.(*backendState).mariaDB = true
	r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
	r.ask(query("SET @@character_set_client = gbk"), query("SET @@character_set_client = gbk"), reply(inTransaction)) // without a report
	r.ask(query(hides), query(hides), reply(inTransaction))
	if r.pins == 0 {
		t.Error("it does not pin")
	}
	r.lose()
	if r.m.session.wide {
		t.Error("the next backend has another character set")
	}
}

func TestAVariableOfTwoNamesIsRestoredUnderOne(t *testing.T) {
	r := newRig(t, modernClient)
	state := r.pool.State.(*backendState)
	state.mariaDB, state.dialect = true, dialect{110809, true}
	q := query("SET SESSION tx_isolation = 'SERIALIZABLE'")
	r.ask(q, q, reports("transaction_isolation", "SERIALIZABLE"))
	if len(r.backend) > 0 || len(r.m.session.asks) > 0 {
		t.Fatalf("backend got %q", r.backend)
	}
	q = query("SET storage_engine = MyISAM")
	r.ask(q, q, reports("storage_engine", "MyISAM"))
	want := []setting{{"default_storage_engine", "MyISAM"}, {"transaction_isolation", "SERIALIZABLE"}}
	if got := r.m.session.settings.list(); !slices.Equal(got, want) {
		t.Errorf("%v is restored", got)
	}
	for _, d := range []dialect{{101118, true}, {50719, false}, {}} {
		if got := d.variable("tx_isolation"); got != "tx_isolation" {
			t.Errorf("%v has %s", d, got)
		}
	}
}

func TestTheRowThatWasInsertedLastIsFoundWhereItWas(t *testing.T) {
	r := newRig(t, modernClient)
	r.set("sql_auto_is_null", "OFF")
	if r.held != nil {
		t.Fatal("held")
	}
	r.set("sql_auto_is_null", "ON")
	if r.held == nil || r.pins == 0 {
		t.Error("the session leaves its backend")
	}
}

func TestABackendThatForgetsUserVariablesIsGivenItsDatabaseAgain(t *testing.T) {
	r := newRig(t, modernClient)
	state := r.pool.State.(*backendState)
	state.settings, _ = state.settings.with("@a", "1") // of another session
	state.schema, r.m.session.schema = "app", "app"
	one, ok := query("SELECT 1"), reply(okMySQL)
	r.send(one)
	r.steps([2][]byte{append(command(protocol.COM_RESET_CONNECTION, ""), query(trackers)...), append(ok, ok...)},
		[2][]byte{command(protocol.COM_INIT_DB, "app"), ok})
	if !bytes.Equal(r.backend, one) {
		t.Errorf("backend got %q", r.backend)
	}
}

func TestAUserVariableTooLargeToBeReadIsNotEmpty(t *testing.T) {
	r := newRig(t, modernClient)
	q := query("SET @a = 'x'")
	r.client, r.backend = nil, nil
	r.send(q)
	r.answer(reply(okMySQL))
	columns := make([]string, 0, 12)
	columns = append(columns, "\x05")
	for range 5 {
		columns = append(columns, "\x03def\x00\x00\x00\x011\x00\x0c-\x00\x02\x00\x00\x00\xfd\x00\x00\x1f\x00\x00")
	}
	r.answer(reply(append(columns, "\xfb\x01x\xfb\x07utf8mb4\x0butf8mb4_bin", endMySQL)...))
	if users, _ := r.m.session.settings.users(); len(users) > 0 || r.held == nil {
		t.Errorf("%q is restored", users)
	}
}

func TestTextsAreReadInTheCharacterSetThatAnotherStatementCameBehind(t *testing.T) {
	r := newRig(t, modernClient)
	first, second := query("SET NAMES gbk; SELECT 1"), query("SET NAMES utf8mb4; SELECT 1")
	row := reply("\x01", columnOne, "\x011", endMySQL)
	set := func(charset string) []byte {
		ok := reports("character_set_client", charset)
		ok[headerSize+3] |= 8 // there are more results
		return append(ok, pack(2, "\x01", columnOne, "\x011", endMySQL)...)
	}
	r.ask(first, first, set("gbk"))
	if !r.m.session.wide || r.held == nil {
		t.Fatalf("wide %v, held %v", r.m.session.wide, r.held)
	}
	hides := query("SELECT '\xbf\x5c', GET_LOCK('x', 1)") // behind a character that ends with the byte of a backslash
	if r.ask(hides, hides, row); !slices.Contains(r.kinds(), engine.KindUnknown) {
		t.Errorf("events %v", r.events)
	}
	r.ask(second, second, set("utf8mb4"))
	if r.m.session.wide {
		t.Error("the session's character set is taken for another one")
	}
}

// With the tracker off nobody tells the machine of USE, and a reset, which switches it on again, leaves the database where it is.
func TestADatabaseThatIsNotReportedIsAskedForInFrontOfAReset(t *testing.T) {
	for where, answer := range map[string]string{"\x046F6E": "on", "\xfb": ""} {
		r := newRig(t, modernClient)
		r.set(trackedSchema, "OFF")
		use := query("USE elsewhere")
		r.send(use)
		r.answer(reply(okMySQL)) // the session hears what it has set
		r.answer(reply(okMySQL))
		reset, one := command(protocol.COM_RESET_CONNECTION, ""), query("SELECT 1")
		r.client = nil
		r.ask(reset, query(readPlace), reply("\x01", columnOne, where, endMySQL))
		if r.m.session.schema != answer || len(r.client) > 0 {
			t.Fatalf("%q, client got %q", r.m.session.schema, r.client)
		}
		r.backend = nil
		r.answer(reply(okMySQL))
		if r.m.session.schema != answer || r.m.session.unplaced || len(r.client) == 0 {
			t.Errorf("behind the reset %q, client got %q", r.m.session.schema, r.client)
		}
		r.answer(reply(okMySQL)) // what the trackers need
		r.backend = nil
		r.send(one)
		if answer != "" && !bytes.Contains(r.backend, command(protocol.COM_INIT_DB, answer)) {
			t.Errorf("backend got %q", r.backend)
		}
	}
}

// Where settings are ignored, the reset comes behind the statement itself, and MariaDB does not say that SET @@session_track_schema=0 has
// switched the tracker off. A database cannot be taken away again, so that nobody without one may get the backend.
func TestADatabaseThatIsNotReportedIsAskedForWhereSettingsAreIgnored(t *testing.T) {
	row := func(where string) []byte { return reply("\x01", columnOne, where, endMariaDB) }
	for _, c := range []struct {
		text, where, schema string
		asks, stays         bool
	}{
		{"SET @@session_track_schema=0; USE elsewhere", "\x046F6E", "on", true, true},
		{"SET @@session_track_schema=0; USE elsewhere", "\xfb", "", true, false},
		{"SET @@timestamp=5", "", "", false, false},
	} {
		r := newRig(t, modernClient)
		r.pool.State.(*backendState).mariaDB = true
		r.ignores = engine.KindSetting
		text := query(c.text)
		r.send(text)
		if r.backend = nil; c.asks {
			r.answer(reply(okMore, okMariaDB))
			if !bytes.Equal(r.backend, query(readPlace)) {
				t.Fatalf("%s: backend got %q", c.text, r.backend)
			}
			r.backend = nil
			r.answer(row(c.where))
		} else {
			r.answer(reply(okMariaDB))
		}
		if stays := len(r.backend) == 0 && r.held != nil; r.m.session.schema != c.schema || stays != c.stays {
			t.Errorf("%s: in %q, stays %v, backend got %q", c.text, r.m.session.schema, stays, r.backend)
		}
	}
}

// Where a transaction, or a handler, puts the reset off, USE may be another request.
func TestADatabaseThatIsNotReportedIsAskedForBehindATransactionInWhichSettingsAreIgnored(t *testing.T) {
	for _, c := range [][]string{
		{"BEGIN", "SET @@session_track_schema=0; USE elsewhere", "COMMIT"},
		{"BEGIN", "SET @@session_track_schema=0", "USE elsewhere", "COMMIT"},
	} {
		r := newRig(t, modernClient)
		r.pool.State.(*backendState).mariaDB = true
		r.ignores = engine.KindSetting
		for _, text := range c {
			status := "\x03"
			if text == "COMMIT" {
				status = "\x02"
			}
			answer := reply("\x00\x00\x00" + status + "\x00\x00\x00")
			if strings.Contains(text, ";") {
				answer = reply("\x00\x00\x00\x0b\x00\x00\x00", "\x00\x00\x00"+status+"\x00\x00\x00")
			}
			r.ask(query(text), query(text), answer)
		}
		if !bytes.Equal(r.backend, query(readPlace)) {
			t.Errorf("%q: backend got %q", c, r.backend)
		}
	}
}

// Without an answer nobody knows where the session is.
func TestAQuestionForADatabaseThatFailsEndsTheBackend(t *testing.T) {
	r := newRig(t, modernClient)
	r.set(trackedSchema, "OFF")
	r.send(command(protocol.COM_RESET_CONNECTION, ""))
	if _, err := r.m.FromBackend(reply(errSyntax), r.wire); err == nil {
		t.Errorf("the session goes on in %q", r.m.session.schema)
	}
}

// Nor can anybody say where a session was whose backend is lost.
func TestASessionThatReportsNoDatabaseEndsWithItsBackend(t *testing.T) {
	r := newRig(t, modernClient)
	r.set(trackedSchema, "OFF")
	r.lose()
	if !r.closed {
		t.Error("the session goes on")
	}
}
