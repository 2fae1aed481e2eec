package mysql

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// about is a command about a statement.
func about(c byte, id uint32, rest string) []byte {
	return command(c, string(binary.LittleEndian.AppendUint32(nil, id))+rest)
}

// prepareOK is the OK of a COM_STMT_PREPARE without columns and with params parameters.
func prepareOK(id uint32, params int) []byte {
	p := binary.LittleEndian.AppendUint32([]byte{0}, id)
	p = append(p, 0, 0, byte(params), 0, 0, 0, 0)
	payloads := []string{string(p)}
	for range params {
		payloads = append(payloads, columnParam)
	}
	return reply(payloads...)
}

const (
	once  = "\x00\x01\x00\x00\x00"             // no cursor, one iteration
	read  = "\x01\x01\x00\x00\x00"             // a cursor
	typed = "\x00\x01\x08\x00"                 // no NULL, and the type of one parameter
	seven = "\x07\x00\x00\x00\x00\x00\x00\x00" // a BIGINT
)

// prepares sends a COM_STMT_PREPARE that becomes the server's statement id.
func (r *rig) prepares(text string, id uint32, params int) uint32 {
	r.t.Helper()
	request := command(protocol.COM_STMT_PREPARE, text)
	got := r.ask(request, r.expectClose(request), prepareOK(id, params))
	if len(got) < headerSize+5 || got[headerSize] != okHeader {
		r.t.Fatalf("preparing %s: client got %q", text, got)
	}
	return binary.LittleEndian.Uint32(got[headerSize+1:])
}

// expectClose is request behind the COM_STMT_CLOSE of the statement that it replaces.
func (r *rig) expectClose(request []byte) []byte {
	b := r.held
	if b == nil {
		b = r.pool
	}
	for s, h := range b.State.(*backendState).statements.held {
		if bytes.Equal(s.packet, request) {
			return append(about(protocol.COM_STMT_CLOSE, h.id, ""), request...)
		}
	}
	return request
}

// steps checks what the backend gets, and answers it, one by one.
func (r *rig) steps(all ...[2][]byte) {
	r.t.Helper()
	for _, step := range all {
		if !bytes.Equal(r.backend, step[0]) {
			r.t.Fatalf("backend got %q, not %q", r.backend, step[0])
		}
		r.backend = nil
		r.answer(step[1])
	}
}

// swap gives the pool another backend, and returns the one that was there.
func (r *rig) swap(b *engine.Backend) *engine.Backend {
	r.t.Helper()
	if r.held != nil {
		r.t.Fatal("the backend is held")
	}
	b, r.pool = r.pool, b
	return b
}

func other() *engine.Backend { return &engine.Backend{ID: 2, State: &backendState{id: 78}} }

func TestAPreparedStatementFollowsItsSession(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO ?", 40, 1)
	if r.held != nil || len(r.kinds()) != 1 || !r.events[0].Restorable {
		t.Fatalf("held %v, events %.200v", r.held != nil, r.events)
	}
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))
	first := r.swap(other())
	// The other backend gets it, and the types that the client does not repeat.
	again := about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00"+seven)
	r.send(again)
	if want := command(protocol.COM_STMT_PREPARE, "DO ?"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.client, r.backend = nil, nil
	r.answer(prepareOK(50, 1))
	if want := about(protocol.COM_STMT_EXECUTE, 50, once+typed+seven); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.answer(reply(okMySQL))
	if !bytes.Equal(r.client, reply(okPlain)) {
		t.Fatalf("client got %q", r.client)
	}
	r.ask(again, about(protocol.COM_STMT_EXECUTE, 50, once+"\x00\x00"+seven), reply(okMySQL))
	r.swap(first)
	r.ask(again, about(protocol.COM_STMT_EXECUTE, 40, once+"\x00\x00"+seven), reply(okMySQL))
	r.ask(about(protocol.COM_STMT_CLOSE, id, ""), nil, nil)
	r.client = nil
	r.send(again)
	if !bytes.Contains(r.client, []byte("(1) given to mysql_stmt_precheck")) || r.m.Busy() {
		t.Fatalf("a closed statement: client got %q", r.client)
	}
}

// A bulk execution says with a flag whether types follow, which other sessions may have replaced since.
func TestABulkExecutionHasTheTypesOfItsOwnSession(t *testing.T) {
	a := newRig(t, trackedModern|bulkOperations)
	idA := a.prepares("DO ?", 40, 1)
	a.pool.State.(*backendState).capabilities |= bulkOperations
	const with, without, bigint = "\x80\x00", "\x00\x00", "\x08\x00"
	bulk := func(id uint32, rest string) []byte { return about(comBulkExecute, id, rest) }
	a.ask(bulk(idA, with+bigint+"\x00"+seven+"\x01"), bulk(40, with+bigint+"\x00"+seven+"\x01"), reply(okMySQL))
	a.ask(bulk(idA, without+"\x00"+seven), bulk(40, without+"\x00"+seven), reply(okMySQL))

	b := &rig{t: t, wire: newWire(t), cut: func(n int) int { return n }}
	b.m = newMachine(a.m.e, a.m.info).(*Machine)
	b.m.Start(b.wire)
	b.pool = a.swap(nil)
	b.pool.State.(*backendState).dialect = dialect{} // one that does not keep to types
	idB := b.prepares("DO ?", 41, 1)
	b.ask(bulk(idB, with+"\xfd\x00\x00\x01x"), bulk(41, with+"\xfd\x00\x00\x01x"), reply(okMySQL))
	a.pool = b.swap(nil)
	a.ask(bulk(idA, without+"\x00"+seven), bulk(41, with+bigint+"\x00"+seven), reply(okMySQL))
	a.ask(about(protocol.COM_STMT_EXECUTE, idA, once+"\x00\x00"+seven), about(protocol.COM_STMT_EXECUTE, 41, once+"\x00\x00"+seven), reply(okMySQL))
	if a.m.request.bulk || !a.m.previous.rowsKnown {
		t.Error("an execution is taken for one of many rows")
	}

	// A server of the group that has no bulk operations, and a session that has not agreed to any.
	a.pool.State.(*backendState).capabilities &^= bulkOperations
	for range 2 {
		a.client, a.backend = nil, nil
		a.send(bulk(idA, with+bigint+"\x00"+seven))
		if !bytes.Contains(a.client, []byte(errBulk.message)) || len(a.backend) > 0 || a.m.Busy() {
			t.Fatalf("client got %q, backend %q", a.client, a.backend)
		}
		a.m.info.capabilities &^= bulkOperations
	}
}

