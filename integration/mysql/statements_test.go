package mysql

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// rotating runs a test through a proxy whose sessions change the backend with every transaction, if they can.
func rotating(t *testing.T, r harness.Route, test func(t *testing.T, f front)) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			r := r
			r.Server = harness.Shared(t, name)
			if r.MaxConnections == 0 {
				r.MaxConnections = pair
			}
			p := harness.Start(t, harness.Config{Routes: []harness.Route{r}, Env: []string{"BERTH_PARANOID=1"}})
			f := front{p.Endpoint(name), p, r.Server}
			t.Cleanup(func() { quiet(t, f) })
			test(t, f)
		})
	}
}

// mustPrepare prepares a statement.
func (w *wire) mustPrepare(t testing.TB, text string) statement {
	t.Helper()
	s, err := w.prepare(text)
	if err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return s
}

// executes checks what executing a statement shows.
func (w *wire) executes(t testing.TB, s statement, want string, args ...any) {
	t.Helper()
	got, err := w.execute(s, 0, args...)
	if show(got, err) != want {
		t.Errorf("statement %d: %.200s, want %.200s", s.id, show(got, err), want)
	}
}

// about sends a command about a statement.
func (w *wire) about(t testing.TB, command byte, s statement, rest ...byte) {
	t.Helper()
	if err := w.command(command, append(binary.LittleEndian.AppendUint32(nil, s.id), rest...)...); err != nil {
		t.Fatal(err)
	}
}

// neverPinned checks that nothing pinned.
func (f front) neverPinned(t testing.TB) {
	t.Helper()
	if n, err := f.Sum(t.Context(), "berth_pins_total", ""); err != nil || n != 0 {
		t.Errorf("%v pins, %v", n, err)
	}
}

func TestManyDriversInTheirDefaultModePrepareOnFewConnections(t *testing.T) {
	const drivers, rounds, connections = 64, 20, 4
	for _, env := range [][]string{nil, {"BERTH_PARANOID=1"}} {
		for _, name := range harness.MySQLNames() {
			t.Run(fmt.Sprint(name, env), func(t *testing.T) {
				s := harness.Shared(t, name)
				p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: connections}}, Env: env})
				f := front{p.Endpoint(name), p, s}
				counts := table(t, s, "counts", "(id int primary key, n int not null, who varchar(20))")
				var done sync.WaitGroup
				for i := range drivers {
					done.Add(1)
					go func() {
						defer done.Done()
						if err := drive(t, f, counts, i, rounds); err != nil {
							t.Errorf("driver %d: %v", i, err)
						}
					}()
				}
				done.Wait()
				f.neverPinned(t)
				f.direct(t).sees(t, "select count(*), min(n), max(n) from "+counts, fmt.Sprintf("[%d,%d,%d]", drivers, rounds, rounds))
				quiet(t, f)
			})
		}
	}
}

// drive is one driver: it prepares, for every query, and keeps one statement prepared for long.
func drive(t *testing.T, f front, counts string, i, rounds int) error {
	cfg, err := f.GoMySQL(plain())
	if err != nil {
		return err
	}
	cfg.InterpolateParams = false
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "insert into "+counts+" values (?, 0, ?)", i, fmt.Sprint("driver ", i)); err != nil {
		return err
	}
	kept, err := db.PrepareContext(t.Context(), "select n, who, ? from "+counts+" where id = ?")
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	for n := range rounds {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(t.Context(), "update "+counts+" set n = n + ? where id = ?", 1, i); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		var got int
		var who, said string
		var arg any = fmt.Sprint(n)
		if n%2 == 0 {
			arg = n // of another type
		}
		if err := kept.QueryRowContext(t.Context(), arg, i).Scan(&got, &who, &said); err != nil {
			return err
		}
		if got != n+1 || who != fmt.Sprint("driver ", i) || said != fmt.Sprint(n) {
			return fmt.Errorf("round %d: %d, %s, %s", n, got, who, said)
		}
	}
	return nil
}

func TestStatementsAreThereOnEveryBackend(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		for name, caps := range abilities() {
			t.Run(name, func(t *testing.T) {
				a, b := dial(t, f.Endpoint, plain(), caps), dial(t, f.Endpoint, plain(), caps)
				sum, twice := a.mustPrepare(t, "select concat(?, '+', ?)"), a.mustPrepare(t, "select concat(?, ?)")
				other := b.mustPrepare(t, "select concat(?, '+', ?)")
				for i := range int64(8) {
					a.executes(t, sum, fmt.Sprintf("[%d+1]", i), i, int64(1))
					b.executes(t, other, fmt.Sprintf("[x%d+0]", i), fmt.Sprintf("x%d", i), int64(0))
					a.executes(t, twice, fmt.Sprintf("[%d-]", i), i, "-")
					b.sees(t, "select connection_id() is null", "[0]")
				}
				for _, s := range []statement{sum, twice} {
					a.about(t, protocol.COM_STMT_CLOSE, s)
				}
				a.executes(t, sum, "error 1243", int64(1), int64(2))
				b.executes(t, other, "[1+2]", int64(1), int64(2))
				a.quit()
				b.quit()
			})
		}
	})
}

