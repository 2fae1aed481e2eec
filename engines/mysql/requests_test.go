package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// wantErr fails unless p is one ERR packet with number and sequence.
func wantErr(t *testing.T, p []byte, sequence uint8, number uint16) {
	t.Helper()
	if len(p) < 7 || p[3] != sequence || p[4] != errHeader || binary.LittleEndian.Uint16(p[5:]) != number {
		t.Fatalf("client got %q, not ERR %d in packet %d", p, number, sequence)
	}
	if n, _ := packetHeader(p); n != len(p)-headerSize {
		t.Fatalf("client got more than one packet: %q", p)
	}
}

func TestWhatNeedsNoBackendIsAnsweredWithout(t *testing.T) {
	for _, c := range []struct {
		name    string
		request []byte
		number  uint16 // of the ERR, 0 for OK
	}{
		{"COM_PING", command(protocol.COM_PING, ""), 0},
		{"COM_RESET_CONNECTION", command(protocol.COM_RESET_CONNECTION, ""), 0},
		{"an empty packet", pack(0, ""), 1047},
		{"COM_BINLOG_DUMP", command(protocol.COM_BINLOG_DUMP, "aaaaaaaaaa"), 1047},
		{"COM_SHUTDOWN", command(protocol.COM_SHUTDOWN, "\x00"), 1047},
		{"an unknown command", command(0x55, ""), 1047},
		{"COM_STMT_EXECUTE of nothing", command(protocol.COM_STMT_EXECUTE, "\x01\x00\x00\x00\x00\x01\x00\x00\x00"), 1243},
		{"COM_STMT_FETCH of nothing", command(protocol.COM_STMT_FETCH, "\x01\x00\x00\x00\x01\x00\x00\x00"), 1243},
		{"a truncated COM_STMT_EXECUTE", command(protocol.COM_STMT_EXECUTE, "\x01\x00"), 1835},
		{"a truncated COM_PROCESS_KILL", command(protocol.COM_PROCESS_KILL, "\x01\x00"), 1835},
		{"a KILL that is no number", query("KILL QUERY 1+1"), 1235},
		{"a KILL of itself", query("KILL QUERY 7"), 1317},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, modernClient)
			r.send(c.request)
			if len(r.backend) != 0 || r.held != nil || r.pool == nil {
				t.Fatal("it asked for a backend")
			}
			if c.number == 0 {
				if want := reply(okPlain); !bytes.Equal(r.client, want) {
					t.Fatalf("client got %q", r.client)
				}
				return
			}
			wantErr(t, r.client, 1, c.number)
			r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
		})
	}
}

func TestKillsGoByTheProxysOwnIDs(t *testing.T) {
	for err, number := range map[error]uint16{nil: 0, engine.ErrNoSession: 1094, engine.ErrNotOwner: 1095} {
		for _, request := range [][]byte{
			query("KILL QUERY 4711"), query("kill 4711;"), command(protocol.COM_PROCESS_KILL, "\x67\x12\x00\x00"),
		} {
			r := newRig(t, modernClient)
			r.killErr = err
			r.send(request)
			if !slices.Equal(r.killed, []uint32{4711}) {
				t.Fatalf("%q killed %v", request, r.killed)
			}
			if number != 0 {
				wantErr(t, r.client, 1, number)
			} else if !bytes.Equal(r.client, reply(okPlain)) {
				t.Fatalf("client got %q", r.client)
			}
		}
	}
}

func TestTheConnectionIDIsTheOneOfTheGreeting(t *testing.T) {
	r := newRig(t, modernClient)
	r.send(query("SELECT Connection_ID()"))
	const column = "\x03def\x00\x00\x00\x0fConnection_ID()\x00\x0c?\x00\x15\x00\x00\x00\x08\xa1\x00\x00\x00\x00"
	if want := reply("\x01", column, "\x017", endMariaDB); !bytes.Equal(r.client, want) {
		t.Fatalf("client got %q, not %q", r.client, want)
	}
	r = newRig(t, oldClient)
	r.send(query("SELECT Connection_ID()"))
	if want := reply("\x01", column, eofPlain, "\x017", eofPlain); !bytes.Equal(r.client, want) {
		t.Fatalf("client got %q, not %q", r.client, want)
	}
}

