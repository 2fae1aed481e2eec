package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// rdsRow is a line of RDS Proxy's documentation on what pins a PostgreSQL session, and what Berth does instead.
type rdsRow struct {
	what   string
	rds    string   // what its documentation says
	do     []string // simple queries; one that begins with ! fails
	pinned string   // the reason for which Berth pins behind them, "" if it does not
	ends   []string // what ends that pin; none if only a reset does
}

const (
	rdsPins   = "pins"
	rdsShares = "does not pin"
)

// rdsRows are all its lines, in its order: what pins on every engine, what pins and does not pin on PostgreSQL.
func rdsRows(names *strings.Replacer) []rdsRow {
	rows := []rdsRow{
		{"a statement over 16 KB", rdsPins, []string{"select length('" + strings.Repeat("x", 20<<10) + "')"}, "", nil},
		{"SET", rdsPins, []string{"set work_mem = '9MB'"}, "", nil},
		{"SET TIME ZONE, SET NAMES", rdsPins, []string{"set time zone 'Asia/Tokyo'", "set names 'UTF8'"}, "", nil},
		{"SET SESSION CHARACTERISTICS", rdsPins, []string{"set session characteristics as transaction isolation level serializable"}, "", nil},
		{"PREPARE", rdsPins, []string{"prepare p as select 7"}, "prepared_statement", []string{"deallocate p"}},
		{"EXECUTE", rdsPins, []string{"prepare p as select 7", "execute p"}, "prepared_statement", []string{"deallocate p"}},
		{"DEALLOCATE ALL", rdsPins, []string{"deallocate all"}, "", nil},
		{"DISCARD PLANS, TEMP, SEQUENCES", rdsPins, []string{"discard plans", "discard temp", "discard sequences"}, "", nil},
		{"CREATE TEMP TABLE", rdsPins, []string{"create temp table kept (a int)"}, "temporary_table", []string{"drop table kept"}},
		{"CREATE TEMP TABLE ... ON COMMIT DROP", rdsPins, []string{"begin", "create temp table kept (a int) on commit drop", "commit"}, "", nil},
		{"CREATE TEMP SEQUENCE", rdsPins, []string{"create temp sequence kept"}, "temporary_table", []string{"drop sequence kept"}},
		{"CREATE TEMP VIEW", rdsPins, []string{"create temp view kept as select 7"}, "temporary_table", []string{"drop view kept"}},
		{"DECLARE", rdsPins, []string{"begin", "declare c cursor for select 1", "fetch c", "commit"}, "", nil},
		{"DECLARE ... WITH HOLD", rdsPins, []string{"declare c cursor with hold for select 1"}, "cursor", []string{"close c"}},
		{"DISCARD ALL", rdsPins, []string{"discard all"}, "", nil},
		{"a pool's reset, as asyncpg's", rdsPins, []string{"select pg_advisory_unlock_all();\nclose all;\nunlisten *;\nreset all;"}, "", nil},
		{"LISTEN", rdsPins, []string{"listen channel"}, "listen", []string{"unlisten channel"}},
		{"LOAD", rdsPins, []string{"load 'auto_explain'"}, "library", nil},
		{"nextval", rdsPins, []string{"select nextval('SEQ')"}, "sequence", []string{"discard all"}},
		{"setval", rdsPins, []string{"select setval('SEQ', 100)"}, "sequence", []string{"discard all"}},
		{"an INSERT with a serial default", rdsShares, []string{"insert into SEQT values (default)"}, "", nil},
		{"pg_advisory_lock", rdsPins, []string{"select pg_advisory_lock(4717)"}, "named_lock", []string{"select pg_advisory_unlock(4717)"}},
		{"pg_try_advisory_lock", rdsPins, []string{"select pg_try_advisory_lock(4717)"}, "named_lock", []string{"select pg_advisory_unlock(4717)"}},
		{"RESET, RESET ALL", rdsPins, []string{"reset work_mem", "reset all"}, "", nil},
		{"set_config(..., false)", rdsPins, []string{"select set_config('work_mem', '9MB', false)"}, "", nil},
		{"SET LOCAL", "does not say", []string{"begin", "set local work_mem = '9MB'", "commit"}, "", nil},
		{"set_config(..., true)", "does not say", []string{"begin", "select set_config('work_mem', '9MB', true)", "commit"}, "", nil},
		{"SET TRANSACTION", "does not say", []string{"begin", "set transaction read only", "commit"}, "", nil},
		{"SET ROLE", rdsPins, []string{"set role app"}, "", nil},
		{"pg_advisory_xact_lock", rdsShares, []string{"select pg_advisory_xact_lock(4717)"}, "", nil},
		{"pg_advisory_xact_lock_shared", rdsShares, []string{"select pg_advisory_xact_lock_shared(4717)"}, "", nil},
		{"pg_try_advisory_xact_lock", rdsShares, []string{"select pg_try_advisory_xact_lock(4717)"}, "", nil},
		{"pg_try_advisory_xact_lock_shared", rdsShares, []string{"select pg_try_advisory_xact_lock_shared(4717)"}, "", nil},
		{"a function that changes nothing", rdsShares, []string{"select NOTHING()"}, "", nil},
		{"a function that makes a temporary table", "does not pin, and loses it", []string{"select MAKES()"}, "temporary_table", []string{"drop table made"}},
		{"SAVEPOINT", rdsShares, []string{"begin", "savepoint a", "!select 1/0", "rollback to a", "release a", "commit"}, "", nil},
		{"COPY", rdsShares, []string{"copy (select 1) to stdout"}, "", nil},
	}
	for i := range rows {
		for n, sql := range rows[i].do {
			rows[i].do[n] = names.Replace(sql)
		}
	}
	return rows
}

