package loop

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

const patience = 20 * time.Second

type taskFunc func()

func (f taskFunc) Run() { f() }

// startLoop runs a loop until the test ends.
func startLoop(t testing.TB, id int, opts Options) *Poll {
	t.Helper()
	l, err := New(id, opts)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(l.Run)
	t.Cleanup(func() {
		l.Stop()
		done.Wait()
	})
	return l
}

// on runs f on l and waits for it.
func on(t testing.TB, l *Poll, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(taskFunc(func() { defer close(done); f() })) {
		t.Fatal("the loop has stopped")
	}
	await(t, done, "a task")
}

func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// tcpPair returns both ends of a TCP connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b = accepted.(*net.TCPConn), dialed.(*net.TCPConn)
	t.Cleanup(func() { a.Close(); b.Close() })
	deadline(t, b)
	return a, b
}

// deadline keeps a broken test from hanging.
func deadline(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
}

func detach(t testing.TB, c *socket.Conn) socket.Detached {
	t.Helper()
	d, err := c.Detach()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// open puts the accepted end of a new connection on l and returns the other end.
func open(t testing.TB, l *Poll, p *probe) *net.TCPConn {
	t.Helper()
	a, b := tcpPair(t)
	openConn(t, l, socket.New(a), p)
	return b
}

func openConn(t testing.TB, l *Poll, c *socket.Conn, p *probe) {
	t.Helper()
	d := detach(t, c)
	on(t, l, func() {
		var err error
		if p.Stream, err = l.Open(d, p); err != nil {
			t.Error(err)
		}
	})
}

// probe is a handler that calls functions. What is nil has a default: data is collected, closes are noted.
type probe struct {
	Stream
	data     func(p []byte) int
	writable func()
	ended    func(error)
	wake     func(Loop) bool

	mu      sync.Mutex
	got     []byte
	arrived chan struct{} // made by newProbe
	closed  chan error
}

func newProbe() *probe { return &probe{arrived: make(chan struct{}, 1), closed: make(chan error, 4)} }

func (p *probe) OnData(b []byte) int {
	if p.data != nil {
		return p.data(b)
	}
	p.collect(b)
	return len(b)
}

func (p *probe) collect(b []byte) {
	p.mu.Lock()
	p.got = append(p.got, b...)
	p.mu.Unlock()
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

func (p *probe) OnWritable() {
	if p.writable != nil {
		p.writable()
	}
}

func (p *probe) OnClose(err error) {
	if p.ended != nil {
		p.ended(err)
		return
	}
	p.Close()
	p.closed <- err
}

func (p *probe) OnWake(l Loop) bool { return p.wake == nil || p.wake(l) }

func (p *probe) bytes() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.got)
}

// expect waits until exactly want has arrived.
func (p *probe) expect(t testing.TB, want []byte) {
	t.Helper()
	for timeout := time.After(patience); ; {
		got := p.bytes()
		if bytes.Equal(got, want) {
			return
		}
		if len(got) >= len(want) {
			t.Fatalf("got %d bytes, not the %d that were sent", len(got), len(want))
		}
		select {
		case <-p.arrived:
		case <-timeout:
			t.Fatalf("got %d bytes of %d", len(got), len(want))
		}
	}
}

// noise is n bytes that are the same for a seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

func send(t testing.TB, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Error(err)
	}
}

func receive(t testing.TB, r io.Reader, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if m, err := io.ReadFull(r, p); err != nil {
		t.Fatalf("after %d of %d bytes: %v", m, n, err)
	}
	return p
}

// check compares what the loop knows with what its streams say. It must run on the loop.
func check(t testing.TB, l *Poll) {
	t.Helper()
	used := 0
	for i := range l.slots.all {
		slot := &l.slots.all[i]
		s := slot.stream
		if s == nil {
			continue
		}
		used++
		owner := s.owner.Load()
		if owner != slot.place {
			continue // parked or gone: not ours to look at
		}
		if s.closed || s.loop != l || uint32(s.token) != uint32(i) {
			t.Errorf("slot %d has a stream that is closed (%v), or elsewhere", i, s.closed)
		}
		size := 0
		for c := s.out.head; c != nil; c = c.next {
			size += len(c.waiting())
			if c.next == nil && c != s.out.tail {
				t.Errorf("slot %d: the tail is not the last chunk", i)
			}
		}
		if size != s.out.size {
			t.Errorf("slot %d: %d bytes are staged, counted %d", i, size, s.out.size)
		}
		if c := s.in.held; c != nil && len(c.waiting()) == 0 {
			t.Errorf("slot %d holds a buffer with nothing in it", i)
		}
	}
	if used+len(l.slots.free) != len(l.slots.all) {
		t.Errorf("%d slots: %d in use, %d free", len(l.slots.all), used, len(l.slots.free))
	}
	for i := range sizes {
		n := 0
		for c := l.buffers.free[i]; c != nil; c = c.next {
			n++
			if cap(c.buf) != sizes[i] || len(c.buf) != 0 || c.r != 0 {
				t.Errorf("a free buffer of class %d is not empty, or of another size", i)
			}
		}
		if n != l.count[i] || n > kept[i] {
			t.Errorf("class %d: %d free buffers, counted %d, at most %d", i, n, l.count[i], kept[i])
		}
	}
}

// nonblockingPair returns two connected sockets without an address.
func nonblockingPair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return fds[0], fds[1]
}