// TestTypesAreSentAgain executes without types what was executed with them, elsewhere and after others with other types.
func TestTypesAreSentAgain(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s, o := a.mustPrepare(t, "select ?, ?"), b.mustPrepare(t, "select ?, ?")
		a.executes(t, s, "[-7,text]", int64(-7), "text")
		for i := range 6 {
			b.executes(t, o, "[x,NULL]", "x", nil)
			body := binary.LittleEndian.AppendUint32(nil, s.id)
			body = append(body, 0, 1, 0, 0, 0)
			want := fmt.Sprintf("[%d,again]", i)
			if i%2 == 0 {
				body = append(append(body, 0, 0, byte(i)), 0, 0, 0, 0, 0, 0, 0)
			} else { // NULL, whose type is still known
				body = append(body, 1, 0)
				want = "[NULL,again]"
			}
			if err := a.command(protocol.COM_STMT_EXECUTE, append(body, "\x05again"...)...); err != nil {
				t.Fatal(err)
			}
			if got, err := a.results(true); show(got, err) != want {
				t.Errorf("%s, want %s", show(got, err), want)
			}
		}
		// Who never sent types gets what the server says to that, and no other's types.
		n, d := a.mustPrepare(t, "select ?, ?"), f.direct(t)
		theirs := d.mustPrepare(t, "select ?, ?")
		var shown [2]string
		for i, c := range []struct {
			*wire
			statement
		}{{a, n}, {d, theirs}} {
			b.executes(t, o, "[x,y]", "x", "y")
			c.about(t, protocol.COM_STMT_EXECUTE, c.statement, append([]byte{0, 1, 0, 0, 0, 0, 0}, "\x01p\x01q"...)...)
			got, err := c.results(true)
			shown[i] = show(got, err)
		}
		if shown[0] != shown[1] {
			t.Errorf("without types: %s, the server says %s", shown[0], shown[1])
		}
		f.neverPinnedBut(t, "last_result")
	})
}

func TestWhatAStatementDoesPinsWhenItIsExecuted(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		for text, c := range map[string]struct {
			look string
			pins int64
		}{
			"set sql_mode = 'NO_BACKSLASH_ESCAPES'":     {"select @@sql_mode = 'NO_BACKSLASH_ESCAPES'", 0}, // it is restored
			"create temporary table prepared_t (a int)": {"select count(*) = 0 from prepared_t", 1},
			"select get_lock('prepared', 0)":            {"select is_used_lock('prepared') = connection_id()", 1},
			"set @prepared = 1":                         {"select @prepared = 1", 0},
			"select 1 into @selected":                   {"select @selected = 1", 0},
		} {
			a, b := f.client(t), f.client(t)
			s := a.mustPrepare(t, text)
			if n := f.pinned(t); n != 0 && text != "set @prepared = 1" { // which gives the variable a type on MySQL
				t.Errorf("%s: %d pinned after preparing it", text, n)
			}
			if _, err := a.execute(s, 0); err != nil {
				t.Errorf("%s: %v", text, err)
			}
			a.do(t, "select 1") // the server has been asked for variables
			if n := f.pinned(t); n != c.pins {
				t.Errorf("%s: %d pinned after executing it", text, n)
			}
			for range 3 {
				a.sees(t, c.look, "[1]")
				b.sees(t, "select @@sql_mode = 'NO_BACKSLASH_ESCAPES', @prepared, @selected", "[0,NULL,NULL]")
			}
			a.quit()
			b.quit()
			waitFor(t, "nobody is pinned", func() bool { return f.pinned(t) == 0 })
		}
		// The pin of what has an end ends with it.
		a := f.client(t)
		make, drop := a.mustPrepare(t, "create temporary table prepared_t (a int)"), a.mustPrepare(t, "drop temporary table prepared_t")
		for range 3 {
			a.executes(t, make, "ok 0")
			a.executes(t, drop, "ok 0")
			if n := f.pinned(t); n != 0 {
				t.Errorf("%d pinned after the table was dropped", n)
			}
		}
		a.quit()
	})
}

func TestLastInsertIDOfStatements(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		name := table(t, f.server, "prepared_ids", "(id int auto_increment primary key, n int)")
		a, b := f.client(t), f.client(t)
		insert, last := a.mustPrepare(t, "insert into "+name+" (n) values (?)"), a.mustPrepare(t, "select last_insert_id()")
		others := b.mustPrepare(t, "insert into "+name+" (n) values (?)")
		for i := range 5 {
			if _, err := a.execute(insert, 0, int64(i)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.execute(others, 0, int64(i)); err != nil {
				t.Fatal(err)
			}
			a.executes(t, last, fmt.Sprintf("[%d]", 2*i+1))
			b.sees(t, "select last_insert_id()", fmt.Sprintf("[%d]", 2*i+2))
		}
		f.neverPinned(t)
	})
}

// TestAStatementKeepsItsDefaultDatabase executes, in one default database, what was prepared in another.
func TestAStatementKeepsItsDefaultDatabase(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		const another = "berth_statements"
		for _, q := range []string{"drop database if exists " + another, "create database " + another, "grant all on " + another + ".* to app@'%'"} {
			if err := f.server.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = f.server.Exec(t.Context(), "drop database if exists "+another) })
		here := table(t, f.server, "whose", "(s varchar(10))")
		bare := strings.TrimPrefix(here, "app.")
		d := f.direct(t)
		d.do(t, "insert into "+here+" values ('app')", "create table "+another+"."+bare+" select 'another' as s")
		b := f.client(t)
		text := "select s, database() from " + bare
		others := b.mustPrepare(t, text)
		for _, a := range []*wire{f.client(t), d} { // servers do the same
			a.do(t, "use app")
			first := a.mustPrepare(t, text)
			a.do(t, "use "+another)
			second := a.mustPrepare(t, text)
			for range 4 {
				a.executes(t, first, "[app,app]")
				b.executes(t, others, "[app,app]")
				a.executes(t, second, "[another,"+another+"]")
				a.sees(t, text, "[another,"+another+"]")
				a.do(t, "use app")
				a.executes(t, second, "[another,"+another+"]")
				a.sees(t, text, "[app,app]")
				a.do(t, "use "+another)
			}
		}
		if f.mariaDB() { // MySQL cannot prepare it
			var shown [2][]string
			for i, w := range []*wire{f.client(t), d} {
				w.do(t, "use app")
				s := w.mustPrepare(t, "use app")
				for _, q := range []string{"use " + another, "use app", "use " + another} {
					w.do(t, q)
					got, err := w.execute(s, 0)
					shown[i] = append(shown[i], show(got, err), w.outcome("select database()"), w.outcome("select s from "+bare))
				}
			}
			if !slices.Equal(shown[0], shown[1]) {
				t.Errorf("USE: %v, the server says %v", shown[0], shown[1])
			}
		}
		f.neverPinned(t)
		if err := f.server.Exec(t.Context(), "drop database "+another); err != nil {
			t.Fatal(err)
		}
		b.do(t, "select 1")
		for range 3 {
			if got := b.outcome("select 1"); got != "[1]" {
				t.Error(got)
			}
			b.executes(t, others, "[app,app]")
		}
	})
}

