package mysql

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// abilities are all combinations of what the proxy converts for its clients.
func abilities() map[string]uint32 {
	all := map[string]uint32{}
	for eof, a := range map[string]uint32{"EOF": 0, "no EOF": protocol.CLIENT_DEPRECATE_EOF} {
		for track, b := range map[string]uint32{"no state": 0, "state": protocol.CLIENT_SESSION_TRACK} {
			all[eof+", "+track] = basics | multi | a | b
		}
	}
	return all
}

func TestEveryCombinationOfAbilitiesGetsWhatTheServerWouldSay(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		procedures(t, f)
		for name, caps := range abilities() {
			t.Run(name, func(t *testing.T) {
				mine, theirs := dial(t, f.Endpoint, plain(), caps), dial(t, f.server.Endpoint, plain(), caps)
				for _, q := range []string{
					"select 1, 'two', null", "select 1 where 1 = 0", "do 1", "", ";", "-- nothing", "select 1;", "select $$", "select '",
					"select 1; select 2, 3; do 1; select 4 where 1 = 0", "select 1; select * from nowhere; select 2",
					"call several()", "call several(); select 9", "call nothing()", "call failing()", "use app", "set @a = 1",
					"set time_zone = '+01:00'; select @@time_zone", "select cast(repeat('x', 1000) as char) as `" + strings.Repeat("n", 60) + "`",
					"select 1 as `" + strings.Repeat("n", 250) + "`", "begin", "select count(*) from protocol_rows", "commit",
					"explain select 1", "show variables like 'nothing at all'", "select 1/0; show warnings",
					"set sql_mode = 'ANSI_QUOTES'", "select \"n\" from protocol_rows", "/* a comment */", "values (1, 2), (3, 4)",
				} {
					got, err := mine.query(q)
					want, err2 := theirs.query(q)
					same(t, fmt.Sprintf("%.60s", q), got, err, want, err2)
				}
				binaryIsTheSame(t, mine, theirs)
				fieldListIsTheSame(t, mine, theirs)
			})
		}
	})
}

// MariaDB tells clients that ask for it which of its own types a column has, as JSON: drivers parse that then. Such clients have backends of
// their own. MySQL has nothing of that.
func TestClientsAreToldOfMariaDBsOwnTypesIfTheyAsk(t *testing.T) {
	own(t, harness.Route{MaxConnections: 3, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "extended", "create table own_types (j json, n int, g geometry)", `insert into own_types values ('{"a": 1}', 7, point(1, 2))`)
		greeting, err := greeted(f.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		defer greeting.Close()
		if got := greeting.offers&extended != 0; got != f.mariaDB() {
			t.Fatalf("offered: %v", got)
		}
		if !f.mariaDB() {
			return
		}
		for name, caps := range abilities() {
			t.Run(name, func(t *testing.T) {
				without := dial(t, f.Endpoint, l, caps)
				caps = caps&^protocol.CLIENT_LONG_PASSWORD | extended
				mine, alone, other := dial(t, f.Endpoint, l, caps), dial(t, f.server.Endpoint, l, caps), dial(t, f.Endpoint, l, caps)
				if got := mine.described(t, "select j from own_types")[0].extended; got != "\x01\x04json" {
					t.Errorf("JSON is told as %q", got)
				}
				for _, q := range []string{
					"select j, n, g from own_types", "update own_types set n = n + 0", "select row_count()", "select found_rows(), row_count() as affected",
					"select last_insert_id()", "select sql_calc_found_rows j from own_types limit 1", "select found_rows()",
					"set @v = 1.5, @w = (select j from own_types), @x = point(1, 2)", "select @v, @w, @x, @never", "set @v = concat('a', 1)",
					"select @v, hex(@v), charset(@v), collation(@v), @v = 'A', @w", "select 1; select j from own_types", "select * from nowhere", "show warnings",
				} {
					other.do(t, "set @v = 'other', @w = 2, time_zone = '+03:00'")
					if _, err := without.query("select j from own_types"); err != nil {
						t.Fatal(err)
					}
					got, err := mine.query(q)
					want, err2 := alone.query(q)
					same(t, q, got, err, want, err2)
				}
				a, err := mine.prepare("select j, ? from own_types where n = ?")
				b, err2 := alone.prepare("select j, ? from own_types where n = ?")
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				for range 2 {
					other.do(t, "set @v = 'other'")
					got, err := mine.execute(a, 0, "x", int64(7))
					want, err2 := alone.execute(b, 0, "x", int64(7))
					same(t, "executing", got, err, want, err2)
				}
				fieldListIsTheSame(t, mine, alone)
				for _, w := range []*wire{mine, alone, other, without} {
					_ = w.Close()
				}
			})
		}
	})
}

