package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Client kinds, by what they negotiated.
const (
	baseCaps = protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION | protocol.CLIENT_MULTI_RESULTS |
		protocol.CLIENT_PS_MULTI_RESULTS | protocol.CLIENT_LOCAL_FILES
	oldClient     = baseCaps
	trackClient   = baseCaps | protocol.CLIENT_SESSION_TRACK
	modernClient  = baseCaps | protocol.CLIENT_DEPRECATE_EOF
	trackedModern = modernClient | protocol.CLIENT_SESSION_TRACK
)

// wire is a Wire whose pool has one backend, or none.
type wire struct {
	t         testing.TB
	client    []byte
	backend   []byte
	pool      *engine.Backend // what Borrow finds
	held      *engine.Backend
	pins      int
	strict    bool        // nothing is restored
	ignores   engine.Kind // nothing becomes of it; 0: none such
	events    []engine.Event
	closed    bool
	reason    error
	discarded bool
	idles     int
	asked     bool
	moments   [engine.WriteRefused + 1]int
	killed    []uint32
	killErr   error
	aside     func(context.Context) func(engine.Wire) // is to be done
	became    []string                                // whom the session became: user and database
	becomeErr error
}

func (w *wire) ToClient(p []byte) { w.client = append(w.client, p...) }
func (w *wire) ToBackend(p []byte) {
	if w.held == nil {
		w.t.Fatal("bytes for a backend that is not held")
	}
	w.backend = append(w.backend, p...)
}
func (w *wire) Borrow(engine.Want) *engine.Backend {
	if w.held != nil || w.asked {
		w.t.Fatal("borrowed twice")
	}
	w.held, w.pool = w.pool, nil
	w.asked = w.held == nil
	return w.held
}
func (w *wire) Idle() bool {
	if w.held == nil {
		w.t.Fatal("idle without a backend")
	}
	w.idles++
	if w.pins > 0 {
		return false
	}
	w.pool, w.held = w.held, nil
	return true
}
func (w *wire) Discard(error) {
	if w.held == nil {
		w.t.Fatal("discarded without a backend")
	}
	w.held, w.discarded, w.pins = nil, true, 0
}
func (w *wire) Report(ev engine.Event) engine.Action {
	w.events = append(w.events, ev)
	if ev.Restorable && !w.strict {
		return engine.Restore
	}
	if w.ignores != 0 && ev.Kind == w.ignores {
		return engine.Ignore
	}
	switch {
	case ev.Kind == engine.KindReset:
		w.pins = 0
	case ev.Undo:
		if w.pins--; w.pins == 0 {
			return engine.Ignore
		}
	default:
		w.pins++
	}
	return engine.Pin
}
func (w *wire) Aside(work func(context.Context) func(engine.Wire)) {
	if w.aside != nil {
		w.t.Fatal("two things aside")
	}
	w.aside = work
}
func (w *wire) Kill(id uint32, _ engine.KillScope) error {
	w.killed = append(w.killed, id)
	return w.killErr
}
func (w *wire) Outdate(string, string) {
	w.t.Error("nothing of MySQL's needs that nobody is logged in")
}
func (w *wire) Become(user, database, _ string) error {
	w.became = append(w.became, user+" "+database)
	return w.becomeErr
}
func (w *wire) Close(reason error) {
	w.closed, w.reason, w.held = true, reason, nil
}
func (w *wire) Observe(m engine.Moment) { w.moments[m]++ }

// kinds are the kinds reported so far.
func (w *wire) kinds() (k []engine.Kind) {
	for _, ev := range w.events {
		if !ev.Undo {
			k = append(k, ev.Kind)
		}
	}
	return k
}

func newWire(t testing.TB) *wire {
	return &wire{t: t, pool: &engine.Backend{ID: 1, State: &backendState{id: 77, arm: trackers}}}
}

// rig is a machine with both of its peers.
type rig struct {
	t testing.TB
	*wire
	m *Machine
	// unread are bytes that the machine has not consumed.
	fromClient, fromBackend []byte
	cut                     func(n int) int // how many of n bytes come at once
}

func newRig(t testing.TB, caps uint32) *rig {
	r := &rig{t: t, wire: newWire(t), cut: func(n int) int { return n }}
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	r.m = newMachine(e, sessionInfo{id: 7, key: keyOf("app", "", caps, 45), capabilities: caps, charset: 45,
		sequence: 2}).(*Machine)
	r.m.Start(r.wire)
	r.client = nil
	return r
}

