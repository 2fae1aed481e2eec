package failover

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berthdb/berth/integration/harness"
)

// full starts a server whose connections are taken, and returns it.
func full(t *testing.T, name string) *harness.Server {
	t.Helper()
	options := []string{"max_connections=4", "superuser_reserved_connections=3"}
	if !strings.HasPrefix(name, "pg") {
		options = []string{"max_connections=10"} // MariaDB has no fewer
	}
	s := harness.Own(t, name, options...)
	if s.Engine == harness.Postgres {
		// What found out that the server is there may still have the only place.
		harness.Eventually(t, settleWithin, "the only place is taken", func() bool {
			c, err := s.PgxConn(t.Context(), harness.App())
			if err == nil {
				t.Cleanup(func() { _ = c.Close(t.Context()) })
			}
			return err == nil
		})
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

// state is what a target group comes to, and what is said of its only target.
type state struct {
	name                 string
	route                harness.Route
	state, reason, cause string
}

// states are those that a server of this name can be made to have, or what is taken for one.
func states(t *testing.T, name string) []state {
	s := harness.Shared(t, name)
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	other := harness.Shared(t, map[bool]string{true: "pg15", false: "pg18"}[name == "pg18"])
	at := func(address string) harness.Route {
		return harness.Route{Group: harness.Keys{"targets": []harness.Keys{{"name": "primary", "address": address}}}}
	}
	with := func(tls harness.Keys) harness.Route { return harness.Route{Group: harness.Keys{"tls": tls}} }
	const down, noRoute, failed = "UNAVAILABLE", "UNREACHABLE", "CONNECTION_FAILED"
	registering := at(strange(t, silent))
	registering.Group["health_check"] = harness.Keys{"timeout": "10m"}
	all := []state{
		{"up", harness.Route{}, "AVAILABLE", "", ""},
		{"unused", harness.Route{Unused: true}, "UNUSED", "", "no listener leads to this target group"},
		{"registering", registering, "REGISTERING", "", ""},
		{"refused", at(fmt.Sprintf("127.0.0.1:%d", port)), down, noRoute, "connection refused"},
		{"name", at("no-such-host.invalid:1"), down, noRoute, "no-such-host.invalid"},
		{"deaf", at(deaf(t)), down, noRoute, "no answer: connecting to 127.0.0.1"},
		{"authority", with(harness.Keys{"mode": "verify-full", "ca_file": other.CAFile}), down, failed, "tls: its certificate is signed by an authority that is not trusted"},
		{"identity", with(harness.Keys{"server_name": "elsewhere.example"}), down, failed, "tls: its certificate is for another name"},
		{"password", harness.Route{Users: []harness.Account{{User: "app", Password: "wrong"}}}, down, "AUTH_FAILURE", "it refuses the login"},
		{"full", harness.Route{Server: full(t, name)}, down, failed, "too many connections"},
		{"silent", at(strange(t, silent)), down, failed, "accepts connections but does not answer"},
		{"curt", at(strange(t, curt)), down, failed, "closed the connection"},
		{"garbled", at(strange(t, garbled)), down, failed, "it does not keep to the protocol"},
	}
	if s.Engine == harness.Postgres {
		ca, certificate := expired(t)
		old := at(strange(t, secure(certificate)))
		old.Group["tls"] = harness.Keys{"ca_file": ca, "server_name": "localhost"}
		all = append(all,
			state{"plain", at(strange(t, plain)), down, failed, "tls: the server does not offer tls"},
			state{"expired", old, down, failed, "tls: its certificate is good from "},
			state{"mute", at(strange(t, muteTLS)), down, failed, "tls: it does not speak TLS"})
	} else {
		all = append(all, state{"plain", at(strange(t, plainMySQL)), down, failed, "tls: the server does not offer tls"})
	}
	for i := range all {
		r := &all[i].route
		r.Name = all[i].name
		if r.Server == nil {
			r.Server = s
		}
		if r.Group == nil {
			r.Group = harness.Keys{}
		}
		if r.Group["health_check"] == nil {
			r.Group["health_check"] = harness.Keys{"timeout": "2s"}
		}
	}
	return all
}

func TestEveryStateOfATargetIsToldWithItsCause(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pg18", "mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			all := states(t, name)
			c := harness.Config{Unready: true}
			for _, s := range all {
				c.Routes = append(c.Routes, s.route)
			}
			p := harness.Start(t, c)
			for _, s := range all {
				var got harness.TargetStatus
				harness.Eventually(t, settleWithin, s.name+" is "+s.state, func() bool {
					got = targets(t, p, s.name)["primary"]
					return got.State == s.state
				})
				if got.Reason != s.reason || !strings.Contains(got.Cause, s.cause) {
					t.Errorf("%s: %s: %s", s.name, got.Reason, got.Cause)
				}
			}
			code, out, err := p.Command(t.Context(), "status")
			if err != nil || code != 0 {
				t.Fatalf("berth status: %v, %d, %s", err, code, out)
			}
			for _, s := range all {
				said := false
				for line := range strings.Lines(out) {
					said = said || strings.HasPrefix(line, s.name+"/primary ") && strings.Contains(line, " "+s.state+" ") &&
						strings.Contains(line, s.reason) && strings.Contains(line, s.cause)
				}
				if !said {
					t.Errorf("berth status does not say that %s is %s: %s, %s\n%s", s.name, s.state, s.reason, s.cause, out)
				}
			}
			if p.Ready(t.Context()) == nil {
				t.Error("it says that it is ready")
			}
		})
	}
}

