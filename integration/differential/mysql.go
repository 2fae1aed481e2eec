package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// myRequest is one command of MySQL's protocol.
type myRequest struct {
	command byte
	text    string // its SQL or argument
	// statement is the session's own name of a prepared statement, for the commands that have the server's number of it.
	statement string
	values    []string // of an execution, as strings
}

func (q myRequest) String() string {
	switch q.command {
	case protocol.COM_QUERY:
		return "query " + q.text
	case protocol.COM_INIT_DB:
		return "init db " + q.text
	case protocol.COM_STMT_PREPARE:
		return fmt.Sprintf("prepare %s: %s", q.statement, q.text)
	case protocol.COM_STMT_EXECUTE:
		return fmt.Sprintf("execute %s %q", q.statement, q.values)
	case protocol.COM_STMT_CLOSE:
		return "close " + q.statement
	case protocol.COM_STMT_RESET:
		return "reset statement " + q.statement
	case protocol.COM_RESET_CONNECTION:
		return "reset connection"
	}
	return fmt.Sprintf("command %d", q.command)
}

// myClient is a connection to MySQL or MariaDB.
type myClient struct {
	*client.Conn
	statements map[string]myStatement
}

type myStatement struct {
	id     uint32
	params int
}

// openMySQL logs in with the server's own default of a collation.
func openMySQL(e harness.Endpoint, s *session, collation string) (*myClient, string, error) {
	c, err := client.Connect(e.Address(), s.login.User, s.login.Password, s.login.Database, func(c *client.Conn) error {
		// Answers are read here, in the one form that every server has.
		c.UnsetCapability(protocol.CLIENT_QUERY_ATTRIBUTES | protocol.CLIENT_DEPRECATE_EOF)
		if err := c.SetCollation(collation); err != nil {
			return err
		}
		return errors.Join(c.SetCapability(protocol.CLIENT_MULTI_STATEMENTS), c.SetCapability(protocol.CLIENT_MULTI_RESULTS))
	})
	if err != nil {
		return nil, "", err
	}
	return &myClient{Conn: c, statements: map[string]myStatement{}}, "", nil
}

func (c *myClient) close() { _ = c.Quit() } // it may be gone

// body is the command's, without its first byte. ok is false for a statement that this session does not have: nothing can be sent then.
func (c *myClient) body(q myRequest) (body []byte, ok bool) {
	s, known := c.statements[q.statement]
	switch q.command {
	case protocol.COM_STMT_EXECUTE:
		if !known || s.params != len(q.values) {
			return nil, false
		}
		body = append(binary.LittleEndian.AppendUint32(nil, s.id), 0, 1, 0, 0, 0)
		if s.params == 0 {
			return body, true
		}
		body = append(body, make([]byte, (s.params+7)/8)...) // none is NULL
		body = append(body, 1)                               // types follow
		for range q.values {
			body = append(body, protocol.MYSQL_TYPE_VAR_STRING, 0)
		}
		for _, v := range q.values {
			body = append(body, byte(len(v)))
			body = append(body, v...)
		}
		return body, true
	case protocol.COM_STMT_CLOSE, protocol.COM_STMT_RESET:
		return binary.LittleEndian.AppendUint32(nil, s.id), known
	}
	return []byte(q.text), true
}

func (c *myClient) do(r request) (string, error) {
	q := r.(myRequest)
	body, ok := c.body(q)
	if !ok {
		return "no such statement\n", nil
	}
	if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	c.ResetSequence()
	if err := c.WritePacket(append([]byte{0, 0, 0, 0, q.command}, body...)); err != nil {
		return "", err
	}
	var b strings.Builder
	switch q.command {
	case protocol.COM_STMT_CLOSE: // it has no answer
		delete(c.statements, q.statement)
		return "", nil
	case protocol.COM_STMT_PREPARE:
		err := c.prepared(q.statement, &b)
		return b.String(), err
	}
	for more := true; more; {
		var err error
		if more, err = c.result(&b); err != nil {
			return b.String(), err
		}
	}
	if q.command == protocol.COM_RESET_CONNECTION {
		clear(c.statements)
	}
	return b.String(), nil
}

// stateChanged is a status that only clients understand which ask for changes of state; these do not.
const stateChanged = protocol.SERVER_SESSION_STATE_CHANGED

var errMalformed = errors.New("malformed packet")

// prepared reads the answer to a COM_STMT_PREPARE.
func (c *myClient) prepared(name string, b *strings.Builder) error {
	p, err := c.ReadPacket()
	if err != nil {
		return err
	}
	if p[0] == 0xff {
		fmt.Fprintf(b, "ERR %q\n", p[1:])
		return nil
	}
	if len(p) < 12 {
		return errMalformed
	}
	columns, params := int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
	if err := c.definitions(columns, params, b); err != nil {
		return err
	}
	fmt.Fprintf(b, "PREPARED %d columns %d parameters %q\n", columns, params, p[9:])
	// The statement that had the name before stays open, as with a driver that forgets it.
	c.statements[name] = myStatement{binary.LittleEndian.Uint32(p[1:]), params}
	return nil
}

// definitions reads those of parameters and columns behind a prepared statement.
func (c *myClient) definitions(columns, params int, b *strings.Builder) error {
	for _, n := range []int{params, columns} {
		if n == 0 {
			continue
		}
		for range n + 1 {
			p, err := c.ReadPacket()
			if err != nil {
				return err
			}
			if len(p) != 5 || p[0] != 0xfe { // not what ends the definitions
				fmt.Fprintf(b, "%q\n", p)
			}
		}
	}
	return nil
}

// result reads one result, and says whether there is another one.
func (c *myClient) result(b *strings.Builder) (more bool, err error) {
	p, err := c.ReadPacket()
	switch {
	case err != nil:
		return false, err
	case p[0] == 0xff:
		fmt.Fprintf(b, "ERR %q\n", p[1:])
		return false, nil
	case p[0] == 0:
		return c.okay(p, b)
	}
	for ends := 0; ends < 2; {
		p, err := c.ReadPacket()
		if err != nil {
			return false, err
		}
		switch {
		case p[0] == 0xff:
			fmt.Fprintf(b, "ERR %q\n", p[1:])
			return false, nil
		case p[0] == 0xfe && len(p) == 5:
			status := binary.LittleEndian.Uint16(p[3:]) &^ stateChanged
			if ends++; ends == 1 {
				continue // it has no status to speak of, and newer clients do not get it
			}
			fmt.Fprintf(b, "EOF %d warnings, status %#x\n", binary.LittleEndian.Uint16(p[1:]), status)
			more = status&protocol.SERVER_MORE_RESULTS_EXISTS != 0
		case ends == 0:
			fmt.Fprintf(b, "COLUMN %q\n", p)
		default:
			fmt.Fprintf(b, "ROW %q\n", p)
		}
	}
	return more, nil
}

func (c *myClient) okay(p []byte, b *strings.Builder) (more bool, err error) {
	affected, _, n := protocol.LengthEncodedInt(p[1:])
	id, _, m := protocol.LengthEncodedInt(p[1+n:])
	rest := p[1+n+m:]
	if len(rest) < 4 {
		return false, errMalformed
	}
	status := binary.LittleEndian.Uint16(rest) &^ stateChanged
	fmt.Fprintf(b, "OK %d rows, id %d, status %#x, %d warnings %q\n", affected, id, status, binary.LittleEndian.Uint16(rest[2:]), rest[4:])
	return status&protocol.SERVER_MORE_RESULTS_EXISTS != 0, nil
}
