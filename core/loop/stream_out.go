package loop

import (
	"errors"
	"os"
	"syscall"
)

// directly is from how many bytes on a write goes to the socket at once if nothing is staged: copying them costs more
// than waiting for others to join them saves.
const directly = 8 << 10

// tlsPart is how much plaintext is encrypted into one buffer at once.
const tlsPart = 32 << 10

// mostUnasked bounds what may wait of what crypto/tls wrote on its own account, say answers to KeyUpdates. An honest peer
// sends one in hundreds of megabytes (RFC 8446 sections 4.6.3 and 5.5), so this is what it causes in gigabytes.
const mostUnasked = 4 << 10

// errUnread is why a stream fails whose peer asks crypto/tls for answers and takes none.
var errUnread = errors.New("tls: the peer asks for key updates and does not read them")

// output is the sending side of a stream: a queue of chunks.
type output struct {
	head, tail *chunk
	size       int   // what waits in them
	unasked    int   // what crypto/tls wrote on its own account since nothing waited
	err        error // why nothing can be sent any more
	blocked    bool  // the kernel took less than it was given, and has not said since that it takes more
	full       bool  // there was more than MaxHeld; OnWritable is owed
	told       bool  // of err
}

// Buffered implements Stream.
func (s *stream) Buffered() int { return s.out.size }

// Broken implements Stream.
func (s *stream) Broken() bool { return s.out.err != nil }

// Write implements Stream.
func (s *stream) Write(p []byte) {
	if s.closed || s.finishing || s.ending || s.out.err != nil || len(p) == 0 {
		return
	}
	switch {
	case s.tls != nil:
		s.encrypt(p)
	case s.out.head == nil && len(p) >= directly:
		s.stage(p[s.send(p):])
	default:
		s.stage(p)
	}
	if s.out.size > MaxHeld {
		s.out.full = true
	}
}

// send gives p to the kernel and returns how much it took. An error is kept for later.
func (s *stream) send(p []byte) int {
	n, errno := rawWrite(int(s.fd), p)
	switch errno {
	case 0, syscall.EAGAIN:
		s.out.blocked = n < len(p)
		return n
	default:
		s.breakOutput(os.NewSyscallError("write", errno))
		return len(p)
	}
}

// breakOutput ends sending. What the peer sent before it went may still be read; then the handler is told.
func (s *stream) breakOutput(err error) {
	s.dropOutput()
	s.out.err = err
	s.mark()
	s.queueIfPending()
}

func (s *stream) dropOutput() {
	for c := s.out.head; c != nil; {
		next := c.next
		s.loop.put(c)
		c = next
	}
	s.out.head, s.out.tail, s.out.size, s.out.unasked, s.out.blocked = nil, nil, 0, 0, false
}

// flush sends what is staged, as far as the kernel takes it.
func (s *stream) flush() {
	out := &s.out
	for c := out.head; c != nil && !out.blocked; c = out.head {
		p := c.waiting()
		n := s.send(p)
		if out.err != nil {
			return
		}
		out.size -= n
		if c.r += n; n < len(p) {
			return
		}
		if out.head = c.next; out.head == nil {
			out.tail, out.unasked = nil, 0
		}
		s.loop.put(c)
	}
}

// stage puts p behind what is staged.
func (s *stream) stage(p []byte) {
	if len(p) > 0 {
		s.mark()
	}
	for len(p) > 0 {
		n := min(len(p), maxChunk)
		c := s.roomFor(n)
		c.buf = append(c.buf, p[:n]...)
		s.out.size += n
		p = p[n:]
	}
}

// roomFor returns the last chunk, with room for n bytes, at most maxChunk. What is staged stays in one chunk as long as
// it can, so that it goes out in one system call.
func (s *stream) roomFor(n int) *chunk {
	out, l := &s.out, s.loop
	last := out.tail
	switch {
	case last == nil:
		out.tail = l.get(n)
		out.head = out.tail
	case len(last.room()) >= n:
	case out.head == last && len(last.waiting())+n <= maxChunk:
		out.tail = l.move(last, len(last.waiting())+n)
		out.head = out.tail
	default:
		out.tail = l.get(n)
		last.next = out.tail
	}
	return out.tail
}

// encrypt stages the records that p becomes. A record has at least a thousand bytes of plaintext, unless p ends, and at
// most 85 bytes around them (crypto/tls, maxPayloadSizeForWrite; RFC 5246 section 6.2.3.2).
func (s *stream) encrypt(p []byte) {
	for len(p) > 0 && s.out.err == nil {
		part := p[:min(len(p), tlsPart)]
		p = p[len(part):]
		c := s.roomFor(len(part) + len(part)/8 + 256)
		staged := len(c.buf)
		s.mem.Out(c.buf)
		_, err := s.tls.Write(part)
		c.buf = s.mem.Out(nil)
		s.out.size += len(c.buf) - staged
		s.mark()
		if err != nil {
			s.breakOutput(err)
		}
	}
}

// stageTLS stages what crypto/tls wrote on its own account. A peer can have it answer a dozen times for a byte of data, and
// it is the handlers that decide whether to read on: who asks for more than it takes ends here.
func (s *stream) stageTLS() {
	if s.out.err != nil {
		return
	}
	p := s.mem.Out(nil)
	s.stage(p)
	s.out.full = s.out.full || s.out.size > MaxHeld // or who sees that would not be told of its end
	if s.out.unasked += len(p); s.out.unasked > mostUnasked {
		s.breakOutput(errUnread)
		s.fail(errUnread)
	}
}
