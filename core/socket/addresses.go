package socket

import (
	"net"
	"time"
)

// addresses stands in for the closed net.Conn of a detached transport: it remembers who spoke.
type addresses struct{ local, remote net.Addr }

func (a addresses) LocalAddr() net.Addr           { return a.local }
func (a addresses) RemoteAddr() net.Addr          { return a.remote }
func (addresses) Read([]byte) (int, error)        { return 0, net.ErrClosed }
func (addresses) Write([]byte) (int, error)       { return 0, net.ErrClosed }
func (addresses) Close() error                    { return nil }
func (addresses) SetDeadline(time.Time) error     { return nil }
func (addresses) SetReadDeadline(time.Time) error { return nil }
func (addresses) SetWriteDeadline(time.Time) error {
	return nil
}
