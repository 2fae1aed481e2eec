package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

func TestManySessionsShareFewBackendsWithADriverThatPreparesEverything(t *testing.T) {
	const sessions, rounds = 16, 40
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		var wg sync.WaitGroup
		for i := range sessions {
			wg.Go(func() {
				ctx := t.Context()
				conn, err := r.Endpoint.PgxConn(ctx, harness.App())
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close(ctx)
				for n := range rounds {
					// Half of the statements are everybody's, half are the session's own.
					text := fmt.Sprintf("select $1::int + %d, 'of %d'", n%7, i*(n%2))
					var sum int
					var whose string
					if err := conn.QueryRow(ctx, text, n).Scan(&sum, &whose); err != nil || sum != n+n%7 || whose != fmt.Sprintf("of %d", i*(n%2)) {
						t.Errorf("session %d, round %d: %d %s, %v", i, n, sum, whose, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n, err := r.proxy.Sum(t.Context(), "berth_pins_total", ""); err != nil || n != 0 {
			t.Errorf("%v sessions were pinned, %v", n, err)
		}
		r.whole(t)
	})
}

// Drivers bound what they keep prepared, Rails at a thousand, and prepare one more before they close one.
func TestASessionKeepsMoreThanAThousandStatements(t *testing.T) {
	const many = 1200
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		c, err := r.Endpoint.PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		for n := range many {
			if _, err := c.Prepare(ctx, fmt.Sprintf("s%d", n), fmt.Sprintf("select %d", n)); err != nil {
				t.Fatalf("statement %d: %v", n, err)
			}
		}
		for _, n := range []int{0, many / 2, many - 1} {
			var got int
			if err := c.QueryRow(ctx, fmt.Sprintf("s%d", n)).Scan(&got); err != nil || got != n {
				t.Errorf("statement %d: %d, %v", n, got, err)
			}
		}
		if n, err := r.proxy.Sum(ctx, "berth_pins_total", ""); err != nil || n != 0 {
			t.Errorf("%v sessions were pinned, %v", n, err)
		}
	})
}

// A driver that keeps few statements closes one for each that it prepares. What a session has closed does not stay on the connection that it
// keeps; a portal of it goes on.
func TestWhatASessionHasClosedDoesNotPileUpWhileItKeepsItsBackend(t *testing.T) {
	const most = 220
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, begins := range []string{"listen piles", "begin"} {
			c := conn(t, r.Endpoint, harness.App())
			ask(t, c, begins)
			f := frontend(t, c)
			f.send(&pgproto3.Parse{Name: "opened", Query: "select generate_series(1, 2)"}, &pgproto3.Bind{PreparedStatement: "opened", DestinationPortal: "p"},
				&pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Close{ObjectType: 'S', Name: "opened"}, &pgproto3.Sync{})
			f.untilReady()
			for n := range most + 80 {
				f.send(&pgproto3.Parse{Name: "s", Query: fmt.Sprintf("select %d", n)}, &pgproto3.Sync{})
				f.untilReady()
				f.send(&pgproto3.Close{ObjectType: 'S', Name: "s"}, &pgproto3.Sync{})
				f.untilReady()
			}
			if begins == "begin" {
				f.send(&pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
				if got := f.untilReady(); !strings.Contains(got, "D(2)") {
					t.Errorf("the portal: %s", got)
				}
			}
			f.send(&pgproto3.Query{String: fmt.Sprintf("select count(*) < %d from pg_prepared_statements", most)})
			if got := f.untilReady(); !strings.Contains(got, "D(t)") {
				t.Errorf("%s: less than %d statements on the connection: %s", begins, most, got)
			}
			hangUp(c)
		}
	})
}

func TestAStatementNeverAnswersWithColumnsThatItsClientDoesNotKnow(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		direct := conn(t, r.server.Endpoint, harness.App())
		ask(t, direct, "drop table if exists reshaped")
		ask(t, direct, "create table reshaped (a int); insert into reshaped values (1)")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop table reshaped"); err != nil {
				t.Error(err)
			}
		})
		first, err := r.Endpoint.PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close(ctx)
		if _, err := first.Prepare(ctx, "s", "select * from reshaped"); err != nil {
			t.Fatal(err)
		}
		// Its backend goes to a transaction of somebody else's, so that it gets one that has never seen the statement.
		holder := conn(t, r.Endpoint, harness.App())
		ask(t, holder, "begin")
		ask(t, direct, "alter table reshaped add b text default 'new'")
		_, err = first.Exec(ctx, "s", pgx.QueryExecModeCacheStatement)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "0A000" || refused.Message != "cached plan must not change result type" ||
			refused.Routine != "RevalidateCachedQuery" {
			t.Errorf("with other columns than it was told: %v", err)
		}
		if err := first.Deallocate(ctx, "s"); err != nil {
			t.Fatal(err)
		}
		if _, err := first.Prepare(ctx, "s", "select * from reshaped"); err != nil {
			t.Fatal(err)
		}
		var a int
		var b string
		if err := first.QueryRow(ctx, "s").Scan(&a, &b); err != nil || a != 1 || b != "new" {
			t.Errorf("prepared again: %d %s, %v", a, b, err)
		}
		ask(t, holder, "rollback")
		r.whole(t)
	})
}

