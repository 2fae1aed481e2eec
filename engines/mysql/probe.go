package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// probeCharset is utf8mb4_general_ci, which every server has.
const probeCharset = 45

// leaveWithin is how long a server may take to close a monitoring connection that said goodbye.
const leaveWithin = time.Second

// watch is a monitoring connection (engine.Watch).
type watch struct {
	*upstream
	target engine.Target
	// How it is asked for its lag, and since when it does not tell.
	lag      lagQuestion
	unlagged time.Time
}

// Watch implements engine.Engine. What the greeting said is what clients will be greeted with: Accept waits for the
// first server to be reached, by a monitoring connection or otherwise.
func (e *Engine) Watch(ctx context.Context, t engine.Target) (engine.Watch, error) {
	cred, err := e.credentials.Any(ctx)
	if err != nil {
		return nil, dialError(t, fmt.Errorf("credential: %w", err))
	}
	u, err := e.openAs(ctx, t, cred, 0, probeCharset)
	if err != nil {
		return nil, dialError(t, err)
	}
	if !u.release() {
		_ = u.conn.Close()
		return nil, dialError(t, context.Cause(ctx))
	}
	return &watch{upstream: u, target: t}, nil
}

// bind makes what follows on the connection end with ctx. The returned function ends that, and says whether ctx has.
func (w *watch) bind(ctx context.Context) (over func() (ended bool)) {
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(longAgo) })
	return func() bool { return !stop() }
}

// within lets a question end with ctx.
func (w *watch) within(ctx context.Context, question func() error) error {
	over := w.bind(ctx)
	err := question()
	if over() && err != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return dialError(w.target, err)
	}
	return nil
}

// Ask implements engine.Watch.
func (w *watch) Ask(ctx context.Context) (engine.Facts, error) {
	var facts engine.Facts
	err := w.within(ctx, func() (err error) {
		if facts, err = w.facts(); err == nil && facts.ReadOnly {
			facts.Lag, facts.LagKnown, err = w.askLag()
		}
		return err
	})
	if err != nil {
		return engine.Facts{}, err
	}
	return facts, nil
}

// Rest implements engine.Watch. A server says nothing unasked but why it ends the connection.
func (w *watch) Rest(ctx context.Context) error {
	over := w.bind(ctx)
	var first [1]byte
	n, err := w.conn.Read(first[:])
	over()
	var timeout net.Error
	switch {
	case n > 0:
		return dialError(w.target, broken("it spoke unasked"))
	case ctx.Err() != nil && errors.As(err, &timeout) && timeout.Timeout():
		return w.conn.SetDeadline(time.Time{})
	}
	return dialError(w.target, err)
}

// Close implements engine.Watch. Until the server has closed, too, it counts the connection.
func (w *watch) Close() {
	_ = w.conn.SetDeadline(time.Now().Add(leaveWithin))
	if _, err := w.conn.Write(comQuit[:]); err == nil {
		_, _ = io.Copy(io.Discard, w.conn)
	}
	_ = w.conn.Close()
}

func (w *watch) facts() (engine.Facts, error) {
	// Readers of an Aurora cluster are told by innodb_read_only alone.
	query := "SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only, @@GLOBAL.super_read_only, @@GLOBAL.innodb_read_only"
	if w.greeting.mariaDB {
		query = "SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only"
	}
	row, err := w.ask(query)
	if err != nil {
		return engine.Facts{}, fmt.Errorf("probe: %w", err)
	}
	facts, err := factsOf(row)
	if err != nil {
		return engine.Facts{}, err
	}
	facts.Version = strings.TrimPrefix(w.greeting.version, mariaDBPrefix)
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
