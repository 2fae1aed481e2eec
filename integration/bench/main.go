// Command bench measures Berth beside other proxies, all in one run on one machine, and prints Markdown. scripts/bench
// runs it.
//
// Every path to a server runs the same load for some seconds, one after the other, and the whole round is repeated: a
// machine that becomes slower meanwhile does so for everybody. A proxy's CPU per transaction is the user and system time
// of its process from the first progress report of the load until its end, over the transactions that the load counted in
// that time; logins are before it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// options of a run.
type options struct {
	dir     string
	base    int // of the ports
	rounds  int
	seconds int // of each load
	loads   *regexp.Regexp
	idle    int // sessions to hold for the memory measurement
	idleToo bool
	peers   bool // measure their memory, too
}

func main() {
	var o options
	quick := flag.Bool("quick", false, "one short round")
	flag.StringVar(&o.dir, "dir", "", "where everything `is`; nobody must be able to reach it")
	flag.IntVar(&o.base, "port-base", 29000, "the ports follow from this `number`")
	only := flag.String("only", "", "one `engine`: postgres or mysql")
	loads := flag.String("loads", "", "the loads whose names match this `expression`; the memory of idle sessions is one named idle")
	rounds := flag.Int("rounds", 0, "this `number` of rounds")
	flag.Parse()
	o.rounds, o.seconds, o.idle, o.peers = 3, 3, 2000, true
	if *quick {
		o.rounds, o.seconds, o.idle, o.peers = 1, 2, 500, false
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	var err error
	if o.loads, err = regexp.Compile(*loads); err != nil {
		fmt.Fprintln(os.Stderr, "bench: -loads:", err)
		os.Exit(2)
	}
	o.idleToo = o.loads.MatchString("idle")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, harness.Engine(*only)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only harness.Engine) error {
	begin := time.Now()
	tools, err := findTools(ctx)
	if err != nil {
		return err
	}
	if err := printConditions(ctx, o, tools); err != nil {
		return err
	}
	var incomplete []string
	for _, s := range suites(tools) {
		if only != "" && only != s.engine {
			continue
		}
		failed, err := s.measure(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
		incomplete = append(incomplete, failed...)
	}
	fmt.Fprintf(os.Stderr, "done in %s\n", time.Since(begin).Round(time.Second))
	for _, what := range incomplete {
		fmt.Fprintln(os.Stderr, "failed:", what)
	}
	if len(incomplete) > 0 {
		return fmt.Errorf("%d measurements failed", len(incomplete))
	}
	return nil
}

// below is a directory for one process.
func (o options) below(name string) string { return filepath.Join(o.dir, name) }
