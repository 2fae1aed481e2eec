package postgres

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// Functions by their numbers (pg_proc.dat).
const (
	functionLength    = 1317 // of a text
	functionNextval   = 1574
	functionSetConfig = 2078
	functionLastval   = 2559
)

// called is a FunctionCall with arguments in text form.
func called(function uint32, arguments ...string) *pgproto3.FunctionCall {
	m := &pgproto3.FunctionCall{Function: function, ArgFormatCodes: []uint16{0}}
	for _, a := range arguments {
		m.Arguments = append(m.Arguments, []byte(a))
	}
	return m
}

func TestAFunctionCallTellsNobodyElsesSequenceValue(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create table counted (n bigserial)") // without code for which backends are cleaned
		ask(t, conn(t, r.Endpoint, l), "insert into counted default values")
		f := frontend(t, conn(t, r.Endpoint, l))
		f.send(called(functionLastval))
		f.expect("E(55000) Z(I)")
	})
}

// A FunctionCall ends no unnamed statement, and neither may what Berth sends in front of it.
func TestAFunctionCallLeavesTheUnnamedStatement(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create table counted (n bigserial)")
		ask(t, conn(t, r.Endpoint, l), "insert into counted default values")
		f := frontend(t, conn(t, r.Endpoint, l))
		f.send(&pgproto3.Parse{Query: "select 2"}, &pgproto3.Sync{}, called(functionLength, "four"),
			&pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, called(functionLength, "three"), &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		f.expect("1 Z(I) V(4) Z(I) 2 D(2) C(SELECT 1) Z(I) V(5) Z(I) 2 D(2) C(SELECT 1) Z(I)")
	})
}

func TestWhatAFunctionCallSetsIsTheSessionsOwn(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create table empty ()")
		f := frontend(t, conn(t, r.Endpoint, l))
		other := conn(t, r.Endpoint, l)
		for _, set := range []struct{ name, value string }{{"my.own", "mine"}, {"work_mem", "7MB"}} {
			look := "select coalesce(current_setting('" + set.name + "', true), '')"
			before := ask(t, other, look)
			f.send(called(functionSetConfig, set.name, set.value, "false"))
			f.expect("V(" + set.value + ") Z(I)")
			if got := ask(t, other, look); got != before {
				t.Errorf("another session has %s %q, not %q", set.name, got, before)
			}
			f.send(&pgproto3.Query{String: look})
			f.expect("T D(" + set.value + ") C(SELECT 1) Z(I)")
		}
	})
}

func TestASequenceValueOfAFunctionCallIsKept(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create sequence counter", "grant usage on sequence counter to public")
		f := frontend(t, conn(t, r.Endpoint, l))
		f.send(called(functionNextval, "counter"))
		f.untilReady()
		if got := r.session(t, f.pid).Pinned; !strings.Contains(got, "sequence") {
			t.Errorf("the session is pinned by %q", got)
		}
		f.send(&pgproto3.Query{String: "select currval('counter')"})
		f.expect("T D(1) C(SELECT 1) Z(I)")
	})
}

// What a backend has to be given first must not be executed in the batch of a CALL: a procedure may commit only where it is the first there.
func TestACallMayCommitOnABackendThatDoesNotHaveItsStatement(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create table counted (n bigserial)",
			"create procedure commits() language plpgsql as $$ begin insert into counted default values; commit; insert into counted default values; end $$")
		for _, name := range []string{"", "s"} {
			f := frontend(t, conn(t, r.Endpoint, l))
			f.send(&pgproto3.Parse{Name: name, Query: "call commits()"}, &pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("1 t n Z(I)")
			holder := conn(t, r.Endpoint, l)
			ask(t, holder, "begin")
			hangUp(holder) // and its backend with it
			ask(t, conn(t, r.Endpoint, l), "insert into counted default values")
			f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
			if got := f.untilReady(); got != "2 C(CALL) Z(I)" {
				t.Errorf("statement %q: %s", name, got)
			}
		}
	})
}