func TestAReportedChangePins(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SET timestamp=5"), query("SET timestamp=5"), reports("timestamp", "5"))
	if r.held == nil || !slices.Equal(r.kinds(), []engine.Kind{engine.KindSetting}) {
		t.Fatalf("events %v", r.events)
	}
	r.ask(query("SET timestamp=5"), query("SET timestamp=5"), reports("timestamp", "5"))
	if r.pins != 1 {
		t.Fatalf("%d pins", r.pins)
	}
	// A trigger that sets a variable: only the tracker says so.
	r = newRig(t, modernClient)
	r.ask(query("DELETE FROM t"), query("DELETE FROM t"), reply("\x00\x00\x00\x02\x40\x00\x00\x00\x03\x02\x011"))
	if r.held == nil || !slices.Equal(r.kinds(), []engine.Kind{engine.KindUnknown}) {
		t.Fatalf("events %v", r.events)
	}
}

func TestAResetEndsThePinsAndArmsTheTrackers(t *testing.T) {
	r := newRig(t, modernClient)
	r.pool.Target.InitQuery = "SET time_zone='+00:00'"
	r.ask(query("SET timestamp=5"), query("SET timestamp=5"), reports("timestamp", "5"))
	reset := command(protocol.COM_RESET_CONNECTION, "")
	got := r.ask(reset, reset, reply(okPlain))
	if !bytes.Equal(got, reply(okPlain)) {
		t.Fatalf("client got %q", got)
	}
	if want := append(query(trackers), query("SET time_zone='+00:00'")...); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	if r.held == nil {
		t.Fatal("gone before the trackers were armed")
	}
	r.answer(append(reply(okMySQL), reply(okMySQL)...))
	if r.held != nil || r.pins != 0 {
		t.Fatalf("held, events %v", r.events)
	}
}

func TestARoleStaysBehindAResetAndKeepsItsBackend(t *testing.T) {
	reset := command(protocol.COM_RESET_CONNECTION, "")
	r := newRig(t, modernClient)
	r.pool.State.(*backendState).role = "SET ROLE NONE"
	r.ask(query("SET ROLE r"), query("SET ROLE r"), reply(okMySQL))
	r.ask(reset, reset, reply(okPlain))
	if want := query(trackers); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.answer(reply(okMySQL))
	if r.held == nil || r.pins != 1 {
		t.Fatalf("%d pins", r.pins)
	}
	// A role that no statement shows goes.
	r = newRig(t, modernClient)
	r.pool.State.(*backendState).role = "SET ROLE NONE"
	r.ask(query("EXECUTE p"), query("EXECUTE p"), reply(okMySQL))
	r.ask(reset, reset, reply(okPlain))
	if want := append(query(trackers), query("SET ROLE NONE")...); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.answer(append(reply(okMySQL), reply(okMySQL)...))
	if r.held != nil || r.pins != 0 {
		t.Fatalf("held, events %v", r.events)
	}
}

func TestTablesStayLockedBehindAStatementThatCommits(t *testing.T) {
	tables := func(flags string) []byte { return reply("\x00\x00\x00\x02\x40\x00\x00\x00\x0b\x05\x09\x08" + flags) }
	for _, unlock := range []string{"UNLOCK TABLES", "BEGIN"} {
		r := newRig(t, modernClient)
		r.ask(query("LOCK TABLES t WRITE"), query("LOCK TABLES t WRITE"), tables("_______L"))
		for _, sql := range []string{"ALTER TABLE t ADD n INT", "/*!40000 ALTER TABLE t DISABLE KEYS */", "COMMIT"} {
			r.ask(query(sql), query(sql), tables("________"))
			if r.held == nil || r.pins != 1 {
				t.Fatalf("%s: %d pins", sql, r.pins)
			}
		}
		r.ask(query(unlock), query(unlock), reply(okMySQL))
		if r.pins != 0 {
			t.Fatalf("%s: events %v", unlock, r.events)
		}
	}
}

func TestTablesAreLockedThoughNothingIsReported(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("LOCK TABLES t WRITE"), query("LOCK TABLES t WRITE"), reply(okMySQL))
	if r.held == nil || r.pins != 1 {
		t.Fatalf("%d pins", r.pins)
	}
	r.ask(query("UNLOCK TABLES"), query("UNLOCK TABLES"), reply(okMySQL))
	if r.pins != 0 {
		t.Fatalf("events %v", r.events)
	}
}

