package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// crossed is sessions whose statements alternate, each beside a session of its own with the server that says what it
// should see. Both sets have the same tables, under different names.
type crossed struct {
	t      *testing.T
	mine   []*wire
	theirs []*wire
	tables [2]string
}

func cross(t *testing.T, f front, sessions int, tables [2]string) *crossed {
	t.Helper()
	c := &crossed{t: t, tables: tables}
	for range sessions {
		c.mine = append(c.mine, f.client(t, multi))
		c.theirs = append(c.theirs, f.direct(t, multi))
	}
	return c
}

// same runs a statement in session i on both sides. %s is the table.
func (c *crossed) same(i int, statement string) {
	c.t.Helper()
	var all [2][]result
	var shown [2]string
	for side, w := range []*wire{c.mine[i], c.theirs[i]} {
		q := statement
		if c.tables[side] != "" {
			q = strings.ReplaceAll(statement, "%s", c.tables[side])
		}
		got, err := w.query(q)
		all[side], shown[side] = got, c.anonymous(side, show(got, err))
	}
	if shown[0] != shown[1] {
		c.t.Errorf("session %d: %s: %s, with the server itself %s", i, statement, shown[0], shown[1])
		return
	}
	for n := range all[0] {
		got, want := all[0][n], all[1][n]
		if got.insertID != want.insertID || got.warnings != want.warnings || got.status&statuses != want.status&statuses {
			c.t.Errorf("session %d: %s: id %d, %d warnings, status %#x; with the server itself %d, %d, %#x", i, statement,
				got.insertID, got.warnings, got.status, want.insertID, want.warnings, want.status)
		}
		if !slices.Equal(got.columns, want.columns) {
			c.t.Errorf("session %d: %s: columns %v, with the server itself %v", i, statement, got.columns, want.columns)
		}
	}
}

// anonymous is what a side's session shows, without the name of the side's table.
func (c *crossed) anonymous(side int, shown string) string {
	_, name, ok := strings.Cut(c.tables[side], ".")
	if !ok {
		return shown
	}
	return strings.ReplaceAll(shown, name, "t")
}

// reset resets session i on both sides, with one character set: MySQL itself does not go back to the login's.
func (c *crossed) reset(i int) {
	c.t.Helper()
	for _, w := range []*wire{c.mine[i], c.theirs[i]} {
		if _, err := w.one(protocol.COM_RESET_CONNECTION); err != nil {
			c.t.Fatal(err)
		}
		w.do(c.t, "set names utf8mb4")
	}
}

// statuses are the flags of a status that are the session's.
const statuses = protocol.SERVER_STATUS_IN_TRANS | protocol.SERVER_STATUS_AUTOCOMMIT | protocol.SERVER_MORE_RESULTS_EXISTS |
	protocol.SERVER_STATUS_NO_BACKSLASH_ESCAPED

func TestLastInsertIDIsTheSessionsOwn(t *testing.T) {
	const definition = "(id bigint unsigned auto_increment primary key, n int unique)"
	shared(t, func(t *testing.T, f front) {
		c := cross(t, f, 3, [2]string{table(t, f.server, "ids_a", definition), table(t, f.server, "ids_b", definition)})
		const last = "select last_insert_id()"
		for round := range 3 {
			for i := range c.mine {
				c.same(i, last)
				c.same(i, fmt.Sprintf("insert into %%s (n) values (%d)", round*100+i))
			}
			for i := range c.mine {
				c.same(i, last)
				c.same(i, "select @@last_insert_id, @@identity")
			}
		}
		for i, statement := range []string{
			"insert into %s values (5000, 5000)",               // says 5000, and changes nothing
			"insert into %s (n) values (6000), (6001), (6002)", // the first of them
			"insert ignore into %s (n) values (6000)",          // none
			"insert into %s (n) values (6000)",                 // an error
			"insert into %s (n) values (6000) on duplicate key update id = last_insert_id(id)",
			"update %s set n = last_insert_id(n + 1) where n = 6002",
			"replace into %s (n) values (6001)",
			"select last_insert_id(77)",
			"select last_insert_id(18446744073709551615)",
			"do last_insert_id(99)",
			"set last_insert_id = 123",
			"set @@session.identity = 124",
			"insert into %s values (18446744073709551000, 7000)",
			"insert into %s (n) select last_insert_id() + 1000000",
			"insert into %s (n) values (8000); insert into %s (n) values (8001)",
			"insert into %s (n) values (9000); insert into %s (n) values (9000)", // the second fails
			"begin; insert into %s (n) values (9500); rollback",
			"select /* last_insert_id() */ 1",
			"/*! select last_insert_id(55) */",
			"select LAST_INSERT_ID ( )",
		} {
			c.reset(0) // some of them pin
			c.same(0, fmt.Sprintf("insert into %%s (n) values (%d)", 20000+i))
			c.same(0, statement)
			c.same(2, "select 1")
			c.same(2, last)
			c.same(1, last)
			c.same(0, "select 1")
			c.same(0, last)
		}
	})
}