// libpq and pgjdbc ask for the columns of portals, and pgjdbc only once: a later Bind asks for the formats of as many columns as it knows.
func TestAStatementNeverAnswersWithOtherColumnsThanThoseOfAPortalOfIt(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		direct := conn(t, r.server.Endpoint, harness.App())
		ask(t, direct, "drop table if exists reshaped")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop table reshaped"); err != nil {
				t.Error(err)
			}
		})
		for _, portal := range []string{"", "p"} {
			for _, formats := range [][]int16{{0, 0}, nil} {
				ask(t, direct, "drop table if exists reshaped")
				ask(t, direct, "create table reshaped (a int, b int); insert into reshaped values (1, 2)")
				first := frontend(t, conn(t, r.Endpoint, harness.App()))
				first.send(&pgproto3.Parse{Name: "s", Query: "select * from reshaped"}, &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: "s"},
					&pgproto3.Describe{ObjectType: 'P', Name: portal}, &pgproto3.Execute{Portal: portal}, &pgproto3.Sync{})
				if got := first.untilReady(); !strings.Contains(got, "D(1") {
					t.Fatalf("the first execution: %s", got)
				}
				again := []pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: portal, PreparedStatement: "s", ResultFormatCodes: formats},
					&pgproto3.Execute{Portal: portal}, &pgproto3.Sync{}}
				// Its backend goes to a transaction of somebody else's, so that it gets one that has never seen the statement.
				holder := conn(t, r.Endpoint, harness.App())
				ask(t, holder, "begin")
				first.send(again...)
				if got := first.untilReady(); !strings.Contains(got, "D(1") {
					t.Errorf("portal %q: on another backend: %s", portal, got)
				}
				ask(t, holder, "rollback")
				hangUp(holder)
				ask(t, direct, "alter table reshaped add c int default 3")
				for range 3 {
					holder = conn(t, r.Endpoint, harness.App())
					ask(t, holder, "begin")
					first.send(again...)
					if got := first.untilReady(); !strings.Contains(got, "E(0A000)") || strings.Contains(got, "D(") {
						t.Errorf("portal %q, formats %d: with other columns than it was told: %s", portal, formats, got)
					}
					hangUp(holder) // and its backend with it
				}
				first.send(&pgproto3.Terminate{})
			}
		}
		r.whole(t)
	})
}

func TestAFetchThatWasPreparedBeforeItsCursorIsExecuted(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first, err := r.Endpoint.PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close(ctx)
		s, err := first.Prepare(ctx, "s", "fetch all in prepared_before")
		if err != nil || len(s.Fields) != 0 {
			t.Fatalf("prepared with %v, %v", s, err)
		}
		// Its backend goes to a transaction of somebody else's, so that it gets one that has never seen the statement.
		holder := conn(t, r.Endpoint, harness.App())
		ask(t, holder, "begin")
		for _, columns := range []string{"n", "n, n::text"} {
			ask(t, first.PgConn(), "begin; declare prepared_before cursor for select "+columns+" from generate_series(1, 3) n")
			got := first.PgConn().ExecStatement(ctx, s, nil, nil, nil).Read()
			if got.Err != nil || len(got.Rows) != 3 || len(got.FieldDescriptions) != strings.Count(columns, "n,")+1 {
				t.Errorf("fetched %d rows of %d columns, %v", len(got.Rows), len(got.FieldDescriptions), got.Err)
			}
			ask(t, first.PgConn(), "rollback")
		}
		ask(t, holder, "rollback")
		r.whole(t)
	})
}

func TestAStatementGoesOnWithAnotherTableOfTheSameColumns(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		direct := conn(t, r.server.Endpoint, harness.App())
		ask(t, direct, "drop table if exists made_anew; create table made_anew (a int, b text); insert into made_anew values (1, 'old')")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop table made_anew"); err != nil {
				t.Error(err)
			}
		})
		first, err := r.Endpoint.PgxConn(ctx, harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close(ctx)
		if _, err := first.Prepare(ctx, "s", "select * from made_anew"); err != nil {
			t.Fatal(err)
		}
		holder := conn(t, r.Endpoint, harness.App()) // has its backend from now on
		ask(t, holder, "begin")
		ask(t, direct, "drop table made_anew; create table made_anew (a int, b text); insert into made_anew values (2, 'new')")
		var a int
		var b string
		if err := first.QueryRow(ctx, "s").Scan(&a, &b); err != nil || a != 2 || b != "new" {
			t.Errorf("answered %d %q, %v", a, b, err)
		}
		ask(t, holder, "rollback")
		r.whole(t)
	})
}

