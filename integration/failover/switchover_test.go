package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// flawless is a client that no error is excused to: not even one that it could try again after.
type flawless struct{ writer }

func (flawless) outcome(err error) (outcome, error) { return done, err }

// command runs a subcommand of berth on a route, which must succeed.
func command(t *testing.T, p *harness.Proxy, name, route string) {
	t.Helper()
	if code, out, err := p.Command(t.Context(), name, route); err != nil || code != 0 {
		t.Fatalf("berth %s: %v, exit code %d, %s", name, err, code, out)
	}
}

// switchOver exchanges the roles of two servers as docs/failover.md says, but for the change itself.
func switchOver(t *testing.T, p *harness.Proxy, route string, change func()) {
	t.Helper()
	command(t, p, "pause", route)
	change()
	harness.Eventually(t, settleWithin, "the replica is the writer", func() bool {
		got := targets(t, p, route)
		return slices.Contains(got["replica"].Serves, "read_write")
	})
	command(t, p, "resume", route)
}

// pairOf is a route to a pair of servers whose sessions wait as long as a switchover takes.
func pairOf(t *testing.T, primary, replica *harness.Server) *harness.Proxy {
	t.Helper()
	return harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: primary, Replica: replica,
		Pool: harness.Keys{"connection_borrow_timeout": "120s", "max_connections_percent": 10},
	}}})
}

func TestAPlannedSwitchoverIsNoErrorToAnybody(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			primary, replica := harness.Pair(t, name)
			harness.Exec(t, primary, "create table ledger (id text)", "grant all on ledger to public")
			p := pairOf(t, primary, replica)
			connect := func(ctx context.Context) (writer, error) {
				c, err := p.Endpoint(name).PgxConn(ctx, harness.App())
				return flawless{&postgresWriter{c}}, err
			}
			under(t, connect, func() map[string]int { return postgresRows(t, replica) }, func(progress func()) {
				switchOver(t, p, name, func() {
					// A writer that is stopped, not killed, ends when its replica has received everything.
					if err := primary.Stop(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := replica.Promote(t.Context()); err != nil {
						t.Fatal(err)
					}
				})
				progress()
			})
		})
	}
}

func TestAPlannedSwitchoverOfMySQLIsNoErrorToAnybody(t *testing.T) {
	for name, c := range mysqlPairs {
		t.Run(name, func(t *testing.T) {
			primary, replica := harness.Pair(t, name, c.options...)
			harness.Exec(t, primary, "create table app.ledger (id varchar(20))")
			p := pairOf(t, primary, replica)
			connect := func(ctx context.Context) (writer, error) {
				w, err := connectMySQL(ctx, p.Endpoint(name))
				return flawless{w}, err
			}
			under(t, connect, func() map[string]int { return mysqlRows(t, replica) }, func(progress func()) {
				switchOver(t, p, name, func() {
					harness.Exec(t, primary, "set global read_only = on")
					position, wait := "select @@global.gtid_executed", "do wait_for_executed_gtid_set('%s')"
					if strings.HasPrefix(name, "mariadb") {
						position, wait = "select @@global.gtid_binlog_pos", "do master_gtid_wait('%s')"
					}
					harness.Exec(t, replica, fmt.Sprintf(wait, mysqlValue(t, primary, position)))
					if err := replica.Promote(t.Context()); err != nil {
						t.Fatal(err)
					}
				})
				progress()
			})
		})
	}
}
