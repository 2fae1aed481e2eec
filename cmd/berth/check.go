package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/target"
)

// connectWithin bounds the login to one target.
const connectWithin = 10 * time.Second

// check validates a configuration: what is written, what it refers to and, if asked to, what answers there.
func check(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	path := fs.String("config", "", "configuration `file`")
	connect := fs.Bool("connect", false, "also log in to each target")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	c, ok := load(*path, os.Environ(), stderr)
	if !ok {
		return exitError
	}
	pc, _, err := wire(c, zerolog.Nop())
	if err != nil {
		explain(stderr, *path, err)
		return exitError
	}
	if *connect && !probeAll(ctx, pc.Groups, stdout, stderr) {
		return exitError
	}
	fmt.Fprintf(stdout, "%s is valid\n", *path)
	return exitOK
}

// explain prints what is wrong with what a configuration refers to, one problem a line, in the form of config's own.
func explain(w io.Writer, path string, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", path, strings.TrimSuffix(line, "\n"))
	}
}

// probeAll logs in to every target and prints what it found.
func probeAll(ctx context.Context, groups []*target.Group, stdout, stderr io.Writer) bool {
	ok := true
	for _, g := range groups {
		if d := g.Discovery(); d != nil {
			if err := g.Find(ctx); err != nil {
				fmt.Fprintf(stderr, "%s: %s: %v\n", g.Name(), d.Source, err)
				ok = false
			}
		}
		for _, m := range g.Members() {
			ctx, stop := context.WithTimeout(ctx, connectWithin)
			facts, err := engine.Probe(ctx, g.Engine(), m.Target())
			stop()
			if err != nil {
				fmt.Fprintf(stderr, "%s/%s at %s: %v\n", g.Name(), m.Target().Name, m.Target().Address, err)
				ok = false
				continue
			}
			role := "read/write"
			if facts.ReadOnly {
				role = "read only"
			}
			fmt.Fprintf(stdout, "%s/%s at %s: version %s, %s, max_connections %d\n",
				g.Name(), m.Target().Name, m.Target().Address, facts.Version, role, facts.MaxConnections)
		}
	}
	return ok
}
