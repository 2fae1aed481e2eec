package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// myAnswer reads the answer to a request and renders it.
type myAnswer struct {
	client *myClient
	text   strings.Builder
	// places says that the request is about the default database: servers report it, too, while they look at code in another one.
	places bool
	// uncounted says that MariaDB's numbers of rows in errors are those of all that the connection has executed.
	uncounted bool
	// out is what the EOF in front of the rows says if they are values of parameters: MySQL does not repeat that behind them.
	out uint16
}

// stateChanged is a status that only clients understand which ask for changes of state.
const stateChanged = protocol.SERVER_SESSION_STATE_CHANGED

var errMalformed = errors.New("malformed packet")

func (a *myAnswer) printf(format string, v ...any) { fmt.Fprintf(&a.text, format, v...) }

// next reads a packet. None is empty.
func (a *myAnswer) next() ([]byte, error) {
	p, err := a.client.ReadPacket()
	if err == nil && len(p) == 0 {
		err = errMalformed
	}
	return p, err
}

// read reads all of the answer to q.
func (a *myAnswer) read(q myRequest) error {
	c := a.client
	switch q.command {
	case protocol.COM_STMT_CLOSE: // it has no answer
		delete(c.statements, q.statement)
		return nil
	case protocol.COM_STMT_SEND_LONG_DATA:
		return nil
	case protocol.COM_STMT_PREPARE:
		return a.prepared(q.statement)
	case protocol.COM_STMT_FETCH:
		_, err := a.rows()
		return err
	case protocol.COM_FIELD_LIST:
		_, err := a.rows()
		return err
	case protocol.COM_SET_OPTION, protocol.COM_PING:
		p, err := a.next()
		switch {
		case err != nil:
			return err
		case p[0] == 0xff:
			a.failed(p)
		default: // how many warnings there still are of the statement before is told as well
			a.printf("SET\n")
		}
		return nil
	case protocol.COM_CHANGE_USER:
		denied, err := a.authenticated(nil, q.login.Password)
		if err == nil && !denied {
			clear(c.statements)
		}
		return err
	}
	for more := true; more; {
		var err error
		if more, err = a.result(); err != nil {
			return err
		}
	}
	if q.command == protocol.COM_RESET_CONNECTION {
		clear(c.statements)
	}
	return nil
}

// prepared reads the answer to a COM_STMT_PREPARE.
func (a *myAnswer) prepared(name string) error {
	p, err := a.next()
	switch {
	case err != nil:
		return err
	case p[0] == 0xff:
		a.failed(p)
		return nil
	case len(p) < 12:
		return errMalformed
	}
	columns, params := int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
	for _, n := range []int{params, columns} {
		if n == 0 {
			continue
		}
		if !a.client.has(protocol.CLIENT_DEPRECATE_EOF) {
			n++
		}
		for range n {
			p, err := a.next()
			if err != nil {
				return err
			}
			if len(p) != 5 || p[0] != 0xfe { // not what ends the definitions
				a.printf("%q\n", p)
			}
		}
	}
	a.printf("PREPARED %d columns %d parameters %q\n", columns, params, p[9:])
	// The statement that had the name before stays open, as with a driver that forgets it.
	a.client.statements[name] = &myStatement{id: binary.LittleEndian.Uint32(p[1:]), params: params, long: map[int]bool{}, kinds: map[int]byte{}}
	return nil
}

// result reads one result, and says whether there is another one.
func (a *myAnswer) result() (more bool, err error) {
	p, err := a.next()
	switch {
	case err != nil:
		return false, err
	case p[0] == 0xff:
		a.failed(p)
		return false, nil
	case p[0] == 0:
		return a.okay(p)
	case p[0] == 0xfe: // of commands that have no result
		return a.end(p)
	case p[0] == 0xfb:
		a.printf("FILE %q\n", p[1:])
		for _, part := range []string{"81,'from a file'\n", ""} {
			if err := a.client.WritePacket(append(make([]byte, 4), part...)); err != nil {
				return false, err
			}
		}
		return a.result()
	}
	columns, _, _ := protocol.LengthEncodedInt(p)
	for range columns {
		p, err := a.next()
		if err != nil {
			return false, err
		}
		if p[0] == 0xff {
			a.failed(p)
			return false, nil
		}
		a.printf("COLUMN %q\n", p)
	}
	if !a.client.has(protocol.CLIENT_DEPRECATE_EOF) {
		p, err := a.next()
		switch {
		case err != nil:
			return false, err
		case p[0] == 0xff:
			a.failed(p)
			return false, nil
		case len(p) != 5 || p[0] != 0xfe:
			return false, errMalformed
		}
		// Its status has nothing to say, and newer clients do not get it, but for a cursor, whose rows are not fetched yet.
		status := binary.LittleEndian.Uint16(p[3:])
		if status&protocol.SERVER_STATUS_CURSOR_EXISTS != 0 {
			return a.end(p)
		}
		a.out = status & (protocol.SERVER_PS_OUT_PARAMS | protocol.SERVER_MORE_RESULTS_EXISTS)
		if a.out&protocol.SERVER_PS_OUT_PARAMS == 0 {
			a.out = 0
		}
	}
	return a.rows()
}

