package postgres

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// forever is a statement that ends by being stopped.
const forever = "select pg_sleep(600)"

// rows is how many rows a table has, as the server says.
func (r *rig) rows(t *testing.T, name string) string {
	t.Helper()
	c := conn(t, r.server.Endpoint, harness.Superuser())
	defer hangUp(c)
	return ask(t, c, "select count(*) from "+name)
}

func TestAQueryThatTakesTooLongIsStoppedAndItsSessionGoesOn(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"query_timeout": "1s"}}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(a int)")
		c := conn(t, r.Endpoint, harness.App())
		_, err := asked(t.Context(), c, forever)
		wantCode(t, err, "57014")
		_, err = askedExtended(t.Context(), c, forever)
		wantCode(t, err, "57014")
		ask(t, c, "begin; insert into "+name+" values (1)")
		_, err = asked(t.Context(), c, forever)
		wantCode(t, err, "57014")
		if got := ask(t, c, "rollback; select 'alive'"); got != "alive" {
			t.Errorf("afterwards %q", got)
		}
		ask(t, c, "create temporary table mine (a int)") // pinned
		_, err = asked(t.Context(), c, forever)
		wantCode(t, err, "57014")
		ask(t, c, "select * from mine; drop table mine")
		r.proxy.Overdue(t, "query_timeout", 4)
		// Of a pipeline each request has its time: the last is executed.
		f := frontend(t, c)
		f.send(&pgproto3.Query{String: forever}, &pgproto3.Query{String: forever}, &pgproto3.Query{String: "insert into " + name + " values (2)"})
		f.expect("T E(57014) Z(I) T E(57014) Z(I) C(INSERT 0 1) Z(I)")
		if got := r.rows(t, name); got != "1" {
			t.Errorf("%s rows", got)
		}
		// What stops one request of a pipeline may stop the next one, too: PostgreSQL before 18 signals twice for a cancel request (postmaster.c
		// signal_child: the process, and its group), and the second signal may come when the answer is out. That one has not exceeded its time.
		if n, err := r.proxy.Sum(t.Context(), "berth_time_limits_exceeded_total", `limit="query_timeout"`); err != nil || n < 5 || n > 6 {
			t.Errorf("query_timeout was exceeded %v times in all: %v", n, err)
		}
	})
}

func TestACommitThatTakesTooLongFailsOrComesThroughAsTheServerSays(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"query_timeout": "1s"}}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(a int)")
		harness.Exec(t, r.server,
			"create function "+name+"_slow() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return null; end $$",
			"create constraint trigger slow after insert on "+name+" deferrable initially deferred for each row execute function "+name+"_slow()")
		defer harness.Exec(t, r.server, "drop function "+name+"_slow() cascade")
		c := conn(t, r.Endpoint, harness.App())
		for range 2 {
			ask(t, c, "begin; insert into "+name+" values (1)")
			_, err := asked(t.Context(), c, "commit")
			wantCode(t, err, "57014")
			if tx := c.TxStatus(); tx != 'I' {
				t.Errorf("transaction status %q", tx)
			}
			if got := r.rows(t, name); got != "0" {
				t.Errorf("%s rows, and the COMMIT had failed", got)
			}
		}
	})
}

func TestNoQueryTimeIsWhatASessionWaitsOrListens(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"query_timeout": "1s"}}, func(t *testing.T, r *rig) {
		listens := conn(t, r.Endpoint, harness.App())
		ask(t, listens, "listen news")
		holder := conn(t, r.Endpoint, harness.App())
		ask(t, holder, "begin")
		waits := conn(t, r.Endpoint, harness.App())
		done := make(chan error, 1)
		go func() {
			_, err := asked(t.Context(), waits, "select 1")
			done <- err
		}()
		harness.Eventually(t, settleWithin, "it waits", func() bool { return r.pool(t).Waiting == 1 })
		for range 3 { // the time of which passes for the others, too
			_, err := asked(t.Context(), holder, forever)
			wantCode(t, err, "57014")
			ask(t, holder, "rollback; begin")
		}
		ask(t, holder, "rollback")
		if err := <-done; err != nil {
			t.Errorf("who waited: %v", err)
		}
		ask(t, listens, "select 1")
		r.proxy.Overdue(t, "query_timeout", 3, `"digest":"select pg_sleep(?)"`)
	})
}

func TestACopyWhoseClientDoesNotGoOnIsGivenUp(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 1, Listener: harness.Keys{"query_timeout": "1s"}}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(a int)")
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		// One who sends now and then is told by the server.
		f.send(&pgproto3.Query{String: "copy " + name + " from stdin"})
		f.expect("G")
		told := make(chan string, 1)
		go func() { told <- f.receive() }()
		for sending := true; sending; {
			select {
			case got := <-told:
				if got != "E(57014)" {
					t.Errorf("told %s", got)
				}
				sending = false
			case <-time.After(50 * time.Millisecond):
				f.send(&pgproto3.CopyData{Data: []byte("1\n")})
			}
		}
		f.send(&pgproto3.CopyDone{})
		f.expect("Z(I)")
		// One who sends nothing keeps the server from hearing of it.
		f.send(&pgproto3.Query{String: "copy " + name + " from stdin"}, &pgproto3.CopyData{Data: []byte("1\n")})
		f.expect("G E(08007) Z(I)")
		f.send(&pgproto3.CopyData{Data: []byte("2\n")}, &pgproto3.CopyDone{}, &pgproto3.Query{String: "select 'alive'"})
		f.expect("T D(alive) C(SELECT 1) Z(I)")
		if got := r.rows(t, name); got != "0" {
			t.Errorf("%s rows of a COPY that was not ended", got)
		}
		_ = f.conn.Close()
		r.whole(t)
	})
}

