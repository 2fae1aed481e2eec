package postgres

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"weak"

	"github.com/berthdb/berth/core/engine"
)

// Prepared statements that sessions share, by text and parameter types, and by what is set that may change their meaning. A backend has one
// under a name of the proxy's, and gets it when a session that uses it comes (named.go).

const (
	// sharedPrefix begins the names of shared statements. No client reaches them: its own names are looked up, and
	// what it has not prepared itself is refused under such a name, also where SQL says it (reservedName). That nobody takes
	// such a name for a statement of his own, it is one that SQL has to quote.
	sharedPrefix = "berth:"
	// maxStatements is how many shared statements a backend keeps between two sessions.
	maxStatements = 200
	// trimmedAtOnce is how many of those beyond maxStatements go when a backend is borrowed.
	trimmedAtOnce = 4
	// maxHeldBytes is how long the Parse messages of a backend's statements may be together before a session may prepare no more, until its
	// batch is over and those go that it has closed.
	maxHeldBytes = 4 * maxNamedBytes
)

func reserved(name []byte) bool { return bytes.HasPrefix(name, []byte(sharedPrefix)) }

// sharedStatement is a statement that backends may have. It is immutable.
type sharedStatement struct {
	parse, describe, close []byte // the messages under the shared name
	name                   []byte // with its NUL
	text                   []byte // the SQL
	reading                string // what was set that may change its meaning
	dated                  bool   // it has a string that may be a time
	fluid                  bool   // its columns are found anew at each execution
	constant               bool   // it has a constant whose reading may execute code
	share                  *share // of what the engine keeps, nil if it is short
	private                bool   // it was parsed where others would not find the same tables
}

// sharedStatements are an engine's, as long as a session or a backend has them. Any goroutine may use them.
type sharedStatements struct {
	mu    sync.Mutex
	byKey map[statementKey]weak.Pointer[sharedStatement]
	last  uint64
	times uint64 // of Parse messages, in the order in which they were sent
	texts engine.Texts
}

// statementKey tells statements apart: by what was set when they were parsed, and by what follows the name in a Parse, which is
// the text and the types.
type statementKey struct {
	reading, rest string
	private       uint64 // 0 unless nobody else may have it
}

// unique is a reading that nothing else has.
func (s *sharedStatements) unique() string { return "\x00" + strconv.FormatUint(s.now(), 36) }

// statementCopies is how much of the text of a statement is kept, in all: the message, the text, and the key.
const statementCopies = 3

// statementRoom is about what a session has of a statement beside its text and name, on a 64-bit machine.
const statementRoom = 192

// intern returns the statement of a Parse whose body, behind the name, is rest, a new one if it is private; and a time after all those
// given before. A long one comes with its share.
func (s *sharedStatements) intern(reading string, rest []byte, share *share, private bool) (shared *sharedStatement, time uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	key := statementKey{reading: reading, rest: string(rest)}
	if private {
		key.private = s.times
	}
	if known := s.byKey[key].Value(); known != nil {
		return known, s.times
	}
	s.last++
	name := append([]byte(sharedPrefix), strconv.FormatUint(s.last, 36)...)
	name = append(name, 0)
	shared = &sharedStatement{
		name: name, parse: parseMessage(name, rest), describe: statementMessage('D', name), close: statementMessage('C', name),
	}
	shared.reading, shared.share, shared.private = reading, share, private
	shared.text, _, _ = cutString(rest)
	shared.dated, shared.fluid, shared.constant = dated(shared.text), fluid(shared.text), mentionsConstant(shared.text)
	shared.text = bytes.Clone(shared.text)
	if s.byKey == nil {
		s.byKey = make(map[statementKey]weak.Pointer[sharedStatement])
	}
	s.byKey[key] = weak.Make(shared)
	size := 0
	if share == nil {
		size = statementCopies * len(rest)
	}
	s.texts.Add(size)
	runtime.AddCleanup(shared, func(key statementKey) { s.forget(key, size) }, key)
	return shared, s.times
}

// now is the time of a Parse that is sent now.
func (s *sharedStatements) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	return s.times
}

