package mysql

import (
	"bytes"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// MariaDB's last_gtid is what the connection has written last to the binary log, for MASTER_GTID_WAIT() on a replica. It is reported with each OK, and nothing
// sets it. So a SELECT of it alone asks, on a backend of which it is another one, for its value in its place; what reads it in another way is refused there.
//
// What WSREP_LAST_WRITTEN_GTID() and WSREP_LAST_SEEN_GTID() say of a Galera cluster, for WSREP_SYNC_WAIT_UPTO_GTID() on another member, is about the connection as well,
// and is told only to who asks: in the text of what it has written, or on a backend that the session keeps.

const lastGTID = "last_gtid"

var errWritten = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
	"The value belongs to a database connection that has been returned; ask for it in the same request as COMMIT, or the statement that writes, or by SELECT @@last_gtid, alone"}}

// writtenElsewhere is what a statement reads that the held backend has not, or not surely, from its session.
func (m *Machine) writtenElsewhere() (f classFlags) {
	if m.otherGTID() {
		f = classLastGTID
	}
	if !m.pins.pinned {
		f |= classWritten
	}
	return f
}

// noteGTID notes what the session has written last, on the held backend.
func (m *Machine) noteGTID(gtid []byte) {
	if now := m.session.gtid; now == nil || *now != string(gtid) || m.state.gtid != now {
		text := string(gtid)
		m.session.gtid, m.state.gtid = &text, &text
	}
}

// otherGTID says whether the held backend has another one than the session. With reports as the session wants them nothing is known.
func (m *Machine) otherGTID() bool {
	return m.session.gtid != m.state.gtid && !m.session.ownTrackers
}

// withGTID returns what is sent of the request p of class c, the text of which begins at a place of its body: one with the session's value in place of the variable, if
// need be. It no longer reads the variable then.
func (m *Machine) withGTID(p packet, at int, c *class) packet {
	if !c.has(classLastGTID) || !p.whole() || !m.otherGTID() {
		return p
	}
	text, ok := m.gtidText(p.body()[at:])
	if !ok {
		return p
	}
	c.flags &^= classLastGTID
	instead := append(bytes.Clone(p.bytes[:headerSize+at]), text...)
	resize(instead, len(instead)-headerSize)
	return packet{bytes: instead, size: len(instead)}
}

// gtidText is what asks in place of a SELECT of nothing but last_gtid.
func (m *Machine) gtidText(text []byte) (instead string, ok bool) {
	value := ""
	if m.session.gtid != nil {
		value = *m.session.gtid
	}
	if strings.Trim(value, "0123456789-") != "" || m.ambiguous(text) {
		return "", false
	}
	r := actReader{rest: text}
	end := func() int { return len(text) - len(r.rest) }
	if !r.next().is("SELECT") {
		return "", false
	}
	p := r.next()
	start := end() - len(p.bytes)
	if !p.char('@') || !r.next().char('@') {
		return "", false
	}
	if p = r.next(); p.is("SESSION", "LOCAL") {
		if !r.next().char('.') {
			return "", false
		}
		p = r.next()
	}
	if !p.is(lastGTID) {
		return "", false
	}
	a := asked{name: text[start:end()]}
	p, ok = a.alias(&r)
	if !ok || !plainAlias(a.name) || bytes.IndexByte(a.name, '`') >= 0 {
		return "", false
	}
	if p = tail(p, &r); p.kind != tokenNone || r.conditional || r.bad {
		return "", false
	}
	return "SELECT '" + value + "' AS `" + string(a.name) + "`", true
}
