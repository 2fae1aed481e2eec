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

// patience is how long a client waits for anything before the run is a failure. It is longer than what a borrow timeout,
// a pipeline of refusals and a slow server may add up to.
const patience = 3 * time.Minute

// crossing is how long a request and a goodbye may be on their way towards each other.
const crossing = 50 * time.Millisecond

// client is a model of a client: a process that runs random scripts over one session after the other, and knows what
// each answer has to be.
type client struct {
	r       *run
	p       *proc
	number  int
	session int // counted

	conn    *end
	in      *reader
	writer  *proc  // writes the rest of a batch
	id      uint32 // as the proxy says
	secret  []byte
	serial  int // of the last request
	cancels bool
	asked   bool          // a cancel was sent in this session
	stalled bool          // it did not read for long
	leaving bool          // it said that it is going to say no more
	quiet   time.Duration // since when the client awaits or says nothing, but for the last request
	before  time.Duration // what quiet was before that

	open     bool
	failed   bool
	txn      *transaction
	values   map[string]string // by key, as committed
	settings map[string]string
	undo     map[string]string // the settings when the transaction began
	locks    map[string]bool
	unnamed  *request               // PostgreSQL's statement without a name, if it is worth executing again
	extended map[string]bool        // by tag: it was sent with PostgreSQL's extended protocol
	insertID int                    // MySQL's
	schema   string                 // MySQL's
	eofs     bool                   // MySQL's results have an EOF behind their columns
	prepared map[string]*myPrepared // MySQL's statements, by verb
	heard    map[string][]string    // PostgreSQL's notifications, by channel
}

// dialect is a protocol as clients speak it.
type dialect interface {
	serve(*session) // the server's side
	accept(r *run, c *client, id uint32, conn *engine.Conn) (engine.Accepted, error)
	login(*client) error
	encode(*client, request) []byte
	answer(*client, request) (answer, error)
	quit() []byte
	undoes() bool   // a rollback undoes settings
	restores() bool // settings do not keep the backend
	dooms() bool    // a statement that fails dooms its transaction
	// bereaved is the state of a session that was in a transaction when it lost its backend: 'E' if that goes on as a failed one,
	// 'I' if there is none any more, 0 if the session ends.
	bereaved() byte
	mischief(s *session, last bool)
}

// transaction is what a client knows of a transaction that wrote.
type transaction struct {
	name   string
	writes []write
	fate   fate
	loose  int // of its last writes: they may have been executed outside of it, see loosen
}

// fate is what the client may say of a transaction.
type fate uint8

const (
	aborted   fate = iota // told so, or the commit was never sent
	unknown               // the commit was sent
	committed             // told so
)

// request is one request on its way.
type request struct {
	tag, verb string
	args      []string
	body      []byte
	prepared  *myPrepared // MySQL's statement that is executed
	long      bool        // its parameters are sent as long data
	at        int         // its place among the client's requests
}

func (q request) line() string {
	return strings.Join(append([]string{q.tag, q.verb}, q.args...), " ") + "\n"
}

// errGone is a session that ended although its client did not mean to.
var errGone = errors.New("the session is gone")

func (c *client) user() string { return c.r.config.users[c.number%len(c.r.config.users)] }

// live runs the client's sessions.
func (c *client) live(sessions int) {
	for range sessions {
		c.p.sleep(c.r.w.upTo(c.r.config.rest))
		if c.r.draining {
			return
		}
		c.session++
		if err := c.visit(); err != nil && !errors.Is(err, errGone) {
			c.r.w.fail("client %d, session %d (%d): %w", c.number, c.session, c.id, err)
		}
		_ = c.conn.Close()
		c.lose()
	}
}

// lose forgets a session.
func (c *client) lose() { c.txn, c.open, c.failed, c.id = nil, false, false, 0 }

// visit is one session from its start to its end.
func (c *client) visit() error {
	w := c.r.w
	c.conn = c.r.connect(c)
	c.in = &reader{from: c.conn}
	c.values, c.settings, c.locks = map[string]string{}, map[string]string{}, map[string]bool{}
	c.stalled, c.leaving = false, false
	c.asked, c.writer, c.insertID, c.schema, c.unnamed = false, nil, 0, "", nil
	c.extended = map[string]bool{}
	c.prepared = map[string]*myPrepared{}
	c.heard = map[string][]string{}
	c.cancels = w.chance(3)
	if w.chance(30) {
		return nil // without a word
	}
	c.quiet = w.now
	if err := c.r.dialect.login(c); err != nil {
		return err
	}
	for range w.between(0, c.r.config.batches) {
		if w.chance(3) {
			c.p.sleep(w.upTo(c.r.config.think))
		}
		if left, err := c.batch(); left || err != nil {
			return err
		}
	}
	if w.chance(3) {
		return nil // closes without a word
	}
	if c.send(c.conn, c.r.dialect.quit()) != nil {
		return c.excuse(io.ErrUnexpectedEOF)
	}
	if w.chance(2) {
		return nil
	}
	if answer, err := c.patiently(request{}); !errors.Is(err, errGone) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("after quit: %q, %v", answer.line, err)
	}
	return nil
}