func TestStatementsOfTheSameTextAreSharedAndTypesAreNot(t *testing.T) {
	a := newRig(t, modernClient)
	idA := a.prepares("DO ?", 40, 1)
	a.ask(about(protocol.COM_STMT_EXECUTE, idA, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))

	b := &rig{t: t, wire: newWire(t), cut: func(n int) int { return n }}
	b.m = newMachine(a.m.e, a.m.info).(*Machine)
	b.m.Start(b.wire)
	b.pool = a.swap(nil)
	idB := b.prepares("DO ?", 41, 1) // in place of 40
	const text = "\x00\x01\xfd\x00"
	b.ask(about(protocol.COM_STMT_EXECUTE, idB, once+text+"\x01x"), about(protocol.COM_STMT_EXECUTE, 41, once+text+"\x01x"), reply(okMySQL))
	a.pool = b.swap(nil)
	untyped := about(protocol.COM_STMT_EXECUTE, idA, once+"\x00\x00"+seven)
	a.ask(untyped, about(protocol.COM_STMT_EXECUTE, 41, once+typed+seven), reply(okMySQL))
	a.ask(untyped, about(protocol.COM_STMT_EXECUTE, 41, once+"\x00\x00"+seven), reply(okMySQL))
	// After an error nobody knows whether the types were taken.
	a.ask(untyped, about(protocol.COM_STMT_EXECUTE, 41, once+"\x00\x00"+seven), reply(errSyntax))
	a.ask(untyped, about(protocol.COM_STMT_EXECUTE, 41, once+typed+seven), reply(okMySQL))
	// Who never said what types it has does not get another's.
	idA2 := a.prepares("DO ?", 42, 1)
	b.pool = a.swap(nil)
	b.ask(about(protocol.COM_STMT_EXECUTE, idB, once+text+"\x01x"), about(protocol.COM_STMT_EXECUTE, 42, once+text+"\x01x"), reply(okMySQL))
	a.pool = b.swap(nil)
	a.client, a.backend = nil, nil
	a.send(about(protocol.COM_STMT_EXECUTE, idA2, once+"\x00\x00"+seven))
	if want := append(about(protocol.COM_STMT_CLOSE, 42, ""), command(protocol.COM_STMT_PREPARE, "DO ?")...); !bytes.Equal(a.backend, want) {
		t.Fatalf("backend got %q, not %q", a.backend, want)
	}
}

func TestWhatAStatementLeavesCountsWhenItIsExecuted(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("CREATE TEMPORARY TABLE t (a int)", 40, 0)
	if r.held != nil || !slices.Equal(r.kinds(), []engine.Kind{engine.KindPreparedStatement}) {
		t.Fatalf("held %v, events %v", r.held != nil, r.kinds())
	}
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 40, once), reply(okMySQL))
	if r.held == nil || !slices.Contains(r.kinds(), engine.KindTemporaryTable) {
		t.Fatalf("held %v, events %v", r.held != nil, r.kinds())
	}
}

func TestAPreparedSETIsRestored(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("SET wait_timeout = ?", 40, 1)
	const value = "\x00\x01\xfd\x00\x0277"
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+value), about(protocol.COM_STMT_EXECUTE, 40, once+value), reports("wait_timeout", "77"))
	if v, _ := r.m.session.settings.value("wait_timeout"); v != "77" || r.pins != 0 {
		t.Fatalf("%q, events %v", v, r.events)
	}
}

