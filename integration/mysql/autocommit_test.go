package mysql

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// manyRows fails when it has begun a transaction: an error has no status flags that would say so.
const manyRows = "select (select 1 union select 2 from "

// trusting takes other tests' code for harmless: what undoes that would end transactions, too.
var trusting = harness.Route{Pool: harness.Keys{"unseen_changes": "trust"}}

func TestWithAutocommitOffAFailedStatementKeepsItsTransaction(t *testing.T) {
	rotating(t, trusting, func(t *testing.T, f front) {
		name := table(t, f.server, "unsaid", "(n int primary key)")
		a, b := f.client(t), f.client(t)
		count := "select count(*) from " + name
		a.do(t, "set autocommit = 0", "commit")
		b.do(t, "set autocommit = 0", "commit")
		harness.Exec(t, f.server, "insert into "+name+" values (1)")
		a.sees(t, manyRows+name+")", "error 1242") // its snapshot is of now
		harness.Exec(t, f.server, "insert into "+name+" values (2)")
		for range 2 {
			b.sees(t, count, "[2]")
			b.do(t, "commit")
		}
		a.sees(t, count, "[1]")
		a.do(t, "rollback")
		a.sees(t, count, "[2]")
		a.do(t, "rollback")
	})
}

func TestWithAutocommitOffABackendWithLocksOfTablesStays(t *testing.T) {
	own(t, trusting, func(t *testing.T, f front) {
		name := table(t, f.server, "held", "(n int primary key)")
		a := f.client(t)
		alter := []string{"set lock_wait_timeout = 5", "alter table " + name + " comment 'a'"}
		statements := []struct{ text, sees string }{{"insert into " + name + " values ('x')", "error 1366"}, {"select nothing from " + name, "error 1054"}}
		if !f.mariaDB() { // which keeps no locks of tables without transactions
			plain := table(t, f.server, "held_plain", "(n int) engine = MyISAM")
			alter = append(alter, "alter table "+plain+" comment 'a'")
			statements = append(statements, struct{ text, sees string }{"select count(*) from " + plain, "[0]"})
		}
		lent := func(n int) {
			t.Helper()
			waitFor(t, "lent backends", func() bool {
				p, err := f.Pool(t.Context(), f.server.Name)
				return err == nil && p.Lent == n
			})
		}
		for _, q := range statements {
			for _, end := range []string{"rollback", "commit", "set autocommit = 1", "create table if not exists " + name + " (n int)"} {
				a.do(t, "set autocommit = 0")
				lent(0)
				a.sees(t, q.text, q.sees)
				a.do(t, "set @a = 1") // the error is told now
				lent(1)
				a.do(t, end, "do 0") // which takes a warning of CREATE TABLE away
				lent(0)
				harness.Exec(t, f.server, alter...)
			}
		}
	})
}

func TestWithAutocommitOffQuestionsWithoutTablesHoldNothing(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		crowd := make([]*wire, 2*pair)
		for i := range crowd {
			crowd[i] = f.client(t)
			crowd[i].do(t, "set autocommit = 0", "select @@version", "select database()", "set @a = 1", "show warnings")
		}
		for _, c := range crowd {
			c.do(t, "set autocommit = 1")
		}
	})
}
