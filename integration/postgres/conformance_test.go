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

// script is what a session does, statement by statement.
type script struct {
	name string
	do   []string
}

// scripts are what pooling proxies got wrong about the state of sessions.
var scripts = []script{
	{"several SETs in a query", []string{"set work_mem = '7MB'; set my.own = 'x'; select 1", "show work_mem", "show my.own"}},
	{"SET behind a query of its transaction", []string{"begin", "select 1", "set work_mem = '7MB'", "commit", "show work_mem"}},
	{"SET that is rolled back", []string{"set work_mem = '6MB'", "begin", "set work_mem = '7MB'", "rollback", "show work_mem"}},
	{"SET rolled back to a savepoint", []string{"begin", "set work_mem = '6MB'", "savepoint s", "set work_mem = '7MB'", "rollback to s", "commit", "show work_mem"}},
	{"SET in a transaction that failed", []string{"set work_mem = '6MB'", "begin", "set work_mem = '7MB'", "select 1/0", "commit", "show work_mem"}},
	{"SET LOCAL over SET", []string{"begin", "set work_mem = '6MB'", "set local work_mem = '7MB'", "show work_mem", "commit", "show work_mem"}},
	{"RESET, RESET ALL and DEFAULT", []string{"set work_mem = '7MB'", "reset work_mem", "show work_mem", "set work_mem = '7MB'", "set work_mem to default",
		"show work_mem", "set work_mem = '7MB'", "set search_path = pg_catalog", "reset all", "show work_mem", "show search_path"}},
	{"values with quotes and lists", []string{`set search_path = "$user", public, "a,b", "q""q", 'it''s'`, "show search_path", "select current_schemas(true)",
		`set my.own = 'a\b''c"d'`, "show my.own", "set my.own = ''", "show my.own"}},
	{"long values", []string{"set my.own = '" + strings.Repeat("x", 3000) + "'", "show my.own", "set search_path = " + strings.Repeat("a, ", 300) + "public", "show search_path"}},
	{"a value that the server spells otherwise", []string{"set datestyle = iso", "show datestyle", "set datestyle to sql, dmy", "show datestyle",
		"set work_mem = '2048kB'", "show work_mem", "set timezone = 'utc'", "show timezone", "set enable_seqscan = no", "show enable_seqscan"}},
	{"an application_name in another case", []string{"set application_name = 'App'", "show application_name", "set application_name = 'APP'", "show application_name"}},
	{"an empty application_name", []string{"set application_name = 'x'", "set application_name = ''", "show application_name"}},
	{"client_encoding there and back", []string{"set client_encoding = latin1", "select convert_to('\xe9', 'UTF8')", "show client_encoding", "set names 'UTF8'", "select length('é')"}},
	{"strings that do not conform", []string{"set standard_conforming_strings = off", `select 'a\'; set work_mem = ''7MB''; select '`, "show work_mem",
		"set standard_conforming_strings = on", `select 'a\'`, "show standard_conforming_strings"}},
	{"defaults of transactions", []string{"set default_transaction_read_only = on", "create table app.nowhere (a int)", "show transaction_read_only",
		"set session characteristics as transaction isolation level serializable, read write", "show transaction_isolation", "show transaction_read_only"}},
	{"timeouts", []string{"set statement_timeout = '90s'", "set lock_timeout = 70000", "set idle_in_transaction_session_timeout = '2min'",
		"show statement_timeout", "show lock_timeout", "show idle_in_transaction_session_timeout"}},
	{"an empty search_path, as pg_dump sets it", []string{"select pg_catalog.set_config('search_path', '', false)", "show search_path", "select current_schema()", "select * from pg_stat_nowhere"}},
	{"a role there and back", []string{"set role app", "select current_user", "reset role", "show role", "set session authorization app", "set session authorization default", "select session_user"}},
	{"settings that cannot be set", []string{"set is_superuser = on", "set server_version = '9'", "set in_hot_standby = on", "show is_superuser"}},
	{"extra_float_digits and intervalstyle", []string{"set extra_float_digits = 0", "select 0.1::float8 + 0.2", "set intervalstyle = iso_8601", "select interval '1 day 2 hours'"}},
	{"errors come at the SET", []string{"set work_mem = 'nonsense'", "set no_such_setting = 1", "set role no_such_role", "set timezone = 'No/Where'", "show work_mem", "show timezone"}},
	{"a seed", []string{"select setseed(0.5)", "select random()", "select random()"}},
	{"set_config with both scopes", []string{"begin", "select set_config('work_mem', '6MB', false), set_config('my.own', 'x', true)", "show work_mem", "show my.own", "commit",
		"show work_mem", "select current_setting('my.own', true)"}},
	{"a deferred constraint that fails at COMMIT", []string{"begin", "set work_mem = '7MB'", "set local lock_timeout = 77", "insert into TABLE values (1), (1); commit",
		"show work_mem", "show lock_timeout", "select count(*) from TABLE"}},
	{"one in a query of several", []string{"set work_mem = '6MB'", "begin; set work_mem = '7MB'; insert into TABLE values (1), (1); commit; set work_mem = '8MB'", "show work_mem", "select count(*) from TABLE"}},
	{"one that is checked at once", []string{"begin; set work_mem = '7MB'; insert into TABLE values (1), (1); set constraints all immediate", "show work_mem", "commit", "show work_mem"}},
	{"one outside of a transaction", []string{"set work_mem = '7MB'; insert into TABLE values (1), (1)", "show work_mem", "select count(*) from TABLE"}},
	{"texts in LATIN1", []string{"set client_encoding = latin1", "set application_name = 'caf\xe9'", "show application_name", "set my.own = '\xe9\xe8'", "show my.own",
		"select * from nowhere_\xe9", "select '\xe9'::int", "do $$ begin raise exception '\xe9'; end $$", "begin", "set local my.own = '\xfc'", "select current_setting('my.own')", "rollback", "show my.own",
		"set client_encoding = utf8", "show my.own", "select 'é'::int", "reset client_encoding", "show my.own", "reset my.own", "select current_setting('my.own')"}},
	{"an encoding that not every text has", []string{"set client_encoding = latin1", "select convert_from('\\xe282ac', 'UTF8')", "show client_encoding", "set client_encoding = sjis", "select '\x83\x5c'", "select '\x83\x5c\x27'",
		"set client_encoding = utf8", "select '\xff'", "select 'é'"}},
	{"comments before SET", []string{"/* a */ -- b\nset work_mem = '7MB'", "show work_mem"}},
	{"BEGIN and a failing statement in one query", []string{"begin; set work_mem = '7MB'; select 1/0", "show work_mem", "rollback", "show work_mem"}},
	{"an implicit transaction", []string{"set work_mem = '7MB'; select 1/0", "show work_mem"}},
	{"COMMIT AND CHAIN", []string{"begin isolation level serializable", "set work_mem = '7MB'", "commit and chain", "show transaction_isolation", "rollback", "show work_mem"}},
	{"PREPARE and EXECUTE", []string{"prepare p (int) as select $1 + 1", "execute p (6)", "deallocate p", "execute p (6)"}},
	{"a temporary table", []string{"create temp table s_tmp (a int)", "insert into s_tmp values (7)", "select a from s_tmp", "drop table s_tmp", "select a from s_tmp"}},
	{"discards", []string{"set work_mem = '7MB'", "prepare p as select 7", "create temp table s_tmp (a int)", "discard all", "show work_mem", "execute p", "select * from s_tmp"}},
}

