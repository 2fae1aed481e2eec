package mysql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// limited runs a test behind a listener with a time limit.
func limited(t *testing.T, limit, value string, test func(t *testing.T, f front)) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts(), Listener: harness.Keys{limit: value}}, test)
}

// rows is how many rows a table has, as the server says.
func (f front) rows(t *testing.T, name string) string {
	t.Helper()
	w := f.direct(t)
	defer w.quit()
	return w.outcome("select count(*) from " + name)
}

// stopped fails the test unless the outcome is that of a statement that was stopped: 1317, or what SLEEP() makes of that.
func stopped(t *testing.T, what, outcome string) {
	t.Helper()
	if outcome != "error 1317" && outcome != "[2]" {
		t.Errorf("%s: %s", what, outcome)
	}
}

func TestAQueryThatTakesTooLongIsStoppedAndItsSessionGoesOn(t *testing.T) {
	t.Parallel()
	limited(t, "query_timeout", "1s", func(t *testing.T, f front) {
		name := table(t, f.server, "overdue", "(a int primary key)")
		holder := f.direct(t)
		holder.do(t, "insert into "+name+" values (1), (2)", "begin", "update "+name+" set a = 3 where a = 1")
		w := f.client(t)
		stopped(t, "a query", w.outcome(busy))
		if got := w.outcome("update " + name + " set a = 4 where a = 1"); got != "error 1317" {
			t.Errorf("one that waits for a lock: %s", got)
		}
		got, err := w.execute(w.mustPrepare(t, "update "+name+" set a = 4 where a = 1"), 0)
		if show(got, err) != "error 1317" {
			t.Errorf("a prepared one: %s", show(got, err))
		}
		w.do(t, "begin", "update "+name+" set a = 5 where a = 2")
		if got := w.outcome("update " + name + " set a = 4 where a = 1"); got != "error 1317" {
			t.Errorf("one in a transaction: %s", got)
		}
		w.do(t, "commit") // a statement was stopped, and not the transaction, as the server does
		holder.do(t, "rollback")
		w.sees(t, "select group_concat(a order by a) from "+name, "[1,5]")
		w.do(t, "create temporary table mine (a int)") // pinned
		stopped(t, "a pinned session's", w.outcome(busy))
		w.do(t, "insert into mine values (1)", "drop temporary table mine")
		f.Overdue(t, "query_timeout", 5)
		w.quit()
	})
}

func TestNoQueryTimeIsWhatASessionWaits(t *testing.T) {
	t.Parallel()
	limited(t, "query_timeout", "1s", func(t *testing.T, f front) {
		var holders []*wire
		for range pair {
			w := f.client(t)
			w.do(t, "begin", "select 1")
			holders = append(holders, w)
		}
		waits := f.client(t)
		if err := waits.ask("select 7"); err != nil {
			t.Fatal(err)
		}
		for range 3 { // the time of which passes for the other, too
			stopped(t, "a query", holders[0].outcome(busy))
		}
		for _, w := range holders {
			w.do(t, "rollback")
		}
		if got := show(waits.results(false)); got != "[7]" {
			t.Errorf("who waited: %s", got)
		}
		f.Overdue(t, "query_timeout", 3, `"digest":"select sleep(?) + count(*) from(select ?) t"`)
		waits.quit()
		for _, w := range holders {
			w.quit()
		}
	})
}

func TestAFileThatDoesNotComeIsGivenUp(t *testing.T) {
	t.Parallel()
	limited(t, "query_timeout", "1s", func(t *testing.T, f front) {
		name := table(t, f.server, "stalled", "(a int)")
		w := f.client(t, protocol.CLIENT_LOCAL_FILES)
		if err := w.ask("load data local infile 'f' into table " + name); err != nil {
			t.Fatal(err)
		}
		if _, err := w.read(); err != nil {
			t.Fatal(err)
		}
		if err := w.write([]byte("1\n2\n")); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "it is given up", func() bool {
			p, err := f.Pool(t.Context(), f.server.Name)
			return err == nil && p.Lent == 0
		})
		// In the middle of a file there is no telling a client anything.
		if p, err := w.read(); err == nil {
			t.Errorf("told %q", p)
		}
		waitFor(t, "the server has given up, too", func() bool { return f.rows(t, name) == "[0]" })
		f.Overdue(t, "query_timeout", 1)
	})
}

