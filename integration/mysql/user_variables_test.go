package mysql

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// values are what user variables may have, of every type.
var values = []string{
	"1", "-5", "18446744073709551615", "cast(7 as unsigned)", "-9223372036854775807", "9223372036854775807", "true", "1.50", "-0.001", "0.0",
	"cast(12 as decimal(20,0))", "12345678901234567890123456789012345.123456789012345678901234567890", "(select sum(n) from (select 3 as n) t)",
	"1e0", "-2.5e-300", "0.1e0", "-0e0", "1/3", "pi()", "1e100", "exp(1)", "''", "'it''s'", "'a b\n'", "_latin1 x'e4'", "_latin1'x' collate latin1_bin",
	"_utf8mb4 'x' collate utf8mb4_bin", "_ucs2 x'00e4'", "_gbk x'815c'", "convert('x' using cp1251)", "x'00ff27'", "_binary 'b'", "date '2020-02-03'",
	"timestamp '2020-02-03 04:05:06.789'", "time '-12:00:01'", "now() is null", "'ä'", "cast('[1]' as json)", "repeat('x', 500)", "@@sql_mode",
	"concat('a', 1)", "0x41", "b'101'", "@@sort_buffer_size", "uuid() is null", "cast('2020-01-01' as date) + interval 1 day",
}

// nulls are NULL of every type.
var nulls = []string{
	"null", "cast(null as signed)", "cast(null as unsigned)", "cast(null as char)", "cast(null as decimal(5,2))", "cast(null as double)",
	"cast(null as date)", "nullif('a', 'a')", "nullif(_latin1 'a', 'a')", "@never",
}

const lookAtVariables = "select @v, hex(@v), charset(@v), collation(@v), coercibility(@v), @v + 1, @v / 3, @v = 'A', @w, collation(concat(@v, @v)), charset(concat(@v, 'x'))"

// described is how a result's columns are described.
func (w *wire) described(t testing.TB, q string) []column {
	t.Helper()
	all, err := w.query(q)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return all[0].columns
}

// variables are a session through a proxy with one backend, the same session alone, and one that uses the same backend: all
// with the same capabilities, without which Berth would open another one for each.
type variables struct {
	front
	mine, alone, other *wire
	login              harness.Login
}

// withVariables runs a test in front of every server.
func withVariables(t *testing.T, schema string, test func(t *testing.T, v *variables), statements ...string) {
	own(t, harness.Route{MaxConnections: 1, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, schema, statements...)
		v := &variables{f, dial(t, f.Endpoint, l, modern|multi), dial(t, f.server.Endpoint, l, modern|multi), dial(t, f.Endpoint, l, modern|multi), l}
		v.other.do(t, "set @v = 'other', @w = 2")
		test(t, v)
		for _, w := range []*wire{v.mine, v.alone, v.other} {
			w.quit()
		}
	})
}

// both runs q through the proxy and alone.
func (v *variables) both(t *testing.T, q string) {
	t.Helper()
	if got, want := v.mine.outcome(q), v.alone.outcome(q); got != want {
		t.Fatalf("%s: %s, alone %s", q, got, want)
	}
}

// others uses the backend for the other session, which must have its own variables there.
func (v *variables) others(t *testing.T) {
	t.Helper()
	v.other.sees(t, "select @v, @w", "[other,2]")
}

// same compares the two sessions' variables.
func (v *variables) same(t *testing.T, after string) {
	t.Helper()
	if got, want := v.mine.outcome(lookAtVariables), v.alone.outcome(lookAtVariables); got != want {
		t.Errorf("after %s: %s, alone %s", after, got, want)
	}
	if got, want := v.mine.described(t, "select @v, @w"), v.alone.described(t, "select @v, @w"); !slices.Equal(got, want) {
		t.Errorf("after %s: %v, alone %v", after, got, want)
	}
}

// neverPinned says that no session was pinned for its variables.
func (v *variables) neverPinned(t *testing.T) {
	t.Helper()
	if n, err := v.Sum(t.Context(), "berth_pins_total", `reason="user_variable"`); err != nil || n > 0 {
		t.Errorf("%v pins, %v", n, err)
	}
}