func TestAStatementIsPreparedWithTheSettingsOfItsSession(t *testing.T) {
	r := newRig(t, modernClient)
	r.set("sql_mode", "ANSI_QUOTES")
	id := r.prepares("DO 1", 40, 0)
	r.swap(other())
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once))
	if want := query("SET @@SESSION.sql_mode='ANSI_QUOTES'"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.backend = nil
	r.answer(reply(okMySQL))
	if want := command(protocol.COM_STMT_PREPARE, "DO 1"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.backend = nil
	r.answer(prepareOK(50, 0))
	if want := about(protocol.COM_STMT_EXECUTE, 50, once); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
}

func TestACursorHoldsTheBackendAndKeepsItsEOF(t *testing.T) {
	for _, caps := range []uint32{modernClient, oldClient} {
		r := newRig(t, caps)
		id := r.prepares("DO ?", 40, 0)
		got := r.ask(about(protocol.COM_STMT_EXECUTE, id, read), about(protocol.COM_STMT_EXECUTE, 40, read),
			reply("\x01", columnA, "\xfe\x00\x00\x62\x40\x00\x00\x00\x16\x00\x14\x0cstatement_id\x06590172"))
		want := reply("\x01", columnA, "\xfe\x00\x00\x62\x00\x00\x00")
		if caps == oldClient {
			want = reply("\x01", columnA, "\xfe\x00\x00\x62\x00")
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("client got %q, not %q", got, want)
		}
		if r.held == nil {
			t.Fatal("idle with an open cursor")
		}
		// The same text again is another statement.
		second := r.prepares("DO ?", 41, 0)
		r.ask(about(protocol.COM_STMT_EXECUTE, second, once), about(protocol.COM_STMT_EXECUTE, 41, once), reply(okMySQL))
		got = r.ask(about(protocol.COM_STMT_FETCH, id, "\x01\x00\x00\x00"), about(protocol.COM_STMT_FETCH, 40, "\x01\x00\x00\x00"),
			reply("\x00\x00\x01\x00\x00\x00", "\xfe\x00\x00\x82\x00\x00\x00"))
		want = reply("\x00\x00\x01\x00\x00\x00", "\xfe\x00\x00\x82\x00\x00\x00")
		if caps == oldClient {
			want = reply("\x00\x00\x01\x00\x00\x00", "\xfe\x00\x00\x82\x00")
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("client got %q, not %q", got, want)
		}
		if r.held != nil {
			t.Fatal("the cursor is still open after its last row")
		}
		// The server has one of them for everybody.
		if n := len(r.pool.State.(*backendState).statements.held); n != 1 || !bytes.Equal(r.backend, about(protocol.COM_STMT_CLOSE, 40, "")) {
			t.Fatalf("%d statements, backend got %q", n, r.backend)
		}
		r.client = nil
		r.send(about(protocol.COM_STMT_FETCH, id, "\x01\x00\x00\x00"))
		if !bytes.Contains(r.client, []byte("has no open cursor")) {
			t.Fatalf("fetching without a cursor: %q", r.client)
		}
	}
}

func TestAStatementThatOpenedACursorIsPreparedAgainToBeExecutedWithout(t *testing.T) {
	cursor := reply("\x01", columnA, "\xfe\x00\x00\x42\x00\x00\x00")
	for name, end := range map[string]func(r *rig, id uint32){
		"while it is open": func(*rig, uint32) {},
		"when it is closed": func(r *rig, id uint32) {
			r.ask(about(protocol.COM_STMT_RESET, id, ""), about(protocol.COM_STMT_RESET, 40, ""), reply(okMySQL))
		},
	} {
		r := newRig(t, modernClient)
		r.pool.State.(*backendState).dialect = dialect{version: firstShaped}
		id := r.prepares("SELECT 1", 40, 0)
		r.ask(about(protocol.COM_STMT_EXECUTE, id, read), about(protocol.COM_STMT_EXECUTE, 40, read), cursor)
		end(r, id)
		r.backend = nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once))
		if want := append(about(protocol.COM_STMT_CLOSE, 40, ""), command(protocol.COM_STMT_PREPARE, "SELECT 1")...); !bytes.Equal(r.backend, want) {
			t.Fatalf("%s: backend got %q, not %q", name, r.backend, want)
		}
		r.backend = nil
		r.answer(prepareOK(50, 0))
		if want := about(protocol.COM_STMT_EXECUTE, 50, once); !bytes.Equal(r.backend, want) {
			t.Fatalf("%s: backend got %q, not %q", name, r.backend, want)
		}
		r.answer(reply("\x01", columnA, "\x00\x00\x01", "\xfe\x00\x00\x02\x00\x00\x00"))
		if r.held != nil {
			t.Fatalf("%s: idle on a backend", name)
		}
		// Behind that it opens one as before.
		r.ask(about(protocol.COM_STMT_EXECUTE, id, read), about(protocol.COM_STMT_EXECUTE, 50, read), cursor)
	}
}

func TestLongDataHoldsTheBackendUntilItIsUsed(t *testing.T) {
	for name, end := range map[string]func(r *rig, id uint32){
		"by executing": func(r *rig, id uint32) {
			r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))
		},
		"by a reset": func(r *rig, id uint32) {
			r.ask(about(protocol.COM_STMT_RESET, id, ""), about(protocol.COM_STMT_RESET, 40, ""), reply(okMySQL))
		},
		"by closing": func(r *rig, id uint32) {
			r.ask(about(protocol.COM_STMT_CLOSE, id, ""), about(protocol.COM_STMT_CLOSE, 40, ""), nil)
		},
		"by an execution that fails": func(r *rig, id uint32) {
			r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(errDuplicate))
			if want := about(protocol.COM_STMT_CLOSE, 40, ""); !bytes.Equal(r.backend, want) { // whatever is left of the data goes with it
				t.Errorf("backend got %q", r.backend)
			}
			r.ask(query("SELECT 1"), query("SELECT 1"), reply(okMySQL)) // without the warnings
		},
	} {
		r := newRig(t, modernClient)
		id := r.prepares("DO ?", 40, 1)
		r.ask(about(protocol.COM_STMT_SEND_LONG_DATA, id, "\x00\x00x"), about(protocol.COM_STMT_SEND_LONG_DATA, 40, "\x00\x00x"), nil)
		if r.held == nil || r.m.Busy() {
			t.Fatalf("%s: held %v, busy %v", name, r.held != nil, r.m.Busy())
		}
		r.ask(query("SELECT 1"), query("SELECT 1"), reply(okMySQL))
		if r.held == nil {
			t.Fatalf("%s: idle with long data", name)
		}
		end(r, id)
		if r.held != nil {
			t.Fatalf("%s: still held", name)
		}
	}
}