func TestSQLFindsStatementsOfTheProtocolByTheirNames(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		c := conn(t, r.Endpoint, harness.App())
		for i, name := range []string{"one", "two"} {
			if _, err := c.Prepare(ctx, name, fmt.Sprintf("select %d", i+1), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := ask(t, c, "execute two"); got != "2" {
			t.Errorf("EXECUTE of a statement of the protocol: %s", got)
		}
		if s := r.session(t, c.PID()); s.Pinned != "prepared_statement" {
			t.Errorf("after EXECUTE: %+v", s)
		}
		ask(t, c, "deallocate two")
		wantCode(t, c.ExecPrepared(ctx, "two", nil, nil, nil).Read().Err, "26000")
		if got := joined(c.ExecPrepared(ctx, "one", nil, nil, nil).Read()); got != "1" {
			t.Errorf("the other one: %s", got)
		}
		ask(t, c, "deallocate all")
		wantCode(t, c.ExecPrepared(ctx, "one", nil, nil, nil).Read().Err, "26000")
		if s := r.session(t, c.PID()); s.Pinned != "" {
			t.Errorf("after DEALLOCATE ALL: %+v", s)
		}
		r.whole(t)
	})
}

// The table of a statement of the protocol is gone, and its backend with somebody else: DEALLOCATE finds it all the same.
func TestSQLDeallocatesAStatementThatCannotBePreparedAnyMore(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for name, play := range map[string]func(f *raw){
			"in a simple query": func(f *raw) {
				f.send(&pgproto3.Query{String: "deallocate a"})
				f.expect("C(DEALLOCATE) Z(I)")
			},
			"in a transaction": func(f *raw) {
				f.send(&pgproto3.Query{String: "begin"})
				f.expect("C(BEGIN) Z(T)")
				f.send(&pgproto3.Query{String: `deallocate prepare "a"`})
				f.expect("C(DEALLOCATE) Z(T)")
				f.send(&pgproto3.Query{String: "commit"})
				f.expect("C(COMMIT) Z(I)")
			},
			"in a batch, beside another of that kind": func(f *raw) {
				f.send(&pgproto3.Parse{Query: "deallocate A"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				f.expect("1 2 C(DEALLOCATE) Z(I)")
			},
			"in a batch": func(f *raw) {
				f.send(&pgproto3.Parse{Query: "deallocate A"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				f.expect("1 2 C(DEALLOCATE) Z(I)")
			},
			"in a batch that ends a transaction which failed": func(f *raw) {
				f.send(&pgproto3.Query{String: "begin"})
				f.expect("C(BEGIN) Z(T)")
				f.send(&pgproto3.Query{String: "select 1/0"})
				f.expect("E(22012) Z(E)")
				f.send(&pgproto3.Parse{Query: "commit"}, &pgproto3.Bind{}, &pgproto3.Execute{},
					&pgproto3.Parse{Query: "deallocate a"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				f.expect("1 2 C(ROLLBACK) 1 2 C(DEALLOCATE) Z(I)")
			},
			"with others, in a transaction": func(f *raw) {
				f.send(&pgproto3.Query{String: "begin"})
				f.expect("C(BEGIN) Z(T)")
				f.send(&pgproto3.Query{String: "select; deallocate a; deallocate b"})
				f.expect("T D() C(SELECT 1) C(DEALLOCATE) C(DEALLOCATE) Z(T)")
				f.send(&pgproto3.Query{String: "deallocate a"})
				f.expect("E(26000) Z(E)")
				f.send(&pgproto3.Query{String: "rollback"})
				f.expect("C(ROLLBACK) Z(I)")
			},
			"behind a savepoint": func(f *raw) {
				f.send(&pgproto3.Query{String: "begin; savepoint s"})
				f.expect("C(BEGIN) C(SAVEPOINT) Z(T)")
				f.send(&pgproto3.Query{String: "select 1/0"})
				f.expect("E(22012) Z(E)")
				f.send(&pgproto3.Parse{Query: "rollback to s"}, &pgproto3.Bind{}, &pgproto3.Execute{},
					&pgproto3.Parse{Query: "deallocate a"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
				f.expect("1 2 C(ROLLBACK) 1 2 C(DEALLOCATE) Z(T)")
				f.send(&pgproto3.Query{String: "commit"})
				f.expect("C(COMMIT) Z(I)")
			},
			"in a transaction that failed, with what ends it": func(f *raw) {
				f.send(&pgproto3.Query{String: "begin"})
				f.expect("C(BEGIN) Z(T)")
				f.send(&pgproto3.Query{String: "select 1/0"})
				f.expect("E(22012) Z(E)")
				f.send(&pgproto3.Query{String: "deallocate a"})
				f.expect("E(25P02) Z(E)")
				f.send(&pgproto3.Query{String: "rollback; deallocate a"})
				f.expect("C(ROLLBACK) C(DEALLOCATE) Z(I)")
			},
		} {
			t.Run(name, func(t *testing.T) {
				harness.Exec(t, r.server, "drop table if exists dropped", "create table dropped (a int)", "grant all on dropped to public")
				f := frontend(t, conn(t, r.Endpoint, harness.App()))
				f.send(&pgproto3.Parse{Name: "a", Query: "select * from dropped"}, &pgproto3.Sync{})
				f.expect("1 Z(I)")
				if strings.HasSuffix(name, "of that kind") || strings.HasPrefix(name, "with others") {
					f.send(&pgproto3.Parse{Name: "b", Query: "table dropped"}, &pgproto3.Sync{})
					f.expect("1 Z(I)")
				}
				holder := conn(t, r.Endpoint, harness.App()) // has its backend from now on
				ask(t, holder, "begin")
				harness.Exec(t, r.server, "drop table dropped")
				play(f)
				f.send(&pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Execute{}, &pgproto3.Sync{})
				f.expect("E(26000) Z(I)")
				ask(t, holder, "rollback")
				_ = holder.Close(t.Context())
				f.send(&pgproto3.Terminate{})
			})
		}
		r.whole(t)
	})
}

// The session goes on with a statement of the protocol that DEALLOCATE has not come to, and with all that the text does not name.
func TestSQLThatNamesAStatementLeavesTheOthers(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		harness.Exec(t, r.server, "drop table if exists dropped", "create table dropped (a int)", "grant all on dropped to public")
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		f.send(&pgproto3.Parse{Name: "a", Query: "select 1"}, &pgproto3.Parse{Name: "b", Query: "select 2"}, &pgproto3.Parse{Name: "gone", Query: "table dropped"}, &pgproto3.Sync{})
		f.expect("1 1 1 Z(I)")
		holder := conn(t, r.Endpoint, harness.App()) // has its backend from now on
		ask(t, holder, "begin")
		harness.Exec(t, r.server, "drop table dropped")
		use := func(name, want string) {
			t.Helper()
			f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
			f.expect(want)
		}
		for _, sql := range []string{"select 1/0; deallocate a", "begin; select 1/0; deallocate b"} {
			f.send(&pgproto3.Query{String: sql})
			f.untilReady()
			f.send(&pgproto3.Query{String: "rollback"})
			f.untilReady()
			use("a", "2 D(1) C(SELECT 1) Z(I)")
		}
		f.send(&pgproto3.Parse{Query: "deallocate a"}, &pgproto3.Bind{}, &pgproto3.Sync{})
		f.expect("1 2 Z(I)")
		use("a", "2 D(1) C(SELECT 1) Z(I)")
		f.send(&pgproto3.Query{String: "deallocate a"}, &pgproto3.Bind{PreparedStatement: "a"}, &pgproto3.Sync{}, &pgproto3.Bind{PreparedStatement: "b"}, &pgproto3.Sync{})
		f.expect("C(DEALLOCATE) Z(I) E(26000) Z(I) 2 Z(I)")
		if s := r.session(t, f.pid); s.Pinned != "" {
			t.Errorf("after DEALLOCATE: %+v", s)
		}
		f.send(&pgproto3.Parse{Query: "prepare own as select 3"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
		f.expect("1 2 C(PREPARE) Z(I)")
		use("own", "2 D(3) C(SELECT 1) Z(I)")
		use("b", "2 D(2) C(SELECT 1) Z(I)")
		use("gone", "E(42P01) Z(I)")
		f.send(&pgproto3.Query{String: "prepare b as select 4"})
		f.expect("E(42P05) Z(I)")
		f.send(&pgproto3.Parse{Name: "b", Query: "select 5"}, &pgproto3.Sync{}, &pgproto3.Parse{Name: "own", Query: "select 6"}, &pgproto3.Sync{})
		f.expect("E(42P05) Z(I) E(42P05) Z(I)")
		f.send(&pgproto3.Query{String: "execute own; execute b"})
		f.expect("T D(3) C(SELECT 1) T D(2) C(SELECT 1) Z(I)")
		use("b", "2 D(2) C(SELECT 1) Z(I)")
		f.send(&pgproto3.Close{ObjectType: 'S', Name: "gone"}, &pgproto3.Sync{}, &pgproto3.Parse{Name: "gone", Query: "select 7"}, &pgproto3.Sync{})
		f.expect("3 Z(I) 1 Z(I)")
		f.send(&pgproto3.Query{String: "execute gone"})
		f.expect("T D(7) C(SELECT 1) Z(I)")
		f.send(&pgproto3.Query{String: "deallocate gone; deallocate b; deallocate own"})
		f.expect("C(DEALLOCATE) C(DEALLOCATE) C(DEALLOCATE) Z(I)")
		harness.Eventually(t, settleWithin, "the session is not pinned", func() bool { return r.session(t, f.pid).Pinned == "" })
		ask(t, holder, "rollback")
		_ = holder.Close(t.Context())
		f.send(&pgproto3.Terminate{})
		r.whole(t)
	})
}

func TestWhatStandsInForADeallocatedStatementIsNobodyElses(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		a, b := frontend(t, conn(t, r.Endpoint, harness.App())), frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, batch := range [][]pgproto3.FrontendMessage{
			{&pgproto3.Parse{Name: "mine", Query: "select 1"}, &pgproto3.Sync{}},
			{&pgproto3.Parse{Query: "deallocate mine"}, &pgproto3.Bind{}, &pgproto3.Close{ObjectType: 'S', Name: "mine"}, &pgproto3.Sync{}},
		} {
			a.send(batch...)
			a.untilReady()
		}
		b.send(&pgproto3.Query{String: "prepare mine as select 2"})
		b.expect("C(PREPARE) Z(I)")
	})
}

func TestAPortalThatDeallocatesIsExecutedBehindASync(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, step := range []struct {
			batch []pgproto3.FrontendMessage
			want  string
		}{
			{[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "mine", Query: "select 1"}, &pgproto3.Sync{}}, "1 Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Query{String: "begin"}}, "C(BEGIN) Z(T)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Parse{Query: "deallocate mine"}, &pgproto3.Bind{}, &pgproto3.Sync{}}, "1 2 Z(T)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Execute{}, &pgproto3.Sync{}}, "C(DEALLOCATE) Z(T)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Query{String: "commit"}}, "C(COMMIT) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "mine"}, &pgproto3.Sync{}}, "E(26000) Z(I)"},
		} {
			f.send(step.batch...)
			f.expect(step.want)
		}
	})
}

