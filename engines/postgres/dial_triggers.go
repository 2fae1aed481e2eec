package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Event triggers on logins (PostgreSQL 17, "Event Triggers") are executed once on a connection. What they have set there is what its
// session begins with, and no RESET goes back to it. So the server is asked, behind the login, and every session begins with that,
// whatever others have set or reset on its backend. What cannot be set again no session gets, so that all are alike.

// versionOfLoginTriggers is the first that has them.
const versionOfLoginTriggers = 17

// triggersQuery tells whether the database has such triggers, or has had some, and the names of settings that its functions set.
const triggersQuery = ownOperators + "WITH bare AS (SELECT prosrc AS body FROM pg_catalog.pg_proc WHERE oid >= 16384), maker AS (SELECT 'set_config' AS setting), source AS (SELECT body FROM bare)" +
	" SELECT (SELECT pg_catalog.string_agg(name, ',') FROM (" + codeNames + ") AS names)" +
	" FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database() AND dathasloginevt"

// triggered asks, behind the login, what the database's triggers have set, and takes back what of that cannot be set again. It returns what
// is set then, and the names of settings that may be.
func (e *Engine) triggered(ctx context.Context, s *greeted) (base *settings, names []string, err error) {
	if s.version() < versionOfLoginTriggers {
		return nil, nil, nil
	}
	rows, err := s.rows(ctx, triggersQuery)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == "42703" {
		return nil, nil, nil // it has no such column: another product that goes by that version
	}
	if err != nil || len(rows) == 0 {
		return nil, nil, err
	}
	if text := string(rows[0][0]); text != "" {
		names = strings.Split(text, ",")
	}
	found, err := s.settings(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	all := found.after(nil, nil)
	if slices.ContainsFunc(all, func(f setting) bool { return isIdentity(f.name) }) {
		if err = s.execute(ctx, "RESET SESSION AUTHORIZATION; RESET ROLE"); err != nil {
			return nil, nil, err
		}
	}
	var list []setting
	for _, f := range all {
		// The triggers may have been executed by somebody who may set what the session may not.
		if f.sql != "" && s.execute(ctx, f.sql) == nil {
			list = append(list, f)
		}
	}
	base, ok := e.settings.intern(list)
	if !ok || len(list) < len(all) {
		err = s.execute(ctx, restoreSQL(unknownSettings, base))
	}
	return base, names, err
}

func (s *greeted) version() int { return majorVersion(s.pg.ParameterStatus("server_version")) }

func (b *backendState) version() int {
	v, _ := lookup(b.params, "server_version")
	return majorVersion(v)
}

// majorVersion reads the number that a server's version begins with, 0 if there is none.
func majorVersion(version string) (n int) {
	for i := 0; i < len(version) && isDigit(version[i]) && n < 1<<20; i++ {
		n = 10*n + int(version[i]-'0')
	}
	return n
}
