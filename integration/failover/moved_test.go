package failover

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// TestAWriterThatIsReplacedAtItsAddressIsNotWrittenToAnyMore has a writer that takes no more writes, and keeps its connections, while its name leads
// to the new one.
func TestAWriterThatIsReplacedAtItsAddressIsNotWrittenToAnyMore(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"mysql97", "mariadb1011"} {
		t.Run(name, func(t *testing.T) { replace(t, name, harness.Keys{"max_connections_percent": 20}, true) })
	}
}

// TestInAHardLimitAWriterThatIsReplacedAtItsAddressIsNotWrittenToAnyMore is the same without a pinned
// session, which keeps what it has.
func TestInAHardLimitAWriterThatIsReplacedAtItsAddressIsNotWrittenToAnyMore(t *testing.T) {
	t.Parallel()
	replace(t, "mariadb1011", harness.Keys{"max_connections": 4}, false)
}

func replace(t *testing.T, name string, pool harness.Keys, pins bool) {
	t.Helper()
	c := startPair(t, name, false)
	address := startMoving(t, c.primary)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: c.primary, Pool: pool,
		Group: harness.Keys{
			"targets": []harness.Keys{{"name": "primary", "address": address.address}}, "tls": harness.Keys{"server_name": "localhost"},
		},
	}}})
	free, pinned := read(t, p.Endpoint(name)), read(t, p.Endpoint(name))
	free.must(t, "insert into app.ledger values ('free')")
	writers := map[string]reader{"free": free}
	if pins {
		pinned.must(t, "select get_lock('x', 0)")
		writers["pinned"] = pinned
	}
	harness.Exec(t, c.primary, "set global read_only = on")
	position, wait := "select @@global.gtid_executed", "do wait_for_executed_gtid_set('%s')"
	if strings.HasPrefix(name, "mariadb") {
		position, wait = "select @@global.gtid_binlog_pos", "do master_gtid_wait('%s')"
	}
	harness.Exec(t, c.replica, fmt.Sprintf(wait, mysqlValue(t, c.primary, position)))
	address.move(c.replica)
	if err := c.replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, s := range writers {
		harness.Eventually(t, settleWithin, what+" writes", func() bool {
			_, _ = s.ask(t.Context(), "select 1") // behind which an error's diagnostics keep nothing any more
			_, err := s.ask(t.Context(), "insert into app.ledger values ('"+what+" again')")
			return err == nil
		})
		if n := mysqlValue(t, c.replica, "select count(*) from app.ledger where id = '"+what+" again'"); n != "1" {
			t.Errorf("%s rows of %s on the new writer", n, what)
		}
	}
}