func TestValuesOfThePreviousStatementAreNeverAnotherSessions(t *testing.T) {
	const definition = "(id int primary key, n tinyint)"
	shared(t, func(t *testing.T, f front) {
		tables := [2]string{table(t, f.server, "prev_a", definition), table(t, f.server, "prev_b", definition)}
		c := cross(t, f, 3, tables)
		c.same(0, "insert into %s values (1, 1), (2, 2), (3, 3)")
		for _, leaves := range []string{
			"insert ignore into %s values (1, 1), (4, 4)",
			"select * from nowhere",
			"drop table if exists nowhere_at_all",
			"select sql_calc_found_rows * from %s limit 1",
			"select 1/0, cast('x' as signed)",
			"update ignore %s set n = 1000 where id = 2",
		} {
			for _, asks := range []string{
				"show warnings", "show count(*) warnings", "select @@warning_count, @@error_count", "show errors", "select found_rows()",
				"select row_count()",
			} {
				c.same(0, leaves)
				c.same(1, "show warnings") // never the others'
				c.same(2, "select 1")
				c.same(2, "show warnings")
				c.previous(0, asks)
				c.same(0, "select 1")
			}
		}
	})
}

// MariaDB clears the list only with a statement that uses a table. Where it is not on the backend any more the question is refused.
func TestTheListOfWarningsIsNeverTakenForEmpty(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		const definition = "(id int primary key, n tinyint)"
		c := cross(t, f, 3, [2]string{table(t, f.server, "list_a", definition), table(t, f.server, "list_b", definition)})
		others := func() {
			c.same(1, "select 1")
			c.same(2, "select 1")
		}
		for _, leaves := range []string{"selekt", "select 1/0, cast('x' as signed)", "insert ignore into %s values (1, 1000)"} {
			for _, between := range []string{"select database()", "set @a = 1", "begin; commit", "do 1", "select 1 from dual", "select * from %s", "select * from %s; select 1", "delete from %s", "commit", "rollback"} {
				for _, asks := range []string{"show warnings", "select @@warning_count, @@error_count"} {
					c.same(0, leaves)
					others()
					c.same(0, between)
					others()
					c.same(0, "select 1")
					others()
					c.previous(0, asks)
					others()
					c.reset(0)
				}
			}
		}
	})
}

// previous compares an answer about the previous statement. One that cannot be known is refused, and never wrong.
func (c *crossed) previous(i int, asks string) {
	c.t.Helper()
	got, want := c.anonymous(0, c.mine[i].outcome(asks)), c.anonymous(1, c.theirs[i].outcome(asks))
	if got != want && got != "error 1105" {
		c.t.Errorf("session %d: %s: %s, with the server itself %s", i, asks, got, want)
	}
}

// leaving are statements outside of a transaction that leave no warnings. Where FOUND_ROWS() is not known behind one of them
// and somebody else has had the backend, the question is refused.
var leaving = []struct {
	sql   string
	found bool
}{
	{"insert into %s (n) values (1), (2), (3)", false},
	{"insert into %s values (null, 9)", false},
	{"replace into %s values (9, 10)", false},
	{"update %s set n = n + 1 where id < 3", false},
	{"update %s set n = n", false},
	{"delete from %s where n > 100", false},
	{"select * from %s", true},
	{"select * from %s limit 2", true},
	{"select n from %s group by n having n > 1 order by n desc limit 1", true},
	{"select * from %s where id < 0", true},
	{"select * from %s limit 1, 2", false},
	{"select * from %s limit 1 offset 1", false},
	{"select 1 union select 2", false},
	{"(select 1)", false},
	{"select * from (select * from %s limit 2) as d", true},
	{"select * from (select 1 union select 2) as d", true},
	{"with c as (select * from %s limit 2) select * from c", true},
	{"with recursive r as (select 1 as n union all select n + 1 from r where n < 4) select n from r", true},
	{"with c as (select * from %s) select * from c union select 1, 2", false},
	{"select 1; update %s set n = 7 where id = 1", false},
	{"update %s set n = 8 where id = 1; select 1", false},
	{"insert into %s (n) select n from %s where n < 5", false},
	{"begin; insert into %s (n) values (5); commit", false},
	{"do 1", false},
	{"truncate %s", false},
	{"show tables like 'nothing of the kind'", false},
	{"select row_count()", true},
	{"select last_insert_id() as `id`", true},
}

