package loop

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

func echo(p *probe) func([]byte) int {
	return func(b []byte) int { p.Write(b); return len(b) }
}

func TestEveryByteComesOnceInOrderWhateverTheChunks(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	p.data = echo(p)
	b := open(t, l, p)
	want := noise(1, 3<<20)
	go func() {
		for rest, n := want, 1; len(rest) > 0; n = n*7%90001 + 1 {
			n := min(n, len(rest))
			send(t, b, rest[:n])
			rest = rest[n:]
		}
	}()
	if got := receive(t, b, len(want)); !bytes.Equal(got, want) {
		t.Error("other bytes came back")
	}
	on(t, l, func() { check(t, l) })
}

func TestWhatIsNotConsumedComesAgainWithTheNextBytesAndByRedeliver(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	seen := make(chan string, 10)
	take := 0
	p.data = func(b []byte) int { seen <- string(b); return min(take, len(b)) }
	b := open(t, l, p)
	for _, step := range []struct{ sent, want string }{{"abc", "abc"}, {"def", "abcdef"}} {
		send(t, b, []byte(step.sent))
		if got := await(t, seen, "data"); got != step.want {
			t.Fatalf("got %q, want %q", got, step.want)
		}
	}
	on(t, l, func() {
		take = 2
		p.Redeliver()
		if p.Held() != 4 {
			t.Errorf("%d bytes held", p.Held())
		}
		p.Pause()
		p.Redeliver() // paused: nothing
		p.Resume()
	})
	if got := await(t, seen, "data"); got != "abcdef" {
		t.Errorf("redelivered %q", got)
	}
	on(t, l, func() { take = 100 })
	send(t, b, []byte("g"))
	if got := await(t, seen, "data"); got != "cdefg" {
		t.Errorf("got %q", got)
	}
	on(t, l, func() {
		if p.Held() != 0 || len(seen) != 0 {
			t.Error("something is held, or came twice")
		}
		p.Redeliver() // nothing to give
		check(t, l)
	})
}

func TestRedeliverFromWithinOnDataComesAfterIt(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	depth, calls := 0, 0
	done := make(chan struct{})
	p.data = func(b []byte) int {
		calls++
		if depth++; depth > 1 {
			t.Error("OnData was called within OnData")
		}
		defer func() { depth-- }()
		p.Redeliver()
		switch calls {
		case 1:
			return 0 // not even then is the second call lost
		case 2:
			return 1
		default:
			close(done)
			return len(b)
		}
	}
	b := open(t, l, p)
	send(t, b, []byte("abc"))
	await(t, done, "the third call")
}

func TestAStreamThatHoldsTheMostStopsReadingAndGoesOnWhenLess(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	consume := false
	most := 0
	p.data = func(b []byte) int {
		most = max(most, len(b))
		if consume {
			p.collect(b)
			return len(b)
		}
		return 0
	}
	b := open(t, l, p)
	want := noise(2, 8<<20)
	sent := make(chan struct{})
	go func() { send(t, b, want); close(sent) }()
	for full := false; !full; {
		on(t, l, func() { full = p.Held() >= MaxHeld })
	}
	time.Sleep(20 * time.Millisecond)
	on(t, l, func() {
		if p.Held() >= MaxHeld+scratchSize {
			t.Errorf("holds %d bytes", p.Held())
		}
		check(t, l)
		consume = true
		p.Redeliver()
	})
	p.expect(t, want)
	await(t, sent, "the sender's end")
	if most >= MaxHeld+scratchSize {
		t.Errorf("held %d bytes at most", most)
	}
}

func TestAPausedStreamIsNotReadAndMissesNothing(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	b := open(t, l, p)
	on(t, l, p.Pause)
	send(t, b, []byte("last words"))
	b.Close()
	time.Sleep(20 * time.Millisecond)
	if got := p.bytes(); len(got) > 0 {
		t.Errorf("%q came to a paused stream", got)
	}
	on(t, l, p.Resume)
	if err := await(t, p.closed, "OnClose"); !errors.Is(err, io.EOF) {
		t.Errorf("closed by %v", err)
	}
	p.expect(t, []byte("last words"))
}

func TestAResetOfAPausedStreamCostsNoProcessorAndIsToldOnResume(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	b := open(t, l, p)
	on(t, l, p.Pause)
	if err := b.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	time.Sleep(20 * time.Millisecond)
	on(t, l, func() {
		if s := p.Stream.(*stream); s.interest != 0 {
			t.Error("the poller still reports the hang-up")
		}
		p.Resume()
	})
	if err := await(t, p.closed, "OnClose"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("closed by %v", err)
	}
}