// A backend's own answers about what a session has set are described with these types, too.
func TestUserVariablesFollowClientsThatAreToldOfMariaDBsOwnTypes(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: callers()}, func(t *testing.T, f front) {
		if !f.mariaDB() {
			return
		}
		l := callersSchema(t, f.server, "extended", "create table own_types (j json)", `insert into own_types values ('{"a": 1}')`)
		const caps = modern&^protocol.CLIENT_LONG_PASSWORD | extended
		mine, alone, other := dial(t, f.Endpoint, l, caps), dial(t, f.server.Endpoint, l, caps), dial(t, f.Endpoint, l, caps)
		for _, value := range []string{"1.5", "cast(7 as unsigned)", "'text'", "(select j from own_types)", "x'00ff'", "1e0"} {
			other.do(t, "set @v = 'other'")
			for _, q := range []string{"set @v = " + value, "select @v, hex(@v), charset(@v), collation(@v), @v + 1"} {
				got, err := mine.query(q)
				want, err2 := alone.query(q)
				same(t, q, got, err, want, err2)
			}
			other.do(t, "set @v = 'other again'")
			const q = "select @v, hex(@v), charset(@v), collation(@v), @v + 1"
			got, err := mine.query(q)
			want, err2 := alone.query(q)
			same(t, "on a backend that another session had, "+value, got, err, want, err2)
		}
	})
}

// procedures makes what the tests of this file call.
func procedures(t *testing.T, f front) {
	t.Helper()
	f.direct(t).do(t,
		"drop procedure if exists several", "create procedure several() begin select 1; select 'a', 2; select 3 where 1 = 0; end",
		"drop procedure if exists nothing", "create procedure nothing() begin end",
		"drop procedure if exists failing", "create procedure failing() begin select 1; select * from nowhere; select 2; end",
		"drop procedure if exists outs",
		"create procedure outs(in a int, out b int, inout c varchar(20)) begin select a; set b = a * 2; set c = concat(c, '!'); end",
		"drop procedure if exists warned", "create procedure warned(out a int, inout b int) begin set a = b, b = 7; end",
		"drop table if exists protocol_rows", "create table protocol_rows (n int primary key, s varchar(20))",
		"insert into protocol_rows values (1, 'one'), (2, 'two'), (3, 'three'), (4, null), (5, 'five')",
	)
}

// same compares results with all that a client can see of them.
func same(t *testing.T, what string, got []result, err error, want []result, err2 error) {
	t.Helper()
	a, b := show(got, err), show(want, err2)
	if a != b {
		t.Errorf("%s: %s, the server says %s", what, a, b)
		return
	}
	for i := range got {
		g, w := got[i], want[i]
		if !slices.Equal(g.columns, w.columns) {
			t.Errorf("%s: columns %v, the server says %v", what, g.columns, w.columns)
		}
		if g.warnings != w.warnings || (g.status^w.status)&(statuses|cursorStatuses) != 0 || !slices.Equal(g.seen(), w.seen()) {
			t.Errorf("%s: %d warnings, status %#x, state %q; the server says %d, %#x, %q", what,
				g.warnings, g.status, g.tracked, w.warnings, w.status, w.tracked)
		}
	}
}

