package postgres

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// pgbench runs it on endpoint e and returns what it prints.
func pgbench(t *testing.T, of string, e harness.Endpoint, args ...string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	l := harness.App().InClear()
	args = append(args, "-h127.0.0.1", "-p"+strings.TrimPrefix(e.Address(), "127.0.0.1:"), "-U"+l.User, l.Database)
	cmd := exec.CommandContext(ctx, harness.Program(t, of, "PGBENCH"), args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+l.Password, "PGSSLMODE=disable", "PGCONNECT_TIMEOUT=60")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPgbenchWith200ClientsRunsOver10Connections(t *testing.T) {
	const budget, clients, transactions = 10, "200", "25"
	each(t, harness.Route{MaxConnections: budget}, func(t *testing.T, r *rig) {
		pgbench(t, r.server.Name, r.server.Endpoint, "-iq", "-s5")
		t.Cleanup(func() {
			err := r.server.Exec(context.Background(), "drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")
			if err != nil {
				t.Error(err)
			}
		})
		for _, mode := range []string{"simple", "extended", "prepared"} {
			for script, args := range map[string][]string{"TPC-B": {"-t" + transactions}, "select only": {"-S", "-t100"}} {
				t.Run(mode+" "+script, func(t *testing.T) {
					most := harness.WatchConnections(t, r.server, harness.App().User)
					threads := "-j2"
					if mode == "prepared" {
						// pgbench waits for the answer to a Parse with all clients of a thread, of which others hold connections.
						threads = "-j" + clients
					}
					out := pgbench(t, r.server.Name, r.Endpoint, append(slices.Clone(args), "-n", "-c"+clients, threads, "-M"+mode)...)
					if n := most().Open; n == 0 || n > budget {
						t.Errorf("%d database connections, the limit is %d", n, budget)
					}
					if !strings.Contains(out, "number of failed transactions: 0 ") || strings.Contains(out, "aborted") {
						t.Errorf("pgbench:\n%s", out)
					}
					if n, err := r.proxy.Sum(t.Context(), "berth_pins_total", ""); err != nil || n != 0 {
						t.Errorf("%v sessions were pinned, %v", n, err)
					}
				})
			}
		}
		conn := conn(t, r.server.Endpoint, harness.App())
		if got := ask(t, conn, `select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
			(select count(*) from pgbench_history)`); got != "t 15000" {
			t.Errorf("balances agree with the history, and how long that is: %s", got)
		}
		r.whole(t)
	})
}
