package mysql

import (
	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// maxRow is how many columns of a row ask keeps: those of readBase, or readInitConnect.
const maxRow = 2 + maxSettings + maxUserVariables

// run executes query and drops what it returns.
func (u *upstream) run(query string) error {
	_, err := u.ask(query)
	return err
}

// ask executes query and returns the first row of its (last) result, as text; NULL is "". It reads every answer to its
// end.
func (u *upstream) ask(query string) ([]string, error) {
	var row []string
	err := u.query(query, func() {
		row = nil
	}, nil, func(packet []byte) (err error) {
		if row == nil {
			row, err = parseRow(packet)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// query runs a statement. For each of its results it calls begin, then column with each definition and row with each row of a
// result that has them; column may be nil. What these are given is not valid afterwards.
func (u *upstream) query(query string, begin func(), column, row func(packet []byte) error) error {
	u.packets.sequence = 0
	command := []byte{protocol.COM_QUERY}
	if u.caps&protocol.CLIENT_QUERY_ATTRIBUTES != 0 {
		command = append(command, 0, 1) // no attributes, in one set (section "COM_QUERY")
	}
	if err := u.packets.write(append(command, query...)); err != nil {
		return err
	}
	for more := true; more; more = u.status&protocol.SERVER_MORE_RESULTS_EXISTS != 0 {
		begin()
		if err := u.result(column, row); err != nil {
			return err
		}
	}
	return nil
}

// result reads one result of a COM_QUERY (section "COM_QUERY Response").
func (u *upstream) result(column, row func(packet []byte) error) error {
	packet, err := u.read()
	if err != nil {
		return err
	}
	switch packet[0] {
	case protocol.OK_HEADER:
		return u.ok(packet)
	case protocol.LocalInFile_HEADER:
		return u.refuseFile()
	}
	f := fields{rest: packet}
	for columns := f.integer(); columns > 0 && !f.bad; columns-- {
		packet, err := u.read()
		if err == nil && column != nil {
			err = column(packet)
		}
		if err != nil {
			return err
		}
	}
	if f.bad {
		return broken("malformed column count")
	}
	for {
		packet, err := u.read()
		if err != nil {
			return err
		}
		// Rows of a login are shorter than 16 MiB, so that none begins with the header of an OK.
		if packet[0] == protocol.EOF_HEADER {
			return u.ok(packet)
		}
		if err := row(packet); err != nil {
			return err
		}
	}
}

// read returns the next packet of an answer; an ERR is an error.
func (u *upstream) read() ([]byte, error) {
	packet, err := u.packets.read()
	switch {
	case err != nil:
		return nil, err
	case len(packet) == 0:
		return nil, broken("empty packet in an answer")
	case packet[0] == errHeader:
		return nil, parseERR(packet)
	}
	return packet, nil
}

// ok notes what an OK packet says about the session.
func (u *upstream) ok(packet []byte) error {
	f := fields{rest: packet[1:]}
	f.integer() // affected rows
	f.integer() // last insert id
	u.status = f.uint16() &^ protocol.SERVER_SESSION_STATE_CHANGED
	if f.bad {
		return broken("truncated OK packet")
	}
	u.note(packet)
	return nil
}

// refuseFile answers a LOCAL INFILE request with an empty file: none of the proxy's own are for a server.
func (u *upstream) refuseFile() error {
	if err := u.packets.write(nil); err != nil {
		return err
	}
	if _, err := u.read(); err != nil {
		return err
	}
	return &engine.ProtocolError{Side: engine.SideBackend, Reason: "a file of the proxy was asked for"}
}

// parseRow reads a row of a text result (section "Text Resultset Row").
func parseRow(packet []byte) ([]string, error) {
	f := fields{rest: packet}
	row := []string{}
	for len(f.rest) > 0 && len(row) < maxRow {
		if f.rest[0] == null {
			f.uint8()
			row = append(row, "")
			continue
		}
		row = append(row, string(f.text()))
	}
	if f.bad {
		return nil, broken("malformed row")
	}
	return row, nil
}

// null is a NULL in a row of a text result.
const null = 0xfb