// TestAStatementKeepsTheSettingsThatItWasPreparedUnder compares with a session that is alone with its server.
func TestAStatementKeepsTheSettingsThatItWasPreparedUnder(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: 3}, func(t *testing.T, f front) {
		a, d, others := f.client(t), f.direct(t), f.client(t)
		const text = `select "a", 'b'`
		var shown [2][]string
		for i, w := range []*wire{a, d} {
			before, same := w.mustPrepare(t, text), w.mustPrepare(t, text)
			others.sees(t, "select 1", "[1]")
			w.do(t, "set sql_mode = 'ANSI_QUOTES'")
			_, err := w.prepare(text)
			after := w.mustPrepare(t, "select 'c'")
			for range 3 {
				for _, s := range []statement{before, same, after} {
					got, err := w.execute(s, 0)
					shown[i] = append(shown[i], show(got, err))
				}
				s := others.mustPrepare(t, text)
				others.executes(t, s, "[a,b]")
			}
			shown[i] = append(shown[i], fmt.Sprint(numberOf(err)))
		}
		if !slices.Equal(shown[0], shown[1]) {
			t.Errorf("%v, the server says %v", shown[0], shown[1])
		}
		f.neverPinnedBut(t, "last_result")
		a.quit()
	})
}

func TestAStatementSeesThatItsTableHasChanged(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		name := table(t, f.server, "changing", "(a int)")
		a, b, d := f.client(t), f.client(t), f.direct(t)
		d.do(t, "insert into "+name+" values (1)")
		s := a.mustPrepare(t, "select * from "+name)
		o := b.mustPrepare(t, "select * from "+name)
		for i, q := range []string{"add b int default 2", "add c varchar(10) default 'three'", "drop a"} {
			d.do(t, "alter table "+name+" "+q)
			want := []string{"[1,2]", "[1,2,three]", "[2,three]"}[i]
			for range 3 {
				a.executes(t, s, want)
				b.executes(t, o, want)
			}
		}
		d.do(t, "drop table "+name)
		for range 2 {
			a.executes(t, s, "error 1146")
			b.executes(t, o, "error 1146")
		}
		f.neverPinnedBut(t, "last_result")
	})
}

// TestAnExecutionSaysThatItsColumnsAreNotThoseThatTheClientKnows has servers prepare a statement again: of a session whose backend has it
// from another one, who was told other columns, as in a session of its own.
func TestAnExecutionSaysThatItsColumnsAreNotThoseThatTheClientKnows(t *testing.T) {
	for kind, more := range map[string][]uint32{"": nil, "with an EOF behind columns": {protocol.CLIENT_DEPRECATE_EOF}} {
		for _, cursor := range []byte{0, protocol.CURSOR_TYPE_READ_ONLY} {
			t.Run(fmt.Sprintf("%s, cursor %d", kind, cursor), func(t *testing.T) {
				rotating(t, harness.Route{}, func(t *testing.T, f front) { otherColumns(t, f, cursor, more) })
			})
		}
	}
}

func otherColumns(t *testing.T, f front, cursor byte, without []uint32) {
	caps := uint32(modern)
	for _, c := range without {
		caps &^= c
	}
	name := table(t, f.server, "other_columns", "(a int)")
	d := f.direct(t)
	d.do(t, "insert into "+name+" values (1)")
	texts := []string{"select * from " + name, "select a from " + name, "select count(*) from " + name}
	type twin struct {
		sides      [2]*wire // the proxy's, and the server's own
		statements [2][]statement
	}
	login := func() (w twin) {
		for side, at := range []harness.Endpoint{f.Endpoint, f.server.Endpoint} {
			w.sides[side] = dial(t, at, plain(), caps)
			for _, text := range texts {
				w.statements[side] = append(w.statements[side], w.sides[side].mustPrepare(t, text))
			}
		}
		return w
	}
	all := []twin{login(), login()}
	changed := 0
	for _, q := range []string{"", "add b int default 2", "add c int", "drop b", "add b int, drop c", "rename column b to d", ""} {
		if q != "" {
			d.do(t, "alter table "+name+" "+q)
		}
		all = append(all, login())
		for round := range 3 {
			for i, w := range all {
				if (i+round)%3 == 0 {
					continue // it learns of several changes at once
				}
				for n := range texts {
					var told [2]string
					for side, c := range w.sides {
						s := w.statements[side][n]
						got, err := c.execute(s, cursor)
						if err != nil || len(got) != 1 {
							t.Fatalf("%s: %v %v", texts[n], got, err)
						}
						told[side] = fmt.Sprintf("status %#x and %#x", got[0].begun&protocol.SERVER_STATUS_METADATA_CHANGED, got[0].status)
						if side == 1 && got[0].status&protocol.SERVER_STATUS_METADATA_CHANGED != 0 {
							changed++
						}
						if cursor != 0 {
							if err := c.fetch(s, &got[0], 10); err != nil {
								t.Fatal(err)
							}
							told[side] += fmt.Sprintf(", with the rows %#x", got[0].status)
						}
						told[side] += ": " + show(got, nil)
					}
					if told[0] != told[1] {
						t.Errorf("%q, session %d: %s: %s, with the server itself %s", q, i, texts[n], told[0], told[1])
					}
				}
			}
		}
	}
	if changed == 0 {
		t.Error("the server itself says nothing of other columns")
	}
	for _, w := range all {
		w.sides[0].quit()
		w.sides[1].quit()
	}
}