func TestAFileOfTheClientIsRelayed(t *testing.T) {
	for name, cut := range chunkings() {
		for _, caps := range []uint32{modernClient, oldClient} {
			r := newRig(t, caps)
			r.cut = cut
			load := query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t; SELECT 1")
			got := r.ask(load, load, reply("\xfbx"))
			if !bytes.Equal(got, reply("\xfbx")) {
				t.Fatalf("%s: client got %q", name, got)
			}
			file := pack(2, "5\t6\n", "7\t8\n", "")
			r.client, r.backend = nil, nil
			r.send(append(file, query("SELECT 2")...))
			if !bytes.Equal(r.backend, file) {
				t.Fatalf("%s: backend got %q", name, r.backend)
			}
			r.backend = nil
			r.answer(pack(5, "\x00\x02\x00\x0a\x00\x00\x00", "\x01", columnOne, "\x011", endMariaDB))
			want := pack(5, "\x00\x02\x00\x0a\x00\x00\x00", "\x01", columnOne, "\x011", endMariaDB)
			if caps == oldClient {
				want = pack(5, "\x00\x02\x00\x0a\x00\x00\x00", "\x01", columnOne, eofPlain, "\x011", eofPlain)
			}
			if !bytes.Equal(r.client, want) {
				t.Fatalf("%s: client got %q, not %q", name, r.client, want)
			}
			if !bytes.Equal(r.backend, query("SELECT 2")) {
				t.Fatalf("%s: backend got %q", name, r.backend)
			}
		}
	}
}

func TestPacketsOfASecondFileAreRenumbered(t *testing.T) {
	r := newRig(t, oldClient)
	load := query("SELECT 1; LOAD DATA LOCAL INFILE 'x' INTO TABLE t")
	r.ask(load, load, reply("\x01", columnOne, "\x011", "\xfe\x00\x00\x0a\x00\x00\x00", "\xfbx"))
	r.backend, r.client = nil, nil
	r.send(pack(7, "data", "")) // the client has seen an EOF more than the backend sent
	if want := pack(6, "data", ""); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.answer(pack(8, okPlain))
	if want := pack(9, okPlain); !bytes.Equal(r.client, want) {
		t.Fatalf("client got %q, not %q", r.client, want)
	}
}

func TestAFileThatTheClientDidNotOfferIsNotAskedFor(t *testing.T) {
	r := newRig(t, modernClient&^protocol.CLIENT_LOCAL_FILES)
	r.send(query("SELECT 1"))
	_, err := r.m.FromBackend(reply("\xfb/etc/passwd"), r.wire)
	var violation *engine.ProtocolError
	if !errors.As(err, &violation) || violation.Side != engine.SideBackend || len(r.client) != 0 {
		t.Fatalf("error %v, client got %q", err, r.client)
	}
}

func TestPacketsOfSixteenMiBPassBothWays(t *testing.T) {
	big := strings.Repeat("x", maxPayload-len("\x03SELECT '"))
	for name, parts := range map[string][]string{
		"an exact multiple": {"\x03SELECT '" + big, ""},
		"with a rest":       {"\x03SELECT '" + big, "yyy'"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, modernClient)
			r.cut = func(n int) int { return min(n, 1<<20) }
			request := pack(0, parts...)
			r.send(request)
			skipRestore(r)
			// What was held is delivered now, and the rest with it.
			if !bytes.Equal(r.backend, request) {
				t.Fatalf("backend got %d bytes of %d", len(r.backend), len(request))
			}
			row := pack(4, "\xfe"+big+strings.Repeat("z", 8), "\xfe", "\xfe\x00\x00\x02\x00\x00\x00")
			answer := append(pack(2, "\x01", columnOne), row...)
			r.answer(answer)
			if !bytes.Equal(r.client, answer) || r.m.Busy() {
				t.Fatalf("client got %d bytes of %d", len(r.client), len(answer))
			}
		})
	}
}

func TestALongStatementIsScannedWhileItPasses(t *testing.T) {
	values := strings.Repeat("(1,2),", 30000) + "(1,2)"
	for text, kinds := range map[string][]engine.Kind{
		"INSERT INTO t (a, b) VALUES " + values:        nil,
		"SELECT 1; SET @a = '" + values + "'":          {engine.KindUserVariable},
		"/* " + values + " */ SELECT GET_LOCK('x', 1)": {engine.KindNamedLock},
	} {
		r := newRig(t, modernClient)
		r.cut = func(n int) int { return min(n, 70000) }
		r.send(query(text))
		skipRestore(r)
		if !bytes.Equal(r.backend, query(text)) {
			t.Fatalf("%.30s: backend got %d bytes", text, len(r.backend))
		}
		r.answer(reply(okMySQL))
		if !slices.Equal(r.kinds(), kinds) {
			t.Fatalf("%.30s: %v", text, r.kinds())
		}
	}
}

