package sim

import (
	"io"
	"net"
	"syscall"
	"time"
)

// end is one end of a simulated connection. It is a net.Conn for the process that runs, until a loop takes it over.
type end struct {
	w     *world
	name  string
	peer  *end
	space int // how many bytes this end lets wait

	in                 []segment // sent to this end and not read yet, in the order of arrival
	waiting            int       // bytes in it
	last               time.Duration
	failed             error // this end is broken
	closed             bool
	halved             bool // nothing more is sent
	halvedAt, closedAt time.Duration
	taken              bool // by a loop
	reader             *proc
	writer             *proc
	notify             func() // of a loop; nil: none
	net                *network
	onEnd              func()                // the model's: called when this end is closed or broken, once
	delay              time.Duration         // of what is sent to this end, at least
	breakAt            func(n int) (cut int) // at which of the next n bytes sent the connection breaks; n: not now; nil: never
}

// segment is what was sent at once, or the end of it.
type segment struct {
	at   time.Duration
	data []byte
	err  error
}

// connect makes a connection.
func (n *network) connect(a, b string) (*end, *end) {
	delay := n.w.upTo(n.delay)
	side := func(name string) *end {
		return &end{
			w: n.w, name: name, space: n.w.between(n.least(), n.space), net: n, delay: delay,
		}
	}
	x, y := side(a), side(b)
	x.peer, y.peer = y, x
	return x, y
}

// network is where descriptors and the manner of connections come from.
type network struct {
	w      *world
	open   map[int]*end // detached
	next   int
	delay  time.Duration // of a connection, at most
	jitter time.Duration // of a segment, at most
	space  int           // of an end's buffer, at most
	poller int           // a loop's poller refuses, once in so many times
}

// least is how much an end takes at once, at least.
func (n *network) least() int { return 1 + n.space/100 }

// refuse says whether a poller takes no more.
func (n *network) refuse() bool { return n.w.chance(n.poller) }

func newNetwork(w *world) *network { return &network{w: w, open: make(map[int]*end), next: 1000} }

// send takes as much of p as there is space for.
func (e *end) send(p []byte) (int, error) {
	switch {
	case e.failed != nil:
		return 0, e.failed
	case e.closed:
		return 0, net.ErrClosed
	case e.peer.closed:
		return 0, syscall.EPIPE
	}
	n := min(len(p), e.peer.space-e.peer.waiting)
	if n <= 0 {
		return 0, nil
	}
	if e.breakAt != nil {
		if cut := e.breakAt(n); cut < n {
			e.peer.arrive(append([]byte(nil), p[:cut]...), nil)
			e.tear()
			return cut, nil
		}
	}
	e.peer.arrive(append([]byte(nil), p[:n]...), nil)
	return n, nil
}

// takes says whether there is space for n bytes.
func (e *end) takes(n int) bool { return n <= e.peer.space-e.peer.waiting }

// blurt sends all of p, if there is space for it.
func (e *end) blurt(p []byte) {
	if e.takes(len(p)) {
		_, _ = e.send(p)
	}
}

// arrive puts a segment on its way to e.
func (e *end) arrive(data []byte, err error) {
	if len(data) == 0 && err == nil {
		return
	}
	e.last = max(e.last, e.w.now+e.delay+e.w.upTo(e.net.jitter))
	e.in = append(e.in, segment{e.last, data, err})
	e.waiting += len(data)
	e.w.after(e.last-e.w.now, e.readable)
}

func (e *end) readable() {
	if e.reader != nil {
		e.reader.wake()
	}
	if e.notify != nil {
		e.notify()
	}
}

func (e *end) writable() {
	if e.writer != nil {
		e.writer.wake()
	}
	if e.notify != nil {
		e.notify()
	}
}

// ready says whether receive has something to say.
func (e *end) ready() bool {
	return !e.closed && (e.failed != nil || len(e.in) > 0 && e.in[0].at <= e.w.now)
}

