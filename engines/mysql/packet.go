package mysql

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/berthdb/berth/core/engine"
)

const (
	headerSize = 4
	// maxPayload is what one packet can carry; one of exactly this length is continued by the next (section
	// "MySQL Packets"). Nothing in a login is that long.
	maxPayload = 1<<24 - 1
	// maxLoginPacket bounds every packet of a login. The longest are responses with connection attributes.
	maxLoginPacket = 1 << 20
	// firstRead bounds what is allocated on the mere word of a header.
	firstRead = 4 << 10
)

// packets reads and writes whole packets on a connection in its login phase. It reads nothing ahead.
type packets struct {
	conn     io.ReadWriter
	peer     engine.Side // to blame
	sequence uint8       // of the next packet, in either direction
	header   [headerSize]byte
}

// read returns the payload of the next packet. The caller owns it.
func (p *packets) read() ([]byte, error) {
	if _, err := io.ReadFull(p.conn, p.header[:]); err != nil {
		return nil, err
	}
	n := int(p.header[0]) | int(p.header[1])<<8 | int(p.header[2])<<16
	expected := p.sequence
	p.sequence = p.header[3] + 1 // in any case, so that the peer understands what it is told
	if n > maxLoginPacket {
		return nil, p.violation("packet of %d bytes during the login", n)
	}
	if p.header[3] != expected {
		return nil, p.violation("packet %d arrived, %d expected", p.header[3], expected)
	}
	payload := make([]byte, 0, min(n, firstRead))
	for len(payload) < n {
		grown := make([]byte, min(n, max(firstRead, 2*len(payload))))
		have := copy(grown, payload)
		if _, err := io.ReadFull(p.conn, grown[have:]); err != nil {
			return nil, noEOF(err)
		}
		payload = grown
	}
	return payload, nil
}

// write sends payload as one packet.
func (p *packets) write(payload []byte) error {
	if len(payload) >= maxPayload {
		return fmt.Errorf("packet of %d bytes during the login", len(payload))
	}
	out := appendHeader(make([]byte, 0, headerSize+len(payload)), len(payload), p.sequence)
	p.sequence++
	_, err := p.conn.Write(append(out, payload...))
	return err
}

func (p *packets) violation(format string, args ...any) error {
	return &engine.ProtocolError{Side: p.peer, Reason: fmt.Sprintf(format, args...)}
}

// noEOF marks an end inside a packet as unexpected.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader appends the header of a packet whose payload has n < 1<<24 bytes.
func appendHeader(dst []byte, n int, sequence uint8) []byte {
	return append(dst, byte(n), byte(n>>8), byte(n>>16), sequence)
}

// fields takes a payload apart. After the first field that is not wholly there bad is set, and everything further is
// empty.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) bytes(n int) []byte {
	if f.bad || n < 0 || n > len(f.rest) {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) uint8() uint8 {
	if b := f.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint16() uint16 {
	if b := f.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if b := f.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// integer returns a length-encoded integer (section "Integer Types"). 0xfb (NULL) and 0xff are none.
func (f *fields) integer() uint64 {
	if len(f.rest) > 0 && f.rest[0] < null && !f.bad { // most are
		n := f.rest[0]
		f.rest = f.rest[1:]
		return uint64(n)
	}
	return f.longInteger()
}

func (f *fields) longInteger() uint64 {
	first := f.uint8()
	var b []byte
	switch first {
	case 0xfc:
		b = f.bytes(2)
	case 0xfd:
		b = f.bytes(3)
	case 0xfe:
		b = f.bytes(8)
	case 0xfb, 0xff:
		f.bad, f.rest = true, nil
		return 0
	default:
		return uint64(first)
	}
	var n uint64
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}

// text returns a length-encoded string.
func (f *fields) text() []byte {
	n := f.integer()
	if n > uint64(len(f.rest)) || f.bad {
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

// terminated returns a string that ends with a NUL.
func (f *fields) terminated() []byte {
	for i, b := range f.rest {
		if b == 0 {
			s := f.bytes(i)
			f.bytes(1)
			return s
		}
	}
	return f.bytes(len(f.rest) + 1)
}

// lastTerminated is terminated for strings whose NUL some clients leave out at the end of a packet.
func (f *fields) lastTerminated() []byte {
	for _, b := range f.rest {
		if b == 0 {
			return f.terminated()
		}
	}
	return f.bytes(len(f.rest))
}
