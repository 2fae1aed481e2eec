package engine

import (
	"context"
	"time"
)

// Topology is how a server of a managed cluster tells which servers the cluster has.
type Topology uint8

const (
	TopologyAurora  Topology = iota // aurora_replica_status(), information_schema.replica_host_status
	TopologyMultiAZ                 // a Multi-AZ DB cluster of RDS: rds_tools.show_topology(), mysql.rds_topology
)

// MaxInstances is how many instances a survey returns at most.
const MaxInstances = 100

// Instance is a server of a cluster, as one of the cluster's servers tells it. None of it is checked.
type Instance struct {
	ID      string        // "orders-1"
	Address string        // host:port, "" where the cluster's servers know IDs only
	Writer  bool          // it is said to be the writer; false where that is not told
	Age     time.Duration // since when nothing was heard of it; 0 where that is not told
	// Lag is how far it is behind. LagKnown is false where that is not told, or makes no sense.
	Lag      time.Duration
	LagKnown bool
}

// Surveyor is a Watch that can ask for the servers of the cluster.
type Surveyor interface {
	Watch
	// Survey blocks until done or until ctx ends. If the server refuses to answer the error is a [ServerError], and the
	// connection is good.
	Survey(ctx context.Context, t Topology) ([]Instance, error)
}
