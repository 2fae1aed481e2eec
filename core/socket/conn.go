package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MaxHeld bounds what a connection may hold of bytes that arrived and could not be dealt with yet.
const MaxHeld = 64 << 10

// Conn is a connection in its login phase. It is a net.Conn: reads and writes block, and go through TLS once that was
// started. It reads no further ahead than it is asked to, so nothing that a peer sends in clear can be taken for
// something that it sent encrypted. One goroutine at a time may use it; Close may be called from any.
type Conn struct {
	raw *Transport
	tls *tls.Conn
	// Rest is what the login read beyond its own end; the relay phase starts with it.
	Rest []byte

	ending sync.Mutex // guards tls being set and raw being detached against Close
}

// New wraps nc, which must be a TCP or unix connection (something with a descriptor) if it is to be detached.
func New(nc net.Conn) *Conn { return &Conn{raw: &Transport{conn: nc}} }

// ErrHandshake marks a TLS handshake that failed.
var ErrHandshake = errors.New("tls handshake")

// Gate limits how many logins are at work at once. A login is at work except while it waits for its peer, to send or to read.
type Gate interface {
	Enter()
	Leave()
}

// Admit makes c leave g while it waits for its peer. The caller has entered g. When it leaves g, because the login is
// over, it calls Admit(nil): what is read later must not leave a second time.
func (c *Conn) Admit(g Gate) { c.raw.gate = g }

// Aside runs f, which waits for something that is neither the processor nor the peer, outside of the gate.
func (c *Conn) Aside(f func()) {
	if g := c.raw.gate; g != nil {
		g.Leave()
		defer g.Enter()
	}
	f()
}

// Transport returns the net.Conn under TLS, for a library that does its own TLS on it (see Adopt).
func (c *Conn) Transport() *Transport { return c.raw }

// Adopt makes c speak through t, a TLS connection whose handshake is done and whose net.Conn is c's Transport.
func (c *Conn) Adopt(t *tls.Conn) error {
	if t.NetConn() != net.Conn(c.raw) {
		return errors.New("socket: adopted TLS connection is over another transport")
	}
	c.setTLS(t)
	return nil
}

func (c *Conn) setTLS(t *tls.Conn) {
	c.ending.Lock()
	c.tls = t
	c.ending.Unlock()
}

// ServeTLS performs the server's side of a TLS handshake. It ends when ctx does, or at c's deadline.
func (c *Conn) ServeTLS(ctx context.Context, cfg *tls.Config) error {
	return c.startTLS(ctx, cfg, tls.Server)
}

// DialTLS performs the client's side of a TLS handshake. It ends when ctx does, or at c's deadline.
func (c *Conn) DialTLS(ctx context.Context, cfg *tls.Config) error {
	return c.startTLS(ctx, cfg, tls.Client)
}

func (c *Conn) startTLS(ctx context.Context, cfg *tls.Config, side func(net.Conn, *tls.Config) *tls.Conn) error {
	if c.tls != nil {
		return errors.New("socket: tls already started")
	}
	if len(c.Rest) > 0 {
		return errors.New("socket: bytes in clear before the tls handshake")
	}
	t := side(c.raw, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	c.setTLS(t)
	return nil
}

// TLS returns the state of the TLS connection, and false if there is none.
func (c *Conn) TLS() (tls.ConnectionState, bool) {
	if c.tls == nil {
		return tls.ConnectionState{}, false
	}
	return c.tls.ConnectionState(), true
}

// Peek returns the next n bytes of a connection without TLS and leaves them to be read: a protocol whose first byte
// decides (direct TLS) needs it.
func (c *Conn) Peek(n int) ([]byte, error) {
	p := make([]byte, n)
	read, err := io.ReadFull(c.raw, p)
	c.raw.in = append(p[:read:read], c.raw.in...)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(p), nil
}

func (c *Conn) Read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Read(p)
	}
	return c.raw.Read(p)
}

func (c *Conn) Write(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.Write(p)
	}
	return c.raw.Write(p)
}

// Close closes the connection, politely if it is encrypted. After Detach it does nothing.
func (c *Conn) Close() error {
	c.ending.Lock()
	defer c.ending.Unlock()
	if c.raw.detached {
		return nil
	}
	if c.tls != nil {
		return c.tls.Close()
	}
	return c.raw.Close()
}

// CloseWrite says to the peer that nothing more will be sent.
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return err
		}
	}
	if h, ok := c.raw.conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}

