package mysql

import (
	"encoding/binary"
	"runtime"
	"sync"
	"weak"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// What sessions and backends have of prepared statements (section "COM_STMT_PREPARE"). A session has statements under ids of
// its own, which lead to statements that all sessions share, by text, default database and the settings that decide how it is understood; a backend has a shared statement
// under the server's id, and gets it when a session that uses it comes.
//
// To a server a statement is more than its text: types of parameters, parts of long data, a cursor. The types are sent again
// when the last to execute the server's statement was another of the proxy's; one that the server has come to understand by other
// types is not used (shape.go). While there is long data or a cursor, the
// statement on the server is taken out of the backend's table: it belongs to one session, which keeps the backend.

const (
	// maxStatements is how many statements a session may have, and maxStatementBytes how much text and types of them is
	// remembered. Statements beyond that live on one backend only.
	maxStatements     = 4000
	maxStatementBytes = 4 << 20
	// maxParams is how many parameters a statement may have whose types are remembered: they must be held whole.
	maxParams = 1 << 14
	// maxPrepared is how many shared statements a backend keeps.
	maxPrepared = 200
)

// sharedStatement is a statement that backends may have. It is immutable.
type sharedStatement struct {
	schema   string    // the default database in which it was prepared, "" for none
	settings *settings // some with which it is understood,
	meaning  string    // as all of this meaning do
	packet   []byte    // the COM_STMT_PREPARE
}

func (s *sharedStatement) text() []byte { return s.packet[headerSize+1:] }

// sharedStatements are an engine's, as long as a session or a backend has them. Any goroutine may use them.
type sharedStatements struct {
	mu    sync.Mutex
	byKey map[string]weak.Pointer[sharedStatement]
	texts engine.Texts
}

// statementCopies is how much of the text of a statement is kept, in all: the packet and the key.
const statementCopies = 2

// statementRoom is about what a session has of a statement beside its text, on a 64-bit machine.
const statementRoom = 256

// intern returns the one that is like this one, which may be it.
func (s *sharedStatements) intern(shared *sharedStatement) *sharedStatement {
	key := shared.schema + "\x00" + shared.meaning + "\x00" + string(shared.text())
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byKey[key].Value(); known != nil {
		return known
	}
	if s.byKey == nil {
		s.byKey = make(map[string]weak.Pointer[sharedStatement])
	}
	s.byKey[key] = weak.Make(shared)
	size := statementCopies * len(shared.packet)
	s.texts.Add(size)
	runtime.AddCleanup(shared, func(key string) { s.forget(key, size) }, key)
	return shared
}

// forget is called when nobody has the statement of key any more; it may have been made anew since.
func (s *sharedStatements) forget(key string, size int) {
	s.texts.Add(-size)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key].Value() == nil {
		delete(s.byKey, key)
	}
}

// heldStatement is a statement as one backend has it.
type heldStatement struct {
	id    uint32     // the server's
	types *statement // whose types of parameters the server has for sure, nil for nobody's,
	// retyped is how often these had changed.
	retyped uint32
	used    bool // somebody executed it, so that the server may have types
	// opened says that an execution asked for a cursor.
	opened bool
	// strange says that it is the own one of a statement that has not executed it since another one may have (garblesLong).
	strange bool
	shape   string // of all its executions, see shape.go
	// integers has a bit for each parameter that the server takes for an integer; nil if there is none, or it does not matter.
	integers []byte
	last     uint64 // when it was used last, by the backend's own clock
}

// knows says whether the server has the types that s has for h.
func (h *heldStatement) knows(s *statement) bool { return h.types == s && h.retyped == s.retyped }

// backendStatements are the shared statements of one backend. They belong to the machine that holds it.
type backendStatements struct {
	held  map[*sharedStatement]*heldStatement
	clock uint64
	place *place

	defined   *heldStatement // of which definitions of parameters are arriving, nil for one that is not kept,
	parameter int            // and which one is next
}

// use returns what the backend has of s, nil for nothing.
func (b *backendStatements) use(s *sharedStatement) *heldStatement {
	h := b.held[s]
	if h != nil {
		b.clock++
		h.last = b.clock
	}
	return h
}

func (b *backendStatements) put(s *sharedStatement, h *heldStatement) {
	if b.held == nil {
		b.held = make(map[*sharedStatement]*heldStatement)
	}
	b.clock++
	h.last = b.clock
	if b.held[s] == nil {
		b.place.add(1)
	}
	b.held[s] = h
}

// take takes s out of what the backend keeps. The server still has it.
func (b *backendStatements) take(s *sharedStatement) {
	if b.held[s] != nil {
		b.place.add(-1)
	}
	delete(b.held, s)
}

// oldest returns the statement that was used longest ago.
func (b *backendStatements) oldest() (found *sharedStatement) {
	for s, h := range b.held {
		if found == nil || h.last < b.held[found].last {
			found = s
		}
	}
	return found
}

// statement is a prepared statement of a session.
type statement struct {
	id     uint32
	schema string           // the session's default database when it was prepared
	shared *sharedStatement // nil if it cannot be prepared again
	class  class            // of what it does when it is executed
	params int
	// columns is how many columns the client was told last that it has.
	columns uint16
	// own is the server's statement while it is nobody else's, for one of the reasons that follow.
	own      *heldStatement
	long     bool // parts of long data were sent
	cursor   bool // a cursor is open
	gathered bool // settings may be about to be obscured (gather),
	missing  bool // and it could not be prepared
	kept     bool // no other backend can have it: it pins
	lost     bool // and that backend is gone
	// repeatable says that it may be executed once more, see mayRepeat.
	repeatable bool
	// failure is why its long data did not reach the server: it must not be executed without.
	failure error
	types   []byte // of its parameters, as the client sent them last, and
	typed   int    // for how many; 0 for none
	retyped uint32 // how often these were others than before
	shape   string // of its last execution
}