// seen is the session state without that of a transaction: MySQL mentions it even when it is not tracked.
func (r result) seen() []string {
	return slices.DeleteFunc(slices.Clone(r.tracked), func(entry string) bool { return strings.HasPrefix(entry, "5:") })
}

const cursorStatuses = protocol.SERVER_STATUS_CURSOR_EXISTS | protocol.SERVER_STATUS_LAST_ROW_SEND | protocol.SERVER_PS_OUT_PARAMS

// binaryIsTheSame compares prepared statements: parameters or none, rows or none, cursors, results of procedures.
func binaryIsTheSame(t *testing.T, mine, theirs *wire) {
	t.Helper()
	for _, c := range []struct {
		text string
		args []any
	}{
		{"select 1", nil}, {"select ?, ?, ?", []any{int64(-7), "text", nil}}, {"do ?", []any{int64(1)}},
		{"select n, s from protocol_rows where n > ? order by n", []any{int64(1)}}, {"select n from protocol_rows where n > 100", nil},
		{"call several()", nil}, {"call outs(?, ?, ?)", []any{int64(21), int64(0), "hello"}}, {"call warned(?, ?)", []any{int64(0), "text"}},
		{"select * from nowhere", nil},
	} {
		a, err := mine.prepare(c.text)
		b, err2 := theirs.prepare(c.text)
		if numberOf(err) != numberOf(err2) || a.params != b.params || a.columns != b.columns {
			t.Errorf("preparing %s: %v %v, the server says %v %v", c.text, a, err, b, err2)
		}
		if err != nil || err2 != nil {
			continue
		}
		for range 2 {
			got, err := mine.execute(a, 0, c.args...)
			want, err2 := theirs.execute(b, 0, c.args...)
			same(t, "executing "+c.text, got, err, want, err2)
		}
		for _, w := range []struct {
			*wire
			id uint32
		}{{mine, a.id}, {theirs, b.id}} {
			if err := w.command(protocol.COM_STMT_CLOSE, binary.LittleEndian.AppendUint32(nil, w.id)...); err != nil {
				t.Fatal(err)
			}
		}
		got, err := mine.execute(a, 0, c.args...)
		if show(got, err) != "error 1243" {
			t.Errorf("a closed statement: %s", show(got, err))
		}
		theirs.do(t, "select 1")
		mine.do(t, "select 1")
	}
}

func fieldListIsTheSame(t *testing.T, mine, theirs *wire) {
	t.Helper()
	for _, name := range []string{"protocol_rows", "nowhere"} {
		var shown [2]string
		for i, w := range []*wire{mine, theirs} {
			if err := w.command(protocol.COM_FIELD_LIST, append([]byte(name), 0, '%')...); err != nil {
				t.Fatal(err)
			}
			for {
				p, err := w.read()
				if err != nil {
					t.Fatalf("field list of %s: %v", name, err)
				}
				if p[0] == 0xff {
					shown[i] += fmt.Sprint(numberOf(errOf(p, w.caps)))
					break
				}
				if p[0] == 0xfe && len(p) < 32 {
					shown[i] += " end"
					break
				}
				c, err := w.definition(p[:len(p):len(p)])
				if err != nil {
					t.Fatal(err)
				}
				shown[i] += " " + c.name
			}
		}
		if shown[0] != shown[1] {
			t.Errorf("field list of %s: %s, the server says %s", name, shown[0], shown[1])
		}
	}
}

