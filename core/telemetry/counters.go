package telemetry

import (
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
	SessionsPinned               Gauge
	Pins                         [engine.Kinds]Counter
	Unpins                       [engine.Kinds]Counter
	SessionRestores              Counter
	TransactionsDuration         Histogram // from the grant of a backend to its return
	DatabaseConnectionsInSession Gauge     // lent now
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
