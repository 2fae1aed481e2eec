package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// resets is what pools of drivers send when a connection comes back to them.
var resets = []string{
	"DISCARD ALL", "discard all;", "RESET ALL", "DEALLOCATE ALL", "CLOSE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()", "DISCARD TEMP",
	"DISCARD PLANS", "DISCARD SEQUENCES", "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
	"SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP",
	"DISCARD ALL; RESET ALL",
}

// whatIsSaid is all that a client is told in answer to a simple query.
func whatIsSaid(t *testing.T, c *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := c.Exec(t.Context(), sql).ReadAll()
	said := fmt.Sprint(code(err), " ")
	for _, r := range results {
		said += fmt.Sprintln(r.CommandTag, r.FieldDescriptions, r.Rows, r.Err)
	}
	return said + c.ParameterStatus("TimeZone") + c.ParameterStatus("application_name")
}

// borrows is how often sessions have asked for a connection.
func (r *rig) borrows(t *testing.T) int {
	t.Helper()
	n, err := r.proxy.Sum(t.Context(), "berth_database_connections_borrow_requests_total", "")
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func TestResetsAreAnsweredAsTheServerWouldWithoutABorrow(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		named := func(c *pgconn.Config) { c.RuntimeParams["application_name"] = "resets" }
		c, direct := conn(t, r.Endpoint, harness.App(), named), conn(t, r.server.Endpoint, harness.App(), named)
		for _, sql := range resets {
			for _, each := range []*pgconn.PgConn{c, direct} {
				ask(t, each, "set time zone 'Asia/Tokyo'")
				ask(t, each, "set application_name = 'changed'")
			}
			before := r.borrows(t)
			want := whatIsSaid(t, direct, sql)
			if got := whatIsSaid(t, c, sql); got != want {
				t.Errorf("%s: %s\nwant %s", sql, got, want)
			}
			if n := r.borrows(t) - before; n != 0 && sql != "DISCARD ALL; RESET ALL" {
				t.Errorf("%s: %d borrows", sql, n)
			}
			const show = "select current_setting('timezone') || current_setting('application_name')"
			if got, want := ask(t, c, show), ask(t, direct, show); got != want {
				t.Errorf("after %s the session finds %s, not %s", sql, got, want)
			}
			ask(t, c, "discard all")
			ask(t, direct, "discard all")
		}
		r.whole(t)
	})
}

// A simple query ends what was sent before it with no Sync behind. Drivers that prepare with a Flush send none.
func TestAResetBehindASimpleQueryThatEndedABatchNeedsNoConnection(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c, holder := frontend(t, conn(t, r.Endpoint, harness.App())), conn(t, r.Endpoint, harness.App())
		c.send(&pgproto3.Parse{Name: "p", Query: "select 1"}, &pgproto3.Describe{ObjectType: 'S', Name: "p"}, &pgproto3.Flush{})
		c.expect("1 t T")
		c.send(&pgproto3.Query{String: "select 2"})
		c.expect("T D(2) C(SELECT 1) Z(I)")
		ask(t, holder, "begin") // has the only connection
		c.send(&pgproto3.Query{String: "unlisten *"})
		c.expect("C(UNLISTEN) Z(I)")
		ask(t, holder, "commit")
		c.send(&pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{})
		c.expect("2 D(1) C(SELECT 1) Z(I)")
		r.whole(t)
	})
}

