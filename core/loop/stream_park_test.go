package loop

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// shelf is a pool as streams see it: its lock says who has which member.
type shelf struct {
	mu    sync.Mutex
	idle  []*member
	all   []*member
	moves atomic.Int64
	wakes atomic.Int64
	ended atomic.Int64
}

// member is a handler of a stream that is lent to borrowers. Its fields belong to whoever has it.
type member struct {
	Stream
	t       testing.TB
	shelf   *shelf
	on      *Poll
	by      *borrower
	notices uint32 // seen; each has the number of those before
	late    bool   // to be put back when nothing is held any more
	sent    *atomic.Uint32
}

// take prefers what is on another loop than l.
func (s *shelf) take(r *rand.Rand, l *Poll) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	i := r.IntN(len(s.idle))
	for k, m := range s.idle {
		if m.on != l {
			i = k
		}
	}
	m := s.idle[i]
	s.remove(i)
	return m
}

func (s *shelf) remove(i int) {
	s.idle[i] = s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
}

func (m *member) OnWake(l Loop) bool {
	s := m.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, idle := range s.idle {
		if idle == m && m.on == l {
			s.remove(i)
			s.wakes.Add(1)
			m.late = true
			return true
		}
	}
	return false
}

// OnData takes frames: N and a number, or R, a length and the answer.
func (m *member) OnData(p []byte) int {
	consumed := 0
	for rest := p; len(rest) >= 5; rest = p[consumed:] {
		n := binary.BigEndian.Uint32(rest[1:])
		switch rest[0] {
		case 'N':
			if n != m.notices {
				m.t.Errorf("notice %d came after %d", n, m.notices)
			}
			m.notices++
			consumed += 5
			continue
		case 'R':
			if m.by == nil {
				m.t.Error("an answer that nobody awaits")
				return len(p)
			}
		default:
			m.t.Errorf("a frame of type %q", rest[0])
			return len(p)
		}
		if len(rest) < 5+int(n) {
			break
		}
		m.by.answered(rest[5 : 5+n])
		consumed += 5 + int(n)
		m.by = nil
		m.late = true
	}
	if m.late {
		m.on.Defer((*putBack)(m))
	}
	return consumed
}

type putBack member

func (t *putBack) Run() {
	m := (*member)(t)
	if !m.late || m.Held() > 0 {
		return // the rest of a notice is on its way
	}
	m.late = false
	m.Park()
	m.shelf.mu.Lock()
	m.shelf.idle = append(m.shelf.idle, m)
	m.shelf.mu.Unlock()
}

func (m *member) OnWritable() {}

func (m *member) OnClose(err error) {
	if !errors.Is(err, io.EOF) {
		m.t.Errorf("closed by %v", err)
	}
	m.Close()
	m.shelf.ended.Add(1)
}

// borrower asks one question after the other on whatever member is idle.
type borrower struct {
	t        testing.TB
	shelf    *shelf
	on       *Poll
	rand     *rand.Rand
	left     int
	question []byte
	again    Timer
	done     *sync.WaitGroup
}

func (b *borrower) Run() {
	if b.left == 0 {
		b.done.Done()
		return
	}
	m := b.shelf.take(b.rand, b.on)
	if m == nil {
		b.on.Schedule(&b.again, 0)
		return
	}
	if m.on == b.on {
		m.Unpark()
	} else {
		if err := m.MoveTo(b.on); err != nil {
			b.t.Error(err)
		}
		m.on = b.on
		b.shelf.moves.Add(1)
	}
	m.by = b
	size := b.rand.IntN(300)
	if b.rand.IntN(50) == 0 {
		size = 20_000
	}
	b.question = noise(b.rand.Uint64(), size)
	m.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
	m.Write(b.question)
	if b.rand.IntN(4) == 0 {
		m.Redeliver() // what is held of a notice
	}
}

