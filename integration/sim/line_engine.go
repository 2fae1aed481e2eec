package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// lineEngine speaks the line protocol. Its sessions do not log in: they are made.
type lineEngine struct {
	*dialer
	known map[engine.Key]bool // keys of which a backend was reached: sessions of others borrow before they start
}

var (
	_ engine.Engine         = (*lineEngine)(nil)
	_ engine.StickyCanceler = (*lineEngine)(nil)
)

func (e *lineEngine) Name() string    { return "line" }
func (e *lineEngine) Goodbye() []byte { return []byte("quit\n") }

func (e *lineEngine) Accept(context.Context, *engine.Conn, engine.AcceptOptions) (engine.Accepted, error) {
	return engine.Accepted{}, errors.New("line: sessions are made")
}

func (e *lineEngine) Watch(context.Context, engine.Target) (engine.Watch, error) {
	return nil, errors.New("line: nothing to know")
}

// adopt is a dialer's state.
func (e *lineEngine) adopt(key engine.Key, id int) any {
	e.known[key] = true
	return &id
}

// Idle drops notices.
func (e *lineEngine) Idle(_ *engine.Backend, in []byte) (int, error) {
	n := 0
	for n < len(in) {
		if in[n] != '*' {
			return n, fmt.Errorf("line: %q on an idle connection", in[n:])
		}
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			break
		}
		n += i + 1
	}
	return n, nil
}

const (
	maxLine     = 1000
	maxPipeline = 64
)

// lineMachine relays a session of the line protocol.
type lineMachine struct {
	e      *lineEngine
	id     uint32
	key    engine.Key
	secret string

	backend  *engine.Backend
	starting bool // the client is greeted when the backend comes
	asked    bool // a borrow is outstanding
	refusal  error
	expected []string // verbs of the requests that are not answered yet
	state    string   // of the transaction, as the server last said
	upload   int      // bytes of a load to pass on
	skip     int      // or to drop
	rows     int      // bytes of an answer to pass on
}

var _ engine.Machine = (*lineMachine)(nil)

func (m *lineMachine) Busy() bool          { return len(m.expected) > 0 || m.asked }
func (m *lineMachine) InTransaction() bool { return m.state != "" && m.state != "I" }

func (m *lineMachine) say(w engine.Wire, format string, a ...any) {
	w.ToClient(fmt.Appendf(nil, format+"\n", a...))
}

func (m *lineMachine) Start(w engine.Wire) {
	if m.e.known[m.key] {
		m.greet(w)
		return
	}
	m.starting = true
	if m.borrow(w) {
		m.begun(w)
	}
}

func (m *lineMachine) greet(w engine.Wire) { m.say(w, "hello %d %s", m.id, m.secret) }

func (m *lineMachine) begun(w engine.Wire) {
	m.starting = false
	m.greet(w)
	m.rest(w)
}

func (m *lineMachine) borrow(w engine.Wire) bool {
	m.backend = w.Borrow(engine.Want{Key: m.key})
	m.asked = m.backend == nil
	return !m.asked
}

// rest gives the backend back at a boundary.
func (m *lineMachine) rest(w engine.Wire) {
	if m.backend != nil && len(m.expected) == 0 && !m.InTransaction() && w.Idle() {
		m.backend = nil
	}
}

func (m *lineMachine) Granted(b *engine.Backend, w engine.Wire) {
	m.backend, m.asked = b, false
	if m.starting {
		m.begun(w)
	}
}

func (m *lineMachine) Refused(err error, w engine.Wire) {
	m.asked = false
	if m.starting {
		m.say(w, "! refused: %v", err)
		w.Close(err)
		return
	}
	m.refusal = err
}

func (m *lineMachine) BackendLost(err error, w engine.Wire) {
	m.backend = nil
	m.say(w, "! lost")
	w.Close(err)
}

func (m *lineMachine) Stop(reason error, w engine.Wire) {
	if m.rows == 0 {
		m.say(w, "! %v", reason)
	}
}

