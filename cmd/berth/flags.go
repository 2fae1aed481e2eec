package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/berthdb/berth/config"
)

// parse reads a subcommand's options. It has explained whatever it does not accept; code is what to exit with then.
func parse(fs *flag.FlagSet, args []string, stderr io.Writer) (code int, ok bool) {
	if code, ok := parseOptions(fs, args, stderr); !ok {
		return code, false
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "berth %s: unexpected argument %q\n", fs.Name(), fs.Arg(0))
		return exitUsage, false
	}
	return exitOK, true
}

// parseOne is parse for a subcommand with one argument, which is what.
func parseOne(fs *flag.FlagSet, args []string, what string, stderr io.Writer) (arg string, code int, ok bool) {
	if code, ok := parseOptions(fs, args, stderr); !ok {
		return "", code, false
	}
	if fs.NArg() != 1 {
		fmt.Fprintf(stderr, "berth %s: write %s, after the options\n", fs.Name(), what)
		return "", exitUsage, false
	}
	return fs.Arg(0), exitOK, true
}

func parseOptions(fs *flag.FlagSet, args []string, stderr io.Writer) (code int, ok bool) {
	fs.SetOutput(stderr)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK, false
	case err != nil:
		return exitUsage, false
	}
	return exitOK, true
}

// load reads a configuration and prints every problem in it.
func load(path string, environ []string, stderr io.Writer) (*config.Config, bool) {
	if path == "" {
		fmt.Fprintln(stderr, "berth: --config FILE is missing")
		return nil, false
	}
	c, err := config.Load(path, environ)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return nil, false
	}
	return c, true
}
