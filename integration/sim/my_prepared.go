package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// Prepared statements of MySQL's binary protocol. All clients prepare the same few texts, which name the verb only: the tag and
// the arguments are parameters. Clients differ in the type that they give them, so that a server notices types that are another
// client's; and they send some as long data. MariaDB's clients may execute a statement before they have been told its id.

// myTexts are what is prepared.
var myTexts = map[string]string{
	"put":    "INSERT INTO kv VALUES (?, ?) /* prepared put */",
	"get":    "SELECT v FROM kv WHERE k = ? /* prepared get */",
	"lastid": "SELECT LAST_INSERT_ID() + 0 /* prepared lastid */",
	"schema": "SELECT DATABASE() /* prepared schema */",
	"sleep":  "DO SLEEP(? / 1000) /* prepared sleep */",
	"fail":   "SELECT fail /* prepared fail */",
	"rows":   "SELECT v FROM kv LIMIT ? /* prepared rows */",
}

var myVerbs = slices.Sorted(maps.Keys(myTexts))

// myArgs is how many arguments a verb has.
func myArgs(verb string) int { return strings.Count(myTexts[verb], "?") }

// typeOf is the type that a client gives its parameters, by the client's number. Clients that begin in the same default database, whose
// statements are the same, differ in it.
func typeOf(client int) byte {
	return [...]byte{protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_STRING, protocol.MYSQL_TYPE_BLOB}[client/3%3]
}

// myPrepared is a statement as its client knows it, of PostgreSQL too.
type myPrepared struct {
	id     uint32
	schema string      // when it was prepared
	typed  bool        // the server was told the types
	name   string      // PostgreSQL's
	closes *myPrepared // a statement that this one is to take the place of
}

// prepares is a request to prepare one of the texts, in place of the statement that the client has of it.
func (c *client) prepares() request {
	verb := myVerbs[c.r.w.rng.IntN(len(myVerbs))]
	q := c.request("prepare", verb)
	q.prepared = &myPrepared{closes: c.prepared[verb]}
	delete(c.prepared, verb)
	return q
}

// atOnce is a request that executes what q prepares, which stands right before it.
func (c *client) atOnce(q request) request {
	now := c.request(q.args[0])
	switch now.verb {
	case "put":
		now.args = []string{c.key(), now.tag}
	case "get":
		now.args = []string{c.key()}
	case "sleep":
		now.args = []string{strconv.Itoa(c.r.w.rng.IntN(c.r.config.sleep))}
	case "rows":
		now.args = []string{strconv.Itoa(c.size())}
	}
	now.prepared, now.long = q.prepared, c.r.w.chance(4)
	return now
}

// ready makes q an execution if the client has prepared its verb.
func (c *client) ready(q request) request {
	if p := c.prepared[q.verb]; q.prepared == nil && p != nil && c.r.w.chance(2) {
		q.prepared = p
		q.long = c.r.protocol == "mysql" && c.r.w.chance(4)
	}
	return q
}

// encodePrepared is a request about statements.
func encodePrepared(c *client, q request) (out []byte) {
	one := func(payload ...[]byte) { out = packet(out, new(uint8), payload...) }
	id := func(p *myPrepared) []byte {
		if p.id == 0 {
			return binary.LittleEndian.AppendUint32(nil, lastPrepared)
		}
		return binary.LittleEndian.AppendUint32(nil, p.id)
	}
	if q.verb == "prepare" {
		if old := q.prepared.closes; old != nil {
			one([]byte{protocol.COM_STMT_CLOSE}, id(old))
		}
		one([]byte{protocol.COM_STMT_PREPARE}, []byte(myTexts[q.args[0]]))
		return out
	}
	p := q.prepared
	values := append([]string{q.tag}, q.args...)
	for i, v := range values {
		for from := 0; q.long && from < len(v); from += 3 {
			one([]byte{protocol.COM_STMT_SEND_LONG_DATA}, id(p), []byte{byte(i), 0}, []byte(v[from:min(from+3, len(v))]))
		}
	}
	body := append(id(p), 0, 1, 0, 0, 0, 0) // no cursor, one iteration, no NULLs
	if p.typed && c.r.w.chance(2) {
		body = append(body, 0)
	} else {
		body = append(body, 1)
		for range values {
			body = append(body, typeOf(c.number), 0)
		}
	}
	for _, v := range values {
		if !q.long {
			body = append(body, lenenc(v)...)
		}
	}
	one([]byte{protocol.COM_STMT_EXECUTE}, body)
	return out
}

// lastPrepared is the id by which MariaDB's clients mean what the COM_STMT_PREPARE before has prepared ("COM_STMT_EXECUTE").
const lastPrepared = 1<<32 - 1

