package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// The tests write messages as the type, a blank, and the strings in the body with | between them: "Q SELECT 1", "B |s1", "Z I".

// message makes the bytes of one message.
func message(text string) []byte {
	kind, rest, _ := strings.Cut(text, " ")
	out := append([]byte(kind), 0, 0, 0, 0)
	parts := strings.Split(rest, "|")
	switch {
	case rest == "" && kind != "Q" && kind != "P" && kind != "B":
	case kind == "Z" || kind == "d":
		out = append(out, rest...)
	case kind == "F":
		out = append(out, 0, 0, byte(len(rest)), byte(len(rest)))
	case kind == "P":
		out = append(out, parts[0]+"\x00"+parts[1]+"\x00\x00\x00"...)
	case kind == "B":
		out = append(out, parts[0]+"\x00"+parts[1]+"\x00\x00\x00\x00\x00\x00\x00"...)
	case kind == "!": // an error of the server: ! CODE, ! FATAL|CODE, ! CODE|routine or ! CODE|file:name
		out[0] = 'E'
		severity, code, more := "ERROR", parts[0], ""
		switch {
		case len(parts) == 2 && parts[0] == severityFatal:
			severity, code = parts[0], parts[1]
		case len(parts) == 2 && strings.HasPrefix(parts[1], "file:"):
			more = "F" + parts[1][len("file:"):] + "\x00"
		case len(parts) == 2:
			more = "R" + parts[1] + "\x00"
		}
		out = append(out, "S"+severity+"\x00V"+severity+"\x00C"+code+"\x00"+more+"\x00"...)
	case (kind == "C" || kind == "D") && (parts[0] == "S" || parts[0] == "P") && len(parts) == 2:
		out = append(out, parts[0]+parts[1]+"\x00"...)
	case kind == "E":
		out = append(out, parts[0]+"\x00\x00\x00\x00\x00"...)
	default:
		for _, p := range parts {
			out = append(out, p+"\x00"...)
		}
	}
	binary.BigEndian.PutUint32(out[1:], uint32(len(out)-1))
	return out
}

func messages(texts string) []byte {
	var out []byte
	for _, t := range strings.Split(texts, ", ") {
		if t != "" {
			out = append(out, message(t)...)
		}
	}
	return out
}

// describeMessages is the reverse, as far as the tests need it. client says which side sent them.
func describeMessages(t testing.TB, p []byte, client bool) string {
	var out []string
	for len(p) > 0 {
		f, ok := readFrame(p)
		if !ok || f.size > len(p) {
			t.Fatalf("incomplete message %q", p)
		}
		body := p[5:f.size]
		text := string(f.kind)
		switch {
		case !client && f.kind == 'E':
			text = "!"
			for _, field := range strings.Split(string(body), "\x00") {
				if strings.HasPrefix(field, "VFATAL") {
					text += " FATAL"
				}
				if strings.HasPrefix(field, "C") {
					text += " " + field[1:]
				}
				if field == "H"+valuesHint {
					text += " hint"
				}
			}
			text = strings.Replace(text, "FATAL ", "FATAL|", 1)
		case client && f.kind == 'B':
			text += " " + strings.Join(strings.Split(string(body), "\x00")[:2], "|")
		case client && (f.kind == 'P'):
			text += " " + strings.Join(strings.Split(string(body), "\x00")[:2], "|")
		case client && (f.kind == 'D' || f.kind == 'C'):
			text += " " + string(body[:1]) + "|" + strings.TrimRight(string(body[1:]), "\x00")
		case f.kind == 'K', f.kind == 'F', client && f.kind == 'E':
		case client && f.kind == 'Q':
			text += " " + ownQuery(strings.TrimRight(string(body), "\x00"))
		case len(body) > 0:
			text += " " + strings.ReplaceAll(strings.TrimRight(string(body), "\x00"), "\x00", "|")
		}
		out = append(out, text)
		p = p[f.size:]
	}
	return strings.Join(out, ", ")
}

// ownQuery writes the machine's own queries in short.
func ownQuery(sql string) string {
	switch {
	case string(cleanMessage) == string(queryMessage(sql)):
		return "(clean)"
	case sql == unseenQuery:
		return "(code)"
	case strings.HasPrefix(sql, "SELECT EXISTS ("), strings.HasPrefix(sql, "SELECT NULL, "):
		var about []string
		for i, k := range verifiable {
			if strings.Contains(sql, questions[i]) {
				about = append(about, k.String())
			}
		}
		if len(about) == len(verifiable) {
			about = []string{"all"}
		}
		if at := strings.Index(sql, settingsQuery(nil, nil, versionOfParameterPrivileges)); at >= 0 {
			about = append(about, "settings")
			if names := strings.Index(sql, "unnest('{"); names >= 0 {
				list, _, _ := strings.Cut(sql[names+len("unnest('{"):], "}")
				about = append(about, strings.Split(list, ",")...)
			}
		}
		return "(" + strings.Join(about, " ") + ")"
	}
	return sql
}