func TestAStatementIsPreparedAgainInItsOwnDefaultDatabase(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.info.key.Database, r.m.session.schema = anyDatabase, "one"
	r.pool.State.(*backendState).schema = "one"
	id := r.prepares("DO ?", 40, 0)
	b := other()
	b.State.(*backendState).schema = "two"
	r.swap(b)
	r.m.session.schema = "two"
	r.backend, r.client = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once))
	for _, step := range []struct {
		want, answer []byte
	}{
		{command(protocol.COM_INIT_DB, "one"), reply(okMySQL)},
		{command(protocol.COM_STMT_PREPARE, "DO ?"), prepareOK(50, 0)},
		{command(protocol.COM_INIT_DB, "two"), reply(okMySQL)},
		{about(protocol.COM_STMT_EXECUTE, 50, once), reply(okMySQL)},
	} {
		if !bytes.Equal(r.backend, step.want) {
			t.Fatalf("backend got %q, not %q", r.backend, step.want)
		}
		r.backend = nil
		r.answer(step.answer)
	}
	if !bytes.Equal(r.client, reply(okPlain)) {
		t.Fatalf("client got %q", r.client)
	}
}

func TestWhatTheServerSaysToPreparingAgainIsTheAnswer(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO ?", 40, 0)
	r.swap(other())
	got := r.ask(about(protocol.COM_STMT_EXECUTE, id, once), command(protocol.COM_STMT_PREPARE, "DO ?"), reply(errSyntax))
	if !bytes.Equal(got, reply(errSyntax)) || r.held != nil || r.m.Busy() {
		t.Fatalf("client got %q, held %v", got, r.held != nil)
	}
}

func TestAStatementThatTheServerDoesNotHaveAsItShouldIsPreparedAgainOnce(t *testing.T) {
	for number, c := range map[string]struct {
		err   string
		close []byte
	}{
		"1243": {"\xff\xdb\x04#HY000Unknown prepared statement handler", about(protocol.COM_STMT_CLOSE, 40, "")},
		"1615": {"\xff\x4f\x06#HY000Prepared statement needs to be re-prepared", about(protocol.COM_STMT_CLOSE, 40, "")},
	} {
		r := newRig(t, modernClient)
		id := r.prepares("SELECT ?", 40, 1)
		r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00"+seven))
		r.steps([][2][]byte{
			{about(protocol.COM_STMT_EXECUTE, 40, once+"\x00\x00"+seven), reply(c.err)},
			{append(c.close, command(protocol.COM_STMT_PREPARE, "SELECT ?")...), prepareOK(50, 1)},
			{about(protocol.COM_STMT_EXECUTE, 50, once+typed+seven), reply(okMySQL)},
		}...)
		if !bytes.Equal(r.client, reply(okPlain)) || r.m.Busy() || r.held != nil {
			t.Fatalf("%s: client got %q", number, r.client)
		}
		r.client = nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00"+seven))
		r.backend = nil
		r.answer(reply(c.err))
		r.backend = nil
		r.answer(prepareOK(60, 1))
		r.answer(reply(c.err))
		if !bytes.Equal(r.client, reply(c.err)) || r.m.Busy() || r.held == nil {
			t.Fatalf("%s: client got %q", number, r.client)
		}
		r.ask(query("SELECT 1"), query("SELECT 1"), reply(okMySQL))
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00"+seven))
		r.answer(prepareOK(70, 1))
		r.client, r.backend = nil, nil
		r.answer(reply(c.err))
		r.client = nil
		r.answer(reply(errSyntax)) // it cannot be prepared any more
		if !bytes.Equal(r.client, reply(errSyntax)) || r.m.Busy() {
			t.Fatalf("%s: client got %q", number, r.client)
		}
	}
}

func TestWhatMayHaveDoneSomethingIsNotExecutedAgain(t *testing.T) {
	for _, text := range []string{"CALL p(?)", "INSERT INTO t VALUES (?)", "SELECT f(?)", "DO ?"} {
		r := newRig(t, modernClient)
		id := r.prepares(text, 40, 1)
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven))
		skipRestore(r)
		r.backend = nil
		const number = "\xff\xdb\x04#HY000Unknown prepared statement handler (p) given to EXECUTE"
		r.answer(reply(number))
		if !bytes.Equal(r.client, reply(number)) {
			t.Fatalf("%s: client got %q, backend got %q", text, r.client, r.backend)
		}
	}
}

func TestAnErrorOfSQLOnItsOwnStatementsIsNotAnExecutions(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO ?", 40, 1)
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply("\x00\x00\x00\x03\x00\x00\x00")) // in a transaction: the session keeps its backend
	r.client, r.backend = nil, nil
	const unknown = "\xff\xdb\x04#HY000Unknown prepared statement handler (p) given to EXECUTE"
	if got := r.ask(query("SELECT 1"), query("SELECT 1"), reply(unknown)); !bytes.Equal(got, reply(unknown)) || r.held == nil {
		t.Fatalf("client got %q", got)
	}
}

func TestRoomOnTheServerIsMadeOnce(t *testing.T) {
	const full = "\xff\xb5\x05#42000Can't create more than max_prepared_stmt_count statements"
	r := newRig(t, modernClient)
	r.prepares("DO 1", 40, 0)
	r.backend = nil
	request := command(protocol.COM_STMT_PREPARE, "DO 2")
	got := r.ask(request, request, reply(full))
	if want := append(about(protocol.COM_STMT_CLOSE, 40, ""), request...); len(got) != 0 || !bytes.Equal(r.backend, want) {
		t.Fatalf("client got %q, backend got %q, not %q", got, r.backend, want)
	}
	r.backend = nil
	r.answer(reply(full))
	if !bytes.Equal(r.client, reply(full)) || len(r.backend) != 0 {
		t.Fatalf("client got %q, backend got %q", r.client, r.backend)
	}
	id := r.prepares("DO 2", 41, 0)
	b := other()
	b.State.(*backendState).statements.put(&sharedStatement{packet: command(protocol.COM_STMT_PREPARE, "DO 3")}, &heldStatement{id: 60})
	r.swap(b)
	execute := about(protocol.COM_STMT_EXECUTE, id, once)
	r.ask(execute, request, reply(full))
	if want := append(about(protocol.COM_STMT_CLOSE, 60, ""), request...); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.backend = nil
	r.answer(prepareOK(61, 0))
	if want := about(protocol.COM_STMT_EXECUTE, 61, once); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
}

