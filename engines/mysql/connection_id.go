package mysql

import (
	"bytes"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// tellConnectionID answers SELECT CONNECTION_ID() with the id that the client was greeted with: to a server it would be
// the backend's.
func (m *Machine) tellConnectionID(text []byte, w engine.Wire) {
	name := columnName(text)
	out := appendHeader(nil, 1, 1)
	out = append(out, 1)
	// Section "Column Definition": a BIGINT UNSIGNED that is never NULL, as both servers say it.
	column := append([]byte{}, "\x03def\x00\x00\x00"...)
	column = appendText(column, name)
	column = append(column, "\x00\x0c\x3f\x00\x15\x00\x00\x00\x08\xa1\x00\x00\x00\x00"...)
	out = appendHeader(out, len(column), 2)
	out = append(out, column...)
	sequence := uint8(3)
	if m.endsColumns() {
		out = appendEOF(out, sequence, m.session.status)
		sequence++
	}
	value := strconv.AppendUint(nil, uint64(m.info.id), 10)
	out = appendHeader(out, 1+len(value), sequence)
	out = appendText(out, value)
	if m.endsColumns() {
		out = appendEOF(out, sequence+1, m.session.status)
	} else {
		end := len(out)
		out = appendOK(out, sequence+1, m.session.status)
		out[end+headerSize] = protocol.EOF_HEADER
	}
	m.reply(w, out)
}

// columnName is how a server names the column: as the client wrote it.
func columnName(text []byte) []byte {
	from := bytes.Index(bytes.ToUpper(text), []byte("CONNECTION_ID"))
	to := bytes.LastIndexByte(text, ')')
	if from < 0 || to < from || to-from > maxMessage {
		return []byte("CONNECTION_ID()")
	}
	return text[from : to+1]
}