// feed delivers p to one side in pieces, and what is held on the other after each.
func (r *rig) feed(held *[]byte, p []byte, to func([]byte, engine.Wire) (int, error)) error {
	for len(p) > 0 {
		n := r.cut(len(p))
		*held = append(*held, p[:n]...)
		p = p[n:]
		if err := r.deliver(held, to); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) deliver(held *[]byte, to func([]byte, engine.Wire) (int, error)) error {
	if len(*held) == 0 || r.closed || (r.asked || r.aside != nil) && held == &r.fromClient {
		return nil
	}
	n, err := to(*held, r.wire)
	*held = (*held)[n:]
	return err
}

func (r *rig) send(p []byte) {
	r.t.Helper()
	if err := r.feed(&r.fromClient, bytes.Clone(p), r.m.FromClient); err != nil {
		r.t.Fatalf("from client: %v", err)
	}
}

// finish does what is to be done aside, and gives the machine what its client has sent meanwhile.
func (r *rig) finish(ctx context.Context) {
	r.t.Helper()
	work := r.aside
	then := work(ctx)
	r.aside = nil
	then(r.wire)
	if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
		r.t.Fatalf("from client: %v", err)
	}
}

func (r *rig) answer(p []byte) {
	r.t.Helper()
	if err := r.feed(&r.fromBackend, bytes.Clone(p), r.m.FromBackend); err != nil {
		r.t.Fatalf("from backend: %v", err)
	}
	if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
		r.t.Fatalf("from client: %v", err)
	}
}

// ask sends a request, checks what the backend gets, answers it and returns what the client gets.
func (r *rig) ask(request []byte, wants []byte, reply []byte) []byte {
	r.t.Helper()
	r.client, r.backend = nil, nil
	r.send(request)
	if !bytes.Equal(r.backend, wants) {
		r.t.Fatalf("backend got %q, not %q", r.backend, wants)
	}
	r.backend = nil
	r.answer(reply)
	return r.client
}

func command(c byte, text string) []byte { return pack(0, string([]byte{c})+text) }
func query(text string) []byte           { return command(protocol.COM_QUERY, text) }

// pack makes packets with sequence ids from first.
func pack(first uint8, payloads ...string) []byte {
	var out []byte
	for i, p := range payloads {
		out = appendHeader(out, len(p), first+uint8(i))
		out = append(out, p...)
	}
	return out
}

// answered is pack for what a backend says.
func reply(payloads ...string) []byte { return pack(1, payloads...) }

// What servers said, captured from MySQL 9.7 and MariaDB 10.11.
const (
	okMySQL      = "\x00\x00\x00\x02\x40\x00\x00\x00\x16\x00\x14\x0cstatement_id\x06590060"
	okMariaDB    = "\x00\x00\x00\x02\x00\x00\x00"
	okPlain      = okMariaDB
	endMySQL     = "\xfe\x00\x00\x02\x40\x00\x00\x00\x16\x00\x14\x0cstatement_id\x06590055"
	endMariaDB   = "\xfe\x00\x00\x02\x00\x00\x00"
	moreMySQL    = "\xfe\x00\x00\x0a\x40\x00\x00\x00\x16\x00\x14\x0cstatement_id\x06590079"
	columnOne    = "\x03def\x00\x00\x00\x011\x00\x0c?\x00\x02\x00\x00\x00\x08\x81\x00\x00\x00\x00"
	columnA      = "\x03def\x03app\x02tt\x02tt\x01a\x01a\x0c?\x00\x0b\x00\x00\x00\x03\x03B\x00\x00\x00"
	columnParam  = "\x03def\x00\x00\x00\x01?\x00\x0c?\x00\x15\x00\x00\x00\x08\x80\x00\x00\x00\x00"
	errSyntax    = "\xff\x28\x04#42000You have an error in your SQL syntax"
	setNamesOK   = "\x00\x00\x00\x02\x40\x00\x00\x00\x7b\x00\x1d\x14character_set_client\x07utf8mb4\x00!\x18character_set_connection\x07utf8mb4\x00\x1e\x15character_set_results\x07utf8mb4\x00\x14\x0cstatement_id\x06590071\x02\x011"
	setNamesSeen = "\x00\x00\x00\x02\x40\x00\x00\x00\x62\x00\x1d\x14character_set_client\x07utf8mb4\x00!\x18character_set_connection\x07utf8mb4\x00\x1e\x15character_set_results\x07utf8mb4"
	beginMySQL   = "\x00\x00\x00\x03\x40\x00\x00\x00\x36\x00\x14\x0cstatement_id\x06590305\x05\t\x08T_______\x04\x13\x12START TRANSACTION;"
	commitMySQL  = "\x00\x00\x00\x02\x40\x00\x00\x00\x24\x00\x14\x0cstatement_id\x06590078\x05\t\x08________\x04\x01\x00"
	insertMySQL  = "\x00\x02\x01\x02\x40\x00\x00\x26Records: 2  Duplicates: 0  Warnings: 0\x16\x00\x14\x0cstatement_id\x06590062"
	insertShort  = "\x00\x02\x01\x02\x00\x00\x00\x26Records: 2  Duplicates: 0  Warnings: 0"
	okMore       = "\x00\x00\x00\x0a\x00\x00\x00"
	eofPlain     = "\xfe\x00\x00\x02\x00"
	eofMore      = "\xfe\x00\x00\x0a\x00"
)

