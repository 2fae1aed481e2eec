package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// probeCharset is utf8mb4_general_ci, which every server has.
const probeCharset = 45

// Probe logs in to t, asks for what Facts says, and leaves. What the greeting said is what clients will be greeted
// with: Accept waits for the first server to be reached, by a probe or otherwise.
func (e *Engine) Probe(ctx context.Context, t engine.Target) (engine.Facts, error) {
	cred, err := e.credentials.Any(ctx)
	if err != nil {
		return engine.Facts{}, dialError(t, fmt.Errorf("credential: %w", err))
	}
	u, err := e.openAs(ctx, t, cred, 0, probeCharset)
	if err != nil {
		return engine.Facts{}, dialError(t, err)
	}
	defer u.leave()
	// Readers of an Aurora cluster are told by innodb_read_only alone.
	query := "SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.innodb_read_only"
	if u.greeting.mariaDB {
		query = "SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only"
	}
	row, err := u.ask(query)
	if err != nil {
		return engine.Facts{}, dialError(t, fmt.Errorf("probe: %w", err))
	}
	facts, err := factsOf(row)
	if err != nil {
		return engine.Facts{}, dialError(t, err)
	}
	facts.Version = strings.TrimPrefix(u.greeting.version, mariaDBPrefix)
	return facts, nil
}

// factsOf reads max_connections and any number of read-only switches. None of the connections is reserved: the one that
// a server keeps for its administrator comes on top of max_connections.
func factsOf(row []string) (engine.Facts, error) {
	if len(row) < 2 {
		return engine.Facts{}, broken("probe without an answer")
	}
	n, err := strconv.Atoi(row[0])
	if err != nil || n < 0 {
		return engine.Facts{}, broken("max_connections is no number")
	}
	f := engine.Facts{MaxConnections: n}
	for _, v := range row[1:] {
		f.ReadOnly = f.ReadOnly || v != "0" && !strings.EqualFold(v, "OFF") // MariaDB 12 has more values than 1
	}
	return f, nil
}

// leave ends a connection politely.
func (u *upstream) leave() {
	u.release()
	_, _ = u.conn.Write(comQuit[:])
	_ = u.conn.Close()
}