// neverPinnedBut checks that nothing pinned but for one reason.
func (f front) neverPinnedBut(t testing.TB, reason string) {
	t.Helper()
	all, err := f.Sum(t.Context(), "berth_pins_total", "")
	some, err2 := f.Sum(t.Context(), "berth_pins_total", `reason="`+reason+`"`)
	if err != nil || err2 != nil || all != some {
		t.Errorf("%v pins, %v by %s, %v %v", all, some, reason, err, err2)
	}
}

func TestAStatementHasTheMeaningThatItsOwnTypesGiveIt(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		// MySQL reads strings as numbers behind an execution with a number.
		kinds := []struct {
			value any
			want  string
		}{{int64(7), "[7,5]"}, {"b", "[b,5]"}, {nil, "[NULL,5]"}, {"12", "[12,5]"}}
		var clients []*wire
		var statements []statement
		for range kinds {
			c := f.client(t)
			clients, statements = append(clients, c), append(statements, c.mustPrepare(t, "select ?, 5"))
		}
		for range 5 {
			for i, k := range kinds {
				clients[i].executes(t, statements[i], k.want, k.value)
			}
		}
		for i := range 12 {
			k := kinds[i%len(kinds)]
			clients[0].executes(t, statements[0], k.want, k.value)
			clients[1].executes(t, statements[1], "[b,5]", "b")
		}
		f.neverPinned(t)
	})
}

func TestLongDataAndCursorsHoldTheBackendForAWhile(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s, same := a.mustPrepare(t, "select ?, 5"), a.mustPrepare(t, "select ?, 5")
		others := b.mustPrepare(t, "select ?, 5")
		for i := range 4 {
			part := []byte(fmt.Sprintf("%d", i))
			for range 3 {
				a.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, append([]byte{0, 0}, part...)...)
				b.executes(t, others, "[b,5]", "b")
				a.executes(t, same, "[7,5]", int64(7))
				a.sees(t, "select 1", "[1]")
			}
			a.executes(t, s, "["+string(bytes.Repeat(part, 3))+",5]", long{})
			a.executes(t, s, "[x,5]", "x")
			a.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, append([]byte{0, 0}, part...)...)
			if _, err := a.one(protocol.COM_STMT_RESET, binary.LittleEndian.AppendUint32(nil, s.id)...); err != nil {
				t.Error(err)
			}
			a.executes(t, s, "[y,5]", "y")
		}
		f.neverPinned(t)
		waitFor(t, "nothing is lent", func() bool {
			p, err := f.Pool(t.Context(), f.server.Name)
			return err == nil && p.Lent == 0
		})
	})
}

// A server may take long data for what the execution before sent in its place: MariaDB makes a number of it, whatever it is.
func TestLongDataIsNotTakenForWhatAnotherSessionSentBefore(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		name := table(t, f.server, "longtypes", "(a int, b text)")
		mine, other := f.client(t), f.client(t)
		for _, text := range []string{"select concat(?, ''), ?", "select ?, ?", "insert into " + name + " (b, a) values (?, ?)"} {
			s, others := mine.mustPrepare(t, text), other.mustPrepare(t, text)
			for _, first := range []any{int64(7), "text", int64(8)} { // also where it is its own from before
				if _, err := other.execute(others, 0, first, int64(2)); err != nil {
					t.Fatal(err)
				}
				mine.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, 0, 0, 'l', 'o')
				mine.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, 0, 0, 'n', 'g')
				want := "[long,5]"
				if strings.HasPrefix(text, "insert") {
					want = "ok 1"
				}
				mine.executes(t, s, want, long{}, int64(5))
			}
		}
		mine.sees(t, "select b, count(*) from "+name+" group by b order by b", "[7,1;8,1;long,3;text,1]")
		f.neverPinned(t)
	})
}

// A setting that no other backend can have leaves the session the statement that all have shared until then.
func TestLongDataIsNotTakenForWhatAnotherSessionSentBeforeASettingThatPins(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		for _, sets := range []string{"set max_join_size = 1000000", "set insert_id = 5", "set big_tables = 1"} {
			mine, other := f.client(t), f.client(t)
			const text = "select concat(?, ''), ?"
			s, never, others := mine.mustPrepare(t, text), mine.mustPrepare(t, text), other.mustPrepare(t, text)
			other.executes(t, others, "[7,2]", int64(7), int64(2))
			mine.do(t, sets)
			for range 2 {
				for _, s := range []statement{s, never} {
					mine.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, 0, 0, 'l', 'o', 'n', 'g')
					mine.executes(t, s, "[long,5]", long{}, int64(5))
				}
			}
			mine.quit()
			other.quit()
		}
		// Nobody knows that code does before it has, unless the server had such code when it was asked, as of other tests.
		l := ownSchema(t, f.server, "long_data_set", "create procedure sets() set max_join_size = 1000000")
		mine, other := dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)
		const text = "select concat(?, ''), ?"
		s, others := mine.mustPrepare(t, text), other.mustPrepare(t, text)
		other.executes(t, others, "[7,2]", int64(7), int64(2))
		mine.do(t, "call sets()")
		for range 2 {
			mine.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, 0, 0, 'l', 'o', 'n', 'g')
			got, err := mine.execute(s, 0, long{}, int64(5))
			if told := show(got, err); told != "[long,5]" && !(f.mariaDB() && told == "error 1615") {
				t.Errorf("behind a setting that code has made: %.200s", told)
			}
		}
		mine.executes(t, s, "[text,5]", "text", int64(5))
		mine.about(t, protocol.COM_STMT_SEND_LONG_DATA, s, 0, 0, 'l', 'o', 'n', 'g')
		mine.executes(t, s, "[long,5]", long{}, int64(5))
	})
}

