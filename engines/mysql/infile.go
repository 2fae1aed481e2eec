package mysql

import (
	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// file deals with the request for a file of the client (section "LOCAL INFILE Request").
func (x *exchange) file(p []byte) error {
	m := x.m
	if !x.forwards() || !m.can(protocol.CLIENT_LOCAL_FILES) {
		return broken("a file was asked for that nobody offered")
	}
	m.reader.stage = stageFile
	m.reader.continued = false
	m.request.file = true
	m.request.sequence = p[3] // of the backend
	p[3] += m.reader.shift
	x.pass(len(p))
	return nil
}

// relayFile passes the client's packets on, up to an empty one. They may have any length and need not be whole.
func (m *Machine) relayFile(in []byte, w engine.Wire) (int, error) {
	r := &m.reader
	pos := 0
	for pos < len(in) && m.request.file {
		if r.skip > 0 {
			n := min(r.skip, len(in)-pos)
			r.skip -= n
			pos += n
			continue
		}
		if len(in)-pos < headerSize {
			break
		}
		n, sequence := packetHeader(in[pos:])
		if sequence-r.shift != m.request.sequence+1 {
			err := m.violation(sequence+1, errOutOfOrder, w)
			return pos, err
		}
		m.request.sequence++
		in[pos+3] = m.request.sequence
		pos += headerSize
		r.skip = n
		if n == 0 && !r.continued {
			m.request.file = false
			r.stage, r.sequence = stageFirst, m.request.sequence+1
		}
		r.continued = n == maxPayload
	}
	w.ToBackend(in[:pos])
	return pos, nil
}