// answerPrepare reads the answer to a COM_STMT_PREPARE.
func (m my) answerPrepare(c *client, q request) (answer, error) {
	left, params, columns := 1, 0, 0
	var p *myPrepared
	for next := uint8(1); left > 0; next++ {
		sequence, packet, err := c.in.packet()
		switch {
		case err != nil:
			return answer{}, err
		case packet[0] == 0xff:
			return m.complaint(c, packet, q), nil
		case sequence != next:
			return answer{}, fmt.Errorf("packet %d, not %d", sequence, next)
		case p == nil:
			p = q.prepared
			p.id, p.schema = binary.LittleEndian.Uint32(packet[1:]), c.schema
			columns, params = int(binary.LittleEndian.Uint16(packet[5:])), int(binary.LittleEndian.Uint16(packet[7:]))
			for _, n := range []int{params, columns} {
				if left += n; c.eofs && n > 0 {
					left++
				}
			}
		}
		left--
	}
	if want := 1 + myArgs(q.args[0]); params != want {
		return answer{}, fmt.Errorf("%d parameters, not %d", params, want)
	}
	c.prepared[q.args[0]] = p
	state := "I"
	if c.open {
		state = "T"
	}
	return answer{line: q.tag + " " + state + " ok"}, nil
}

// myStatementHeld is a statement as the model of MySQL has it.
type myStatementHeld struct {
	verb   string
	schema string
	kind   byte // the type of its parameters, 0 if it was not told
	first  byte // that of its first execution
	long   map[int][]byte
}

// prepare answers a COM_STMT_PREPARE.
func (s *mySession) prepare(text string) {
	_, verb, ok := strings.Cut(text, "/* prepared ")
	verb = strings.TrimSuffix(verb, " */")
	if !ok || myTexts[verb] != text {
		s.server.w.fail("connection %d is to prepare %q", s.id, text)
		return
	}
	if len(s.statements) >= maxMyStatements {
		s.error(protocol.ER_MAX_PREPARED_STMT_COUNT_REACHED, "Can't create more than max_prepared_stmt_count statements")
		return
	}
	s.lastStatement++
	s.statements[s.lastStatement] = &myStatementHeld{verb: verb, schema: s.schema, long: map[int][]byte{}}
	columns := 0
	if strings.HasPrefix(text, "SELECT") {
		columns = 1
	}
	params := 1 + myArgs(verb)
	p := binary.LittleEndian.AppendUint32([]byte{0}, s.lastStatement)
	s.out = packet(s.out, &s.sequence, append(p, byte(columns), 0, byte(params), 0, 0, 0, 0))
	for range params + columns {
		s.out = packet(s.out, &s.sequence, myColumn())
	}
}

// maxMyStatements is how many statements a connection may have: few enough that some are refused.
const maxMyStatements = 5

// about finds the statement that a command is about.
func (s *mySession) about(body []byte) (*myStatementHeld, uint32) {
	id := binary.LittleEndian.Uint32(body)
	h := s.statements[id]
	if h == nil {
		s.server.w.fail("connection %d has no statement %d", s.id, id)
	}
	return h, id
}

// statement executes a command about a statement.
func (s *mySession) statement(command byte, body []byte) {
	h, id := s.about(body)
	switch {
	case h == nil:
	case command == protocol.COM_STMT_CLOSE:
		delete(s.statements, id)
	case command == protocol.COM_STMT_RESET:
		clear(h.long)
		s.ok("", 0, nil)
	case command == protocol.COM_STMT_SEND_LONG_DATA:
		i := int(binary.LittleEndian.Uint16(body[4:]))
		h.long[i] = append(h.long[i], body[6:]...)
	default:
		s.executePrepared(h, body[4+5:])
	}
}

// executePrepared executes a statement. rest is the COM_STMT_EXECUTE from its NULLs on.
func (s *mySession) executePrepared(h *myStatementHeld, rest []byte) {
	n := 1 + myArgs(h.verb)
	typed := rest[1] == 1
	rest = rest[2:]
	if typed {
		h.kind, rest = rest[0], rest[2*n:]
	}
	values := make([]string, n)
	for i := range values {
		if data := h.long[i]; data != nil {
			values[i] = string(data)
			continue
		}
		v, _, size, err := protocol.LengthEncodedString(rest)
		if err != nil {
			s.server.w.fail("connection %d: parameter %d of %s: %w", s.id, i, h.verb, err)
			return
		}
		values[i], rest = string(v), rest[size:]
	}
	clear(h.long)
	q := request{tag: values[0], verb: h.verb, args: values[1:]}
	var number, session, serial int
	if n, err := fmt.Sscanf(q.tag, "c%d.%d.%d", &number, &session, &serial); n != 3 || err != nil {
		s.server.w.fail("connection %d executes for %q", s.id, q.tag)
		return
	}
	if h.kind != typeOf(number) || len(rest) > 0 {
		s.server.w.fail("connection %d: %s has type %d, and %d bytes too many", s.id, q.line(), h.kind, len(rest))
		return
	}
	if h.first == 0 {
		h.first = h.kind
	}
	if h.kind != h.first && !s.mariaDB { // since 8.0.22 a statement keeps to what the types of its first execution made of it
		s.server.w.fail("connection %d: %s has type %d, and the meaning that %d gave it", s.id, q.line(), h.kind, h.first)
		return
	}
	before := s.schema
	s.schema, s.binary = h.schema, true
	s.one(q, 0)
	s.schema, s.binary = before, false
}

// myColumn is a column definition.
func myColumn() []byte {
	column := []byte{}
	for _, part := range []string{"def", "db", "kv", "kv", "v", "v", "\x2d\x00\xff\xff\x00\x00\xfd\x00\x00\x00\x00\x00"} {
		column = append(column, lenenc(part)...)
	}
	return column
}