// batch sends some requests and reads their answers. It says whether the client left in the middle.
func (c *client) batch() (left bool, err error) {
	w := c.r.w
	requests := c.compose()
	var out []byte
	var ends []int
	for _, q := range requests {
		out = append(out, c.r.dialect.encode(c, q)...)
		ends = append(ends, len(out))
	}
	stop := len(out)
	if w.chance(c.r.config.leave) {
		stop = w.between(0, len(out))
		if w.chance(2) {
			stop = max(0, len(out)-w.between(1, 6)) // so that a few bytes more would make it whole
		}
	}
	sent := requests
	for i := range requests {
		if stop < ends[i] {
			sent = requests[:i]
			break
		}
	}
	seen := sent
	if part := len(sent); part < len(requests) && requests[part].verb == "commit" {
		seen = requests[:part+1] // of PostgreSQL's batch the Sync may be all that is missing
	}
	txns, open := c.foresee(seen), c.txn
	if len(sent) > 0 {
		c.loosen(open, sent[1:], txns[1:])
	}
	c.before, c.quiet = c.quiet, w.now
	begun := w.now
	w.log("client %d sends %d of %d bytes, from %q", c.number, stop, len(out), requests[0].line())
	if len(out) > 2000 || w.chance(3) {
		conn := c.conn
		c.writer = w.spawn(fmt.Sprintf("client %d writes", c.number), func(*proc) {
			_ = c.send(conn, out[:stop])
		})
	} else if err := c.send(c.conn, out[:stop]); err != nil {
		return false, c.excuse(err)
	}
	if w.chance(6) { // which must have no effect
		other := c.r.clients[w.rng.IntN(len(c.r.clients))]
		if other != c {
			c.r.cancel(other.id, c.secret, w.upTo(50*time.Millisecond))
		}
		c.r.cancel(c.id, []byte("guessed"), w.upTo(50*time.Millisecond))
	}
	if c.cancels && w.chance(2) {
		c.asked = true
		c.r.cancel(c.id, c.secret, w.upTo(50*time.Millisecond))
	}
	if stop < len(out) || w.chance(c.r.config.leave) {
		switch w.rng.IntN(3) {
		case 0:
			c.p.sleep(w.upTo(10 * time.Millisecond))
		case 1: // perhaps while it waits for a backend, or when it has just been granted one
			c.p.sleep(w.upTo(3 * time.Second))
		}
		c.r.w.log("client %d leaves", c.number)
		return true, nil
	}
	if c.stalled = w.chance(c.r.config.stall); c.stalled {
		c.p.sleep(w.upTo(20 * time.Second))
	}
	if c.leaving = w.chance(c.r.config.leave); c.leaving { // but for what is on its way
		w.log("client %d says no more", c.number)
		c.conn.closeWrite()
	}
	for i, q := range sent {
		c.loosen(open, sent[i+1:], txns[i+1:])
		if err := c.answer(q, txns[i], begun, i == 0); err != nil {
			return false, err
		}
	}
	if c.leaving {
		return true, nil
	}
	for c.writer != nil && !c.writer.ended { // an upload may be refused before it is there
		c.p.sleep(time.Millisecond)
	}
	return false, nil
}

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
	case "refused:":
		return c.refused(q, txn, strings.Join(why[1:], " "), begun, first)
	default:
		return errors.New("unexpected")
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
	if first && took > c.r.longest+c.r.config.slack && !c.stalled {
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
	if q.prepared != nil {
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
	case "show":
		want = strings.TrimSpace("value " + c.settings[q.args[0]])
	case "reset":
		clear(c.prepared)
		clear(c.settings)
		clear(c.locks)
		c.insertID = 0
	case "lock", "temp", "declare", "listen":
		c.locks[q.args[0]] = true
	case "unlock", "drop", "close":
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
	state := connectionState{settings: c.settings, locks: c.locks}
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
	c.open, c.failed, c.txn = false, false, nil
	return text
}

// answer is what came for a request, in the line protocol's words.
type answer struct {
	line string
	rows []byte
	// partly says that the request was answered in part before it failed: of several statements the first was executed.
	partly bool
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
	case err != nil && q.verb == "" && errors.Is(err, io.EOF):
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

// send writes p in pieces.
func (c *client) send(conn *end, p []byte) error {
	w := c.r.w
	for len(p) > 0 {
		n := len(p)
		if w.chance(2) {
			n = w.between(1, len(p))
		}
		if _, err := conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
		if len(p) > 0 && w.chance(2) {
			w.current.sleep(w.upTo(3 * time.Millisecond))
		}
	}
	return nil
}
