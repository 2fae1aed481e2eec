package target

import (
	"time"

	"github.com/berthdb/berth/core/engine"
)

// State is a target's health, in RDS Proxy's words.
type State string

const (
	Registering State = "REGISTERING" // it has not answered yet, nor failed to
	Available   State = "AVAILABLE"
	Unavailable State = "UNAVAILABLE"
	Unused      State = "UNUSED" // no listener leads to its group: nobody asks it
)

// Reasons for Unavailable, in RDS Proxy's words.
const (
	Unreachable             = "UNREACHABLE"               // there is no connection to it
	ConnectionFailed        = "CONNECTION_FAILED"         // there is one, which comes to nothing
	AuthFailure             = "AUTH_FAILURE"              // it does not let the proxy in
	PendingProxyCapacity    = "PENDING_PROXY_CAPACITY"    // the proxy has no means to connect
	InvalidReplicationState = "INVALID_REPLICATION_STATE" // another target says, too, that it is the writer
	Promoted                = "PROMOTED"                  // it was a replica and became a writer beside the group's
)

// Health is what is known of a target at one moment. It is immutable.
type Health struct {
	State  State
	Reason string // RDS Proxy's word, "" unless unavailable
	Cause  string // the precise cause; it may name addresses, so it is for operators only
	Facts  engine.Facts
	Since  time.Time // when State or Cause changed last
}

// writes says whether the target is up and says that it is a writer.
func (h *Health) writes() bool { return h.State == Available && !h.Facts.ReadOnly }

// reads says whether the target is up and says that it is none.
func (h *Health) reads() bool { return h.State == Available && h.Facts.ReadOnly }
