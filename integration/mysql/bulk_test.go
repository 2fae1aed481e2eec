package mysql

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// comBulk is MariaDB's COM_STMT_BULK_EXECUTE.
const comBulk = 0xfa

// bulkSession can send it.
const bulkSession = modern&^protocol.CLIENT_LONG_PASSWORD | bulk

// byDefault stands for DEFAULT among the values of a bulk execution.
type byDefault struct{}

// rowsOf is the body of a bulk execution of rows of int64s, strings, nil and byDefault. typed says that the types follow, which are those of
// the first row.
func rowsOf(s statement, typed bool, rows ...[]any) []byte {
	p := binary.LittleEndian.AppendUint32(nil, s.id)
	if !typed {
		p = append(p, 0, 0)
	} else {
		p = append(p, 128, 0)
		for _, v := range rows[0] {
			if _, ok := v.(int64); ok {
				p = append(p, protocol.MYSQL_TYPE_LONGLONG, 0)
			} else {
				p = append(p, protocol.MYSQL_TYPE_VAR_STRING, 0)
			}
		}
	}
	for _, row := range rows {
		for _, v := range row {
			switch v := v.(type) {
			case nil:
				p = append(p, 1)
			case byDefault:
				p = append(p, 2)
			case int64:
				p = binary.LittleEndian.AppendUint64(append(p, 0), uint64(v))
			case string:
				p = appendString(append(p, 0), v)
			}
		}
	}
	return p
}

// bulk executes a statement for each of rows.
func (w *wire) bulk(s statement, typed bool, rows ...[]any) ([]result, error) {
	if err := w.command(comBulk, rowsOf(s, typed, rows...)...); err != nil {
		return nil, err
	}
	return w.results(true)
}

