package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// probeDatabase is where a monitoring connection logs in first; every installation has it unless someone dropped it.
const probeDatabase = "postgres"

// probeQuery asks for a server's facts. reserved_connections came with PostgreSQL 16.
const probeQuery = "SELECT current_setting('server_version'), current_setting('max_connections'), " +
	"current_setting('superuser_reserved_connections'), coalesce(current_setting('reserved_connections', true), '0'), " +
	"pg_is_in_recovery()"

// lagQuery asks a standby how long ago the transaction was committed that it replayed last, unless it receives and has
// replayed all that it received (9.28.4 "Recovery Information Functions"): its writer may have done nothing since. Every user may see
// whether there is a WAL receiver. It is apart because not every server that speaks the protocol has these functions.
const lagQuery = "SELECT CASE WHEN pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() " +
	"AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver) THEN 0 ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END"

// leaveWithin is how long a server may take to close a monitoring connection that said goodbye.
const leaveWithin = time.Second

// watch is a monitoring connection (engine.Watch).
type watch struct {
	*greeted
	target engine.Target
	lagged bool // the server cannot tell its lag
}

// Watch implements engine.Engine. A user without access to the database "postgres" watches in the one of its own name.
func (e *Engine) Watch(ctx context.Context, t engine.Target) (engine.Watch, error) {
	credential, err := e.credentials.Any(ctx)
	if err != nil {
		return nil, dialError(t, err)
	}
	s, err := e.connectAs(ctx, t, probeKey(credential.User, probeDatabase), credential)
	var refused *engine.ServerError
	if errors.As(err, &refused) && (refused.Code == "3D000" || refused.Code == codePrivilege) {
		s, err = e.connectAs(ctx, t, probeKey(credential.User, credential.User), credential)
	}
	if err != nil {
		return nil, dialError(t, err)
	}
	return &watch{greeted: s, target: t}, nil
}

func probeKey(user, database string) engine.Key {
	return engine.Key{
		User:     user,
		Database: database,
		Options:  encodeOptions([]parameter{{"application_name", "berth probe"}}),
	}
}

// Ask implements engine.Watch.
func (w *watch) Ask(ctx context.Context) (engine.Facts, error) {
	facts, err := w.facts(ctx)
	if err != nil {
		return engine.Facts{}, dialError(w.target, err)
	}
	if facts.ReadOnly && !w.lagged {
		if facts.Lag, facts.LagKnown, err = w.lag(ctx); err != nil {
			var refused *engine.ServerError
			if !errors.As(err, &refused) {
				return engine.Facts{}, dialError(w.target, err)
			}
			w.lagged = true
		}
	}
	return facts, nil
}

// Rest implements engine.Watch. Notices and changed parameters are read and let pass.
func (w *watch) Rest(ctx context.Context) error {
	err := w.pg.WaitForNotification(ctx)
	if ctx.Err() != nil && !w.pg.IsClosed() {
		return nil
	}
	if err == nil {
		err = idleProtocolError("a notification that nobody listens for")
	}
	return dialError(w.target, w.explain(err))
}

// Close implements engine.Watch. Until the server has closed, too, it counts the connection.
func (w *watch) Close() {
	_ = w.conn.SetDeadline(time.Now().Add(leaveWithin))
	if !w.pg.IsClosed() {
		if _, err := w.conn.Write(terminate); err == nil {
			_, _ = io.Copy(io.Discard, w.conn)
		}
	}
	_ = w.conn.Close()
}

func (s *greeted) facts(ctx context.Context) (engine.Facts, error) {
	row, err := s.row(ctx, probeQuery, 5)
	if err != nil {
		return engine.Facts{}, err
	}
	var numbers [3]int
	for i := range numbers {
		if numbers[i], err = strconv.Atoi(string(row[i+1])); err != nil {
			return engine.Facts{}, fmt.Errorf("answer to a probe: %w", err)
		}
	}
	return engine.Facts{
		Version:        string(row[0]),
		MaxConnections: numbers[0],
		Reserved:       numbers[1] + numbers[2],
		ReadOnly:       string(row[4]) == "t",
	}, nil
}

// lag asks a standby. It is not known before something was replayed.
func (s *greeted) lag(ctx context.Context) (lag time.Duration, known bool, err error) {
	row, err := s.row(ctx, lagQuery, 1)
	if err != nil || row[0] == nil {
		return 0, false, err
	}
	seconds, err := strconv.ParseFloat(string(row[0]), 64)
	if err != nil || !(seconds >= 0 && seconds <= float64(1<<31)) { // NaN is neither
		return 0, false, nil //nolint:nilerr // clocks that differ are no failure
	}
	return time.Duration(seconds * float64(time.Second)), true, nil
}

// row runs a query whose answer is one row with n fields.
func (s *greeted) row(ctx context.Context, query string, n int) ([][]byte, error) {
	results, err := s.pg.Exec(ctx, query).ReadAll()
	if err != nil {
		return nil, s.explain(err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != n {
		return nil, idleProtocolError("unexpected answer to a probe")
	}
	return results[0].Rows[0], nil
}
