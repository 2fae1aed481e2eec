package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/berthdb/berth/core/control"
)

// pause makes a target group's sessions wait, and returns when none of its database connections is open.
func pause(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("pause", flag.ContinueOnError)
	within := fs.Duration("timeout", 0, "how long transactions may take to end; then nothing is paused and the exit code is 1; 0: as long as it takes")
	return change(ctx, fs, args, stdout, stderr, func() string { return "/pause?timeout=" + url.QueryEscape(within.String()) })
}

// resume ends a pause.
func resume(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("resume", flag.ContinueOnError)
	return change(ctx, fs, args, stdout, stderr, func() string { return "/resume" })
}

// change asks a running proxy to do something with a target group. action is the end of the request's path.
func change(ctx context.Context, fs *flag.FlagSet, args []string, stdout, stderr io.Writer, action func() string) int {
	admin := fs.String("admin", "http://127.0.0.1:7070", "`URL` of the proxy's admin server")
	group, code, ok := parseOne(fs, args, "a target group", stderr)
	if !ok {
		return code
	}
	status, body, err := request(ctx, http.MethodPost, *admin, "/api/v1/target_groups/"+url.PathEscape(group)+action())
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	var answer control.Pause
	if status == http.StatusConflict && json.Unmarshal(body, &answer) == nil {
		fmt.Fprintf(stderr, "berth %s: %d sessions still hold database connections of %s\n", fs.Name(), len(answer.Held), group)
		printHeld(stderr, answer.Held)
		return exitError
	}
	if status != http.StatusOK {
		return fail(stderr, fs.Name(), refused(status, body))
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fail(stderr, fs.Name(), fmt.Errorf("answer of the admin server: %w", err))
	}
	state := "resumed"
	if answer.Paused {
		state = "paused"
	}
	fmt.Fprintf(stdout, "%s %s\n", group, state)
	return exitOK
}

// printHeld says which sessions a pause waits for, and why they hold what they hold.
func printHeld(w io.Writer, held []control.Session) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tUSER\tDATABASE\tAPPLICATION\tCLIENT\tIN TRANSACTION\tPINNED\tIDLE FOR")
	for _, s := range held {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%t\t%s\t%s\n", s.ID, plain(s.User), plain(s.Database), plain(s.Application), s.Client,
			s.InTransaction, s.Pinned, time.Duration(s.IdleSeconds*float64(time.Second)).Round(time.Millisecond))
	}
	_ = t.Flush() // what cannot be written to stderr cannot be complained about either
}
