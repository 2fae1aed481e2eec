package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/berthdb/berth/core/engine"
)

// probeDatabase is where a probe logs in first; every installation has it unless someone dropped it.
const probeDatabase = "postgres"

// probeQuery asks for a server's facts. reserved_connections came with PostgreSQL 16.
const probeQuery = "SELECT current_setting('server_version'), current_setting('max_connections'), " +
	"current_setting('superuser_reserved_connections'), coalesce(current_setting('reserved_connections', true), '0'), " +
	"pg_is_in_recovery()"

// Probe implements engine.Engine. A user without access to the database "postgres" probes in the one of its own name.
func (e *Engine) Probe(ctx context.Context, t engine.Target) (engine.Facts, error) {
	credential, err := e.credentials.Any(ctx)
	if err != nil {
		return engine.Facts{}, dialError(t, err)
	}
	s, err := e.connectAs(ctx, t, probeKey(credential.User, probeDatabase), credential)
	var refused *engine.ServerError
	if errors.As(err, &refused) && (refused.Code == "3D000" || refused.Code == codePrivilege) {
		s, err = e.connectAs(ctx, t, probeKey(credential.User, credential.User), credential)
	}
	if err != nil {
		return engine.Facts{}, dialError(t, err)
	}
	defer s.close(ctx)
	facts, err := s.facts(ctx)
	if err != nil {
		return engine.Facts{}, dialError(t, err)
	}
	return facts, nil
}

func probeKey(user, database string) engine.Key {
	return engine.Key{
		User:     user,
		Database: database,
		Options:  encodeOptions([]parameter{{"application_name", "berth probe"}}),
	}
}

func (s *greeted) facts(ctx context.Context) (engine.Facts, error) {
	results, err := s.pg.Exec(ctx, probeQuery).ReadAll()
	if err != nil {
		return engine.Facts{}, s.explain(err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 5 {
		return engine.Facts{}, idleProtocolError("unexpected answer to a probe")
	}
	row := results[0].Rows[0]
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
