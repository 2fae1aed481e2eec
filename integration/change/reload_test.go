package change

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/berthdb/berth/integration/harness"
)

// edit replaces text in a proxy's configuration, which must have it.
func edit(t *testing.T, p *harness.Proxy, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(oldnew...).Replace(string(text))
	if changed == string(text) {
		t.Fatalf("nothing is replaced in\n%s", text)
	}
	if err := os.WriteFile(p.ConfigFile(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload makes the proxy read its file and returns what it says.
func reload(t *testing.T, p *harness.Proxy, oldnew ...string) string {
	t.Helper()
	edit(t, p, oldnew...)
	code, out := berth(t, p, "reload")
	if code != 0 {
		t.Fatalf("reload: %d, %s", code, out)
	}
	return out
}

func TestTwentyReloadsUnderLoadHarmNobody(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{
				Server: s, MaxConnections: 3, Listener: harness.Keys{"max_client_connections": 1000},
				Pool: harness.Keys{"connection_borrow_timeout": "61s"},
			}}})
			c := gather(t, p.Endpoint(name), s, 4, 2)
			for i := range 20 {
				from, to := "max_connections: 3", "max_connections: 5"
				if i%2 == 1 {
					from, to = to, from
				}
				reload(t, p, from, to, fmt.Sprintf("max_client_connections: %d", 1000+i), fmt.Sprintf("max_client_connections: %d", 1001+i),
					fmt.Sprintf("connection_borrow_timeout: %dm", 1+i), fmt.Sprintf("connection_borrow_timeout: %dm", 2+i),
					"connection_borrow_timeout: 61s", "connection_borrow_timeout: 2m")
				c.goesOn()
			}
			c.unharmed(s)
			if l, err := p.Listener(t.Context(), name); err != nil || l.QueryRequests == 0 {
				t.Errorf("the listener's counters began anew: %+v, %v", l, err)
			}
		})
	}
}

func TestAReloadChangesLimitsUsersAndListenersAndSessionsStay(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			port, err := harness.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 2}}})
			first := p.Endpoint(name)
			stays := dial(t, first)
			stays.must(t, "create temporary table mine (n int)")

			out := reload(t, p, "max_connections: 2", "max_connections: 1", "drain_timeout: 2s", "drain_timeout: 3s")
			if !strings.Contains(out, "changed: target_groups[0].connection_pool.max_connections") ||
				!strings.Contains(out, "needs a restart: runtime.drain_timeout") {
				t.Errorf("reload says %s", out)
			}
			if pool, err := p.Pool(t.Context(), name); err != nil || pool.Max != 1 {
				t.Errorf("a lowered limit: %+v, %v", pool, err)
			}
			reload(t, p, "max_connections: 1", "max_connections: 4")

			moved := first
			moved.Port = port
			reload(t, p, first.Address(), moved.Address())
			dial(t, moved).must(t, "select 1")
			if c, err := connect(t.Context(), first); err == nil {
				c.end()
				t.Error("the old address still answers")
			}
			stays.must(t, "insert into mine values (1)")

			// The user's secret goes: nobody new comes in by it.
			user := harness.App().User
			edit(t, p, "-"+user+".json", "-other.json")
			other := p.ConfigFile()[:strings.LastIndexByte(p.ConfigFile(), '/')] + "/" + name + "-other.json"
			if err := os.WriteFile(other, []byte(`{"username": "other", "password": "x"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, out := berth(t, p, "reload"); code != 0 {
				t.Fatalf("reload: %d, %s", code, out)
			}
			if c, err := connect(t.Context(), moved); err == nil {
				c.end()
				t.Error("a user who was taken away comes in")
			}
			stays.must(t, "insert into mine values (2)")
			if n, err := stays.ask(t.Context(), "select count(*) from mine"); err != nil || n != 2 {
				t.Errorf("the session that stays: %d, %v", n, err)
			}
		})
	}
}

func TestABadReloadChangesNothingAndSaysWhere(t *testing.T) {
	name := names()[0]
	s := harness.Shared(t, name)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 2}}})
	c := dial(t, p.Endpoint(name))
	good, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	taken := fmt.Sprintf("127.0.0.1:%d", s.Port)
	for what, bad := range map[string]struct{ old, new, says string }{
		"a key that is unknown":            {"max_connections: 2", "max_conections: 3", "berth.yaml:"},
		"a secret that is missing":         {"-" + harness.App().User + ".json", "-nobody.json", "target_groups[0] (" + name + "): auth"},
		"a certificate that is none":       {"cert_file: ", "cert_file: /nowhere", "listeners[0] (" + name + "): tls.cert_file"},
		"an address that is not to be had": {p.Endpoint(name).Address(), taken, "listener " + name + ": "},
	} {
		edit(t, p, bad.old, bad.new, "max_connections: 2", "max_connections: 3")
		if code, out := berth(t, p, "reload"); code != 1 || !strings.Contains(out, bad.says) || !strings.Contains(out, "nothing was changed") {
			t.Errorf("%s: %d, %s", what, code, out)
		}
		if pool, err := p.Pool(t.Context(), name); err != nil || pool.Max != 2 {
			t.Errorf("%s: %+v, %v", what, pool, err)
		}
		dial(t, p.Endpoint(name)).must(t, "select 1")
		c.must(t, "select 1")
		if err := os.WriteFile(p.ConfigFile(), good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListenersAndTargetGroupsComeAndGoByReload(t *testing.T) {
	pg, my := harness.PostgresNames()[0], harness.MySQLNames()[0]
	a, b := harness.Shared(t, pg), harness.Shared(t, my)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: a, MaxConnections: 2}, {Server: b, MaxConnections: 2}}})
	both, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	stays := dial(t, p.Endpoint(my))
	stays.must(t, "select 1")
	var keys map[string]any
	if err := yaml.Unmarshal(both, &keys); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"listeners", "target_groups"} {
		keys[list] = keys[list].([]any)[:1]
	}
	one, err := yaml.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(p.ConfigFile(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := berth(t, p, "reload"); code != 0 {
			t.Fatalf("reload: %d, %s", code, out)
		}
	}
	write(one)
	if c, err := connect(t.Context(), p.Endpoint(my)); err == nil {
		c.end()
		t.Error("a listener that is gone still answers")
	}
	stays.must(t, "select 1", "begin", "select 1")
	dial(t, p.Endpoint(pg)).must(t, "select 1")
	write(both)
	dial(t, p.Endpoint(my)).must(t, "select 1")
	stays.must(t, "rollback")
	if s, err := p.Status(t.Context()); err != nil || len(s.TargetGroups) != 2 || len(s.Listeners) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}