func TestABackendKeepsSoManyStatements(t *testing.T) {
	r := newRig(t, modernClient)
	for i := range uint32(maxPrepared + 10) {
		request := command(protocol.COM_STMT_PREPARE, fmt.Sprintf("DO %d", i))
		want := request
		if i >= maxPrepared {
			want = append(about(protocol.COM_STMT_CLOSE, 1000+i-maxPrepared, ""), request...)
		}
		r.ask(request, want, prepareOK(1000+i, 0))
	}
	if n := len(r.pool.State.(*backendState).statements.held); n != maxPrepared {
		t.Fatalf("%d statements", n)
	}
}

func TestABackendKeepsSoManyStatementsBehindCode(t *testing.T) {
	r := newRig(t, modernClient)
	for i := range uint32(maxPrepared) {
		r.prepares(fmt.Sprintf("DO %d", i), 1000+i, 0)
	}
	held := &r.pool.State.(*backendState).statements
	const gone = 10
	for range gone { // others' are there in place of some
		delete(held.held, held.oldest())
		held.put(&sharedStatement{}, &heldStatement{})
	}
	r.backend = nil
	call := query("CALL p()")
	r.send(call)
	for i := range uint32(gone) {
		if bytes.Equal(r.backend, call) {
			t.Fatalf("sent behind %d statements", i)
		}
		r.backend = nil
		r.answer(prepareOK(5000+i, 0))
	}
	if !bytes.Equal(r.backend, call) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.backend = nil
	r.answer(reply(okMySQL))
	if n := bytes.Count(r.backend, []byte{5, 0, 0, 0, protocol.COM_STMT_CLOSE}); n != gone || len(held.held) != maxPrepared {
		t.Fatalf("%d statements are closed, %d are there", n, len(held.held))
	}
}

func TestASessionMayHaveSoManyStatements(t *testing.T) {
	r := newRig(t, modernClient)
	for i := range uint32(maxStatements) {
		r.prepares("DO 1", 1000+i, 0)
	}
	r.client, r.backend = nil, nil
	r.send(command(protocol.COM_STMT_PREPARE, "DO 1"))
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("max_prepared_stmt_count")) {
		t.Fatalf("client got %q, backend got %q", r.client, r.backend)
	}
}

func TestAStatementForWhoseTextThereIsNoRoomPins(t *testing.T) {
	r := newRig(t, modernClient)
	r.prepares("DO 1", 40, 0)
	r.m.statements.private = true
	r.prepares("DO 11", 41, 0)
	if n := r.m.e.statements.texts.Kept(); n < 3*int64(len("DO 1"))+2*statementRoom || r.pins != 0 {
		t.Fatalf("%d bytes are counted, %d pins", n, r.pins)
	}
	r.m.e.statements.texts.Most = 1
	request := command(protocol.COM_STMT_PREPARE, "DO 2")
	r.ask(request, request, prepareOK(42, 0))
	if r.held == nil || r.pins == 0 {
		t.Fatalf("held %v, %d pins", r.held != nil, r.pins)
	}
}

func TestAStatementThatIsTooLongToBeRememberedPins(t *testing.T) {
	r := newRig(t, modernClient)
	request := command(protocol.COM_STMT_PREPARE, "CREATE TEMPORARY TABLE t (a int COMMENT '"+strings.Repeat("x", maxWhole)+"')")
	got := r.ask(request, request, prepareOK(40, 0))
	id := binary.LittleEndian.Uint32(got[headerSize+1:])
	if r.held == nil || r.events[len(r.events)-1].Restorable || slices.Contains(r.kinds(), engine.KindTemporaryTable) {
		t.Fatalf("held %v, events %.200v", r.held != nil, r.events)
	}
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 40, once), reply(okMySQL))
	if !slices.Contains(r.kinds(), engine.KindTemporaryTable) {
		t.Fatalf("events %v", r.events)
	}
}

func TestTheEndOfAStatementThatPinnedEndsThePin(t *testing.T) {
	r := newRig(t, modernClient)
	request := command(protocol.COM_STMT_PREPARE, "DO '"+strings.Repeat("x", maxWhole)+"'")
	got := r.ask(request, request, prepareOK(40, 0))
	id := binary.LittleEndian.Uint32(got[headerSize+1:])
	r.ask(about(protocol.COM_STMT_CLOSE, id, ""), about(protocol.COM_STMT_CLOSE, 40, ""), nil)
	if r.held != nil || r.pins != 0 {
		t.Fatalf("held %v, events %.200v", r.held != nil, r.events)
	}
}

func TestAResetEndsTheStatements(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO 1", 40, 0)
	r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.ask(command(protocol.COM_RESET_CONNECTION, ""), command(protocol.COM_RESET_CONNECTION, ""), reply(okMySQL))
	r.answer(reply(okMySQL)) // to the trackers
	if r.held != nil || len(r.pool.State.(*backendState).statements.held) != 0 {
		t.Fatal("the backend is held, or is thought to have the statement")
	}
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once))
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("mysql_stmt_precheck")) {
		t.Fatalf("client got %q, backend got %q", r.client, r.backend)
	}
}

