package mysql

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// wire is a client that says exactly what a test wants it to say, and that checks what drivers take on trust: every
// sequence id, every length, and that nothing follows the end of an answer.
type wire struct {
	net.Conn
	r    *bufio.Reader
	caps uint32
	seq  byte // of the next packet, either way

	announces bool // the other side is a server, see announced

	charset byte   // the number of its collation; 0 for utf8mb4_general_ci
	id      uint32 // the connection's, as greeted
	version string
	offers  uint32
	salt    []byte
	plugin  string
}

// basics is what every client of the last twenty years can.
const basics = protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_LONG_FLAG | protocol.CLIENT_PROTOCOL_41 |
	protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_SECURE_CONNECTION | protocol.CLIENT_PLUGIN_AUTH |
	protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA | protocol.CLIENT_MULTI_RESULTS | protocol.CLIENT_PS_MULTI_RESULTS

// modern is what today's clients can beyond that.
const modern = basics | protocol.CLIENT_DEPRECATE_EOF | protocol.CLIENT_SESSION_TRACK

// extended stands for MariaDB's extended metadata, whose flag is among the extended capabilities: the last four bytes of the filler in a
// greeting and in a response, where they do not have LONG_PASSWORD. No server has this one.
const extended = 1 << 29

const wireExtended = 1 << 3

// bulk stands for MariaDB's bulk operations in the same way.
const bulk = 1 << 30

const wireBulk = 1 << 2

// answerWithin bounds the wait for any packet, so that a proxy that is stuck fails one test and not the run.
const answerWithin = 60 * time.Second

const maxPayload = 1<<24 - 1

// serverError is an ERR packet.
type serverError struct {
	number  uint16
	state   string
	message string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("error %d (%s): %s", e.number, e.state, e.message)
}

// numberOf is the number of a server's error, 0 for any other.
func numberOf(err error) uint16 {
	var e *serverError
	if errors.As(err, &e) {
		return e.number
	}
	return 0
}

// greeted connects and reads the greeting.
func greeted(e harness.Endpoint) (*wire, error) {
	conn, err := net.DialTimeout("tcp", e.Address(), answerWithin)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, r: bufio.NewReader(conn)}
	if err := w.readGreeting(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) readGreeting() error {
	p, err := w.read()
	if err != nil {
		return err
	}
	if len(p) > 0 && p[0] == 0xff {
		return errOf(p, 0)
	}
	f := reading{p: p[1:]}
	w.version = string(f.until(0))
	w.id = f.u32()
	w.salt = append(w.salt, f.n(8)...)
	f.n(1)
	low := f.u16()
	f.n(1)
	f.u16()
	w.offers = uint32(low) | uint32(f.u16())<<16
	f.n(7)
	w.offers &^= extended | bulk
	more := f.u32()
	if w.offers&protocol.CLIENT_LONG_PASSWORD == 0 && more&wireExtended != 0 {
		w.offers |= extended
	}
	if w.offers&protocol.CLIENT_LONG_PASSWORD == 0 && more&wireBulk != 0 {
		w.offers |= bulk
	}
	w.salt = append(w.salt, f.n(12)...)
	f.n(1)
	w.plugin = string(f.until(0))
	return f.err
}

// login logs in with the capabilities caps, over TLS unless l is plain.
func login(e harness.Endpoint, l harness.Login, caps uint32) (*wire, error) {
	w, err := greeted(e)
	if err != nil {
		return nil, err
	}
	if err := w.login(e, l, caps); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) login(e harness.Endpoint, l harness.Login, caps uint32) error {
	if l.Database != "" {
		caps |= protocol.CLIENT_CONNECT_WITH_DB
	}
	if !l.Plain {
		caps |= protocol.CLIENT_SSL
	}
	if missing := caps &^ (w.offers | protocol.CLIENT_LONG_PASSWORD); missing != 0 {
		return fmt.Errorf("the server lacks the capabilities %#x", missing)
	}
	w.caps = caps
	if !l.Plain {
		if err := w.startTLS(e); err != nil {
			return err
		}
	}
	if err := w.write(w.response(l)); err != nil {
		return err
	}
	return w.authenticate(l)
}

func (w *wire) startTLS(e harness.Endpoint) error {
	if err := w.write(w.fixed()); err != nil {
		return err
	}
	config, err := e.TLS()
	if err != nil {
		return err
	}
	c := tls.Client(w.Conn, config)
	w.Conn, w.r = c, bufio.NewReader(c)
	return nil
}

// fixed is the part of a response that a request for TLS consists of.
func (w *wire) fixed() []byte {
	var more uint32
	if w.caps&extended != 0 {
		more = wireExtended
	}
	if w.caps&bulk != 0 {
		more |= wireBulk
	}
	p := binary.LittleEndian.AppendUint32(nil, w.caps&^extended&^bulk)
	p = binary.LittleEndian.AppendUint32(p, 1<<30)
	charset := w.charset
	if charset == 0 {
		charset = 45 // utf8mb4_general_ci
	}
	return binary.LittleEndian.AppendUint32(append(append(p, charset), make([]byte, 19)...), more)
}

func (w *wire) response(l harness.Login) []byte {
	p := append(w.fixed(), l.User...)
	p = append(p, 0)
	proof := prove(w.plugin, w.salt, l.Password)
	p = append(p, byte(len(proof)))
	p = append(p, proof...)
	if l.Database != "" {
		p = append(p, l.Database...)
		p = append(p, 0)
	}
	p = append(p, w.plugin...)
	return append(p, 0)
}