func (b *borrower) answered(p []byte) {
	if string(p) != string(b.question) {
		b.t.Errorf("an answer of %d bytes to another question, of %d", len(p), len(b.question))
	}
	b.left--
	b.on.Post(b)
}

// speak answers questions on c, and says things that nobody asked for.
func speak(t testing.TB, c net.Conn, quiet <-chan struct{}, notices *atomic.Uint32, answering, noticing *sync.WaitGroup) {
	var mu sync.Mutex
	write := func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		for len(p) > 0 {
			n := min(len(p), 1+rand.IntN(9000))
			if _, err := c.Write(p[:n]); err != nil {
				t.Error(err)
				return
			}
			p = p[n:]
		}
	}
	answering.Go(func() {
		for {
			var head [4]byte
			if _, err := io.ReadFull(c, head[:]); err != nil {
				return
			}
			p := make([]byte, binary.BigEndian.Uint32(head[:]))
			if _, err := io.ReadFull(c, p); err != nil {
				return
			}
			write(append(append([]byte{'R'}, head[:]...), p...))
		}
	})
	noticing.Go(func() {
		for {
			select {
			case <-quiet:
				return
			case <-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond):
				n := notices.Load()
				write(binary.BigEndian.AppendUint32([]byte{'N'}, n))
				notices.Add(1)
			}
		}
	})
}

func TestStreamsThatMoveBetweenLoopsUnderTrafficLoseAndDoubleNothing(t *testing.T) {
	const members, borrowers, questions = 8, 6, 1000
	loops := []*Poll{startLoop(t, 0, Options{}), startLoop(t, 1, Options{})}
	s := &shelf{}
	quiet := make(chan struct{})
	var answering, noticing, done sync.WaitGroup
	var peers []net.Conn
	for i := range members {
		a, b := tcpPair(t)
		peers = append(peers, b)
		m := &member{t: t, shelf: s, on: loops[i%2], sent: new(atomic.Uint32)}
		d := detach(t, socket.New(a))
		d.Rest = binary.BigEndian.AppendUint32([]byte{'N'}, 0) // parked with what its login left
		m.sent.Store(1)
		on(t, m.on, func() {
			var err error
			if m.Stream, err = m.on.Open(d, m); err != nil {
				t.Error(err)
				return
			}
			m.Park()
			s.mu.Lock()
			s.idle = append(s.idle, m)
			s.all = append(s.all, m)
			s.mu.Unlock()
		})
		speak(t, b, quiet, m.sent, &answering, &noticing)
	}
	done.Add(borrowers)
	for i := range borrowers {
		b := &borrower{
			t: t, shelf: s, on: loops[i%2], left: questions, done: &done, rand: rand.New(rand.NewPCG(uint64(i), 7)),
		}
		b.again.Task = b
		b.on.Post(b)
	}
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(2 * time.Minute):
		t.Fatal("the borrowers did not come to an end")
	}
	close(quiet)
	noticing.Wait()
	awaitNotices(t, s)
	for _, p := range peers {
		p.Close()
	}
	answering.Wait()
	for end := time.Now().Add(patience); s.ended.Load() != members; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d ends of %d were told on parked streams", s.ended.Load(), members)
		}
	}
	for _, l := range loops {
		on(t, l, func() { check(t, l) })
		awaitGone(t, l)
	}
	// How many there are is the scheduler's choice: it must not have been a test of something else.
	if s.moves.Load() < questions/4 || s.wakes.Load() < questions/20 {
		t.Errorf("only %d moves and %d wakes", s.moves.Load(), s.wakes.Load())
	}
}

// awaitNotices waits until all members are idle and have seen every notice.
func awaitNotices(t *testing.T, s *shelf) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		seen := 0
		s.mu.Lock()
		for _, m := range s.idle {
			if m.notices == m.sent.Load() {
				seen++
			}
		}
		s.mu.Unlock()
		if seen == len(s.all) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d streams of %d are idle with all notices", seen, len(s.all))
		}
	}
}

