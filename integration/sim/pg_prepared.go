package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Prepared statements of PostgreSQL's extended protocol, by name. As with MySQL all clients prepare the same few texts, under names of
// their own, and the tag and the arguments are parameters: what leads to another statement has the wrong number of them, or does
// something else.

// pgTexts are what is prepared, by verb.
var pgTexts = map[string]string{
	"put":     "INSERT INTO kv VALUES ($2, $3) /* prepared put $1 */",
	"get":     "SELECT v FROM kv WHERE k = $2 /* prepared get $1 */",
	"sleep":   "SELECT pg_sleep($2 / 1000.0) /* prepared sleep $1 */",
	"fail":    "SELECT 1/0 /* prepared fail $1 */",
	"lastval": "SELECT lastval() /* prepared lastval $1 */",
	"rows":    "SELECT v FROM kv LIMIT $2 /* prepared rows $1 */",
}

var pgVerbs = slices.Sorted(maps.Keys(pgTexts))

// pgPrepares is a request to prepare one of the texts, in place of the statement that the client has of it.
func (c *client) pgPrepares() request {
	verb := pgVerbs[c.r.w.rng.IntN(len(pgVerbs))]
	q := c.request("prepare", verb)
	q.prepared = &myPrepared{name: fmt.Sprintf("s%d", q.at), closes: c.prepared[verb]}
	delete(c.prepared, verb)
	return q
}

// encodePgPrepared is a request about statements.
func encodePgPrepared(c *client, q request) (out []byte) {
	p := q.prepared
	name := text(p.name)
	if q.verb == "prepare" {
		if old := p.closes; old != nil {
			out = message(out, 'C', []byte{'S'}, text(old.name))
		}
		out = message(out, 'P', name, text(pgTexts[q.args[0]]), []byte{0, 0})
		if c.r.w.chance(3) {
			out = message(out, 'D', []byte{'S'}, name)
		}
		return message(out, 'S')
	}
	values := append([]string{q.tag}, q.args...)
	bind := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(values)))
	for _, v := range values {
		bind = append(binary.BigEndian.AppendUint32(bind, uint32(len(v))), v...)
	}
	out = message(out, 'B', []byte{0}, name, bind, []byte{0, 0})
	if c.r.w.chance(2) {
		out = message(out, 'D', []byte{'P', 0})
	}
	return message(message(out, 'E', []byte{0, 0, 0, 0, 0}), 'S')
}

// prepare makes a statement of a Parse, under a name.
func (s *pgSession) prepare(name, sql string) {
	_, comment, ours := strings.Cut(sql, "/* prepared ")
	verb, _, _ := strings.Cut(comment, " ")
	switch {
	case s.failed && sql != "":
		s.complain("25P02", "? error aborted")
	case s.named[name] != "":
		s.complain("42P05", "? error exists")
	case ours && pgTexts[verb] != sql, !ours && sql != "" && sql != "DISCARD SEQUENCES":
		s.server.w.fail("connection %d is to prepare %q", s.id, sql)
	default:
		if !ours {
			verb = "forget"
		}
		s.named[name] = verb
		s.out = message(s.out, '1')
	}
}

// bind makes the portal of a statement with a name, from what follows the name in a Bind.
func (s *pgSession) bind(name string, rest []byte) {
	verb := s.named[name]
	switch {
	case verb == "":
		s.complain("26000", "? error no statement")
		return
	case verb == "forget":
		s.portal = &request{tag: own, verb: verb}
	default:
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if want := 1 + strings.Count(pgTexts[verb], "$") - 1; n != want {
			s.server.w.fail("connection %d: %s has %d parameters, not %d", s.id, verb, n, want)
			return
		}
		rest = rest[4:]
		values := make([]string, n)
		for i := range values {
			size := binary.BigEndian.Uint32(rest)
			values[i], rest = string(rest[4:4+size]), rest[4+size:]
		}
		s.portal = &request{tag: values[0], verb: verb, args: values[1:]}
	}
	s.out = message(s.out, '2')
}

// shared is how many statements the proxy has prepared for everybody.
func (s *pgSession) shared() (n int) {
	for name := range s.named {
		if strings.HasPrefix(name, "berth:") {
			n++
		}
	}
	return n
}