func TestUserVariablesFollowTheirSession(t *testing.T) {
	withVariables(t, "uservars", func(t *testing.T, v *variables) {
		for _, value := range values {
			for _, q := range []string{"set @v = " + value, "set @w := 5, @v := " + value, "select @v := " + value, "select " + value + ", 6 into @v, @w"} {
				v.both(t, q)
				v.mine.do(t, "select 1") // no warnings are left that would pin
				v.others(t)
				v.same(t, q)
				v.mine.do(t, "select 1")
				v.alone.do(t, "select 1")
			}
		}
		fresh, untouched := dial(t, v.Endpoint, v.login, modern), dial(t, v.server.Endpoint, v.login, modern)
		if got, want := fresh.described(t, "select @v, @w"), untouched.described(t, "select @v, @w"); !slices.Equal(got, want) {
			t.Errorf("a new session: %v, alone %v", got, want)
		}
		fresh.quit()
		untouched.quit()
		v.neverPinned(t)
	})
}

func TestNumbersInUserVariablesStayExact(t *testing.T) {
	const seed = 1
	withVariables(t, "uservars_exact", func(t *testing.T, v *variables) {
		r := rand.New(rand.NewPCG(seed, seed))
		for range 40 {
			f := math.Float64frombits(r.Uint64())
			if math.IsNaN(f) || math.IsInf(f, 0) || f != 0 && math.Abs(f) < 0x1p-1022 {
				continue
			}
			literal := strconv.FormatFloat(f, 'e', -1, 64)
			v.mine.do(t, "set @v = "+literal)
			v.others(t)
			v.mine.sees(t, "select @v = "+literal+", @v - "+literal, "[1,0]")
		}
		v.neverPinned(t)
	})
}

// variableScripts are what a session may do with variables, request by request. All of them leave it unpinned.
var variableScripts = [][]string{
	{"set @v = 1, @w = @v + 1, @v = @w", "set @v = @w, @w = @v"},
	{"set @v = 0", "select @v := @v + n from (select 1 as n union all select 2) t", "select @v := @v + 1, @w := @v * 2"},
	{"set @v = 1; set @w = 2; select @v := @v + @w; select @v, @w", "select 5 into @v; select 6 into @w; insert into plain values (@v)"},
	{"begin", "set @v = 1", "insert into plain values (@v)", "select @v := @v + 1", "rollback", "select count(*) from plain where n = -1"},
	{"start transaction", "set @v = 1", "savepoint a", "set @v = 2, @w = 'w'", "rollback to a", "commit"},
	{"set @v = 0", "set @v = (select 1 union select 2)", "select 1"},
	{"set @v = 0, @w = 0", "set @v = 1, @w = (select 1 union select 2)", "select 1"},
	{"set @v = 0", "select @v := 7, (select 1 union select 2)", "select 1"},
	{"set @v = 0", "select 1, 2 into @v", "select 1"},
	{"set @w = 0; set @v = 3; selekt; set @w = 9", "select 1"},
	{"set @v = 1", "insert into plain values (1)", "insert into counted values (5), (6)", "set @w = 3", "insert into counted values (@w)"},
	{"set @w = @@sql_mode, sql_mode = 'ANSI_QUOTES'", "set @v = 'in one', time_zone = '+03:00'", "set sql_mode = @w, time_zone = default"},
	{"select n into @v from plain limit 1", "select n + 1 from plain limit 1 into @w", "select max(n), min(n) into @v, @w from plain"},
	{"set @v = 1", "select 1 into @v from plain where false", "select 1"},
	{"call p_out(5, @v)", "call p_inout(@v)", "call p_out(@v, @w)"},
	{"prepared: set @v = 3", "prepared: select 4, 'x' into @v, @w", "prepared: select @v := @v + 1", "prepared: select @v, @w"},
	{"prepared: call p_out(9, @w)", "prepared: insert into plain values (@w)"},
	{"set @`V` = 5, @'w' = 6, @V = @v + 1", "set @x.y = 3, @w = @`x.y`"},
	{"get diagnostics @v = number", "begin", "insert into plain values (7)", "get diagnostics @v = row_count", "commit"},
	{"set @v = 1, @w = 2.5", "set collation_connection = latin1_bin", "set @w = @w + 1", "set names latin1", "select 3e0 into @v", "set names utf8mb4", "set @w = 'w'"},
	{"set names latin1", "set @v = 1", "set names utf8mb4", "set time_zone = '+01:00'", "set time_zone = default"},
	{"/*!50000 select 5 */", "set /* @x */ @v = 4 -- @y", "set @v = '@w', @w = \"@v\""},
}

