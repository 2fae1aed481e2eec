package mysql

import (
	"encoding/binary"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// What ends the rows of clients without DEPRECATE_EOF has no room for session state. Servers report with the next OK what changed
// there, and so the client is owed it until then; MariaDB's only if that belongs to the same request.

// heard says of which variables the session hears.
func (m *Machine) heard() *tracked {
	if m.state.tracksLess {
		return everyReport
	}
	return m.session.tracked
}

// owes says whether the client is one that may be owed reports.
func (m *Machine) owes() bool {
	return m.endsColumns() && m.can(protocol.CLIENT_SESSION_TRACK) && !m.session.ownTrackers
}

// owe notes what the end of rows says of variables, as far as there is room for it.
func (m *Machine) owe(state []byte) {
	t := m.heard()
	for name, value := range variables(state) {
		if !t.has(name) {
			continue
		}
		if next, ok := m.session.owed.with(string(name), string(value)); ok {
			m.session.owed = next
		}
	}
}

// pay returns the whole packet p, an OK with the content o, with all that is owed.
func (m *Machine) pay(p []byte, o *okPacket) []byte {
	m.owe(o.state) // what is new is newer
	var state []byte
	f := fields{rest: o.state}
	for len(f.rest) > 0 && !f.bad {
		if kind, data := f.uint8(), f.text(); kind == trackSchema {
			state = appendText(append(state, kind), data)
		}
	}
	for _, s := range m.session.owed.list() {
		pair := appendText(appendText(nil, []byte(s.name)), []byte(s.value))
		state = appendText(append(state, trackVariables), pair)
	}
	m.session.owed = nil
	paid := append([]byte{}, p[:headerSize+o.infoEnd]...)
	if o.infoEnd == o.infoAt {
		paid = append(paid, 0) // an empty info in front of the state
	}
	paid = appendText(paid, state)
	status := binary.LittleEndian.Uint16(paid[headerSize+o.statusAt:])
	binary.LittleEndian.PutUint16(paid[headerSize+o.statusAt:], status|statusStateChanged)
	resize(paid, len(paid)-headerSize)
	return paid
}