// stage is a world for one machine: engine.Wire, and what the core does around it.
type stage struct {
	t         testing.TB
	m         *machine
	backend   *engine.Backend // held
	free      *engine.Backend // the next to be granted; nil: borrows wait
	waiting   bool
	pins      kindSet
	ignores   kindSet // kinds that do not pin
	shared    int     // statements with the proxy's names, as questions are answered
	toClient  []byte
	toBackend []byte
	events    []string
	under     int // requests that began and have not ended
	inClient  []byte
	inBackend []byte
	ended     bool
	declines  bool // the client's next request is not for the held backend
}

func newStage(t testing.TB) *stage {
	e := New(Config{})
	key := engine.Key{User: "u", Database: "d"}
	params := []parameter{{"server_version", "18.0"}, {"standard_conforming_strings", "on"}}
	e.learn(key, params)
	s := &stage{t: t, free: newTestBackend(key, params)}
	s.m = newMachine(e, sessionInfo{id: 7, key: key, cancelSecret: []byte{1, 2, 3, 4}}).(*machine)
	s.m.Start(s)
	s.toClient = nil
	return s
}

func newTestBackend(key engine.Key, params []parameter) *engine.Backend {
	return &engine.Backend{ID: 1, Key: key, State: &backendState{params: append([]parameter(nil), params...)}}
}

func (s *stage) note(format string, args ...any) {
	s.events = append(s.events, fmt.Sprintf(format, args...))
}

func (s *stage) ToClient(p []byte) {
	if s.ended {
		s.t.Error("wrote to a client that is gone")
	}
	s.toClient = append(s.toClient, p...)
}

func (s *stage) ToBackend(p []byte) {
	if s.backend == nil {
		s.t.Error("wrote to a backend that is not held")
	}
	s.toBackend = append(s.toBackend, p...)
}

func (s *stage) Borrow(engine.Want) *engine.Backend {
	if s.backend != nil || s.waiting {
		s.t.Error("borrowed twice")
	}
	if s.free == nil {
		s.waiting = true
		s.note("wait")
		return nil
	}
	s.backend, s.free = s.free, nil
	return s.backend
}

func (s *stage) Idle() bool {
	if s.backend == nil {
		s.t.Error("gave back what it does not hold")
	}
	if s.pins != 0 {
		return false
	}
	s.note("idle")
	s.backend, s.free = nil, s.backend
	return true
}

func (s *stage) Discard(error) { s.backend = nil }

func (s *stage) Report(e engine.Event) engine.Action {
	switch {
	case e.Restorable:
		return engine.Restore
	case e.Kind == engine.KindReset:
		s.pins = 0
		s.note("%v", e.Kind)
		return engine.Ignore
	case e.Undo:
		s.pins &^= 1 << e.Kind
		s.note("undo %v", e.Kind)
		return engine.Ignore
	case s.ignores.has(e.Kind):
		s.note("%v ignored", e.Kind)
		return engine.Ignore
	default:
		s.pins.add(e.Kind)
	}
	s.note("%v", e.Kind)
	return engine.Pin
}

func (s *stage) Aside(func(context.Context) func(engine.Wire)) { s.t.Fatal("nothing is done aside") }

func (s *stage) Kill(uint32, engine.KillScope) error { return nil }
func (s *stage) Outdate(user, database string)       { s.note("outdate %s/%s", user, database) }
func (s *stage) Become(string, string, string) error { return nil }

func (s *stage) Observe(m engine.Moment) {
	switch m {
	case engine.RequestBegan:
		s.under++
	case engine.RequestEnded:
		s.under--
	}
}

func (s *stage) Close(error) {
	s.note("close")
	s.ended, s.backend = true, nil
}

// client gives the machine p of its client, and all that waits.
func (s *stage) client(p []byte) {
	s.inClient = append(s.inClient, p...)
	for len(s.inClient) > 0 && !s.waiting && !s.ended {
		held := s.backend
		if s.declines && !s.m.Busy() && s.m.Decline(s.inClient, engine.ErrCanceled, s) {
			s.declines = false
		}
		n, err := s.m.FromClient(s.inClient, s)
		if n < 0 || n > len(s.inClient) {
			s.t.Fatalf("consumed %d of %d", n, len(s.inClient))
		}
		s.inClient = s.inClient[n:]
		if err != nil {
			s.note("client broke the protocol")
			s.ended = true
		}
		s.check()
		if n == 0 && held == s.backend {
			return
		}
	}
}

func (s *stage) server(p []byte) {
	s.inBackend = append(s.inBackend, p...)
	if s.ended || s.backend == nil {
		return
	}
	n, err := s.m.FromBackend(s.inBackend, s)
	if n < 0 || n > len(s.inBackend) {
		s.t.Fatalf("consumed %d of %d", n, len(s.inBackend))
	}
	s.inBackend = s.inBackend[n:]
	s.check()
	if err != nil {
		s.note("backend broke the protocol")
		s.backend, s.inBackend = nil, nil
		s.m.BackendLost(err, s)
	}
	s.client(nil)
}