func TestAnEventOfAParkedStreamThatSomebodyElseHasTouchesNothing(t *testing.T) {
	l, other := startLoop(t, 0, Options{}), startLoop(t, 1, Options{})
	p := newProbe()
	asked := make(chan struct{}, 1)
	p.wake = func(on Loop) bool {
		if on == Loop(l) {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
		return false // lent to other, which has not come to take it
	}
	b := open(t, l, p)
	on(t, l, p.Park)
	send(t, b, []byte("hello"))
	await(t, asked, "OnWake")
	on(t, other, func() {
		if err := p.MoveTo(other); err != nil {
			t.Error(err)
		}
		p.Write([]byte("there"))
	})
	p.expect(t, []byte("hello"))
	if got := string(receive(t, b, 5)); got != "there" {
		t.Errorf("got %q", got)
	}
	on(t, l, func() { check(t, l) })
	awaitGone(t, l)
	on(t, other, func() { check(t, other); p.Close() })
}

func TestAFailureThatIsPendingWhenAStreamParksIsTold(t *testing.T) {
	for _, move := range []bool{false, true} {
		l, other := startLoop(t, 0, Options{}), startLoop(t, 1, Options{})
		p := newProbe()
		woken := make(chan struct{}, 1)
		p.wake = func(Loop) bool { woken <- struct{}{}; return !move }
		b := open(t, l, p)
		if err := b.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		on(t, l, func() {
			b.Close()
			time.Sleep(5 * time.Millisecond)
			p.Write(make([]byte, directly)) // fails at once
			p.Park()
			if move {
				p.wake = func(Loop) bool { return false }
				on(t, other, func() {
					if err := p.MoveTo(other); err != nil {
						t.Error(err)
					}
				})
			}
		})
		if !move {
			await(t, woken, "OnWake")
		}
		if err := await(t, p.closed, "OnClose"); err == nil {
			t.Error("no error")
		}
	}
}

func TestParkingAStreamThatIsInUseIsABug(t *testing.T) {
	l := startLoop(t, 0, Options{})
	misuse := map[string]func(p *probe){
		"with output that nobody takes": func(p *probe) { p.Write(make([]byte, 64<<20)) },
		"twice":                         func(p *probe) { p.Park() },
		"finishing":                     func(p *probe) { p.Finish(time.Second) },
	}
	for name, prepare := range misuse {
		p := newProbe()
		open(t, l, p)
		before := l.Panics()
		on(t, l, func() { prepare(p); p.Park() })
		on(t, l, func() {})
		if l.Panics() != before+1 {
			t.Errorf("parked %s without complaint", name)
		}
	}
	p := newProbe()
	p.data = func([]byte) int { p.Park(); return 0 }
	b := open(t, l, p)
	send(t, b, []byte("x"))
	var caught *PanicError
	if err := await(t, p.closed, "OnClose"); !errors.As(err, &caught) {
		t.Errorf("parked while delivering: %v", err)
	}
	q := newProbe()
	open(t, l, q)
	before := l.Panics()
	on(t, l, func() { _ = q.MoveTo(l) })
	on(t, l, func() {})
	if l.Panics() != before+1 {
		t.Error("moved without being parked")
	}
}

func TestATokenOfASlotThatWasFreedIsNotTakenForTheNextStreams(t *testing.T) {
	var s slots
	first, second := &stream{}, &stream{}
	i, _ := s.take(first, 1)
	old := s.token(i)
	s.release(old)
	j, _ := s.take(second, 2)
	if i != j || s.token(j) == old {
		t.Fatal("the slot is not used again, or has the same token")
	}
	s.release(old) // late, and harmless
	if s.at(old) != nil || s.at(wakeToken) != nil || s.at(s.token(j)).stream != second {
		t.Error("a stale token finds a stream")
	}
}
