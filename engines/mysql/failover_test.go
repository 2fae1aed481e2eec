package mysql

import (
	"bytes"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestFirstWordsTellWhatALossMeans(t *testing.T) {
	const both = classKeeps | classOpens
	for text, want := range map[string]classFlags{
		"SELECT 1":                             classKeeps,
		"insert into t values (1)":             classKeeps,
		"REPLACE INTO t VALUES (1)":            classKeeps,
		"/* x */ UPDATE t SET a = 1;":          classKeeps,
		"DELETE FROM t":                        classKeeps,
		"WITH a AS (SELECT 1) SELECT * FROM a": classKeeps,
		"SAVEPOINT a":                          classKeeps,
		"ROLLBACK":                             both,
		"ROLLBACK TO a":                        both,
		"BEGIN":                                classOpens,
		"START TRANSACTION READ ONLY":          classOpens,
		"START REPLICA":                        0,
		"COMMIT":                               0,
		"CREATE TABLE t (n INT)":               0,
		"ANALYZE TABLE t":                      0,
		"SET autocommit = 1":                   0,
		"CALL p()":                             0,
		"UPDATE t SET a = 1; COMMIT":           0,
		"SELECT 1; SELECT 2":                   0,
		"SELECT 1 /*! ; COMMIT */":             0,
		"SELECT 1 /*!99999 ; COMMIT */":        0,
	} {
		if got := scan([]byte(text), false, false).flags & both; got != want {
			t.Errorf("%s: %b, not %b", text, got, want)
		}
	}
}

// lose ends the held backend's connection; there is another one.
func (r *rig) lose() {
	r.held, r.fromBackend = nil, nil
	r.m.BackendLost(engine.ErrBackendClosed, r.wire)
	r.pool = &engine.Backend{ID: 2, State: &backendState{}}
	if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
		r.t.Fatal(err)
	}
}

func TestALostBackendIsAnErrorAndTheSessionGoesOn(t *testing.T) {
	begin := func(r *rig) {
		r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	}
	for name, c := range map[string]struct {
		in     bool // a transaction
		text   string
		answer []byte
		number uint16
		packet uint8
	}{
		"a statement outside of a transaction": {false, "INSERT INTO t VALUES (1)", nil, 9502, 1},
		"BEGIN":                                {false, "BEGIN", nil, 1213, 1},
		"a statement in a transaction":         {true, "INSERT INTO t VALUES (1)", nil, 1213, 1},
		"rows that have come":                  {true, "SELECT 1", reply("\x01", columnOne, "\x011"), 1213, 4},
		"COMMIT":                               {true, "COMMIT", nil, 9502, 1},
		"DDL, which commits":                   {true, "CREATE TABLE t (n INT)", nil, 9502, 1},
		"BEGIN, which commits":                 {true, "BEGIN", nil, 9502, 1},
		"ROLLBACK":                             {true, "ROLLBACK", nil, 1213, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, modernClient)
			if c.in {
				begin(r)
			}
			r.client = nil
			r.send(query(c.text))
			if c.answer != nil {
				r.answer(c.answer)
				r.client = r.client[len(c.answer):]
			}
			r.lose()
			wantErr(t, r.client, c.packet, c.number)
			if r.closed || r.m.InTransaction() {
				t.Errorf("closed %v, in a transaction %v", r.closed, r.m.InTransaction())
			}
			r.client = nil
			r.send(query("SELECT 2"))
			if r.held == nil || len(r.client) != 0 {
				t.Errorf("the next statement got %q", r.client)
			}
		})
	}
}

func TestAnIdleTransactionThatIsLostIsToldWithTheNextStatement(t *testing.T) {
	for _, reset := range []bool{false, true} {
		r := newRig(t, modernClient)
		r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
		r.client = nil
		r.lose()
		r.send(command(protocol.COM_PING, ""))
		if r.closed || len(r.client) == 0 || r.client[4] != 0 {
			t.Fatalf("a ping got %q", r.client)
		}
		r.client = nil
		if reset {
			r.send(command(protocol.COM_RESET_CONNECTION, ""))
			r.client = nil
		} else {
			r.send(query("INSERT INTO t VALUES (1)"))
			wantErr(t, r.client, 1, 1213)
			if r.held != nil {
				t.Fatal("it was executed")
			}
			r.client = nil
		}
		r.send(query("SELECT 1"))
		if len(r.client) != 0 || r.held == nil {
			t.Errorf("the statement behind it got %q", r.client)
		}
	}
}