// Two portals are open that deallocate, and only one of them is executed, or neither in the order in which they came.
func TestEveryPortalThatDeallocatesTakesItsOwnStatement(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		for name, c := range map[string]struct {
			bind, execute []pgproto3.FrontendMessage
			answers       string
			left          string // of one, two and three
		}{
			"a named one is executed": {
				[]pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "d2"}, &pgproto3.Bind{PreparedStatement: "d1"}},
				[]pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "p"}}, "C(DEALLOCATE)", "one three",
			},
			"another takes the unnamed one's place": {
				[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "d1"}, &pgproto3.Bind{PreparedStatement: "d2"}},
				[]pgproto3.FrontendMessage{&pgproto3.Execute{}}, "C(DEALLOCATE)", "one three",
			},
			"both are executed, the named one first": {
				[]pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "d2"}, &pgproto3.Bind{PreparedStatement: "d1"}},
				[]pgproto3.FrontendMessage{&pgproto3.Execute{Portal: "p"}, &pgproto3.Execute{}}, "C(DEALLOCATE) C(DEALLOCATE)", "three",
			},
			"what only SQL knows takes the unnamed one's place": {
				[]pgproto3.FrontendMessage{
					&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "d2"}, &pgproto3.Parse{Name: "own", Query: "deallocate two"},
					&pgproto3.Bind{PreparedStatement: "d1"}, &pgproto3.Bind{PreparedStatement: "own"},
				},
				[]pgproto3.FrontendMessage{&pgproto3.Execute{}}, "C(DEALLOCATE)", "one three",
			},
		} {
			t.Run(name, func(t *testing.T) {
				f := frontend(t, conn(t, r.Endpoint, harness.App()))
				f.send(
					&pgproto3.Parse{Name: "one", Query: "select 1"}, &pgproto3.Parse{Name: "two", Query: "select 2"}, &pgproto3.Parse{Name: "three", Query: "select 3"},
					&pgproto3.Parse{Name: "d1", Query: "deallocate one"}, &pgproto3.Parse{Name: "d2", Query: "deallocate two"}, &pgproto3.Sync{},
				)
				f.expect("1 1 1 1 1 Z(I)")
				f.send(&pgproto3.Query{String: "begin"})
				f.expect("C(BEGIN) Z(T)")
				f.send(append(c.bind, &pgproto3.Sync{})...)
				f.untilReady()
				f.send(append(c.execute, &pgproto3.Sync{})...)
				f.expect(c.answers + " Z(T)")
				f.send(&pgproto3.Query{String: "commit"})
				f.expect("C(COMMIT) Z(I)")
				var left []string
				for i, name := range []string{"one", "two", "three"} {
					f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
					switch got := f.untilReady(); got {
					case fmt.Sprintf("2 D(%d) C(SELECT 1) Z(I)", i+1):
						left = append(left, name)
					case "E(26000) Z(I)":
					default:
						t.Errorf("%s: %s", name, got)
					}
				}
				if got := strings.Join(left, " "); got != c.left {
					t.Errorf("left: %q, want %q", got, c.left)
				}
				f.send(&pgproto3.Terminate{})
			})
		}
		r.whole(t)
	})
}

