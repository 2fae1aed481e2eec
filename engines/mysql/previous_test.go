package mysql

import (
	"bytes"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

func TestASelectOfTheConnectionsValuesIsTakenApart(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT ROW_COUNT()":                                         "ROW_COUNT=ROW_COUNT()",
		" select row_count ( ) ; ":                                   "ROW_COUNT=row_count ( )",
		"SELECT FOUND_ROWS() AS total":                               "FOUND_ROWS=total",
		"SELECT FOUND_ROWS() total, CONNECTION_ID() as `my id`":      "FOUND_ROWS=total,CONNECTION_ID=my id",
		`/* who */ SELECT connection_id() "id", last_insert_id()'x'`: "CONNECTION_ID=id,LAST_INSERT_ID=x",
		"SELECT LAST_INSERT_ID() FROM DUAL":                          "LAST_INSERT_ID=LAST_INSERT_ID()",
		"SELECT LAST_INSERT_ID() id LIMIT 1":                         "LAST_INSERT_ID=id",
		"SELECT LAST_INSERT_ID() FROM dual LIMIT 1;":                 "LAST_INSERT_ID=LAST_INSERT_ID()",

		"SELECT ROW_COUNT() + 1": "", "SELECT -ROW_COUNT()": "", "SELECT (ROW_COUNT())": "", "SELECT ROW_COUNT": "", "SELECT LAST_INSERT_ID(5)": "",
		"SELECT ROW_COUNT(); SELECT 1": "", "SELECT ROW_COUNT() UNION SELECT 1": "", "SELECT ROW_COUNT() UNION": "", "SELECT ROW_COUNT() FROM t": "",
		"SELECT ROW_COUNT() INTO @a": "", "SELECT ROW_COUNT() AS": "", "SELECT ROW_COUNT() LIMIT 0": "", "SELECT ROW_COUNT(),": "", "SELECT": "",
		"SELECT DISTINCT ROW_COUNT()": "", "SELECT ROW_COUNT() AS 'a''b'": "", "SELECT ROW_COUNT() AS `a``b`": "", "SELECT ROW_COUNT() AS 'a' 'b'": "",
		`SELECT ROW_COUNT() AS 'a\'b'`: "", "SELECT ROW_COUNT() AS 'zahl\xe4'": "", "SELECT ROW_COUNT() AS ''": "", "SELECT ROW_COUNT() AS ' a'": "",
		"SELECT ROW_COUNT(/* none */)": "", "SELECT ROW_COUNT\n()": "", "SELECT ROW_COUNT() /*! + 1 */": "", "SELECT ROW_COUNT() AS 5": "", "SELECT ROW_COUNT() AS a.b": "",
		"SELECT ROW_COUNT() AS '" + strings.Repeat("a", maxAskedName+1) + "'": "", "SELECT ROW_COUNT()" + strings.Repeat(", ROW_COUNT()", maxAsked): "",
		"WITH a AS (SELECT 1) SELECT ROW_COUNT()": "", "(SELECT ROW_COUNT())": "", "SELECT d.ROW_COUNT()": "", "SELECT `ROW_COUNT`()": "", "SELECT ROW_COUNT() 'a": "",
	} {
		var got []string
		all, ok := askedBy([]byte(sql))
		for _, a := range all {
			got = append(got, a.function+"="+string(a.name))
		}
		if ok != (want != "") || ok && strings.Join(got, ",") != want {
			t.Errorf("%s: %v %q, not %q", sql, ok, got, want)
		}
	}
}

func TestVersionsHaveNumbers(t *testing.T) {
	for version, want := range map[string]int{
		"9.7.4-2": 90704, "8.0.17": 80017, "5.7.29-log": 50729, "5.5.5-10.11.18-MariaDB-0+deb12u1-log": 101118, "11.8.6-MariaDB": 110806,
		"8.0.mysql_aurora.3.04.0": 0, "9.7": 0, "": 0, "9.7.x": 0, "999999999999999999999.1.1": 0, "9.100.1": 0, "-1.0.0": 0,
	} {
		if got := versionNumber(version); got != want {
			t.Errorf("%s: %d, not %d", version, got, want)
		}
	}
}

// warned is the OK of a command that says how many warnings there are.
func warned(n string) []byte { return reply("\x00\x00\x00\x02\x00" + n + "\x00") }

func TestACommandCountsNoWarningsOfWhatMakesABackendLikeNew(t *testing.T) {
	r, _ := suspected(t, suspicionReset)
	r.m.session.schema, r.pool.State.(*backendState).schema = "app", "app"
	one := query("SELECT 1")
	r.send(one)
	r.answer(reply("\x01", columnOne, "\x011", endMySQL))
	r.answer(append(reply(okMySQL), warned("\x03")...)) // a deprecated character set is armed
	if r.held != nil || !r.pool.State.(*backendState).stale {
		t.Fatalf("held %v, backend got %q", r.held, r.backend)
	}
	r.backend = nil
	r.send(command(protocol.COM_INIT_DB, "app"))
	r.steps([2][]byte{query(clearDiagnostics), reply("\x01", columnOne, "\x011", endMySQL)})
	if !bytes.Equal(r.backend, command(protocol.COM_INIT_DB, "app")) {
		t.Errorf("backend got %q", r.backend)
	}
}

func TestACommandCountsWhatHasComeSinceAStatementWasReset(t *testing.T) {
	const errDenied = "\xff\x14\x04#42000Access denied for user"
	r := newRig(t, modernClient)
	id := r.prepares("SELECT 1", 5, 0)
	r.pool = other()
	r.ask(query("SELECT 1/0"), query("SELECT 1/0"), reply("\x01", columnOne, "\xfb", "\xfe\x00\x00\x02\x00\x01\x00"))
	reset := about(protocol.COM_STMT_RESET, id, "")
	use, nowhere := command(protocol.COM_INIT_DB, "app"), command(protocol.COM_INIT_DB, "nowhere")
	if got := r.ask(use, use, warned("\x01")); !bytes.Equal(got, warned("\x01")) {
		t.Fatalf("in front of it the client got %q", got)
	}
	if got := r.ask(reset, nil, nil); !bytes.Equal(got, reply(okPlain)) {
		t.Fatalf("client got %q", got)
	}
	if got := r.ask(use, use, warned("\x01")); !bytes.Equal(got, warned("\x00")) {
		t.Errorf("client got %q", got)
	}
	r.ask(nowhere, nowhere, reply(errDenied))
	if got := r.ask(use, use, warned("\x02")); !bytes.Equal(got, warned("\x01")) || r.held == nil {
		t.Errorf("behind an error the client got %q, held %v", got, r.held)
	}
	r.ask(query("SELECT 1/0"), query("SELECT 1/0"), reply("\x01", columnOne, "\xfb", "\xfe\x00\x00\x02\x00\x01\x00"))
	if got := r.ask(use, use, warned("\x01")); !bytes.Equal(got, warned("\x01")) {
		t.Errorf("behind another statement the client got %q", got)
	}
}

func TestACommandKeepsTheListThatASessionMayAskFor(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SELECT 1/0"), query("SELECT 1/0"), reply("\x01", columnOne, "\xfb", "\xfe\x00\x00\x02\x00\x01\x00"))
	use := command(protocol.COM_INIT_DB, "app")
	if r.ask(use, use, warned("\x00")); r.held == nil { // it began to count anew
		t.Error("the backend went back")
	}
}