// MariaDB executes a statement for many rows that come in one packet, which is how its drivers insert batches.
func TestBulkExecutionsAreWhatTheServerWouldSay(t *testing.T) {
	rotating(t, harness.Route{Users: callers()}, func(t *testing.T, f front) {
		greeting, err := greeted(f.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		defer greeting.Close()
		if got := greeting.offers&bulk != 0; got != f.mariaDB() {
			t.Fatalf("offered: %v", got)
		}
		if !f.mariaDB() {
			return
		}
		const definition = "(id int auto_increment primary key, n tinyint unique, s longtext default 'default')"
		l := callersSchema(t, f.server, "bulk", "create table mine "+definition, "create table theirs "+definition)
		mine, alone, other := dial(t, f.Endpoint, l, bulkSession), dial(t, f.server.Endpoint, l, bulkSession), dial(t, f.Endpoint, l, bulkSession)
		type on struct {
			*wire
			table    string
			prepared map[string]statement
			begun    bool
		}
		both := [2]on{{wire: mine, table: "mine", prepared: map[string]statement{}}, {wire: alone, table: "theirs", prepared: map[string]statement{}}}
		twin := dial(t, f.server.Endpoint, l, bulkSession) // which does to theirs what the other session does to mine
		const insert = "insert into TABLE (n, s) values (?, ?)"
		// compare does the same on both, while another session executes the same statement, with other types.
		compare := func(what string, do func(w on) ([]result, error)) {
			t.Helper()
			got, err := do(both[0])
			want, err2 := do(both[1])
			same(t, what, got, err, want, err2)
			if len(got) > 0 && len(want) > 0 && got[0].err != nil && want[0].err != nil && got[0].err.Error() != want[0].err.Error() {
				t.Errorf("%s: %v, the server says %v", what, got[0].err, want[0].err)
			}
			if both[0].begun {
				return // locks
			}
			for i, w := range []*wire{other, twin} {
				s := w.mustPrepare(t, strings.ReplaceAll(insert, "TABLE", both[i].table))
				w.do(t, "begin")
				got, err := w.bulk(s, true, []any{"-100", int64(2)}, []any{"-101", int64(3)})
				if show(got, err) != "ok 2" {
					t.Fatal(show(got, err))
				}
				w.do(t, "rollback")
				w.about(t, protocol.COM_STMT_CLOSE, s)
			}
		}
		prepared := func(w on, text string) statement {
			s, ok := w.prepared[text]
			if !ok {
				s = w.mustPrepare(t, strings.ReplaceAll(text, "TABLE", w.table))
				w.prepared[text] = s
			}
			return s
		}
		bulk := func(text string, typed bool, rows ...[]any) {
			t.Helper()
			compare(fmt.Sprintf("%s, typed %v, %d rows", text, typed, len(rows)), func(w on) ([]result, error) {
				return w.bulk(prepared(w, text), typed, rows...)
			})
		}
		query := func(texts ...string) {
			t.Helper()
			for _, text := range texts {
				compare(text, func(w on) ([]result, error) { return w.query(strings.ReplaceAll(text, "TABLE", w.table)) })
			}
		}
		const all = "select count(*), sum(n), min(id), max(id), sum(length(s)), group_concat(left(s, 10) order by id) from TABLE"
		bulk(insert, true, []any{int64(1), "one"}, []any{int64(2), nil}, []any{int64(3), byDefault{}})
		query("select last_insert_id()", all)
		bulk(insert, false, []any{int64(4), "four"}, []any{int64(5), "five"})
		query("select last_insert_id()", all)
		compare("one row without types", func(w on) ([]result, error) {
			w.about(t, protocol.COM_STMT_EXECUTE, prepared(w, insert), append([]byte{0, 1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0}, "\x03six"...)...)
			return w.results(true)
		})
		compare("one row with other types", func(w on) ([]result, error) { return w.execute(prepared(w, insert), 0, "7", "seven") })
		bulk(insert, false, []any{"8", "eight"}, []any{nil, "none"})
		query(all)
		bulk("update TABLE set s = ? where n = ?", true, []any{"changed", int64(1)}, []any{"changed", int64(2)}, []any{"changed", int64(100)})
		query("select last_insert_id()", all)
		bulk("delete from TABLE where n = ?", true, []any{int64(7)}, []any{int64(8)}, []any{int64(8)})
		query(all)
		bulk("replace into TABLE (n, s) values (?, ?)", true, []any{int64(1), "replaced"}, []any{int64(50), "new"})
		query("select last_insert_id()", all)
		bulk("insert into TABLE (n, s) values (?, ?) returning id, n", true, []any{int64(51), "a"}, []any{int64(52), "b"})
		query("select last_insert_id()")
		bulk("insert into TABLE (n, s) values (?, ?) on duplicate key update s = 'twice'", true, []any{int64(51), "a"}, []any{int64(60), "b"}, []any{int64(60), "c"})
		query("select last_insert_id()", all)

		// What fails.
		bulk(insert, true, []any{int64(70), "a"}, []any{int64(1), "again"}, []any{int64(71), "c"})
		query("show warnings", all)
		bulk("update TABLE set n = ? where n = ?", true, []any{int64(80), int64(50)}, []any{int64(1), int64(51)})
		query("show warnings", all)
		bulk("select ?", true, []any{int64(1)}, []any{int64(2)})
		bulk("insert into TABLE () values ()", false, []any{})
		bulk(insert, false, []any{int64(90), "ninety"})
		compare("short", func(w on) ([]result, error) {
			if err := w.command(comBulk, rowsOf(prepared(w, insert), true, []any{int64(90), "ninety"})[:9]...); err != nil {
				return nil, err
			}
			return w.results(true)
		})
		compare("unknown", func(w on) ([]result, error) { return w.bulk(statement{id: 999}, true, []any{int64(1)}) })
		compare("never typed", func(w on) ([]result, error) {
			s := w.mustPrepare(t, "insert into "+w.table+" (s, n) values (?, ?)")
			return w.bulk(s, false, []any{"text", "100"})
		})
		query(all)

		// In transactions, and with warnings. The OK counts the rows of all, ROW_COUNT() may have those of the last.
		bulk("update TABLE set s = ? where n = ?", true, []any{"changed again", int64(1)}, []any{"changed again", int64(100)})
		mine.sees(t, "select row_count()", "error 1105")
		both[0].begun = true
		query("begin")
		bulk("update TABLE set s = ? where n = ?", true, []any{"once more", int64(1)}, []any{"once more", int64(100)})
		query("select row_count(), row_count()")
		bulk(insert, true, []any{int64(101), "a"}, []any{int64(102), "b"})
		query("select row_count()", "select last_insert_id()")
		bulk(insert, false, []any{int64(103), "a"}, []any{int64(104), "b"})
		query("rollback")
		both[0].begun = false
		query(all, "set sql_mode = ''")
		bulk(insert, true, []any{int64(1000), "a"}, []any{int64(-1000), "b"})
		query("show warnings", "select @@warning_count", all)

		// Long ones.
		many := make([][]any, 5000)
		for i := range many {
			many[i] = []any{nil, strings.Repeat("m", 100)}
		}
		many[0][0] = int64(120)
		bulk(insert, true, many...)
		query("select last_insert_id()", all)
		many[0][0] = int64(121)
		bulk(insert, false, many...)
		query(all)
		bulk(insert, true, []any{int64(122), strings.Repeat("l", 10<<20)}, []any{int64(123), strings.Repeat("l", 1<<20)})
		query(all)

		// Who has not agreed to them.
		both[0].wire, both[1].wire = dial(t, f.Endpoint, l, modern), dial(t, f.server.Endpoint, l, modern)
		clear(both[0].prepared)
		clear(both[1].prepared)
		bulk(insert, true, []any{int64(126), "not"})
		bulk(insert, true, []any{int64(126), strings.Repeat("long", 1<<16)})
		query(all)
	})
}

// TestBulkExecutionsOfAnyLengthPass has ones that take several packets.
func TestBulkExecutionsOfAnyLengthPass(t *testing.T) {
	f := ownServer(t, "mariadb1011", pair, "max_allowed_packet=67108864")
	name := table(t, f.server, "bulk", "(n int, s longtext)")
	w := dial(t, f.Endpoint, plain(), bulkSession)
	s := w.mustPrepare(t, "insert into "+name+" (n, s) values (?, ?)")
	const head = 1 + 4 + 2 + 4 + 2*(1+8) + 2*(1+4) // of two rows, whose second values have lengths of four bytes
	for _, n := range []int{70 << 10, maxPayload - head - 1, maxPayload - head, maxPayload - head + 1, 2*maxPayload - head} {
		got, err := w.bulk(s, true, []any{int64(n), strings.Repeat("a", 1<<16)}, []any{int64(n), strings.Repeat("b", n-1<<16)})
		if show(got, err) != "ok 2" {
			t.Errorf("%d bytes: %s", n, show(got, err))
		}
		w.sees(t, fmt.Sprintf("select sum(length(s)) from %s where n = %d", name, n), fmt.Sprintf("[%d]", n))
	}
}
