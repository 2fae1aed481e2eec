package drivers

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// npgsql replays what Npgsql sends, from the source of version 9.0.4 (NpgsqlConnector.Open, Reset and
// GenerateResetMessage, PostgresDatabaseInfo.LoadBackendTypes, PregeneratedMessages): the types are loaded behind the
// login; a connection that comes from the pool gets its reset in the same write as the next statement, by DISCARD ALL,
// or piece by piece where statements are prepared.
func npgsql(t *testing.T, e harness.Endpoint) (string, func() error) {
	t.Helper()
	cfg, err := e.Pgx(harness.App().InClear())
	if err != nil {
		t.Fatal(err)
	}
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	conn, err := pgconn.ConnectConfig(t.Context(), &cfg.Config)
	if err != nil {
		t.Fatal(err)
	}
	types, err := os.ReadFile(filepath.Join("npgsql", "types.sql"))
	if err != nil {
		t.Fatal(err)
	}
	const reset = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();" +
		"DISCARD SEQUENCES;DISCARD TEMP"
	f := conn.Frontend()
	for _, use := range [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: string(types)}},
		execute("", true),
		append([]pgproto3.FrontendMessage{&pgproto3.Query{String: "DISCARD ALL"}}, execute("_p1", true)...),
		append([]pgproto3.FrontendMessage{&pgproto3.Query{String: reset}}, execute("_p1", false)...),
		{&pgproto3.Query{String: "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED"}},
		execute("_p1", false),
		{&pgproto3.Query{String: "COMMIT"}},
	} {
		wanted := 0
		for _, m := range use {
			f.Send(m)
			switch m.(type) {
			case *pgproto3.Query, *pgproto3.Sync:
				wanted++
			}
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		untilReady(t, conn, wanted)
	}
	return "Npgsql 9.0.4", func() error { return conn.Close(context.WithoutCancel(t.Context())) }
}

// execute reads a note by a statement, which has a name if it is prepared.
func execute(name string, parse bool) []pgproto3.FrontendMessage {
	var all []pgproto3.FrontendMessage
	if parse {
		all = append(all, &pgproto3.Parse{Name: name, Query: readPG, ParameterOIDs: []uint32{pgInt4}})
	}
	return append(all,
		&pgproto3.Bind{PreparedStatement: name, Parameters: [][]byte{[]byte("1")}, ResultFormatCodes: []int16{1}},
		&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
}

// pgInt4 is the type integer.
const pgInt4 = 23

// untilReady reads up to as many ReadyForQuery.
func untilReady(t *testing.T, conn *pgconn.PgConn, wanted int) {
	t.Helper()
	for wanted > 0 {
		m, err := conn.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, ready := m.(*pgproto3.ReadyForQuery); ready {
			wanted--
		}
	}
}
