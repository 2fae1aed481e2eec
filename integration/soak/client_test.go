package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// answerWithin bounds one request of a client, with all its statements: beyond it something hangs.
const answerWithin = 2 * time.Minute

// pinsAtOnce is how many sessions of a server may keep a backend from one request to the next: the rest of the pool is for the others.
const pinsAtOnce = 3

// side is everything that concerns one server.
type side struct {
	name       string
	server     *harness.Server
	proxy      harness.Endpoint
	book       *ledger.Book
	record     *record
	due        chan time.Time
	pins       chan struct{} // a token for each session that keeps a backend
	generation *atomic.Int32 // how many processes have taken over
	wrongs     *wrongs
	sortBuffer string // MySQL: what sessions begin with
	clients    []*session
}

// mostWrongs is how many things may go wrong before the run ends early: one shows more if it goes on.
const mostWrongs = 10

// wrongs is what must not have happened.
type wrongs struct {
	mu   sync.Mutex
	all  []error
	stop context.CancelFunc
}

func (w *wrongs) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all = append(w.all, err); len(w.all) >= mostWrongs {
		w.stop()
	}
}

// dialect is a driver's part of a client.
type dialect interface {
	// connect logs in over a connection of dial's.
	connect(ctx context.Context, dial dialer) error
	// settle ends what is left of a transaction.
	settle(ctx context.Context) error
	// forget gives up what was known of what pinned the session, as it was lost with its backend.
	forget()
	close()
	operations() []operation
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// operation is something that clients do, about weight times as often as what has weight 1.
type operation struct {
	name   string
	weight int
	do     func(ctx context.Context) error
}

// session is a client: one connection at a time, used by one goroutine.
type session struct {
	side    *side
	number  int
	random  *rand.Rand
	dialect dialect
	ops     []operation
	total   int
	serial  int
	held    int      // tokens of side.pins
	history []string // the last requests, for the report on one that went wrong
	born    int32
	alive   bool

	mu     sync.Mutex
	socket net.Conn
	reset  bool // the socket was, by a fault
}

// token is a text that no other client has, and this one never had before.
func (c *session) token() string {
	c.serial++
	return fmt.Sprintf("%s.%d.%d", c.side.name, c.number, c.serial)
}

// dialer returns what connects for one login, and keeps the socket for whoever resets it. What else a driver connects for, later, is
// to cancel: pgx does so by itself, too, when it gives up a connection.
func (c *session) dialer() dialer {
	kept := false // under c.mu
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		socket, err := (&net.Dialer{}).DialContext(ctx, network, address)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil && !kept {
			c.socket, c.reset, kept = socket, false, true
		}
		return socket, err
	}
}

// cut resets the connection: the proxy gets no goodbye. It may be called from any goroutine.
func (c *session) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket == nil {
		return
	}
	c.reset = true
	if tcp, ok := c.socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.socket.Close()
}

// excused says that this connection may end.
func (c *session) excused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reset || c.born != c.side.generation.Load()
}

// pin takes one of the few tokens with which a session may keep its backend between two requests.
func (c *session) pin() bool {
	select {
	case c.side.pins <- struct{}{}:
		c.held++
		return true
	default:
		return false
	}
}

func (c *session) unpin() { c.held--; <-c.side.pins }

// end gives up the connection, and what the session had there.
func (c *session) end() {
	c.dialect.close()
	c.forget()
	c.alive = false
}

func (c *session) forget() {
	c.dialect.forget()
	for c.held > 0 {
		c.unpin()
	}
}

// serve takes requests until there are no more.
func (c *session) serve(ctx context.Context) {
	for _, op := range c.ops {
		c.total += op.weight
	}
	for due := range c.side.due {
		if ctx.Err() != nil {
			continue
		}
		op := c.choose()
		began := time.Now()
		v, err := c.request(ctx, op)
		c.side.record.add(due, began, time.Now(), op.name, v)
		c.note("%s: %s", op.name, v)
		if err != nil {
			c.side.wrongs.add(fmt.Errorf("%s, client %d, %s: %w; before: %s", c.side.name, c.number, op.name, err, strings.Join(c.history, "; ")))
		}
	}
	if c.alive {
		c.end()
	}
}

// note keeps what the client did last.
func (c *session) note(format string, args ...any) {
	const kept = 20
	c.history = append(c.history, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
	c.history = c.history[max(0, len(c.history)-kept):]
}

func (c *session) choose() operation {
	n := c.random.IntN(c.total)
	for _, op := range c.ops {
		if n -= op.weight; n < 0 {
			return op
		}
	}
	panic("soak: no operation")
}

// request executes one, after a login if there is no connection, and brings the session back in order after what it was told.
func (c *session) request(ctx context.Context, op operation) (verdict, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer stop()
	if v, err := c.login(ctx); v != fine || err != nil {
		return v, err
	}
	v, err := judge(op.do(ctx), c.excused())
	for told := v; err == nil && told != fine; {
		if told == dropped {
			c.end()
			break
		}
		c.note("told: %s", told)
		c.forget()
		told, err = judge(c.dialect.settle(ctx), c.excused())
	}
	if err != nil && c.alive {
		c.end()
	}
	return v, err
}

// login connects if there is no connection.
func (c *session) login(ctx context.Context) (verdict, error) {
	if c.alive {
		return fine, nil
	}
	c.born = c.side.generation.Load()
	switch v, err := judge(c.dialect.connect(ctx, c.dialer()), c.excused()); {
	case err != nil && loginLost(err):
		return refused, nil
	case err != nil:
		return v, fmt.Errorf("login: %w", err)
	case v != fine:
		return refused, nil
	}
	c.alive = true
	return fine, nil
}

// write is a write of so many rows to the ledger, tried again until it has an effect or nobody knows.
func (c *session) write(ctx context.Context, rows int, do func(context.Context, string) error) error {
	id := c.token()
	for {
		err := do(ctx, id)
		v, bad := judge(err, c.excused())
		if bad != nil {
			c.side.book.Note(c.number, id, rows, ledger.Unknown)
			return bad
		}
		c.side.book.Note(c.number, id, rows, v.outcome())
		if v == fine || v == unknown || v == dropped {
			return err
		}
		c.side.record.count(v)
		c.note("told: %s", v)
		c.forget()
		if err := c.dialect.settle(ctx); err != nil {
			return err
		}
	}
}

// loginLost says whether a login failed because its backend was lost meanwhile.
func loginLost(err error) bool {
	switch code(err) {
	case "08006", "08001", "08000", "2013", "9501":
		return true
	}
	return false
}

// possible is what a value may be, as far as its client knows: more than one after a change of unknown outcome.
type possible []string

// change makes a change of the value, and returns what it returned.
func (p *possible) change(to string, do func() error) error {
	before := *p
	*p = append(append(possible{}, before...), to)
	err := do()
	if err == nil {
		*p = possible{to}
	} else if v, ok := told(err); ok && v != unknown {
		*p = before
	}
	return err
}

// is compares it with what was found.
func (p *possible) is(what, found string) error {
	for _, v := range *p {
		if v == found {
			*p = possible{found}
			return nil
		}
	}
	return wrong("%s is %q, not one of %q", what, found, []string(*p))
}

var errNoRow = errors.New("no row")
