package differential

import (
	"flag"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

var (
	seed    = flag.Uint64("differential.seed", 1, "the first script's seed; each following script's is one more. 0: the time")
	scripts = flag.Int("differential.scripts", 20, "scripts for each server")
	servers = flag.String("differential.servers", "", "the only server to test")
	open    = flag.Bool("differential.open", false, "ask what is known to differ, too")
	all     = flag.Int("differential.differences", 1, "stop after so many scripts with a difference")
	shrinks = flag.Duration("differential.shrink", time.Minute, "spend so long on making a script with a difference smaller")
)

// between starts a proxy with two connections to a server.
func between(t *testing.T, e engine, name string, pool, group harness.Keys) *rig {
	t.Helper()
	s := harness.Shared(t, name)
	e.prepare(t, s)
	keys := harness.Keys{"connection_borrow_timeout": "10m", "max_connections": 2}
	for name, value := range pool {
		keys[name] = value
	}
	users := []harness.Account{}
	for _, l := range []harness.Login{harness.App(), harness.Superuser()} {
		users = append(users, harness.Account{User: l.User, Password: l.Password})
	}
	p := harness.Start(t, harness.Config{
		Env:    []string{"BERTH_PARANOID=1"},
		Routes: []harness.Route{{Server: s, Users: users, Plain: true, Pool: keys, Group: group}},
	})
	return &rig{engine: e, server: s, proxy: p.Endpoint(name), accepted: e.accepted()}
}

func TestSessionsBehindTheProxyAreToldWhatTheServerTellsThem(t *testing.T) {
	for name, e := range map[string]engine{
		"pg15": postgres{}, "pg18": postgres{}, "mysql97": mysql{open: *open}, "mariadb1011": mysql{maria: true, open: *open},
	} {
		t.Run(name, func(t *testing.T) {
			if *servers != "" && *servers != name {
				return
			}
			r := between(t, e, name, nil, nil)
			first := *seed
			if first == 0 {
				first = uint64(time.Now().UnixNano())
			}
			t.Logf("%d scripts from seed %d", *scripts, first)
			found := 0
			for i := range *scripts {
				s := generate(r.engine, first+uint64(i))
				d, err := r.compare(s)
				if err != nil {
					t.Fatal(err)
				}
				if d == nil {
					continue
				}
				t.Errorf("seed %d: %s", s.seed, d)
				s, d = r.shrink(s, d, *shrinks)
				t.Errorf("%s\n%s", d, s)
				if found++; found == *all {
					break
				}
			}
		})
	}
}

// TestALeakIsFound shows that the comparison can fail: with filters, sessions lose what they made.
func TestALeakIsFound(t *testing.T) {
	for group, filter := range map[string]string{
		"temporary": "EXCLUDE_TEMPORARY_TABLES", "locks": "EXCLUDE_NAMED_LOCKS", "prepare": "EXCLUDE_PREPARED_STATEMENTS", "sequences": "EXCLUDE_SEQUENCES",
	} {
		t.Run(filter, func(t *testing.T) {
			e := postgres{groups: map[string]bool{group: true}}
			r := between(t, e, "pg15", harness.Keys{"session_pinning_filters": []string{filter}}, nil)
			const enough = 50
			for i := range uint64(enough) {
				d, err := r.compare(generate(e, 1+i))
				if err != nil {
					t.Fatal(err)
				}
				if d != nil {
					return
				}
			}
			t.Errorf("%d scripts behind a proxy that lets go of what %s says show no difference", enough, filter)
		})
	}
}