func TestALossInTheMiddleOfARowEndsTheSession(t *testing.T) {
	r := newRig(t, modernClient)
	r.send(query("SELECT 1"))
	all := reply("\x01", columnOne, "\x0512345")
	r.answer(all[:len(all)-2])
	r.lose()
	if !r.closed {
		t.Errorf("the client got %q", r.client)
	}
}

func TestALongRequestThatLosesItsBackendIsAnsweredWhenItIsOver(t *testing.T) {
	r := newRig(t, modernClient)
	long := query("INSERT INTO t VALUES ('" + strings.Repeat("x", 2*engine.MaxHeld) + "')")
	r.send(long[:len(long)-100])
	skipRestore(r)
	r.lose()
	if len(r.client) != 0 {
		t.Fatalf("too early: %q", r.client)
	}
	r.send(long[len(long)-100:])
	wantErr(t, r.client, 1, 1213)
	r.client = nil
	r.send(query("SELECT 1"))
	if r.closed || !bytes.Contains(r.backend, []byte("SELECT 1")) {
		t.Errorf("the statement behind it: %q", r.client)
	}
}

func TestAnExecutionThatIsToBeSentAgainIsAnsweredWhenItsBackendIsLost(t *testing.T) {
	for _, in := range []bool{false, true} {
		r := newRig(t, modernClient)
		id := r.prepares("SELECT ?", 40, 1)
		if in {
			r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
		}
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven))
		r.answer(reply("\xff\xdb\x04#HY000Unknown prepared statement handler"))
		if !r.m.Busy() {
			t.Error("nothing is under way")
		}
		r.client = nil
		r.lose()
		wantErr(t, r.client, 1, 1213)
		r.client, r.backend = nil, nil
		r.send(query("SELECT 2"))
		if r.held == nil || len(r.client) != 0 || !bytes.Contains(r.backend, []byte("SELECT 2")) {
			t.Errorf("the next statement got %q", r.client)
		}
	}
}

func TestAResetThatTheClientWasToldOfIsDoneThoughItsBackendIsLost(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO 1", 40, 0)
	r.set("character_set_client", "gbk")
	r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	reset := command(protocol.COM_RESET_CONNECTION, "")
	if got := r.ask(reset, reset, reply(okPlain)); !bytes.Equal(got, reply(okPlain)) {
		t.Fatalf("client got %q", got)
	}
	r.lose() // before the trackers are armed
	if r.m.session.settings != nil || r.m.session.wide {
		t.Error("the settings are there")
	}
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once))
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("mysql_stmt_precheck")) {
		t.Errorf("client got %q, backend got %q", r.client, r.backend)
	}
}

func TestDiagnosticsThatWereClearedOnALostBackendAreClearedOnTheNext(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMySQL))
	r.swap(other())
	r.client, r.backend = nil, nil
	if err := r.feed(&r.fromClient, query("SHOW WARNINGS"), r.m.FromClient); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(r.backend, []byte(clearDiagnostics)) {
		t.Fatalf("backend got %q", r.backend)
	}
	if err := r.feed(&r.fromBackend, reply("\x01", columnOne, "\x011", endMySQL), r.m.FromBackend); err != nil {
		t.Fatal(err)
	}
	r.backend = nil
	r.lose()
	if !bytes.Contains(r.backend, []byte(clearDiagnostics)) {
		t.Errorf("the next one got %q", r.backend)
	}
}

const (
	inTransaction = "\x00\x00\x00\x03\x00\x00\x00"
	errDeadlock   = "\xff\xbd\x04#40001Deadlock found"
	errExists     = "\xff\x1a\x04#42S01Table 't' already exists"
	errDuplicate  = "\xff\x26\x04#23000Duplicate entry"
)

