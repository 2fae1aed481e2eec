package control

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConnections is how many connections the admin server has at once. Each takes a descriptor, of which the proxy needs two
// for each session, and anybody who reaches the address can open one.
const maxConnections = 256

// crowd keeps the connections of an HTTP server few: with one too many the one goes that has waited longest for its client. Those
// whose requests are being answered stay.
type crowd struct {
	mu      sync.Mutex
	waiting map[net.Conn]time.Time // since when; those that wait for a client
	open    map[net.Conn]struct{}
}

func newCrowd() *crowd {
	return &crowd{waiting: map[net.Conn]time.Time{}, open: map[net.Conn]struct{}{}}
}

// changed is http.Server.ConnState.
func (c *crowd) changed(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s {
	case http.StateNew:
		c.open[conn] = struct{}{}
		c.waiting[conn] = time.Now()
		if len(c.open) > maxConnections {
			c.dismiss(conn)
		}
	case http.StateIdle:
		c.waiting[conn] = time.Now()
	case http.StateActive: // its first byte has come
		delete(c.waiting, conn)
	case http.StateHijacked, http.StateClosed:
		delete(c.waiting, conn)
		delete(c.open, conn)
	}
}

// dismiss closes the connection that has waited longest; the newest, if none waits but that.
func (c *crowd) dismiss(newest net.Conn) {
	oldest := newest
	for conn, since := range c.waiting {
		if since.Before(c.waiting[oldest]) {
			oldest = conn
		}
	}
	delete(c.waiting, oldest)
	_ = oldest.Close() // the server sees that, and says so
}
