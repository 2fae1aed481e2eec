package loop

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/berthdb/berth/core/socket"
)

// tlsRead is how much ciphertext is read at once. With the part of a record that crypto/tls may still have, less than
// what its plaintext fits in is decrypted of it (RFC 8446 section 5.2: a record is at most 16 KiB and 256 bytes).
const tlsRead = 40 << 10

// leastRoom is the least that is worth reading into a buffer that holds something.
const leastRoom = 4 << 10

// input is the receiving side of a stream.
type input struct {
	held *chunk // what was not consumed; nil while it is being delivered
	err  error  // why nothing more comes

	fresh      bool // some of held is to be delivered soon
	told       bool // of err
	paused     bool
	delivering bool
	again      bool // Redeliver was called while delivering
}

// reading says whether bytes that arrive are wanted.
func (s *stream) reading() bool {
	in := &s.in
	return in.err == nil && !in.paused && (in.held == nil || len(in.held.waiting()) < MaxHeld)
}

// Held implements Stream.
func (s *stream) Held() int {
	if s.in.held == nil {
		return 0
	}
	return len(s.in.held.waiting())
}

// Pause implements Stream. The poller is told when something comes.
func (s *stream) Pause() { s.in.paused = true }

// Resume implements Stream.
func (s *stream) Resume() {
	if s.closed || !s.in.paused {
		return
	}
	s.in.paused = false
	s.readOn()
}

// readOn does what is due when a stream may be read again.
func (s *stream) readOn() {
	if s.interest&wantRead == 0 {
		s.mark()
	}
	s.queueIfPending()
}

// Redeliver implements Stream.
func (s *stream) Redeliver() {
	in := &s.in
	switch {
	case in.delivering:
		in.again = true
	case s.closed || s.finishing || in.told || in.paused || in.held == nil:
	default:
		s.deliver(in.held, in.held.waiting())
		if !s.closed && !s.finishing {
			s.readOn()
		}
	}
}