// answersOf are a request, what a backend answers, and what each kind of client must see.
var conversions = []struct {
	name                    string
	request, answer         []byte
	old, modern, alsoTracks []byte // alsoTracks nil: as modern
}{
	{
		name: "a text result of MySQL", request: query("SELECT 1"),
		answer: reply("\x01", columnOne, "\x011", endMySQL),
		old:    reply("\x01", columnOne, eofPlain, "\x011", eofPlain),
		modern: reply("\x01", columnOne, "\x011", endMariaDB),
	},
	{
		name: "a text result of MariaDB", request: query("SELECT 1"),
		answer: reply("\x01", columnOne, "\x011", endMariaDB),
		old:    reply("\x01", columnOne, eofPlain, "\x011", eofPlain),
		modern: reply("\x01", columnOne, "\x011", endMariaDB),
	},
	{
		name: "a result without rows", request: query("SELECT 1"),
		answer: reply("\x01", columnOne, endMySQL),
		old:    reply("\x01", columnOne, eofPlain, eofPlain),
		modern: reply("\x01", columnOne, endMariaDB),
	},
	{
		name: "several results", request: query("SELECT 1; SELECT 1"),
		answer: reply("\x01", columnOne, "\x011", moreMySQL, "\x01", columnOne, "\x011", endMySQL),
		old: reply("\x01", columnOne, eofPlain, "\x011", eofMore, "\x01", columnOne, eofPlain, "\x011",
			eofPlain),
		modern: reply("\x01", columnOne, "\x011", "\xfe\x00\x00\x0a\x00\x00\x00", "\x01", columnOne, "\x011", endMariaDB),
	},
	{
		name: "an error between results", request: query("SELECT 1; SELEC"),
		answer: reply("\x01", columnOne, "\x011", moreMySQL, errSyntax),
		old:    reply("\x01", columnOne, eofPlain, "\x011", eofMore, errSyntax),
		modern: reply("\x01", columnOne, "\x011", "\xfe\x00\x00\x0a\x00\x00\x00", errSyntax),
	},
	{
		name: "an error after rows", request: query("SELECT 1"),
		answer: reply("\x01", columnOne, "\x011", errSyntax),
		old:    reply("\x01", columnOne, eofPlain, "\x011", errSyntax),
		modern: reply("\x01", columnOne, "\x011", errSyntax),
	},
	{
		name: "an OK with trackers", request: query("SET NAMES utf8mb4"),
		answer: reply(setNamesOK), old: reply(okPlain), modern: reply(okPlain), alsoTracks: reply(setNamesSeen),
	},
	{
		name: "an OK with an info", request: query("INSERT INTO t VALUES (1)"),
		answer: reply(insertMySQL), old: reply(insertShort), modern: reply(insertShort),
	},
	{
		name: "COM_FIELD_LIST", request: command(protocol.COM_FIELD_LIST, "t\x00"),
		answer: reply(columnA, columnA, endMariaDB),
		old:    reply(columnA, columnA, eofPlain),
		modern: reply(columnA, columnA, endMariaDB),
	},
	{
		name: "COM_STATISTICS", request: command(protocol.COM_STATISTICS, ""),
		answer: reply("Uptime: 594"), old: reply("Uptime: 594"), modern: reply("Uptime: 594"),
	},
	{
		name: "COM_SET_OPTION", request: command(protocol.COM_SET_OPTION, "\x01\x00"),
		answer: reply("\xfe\x00\x00\x02\x00\x00\x00"), old: reply(eofPlain), modern: reply(endMariaDB),
	},
	{
		name: "COM_STMT_PREPARE with parameters and columns", request: command(protocol.COM_STMT_PREPARE, "SELECT a FROM tt WHERE a=?"),
		answer: reply("\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00", columnParam, columnA),
		old:    reply("\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00", columnParam, eofPlain, columnA, eofPlain),
		modern: reply("\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00", columnParam, columnA),
	},
	{
		name: "COM_STMT_PREPARE with neither", request: command(protocol.COM_STMT_PREPARE, "DO 1"),
		answer: reply("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		old:    reply("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		modern: reply("\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	},
	{
		name: "COM_STMT_PREPARE with parameters only", request: command(protocol.COM_STMT_PREPARE, "DO ?"),
		answer: reply("\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", columnParam),
		old:    reply("\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", columnParam, eofPlain),
		modern: reply("\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", columnParam),
	},
}

// skipRestore answers what a statement that may read it needs first: the session's LAST_INSERT_ID().
func skipRestore(r *rig) {
	if bytes.Equal(r.backend, query("SET last_insert_id=0")) {
		r.backend = nil
		r.answer(reply(okMySQL))
	}
}

func TestEveryAnswerFitsEveryClient(t *testing.T) {
	for _, c := range conversions {
		for caps, want := range map[uint32][]byte{
			oldClient: c.old, trackClient: c.old, modernClient: c.modern, trackedModern: c.modern,
		} {
			if caps&protocol.CLIENT_SESSION_TRACK != 0 && c.alsoTracks != nil {
				want = c.alsoTracks
			}
			for name, cut := range chunkings() {
				t.Run(fmt.Sprintf("%s/%#x/%s", c.name, caps, name), func(t *testing.T) {
					r := newRig(t, caps)
					r.cut = cut
					r.send(c.request)
					skipRestore(r)
					if !bytes.Equal(r.backend, c.request) {
						t.Fatalf("backend got %q", r.backend)
					}
					r.answer(c.answer)
					if !bytes.Equal(r.client, want) {
						t.Fatalf("client got\n%q, not\n%q", r.client, want)
					}
					if r.m.Busy() {
						t.Fatal("still busy")
					}
				})
			}
		}
	}
}

func chunkings() map[string]func(int) int {
	rnd := rand.New(rand.NewPCG(1, 2))
	return map[string]func(int) int{
		"at once":        func(n int) int { return n },
		"byte by byte":   func(int) int { return 1 },
		"random pieces":  func(n int) int { return 1 + rnd.IntN(n) },
		"pieces of five": func(n int) int { return min(n, 5) },
	}
}

func TestAPlainQueryGivesItsBackendBack(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMySQL))
	if r.held != nil || len(r.events) != 0 {
		t.Fatalf("held %v, events %v", r.held, r.events)
	}
	if r.moments != [engine.WriteRefused + 1]int{1, 1, 1} {
		t.Fatalf("moments %v", r.moments)
	}
}

func TestATransactionHoldsItsBackend(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply(beginMySQL))
	if r.held == nil || !r.m.InTransaction() || len(r.events) != 0 {
		t.Fatalf("held %v, events %v", r.held, r.events)
	}
	r.ask(query("SELECT"), query("SELECT"), reply(errSyntax))
	if r.held == nil || !r.m.InTransaction() {
		t.Fatal("an error ended the transaction")
	}
	r.ask(query("COMMIT"), query("COMMIT"), reply(commitMySQL))
	if r.held != nil {
		t.Fatalf("still held: %v", r.events)
	}
}

