package sim

import (
	"strconv"
	"strings"
)

// Holdings hold a session to its backend until they are given back: locks, temporary tables, statements of PREPARE, cursors WITH HOLD,
// channels that are listened to. Each has a name of its own in the whole run, so that whoever meets another one's has been shown its
// state; but the names of statements are everybody's, and what each is tells who prepared it.

// holding is a kind of them.
type holding struct {
	prefix     string // of the names
	take, give string // verbs
	column     int    // of the answer to the proxy's question what a PostgreSQL session holds
}

// The order is that of the protocols that have them: all, both SQL protocols, PostgreSQL.
var holdings = []holding{
	{"", "lock", "unlock", 1},
	{"t_", "temp", "drop", 0},
	{statements, "name", "unname", 4},
	{sequences, "nextval", "unseq", -1}, // sequences.go
	{"h_", "declare", "close", 2},
	{channels, "listen", "unlisten", 3}, // pg_listen.go
}

// statements begins the names of statements of PREPARE.
const statements = "p_"

// holdingsOf are how many of them a protocol has.
var holdingsOf = map[string]int{"line": 1, "mysql": 3, "postgres": 6}

// holdingOf returns what kind a name is of.
func holdingOf(name string) holding {
	for _, h := range holdings[1:] {
		if strings.HasPrefix(name, h.prefix) {
			return h
		}
	}
	return holdings[0]
}

// use does something with what is held, or gives it back; locks is what is held when the request is executed, if it is.
func (c *client) use(locks map[string]bool, open bool) request {
	for _, name := range sorted(locks) {
		switch kind := holdingOf(name); {
		case !c.locks[name]: // the answer to its taking has not been read
		case kind.take == "declare" && c.r.w.chance(2):
			return c.request("fetch", name)
		case kind.take == "listen" && c.r.w.chance(2):
			return c.request("notify", name)
		case kind.take == "name" && c.r.w.chance(2):
			return c.request("call", name)
		case kind.take == "nextval" && c.r.w.chance(2):
			return c.request("currval", name)
		case kind.take == "nextval" && !open && c.r.protocol == "mysql":
			clear(locks)
			return c.request("reset")
		case kind.take == "nextval" && !open:
			dropSequences(locks)
			return c.request(kind.give)
		case !open:
			delete(locks, name)
			return c.request(kind.give, name)
		}
	}
	return c.request("left")
}

// lock takes something new; locks is what is held when the request is executed, if it is.
func (c *client) lock(locks map[string]bool) request {
	kinds := holdingsOf[c.r.protocol]
	if c.r.protocol == "mysql" && c.r.config.mariaDB {
		kinds++
	}
	h := holdings[c.r.w.rng.IntN(kinds)]
	q := c.request(h.take)
	name := q.tag
	switch h.prefix {
	case "":
	case statements, sequences:
		if name = h.prefix + strconv.Itoa(c.r.w.rng.IntN(2)); locks[name] && h.prefix == statements {
			return c.request("left")
		}
	default:
		name = h.prefix + strings.ReplaceAll(q.tag, ".", "_")
	}
	q.args = []string{name}
	locks[name] = true
	return q
}