// What an execution that fails had of long data is used up.
func TestLongDataOfAFailedExecutionHoldsNoBackend(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Pool: harness.Keys{"connection_borrow_timeout": "1s"}}, func(t *testing.T, f front) {
		name := table(t, f.server, "longfail", "(a varchar(20) primary key)")
		mine, alone, other := f.client(t), f.direct(t), f.client(t)
		alone.do(t, "insert into "+name+" values ('taken')")
		statements := map[*wire]statement{}
		for _, w := range []*wire{mine, alone} {
			statements[w] = w.mustPrepare(t, "insert into "+name+" values (?)")
		}
		for _, c := range []struct {
			data string
			arg  any
		}{{"taken", long{}}, {"", long{}}, {"free", long{}}, {"taken", long{}}, {"", "taken"}, {"", "free"}} {
			var got [2]string
			for i, w := range []*wire{alone, mine} {
				if c.data != "" {
					w.about(t, protocol.COM_STMT_SEND_LONG_DATA, statements[w], append([]byte{0, 0}, c.data...)...)
				}
				all, err := w.execute(statements[w], 0, c.arg)
				got[i] = show(all, err)
				w.do(t, "delete from "+name+" where a <> 'taken'")
			}
			if got[0] != got[1] {
				t.Errorf("%+v: %s, alone %s", c, got[1], got[0])
			}
			other.sees(t, "select 1", "[1]")
		}
		f.neverPinnedBut(t, "last_result")
		for _, w := range []*wire{mine, alone, other} {
			w.quit()
		}
	})
}

// An execution without a cursor behind one with a cursor, by whomever, is one that MySQL answers without rows, and without an end.
func TestAStatementIsExecutedWithoutACursorBehindOneWithACursor(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		a, b := f.client(t), dial(t, f.Endpoint, plain(), basics)
		const text, rows = "select ?, 5 union all select 2, 6", "[x,5;2,6]"
		mine, others, kept := a.mustPrepare(t, text), b.mustPrepare(t, text), a.mustPrepare(t, "select 8")
		open := func(w *wire, s statement, args ...any) result {
			t.Helper()
			all, err := w.execute(s, protocol.CURSOR_TYPE_READ_ONLY, args...)
			if err != nil || len(all) != 1 || all[0].status&protocol.SERVER_STATUS_CURSOR_EXISTS == 0 {
				t.Fatalf("no cursor: %s", show(all, err))
			}
			return all[0]
		}
		for range 4 {
			open(a, mine, "x")
			b.executes(t, others, rows, "x")
			a.executes(t, mine, rows, "x") // closes the cursor
			r := open(b, others, "x")
			a.executes(t, mine, rows, "x")
			if err := b.fetch(others, &r, 5); err != nil || r.String() != rows {
				t.Errorf("fetched %s, %v", r, err)
			}
			a.executes(t, mine, rows, "x")
			b.executes(t, others, rows, "x")
			open(a, kept)
			if _, err := a.one(protocol.COM_STMT_RESET, binary.LittleEndian.AppendUint32(nil, kept.id)...); err != nil {
				t.Error(err)
			}
			a.executes(t, kept, "[8]")
		}
		open(a, mine, "x")
		a.about(t, protocol.COM_STMT_SEND_LONG_DATA, mine, 0, 0, 'y')
		if f.mariaDB() {
			a.executes(t, mine, "[y,5;2,6]", long{})
		} else { // only this statement of the server has the data
			a.executes(t, mine, "error 1615", long{})
			open(a, mine, long{})
		}
		a.about(t, protocol.COM_STMT_CLOSE, mine)
		f.neverPinned(t)
	})
}

// A function that fails under a cursor makes MariaDB send older clients the ERR in place of the EOF behind the definitions. Through Berth
// they get both.
func TestAFunctionFailsUnderACursor(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		own := ownSchema(t, f.server, "failing",
			"create function f(n int) returns int deterministic begin if n > 1 then signal sqlstate '45000'; end if; return n; end")
		if err := f.server.Exec(t.Context(), "grant execute on "+own.Database+".* to app@'%'"); err != nil {
			t.Fatal(err)
		}
		for _, caps := range []uint32{modern, basics} {
			mine, theirs := dial(t, f.Endpoint, plain(), caps), f.direct(t)
			for _, text := range []string{"select f(?)", "select f(a) from (select 1 as a union select ?) s", "select f(?) + 1"} {
				text = strings.ReplaceAll(text, "f(", own.Database+".f(")
				m, s := mine.mustPrepare(t, text), theirs.mustPrepare(t, text)
				for _, value := range []any{int64(2), int64(1), "x"} {
					for _, cursor := range []byte{protocol.CURSOR_TYPE_READ_ONLY, protocol.CURSOR_TYPE_NO_CURSOR, protocol.CURSOR_TYPE_READ_ONLY} {
						got, err := mine.execute(m, cursor, value)
						m = mine.mustPrepare(t, text) // behind a cursor MySQL answers one without it by no rows
						want, werr := theirs.execute(s, cursor, value)
						s = theirs.mustPrepare(t, text)
						if show(got, err) != show(want, werr) {
							t.Errorf("%s, %v, cursor %d: %s, the server says %s", text, value, cursor, show(got, err), show(want, werr))
						}
					}
				}
			}
			mine.quit()
			theirs.quit()
		}
	})
}

// insert_id and rand_seed1 are of one connection, and pin; what a statement means does not depend on them.
func TestASettingThatPinsLeavesStatementsThatDoNotDependOnIt(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		mine := a.mustPrepare(t, "select ?, ?")
		a.executes(t, mine, "[7,x]", int64(7), "x")
		b.do(t, "begin")                     // perhaps where it is prepared
		a.outcome("set insert_id = default") // which MySQL refuses
		a.do(t, "set insert_id = 5", "set rand_seed1 = 5")
		a.executes(t, mine, "[y,8]", "y", int64(8))
		a.executes(t, mine, "[7,x]", int64(7), "x")
		b.do(t, "commit")
		a.quit()
		b.quit()
	})
}

// sql_auto_is_null can be restored, but not while it is on.
func TestASettingThatPinsWithOneValueOnlyLeavesStatements(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s := a.mustPrepare(t, "select ?, 5")
		b.do(t, "begin") // where it is prepared
		a.do(t, "set @@sql_auto_is_null := 1")
		a.executes(t, s, "[x,5]", "x")
		b.do(t, "commit")
		a.quit()
		b.quit()
	})
}