func prove(plugin string, salt []byte, password string) []byte {
	if password == "" {
		return nil
	}
	if plugin == protocol.AUTH_NATIVE_PASSWORD {
		return protocol.CalcNativePassword(salt, []byte(password))
	}
	return protocol.CalcCachingSha2Password(salt, []byte(password))
}

// authenticate goes on until the server says yes or no.
func (w *wire) authenticate(l harness.Login) error {
	for {
		p, err := w.read()
		switch {
		case err != nil:
			return err
		case len(p) == 0:
			return errors.New("an empty packet in a login")
		case p[0] == 0xff:
			return errOf(p, w.caps)
		case p[0] == 0:
			return w.quiet()
		case p[0] == 0xfe:
			f := reading{p: p[1:]}
			plugin := string(f.until(0))
			w.salt = f.n(20)
			if f.err != nil {
				return f.err
			}
			err = w.write(prove(plugin, w.salt, l.Password))
		case len(p) == 2 && p[0] == 1 && p[1] == 4:
			err = w.sendPassword(l)
		case p[0] == 1 && len(p) == 2:
		default:
			return fmt.Errorf("%x in a login", p)
		}
		if err != nil {
			return err
		}
	}
}

// sendPassword sends the password itself: inside TLS, or encrypted with the server's RSA key.
func (w *wire) sendPassword(l harness.Login) error {
	secret := append([]byte(l.Password), 0)
	if !l.Plain {
		return w.write(secret)
	}
	if err := w.write([]byte{2}); err != nil {
		return err
	}
	p, err := w.read()
	if err != nil {
		return err
	}
	block, _ := pem.Decode(p[1:])
	if block == nil {
		return fmt.Errorf("no key: %q", p)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	for i := range secret {
		secret[i] ^= w.salt[i%len(w.salt)]
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return errors.New("no RSA key")
	}
	encrypted, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, secret, nil)
	if err != nil {
		return err
	}
	return w.write(encrypted)
}

// read reads a packet of any length.
func (w *wire) read() ([]byte, error) {
	if err := w.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		return nil, err
	}
	var payload []byte
	for {
		var h [4]byte
		if _, err := io.ReadFull(w.r, h[:]); err != nil {
			return nil, err
		}
		if h[3] != w.seq {
			return nil, fmt.Errorf("sequence id %d, want %d", h[3], w.seq)
		}
		w.seq++
		n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
		at := len(payload)
		payload = append(payload, make([]byte, n)...)
		if _, err := io.ReadFull(w.r, payload[at:]); err != nil {
			return nil, err
		}
		if n < maxPayload {
			return payload, nil
		}
	}
}

// write writes a packet of any length.
func (w *wire) write(payload []byte) error {
	for {
		n := min(len(payload), maxPayload)
		p := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), w.seq}, payload[:n]...)
		w.seq++
		if err := w.SetWriteDeadline(time.Now().Add(answerWithin)); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		payload = payload[n:]
		if n < maxPayload {
			return nil
		}
	}
}

// quiet checks that nothing came after the end of an answer.
func (w *wire) quiet() error {
	if n := w.r.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes after the end of an answer", n)
	}
	return nil
}

// command starts a request.
func (w *wire) command(command byte, body ...byte) error {
	w.seq = 0
	return w.write(append([]byte{command}, body...))
}

// reading takes a payload apart.
type reading struct {
	p   []byte
	err error
}

func (f *reading) n(n int) []byte {
	if n < 0 || n > len(f.p) {
		f.err = io.ErrUnexpectedEOF
		f.p = nil
		return make([]byte, max(0, min(n, 16)))
	}
	b := f.p[:n:n]
	f.p = f.p[n:]
	return b
}

func (f *reading) until(c byte) []byte {
	for i, b := range f.p {
		if b == c {
			s := f.n(i)
			f.n(1)
			return s
		}
	}
	return f.n(len(f.p))
}

func (f *reading) u8() byte    { return f.n(1)[0] }
func (f *reading) u16() uint16 { return binary.LittleEndian.Uint16(f.n(2)) }
func (f *reading) u32() uint32 { return binary.LittleEndian.Uint32(f.n(4)) }
func (f *reading) u64() uint64 { return binary.LittleEndian.Uint64(f.n(8)) }

func (f *reading) integer() uint64 {
	switch c := f.u8(); c {
	case 0xfc:
		return uint64(f.u16())
	case 0xfd:
		b := f.n(3)
		return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16
	case 0xfe:
		return f.u64()
	default:
		return uint64(c)
	}
}

func (f *reading) text() []byte { return f.n(int(f.integer())) }

func errOf(p []byte, caps uint32) error {
	f := reading{p: p[1:]}
	e := &serverError{number: f.u16()}
	if caps&protocol.CLIENT_PROTOCOL_41 != 0 {
		if string(f.n(1)) != "#" {
			return fmt.Errorf("an ERR without SQLSTATE: %q", p)
		}
		e.state = string(f.n(5))
	}
	e.message = string(f.p)
	if f.err != nil {
		return fmt.Errorf("malformed ERR %q", p)
	}
	return e
}

// dial is login for a test, until its end.
func dial(t testing.TB, e harness.Endpoint, l harness.Login, caps uint32) *wire {
	t.Helper()
	w, err := login(e, l, caps)
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}
