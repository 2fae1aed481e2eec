package loop

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// still does as little as a handler can.
type still struct{ s Stream }

func (h *still) OnData(p []byte) int { h.s.Write(p); return len(p) }
func (*still) OnWritable()           {}
func (h *still) OnClose(error)       { h.s.Close() }
func (*still) OnWake(Loop) bool      { return true }

// offline is a loop that the test drives itself.
func offline(b testing.TB) *Poll {
	b.Helper()
	l, err := New(0, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Stop(); l.Run() })
	return l
}

// echoPlain returns what makes l echo a query of 100 bytes once, as one iteration.
func echoPlain(b testing.TB, l *Poll) func() {
	near, far := nonblockingPair(b)
	b.Cleanup(func() { syscall.Close(far) })
	h := &still{}
	var err error
	if h.s, err = l.Open(socket.Detached{FD: near}, h); err != nil {
		b.Fatal(err)
	}
	query, answer := make([]byte, 100), make([]byte, 200)
	return func() {
		if _, errno := rawWrite(far, query); errno != 0 {
			b.Fatal(errno)
		}
		l.iterate()
		if n, errno := rawRead(far, answer); n != 100 {
			b.Fatal(n, errno)
		}
	}
}

func TestAPlainQueryThatIsReadHandledAndAnsweredAllocatesNothing(t *testing.T) {
	l := offline(t)
	turn := echoPlain(t, l)
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEchoPlain(b *testing.B) {
	turn := echoPlain(b, offline(b))
	b.ReportAllocs()
	for b.Loop() {
		turn()
	}
}

func BenchmarkEchoTLS(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b.Run(tls.VersionName(version), func(b *testing.B) {
			l := offline(b)
			server, client := tlsConfigs(b, version)
			c, peer := tlsPair(b, server, client, true, nil)
			deadline(b, peer)
			if err := peer.SetDeadline(time.Time{}); err != nil {
				b.Fatal(err)
			}
			h := &still{}
			var err error
			if h.s, err = l.Open(detach(b, c), h); err != nil {
				b.Fatal(err)
			}
			query, answer := make([]byte, 100), make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				send(b, peer, query)
				for l.poller.poll() == 0 {
					runtime.Gosched()
				}
				l.iterate()
				if _, err := io.ReadFull(peer, answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type tally struct{ n atomic.Int64 }

func (t *tally) Run() { t.n.Add(1) }

func BenchmarkPost(b *testing.B) {
	l := startLoop(b, 0, Options{})
	t := &tally{}
	b.ReportAllocs()
	for n := int64(1); b.Loop(); n++ {
		l.Post(t)
		for n-t.n.Load() > 1000 {
			runtime.Gosched()
		}
	}
}

func BenchmarkPostToASleepingLoop(b *testing.B) {
	l := startLoop(b, 0, Options{})
	t := &tally{}
	b.ReportAllocs()
	for n := int64(1); b.Loop(); n++ {
		l.Post(t)
		for t.n.Load() < n {
			runtime.Gosched()
		}
	}
}

func BenchmarkTimerPutOff(b *testing.B) {
	var h Timers
	timers := make([]Timer, 10_000)
	for i := range timers {
		h.Schedule(&timers[i], time.Duration(i))
	}
	b.ReportAllocs()
	now := time.Duration(len(timers))
	for i := 0; b.Loop(); i++ {
		now++
		h.Schedule(&timers[i*7919%len(timers)], now)
	}
}

// idleBytes is what one of n idle plain streams of a loop costs. Nothing of them is left open when it returns.
func idleBytes(b testing.TB, n int) float64 {
	l, err := New(0, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { l.Stop(); l.Run() }() // closes the streams
	h := &still{}
	conns := make([]socket.Detached, n)
	for i := range conns {
		near, far := nonblockingPair(b)
		defer func() { _ = syscall.Close(far) }()
		conns[i] = socket.Detached{FD: near}
	}
	before := heap()
	for i, d := range conns {
		if _, err := l.Open(d, h); err != nil {
			b.Fatal(err)
		}
		conns[i] = socket.Detached{}
	}
	l.settle()
	return float64(heap()-before) / float64(n)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestAnIdlePlainStreamCostsLessThan400Bytes(t *testing.T) {
	if n := idleBytes(t, 200); n >= 400 {
		t.Errorf("%v bytes", n)
	}
}

func BenchmarkIdlePlain(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(idleBytes(b, 400), "B/stream")
	}
}

// BenchmarkIdleTLS counts what crypto/tls keeps of a connection too: what is freed when streams close that have been
// asked and have answered.
func BenchmarkIdleTLS(b *testing.B) {
	server, client := tlsConfigs(b, tls.VersionTLS13)
	server.ClientAuth = tls.NoClientCert
	for b.Loop() {
		l := offline(b)
		streams := make([]*still, 100)
		peers := make([]net.Conn, len(streams))
		for i := range streams {
			c, peer := tlsPair(b, server, client, true, nil)
			h := &still{}
			var err error
			if h.s, err = l.Open(detach(b, c), h); err != nil {
				b.Fatal(err)
			}
			streams[i], peers[i] = h, peer
			send(b, peer, make([]byte, 100))
			l.iterate()
			receive(b, peer, 100)
		}
		open := heap()
		for _, h := range streams {
			h.s.Close()
			h.s = nil
		}
		b.ReportMetric(float64(open-heap())/float64(len(streams)), "B/stream")
		runtime.KeepAlive(peers)
	}
}