func TestALongStatementMayAskForWhatItsOwnBackendHas(t *testing.T) {
	long := query("SELECT '" + strings.Repeat("x", 200000) + "', ROW_COUNT() + 0, @@warning_count")
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.m.insertID.exact = true // nothing has to be asked first
	r.client, r.backend = nil, nil
	r.cut = func(n int) int { return min(n, 70000) }
	r.send(long)
	if !bytes.Equal(r.backend, long) || r.closed {
		t.Fatalf("backend got %d bytes of %d, closed %v", len(r.backend), len(long), r.closed)
	}
	r.answer(reply("\x01", columnOne, "\x011", endMySQL))
	r = newRig(t, modernClient)
	r.send(long[:100000])
	skipRestore(r)
	r.send(long[100000:])
	if !r.closed || !bytes.Contains(r.client, []byte("more than 64 KiB")) {
		t.Fatalf("another session's values: closed %v, client got %q", r.closed, r.client)
	}
}

func TestScanningALongStatementTakesNoMemory(t *testing.T) {
	piece := []byte(strings.Repeat("(1, 'some text', NOW(), \"more\"), ", 2000))
	var l lexer
	if n := testing.AllocsPerRun(1, func() {
		l = lexer{}
		l.feed([]byte("INSERT INTO t VALUES "))
		for n := 0; n < 64<<20; n += len(piece) {
			l.feed(piece)
		}
		l.feed([]byte("(1, 'x'); SELECT GET_LOCK('a', 1)"))
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if c := l.finish(); c.kinds != 1<<engine.KindNamedLock {
		t.Errorf("%v", kindsOf(c))
	}
}

func TestALongRequestWithoutABackendIsReadToItsEnd(t *testing.T) {
	r := newRig(t, modernClient)
	r.pool = nil
	text := "SELECT '" + strings.Repeat("x", 200000) + "'"
	r.cut = func(n int) int { return min(n, 70000) }
	r.send(query(text)[:100000])
	r.asked = false
	r.m.Refused(engine.ErrBorrowTimeout, r.wire)
	if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
		t.Fatal(err)
	}
	if len(r.client) != 0 {
		t.Fatalf("answered before its end: %q", r.client)
	}
	r.send(query(text)[100000:])
	wantErr(t, r.client, 1, errBorrowTimeout)
	if r.m.Busy() || r.closed {
		t.Fatal("still busy")
	}
	r.cut = func(n int) int { return n }
	if got := r.ask(query("SELECT ROW_COUNT()"), nil, nil); !bytes.Contains(got, []byte("\x02-1")) {
		t.Errorf("ROW_COUNT() behind it is told as %q", got)
	}
}

func TestQueryAttributesAreBlankedForABackendThatDoesNotKnowThem(t *testing.T) {
	attributes := "\x01\x01\x00\x01\xfe\x00\x04name\x05value"
	r := newRig(t, modernClient|protocol.CLIENT_QUERY_ATTRIBUTES)
	r.ask(query("\x00\x01SELECT 1"), query("  SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
	r.ask(query(attributes+"SELECT 1"), query(strings.Repeat(" ", len(attributes))+"SELECT 1"),
		reply("\x01", columnOne, "\x011", endMariaDB))
	r.pool.State.(*backendState).capabilities = protocol.CLIENT_QUERY_ATTRIBUTES
	r.ask(query(attributes+"SELECT 1"), query(attributes+"SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
	for cut := range len(attributes) {
		_, err := newRig(t, modernClient|protocol.CLIENT_QUERY_ATTRIBUTES).m.FromClient(query(attributes[:cut]), newWire(t))
		if err == nil {
			t.Fatalf("%q was accepted", attributes[:cut])
		}
	}
}

func TestQueryAttributesOfALongRequestComeInPieces(t *testing.T) {
	long := query("\x01\x01\x00\x01\xfe\x00\x04name\x05valueSELECT '" + strings.Repeat("x", 2*engine.MaxHeld) + "'")
	for first := headerSize + 1; first < 30; first++ {
		r := newRig(t, modernClient|protocol.CLIENT_QUERY_ATTRIBUTES)
		r.pool.State.(*backendState).capabilities = protocol.CLIENT_QUERY_ATTRIBUTES
		r.cut = func(n int) int { return n }
		r.send(bytes.Clone(long[:first]))
		r.send(bytes.Clone(long[first:]))
		if !bytes.Equal(r.backend, long) {
			t.Fatalf("%d bytes reach the backend, not %d, where %d came first", len(r.backend), len(long), first)
		}
	}
}

func TestLongQueryAttributesAreRefusedAndTheSessionGoesOn(t *testing.T) {
	n := 2 * engine.MaxHeld
	r := newRig(t, modernClient|protocol.CLIENT_QUERY_ATTRIBUTES)
	r.cut = func(n int) int { return min(n, 70000) }
	r.send(query("\x01\x01\x00\x01\xfe\x00\x04name\xfd" + string([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) + strings.Repeat("v", n) + "SELECT 1"))
	wantErr(t, r.client, 1, protocol.ER_UNKNOWN_ERROR)
	r.client = nil
	r.ask(query("\x00\x01SELECT 1"), query("  SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
}

func TestABackendLostUnderALongRequestThatWasAnsweredEndsTheSession(t *testing.T) {
	r := newRig(t, modernClient)
	long := query("INSERT INTO t VALUES ('" + strings.Repeat("x", 2*engine.MaxHeld) + "')")
	r.send(long[:len(long)-100])
	skipRestore(r)
	r.answer(reply(errSyntax))
	r.held = nil
	r.m.BackendLost(engine.ErrBackendClosed, r.wire)
	if !r.closed {
		t.Fatal("the session goes on, with the rest of the request")
	}
}

func TestALostBackendEndsNoSession(t *testing.T) {
	r := newRig(t, modernClient)
	r.send(query("SELECT 1"))
	r.held = nil
	r.m.BackendLost(engine.ErrBackendClosed, r.wire)
	wantErr(t, r.client, 1, 9502)
	if r.closed {
		t.Fatal("the session is over")
	}

	r = newRig(t, modernClient)
	r.ask(query("INSERT INTO t VALUES (1)"), query("INSERT INTO t VALUES (1)"), reply(insertMySQL))
	r.held, r.client = nil, nil
	r.m.BackendLost(engine.ErrBackendClosed, r.wire) // while LAST_INSERT_ID() is read
	if r.closed || len(r.client) != 0 {
		t.Fatalf("client got %q", r.client)
	}
	r.pool = &engine.Backend{State: &backendState{}}
	r.send(query("SELECT LAST_INSERT_ID()"))
	wantErr(t, r.client, 1, 1105)
	if r.held != nil {
		t.Fatal("still held")
	}
}

func TestALoginWithADatabaseAsksABackendOnce(t *testing.T) {
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	login := func(w *wire) *Machine {
		m := newMachine(e, sessionInfo{id: 7, database: "shop", key: keyOf("app", "shop", modernClient, 45),
			capabilities: modernClient, charset: 45, sequence: 2}).(*Machine)
		m.Start(w)
		return m
	}
	w := newWire(t)
	m := login(w)
	if want := command(protocol.COM_INIT_DB, "shop"); !bytes.Equal(w.backend, want) || len(w.client) != 0 {
		t.Fatalf("backend got %q", w.backend)
	}
	if _, err := m.FromBackend(reply("\xff\x19\x04#42000Unknown database 'shop'"), w); err != nil {
		t.Fatal(err)
	}
	wantErr(t, w.client, 2, 1049)
	if !w.closed {
		t.Fatal("the session goes on")
	}

	w = newWire(t)
	m = login(w)
	if _, err := m.FromBackend(reply(okPlain), w); err != nil {
		t.Fatal(err)
	}
	if want := pack(2, okPlain); !bytes.Equal(w.client, want) || w.held != nil {
		t.Fatalf("client got %q", w.client)
	}
	w = newWire(t)
	w.pool = nil
	login(w)
	if want := pack(2, okPlain); !bytes.Equal(w.client, want) {
		t.Fatalf("client got %q the second time", w.client)
	}
}

func TestASessionWithoutADatabaseThatChoosesOneKeepsItsBackend(t *testing.T) {
	r := newRig(t, modernClient)
	use := query("USE shop")
	r.ask(use, use, reply("\x00\x00\x00\x02\x40\x00\x00\x00\x0a\x01\x05\x04shop\x02\x011"))
	if r.held == nil || !slices.Equal(r.kinds(), []engine.Kind{engine.KindSchema}) {
		t.Fatalf("events %v", r.events)
	}
}

func TestWarningsOfAnotherSessionAreClearedFirst(t *testing.T) {
	r := newRig(t, modernClient)
	r.pool.State = &backendState{mariaDB: true, machineState: machineState{stale: true, last: &Machine{}}}
	r.send(query("SELECT 1"))
	if want := query(clearDiagnostics); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.backend = nil
	r.answer(reply("\x01", columnOne, "\x011", endMariaDB))
	if !bytes.Equal(r.backend, query("SELECT 1")) {
		t.Fatalf("backend got %q", r.backend)
	}
}

func TestSequenceIDsWrap(t *testing.T) {
	r := newRig(t, oldClient)
	rows, wants := []string{"\x01", columnOne}, []string{"\x01", columnOne, eofPlain}
	for range 600 {
		rows, wants = append(rows, "\x011"), append(wants, "\x011")
	}
	got := r.ask(query("SELECT 1"), query("SELECT 1"), reply(append(rows, endMySQL)...))
	if want := reply(append(wants, eofPlain)...); !bytes.Equal(got, want) {
		t.Fatalf("client got %d bytes, not %d", len(got), len(want))
	}
}

// A server that was sent more than max_allowed_packet says so, and closes the connection. Nobody else may be lent that, nor is it for the session's next request.
func TestABackendThatWasSentTooMuchIsNotUsedAgain(t *testing.T) {
	failed := appendERR(nil, 1, modernClient, protocol.ER_NET_PACKET_TOO_LARGE, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
	r := newRig(t, modernClient)
	long := query("SELECT '" + strings.Repeat("x", 100) + "'")
	if got := r.ask(long, long, failed); !bytes.Equal(got, failed) {
		t.Fatalf("client got %q", got)
	}
	if !r.discarded || r.held != nil || r.closed {
		t.Fatalf("discarded %v, held %v, closed %v", r.discarded, r.held, r.closed)
	}
	r.pool = &engine.Backend{ID: 2, State: &backendState{}}
	one := query("SELECT 1")
	if got := r.ask(query("SHOW WARNINGS"), nil, nil); !bytes.Contains(got, []byte("The value belongs")) {
		t.Errorf("the error is not there, and the client got %q", got)
	}
	r.ask(one, one, reply("\x01", columnOne, "\x011", endMySQL))

	r = newRig(t, modernClient) // in a transaction, which is lost with it
	begin := query("BEGIN")
	r.ask(begin, begin, reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.ask(long, long, failed)
	if r.discarded || r.held == nil {
		t.Errorf("discarded %v, held %v", r.discarded, r.held)
	}
	r.lose()
	if got := r.ask(one, nil, nil); !bytes.Contains(got, []byte("the transaction was rolled back")) {
		t.Errorf("client got %q", got)
	}
}

// The number would be another's connection on the server.
func TestAKillInATextThatIsPutTogetherIsRefused(t *testing.T) {
	for text, refused := range map[string]bool{
		"EXECUTE IMMEDIATE CONCAT('KILL ', 5)":                       true,
		"EXECUTE IMMEDIATE concat(CONCAT(\"kill \", 'query '), @id)": true,
		"EXECUTE IMMEDIATE 'KILL ' || 5":                             true,
		"PREPARE s FROM CONCAT ('KILL CONNECTION ', @id)":            true,
		"EXECUTE IMMEDIATE CONCAT('', 'KILL 5')":                     true,
		"EXECUTE IMMEDIATE CONCAT_WS(' ', 'KILL', 5)":                true,
		"EXECUTE IMMEDIATE '' || 'KILL 5'":                           true,
		"EXECUTE IMMEDIATE (' ' 'KILL 5')":                           true,
		"EXECUTE IMMEDIATE LOWER(TRIM('KILL 5'))":                    true,
		"EXECUTE IMMEDIATE _utf8mb4'KILL 5'":                         true,
		"PREPARE s FROM N'KILL 5'":                                   true,
		"PREPARE s FROM 'SELECT 1'; SELECT 1 FROM (SELECT 'kill a')": false,
		"PREPARE s FROM 'SELECT 1'; SELECT 1 FROM t WHERE a='kill '": false,
		"EXECUTE IMMEDIATE CONCAT(@a, 'kill bill')":                  false,
		"PREPARE s FROM CONCAT('SELECT ', 'kill bill')":              false,
		"PREPARE s FROM 'SELECT 1'; SELECT CONCAT('kill bill', a)":   false,
		"EXECUTE IMMEDIATE @text":                                    false,
	} {
		r := newRig(t, modernClient)
		r.send(query(text))
		if got := bytes.Contains(r.client, []byte(errKillForm.message)); got != refused {
			t.Errorf("%s: refused %v", text, got)
		}
	}
}
