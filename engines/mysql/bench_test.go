package mysql

import (
	"context"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// sink is a Wire that costs nothing.
type sink struct {
	b    *engine.Backend
	held bool
	pin  bool
	n    int
}

func (s *sink) ToClient(p []byte)  { s.n += len(p) }
func (s *sink) ToBackend(p []byte) { s.n += len(p) }
func (s *sink) Borrow(engine.Want) *engine.Backend {
	s.held = true
	return s.b
}
func (s *sink) Idle() bool {
	s.held = s.pin
	return !s.pin
}
func (s *sink) Discard(error) { s.held = false }
func (s *sink) Report(e engine.Event) engine.Action {
	if e.Restorable {
		return engine.Restore
	}
	return engine.Pin
}
func (*sink) Aside(func(context.Context) func(engine.Wire)) { panic("nothing is done aside") }
func (*sink) Kill(uint32, engine.KillScope) error           { return nil }
func (*sink) Close(error)                                   {}
func (*sink) Outdate(string, string)                        {}
func (*sink) Become(string, string, string) error           { return nil }
func (*sink) Observe(engine.Moment)                         {}

func benchmarkRequest(b *testing.B, caps uint32, request, answer []byte, pin bool) {
	m := newMachine(New(Config{Credentials: users(native)}), sessionInfo{id: 7, key: keyOf("app", "", caps, 45),
		capabilities: caps, charset: 45, sequence: 2}).(*Machine)
	w := &sink{b: &engine.Backend{State: &backendState{}}, pin: pin}
	m.Start(w)
	in, out := make([]byte, len(request)), make([]byte, len(answer))
	b.ReportAllocs()
	for b.Loop() {
		copy(in, request)
		copy(out, answer)
		if _, err := m.FromClient(in, w); err != nil {
			b.Fatal(err)
		}
		if _, err := m.FromBackend(out, w); err != nil {
			b.Fatal(err)
		}
	}
	if m.Busy() {
		b.Fatal("still busy")
	}
}

var pointSelect = query("SELECT c FROM sbtest1 WHERE id=500")

func BenchmarkPointSelect(b *testing.B) {
	answer := reply("\x01", columnOne, "\x0512345", endMySQL)
	for name, caps := range map[string]uint32{"old": oldClient, "modern": modernClient, "tracking": trackedModern} {
		b.Run(name, func(b *testing.B) { benchmarkRequest(b, caps, pointSelect, answer, false) })
	}
}

// prepared is a machine with a statement of one parameter, which the client knows by id.
func prepared(tb testing.TB, caps uint32, w *sink) (m *Machine, id uint32) {
	m = newMachine(New(Config{Credentials: users(native)}), sessionInfo{id: 7, key: keyOf("app", "", caps, 45),
		capabilities: caps, charset: 45, sequence: 2}).(*Machine)
	m.Start(w)
	if _, err := m.FromClient(command(protocol.COM_STMT_PREPARE, "SELECT c FROM sbtest1 WHERE id=?"), w); err != nil {
		tb.Fatal(err)
	}
	if _, err := m.FromBackend(prepareOK(99, 1), w); err != nil {
		tb.Fatal(err)
	}
	return m, m.statements.last.id
}

// executions are a COM_STMT_EXECUTE with types, and its answer.
func executions(id uint32) (request, answer []byte) {
	return about(protocol.COM_STMT_EXECUTE, id, once+typed+seven), reply("\x01", columnOne, "\x00\x00\x0512345", endMySQL)
}

func BenchmarkExecute(b *testing.B) {
	for name, caps := range map[string]uint32{"old": oldClient, "modern": modernClient} {
		b.Run(name, func(b *testing.B) {
			w := &sink{b: &engine.Backend{State: &backendState{}}}
			m, id := prepared(b, caps, w)
			request, answer := executions(id)
			in, out := make([]byte, len(request)), make([]byte, len(answer))
			b.ReportAllocs()
			for b.Loop() {
				copy(in, request)
				copy(out, answer)
				if n, err := m.FromClient(in, w); err != nil || n != len(in) {
					b.Fatal(n, err)
				}
				if n, err := m.FromBackend(out, w); err != nil || n != len(out) {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func TestExecutingAllocatesNothing(t *testing.T) {
	w := &sink{b: &engine.Backend{State: &backendState{}}}
	m, id := prepared(t, modernClient, w)
	request, answer := executions(id)
	in, out := make([]byte, len(request)), make([]byte, len(answer))
	if n := testing.AllocsPerRun(100, func() {
		copy(in, request)
		copy(out, answer)
		_, _ = m.FromClient(in, w)
		_, _ = m.FromBackend(out, w)
	}); n != 0 || w.held {
		t.Errorf("%v allocations, held %v", n, w.held)
	}
}

func BenchmarkThousandRows(b *testing.B) {
	packets := []string{"\x01", columnOne}
	for range 1000 {
		packets = append(packets, "\x1412345678901234567890")
	}
	answer := reply(append(packets, endMySQL)...)
	for name, caps := range map[string]uint32{"old": oldClient, "modern": modernClient} {
		b.Run(name, func(b *testing.B) { benchmarkRequest(b, caps, pointSelect, answer, false) })
	}
}

func BenchmarkScan(b *testing.B) {
	text := pointSelect[headerSize+1:]
	b.ReportAllocs()
	for b.Loop() {
		if scan(text, false, false).kinds != 0 {
			b.Fatal("pinned")
		}
	}
}

func TestAPlainQueryAllocatesNothing(t *testing.T) {
	for _, caps := range []uint32{oldClient, trackClient, modernClient, trackedModern} {
		m := newMachine(New(Config{Credentials: users(native)}), sessionInfo{id: 7, key: keyOf("app", "", caps, 45),
			capabilities: caps, charset: 45, sequence: 2}).(*Machine)
		w := &sink{b: &engine.Backend{State: &backendState{}}}
		m.Start(w)
		answer := reply("\x01", columnOne, "\x0512345", endMySQL)
		in, out := make([]byte, len(pointSelect)), make([]byte, len(answer))
		if n := testing.AllocsPerRun(100, func() {
			copy(in, pointSelect)
			copy(out, answer)
			_, _ = m.FromClient(in, w)
			_, _ = m.FromBackend(out, w)
		}); n != 0 {
			t.Errorf("capabilities %#x: %v allocations", caps, n)
		}
	}
}

// alternating returns what makes one of two sessions, whose settings differ and who take turns on one backend, execute a SELECT.
func alternating(tb testing.TB) (turn func(i int)) {
	w := &sink{b: &engine.Backend{State: &backendState{}}}
	var sessions [2]*Machine
	var restored [2][]byte
	for i, zone := range []string{"+01:00", "+02:00"} {
		m := newMachine(New(Config{Credentials: users(native)}), sessionInfo{id: 7, key: keyOf("app", "", modernClient, 45),
			capabilities: modernClient, charset: 45, sequence: 2}).(*Machine)
		m.Start(w)
		m.session.settings, _ = m.session.settings.with("time_zone", zone)
		sessions[i], restored[i] = m, reports("time_zone", zone)
	}
	answer := reply("\x01", columnOne, "\x0512345", endMySQL)
	in, out := make([]byte, len(pointSelect)), make([]byte, 256)
	return func(i int) {
		m := sessions[i%2]
		takes := func(want int) {
			copy(in, pointSelect)
			if n, err := m.FromClient(in, w); n != want || err != nil {
				tb.Fatalf("%d bytes of the request are taken, not %d: %v", n, want, err)
			}
		}
		gives := func(p []byte) {
			if n, err := m.FromBackend(out[:copy(out, p)], w); n != len(p) || err != nil {
				tb.Fatalf("%d bytes of an answer are taken, not %d: %v", n, len(p), err)
			}
		}
		takes(0)
		gives(restored[i%2])
		takes(len(in))
		gives(answer)
	}
}

func BenchmarkRestore(b *testing.B) {
	turn := alternating(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		turn(i)
		i++
	}
}

func TestRestoringWhatWasRestoredBeforeAllocatesNothing(t *testing.T) {
	turn := alternating(t)
	i := 0
	if n := testing.AllocsPerRun(100, func() {
		turn(i)
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
