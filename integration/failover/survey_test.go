package failover

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// managed is a kind of cluster whose servers tell who the others are, in objects of the names and shapes that Amazon documents. The ID of an
// instance is its port here.
type managed struct {
	name, source string
	prepare      []string // what makes the objects
	// row is the statement that tells of an instance: by port, whether it is the writer, minutes since it was heard of.
	clear string
	row   func(port int, writer bool, age int) string
	spoil string // what makes the servers tell nothing
	cause string // which is said so
	ages  bool   // they tell when an instance was heard of
}

func session(port int, writer bool) string {
	if writer {
		return "MASTER_SESSION_ID"
	}
	return fmt.Sprintf("00000000-0000-0000-0000-%012d", port)
}

var (
	auroraPostgres = managed{
		"pg18", "aurora",
		[]string{
			"create table public.status (server_id text, session_id text, last_update_timestamp timestamptz, replica_lag_in_msec double precision)",
			"grant select on public.status to public",
			"create function pg_catalog.aurora_replica_status() returns setof public.status language sql as 'select * from public.status'",
		},
		"delete from public.status",
		func(port int, writer bool, age int) string {
			return fmt.Sprintf("insert into public.status values ('%d', '%s', now() - interval '%d minutes', %s)", port, session(port, writer), age,
				map[bool]string{true: "null", false: "17.5"}[writer])
		},
		"drop function pg_catalog.aurora_replica_status()", "aurora_replica_status() does not exist (42883)", true,
	}
	multiAZPostgres = managed{
		"pg18", "rds_multi_az",
		[]string{
			"create table public.topology (id text, endpoint text, port integer)", "create schema rds_tools", "grant usage on schema rds_tools to public",
			"create function rds_tools.show_topology(who text) returns setof public.topology language sql security definer as 'select * from public.topology'",
		},
		"delete from public.topology",
		func(port int, _ bool, _ int) string {
			return fmt.Sprintf("insert into public.topology values ('db-%d', '%d.abc.eu-central-1.rds.amazonaws.com', 5432)", port, port)
		},
		"revoke usage on schema rds_tools from public", "permission denied for schema rds_tools (42501)", false,
	}
	multiAZMySQL = managed{
		"mysql97", "rds_multi_az",
		[]string{"create table mysql.rds_topology (id varchar(20), endpoint varchar(100), port int)", "grant select on mysql.rds_topology to app"},
		"delete from mysql.rds_topology",
		func(port int, _ bool, _ int) string {
			return fmt.Sprintf("insert into mysql.rds_topology values ('%d', '%d.abc.eu-central-1.rds.amazonaws.com', 3306)", port, port)
		},
		"revoke select on mysql.rds_topology from app", "SELECT command denied to user", false,
	}
	// Nobody can add to information_schema: a relay gives the schema that takes its place its name.
	auroraMySQL = managed{
		"mysql97", "aurora",
		[]string{
			"create database aurora_information",
			"create table aurora_information.replica_host_status (server_id varchar(100), session_id varchar(100), last_update_timestamp datetime(6), replica_lag_in_milliseconds double)",
			"grant select on aurora_information.* to app",
		},
		"delete from aurora_information.replica_host_status",
		func(port int, writer bool, age int) string {
			return fmt.Sprintf("insert into aurora_information.replica_host_status values ('%d', '%s', now(6) - interval %d minute, %s)", port, session(port, writer), age,
				map[bool]string{true: "null", false: "17.5"}[writer])
		},
		"drop table aurora_information.replica_host_status", "doesn't exist (1146)", true,
	}
)

// instances are what is told of: minutes since it was heard of, by server. The first is the writer.
type instance struct {
	port, age int
}

// tell makes s, and who replicates it, tell of instances, the first of which is the writer.
func (m managed) tell(t *testing.T, s *harness.Server, all ...instance) {
	t.Helper()
	statements := []string{m.clear}
	for n, i := range all {
		statements = append(statements, m.row(i.port, n == 0, i.age))
	}
	m.run(t, s, append(append([]string{"begin"}, statements...), "commit")...)
}

