package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/berthdb/berth/core/control"
)

// release is the version that a release build sets by -ldflags.
var release = "devel"

func version(_ context.Context, _ []string, stdout, _ io.Writer) int {
	b := build()
	fmt.Fprintf(stdout, "berth %s commit %s %s\n", b.Version, b.Commit, b.Go)
	return exitOK
}

// build says what this binary was made of.
func build() control.Build {
	b := control.Build{Version: release, Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified {
		b.Commit += " (modified)"
	}
	return b
}
