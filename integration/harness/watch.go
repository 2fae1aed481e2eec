package harness

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Connections is what a server says of a user's connections.
type Connections struct {
	Open          int
	InTransaction int
}

// sampleEvery is the pause between two looks at the server.
const sampleEvery = 5 * time.Millisecond

// Watch samples the connections of one user at a server.
type Watch struct {
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	most    Connections
	samples int
	err     error
}

// NewWatch begins to sample, over a connection of its own that is open before it returns.
func NewWatch(ctx context.Context, s *Server, user string) (*Watch, error) {
	count, end, err := s.counter(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", s.Name, err)
	}
	if _, err := count(ctx); err != nil {
		end()
		return nil, fmt.Errorf("watch %s: %w", s.Name, err)
	}
	ctx, stop := context.WithCancel(ctx)
	w := &Watch{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer end()
		for ctx.Err() == nil {
			w.sample(ctx, count)
			select {
			case <-ctx.Done():
			case <-time.After(sampleEvery):
			}
		}
	}()
	return w, nil
}

func (w *Watch) sample(ctx context.Context, count func(context.Context) (Connections, error)) {
	c, err := count(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil && w.err == nil {
			w.err = err
		}
		return
	}
	w.samples++
	w.most.Open = max(w.most.Open, c.Open)
	w.most.InTransaction = max(w.most.InTransaction, c.InTransaction)
}

// Most is the largest number seen so far.
func (w *Watch) Most() Connections {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// Stop ends the watch and returns the largest number seen.
func (w *Watch) Stop() (Connections, error) {
	w.stop()
	<-w.done
	if w.err != nil {
		return w.most, fmt.Errorf("counting connections: %w", w.err)
	}
	return w.most, nil
}
