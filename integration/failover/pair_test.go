package failover

import (
	"context"
	"testing"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// pair is a writer with a replica, and a ledger for clients to write.
type pair struct {
	kind
	name             string
	primary, replica *harness.Server
}

// kind is how a pair of servers of a name is set up, and written to.
type kind struct {
	options []string // of both servers
	tables  []string // made on the writer: ledger, and direct for who writes past the proxy
	// writer and replica are what makes the writer wait for its replica, which then has what was acknowledged. That of the replica comes
	// second: it asks when it connects whether the writer waits.
	writer, replica []string
	connect         func(ctx context.Context, e harness.Endpoint) (ledger.Writer, error)
	read            func(ctx context.Context, s *harness.Server) (map[string]int, error)
}

var postgresKind = kind{
	nil,
	[]string{"create table ledger (id text)", "create table direct (id text)", "grant all on ledger, direct to public"},
	[]string{"alter system set synchronous_standby_names = '*'", "select pg_reload_conf()"},
	nil,
	ledger.ConnectPostgres, ledger.PostgresRows,
}

var mysqlTables = []string{"create table app.ledger (id varchar(20))", "create table app.direct (id varchar(20))"}

var kinds = map[string]kind{
	"pg15": postgresKind,
	"pg18": postgresKind,
	"mysql97": {
		[]string{"log-bin=log", "gtid-mode=ON", "enforce-gtid-consistency=ON", "performance_schema=ON"},
		mysqlTables,
		[]string{
			"install plugin rpl_semi_sync_source soname 'semisync_source.so'",
			"set global rpl_semi_sync_source_timeout = 600000", "set global rpl_semi_sync_source_enabled = on",
		},
		[]string{
			"set global super_read_only = off", "install plugin rpl_semi_sync_replica soname 'semisync_replica.so'",
			"set global super_read_only = on", "set global rpl_semi_sync_replica_enabled = on",
			"stop replica io_thread", "start replica io_thread",
		},
		ledger.ConnectMySQL, ledger.MySQLRows,
	},
	"mariadb1011": {
		[]string{"log-bin=log"},
		mysqlTables,
		[]string{"set global rpl_semi_sync_master_timeout = 600000", "set global rpl_semi_sync_master_enabled = on"},
		[]string{"set global rpl_semi_sync_slave_enabled = on", "stop slave io_thread", "start slave io_thread"},
		ledger.ConnectMySQL, ledger.MySQLRows,
	},
}

// startPair starts one. With waits, nothing is acknowledged before the replica has it.
func startPair(t *testing.T, name string, waits bool) *pair {
	t.Helper()
	return pairWith(t, name, waits, harness.Own)
}

// pairWith starts one whose writer is started by own.
func pairWith(t *testing.T, name string, waits bool, own func(t harness.T, name string, options ...string) *harness.Server) *pair {
	t.Helper()
	c := &pair{kind: kinds[name], name: name}
	c.primary = own(t, name, c.options...)
	c.replica = harness.Replica(t, c.primary)
	harness.Exec(t, c.primary, c.tables...)
	if waits {
		harness.Exec(t, c.primary, c.kind.writer...)
		harness.Exec(t, c.replica, c.kind.replica...)
	}
	return c
}

// serve starts a proxy in front of it, whose sessions wait as long as anything takes here. group is laid over its target group.
func (c *pair) serve(t *testing.T, group harness.Keys) *harness.Proxy {
	t.Helper()
	return harness.Start(t, harness.Config{Routes: []harness.Route{{
		Server: c.primary, Replica: c.replica, Group: group,
		Pool: harness.Keys{"connection_borrow_timeout": "120s", "max_connections_percent": 10},
	}}})
}

// rows returns what reads the ledger of the replica.
func (c *pair) rows(t *testing.T) func() map[string]int {
	return func() map[string]int {
		t.Helper()
		found, err := c.read(t.Context(), c.replica)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}
