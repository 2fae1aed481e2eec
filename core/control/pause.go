package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core"
)

// Pause is the body of the answers to POST /api/v1/target_groups/NAME/pause and .../resume. A pause that did not come about
// in time is answered with status 409 (Conflict), and was taken back unless it began with an earlier request.
type Pause struct {
	Paused bool      `json:"paused"`
	Held   []Session `json:"held,omitempty"` // sessions that hold a database connection, if that is why it did not come about
}

// maxBody is how much of a body is read that nobody asked for.
const maxBody = 64 << 10

// pauser is what POST requests change.
type pauser struct {
	source Source
	log    zerolog.Logger
}

// pause waits until the target group has no database connection, for as long as the query parameter timeout says (0s or
// none: as long as it takes), or until the client leaves.
func (p pauser) pause(w http.ResponseWriter, r *http.Request) {
	var within time.Duration
	if text := r.URL.Query().Get("timeout"); text != "" {
		var err error
		if within, err = time.ParseDuration(text); err != nil || within < 0 {
			http.Error(w, "timeout: write a duration such as 10s", http.StatusBadRequest)
			return
		}
	}
	// net/http sees that the client leaves only when it has all of the request.
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		http.Error(w, "the request's body is too large, or does not end: write none", http.StatusBadRequest)
		return
	}
	// The server's own limits are for requests that are answered at once.
	c := http.NewResponseController(w)
	_, _ = c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})
	ctx := r.Context()
	if within > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, within)
		defer stop()
	}
	group := r.PathValue("group")
	switch err := p.source.Pause(ctx, group); {
	case err == nil:
		reply(w, p.log, http.StatusOK, Pause{Paused: true})
	case errors.Is(err, context.DeadlineExceeded):
		reply(w, p.log, http.StatusConflict, Pause{Paused: p.paused(group), Held: newSessions(p.source.Holders(group))})
	default:
		refuse(w, err)
	}
}

func (p pauser) paused(group string) bool {
	for _, g := range p.source.Snapshot().Groups {
		if g.Name == group {
			return g.Paused
		}
	}
	return false
}

func (p pauser) resume(w http.ResponseWriter, r *http.Request) {
	if err := p.source.Resume(r.PathValue("group")); err != nil {
		refuse(w, err)
		return
	}
	reply(w, p.log, http.StatusOK, Pause{})
}

// refuse answers a request that the proxy would not carry out.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	if errors.Is(err, core.ErrNoGroup) {
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}
