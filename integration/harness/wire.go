package harness

import (
	"net"
	"sync"
)

// Wire carries connections to a server until it is cut: then nothing passes any more, in either direction, and neither end is told, as when
// a network drops every packet. Only that the kernel answers who connects is different.
type Wire struct {
	Address string // where the proxy connects instead

	server   string
	listener net.Listener
	severed  chan struct{} // closed by Cut
	ended    chan struct{} // closed with the test
	once     sync.Once
	carried  sync.WaitGroup
}

// NewWire lays one to s until the end of t.
func NewWire(t T, s *Server) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("%v", err)
	}
	w := &Wire{Address: l.Addr().String(), server: s.Address(), listener: l, severed: make(chan struct{}), ended: make(chan struct{})}
	w.carried.Go(w.accept)
	t.Cleanup(func() {
		close(w.ended)
		_ = l.Close()
		w.carried.Wait()
	})
	return w
}

// Cut severs it for good.
func (w *Wire) Cut() { w.once.Do(func() { close(w.severed) }) }

func (w *Wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carried.Go(func() { w.carry(near) })
	}
}

// carry passes on what one connection says, both ways.
func (w *Wire) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	if w.cut() {
		<-w.ended
		return
	}
	far, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	gone := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		w.carried.Go(func() {
			w.copy(way[0], way[1])
			gone <- struct{}{}
		})
	}
	select {
	case <-gone: // one end has closed, and the other is told so
	case <-w.ended:
	}
}

// copy passes on what from says, until it or the test ends.
func (w *Wire) copy(from, to net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if w.cut() {
			<-w.ended
			return
		}
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (w *Wire) cut() bool {
	select {
	case <-w.severed:
		return true
	default:
		return false
	}
}
