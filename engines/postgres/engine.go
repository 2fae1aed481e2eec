package postgres

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
)

// Config is what an Engine works with.
type Config struct {
	// Credentials are the target group's users.
	Credentials engine.Credentials
	// Log is where logins that fail say why. The zero Logger discards.
	Log zerolog.Logger
	// Unseen is what becomes of state that no scan sees. It is what the Engine begins with: SetUnseen changes it for later
	// sessions, so a machine goes by its own unseenChanges.
	Unseen engine.Unseen
	// CloseLost ends sessions whose backend was lost with state that cannot be restored. Otherwise they are told, and go on.
	CloseLost bool
}

// Engine speaks PostgreSQL for one target group.
type Engine struct {
	engine.UnseenRule
	credentials engine.Credentials
	log         zerolog.Logger
	// secret makes salts that are stable for the Engine's life and that nobody else can foretell.
	secret     [32]byte
	closesLost bool
	logins     engine.LoginChanges
	reported   *cache[engine.Key, []parameter]
	verifiers  *cache[string, *verifier]
	unseen     *cache[databaseOf, *unseen]
	connection connectionTemplate
	statements sharedStatements
	settings   sharedSettings
	strings    engine.SharedStrings
	sessions   atomic.Uint64 // sessions so far: gives each its serial
	askings    *cache[askingOf, *asking]
	tenures    atomic.Uint64 // so far (values.go)
	// loginsLater are what transactions that were prepared for two-phase commit change for logins, by the names that they have.
	loginsLater *cache[string, []engine.LoginsOf]
	codeLater   atomic.Bool // a transaction that creates code was prepared for two-phase commit (unseen.go)
	// unnamedBytes is how much of long unnamed statements is kept (statements.go).
	unnamedBytes atomic.Int64
}

var (
	_ engine.Engine       = (*Engine)(nil)
	_ engine.UnseenSetter = (*Engine)(nil)
)

// The caches are for speed alone: an entry that is pushed out is made again.
const (
	maxParameterKeys = 1 << 10 // about 1 KiB each
	maxVerifiers     = 4 << 10 // about 300 bytes each
)

// New makes the Engine of one target group.
func New(c Config) *Engine {
	e := &Engine{
		credentials: c.Credentials,
		log:         c.Log,
		closesLost:  c.CloseLost,
		reported:    newCache[engine.Key, []parameter](maxParameterKeys),
		verifiers:   newCache[string, *verifier](maxVerifiers),
		unseen:      newCache[databaseOf, *unseen](maxDatabases),
		askings:     newCache[askingOf, *asking](maxAskings),
		loginsLater: newCache[string, []engine.LoginsOf](maxDatabases),
	}
	e.SetUnseen(c.Unseen)
	_, _ = rand.Read(e.secret[:]) // never fails (crypto/rand.Read)
	return e
}

// Name is the protocol's name in configurations.
func (*Engine) Name() string { return "postgres" }

// terminate is the Terminate message (54.7).
var terminate = []byte{'X', 0, 0, 0, 4}

// Goodbye returns the Terminate message.
func (*Engine) Goodbye() []byte { return terminate }

// parameters returns what servers report to a session of key, and whether that is known yet. The caller must not change
// the slice.
func (e *Engine) parameters(key engine.Key) ([]parameter, bool) { return e.reported.get(key) }

// learn notes what a server reports to sessions of key. It copies params.
func (e *Engine) learn(key engine.Key, params []parameter) {
	if known, ok := e.reported.get(key); ok && slices.Equal(known, params) {
		return
	}
	e.reported.put(key, slices.Clone(params))
}

// Idle looks at what a server says to a backend that nobody has borrowed: parameters that a reload or a promotion changed
// are learned, notices are dropped, and anything else (a termination, above all) means that the backend is done for
// (54.2.7 "Asynchronous Operations").
func (e *Engine) Idle(b *engine.Backend, in []byte) (consumed int, err error) {
	state, ok := b.State.(*backendState)
	if !ok {
		return 0, fmt.Errorf("postgres: backend has state %T", b.State)
	}
	learned := false
	defer func() {
		if learned && state.actual == state.base {
			e.learn(b.Key, state.params)
		}
	}()
	for consumed < len(in) {
		kind := in[consumed]
		if kind != 'S' && kind != 'N' && kind != 'E' {
			return consumed, idleProtocolError(fmt.Sprintf("message type %q on an idle connection", kind))
		}
		if len(in)-consumed < 5 {
			return consumed, nil
		}
		length := uint64(binary.BigEndian.Uint32(in[consumed+1:]))
		if length < 4 || length+1 > engine.MaxHeld {
			return consumed, idleProtocolError("bad message length on an idle connection")
		}
		if uint64(len(in)-consumed) < length+1 {
			return consumed, nil
		}
		body := in[consumed+5 : consumed+1+int(length)]
		consumed += 1 + int(length)
		switch kind {
		case 'E':
			return consumed, parseServerError(body)
		case 'S':
			name, value, ok := parseParameterStatus(body)
			if !ok {
				return consumed, idleProtocolError("malformed ParameterStatus")
			}
			learned = state.setParam(name, value) || learned
		}
	}
	return consumed, nil
}

func idleProtocolError(reason string) error {
	return &engine.ProtocolError{Side: engine.SideBackend, Reason: reason}
}

// parseParameterStatus reads the body of a ParameterStatus (54.7): two strings and nothing else.
func parseParameterStatus(body []byte) (name, value string, ok bool) {
	n, v, ok := bytes.Cut(body, []byte{0})
	if !ok || len(v) == 0 || bytes.IndexByte(v, 0) != len(v)-1 {
		return "", "", false
	}
	return string(n), string(v[:len(v)-1]), true
}
