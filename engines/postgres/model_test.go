package postgres

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// model is a server, as far as the order of its answers and its statements go (54.2.3).
type model struct {
	statements map[string]string
	portal     string
	open, skip bool
	tx         byte
}

func newModel() *model { return &model{statements: map[string]string{}, tx: 'I'} }

func (m *model) fail(code string) string {
	m.skip = true
	return m.abort(code)
}

func (m *model) abort(code string) string {
	if m.tx == 'T' {
		m.tx = 'E'
	}
	return "! " + code
}

// execute runs text, which succeeds with itself as its tag.
func (m *model) execute(text string) (answer string, ok bool) {
	switch {
	case text == "ROLLBACK" || text == "COMMIT":
		m.tx = 'I'
	case m.tx == 'E':
		return "25P02", false
	case text == "BEGIN":
		m.tx = 'T'
	case strings.HasPrefix(text, "SELECT 1/0"):
		return "22012", false
	}
	return "C " + text, true
}

func (m *model) ready() string {
	if m.tx == 'I' {
		m.open = false
	}
	return "Z " + string(m.tx)
}

// answer is what the server says to one message, in the notation of the tests.
func (m *model) answer(kind byte, args []string) string {
	if kind == 'S' {
		m.skip = false
		return m.ready()
	}
	if m.skip || kind == 'H' {
		return ""
	}
	switch kind {
	case 'Q':
		delete(m.statements, "")
		answer, ok := m.execute(args[0])
		if !ok {
			answer = m.abort(answer)
		}
		return answer + ", " + m.ready()
	case 'P':
		delete(m.statements, args[0])
		if m.tx == 'E' && args[1] != "ROLLBACK" || strings.HasPrefix(args[1], "SELECT bad") {
			return m.fail("42601")
		}
		m.statements[args[0]] = args[1]
		return "1"
	case 'B':
		text, ok := m.statements[args[1]]
		if !ok {
			return m.fail("26000")
		}
		m.portal, m.open = text, true
		return "2"
	case 'D':
		if _, ok := m.statements[args[0][1:]]; !ok {
			return m.fail("26000")
		}
		return "t, n"
	case 'E':
		if !m.open {
			return m.fail("34000")
		}
		answer, ok := m.execute(m.portal)
		if !ok {
			return m.fail(answer)
		}
		return answer
	case 'C':
		delete(m.statements, args[0][1:])
		return "3"
	}
	return ""
}

// serve takes whole messages out of p and returns the answers to them.
func (m *model) serve(p []byte) (answers, rest []byte) {
	for {
		f, ok := readFrame(p)
		if !ok || f.size > len(p) {
			return answers, p
		}
		args := strings.Split(string(p[5:f.size]), "\x00")
		answers = append(answers, messages(m.answer(f.kind, args))...)
		p = p[f.size:]
	}
}

// randomRequests is what a client may send: batches with errors, pipelines, statements used long after their Parse.
func randomRequests(r *rand.Rand) []byte {
	menu := []string{
		"P |SELECT 1", "P |SELECT 2", "P |SELECT bad", "P |SELECT 1/0", "P |BEGIN", "P |ROLLBACK", "B |", "B |", "B |", "D S|", "E ", "E ", "E ", "E ", "E none",
		"C S|", "S", "S", "S", "H", "Q SELECT 3", "Q BEGIN", "Q ROLLBACK", "Q SELECT 1/0",
	}
	var out []byte
	if r.IntN(4) == 0 { // what the first batch prepares is skipped, and the second one counts on it
		out = messages("Q SELECT 3, E none, B |, S, B |, E , S")
	}
	for range 1 + r.IntN(24) {
		out = append(out, message(menu[r.IntN(len(menu))])...)
	}
	return append(out, messages("S, Q ROLLBACK, S")...)
}

// playAgainstModel relays requests in random pieces to a server that another session uses at every boundary.
func playAgainstModel(t *testing.T, requests []byte, r *rand.Rand) []byte {
	s, server := newStage(t), newModel()
	var atServer, fromServer []byte
	idles, pace := 0, 1+r.IntN(12)
	for len(requests) > 0 || len(s.inClient)+len(s.toBackend)+len(atServer)+len(fromServer) > 0 {
		if n := min(len(requests), r.IntN(80)); n > 0 {
			s.client(requests[:n])
			requests = requests[n:]
		}
		atServer = append(atServer, s.toBackend...)
		s.toBackend = nil
		if r.IntN(pace) == 0 {
			var answers []byte
			answers, atServer = server.serve(atServer)
			fromServer = append(fromServer, answers...)
		}
		if n := min(len(fromServer), r.IntN(30)); n > 0 {
			s.server(fromServer[:n])
			fromServer = fromServer[n:]
		}
		if strings.Contains(strings.Join(s.events, " "), "broke") {
			t.Fatalf("%v", s.events)
		}
		if s.backend == nil && len(s.events) > idles && len(s.toBackend) == 0 {
			idles = len(s.events)
			if server.tx != 'I' || server.skip {
				t.Fatalf("given back in state %c, skipping %v", server.tx, server.skip)
			}
			state := s.free.State.(*backendState)
			switch r.IntN(3) {
			case 0:
				server.statements[""] = "SELECT another's"
				state.unnamed = statementID{99, uint64(idles)}
			case 1:
				delete(server.statements, "")
				state.unnamed = statementID{}
			}
		}
	}
	return s.toClient
}

func TestAClientSeesWhatAServerOfItsOwnWouldHaveSaid(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		requests := randomRequests(r)
		want, _ := newModel().serve(requests)
		if got := playAgainstModel(t, requests, r); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %s\n got %s\nwant %s", seed, describeMessages(t, requests, true), describeMessages(t, got, false), describeMessages(t, want, false))
		}
	}
}
