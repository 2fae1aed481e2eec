// Package postgres tests berth between real PostgreSQL clients and servers.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// eachServer runs a test in front of every server, through a proxy of its own with this many database connections.
func eachServer(t *testing.T, connections int, test func(t *testing.T, s *harness.Server, p harness.Endpoint)) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: connections}}})
			test(t, s, p.Endpoint(name))
		})
	}
}

// logins are App over TLS and in clear.
var logins = map[string]harness.Login{"tls": harness.App(), "plain": harness.App().InClear()}

func connect(t *testing.T, e harness.Endpoint, l harness.Login) *pgx.Conn {
	t.Helper()
	conn, err := e.PgxConn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestPgxQueriesPassThrough(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, s *harness.Server, p harness.Endpoint) {
		direct := connect(t, s.Endpoint, harness.App())
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				conn := connect(t, p, login)
				for _, parameter := range []string{"server_version", "integer_datetimes", "server_encoding"} {
					if got, want := conn.PgConn().ParameterStatus(parameter), direct.PgConn().ParameterStatus(parameter); got != want {
						t.Errorf("%s is %q, the server's is %q", parameter, got, want)
					}
				}
				for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
					var sum, rows int64
					err := conn.QueryRow(t.Context(), "select sum(i), count(*) from generate_series(1, $1::int) i", mode, 1000).Scan(&sum, &rows)
					if err != nil || sum != 500500 || rows != 1000 {
						t.Errorf("%v: sum %d of %d rows, %v", mode, sum, rows, err)
					}
				}
			})
		}
	})
}

func TestTransactionsOfManyClientsShareFewConnections(t *testing.T) {
	const clients, connections, transactions = 40, 4, 10
	eachServer(t, connections, func(t *testing.T, s *harness.Server, p harness.Endpoint) {
		table := fmt.Sprintf("smoke_%d", os.Getpid())
		harness.Exec(t, s, "drop table if exists "+table, "create table "+table+" (n int)", "grant all on "+table+" to app",
			"insert into "+table+" values (0)")
		t.Cleanup(func() {
			if err := s.Exec(context.Background(), "drop table "+table); err != nil {
				t.Error(err)
			}
		})
		most := harness.WatchConnections(t, s, harness.App().User)
		done := make(chan error, clients)
		for range clients {
			go func() { done <- increments(t.Context(), p, table, transactions) }()
		}
		for range clients {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := most().Open; n == 0 || n > connections {
			t.Errorf("%d database connections, the limit is %d", n, connections)
		}
		var n int
		if err := connect(t, s.Endpoint, harness.App()).QueryRow(t.Context(), "select n from "+table).Scan(&n); err != nil || n != clients*transactions {
			t.Errorf("%d of %d transactions are there, %v", n, clients*transactions, err)
		}
	})
}

func increments(ctx context.Context, p harness.Endpoint, table string, times int) error {
	conn, err := p.PgxConn(ctx, harness.App())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for range times {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "update "+table+" set n = n + $1", 1)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestPsqlPrintsWhatTheServerSays(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, s *harness.Server, p harness.Endpoint) {
		psql := harness.Program(t, s.Name, "PSQL")
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), psql, "-XAtq", "-v", "ON_ERROR_STOP=1", p.PsqlArgs(login),
					"-c", "select 6 * 7", "-c", "select 'it''s'; select count(*) from generate_series(1, 5)")
				cmd.Env = append(os.Environ(), "PGPASSWORD="+login.Password)
				out, err := cmd.CombinedOutput()
				if got := strings.Fields(string(out)); err != nil || strings.Join(got, " ") != "42 it's 5" {
					t.Errorf("psql: %v: %s", err, out)
				}
			})
		}
	})
}

func TestWrongLoginsAreRefusedInTheServersWords(t *testing.T) {
	eachServer(t, 2, func(t *testing.T, _ *harness.Server, p harness.Endpoint) {
		for _, c := range []struct {
			name  string
			login harness.Login
			codes string
		}{
			{"wrong password", harness.Login{User: "app", Password: "guess", Database: "app"}, "28P01"},
			{"unknown user", harness.Login{User: "stranger", Password: "secret", Database: "app"}, "28P01 28000"},
			{"unknown database", harness.Login{User: "app", Password: "secret", Database: "nowhere"}, "3D000"},
		} {
			for transport, login := range map[string]harness.Login{"tls": c.login, "plain": c.login.InClear()} {
				t.Run(c.name+" "+transport, func(t *testing.T) {
					ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
					defer stop()
					err := selectOne(ctx, p, login)
					var refusal *pgconn.PgError
					if !errors.As(err, &refusal) || !strings.Contains(c.codes, refusal.Code) {
						t.Errorf("want SQLSTATE %s, got %v", c.codes, err)
					}
				})
			}
		}
	})
}

// selectOne logs in and asks: a database may turn out to be unknown at the login or when the first query needs it.
func selectOne(ctx context.Context, p harness.Endpoint, l harness.Login) error {
	conn, err := p.PgxConn(ctx, l)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var one int
	return conn.QueryRow(ctx, "select 1").Scan(&one)
}
