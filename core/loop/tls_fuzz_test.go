package loop

import (
	"crypto/tls"
	"net"
	"testing"
)

// FuzzTLSStream is a peer that has shaken hands, and then sends anything in place of records, in pieces: the transport of the
// relay phase, on a loop. The stream ends, or waits for more; what the handler is given was encrypted by the peer.
func FuzzTLSStream(f *testing.F) {
	l := startLoop(f, 0, Options{})
	f.Add([]byte("\x17\x03\x03\x00\x13no record of the peer"), uint8(3), true)
	f.Add([]byte("\x17\x03\x03\xff\xff"), uint8(1), false) // longer than any record
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00"), uint8(0), true)
	f.Add([]byte("\x16\x03\x03\x00\x04\x00\x00\x00\x00"), uint8(7), true) // wants to renegotiate
	f.Add([]byte("SELECT 1"), uint8(2), false)
	version := map[bool]uint16{false: tls.VersionTLS12, true: tls.VersionTLS13}
	configs := map[bool][2]*tls.Config{}
	for _, modern := range []bool{false, true} {
		server, client := tlsConfigs(f, version[modern])
		configs[modern] = [2]*tls.Config{server, client}
	}
	f.Fuzz(func(t *testing.T, said []byte, size uint8, modern bool) {
		var raw net.Conn
		conn, peer := tlsPair(t, configs[modern][0], configs[modern][1], true, func(c net.Conn) net.Conn { raw = c; return c })
		got := make(chan []byte, 1)
		p := newProbe()
		p.data = func(p []byte) int { got <- append([]byte(nil), p...); return len(p) }
		openConn(t, l, conn, p)
		if _, err := peer.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if first := await(t, got, "the first record"); string(first) != "hello" {
			t.Fatalf("got %q", first)
		}
		for n := 1 + int(size); len(said) > 0; said = said[min(n, len(said)):] {
			if _, err := raw.Write(said[:min(n, len(said))]); err != nil {
				break // the loop has had enough
			}
		}
		if err := raw.(*net.TCPConn).CloseWrite(); err == nil {
			await(t, p.closed, "the end")
		}
		select {
		case p := <-got:
			t.Fatalf("the peer did not encrypt %q", p)
		default:
		}
		on(t, l, func() { p.Stream.Close() })
		_ = raw.Close()
	})
}
