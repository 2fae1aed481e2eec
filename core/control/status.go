package control

import (
	"time"

	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/pool"
)

// Status is the body of /api/v1/status.
type Status struct {
	Accepting    bool          `json:"accepting"`
	Draining     bool          `json:"draining"`
	Listeners    []Listener    `json:"listeners"`
	TargetGroups []TargetGroup `json:"target_groups"`
}

// Listener is one listener.
type Listener struct {
	Name                     string `json:"name"`
	Engine                   string `json:"engine"`
	Address                  string `json:"address"`
	TargetGroup              string `json:"target_group"`
	Role                     string `json:"role"`
	ClientConnections        int64  `json:"client_connections"`
	ClientConnectionsInSetup int64  `json:"client_connections_in_setup"`
	WaitingClients           int64  `json:"waiting_clients"`
	SessionsPinned           int64  `json:"sessions_pinned"`
	QueryRequests            uint64 `json:"query_requests"`
	BorrowTimeouts           uint64 `json:"borrow_timeouts"`
}

// TargetGroup is one target group.
type TargetGroup struct {
	Name    string   `json:"name"`
	Engine  string   `json:"engine"`
	Paused  bool     `json:"paused"` // sessions wait, see berth pause
	Targets []Target `json:"targets"`
	// Discovery is how the targets were found, if they are not those of the configuration.
	Discovery *Discovery `json:"discovery,omitempty"`
}

// Discovery is what came of asking where a group's targets are.
type Discovery struct {
	Source string    `json:"source"`
	Asked  time.Time `json:"asked"`
	Cause  string    `json:"cause,omitempty"` // why the targets are those of an earlier answer
	// LeftOut is why not everything that the source named is a target.
	LeftOut string `json:"left_out,omitempty"`
}

// Target is one target, its health and its pool.
type Target struct {
	Name           string    `json:"name"`
	Address        string    `json:"address"`
	State          string    `json:"state"`
	Reason         string    `json:"reason,omitempty"`
	Cause          string    `json:"cause,omitempty"`
	Since          time.Time `json:"since"`
	Version        string    `json:"version"`
	ReadOnly       bool      `json:"read_only"`             // it says that it is no writer
	LagSeconds     *float64  `json:"lag_seconds,omitempty"` // of a replica that knows it
	MaxConnections int       `json:"max_connections"`       // the server's own
	Serves         []string  `json:"serves"`                // the roles whose sessions it is there for just now
	Sessions       int       `json:"sessions"`              // how many of them are to borrow from it
	Pool           Pool      `json:"pool"`
}

// Pool is a target's pool. Open is the sum of idle, lent, dialing and closing, and never more than max.
type Pool struct {
	Open    int `json:"open"`
	Idle    int `json:"idle"`
	Lent    int `json:"lent"`
	Dialing int `json:"dialing"`
	Closing int `json:"closing"`
	Waiting int `json:"waiting"`
	Max     int `json:"max"`
}

// Session is an element of the body of /api/v1/sessions.
type Session struct {
	ID            uint32       `json:"id"`
	Listener      string       `json:"listener"`
	User          string       `json:"user"`
	Database      string       `json:"database"`
	Application   string       `json:"application"`
	Client        string       `json:"client"`
	TLS           bool         `json:"tls"`
	Waiting       bool         `json:"waiting"`
	Backend       uint64       `json:"backend"` // held now, 0: none
	InTransaction bool         `json:"in_transaction"`
	Pinned        string       `json:"pinned,omitempty"` // why: the first reason
	Pins          []SessionPin `json:"pins,omitempty"`
	IdleSeconds   float64      `json:"idle_seconds"`
}

// SessionPin is a reason why a session keeps its backend.
type SessionPin struct {
	Reason    string `json:"reason"`
	Rule      string `json:"rule,omitempty"`      // what in the statement means it
	Name      string `json:"name,omitempty"`      // of the setting, lock, table, ...
	Statement uint64 `json:"statement,omitempty"` // the statement's number in its session
}

func newStatus(s core.Snapshot) Status {
	out := Status{Accepting: s.Accepting, Draining: s.Draining, Listeners: []Listener{}, TargetGroups: []TargetGroup{}}
	for _, l := range s.Listeners {
		c := l.Counters
		out.Listeners = append(out.Listeners, Listener{
			Name: l.Name, Engine: l.Engine, Address: l.Address, TargetGroup: l.TargetGroup, Role: l.Role.String(),
			ClientConnections: c.ClientConnections.Value(), ClientConnectionsInSetup: c.ClientConnectionsInSetup.Value(),
			WaitingClients: c.WaitingClients.Value(), SessionsPinned: c.SessionsPinned.Value(),
			QueryRequests: c.QueryRequests.Value(), BorrowTimeouts: c.ConnectionBorrowTimeout.Value(),
		})
	}
	for _, g := range s.Groups {
		group := TargetGroup{Name: g.Name, Engine: g.Engine, Paused: g.Paused, Targets: []Target{}}
		if d := g.Discovery; d != nil {
			group.Discovery = &Discovery{Source: d.Source, Asked: d.Asked, Cause: d.Cause, LeftOut: d.LeftOut}
		}
		for _, t := range g.Targets {
			group.Targets = append(group.Targets, newTarget(t))
		}
		out.TargetGroups = append(out.TargetGroups, group)
	}
	return out
}

func newTarget(t core.TargetSnapshot) Target {
	var lag *float64
	if f := t.Health.Facts; f.LagKnown {
		seconds := f.Lag.Seconds()
		lag = &seconds
	}
	serves := []string{}
	for _, r := range t.Serves {
		serves = append(serves, r.String())
	}
	return Target{
		Name: t.Name, Address: t.Address, State: string(t.Health.State), Reason: t.Health.Reason, Cause: t.Health.Cause,
		Since: t.Health.Since, Version: t.Health.Facts.Version, ReadOnly: t.Health.Facts.ReadOnly, LagSeconds: lag,
		MaxConnections: t.Health.Facts.MaxConnections, Serves: serves, Sessions: t.Sessions, Pool: newPool(t.Pool),
	}
}

func newPool(s pool.Stats) Pool {
	return Pool{
		Open: s.Open, Idle: s.Idle, Lent: s.Lent, Dialing: s.Dialing, Closing: s.Closing, Waiting: s.Waiting, Max: s.Max,
	}
}

func newSessions(all []core.SessionSnapshot) []Session {
	out := make([]Session, 0, len(all))
	for _, s := range all {
		var pins []SessionPin
		for _, p := range s.Pins {
			pins = append(pins, SessionPin{Reason: p.Reason.String(), Rule: p.Rule, Name: p.Name, Statement: p.Statement})
		}
		out = append(out, Session{
			ID: s.ID, Listener: s.Listener, User: s.User, Database: s.Database, Application: s.Application, Client: s.Client, TLS: s.TLS,
			Waiting: s.Waiting, Backend: s.Backend, InTransaction: s.InTransaction, Pinned: s.Pinned, Pins: pins,
			IdleSeconds: s.Idle.Seconds(),
		})
	}
	return out
}
