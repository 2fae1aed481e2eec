package sim

import (
	"maps"
	"strconv"
	"strings"
)

// What clients know before they are told: the transactions that their requests are going to be in, and what the answers must be.

// foresee enters the writes of requests into the transactions that they are going to be in, with their fate unknown as
// far as the client is concerned until it is told. It returns each request's transaction.
func (c *client) foresee(requests []request) []*transaction {
	out := make([]*transaction, len(requests))
	open, txn := c.open, c.txn
	for i, q := range requests {
		switch q.verb {
		case "begin":
			open, txn = true, c.r.transaction(q.tag)
		case "put", "multi":
			if !open {
				txn = c.r.transaction(q.tag)
			}
			txn.writes = append(txn.writes, write{q.args[0], q.args[1]})
		}
		out[i] = txn
		switch q.verb {
		case "commit":
			if txn != nil {
				txn.fate = unknown
			}
			open, txn = false, nil
		case "rollback":
			open, txn = false, nil
		case "put", "multi":
			if !open {
				txn.fate, txn = unknown, nil
			}
		}
	}
	return out
}

// loosen notes which writes of the transaction that is open may be executed outside of it: those that are sent behind a request
// that may be told that the transaction was lost, where there is none any more then. A deadlock does the same to MySQL's clients.
func (c *client) loosen(open *transaction, behind []request, txns []*transaction) {
	if open == nil || c.r.dialect.bereaved() != 'I' || !c.r.config.lossy() {
		return
	}
	open.loose = 0
	for i, q := range behind {
		if txns[i] == open && (q.verb == "put" || q.verb == "multi") {
			open.loose++
		}
	}
}

// expected is what get has to return: what this session wrote before it, in the same transaction or earlier. Keys are a
// session's own.
func (c *client) expected(q request, txn *transaction) string {
	value := c.values[q.args[0]]
	if c.open && txn != nil {
		for _, x := range txn.writes {
			if x.key == q.args[0] && serialOf(x.value) < q.at {
				value = x.value
			}
		}
	}
	return value
}

// serialOf reads the last number of a tag or value.
func serialOf(tag string) int {
	n, _ := strconv.Atoi(tag[strings.LastIndexByte(tag, '.')+1:])
	return n
}

// left is what this session has left on its connection.
func (c *client) left() []string {
	state := connectionState{settings: c.settings, locks: maps.Clone(c.locks)}
	dropSequences(state.locks)
	return state.left()
}

// ended notes the end of a transaction, and returns how the server says it.
func (c *client) ended(commit bool, txn *transaction) string {
	text := "rolled back"
	switch {
	case !c.open: // nothing was open: no write is affected
		if commit {
			text = "committed"
		}
	case commit:
		text = "committed"
		txn.fate = committed
		for _, x := range txn.writes {
			c.values[x.key] = x.value
		}
	default:
		txn.fate = aborted
		if c.r.dialect.undoes() {
			c.settings = c.undo
		}
	}
	c.open, c.failed, c.txn, c.here = false, false, nil, false
	return text
}