// ends fails the test unless the connection ends with error 4031, whatever is asked until then. What is asked at that moment may be
// stopped first, as any statement is.
func (w *wire) ends(t *testing.T, query string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got := w.outcome(query)
		switch {
		case (got == "[1]" || got == "error 1317") && time.Now().Before(deadline):
			continue
		case !strings.HasPrefix(got, "error 4031") && !strings.HasPrefix(got, "broken: "):
			t.Errorf("%s", got)
		}
		return
	}
}

// goodbye reads the error that nobody asked for.
func (w *wire) goodbye(t *testing.T) uint16 {
	t.Helper()
	w.seq = 0
	p, err := w.read()
	if err != nil {
		t.Fatalf("no goodbye: %v", err)
	}
	return numberOf(errOf(p, modern))
}

func TestATransactionThatTakesTooLongIsRolledBackAndItsSessionEnds(t *testing.T) {
	t.Parallel()
	limited(t, "transaction_timeout", "1s", func(t *testing.T, f front) {
		name := table(t, f.server, "overlong", "(a int primary key)")
		holder := f.direct(t)
		holder.do(t, "insert into "+name+" values (9)", "begin", "select * from "+name+" where a = 9 for update")
		insert := "insert into " + name + " values (1)"
		idles := f.client(t)
		idles.do(t, "begin", insert)
		if n := idles.goodbye(t); n != 4031 {
			t.Errorf("told %d", n)
		}
		asks := f.client(t)
		asks.do(t, "set autocommit = 0", insert)
		asks.ends(t, "select 1")
		// In the middle of a statement: that is stopped first, and its answer is the server's.
		works := f.client(t)
		works.do(t, "begin", insert)
		if err := works.ask("delete from " + name + " where a = 9"); err != nil {
			t.Fatal(err)
		}
		if p, err := works.read(); err != nil || numberOf(errOf(p, modern)) != 1317 {
			t.Errorf("its statement: %q, %v", p, err)
		}
		if n := works.goodbye(t); n != 4031 {
			t.Errorf("told %d", n)
		}
		// One transaction after the other takes as long as it likes.
		w := f.client(t)
		for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
			w.do(t, "begin", "do 0", "rollback")
		}
		w.quit()
		holder.quit()
		waitFor(t, "all is rolled back", func() bool { return f.rows(t, name) == "[1]" })
		f.Overdue(t, "transaction_timeout", 3)
	})
}

func TestAClientIsEndedByItsOwnWaitTimeoutAndNobodyElse(t *testing.T) {
	t.Parallel()
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		w, other, works := f.client(t), f.client(t), f.client(t)
		w.do(t, "set wait_timeout = 2")
		w.sees(t, "select @@wait_timeout", "[2]")
		works.do(t, "set @@wait_timeout = 1") // which MariaDB does not report
		for range 30 {
			works.do(t, "do sleep(0.1)")
		}
		works.sees(t, "select @@wait_timeout", "[1]")
		other.sees(t, "select @@wait_timeout", f.direct(t).outcome("select @@wait_timeout"))
		if n := w.goodbye(t); n != 4031 {
			t.Errorf("told %d", n)
		}
		if n := works.goodbye(t); n != 4031 {
			t.Errorf("told %d", n)
		}
		other.do(t, "do 0")
		other.quit()
	})
}

func TestASessionThatIdlesInATransactionIsEndedAndOneThatIdlesIsNot(t *testing.T) {
	t.Parallel()
	limited(t, "idle_in_transaction_timeout", "1s", func(t *testing.T, f front) {
		name := table(t, f.server, "idle", "(a int)")
		idles, w := f.client(t), f.client(t)
		idles.do(t, "select 1")
		w.do(t, "begin", fmt.Sprintf("insert into %s values (1)", name))
		if n := w.goodbye(t); n != 4031 {
			t.Errorf("told %d", n)
		}
		// One who works does not idle.
		works := f.client(t)
		works.do(t, "begin", "do sleep(3)", fmt.Sprintf("insert into %s values (2)", name), "commit")
		works.quit()
		waitFor(t, "it is rolled back", func() bool { return f.rows(t, name) == "[1]" })
		idles.sees(t, "select a from "+name, "[2]")
		idles.quit()
		f.Overdue(t, "idle_in_transaction_timeout", 1)
	})
}
