package relay

import (
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/telemetry"
)

// SessionSnapshot is a session at one moment, for people.
type SessionSnapshot struct {
	ID            uint32
	Listener      string
	User          string
	Database      string
	Application   string
	Client        string
	TLS           bool
	Waiting       bool          // for a backend
	Backend       uint64        // held now, 0: none
	InTransaction bool          // as the server last said
	Pinned        string        // the first reason, "" if not pinned
	Pins          []PinSnapshot // what is known of each reason
	Idle          time.Duration // since the client last sent something, or was last answered
}

// PinSnapshot is a reason why a session is pinned.
type PinSnapshot struct {
	Reason    engine.Kind
	Rule      string // as in engine.Event, like what follows
	Name      string
	Statement uint64
}

// Listener returns the counters of the listener that the session came by.
func (s *Session) Listener() *telemetry.Listener { return s.front.Counters }

// Holds says whether the session has a backend, or has one that is on its way back. It runs on the session's loop.
func (s *Session) Holds() bool { return s.backend != nil || s.leaving != nil }

// InTransaction says whether the session has a transaction open. It runs on the session's loop.
func (s *Session) InTransaction() bool { return s.backend != nil && s.machine.InTransaction() }

// Snapshot reads the session. It runs on the session's loop.
func (s *Session) Snapshot() SessionSnapshot {
	out := SessionSnapshot{
		ID: s.id, Listener: s.front.Counters.Name, User: s.user, Database: s.database, Application: s.application, Client: s.address, TLS: s.secure,
		Waiting: s.waits() || s.wanting, InTransaction: s.machine.InTransaction(),
		Idle: s.worker.loop.Now() - s.active, Backend: s.backendID(), Pins: s.pinned(),
	}
	if s.pins.Pinned() {
		out.Pinned = s.pins.First().String()
	}
	return out
}

// backendID is that of the backend that the session holds, 0 if none.
func (s *Session) backendID() uint64 {
	if s.backend == nil {
		return 0
	}
	return s.backend.ID
}

// pinned is what is known of why the session is pinned.
func (s *Session) pinned() (all []PinSnapshot) {
	for _, c := range s.pins.causes {
		all = append(all, PinSnapshot{c.kind, c.rule, c.name, c.number})
	}
	return all
}