func TestCursorsAreReadInParts(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		procedures(t, f)
		for name, caps := range abilities() {
			t.Run(name, func(t *testing.T) {
				w, other := dial(t, f.Endpoint, plain(), caps), f.client(t)
				a, err := w.prepare("select n from protocol_rows order by n")
				b, err2 := w.prepare("select s from protocol_rows order by n desc")
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				var rows [2]*result
				for i, s := range []statement{a, b} {
					all, err := w.openCursor(s)
					if err != nil {
						t.Fatal(err)
					}
					rows[i] = all
				}
				for range 4 {
					for i, s := range []statement{a, b} {
						if rows[i].status&protocol.SERVER_STATUS_LAST_ROW_SEND != 0 {
							continue
						}
						if err := w.fetch(s, rows[i], 2); err != nil {
							t.Fatal(err)
						}
						other.sees(t, "select 1", "[1]")
						w.sees(t, "select 2", "[2]")
					}
				}
				if got, want := rows[0].String()+rows[1].String(), "[1;2;3;4;5][five;NULL;three;two;one]"; got != want {
					t.Errorf("%s, want %s", got, want)
				}
				if _, err := w.openCursor(a); err != nil {
					t.Fatal(err)
				}
				if _, err := w.one(protocol.COM_STMT_RESET, binary.LittleEndian.AppendUint32(nil, a.id)...); err != nil {
					t.Fatal(err)
				}
				if err := w.fetch(a, rows[0], 1); err != nil || rows[0].err == nil {
					t.Errorf("fetching from a closed cursor: %v %v", err, rows[0].err)
				}
			})
		}
	})
}

// openCursor executes a statement without reading its rows.
func (w *wire) openCursor(s statement) (*result, error) {
	if err := w.command(protocol.COM_STMT_EXECUTE, w.executeBody(s, 1, nil)...); err != nil {
		return nil, err
	}
	p, err := w.read()
	if err != nil {
		return nil, err
	}
	f := reading{p: p}
	r := &result{}
	if r.columns, err = w.definitions(int(f.integer())); err != nil {
		return nil, err
	}
	if w.caps&protocol.CLIENT_DEPRECATE_EOF == 0 {
		err = w.eof(r)
	} else {
		err = w.readRows(r, true)
	}
	if err == nil && r.status&protocol.SERVER_STATUS_CURSOR_EXISTS == 0 {
		err = fmt.Errorf("no cursor: status %#x", r.status)
	}
	return r, err
}

func TestPacketsOfAnyLengthPassBothWays(t *testing.T) {
	for _, name := range []string{"mariadb1011", "mysql97"} {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair, "max_allowed_packet=67108864")
			w, other := f.client(t), f.client(t)
			const around = len("select length(''), sha2('', 256)") + 1 // with the command
			const row = 4                                              // of the length in front of a text of 64 KiB or more
			for _, n := range []int{
				64<<10 - around, 64<<10 - around + 1, maxPayload - around - 1, maxPayload - around, maxPayload - around + 1,
				2*maxPayload - around, 2*maxPayload - around + 1,
			} {
				text := bytes.Repeat([]byte("a"), n)
				sum := sha256.Sum256(text)
				w.sees(t, fmt.Sprintf("select length('%s'), sha2('%s', 256)", text, text[:0]), fmt.Sprintf("[%d,%x]", n, sha256.Sum256(nil)))
				if n < maxPayload {
					w.sees(t, fmt.Sprintf("select sha2('%s', 256)", text), "["+hex.EncodeToString(sum[:])+"]")
				}
				other.sees(t, "select 1", "[1]")
			}
			for _, n := range []int{maxPayload - row - 1, maxPayload - row, maxPayload - row + 1, 2*maxPayload - 9, 2*maxPayload - 8} {
				got := w.outcome(fmt.Sprintf("select repeat('b', %d)", n))
				if len(got) != n+2 || strings.Count(got, "b") != n {
					t.Errorf("a row of %d bytes: %d bytes, %.20s", n, len(got), got)
				}
				w.sees(t, "select 1", "[1]")
			}
			s, err := w.prepare("select length(?), left(?, 1)")
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{70 << 10, maxPayload, 2*maxPayload - 64} {
				got, err := w.execute(s, 0, strings.Repeat("c", n), "d")
				if want := fmt.Sprintf("[%d,d]", n); show(got, err) != want {
					t.Errorf("executing with %d bytes: %.80s, want %s", n, show(got, err), want)
				}
			}
		})
	}
}

