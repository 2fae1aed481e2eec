package failover

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/berthdb/berth/integration/harness"
)

// retarget gives the only target group of a proxy other targets, by a reload.
func retarget(t *testing.T, p *harness.Proxy, servers map[string]*harness.Server) {
	t.Helper()
	text, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	var list []any
	for name, s := range servers {
		list = append(list, map[string]any{"name": name, "address": s.Address()})
	}
	c["target_groups"].([]any)[0].(map[string]any)["targets"] = list
	if text, err = yaml.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.ConfigFile(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, settleWithin, "the targets are others", func() bool {
		got := targets(t, p, "all")
		for name, s := range servers {
			if got[name].Address != s.Address() || got[name].State != "AVAILABLE" {
				return false
			}
		}
		return len(got) == len(servers)
	})
}

func TestTargetsJoinAndLeaveByReload(t *testing.T) {
	t.Parallel()
	for _, k := range clusters {
		t.Run(k.name, func(t *testing.T) {
			c := startCluster(t, k.name, k.options)
			all := c.replicas
			c.replicas = all[:1]
			p := c.serve(t, harness.Keys{}, harness.Keys{"max_connections": 5})
			c.replicas = all
			harness.Eventually(t, settleWithin, "the replica serves", func() bool {
				return strings.Join(targets(t, p, "all")["replica1"].Serves, " ") == "read_only"
			})
			var sessions []reader
			for range 8 {
				r := read(t, p.Endpoint("readers"))
				r.must(t, c.set)
				sessions = append(sessions, r)
			}
			writes := read(t, p.Endpoint("all"))
			writes.must(t, c.pin)
			if got := c.spread(t, sessions); got != [3]int{0, 8, 0} {
				t.Errorf("one replica: %d", got)
			}

			retarget(t, p, map[string]*harness.Server{"primary": c.writer, "replica1": all[0], "replica2": all[1]})
			c.comes(t, "the replica that joins has its share", sessions, [3]int{0, 4, 4})

			pinned := read(t, p.Endpoint("readers"))
			pinned.must(t, c.pin)
			first, stays := all[0], all[1]
			want := [3]int{0, 0, 8}
			if ":"+pinned.must(t, c.port) == c.at(all[1]) {
				first, stays, want = all[1], all[0], [3]int{0, 8, 0}
			}
			// The name of the one that stays changes, too.
			retarget(t, p, map[string]*harness.Server{"primary": c.writer, "other": stays})
			if got := c.spread(t, sessions); got != want {
				t.Errorf("after one has left: %d", got)
			}
			for i, r := range sessions {
				if got := r.must(t, c.show); got != c.want {
					t.Errorf("session %d lost its setting: %s", i, got)
				}
			}
			if _, err := pinned.ask(t.Context(), c.port); code(err) != "08006" && code(err) != "HY000" {
				t.Errorf("the pinned session is told %v", err)
			}
			if ":"+pinned.must(t, c.port) != c.at(stays) {
				t.Error("the pinned session did not move")
			}
			harness.Eventually(t, settleWithin, "it has left", func() bool {
				return strings.Contains(p.Log(), "target has left the target group")
			})
			harness.Eventually(t, settleWithin, "no connection to it is open", func() bool {
				n, err := first.Connections(t.Context(), harness.App().User)
				return err == nil && n.Open == 0
			})
			writes.must(t, c.port) // still pinned to the writer, which stayed

			// The writer is exchanged for another that is not its replica: an administrator's word is enough.
			if err := stays.Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
			retarget(t, p, map[string]*harness.Server{"other": stays})
			moved := read(t, p.Endpoint("all"))
			if ":"+moved.must(t, c.port) != c.at(stays) {
				t.Error("the new writer is not used")
			}
		})
	}
}
