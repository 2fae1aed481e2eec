package failover

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// cluster is a writer with two replicas, and what to say to it.
type cluster struct {
	name            string
	writer          *harness.Server
	replicas        []*harness.Server
	port            string   // asks for the port of the server that one is on
	set, show, want string   // a session setting
	pin             string   // holds a lock
	pause, resume   []string // a replica's replay
	plain           bool     // the proxy connects in clear
}

// clusters are the engines that replicas are tested with.
var clusters = []struct {
	name    string
	options []string
}{
	{"pg18", nil},
	{"mariadb1011", []string{"log-bin=log"}},
	{"mysql97", []string{"log-bin=log", "gtid-mode=ON", "enforce-gtid-consistency=ON", "performance_schema=ON"}},
}

// startCluster starts one, on which the monitor may ask a replica for its lag.
func startCluster(t *testing.T, name string, options []string) cluster {
	t.Helper()
	w := harness.Own(t, name, options...)
	c := cluster{
		name: name, writer: w, replicas: []*harness.Server{harness.Replica(t, w), harness.Replica(t, w)},
		port: "select inet_server_port()::text", set: "set work_mem = '7MB'", show: "show work_mem", want: "7MB", pin: "select pg_advisory_lock(7)",
		pause: []string{"select pg_wal_replay_pause()"}, resume: []string{"select pg_wal_replay_resume()"},
	}
	if w.Engine == harness.Postgres {
		harness.Exec(t, w, "create table t (n int)", "grant all on t to public")
		return c
	}
	c.port, c.set, c.show, c.want = "select @@port", "set sort_buffer_size = 777216", "select @@sort_buffer_size", "777216"
	c.pin, c.pause, c.resume = "select get_lock('seven', 60)", []string{"stop replica sql_thread"}, []string{"start replica sql_thread"}
	allow := "grant replication client on *.* to app"
	if strings.HasPrefix(name, "mariadb") {
		allow = "grant replica monitor on *.* to app"
	}
	harness.Exec(t, w, allow, "create table app.t (n int)")
	for _, s := range c.replicas { // a connection has the privileges that there were when it began
		harness.Eventually(t, settleWithin, "the replicas have the table", func() bool {
			return s.Exec(t.Context(), "select * from app.t") == nil
		})
	}
	return c
}

// serve starts a proxy with a read-only listener named readers.
func (c cluster) serve(t *testing.T, replicas, pool harness.Keys) *harness.Proxy {
	t.Helper()
	return harness.Start(t, harness.Config{Routes: []harness.Route{{
		Name: "all", Server: c.writer, Replicas: c.replicas, ReadOnly: "readers", Pool: pool,
		Group: harness.Keys{"replicas": replicas, "health_check": harness.Keys{"interval": "200ms"}},
	}}})
}

// reader is one connection.
type reader struct {
	ask func(ctx context.Context, query string) (string, error)
}

// read connects to a listener.
func read(t *testing.T, e harness.Endpoint) reader {
	t.Helper()
	if e.Engine == harness.Postgres {
		c, err := e.PgxConn(t.Context(), harness.App())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		return reader{func(ctx context.Context, query string) (answer string, err error) {
			r, err := c.PgConn().Exec(ctx, query).ReadAll()
			if err == nil && len(r) > 0 && len(r[0].Rows) > 0 {
				answer = string(r[0].Rows[0][0])
			}
			return answer, err
		}}
	}
	pool, err := e.GoMySQLDB(harness.App())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	c, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return reader{func(ctx context.Context, query string) (answer string, err error) {
		if !strings.HasPrefix(query, "select ") {
			_, err = c.ExecContext(ctx, query)
			return "", err
		}
		err = c.QueryRowContext(ctx, query).Scan(&answer)
		return answer, err
	}}
}

