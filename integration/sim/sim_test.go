package sim

import (
	"flag"
	"io"
	"os"
	"testing"
	"time"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "replay this seed alone")
	traced    = flag.Bool("sim.trace", false, "print what happens")
	manySeeds = flag.Int("sim.seeds", 0, "run this many seeds")
)

// fixed are seeds that always run.
const fixed = 60

func TestClientsGetTheirOwnAnswersAndTheServerItsBudget(t *testing.T) {
	if *oneSeed != 0 {
		try(t, *oneSeed)
		return
	}
	for seed := range uint64(fixed) {
		try(t, seed+1)
	}
	first := uint64(time.Now().UnixNano())
	for i := range uint64(max(1, *manySeeds)) {
		try(t, first+i)
	}
}

func try(t *testing.T, seed uint64) {
	t.Helper()
	var trace io.Writer
	if *traced {
		trace = os.Stderr
	}
	if _, err := simulate(seed, trace); err != nil {
		t.Fatalf("seed %d (go test ./integration/sim -sim.seed=%d): %v", seed, seed, err)
	}
}

func TestASeedIsReplayedIdentically(t *testing.T) {
	for seed := range uint64(10) {
		first, err1 := simulate(seed, nil)
		second, err2 := simulate(seed, nil)
		if (err1 == nil) != (err2 == nil) || first.w.traced != second.w.traced || first.w.trace.Sum64() != second.w.trace.Sum64() {
			t.Errorf("seed %d: %d lines, then %d; %v, then %v", seed, first.w.traced, second.w.traced, err1, err2)
		}
	}
}