func TestWhateverSetsUserVariablesTheyAreTheSessionsOwn(t *testing.T) {
	withVariables(t, "uservars_scripts", func(t *testing.T, v *variables) {
		for _, script := range variableScripts {
			v.mine.do(t, "select 1", "set @v = 'first', @w = 10")
			v.alone.do(t, "select 1", "set @v = 'first', @w = 10")
			within := false
			for _, q := range script {
				within = q == "begin" || q == "start transaction" || within && q != "rollback" && q != "commit"
				if got, want := show(v.mine.executed(t, q), nil), show(v.alone.executed(t, q), nil); got != want {
					t.Fatalf("%s: %s, alone %s", q, got, want)
				}
				if !within && v.pinned(t) == 0 { // what an error left pins for one statement
					v.others(t)
				}
			}
			v.same(t, strings.Join(script, "; "))
		}
		v.neverPinned(t)
	}, "create table plain (n int)", "create table counted (n int)",
		"create trigger counting before insert on counted for each row set new.n = new.n + @v",
		"create procedure p_out(in a int, out b int) set b = a + 1", "create procedure p_inout(inout a int) set a = a * 2")
}

// reset ends what the session and the one alone have.
func (v *variables) reset(t *testing.T) {
	t.Helper()
	for _, w := range []*wire{v.mine, v.alone} {
		if _, err := w.one(protocol.COM_RESET_CONNECTION); err != nil {
			t.Fatal(err)
		}
		w.do(t, "set names utf8mb4") // of the login's collation MySQL itself keeps the character set only
	}
}

func TestNullInUserVariablesPinsUntilTheyHaveAValue(t *testing.T) {
	withVariables(t, "uservars_null", func(t *testing.T, v *variables) {
		pinned := 0
		for _, null := range nulls {
			for _, q := range []string{"set @v = " + null, "set @v = 'text', @v = " + null, "select @v := " + null, "select " + null + " into @v", "prepared: set @v = " + null} {
				v.reset(t)
				if got, want := show(v.mine.executed(t, q), nil), show(v.alone.executed(t, q), nil); got != want {
					t.Fatalf("%s: %s, alone %s", q, got, want)
				}
				v.mine.do(t, "select 1", "select 2") // behind warnings, too, the server has been asked
				if v.pinned(t) > 0 {
					pinned++
				} else { // it looks as if it had never been set
					v.others(t)
				}
				v.same(t, q)
				v.both(t, "set @v = 1")
				v.others(t)
				v.same(t, q+" and a value")
			}
		}
		if pinned < len(nulls) {
			t.Errorf("NULL pinned %d times", pinned)
		}
	})
}

func TestPreparingWhatSetsAUserVariablePinsUntilItHasAValue(t *testing.T) {
	withVariables(t, "uservars_prepare", func(t *testing.T, v *variables) {
		for _, text := range []string{"set @v = 5", "select @v := 5", "select 5 into @v", "set @v = concat('a', 'b')", "select @v"} {
			v.reset(t)
			var both [2]statement
			for i, w := range []*wire{v.mine, v.alone} {
				both[i] = w.mustPrepare(t, text)
			}
			v.mine.do(t, "select 1", "select 2")
			if v.pinned(t) == 0 {
				v.others(t)
			}
			v.same(t, "preparing "+text)
			got, err := v.mine.execute(both[0], 0)
			want, err2 := v.alone.execute(both[1], 0)
			if show(got, err) != show(want, err2) {
				t.Errorf("%s: %s, alone %s", text, show(got, err), show(want, err2))
			}
			v.both(t, "select 1")
			v.others(t)
			v.same(t, text)
		}
	})
}

