package sim

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/berthdb/berth/core/telemetry"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "replay this seed alone")
	changed   = flag.String("sim.with", "", "replay it with these changes")
	traced    = flag.Bool("sim.trace", false, "print what happens")
	manySeeds = flag.Int("sim.seeds", 1, "run this many new seeds")
	shrinking = flag.Int("sim.shrink", 400, "make a failure smaller with so many runs at most")
	newSeeds  = flag.Duration("sim.time", 0, "run new seeds for so long, and count them")
)

// fixed are seeds that always run.
const fixed = 30

var protocols = []string{"line", "postgres", "mysql"}

func TestClientsGetTheirOwnAnswersAndTheServerItsBudget(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			if *oneSeed != 0 {
				try(t, protocol, *oneSeed)
				return
			}
			for seed := range uint64(fixed) {
				try(t, protocol, seed+1)
			}
			for i := range uint64(*manySeeds) {
				try(t, protocol, first+i)
			}
			seeds, sessions := 0, 0
			begun := time.Now()
			for time.Since(begun) < *newSeeds/time.Duration(len(protocols)) {
				seeds++
				sessions += try(t, protocol, first+uint64(*manySeeds+seeds))
			}
			if seeds > 0 {
				fmt.Printf("sim: %s: %d seeds, %d sessions, %d s\n", protocol, seeds, sessions, int(time.Since(begun).Seconds()))
			}
		})
	}
}

// try runs a seed and returns how many sessions there were. A failure is shrunk.
func try(t *testing.T, protocol string, seed uint64) (sessions int) {
	t.Helper()
	var trace io.Writer
	if *traced {
		trace = os.Stderr
	}
	ch, err := parseChanges(*changed)
	if err != nil {
		t.Fatal(err)
	}
	again := func(ch changes) (*run, error) {
		cryptotest.SetGlobalRandom(t, seed)
		return simulate(protocol, seed, ch, trace)
	}
	r, err := again(ch)
	if err == nil {
		return r.visits
	}
	command := fmt.Sprintf("go test ./integration/sim -run /%s -sim.seed=%d", protocol, seed)
	if *oneSeed != 0 {
		t.Fatalf("%s -sim.with=%s: %v", command, ch, err)
	}
	t.Logf("%s: %v", command, r.w.failure)
	small := shrink(r.config, *shrinking, func(ch changes) bool {
		small, err := again(ch)
		return err != nil && sortOf(small.w.failure) == sortOf(r.w.failure)
	})
	if len(small) > 0 {
		_, err = again(small)
	}
	t.Fatalf("%s -sim.with=%s: %v", command, small, err)
	return 0
}

func TestASeedIsReplayedIdentically(t *testing.T) {
	for _, protocol := range protocols {
		for seed := range uint64(10) {
			cryptotest.SetGlobalRandom(t, seed)
			first, err1 := simulate(protocol, seed, nil, nil)
			cryptotest.SetGlobalRandom(t, seed)
			second, err2 := simulate(protocol, seed, nil, nil)
			if (err1 == nil) != (err2 == nil) || first.w.traced != second.w.traced || first.w.trace.Sum64() != second.w.trace.Sum64() {
				t.Errorf("%s, seed %d: %d lines, then %d; %v, then %v", protocol, seed, first.w.traced, second.w.traced, err1, err2)
			}
		}
	}
}

func TestAFailureIsShrunkToWhatItNeeds(t *testing.T) {
	c := configure(newWorld(7))
	c.clients, c.faults.tear, c.batches = 20, 5, 17
	small := shrink(c, 1000, func(ch changes) bool {
		now := c
		ch.apply(&now)
		return now.clients >= 3 && now.faults.tear > 0 && now.batches >= 2 && now.variant == 2
	})
	now := c
	small.apply(&now)
	if now.clients != 3 || now.faults.tear != 1 || now.batches != 2 || now.sessions != 1 || now.loops != 1 {
		t.Errorf("shrunk to %s", small)
	}
	again, err := parseChanges(small.String())
	if err != nil || again.String() != small.String() {
		t.Errorf("%s is read as %s, %v", small, again, err)
	}
	if _, err := parseChanges("clients=2,nonsense=1"); err == nil {
		t.Error("nonsense is a change")
	}
}

func TestTheSimulationExceedsEveryTimeLimit(t *testing.T) {
	for _, protocol := range []string{"postgres", "mysql"} {
		var exceeded [telemetry.Overdues]uint64
		all := func() bool { return !slices.Contains(exceeded[:], 0) }
		for seed := uint64(0); seed < 300 && !all(); seed++ {
			cryptotest.SetGlobalRandom(t, seed)
			r, err := simulate(protocol, seed, nil, nil)
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
