package sim

import (
	"errors"
	"maps"
	"strings"
)

// Sequences of PostgreSQL and MariaDB, as sessions see them: what nextval gave a session last, and whether anything did. A value is the
// tag of the request that made it, so that whoever asks is told whose it is. The names are everybody's. PostgreSQL's table has a column
// whose default is a sequence's next value.

const (
	sequences = "q_"     // begins the names
	serial    = "kv_seq" // of PostgreSQL's column
)

// sequenceValues are what a connection remembers of them, whatever becomes of the transaction.
type sequenceValues struct {
	by   map[string]string // the last value of each
	last string            // of all
}

func (v *sequenceValues) next(sequence, tag string) {
	if v.by == nil {
		v.by = make(map[string]string)
	}
	v.by[sequence], v.last = tag, tag
}

// forget is DISCARD SEQUENCES.
func (v *sequenceValues) forget() { *v = sequenceValues{} }

// sequence answers a request about sequences, if q is one.
func (c *connectionState) sequence(tag, verb string, args []string) (text string, ok bool) {
	value := ""
	switch verb {
	case "nextval":
		c.sequences.next(args[0], tag)
		value = tag
	case "currval":
		value = c.sequences.by[args[0]]
	case "lastval":
		value = c.sequences.last
	case "unseq":
		c.sequences.forget()
		return "ok", true
	default:
		return "", false
	}
	if value == "" && c.undoes { // MariaDB's is NULL
		c.fail()
		return "error undefined", true
	}
	return strings.TrimSpace("value " + value), true
}

// made notes that a request of the client's has made a value.
func (c *client) made(sequence, tag string) {
	c.sequences.next(sequence, tag)
	c.perhaps, c.here = "", c.open
}

// holdsSequences says whether the session is held to a backend that has all its last values.
func (c *client) holdsSequences() bool {
	for name := range c.locks {
		if strings.HasPrefix(name, sequences) {
			return true
		}
	}
	return c.here // in the transaction that made them
}

// tells judges a value that was told, or "" for none. A session that is held to no backend may be told that there is none. It is never
// told another one's, nor an older one of its own.
func (c *client) tells(q request, value string) error {
	want := c.sequences.last
	if q.verb == "currval" {
		want = c.sequences.by[q.args[0]]
	}
	switch {
	case value == want, value != "" && value == c.perhaps:
		return nil
	case value == "" && (!c.holdsSequences() || c.perhaps != ""):
		return nil
	case value == "" && q.verb == "currval" && !c.locks[q.args[0]]:
		return nil
	}
	return errors.New("the value of a sequence should be " + want)
}

// unsequence forgets all values, and that they hold the session.
func (c *client) unsequence() {
	c.sequences.forget()
	c.perhaps, c.here = "", false
	dropSequences(c.locks)
}

func dropSequences(locks map[string]bool) {
	maps.DeleteFunc(locks, func(name string, _ bool) bool { return strings.HasPrefix(name, sequences) })
}
