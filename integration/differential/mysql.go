package differential

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// myRequest is one command of MySQL's protocol.
type myRequest struct {
	command byte
	// text is its SQL, a part of long data, or the name of a database. {id} in SQL is the connection's id.
	text string
	// statement is the session's own name of a prepared statement, for the commands that have the server's number of it.
	statement string
	// values are those of an execution, again from the first one for further parameters.
	values []string
	types  []byte        // of the values; nil: those that were sent last are not sent again
	cursor bool          // an execution opens one
	number int           // of rows to fetch, of the parameter of long data, of an option
	login  harness.Login // of COM_CHANGE_USER
}

// myAllSettings is what allSettings makes.
var myAllSettings = regexp.MustCompile(`select database\(\), @@t[^;]*`)

// null is the value that is NULL.
const null = "NULL"

func (q myRequest) String() string {
	switch q.command {
	case protocol.COM_QUERY:
		return "query " + myAllSettings.ReplaceAllString(q.text, "(all settings)")
	case protocol.COM_INIT_DB:
		return "init db " + q.text
	case protocol.COM_FIELD_LIST:
		return "field list " + q.text
	case protocol.COM_PING:
		return "ping"
	case protocol.COM_SET_OPTION:
		return fmt.Sprintf("set option %d", q.number)
	case protocol.COM_CHANGE_USER:
		return fmt.Sprintf("change user to %s, password %q, database %q", q.login.User, q.login.Password, q.login.Database)
	case protocol.COM_RESET_CONNECTION:
		return "reset connection"
	case protocol.COM_STMT_PREPARE:
		return fmt.Sprintf("prepare %s: %s", q.statement, q.text)
	case protocol.COM_STMT_EXECUTE:
		how := ""
		if q.cursor {
			how = " with a cursor"
		}
		if q.types == nil {
			return fmt.Sprintf("execute %s %q, types as before%s", q.statement, q.values, how)
		}
		return fmt.Sprintf("execute %s %q, types %v%s", q.statement, q.values, q.types, how)
	case protocol.COM_STMT_SEND_LONG_DATA:
		return fmt.Sprintf("long data %s, parameter %d: %q", q.statement, q.number, q.text)
	case protocol.COM_STMT_FETCH:
		return fmt.Sprintf("fetch %s %d", q.statement, q.number)
	case protocol.COM_STMT_CLOSE:
		return "close " + q.statement
	case protocol.COM_STMT_RESET:
		return "reset statement " + q.statement
	}
	return fmt.Sprintf("command %d", q.command)
}

// myStatement is a prepared statement as its client knows it.
type myStatement struct {
	id     uint32
	params int
	types  []byte       // that were sent last
	long   map[int]bool // parameters of which long data was sent since the last execution
	cursor bool         // an execution has asked for one: all later ones do, because MySQL sends neither rows nor an end to others
	kinds  map[int]byte // each parameter's type: MySQL understands a statement by the first, Berth by the last (docs/pinning.md)
}

// kind is the type of the parameter i: the one of its first execution, but for NULLs.
func (s *myStatement) kind(i int, t byte) byte {
	first, known := s.kinds[i]
	switch {
	case t == protocol.MYSQL_TYPE_NULL:
		return t
	case known:
		return first
	}
	s.kinds[i] = t
	return t
}

// nobodys is the number of a statement that no server has.
const nobodys = 4242

// body is the command's, without its first byte. ok is false for a statement that this session does not have: nothing is sent then.
func (c *myClient) body(q myRequest) (body []byte, ok bool) {
	s, known := c.statements[q.statement]
	if q.statement == "nobody's" {
		s, known = &myStatement{id: nobodys, kinds: map[int]byte{}}, true
	}
	switch q.command {
	case protocol.COM_QUERY:
		if c.has(protocol.CLIENT_QUERY_ATTRIBUTES) {
			body = []byte{0, 1} // none
		}
		return append(body, strings.ReplaceAll(q.text, "{id}", strconv.FormatUint(uint64(c.id), 10))...), true
	case protocol.COM_FIELD_LIST:
		return append([]byte(q.text), 0), true
	case protocol.COM_SET_OPTION:
		return binary.LittleEndian.AppendUint16(nil, uint16(q.number)), true
	case protocol.COM_CHANGE_USER:
		return c.changeUser(q.login), true
	case protocol.COM_STMT_EXECUTE, protocol.COM_STMT_SEND_LONG_DATA, protocol.COM_STMT_FETCH, protocol.COM_STMT_CLOSE, protocol.COM_STMT_RESET:
		if !known {
			return nil, false
		}
		body = binary.LittleEndian.AppendUint32(nil, s.id)
	default:
		return []byte(q.text), true
	}
	switch q.command {
	case protocol.COM_STMT_EXECUTE:
		return c.execution(body, s, q), true
	case protocol.COM_STMT_SEND_LONG_DATA:
		if q.number >= s.params {
			return nil, false
		}
		switch s.kind(q.number, protocol.MYSQL_TYPE_VAR_STRING) {
		case protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_BLOB:
		default:
			return nil, false
		}
		s.long[q.number] = true
		return append(binary.LittleEndian.AppendUint16(body, uint16(q.number)), q.text...), true
	case protocol.COM_STMT_FETCH:
		return binary.LittleEndian.AppendUint32(body, uint32(q.number)), true
	case protocol.COM_STMT_RESET:
		clear(s.long)
	}
	return body, true
}

