package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// scripted is a peer that has said all that it is going to say. What it is told is counted.
type scripted struct {
	in  *bytes.Reader
	out int
}

func (s *scripted) Read(p []byte) (int, error)     { return s.in.Read(p) }
func (s *scripted) Write(p []byte) (int, error)    { s.out += len(p); return len(p), nil }
func (*scripted) Close() error                     { return nil }
func (*scripted) LocalAddr() net.Addr              { return nil }
func (*scripted) RemoteAddr() net.Addr             { return nil }
func (*scripted) SetDeadline(time.Time) error      { return nil }
func (*scripted) SetReadDeadline(time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(time.Time) error { return nil }

// FuzzHandshake is a peer that says anything where a TLS handshake is due, on the server's or the client's side of the blocking
// transport: nobody gets through, and it is told little.
func FuzzHandshake(f *testing.F) {
	server, client := configs(f)
	var hello bytes.Buffer // a real client's first words
	near, far := net.Pipe()
	go func() {
		c := tls.Client(far, client)
		_ = c.Handshake()
	}()
	_ = near.SetReadDeadline(time.Now().Add(time.Minute))
	head := make([]byte, 5)
	if _, err := io.ReadFull(near, head); err != nil {
		f.Fatal(err)
	}
	hello.Write(head)
	if _, err := io.CopyN(&hello, near, int64(head[3])<<8|int64(head[4])); err != nil {
		f.Fatal(err)
	}
	near.Close()
	far.Close()
	f.Add(hello.Bytes(), true)
	f.Add(append(hello.Bytes(), "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x13garbage garbage gar"...), true)
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"), false)         // an alert
	f.Add([]byte("\x16\x03\x03\x00\x04\x02\xff\xff\xff"), false) // a message longer than any
	f.Add([]byte("\x16\x03\x01\xff\xff\x01"), true)              // a record longer than any
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false)     // another protocol
	f.Fuzz(func(t *testing.T, said []byte, serves bool) {
		peer := &scripted{in: bytes.NewReader(said)}
		c := New(peer)
		var err error
		if serves {
			err = c.ServeTLS(context.Background(), server)
		} else {
			err = c.DialTLS(context.Background(), client)
		}
		if _, secure := c.TLS(); err == nil || secure || peer.out > 16<<10 {
			t.Fatalf("%v after %d bytes", err, peer.out)
		}
	})
}
