package socket

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// pair returns a connection and its peer, over the network's loopback or a unix socket.
func pair(t *testing.T, network string) (*Conn, net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close(); accepted.Close() })
	for _, c := range []net.Conn{peer, accepted} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return New(accepted), peer
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, r io.Reader, n int) string {
	t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func configs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"berth.test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: trusted, ServerName: "berth.test"}
}

func TestPeekLeavesWhatItSawHoweverOften(t *testing.T) {
	c, peer := pair(t, "tcp")
	write(t, peer, "abcdef")
	for _, want := range []string{"a", "abc", "ab"} {
		if got, err := c.Peek(len(want)); string(got) != want || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if got := read(t, c, 2); got != "ab" {
		t.Errorf("read %q", got)
	}
	if got, err := c.Peek(2); string(got) != "cd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	peer.Close()
	if _, err := c.Peek(10); err == nil {
		t.Error("peeked beyond the end")
	}
	if got, err := io.ReadAll(c); string(got) != "cdef" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDetachLeavesANonBlockingDescriptorThatIsTheSameConnection(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, peer := pair(t, network)
		write(t, peer, "peeked")
		if _, err := c.Peek(6); err != nil {
			t.Fatal(err)
		}
		c.Rest = []byte(" and read")
		d, err := c.Detach()
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Rest) != "peeked and read" || d.TLS != nil || d.Mem != nil {
			t.Errorf("%s: rest %q", network, d.Rest)
		}
		p := make([]byte, 10)
		if _, err := unix.Read(d.FD, p); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%s: a read without data: %v", network, err)
		}
		flags, err := unix.FcntlInt(uintptr(d.FD), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: an executed program would inherit the descriptor: %v", network, err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("%s: close after detach: %v", network, err)
		}
		if _, err := unix.Write(d.FD, []byte("hello")); err != nil {
			t.Error(err)
		}
		if got := read(t, peer, 5); got != "hello" {
			t.Errorf("%s: %q", network, got)
		}
		if err := unix.Close(d.FD); err != nil {
			t.Error(err)
		}
		if _, err := peer.Read(p); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the peer does not see the end: %v", network, err)
		}
		if c.RemoteAddr() == nil || c.LocalAddr() == nil {
			t.Errorf("%s: the addresses are forgotten", network)
		}
	}
}

