package harness

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/berthdb/berth/config"
)

func sharedNames() []string { return append(PostgresNames(), MySQLNames()...) }

func TestARenderedConfigurationIsValidAndSaysWhatWasAsked(t *testing.T) {
	dir := t.TempDir()
	server := &Server{Endpoint: Endpoint{Engine: Postgres, Port: 5432, CAFile: "/ca.crt"}, Name: "pg15"}
	c := Config{
		Routes: []Route{
			{Server: server, MaxConnections: 7, Pool: Keys{"connection_borrow_timeout": "3s"}, Listener: Keys{"tls": Keys{"mode": "require"}}},
			{Name: "second", Server: server, Plain: true, Group: Keys{"connection_pool": Keys{"max_connections": 3}}},
		},
		Top: Keys{"runtime": Keys{"loops": 1}},
	}
	path, err := c.render(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, second := got.TargetGroups[0], got.TargetGroups[1]
	if p := first.ConnectionPool; p.MaxConnections != 7 || p.ConnectionBorrowTimeout != 3*time.Second {
		t.Errorf("pool of the first: %+v", p)
	}
	if second.ConnectionPool.MaxConnections != 3 || second.TLS.Mode != config.TargetTLSDisable {
		t.Errorf("the second: %+v", second)
	}
	if tls := got.Listeners[0].TLS; tls.Mode != config.ListenerTLSRequire || tls.CertFile != filepath.Join(dir, "berth.crt") {
		t.Errorf("tls of the first listener: %+v", tls)
	}
	if got.Runtime.Loops != 1 || got.Runtime.DrainTimeout != 2*time.Second {
		t.Errorf("runtime: %+v", got.Runtime)
	}
}

func TestAWatchSeesWhatAClientLeavesOpenUntilItIsKilled(t *testing.T) {
	for _, name := range sharedNames() {
		t.Run(name, func(t *testing.T) {
			s := Shared(t, name)
			if s.Engine == MySQL {
				Exec(t, s, "create table if not exists app.harness (n int)")
			} else {
				Exec(t, s, "create table if not exists harness (n int); grant all on harness to app")
			}
			client := Doomed(t, ClientSpec{
				Endpoint: s.Endpoint, Login: App(), Connections: 3, Statements: []string{"begin", "insert into harness values (1)"},
			})
			seen := WatchConnections(t, s, "app")
			time.Sleep(300 * time.Millisecond) // MariaDB refreshes its list of transactions ten times a second
			if c := seen(); c.Open < 3 || c.InTransaction < 3 {
				t.Errorf("with a client of 3 transactions: %+v", c)
			}
			client.Kill()
			Eventually(t, 10*time.Second, "the killed client's transactions end", func() bool {
				return countNow(t, s, "app").InTransaction == 0
			})
		})
	}
}

func countNow(t *testing.T, s *Server, user string) Connections {
	t.Helper()
	count, end, err := s.counter(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	c, err := count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAClientCanStopInTheMiddleOfAResult(t *testing.T) {
	for name, query := range map[string]string{
		"pg15":    "select repeat('x', 1000) from generate_series(1, 1000000)",
		"mysql97": "with recursive r (i) as (select 1 union all select i + 1 from r where i < 1000) select repeat('x', 1000) from r a, r b",
	} {
		t.Run(name, func(t *testing.T) {
			s := Shared(t, name)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			client, err := StartClient(ctx, ClientSpec{Endpoint: s.Endpoint, Login: App(), Unread: query})
			if err != nil {
				t.Fatal(err)
			}
			client.Kill()
		})
	}
}

func TestAnOwnServerHasItsOptionsAndSurvivesACrash(t *testing.T) {
	s := Own(t, "pg15", "max_connections=12")
	ask := func() (answer string) {
		conn, err := s.PgxConn(t.Context(), App())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if err := conn.QueryRow(t.Context(), "show max_connections").Scan(&answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := ask(); got != "12" {
		t.Errorf("max_connections is %s", got)
	}
	if err := s.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), "max_connections=12"); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != "12" {
		t.Errorf("after the crash max_connections is %s", got)
	}
}