func TestAnInsertIDFollowsItsSession(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("INSERT INTO t VALUES (1)"), query("INSERT INTO t VALUES (1)"), reply(insertMySQL))
	if want := append(query("SELECT LAST_INSERT_ID() LIMIT 1"), query("SET last_insert_id=0")...); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.client, r.backend = nil, nil
	r.send(query("SELECT LAST_INSERT_ID() + 0")) // must wait
	r.answer(append(reply("\x01", columnOne, "\x0242", endMySQL), reply(okMySQL)...))
	if len(r.client) != 0 {
		t.Fatalf("client got %q", r.client)
	}
	if want := query("SET last_insert_id=42"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.backend = nil
	r.answer(reply(okMySQL))
	if want := query("SELECT LAST_INSERT_ID() + 0"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.backend = nil
	r.answer(reply("\x01", columnOne, "\x0242", endMySQL))
	if want := query("SET last_insert_id=0"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q, not %q", r.backend, want)
	}
	r.answer(reply(okMySQL))
	if r.held != nil {
		t.Fatal("still held")
	}
}

func TestAnInsertWithAnExplicitIDLeavesTheInsertIDAlone(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.insertID.value = 77
	r.ask(query("INSERT INTO t VALUES (1)"), query("INSERT INTO t VALUES (1)"), reply(insertMySQL))
	r.answer(append(reply("\x01", columnOne, "\x010", endMySQL), reply(okMySQL)...))
	if r.held != nil || r.m.insertID.value != 77 {
		t.Fatalf("value %d", r.m.insertID.value)
	}
}

func TestWarningsHoldTheBackendUntilTheNextStatement(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SELECT 1/0"), query("SELECT 1/0"), reply("\x01", columnOne, "\xfb", "\xfe\x00\x00\x02\x00\x01\x00"))
	if r.held == nil {
		t.Fatal("the backend with the warnings is gone")
	}
	r.ask(query("SHOW WARNINGS"), query("SHOW WARNINGS"), reply("\x01", columnOne, "\xfb", endMariaDB))
	if r.held == nil {
		t.Fatal("the backend with the warnings is gone after they were shown")
	}
	r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
	if r.held != nil {
		t.Fatal("still held")
	}
}

func TestValuesOfAReturnedConnectionAreRefused(t *testing.T) {
	r := newRig(t, modernClient)
	r.send(query("SELECT ROW_COUNT() + 0"))
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("\xff\x51\x04#HY000The value")) || r.held != nil {
		t.Fatalf("backend got %q, client %q", r.backend, r.client)
	}
	r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
	r.ask(query("SELECT ROW_COUNT() + 0"), query("SELECT ROW_COUNT() + 0"), reply("\x01", columnOne, "\x02-1", endMariaDB))
	r.client, r.backend = nil, nil
	r.send(query("SELECT ROW_COUNT() AS n, FOUND_ROWS()"))
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("\x02-1\x011")) {
		t.Fatalf("backend got %q, client %q", r.backend, r.client)
	}
	r.client = nil
	r.send(query("SELECT ROW_COUNT() + 0")) // no backend has what the last one left
	if len(r.backend) != 0 || !bytes.Contains(r.client, []byte("\xff\x51\x04")) {
		t.Fatalf("backend got %q, client %q", r.backend, r.client)
	}
}

