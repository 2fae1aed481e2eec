package sim

import (
	"flag"
	"io"
	"os"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/berthdb/berth/core/telemetry"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "replay this seed alone")
	traced    = flag.Bool("sim.trace", false, "print what happens")
	manySeeds = flag.Int("sim.seeds", 0, "run this many seeds")
)

// fixed are seeds that always run.
const fixed = 30

// found are seeds that failed once, by protocol: a failed transaction whose backend was lost is refused another; what is sent
// behind a transaction that was lost is executed by itself; a write in a transaction is stopped, and the transaction goes on.
var found = map[string][]uint64{"postgres": {1795715137674389871}, "mysql": {1795716406132604546, 1795725079178497824}}

var protocols = []string{"line", "postgres", "mysql"}

func TestClientsGetTheirOwnAnswersAndTheServerItsBudget(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			if *oneSeed != 0 {
				try(t, protocol, *oneSeed)
				return
			}
			for seed := range uint64(fixed) {
				try(t, protocol, seed+1)
			}
			for _, seed := range found[protocol] {
				try(t, protocol, seed)
			}
			first := uint64(time.Now().UnixNano())
			for i := range uint64(max(1, *manySeeds)) {
				try(t, protocol, first+i)
			}
		})
	}
}

func try(t *testing.T, protocol string, seed uint64) {
	t.Helper()
	var trace io.Writer
	if *traced {
		trace = os.Stderr
	}
	cryptotest.SetGlobalRandom(t, seed)
	if _, err := simulate(protocol, seed, trace); err != nil {
		t.Fatalf("seed %d (go test ./integration/sim -run /%s -sim.seed=%d): %v", seed, protocol, seed, err)
	}
}

func TestASeedIsReplayedIdentically(t *testing.T) {
	for _, protocol := range protocols {
		for seed := range uint64(10) {
			cryptotest.SetGlobalRandom(t, seed)
			first, err1 := simulate(protocol, seed, nil)
			cryptotest.SetGlobalRandom(t, seed)
			second, err2 := simulate(protocol, seed, nil)
			if (err1 == nil) != (err2 == nil) || first.w.traced != second.w.traced || first.w.trace.Sum64() != second.w.trace.Sum64() {
				t.Errorf("%s, seed %d: %d lines, then %d; %v, then %v", protocol, seed, first.w.traced, second.w.traced, err1, err2)
			}
		}
	}
}

func TestTheSimulationExceedsEveryTimeLimit(t *testing.T) {
	for _, protocol := range []string{"postgres", "mysql"} {
		var exceeded [telemetry.Overdues]uint64
		for seed := range uint64(12) {
			cryptotest.SetGlobalRandom(t, seed)
			r, err := simulate(protocol, seed, nil)
			if err != nil {
				t.Fatalf("%s, seed %d: %v", protocol, seed, err)
			}
			for limit := range exceeded {
				exceeded[limit] += r.listener.Overdue[limit].Value()
			}
		}
		for limit, n := range exceeded {
			if n == 0 {
				t.Errorf("%s: %s was never exceeded: %v", protocol, telemetry.Overdue(limit), exceeded)
			}
		}
		t.Logf("%s: %v", protocol, exceeded)
	}
}
