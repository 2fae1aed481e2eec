package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAnActIsReadFromItsStrictForm(t *testing.T) {
	for text, want := range map[string]act{
		"create temporary table t (a int)":                        {verb: verbMake, hold: holdTable, names: []string{"\x00t"}},
		"/* x */ CREATE OR REPLACE TEMPORARY TABLE `a`.b as s":    {verb: verbMake, hold: holdTable, names: []string{"a\x00b"}},
		"create temporary table if not exists t like u -- done":   {verb: verbMake, hold: holdTable, names: []string{"\x00t"}},
		"drop table if exists a, b.c cascade;":                    {verb: verbEnd, hold: holdTable, names: []string{"\x00a", "b\x00c"}},
		"handler a.b open as h":                                   {verb: verbMake, hold: holdHandler, names: []string{"h"}},
		"handler a.b open":                                        {verb: verbMake, hold: holdHandler, names: []string{"b"}},
		"handler h close":                                         {verb: verbEnd, hold: holdHandler, names: []string{"h"}},
		"prepare p from 'select 7\xa0into @a'":                    {verb: verbMake, hold: holdPrepared, names: []string{"p"}},
		"prepare p from 'select 1'":                               {verb: verbMake, hold: holdPrepared, names: []string{"p"}, harmless: true},
		"prepare p from 'select get_lock(1, 2)'":                  {verb: verbMake, hold: holdPrepared, names: []string{"p"}},
		"prepare p from 'alter table a rename b'":                 {verb: verbMake, hold: holdPrepared, names: []string{"p"}},
		"prepare p from @text":                                    {verb: verbMake, hold: holdPrepared, names: []string{"p"}},
		"prepare p from 'select 1' 'x'":                           {verb: verbMake, hold: holdPrepared, names: []string{"p"}},
		"execute p using @a":                                      {verb: verbExecute, hold: holdPrepared, names: []string{"p"}},
		"drop prepare p":                                          {verb: verbEnd, hold: holdPrepared, names: []string{"p"}},
		"unlock tables":                                           {verb: verbEnd, hold: holdTableLock, names: []string{lockTables, lockFlush}},
		"backup stage end":                                        {verb: verbEnd, hold: holdTableLock, names: []string{lockStage}},
		"xa start 'a','b',1":                                      {verb: verbMake, hold: holdXA, names: []string{"'a','b',1"}},
		"xa commit 'a' one phase":                                 {verb: verbEnd, hold: holdXA, names: []string{"'a'"}},
		"do release_all_locks()":                                  {verb: verbReleases, hold: holdLock},
		"select release_all_locks() from t":                       {},
		"create temporary table t (a int); select 1":              {},
		"create temporary table `a``b` (a int)":                   {},
		"create temporary table \"t\" (a int)":                    {},
		"create temporary table t\xc3\xa4 (a int)":                {},
		"create /*!50000 temporary */ table t (a int)":            {},
		"drop table t wait 5":                                     {},
		"create temporary sequence s":                             {},
		"execute immediate 'select 1'":                            {},
		"xa start x'41'":                                          {},
		"drop table t /* and /*! something */, u */":              {},
		"create temporary table t (a int) comment 'it\\'s; drop'": {},
	} {
		a := actOf([]byte(text))
		if a.verb != want.verb || a.hold != want.hold || !slices.Equal(a.names, want.names) || a.harmless != want.harmless {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

func TestNamesOfLocksAreLiteralsOrUnknown(t *testing.T) {
	for text, want := range map[string][]string{
		"select get_lock('a', 1), get_lock ( 'b' , 2)": {"a", "b"},
		"select 1; do GET_LOCK('a', 1)":                {"a"},
		"select get_lock(concat('a', 'b'), 1)":         {""},
		"select get_lock('a' 'b', 1)":                  {""},
		"select get_lock('', 1)":                       {""},
		"select get_lock(n'a', 1)":                     {""},
		"select get_lock(\"a\", 1)":                    {""},
	} {
		if a := actOf([]byte(text)); !slices.Equal(a.locks, want) || a.unnamed {
			t.Errorf("%s: %q", text, a.locks)
		}
	}
	for _, text := range []string{"select get_lock('a\\'', 1)", "select get_lock(/*!99999 'a', */ 'b', 1)", "select get_lock('a"} {
		if a := actOf([]byte(text)); !a.unnamed {
			t.Errorf("%s: %q are the names", text, a.locks)
		}
	}
}

func FuzzAnActOfAnyTextIsBounded(f *testing.F) {
	f.Add([]byte("create temporary table t (a int)"))
	f.Add([]byte("xa start 'a','b',1; do get_lock('a', 1)"))
	f.Add([]byte("handler `a`.b open as h /*! x */ -- y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a := actOf(text)
		if len(a.locks) > maxNames || len(a.names) > maxPieces {
			t.Errorf("%d locks, %d names", len(a.locks), len(a.names))
		}
	})
}

func TestAnActNamesTheFunctionsThatAreNotTheServersOwn(t *testing.T) {
	for sql, want := range map[string]string{
		"select f(1), G (2), now(), count(*), f (3)": "f,g", "insert into t (a) values (f(1))": "f", "insert into d.t (a) select f(b) from u": "f",
		"select d.f(1), x from (select 1) as y (x)": "", "set @a = f()": "f", "with c (n) as (select 1) select f(n) from c": "f", "do 1": "",
		"call p(f(1))": "f", "update t set a = f(b) where c in (1, 2)": "f", "insert t (a) values (1)": "t", "create table t as select f(1)": "f",

		"select /*!40000 f(1) */": "?", `select f('\'')`: "?", "select f\xe4(1)": "?", "select 1" + strings.Repeat(", 1", 200) + ", f(1)": "?",
	} {
		a := actOf([]byte(sql))
		got := strings.Join(a.calls, ",")
		if a.uncertain {
			got = "?"
		}
		if got != want {
			t.Errorf("%.50s: %s, not %s", sql, got, want)
		}
	}
	var many strings.Builder
	for i := range maxNames + 1 {
		fmt.Fprintf(&many, ", f%d(1)", i)
	}
	if !actOf([]byte("select 1" + many.String())).uncertain {
		t.Error("any number of functions is remembered")
	}
}

func TestAnActKnowsWhatIsTheServersOwn(t *testing.T) {
	for sql, want := range map[string]bool{
		"call sys.execute_prepared_stmt('do 1')": true, "CALL `SYS` . `diagnostics`(1)": true, "select mariadb_schema.f(1)": true, `call "sys".p()`: true,
		"call p()": false, "call d.p()": false, "select sys from t": false, "call p('sys.x')": false, "call /*! sys. */ p()": true, `call p('\'')`: true,
		"call p(1" + strings.Repeat(", 1", 200) + ")": true,
	} {
		if got := actOf([]byte(sql)).system; got != want {
			t.Errorf("%.50s: %v", sql, got)
		}
	}
}