func TestAProxyWithoutFileDescriptorsSaysSo(t *testing.T) {
	for _, name := range []string{"pg18", "mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
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
			endMonitor(t, s)
			harness.Eventually(t, settleWithin, "it has no descriptor", func() bool {
				got := targets(t, p, s.Name)["primary"]
				return got.State == "UNAVAILABLE" && got.Reason == "PENDING_PROXY_CAPACITY" && strings.Contains(got.Cause, "too many open files")
			})
			if err := unix.Prlimit(p.PID(), unix.RLIMIT_NOFILE, &was, nil); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "it is up again", func() bool { return targets(t, p, s.Name)["primary"].State == "AVAILABLE" })
		})
	}
}

// endMonitor ends the monitoring connections to s, on which nobody else has logged in.
func endMonitor(t *testing.T, s *harness.Server) {
	t.Helper()
	if s.Engine == harness.Postgres {
		harness.Exec(t, s, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'berth probe'")
		return
	}
	for _, id := range strings.Fields(mysqlValue(t, s, "select coalesce(group_concat(id separator ' '), '') from information_schema.processlist where user = 'app'")) {
		harness.Exec(t, s, "kill "+id)
	}
}

func TestOfTwoWritersNoneIsUsed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pg18", "mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			c := startPair(t, name, false)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{
				Server: c.primary, Replica: c.replica, Pool: harness.Keys{"connection_borrow_timeout": "500ms"},
			}}})
			client := read(t, p.Endpoint(name))
			got := targets(t, p, name)
			if got["primary"].State != "AVAILABLE" || got["replica"].State != "AVAILABLE" || got["primary"].ReadOnly || !got["replica"].ReadOnly {
				t.Errorf("before: %+v", got)
			}
			if err := c.replica.Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "both are out of use", func() bool {
				got = targets(t, p, name)
				return got["primary"].State == "UNAVAILABLE" && got["replica"].State == "UNAVAILABLE"
			})
			if got["primary"].Reason != "INVALID_REPLICATION_STATE" || got["replica"].Reason != "PROMOTED" {
				t.Errorf("two writers: %+v", got)
			}
			if _, out, err := p.Command(t.Context(), "status"); err != nil || !strings.Contains(out, "INVALID_REPLICATION_STATE: primary and replica say") ||
				!strings.Contains(out, "PROMOTED: it was a replica") {
				t.Errorf("%v, %s", err, out)
			}
			if _, err := client.ask(t.Context(), "insert into direct values ('x')"); err == nil {
				t.Error("a write went to one of two writers")
			}
			if err := c.primary.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "the other is used", func() bool {
				_, err := client.ask(t.Context(), "insert into direct values ('y')")
				return err == nil
			})
		})
	}
}
