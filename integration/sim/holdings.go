package sim

import "strings"

// Holdings hold a session to its backend until they are given back: locks, temporary tables, cursors WITH HOLD, channels that are
// listened to. Each has a name of its own in the whole run, so that whoever meets another one's has been shown its state.

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
	{"h_", "declare", "close", 2},
	{channels, "listen", "unlisten", 3}, // pg_listen.go
}

// holdingsOf are how many of them a protocol has.
var holdingsOf = map[string]int{"line": 1, "mysql": 2, "postgres": 4}

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
		case !open:
			delete(locks, name)
			return c.request(kind.give, name)
		}
	}
	return c.request("left")
}

// lock takes something new; locks is what is held when the request is executed, if it is.
func (c *client) lock(locks map[string]bool) request {
	h := holdings[c.r.w.rng.IntN(holdingsOf[c.r.protocol])]
	q := c.request(h.take)
	name := q.tag
	if h.prefix != "" {
		name = h.prefix + strings.ReplaceAll(q.tag, ".", "_")
	}
	q.args = []string{name}
	locks[name] = true
	return q
}
