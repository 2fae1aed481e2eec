package mysql

import (
	"encoding/binary"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// A server that has to prepare a statement again, as its table has changed, says with the execution whether there are more or fewer
// columns than there were. Here another session may have made it do that, or may not have known of the change when it prepared
// what the sessions share. So what the client is told is about what it was told before.

// statusOtherColumns is SERVER_STATUS_METADATA_CHANGED (Prepared_statement::validate_metadata).
const statusOtherColumns = protocol.SERVER_STATUS_METADATA_CHANGED

// columned returns the statement that the request executes, if it is one whose result always has columns. CALL is not.
func (m *Machine) columned() *statement {
	s := m.statements.current
	if m.request.command != protocol.COM_STMT_EXECUTE || s == nil || s.columns == 0 {
		return nil
	}
	return s
}

// noteColumns notes how many columns the result that begins has.
func (m *Machine) noteColumns(n uint64) {
	s := m.columned()
	if s == nil {
		return
	}
	if uint16(n) != s.columns {
		m.request.otherColumns = statusOtherColumns
	}
	s.columns = uint16(n)
}

// tellOtherColumns puts the flag into the OK o with the content payload, or takes it out.
func (m *Machine) tellOtherColumns(payload []byte, o *okPacket) {
	if m.columned() == nil || o.status&statusOtherColumns == m.request.otherColumns {
		return
	}
	o.status ^= statusOtherColumns
	binary.LittleEndian.PutUint16(payload[o.statusAt:], o.status)
}
