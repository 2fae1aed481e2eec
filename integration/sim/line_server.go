package sim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// serveLines is a connection of the line protocol. The first line logs in or cancels; each further one is a request:
//
//	<tag> begin | commit | rollback | put <key> <value> | get <key> | set <name> <value> | show <name> | reset
//	<tag> lock <name> | unlock <name> | sleep <ms> | fail | rows <n> | load <n>, and n bytes
//
// It answers each in order: "<tag> <state> <text>", where state is I (no transaction), T or E (failed). The answer
// to rows is followed by n bytes. Between answers there may be "* ..." notices; "! ..." is the last thing that is said.
func serveLines(c *session) {
	r := &reader{from: c.conn}
	hello, err := r.line()
	if err != nil {
		return
	}
	switch f := strings.Fields(hello); f[0] {
	case "cancel":
		id, _ := strconv.Atoi(f[1])
		c.server.cancel(id)
		return
	case "hello":
		if f[1] == "nobody" {
			_, _ = c.conn.Write([]byte("! nobody may not log in\n"))
			return
		}
		c.enter(engine.Key{User: f[1]})
	}
	if _, err := fmt.Fprintf(c.conn, "welcome %d\n", c.id); err != nil {
		return
	}
	for {
		c.idle = len(r.have) == 0
		line, err := r.line()
		c.idle = false
		if err != nil || line == "quit" {
			return
		}
		if err := c.answerLine(r, line); err != nil {
			return
		}
	}
}

func (c *session) answerLine(r *reader, line string) error {
	f := strings.Fields(line)
	tag, verb := f[0], f[1]
	d := c.server.w.upTo(2 * time.Millisecond)
	if c.server.w.chance(c.faults.slow) {
		d = c.server.w.upTo(2 * time.Second)
	}
	if verb == "sleep" {
		ms, _ := strconv.Atoi(f[2])
		d = time.Duration(ms) * time.Millisecond
	}
	var body []byte
	if verb == "load" {
		n, _ := strconv.Atoi(f[2])
		var err error
		if body, err = r.block(n); err != nil {
			return err
		}
	}
	canceled := c.pause(d)
	if c.gone {
		return fmt.Errorf("gone")
	}
	text, more := "", []byte(nil)
	switch ending := verb == "commit" || verb == "rollback"; {
	case canceled:
		text = "error canceled"
		c.fail()
	case c.failed && !ending:
		text = "error aborted"
	default:
		text, more = c.execute(tag, verb, f[2:], body)
	}
	state := "I"
	if c.open {
		state = "T"
	}
	if c.failed {
		state = "E"
	}
	c.server.w.log("connection %d: %s -> %s %s", c.id, line, state, text)
	_, err := c.conn.Write(append(fmt.Appendf(nil, "%s %s %s\n", tag, state, text), more...))
	return err
}

func (c *session) execute(tag, verb string, args []string, body []byte) (text string, more []byte) {
	switch verb {
	case "begin":
		c.open = true
	case "commit", "rollback":
		if !c.end(verb == "commit") {
			return "rolled back", nil
		}
		return "committed", nil
	case "put":
		c.put(args[0], args[1])
	case "get":
		return "value " + c.get(args[0]), nil
	case "set":
		c.settings[args[0]] = args[1]
	case "show":
		return "value " + c.settings[args[0]], nil
	case "reset":
		c.reset()
	case "lock":
		c.locks[args[0]] = true
	case "unlock":
		if !c.locks[args[0]] {
			c.fail()
			return "error not locked", nil
		}
		delete(c.locks, args[0])
	case "rows":
		n, _ := strconv.Atoi(args[0])
		return "rows " + args[0], filler(tag, n)
	case "load":
		if !bytes.Equal(body, filler(tag, len(body))) {
			c.server.w.fail("connection %d: the upload of %s is not what was sent", c.id, tag)
		}
	case "sleep":
	default:
		c.fail()
		return "error failed", nil
	}
	return "ok", nil
}

// lineMischief says something unasked.
func lineMischief(c *session, last bool) {
	if last {
		_, _ = c.conn.send([]byte("! the server shuts down\n"))
		return
	}
	_, _ = c.conn.send([]byte("* something happened\n"))
}
