package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// FuzzServerPackets are the packets of a server that are taken apart on their own: nothing of them is longer than the packet.
func FuzzServerPackets(f *testing.F) {
	for _, p := range []string{
		okPlain, okMySQL, insertMySQL, endMySQL, "\xff\x10\x04#08004Too many connections", "\xff\x10\x04", "\xff",
		"\x00\x00\x00\x02\x40\x00\x00\x00\x05\x00\x03\x01\x02db", "\x00\xfc\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff", "\xfb\x01a\xfc\x01\x00b",
	} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) == 0 {
			return // the machine has looked at the first byte
		}
		if o := (okPacket{}); o.parse(packet) {
			if len(o.state) > len(packet) {
				t.Fatalf("%d bytes of state in %d", len(o.state), len(packet))
			}
			_ = new(report).parse(o.state)
		}
		_ = new(report).parse(packet)
		if e := parseERR(packet); e != nil && len(e.Message) > len(packet) {
			t.Fatalf("%q of %q", e.Message, packet)
		}
		if row, err := parseRow(packet); err == nil {
			total := 0
			for _, cell := range row {
				total += len(cell)
			}
			if total > len(packet) {
				t.Fatalf("%d bytes of cells in %d", total, len(packet))
			}
		}
	})
}

// FuzzExecution is the body of a COM_STMT_EXECUTE, which only the server reads in full.
func FuzzExecution(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x00\x07\x00\x00\x00"), uint16(1), false)
	f.Add([]byte("\x01\x00\x00\x00\x08\x01\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), uint16(1), true)
	f.Add([]byte(about(protocol.COM_STMT_EXECUTE, 1, once+typed+seven)[5:]), uint16(1), false)
	f.Fuzz(func(t *testing.T, body []byte, params uint16, attributes bool) {
		if e, ok := parseExecution(body, int(params), attributes); ok && (len(e.types) > len(body) || e.flag > len(body)) {
			t.Fatalf("%+v of %d bytes", e, len(body))
		}
		if e, ok := parseBulk(body, int(params)); ok && (len(e.types) > len(body) || e.flag+2 > len(body)) {
			t.Fatalf("%+v of %d bytes of many rows", e, len(body))
		}
	})
}

// FuzzDigest has no oracle: a digest is short, whatever the text.
func FuzzDigest(f *testing.F) {
	f.Add([]byte("SELECT * FROM t WHERE a IN (1, 2, 'x') -- y"), uint8(80))
	f.Add([]byte("/*!50000 SELECT */ 'a\\'b' \"c\" `d``e` 0x1f b'1' # f"), uint8(20))
	f.Add([]byte("'"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, limit uint8) {
		e := &Engine{}
		if d := e.Digest(nil, text, int(limit)); len(d) > int(limit) {
			t.Fatalf("%q is longer than %d", d, limit)
		}
	})
}