func TestUserVariablesThatCannotBeRestoredPin(t *testing.T) {
	withVariables(t, "uservars_pin", func(t *testing.T, v *variables) {
		v.other.quit()
		for _, q := range []string{
			"set @v = -9223372036854775807 - 1", "set @v = repeat('x', 100000)", "set @`a b` = 3, @v = 1", "set @ä = 3, @v = 2",
			"set /*! @v = 1 */ /*!99999 , @w = 5 */", "select @v := 1, '\\''",
		} {
			v.both(t, q)
			v.mine.do(t, "select 1", "select 2")
			v.alone.do(t, "select 1", "select 2")
			if n := v.pinned(t); n != 1 {
				t.Errorf("%s: %d pinned", q, n)
			}
			v.same(t, q)
			v.both(t, "select @`a b`, @ä")
			v.reset(t)
			waitFor(t, "the reset unpins", func() bool { return v.pinned(t) == 0 })
			v.same(t, "a reset")
		}
	})
}

func TestNoMoreOfUserVariablesIsKeptThanBounds(t *testing.T) {
	withVariables(t, "uservars_bounds", func(t *testing.T, v *variables) {
		v.other.quit()
		var sum strings.Builder
		sum.WriteString("select 0")
		for i := range 100 {
			v.mine.do(t, fmt.Sprintf("set @v%d = %d", i, i))
			fmt.Fprintf(&sum, " + @v%d", i)
		}
		v.mine.sees(t, sum.String(), "[4950]")
		if n := v.pinned(t); n != 1 {
			t.Errorf("%d pinned with 100 variables", n)
		}
	})
}

func TestOnlyWhatUserVariablesNeedIsExecuted(t *testing.T) {
	f := ownServer(t, "mysql97", 1, "performance_schema=ON")
	root := dial(t, f.server.Endpoint, superuser(), modern)
	root.do(t, "update performance_schema.setup_consumers set enabled = 'YES' where name like 'events_statements_history%'")
	root.quit()
	a, b := f.client(t), f.client(t)
	a.do(t, "select 1")
	b.do(t, "select 2")
	a.do(t, "set @a = 1, @b = 'x', time_zone = '+01:00'", "select @a", "select 3")
	b.do(t, "select 4", "set @b = 1.5")
	a.do(t, "select @b, 5")
	const ask, never = "SELECT @`berth: never set`", ", @`%[1]s`, HEX(@`%[1]s`), CHARSET(@`%[1]s`), COLLATION(CONCAT(@`%[1]s`))"
	want := []string{
		"select 1", "select 2", "set @a = 1, @b = 'x', time_zone = '+01:00'", ask + fmt.Sprintf(never, "a") + fmt.Sprintf(never, "b"),
		"select @a", "select 3", "SET ROLE NONE", "select 4", "set @b = 1.5", ask + fmt.Sprintf(never, "b"), // what a reset leaves
		"SET @@SESSION.time_zone='+01:00', @`a`=1, @`b`=_utf8mb4 X'78' COLLATE 'utf8mb4_general_ci'", "select @b, 5",
	}
	if got := f.said(t); !slices.Equal(got, want) {
		t.Errorf("the server executed %q, not %q", got, want)
	}
	a.quit()
	b.quit()
}

// executed is the answer to a statement of a script: a text, "prepared: " and one, or COM_RESET_CONNECTION.
func (w *wire) executed(t *testing.T, q string) []result {
	t.Helper()
	if q == "COM_RESET_CONNECTION" {
		r, err := w.one(protocol.COM_RESET_CONNECTION)
		if err != nil {
			t.Fatal(err)
		}
		return []result{r}
	}
	text, prepared := strings.CutPrefix(q, "prepared: ")
	if !prepared {
		return w.must(t, q)
	}
	all, err := w.execute(w.mustPrepare(t, text), 0)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", q, err))
	}
	return all
}
