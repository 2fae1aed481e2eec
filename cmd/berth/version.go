package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
)

// release is the version that a release build sets by -ldflags.
var release = "devel"

func version(_ context.Context, _ []string, stdout, _ io.Writer) int {
	commit, modified, goVersion := "unknown", "", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		goVersion = info.GoVersion
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	fmt.Fprintf(stdout, "berth %s commit %s%s %s\n", release, commit, modified, goVersion)
	return exitOK
}
