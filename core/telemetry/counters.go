package telemetry

import (
	"errors"
	"sync/atomic"

	"github.com/berthdb/berth/core/engine"
)

// Counter only goes up.
type Counter struct{ n atomic.Uint64 }

func (c *Counter) Inc()          { c.n.Add(1) }
func (c *Counter) Value() uint64 { return c.n.Load() }

// Gauge goes up and down.
type Gauge struct{ n atomic.Int64 }

func (g *Gauge) Inc()         { g.n.Add(1) }
func (g *Gauge) Dec()         { g.n.Add(-1) }
func (g *Gauge) Value() int64 { return g.n.Load() }

// Listener is what is counted per listener. The names are RDS Proxy's metric names.
type Listener struct {
	Name        string
	TargetGroup string
	Role        string

	ClientConnections                Gauge // in setup included
	ClientConnectionsInSetup         Gauge
	ClientConnectionsTLS             Gauge
	ClientConnectionsNoTLS           Gauge
	ClientConnectionsReceived        Counter
	ClientConnectionsClosed          Counter
	ClientConnectionsSetupSucceeded  Counter
	ClientConnectionsSetupFailedAuth Counter
	ClientConnectionsRefused         [Refusals]Counter

	Overdue            [Overdues]Counter // what took longer than its limit
	QueryRequests      Counter
	QueryRequestsTLS   Counter
	QueryRequestsNoTLS Counter
	QueryDuration      Histogram // from a request's arrival to its last answer
	// QueryDatabaseResponse is the part of it in which the session had a backend.
	QueryDatabaseResponse Histogram

	WaitingClients               Gauge
	ConnectionBorrowTimeout      Counter
	DatabaseConnectionsBorrow    Histogram // time to get a backend, when it was not there at once
	BorrowRequests               Counter
	BorrowRequestsAborted        Counter
	ReadsCurrent                 Histogram // time until a target was known that has what was written before a read came
	ReadsAtWriter                Counter   // reads that used the writer because no replica had that in time
	ReadsBehind                  Counter   // reads that no target was found for in time
	SessionsPinned               Gauge
	Pins                         [engine.Kinds]Counter
	Unpins                       [engine.Kinds]Counter
	SessionRestores              Counter
	TransactionsDuration         Histogram // from the grant of a backend to its return
	DatabaseConnectionsInSession Gauge     // lent now
}

// Refusal is the limit that a client was refused for.
type Refusal uint8

const (
	RefusedClient   Refusal = iota // max_client_connections
	RefusedUser                    // max_connections_per_user
	RefusedDatabase                // max_connections_per_database

	refusals
)

// Refusals is the number of refusals; they are 0..Refusals-1.
const Refusals = int(refusals)

// String is the metric's label.
func (r Refusal) String() string {
	return [...]string{"max_client_connections", "max_connections_per_user", "max_connections_per_database"}[r]
}

// Overdue is a time limit that was struck.
type Overdue uint8

const (
	OverdueQuery             Overdue = iota // query_timeout
	OverdueTransaction                      // transaction_timeout
	OverdueIdleInTransaction                // idle_in_transaction_timeout

	overdues
)

// Overdues is the number of time limits; they are 0..Overdues-1.
const Overdues = int(overdues)

// String is the metric's label.
func (o Overdue) String() string {
	return [...]string{"query_timeout", "transaction_timeout", "idle_in_transaction_timeout"}[o]
}

// OverdueOf says which limit err is about, one of engine's three.
func OverdueOf(err error) Overdue {
	switch {
	case errors.Is(err, engine.ErrTransactionTimeout):
		return OverdueTransaction
	case errors.Is(err, engine.ErrIdleInTransaction):
		return OverdueIdleInTransaction
	}
	return OverdueQuery
}

// Refused counts a client that a limit kept out.
func (l *Listener) Refused(err error) {
	r := RefusedClient
	switch {
	case errors.Is(err, engine.ErrUserConnections):
		r = RefusedUser
	case errors.Is(err, engine.ErrDatabaseConnections):
		r = RefusedDatabase
	}
	l.ClientConnectionsRefused[r].Inc()
}

// Target is what is counted per target of a target group.
type Target struct {
	TargetGroup string
	Target      string

	DatabaseConnectionRequests        Counter
	DatabaseConnectionRequestsWithTLS Counter
	DatabaseConnectionsSetupFailed    Counter
	DatabaseConnectionsSetupSucceeded Counter
	DatabaseConnectionsWithTLS        Gauge
}