func TestWhatIsKnownOfThePreviousStatementIsTold(t *testing.T) {
	const definition = "(id int auto_increment primary key, n int)"
	shared(t, func(t *testing.T, f front) {
		c := cross(t, f, 3, [2]string{table(t, f.server, "told_a", definition), table(t, f.server, "told_b", definition)})
		between := func() {
			c.same(1, "select 1 union select 2 union select 3")
			c.same(2, "do 1")
		}
		c.same(0, "select row_count() r, last_insert_id()")
		for _, l := range leaving {
			for _, asks := range []string{"select row_count()", "SELECT ROW_COUNT() AS affected, LAST_INSERT_ID() id from dual", "select ROW_COUNT ( ) ;"} {
				c.same(0, l.sql)
				between()
				c.same(0, asks)
				between()
				c.same(0, "select row_count() as again, found_rows() f")
				between()
				c.same(0, "show warnings")
				c.same(0, "show count(*) warnings")
			}
			for _, ends := range []string{"", "commit", "begin; commit"} {
				c.same(0, l.sql)
				between()
				known := l.found
				if ends != "" {
					c.same(0, ends)
					between()
					known = known && !strings.Contains(ends, ";")
				}
				if known {
					c.same(0, "select found_rows() as total")
				} else {
					c.previous(0, "select found_rows() as total")
				}
				between()
				c.same(0, "select 1")
			}
			for _, asks := range []string{"select row_count() + 0", "get diagnostics @n = row_count", "select if(row_count() > 1, 'many', 'few')"} {
				c.same(0, l.sql)
				between()
				c.previous(0, asks)
				c.reset(0)
			}
		}
		c.same(0, "insert into %s (n) values (1), (2)")
		for _, w := range []*wire{c.mine[0], c.theirs[0]} {
			if _, err := w.one(protocol.COM_PING); err != nil {
				t.Fatal(err)
			}
		}
		c.same(0, "select row_count()")
	})
}

func TestFoundRowsBehindWhatIsNoSelectAreNeverAnotherSessions(t *testing.T) {
	const definition = "(id int primary key, n tinyint)"
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		c := cross(t, f, 2, [2]string{table(t, f.server, "found_a", definition), table(t, f.server, "found_b", definition)})
		c.same(0, "insert into %s values (1, 1), (2, 2), (3, 3)")
		for range 3 {
			for _, between := range []string{"start transaction", "set @a = 1", "update %s set n = n + 1 limit 1", "select 1 limit 5, 1", "do 1"} {
				for _, asks := range []string{"select found_rows()", "select found_rows() + 0", "set @b = 1; select found_rows()"} {
					c.same(0, "select * from %s limit 2")
					c.same(1, "select 1 union select 2 union select 3 union select 4 union select 5")
					c.same(0, between)
					c.previous(0, asks)
					c.same(0, "commit")
				}
			}
		}
	})
}

func TestValuesOfThePreviousStatementAreThereWithinATransaction(t *testing.T) {
	const definition = "(id int primary key, n tinyint)"
	shared(t, func(t *testing.T, f front) {
		c := cross(t, f, 2, [2]string{table(t, f.server, "within_a", definition), table(t, f.server, "within_b", definition)})
		c.same(0, "begin")
		for _, q := range []string{
			"insert into %s values (1, 1), (2, 2), (3, 3)", "select row_count()", "update %s set n = 5", "select row_count()",
			"select sql_calc_found_rows * from %s limit 1", "select found_rows()", "insert ignore into %s values (1, 1)",
			"show warnings", "show count(*) warnings",
		} {
			c.same(0, q)
			c.same(1, "select 1")
		}
		c.same(0, "commit")
		c.same(0, "delete from %s; select row_count()")
	})
}

func TestAConnectionHasOneIDForItsClient(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, caps := range []uint32{0, protocol.CLIENT_DEPRECATE_EOF, modern} {
			a, b := dial(t, f.Endpoint, plain(), basics|caps), f.client(t)
			if a.id == b.id || a.id == 0 {
				t.Errorf("ids %d and %d", a.id, b.id)
			}
			b.do(t, "begin")
			for _, q := range []string{
				"select connection_id()", "SELECT CONNECTION_ID();", "/* who */ select connection_id ( )", "select connection_id() as id",
				"SELECT CONNECTION_ID() `id` FROM dual LIMIT 1",
			} {
				a.sees(t, q, fmt.Sprintf("[%d]", a.id))
				b.sees(t, q, fmt.Sprintf("[%d]", b.id))
			}
			b.do(t, "rollback")
			// In an expression it is the server's, and stays what it was.
			first := a.outcome("select connection_id() + 0")
			b.do(t, "begin", "select 1", "rollback")
			a.sees(t, "select connection_id() + 0", first)
			a.quit()
			b.quit()
		}
	})
}

