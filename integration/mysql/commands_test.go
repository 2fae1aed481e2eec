package mysql

import (
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

func TestSmallCommandsAreAnswered(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		w := f.client(t)
		for range 3 {
			if _, err := w.one(protocol.COM_PING); err != nil {
				t.Errorf("ping: %v", err)
			}
			if err := w.command(protocol.COM_STATISTICS); err != nil {
				t.Fatal(err)
			}
			if p, err := w.read(); err != nil || !strings.HasPrefix(string(p), "Uptime: ") {
				t.Errorf("statistics: %q, %v", p, err)
			}
		}
		w.do(t, "begin")
		if r, err := w.one(protocol.COM_PING); err != nil || r.status&protocol.SERVER_STATUS_IN_TRANS == 0 {
			t.Errorf("ping in a transaction: %#x, %v", r.status, err)
		}
		w.do(t, "rollback")
		for _, command := range []byte{protocol.COM_SLEEP, protocol.COM_BINLOG_DUMP, protocol.COM_REGISTER_SLAVE, protocol.COM_TABLE_DUMP, 0xc8} {
			if _, err := w.one(command, 1, 2, 3); numberOf(err) != 1047 {
				t.Errorf("command %d: %v, want 1047", command, err)
			}
		}
		w.sees(t, "select 1", "[1]")
	})
}

func TestMultiStatementsCanBeSwitchedOnAndOff(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		const two = "select 1; select 2"
		a.sees(t, two, "error 1064")
		a.sees(t, "select 1;", "[1]")
		if _, err := a.one(protocol.COM_SET_OPTION, 0, 0); err != nil {
			t.Fatal(err)
		}
		a.sees(t, two, "[1] [2]")
		b.sees(t, two, "error 1064")
		b.sees(t, "select 1; ", "[1]")
		if _, err := a.one(protocol.COM_SET_OPTION, 1, 0); err != nil {
			t.Fatal(err)
		}
		a.sees(t, two, "error 1064")
		if _, err := a.one(protocol.COM_SET_OPTION, 9, 0); err == nil {
			t.Error("an unknown option is accepted")
		}
		a.quit()
		b.quit()
		on := f.client(t, multi)
		on.sees(t, two, "[1] [2]")
		on.quit()
		for _, got := range f.everywhere(t, two) {
			if got != "error 1064" {
				t.Errorf("others see %s", got)
			}
		}
	})
}

// file answers the server's request for a file with parts of it, and returns what the server asked for.
func (w *wire) file(t *testing.T, parts ...string) (name string) {
	t.Helper()
	p, err := w.read()
	if err != nil || len(p) == 0 || p[0] != 0xfb {
		t.Fatalf("no request for a file: %q, %v", p, err)
	}
	for _, part := range append(parts, "") {
		if err := w.write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	return string(p[1:])
}

func TestFilesOfTheClientAreLoaded(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "loaded", "(a int, b varchar(100))")
		load := "load data local infile 'f' into table " + name
		for what, caps := range abilities() {
			t.Run(what, func(t *testing.T) {
				w := dial(t, f.Endpoint, plain(), caps|protocol.CLIENT_LOCAL_FILES)
				other := f.client(t)
				w.do(t, "truncate "+name)
				if err := w.ask(load); err != nil {
					t.Fatal(err)
				}
				if got := w.file(t, "1\ton", "e\n2\ttwo\n", strings.Repeat("3\tmany\n", 20000)); got != "f" {
					t.Errorf("the server asks for %q", got)
				}
				if got, err := w.results(false); show(got, err) != "ok 20002" {
					t.Errorf("loading: %s", show(got, err))
				}
				other.sees(t, "select count(*), sum(a) from "+name, "[20002,60003]")

				// Two in one text, with something between; the first file does not exist.
				if err := w.ask(load + "; select 5; " + load + "; select 6"); err != nil {
					t.Fatal(err)
				}
				w.file(t)
				first, err := w.result(false)
				second, err2 := w.result(false)
				if err != nil || err2 != nil || first.String() != "ok 0" || second.String() != "[5]" {
					t.Fatalf("%s %v, %s %v", first, err, second, err2)
				}
				w.file(t, "7\tseven\n")
				if got, err := w.results(false); show(got, err) != "ok 1 [6]" {
					t.Errorf("the second of two: %s", show(got, err))
				}
				other.sees(t, "select b from "+name+" where a = 7", "[seven]")
			})
		}
	})
}

func TestAFileThatTheClientDidNotOfferIsNotAskedFor(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "unasked", "(a int)")
		a, b := f.client(t), f.client(t, protocol.CLIENT_LOCAL_FILES)
		b.sees(t, "select 1", "[1]")
		if got := a.outcome("load data local infile 'f' into table " + name); got != "error 3948" && got != "error 1148" && got != "error 4166" {
			t.Errorf("%s", got)
		}
		a.sees(t, "select 1", "[1]")
	})
}

func TestAClientThatLeavesInTheMiddleOfAFileLeavesNothing(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "halves", "(a int)")
		for range 2 * pair {
			w := f.client(t, protocol.CLIENT_LOCAL_FILES)
			w.do(t, "begin")
			if err := w.ask("load data local infile 'f' into table " + name); err != nil {
				t.Fatal(err)
			}
			if _, err := w.read(); err != nil {
				t.Fatal(err)
			}
			if err := w.write([]byte("1\n2\n")); err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
		}
		for _, got := range f.everywhere(t, "select count(*) from "+name) {
			if got != "[0]" {
				t.Errorf("%s rows", got)
			}
		}
	})
}

func TestQueryAttributesReachTheServer(t *testing.T) {
	const name = "mysql97"
	f := sharedFront(t, name)
	t.Cleanup(func() { quiet(t, f) })
	a, b := f.client(t, protocol.CLIENT_QUERY_ATTRIBUTES), f.client(t)
	for range 3 {
		all, err := a.query("select 1", attribute{"trace", "x"}, attribute{"other", strings.Repeat("y", 300)})
		if show(all, err) != "[1]" {
			t.Errorf("with attributes: %s", show(all, err))
		}
		a.sees(t, "select 2", "[2]")
		b.sees(t, "select 3", "[3]")
	}
	s, err := a.prepare("select ?, ?")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.execute(s, 0, int64(2), int64(3)); show(got, err) != "[2,3]" {
		t.Errorf("a statement of a client with attributes: %s", show(got, err))
	}
}
