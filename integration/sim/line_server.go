package sim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// serveLines is a connection of the line protocol. Each line is a request:
//
//	<tag> begin | commit | rollback | put <key> <value> | get <key> | set <name> <value> | show <name> | reset
//	<tag> lock <name> | unlock <name> | sleep <ms> | fail | rows <n> | load <n>, and n bytes
//
// It answers each in order: "<tag> <state> <text>", where state is I (no transaction), T or E (failed). The answer
// to rows is followed by n bytes. Between answers there may be "* ..." notices; "! ..." is the last thing that is said.
func serveLines(c *session) {
	r := &reader{from: c.conn}
	if !c.greet(r) {
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
	q := request{tag: f[0], verb: f[1], args: f[2:]}
	if q.verb == "load" {
		n, _ := strconv.Atoi(f[2])
		var err error
		if q.body, err = r.block(n); err != nil {
			return err
		}
	}
	text, more := c.perform(q)
	if c.gone {
		return errGone
	}
	_, err := c.conn.Write(append(fmt.Appendf(nil, "%s %s %s\n", q.tag, c.state(), text), more...))
	return err
}

// perform takes the time that q needs, and executes it. It returns the answer's text, and the rows that belong to it.
func (c *session) perform(q request) (text string, more []byte) {
	d := c.server.w.upTo(2 * time.Millisecond)
	if c.server.w.chance(c.faults.slow) {
		d = c.server.w.upTo(2 * time.Second)
	}
	if c.server.w.chance(c.faults.stall) {
		d = c.server.w.upTo(20 * time.Second)
	}
	if q.verb == "sleep" {
		ms, _ := strconv.Atoi(q.args[0])
		d = time.Duration(ms) * time.Millisecond
	}
	canceled := c.pause(d)
	switch ending := q.verb == "commit" || q.verb == "rollback"; {
	case c.gone:
		return "", nil
	case canceled && !ending: // the end of a transaction is not stopped
		text = "error canceled"
		c.fail()
	case c.failed && !ending:
		text = "error aborted"
	default:
		text, more = c.execute(q.tag, q.verb, q.args, q.body)
	}
	c.server.w.log("connection %d: %s -> %s %s", c.id, strings.TrimSpace(q.line()), c.state(), text)
	return text, more
}

// state is what the server says of the transaction.
func (c *session) state() string {
	switch {
	case c.failed:
		return "E"
	case c.open:
		return "T"
	}
	return "I"
}

func (c *session) execute(tag, verb string, args []string, body []byte) (text string, more []byte) {
	if text, ok := c.sequence(tag, verb, args); ok {
		return text, nil
	}
	switch verb {
	case "begin":
		c.begin()
	case "left":
		return strings.TrimSpace("value " + strings.Join(c.left(), " ")), nil
	case "commit", "rollback":
		if !c.end(verb == "commit") {
			return "rolled back", nil
		}
		return "committed", nil
	case "put":
		c.put(args[0], args[1])
		if c.connectionState.undoes {
			c.sequences.next(serial, tag)
		}
	case "get":
		return "value " + c.get(args[0]), nil
	case "set":
		c.settings[args[0]] = args[1]
	case "show":
		return "value " + c.settings[args[0]], nil
	case "role":
		c.settings[role] = args[0]
	case "norole":
		delete(c.settings, role)
	case "whoami":
		return strings.TrimSpace("value " + c.settings[role]), nil
	case "reset":
		c.reset()
	case "lock", "temp", "declare", "listen":
		c.locks[args[0]] = true
	case "name":
		if c.locks[args[0]] && c.connectionState.dooms { // MySQL takes it in the other one's place
			c.fail()
			return "error exists", nil
		}
		c.locks[args[0]], c.texts[args[0]] = true, tag
	case "call":
		if !c.locks[args[0]] {
			c.fail()
			return "error no statement", nil
		}
		return "value " + c.texts[args[0]], nil
	case "fetch":
		if !c.locks[args[0]] {
			c.fail()
			return "error no cursor", nil
		}
		return "value " + args[0], nil
	case "notify":
		c.notify(note{uint32(c.id), args[0], tag})
	case "unlock", "drop", "close", "unlisten", "unname":
		if !c.locks[args[0]] {
			c.fail()
			return "error not locked", nil
		}
		delete(c.locks, args[0])
	case "rows", "unload":
		n, _ := strconv.Atoi(args[0])
		return "rows " + args[0], filler(tag, n)
	case "load":
		if !bytes.Equal(body, filler(tag, len(body))) {
			c.server.w.fail("connection %d: the upload of %s is not what was sent", c.id, tag)
		}
		if c.connectionState.undoes {
			c.sequences.next(serial, tag)
		}
	case "sleep", "lastid", "schema":
	default:
		c.fail()
		return "error failed", nil
	}
	return "ok", nil
}

// lineMischief says something unasked.
func lineMischief(c *session, last bool) {
	if last {
		c.conn.blurt([]byte("! the server shuts down\n"))
		return
	}
	c.conn.blurt([]byte("* something happened\n"))
}