// TestASettingThatPinsLeavesStatementsWhereCodeReadsTheRowCount has code that reads ROW_COUNT(): nothing may come between it and the statement
// before. That is no reason not to prepare statements in front of what uses no table, or of what is on another backend than the statement before.
func TestASettingThatPinsLeavesStatementsWhereCodeReadsTheRowCount(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: 3, Users: accounts()}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "row_count_read", "create view v as select row_count() as n")
		for _, before := range [][]string{
			{"select 1"},               // which holds its backend, as code may read what it leaves
			{"select connection_id()"}, // which the proxy answers
		} {
			for _, sets := range []string{
				"set max_join_size = 1000000", "select 1; set max_join_size = 1000000", "select 1 from v where n > 7; set max_join_size = 1000000",
			} {
				if before[0] == "select 1" && strings.Contains(sets, "from v") {
					continue // the exception: the view may read what SELECT 1 has left
				}
				a := dial(t, f.Endpoint, l, with([]uint32{multi}))
				a.do(t, "select 1", "select 1")
				s, same, other := a.mustPrepare(t, "select ?, 5"), a.mustPrepare(t, "select ?, 5"), a.mustPrepare(t, "select ?, 6")
				a.do(t, before...)
				a.do(t, sets)
				for range 2 {
					a.executes(t, s, "[x,5]", "x")
					a.executes(t, same, "[y,5]", "y")
					a.executes(t, other, "[z,6]", "z")
				}
				a.quit()
			}
		}
	})
}

// TestAPreparationLeavesTheRowCountToCodeThatReadsIt has settings in doubt, which the proxy would have to ask for before it knows what the
// statement means.
func TestAPreparationLeavesTheRowCountToCodeThatReadsIt(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: 3, Users: accounts()}, func(t *testing.T, f front) {
		l := ownSchema(t, f.server, "row_count_left", "create procedure mine() select row_count()", "create table t (n int)")
		a := dial(t, f.Endpoint, l, with([]uint32{multi}))
		a.do(t, "select 1", "select 1")
		first := a.mustPrepare(t, "select 6")
		for range 3 {
			a.sees(t, "select 1; selekt", "[1] error 1064")
			a.do(t, "insert into t values (1), (2)")
			s := a.mustPrepare(t, "select 5")
			a.sees(t, "call mine()", "[2] ok 0")
			a.executes(t, s, "[5]")
			a.executes(t, first, "[6]")
		}
		a.quit()
	})
}

// obscuringCode sets what decides how statements are understood.
var obscuringCode = []string{
	"create procedure p_ansi() begin set sql_mode = 'ANSI_QUOTES'; end",
	"create procedure p_fails() begin set sql_mode = 'ANSI_QUOTES'; signal sqlstate '45000'; end",
	"create function f_ansi() returns int deterministic begin set sql_mode = 'ANSI_QUOTES'; return 1; end",
}

// TestStatementsOutliveCodeThatSets shows that a session which pins to another backend than the one where its statements are has them
// there, as they were.
func TestStatementsOutliveCodeThatSets(t *testing.T) {
	rotating(t, harness.Route{Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "obscuring", obscuringCode...)
		open := func() *wire { return dial(t, f.Endpoint, l, with([]uint32{multi})) }
		for name, sets := range map[string]func(t *testing.T, w *wire){
			"CALL":            func(t *testing.T, w *wire) { w.do(t, "call p_ansi()") },
			"CALL that fails": func(_ *testing.T, w *wire) { w.outcome("call p_fails()") },
			"CALL, prepared":  func(t *testing.T, w *wire) { w.executes(t, w.mustPrepare(t, "call p_ansi()"), "ok 0") },
			"several":         func(_ *testing.T, w *wire) { w.outcome("select 1; call p_ansi(); selekt") },
			"function":        func(t *testing.T, w *wire) { w.do(t, "select f_ansi()") },
			"EXECUTE":         func(t *testing.T, w *wire) { w.do(t, `prepare p from 'set sql_mode = ''ANSI_QUOTES'''`, "execute p") },
			"what follows the session beside what does not": func(t *testing.T, w *wire) {
				w.outcome("set @@session.time_zone = '+02:00'; set insert_id = 500")
				w.sees(t, "select @@time_zone", "[+02:00]")
			},
			"questions in front of a CALL that fails": func(_ *testing.T, w *wire) { w.outcome("show count(*) errors; call p_fails()") },
			"questions in front of no procedure":      func(_ *testing.T, w *wire) { w.outcome("show errors; call p_nowhere()") },
			"a wrong value": func(t *testing.T, w *wire) {
				w.executes(t, w.mustPrepare(t, "set sql_mode = ?"), "error 1231", "no such mode")
			},
			"a value of a wrong type": func(t *testing.T, w *wire) {
				s := w.mustPrepare(t, "set time_zone = ?")
				_, _ = w.execute(s, 0, 1) // servers do not agree on the error
			},
		} {
			t.Run(name, func(t *testing.T) {
				for turns := range 2 * pair {
					one, other := open(), open()
					one.do(t, "begin")
					other.do(t, "begin", "commit")
					one.do(t, "commit")
					twice, mine := one.mustPrepare(t, `select "a"`), one.mustPrepare(t, `select "a"`)
					for range turns {
						other.sees(t, "select 1", "[1]")
					}
					sets(t, one)
					for range 2 {
						one.executes(t, mine, "[a]")
						one.executes(t, twice, "[a]")
					}
					other.quit()
					one.quit()
				}
			})
		}
	})
}