// The session is pinned, and what it prepares is the backend's own: SQL in it finds what was prepared before.
func TestAStatementThatIsNotSharedFindsTheOthersByTheirNames(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, step := range []struct {
			batch []pgproto3.FrontendMessage
			want  string
		}{
			{[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "one", Query: "select 1"}, &pgproto3.Parse{Name: "two", Query: "select 2"}, &pgproto3.Sync{}}, "1 1 Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Query{String: "prepare own as select 3"}}, "C(PREPARE) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "executes", Query: "execute one"}, &pgproto3.Parse{Name: "deallocates", Query: "deallocate two"}, &pgproto3.Sync{}}, "1 1 Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "executes"}, &pgproto3.Execute{}, &pgproto3.Sync{}}, "2 D(1) C(SELECT 1) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "deallocates"}, &pgproto3.Execute{}, &pgproto3.Sync{}}, "2 C(DEALLOCATE) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "two"}, &pgproto3.Sync{}}, "E(26000) Z(I)"},
		} {
			f.send(step.batch...)
			if got := f.untilReady(); got != step.want {
				t.Fatalf("got  %s\nwant %s", got, step.want)
			}
		}
	})
}

// asyncpg prepares every statement, EXECUTE too.
func TestExecuteIsDescribedAsWhatItExecutes(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, name := range []string{"", "e"} {
			f := frontend(t, conn(t, r.Endpoint, harness.App()))
			f.send(&pgproto3.Parse{Name: "mine", Query: "select 7"}, &pgproto3.Describe{ObjectType: 'S', Name: "mine"}, &pgproto3.Sync{})
			f.expect("1 t T Z(I)")
			f.send(&pgproto3.Parse{Name: name, Query: "execute mine"}, &pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Sync{})
			f.expect("1 t T Z(I)")
			f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{})
			f.expect("2 T D(7) C(SELECT 1) Z(I)")
			f.send(&pgproto3.Terminate{})
			// What it executes may be parsed in the same batch, and another session's may have the same name.
			f = frontend(t, conn(t, r.Endpoint, harness.App()))
			f.send(&pgproto3.Parse{Name: "mine", Query: "select 'a', 'b'"}, &pgproto3.Parse{Name: name, Query: "execute mine"},
				&pgproto3.Describe{ObjectType: 'S', Name: name}, &pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{})
			f.expect("1 1 t T 2 D(a|b) C(SELECT 1) Z(I)")
			f.send(&pgproto3.Terminate{})
		}
		r.whole(t)
	})
}

