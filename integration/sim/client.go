package sim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// patience is how long a client waits for anything before the run is a failure. It is longer than what a borrow timeout,
// a pipeline of refusals and a slow server may add up to.
const patience = 3 * time.Minute

// crossing is how long a request and a goodbye may be on their way towards each other: a loop may have much to do, and what it sends comes late.
const crossing = 100 * time.Millisecond

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
	written time.Duration // when all was sent that is

	open      bool
	failed    bool
	txn       *transaction
	values    map[string]string // by key, as committed
	settings  map[string]string
	undo      map[string]string // the settings when the transaction began
	locks     map[string]bool
	texts     map[string]string // of statements of PREPARE, by name: by which request
	sequences sequenceValues    // as told
	perhaps   string            // a value that a request has made that failed, or not
	here      bool              // the last was made in the transaction that is open

	unnamed  *request               // PostgreSQL's statement without a name, if it is worth executing again
	extended map[string]bool        // by tag: it was sent with PostgreSQL's extended protocol
	insertID int                    // MySQL's
	schema   string                 // MySQL's
	files    bool                   // MySQL's server may ask for files
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
	c.values, c.settings, c.locks, c.texts = map[string]string{}, map[string]string{}, map[string]bool{}, map[string]string{}
	c.unsequence()
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
	c.before, c.quiet, c.written = c.quiet, w.now, w.now
	begun := w.now
	w.log("client %d sends %d of %d bytes, from %q", c.number, stop, len(out), requests[0].line())
	if len(out) > 2000 || w.chance(3) {
		conn := c.conn
		c.writer = w.spawn(fmt.Sprintf("client %d writes", c.number), func(*proc) {
			_ = c.send(conn, out[:stop])
			c.written = w.now
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