// rows reads rows up to what ends them.
func (a *myAnswer) rows() (more bool, err error) {
	for {
		p, err := a.next()
		switch {
		case err != nil:
			return false, err
		case p[0] == 0xff:
			a.failed(p)
			return false, nil
		case p[0] == 0xfe:
			return a.end(p)
		}
		a.printf("ROW %q\n", p)
	}
}

// numbered are errors that name a statement by its number, which depends on how many there were before.
var numberedStatement = regexp.MustCompile(`(statement handler|The statement) \(\d+\)`)

var numberedRow = regexp.MustCompile(` at row \d+`)

func (a *myAnswer) failed(p []byte) {
	text := numberedStatement.ReplaceAllString(string(p[1:]), "$1 (N)")
	if a.uncounted {
		text = numberedRow.ReplaceAllString(text, " at row N")
	}
	a.printf("ERR %q\n", text)
}

// end reads what ends rows: an EOF, or an OK in its place.
func (a *myAnswer) end(p []byte) (more bool, err error) {
	if len(p) != 5 {
		return a.okay(p)
	}
	status := binary.LittleEndian.Uint16(p[3:])&^stateChanged | a.out
	a.out = 0
	a.printf("EOF %d warnings, status %#x\n", binary.LittleEndian.Uint16(p[1:]), status)
	return status&protocol.SERVER_MORE_RESULTS_EXISTS != 0, nil
}

// okay reads an OK packet (section "OK_Packet").
func (a *myAnswer) okay(p []byte) (more bool, err error) {
	affected, _, n := protocol.LengthEncodedInt(p[1:])
	id, _, m := protocol.LengthEncodedInt(p[1+n:])
	rest := p[1+n+m:]
	if len(rest) < 4 {
		return false, errMalformed
	}
	status, warnings := binary.LittleEndian.Uint16(rest), binary.LittleEndian.Uint16(rest[2:])
	info := rest[4:]
	var state []byte
	if a.client.has(protocol.CLIENT_SESSION_TRACK) {
		state = info
		info, state = text(state)
		if status&stateChanged != 0 {
			state, _ = text(state)
		}
	}
	a.printf("OK %d rows, id %d, status %#x, %d warnings %q\n", affected, id, status&^stateChanged, warnings, info)
	a.state(state)
	return status&protocol.SERVER_MORE_RESULTS_EXISTS != 0, nil
}

// text takes a length-encoded string; what is no such thing is none.
func text(b []byte) (s, rest []byte) {
	s, _, n, err := protocol.LengthEncodedString(b)
	if err != nil {
		return nil, nil
	}
	return s, b[n:]
}

// state renders what a server reports of changes (section "OK_Packet", enum_session_state_type), in one order.
func (a *myAnswer) state(all []byte) {
	var lines []string
	for len(all) > 0 {
		kind := all[0]
		var data []byte
		data, all = text(all[1:])
		switch kind {
		case 4, 5: // MySQL 9.7 reports beginning and end of transactions though session_track_transaction_info is OFF
			continue
		case 0:
		case 1:
			if !a.places {
				continue
			}
			lines = append(lines, fmt.Sprintf("STATE default database %q\n", data))
		default:
			lines = append(lines, fmt.Sprintf("STATE %d %q\n", kind, data))
			continue
		}
		for len(data) > 0 {
			var name, value []byte
			name, data = text(data)
			value, data = text(data)
			lines = append(lines, fmt.Sprintf("STATE %s = %q\n", name, value))
		}
	}
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		a.text.WriteString(line)
	}
}
