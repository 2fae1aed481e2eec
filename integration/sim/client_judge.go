package sim

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
)

// What clients make of the answers that they get.

// answer is what came for a request, in the line protocol's words.
type answer struct {
	line string
	rows []byte
	// partly says that the request was answered in part before it failed: of several statements the first was executed.
	partly bool
}

// answer reads and judges the answer to q.
func (c *client) answer(q request, txn *transaction, begun time.Duration, first bool) error {
	w := c.r.w
	a, err := c.patiently(q)
	if err != nil {
		return err
	}
	line := a.line
	w.log("client %d: %s", c.number, line)
	f := strings.Fields(line)
	// What the proxy asks of its own beside a request fails like the request would in a transaction that has failed, and
	// stands for it.
	if len(f) < 3 || f[0] != q.tag && (f[0] != own || !strings.HasSuffix(line, "error aborted")) {
		return fmt.Errorf("%q answers %q", line, q.line())
	}
	if c.quiet = w.now; c.stalled {
		c.quiet = begun
	}
	if f[2] == "error" {
		err = c.disappoint(q, txn, f[3:], begun, first, a.partly)
	} else {
		err = c.fulfil(q, txn, f, a.rows)
	}
	if err != nil {
		return fmt.Errorf("%q to %q: %w", line, q.line(), err)
	}
	state := "I"
	if c.open {
		state = "T"
	}
	if c.failed {
		state = "E"
	}
	if f[1] != state {
		return fmt.Errorf("%q to %q: the state should be %s", line, q.line(), state)
	}
	return nil
}

// disappoint judges an error.
func (c *client) disappoint(q request, txn *transaction, why []string, begun time.Duration, first, partly bool) error {
	switch why[0] {
	case "aborted":
		if !c.failed {
			return errors.New("no statement of the transaction failed")
		}
	case "failed":
		if q.verb != "fail" || c.failed {
			return errors.New("unexpected")
		}
	case "lost":
		// Of a long statement the proxy does not know that it asks for nothing.
		if q.verb != "lastid" && q.verb != "load" || !c.r.config.lossy() {
			return errors.New("nothing was lost")
		}
	case "canceled":
		if !c.asked && !c.r.config.stops() {
			return errors.New("this session was not canceled")
		}
	case "undefined":
		if q.verb != "currval" && q.verb != "lastval" {
			return errors.New("unexpected")
		}
		if err := c.tells(q, ""); err != nil {
			return err
		}
	case "unknown":
		if q.prepared == nil || q.prepared.id != 0 {
			return errors.New("the statement was prepared")
		}
	case "refused:":
		return c.refused(q, txn, strings.Join(why[1:], " "), begun, first)
	default:
		return errors.New("unexpected")
	}
	switch {
	case c.r.protocol == "postgres" && q.verb == "multi":
		c.perhaps = q.tag
	}
	switch {
	case txn == nil || q.verb != "put" && q.verb != "multi":
	case partly:
		c.insertID = serialOf(q.tag)
		if !c.open {
			txn.fate = committed
			c.values[q.args[0]] = q.args[1]
		}
	default:
		txn.fate = aborted
		if c.open && !c.r.dialect.dooms() { // the transaction goes on without it
			txn.writes = slices.DeleteFunc(txn.writes, func(x write) bool { return x.value == q.args[1] })
		}
	}
	if q.verb == "begin" && !c.open {
		c.txn = nil
	}
	c.failed = c.open && c.r.dialect.dooms()
	return nil
}

// refused judges a refusal: a session that had no backend did not get one in time. In a transaction it has one, unless that was lost
// behind a statement that failed: then the transaction goes on as a failed one, and its next statement borrows another backend.
func (c *client) refused(q request, txn *transaction, why string, begun time.Duration, first bool) error {
	switch {
	case c.open && !(c.failed && c.r.dialect.bereaved() == 'E' && c.r.config.lossy()):
		return errors.New("refused within a transaction")
	case len(c.settings) > 0 && !c.r.dialect.restores() || len(c.locks) > 0:
		return errors.New("refused although it is pinned")
	}
	if txn != nil {
		txn.fate = aborted
	}
	if strings.Contains(why, engine.ErrCanceled.Error()) {
		if !c.asked {
			return errors.New("this session was not canceled")
		}
		return nil
	}
	if strings.Contains(why, engine.ErrNoTarget.Error()) && c.r.config.failover && c.r.config.timeout == 0 {
		return nil
	}
	if !strings.Contains(why, engine.ErrBorrowTimeout.Error()) {
		if strings.Contains(why, engine.ErrShutdown.Error()) && c.r.draining {
			return nil
		}
		return errors.New("no reason to refuse")
	}
	took := c.r.w.now - begun
	if took < c.r.config.timeout {
		return fmt.Errorf("after %v of %v", took, c.r.config.timeout)
	}
	since := max(begun, c.written) // what is refused may be read to its end first, however slowly that comes
	if c.writer != nil && !c.writer.ended {
		since = c.r.w.now
	}
	if first && c.r.w.now-since > c.r.longest+c.r.config.slack && !c.stalled {
		return fmt.Errorf("not before %v of %v", took, c.r.longest)
	}
	return nil
}