// Statements that are there when settings change that cannot be restored keep their meaning, on the backend that has them.
func TestStatementsAreGatheredBeforeTheirMeaningIsObscured(t *testing.T) {
	for name, c := range map[string]struct {
		text           string
		answer         []byte
		gathered, kept bool
	}{
		"what cannot be restored":  {"SET default_collation_for_utf8mb4 = x", reports("default_collation_for_utf8mb4", "x"), true, true},
		"not while it is on":       {"SET sql_auto_is_null = 1", reports("sql_auto_is_null", "ON"), true, true},
		"what nobody knows":        {"SET STATEMENT x = 1 FOR SELECT 1", reply(okMySQL), true, true},
		"not that after all":       {"SET STATEMENT x = 1 FOR SELECT 1", reports("autocommit", "ON"), true, false},
		"what can be restored":     {"SET sql_mode = 'ANSI_QUOTES'", reports("sql_mode", "ANSI_QUOTES"), false, false},
		"what makes no difference": {"SET insert_id = 5", reports("insert_id", "5"), false, false},
	} {
		r := newRig(t, modernClient)
		id := r.prepares("DO 1", 40, 0)
		r.swap(other())
		r.client, r.backend = nil, nil
		r.send(query(c.text))
		if c.gathered {
			if want := command(protocol.COM_STMT_PREPARE, "DO 1"); !bytes.Equal(r.backend, want) {
				t.Fatalf("%s: backend got %q, not %q", name, r.backend, want)
			}
			r.backend = nil
			r.answer(prepareOK(50, 0))
		}
		if !bytes.Equal(r.backend, query(c.text)) {
			t.Fatalf("%s: backend got %q", name, r.backend)
		}
		r.answer(c.answer)
		last := r.events[len(r.events)-1]
		if kept := last.Kind == engine.KindPreparedStatement && !last.Restorable; kept != c.kept || r.m.find(id).kept != c.kept {
			t.Fatalf("%s: events %v", name, r.kinds())
		}
		if c.gathered {
			r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 50, once), reply(okMySQL))
		}
	}
}

// A call of code that nobody is asked about brings a bounded number of statements, and loses none by it.
func TestACallOfTrustedCodePreparesOnlySoManyStatements(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.unseenChanges = engine.UnseenTrust
	ids := make([]uint32, 3*maxBrought)
	for i := range ids {
		ids[i] = r.prepares("DO "+strconv.Itoa(i), 40+uint32(i), 0)
	}
	r.swap(other())
	for call, want := range []int{maxBrought, maxBrought, maxBrought, 0} {
		r.client, r.backend = nil, nil
		r.send(query("CALL p()"))
		prepared := 0
		for ; len(r.backend) > headerSize && r.backend[headerSize] == protocol.COM_STMT_PREPARE; prepared++ {
			r.backend = nil
			r.answer(prepareOK(1000+uint32(len(ids)*call+prepared), 0))
		}
		if prepared != want || !bytes.Equal(r.backend, query("CALL p()")) {
			t.Fatalf("call %d: %d were prepared, not %d; then the backend got %q", call+1, prepared, want, r.backend)
		}
		r.answer(reply(okMySQL))
		r.answer(reply("\x01", columnOne, "\x010", endMySQL)) // LAST_INSERT_ID()
		r.answer(reply(okMySQL))
	}
	for _, id := range ids {
		if s := r.m.find(id); s.lost || s.kept || s.missing {
			t.Fatalf("statement %d: lost %v, kept %v, missing %v", id, s.lost, s.kept, s.missing)
		}
	}
}

func TestAStatementIsPreparedAgainWithTheSettingsThatItHad(t *testing.T) {
	r := newRig(t, modernClient)
	r.set("time_zone", "+01:00")
	id := r.prepares("DO 1", 40, 0)
	r.set("sql_mode", "ANSI_QUOTES")
	r.set("autocommit", "OFF") // which is nothing to a statement
	r.m.session.status |= statusAutocommit
	r.ask(command(protocol.COM_STMT_PREPARE, "DO 1"), command(protocol.COM_STMT_PREPARE, "DO 1"), prepareOK(41, 0)) // beside the first
	later := r.m.statements.last.id
	first := r.swap(other())
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once))
	r.steps([][2][]byte{
		{query("SET @@SESSION.autocommit='OFF', @@SESSION.sql_mode='ANSI_QUOTES', @@SESSION.time_zone='+01:00'"), reply(okMySQL)},
		{query("SET @@SESSION.sql_mode=DEFAULT"), reply(okMySQL)},
		{command(protocol.COM_STMT_PREPARE, "DO 1"), prepareOK(50, 0)},
		{query("SET @@SESSION.sql_mode='ANSI_QUOTES'"), reply(okMySQL)},
		{about(protocol.COM_STMT_EXECUTE, 50, once), reply(okMySQL)},
	}...)
	// With the settings of the other one it is another statement.
	r.send(about(protocol.COM_STMT_EXECUTE, later, once))
	r.steps([][2][]byte{
		{command(protocol.COM_STMT_PREPARE, "DO 1"), prepareOK(51, 0)},
		{about(protocol.COM_STMT_EXECUTE, 51, once), reply(okMySQL)},
	}...)
	r.swap(first)
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 40, once), reply(okMySQL))
	r.ask(about(protocol.COM_STMT_EXECUTE, later, once), about(protocol.COM_STMT_EXECUTE, 41, once), reply(okMySQL))
}

