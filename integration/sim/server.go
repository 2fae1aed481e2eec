package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// server is a model of a database server: it counts its connections, and each is a process that speaks the protocol.
type server struct {
	w             *world
	net           *network
	db            *database
	serve         func(*session) // one connection, until it ends
	undoes, dooms bool           // see dialect

	budget   int // what the proxy may open; grows at once and shrinks late, see limit
	sessions map[int]*session
	lastID   *int // shared by all servers
	down     bool // it refuses connections
	sticky   bool
	faults   faults
}

// faults says how often things go wrong: once in so many times, 0 never.
type faults struct {
	refuseDial int // a dial fails
	tear       int // of connections break at a random byte
	bye        int // the server closes a connection between two requests
	slow       int // an answer takes long
	stall      int // an answer takes very long
	half       int // the server says that it is going to say no more, and goes on to listen
	hang       int // a dial is never answered
	notice     int // a notice on an idle connection
	cancel     int // a cancel fails, before or after it took effect
	poller     int // a loop cannot take a descriptor
}

func (f faults) lossy() bool { return f.tear > 0 || f.bye > 0 || f.half > 0 || f.poller > 0 }

// session is one connection as the server sees it.
type session struct {
	*connectionState
	*server
	id       int
	key      engine.Key
	conn     *end
	p        *proc
	counted  bool
	idle     bool // waits for a request
	sleeping bool
	canceled bool
	gone     bool
}

// dial opens a connection to the server, in a process.
func (s *server) dial(name string) *end {
	near, far := s.net.connect(name, "server")
	if s.w.chance(s.faults.tear) {
		n := s.w.between(0, 4000)
		near.breakAt = breakAfter(n)
		far.breakAt = breakAfter(s.w.between(0, 4000))
	}
	*s.lastID++
	c := &session{connectionState: s.db.connect(), server: s, id: *s.lastID, conn: far}
	c.connectionState.undoes, c.connectionState.dooms = s.undoes, s.dooms
	far.onEnd = c.leave
	c.p = s.w.spawn(fmt.Sprintf("connection %d", c.id), func(*proc) {
		defer far.Close()
		s.serve(c)
	})
	return near
}

func breakAfter(left int) func(int) int {
	return func(n int) int {
		cut := min(n, max(left, 0))
		left -= n
		if left >= 0 {
			return n
		}
		return cut
	}
}

// enter counts a connection that has logged in.
func (c *session) enter(key engine.Key) {
	c.key = key
	c.counted = true
	c.sessions[c.id] = c
	c.server.w.log("connection %d opened for %s, %d now", c.id, key.User, len(c.sessions))
	if open := c.held(); open > c.budget {
		c.server.w.fail("the server has %d connections, the budget is %d", open, c.budget)
	}
}

// partWithin is how long the proxy waits for a server that does not notice the end.
const partWithin = 3 * time.Second

// held is how many connections the proxy has. One that its poller refused is closed at once, and does not wait until the
// server has noticed; nor does any other longer than for partWithin.
func (s *server) held() (n int) {
	for _, c := range s.sessions {
		if near := c.conn.peer; !near.closed || near.halved && near.closedAt-near.halvedAt < partWithin {
			n++
		}
	}
	return n
}

// leave ends a connection, whatever it was doing: its transaction is rolled back.
func (c *session) leave() {
	c.gone = true
	c.end(false)
	if c.counted {
		c.counted = false
		delete(c.sessions, c.id)
		c.server.w.log("connection %d ended, %d now", c.id, len(c.sessions))
	}
	c.p.wake()
}

// pause is the time that a request takes; slow ones can be canceled. It says whether it was.
func (c *session) pause(d time.Duration) (canceled bool) {
	if c.canceled { // a cancel that came when nothing was running, where such ones stick
		c.canceled = false
		return true
	}
	until := c.server.w.now + d
	c.sleeping = true
	c.server.w.after(d, c.p.wake)
	for c.server.w.now < until && !c.canceled && !c.gone {
		c.p.park()
	}
	c.sleeping = false
	canceled, c.canceled = c.canceled, false
	return canceled
}

// cancel stops what connection id is executing.
func (s *server) cancel(id int) {
	c := s.sessions[id]
	if c == nil {
		return
	}
	s.w.log("connection %d is canceled, sleeping %v", id, c.sleeping)
	if c.sleeping || s.sticky {
		c.canceled = true
		c.p.wake()
	}
}

// mischief does now and then to connections what servers do.
func (s *server) mischief(say func(c *session, last bool)) {
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		c := s.sessions[id]
		switch {
		case c == nil || c.gone:
		case s.w.chance(s.faults.bye):
			s.w.log("connection %d is told to go", id)
			if c.idle {
				say(c, true)
			}
			_ = c.conn.Close()
		case c.idle && s.w.chance(s.faults.half):
			s.w.log("connection %d says no more", id)
			c.conn.closeWrite()
			s.w.after(time.Second, func() { _ = c.conn.Close() })
		case c.idle && s.w.chance(s.faults.notice):
			say(c, false)
		}
	}
}

// crash ends every connection, and none is possible until the server is up again.
func (s *server) crash() {
	s.down = true
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		if c := s.sessions[id]; c != nil {
			c.conn.tear()
		}
	}
}

// filler is n bytes that only tag's answer or upload has.
func filler(tag string, n int) []byte {
	p := make([]byte, n)
	for done := copy(p, tag); done < n; {
		done += copy(p[done:], p[:done])
	}
	return p
}

// reader reads lines and blocks of a connection, in a process.
type reader struct {
	from *end
	have []byte
}

func (r *reader) more() error {
	n, err := r.from.Read(r.from.w.scratch) // nothing else runs until it is copied
	r.have = append(r.have, r.from.w.scratch[:n]...)
	return err
}

// line returns the next line without its end.
func (r *reader) line() (string, error) {
	for i := 0; ; i++ {
		for i >= len(r.have) {
			if err := r.more(); err != nil {
				return "", err
			}
		}
		if r.have[i] == '\n' {
			line := string(r.have[:i])
			r.have = r.have[i+1:]
			return line, nil
		}
	}
}

// block returns the next n bytes.
func (r *reader) block(n int) ([]byte, error) {
	for len(r.have) < n {
		if err := r.more(); err != nil {
			return nil, err
		}
	}
	b := r.have[:n:n]
	r.have = r.have[n:]
	return b, nil
}
