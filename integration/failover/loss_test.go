package failover

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

var (
	runs   = flag.Int("failover.runs", 1, "how often each writer is lost in each way")
	others = flag.String("failover.servers", "", "the servers that are lost, with blanks between them, instead of a few that differ from way to way")
	timing = harness.Keys{"interval": "500ms", "timeout": "500ms"} // health_check
)

// noticedWithin is an interval, a question and a login that time out, and a busy machine: far less than the minutes after which the kernel
// gives up what is not answered.
const noticedWithin = 1500*time.Millisecond + 5*time.Second

// way is how a writer is lost. It starts a pair, and returns what is laid over the target group, and what loses the writer.
type way func(t *testing.T, name string) (c *pair, group harness.Keys, lose func())

// killed is what a power failure does, but that the kernel tells who is connected.
func killed(t *testing.T, name string) (*pair, harness.Keys, func()) {
	c := startPair(t, name, true)
	return c, harness.Keys{}, func() {
		if err := c.primary.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// cutOff is a network that drops everything. The replica is cut off from the writer as everybody is.
func cutOff(t *testing.T, name string) (*pair, harness.Keys, func()) {
	r := harness.NewRemote(t)
	c := pairWith(t, name, true, r.Own)
	t.Cleanup(func() { // it would wait for its replica
		if err := c.primary.Crash(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, harness.Keys{"tls": harness.Keys{"server_name": "localhost"}, "health_check": timing}, func() { r.Cut(t) }
}

// hung is a server whose processes stand still.
func hung(t *testing.T, name string) (*pair, harness.Keys, func()) {
	c := startPair(t, name, true)
	return c, harness.Keys{"health_check": timing}, func() { c.primary.Hang(t) }
}

func TestNoAcknowledgedWriteIsLostOrDoubledWhenTheWriterIsKilled(t *testing.T) {
	lose(t, killed, chosen(t, "pg15", "pg18", "mysql97", "mariadb1011")...)
}

func TestNoAcknowledgedWriteIsLostOrDoubledWhenTheWriterIsCutOff(t *testing.T) {
	if names := chosen(t, "pg18", "mysql97", "mariadb1011"); harness.Isolated(t, names...) {
		lose(t, cutOff, names...)
	}
}

func TestNoAcknowledgedWriteIsLostOrDoubledWhenTheWriterHangs(t *testing.T) {
	lose(t, hung, chosen(t, "mysql97")...)
}

// chosen are the servers that the flags name, or else those given.
func chosen(t *testing.T, names ...string) []string {
	t.Helper()
	if *others != "" {
		names = strings.Fields(*others)
	}
	for _, name := range names {
		if kinds[name].connect == nil {
			t.Fatalf("%s is no server", name)
		}
	}
	return names
}

// lose loses a writer of each name, as often as the flags say, and prints how long it took. No connection is dropped; every write that
// was acknowledged is there once, and one whose outcome is unknown at most once. The loss is noticed within the configured time.
func lose(t *testing.T, how way, names ...string) {
	for _, name := range names {
		var all distribution
		for i := range *runs {
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) { all.add(failOver(t, name, how)) })
		}
		t.Logf("%s\n%s", name, all.table())
	}
}

// times are how long things took in one run.
type times struct {
	detected time.Duration // until the status said that the writer is down, from when it began to be lost
	// From when the replica took a write that did not come through the proxy, until writes through the proxy were acknowledged: the
	// first, the hundredth, and one of each client.
	first, hundredth, each time.Duration
}

// failOver loses the writer of a pair under load, promotes its replica, and waits until everybody writes.
func failOver(t *testing.T, name string, how way) (took times) {
	c, group, lose := how(t, name)
	p := c.serve(t, group)
	connect := func(ctx context.Context) (ledger.Writer, error) { return c.connect(ctx, p.Endpoint(name)) }
	under(t, connect, c.rows(t), func(b *ledger.Book, _ func()) {
		accepts := c.accepts(t)
		detected := make(chan time.Time, 1)
		go func() { detected <- down(t.Context(), p, name) }()
		began := time.Now()
		lose()
		if took.detected = (<-detected).Sub(began); took.detected > noticedWithin {
			t.Errorf("the loss was noticed after %s", took.detected)
		}
		if err := c.replica.Promote(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := <-accepts
		var acks []ledger.Ack
		harness.Eventually(t, settleWithin, "every client writes", func() bool {
			acks = b.Acknowledged(at)
			return len(acks) >= 100 && everybody(acks) < len(acks)
		})
		took.first, took.hundredth, took.each = acks[0].At.Sub(at), acks[99].At.Sub(at), acks[everybody(acks)].At.Sub(at)
	})
	return took
}

// everybody is the index of the acknowledgement behind which every client has had one, or how many there are.
func everybody(acks []ledger.Ack) int {
	seen := map[int]bool{}
	for i, a := range acks {
		if seen[a.Client] = true; len(seen) == clients {
			return i
		}
	}
	return len(acks)
}

// accepts writes to the replica, past the proxy, until it is let, and tells when that write began.
func (c *pair) accepts(t *testing.T) <-chan time.Time {
	t.Helper()
	at := make(chan time.Time, 1)
	r := read(t, c.replica.Endpoint)
	go func() {
		for ctx := t.Context(); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			began := time.Now()
			if _, err := r.ask(ctx, "insert into direct values ('x')"); err == nil {
				at <- began
				return
			}
		}
	}()
	return at
}

// down waits until the writer of a route is, and returns when it was seen to be.
func down(ctx context.Context, p *harness.Proxy, route string) time.Time {
	for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		if all, err := p.Targets(ctx, route); err == nil && all["primary"].State == "UNAVAILABLE" {
			break
		}
	}
	return time.Now()
}

// distribution is what came of several runs.
type distribution []times

func (d *distribution) add(t times) { *d = append(*d, t) }

// table shows the least, the middle, nine tenths and the most of them.
func (d *distribution) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d runs, milliseconds    min  median     p90     max\n", len(*d))
	for _, row := range []struct {
		name string
		of   func(times) time.Duration
	}{
		{"loss noticed", func(t times) time.Duration { return t.detected }},
		{"first write", func(t times) time.Duration { return t.first }},
		{"100th write", func(t times) time.Duration { return t.hundredth }},
		{"one of each client", func(t times) time.Duration { return t.each }},
	} {
		var all []time.Duration
		for _, each := range *d {
			all = append(all, row.of(each))
		}
		slices.Sort(all)
		fmt.Fprintf(&b, "%-20s", row.name)
		for _, part := range []int{0, 50, 90, 100} {
			at := max(0, (len(all)*part+99)/100-1)
			fmt.Fprintf(&b, "%8.1f", float64(all[at])/float64(time.Millisecond))
		}
		b.WriteString("\n")
	}
	return b.String()
}