func TestALongResultWrapsItsSequenceIDs(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "wraps", "(n int auto_increment primary key)")
		f.direct(t).do(t, "insert into "+name+" values "+strings.TrimSuffix(strings.Repeat("(null),", 1000), ","))
		for _, caps := range abilities() {
			w := dial(t, f.Endpoint, plain(), caps)
			all := w.must(t, "select n from "+name+" order by n")
			if len(all) != 1 || len(all[0].rows) != 1000 || all[0].rows[999][0] != "1000" {
				t.Errorf("%.40v", all)
			}
			w.quit()
		}
	})
}

func TestLongDataIsSentInParts(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		w, other := f.client(t), f.client(t)
		s, err := w.prepare("select length(?), sha2(?, 256), ?, ?")
		if err != nil {
			t.Fatal(err)
		}
		send := func(param byte, data []byte) {
			t.Helper()
			body := binary.LittleEndian.AppendUint32(nil, s.id)
			body = append(append(body, param, 0), data...)
			if err := w.command(protocol.COM_STMT_SEND_LONG_DATA, body...); err != nil {
				t.Fatal(err)
			}
		}
		var whole []byte
		for i := range 30 {
			part := bytes.Repeat([]byte{byte('a' + i%26)}, 5000*(i+1))
			whole = append(whole, part...)
			send(0, part)
			send(1, part)
			other.sees(t, "select 1", "[1]")
		}
		sum := sha256.Sum256(whole)
		got, err := w.execute(s, 0, long{}, long{}, nil, "x")
		if want := fmt.Sprintf("[%d,%x,NULL,x]", len(whole), sum); show(got, err) != want {
			t.Errorf("%.100s, want %s", show(got, err), want)
		}
		send(0, []byte("forgotten"))
		if _, err := w.one(protocol.COM_STMT_RESET, binary.LittleEndian.AppendUint32(nil, s.id)...); err != nil {
			t.Fatal(err)
		}
		got, err = w.execute(s, 0, "four", "", int64(5), nil)
		if !strings.HasPrefix(show(got, err), "[4,") {
			t.Errorf("after a reset: %s", show(got, err))
		}
		send(9, []byte("no such parameter"))
		w.sees(t, "select 1", "[1]")
	})
}

func TestMalformedExecutionsAreWhatTheServerSaysAndNoMore(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for i, c := range []struct {
			id   int // how many bytes of it are sent
			rest []byte
		}{
			{0, nil}, {1, nil}, {3, nil}, {4, nil}, {4, []byte{0, 1, 0}}, {4, []byte{0, 1, 0, 0, 0, 0, 7}}, {4, []byte{0, 1, 0, 0, 0}},
			{4, []byte{0, 1, 0, 0, 0, 0, 1, 0xfd, 0, 0xfe, 1}}, {4, []byte{0, 1, 0, 0, 0, 0, 0, 1, 'x'}}, {4, []byte{0, 1, 0, 0, 0, 0, 1, 3, 0, 1}},
		} {
			var shown [2]string
			for j, w := range []*wire{f.client(t), f.direct(t)} {
				s, err := w.prepare("select ?")
				if err != nil {
					t.Fatal(err)
				}
				body := binary.LittleEndian.AppendUint32(nil, s.id)
				if err := w.command(protocol.COM_STMT_EXECUTE, append(body[:c.id], c.rest...)...); err != nil {
					t.Fatal(err)
				}
				got, err := w.results(true)
				shown[j] = show(got, err)
				w.quit()
			}
			if shown[0] != shown[1] {
				t.Errorf("%d: %s, the server says %s", i, shown[0], shown[1])
			}
		}
		f.client(t).sees(t, "select 1", "[1]")
	})
}
