package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// Servers report the default database in utf8, and read it in the character set of the connection.
func TestADatabaseFollowsItsSessionInAnyCharacterSet(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1}, func(t *testing.T, f front) {
		harness.Exec(t, f.server, "create database if not exists `berth_dä`", "grant all on `berth_dä`.* to app@'%'")
		t.Cleanup(func() {
			w := dial(t, f.server.Endpoint, superuser(), modern)
			w.do(t, "drop database `berth_dä`")
			w.quit()
		})
		const latin, name = "berth_d\xe4", "[62657274685F64C3A4]"
		const asks = "select hex(convert(database() using utf8mb4))"
		other := f.client(t)
		for _, c := range []struct {
			what string
			do   []string
		}{
			{"latin1", []string{"set names latin1", "use " + latin}},
			{"utf8mb4", []string{"use berth_dä"}},
			{"latin1, then utf8mb4", []string{"set names latin1", "use " + latin, "set names utf8mb4"}},
			{"utf8mb4, then latin1", []string{"use berth_dä", "set names latin1"}},
		} {
			a := f.client(t)
			a.do(t, c.do...)
			other.sees(t, "select database()", "[app]")
			if got := a.outcome(asks); got != name {
				t.Errorf("%s: %s", c.what, got)
			}
			other.sees(t, "select database()", "[app]")
			s, err := a.prepare("select hex(convert(database() using utf8mb4))")
			if err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
			other.do(t, "select 1")
			if got, err := a.execute(s, 0); err != nil || show(got, err) != name {
				t.Errorf("%s: %s", c.what, show(got, err))
			}
			a.quit()
		}
		for _, as := range []struct {
			charset byte
			name    string
			then    string
		}{{8, latin, "set names latin1"}, {45, "berth_dä", "select 1"}, {8, latin, "set names utf8mb4"}, {45, "berth_dä", "set names latin1"}} {
			l := plain()
			l.Database = as.name
			w, err := greeted(f.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			w.charset = as.charset
			if err := w.login(f.Endpoint, l, modern); err != nil {
				t.Fatal(err)
			}
			if got := w.outcome(asks); got != name {
				t.Errorf("%+v: %s", as, got)
			}
			w.do(t, as.then)
			other.sees(t, "select database()", "[app]")
			if got := w.outcome(asks); got != name {
				t.Errorf("%+v, then: %s", as, got)
			}
			w.quit()
		}
		w, err := greeted(f.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		w.charset = 45
		l := plain()
		l.Database = latin // which no utf8 has
		if err := w.login(f.Endpoint, l, modern); err == nil {
			t.Error("logged in to a database that there is not")
		}
		_ = w.Close()
		other.quit()
	})
}

// In swe7 some of ASCII's punctuation are letters. MySQL's names of locks are the same in every character set, MariaDB's are bytes, as are
// those of variables.
func TestNamesInACharacterSetWithOtherLettersBelongToTheirSession(t *testing.T) {
	r := harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "1s"}}
	own(t, r, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "letters")
		client := func() *wire { return dial(t, f.Endpoint, l, modern) }
		a, b, alone := client(), client(), f.direct(t)
		a.do(t, "set names swe7", "set @a[ = 'mine'")
		b.sees(t, "select @`a[`", "error 9501")
		a.sees(t, "select @a[", "[mine]")
		a.quit()
		const free = "select is_free_lock('berth[') and is_free_lock('berthÄ')"
		c := client()
		c.do(t, "set names swe7")
		c.sees(t, "select get_lock('berth[', 0)", "[1]")
		c.do(t, "set names utf8mb4")
		c.sees(t, "select release_lock('berth')", "[NULL]")
		alone.sees(t, free, "[0]")
		b.sees(t, "select 1", "error 9501")
		c.quit()
		eventually(t, b, free, "[1]")
		d := client()
		d.sees(t, "select get_lock('berth[', 0) + 1/0", "[NULL]") // what it warns of keeps Berth from asking for a moment
		d.do(t, "set names swe7")
		alone.sees(t, free, "[0]")
		b.sees(t, "select 1", "error 9501")
		d.do(t, "set names utf8mb4", "select release_all_locks()")
		alone.sees(t, free, "[1]")
		b.sees(t, "select 1", "[1]")
		for _, w := range []*wire{d, b, alone} {
			w.quit()
		}
	})
}

// MariaDB's names of locks are the bytes that literals have in the character set of the connection, which may be one of more than one byte
// for each character.
func TestALockThatWasTakenUnderAnotherCollationOfTheConnectionHoldsItsSession(t *testing.T) {
	r := harness.Route{MaxConnections: 1, Users: callers(), Pool: harness.Keys{"connection_borrow_timeout": "1s"}}
	own(t, r, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "broad")
		const ucs2, utf8 = "set collation_connection = ucs2_general_ci", "set character_set_connection = utf8mb4"
		const free = "select is_free_lock('berth')"
		b, alone := dial(t, f.Endpoint, l, modern), f.direct(t)
		for _, c := range [][2]string{{ucs2, utf8}, {utf8, ucs2}} {
			a := dial(t, f.Endpoint, l, modern)
			a.do(t, c[0])
			a.sees(t, "select get_lock('berth', 0)", "[1]")
			a.do(t, c[1])
			a.sees(t, "select release_lock('other')", "[NULL]")
			alone.do(t, c[0])
			alone.sees(t, free, "[0]")
			b.sees(t, "select 1", "error 9501")
			a.do(t, c[0])
			a.sees(t, "select release_lock('berth')", "[1]")
			if c[0] == utf8 {
				b.sees(t, "select 1", "[1]")
			}
			a.quit()
			eventually(t, b, "select 1", "[1]")
		}
		b.quit()
		alone.quit()
	})
}

// What a server reads behind characters of two bytes is what Berth reads there.
func TestCharactersOfTwoBytesAreReadAsByServers(t *testing.T) {
	own(t, harness.Route{MaxConnections: 2}, func(t *testing.T, f front) {
		mine, alone := f.client(t, multi), f.direct(t, multi)
		for _, charset := range []string{"sjis", "cp932", "gbk", "gb18030"} {
			if charset == "gb18030" && f.mariaDB() {
				continue
			}
			for _, w := range []*wire{mine, alone} {
				w.do(t, "set names "+charset)
			}
			for text, one := range map[string]bool{
				"select '\x95\x5c' as x; do 1": false, "select '\\\x95\x5c'; do 1 -- ' as x": true, "select '\x95\x95\x5c' as x; do 1 -- '": true,
				"select 1 as \x95`; do 1 -- `": false, "select 1 as `\x95`; do 1 -- `": true,
			} {
				got, want := mine.outcome(text), alone.outcome(text)
				if got != want || strings.HasPrefix(got, "error") {
					t.Errorf("%s: %q: %s, alone %s", charset, text, got, want)
				}
				if strings.HasSuffix(want, "ok 0") == one {
					t.Errorf("%s: %q: %s", charset, text, want)
				}
			}
			mine.sees(t, "select '\x95\x5c'; kill 5", "error 1235")
		}
		if n := f.pinned(t); n > 0 {
			t.Errorf("%d sessions are pinned", n)
		}
		mine.quit()
		alone.quit()
	})
}