func TestAServerIsAskedForSettingsThatItDidNotTellBeforeAStatementIsPrepared(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.ask(query("SET @@sql_mode = 'ANSI_QUOTES'"), query("SET @@sql_mode = 'ANSI_QUOTES'"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.client, r.backend = nil, nil
	r.send(command(protocol.COM_STMT_PREPARE, "DO 1"))
	r.steps([][2][]byte{
		{query("SELECT @@SESSION.sql_mode"), reply("\x01", columnOne, "\x0bANSI_QUOTES", "\xfe\x00\x00\x03\x00\x00\x00")},
		{command(protocol.COM_STMT_PREPARE, "DO 1"), prepareOK(40, 0)},
	}...)
	if s := r.m.statements.last; s.shared.meaning != "sql_mode\x00ANSI_QUOTES\x00" || r.held == nil {
		t.Fatalf("%q, held %v", s.shared.meaning, r.held != nil)
	}
}

func TestTheLastStatementIsNoneOnceAnotherWasRefused(t *testing.T) {
	const last = 1<<32 - 1
	for name, refuse := range map[string]func(r *rig){
		"by the proxy": func(r *rig) {
			r.pool = nil
			r.send(command(protocol.COM_STMT_PREPARE, "DO 2"))
			r.asked = false
			r.m.Refused(engine.ErrBorrowTimeout, r.wire)
			if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
				t.Fatal(err)
			}
		},
		"by the server": func(r *rig) {
			r.send(command(protocol.COM_STMT_PREPARE, "DO 2"))
			r.answer(reply("\xff\x28\x04#42000You have an error in your SQL syntax"))
		},
		"before it was looked at": func(r *rig) {
			r.m.notice = engine.ErrBackendClosed
			r.send(command(protocol.COM_STMT_PREPARE, "DO 2"))
		},
	} {
		r := newRig(t, modernClient)
		r.m.e = testEngine(Config{Credentials: users(native)}, mariaServer)
		r.prepares("DO 1", 40, 0)
		r.client = nil
		refuse(r)
		if len(r.client) < headerSize || r.client[headerSize] != errHeader {
			t.Fatalf("refused %s: client got %q", name, r.client)
		}
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, last, once))
		if len(r.backend) > 0 || !bytes.Contains(r.client, []byte("Unknown prepared statement handler (4294967295) given to mysqld_stmt_execute")) {
			t.Errorf("refused %s: backend got %q, client %q", name, r.backend, r.client)
		}
	}
}

func TestAStatementOfPrepareThatCouldNotBeDeallocatedHoldsStill(t *testing.T) {
	for _, text := range []string{`PREPARE s FROM "SELECT 1"`, "PREPARE s FROM 'SELECT 1'", "PREPARE s FROM 'SET @a = 1'"} {
		r := newRig(t, modernClient)
		r.ask(query(text), query(text), reply(okMySQL))
		end := query("DEALLOCATE PREPARE s")
		r.ask(end, end, reply("\xff\x25\x05#70100Query execution was interrupted"))
		for _, ev := range r.events {
			if ev.Undo && ev.Kind == engine.KindPreparedStatement {
				t.Errorf("%s: unpinned", text)
			}
		}
	}
}

func TestWhatAStatementOfPrepareMayHaveLeftBeforeItFailedHolds(t *testing.T) {
	for failure, lasts := range map[string]bool{
		"\xff\x2c\x04#45000no": true, "\xff\xdb\x04#HY000Unknown prepared statement handler (s) given to EXECUTE": true} {
		r := newRig(t, modernClient)
		for _, step := range [][2]string{{"PREPARE s FROM 'SET @a = 1, @b = f()'", okMySQL}, {"EXECUTE s", failure}, {"DEALLOCATE PREPARE s", okMySQL}} {
			r.ask(query(step[0]), query(step[0]), reply(step[1]))
		}
		if (r.m.pins.reported != 0) != lasts {
			t.Errorf("behind %q: pinned for %b", failure, r.m.pins.reported)
		}
	}
}

func TestATemporaryTableIsWhereItsStatementWasPrepared(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.session.schema, r.pool.State.(*backendState).schema = "one", "one"
	id := r.prepares("CREATE TEMPORARY TABLE t (a INT)", 40, 0)
	r.m.session.schema, r.pool.State.(*backendState).schema = "two", "two"
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 40, once), reply(okMySQL))
	drop := query("DROP TABLE IF EXISTS t")
	r.ask(drop, drop, reply(okMySQL))
	if r.m.pins.reported == 0 {
		t.Fatal("DROP TABLE of another database has ended it")
	}
	drop = query("DROP TABLE one.t")
	r.ask(drop, drop, reply(okMySQL))
	if r.m.pins.reported != 0 {
		t.Error("still pinned")
	}
}

func TestTypesThatDidNotReachTheServerAreSentWithTheNextExecution(t *testing.T) {
	r := newRig(t, modernClient)
	id := r.prepares("DO ?", 40, 1)
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))
	// One that sends other types is refused.
	r.m.insertID.lost = true
	s := r.m.find(id)
	s.class.flags |= classInsertID
	const short = "\x00\x01\x02\x00"
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once+short+"\x07\x00"))
	if len(r.backend) > 0 || !bytes.Contains(r.client, []byte("LAST_INSERT_ID()")) {
		t.Fatalf("backend got %q, client %q", r.backend, r.client)
	}
	s.class.flags &^= classInsertID
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00\x07\x00"), about(protocol.COM_STMT_EXECUTE, 40, once+short+"\x07\x00"), reply(okMySQL))
}