// TestAnOKOfAnotherFormIsToldAsItIs prepares SET GLOBAL as a user who may not: MySQL 9.7 answers with an OK that is none of a prepared statement.
func TestAnOKOfAnotherFormIsToldAsItIs(t *testing.T) {
	s := harness.Shared(t, "mysql97")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	var told [2]string
	for i, w := range []*wire{f.client(t), f.direct(t)} {
		for _, before := range []string{"select 1", "select 2", "selekt", "select 1; selekt"} { // behind an error the OK has more in it
			_, _ = w.query(before)
			if err := w.command(protocol.COM_STMT_PREPARE, []byte("set global max_error_count = default")...); err != nil {
				t.Fatal(err)
			}
			answer, err := w.read()
			told[i] += fmt.Sprintf("%x, %v; %s; ", answer, err, w.outcome("select 5"))
		}
		w.quit()
	}
	if told[0] != told[1] {
		t.Errorf("%s; with the server itself %s", told[0], told[1])
	}
}

func TestUnknownStatementsAreRefusedInTheServersWords(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a, d := f.client(t), f.direct(t)
		for _, c := range []struct {
			command byte
			rest    []byte
		}{{protocol.COM_STMT_EXECUTE, []byte{0, 1, 0, 0, 0}}, {protocol.COM_STMT_FETCH, []byte{1, 0, 0, 0}}, {protocol.COM_STMT_RESET, nil}} {
			var said [2]string
			for i, w := range []*wire{a, d} {
				_, err := w.one(c.command, append([]byte{200, 1, 0, 0}, c.rest...)...)
				said[i] = fmt.Sprint(err)
			}
			if said[0] != said[1] {
				t.Errorf("command %d: %s, the server says %s", c.command, said[0], said[1])
			}
		}
		var said [2]string
		for i, w := range []*wire{a, d} {
			s := w.mustPrepare(t, "select 1")
			_, err := w.one(protocol.COM_STMT_FETCH, append(binary.LittleEndian.AppendUint32(nil, s.id), 1, 0, 0, 0)...)
			said[i] = strings.Replace(fmt.Sprint(err), fmt.Sprintf("(%d)", s.id), "(id)", 1)
		}
		if said[0] != said[1] {
			t.Errorf("fetching without a cursor: %s, the server says %s", said[0], said[1])
		}
		for _, command := range []byte{protocol.COM_STMT_CLOSE, protocol.COM_STMT_SEND_LONG_DATA} {
			if err := a.command(command, 200, 1, 0, 0, 0, 0, 'x'); err != nil {
				t.Fatal(err)
			}
			a.sees(t, "select 1", "[1]")
		}
		// MariaDB's clients mean the last one that was prepared by the largest id.
		for i, w := range []*wire{a, d} {
			said[i] = ""
			for _, text := range []string{"", "select 11", "select 12", "select from nothing"} {
				if text != "" {
					_, err := w.prepare(text)
					said[i] += fmt.Sprint(numberOf(err), " ")
				}
				got, err := w.execute(statement{id: 1<<32 - 1}, 0)
				said[i] += show(got, err) + "; "
			}
		}
		if said[0] != said[1] {
			t.Errorf("the last one: %s, the server says %s", said[0], said[1])
		}
	})
}

func TestAResetEndsAllStatements(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		o := b.mustPrepare(t, "select 1")
		for _, hold := range []bool{false, true} {
			s := a.mustPrepare(t, "select 1")
			if hold {
				a.do(t, "begin")
			}
			if _, err := a.one(protocol.COM_RESET_CONNECTION); err != nil {
				t.Fatal(err)
			}
			a.executes(t, s, "error 1243")
			for range 3 {
				b.executes(t, o, "[1]")
			}
			s = a.mustPrepare(t, "select 2")
			a.executes(t, s, "[2]")
		}
	})
}

func TestServersKeepABoundedNumberOfStatements(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, pair)
			a, d := f.client(t), dial(t, f.server.Endpoint, superuser(), modern)
			for i := range 1000 {
				s := a.mustPrepare(t, fmt.Sprintf("select %d", i))
				if i%2 == 0 {
					a.executes(t, s, fmt.Sprintf("[%d]", i))
				}
				if i%3 > 0 {
					a.about(t, protocol.COM_STMT_CLOSE, s)
				}
			}
			got := d.must(t, "show global status like 'Prepared_stmt_count'")[0].rows[0][1]
			if n, err := strconv.Atoi(fmt.Sprint(got)); err != nil || n > pair*200 {
				t.Errorf("%v statements on the server", got)
			}
			a.quit()
			// The same again and again is one.
			b := f.client(t)
			for range 300 {
				s := b.mustPrepare(t, "select 'the same'")
				b.executes(t, s, "[the same]")
				b.about(t, protocol.COM_STMT_CLOSE, s)
			}
			b.quit()
		})
	}
}

func TestAFullServerMakesBackendsGiveUpTheirStatements(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := ownServer(t, name, 1, "max_prepared_stmt_count=20")
			a, b := f.client(t), f.client(t)
			var all []statement
			for i := range 50 {
				all = append(all, a.mustPrepare(t, fmt.Sprintf("select %d", i)))
			}
			for i, s := range all {
				a.executes(t, s, fmt.Sprintf("[%d]", i))
				b.sees(t, "select 1", "[1]")
			}
			d := f.direct(t)
			for i := range 20 {
				if _, err := d.prepare(fmt.Sprintf("select %d", i)); err != nil {
					break // what the proxy has counts
				}
			}
			if _, err := a.prepare("select 'one more'"); err != nil && numberOf(err) != 1461 {
				t.Error(err)
			}
		})
	}
}

func TestUnderStrictAWSStatementsPin(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Pool: harness.Keys{"session_pinning_preset": "strict-aws"}}, func(t *testing.T, f front) {
		a := f.client(t)
		s := a.mustPrepare(t, "select ?")
		for range 2 {
			if n := f.pinned(t); n != 1 {
				t.Errorf("%d pinned", n)
			}
			a.executes(t, s, "[1]", int64(1))
		}
		a.about(t, protocol.COM_STMT_CLOSE, s)
		if n := f.pinned(t); n != 1 {
			t.Errorf("%d pinned after it was closed", n)
		}
		a.quit()
	})
	own(t, harness.Route{MaxConnections: pair, Pool: harness.Keys{
		"session_pinning_preset": "strict-aws", "session_pinning_filters": []string{"EXCLUDE_PREPARED_STATEMENTS"},
	}}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s := a.mustPrepare(t, "select ?")
		b.do(t, "select 1")
		a.executes(t, s, "[1]", int64(1))
		f.neverPinned(t)
		a.quit()
		b.quit()
	})
}

