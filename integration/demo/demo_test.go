package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func good(path string) report {
	r := report{
		title: "X", path: path, served: clients, transactions: clients * transfers, connections: budget,
		total: accounts * balance, wantTotal: accounts * balance,
	}
	if path == "direct" {
		r.served, r.errors = 47, clients-47
	}
	return r
}

func TestTheVerdictFindsWhatIsWrong(t *testing.T) {
	if err := verdict([]report{good("direct"), good("Berth")}); err != nil {
		t.Errorf("a good run: %v", err)
	}
	for name, c := range map[string]struct {
		path   string
		change func(*report)
		want   string
	}{
		"error":             {"Berth", func(r *report) { r.errors, r.first = 1, errors.New("broken") }, "1 errors, the first: broken"},
		"over budget":       {"Berth", func(r *report) { r.connections = budget + 1 }, "46 database connections"},
		"pinned":            {"Berth", func(r *report) { r.pins = 1 }, "1 pins"},
		"nothing seen":      {"Berth", func(r *report) { r.connections = 0 }, "0 database connections"},
		"lost transactions": {"Berth", func(r *report) { r.transactions-- }, "4999 transactions"},
		"lost money":        {"Berth", func(r *report) { r.total-- }, "hold 999999 instead"},
		"all served":        {"direct", func(r *report) { r.served = clients }, "shows nothing"},
		"no server":         {"direct", func(r *report) { r.failure = errors.New("gone") }, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			r := good(c.path)
			c.change(&r)
			if err := verdict([]report{r}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// counting is a teller that fails at its third transfer if it is told to.
type counting struct {
	there   *atomic.Int32
	working *atomic.Bool // somebody has begun
	fails   bool
	done    int
}

func (c *counting) transfer(_ context.Context, from, to, _ int) error {
	c.working.Store(true)
	if from == to || from < 1 || to < 1 || from > accounts || to > accounts {
		return errors.New("no such transfer")
	}
	if c.done++; c.fails && c.done == 3 {
		return errors.New("third")
	}
	return nil
}
func (c *counting) total(context.Context) (int, error) { return 0, nil }
func (c *counting) close()                             { c.there.Add(-1) }

func TestTheWholeCrowdIsThereAtOnceAndEveryFailureCounts(t *testing.T) {
	synctest.Test(t, testCrowd) // whose clock makes the clients' pauses take no time
}

func testCrowd(t *testing.T) {
	var there, number, late atomic.Int32
	var working atomic.Bool
	var r report
	crowd(t.Context(), &r, func(context.Context) (teller, error) {
		n := number.Add(1)
		if n%4 == 0 {
			return nil, errors.New("refused")
		}
		if working.Load() {
			late.Add(1)
		}
		there.Add(1)
		return &counting{there: &there, working: &working, fails: n == 1}, nil
	})
	const served = clients * 3 / 4
	if r.served != served || there.Load() != 0 || late.Load() != 0 {
		t.Errorf("%d served, %d left over, %d came when others worked", r.served, there.Load(), late.Load())
	}
	if r.errors != clients/4+1 || r.transactions != served*transfers-3 || len(r.latencies) != r.transactions {
		t.Errorf("%d errors, %d transactions, %d latencies", r.errors, r.transactions, len(r.latencies))
	}
}

func TestOrderedChangesTheLowerAccountFirst(t *testing.T) {
	for _, from := range []int{3, 9} {
		to := 12 - from
		var ids, sums []int
		if err := ordered(from, to, 5, func(id, by int) error { ids, sums = append(ids, id), append(sums, by); return nil }); err != nil {
			t.Fatal(err)
		}
		if ids[0] != 3 || ids[1] != 9 || sums[0]+sums[1] != 0 || (ids[0] == from) != (sums[0] < 0) {
			t.Errorf("%d to %d: accounts %v by %v", from, to, ids, sums)
		}
	}
}

func TestPercentilesAreOfTheSortedLatencies(t *testing.T) {
	var r report
	if r.percentile(99) != 0 {
		t.Error("of nothing")
	}
	for i := range 101 {
		r.latencies = append(r.latencies, time.Duration(i))
	}
	if r.percentile(50) != 50 || r.percentile(99) != 99 || r.percentile(0) != 0 {
		t.Errorf("%d %d %d", r.percentile(50), r.percentile(99), r.percentile(0))
	}
}