// lose ends the held backend's connection. There is another one.
func (s *stage) lose() {
	if s.backend == nil || s.ended {
		return
	}
	s.free = &engine.Backend{Key: s.backend.Key, State: newBackendState(7, nil, s.backend.State.(*backendState).params)}
	s.backend, s.inBackend = nil, nil
	s.m.BackendLost(engine.ErrBackendClosed, s)
	s.check()
	s.client(nil)
}

// grant ends a wait with b.
func (s *stage) grant(b *engine.Backend) {
	s.waiting, s.backend = false, b
	s.m.Granted(b, s)
	s.check()
	s.client(nil)
}

func (s *stage) refuse(err error) {
	s.waiting = false
	s.m.Refused(err, s)
	s.client(nil)
}

// check states what always holds.
func (s *stage) check() {
	s.t.Helper()
	m := s.m
	q := &m.queue
	ready := 0
	for i := range q.n {
		if q.at(i).readies() {
			ready++
		}
	}
	ops := 0
	for i := range q.n {
		if *q.at(i)&answerNamed != 0 {
			ops++
		}
	}
	inFlight := 0
	for i := range q.n {
		if a := *q.at(i); a.kind() == answerParse && a&answerUnnamed != 0 && a&answerSwallow == 0 {
			inFlight++
		}
	}
	switch {
	case m.reading.closed || s.ended:
	case ready != int(q.ready):
		s.t.Fatalf("queue counts %d readies, has %d", q.ready, ready)
	case ops != len(m.named.ops)-m.named.head:
		s.t.Fatalf("%d answers about named statements, %d noted", ops, len(m.named.ops)-m.named.head)
	case q.n > maxAnswers:
		s.t.Fatalf("%d answers expected", q.n)
	case q.n > 0 && m.backend == nil:
		s.t.Fatal("answers expected of no backend")
	case inFlight != int(m.unnamed.inFlight):
		s.t.Fatalf("%d unnamed statements in flight, counted %d", inFlight, m.unnamed.inFlight)
	case (m.backend == nil) != (s.backend == nil):
		s.t.Fatal("the machine and the core disagree about who has a backend")
	case m.backend != nil && m.lend.ready && !q.empty():
		s.t.Fatal("ready, and yet answers are expected")
	}
}

// step is what one side says.
type step struct {
	// side is "client" or "server"; or what happens: "another" (session used the backend), "other backend" (is free), "first backend" (is free again), "busy" (there is no backend),
	// "granted" (there is one again), "refuse", "cancel", "lost" (the backend is), "decline" (what the client requests next).
	side string
	what string
}

// run plays steps with bytes cut in pieces by cut, and returns what the machine did.
func run(t testing.TB, steps []step, cut func(left int) int) *stage {
	s := newStage(t)
	first := s.free
	var spare *engine.Backend
	for _, st := range steps {
		p := messages(st.what)
		switch st.side {
		case "another":
			s.free.State.(*backendState).unnamed = statementID{99, 1}
			s.free.State.(*backendState).values = 99
			continue
		case "lost":
			s.lose()
			continue
		case "other backend":
			s.free = &engine.Backend{Key: s.free.Key, State: newBackendState(7, nil, s.free.State.(*backendState).params)}
			continue
		case "first backend":
			s.free = first
			continue
		case "busy":
			spare, s.free = s.free, nil
			continue
		case "granted":
			s.grant(spare)
			continue
		case "decline":
			s.declines = true
			continue
		case "refuse":
			s.refuse(engine.ErrBorrowTimeout)
			continue
		case "cancel":
			s.refuse(engine.ErrCanceled)
			continue
		}
		for len(p) > 0 {
			n := max(1, min(cut(len(p)), len(p)))
			if st.side == "client" {
				s.client(p[:n])
			} else {
				s.server(p[:n])
			}
			p = p[n:]
		}
	}
	return s
}

// cuttings are the ways in which bytes may arrive.
func cuttings() map[string]func(int) int {
	r := rand.New(rand.NewPCG(1, 2))
	return map[string]func(int) int{
		"all at once":    func(left int) int { return left },
		"byte by byte":   func(int) int { return 1 },
		"random pieces":  func(left int) int { return 1 + r.IntN(left) },
		"header by body": func(left int) int { return 5 },
	}
}

type relayCase struct {
	name      string
	steps     []step
	toBackend string
	toClient  string
	events    string
}

func runCases(t *testing.T, cases []relayCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for how, cut := range cuttings() {
				s := run(t, c.steps, cut)
				if got := describeMessages(t, s.toBackend, true); got != c.toBackend {
					t.Errorf("%s: to the backend\n got %s\nwant %s", how, got, c.toBackend)
				}
				if got := describeMessages(t, s.toClient, false); got != c.toClient {
					t.Errorf("%s: to the client\n got %s\nwant %s", how, got, c.toClient)
				}
				if got := strings.Join(s.events, ", "); got != c.events {
					t.Errorf("%s: events\n got %s\nwant %s", how, got, c.events)
				}
			}
		})
	}
}
