package mysql

import (
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// trace is something that a session may leave on its connection. What sessions see is compared with what the server
// itself shows to sessions of their own.
type trace struct {
	name  string
	leave []string // statements; each may fail
	probe string   // shows it
}

// traces are compared for the session that left them, and for others.
func traces() []trace {
	return []trace{
		{"sql_mode", []string{"set sql_mode = 'ANSI_QUOTES'"}, "select @@sql_mode"},
		{"sql_mode by concatenation", []string{"set session sql_mode = concat(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')"}, "select @@sql_mode"},
		{"time_zone", []string{"set time_zone = '+03:30'"}, "select @@time_zone"},
		{"several at once", []string{"set @@session.group_concat_max_len = 99, sort_buffer_size = 65536, @v = 3"},
			"select @@group_concat_max_len, @@sort_buffer_size, @v"},
		{"names", []string{"set names latin1"}, "select @@character_set_client, @@character_set_results, @@collation_connection"},
		{"names with collation", []string{"set names utf8mb4 collate utf8mb4_bin"}, "select @@collation_connection, 'a' = 'A'"},
		{"character set", []string{"set character set latin1"}, "select @@character_set_client, @@character_set_results"},
		{"results unconverted", []string{"set character_set_results = null"}, "select @@character_set_results"},
		{"autocommit off", []string{"set autocommit = 0"}, "select @@autocommit"},
		{"autocommit off and on", []string{"set autocommit = 0", "select 1", "commit", "set autocommit = 1"}, "select @@autocommit"},
		{"isolation level", []string{"set session transaction isolation level serializable"}, "select @@%isolation"},
		{"timestamp", []string{"set timestamp = 86400"}, "select now() < '1980-01-01'"},
		{"safe updates", []string{"set sql_safe_updates = 1, sql_select_limit = 1"}, "select 1 union select 2"},
		{"a variable set by a prepared statement", []string{"prepare p from 'set sql_select_limit = 1'", "execute p"}, "select @@sql_select_limit"},
		{"an executable comment", []string{"select 1 /*!, @c := 5 */"}, "select @c"},
		{"a version comment", []string{"/*!50000 set @c = 6 */"}, "select @c"},
		{"set", []string{"set @a = 1"}, "select @a"},
		{"set with a comment between", []string{"/* x */ set /**/ @`a b` = 1"}, "select @`a b`"},
		{"assignment", []string{"select @a := 7"}, "select @a"},
		{"assignment in a failing statement", []string{"select @a := 7, (select 1 union select 2)"}, "select @a"},
		{"assignment in a transaction", []string{"begin", "select @a := 8", "commit"}, "select @a"},
		{"select into", []string{"select 5, 6 into @a, @b"}, "select @a, @b"},
		{"set by a multi-statement with an error in its middle", []string{"set @a = 1; select * from nowhere; set @a = 2"}, "select @a"},
		{"temporary table", []string{"create temporary table leak_t (n int)", "insert into leak_t values (1)"}, "select n from leak_t"},
		{"temporary table from a query", []string{"create temporary table leak_t as select 1 as n"}, "select n from leak_t"},
		{"prepared statement", []string{"prepare p from 'select 42'"}, "execute p"},
		{"handler", []string{"handler leak_rows open as h"}, "handler h read first"},
		{"no rows of its own", []string{"set insert_id = 77"}, "select @@insert_id"},
		{"a procedure that sets a variable", []string{"call leak_sets()"}, "select @in_procedure"},
		{"a function that sets a variable", []string{"select leak_function()"}, "select @in_function"},
		{"a procedure that makes a temporary table", []string{"call leak_makes()"}, "select n from leak_made"},
		{"a procedure that sets the time zone and fails", []string{"call leak_fails()"}, "select @@time_zone, @before_failing"},
		{"a trigger that sets a variable", []string{"insert into leak_triggered values (1)"}, "select @in_trigger"},
		{"profiling", []string{"set profiling = 1"}, "select @@profiling"},
		{"a role", []string{"set role none"}, "select current_role()"},
		{"foreign keys", []string{"SET @OLD_FK=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0"}, "select @@foreign_key_checks, @old_fk"},
		{"random seeds", []string{"set rand_seed1 = 1, rand_seed2 = 2"}, "select rand() < 0.0000001"},
		{"a statement for a while", []string{"do sleep(0)", "select 1"}, "select @@max_sort_length"},
	}
}

// routines are what some traces call. They are made once per server.
func routines(t testing.TB, f front) {
	t.Helper()
	// With binary logging only those with further privileges may make functions.
	if err := f.server.Exec(t.Context(), "drop function if exists app.leak_function",
		"create function app.leak_function() returns int deterministic no sql begin set @in_function = 1; return 1; end"); err != nil {
		t.Fatal(err)
	}
	// The rest is made through the proxy, which doubts all code then. What is made past it, it learns of within half a minute.
	makes := f.client(t)
	makes.do(t,
		"drop procedure if exists leak_sets", "create procedure leak_sets() set @in_procedure = 1",
		"drop procedure if exists leak_makes", "create procedure leak_makes() create temporary table leak_made as select 3 as n",
		"drop procedure if exists leak_fails",
		"create procedure leak_fails() begin set time_zone = '+01:00'; set @before_failing = 1; select * from nowhere; end",
		"drop table if exists leak_triggered", "create table leak_triggered (n int)",
		"create trigger leak_trigger before insert on leak_triggered for each row set @in_trigger = new.n",
		"drop table if exists leak_rows", "create table leak_rows (n int primary key)", "insert into leak_rows values (4)",
	)
	makes.quit()
}

func TestNoSessionSeesWhatAnotherLeft(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		routines(t, f)
		isolation := "transaction_isolation"
		if f.mariaDB() {
			isolation = "tx_isolation"
		}
		for _, c := range traces() {
			c.probe = strings.ReplaceAll(c.probe, "%isolation", isolation)
			t.Run(c.name, func(t *testing.T) {
				alone, untouched := f.direct(t, multi), f.direct(t, multi)
				left, other := f.client(t, multi), f.client(t, multi)
				var want []string
				for _, q := range c.leave {
					want = append(want, alone.outcome(q))
				}
				clean, own := untouched.outcome(c.probe), alone.outcome(c.probe)
				alone.quit()
				untouched.quit()
				for i, q := range c.leave {
					if got := left.outcome(q); got != want[i] {
						t.Errorf("%s: %s, alone %s", q, got, want[i])
					}
					if got := other.outcome(c.probe); got != clean {
						t.Errorf("after %s another session sees %s, want %s", q, got, clean)
					}
				}
				if got := left.outcome(c.probe); got != own {
					t.Errorf("the session itself sees %s, alone it would see %s", got, own)
				}
				left.quit()
				other.quit()
				for _, got := range f.everywhere(t, c.probe) {
					if got != clean {
						t.Errorf("after its end others see %s, want %s", got, clean)
					}
				}
			})
		}
	})
}

