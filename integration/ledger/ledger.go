// Package ledger keeps what clients were told about what they wrote, and compares it with what is there: each write that was
// acknowledged exactly once, one with an unknown outcome in full or not at all, and nothing else.
//
// Each write has an id of its own, and the table of a ledger (ledger, with one column, id) has no constraint that keeps an id from being
// there twice.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"
)

// Outcome is what a client concludes from the answer to a write.
type Outcome int

const (
	Done    Outcome = iota
	Nothing         // it is told that the write has no effect: it may try again
	Unknown         // it is told that nobody knows
)

// ErrDropped is a connection that ended. No client should see it unless its proxy's process ends, or it broke the connection itself.
var ErrDropped = errors.New("the connection was dropped")

// Writer is a client with one connection, which it keeps whatever happens.
type Writer interface {
	// Single inserts a row, Pair inserts two in one transaction.
	Single(ctx context.Context, id string) error
	Pair(ctx context.Context, id string) error
	// Outcome judges an error. It returns an error for what no client should see.
	Outcome(err error) (Outcome, error)
	Close()
}

// Book is a ledger. Its methods may be called from any goroutine.
type Book struct {
	mu    sync.Mutex
	rows  map[string]int // by id, how many there must be; maybe for either all of them or none
	maybe map[string]int
	acks  []Ack // of rows, in the order in which they came
}

// Ack is when a client was told that its write is done.
type Ack struct {
	At     time.Time
	Client int
}

func NewBook() *Book { return &Book{rows: map[string]int{}, maybe: map[string]int{}} }

// Note notes what a client was told of a write of so many rows.
func (b *Book) Note(client int, id string, rows int, o Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch o {
	case Done:
		b.rows[id] = rows
		b.acks = append(b.acks, Ack{time.Now(), client})
	case Unknown:
		b.maybe[id] = rows
	case Nothing:
	}
}

// Load writes with w until ctx ends: single rows and pairs by turns, each noted. A write that had no effect is tried again.
func (b *Book) Load(ctx context.Context, w Writer, client int, noted func()) error {
	for i := 0; ctx.Err() == nil; i++ {
		id, rows, write := fmt.Sprintf("%d/%d", client, i), 1, w.Single
		if i%2 == 1 {
			rows, write = 2, w.Pair
		}
		for o := Nothing; o == Nothing; {
			// The context does not break off a write: the client waits for its answer.
			var err error
			if o, err = w.Outcome(write(context.WithoutCancel(ctx), id)); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			b.Note(client, id, rows, o)
		}
		noted()
	}
	return nil
}

// Check compares what is there, by id how often, with what was told. It returns an error for each difference.
func (b *Book) Check(found map[string]int) (errs []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, n := range b.rows {
		if found[id] != n {
			errs = append(errs, fmt.Errorf("%s: %d rows were acknowledged, %d are there", id, n, found[id]))
		}
	}
	for id, n := range b.maybe {
		if got := found[id]; got != 0 && got != n {
			errs = append(errs, fmt.Errorf("%s: %d rows of a write with unknown outcome, which made %d", id, got, n))
		}
	}
	for id := range found {
		if b.rows[id]+b.maybe[id] == 0 {
			errs = append(errs, fmt.Errorf("%s is there, and was not written", id))
		}
	}
	return errs
}

// Counts is how many writes were acknowledged, and how many have an unknown outcome.
func (b *Book) Counts() (acknowledged, unknown int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rows), len(b.maybe)
}

// Acknowledged are the acknowledgements that came after at.
func (b *Book) Acknowledged(at time.Time) []Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.acks[sort.Search(len(b.acks), func(i int) bool { return b.acks[i].At.After(at) }):]
}

// counted reads the rows of a ledger: an id, and how often it is there.
func counted(rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
},
) (map[string]int, error) {
	found := map[string]int{}
	for rows.Next() {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		found[id] = n
	}
	return found, rows.Err()
}
