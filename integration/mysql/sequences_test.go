package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// onMariaDB runs a test in front of MariaDB, which alone has sequences.
func onMariaDB(t *testing.T, r harness.Route, test func(t *testing.T, f front)) {
	own(t, r, func(t *testing.T, f front) {
		if f.mariaDB() {
			test(t, f)
		}
	})
}

// TestTheLastValueOfASequenceIsTheSessionsOwn has more sessions than backends: those that used a sequence are pinned.
func TestTheLastValueOfASequenceIsTheSessionsOwn(t *testing.T) {
	onMariaDB(t, harness.Route{MaxConnections: 3, Users: accounts()}, func(t *testing.T, f front) {
		c := inSchemas(t, f, 4, "sequences", "create sequence s", "create sequence s2 start with 100", "create table t (a int)")
		for i, uses := range []string{"select nextval(s)", "select next value for s2"} {
			c.same(i, uses)
			if n := f.pinned(t); n != int64(i+1) {
				t.Fatalf("%d pinned after %s", n, uses)
			}
		}
		none := func() {
			c.same(2, "select database() is not null, 1")
			c.same(3, "select 1")
		}
		for _, sql := range []string{
			"select lastval(s)", "select previous value for s2", "insert into t values (nextval(s)), (next value for s2)", "select lastval(s), lastval(s2)",
			"do setval(s, 500)", "select nextval(s)", "select * from t", "begin; select nextval(s); rollback", "select lastval(s)",
		} {
			for i := range 2 {
				c.same(i, sql)
				none()
			}
		}
		c.reset(0)
		c.reset(1)
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after a reset", n)
		}
		for i := range 4 {
			c.same(i, "select lastval(s), previous value for s2")
			c.reset(i)
		}
	})
}

func TestASequenceAsOracleWritesItPins(t *testing.T) {
	onMariaDB(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "oracle", "create sequence s")
		a := dial(t, f.Endpoint, l, modern)
		a.do(t, "set sql_mode = oracle")
		a.sees(t, "select s.nextval", "[1]")
		a.sees(t, "select s.currval", "[1]")
		if n := f.pinned(t); n != 1 {
			t.Errorf("%d pinned", n)
		}
		if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		a.sees(t, "select lastval(s)", "[NULL]")
	})
}

func TestSequencesThatDoNotPinAreNobodyElses(t *testing.T) {
	filters := harness.Keys{"session_pinning_filters": []string{"EXCLUDE_SEQUENCES"}}
	onMariaDB(t, harness.Route{MaxConnections: 1, Users: accounts(), Pool: filters}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "filtered_sequences", "create sequence s")
		a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		a.sees(t, "select nextval(s)", "[1]")
		b.sees(t, "select lastval(s)", "[NULL]")
		b.sees(t, "select nextval(s)", "[2]")
		a.sees(t, "select lastval(s)", "[NULL]")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned", n)
		}
	})
}