func (c *Conn) LocalAddr() net.Addr                { return c.raw.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr               { return c.raw.RemoteAddr() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.raw.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.raw.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }

// Detached is a connection in its relay phase. Its receiver owns the descriptor.
type Detached struct {
	FD   int        // non-blocking, close-on-exec
	TLS  *tls.Conn  // nil for a plain connection; it reads from and writes to Mem
	Mem  *Transport // the memory under TLS, nil for a plain connection
	Rest []byte     // already received (decrypted, if encrypted), to be delivered first
}

// Detach ends the login phase: the descriptor leaves Go's poller, and c must not be used again.
func (c *Conn) Detach() (Detached, error) {
	c.ending.Lock()
	defer c.ending.Unlock()
	fd, err := c.raw.detach()
	if err != nil {
		return Detached{}, fmt.Errorf("detach: %w", err)
	}
	d := Detached{FD: fd, TLS: c.tls, Rest: c.Rest}
	if c.tls != nil {
		d.Mem = c.raw
	} else if len(c.raw.in) > 0 {
		d.Rest = append(c.raw.in, c.Rest...)
		c.raw.in = nil
	}
	return d, nil
}

// Transport is the net.Conn under TLS: the socket itself during the login, memory afterwards.
type Transport struct {
	conn     net.Conn
	gate     Gate // nil: none
	detached bool
	in       []byte // peeked, or (detached) fed and not yet read
	out      []byte // (detached) written and not yet taken
}

// errWouldBlock is what a detached transport answers when it was fed nothing more. crypto/tls keeps a partial record
// across an error that is temporary (crypto/tls Conn.readFromUntil and readRecordOrCCS).
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "would block" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

// WouldBlock says whether err means that a detached TLS connection needs more bytes to go on.
func WouldBlock(err error) bool {
	_, ok := errors.AsType[errWouldBlock](err)
	return ok
}

func (t *Transport) Read(p []byte) (int, error) {
	if len(t.in) > 0 {
		n := copy(p, t.in)
		if t.in = t.in[n:]; len(t.in) == 0 {
			t.in = nil // it is the caller's memory
		}
		return n, nil
	}
	if t.detached {
		return 0, errWouldBlock{}
	}
	if t.gate != nil {
		t.gate.Leave()
		defer t.gate.Enter()
	}
	return t.conn.Read(p)
}

func (t *Transport) Write(p []byte) (int, error) {
	if t.detached {
		t.out = append(t.out, p...)
		return len(p), nil
	}
	n := 0
	if t.gate != nil {
		if n = t.writeAtOnce(p); n == len(p) {
			return n, nil
		}
		t.gate.Leave()
		defer t.gate.Enter()
	}
	m, err := t.conn.Write(p[n:])
	return n + m, err
}

// writeAtOnce writes what the kernel takes without waiting for the peer, and returns how much that was. What went wrong the next Write
// tells.
func (t *Transport) writeAtOnce(p []byte) (n int) {
	rc, err := t.SyscallConn()
	if err != nil {
		return 0
	}
	_ = rc.Write(func(fd uintptr) bool {
		n, _ = unix.Write(int(fd), p)
		return true
	})
	return max(n, 0)
}

// Feed gives a detached transport bytes to read. They must stay valid until they are read: TLS reads all of them when
// it is read until WouldBlock.
func (t *Transport) Feed(p []byte) {
	if len(t.in) == 0 {
		t.in = p
		return
	}
	t.in = append(t.in[:len(t.in):len(t.in)], p...)
}

// Out returns what was written to a detached transport since the last call, and lends it buf to write to next.
func (t *Transport) Out(buf []byte) []byte {
	out := t.out
	t.out = buf
	return out
}

func (t *Transport) Close() error {
	if t.detached {
		return nil
	}
	return t.conn.Close()
}

func (t *Transport) LocalAddr() net.Addr  { return t.conn.LocalAddr() }
func (t *Transport) RemoteAddr() net.Addr { return t.conn.RemoteAddr() }

func (t *Transport) SetDeadline(d time.Time) error {
	if t.detached {
		return nil
	}
	return t.conn.SetDeadline(d)
}

func (t *Transport) SetReadDeadline(d time.Time) error {
	if t.detached {
		return nil
	}
	return t.conn.SetReadDeadline(d)
}

func (t *Transport) SetWriteDeadline(d time.Time) error {
	if t.detached {
		return nil
	}
	return t.conn.SetWriteDeadline(d)
}

// SyscallConn gives access to the descriptor, while the transport has one.
func (t *Transport) SyscallConn() (syscall.RawConn, error) {
	sc, ok := t.conn.(syscall.Conn)
	if !ok || t.detached {
		return nil, errors.New("socket: no descriptor")
	}
	return sc.SyscallConn()
}

// Detacher is a net.Conn that hands over its descriptor itself: one that is no socket of the kernel's.
type Detacher interface {
	DetachFD() (int, error)
}

// detach duplicates the descriptor, because Go's poller keeps the original until it is closed, and closes the
// original. Both are the same non-blocking open file.
func (t *Transport) detach() (int, error) {
	if d, ok := t.conn.(Detacher); ok {
		t.detached = true
		return d.DetachFD()
	}
	rc, err := t.SyscallConn()
	if err != nil {
		return -1, err
	}
	if err := t.conn.SetDeadline(time.Time{}); err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	if err := rc.Control(func(s uintptr) { fd, dupErr = dupCloexec(int(s)) }); err != nil {
		return -1, err
	}
	if dupErr != nil {
		return -1, dupErr
	}
	conn := t.conn
	t.detached = true
	if err := conn.Close(); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	t.conn = addresses{conn.LocalAddr(), conn.RemoteAddr()}
	return fd, nil
}