func TestAStatementThatIsTooLongToMovePins(t *testing.T) {
	rotating(t, harness.Route{}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		s := a.mustPrepare(t, "select ?, length('"+strings.Repeat("x", 100000)+"')")
		for i := range int64(4) {
			if n := f.pinned(t); n != 1 {
				t.Errorf("%d pinned", n)
			}
			a.executes(t, s, fmt.Sprintf("[%d,100000]", i), i)
			b.sees(t, "select 1", "[1]")
		}
		a.about(t, protocol.COM_STMT_CLOSE, s)
		a.sees(t, "select 1", "[1]")
		if n := f.pinned(t); n != 0 {
			t.Errorf("%d pinned after it was closed", n)
		}
	})
}

// TestAStatementThatEndsAReadOnlyTransactionIsPreparedAgainInIt is about MariaDB, which executes it there and does not prepare it.
func TestAStatementThatEndsAReadOnlyTransactionIsPreparedAgainInIt(t *testing.T) {
	rotating(t, harness.Route{Users: accounts()}, func(t *testing.T, f front) {
		name := table(t, f.server, "read_only", "(n int)")
		told := func(w *wire) (all []string) {
			defer w.quit()
			create, insert := w.mustPrepare(t, "create table "+name+" (n int)"), w.mustPrepare(t, "insert into "+name+" values (?)")
			w.do(t, "drop table if exists "+name, "select 1", "select 2")
			for range 2 {
				w.do(t, "start transaction read only")
				r, err := w.execute(create, 0)
				all = append(all, show(r, err), w.outcome("insert into "+name+" values (1)"), w.outcome("select count(*) from "+name))
				w.do(t, "rollback")
			}
			w.do(t, "select 1", "start transaction read only")
			r, err := w.execute(insert, 0, "5")
			all = append(all, show(r, err), w.outcome("insert into "+name+" values (1)"))
			w.do(t, "rollback")
			return all
		}
		for range 3 {
			if got, want := told(f.client(t)), told(f.direct(t)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q, with the server itself %q", got, want)
			}
		}
	})
}

// What backends keep for later must not take what the server has for statements from those who want one now.
func TestWhatBackendsKeepLeavesTheServerRoomForStatements(t *testing.T) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			const limit = 80
			f := ownServer(t, name, 2, fmt.Sprintf("max_prepared_stmt_count=%d", limit))
			a, b := f.client(t), f.client(t)
			a.do(t, "begin") // it keeps its backend
			for i := range limit {
				a.about(t, protocol.COM_STMT_CLOSE, a.mustPrepare(t, fmt.Sprintf("select %d", i)))
			}
			for _, w := range []*wire{f.direct(t), b} {
				w.executes(t, w.mustPrepare(t, "select 7"), "[7]")
				w.quit()
			}
			a.executes(t, a.mustPrepare(t, "select 79"), "[79]")
			a.quit()
			quiet(t, f)
		})
	}
}

// MySQL takes a parameter that it expects to be an integer for a DECIMAL from the first string on that is a number, and none of those.
func TestAStringThatIsNoIntegerChangesNobodyElsesStatement(t *testing.T) {
	t.Parallel()
	own(t, harness.Route{MaxConnections: 1, Users: accounts()}, func(t *testing.T, f front) {
		for _, value := range []string{"-3", "1.5", "18446744073709551616", " 1e-1"} {
			a, b, d := f.client(t), f.client(t), f.direct(t)
			text := "select concat(? + 1)"
			mine, others, direct := a.mustPrepare(t, text), b.mustPrepare(t, text), d.mustPrepare(t, text)
			for _, each := range []string{value, "9", value, "10"} {
				_, _ = a.execute(mine, 0, value)
				want, err := d.execute(direct, 0, each)
				if err != nil {
					t.Fatal(err)
				}
				got, err := b.execute(others, 0, each)
				if show(got, err) != show(want, nil) {
					t.Errorf("behind another's %q: %q is %s, the server says %s", value, each, show(got, err), show(want, nil))
				}
				direct, others = d.mustPrepare(t, text), b.mustPrepare(t, text)
			}
			a.quit()
			b.quit()
		}
		f.neverPinned(t)
	})
}

// TestAStatementIsPreparedAgainInFrontOfAReadOnlyTransaction is about what servers execute, or refuse for another reason, and do not prepare, where the
// next transaction is to be READ ONLY.
func TestAStatementIsPreparedAgainInFrontOfAReadOnlyTransaction(t *testing.T) {
	rotating(t, harness.Route{MaxConnections: pair}, func(t *testing.T, f front) {
		name := table(t, f.server, "next_read_only", "(n int primary key)")
		told := func(w, other *wire) (all []string) {
			defer w.quit()
			defer other.quit()
			create, insert := w.mustPrepare(t, "create table "+name+"_other (n int)"), w.mustPrepare(t, "insert into "+name+" values (?)")
			other.do(t, "begin") // where they are prepared
			for _, s := range []statement{create, insert} {
				w.do(t, "set transaction read only")
				var args []any
				if s == insert {
					args = []any{"5"}
				}
				r, err := w.execute(s, 0, args...)
				all = append(all, show(r, err), w.outcome("insert into "+name+" values (1)"), w.outcome("select count(*) from "+name), w.outcome("rollback"))
				w.do(t, "delete from "+name, "drop table if exists "+name+"_other")
			}
			other.do(t, "rollback")
			return all
		}
		if got, want := told(f.client(t), f.client(t)), told(f.direct(t), f.direct(t)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q, with the server itself %q", got, want)
		}
	})
}