// run executes statements where the monitors are.
func (m managed) run(t *testing.T, s *harness.Server, statements ...string) {
	t.Helper()
	if s.Engine != harness.Postgres {
		harness.Exec(t, s, statements...)
		return
	}
	login := harness.Superuser()
	login.Database = "postgres"
	c, err := s.PgxConn(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for _, q := range statements {
		if _, err := c.PgConn().Exec(t.Context(), q).ReadAll(); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// renamed relays to s, in clear, and writes aurora_information where a client writes information_schema. It returns its port.
func renamed(t *testing.T, s *harness.Server) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = client.Close() }()
				server, err := net.Dial("tcp", s.Address())
				if err != nil {
					return
				}
				defer func() { _ = server.Close() }()
				go func() {
					_, _ = io.Copy(client, server)
					_ = client.Close()
				}()
				buffer := make([]byte, 64<<10) // statements come in one piece
				for {
					n, err := client.Read(buffer)
					if err != nil {
						return
					}
					text := bytes.ReplaceAll(buffer[:n], []byte("information_schema.replica"), []byte("aurora_information.replica"))
					if _, err := server.Write(text); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestTargetsAreToldByTheServersThemselves(t *testing.T) {
	t.Parallel()
	mariadb := multiAZMySQL
	mariadb.name = "mariadb1011"
	for _, m := range []managed{auroraPostgres, multiAZPostgres, auroraMySQL, multiAZMySQL, mariadb} {
		t.Run(m.source+" "+m.name, func(t *testing.T) {
			var options []string
			for _, k := range clusters {
				if k.name == m.name {
					options = k.options
				}
			}
			c := startCluster(t, m.name, options)
			m.run(t, c.writer, m.prepare...)
			port := func(s *harness.Server) int { return s.Port }
			if m.source == "aurora" && c.writer.Engine != harness.Postgres {
				ports := map[*harness.Server]int{}
				c.plain = true
				for _, s := range append(c.replicas, c.writer) {
					ports[s] = renamed(t, s)
				}
				port = func(s *harness.Server) int { return ports[s] }
			}
			w, r0, r1 := port(c.writer), port(c.replicas[0]), port(c.replicas[1])
			m.tell(t, c.writer, instance{w, 0}, instance{r0, 0})
			name := fmt.Sprintf("localhost:%d", w)
			p := c.found(t, harness.Keys{"source": m.source, "name": name, "instance_host_pattern": "localhost:?"})
			source := m.source + " " + name
			say(t, p, source, "")
			var sessions []reader
			for range 6 {
				sessions = append(sessions, read(t, p.Endpoint("readers")))
			}
			c.comes(t, "the replica is found", sessions, [3]int{0, 6, 0})
			if got := targets(t, p, "all"); len(got) != 2 || got[fmt.Sprint(r0)].Address != fmt.Sprintf("localhost:%d", r0) {
				t.Errorf("%+v", got)
			}
			writes := read(t, p.Endpoint("all"))
			writes.must(t, "insert into t values (1)")

			m.tell(t, c.writer, instance{w, 0}, instance{r0, 0}, instance{r1, 0})
			c.comes(t, "a replica joins", sessions, [3]int{0, 3, 3})
			if m.ages {
				m.tell(t, c.writer, instance{w, 0}, instance{r0, 10}, instance{r1, 0})
			} else {
				m.tell(t, c.writer, instance{w, 0}, instance{r1, 0})
			}
			c.comes(t, "one leaves", sessions, [3]int{0, 0, 6})
			m.tell(t, c.writer, instance{w, 0}, instance{r0, 0}, instance{r1, 0})
			c.comes(t, "and comes back", sessions, [3]int{0, 3, 3})

			// The writer fails. Nobody but the replicas can tell of it, and the servers say who the new one is.
			if err := c.writer.Crash(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := c.replicas[0].Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, settleWithin, "writes go on", func() bool {
				_, err := writes.ask(t.Context(), "insert into t values (2)")
				return err == nil
			})
			m.tell(t, c.replicas[0], instance{r0, 0}, instance{r1, 0})
			harness.Eventually(t, settleWithin, "the old writer leaves", func() bool { return len(targets(t, p, "all")) == 2 })
			c.comes(t, "the other replica serves alone", sessions, [3]int{0, 0, 6})

			// What is not told changes nothing.
			m.run(t, c.replicas[0], m.spoil)
			say(t, p, source, m.cause)
			if got := c.spread(t, sessions); got != [3]int{0, 0, 6} {
				t.Errorf("at last: %d", got)
			}
			writes.must(t, "insert into t values (3)")
			if _, out, err := p.Command(t.Context(), "status"); err != nil || !strings.Contains(out, "cannot be discovered ("+source+")") {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}
