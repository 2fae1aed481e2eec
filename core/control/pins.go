package control

import (
	"time"

	"github.com/berthdb/berth/core/pin"
)

// Pin is an element of the body of /api/v1/pins: a cause that pinned sessions.
type Pin struct {
	Reason        string    `json:"reason"`
	Rule          string    `json:"rule"` // what in the statement means it
	Engine        string    `json:"engine"`
	TargetGroup   string    `json:"target_group"`
	User          string    `json:"user"`
	Database      string    `json:"database"`
	Application   string    `json:"application"`
	Digest        string    `json:"digest"`          // of the statement
	Other         bool      `json:"other,omitempty"` // the sum of causes that are not remembered one by one
	Count         uint64    `json:"count"`
	PinnedNow     int       `json:"pinned_now"` // sessions
	First         time.Time `json:"first"`
	Last          time.Time `json:"last"`
	PinnedSeconds float64   `json:"pinned_seconds"` // over all sessions
	Advice        string    `json:"advice"`
}

func newPins(rows []pin.Row) []Pin {
	out := make([]Pin, 0, len(rows))
	for _, r := range rows {
		out = append(out, Pin{
			Reason: r.Reason.String(), Rule: r.Rule, Engine: r.Engine, TargetGroup: r.TargetGroup, User: r.User, Database: r.Database,
			Application: r.Application, Digest: r.Digest, Other: r.Other, Count: r.Count, PinnedNow: r.Now, First: r.First, Last: r.Last,
			PinnedSeconds: r.Pinned.Seconds(), Advice: pin.Advice(r.Engine, r.Reason),
		})
	}
	return out
}