func TestScriptsAreAnsweredAsTheServerDoesWhoeverElseIsThere(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		deferred := strings.ToLower(table(t, r.server, "(a int unique deferrable initially deferred)"))
		for _, s := range scripts {
			t.Run(s.name, func(t *testing.T) {
				mine, theirs := conn(t, r.Endpoint, harness.App()), conn(t, r.server.Endpoint, harness.App())
				others := []*pgconn.PgConn{conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())}
				for i, sql := range s.do {
					sql = strings.ReplaceAll(sql, "TABLE", deferred)
					// Another session holds one of the two connections meanwhile, this time one, then the other.
					other := others[i%len(others)]
					ask(t, other, "begin; set local work_mem = '1MB'; set local search_path = information_schema; set local timezone = 'Asia/Tokyo'")
					got, gotErr := asked(t.Context(), mine, sql)
					want, wantErr := asked(t.Context(), theirs, sql)
					if got != want || code(gotErr) != code(wantErr) || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
						t.Errorf("%.100s: %.200q, %v; the server itself says %.200q, %v", sql, got, gotErr, want, wantErr)
					}
					if got, want := mine.TxStatus(), theirs.TxStatus(); got != want {
						t.Errorf("%.100s: status %c, not %c", sql, got, want)
					}
					ask(t, other, "rollback")
				}
				for _, c := range append(others, mine, theirs) {
					_ = c.Close(t.Context())
				}
			})
		}
	})
}

