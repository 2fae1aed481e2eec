package engine

import (
	"context"
	"errors"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// ErrTargetTLS is what Watch and Dial return where a target must use TLS and its server has none. No client sees it.
var ErrTargetTLS = errors.New("the server does not offer tls")

// ErrHandshake marks a TLS handshake that failed.
var ErrHandshake = socket.ErrHandshake

// Watch is a monitoring connection: it is logged in, and asked again and again. One goroutine at a time may use it.
type Watch interface {
	// Ask asks the server what [Facts] says. It blocks until done or until ctx ends. After an error the connection is of
	// no use any more.
	Ask(ctx context.Context) (Facts, error)

	// Rest waits, without a request, until ctx ends or the connection does. It returns nil if ctx ended first.
	Rest(ctx context.Context) error

	// Close ends the connection, and returns when the server has closed its side, too, or within a second.
	Close()
}

// Facts are what a server says of itself.
type Facts struct {
	Version        string // as the server says it
	MaxConnections int    // the server's max_connections
	Reserved       int    // of which this many are not for ordinary users
	ReadOnly       bool   // in recovery, or read_only: it is no writer

	// Lag is how far a server in recovery is behind what it has not replayed yet, as far as it knows itself. LagKnown
	// says whether it said so.
	Lag      time.Duration
	LagKnown bool
}

// Probe logs in to t, asks once, and leaves.
func Probe(ctx context.Context, e Engine, t Target) (Facts, error) {
	w, err := e.Watch(ctx, t)
	if err != nil {
		return Facts{}, err
	}
	defer w.Close()
	return w.Ask(ctx)
}