// receive reads what has arrived; 0 and no error: nothing.
func (e *end) receive(p []byte) (n int, err error) {
	if e.closed {
		return 0, net.ErrClosed
	}
	for n < len(p) && len(e.in) > 0 && e.in[0].at <= e.w.now {
		s := &e.in[0]
		if s.err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, s.err
		}
		k := copy(p[n:], s.data)
		n += k
		e.waiting -= k
		if s.data = s.data[k:]; len(s.data) == 0 {
			e.in = e.in[1:]
		}
	}
	if n > 0 {
		e.peer.writable()
		return n, nil
	}
	return 0, e.failed
}

// tear breaks the connection as a reset does: each side keeps what has arrived.
func (e *end) tear() {
	e.w.log("%s is torn from %s", e.name, e.peer.name)
	for _, x := range []*end{e, e.peer} {
		x.cut(syscall.ECONNRESET)
	}
}

func (e *end) cut(err error) {
	if e.failed != nil || e.closed {
		return
	}
	e.failed = err
	for i, s := range e.in {
		if s.at > e.w.now {
			for _, lost := range e.in[i:] {
				e.waiting -= len(lost.data)
			}
			e.in = e.in[:i]
			break
		}
	}
	e.readable()
	e.writable()
	e.ending()
}

func (e *end) ending() {
	if f := e.onEnd; f != nil {
		e.onEnd = nil
		f()
	}
}

// Close closes this end. What it had not read makes the peer see a reset, as TCP does.
func (e *end) Close() error {
	if e.closed {
		return net.ErrClosed
	}
	e.closed, e.closedAt = true, e.w.now
	err := error(io.EOF)
	if len(e.in) > 0 && e.in[0].err == nil {
		err = syscall.ECONNRESET
	}
	e.in, e.waiting, e.notify = nil, 0, nil
	if e.failed == nil && !e.peer.closed && e.peer.failed == nil {
		if !e.halved || err != io.EOF {
			e.peer.arrive(nil, err)
		}
		e.peer.writable()
	}
	e.readable()
	e.writable()
	e.ending()
	return nil
}

// closeWrite tells the peer that nothing more comes.
func (e *end) closeWrite() {
	if !e.halved && !e.closed && e.failed == nil && !e.peer.closed {
		e.halved, e.halvedAt = true, e.w.now
		e.peer.arrive(nil, io.EOF)
	}
}

// Read waits, in a process.
func (e *end) Read(p []byte) (int, error) {
	me := e.w.current
	if me == nil || e.taken {
		panic("BUG: sim: a blocking read outside of a process")
	}
	for {
		limit := len(p)
		if limit > 0 && e.w.chance(4) {
			limit = e.w.between(1, limit)
		}
		if n, err := e.receive(p[:limit]); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		e.reader = me
		me.park()
		e.reader = nil
	}
}

// Write waits, in a process.
func (e *end) Write(p []byte) (total int, err error) {
	me := e.w.current
	if me == nil || e.taken {
		panic("BUG: sim: a blocking write outside of a process")
	}
	for len(p) > 0 {
		n, err := e.send(p)
		total += n
		if err != nil {
			return total, err
		}
		if p = p[n:]; len(p) > 0 {
			e.writer = me
			if e.peer.waiting >= e.peer.space {
				me.park()
			}
			e.writer = nil
		}
	}
	return total, nil
}

// DetachFD implements socket.Detacher.
func (e *end) DetachFD() (int, error) {
	n := e.net
	n.next++
	n.open[n.next] = e
	e.taken = true
	return n.next, nil
}

type address string

func (a address) Network() string { return "sim" }
func (a address) String() string  { return string(a) }

func (e *end) LocalAddr() net.Addr  { return address(e.name) }
func (e *end) RemoteAddr() net.Addr { return address(e.peer.name) }

// Deadlines are the models' own business: whatever blocks in a world is bounded by its time limit.
func (e *end) SetDeadline(time.Time) error      { return nil }
func (e *end) SetReadDeadline(time.Time) error  { return nil }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