func (m *lineMachine) FromClient(in []byte, w engine.Wire) (int, error) {
	n := 0
	for n < len(in) && !m.asked && len(m.expected) < maxPipeline {
		rest := in[n:]
		switch {
		case m.skip > 0:
			k := min(m.skip, len(rest))
			m.skip -= k
			n += k
			continue
		case m.upload > 0:
			k := min(m.upload, len(rest))
			m.upload -= k
			n += k
			w.ToBackend(rest[:k])
			continue
		}
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if len(rest) > maxLine {
				return n, &engine.ProtocolError{Side: engine.SideClient, Reason: "line too long"}
			}
			break
		}
		took, err := m.request(rest[:i+1], w)
		if !took || err != nil {
			return n, err
		}
		n += i + 1
	}
	return n, nil
}

// request deals with a line, unless it has to wait.
func (m *lineMachine) request(line []byte, w engine.Wire) (bool, error) {
	f := strings.Fields(string(line))
	switch {
	case len(f) == 1 && f[0] == "quit":
		w.Close(nil)
		return true, nil
	case len(f) < 2:
		return true, &engine.ProtocolError{Side: engine.SideClient, Reason: "not a request"}
	case f[1] == "kill":
		return m.kill(f, w), nil
	}
	size := 0
	if f[1] == "load" && len(f) == 3 {
		size, _ = strconv.Atoi(f[2])
	}
	if m.refusal != nil {
		m.say(w, "%s I error refused: %v", f[0], m.refusal)
		m.refusal, m.skip = nil, size
		return true, nil
	}
	if m.backend == nil && !m.borrow(w) {
		return false, nil
	}
	w.Observe(engine.RequestBegan)
	m.expected = append(m.expected, f[1])
	m.upload = size
	w.ToBackend(line)
	return true, nil
}

func (m *lineMachine) kill(f []string, w engine.Wire) bool {
	if len(m.expected) > 0 {
		return false
	}
	id, _ := strconv.ParseUint(f[2], 10, 32)
	state, text := "I", "ok"
	if m.InTransaction() {
		state = m.state
	}
	if err := w.Kill(uint32(id), engine.KillSession); err != nil {
		text = "none"
	}
	m.say(w, "%s %s %s", f[0], state, text)
	return true
}

func (m *lineMachine) FromBackend(in []byte, w engine.Wire) (int, error) {
	n := 0
	for n < len(in) && m.backend != nil {
		if m.rows > 0 {
			k := min(m.rows, len(in)-n)
			m.rows -= k
			w.ToClient(in[n : n+k])
			n += k
			m.settle(w)
			continue
		}
		i := bytes.IndexByte(in[n:], '\n')
		if i < 0 {
			break
		}
		line := in[n : n+i+1]
		n += len(line)
		switch {
		case line[0] == '*':
			continue
		case line[0] == '!':
			return n, errors.New("line: the server said goodbye")
		case len(m.expected) == 0:
			return n, fmt.Errorf("line: unasked answer %q", line)
		}
		m.answer(strings.Fields(string(line)), w)
		w.ToClient(line)
		m.settle(w)
	}
	return n, nil
}

// answer notes what an answer means.
func (m *lineMachine) answer(f []string, w engine.Wire) {
	m.state = f[1]
	if f[2] == "rows" {
		m.rows, _ = strconv.Atoi(f[3])
	}
	if f[2] == "error" {
		return
	}
	switch m.expected[0] {
	case "set":
		w.Report(engine.Event{Kind: engine.KindSetting})
	case "lock":
		w.Report(engine.Event{Kind: engine.KindNamedLock})
	case "unlock":
		w.Report(engine.Event{Kind: engine.KindNamedLock, Undo: true})
	case "reset":
		w.Report(engine.Event{Kind: engine.KindReset})
	}
}

// settle counts an answer that is complete.
func (m *lineMachine) settle(w engine.Wire) {
	if m.rows > 0 {
		return
	}
	m.expected = m.expected[1:]
	w.Observe(engine.RequestEnded)
	m.rest(w)
}
