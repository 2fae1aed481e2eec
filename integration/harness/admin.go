package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// get asks the admin server.
func (p *Proxy) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(body))
	}
	return body, err
}

// Status is what tests need of /api/v1/status. It is not the proxy's own type: who renames a field there breaks those
// who read it.
type Status struct {
	Accepting    bool             `json:"accepting"`
	Listeners    []ListenerStatus `json:"listeners"`
	TargetGroups []struct {
		Name      string         `json:"name"`
		Targets   []TargetStatus `json:"targets"`
		Discovery struct {
			Source string `json:"source"`
			Cause  string `json:"cause"`
		} `json:"discovery"`
	} `json:"target_groups"`
}

// ListenerStatus is one listener.
type ListenerStatus struct {
	Name                     string `json:"name"`
	ClientConnections        int64  `json:"client_connections"`
	ClientConnectionsInSetup int64  `json:"client_connections_in_setup"`
	WaitingClients           int64  `json:"waiting_clients"`
	SessionsPinned           int64  `json:"sessions_pinned"`
	QueryRequests            uint64 `json:"query_requests"`
	BorrowTimeouts           uint64 `json:"borrow_timeouts"`
}

// TargetStatus is one target with its pool.
type TargetStatus struct {
	Name           string   `json:"name"`
	Address        string   `json:"address"`
	State          string   `json:"state"`
	Reason         string   `json:"reason"`
	Cause          string   `json:"cause"`
	ReadOnly       bool     `json:"read_only"`
	Version        string   `json:"version"`
	MaxConnections int      `json:"max_connections"` // the server's own
	Serves         []string `json:"serves"`
	Sessions       int      `json:"sessions"`
	LagSeconds     *float64 `json:"lag_seconds"`
	Pool           Pool     `json:"pool"`
}

// Pool is a target's pool.
type Pool struct {
	Open    int `json:"open"`
	Idle    int `json:"idle"`
	Lent    int `json:"lent"`
	Dialing int `json:"dialing"`
	Closing int `json:"closing"`
	Waiting int `json:"waiting"`
	Max     int `json:"max"`
}

// Status is what /api/v1/status says.
func (p *Proxy) Status(ctx context.Context) (Status, error) {
	var s Status
	body, err := p.get(ctx, "/api/v1/status")
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// Targets are the named route's targets, by name.
func (p *Proxy) Targets(ctx context.Context, route string) (map[string]TargetStatus, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range s.TargetGroups {
		if g.Name == route {
			targets := map[string]TargetStatus{}
			for _, t := range g.Targets {
				targets[t.Name] = t
			}
			return targets, nil
		}
	}
	return nil, fmt.Errorf("no target group %s", route)
}

// Pool is the pool of the named route's target.
func (p *Proxy) Pool(ctx context.Context, route string) (Pool, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return Pool{}, err
	}
	for _, g := range s.TargetGroups {
		if g.Name == route && len(g.Targets) > 0 {
			return g.Targets[0].Pool, nil
		}
	}
	return Pool{}, fmt.Errorf("no target group %s", route)
}

// Listener is the status of the named route's listener.
func (p *Proxy) Listener(ctx context.Context, route string) (ListenerStatus, error) {
	s, err := p.Status(ctx)
	if err != nil {
		return ListenerStatus{}, err
	}
	for _, l := range s.Listeners {
		if l.Name == route {
			return l, nil
		}
	}
	return ListenerStatus{}, fmt.Errorf("no listener %s", route)
}

// Metrics is the text of /metrics.
func (p *Proxy) Metrics(ctx context.Context) (string, error) {
	body, err := p.get(ctx, "/metrics")
	return string(body), err
}

// Sum adds up a metric over all its labels, or those whose text contains label.
func (p *Proxy) Sum(ctx context.Context, metric, label string) (float64, error) {
	text, err := p.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, metric)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, label) {
			continue
		}
		fields := strings.Fields(rest)
		var v float64
		if _, err := fmt.Sscan(fields[len(fields)-1], &v); err != nil {
			return 0, fmt.Errorf("metric %s: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("no metric %s with %q", metric, label)
	}
	return sum, nil
}
