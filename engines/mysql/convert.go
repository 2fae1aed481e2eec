package mysql

import (
	"encoding/binary"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// Backends always speak DEPRECATE_EOF and SESSION_TRACK. Clients need not, and their OK packets are rewritten. Every
// rewritten packet is at most as long as it was, so it is rewritten where it is: the bytes around it go on to the
// client in one piece.

// eofHeader begins the packet that ends rows: an EOF, or with DEPRECATE_EOF an OK (section "EOF_Packet").
const eofHeader = protocol.EOF_HEADER

const (
	statusMoreResults = protocol.SERVER_MORE_RESULTS_EXISTS
	statusCursor      = protocol.SERVER_STATUS_CURSOR_EXISTS
	statusLastRow     = protocol.SERVER_STATUS_LAST_ROW_SEND
	statusInTrans     = protocol.SERVER_STATUS_IN_TRANS
	statusOutParams   = protocol.SERVER_PS_OUT_PARAMS
)

func (m *Machine) can(capability uint32) bool { return m.info.capabilities&capability != 0 }

// endsColumns says whether the client expects an EOF after definitions.
func (m *Machine) endsColumns() bool { return !m.can(protocol.CLIENT_DEPRECATE_EOF) }

// convert rewrites the whole packet p, an OK with the content o, for the client, and returns how long it is now.
func (m *Machine) convert(p []byte, o *okPacket) int {
	payload := p[headerSize:]
	if payload[0] == eofHeader && m.endsColumns() {
		if m.owes() {
			m.owe(o.state)
		}
		warnings := o.warnings
		if o.status&statusOutParams != 0 {
			warnings = 0 // MySQL counts them in an OK only (Protocol_classic::send_parameters)
		}
		binary.LittleEndian.PutUint16(payload[1:], warnings)
		binary.LittleEndian.PutUint16(payload[3:], o.status&^statusStateChanged)
		return resize(p, eofSize)
	}
	if o.status&statusStateChanged == 0 {
		return len(p)
	}
	var state []byte
	if m.can(protocol.CLIENT_SESSION_TRACK) {
		if m.session.ownTrackers {
			return len(p)
		}
		state = filterState(o.state, m.heard())
	}
	if len(state) > 0 {
		return resize(p, len(appendText(payload[:o.infoEnd], state)))
	}
	binary.LittleEndian.PutUint16(payload[o.statusAt:], o.status&^statusStateChanged)
	end := o.infoEnd
	if end-o.infoAt == 1 {
		end = o.infoAt // an empty info that only stood in front of the state
	}
	return resize(p, end)
}

// eofSize is the length of the payload of an EOF packet.
const eofSize = 5

// resize sets the length of the payload of p and returns the length of the whole.
func resize(p []byte, n int) int {
	p[0], p[1], p[2] = byte(n), byte(n>>8), byte(n>>16)
	return headerSize + n
}

// appendEOF appends an EOF packet without warnings.
func appendEOF(dst []byte, sequence uint8, status uint16) []byte {
	dst = appendHeader(dst, eofSize, sequence)
	dst = append(dst, eofHeader, 0, 0)
	return binary.LittleEndian.AppendUint16(dst, status)
}

// attributes finds where in p, a COM_QUERY with query attributes (section "COM_QUERY"), the statement begins. It returns
// false if the attributes are not wholly there, or make no sense.
func attributes(p []byte) (statement int, ok bool) {
	f := fields{rest: p[1:]}
	count := f.integer()
	if f.integer() != 1 {
		return 0, false
	}
	if count > maxAttributeCount {
		return 0, false
	}
	if count > 0 && !skipAttributes(&f, int(count)) {
		return 0, false
	}
	return len(p) - len(f.rest), !f.bad
}

// maxAttributeCount is what servers accept (65535 parameters).
const maxAttributeCount = 1<<16 - 1

// skipAttributes reads names, types and values of attributes.
func skipAttributes(f *fields, count int) bool {
	nulls := f.bytes((count + 7) / 8)
	if f.uint8() != 1 || f.bad { // types always follow
		return false
	}
	types := f.rest
	for range count {
		f.uint16()
		f.text()
	}
	if f.bad {
		return false
	}
	kinds := fields{rest: types[:len(types)-len(f.rest)]}
	for i := range count {
		kind := byte(kinds.uint16())
		kinds.text()
		if nulls[i/8]&(1<<(i%8)) == 0 {
			skipValue(f, kind)
		}
	}
	return !f.bad
}

// skipValue reads one value of a binary row (section "Binary Protocol Value").
func skipValue(f *fields, kind byte) {
	switch kind {
	case protocol.MYSQL_TYPE_NULL:
	case protocol.MYSQL_TYPE_TINY:
		f.bytes(1)
	case protocol.MYSQL_TYPE_SHORT, protocol.MYSQL_TYPE_YEAR:
		f.bytes(2)
	case protocol.MYSQL_TYPE_LONG, protocol.MYSQL_TYPE_INT24, protocol.MYSQL_TYPE_FLOAT:
		f.bytes(4)
	case protocol.MYSQL_TYPE_LONGLONG, protocol.MYSQL_TYPE_DOUBLE:
		f.bytes(8)
	case protocol.MYSQL_TYPE_DATE, protocol.MYSQL_TYPE_DATETIME, protocol.MYSQL_TYPE_TIMESTAMP,
		protocol.MYSQL_TYPE_TIME:
		f.bytes(int(f.uint8()))
	default:
		f.text()
	}
}
