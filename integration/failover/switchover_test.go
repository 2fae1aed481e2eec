package failover

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// flawless is a client that no error is excused to: not even one that it could try again after.
type flawless struct{ ledger.Writer }

func (flawless) Outcome(err error) (ledger.Outcome, error) { return ledger.Done, err }

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
	command(t, p, "resume", route)
}

func TestAPlannedSwitchoverIsNoErrorToAnybody(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			c := startPair(t, name, false)
			p := c.serve(t, harness.Keys{})
			connect := func(ctx context.Context) (ledger.Writer, error) {
				w, err := c.connect(ctx, p.Endpoint(name))
				return flawless{w}, err
			}
			under(t, connect, c.rows(t), func(_ *ledger.Book, progress func()) {
				switchOver(t, p, name, func() {
					// A writer that is stopped, not killed, ends when its replica has received everything.
					if err := c.primary.Stop(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := c.replica.Promote(t.Context()); err != nil {
						t.Fatal(err)
					}
				})
				progress()
			})
		})
	}
}

func TestAPlannedSwitchoverOfMySQLIsNoErrorToAnybody(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			c := startPair(t, name, false)
			p := c.serve(t, harness.Keys{})
			connect := func(ctx context.Context) (ledger.Writer, error) {
				w, err := c.connect(ctx, p.Endpoint(name))
				return flawless{w}, err
			}
			under(t, connect, c.rows(t), func(_ *ledger.Book, progress func()) {
				switchOver(t, p, name, func() {
					harness.Exec(t, c.primary, "set global read_only = on")
					position, wait := "select @@global.gtid_executed", "do wait_for_executed_gtid_set('%s')"
					if strings.HasPrefix(name, "mariadb") {
						position, wait = "select @@global.gtid_binlog_pos", "do master_gtid_wait('%s')"
					}
					harness.Exec(t, c.replica, fmt.Sprintf(wait, mysqlValue(t, c.primary, position)))
					if err := c.replica.Promote(t.Context()); err != nil {
						t.Fatal(err)
					}
				})
				progress()
			})
		})
	}
}
