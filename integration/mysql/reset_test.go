package mysql

import (
	"context"
	"fmt"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// charsetClient is a session whose handshake names a collation by its number.
func charsetClient(t *testing.T, e harness.Endpoint, charset byte, caps uint32) *wire {
	t.Helper()
	w, err := greeted(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	w.charset = charset
	if err := w.login(e, plain(), caps); err != nil {
		t.Fatal(err)
	}
	return w
}

// What the handshake says is all over with a reset of the connection, in another way on each server. Berth brings it back.
func TestWhatTheHandshakeSaysOutlivesAReset(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		const sets = "select @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection"
		for _, charset := range []byte{8, 28, 33, 45, 46, 224} { // of latin1, gbk, utf8mb3 and utf8mb4
			a := charsetClient(t, f.Endpoint, charset, modern)
			first := charsetClient(t, f.server.Endpoint, charset, modern).outcome(sets)
			a.sees(t, sets, first)
			a.do(t, "create temporary table held (n int)", "set names utf8mb4")
			if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			a.sees(t, sets, first)
			a.do(t, "begin")
			a.sees(t, sets, first)
			a.do(t, "commit")
			a.quit()
		}
		spaced := charsetClient(t, f.Endpoint, 45, modern|protocol.CLIENT_IGNORE_SPACE)
		spaced.sees(t, "select count (*) from (select 1) as t", "[1]")
		spaced.do(t, "create temporary table held (n int)")
		if _, err := spaced.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		spaced.sees(t, "select count (*) from (select 1) as t", "[1]")
		spaced.quit()
	})
}

// COM_RESET_CONNECTION leaves the role as it is: it is the session's, and never another one's.
func TestARoleIsNobodyElsesBehindAReset(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		super := dial(t, f.server.Endpoint, superuser(), modern)
		super.do(t, "create role if not exists reset_role", "grant reset_role to app@'%'")
		t.Cleanup(func() { super.do(t, "drop role reset_role") })
		const role = "select coalesce(nullif(current_role(), 'NONE'), '') <> ''"
		for _, taken := range [][]string{
			{"set role reset_role"}, {"prepare p from 'set role reset_role'", "execute p"}, {"prepare p from 'set role reset_role'", "execute p", "deallocate prepare p"},
			{"drop procedure if exists takes", "create procedure takes() sql security invoker set role reset_role", "call takes()", "drop procedure takes"},
		} {
			a := f.client(t)
			a.do(t, taken...)
			a.sees(t, role, "[1]")
			if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			if len(taken) == 1 {
				a.sees(t, role, "[1]")
			}
			a.quit()
			b := f.client(t)
			b.sees(t, role, "[0]")
			b.quit()
		}
	})
}

// A backend that Berth resets because of code that nobody sees keeps its default database, but not the character set of that.
func TestTheCharacterSetOfTheDatabaseOutlivesWhatBerthCleans(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		other := "berth_latin_" + f.server.Name
		harness.Exec(t, f.server, "drop database if exists "+other, "create database "+other+" collate latin1_bin", "grant all on "+other+".* to app@'%'",
			"create procedure "+other+".leaves() begin set @left = 1; end")
		t.Cleanup(func() {
			if err := f.server.Exec(context.Background(), "drop database "+other, "revoke all on "+other+".* from app@'%'"); err != nil {
				t.Error(err)
			}
		})
		a := f.client(t)
		a.do(t, "use "+other)
		for range 4 {
			a.sees(t, "select @@character_set_database, @@collation_database, database()", fmt.Sprintf("[latin1,latin1_bin,%s]", other))
			a.do(t, "select 1")
		}
		a.quit()
	})
}

func TestAnOptionOutlivesAChangeOfTheUser(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		const two = "select 1; select 2"
		for _, c := range []struct {
			option byte
			caps   []uint32
			want   string
		}{{1, []uint32{multi}, "error 1064"}, {0, nil, "[1] [2]"}} {
			for _, w := range []*wire{f.client(t, c.caps...), f.direct(t, c.caps...)} {
				if err := w.command(protocol.COM_SET_OPTION, c.option, 0); err != nil {
					t.Fatal(err)
				}
				if _, err := w.read(); err != nil {
					t.Fatal(err)
				}
				w.sees(t, two, c.want)
				if err := w.changeUser("app", "secret", "app"); err != nil {
					t.Fatal(err)
				}
				w.sees(t, two, c.want)
				w.quit()
			}
		}
	})
}