func (r reader) must(t *testing.T, query string) string {
	t.Helper()
	answer, err := r.ask(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// run executes statements whose answers do not matter.
func (r reader) run(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		r.must(t, s)
	}
}

// spread asks each session where it is, and counts them by server: the writer, then the replicas.
func (c cluster) spread(t *testing.T, sessions []reader) (n [3]int) {
	t.Helper()
	for _, r := range sessions {
		switch _, port, _ := strings.Cut("x:"+r.must(t, c.port), ":"); ":" + port {
		case c.at(c.writer):
			n[0]++
		case c.at(c.replicas[0]):
			n[1]++
		case c.at(c.replicas[1]):
			n[2]++
		default:
			t.Fatalf("port %s is nobody's", port)
		}
	}
	return n
}

func (c cluster) at(s *harness.Server) string {
	return s.Address()[strings.LastIndexByte(s.Address(), ':'):]
}

// comes waits until the sessions are spread so.
func (c cluster) comes(t *testing.T, what string, sessions []reader, want [3]int) {
	t.Helper()
	var got [3]int
	harness.Eventually(t, settleWithin, what, func() bool {
		got = c.spread(t, sessions)
		return got == want
	})
}

func TestReadOnlySessionsAreSpreadOverTheReplicasThatAreUp(t *testing.T) {
	t.Parallel()
	for _, k := range clusters {
		t.Run(k.name, func(t *testing.T) {
			c := startCluster(t, k.name, k.options)
			p := c.serve(t, harness.Keys{}, harness.Keys{"max_connections": 5})
			var sessions []reader
			for range 20 {
				r := read(t, p.Endpoint("readers"))
				r.must(t, c.set)
				sessions = append(sessions, r)
			}
			// What a session before has borrowed, and not given back yet, counts too.
			first := c.spread(t, sessions)
			if first[0] != 0 || first[1] < 6 || first[2] < 6 {
				t.Errorf("at first: %d", first)
			}
			home := make([]string, len(sessions))
			for range 5 {
				for i, r := range sessions {
					port := r.must(t, c.port)
					if home[i] != "" && home[i] != port {
						t.Errorf("session %d was moved", i)
					}
					home[i] = port
				}
			}
			if got := targets(t, p, "all"); got["replica1"].Sessions != first[1] || got["replica2"].Sessions != first[2] ||
				strings.Join(got["replica1"].Serves, " ") != "read_only" || strings.Join(got["primary"].Serves, " ") != "read_write" {
				t.Errorf("status: %+v", got)
			}

			// One goes: idle sessions notice nothing.
			if err := c.replicas[0].Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "the loss is noticed", func() bool {
				return targets(t, p, "all")["replica1"].State == "UNAVAILABLE"
			})
			if got := c.spread(t, sessions); got != [3]int{0, 0, 20} {
				t.Errorf("with one replica: %d", got)
			}
			// It comes back, and gets its share.
			options := k.options
			if k.name != "pg18" {
				options = append(slices.Clone(options), "read-only=ON") // it was set at run time
			}
			if err := c.replicas[0].Restart(t.Context(), options...); err != nil {
				t.Fatal(err)
			}
			c.comes(t, "the replica that is back has its share", sessions, [3]int{0, 10, 10})

			// None is left.
			for _, s := range c.replicas {
				if err := s.Crash(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			harness.Eventually(t, settleWithin, "the writer serves", func() bool {
				got := targets(t, p, "all")
				return strings.Join(got["primary"].Serves, " ") == "read_write read_only"
			})
			if got := c.spread(t, sessions); got != [3]int{20, 0, 0} {
				t.Errorf("without replicas: %d", got)
			}
			for i, r := range sessions {
				if got := r.must(t, c.show); got != c.want {
					t.Errorf("session %d lost its setting: %s", i, got)
				}
			}
		})
	}
}

// code is an error's, in the server's words.
func code(err error) string {
	var p *pgconn.PgError
	var m *mysql.MySQLError
	switch {
	case errors.As(err, &p):
		return p.Code
	case errors.As(err, &m):
		return string(m.SQLState[:])
	}
	return ""
}

func TestAReplicaThatLagsIsNotReadFrom(t *testing.T) {
	t.Parallel()
	for _, k := range clusters {
		t.Run(k.name, func(t *testing.T) {
			c := startCluster(t, k.name, k.options)
			p := c.serve(t, harness.Keys{"max_lag": "2s", "fallback": "none"}, harness.Keys{"connection_borrow_timeout": "1s"})
			serving := func(want ...string) {
				t.Helper()
				harness.Eventually(t, settleWithin, "read-only sessions are served by "+strings.Join(want, ", "), func() bool {
					var got []string
					for _, name := range []string{"primary", "replica1", "replica2"} {
						if strings.Contains(strings.Join(targets(t, p, "all")[name].Serves, " "), "read_only") {
							got = append(got, name)
						}
					}
					return strings.Join(got, ", ") == strings.Join(want, ", ")
				})
			}
			serving("replica1", "replica2")
			sessions := []reader{read(t, p.Endpoint("readers")), read(t, p.Endpoint("readers"))}
			c.comes(t, "one each", sessions, [3]int{0, 1, 1})
			pinned := read(t, p.Endpoint("readers"))
			pinned.must(t, c.pin)
			home, away := 0, 1
			if ":"+pinned.must(t, c.port) == c.at(c.replicas[1]) {
				home, away = 1, 0
			}
			names := []string{"replica1", "replica2"}

			harness.Exec(t, c.replicas[home], c.pause...)
			harness.Exec(t, c.writer, map[bool]string{true: "insert into t values (1)", false: "insert into app.t values (1)"}[k.name == "pg18"])
			serving(names[away])
			want := [3]int{}
			want[1+away] = 2
			c.comes(t, "all at the other", sessions, want)
			got := targets(t, p, "all")[names[home]]
			if got.State != "AVAILABLE" || !strings.Contains(got.Cause, "lags behind by more than max_lag") || got.LagSeconds == nil || *got.LagSeconds < 2 {
				t.Errorf("the one that lags: %+v", got)
			}
			// The pinned session is told once, and goes on.
			var told error
			harness.Eventually(t, settleWithin, "the pinned session has moved", func() bool {
				port, err := pinned.ask(t.Context(), c.port)
				if err != nil && told != nil {
					t.Fatalf("told twice: %v, %v", told, err)
				}
				if err != nil {
					told = err
				}
				return ":"+port == c.at(c.replicas[away])
			})
			if got := code(told); got != "08006" && got != "HY000" {
				t.Errorf("told %v", told)
			}

			// None is left: they wait, and time out.
			harness.Exec(t, c.replicas[away], c.pause...)
			harness.Exec(t, c.writer, map[bool]string{true: "insert into t values (2)", false: "insert into app.t values (2)"}[k.name == "pg18"])
			serving()
			if _, err := sessions[0].ask(t.Context(), c.port); err == nil || !strings.Contains(strings.ToLower(err.Error()), "timed-out waiting") {
				t.Errorf("without a replica: %v", err)
			}
			for _, s := range c.replicas {
				harness.Exec(t, s, c.resume...)
			}
			serving("replica1", "replica2")
			c.spread(t, sessions)
		})
	}
}