func TestRecordsOfStatementsReachNoOtherSession(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		for _, c := range [][2]string{
			{"set profiling = 1", "show profiles"}, {"set @@profiling = 1", "show profiles"},
			{"set optimizer_trace = 'enabled=on'", "select count(*), max(query) from information_schema.optimizer_trace"},
		} {
			a, alone := dial(t, f.Endpoint, superuser(), modern), dial(t, f.server.Endpoint, superuser(), modern)
			a.do(t, c[0], "select 'secret'")
			if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			f.pinned(t)
			a.quit()
			unpins(t, f)
			b := dial(t, f.Endpoint, superuser(), modern)
			if got, want := b.outcome(c[1]), alone.outcome(c[1]); got != want {
				t.Errorf("behind %s: %s, with the server itself %s", c[0], got, want)
			}
			b.quit()
			alone.quit()
		}
	})
}

// multi is the capability to send several statements in a text.
const multi = protocol.CLIENT_MULTI_STATEMENTS

func TestResetConnectionGivesTheBackendBackClean(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		a.do(t, "set @a = 1, time_zone = '+02:00'", "create temporary table gone (n int)", "prepare p from 'select 1'")
		if n := f.pinned(t); n != 1 {
			t.Errorf("%d sessions are pinned, want 1", n)
		}
		if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		unpins(t, f)
		for _, w := range []*wire{a, b} {
			w.sees(t, "select @a, @@time_zone = @@global.time_zone, database()", "[NULL,1,app]")
			w.sees(t, "select * from gone", "error 1146")
			w.sees(t, "execute p", "error 1243")
			w.quit()
		}
		for _, got := range f.everywhere(t, "select @a") {
			if got != "[NULL]" {
				t.Errorf("a reset session left %s", got)
			}
		}
	})
}