// A session may have it that nobody hears of USE. The database that it has chosen is its own behind a reset, too.
func TestADatabaseThatNobodyHearsOfOutlivesAReset(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, off := range []string{
			"set session_track_schema = off", "set @@session_track_schema = 0", "set session_track_schema = 0, session_track_system_variables = ''",
			"set @@session_track_schema = 0; select 1", "set @s = 'set @@session_track_schema = 0'; prepare p from @s; execute p",
		} {
			w, other := f.client(t, multi), f.client(t, multi)
			if got := w.outcome(off); strings.Contains(got, "error") {
				t.Fatalf("%s: %s", off, got)
			}
			w.do(t, "use information_schema")
			w.sees(t, "select database()", "[information_schema]")
			if _, err := w.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			other.do(t, "begin") // on the connection that is free
			w.sees(t, "select database()", "[information_schema]")
			other.sees(t, "select database()", "[app]")
			w.do(t, "use app")
			w.sees(t, "select database()", "[app]")
			w.quit()
			other.quit()
		}
	})
}

// A server executes init_connect for a connection that is opened, and not for one that is reset.
func TestWhatInitConnectSetsOutlastsAReset(t *testing.T) {
	for _, initial := range []string{
		"set time_zone = '+03:00', @tenant = 5, default_week_format = 3, sql_mode = 'ANSI', @second := 'x'; ",
		"do 1; set names latin1; set autocommit = 0, default_week_format = 3",
	} {
		for _, name := range harness.MySQLNames() {
			t.Run(name, func(t *testing.T) {
				f := ownServer(t, name, 1, "init_connect="+initial)
				harness.Exec(t, f.server, "create function app.f_into() returns int deterministic begin select 5 into @hidden; return 1; end",
					"create view app.v as select app.f_into() as x")
				const shows = "select @@time_zone, @tenant, @@default_week_format, @@sql_mode, @@autocommit, @second, @@character_set_client, @hidden"
				d := f.direct(t)
				want := d.outcome(shows)
				a, b := f.client(t), f.client(t)
				for _, q := range []string{"do 1", "select * from v", "commit", "set @tenant = 8", "set @other = 8", "set @second = null", "set autocommit = 1"} {
					a.do(t, q, "commit")
					if f.pinned(t) > 0 {
						a.quit()
						a = f.client(t)
						unpins(t, f)
					}
					if got := b.outcome(shows); got != want {
						t.Errorf("%s: behind %s another session has %s, with the server itself %s", initial, q, got, want)
					}
					b.do(t, "commit")
				}
				for _, w := range []*wire{a, b, d} {
					w.quit()
				}
			})
		}
	}
}

func TestTheLimitOfAnAccountOutlastsAReset(t *testing.T) {
	onMariaDB(t, harness.Route{MaxConnections: 1, Users: append(accounts(), harness.Account{User: "limited", Password: "secret"})}, func(t *testing.T, f front) {
		harness.Exec(t, f.server, "create or replace user limited@'%' identified by 'secret' with max_statement_time 77")
		l := loginOf("limited", "secret")
		const shows = "select @@max_statement_time"
		a, b := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		for _, q := range []string{"do 1", "set max_statement_time = 99", "set @a = 1"} {
			a.do(t, q)
			if got := b.outcome(shows); got != "[77.000000]" {
				t.Errorf("behind %s another session has %s", q, got)
			}
		}
		a.sees(t, shows, "[99.000000]")
		a.quit()
		b.quit()
		harness.Exec(t, f.server, "drop user limited@'%'")
	})
}

// No reset takes a connection of MySQL out of its resource group.
func TestAResourceGroupReachesNoOtherSession(t *testing.T) {
	f := ownServer(t, "mysql97", 1, "performance_schema=ON")
	const group = "select resource_group from performance_schema.threads where processlist_id = connection_id()"
	harness.Exec(t, f.server, "create resource group slow type = user", "create procedure app.slowly() set /* the */ resource group slow", "create procedure app.outer_slowly() call slowly()",
		"create function app.f_slowly() returns int deterministic begin set resource group slow; return 1; end", "create table app.slow_t (n int)",
		"create trigger app.slow_tr before insert on app.slow_t for each row set resource group slow")
	for _, set := range []string{
		"set resource group slow", "set names utf8mb4; SET RESOURCE group slow", "call slowly()", "call outer_slowly()", "select f_slowly()", "insert into slow_t values (1)",
		"prepare s from 'set resource group slow'; execute s",
	} {
		a := dial(t, f.server.Endpoint, superuser(), with([]uint32{multi}))
		if a.outcome(set); a.outcome(group) == "[USR_default]" {
			t.Errorf("%s does nothing on the server itself", set)
		}
		a.quit()
		a = dial(t, f.Endpoint, superuser(), with([]uint32{multi}))
		a.outcome(set)
		if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(set, "group") { // as Berth knows from the text: the session keeps it until it ends
			a.quit()
		}
		b := dial(t, f.Endpoint, superuser(), with([]uint32{multi}))
		if b.sees(t, group, "[USR_default]"); t.Failed() {
			t.Error(set)
		}
		a.quit()
		b.quit()
		unpins(t, f)
	}
}
