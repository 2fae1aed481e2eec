package failover

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

// clients is how many write at once.
const clients = 100

// under runs something while clients write, and checks the ledger afterwards. connect makes a client, read reads what is there.
func under(t *testing.T, connect func(context.Context) (ledger.Writer, error), read func() map[string]int, do func(b *ledger.Book, progress func())) {
	t.Helper()
	var (
		written atomic.Int64
		running sync.WaitGroup
		b       = ledger.NewBook()
		failed  = make(chan error, clients)
	)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for i := range clients {
		w, err := connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		running.Go(func() {
			if err := b.Load(ctx, w, i, func() { written.Add(1) }); err != nil {
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
	do(b, progress)
	stop()
	running.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	for _, err := range b.Check(read()) {
		t.Error(err)
	}
	done, unknown := b.Counts()
	t.Logf("%d writes were acknowledged, the outcome of %d is not known", done, unknown)
}
