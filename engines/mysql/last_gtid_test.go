package mysql

import (
	"bytes"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestLastGTIDIsTheSessionsOwnOnWhateverBackend(t *testing.T) {
	r := newRig(t, modernClient)
	insert := query("INSERT INTO t VALUES (1)")
	state := appendText([]byte{trackVariables}, appendText(appendText(nil, []byte(lastGTID)), []byte("0-1-5")))
	r.ask(insert, insert, reply(string(appendText([]byte("\x00\x01\x00\x02\x40\x00\x00\x00"), state))))
	first, row := r.pool, reply("\x01", columnOne, "\x011", endMySQL)
	asks := query("SELECT @@last_gtid")
	r.ask(asks, asks, row)
	r.pool = &engine.Backend{ID: 2, State: &backendState{}}
	text := "0-2-9"
	r.pool.State.(*backendState).gtid = &text // somebody else's
	for asked, told := range map[string]string{
		"SELECT @@last_gtid":                            "SELECT '0-1-5' AS `@@last_gtid`",
		"select @@Session.last_GTID from dual limit 1;": "SELECT '0-1-5' AS `@@Session.last_GTID`",
		"SELECT /* a */ @@last_gtid AS 'g'":             "SELECT '0-1-5' AS `g`",
		"SELECT t.last_gtid FROM t":                     "SELECT t.last_gtid FROM t",
		"SELECT 1; SELECT @@last_gtid":                  "SELECT 1; SELECT @@last_gtid",
		"SELECT @@last_gtid AS g":                       "SELECT '0-1-5' AS `g`",
		"SELECT @@last_gtid AS last_gtid":               "SELECT '0-1-5' AS `last_gtid`",
	} {
		r.ask(query(asked), query(told), row)
	}
	for _, asked := range []string{"SELECT @@last_gtid, 1", "SELECT MASTER_GTID_WAIT(@@last_gtid)", "SET @a = @@last_gtid", "SELECT @@`last_gtid`", "SELECT @@last_gtid FROM t"} {
		if got := r.ask(query(asked), nil, nil); asked != "SELECT @@`last_gtid`" && !bytes.Contains(got, []byte(errWritten.message)) {
			t.Errorf("%s: %q", asked, got)
		}
	}
	r.pool = first // where it is
	for _, asked := range []string{"SELECT @@last_gtid, 1", "SELECT @@last_gtid"} {
		r.ask(query(asked), query(asked), row)
	}
	r.ask(command(protocol.COM_RESET_CONNECTION, ""), nil, nil)
	r.ask(asks, query("SELECT '' AS `@@last_gtid`"), row)
}

// Galera's functions are about the connection: on one that the session does not keep, they would tell of what somebody else has written.
func TestWhatAConnectionHasWrittenToAClusterIsToldToItsSessionOnly(t *testing.T) {
	r := newRig(t, modernClient)
	row := reply("\x01", columnOne, "\x011", endMySQL)
	for _, f := range []string{"WSREP_LAST_WRITTEN_GTID()", "wsrep_last_seen_gtid ()"} {
		alone, behind := query("SELECT "+f), query("COMMIT; SELECT "+f)
		if got := r.ask(alone, nil, nil); !bytes.Contains(got, []byte(errWritten.message)) {
			t.Errorf("%s: %q", f, got)
		}
		r.ask(behind, behind, append(reply(okMore), pack(2, "\x01", columnOne, "\x011", endMySQL)...))
	}
	view := query("CREATE VIEW v AS SELECT WSREP_LAST_WRITTEN_GTID()")
	r.ask(view, view, reply(okMySQL))
	begin, alone := query("BEGIN"), query("SELECT WSREP_LAST_WRITTEN_GTID()")
	r.ask(begin, begin, reply(beginMySQL))
	if got := r.ask(alone, nil, nil); !bytes.Contains(got, []byte(errWritten.message)) {
		t.Errorf("in a transaction: %q", got)
	}
	commit, keeps := query("COMMIT"), query("HANDLER t OPEN")
	r.ask(commit, commit, reply(commitMySQL))
	r.ask(keeps, keeps, reply(okMySQL))
	r.ask(alone, alone, row)
}

// What is prepared is refused when it is executed, if need be, however long it is.
func TestALongStatementThatAsksForWhatWasWrittenIsPrepared(t *testing.T) {
	inPieces := func() *rig {
		r := newRig(t, modernClient)
		r.cut = func(n int) int { return min(n, maxWhole) }
		return r
	}
	for _, asks := range []string{"@@last_gtid", "WSREP_LAST_WRITTEN_GTID()", "@@last_gtid, ROW_COUNT()"} {
		r := inPieces()
		other := "0-1-5"
		r.m.session.gtid = &other
		r.send(command(protocol.COM_STMT_PREPARE, "SELECT "+asks+" /*"+strings.Repeat("x", maxWhole)+"*/"))
		if r.closed || r.held == nil {
			t.Fatalf("%s: %q", asks, r.client)
		}
		r.answer(prepareOK(5, 0))
	}
	r := inPieces()
	other := "0-1-5"
	r.m.session.gtid = &other
	r.send(query("SELECT @@last_gtid + 0 /*" + strings.Repeat("x", maxWhole) + "*/"))
	if !r.closed {
		t.Error("a long query reads another's last_gtid")
	}
}