func TestAStatementThatEndsAReadOnlyTransactionIsPreparedBehindIt(t *testing.T) {
	const errReadOnly = "\xff\x00\x07#25006Cannot execute statement in a READ ONLY transaction"
	for text, ends := range map[string]bool{"CREATE TABLE t (n int)": true, "INSERT INTO t VALUES (1)": false} {
		r := newRig(t, modernClient)
		r.pool.State.(*backendState).mariaDB = true
		id := r.prepares(text, 5, 0)
		r.pool = &engine.Backend{ID: 2, State: &backendState{id: 78, mariaDB: true}}
		begin := query("START TRANSACTION READ ONLY")
		r.ask(begin, begin, reply("\x00\x00\x00\x03\x20\x00\x00"))
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, "\x00\x01\x00\x00\x00"))
		prepare, execute := command(protocol.COM_STMT_PREPARE, text), about(protocol.COM_STMT_EXECUTE, 6, "\x00\x01\x00\x00\x00")
		if !ends {
			r.steps([2][]byte{prepare, reply(errReadOnly)})
			wantErr(t, r.client, 1, 1792)
			continue
		}
		r.steps([2][]byte{prepare, reply(errReadOnly)}, [2][]byte{query("COMMIT AND NO CHAIN NO RELEASE"), reply(okMariaDB)}, [2][]byte{prepare, prepareOK(6, 0)})
		if !bytes.Equal(r.backend, execute) {
			t.Errorf("backend got %q", r.backend)
		}
	}
}

func TestAStatementIsPreparedAgainInFrontOfAReadOnlyTransaction(t *testing.T) {
	const errReadOnly = "\xff\x00\x07#25006Cannot execute statement in a READ ONLY transaction"
	const text, once = "INSERT INTO t VALUES (1)", "\x00\x01\x00\x00\x00"
	prepare, write, read := command(protocol.COM_STMT_PREPARE, text), query("SET TRANSACTION READ WRITE"), query("SET TRANSACTION READ ONLY")
	for name, c := range map[string]struct {
		again  []byte // the answer to the second preparation
		failed uint16
	}{"it is prepared": {prepareOK(6, 0), 0}, "it is not there": {reply("\xff\x7a\x04#42S02Table 't' doesn't exist"), 1146}, "it is refused again": {reply(errReadOnly), 1792}} {
		r := newRig(t, modernClient)
		id := r.prepares(text, 5, 0)
		r.pool = &engine.Backend{ID: 2, State: &backendState{id: 78}}
		r.ask(read, read, reply(okMySQL))
		r.m.session.traits = true
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once))
		r.steps([2][]byte{prepare, reply(errReadOnly)}, [2][]byte{write, reply(okMySQL)}, [2][]byte{prepare, c.again}, [2][]byte{read, reply(okMySQL)})
		if c.failed > 0 {
			wantErr(t, r.client, 1, c.failed)
		} else if want := about(protocol.COM_STMT_EXECUTE, 6, once); !bytes.Equal(r.backend, want) {
			t.Errorf("%s: backend got %q", name, r.backend)
		}
	}
}

// A server would know the types of an execution that it refuses to execute, and those alone.
func TestTypesOfAnExecutionForWhichNothingCouldBePreparedAreKnown(t *testing.T) {
	const (
		errReadOnly = "\xff\x00\x07#25006Cannot execute statement in a READ ONLY transaction"
		text, tiny  = "INSERT INTO t VALUES (?)", "\x01\x01\x00"
	)
	r := newRig(t, modernClient)
	id := r.prepares(text, 40, 1)
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), about(protocol.COM_STMT_EXECUTE, 40, once+typed+seven), reply(okMySQL))
	first := r.pool
	r.pool = &engine.Backend{ID: 2, State: &backendState{id: 78}}
	begin := query("START TRANSACTION READ ONLY")
	r.ask(begin, begin, reply("\x00\x00\x00\x03\x20\x00\x00"))
	r.client, r.backend = nil, nil
	r.send(about(protocol.COM_STMT_EXECUTE, id, once+"\x00"+tiny+"\x07"))
	r.steps([2][]byte{command(protocol.COM_STMT_PREPARE, text), reply(errReadOnly)})
	wantErr(t, r.client, 1, 1792)
	r.ask(query("COMMIT"), query("COMMIT"), reply(okMySQL))
	for i, b := range []*engine.Backend{r.pool, first} {
		r.pool = b
		r.client, r.backend = nil, nil
		r.send(about(protocol.COM_STMT_EXECUTE, id, once+"\x00\x00\x07"))
		server := uint32(40)
		if i == 0 {
			server = 41
			r.steps([2][]byte{command(protocol.COM_STMT_PREPARE, text), prepareOK(server, 1)})
		}
		if want := about(protocol.COM_STMT_EXECUTE, server, once+"\x00"+tiny+"\x07"); !bytes.Equal(r.backend, want) {
			t.Fatalf("backend %d got %q, not %q", i, r.backend, want)
		}
		r.answer(reply(okMySQL))
	}
}

// Once the session has a default database, no other backend could be told what the statement was in: none.
func TestAStatementThatAsksForTheDatabaseStaysWhereThereIsNone(t *testing.T) {
	for text, stays := range map[string]bool{"SELECT DATABASE()": true, "SELECT 1, schema ( )": true, "SELECT 1 FROM information_schema.tables": false, "SELECT 'database'": false} {
		for _, schema := range []string{"", "one"} {
			r := newRig(t, modernClient)
			r.m.session.schema = schema
			r.pool.State.(*backendState).schema = schema
			r.prepares(text, 40, 0)
			if held := r.held != nil; held != (stays && schema == "") {
				t.Errorf("%s in %q: held %v", text, schema, held)
			}
		}
	}
}
