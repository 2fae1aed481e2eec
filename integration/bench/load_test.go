package main

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

const pgbenchOutput = `pgbench (18.6 (Debian 18.6-3))
progress: 1.0 s, 12000.0 tps, lat 1.300 ms stddev 0.500, 0 failed
progress: 2.0 s, 13000.0 tps, lat 1.200 ms stddev 0.500, 0 failed
transaction type: <builtin: select only>
number of transactions actually processed: 25000
number of failed transactions: 0 (0.000%)
latency average = 1.250 ms
latency stddev = 0.512 ms
initial connection time = 25.012 ms
tps = 12512.125000 (without initial connection time)
`

const sysbenchOutput = `Threads started!

[ 1s ] thds: 8 tps: 27316.46 qps: 27316.46 (r/w/o: 27316.46/0.00/0.00) lat (ms,95%): 0.56 err/s: 0.00 reconn/s: 0.00
SQL statistics:
    queries performed:
        total:                           54984
    transactions:                        54984  (27381.62 per sec.)

Latency (ms):
         min:                                    0.04
         avg:                                    0.29
`

func TestSummariesOfBothClientsAreUnderstood(t *testing.T) {
	for _, c := range []struct {
		suite  suite
		output string
		want   result
		first  float64
	}{
		{postgresSuite(nil), pgbenchOutput, result{perSecond: 12512.125, latency: 1.25}, 12000},
		{mysqlSuite(nil), sysbenchOutput, result{perSecond: 27381.62, latency: 0.29}, 27316.46},
	} {
		l := c.suite.loads[0]
		first, output, err := l.follow(strings.NewReader(c.output), path{})
		if err != nil || output != c.output || first.transactions != c.first {
			t.Errorf("%s: first report %+v, %v", c.suite.title, first, err)
		}
		if got, err := l.evaluate(output, first, path{}); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.suite.title, got, err)
		}
		if _, err := l.evaluate("connection refused\n", first, path{}); err == nil {
			t.Errorf("%s: an output without a summary passes", c.suite.title)
		}
	}
}

func TestCPUCountsFromTheFirstReport(t *testing.T) {
	l := postgresSuite(nil).loads[0]
	me := path{pid: os.Getpid()}
	first, output, err := l.follow(strings.NewReader(pgbenchOutput), me)
	if err != nil {
		t.Fatal(err)
	}
	busy := 200 * time.Millisecond
	for end := time.Now().Add(busy); time.Now().Before(end); {
		math.Sqrt(2)
	}
	r, err := l.evaluate(output, first, me)
	if err != nil {
		t.Fatal(err)
	}
	// 13,000 transactions after the first report. The machine may be busy with others.
	if most := 3 * float64(busy.Microseconds()) / 13000; r.cpu <= 0 || r.cpu > most {
		t.Errorf("%.1f µs a transaction, want up to %.1f", r.cpu, most)
	}
	first.transactions = 25000
	if _, err := l.evaluate(output, first, me); !errors.Is(err, errTooShort) {
		t.Errorf("no transactions after the first report: %v", err)
	}
	nothing := "duration: 2 s\nnumber of transactions actually processed: 0\n"
	if _, err := l.evaluate(nothing, mark{}, path{}); !errors.Is(err, errTooShort) {
		t.Errorf("no transactions at all: %v", err)
	}
}

func TestTheMedianLeavesOutliersAside(t *testing.T) {
	paths := []path{{name: "direct"}}
	tab := newTable(postgresSuite(nil), paths)
	for _, v := range []float64{10, 1000, 12} {
		tab.add("simple, 1", "direct", result{perSecond: v})
	}
	rate := func(r result) float64 { return r.perSecond }
	if got := tab.median("simple, 1", "direct", rate); got != 12 {
		t.Errorf("median of three is %v", got)
	}
	tab.add("simple, 1", "direct", result{perSecond: 14})
	if got := tab.median("simple, 1", "direct", rate); got != 13 {
		t.Errorf("median of four is %v", got)
	}
	if got := tab.median("simple, 16", "direct", rate); got != 0 {
		t.Errorf("median of none is %v", got)
	}
}

func TestResidentMemoryIsThatOfTheProcess(t *testing.T) {
	before, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4 << 10 {
		block[i] = 1
	}
	after, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after - before; grown < len(block)/2 {
		t.Errorf("after touching %d bytes it has grown by %d", len(block), grown)
	}
	if block[4<<10] != 1 {
		t.Error("the block is gone")
	}
}