// SQL in code prepares, executes and deallocates, too, and no scan sees it.
func TestAStatementThatCodePreparedIsItsSessionsOnly(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		for name, begin := range map[string]string{"outside of a transaction": "", "in a transaction": "begin"} {
			t.Run(name, func(t *testing.T) {
				f := frontend(t, conn(t, r.Endpoint, harness.App()))
				say := func(want string, batch ...pgproto3.FrontendMessage) {
					t.Helper()
					f.send(batch...)
					if got := f.untilReady(); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				}
				state := "Z(I)"
				say("1 Z(I)", &pgproto3.Parse{Name: "mine", Query: "select 1"}, &pgproto3.Sync{})
				if begin != "" {
					state = "Z(T)"
					say("C(BEGIN) "+state, &pgproto3.Query{String: begin})
				}
				say("C(DO) "+state, &pgproto3.Query{String: "do $$ begin execute 'prepare own as select 2'; execute 'deallocate mine'; end $$"})
				say("2 D(2) C(SELECT 1) "+state, &pgproto3.Bind{PreparedStatement: "own"}, &pgproto3.Execute{}, &pgproto3.Sync{})
				say("T D(2) C(SELECT 1) "+state, &pgproto3.Query{String: "execute own"})
				if begin != "" {
					say("C(COMMIT) Z(I)", &pgproto3.Query{String: "commit"})
				}
				say("E(42P05) Z(I)", &pgproto3.Parse{Name: "own", Query: "select 3"}, &pgproto3.Sync{})
				say("E(26000) Z(I)", &pgproto3.Bind{PreparedStatement: "mine"}, &pgproto3.Sync{})
				if s := r.session(t, f.pid); s.Pinned != "prepared_statement" {
					t.Errorf("with a statement of its own: %+v", s)
				}
				say("C(DO) Z(I)", &pgproto3.Query{String: "do $$ begin execute 'deallocate own'; end $$"})
				harness.Eventually(t, settleWithin, "the session is not pinned", func() bool { return r.session(t, f.pid).Pinned == "" })
				other := frontend(t, conn(t, r.Endpoint, harness.App()))
				other.send(&pgproto3.Query{String: "prepare own as select 4; prepare mine as select 5; deallocate own; deallocate mine"})
				other.expect("C(PREPARE) C(PREPARE) C(DEALLOCATE) C(DEALLOCATE) Z(I)")
				other.send(&pgproto3.Terminate{})
				f.send(&pgproto3.Terminate{})
			})
		}
		r.whole(t)
	})
}