// A sequence of messages and what the server answers to it.
var sequences = []struct {
	name string
	send [][]pgproto3.FrontendMessage
}{
	{"Close of what is not there", [][]pgproto3.FrontendMessage{{&pgproto3.Close{ObjectType: 'S', Name: "no"}, &pgproto3.Close{ObjectType: 'P', Name: "no"}, &pgproto3.Sync{}}}},
	{"Close of neither", [][]pgproto3.FrontendMessage{{&pgproto3.Close{ObjectType: 'X', Name: "no"}, &pgproto3.Sync{}}, {&pgproto3.Query{String: "select 1"}}}},
	{"Describe of neither", [][]pgproto3.FrontendMessage{{&pgproto3.Describe{ObjectType: 'X', Name: "no"}, &pgproto3.Sync{}}, {&pgproto3.Query{String: "select 1"}}}},
	{"Close of a portal keeps its statement", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "p", Query: "select 7"}, &pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "p"}, &pgproto3.Close{ObjectType: 'P', Name: "c"},
			&pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "p"}, &pgproto3.Execute{Portal: "c"}, &pgproto3.Sync{}}}},
	{"Close of a statement keeps its portal", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "p", Query: "select 7"}, &pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "p"}, &pgproto3.Close{ObjectType: 'S', Name: "p"},
			&pgproto3.Execute{Portal: "c"}, &pgproto3.Sync{}}}},
	{"a portal ends with its transaction", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "p", Query: "select 7"}, &pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "p"}, &pgproto3.Sync{}},
		{&pgproto3.Execute{Portal: "c"}, &pgproto3.Sync{}}}},
	{"a portal is described, twice, and used again", [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "begin"}},
		{&pgproto3.Parse{Name: "p", Query: "select generate_series(1, 3)"}, &pgproto3.Bind{DestinationPortal: "c", PreparedStatement: "p"},
			&pgproto3.Describe{ObjectType: 'P', Name: "c"}, &pgproto3.Describe{ObjectType: 'P', Name: "c"}, &pgproto3.Execute{Portal: "c", MaxRows: 2}, &pgproto3.Sync{}},
		{&pgproto3.Execute{Portal: "c"}, &pgproto3.Sync{}}, {&pgproto3.Query{String: "commit"}}}},
	{"no data and rows in turn", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "a", Query: "set local work_mem = '7MB'"}, &pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.Parse{Name: "b", Query: "select 7"},
			&pgproto3.Describe{ObjectType: 'S', Name: "b"}, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Bind{PreparedStatement: "b"}, &pgproto3.Execute{}, &pgproto3.Sync{}}}},
	{"binary values", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Query: "select 7, 'x'::text, true"}, &pgproto3.Bind{ResultFormatCodes: []int16{1}}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}}}},
	{"BEGIN in one protocol, work in the other", [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "begin"}}, {&pgproto3.Parse{Query: "select 7"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		{&pgproto3.Parse{Query: "commit"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}, {&pgproto3.Query{String: "select 1"}}}},
	{"the same name twice", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "p", Query: "select 7"}, &pgproto3.Sync{}}, {&pgproto3.Parse{Name: "p", Query: "select 8"}, &pgproto3.Sync{}},
		{&pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{}}}},
	{"a Parse that fails frees its name", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Name: "p", Query: "select from where"}, &pgproto3.Sync{}}, {&pgproto3.Parse{Name: "p", Query: "select 8"}, &pgproto3.Bind{PreparedStatement: "p"},
			&pgproto3.Execute{}, &pgproto3.Sync{}}}},
	{"the same text under another search_path", [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "begin; set local search_path = pg_catalog"}}, {&pgproto3.Parse{Name: "p", Query: "select 'pg_class'::regclass::text"}, &pgproto3.Bind{PreparedStatement: "p"}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		{&pgproto3.Query{String: "set local search_path = information_schema"}}, {&pgproto3.Parse{Name: "q", Query: "select count(*) from tables where false"}, &pgproto3.Bind{PreparedStatement: "q"}, &pgproto3.Execute{}, &pgproto3.Sync{}},
		{&pgproto3.Query{String: "rollback"}}, {&pgproto3.Bind{PreparedStatement: "q"}, &pgproto3.Execute{}, &pgproto3.Sync{}}}},
	{"a query destroys the unnamed statement", [][]pgproto3.FrontendMessage{
		{&pgproto3.Parse{Query: "select 7"}, &pgproto3.Sync{}}, {&pgproto3.Query{String: "select 1"}}, {&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}}}},
}