func TestTheDefaultDatabaseFollowsTheSession(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		other := fmt.Sprintf("berth_other_%s", f.server.Name)
		super := f.server
		for _, q := range []string{"drop database if exists " + other, "create database " + other, "grant all on " + other + ".* to app@'%'"} {
			if err := super.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		a, b, none := f.client(t, multi), f.client(t), dial(t, f.Endpoint, loginOf("app", "secret"), modern)
		const where = "select database()"
		see := func(inA, inB, inNone string) {
			t.Helper()
			for range 2 {
				a.sees(t, where, "["+inA+"]")
				b.sees(t, where, "["+inB+"]")
				none.sees(t, where, "["+inNone+"]")
			}
		}
		see("app", "app", null)
		a.do(t, "use "+other)
		see(other, "app", null)
		if _, err := b.one(protocol.COM_INIT_DB, []byte(other)...); err != nil {
			t.Fatal(err)
		}
		a.do(t, "/* back */ use `app`")
		see("app", other, null)
		if _, err := a.one(protocol.COM_INIT_DB, []byte("nowhere")...); numberOf(err) != 1049 && numberOf(err) != 1044 {
			t.Errorf("an unknown database: %v", err)
		}
		a.sees(t, "select 1; use "+other+"; select database()", "[1] ok 0 ["+other+"]")
		see(other, other, null)
		none.do(t, "use app")
		see(other, other, "app")
		none.quit()
		none = dial(t, f.Endpoint, loginOf("app", "secret"), modern)
		see(other, other, null)
		none.sees(t, "select * from leak_rows_of_no_database", "error 1046")
		a.do(t, "use app")
		none.do(t, "drop database "+other)
		a.sees(t, where, "[app]")
		if got := b.outcome(where); got != "error 1049" && got != "error 1044" && got != "[NULL]" {
			t.Errorf("a session whose database is gone: %s", got)
		}
		b.do(t, "use app")
		see("app", "app", null)
		none.quit()
	})
}

func TestDroppingTheDefaultDatabaseLeavesNone(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		own := fmt.Sprintf("berth_dropped_%s", f.server.Name)
		for _, q := range []string{"drop database if exists " + own, "grant all on " + own + ".* to app@'%'"} {
			if err := f.server.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		a, b := f.client(t), f.client(t)
		a.do(t, "create database "+own, "use "+own, "drop database "+own)
		for range 3 {
			a.sees(t, "select database()", "[NULL]")
			b.sees(t, "select database()", "[app]")
		}
		a.sees(t, "create table somewhere (n int)", "error 1046")
		a.do(t, "use app")
		a.sees(t, "select database()", "[app]")
	})
}

func TestWhatMySQLDoesNotPrepareDoesNotPinAndItsErrorIsTold(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 1, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	mine, alone, other := f.client(t), f.direct(t), f.client(t)
	for _, text := range []string{"prepare p from 'select 1'", "begin"} {
		for _, asks := range []string{
			"show warnings", "show errors", "show count(*) errors", "select @@warning_count, @@error_count", "do @@error_count",
			"select row_count()", "get diagnostics condition 1 @told = message_text", "COM_RESET_CONNECTION", "select 1", "begin",
		} {
			var errs [2]error
			for i, w := range []*wire{mine, alone} {
				_, errs[i] = w.prepare(text)
			}
			if numberOf(errs[0]) != protocol.ER_UNSUPPORTED_PS || numberOf(errs[1]) != protocol.ER_UNSUPPORTED_PS {
				t.Errorf("preparing %s: %v, with the server itself %v", text, errs[0], errs[1])
			}
			other.sees(t, "show warnings", "[]")
			for _, q := range []string{asks, "show warnings", "show count(*) warnings", "rollback"} {
				if got, want := show(mine.executed(t, q), nil), show(alone.executed(t, q), nil); got != want {
					t.Errorf("%s, then %s: %s: %s, with the server itself %s", text, asks, q, got, want)
				}
			}
		}
		if got, want := mine.outcome("select @told"), alone.outcome("select @told"); got != want {
			t.Errorf("%s, with the server itself %s", got, want)
		}
	}
	if n := f.pins(t); n != 0 {
		t.Errorf("%v pins:\n%s", n, pinLines(f.Log()))
	}
	for _, command := range [][]byte{{protocol.COM_PING}, append([]byte{protocol.COM_INIT_DB}, "app"...)} {
		var told [2]result
		for i, w := range []*wire{mine, alone} {
			w.do(t, "select 1")
			_, _ = w.prepare("begin")
			if w == mine {
				other.sees(t, "show warnings", "[]")
			}
			r, err := w.one(command[0], command[1:]...)
			if err != nil {
				t.Fatal(err)
			}
			told[i] = r
		}
		if told[0].warnings != told[1].warnings {
			t.Errorf("command %d: %d warnings, with the server itself %d", command[0], told[0].warnings, told[1].warnings)
		}
		if got, want := mine.outcome("show warnings"), alone.outcome("show warnings"); got != want {
			t.Errorf("behind command %d: %s, with the server itself %s", command[0], got, want)
		}
	}
	for _, w := range []*wire{mine, alone, other} {
		w.quit()
	}
}