// renames are transactions in which the application's name is reset, and what is asked behind that.
var renames = [][]string{
	{"begin", "reset all", "show application_name", "commit", "show application_name"},
	{"set application_name = 'changed'", "begin", "reset application_name", "show application_name", "rollback", "show application_name"},
	{"begin", "set application_name = 'changed'", "reset all", "show application_name", "set application_name = ''", "show application_name", "commit", "show application_name"},
	{"begin", "set application_name to default", "savepoint s", "set application_name = 'changed'", "rollback to s", "show application_name", "commit", "show application_name"},
	{"begin", "set application_name = 'changed'", "commit", "begin", "savepoint s", "reset all", "select 1/0", "rollback to s", "show application_name", "commit", "show application_name"},
	{"set application_name = 'changed'", "begin", "select 1/0", "reset all", "show application_name", "rollback", "show application_name"},
	{"begin", "discard all", "rollback", "show application_name"},
	{"set application_name = ''", "reset all", "show application_name", "set application_name = ''", "begin", "reset application_name", "show application_name", "rollback"},
	{"select set_config(n, 'x', false) from (values ('my.own')) v(n)", "reset all", "show application_name", "discard all"}, // of which nobody knows what is set
	{"discard all", "select 1/0", "show application_name"},
	// What DISCARD ALL does is committed at once, also in a pipeline: what follows is another transaction's first.
	{"discard all", "lock table pg_class in access share mode", "show application_name"},
	{"discard all", "set local my.own = 'x'", "show my.own"},
	{"discard all", "discard all", "show application_name"},
	{"discard all", "set application_name = 'changed'", "select 1/0", "show application_name"},
	{"discard all", "set my.own = 'x'", "reset application_name", "select 1/0"},
	{"set application_name = 'changed'", "discard all", "set application_name = 'again'", "select 1/0", "show application_name"},
	{"show timezone; reset all; commit; begin read only", "set application_name = 'changed'", "select 1/0", "rollback", "show application_name"},
	{"reset all; commit; begin; select 1/0", "rollback", "show application_name"},
	{"set application_name = ''", "begin", "reset all", "select 1/0", "rollback", "show application_name"},
	{"begin", "set application_name = ''", "savepoint s", "reset all", "select 1/0", "rollback to s", "show application_name", "commit"},
	{"begin; set application_name = 'changed'; reset all", "show application_name", "rollback; set application_name = 'changed'; reset all; select 1/0", "show application_name"},
	{"begin", "rollback and chain; reset all; show timezone", "show application_name", "commit", "show application_name"},
	{"set application_name = 'changed'", "begin", "rollback; reset all; show timezone", "show application_name"},
	{"set application_name = 'changed'", "begin", "savepoint s; reset all; release s", "show application_name", "rollback", "show application_name"},
	{"set application_name = 'changed'", "begin", "savepoint s; reset all; rollback to s", "show application_name", "commit", "show application_name"},
}

func TestAResetInATransactionGoesBackToTheNameThatTheClientBeganWith(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		named := func(c *pgconn.Config) { c.RuntimeParams["application_name"] = "resets" }
		ways := map[string]func(c *pgconn.PgConn, sql string) string{
			"simple": func(c *pgconn.PgConn, sql string) string { return whatIsSaid(t, c, sql) },
			"extended": func(c *pgconn.PgConn, sql string) string {
				if strings.Contains(sql, ";") {
					return whatIsSaid(t, c, sql)
				}
				result := c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
				return fmt.Sprint(code(result.Err), result.CommandTag, result.Rows, c.ParameterStatus("application_name"))
			},
		}
		for how, say := range ways {
			for _, do := range renames {
				c, direct := conn(t, r.Endpoint, harness.App(), named), conn(t, r.server.Endpoint, harness.App(), named)
				for _, sql := range do {
					if got, want := say(c, sql), say(direct, sql); got != want {
						t.Errorf("%s: %s of %q: %s\nwant %s", how, sql, do, got, want)
					}
				}
				if s := r.session(t, c.PID()); s.Pinned != "" {
					t.Errorf("%s: %q: pinned by %s", how, do, s.Pinned)
				}
				_, _ = c.Close(t.Context()), direct.Close(t.Context())
			}
		}
		r.whole(t)
	})
}

func TestAResetInAPipelineGoesBackToTheNameThatTheClientBeganWith(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		named := func(c *pgconn.Config) { c.RuntimeParams["application_name"] = "resets" }
		for _, do := range renames {
			for _, every := range []bool{true, false} { // a Sync behind every statement, or one in the end
				var said [2]string
				for i, at := range []harness.Endpoint{r.Endpoint, r.server.Endpoint} {
					c := conn(t, at, harness.App(), named)
					said[i] = pipelined(t, c, do, every) + whatIsSaid(t, c, "select current_setting('my.own', true)")
					_ = c.Close(t.Context())
				}
				if said[0] != said[1] {
					t.Errorf("%q in one go (%v): %s\nwant %s", do, every, said[0], said[1])
				}
			}
		}
		r.whole(t)
	})
}

// pipelined sends statements in one go, and says what the answers are.
func pipelined(t *testing.T, c *pgconn.PgConn, do []string, every bool) string {
	t.Helper()
	var said []string
	p := c.StartPipeline(t.Context())
	for i, sql := range do {
		p.SendQueryParams(sql, nil, nil, nil, nil)
		if !every && i < len(do)-1 {
			continue
		}
		if err := p.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for {
		results, err := p.GetResults()
		switch rr := results.(type) {
		case *pgconn.ResultReader:
			result := rr.Read()
			said = append(said, fmt.Sprint(code(result.Err), result.CommandTag, result.Rows))
		case *pgconn.PipelineSync:
			said = append(said, c.ParameterStatus("application_name"))
		default:
			if err == nil {
				_ = p.Close()
				return fmt.Sprint(said)
			}
			said = append(said, code(err))
		}
	}
}