// MySQL tells where a backend is with the OK behind a COM_STMT_PREPARE that has read a function's code, which may be another session's.
func TestALateReportOfADefaultDatabaseIsNotTheNextSessions(t *testing.T) {
	option := command(protocol.COM_SET_OPTION, "\x00\x00")
	r := newRig(t, modernClient)
	r.m.info.key.Database, r.m.session.schema = anyDatabase, "shop"
	r.pool.State.(*backendState).schema = "theirs"
	r.ask(option, option, reply("\x00\x00\x00\x02\x40\x00\x00\x00\x09\x01\x07\x06theirs"))
	r.client, r.backend = nil, nil
	r.send(query("SELECT 1"))
	if want := command(protocol.COM_INIT_DB, "shop"); !bytes.Equal(r.backend, want) || r.m.session.schema != "shop" {
		t.Fatalf("backend got %q, the session is in %q", r.backend, r.m.session.schema)
	}
}

func TestTheDefaultDatabaseIsSetBeforeTheStatement(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.info.key.Database, r.m.session.schema = anyDatabase, "shop"
	r.send(query("SELECT 1"))
	if want := command(protocol.COM_INIT_DB, "shop"); !bytes.Equal(r.backend, want) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.backend = nil
	r.answer(reply("\x00\x00\x00\x02\x40\x00\x00\x00\x07\x01\x05\x04shop"))
	if !bytes.Equal(r.backend, query("SELECT 1")) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.answer(reply("\x01", columnOne, "\x011", endMariaDB))
	if r.held != nil || len(r.events) != 0 {
		t.Fatalf("held, events %v", r.events)
	}
}