func TestAStatementThatAFunctionPreparedIsFoundByTheProtocol(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		harness.Exec(t, r.server, "create or replace function prepares() returns int language plpgsql as $$ begin execute 'prepare own as select 2'; return 1; end $$")
		defer harness.Exec(t, r.server, "drop function prepares()")
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, step := range []struct {
			batch []pgproto3.FrontendMessage
			want  string
		}{
			{[]pgproto3.FrontendMessage{&pgproto3.Query{String: "select prepares()"}}, "T D(1) C(SELECT 1) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Bind{PreparedStatement: "own"}, &pgproto3.Execute{}, &pgproto3.Sync{}}, "2 D(2) C(SELECT 1) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Parse{Name: "own", Query: "select 3"}, &pgproto3.Sync{}}, "E(42P05) Z(I)"},
			{[]pgproto3.FrontendMessage{&pgproto3.Query{String: "execute own; deallocate own"}}, "T D(2) C(SELECT 1) C(DEALLOCATE) Z(I)"},
		} {
			f.send(step.batch...)
			if got := f.untilReady(); got != step.want {
				t.Errorf("got  %s\nwant %s", got, step.want)
			}
		}
		harness.Eventually(t, settleWithin, "the session is not pinned", func() bool { return r.session(t, f.pid).Pinned == "" })
		f.send(&pgproto3.Terminate{})
		r.whole(t)
	})
}

// A program of libpq's asks for no descriptions, so that nobody but the server knows which columns its statement had.
func TestATemporaryTableOfAnotherSessionsChangesNoStatement(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "hides", "create table hidden (a int)")
		send := func(c *pgconn.PgConn, messages ...pgproto3.FrontendMessage) (failure string) {
			t.Helper()
			f := c.Frontend()
			for _, m := range append(messages, &pgproto3.Sync{}) {
				f.Send(m)
			}
			if err := f.Flush(); err != nil {
				t.Fatal(err)
			}
			for {
				m, err := f.Receive()
				if err != nil {
					t.Fatal(err)
				}
				switch m := m.(type) {
				case *pgproto3.ErrorResponse:
					failure = m.Code + " " + m.Message
				case *pgproto3.ReadyForQuery:
					return failure
				}
			}
		}
		parse, bind := &pgproto3.Parse{Name: "s", Query: "select * from hidden"}, &pgproto3.Bind{PreparedStatement: "s"}
		for _, hides := range [][2]string{{"create temp table hidden (b text, c int)", "drop table pg_temp.hidden"}, {"begin; alter table hidden add d int", "rollback"}} {
			a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
			ask(t, b, "select 1") // the server is asked about code
			if got := send(b, parse); got != "" {
				t.Fatal(got)
			}
			ask(t, a, hides[0])
			if got := send(a, parse, bind, &pgproto3.Execute{}); got != "" {
				t.Fatal(got)
			}
			ask(t, a, hides[1])
			if got := send(b, bind, &pgproto3.Execute{}); got != "" {
				t.Errorf("behind %s and %s: %s", hides[0], hides[1], got)
			}
		}
	})
}

// So does the unnamed one, which clients may bind again without a Parse: Berth parses it where its session goes.
func TestTheUnnamedStatementNeverAnswersWithOtherColumnsThanItsClientWasTold(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		direct := conn(t, r.server.Endpoint, harness.App())
		ask(t, direct, "drop table if exists reshaped")
		t.Cleanup(func() {
			if err := r.server.Exec(context.Background(), "drop table reshaped"); err != nil {
				t.Error(err)
			}
		})
		for _, described := range []pgproto3.Describe{{ObjectType: 'P'}, {ObjectType: 'P', Name: "p"}, {ObjectType: 'S'}} {
			for _, formats := range [][]int16{{0, 0}, nil} {
				ask(t, direct, "drop table if exists reshaped")
				ask(t, direct, "create table reshaped (a int, b int); insert into reshaped values (1, 2)")
				begin := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "select * from reshaped"}, &pgproto3.Bind{DestinationPortal: described.Name},
					&described, &pgproto3.Execute{Portal: described.Name}, &pgproto3.Sync{}}
				again := []pgproto3.FrontendMessage{&pgproto3.Bind{DestinationPortal: described.Name, ResultFormatCodes: formats},
					&pgproto3.Execute{Portal: described.Name}, &pgproto3.Sync{}}
				theirs, first := frontend(t, conn(t, r.server.Endpoint, harness.App())), frontend(t, conn(t, r.Endpoint, harness.App()))
				for _, f := range []*raw{theirs, first} {
					f.send(begin...)
					if got := f.untilReady(); !strings.Contains(got, "D(1") {
						t.Fatalf("the first execution: %s", got)
					}
				}
				// Its backend goes to a transaction of somebody else's, so that it gets one that has never seen the statement.
				holder := conn(t, r.Endpoint, harness.App())
				ask(t, holder, "begin")
				first.send(again...)
				if got := first.untilReady(); !strings.Contains(got, "D(1") {
					t.Errorf("%c %q: on another backend: %s", described.ObjectType, described.Name, got)
				}
				ask(t, holder, "rollback")
				hangUp(holder)
				ask(t, direct, "alter table reshaped add c int default 3")
				theirs.send(again...)
				want := theirs.untilReady()
				if !strings.Contains(want, "E(0A000)") {
					t.Errorf("the server itself says %s", want)
				}
				for range 3 {
					holder = conn(t, r.Endpoint, harness.App())
					ask(t, holder, "begin")
					first.send(again...)
					if got := first.untilReady(); got != want {
						t.Errorf("%c %q, formats %d: with other columns than it was told: %s, the server itself says %s", described.ObjectType, described.Name, formats, got, want)
					}
					hangUp(holder) // and its backend with it
				}
				ask(t, direct, "alter table reshaped drop c")
				for _, f := range []*raw{theirs, first} {
					f.send(again...)
					if got := f.untilReady(); !strings.Contains(got, "D(1") {
						t.Errorf("%c %q: with its columns back: %s", described.ObjectType, described.Name, got)
					}
					f.send(&pgproto3.Terminate{})
				}
			}
		}
		r.whole(t)
	})
}

