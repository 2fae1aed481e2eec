package postgres

import "github.com/berthdb/berth/core/engine"

// Protocol versions as a start-up packet writes them (PostgreSQL 18, 54.7 "Message Formats", StartupMessage).
const (
	protocol30 uint32 = 3 << 16
	protocol32 uint32 = 3<<16 | 2 // cancel keys of up to 256 bytes
)

// parameter is a setting's name and value: of a start-up packet, or as a server reported it.
type parameter struct{ name, value string }

// backendState is Backend.State. What Dial sets is immutable, but for params; the rest belongs to the machine that
// holds the backend, or to the pool's loop (Idle).
type backendState struct {
	pid       uint32
	cancelKey []byte // 4 bytes, up to 256 with protocol 3.2
	// params is what the server reported last, one entry a name, in the order in which it first reported them.
	// setParam keeps it current while relaying and while idle.
	params []parameter
	// base is what triggers on logins, if some have (triggers), and the init query have set.
	base     *settings
	triggers bool
	// unseen is what is known of the database's code; nil if nobody asks.
	unseen *unseen

	machineState // machine.go
}

// sessionInfo is what Accept found out about a session, for its machine. Accept has sent the client everything up to and
// including AuthenticationOk; Machine.Start sends what follows: ParameterStatus, BackendKeyData, ReadyForQuery, or a
// FATAL ErrorResponse instead (54.2.1 "Start-up").
type sessionInfo struct {
	id           uint32 // shown to the client as its process id
	named        bool   // the application's name is restored, and no part of key
	temporary    bool   // the start-up parameters name pg_temp, so that whatever is created may be a temporary object
	keepsText    bool   // of what is under way
	key          engine.Key
	application  string
	cancelSecret []byte // 4 bytes, 32 with protocol 3.2: goes into BackendKeyData
}

func newBackendState(pid uint32, cancelKey []byte, reported []parameter) *backendState {
	state := &backendState{pid: pid, cancelKey: cancelKey}
	for _, p := range reported {
		state.setParam(p.name, p.value)
	}
	return state
}

// Adopt does what Dial does once it is logged in, for a connection on which somebody else has logged in to a server as key says:
// it returns Backend.State. reported are the names and values of the server's parameters, in order. Simulations need
// it, whose connections Dial cannot make.
func (e *Engine) Adopt(key engine.Key, pid uint32, cancelKey []byte, reported [][2]string) any {
	params := make([]parameter, len(reported))
	for i, p := range reported {
		params[i] = parameter{p[0], p[1]}
	}
	state := newBackendState(pid, cancelKey, params)
	e.learn(key, state.params)
	return state
}

// setParam notes that the server reported name to be value, and says whether that is news.
func (b *backendState) setParam(name, value string) (changed bool) {
	for i := range b.params {
		if b.params[i].name == name {
			if b.params[i].value == value {
				return false
			}
			b.params[i].value = value
			b.snapshot = nil
			return true
		}
	}
	b.params = append(b.params, parameter{name, value})
	b.snapshot = nil
	return true
}