func TestSequencesOfMessagesAreAnsweredAsTheServerDoes(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, s := range sequences {
			t.Run(s.name, func(t *testing.T) {
				other := conn(t, r.Endpoint, harness.App())
				mine := frontend(t, conn(t, r.Endpoint, harness.App()))
				theirs := frontend(t, conn(t, r.server.Endpoint, harness.App()))
				for i, request := range s.send {
					ask(t, other, "begin")
					mine.send(request...)
					theirs.send(request...)
					if got, want := mine.untilReady(), theirs.untilReady(); got != want {
						t.Errorf("request %d: %s, the server itself says %s", i, got, want)
					}
					ask(t, other, "rollback")
				}
				_ = other.Close(t.Context())
			})
		}
	})
}

func TestAPreparedTransactionIsCommittedByWhoeverComes(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name, "max_prepared_transactions=2")
			harness.Exec(t, s, "create table two_phases (a int)", "grant all on two_phases to public")
			r := start(t, name, harness.Route{Server: s, MaxConnections: 2})
			first, second := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
			for i, end := range []string{"commit prepared 'two'", "rollback prepared 'two'"} {
				ask(t, first, "begin; insert into two_phases values (1); prepare transaction 'two'")
				r.pinnedBy(t, first, "")
				ask(t, first, "begin") // on the connection that it had, so that the other one is another
				ask(t, second, end)
				ask(t, first, "rollback")
				ask(t, first, "begin; set work_mem = '7MB'; set local lock_timeout = 77; insert into two_phases values (2); prepare transaction 'settings'")
				r.pinnedBy(t, first, "")
				if got := ask(t, second, "select current_setting('work_mem') || current_setting('lock_timeout')"); got != "4MB0" {
					t.Errorf("%d: another session finds %s", i, got)
				}
				if got := ask(t, first, "select current_setting('work_mem') || current_setting('lock_timeout')"); got != "7MB0" {
					t.Errorf("%d: the session finds %s", i, got)
				}
				ask(t, second, "rollback prepared 'settings'")
				if _, err := asked(t.Context(), first, "begin; create temp table two (a int); prepare transaction 'never'"); code(err) != "0A000" {
					t.Errorf("%d: a temporary table in it: %v", i, err)
				}
				ask(t, first, "discard all")
				r.pinnedBy(t, first, "")
				if got := ask(t, second, "select count(*) from two_phases"); got != "1" {
					t.Errorf("%d: %s rows", i, got)
				}
			}
		})
	}
}

func TestABadMessageEndsItsSessionAndNoOther(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		for name, message := range map[string][]byte{
			"an unknown type":     {'!', 0, 0, 0, 4},
			"a length below four": {'Q', 0, 0, 0, 3},
			"a length over 1 GB":  {'Q', 0x7f, 0xff, 0xff, 0xff},
		} {
			c, other := frontend(t, conn(t, r.Endpoint, harness.App())), conn(t, r.Endpoint, harness.App())
			if _, err := c.conn.Write(message); err != nil {
				t.Fatal(err)
			}
			if said := c.gone(); said != "E(08P01)" {
				t.Errorf("%s: %s", name, said)
			}
			if got, err := asked(context.WithoutCancel(t.Context()), other, "select 7"); got != "7" || err != nil {
				t.Errorf("after %s another session gets %s, %v", name, got, err)
			}
			_ = other.Close(t.Context())
		}
		r.whole(t)
	})
}
