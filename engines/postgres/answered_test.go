package postgres

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// scripted is a server as far as requests and their answers go: it knows which statements it has, what skips to Sync, and the transaction.
type scripted struct {
	tx   byte
	skip bool
	has  map[string]bool
}

// executes answers a statement of a simple Query.
func (f *scripted) executes(sql string) (answer string) {
	switch sql = strings.TrimSpace(sql); {
	case strings.HasPrefix(sql, "x"):
		return f.fails("42601")
	case sql == "ROLLBACK TO SAVEPOINT berth":
		return f.fails("3B001")
	case strings.HasPrefix(sql, "SAVEPOINT"), strings.HasPrefix(sql, "RELEASE"), strings.HasPrefix(sql, "ROLLBACK TO"):
		return "C SAVEPOINT"
	case strings.HasPrefix(sql, "COMMIT"), strings.HasPrefix(sql, "ROLLBACK"):
		f.tx = 'I'
		return "C COMMIT"
	case f.tx == 'E':
		return f.fails("25P02")
	case strings.HasPrefix(sql, "BEGIN"):
		f.tx = 'T'
		return "C BEGIN"
	case strings.HasPrefix(sql, "SET"):
		return "C SET"
	case strings.HasPrefix(sql, "DISCARD"):
		return "C DISCARD SEQUENCES"
	case strings.HasPrefix(sql, "EXECUTE") && !f.has[strings.TrimSpace(sql[len("EXECUTE"):])]:
		return f.fails("26000")
	}
	return "C SELECT 1"
}

func (f *scripted) fails(code string) string {
	if f.tx == 'T' {
		f.tx = 'E'
	}
	return "! " + code
}

// takes answers the first message of p, and returns its length.
func (f *scripted) takes(p []byte) (n int, answer []byte) {
	fr, ok := readFrame(p)
	if !ok || fr.size > len(p) {
		return 0, nil
	}
	body := p[headerLength:fr.size]
	first, rest, _ := cutString(body)
	second, _, _ := cutString(rest)
	text := ""
	switch {
	case fr.kind == 'S':
		f.skip, text = false, "Z "+string(f.tx)
	case f.skip, fr.kind == 'H':
	case fr.kind == 'P':
		switch ends := strings.HasPrefix(string(second), "ROLLBACK"); {
		case second != nil && strings.HasPrefix(string(second), "x"):
			text = f.fails("42601")
		case len(first) > 0 && f.has[string(first)]:
			text = f.fails("42P05")
		case f.tx == 'E' && len(second) > 0 && !ends:
			text = f.fails("25P02")
		default:
			f.has[string(first)], text = true, "1"
		}
	case fr.kind == 'B' && !f.has[string(second)]:
		text = f.fails("26000")
	case fr.kind == 'B' && f.tx == 'E':
		text = f.fails("25P02")
	case fr.kind == 'B':
		text = "2"
	case fr.kind == 'E':
		text = "C SELECT 1"
	case fr.kind == 'D':
		text = "t, n"
	case fr.kind == 'C':
		delete(f.has, string(first[1:]))
		text = "3"
	case fr.kind == 'Q':
		delete(f.has, "")
		for _, sql := range strings.Split(string(first), ";") {
			answer := f.executes(sql)
			if text += answer + ", "; answer[0] == '!' {
				break
			}
		}
		text += "Z " + string(f.tx)
	}
	f.skip = f.skip || fr.kind != 'Q' && strings.HasPrefix(text, "!")
	return fr.size, messages(text)
}

// Whatever is long, wherever it is cut, and whenever a backend is lost, or there is none: each request is answered, and counted, once, and nothing is kept.
func TestRequestsThatMayBeLongAreAnsweredOnce(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := newStage(t)
		server := &scripted{tx: 'I', has: make(map[string]bool)}
		var said []string
		answers := func(all bool) {
			for len(s.toBackend) > 0 && s.backend != nil && !s.ended && (all || r.IntN(3) > 0) {
				if s.toBackend[0] == 'Q' && !s.m.queue.empty() && s.m.queue.first().kind() == answerVerify {
					fr, _ := readFrame(s.toBackend)
					s.toBackend = s.toBackend[fr.size:]
					s.found()
					continue
				}
				n, answer := server.takes(s.toBackend)
				if n == 0 {
					break
				}
				s.toBackend = s.toBackend[n:]
				s.server(answer)
			}
		}
		asked := 0
		var spare *engine.Backend
		borrows := func() {
			b := spare
			switch spare = nil; {
			case b == nil:
			case s.waiting && r.IntN(2) == 0:
				said = append(said, "(granted)")
				s.grant(b)
			case s.waiting:
				said = append(said, "(refused)")
				s.free = b
				s.refuse(engine.ErrBorrowTimeout)
			default:
				s.free = b
			}
		}
		says := func(what string) {
			if s.backend == nil && s.free != nil && r.IntN(3) == 0 {
				spare, s.free = s.free, nil
				said = append(said, "(busy)")
			}
			said = append(said, what)
			p := messages(what)
			if r.IntN(3) == 0 && strings.ContainsAny(what[:1], "PQ") && len(what) > 1 {
				p = message(what + strings.Repeat(" ", 64<<10+r.IntN(300<<10)))
			}
			if what[0] == 'Q' || strings.HasSuffix(what, "S") {
				asked++
			}
			for len(p) > 0 {
				n := min(len(p), 1+r.IntN(60<<10))
				s.client(p[:n])
				p = p[n:]
				answers(false)
				if r.IntN(4) == 0 {
					borrows()
				}
				if r.IntN(40) == 0 && s.backend != nil && !s.ended {
					said = append(said, "(lost)")
					server = &scripted{tx: 'I', has: make(map[string]bool)}
					s.toBackend = nil
					s.lose()
				}
			}
		}
		texts := []string{"SELECT 1", "x", "SELECT '2024-01-01'", "SET a = 1", "SELECT 2"}
		queries := []string{"SELECT 1", "x", "EXECUTE s1", "SET a = 1", "BEGIN", "COMMIT", "ROLLBACK", `SELECT '\'`, "SELECT currval('x')"}
		batch := false
		for range 1 + r.IntN(12) {
			name := fmt.Sprintf("s%d", r.IntN(3))
			switch n := r.IntN(10); {
			case n < 2:
				says("P " + name + "|" + texts[r.IntN(len(texts))])
			case n == 2:
				says("P |SELECT 1")
			case n < 5:
				says("B |" + name + ", E")
			case n == 5:
				says("C S|" + name)
			case n == 6 && batch:
				says("H")
			case n < 8, batch:
				says("S")
				batch = false
				continue
			default:
				says("Q " + queries[r.IntN(len(queries))])
				continue
			}
			batch = true
		}
		says("S")
		says("Q ROLLBACK")
		for range 20 {
			borrows()
			answers(true)
		}
		got := describeMessages(t, s.toClient, false)
		if n := strings.Count(", "+got+",", ", Z "); s.ended || n != asked || len(s.inClient) > 0 || s.under != 0 || s.backend != nil && s.m.pins == 0 {
			t.Fatalf("seed %d: %d of %d answered, %d bytes left, %d under way, events %v\n%v\n%s", seed, n, asked, len(s.inClient), s.under, s.events, said, got)
		}
	}
}
