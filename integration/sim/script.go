package sim

import (
	"fmt"
	"slices"
	"strconv"
)

// compose makes up the next requests: some alone, some pipelined. A transaction is begun by a request of its own, because
// what follows a begin that is refused would be executed outside of it, here as in any protocol.
func (c *client) compose() []request {
	w := c.r.w
	if !c.open && w.chance(3) {
		return []request{c.request("begin")}
	}
	if c.unnamed != nil && !c.failed && w.chance(2) {
		q := *c.unnamed
		q.verb, q.at = "again", c.serial+1
		return []request{q}
	}
	n := 1
	if w.chance(2) {
		n = w.between(1, c.r.config.pipeline)
	}
	open := c.open
	locks := c.lockedNow()
	var out []request
	for range n {
		q := c.compose1(open, locks)
		if q.verb == "reset" {
			clear(c.prepared)
		}
		q = c.ready(q)
		if q.verb == "commit" || q.verb == "rollback" {
			open = false
		}
		out = append(out, q)
		if q.verb == "file" { // nothing may be sent behind it before the server has asked
			break
		}
		if q.verb == "prepare" && c.r.protocol == "mysql" && c.r.config.mariaDB && w.chance(2) {
			out = append(out, c.atOnce(q))
		}
	}
	return out
}

func (c *client) lockedNow() map[string]bool {
	locks := make(map[string]bool)
	for name := range c.locks {
		locks[name] = true
	}
	return locks
}

func (c *client) compose1(open bool, locks map[string]bool) request {
	w := c.r.w
	switch x := w.rng.IntN(100); {
	case len(locks) > 0 && w.chance(6):
		return c.use(locks, open)
	case c.r.protocol == "postgres" && w.chance(20):
		return c.notify()
	case c.r.protocol == "postgres" && c.sequences.last != "" && w.chance(15):
		return c.request("lastval")
	case x < 25:
		q := c.request("put")
		q.args = []string{c.key(), q.tag}
		return q
	case x < 45:
		return c.request("get", c.key())
	case x < 60 && open:
		return c.request([]string{"commit", "commit", "commit", "rollback"}[w.rng.IntN(4)])
	case x < 60 && c.r.protocol == "mysql" && w.chance(2):
		return c.prepares()
	case x < 60 && c.r.protocol == "postgres" && w.chance(2):
		return c.pgPrepares()
	case x < 63:
		return c.special()
	case x < 66:
		return c.request("show", "s"+strconv.Itoa(w.rng.IntN(2)))
	case x < 70 && c.r.config.pins && c.r.protocol == "postgres" && w.chance(3):
		if w.chance(3) {
			return c.request("norole")
		}
		return c.request("role", "r"+strconv.Itoa(w.rng.IntN(3)))
	case x < 70 && c.r.config.pins:
		q := c.request("set")
		q.args = []string{"s" + strconv.Itoa(w.rng.IntN(2)), q.tag}
		return q
	case x < 72 && c.r.config.pins && !open && len(locks) == 0:
		return c.request("reset")
	case x < 77 && c.r.config.pins && !open:
		return c.lock(locks)
	case x < 80:
		return c.request("sleep", strconv.Itoa(w.rng.IntN(c.r.config.sleep)))
	case x < 83:
		return c.request("fail")
	case x < 90:
		return c.request("rows", strconv.Itoa(c.size()))
	case x < 96:
		n := c.size()
		q := c.request("load", strconv.Itoa(n))
		q.body = filler(q.tag, n)
		if c.r.protocol == "mysql" && c.files && w.chance(2) {
			q.verb = "file"
		}
		return q
	case x < 97 && c.r.config.kills:
		return c.kill()
	}
	return c.request("get", c.key())
}

// key is one of the session's own.
func (c *client) key() string {
	return fmt.Sprintf("k%d.%d.%d", c.number, c.session, c.r.w.rng.IntN(4))
}

// special is what only some protocol has, or what is left of other sessions.
func (c *client) special() request {
	w := c.r.w
	if c.r.protocol == "line" {
		return c.request("left")
	}
	x := w.rng.IntN(5)
	if c.r.protocol == "postgres" {
		x = 3 + w.rng.IntN(6)
	}
	switch x {
	case 0:
		return c.request("lastid")
	case 1:
		return c.request("schema")
	case 2:
		return c.request("use", "db"+strconv.Itoa(w.rng.IntN(3)))
	case 3:
		q := c.request("multi")
		q.args = []string{c.key(), q.tag}
		return q
	case 6:
		return c.request("currval", sequences+strconv.Itoa(w.rng.IntN(2)))
	case 8:
		return c.request("whoami")
	case 7:
		return c.request("lastval")
	case 5:
		return c.request("unload", strconv.Itoa(c.size()))
	}
	return c.request("left")
}

// size is of a result or upload: mostly small, sometimes more than any buffer takes, and never so much that it takes for ever where an
// end takes only a few bytes at once.
func (c *client) size() int {
	w := c.r.w
	if w.chance(8) {
		return w.rng.IntN(min(400<<10, 1000*c.r.net.least()))
	}
	return w.rng.IntN(3000)
}

func sorted(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// kill ends the session of some other client.
func (c *client) kill() request {
	victim := c.r.clients[c.r.w.rng.IntN(len(c.r.clients))]
	if victim == c || victim.id == 0 {
		return c.request("get", "nothing")
	}
	c.r.killed[victim.id] = true
	return c.request("kill", strconv.Itoa(int(victim.id)))
}

func (c *client) request(verb string, args ...string) request {
	c.serial++
	return request{tag: fmt.Sprintf("c%d.%d.%d", c.number, c.session, c.serial), verb: verb, args: args, at: c.serial}
}