func TestNamesLikeTheProxysAreTheSessionsOwn(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		counted := table(t, r.server, "(n serial)")
		harness.Exec(t, r.server, "grant all on sequence "+counted+"_n_seq to public")
		other := conn(t, r.Endpoint, harness.App())
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, name := range []string{"berth", "berth_1", "berth_savepoint"} {
			f.send(&pgproto3.Parse{Name: name, Query: "select 7"}, &pgproto3.Sync{}, &pgproto3.Query{String: "execute " + name})
			f.expect("1 Z(I) T D(7) C(SELECT 1) Z(I)")
			if s := r.session(t, f.pid); s.Pinned != "prepared_statement" {
				t.Errorf("behind EXECUTE of %s: %+v", name, s)
			}
			f.send(&pgproto3.Bind{PreparedStatement: name}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "deallocate " + name})
			f.expect("2 D(7) C(SELECT 1) Z(I) C(DEALLOCATE) Z(I)")
			ask(t, other, "insert into "+counted+" default values") // so that values have to be forgotten, in the transaction
			f.send(&pgproto3.Query{String: "begin; savepoint " + name + "; declare " + name + " cursor for values (1), (2)"})
			f.expect("C(BEGIN) C(SAVEPOINT) C(DECLARE CURSOR) Z(T)")
			f.send(&pgproto3.Parse{Query: "insert into " + counted + " default values"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}, &pgproto3.Query{String: "fetch 2 from " + name}, &pgproto3.Query{String: "rollback to " + name + "; commit"})
			f.expect("1 2 C(INSERT 0 1) Z(T) T D(1) D(2) C(FETCH 2) Z(T) C(ROLLBACK) C(COMMIT) Z(I)")
		}
		if _, err := other.Prepare(t.Context(), "mine", "select 1", nil); err != nil {
			t.Fatal(err)
		}
		shared := ask(t, other, "select name from pg_prepared_statements limit 1")
		for sql, want := range map[string]string{"execute": "26000", "explain analyze execute": "26000", "deallocate": "26000", "prepare": "42P05"} {
			for _, name := range []string{`"` + shared + `"`, `U&"` + shared + `"`, `u&"\0062` + shared[1:] + `"`, `U&"ber!+000074` + shared[4:] + `" uescape '!'`} {
				sql := sql + " " + name
				if want == "42P05" {
					sql += " as select 1"
				}
				f.send(&pgproto3.Query{String: sql}, &pgproto3.Parse{Query: sql}, &pgproto3.Sync{}, &pgproto3.Parse{Name: "n", Query: sql}, &pgproto3.Sync{})
				f.expect("E(" + want + ") Z(I) E(" + want + ") Z(I) E(" + want + ") Z(I)")
			}
		}
		if got := other.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read(); joined(got) != "1" || got.Err != nil {
			t.Errorf("the other session's statement: %q %v", joined(got), got.Err)
		}
	})
}

// Code reaches what the connection has prepared for other sessions of its user, as it reaches the view that shows it. These do not notice.
func TestCodeThatMeddlesWithSharedStatementsHarmsNobody(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "meddling", "create function run(name text, sql text) returns text language plpgsql as $$ declare found text; "+
			"begin if sql like 'execute %' then execute format(sql, name) into found; else execute format(sql, name); end if; return found; end $$")
		other := conn(t, r.Endpoint, l)
		if _, err := other.Prepare(t.Context(), "mine", "select 41", nil); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{"execute %I", "deallocate %I", "deallocate %1$I; prepare %1$I as select 666", "deallocate all"} {
			c := conn(t, r.Endpoint, l)
			name := ask(t, c, "select name from pg_prepared_statements limit 1")
			ask(t, c, fmt.Sprintf("select run('%s', '%s')", name, sql))
			if pinned := r.pinned(t, c); pinned != strings.Contains(sql, "prepare") {
				t.Errorf("behind %s: pinned %v", sql, pinned)
			}
			hangUp(c)
			if got := other.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read(); joined(got) != "41" || got.Err != nil {
				t.Errorf("behind %s the other session's statement: %q %v", sql, joined(got), got.Err)
			}
		}
	})
}