func TestOnWritableComesWhenASlowPeerHasTakenEnough(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	drained := make(chan int, 1)
	p.writable = func() { drained <- p.Buffered() }
	b := open(t, l, p)
	want := noise(3, 16<<20)
	on(t, l, func() {
		for rest := want; len(rest) > 0; rest = rest[min(len(rest), 100_000):] {
			p.Write(rest[:min(len(rest), 100_000)])
		}
		if p.Buffered() < MaxHeld {
			t.Errorf("only %d bytes are buffered", p.Buffered())
		}
	})
	on(t, l, func() { check(t, l) })
	if len(drained) > 0 {
		t.Error("OnWritable came at once")
	}
	if got := receive(t, b, len(want)); !bytes.Equal(got, want) {
		t.Error("other bytes came")
	}
	if left := await(t, drained, "OnWritable"); left >= MaxHeld/2 {
		t.Errorf("%d bytes are left", left)
	}
	on(t, l, func() {
		if len(drained) > 0 || p.Buffered() != 0 {
			t.Error("OnWritable came twice, or not all was sent")
		}
		check(t, l)
	})
}

func TestOnWritableComesEvenIfTheKernelTookAllAtOnce(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	drained := make(chan struct{}, 1)
	p.writable = func() { drained <- struct{}{} }
	b := open(t, l, p)
	size := 0
	on(t, l, func() {
		for p.Buffered() <= MaxHeld {
			p.Write(make([]byte, 1000))
			size += 1000
		}
	})
	receive(t, b, size)
	await(t, drained, "OnWritable")
}

func TestSmallWritesOfACallGoOutTogether(t *testing.T) {
	l := startLoop(t, 0, Options{})
	a, b := nonblockingPair(t)
	defer syscall.Close(b)
	p := newProbe()
	on(t, l, func() {
		var err error
		if p.Stream, err = l.Open(socket.Detached{FD: a}, p); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			p.Write([]byte("0123456789"))
		}
		if n, _ := syscall.Read(b, make([]byte, 1)); n > 0 {
			t.Error("output went out within the call")
		}
	})
	// They go out behind the call, which may have told us its end before: this read waits.
	if err := errors.Join(syscall.SetNonblock(b, false),
		syscall.SetsockoptTimeval(b, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 10})); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	if n, err := syscall.Read(b, got); n != 1000 || err != nil {
		t.Errorf("one read gets %d bytes, %v", n, err)
	}
}

func TestAWriteToAPeerThatIsGoneIsToldAfterWhatItSent(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	b := open(t, l, p)
	on(t, l, p.Pause)
	send(t, b, []byte("bye"))
	if err := b.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	time.Sleep(5 * time.Millisecond)
	on(t, l, func() { p.Write([]byte("anyone?")); p.Write(make([]byte, 100_000)) })
	on(t, l, func() {
		p.Write([]byte("no"))
		if p.Buffered() != 0 {
			t.Error("a broken stream stages")
		}
		p.Resume()
	})
	if err := await(t, p.closed, "OnClose"); err == nil {
		t.Error("no error")
	}
	p.expect(t, []byte("bye"))
}

func TestAClosedStreamDoesNothing(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	p.data = func(b []byte) int { p.Close(); return 0 }
	p.ended = func(error) { t.Error("OnClose after Close") }
	b := open(t, l, p)
	send(t, b, []byte("x"))
	if n, err := b.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
	on(t, l, func() {
		p.Close()
		p.Write([]byte("x"))
		p.Pause()
		p.Resume()
		p.Redeliver()
		p.SetHandler(nil)
		p.Park()
		p.Unpark()
		p.Finish(time.Second)
		if p.Buffered()+p.Held() != 0 {
			t.Error("a closed stream has bytes")
		}
		check(t, l)
	})
}

func TestSetHandlerChangesWhoIsCalled(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p, q := newProbe(), newProbe()
	b := open(t, l, p)
	send(t, b, []byte("one"))
	p.expect(t, []byte("one"))
	on(t, l, func() { p.SetHandler(q) })
	send(t, b, []byte("two"))
	q.expect(t, []byte("two"))
}

func TestWhatWasReceivedBeforeOpenComesFirstAndNotFromWithinOpen(t *testing.T) {
	l := startLoop(t, 0, Options{})
	a, b := tcpPair(t)
	send(t, b, []byte("peeked, and more"))
	c := socket.New(a)
	if got, err := c.Peek(6); string(got) != "peeked" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if got := string(receive(t, c, 8)); got != "peeked, " {
		t.Fatalf("%q", got)
	}
	c.Rest = []byte("login's rest ")
	d := detach(t, c)
	p := newProbe()
	on(t, l, func() {
		p.Stream, _ = l.Open(d, p)
		if len(p.bytes()) > 0 || p.Held() != len("login's rest ") {
			t.Error("OnData was called from within Open")
		}
		p.Pause()
	})
	on(t, l, func() {
		if len(p.bytes()) > 0 {
			t.Error("OnData was called while paused")
		}
		p.Resume()
	})
	p.expect(t, []byte("login's rest and more"))
}