// So is what has to be executed behind messages that execute nothing, as drivers close statements in front of the next one, and what a statement
// with a time is read by.
func TestACallMayCommitBehindMessagesThatExecuteNothing(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "calling", "create table counted (n bigserial, at text)",
			"create procedure commits(at timestamptz) language plpgsql as $$ begin insert into counted (at) values (at::text); commit; insert into counted (at) values (at::text); end $$")
		for _, name := range []string{"", "s"} {
			f := frontend(t, conn(t, r.Endpoint, l))
			f.send(&pgproto3.Query{String: "set timezone = 'UTC'"}, &pgproto3.Parse{Name: "old", Query: "select 1"}, &pgproto3.Sync{})
			f.expect("C(SET) S(TimeZone) Z(I) 1 Z(I)")
			f.send(&pgproto3.Parse{Name: name, Query: "call commits('2024-01-01 00:00')"}, &pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("1 t n Z(I)")
			for _, before := range [][]pgproto3.FrontendMessage{{&pgproto3.Close{ObjectType: 'S', Name: "old"}}, {&pgproto3.Describe{ObjectType: 'S', Name: name}}, nil} {
				if before == nil {
					f.send(&pgproto3.Parse{Name: "zone", Query: "set timezone = 'Asia/Tokyo'"}, &pgproto3.Bind{PreparedStatement: "zone"}, &pgproto3.Execute{}, &pgproto3.Sync{})
					f.expect("1 2 C(SET) S(TimeZone) Z(I)")
				}
				holder := conn(t, r.Endpoint, l)
				ask(t, holder, "begin")
				hangUp(holder) // and its backend with it
				ask(t, conn(t, r.Endpoint, l), "insert into counted default values")
				f.send(append(before, &pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})...)
				if got := f.untilReady(); !strings.HasSuffix(got, "2 C(CALL) Z(I)") {
					t.Errorf("statement %q behind %v: %s", name, before, got)
				}
			}
			f.send(&pgproto3.Query{String: "select count(distinct at::timestamptz), current_setting('timezone') from counted"})
			f.expect("T D(1|Asia/Tokyo) C(SELECT 1) Z(I)")
		}
	})
}

// What a session has set for a transaction only decides about what it prepares in that, on whatever backend.
func TestATimeInAStatementIsThatOfItsParse(t *testing.T) {
	const text = "select extract(epoch from timestamptz '2024-01-01 00:00')::bigint, 'e\\'"
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		moves := func() {
			holder := conn(t, r.Endpoint, harness.App())
			ask(t, holder, "begin")
			hangUp(holder) // and its backend with it
		}
		for _, name := range []string{"s", ""} {
			executed := []pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{}}
			f := frontend(t, conn(t, r.Endpoint, harness.App()))
			does := func(sql, answer string) { // leaves an unnamed statement alone
				f.send(&pgproto3.Parse{Name: "x", Query: sql}, &pgproto3.Bind{PreparedStatement: "x"}, &pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "x"}, &pgproto3.Sync{})
				f.expect(answer)
			}
			prepares := func(status string) {
				f.send(&pgproto3.Parse{Name: name, Query: text}, &pgproto3.Sync{})
				f.expect("1 Z(" + status + ")")
			}
			does("set timezone = 'UTC'", "1 2 C(SET) 3 S(TimeZone) Z(I)")
			prepares("I")
			moves()
			does("begin", "1 2 C(BEGIN) 3 Z(T)")
			does("set local timezone = 'Asia/Tokyo'", "1 2 C(SET) 3 S(TimeZone) Z(T)")
			f.send(executed...)
			f.expect("2 D(1704067200|e\\) C(SELECT 1) Z(T)")
			does("show timezone", "1 2 D(Asia/Tokyo) C(SHOW) 3 Z(T)")
			f.send(&pgproto3.Close{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("3 Z(T)")
			prepares("T")
			does("set local standard_conforming_strings = off", "1 2 C(SET) 3 S(standard_conforming_strings) Z(T)")
			f.send(&pgproto3.Parse{Name: "x", Query: "commit"}, &pgproto3.Bind{PreparedStatement: "x"}, &pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "x"}, &pgproto3.Sync{})
			f.untilReady()
			moves()
			f.send(executed...)
			f.expect("2 D(1704034800|e\\) C(SELECT 1) Z(I)")
			does("show timezone", "1 2 D(UTC) C(SHOW) 3 Z(I)")
		}
		f := frontend(t, conn(t, r.Endpoint, harness.App())) // SQL finds the statement, too
		f.send(&pgproto3.Query{String: "set timezone = 'UTC'"}, &pgproto3.Parse{Name: "s", Query: text}, &pgproto3.Sync{})
		f.untilReady()
		f.untilReady()
		moves()
		f.send(&pgproto3.Query{String: "begin; set local timezone = 'Asia/Tokyo'"})
		f.untilReady()
		f.send(&pgproto3.Query{String: "execute s; show timezone"})
		f.expect("T D(1704067200|e\\) C(SELECT 1) T D(Asia/Tokyo) C(SHOW) Z(T)")
	})
}

// The names that Berth knows of the server's own functions are those of the newest server.
func TestTheServersOwnFunctionsAreKnownByName(t *testing.T) {
	const from = "../../engines/postgres/"
	query, err := os.ReadFile(from + "builtins.sql")
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadFile(from + "builtins.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, known, _ := strings.Cut(string(names), "\n")
	servers := harness.PostgresNames()
	c := conn(t, harness.Shared(t, servers[len(servers)-1]).Endpoint, harness.App())
	results, err := c.Exec(t.Context(), string(query)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	server := ""
	for _, row := range results[0].Rows {
		server += string(row[0]) + "\n"
	}
	if server != known {
		t.Errorf("the server's are\n%s\nknown are\n%s", server, known)
	}
}
