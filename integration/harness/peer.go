package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Peer is another proxy in front of a server, to compare with.
type Peer struct {
	Endpoint
	Kind string // scripts/db's name
	Dir  string
	PID  int
}

// PeerOptions are the same for every kind, as far as it can. Both sides are in clear unless a client asks for TLS.
type PeerOptions struct{ PoolSize, Workers int }

// StartPeer starts a proxy of scripts/db (pgbouncer, odyssey, haproxy, mysqlrouter) in dir.
func StartPeer(ctx context.Context, kind, dir string, port int, s *Server, o PeerOptions) (*Peer, error) {
	ctx, stop := context.WithTimeout(ctx, startWithin)
	defer stop()
	env := []string{"BERTH_POOL_SIZE=" + strconv.Itoa(o.PoolSize), "BERTH_WORKERS=" + strconv.Itoa(o.Workers)}
	if _, err := dbWith(ctx, env, "peer", kind, dir, strconv.Itoa(port), strconv.Itoa(s.Port)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: pid: %w", dir, err)
	}
	e := Endpoint{Engine: s.Engine, Port: port, CAFile: filepath.Join(dir, "tls", "ca.crt")}
	return &Peer{Endpoint: e, Kind: kind, Dir: dir, PID: pid}, nil
}

// Stop stops it.
func (p *Peer) Stop(ctx context.Context) error {
	_, err := db(ctx, "stop", p.Dir)
	return err
}