func TestFinishSendsEverythingToASlowReaderThenCloses(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	p.ended = func(err error) { t.Errorf("OnClose(%v) after Finish", err) }
	b := open(t, l, p)
	want := noise(4, 8<<20)
	on(t, l, func() {
		p.Write(want)
		p.Finish(patience)
		p.Write([]byte("more"))
		p.Finish(0) // the first one holds
	})
	send(t, b, []byte("a late request, which must not reset the connection"))
	for rest := want; len(rest) > 0; {
		n := min(1<<20, len(rest))
		if got := receive(t, b, n); !bytes.Equal(got, rest[:n]) {
			t.Fatal("other bytes came")
		}
		rest = rest[n:]
		time.Sleep(time.Millisecond)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v", n, err)
	}
	send(t, b, []byte("x"))
	b.Close()
	awaitGone(t, l)
}

// awaitGone waits until l has no stream.
func awaitGone(t *testing.T, l *Poll) {
	t.Helper()
	for end, left := time.Now().Add(patience), 1; left > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d streams are left", left)
		}
		on(t, l, func() { left = len(l.slots.all) - len(l.slots.free); check(t, l) })
	}
}

func TestCloseWriteSendsEverythingThenTheEndAndGoesOnReading(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	b := open(t, l, p)
	want := noise(7, 4<<20)
	on(t, l, func() {
		p.Write(want)
		p.CloseWrite()
		p.Write([]byte("more"))
		p.CloseWrite()
	})
	if got, err := io.ReadAll(b); !bytes.Equal(got, want) || err != nil {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	send(t, b, []byte("heard"))
	p.expect(t, []byte("heard"))
	b.Close()
	if err := await(t, p.closed, "OnClose"); !errors.Is(err, io.EOF) {
		t.Errorf("closed by %v", err)
	}
	on(t, l, func() { p.CloseWrite(); check(t, l) })
}

func TestFinishIsBoundedInTime(t *testing.T) {
	for _, d := range []time.Duration{0, 50 * time.Millisecond} {
		l := startLoop(t, 0, Options{})
		stuck, silent := newProbe(), newProbe()
		open(t, l, stuck) // its peer reads nothing
		open(t, l, silent)
		begun := time.Now()
		on(t, l, func() {
			stuck.Write(make([]byte, 16<<20))
			stuck.Finish(d)
			silent.Finish(d)
		})
		awaitGone(t, l)
		if took := time.Since(begun); took < d || took > d+5*time.Second {
			t.Errorf("closed after %v, not %v", took, d)
		}
	}
}

func TestFinishAfterThePeersEndClosesAsSoonAsAllIsSent(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	p.ended = func(error) {
		p.Write([]byte("answer"))
		p.Finish(time.Hour)
	}
	b := open(t, l, p)
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	awaitGone(t, l)
}

func TestThousandsOfStreamsComeAndGo(t *testing.T) {
	l := startLoop(t, 0, Options{})
	for range 20 {
		var peers []*net.TCPConn
		for range 40 {
			p := newProbe()
			p.data = echo(p)
			peers = append(peers, open(t, l, p))
		}
		for i, b := range peers {
			send(t, b, []byte("ping"))
			receive(t, b, 4)
			if i%3 == 0 {
				_ = b.SetLinger(0)
			}
			b.Close()
		}
	}
	awaitGone(t, l)
	on(t, l, func() {
		if len(l.slots.all) > 100 {
			t.Errorf("%d slots for 40 streams at a time", len(l.slots.all))
		}
	})
}

func TestABrokenStreamIsToldThoughItIsPausedAndBufferedLittle(t *testing.T) {
	l := startLoop(t, 0, Options{})
	p := newProbe()
	told := make(chan bool, 2)
	p.writable = func() { told <- p.Broken() }
	b := open(t, l, p)
	on(t, l, p.Pause)
	send(t, b, []byte("bye"))
	if err := b.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	on(t, l, func() {
		if p.Broken() {
			t.Error("broken before anything was sent")
		}
	})
	time.Sleep(5 * time.Millisecond)
	on(t, l, func() { p.Write([]byte("anyone?")) })
	if !await(t, told, "OnWritable") {
		t.Error("a stream that says so is not broken")
	}
	on(t, l, p.Resume)
	await(t, p.closed, "OnClose")
	p.expect(t, []byte("bye"))
}