// fulfil judges an answer that is no error, and reads what belongs to it.
func (c *client) fulfil(q request, txn *transaction, f []string, rows []byte) error {
	if c.failed && q.verb != "commit" && q.verb != "rollback" && q.verb != "kill" {
		return errors.New("the transaction had failed")
	}
	want := "ok"
	if q.prepared != nil && q.prepared.id == 0 && c.r.protocol == "mysql" {
		return errors.New("this session has not prepared the statement")
	}
	if q.prepared != nil && q.verb != "prepare" {
		q.prepared.typed = true
	}
	switch q.verb {
	case "begin":
		c.open, c.txn, c.undo = true, txn, maps.Clone(c.settings)
	case "commit", "rollback":
		want = c.ended(q.verb == "commit" && !c.failed, txn)
	case "put", "multi":
		if !c.open {
			txn.fate = committed
			c.values[q.args[0]] = q.args[1]
		}
		c.insertID = serialOf(q.tag)
		if c.r.protocol == "postgres" {
			c.made(serial, q.tag)
		}
		if q.verb == "multi" {
			want = "value " + q.args[1]
		}
	case "lastid":
		want = "value " + strconv.Itoa(c.insertID)
	case "use":
		c.schema = q.args[0]
	case "schema":
		want = "value " + c.schema
		if q.prepared != nil {
			want = "value " + q.prepared.schema
		}
	case "left":
		want = strings.TrimSpace("value " + strings.Join(c.left(), " "))
	case "get", "again":
		want = strings.TrimSpace("value " + c.expected(q, txn))
	case "set":
		c.settings[q.args[0]] = q.args[1]
	case "role":
		c.settings[role] = q.args[0]
	case "norole":
		delete(c.settings, role)
	case "whoami":
		want = strings.TrimSpace("value " + c.settings[role])
	case "show":
		want = strings.TrimSpace("value " + c.settings[q.args[0]])
	case "load":
		if c.r.protocol == "postgres" {
			c.made(serial, q.tag)
		}
	case "nextval":
		c.locks[q.args[0]] = true
		c.made(q.args[0], q.tag)
		want = "value " + q.tag
	case "currval", "lastval":
		value, _ := strings.CutPrefix(strings.Join(f[2:], " "), "value")
		return c.tells(q, strings.TrimSpace(value))
	case "unseq":
		c.unsequence()
	case "reset":
		c.unsequence()
		clear(c.prepared)
		clear(c.settings)
		clear(c.locks)
		c.insertID = 0
	case "lock", "temp", "declare", "listen":
		c.locks[q.args[0]] = true
	case "name":
		c.locks[q.args[0]], c.texts[q.args[0]] = true, q.tag
	case "call":
		want = "value " + c.texts[q.args[0]]
	case "unlock", "drop", "close", "unname":
		delete(c.locks, q.args[0])
	case "unlisten":
		delete(c.locks, q.args[0])
		want = "value " + strconv.Itoa(len(c.heard[q.args[0]]))
	case "fetch":
		want = "value " + q.args[0]
	case "rows", "unload":
		want = "rows " + q.args[0]
		n, _ := strconv.Atoi(q.args[0])
		if string(rows) != string(filler(q.tag, n)) {
			return errors.New("wrong rows")
		}
	case "kill":
		want = f[2]
	case "prepare":
		if c.r.protocol == "postgres" {
			c.prepared[q.args[0]] = q.prepared
		}
	}
	if got := strings.Join(f[2:], " "); got != want {
		return fmt.Errorf("want %q", want)
	}
	return nil
}

// patiently reads the answer to q. An end that has a reason is errGone.
func (c *client) patiently(q request) (answer, error) {
	waiting := true
	c.r.w.after(patience, func() {
		if waiting {
			c.r.w.fail("client %d, session %d (%d) waits for an answer since %v", c.number, c.session, c.id, patience)
		}
	})
	a, err := c.r.dialect.answer(c, q)
	waiting = false
	switch last, ok := strings.CutPrefix(a.line, "! "); {
	case err != nil && q.verb == "" && errors.Is(err, io.EOF), errors.Is(err, errGone):
		return a, err
	case err != nil:
		return a, c.excuse(err)
	case ok:
		return a, c.farewell(last)
	}
	return a, nil
}

// farewell judges the proxy's last words.
func (c *client) farewell(why string) error {
	c.r.w.log("client %d: ! %s", c.number, why)
	w := c.r.w
	idle, quiet := c.r.config.idleTimeout, c.quiet
	if w.now-quiet < crossing || c.stalled {
		quiet = c.before
	}
	switch {
	case why == "lost" && (c.r.config.lossy() || c.r.config.stops()):
	case why == engine.ErrTransactionTimeout.Error() && c.r.config.times.Transaction > 0,
		why == engine.ErrIdleInTransaction.Error() && c.r.config.times.IdleInTransaction > 0:
		if !c.open {
			return fmt.Errorf("%s, and none is open", why)
		}
		if c.txn != nil {
			c.txn.fate = aborted // for certain, whatever was sent since
		}
	case why == engine.ErrKilled.Error() && c.r.killed[c.id]:
	case why == engine.ErrShutdown.Error() && c.r.draining:
	case why == engine.ErrIdleTimeout.Error() && idle > 0 && w.now-quiet >= idle-c.r.config.slack:
	case strings.HasPrefix(why, "refused: ") && c.id == 0:
	default:
		return fmt.Errorf("unexpected goodbye: %q", why)
	}
	return errGone
}

// lossy says whether connections may be lost.
func (c *config) lossy() bool { return c.faults.lossy() || c.failover }

// stops says whether the proxy stops requests that take too long.
func (c *config) stops() bool { return c.times.Query > 0 || c.times.Transaction > 0 }

// excuse judges an end without a word.
func (c *client) excuse(err error) error {
	switch {
	case c.r.config.lossy(), c.r.killed[c.id], c.leaving, c.r.draining, c.r.config.idleTimeout > 0, c.r.config.times != relay.TimeLimits{}:
		return errGone
	}
	return fmt.Errorf("connection ended: %w", err)
}