// forget is called when nobody has the statement of key any more; it may have been made anew since.
func (s *sharedStatements) forget(key statementKey, size int) {
	s.texts.Add(-size)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key].Value() == nil {
		delete(s.byKey, key)
	}
}

// fluid says that a statement's columns are those of a cursor, or of a statement of SQL, at its execution: what was told of them when
// it was parsed binds the server to nothing (pquery.c UtilityTupleDescriptor).
func fluid(text []byte) bool {
	s := scanner{text: text}
	s.next()
	return s.is("fetch") || s.is("execute")
}

// rest is what follows the name in a Parse.
func (s *sharedStatement) rest() []byte {
	_, rest, _ := cutString(s.parse[headerLength:])
	return rest
}

// parseMessage makes a Parse. name has its NUL.
func parseMessage(name, rest []byte) []byte {
	p := make([]byte, 0, headerLength+len(name)+len(rest))
	p = append(p, 'P', 0, 0, 0, 0)
	p = append(p, name...)
	return endMessage(append(p, rest...), 0)
}

// statementMessage makes a Describe or Close of a statement.
func statementMessage(kind byte, name []byte) []byte {
	return endMessage(append([]byte{kind, 0, 0, 0, 0, 'S'}, name...), 0)
}

// heldStatement is a shared statement that a backend has.
type heldStatement struct {
	parsed uint64 // 0: it may be there or not
	// as the server described it, 0 if it did not
	shape, columns uint64
	used           uint64 // when, by the backend's own clock
}

// backendStatements are those of one backend.
type backendStatements struct {
	held  map[*sharedStatement]*heldStatement
	clock uint64
	bytes int // of their Parse messages
}

// hold notes that a Parse of s is being sent.
func (b *backendStatements) hold(s *sharedStatement, now uint64) {
	if b.held == nil {
		b.held = make(map[*sharedStatement]*heldStatement)
	}
	b.clock++
	if b.held[s] == nil {
		b.bytes += len(s.parse)
	}
	b.held[s] = &heldStatement{parsed: now, used: b.clock}
}

// doubt notes that statements may have vanished, or that their plans are out of date.
func (b *backendStatements) doubt() {
	for _, h := range b.held {
		h.parsed = 0
	}
}

// certain is how many statements the backend has for sure.
func (b *backendStatements) certain() (n int) {
	for _, h := range b.held {
		if h.parsed != 0 {
			n++
		}
	}
	return n
}

func (b *backendStatements) clear() { b.held, b.bytes = nil, 0 }

// oldest returns the statement that was used longest ago.
func (b *backendStatements) oldest() *sharedStatement {
	var found *sharedStatement
	for s, h := range b.held {
		if found == nil || h.used < b.held[found].used {
			found = s
		}
	}
	return found
}

// trimStatements closes some statements that the backend has beyond most.
func (m *machine) trimStatements(most int, w engine.Wire) {
	t := &m.state.statements
	for range min(trimmedAtOnce, len(t.held)-most) {
		s := t.oldest()
		delete(t.held, s)
		t.bytes -= len(s.parse)
		w.ToBackend(s.close)
		m.push(answerClose | answerSwallow)
	}
}

// trimKept does so before a message of a session that keeps its backend: what it has closed, and what has become another statement by what was
// set, would pile up there. An error in the message's batch must not undo it, so that it has a Sync of its own.
func (m *machine) trimKept(f *feed, w engine.Wire) {
	if most := maxStatements + len(m.named.byName); m.queue.empty() && !m.reading.batch && len(m.state.statements.held) > most {
		m.flush(f, w)
		m.trimStatements(most, w)
		m.syncOwn(w)
	}
}

// sendParse sends a Parse of shared, for whose answer the caller accounts, in place of what the backend has of it.
func (m *machine) sendParse(shared *sharedStatement, now uint64, w engine.Wire) {
	t := &m.state.statements
	if t.held[shared] != nil {
		w.ToBackend(shared.close)
		m.push(answerClose | answerSwallow)
	}
	t.hold(shared, now)
	m.lend.sweep.used = m.lend.sweep.used || shared.constant
	w.ToBackend(shared.parse)
}