// execution appends what follows the statement's number (section "COM_STMT_EXECUTE").
func (c *myClient) execution(body []byte, s *myStatement, q myRequest) []byte {
	var flags byte
	if s.cursor = s.cursor || q.cursor; s.cursor {
		flags = protocol.CURSOR_TYPE_READ_ONLY
	}
	body = append(body, flags, 1, 0, 0, 0)
	if s.params == 0 {
		return body
	}
	if c.has(protocol.CLIENT_QUERY_ATTRIBUTES) {
		body = append(body, byte(s.params))
	}
	sends := q.types != nil || len(s.types) != s.params
	if sends {
		s.types = nil
		for i := range s.params {
			t := byte(protocol.MYSQL_TYPE_VAR_STRING)
			if len(q.types) > 0 && !s.long[i] { // long data is text
				t = q.types[i%len(q.types)]
			}
			s.types = append(s.types, s.kind(i, t))
		}
	}
	nulls := make([]byte, (s.params+7)/8)
	var values []byte
	for i, t := range s.types {
		value := "1"
		if len(q.values) > 0 {
			value = q.values[i%len(q.values)]
		}
		switch {
		case s.long[i]:
		case value == null || t == protocol.MYSQL_TYPE_NULL:
			nulls[i/8] |= 1 << (i % 8)
		case t == protocol.MYSQL_TYPE_VAR_STRING && !c.maria:
			values = appendMyValue(values, t, strings.TrimPrefix(value, "-")) // which changes what the statement means from then on
		default:
			values = appendMyValue(values, t, value)
		}
	}
	clear(s.long)
	body = append(body, nulls...)
	if !sends {
		return append(append(body, 0), values...)
	}
	body = append(body, 1)
	for _, t := range s.types {
		body = append(body, t, 0)
		if c.has(protocol.CLIENT_QUERY_ATTRIBUTES) {
			body = append(body, 0) // no name
		}
	}
	return append(body, values...)
}

// appendMyValue appends a value in the binary form of a type. Text that is no number is 7 to types of numbers.
func appendMyValue(b []byte, t byte, value string) []byte {
	n, err := strconv.Atoi(value)
	if err != nil {
		n = 7
	}
	switch t {
	case protocol.MYSQL_TYPE_TINY:
		return append(b, byte(n))
	case protocol.MYSQL_TYPE_LONGLONG:
		return binary.LittleEndian.AppendUint64(b, uint64(n))
	case protocol.MYSQL_TYPE_DATE:
		return append(binary.LittleEndian.AppendUint16(append(b, 4), 2020), 3, byte(n%28)+1)
	case protocol.MYSQL_TYPE_NEWDECIMAL:
		value = fmt.Sprintf("%d.50", n)
	}
	return append(append(b, byte(len(value))), value...)
}

func (c *myClient) do(r request) (string, error) {
	q := r.(myRequest)
	body, ok := c.body(q)
	if !ok {
		return "no such statement\n", nil
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	c.ResetSequence()
	if err := c.WritePacket(append([]byte{0, 0, 0, 0, q.command}, body...)); err != nil {
		return "", ended(err)
	}
	a := myAnswer{client: c, uncounted: c.maria && q.command == protocol.COM_STMT_EXECUTE, places: q.command == protocol.COM_INIT_DB || strings.HasPrefix(q.text, "use ")}
	err := a.read(q)
	return a.text.String(), ended(err)
}