// TestUnknownStatementsAreInTheListOfErrors asks for such statements in sessions that keep a backend, or have older errors there: MySQL
// appends the error to the list.
func TestUnknownStatementsAreInTheListOfErrors(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	mine, alone, other := f.client(t), f.direct(t), f.client(t)
	execute := func(w *wire) error {
		_, err := w.one(protocol.COM_STMT_EXECUTE, 200, 1, 0, 0, 0, 1, 0, 0, 0)
		return err
	}
	refusals := []func(w *wire) error{
		execute,
		func(w *wire) error { _, err := w.one(protocol.COM_STMT_FETCH, 200, 1, 0, 0, 1, 0, 0, 0); return err },
		func(w *wire) error { _, err := w.one(protocol.COM_STMT_RESET, 200, 1, 0, 0); return err },
		func(w *wire) error { return fmt.Errorf("%w, %w", execute(w), execute(w)) },
		func(w *wire) (all error) {
			for range 7 {
				all = errors.Join(all, execute(w))
			}
			return all
		},
	}
	ping := []byte{protocol.COM_PING}
	use := append([]byte{protocol.COM_INIT_DB}, "app"...)
	for _, before := range []string{"select 1", "select cast('1x' as signed)", "select from nothing", "begin", "COM_STMT_PREPARE begin"} {
		for n, refused := range refusals {
			for _, asks := range []string{
				"show warnings", "show errors", "show count(*) errors", "select @@warning_count, @@error_count", "do @@error_count", "select row_count()",
				"get diagnostics @n = number",
				"get diagnostics condition 1 @told = message_text, @state = returned_sqlstate, @errno = mysql_errno, @class = class_origin, @sub = subclass_origin",
				"COM_RESET_CONNECTION", "COM_STMT_PREPARE select 1", "select 1", "begin", string(ping), string(use),
			} {
				var said [2]string
				for i, w := range []*wire{mine, alone} {
					text, prepares := strings.CutPrefix(before, "COM_STMT_PREPARE ")
					if prepares {
						_, _ = w.prepare(text)
					} else {
						w.outcome(text)
					}
					said[i] = fmt.Sprint(refused(w))
					if before != "begin" && w == mine {
						other.sees(t, "show warnings", "[]")
					}
					if text, prepares := strings.CutPrefix(asks, "COM_STMT_PREPARE "); prepares {
						w.mustPrepare(t, text)
					} else if asks == string(ping) || asks == string(use) {
						r, err := w.one(asks[0], []byte(asks[1:])...)
						said[i] += fmt.Sprintf("; %d warnings, %v", r.warnings, err)
					} else {
						said[i] += "; " + show(w.executed(t, asks), nil)
					}
					for _, q := range []string{"show warnings", "show count(*) warnings", "select @n, @told, @state, @errno, @class, @sub", "rollback"} {
						said[i] += "; " + show(w.executed(t, q), nil)
					}
				}
				if said[0] != said[1] {
					t.Errorf("%s, refusal %d, %q:\n%s\n, with the server itself\n%s", before, n, asks, said[0], said[1])
				}
			}
		}
	}
	for _, w := range []*wire{mine, alone, other} {
		w.quit()
	}
}