func TestChangeUserStartsTheSessionAfresh(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a := f.client(t)
		a.do(t, "set @a = 1", "begin")
		for _, l := range []struct{ user, password, database, want string }{
			{"root2", "secret", "app", "[root2,NULL,app]"},
			{"app", "secret", "", "[app,NULL,NULL]"},
			{"app", "secret", "app", "[app,NULL,app]"},
		} {
			if err := a.changeUser(l.user, l.password, l.database); err != nil {
				t.Fatalf("%s: %v", l.user, err)
			}
			unpins(t, f)
			a.sees(t, "select substring_index(current_user(), '@', 1), @a, database()", l.want)
		}
		err := a.changeUser("app", "guess", "app")
		if numberOf(err) != 1045 {
			t.Errorf("a wrong password: %v, want 1045", err)
		}
		if all, err := a.query("select 1"); err == nil {
			t.Errorf("the session goes on behind a wrong password: %s", show(all, err))
		}
	})
}

// unpins waits until no session is pinned.
func unpins(t *testing.T, f front) {
	t.Helper()
	waitFor(t, "no session is pinned", func() bool { return f.pinned(t) == 0 })
}

// TestWhatIsBehindAChangeOfUserIsTheNewUsers: a client need not wait, as long as its first proof is right.
func TestWhatIsBehindAChangeOfUserIsTheNewUsers(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a := f.client(t)
		a.plugin = protocol.AUTH_CACHING_SHA2_PASSWORD // the accounts', whatever the greeting proposes
		a.do(t, "set @a = 1", "begin")
		for _, user := range []string{"root2", "app", "root2"} {
			if err := a.sendChange(user, "secret", "app"); err != nil {
				t.Fatal(err)
			}
			if err := a.ask("select substring_index(current_user(), '@', 1), @a, database()"); err != nil {
				t.Fatal(err)
			}
			for end := false; !end; { // of the change
				p, err := a.read()
				if err != nil || len(p) == 0 || p[0] > 1 {
					t.Fatalf("%s: %q, %v", user, p, err)
				}
				end = p[0] == 0
			}
			a.seq = 1
			all, err := a.results(false)
			if got, want := show(all, err), "["+user+",NULL,app]"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// changeUser sends COM_CHANGE_USER.
func (w *wire) changeUser(user, password, database string) error {
	if err := w.sendChange(user, password, database); err != nil {
		return err
	}
	return w.authenticate(loginOf(user, password))
}

func (w *wire) sendChange(user, password, database string) error {
	proof := prove(w.plugin, w.salt, password)
	body := append([]byte(user), 0, byte(len(proof)))
	body = append(body, proof...)
	body = append(append(body, database...), 0, 45, 0)
	body = append(append(body, w.plugin...), 0)
	return w.command(protocol.COM_CHANGE_USER, body...)
}

func TestWarningsBehindAnotherStatementThatShowsSomeAreKept(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		for _, text := range []string{
			"show count(*) errors; select cast('1x' as signed)", "show warnings; select cast('1x' as signed)", "select cast('1x' as signed); show warnings",
			"select cast('1x' as signed); show count(*) warnings; show warnings",
		} {
			a, direct := f.client(t, multi), f.direct(t, multi)
			others := []*wire{f.client(t), f.client(t)}
			a.outcome(text)
			direct.outcome(text)
			for _, b := range others {
				if f.pinned(t) == 0 {
					b.do(t, "select 1")
				}
			}
			for _, q := range []string{"show count(*) warnings", "show warnings"} {
				if got, want := a.outcome(q), direct.outcome(q); got != want {
					t.Errorf("%s: %s: %s, not %s", text, q, got, want)
				}
			}
			for _, w := range append(others, a, direct) {
				w.quit()
			}
		}
	})
}
