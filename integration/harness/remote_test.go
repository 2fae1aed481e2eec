package harness

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestACutNetworkTellsNobody(t *testing.T) {
	if !Isolated(t) {
		return
	}
	r := NewRemote(t)
	var l net.Listener
	var err error
	within(t, r.machine, func() { l, err = net.Listen("tcp", remoteAddress+":0") })
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = here.Close() }()
	there, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = there.Close() }()
	passes := func(from, to net.Conn, within time.Duration) error {
		if _, err := from.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		_, err := to.Read(make([]byte, 1))
		return err
	}
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		if err := passes(way[0], way[1], time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	r.Cut(t)
	const aWhile = 500 * time.Millisecond // in which the packets are sent again
	for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
		if err := passes(way[0], way[1], aWhile); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("what was connected ended with %v", err)
		}
	}
	var timeout net.Error
	if _, err := net.DialTimeout("tcp", l.Addr().String(), aWhile); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("who connects is told %v", err)
	}
}