func (s *statement) live() bool { return s.long || s.cursor }

// size is what counts towards maxStatementBytes.
func (s *statement) size() int {
	if s.shared == nil {
		return 0
	}
	return len(s.shared.packet) + 2*s.params
}

// sessionStatements are a session's.
type sessionStatements struct {
	byID  map[uint32]*statement
	last  *statement // prepared by the last COM_STMT_PREPARE, nil if that failed or was refused
	next  uint32     // the id before the next
	bytes int32
	live  int32 // with long data or a cursor: the backend stays
	kept  int32
	// brought is how many were prepared for gathering, which says that statements are brought to the backend before settings
	// change, gathered that some were.
	brought             int32
	gathering, gathered bool
	// private says that settings were set that cannot be restored: what is prepared has a meaning of its own.
	private bool
	told    bool // the core knows that the session prepares statements
	opened  bool // the request opened a cursor
	retried bool // after the server had no room for more
	writes  bool // the next transaction, which is to be READ ONLY, is made READ WRITE meanwhile

	target    *settings      // that the backend is being given, for the meaning of a statement
	preparing *statement     // by the client
	restoring *statement     // by the machine
	current   *statement     // of the request
	using     *heldStatement // by the request
	again     *statement     // which is executed again
}

// lastPrepared is the id by which MariaDB's clients mean the statement of the last COM_STMT_PREPARE.
const lastPrepared = 1<<32 - 1

// find returns the statement with an id, nil for none.
func (m *Machine) find(id uint32) *statement {
	if id == lastPrepared && m.e.isMariaDB() {
		return m.statements.last
	}
	return m.statements.byID[id]
}

// add gives s an id.
func (t *sessionStatements) add(s *statement) {
	for t.next++; t.next == 0 || t.next == lastPrepared || t.byID[t.next] != nil; t.next++ {
	}
	s.id = t.next
	if t.byID == nil {
		t.byID = make(map[uint32]*statement)
	}
	t.byID[s.id] = s
	t.last = s
	t.bytes += int32(s.size())
}

func (t *sessionStatements) remove(s *statement) {
	delete(t.byID, s.id)
	t.bytes -= int32(s.size())
	if t.last == s {
		t.last = nil
	}
}

// closeOnServer sends a COM_STMT_CLOSE, which has no answer.
func (m *Machine) closeOnServer(id uint32, w engine.Wire) {
	p := append(m.small[:0], 5, 0, 0, 0, protocol.COM_STMT_CLOSE)
	w.ToBackend(binary.LittleEndian.AppendUint32(p, id))
}

// drop closes what the backend has of s for everybody.
func (m *Machine) drop(s *sharedStatement, w engine.Wire) {
	t := &m.state.statements
	if h := t.held[s]; h != nil {
		t.take(s)
		m.closeOnServer(h.id, w)
	}
}

// makeRoom closes statements of the backend so that n are left at most. The last to be used are.
func (m *Machine) makeRoom(n int, w engine.Wire) {
	t := &m.state.statements
	for len(t.held) > n {
		m.drop(t.oldest(), w)
	}
}

// detach takes the server's statement for s alone.
func (m *Machine) detach(s *statement, h *heldStatement) {
	if s.own == nil {
		h.strange = m.garblesLong(s, h)
		m.state.statements.take(s.shared)
		s.own = h
	}
}

// mark notes what keeps the server's statement h for s alone, or does not any more.
func (m *Machine) mark(s *statement, h *heldStatement, long, cursor bool, w engine.Wire) {
	was := s.live()
	s.long, s.cursor = long, cursor
	switch {
	case s.live() && !was:
		m.detach(s, h)
		m.statements.live++
	case was && !s.live():
		m.statements.live--
		m.share(s, w)
	}
}

// share gives the server's statement that was s's alone to everybody, unless something still keeps it.
func (m *Machine) share(s *statement, w engine.Wire) {
	if s.own == nil || s.live() || s.gathered || s.kept {
		return
	}
	if m.state.statements.held[s.shared] != nil || s.own.shape == mixedShape {
		m.closeOnServer(s.own.id, w)
	} else {
		s.own.strange = false
		m.state.statements.put(s.shared, s.own)
	}
	s.own = nil
}

// keep makes s a statement of this backend for good.
func (m *Machine) keep(s *statement, h *heldStatement) {
	s.own, s.kept = h, true
	m.statements.kept++
}

// dropStatements notes that the server drops all statements of the held backend.
func (m *Machine) dropStatements() {
	m.state.statements.place.add(-len(m.state.statements.held))
	m.state.statements.held = nil
	m.loseStatements()
}

// loseStatements notes that the held backend is gone, or has dropped all statements.
func (m *Machine) loseStatements() {
	t := &m.statements
	t.preparing, t.restoring, t.current, t.using = nil, nil, nil, nil
	t.gathering, t.retried, t.writes, t.again = false, false, false, nil
	if m.state != nil {
		m.state.sent = m.state.sent[:0]
	}
	if t.live == 0 && t.kept == 0 && !t.gathered {
		return
	}
	for _, s := range t.byID {
		s.lost = s.lost || s.kept
		s.own, s.long, s.cursor, s.gathered, s.missing = nil, false, false, false, false
	}
	t.live, t.gathered = 0, false
}