func TestAConnectionWithoutADescriptorCannotBeDetached(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	c := New(a)
	if _, err := c.Detach(); err == nil {
		t.Error("detached")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	closed, _ := pair(t, "tcp")
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.Detach(); err == nil {
		t.Error("a closed connection was detached")
	}
}

func TestBytesInClearBeforeTheHandshakeAreAnError(t *testing.T) {
	server, client := configs(t)
	c, peer := pair(t, "tcp")
	// In one segment with the answer to the request, as an attacker between the two would put it.
	write(t, peer, "SSLREQ.."+"Q\x00\x00\x00\x0dSELECT 1\x00")
	if got := read(t, c, 8); got != "SSLREQ.." {
		t.Fatalf("%q", got)
	}
	go func() { _ = tls.Client(peer, client).Handshake() }()
	if err := c.ServeTLS(context.Background(), server); err == nil {
		t.Error("injected bytes were skipped")
	}
	if _, ok := c.TLS(); ok {
		t.Error("the connection passes for encrypted")
	}

	d, _ := pair(t, "tcp")
	d.Rest = []byte("read in clear")
	if err := d.ServeTLS(context.Background(), server); err == nil {
		t.Error("bytes that were read in clear would be relayed as if encrypted")
	}
}

// handshaken returns a connection after its handshake as server, and its peer.
func handshaken(t *testing.T) (*Conn, *tls.Conn) {
	t.Helper()
	server, client := configs(t)
	c, raw := pair(t, "tcp")
	peer := tls.Client(raw, client)
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	if err := c.ServeTLS(context.Background(), server); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, peer
}

func TestADetachedTLSConnectionGoesOnOverMemoryInPieces(t *testing.T) {
	c, peer := handshaken(t)
	if err := c.ServeTLS(context.Background(), nil); err == nil {
		t.Error("TLS started twice")
	}
	d, err := c.Detach()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(d.FD)
	if d.TLS == nil || d.Mem != c.Transport() {
		t.Fatal("no TLS state")
	}
	want := strings.Repeat("a message of some length; ", 2000)
	go func() { _, _ = io.WriteString(peer, want) }()
	file := os.NewFile(uintptr(mustDup(t, d.FD)), "socket")
	defer file.Close()
	var got []byte
	plain, cipher := make([]byte, 1000), make([]byte, 777)
	for len(got) < len(want) {
		n, err := file.Read(cipher)
		if err != nil {
			t.Fatal(err)
		}
		d.Mem.Feed(cipher[:n/2])
		d.Mem.Feed(cipher[n/2 : n])
		for {
			n, err := d.TLS.Read(plain)
			got = append(got, plain[:n]...)
			if err != nil {
				if !WouldBlock(err) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if string(got) != want {
		t.Error("other bytes came")
	}

	lent := make([]byte, 0, 4096)
	d.Mem.Out(append(lent, "prefix"...))
	write(t, d.TLS, "answer")
	out := d.Mem.Out(nil)
	if !bytes.HasPrefix(out, []byte("prefix")) || &out[0] != &lent[:1][0] || len(d.Mem.Out(nil)) != 0 {
		t.Error("the buffer that was lent is not what was written to")
	}
	if _, err := file.Write(out[len("prefix"):]); err != nil {
		t.Fatal(err)
	}
	if got := read(t, peer, 6); got != "answer" {
		t.Errorf("%q", got)
	}
	if c.Transport().SetDeadline(time.Now()) != nil || c.Transport().Close() != nil {
		t.Error("memory has no deadline and cannot be closed")
	}
	if _, err := c.Transport().SyscallConn(); err == nil {
		t.Error("memory has a descriptor")
	}
}

func mustDup(t *testing.T, fd int) int {
	t.Helper()
	dup, err := dupCloexec(fd)
	if err != nil {
		t.Fatal(err)
	}
	return dup
}

func TestWouldBlockIsOnlyItsOwnError(t *testing.T) {
	if WouldBlock(nil) || WouldBlock(io.EOF) || WouldBlock(os.ErrDeadlineExceeded) || !WouldBlock(errWouldBlock{}) {
		t.Error("wrong")
	}
}

func TestOnlyATLSConnectionOverItsOwnTransportIsAdopted(t *testing.T) {
	c, raw := pair(t, "tcp")
	if err := c.Adopt(tls.Client(raw, nil)); err == nil {
		t.Error("a foreign one was adopted")
	}
	server, client := configs(t)
	go func() { _ = tls.Server(raw, server).Handshake() }()
	own := tls.Client(c.Transport(), client)
	if err := own.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := c.Adopt(own); err != nil {
		t.Error(err)
	}
	if _, ok := c.TLS(); !ok {
		t.Error("not encrypted")
	}
}

func TestCloseFromAnotherGoroutineEndsALoginAtAnyPoint(t *testing.T) {
	server, client := configs(t)
	for i := range 60 {
		c, raw := pair(t, "tcp")
		var all sync.WaitGroup
		all.Go(func() {
			peer := tls.Client(raw, client)
			if peer.Handshake() == nil {
				_, _ = io.Copy(io.Discard, peer)
			}
			raw.Close()
		})
		all.Go(func() {
			if c.ServeTLS(context.Background(), server) != nil {
				return
			}
			_, _ = c.Write([]byte("hello"))
			if d, err := c.Detach(); err == nil {
				_ = unix.Close(d.FD)
			}
		})
		time.Sleep(time.Duration(i) * 100 * time.Microsecond)
		_ = c.Close()
		all.Wait()
	}
}

func TestAHandshakeEndsWithItsContext(t *testing.T) {
	server, client := configs(t)
	c, _ := pair(t, "tcp")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := c.ServeTLS(ctx, server); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("served: %v", err)
	}
	d, _ := pair(t, "tcp")
	if err := d.DialTLS(ctx, client); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialed: %v", err)
	}
}

// countedGate counts who is in it.
type countedGate struct{ in int }

func (g *countedGate) Enter() { g.in++ }
func (g *countedGate) Leave() { g.in-- }

func TestALoginIsOutsideOfTheGateWhileItWaits(t *testing.T) {
	c, peer := pair(t, "tcp")
	c.Aside(func() {}) // without a gate
	gate := &countedGate{in: 1}
	c.Admit(gate)
	c.Aside(func() {
		if gate.in != 0 {
			t.Errorf("%d are in the gate meanwhile", gate.in)
		}
	})
	if gate.in != 1 {
		t.Errorf("%d are in the gate afterwards", gate.in)
	}
	c.Admit(nil)
	write(t, peer, "x")
	read(t, c, 1)
	if gate.in != 1 {
		t.Errorf("%d are in the gate after the login", gate.in)
	}
}

func TestALoginIsOutsideOfTheGateWhileItsPeerDoesNotRead(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c, peer := pair(t, network)
		gate := make(chanGate, 1)
		gate.Enter()
		c.Admit(gate)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // more than the kernel takes
		done := make(chan error, 1)
		go func() {
			n, err := c.Write(sent)
			if err == nil && n != len(sent) {
				err = io.ErrShortWrite
			}
			done <- err
		}()
		select {
		case gate <- struct{}{}: // another login
			gate.Leave()
		case <-time.After(patience / 2):
			t.Fatalf("%s: who does not read keeps others out", network)
		}
		if got := read(t, peer, len(sent)); got != string(sent) {
			t.Errorf("%s: other bytes came", network)
		}
		if err := <-done; err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if len(gate) != 1 {
			t.Errorf("%s: the login is outside of the gate afterwards", network)
		}
	}
}

// chanGate is a gate of so many places.
type chanGate chan struct{}

func (g chanGate) Enter() { g <- struct{}{} }
func (g chanGate) Leave() { <-g }
