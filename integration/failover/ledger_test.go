package failover

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// outcome is what a client concludes from the answer to a write.
type outcome int

const (
	done    outcome = iota
	nothing         // it is told that the write has no effect: it tries again
	unknown         // it is told that nobody knows
)

// writer is a client with one connection, which it keeps whatever happens.
type writer interface {
	// single inserts a row, pair inserts two in one transaction.
	single(ctx context.Context, id string) error
	pair(ctx context.Context, id string) error
	// outcome judges an error. It returns an error for what no client should see.
	outcome(err error) (outcome, error)
	close()
}

// ledger is what clients were told about what they wrote. Each write has an id of its own; there is no constraint that keeps
// it from being there twice.
type ledger struct {
	mu    sync.Mutex
	rows  map[string]int // by id, how many there must be; maybe for either all of them or none
	maybe map[string]int
	acks  []ack // of rows, in the order in which they came
}

// ack is when a client was told that its write is done.
type ack struct {
	at     time.Time
	client int
}

func newLedger() *ledger { return &ledger{rows: map[string]int{}, maybe: map[string]int{}} }

// check compares what is there with what was told.
func (l *ledger) check(t *testing.T, found map[string]int) {
	t.Helper()
	for id, n := range l.rows {
		if found[id] != n {
			t.Errorf("%s: %d rows were acknowledged, %d are there", id, n, found[id])
		}
	}
	for id, n := range l.maybe {
		if got := found[id]; got != 0 && got != n {
			t.Errorf("%s: %d rows of a write with unknown outcome, which made %d", id, got, n)
		}
	}
	for id := range found {
		if l.rows[id]+l.maybe[id] == 0 {
			t.Errorf("%s is there, and was not written", id)
		}
	}
}

// load writes with w until ctx ends: single rows and pairs by turns. A write that had no effect is tried again.
func (l *ledger) load(ctx context.Context, w writer, number int, written *atomic.Int64) error {
	for i := 0; ctx.Err() == nil; i++ {
		id, n, write := fmt.Sprintf("%d/%d", number, i), 1, w.single
		if i%2 == 1 {
			n, write = 2, w.pair
		}
		for {
			// The context does not break off a write: the client waits for its answer.
			o, err := w.outcome(write(context.WithoutCancel(ctx), id))
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			if o == nothing {
				continue
			}
			written.Add(1)
			l.mu.Lock()
			if o == done {
				l.rows[id] = n
				l.acks = append(l.acks, ack{time.Now(), number})
			} else {
				l.maybe[id] = n
			}
			l.mu.Unlock()
			break
		}
	}
	return nil
}

// clients is how many write at once.
const clients = 100

// acknowledged are the acknowledgements that came after at.
func (l *ledger) acknowledged(at time.Time) []ack {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks[sort.Search(len(l.acks), func(i int) bool { return l.acks[i].at.After(at) }):]
}

// under runs something while clients write, and checks the ledger afterwards. connect makes a client, read reads what is there.
func under(t *testing.T, connect func(context.Context) (writer, error), read func() map[string]int, do func(l *ledger, progress func())) {
	t.Helper()
	var (
		written atomic.Int64
		running sync.WaitGroup
		l       = newLedger()
		failed  = make(chan error, clients)
	)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range clients {
		w, err := connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		running.Go(func() {
			if err := l.load(ctx, w, i, &written); err != nil {
				failed <- err
			}
		})
	}
	progress := func() {
		t.Helper()
		at := written.Load() + 2*clients
		harness.Eventually(t, settleWithin, "the clients write", func() bool { return written.Load() > at || len(failed) > 0 })
	}
	progress()
	do(l, progress)
	stop()
	running.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	l.check(t, read())
	t.Logf("%d writes were acknowledged, the outcome of %d is not known", len(l.rows), len(l.maybe))
}

// errDropped is what no client should see.
var errDropped = errors.New("the connection was dropped")

// counted reads the rows of a ledger: an id, and how often it is there.
func counted(t *testing.T, rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
},
) map[string]int {
	t.Helper()
	found := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			t.Fatal(err)
		}
		found[id] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