// ends fails the test unless the connection ends with this error, whatever is asked until then. What is asked at that moment may be
// stopped first, as any statement is.
func ends(t *testing.T, c *pgconn.PgConn, want string) {
	t.Helper()
	deadline := time.Now().Add(settleWithin)
	for {
		_, err := asked(t.Context(), c, "select 1")
		var e *pgconn.PgError
		switch {
		case err == nil && time.Now().Before(deadline):
			time.Sleep(20 * time.Millisecond)
			continue
		case !errors.As(err, &e):
			t.Errorf("%v, want %s", err, want)
		case e.Severity == "ERROR" && e.Code == "57014" && time.Now().Before(deadline):
			continue
		case e.Severity+" "+e.Code != want:
			t.Errorf("%s %s, want %s", e.Severity, e.Code, want)
		}
		return
	}
}

func TestATransactionThatTakesTooLongIsRolledBackAndItsSessionEnds(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 1, Listener: harness.Keys{"transaction_timeout": "1s"}}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(a int)")
		insert := "insert into " + name + " values (1)"
		c := conn(t, r.Endpoint, harness.App())
		ask(t, c, "begin; "+insert)
		ends(t, c, "FATAL 25P04")
		// In the middle of a statement: that is stopped first, and its answer is the server's.
		f := frontend(t, conn(t, r.Endpoint, harness.App()))
		f.send(&pgproto3.Query{String: "begin; " + insert}, &pgproto3.Query{String: forever})
		f.expect("C(BEGIN) C(INSERT 0 1) Z(T) T E(57014) Z(E) E(25P04)")
		// If the client has sent the end of it, and another one, that one has its own time.
		f = frontend(t, conn(t, r.Endpoint, harness.App()))
		f.send(&pgproto3.Query{String: "begin"}, &pgproto3.Query{String: forever}, &pgproto3.Query{String: "rollback"}, &pgproto3.Query{String: "begin"})
		f.expect("C(BEGIN) Z(T) T E(57014) Z(E) C(ROLLBACK) Z(I) C(BEGIN) Z(T)")
		f.send(&pgproto3.Query{String: "rollback"})
		f.expect("C(ROLLBACK) Z(I)")
		_ = f.conn.Close()
		// One transaction after the other takes as long as it likes.
		c = conn(t, r.Endpoint, harness.App())
		for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			ask(t, c, "begin")
			ask(t, c, "rollback")
		}
		if got := r.rows(t, name); got != "0" {
			t.Errorf("%s rows", got)
		}
		r.proxy.Overdue(t, "transaction_timeout", 3)
		_ = c.Close(t.Context())
		r.whole(t)
	})
}

func TestASessionThatIdlesInATransactionIsEndedAndOneThatIdlesIsNot(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 3, Listener: harness.Keys{"idle_in_transaction_timeout": "1s"}}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(a int)")
		idles, listens := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, listens, "listen news")
		for what, begin := range map[string]string{
			"a transaction": "begin; insert into " + name + " values (1)", "a failed one": "begin; insert into " + name + " values (1); select 1/0",
		} {
			t.Run(what, func(t *testing.T) {
				f := frontend(t, conn(t, r.Endpoint, harness.App()))
				f.send(&pgproto3.Query{String: begin})
				f.untilReady()
				f.expect("E(25P03)")
			})
		}
		// One who works does not idle.
		busy := conn(t, r.Endpoint, harness.App())
		ask(t, busy, "begin")
		for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
			ask(t, busy, "select pg_sleep(0.1)")
		}
		ask(t, busy, "select pg_sleep(3); insert into "+name+" values (2); commit")
		for _, c := range []*pgconn.PgConn{idles, listens} {
			if got := ask(t, c, "select count(*) from "+name); got != "1" {
				t.Errorf("%s rows", got)
			}
		}
		r.proxy.Overdue(t, "idle_in_transaction_timeout", 2)
	})
}

func TestAReloadChangesTimeLimitsForSessionsThatAreThere(t *testing.T) {
	t.Parallel()
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"query_timeout": "0"}}, func(t *testing.T, r *rig) {
		c := conn(t, r.Endpoint, harness.App())
		ask(t, c, "select pg_sleep(2.5)")
		r.proxy.Rewrite(t, fmt.Sprintf("query_timeout: %q", "0"), "query_timeout: 1s")
		_, err := asked(t.Context(), c, forever)
		wantCode(t, err, "57014")
	})
}