// TestTheListOfErrorsIsMadeAgainBehindWhatElseIsRestored asks for that list beside LAST_INSERT_ID(), which another backend has to be given.
func TestTheListOfErrorsIsMadeAgainBehindWhatElseIsRestored(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Env: []string{"BERTH_PARANOID=1"}, Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	name := table(t, s, "list_and_id", "(id int auto_increment primary key, n int)")
	mine := f.client(t, multi)
	for range 3 {
		mine.do(t, "truncate "+name, "insert into "+name+" values (7, 1)", "insert into "+name+" (n) values (2)", "select 1")
		if _, err := mine.one(protocol.COM_STMT_EXECUTE, 200, 1, 0, 0, 0, 1, 0, 0, 0); numberOf(err) != protocol.ER_UNKNOWN_STMT_HANDLER {
			t.Fatal(err)
		}
		mine.sees(t, "show count(*) errors; select last_insert_id() from "+name+" where n = 1", "[1] [8]")
	}
	mine.quit()
}

// TestCommandsCountTheSessionsOwnWarnings asks for commands that leave the list of warnings as it is and say how long it is, as MySQL's do:
// behind what the proxy has told itself, and on backends with warnings that others have left there.
func TestCommandsCountTheSessionsOwnWarnings(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Env: []string{"BERTH_PARANOID=1"}, Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	mine, alone, other := f.client(t), f.direct(t), f.client(t)
	befores := []string{
		"select 1", "begin", "selekt", "select cast('1x' as signed)", "select found_rows()", "select row_count()", "select row_count(), found_rows()",
	}
	use := func(w *wire) (result, error) { return w.one(protocol.COM_INIT_DB, []byte("app")...) }
	commands := map[string]func(w *wire) (result, error){
		"ping":             func(w *wire) (result, error) { return w.one(protocol.COM_PING) },
		"an init db":       use,
		"a bad init db":    func(w *wire) (result, error) { return w.one(protocol.COM_INIT_DB, []byte("nowhere")...) },
		"reset connection": func(w *wire) (result, error) { return w.one(protocol.COM_RESET_CONNECTION) },
	}
	for _, first := range befores {
		for _, second := range befores {
			for name, command := range commands {
				for _, leaves := range []string{"select 1", "select cast('1y' as signed)"} {
					var told [2]string
					refused := false
					for side, w := range []*wire{mine, alone} {
						w.do(t, "select 1")
						w.outcome(first)
						switch got := w.outcome(second); {
						case side == 0:
							refused = got == "error 1105" // FOUND_ROWS() is not known
						case refused:
							w.do(t, "select 1") // what the proxy says itself is in no list
						}
						if side == 0 {
							other.do(t, leaves, "select row_count()") // which the proxy answers
						}
						for _, next := range []func(w *wire) (result, error){command, command, use} {
							r, err := next(w)
							told[side] += fmt.Sprintf("%d warnings, %v; ", r.warnings, err)
						}
						if got := w.outcome("show warnings"); side == 1 && refused && name != "reset connection" {
							told[side] += "error 1105"
						} else {
							told[side] += got
						}
						w.outcome("rollback")
					}
					if told[0] != told[1] {
						t.Errorf("%s, %s, %s with %s before: %s; with the server itself %s", first, second, name, leaves, told[0], told[1])
					}
				}
			}
		}
	}
	for _, w := range []*wire{mine, alone, other} {
		w.quit()
	}
}

// TestCommandsDoNotCountWarningsOfTheProxysOwn has a backend with warnings of what the proxy executed there, for another session or for this one.
func TestCommandsDoNotCountWarningsOfTheProxysOwn(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 1, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	mine, other := f.client(t), f.client(t)
	mine.do(t, "set sql_mode = 'no_zero_date,strict_trans_tables'", "select 1") // which warns, when it is restored, too
	for _, others := range [][]string{{"select 1"}, {"select 1", "select found_rows()", "show warnings"}} {
		other.do(t, others...)
		if r, err := mine.one(protocol.COM_INIT_DB, []byte("app")...); err != nil || r.warnings != 0 {
			t.Fatalf("behind %s: %d warnings, %v", others, r.warnings, err)
		}
	}
	mine.do(t, "set sql_mode = default", "select 1")
	other.do(t, "select 1", "select found_rows()", "show warnings")
	if r, err := mine.one(protocol.COM_INIT_DB, []byte("app")...); err != nil || r.warnings != 0 {
		t.Fatalf("without anything to restore: %d warnings, %v", r.warnings, err)
	}
	mine.quit()
	other.quit()
}

