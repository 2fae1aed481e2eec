package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	transfers = 5
	pause     = 1500 * time.Millisecond // at most, between two transactions of a client
)

// report is what became of a crowd.
type report struct {
	title, path string

	served       int           // clients that could log in
	login        time.Duration // until the last one had
	transactions int
	errors       int // refused logins and failed transactions
	first        error
	latencies    []time.Duration // of transactions, sorted
	connections  int             // the most that the server had at once
	pins         int             // of sessions to a connection, through Berth
	total        int             // money in the end
	wantTotal    int
	failure      error // of the demonstration itself
}

// crowd lets all clients log in at once and then, all of them being there, work.
func crowd(ctx context.Context, r *report, connect func(context.Context) (teller, error)) {
	var mu sync.Mutex // of r
	var tried, left sync.WaitGroup
	begin := time.Now()
	tried.Add(clients)
	for range clients {
		left.Go(func() {
			t, err := connect(ctx)
			mu.Lock()
			r.note(err)
			if err == nil {
				r.served++
				r.login = time.Since(begin)
			}
			mu.Unlock()
			tried.Done()
			if err != nil {
				return
			}
			defer t.close()
			tried.Wait()
			work(ctx, t, func(took time.Duration, err error) {
				mu.Lock()
				defer mu.Unlock()
				r.note(err)
				if err == nil {
					r.transactions++
					r.latencies = append(r.latencies, took)
				}
			})
		})
	}
	left.Wait()
	slices.Sort(r.latencies)
}

func (r *report) note(err error) {
	if err == nil {
		return
	}
	r.errors++
	if r.first == nil {
		r.first = err
	}
}

// work is what one client does. It leaves at its first error, as a connection in an unknown state is of no use.
func work(ctx context.Context, t teller, done func(time.Duration, error)) {
	for range transfers {
		time.Sleep(rand.N(pause))
		from := 1 + rand.N(accounts)
		to := 1 + rand.N(accounts-1)
		if to >= from {
			to++
		}
		begin := time.Now()
		err := t.transfer(ctx, from, to, 1+rand.N(10))
		done(time.Since(begin), err)
		if err != nil {
			return
		}
	}
}

// percentile of the latencies, 0 if there are none.
func (r *report) percentile(p int) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[(len(r.latencies)-1)*p/100]
}