// input reads s, of which the poller says that it can be, if its bytes are wanted. It says whether the handler was told
// something, or is going to be.
func (s *stream) input(what readiness) bool {
	if what&(readable|hungUp) == 0 {
		return false
	}
	if !s.reading() {
		s.watch(s.interest &^ wantRead)
		return false
	}
	told := s.receive()
	if !told && what&hungUp != 0 && !s.closed && s.in.err == nil {
		if code, err := syscall.GetsockoptInt(int(s.fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil {
			s.fail(os.NewSyscallError("getsockopt", err))
		} else if code != 0 {
			s.fail(os.NewSyscallError("socket", syscall.Errno(code)))
		}
	}
	return told || s.in.err != nil
}

// receive reads once and delivers, and says whether anything came of it.
func (s *stream) receive() bool {
	if s.finishing {
		s.discard()
		return true
	}
	l := s.loop
	c, p := s.in.held, l.scratch
	if s.tls != nil {
		p = p[:tlsRead]
	} else if c != nil {
		c = s.makeRoom(c)
		p = c.room()
		p = p[:min(len(p), scratchSize)]
	}
	n, errno := rawRead(int(s.fd), p)
	switch {
	case n == 0 && errno == syscall.EAGAIN:
		if s.out.err != nil {
			s.fail(s.out.err) // nothing came before the failure that has not been read
		}
		return s.in.err != nil
	case n == 0:
		s.fail(endOf(errno))
	case s.tls != nil:
		return s.receiveTLS(p[:n])
	case c == nil:
		s.deliver(nil, p[:n])
	default:
		c.buf = c.buf[:len(c.buf)+n]
		s.deliver(c, c.waiting())
	}
	return true
}

// endOf is what a read of nothing means.
func endOf(errno syscall.Errno) error {
	if errno == 0 {
		return io.EOF
	}
	return os.NewSyscallError("read", errno)
}

// discard reads what a peer sends that was told the end.
func (s *stream) discard() {
	n, errno := rawRead(int(s.fd), s.loop.scratch)
	if n > 0 || errno == syscall.EAGAIN {
		return
	}
	s.in.err = endOf(errno)
	if s.out.head == nil || errno != 0 {
		s.Close()
		return
	}
	s.watch(s.interest &^ wantRead)
}

// makeRoom returns what is held in a buffer into which it is worth reading.
func (s *stream) makeRoom(c *chunk) *chunk {
	held := len(c.waiting())
	want := max(leastRoom, min(held, scratchSize))
	switch {
	case len(c.room()) >= want:
	case cap(c.buf)-held >= want:
		c.buf = c.buf[:copy(c.buf, c.waiting())]
		c.r = 0
	default:
		c = s.loop.move(c, held+want)
		s.in.held = c
	}
	return c
}

// hold puts p behind what is held.
func (s *stream) hold(p []byte) {
	if len(p) == 0 {
		return
	}
	c := s.in.held
	switch {
	case c == nil:
		c = s.loop.get(len(p))
	case len(c.room()) < len(p):
		c = s.loop.move(c, len(c.waiting())+len(p))
	}
	c.buf = append(c.buf, p...)
	s.in.held = c
}

// deliver gives the handler p, which is all that waits in c, or lies in the loop's scratch if c is nil. What the handler
// leaves is held.
func (s *stream) deliver(c *chunk, p []byte) {
	in := &s.in
	in.held, in.fresh = nil, false
	in.delivering = true
	for {
		in.again = false
		n := s.callData(p)
		if n < 0 || n > len(p) {
			s.panicked(&PanicError{Value: fmt.Sprintf("BUG: OnData consumed %d of %d bytes", n, len(p))})
			n = len(p)
		}
		p = p[n:]
		if n == 0 || len(p) == 0 || !in.again || in.paused || s.closed || s.finishing {
			break
		}
	}
	in.delivering = false
	if s.closed || s.finishing || len(p) == 0 {
		s.loop.put(c)
		return
	}
	s.keep(c, p)
	if in.again {
		in.fresh = true // it consumed nothing, so others come first
		s.queueIfPending()
	}
}

// keep holds p, the end of c or of the loop's scratch.
func (s *stream) keep(c *chunk, p []byte) {
	if c == nil {
		s.hold(p)
		return
	}
	c.r = len(c.buf) - len(p)
	if class(len(p)) < class(cap(c.buf)/4) {
		c = s.loop.move(c, len(p)) // not a little in a large buffer
	}
	s.in.held = c
}

// receiveTLS decrypts and delivers.
func (s *stream) receiveTLS(ciphertext []byte) bool {
	l := s.loop
	if l.plain == nil {
		l.plain = make([]byte, scratchSize)
	}
	s.mem.Feed(ciphertext)
	n, came, err := s.decrypt(l.plain)
	s.stageTLS() // an answer to a KeyUpdate, an alert
	if err != nil {
		s.fail(err)
	}
	if s.in.held != nil {
		s.hold(l.plain[:n])
	}
	switch c := s.in.held; {
	case !came:
		return err != nil
	case c != nil:
		s.deliver(c, c.waiting())
	default:
		s.deliver(nil, l.plain[:n])
	}
	return true
}

// decrypt reads all plaintext that can be had. The last n bytes of it are in p; what did not fit in p is held. err is not
// nil at the end of the stream.
func (s *stream) decrypt(p []byte) (n int, came bool, err error) {
	for {
		if n == len(p) {
			s.hold(p)
			n = 0
		}
		m, err := s.tls.Read(p[n:])
		n += m
		came = came || m > 0
		switch {
		case err == nil:
		case socket.WouldBlock(err):
			return n, came, nil
		default:
			return n, came, err
		}
	}
}

// readAhead holds what crypto/tls took from the socket beyond the handshake. It uses no scratch: a handler may be looking
// at that while it opens a stream.
func (s *stream) readAhead() {
	c := s.loop.get(scratchSize)
	p := c.room()
	n, _, err := s.decrypt(p)
	s.hold(p[:n])
	s.loop.put(c)
	s.stageTLS()
	if err != nil {
		s.fail(err)
	}
}