// TestBringingAStatementLosesTheListItClears has a warning on a backend that gets the session's statement then, in front of PREPARE: preparing
// what uses a table clears MariaDB's list.
func TestBringingAStatementLosesTheListItClears(t *testing.T) {
	s := harness.Shared(t, "mariadb1011")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	mine, first, second := f.client(t), f.client(t), f.client(t)
	name := table(t, s, "listed", "(k int)")
	first.do(t, "begin", "select 1")
	if _, err := mine.prepare("select k from " + name); err != nil {
		t.Fatal(err)
	}
	second.do(t, "begin", "select 1") // on the backend that has it
	first.do(t, "rollback")
	mine.do(t, "select cast('1x' as signed)", "prepare p from 'select 9'", "select 1")
	for _, asks := range []string{"show count(*) warnings", "show warnings"} {
		if got := mine.outcome(asks); got != "error 1105" {
			t.Errorf("%s: %s", asks, got)
		}
	}
	for _, w := range []*wire{mine, first, second} {
		w.quit()
	}
}

// TestStatementsOfOthersAreLeftAloneByUnknownIDs has backends with statements of the ids that another session does not have.
func TestStatementsOfOthersAreLeftAloneByUnknownIDs(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 1, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	name := table(t, s, "others_ids", "(n int)")
	mine, other := f.client(t), f.client(t)
	for range 3 {
		other.mustPrepare(t, "insert into "+name+" values (1)")
	}
	insert := other.mustPrepare(t, "insert into "+name+" values (2)")
	for id := byte(1); id < 8; id++ {
		if _, err := mine.one(protocol.COM_STMT_EXECUTE, id, 0, 0, 0, 0, 1, 0, 0, 0); numberOf(err) != protocol.ER_UNKNOWN_STMT_HANDLER {
			t.Errorf("statement %d: %v", id, err)
		}
		switch got := mine.outcome("show count(*) errors"); got {
		case "[1]", "error 1105":
		default:
			t.Errorf("statement %d: %s errors", id, got)
		}
		mine.sees(t, "select count(*) from "+name, "[0]")
	}
	other.executes(t, insert, "ok 1")
	mine.sees(t, "select n from "+name, "[2]")
	mine.quit()
	other.quit()
}

// An error does not say that a statement has ended the transaction before it failed.
func TestValuesOfAStatementThatFailedAreToldWithTheServersStatus(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		name := table(t, f.server, "failed_status", "(n int)")
		for _, w := range []*wire{f.client(t), f.direct(t)} {
			for _, asks := range []string{"select last_insert_id()", "select row_count()", "select connection_id()"} {
				w.do(t, "begin")
				w.sees(t, "create table "+name+" (n int)", "error 1050")
				all, err := w.query(asks)
				if err != nil || len(all) != 1 || all[0].err != nil {
					t.Fatalf("%s: %v %v", asks, all, err)
				}
				if all[0].status&protocol.SERVER_STATUS_IN_TRANS != 0 {
					t.Errorf("%s: in a transaction that CREATE TABLE has ended", asks)
				}
			}
			w.quit()
		}
	})
}

// TestGETDIAGNOSTICSLeavesTheRowCountAlone shows so on whatever backend it is executed. Where what it asks for is not there, it leaves a
// warning of its own.
func TestGETDIAGNOSTICSLeavesTheRowCountAlone(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: 3}, func(t *testing.T, f front) { // one more than may be pinned
		c := cross(t, f, 2, [2]string{})
		each := func(statement string) {
			for i := range c.mine {
				c.same(i, statement)
			}
		}
		for _, get := range []string{
			"get diagnostics condition 1 @m = message_text", "get diagnostics @n = number", "get diagnostics condition 2 @m = message_text",
		} {
			for _, then := range []string{"select row_count()", "show warnings", "show count(*) warnings", get} {
				for _, first := range []string{"", "select 1", "do 1", "select cast('1x' as signed)", "set @r = 1"} {
					if first != "" {
						each(first)
					}
					each(get)
					each(then)
					each("select row_count()")
					each("select schema_name from information_schema.schemata limit 0") // which empties MariaDB's list
				}
			}
		}
		for _, w := range slices.Concat(c.mine, c.theirs) {
			w.quit()
		}
	})
}

func TestNothingReplacesDiagnosticsInFrontOfWhatAsksForThem(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: 3}, func(t *testing.T, f front) {
		c := cross(t, f, 2, [2]string{})
		for range 3 {
			for _, statement := range []string{"select cast('1x' as signed)", "show count(*) warnings; insert into mysql.nowhere values (last_insert_id())"} {
				for i := range c.mine {
					c.same(i, statement)
				}
			}
		}
		for _, w := range slices.Concat(c.mine, c.theirs) {
			w.quit()
		}
	})
}