func TestADefaultDatabaseThatIsGoneFailsTheStatement(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.info.key.Database, r.m.session.schema = anyDatabase, "shop"
	r.send(query("DELETE FROM t"))
	r.answer(reply("\xff\x19\x04#42000Unknown database 'shop'"))
	if !bytes.Equal(r.client, reply("\xff\x19\x04#42000Unknown database 'shop'")) {
		t.Fatalf("client got %q", r.client)
	}
	if bytes.Contains(r.backend, []byte("DELETE")) || r.held != nil {
		t.Fatalf("backend got %q", r.backend)
	}
}

func TestABorrowThatFailsAnswersTheRequest(t *testing.T) {
	r := newRig(t, modernClient)
	r.pool = nil
	r.send(query("SELECT 1"))
	r.asked = false
	r.m.Refused(engine.ErrBorrowTimeout, r.wire)
	if err := r.deliver(&r.fromClient, r.m.FromClient); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(r.client, []byte("Timed-out waiting")) || len(r.fromClient) != 0 || r.closed {
		t.Fatalf("client got %q", r.client)
	}
}

func TestARequestThatIsDeclinedIsNotForTheHeldBackend(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("SELECT GET_LOCK('a', 1)"), query("SELECT GET_LOCK('a', 1)"), reply("\x01", columnOne, "\x011", endMariaDB))
	r.answer(reply("\x01", columnOne, "\x011", endMariaDB)) // whether it holds the lock
	if r.held == nil {
		t.Fatal("no backend is held")
	}
	for _, p := range [][]byte{query("SELECT 1"), command(protocol.COM_STMT_PREPARE, "SELECT 1")} {
		if r.client, r.backend = nil, nil; r.m.Decline(p[:headerSize], engine.ErrCanceled, r.wire) {
			t.Error("of a request nothing is known but its length")
		}
		if !r.m.Decline(p, engine.ErrCanceled, r.wire) {
			t.Fatal("not declined")
		}
		r.send(p)
		wantErr(t, r.client, 1, protocol.ER_QUERY_INTERRUPTED)
		if len(r.backend) > 0 || r.m.Busy() {
			t.Fatalf("backend got %q", r.backend)
		}
	}
	if r.m.Decline(command(protocol.COM_QUIT, ""), engine.ErrCanceled, r.wire) {
		t.Error("a goodbye is declined")
	}
	r.ask(query("SELECT 1"), query("SELECT 1"), reply("\x01", columnOne, "\x011", endMariaDB))
	if len(r.client) == 0 || r.held == nil {
		t.Errorf("client got %q", r.client)
	}
}

func TestOutOfOrderPacketsEndTheSession(t *testing.T) {
	r := newRig(t, modernClient)
	err := r.feed(&r.fromClient, pack(5, "\x03SELECT 1"), r.m.FromClient)
	var violation *engine.ProtocolError
	if !errors.As(err, &violation) || violation.Side != engine.SideClient {
		t.Fatalf("error %v", err)
	}
	if !bytes.Contains(r.client, []byte("\xff\x84\x04#08S01Got packets out of order")) {
		t.Fatalf("client got %q", r.client)
	}
}

func TestTheLoginEndsWithWhatVerifiesTheCertificate(t *testing.T) {
	w := newWire(t)
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	info := sessionInfo{id: 7, key: keyOf("app", "", 0, 45), charset: 45, sequence: 2, info: "proof"}
	newMachine(e, info).Start(w)
	if want := "\x0d\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x05proof"; string(w.client) != want {
		t.Errorf("sent %q, expected %q", w.client, want)
	}
}

func TestTheInsertIDOfRowsThatAnInsertReturnsFollowsItsSession(t *testing.T) {
	for _, text := range []string{"INSERT INTO t VALUES () RETURNING id", "ANALYZE INSERT INTO t VALUES ()", "ANALYZE FORMAT = JSON REPLACE t VALUES ()",
		"SET STATEMENT max_statement_time = 9 FOR INSERT INTO t VALUES () RETURNING id"} {
		r := newRig(t, modernClient)
		r.ask(query(text), query(text), reply("\x01", columnOne, "\x012", endMariaDB))
		if !r.m.insertID.touched {
			t.Errorf("%s: LAST_INSERT_ID() is left behind", text)
		}
	}
}