func TestATransactionThatMayHaveEndedWithAnErrorIsNotSaidToBeRolledBack(t *testing.T) {
	const insert = "INSERT INTO t VALUES (1)"
	for name, c := range map[string]struct {
		fails, err string
		next       string // "" for the loss of an idle backend
		number     uint16
	}{
		"a duplicate":                         {insert, errDuplicate, insert, 1213},
		"a deadlock, and autocommit":          {insert, errDeadlock, insert, 9502},
		"a deadlock, and ROLLBACK":            {insert, errDeadlock, "ROLLBACK", 1213},
		"a deadlock, and nothing":             {insert, errDeadlock, "", 1213},
		"what commits first":                  {"CREATE TABLE t (n INT)", errExists, insert, 9502},
		"what commits first, and ROLLBACK":    {"CREATE TABLE t (n INT)", errExists, "ROLLBACK", 9502},
		"what commits first, and nothing":     {"CREATE TABLE t (n INT)", errExists, "", 9502},
		"a procedure that commits, and fails": {"CALL p()", errDuplicate, "", 9502},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, modernClient)
			r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
			r.send(query(c.fails))
			r.answer(reply(c.err))
			r.client = nil
			if c.next != "" {
				r.send(query(c.next))
				r.lose()
			} else {
				r.lose()
				r.send(query(insert))
			}
			wantErr(t, r.client, 1, c.number)
		})
	}
}

func TestWhatIsOfATransactionBehindAnOKIsRolledBack(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
	r.ask(query("DELETE FROM t"), query("DELETE FROM t"), reply(errDeadlock))
	r.ask(query("DELETE FROM t"), query("DELETE FROM t"), reply(inTransaction))
	r.client = nil
	r.send(query("DELETE FROM t"))
	r.lose()
	wantErr(t, r.client, 1, 1213)
}

func TestAPreparedTransactionOfXAIsNotSaidToBeRolledBack(t *testing.T) {
	r := newRig(t, modernClient)
	for _, text := range []string{"XA START 'a'", "XA END 'a'", "XA PREPARE 'a'"} {
		r.ask(query(text), query(text), reply(inTransaction))
	}
	r.client = nil
	r.lose()
	r.send(query("XA COMMIT 'a'"))
	wantErr(t, r.client, 1, 9502)
}

func TestLongDataDoesNotTakeTheNewsOfALostTransaction(t *testing.T) {
	for _, long := range []bool{false, true} {
		r := newRig(t, modernClient)
		id := r.prepares("INSERT INTO t VALUES (?)", 40, 1)
		r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
		r.lose()
		data := about(protocol.COM_STMT_SEND_LONG_DATA, id, "\x00\x00x")
		if long {
			data = about(protocol.COM_STMT_SEND_LONG_DATA, id, "\x00\x00"+strings.Repeat("x", 2*engine.MaxHeld))
		}
		r.client, r.backend = nil, nil
		r.send(data[:6])
		r.send(data[6:])
		if len(r.client) != 0 || len(r.backend) != 0 {
			t.Fatalf("client got %q, backend got %q", r.client, r.backend)
		}
		r.send(query("COMMIT"))
		wantErr(t, r.client, 1, 1213)
		r.client = nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven)) // not without its data
		wantErr(t, r.client, 1, 1213)
		r.client = nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven))
		if len(r.client) != 0 || len(r.backend) == 0 {
			t.Errorf("client got %q, backend got %q", r.client, r.backend)
		}
	}
}

func TestAnExecutionThatIsToldOfALostTransactionHasUsedItsLongDataUp(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("INSERT INTO t VALUES (?)", 40, 1)
	r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
	r.lose()
	r.send(about(protocol.COM_STMT_SEND_LONG_DATA, id, "\x00\x00x"))
	r.client = nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven))
	wantErr(t, r.client, 1, 1213)
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_SEND_LONG_DATA, id, "\x00\x00x"))
	if r.held == nil || len(r.client) != 0 {
		t.Errorf("client got %q", r.client)
	}
}

func TestAnEndOfATransactionIsToldFromWhatMayBeStopped(t *testing.T) {
	for text, want := range map[string]bool{
		"COMMIT": true, "commit and chain": true, "ROLLBACK": true, "/* x */ COMMIT;": true, "INSERT INTO t VALUES (1)": false,
		"SELECT 'COMMIT'": false, "SELECT SLEEP(600); COMMIT": false, "CREATE TABLE t (n INT)": false, "SAVEPOINT a": false,
	} {
		r := newRig(t, modernClient)
		r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
		if r.m.Commits() {
			t.Errorf("before %s", text)
		}
		r.send(query(text))
		if got := r.m.Commits(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
