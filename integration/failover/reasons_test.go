package failover

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berthdb/berth/integration/harness"
)

// strange is a server that is none: it does with each connection what its name says.
func strange(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer func() { _ = nc.Close() }(); serve(nc) })
		}
	})
	return l.Addr().String()
}

// silent accepts and never answers.
func silent(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }

// curt closes.
func curt(net.Conn) {}

// plain has no TLS (PostgreSQL 54.2.10 "SSL Session Encryption").
func plain(nc net.Conn) {
	var request [8]byte
	if _, err := io.ReadFull(nc, request[:]); err == nil {
		_, _ = nc.Write([]byte{'N'})
	}
	silent(nc)
}

// full starts a server whose connections are taken, and returns it.
func full(t *testing.T, name string) *harness.Server {
	t.Helper()
	options := []string{"max_connections=4", "superuser_reserved_connections=3"}
	if !strings.HasPrefix(name, "pg") {
		options = []string{"max_connections=10"} // MariaDB has no fewer
	}
	s := harness.Own(t, name, options...)
	if s.Engine == harness.Postgres {
		c, err := s.PgxConn(t.Context(), harness.App())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(t.Context()) })
		return s
	}
	pool, err := s.GoMySQLDB(harness.App())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for range 10 {
		if _, err := pool.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestEveryReasonWhyATargetIsDownIsToldWithItsCause(t *testing.T) {
	for _, name := range []string{"pg18", "mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			port, err := harness.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			other := harness.Shared(t, map[bool]string{true: "pg15", false: "pg18"}[name == "pg18"])
			at := func(address string) harness.Keys {
				return harness.Keys{"targets": []harness.Keys{{"name": "primary", "address": address}}}
			}
			cases := []struct {
				name          string
				route         harness.Route
				reason, cause string
			}{
				{"refused", harness.Route{Group: at(fmt.Sprintf("127.0.0.1:%d", port))}, "UNREACHABLE", "connection refused"},
				{"name", harness.Route{Group: at("no-such-host.invalid:1")}, "UNREACHABLE", "no-such-host.invalid"},
				{"authority", harness.Route{Group: harness.Keys{"tls": harness.Keys{"mode": "verify-full", "ca_file": other.CAFile}}}, "CONNECTION_FAILED", "tls: its certificate is signed by an authority that is not trusted"},
				{"identity", harness.Route{Group: harness.Keys{"tls": harness.Keys{"server_name": "elsewhere.example"}}}, "CONNECTION_FAILED", "tls: its certificate is for another name"},
				{"password", harness.Route{Users: []harness.Account{{User: "app", Password: "wrong"}}}, "AUTH_FAILURE", "it refuses the login"},
				{"full", harness.Route{Server: full(t, name)}, "CONNECTION_FAILED", "too many connections"},
				{"silent", harness.Route{Group: at(strange(t, silent))}, "CONNECTION_FAILED", "accepts connections but does not answer"},
				{"curt", harness.Route{Group: at(strange(t, curt))}, "CONNECTION_FAILED", "closed the connection"},
			}
			if s.Engine == harness.Postgres {
				cases = append(cases, struct {
					name          string
					route         harness.Route
					reason, cause string
				}{"plain", harness.Route{Group: at(strange(t, plain))}, "CONNECTION_FAILED", "tls: the server does not offer tls"})
			}
			var c harness.Config
			for i := range cases {
				r := &cases[i].route
				r.Name = cases[i].name
				if r.Server == nil {
					r.Server = s
				}
				if r.Group == nil {
					r.Group = harness.Keys{}
				}
				r.Group["health_check"] = harness.Keys{"timeout": "2s"}
				c.Routes = append(c.Routes, *r)
			}
			c.Unready = true
			p := harness.Start(t, c)
			for _, c := range cases {
				var got harness.TargetStatus
				harness.Eventually(t, settleWithin, c.name+" is down", func() bool {
					got = targets(t, p, c.name)["primary"]
					return got.State == "UNAVAILABLE"
				})
				if got.Reason != c.reason || !strings.Contains(got.Cause, c.cause) {
					t.Errorf("%s: %s: %s", c.name, got.Reason, got.Cause)
				}
			}
			if p.Ready(t.Context()) == nil {
				t.Error("it says that it is ready")
			}
		})
	}
}

func TestAProxyWithoutFileDescriptorsSaysSo(t *testing.T) {
	s := harness.Shared(t, "pg18")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s}}})
	before := targets(t, p, s.Name)["primary"] // and the connection to the admin server stays open
	if before.State != "AVAILABLE" {
		t.Fatalf("%+v", before)
	}
	var was unix.Rlimit
	none := unix.Rlimit{Cur: 1, Max: 1 << 20}
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	none.Max = was.Max
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	harness.Exec(t, s, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'berth probe'")
	harness.Eventually(t, settleWithin, "it has no descriptor", func() bool {
		got := targets(t, p, s.Name)["primary"]
		return got.State == "UNAVAILABLE" && got.Reason == "PENDING_PROXY_CAPACITY" && strings.Contains(got.Cause, "too many open files")
	})
	if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, settleWithin, "it is up again", func() bool { return targets(t, p, s.Name)["primary"].State == "AVAILABLE" })
}

func TestOfTwoWritersNoneIsUsed(t *testing.T) {
	writer, replica := harness.Pair(t, "pg18")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: writer, Replica: replica, Pool: harness.Keys{"connection_borrow_timeout": "500ms"},
	}}})
	c, err := p.Endpoint(writer.Name).PgxConn(t.Context(), harness.App())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if _, err := c.Exec(t.Context(), "create table t (n int)"); err != nil {
		t.Fatal(err)
	}
	got := targets(t, p, writer.Name)
	if got["primary"].State != "AVAILABLE" || got["replica"].State != "AVAILABLE" || got["primary"].ReadOnly || !got["replica"].ReadOnly {
		t.Errorf("before: %+v", got)
	}
	if err := replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, settleWithin, "both are out of use", func() bool {
		got = targets(t, p, writer.Name)
		return got["primary"].State == "UNAVAILABLE" && got["replica"].State == "UNAVAILABLE"
	})
	if got["primary"].Reason != "INVALID_REPLICATION_STATE" || got["replica"].Reason != "PROMOTED" {
		t.Errorf("two writers: %+v", got)
	}
	if _, err := c.Exec(t.Context(), "insert into t values (1)"); err == nil {
		t.Error("a write went to one of two writers")
	}
	if err := writer.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, settleWithin, "the other is used", func() bool {
		_, err := c.Exec(t.Context(), "insert into t values (2)")
		return err == nil
	})
}
