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

// ErrNoPosition is what a [Positioner] returns where the server could only say how far it is if it, or the user, was set up otherwise.
// It may name what is missing. No client sees it.
var ErrNoPosition = errors.New("the server does not say how far it is")

// Positioner is a [Watch] of an engine whose servers can say how far they are in what was written. After an error, be it
// that the server cannot say, the connection is of no further use. A position is text that means something to the engine alone,
// and never has to be shown to anybody.
type Positioner interface {
	// Position asks a writer for a position behind everything that it had acknowledged when it was asked.
	Position(ctx context.Context) (string, error)

	// Reached asks a replica whether whoever reads there from now on sees everything up to a position of its writer.
	Reached(ctx context.Context, position string) (bool, error)
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
