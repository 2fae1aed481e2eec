package relay

import (
	"time"

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
	Idle          time.Duration // since the client last sent something, or was last answered
}

// Listener returns the counters of the listener that the session came by.
func (s *Session) Listener() *telemetry.Listener { return s.front.Counters }

// InTransaction says whether the session has a transaction open. It runs on the session's loop.
func (s *Session) InTransaction() bool { return s.backend != nil && s.machine.InTransaction() }

// Snapshot reads the session. It runs on the session's loop.
func (s *Session) Snapshot() SessionSnapshot {
	out := SessionSnapshot{
		ID: s.id, Listener: s.front.Counters.Name, User: s.user, Database: s.database, Application: s.application, Client: s.address, TLS: s.secure,
		Waiting: s.queue != nil || s.wanting, InTransaction: s.machine.InTransaction(),
		Idle: s.worker.loop.Now() - s.active,
	}
	if s.backend != nil {
		out.Backend = s.backend.ID
	}
	if s.pins.Pinned() {
		out.Pinned = s.pins.First().String()
	}
	return out
}