// rdsObjects makes what the rows need.
func rdsObjects(t *testing.T, s *harness.Server) *strings.Replacer {
	t.Helper()
	seqt := table(t, s, "(n bigserial)")
	harness.Exec(t, s, "grant all on sequence "+seqt+"_n_seq to public",
		"create function "+seqt+"_nothing() returns int language plpgsql as $$ begin return 7; end $$",
		"create function "+seqt+"_makes() returns int language plpgsql as $$ begin create temp table made (a int); return 7; end $$")
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "drop function "+seqt+"_nothing(), "+seqt+"_makes()"); err != nil {
			t.Error(err)
		}
	})
	return strings.NewReplacer("NOTHING()", seqt+"_nothing()", "MAKES()", seqt+"_makes()", "SEQT", seqt, "SEQ", seqt+"_n_seq")
}

func TestEveryLineOfRDSProxysListOfPinsHasAnAnswer(t *testing.T) {
	var document string
	l := harness.Superuser() // LOAD of a library needs it
	accounts := []harness.Account{{User: l.User, Password: l.Password}}
	each(t, harness.Route{MaxConnections: 2, Users: accounts}, func(t *testing.T, r *rig) {
		rows := rdsRows(rdsObjects(t, r.server))
		for _, row := range rows {
			t.Run(row.what, func(t *testing.T) {
				c := conn(t, r.Endpoint, l)
				r.plays(t, row.what, func(ctx context.Context, sql string) (string, error) { return asked(ctx, c, sql) }, row.do)
				r.pinnedBy(t, c, row.pinned)
				for _, sql := range row.ends {
					if r.session(t, c.PID()).Pinned == "" {
						t.Errorf("not pinned any more before %s", sql)
					}
					ask(t, c, sql)
				}
				if len(row.ends) > 0 {
					r.pinnedBy(t, c, "")
				}
				_ = c.Close(t.Context())
			})
		}
		document = rdsDocument(rows)
	})
	if !t.Failed() {
		harness.Generated(t, "docs/pinning.md", "rds postgres", document)
	}
}

// pinnedBy waits until a session is pinned for this reason and no other, or not at all.
func (r *rig) pinnedBy(t *testing.T, c *pgconn.PgConn, reason string) {
	t.Helper()
	var s session
	defer func() {
		if t.Failed() {
			t.Logf("the session: %+v, want pinned %q", s, reason)
		}
	}()
	harness.Eventually(t, settleWithin, "the session is pinned as it must be", func() bool {
		s = r.session(t, c.PID())
		return s.Pinned == reason && (s.Backend != 0) == (reason != "")
	})
}

// rdsDocument is the rows as a table.
func rdsDocument(rows []rdsRow) string {
	var b strings.Builder
	b.WriteString("| PostgreSQL | RDS Proxy | Berth |\n| --- | --- | --- |\n")
	for _, row := range rows {
		berth := "does not pin"
		if row.pinned != "" {
			berth = "pins (`" + row.pinned + "`) until a reset"
			if len(row.ends) > 0 {
				berth = "pins (`" + row.pinned + "`) until `" + strings.Join(row.ends, "`, `") + "`"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row.what, row.rds, berth)
	}
	return b.String()
}

// RDS Proxy decides on a prepared statement when it runs, and so does Berth: whoever only prepares or describes one is
// not pinned.
func TestAStatementOfTheProtocolPinsWhenItRuns(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, name := range []string{"", "lock"} {
			c := conn(t, r.Endpoint, harness.App())
			f := frontend(t, c)
			requests := func() (n float64) {
				n, err := r.proxy.Sum(t.Context(), "berth_query_requests_total", "")
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := requests()
			f.send(&pgproto3.Parse{Name: name, Query: "select pg_advisory_lock(4718)"}, &pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("1 t T Z(I)")
			r.pinnedBy(t, c, "")
			f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
			f.expect("2 D() C(SELECT 1) Z(I)")
			r.pinnedBy(t, c, "named_lock")
			f.send(&pgproto3.Query{String: "select pg_advisory_unlock(4718)"})
			f.expect("T D(t) C(SELECT 1) Z(I)")
			r.pinnedBy(t, c, "")
			f.send(&pgproto3.Close{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("3 Z(I)")
			r.pinnedBy(t, c, "")
			if n := requests() - before; n < 3 {
				t.Errorf("%v requests were counted: those of the extended protocol are requests, too", n)
			}
		}
	})
}

// RDS Proxy refuses `options` and every start-up parameter but eight. Berth takes what the server takes.
func TestStartupParametersThatRDSProxyRefusesAreTaken(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App(), func(c *pgconn.Config) {
			for name, value := range map[string]string{
				"application_name": "a", "client_encoding": "UTF8", "datestyle": "German", "timezone": "Asia/Tokyo", "extra_float_digits": "2",
				"search_path": "pg_catalog", "statement_timeout": "100s", "options": "-c work_mem=5MB",
			} {
				c.RuntimeParams[name] = value
			}
		})
		const all = `select current_setting('application_name'), current_setting('datestyle'), current_setting('timezone'),
			current_setting('extra_float_digits'), current_setting('search_path'), current_setting('statement_timeout'), current_setting('work_mem')`
		if got, want := ask(t, c, all), "a German, DMY Asia/Tokyo 2 pg_catalog 100s 5MB"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		r.pinnedBy(t, c, "")
	})
}