// GET DIAGNOSTICS keeps ROW_COUNT(), also where it is executed on a backend on which that is another session's.
func TestRowCountBehindGetDiagnosticsIsTheSessionsOwnWhereThatPins(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts(), Pool: harness.Keys{"session_pinning_preset": "strict-aws"}}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "counted", "create table c (n int)", "insert into c values (1), (2), (3)")
		mine, other := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		mine.do(t, "update c set n = n + 1")
		other.do(t, "update c set n = 5 limit 2")
		mine.do(t, "get diagnostics @n = number")
		if n := f.pinned(t); n != 1 {
			t.Fatalf("%d pinned", n)
		}
		mine.sees(t, "select row_count()", "[3]")
		mine.quit()
		other.quit()
	})
}

// MariaDB's list of warnings outlives statements of the same request that use no table.
func TestWarningsInTheMidstOfARequestAreTheSessionsOwn(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "midst", "create table c (n int primary key)", "insert into c values (1)")
		for _, sql := range []string{"select 1; insert ignore into c values (1); select 3", "insert ignore into c values (1); set @a = 1", "insert ignore into c values (1); select * from c"} {
			for _, asks := range []string{"show warnings", "get diagnostics condition 1 @m = message_text"} {
				mine, alone, other := dial(t, f.Endpoint, l, with([]uint32{multi})), dial(t, f.server.Endpoint, l, with([]uint32{multi})), dial(t, f.Endpoint, l, modern)
				for _, w := range []*wire{mine, alone} {
					w.outcome(sql)
				}
				for _, q := range []string{asks, "select @m"} {
					if got, want := mine.outcome(q), alone.outcome(q); got != want {
						t.Errorf("%s; %s: %s, with the server itself %s", sql, q, got, want)
					}
				}
				mine.outcome(sql)
				mine.do(t, "do 1")
				other.do(t, "do 1")
				other.sees(t, "show warnings", "[]")
				for _, w := range []*wire{mine, alone, other} {
					w.quit()
				}
			}
		}
	})
}

// In sql_mode ORACLE SQL%ROWCOUNT is what ROW_COUNT() is.
func TestTheRowCountOfOracleIsTheSessionsOwn(t *testing.T) {
	onMariaDB(t, harness.Route{MaxConnections: 1, Users: accounts(), Pool: harness.Keys{"connection_borrow_timeout": "5s"}}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "oracle", "create table t (a int)", "insert into t values (1), (2), (3)")
		a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		a.do(t, "set sql_mode = oracle", "update t set a = a + 1")
		b.do(t, "do 1")
		if got := a.outcome("select sql%rowcount"); got != "error 1105" {
			t.Errorf("where others had the backend: %s", got)
		}
		a.do(t, "start transaction", "update t set a = a + 1")
		a.sees(t, "select SQL % ROWCOUNT as n", "[3]")
		a.do(t, "commit", "update t set a = a + 1")
		b.do(t, "do 1")
		a.sees(t, "select row_count() rowcount", "[3]")
		a.quit()
		b.quit()
	})
}

func TestTheRowCountBehindSeveralStatementsWithGetDiagnosticsIsNotTold(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		for _, first := range []string{"select 1", "select 1; select 2"} {
			w, other := f.client(t, multi), f.client(t, multi)
			if got := w.outcome(first + "; get diagnostics @n = number"); strings.Contains(got, "error") {
				t.Fatal(got)
			}
			other.do(t, "do 1")
			if got := w.outcome("select row_count() as n"); got != "[-1]" && got != "error 1105" {
				t.Errorf("%s; get diagnostics: the row count is told as %s", first, got)
			}
		}
	})
}

// TestNobodyIsInTheDefaultDatabaseThatAnotherSessionHasPreparedIn has MySQL tell of a default database late: with the next OK behind a
// COM_STMT_PREPARE that has read a function's code, to a command that needs no default database.
func TestNobodyIsInTheDefaultDatabaseThatAnotherSessionHasPreparedIn(t *testing.T) {
	rotating(t, harness.Route{Users: callers(), MaxConnections: 1}, func(t *testing.T, f front) {
		code := callersSchema(t, f.server, "prepared_of", "create function f() returns int deterministic return 5")
		theirs := callersSchema(t, f.server, "prepared_in")
		mine := callersSchema(t, f.server, "not_prepared_in")
		for range 3 {
			a, b := dial(t, f.Endpoint, theirs, modern), dial(t, f.Endpoint, mine, modern)
			a.mustPrepare(t, "select "+code.Database+".f()")
			if _, err := b.one(protocol.COM_SET_OPTION, 0, 0); err != nil {
				t.Fatal(err)
			}
			if got := b.outcome("select database()"); got != "["+mine.Database+"]" {
				t.Fatalf("it is in %s, not in %s", got, mine.Database)
			}
			b.quit()
			a.quit()
		}
	})
}
