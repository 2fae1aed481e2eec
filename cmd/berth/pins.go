package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/berthdb/berth/core/control"
)

// pins prints what pinned sessions of a running proxy, and what to write instead.
func pins(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return show(ctx, "pins", "/api/v1/pins", printPins, args, stdout, stderr)
}

func printPins(w io.Writer, body []byte) error {
	var all []control.Pin
	if err := json.Unmarshal(body, &all); err != nil {
		return fmt.Errorf("answer of the admin server: %w", err)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "REASON\tRULE\tTARGET GROUP\tENGINE\tUSER\tDATABASE\tAPPLICATION\tPINNED NOW\tCOUNT\tPINNED FOR\tLAST\tSTATEMENT")
	type topic struct{ reason, advice string }
	var topics []topic
	seen := map[topic]bool{}
	for _, p := range all {
		statement := p.Digest
		if p.Other {
			statement = "(others)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", p.Reason, plain(p.Rule), p.TargetGroup, p.Engine, plain(p.User),
			plain(p.Database), plain(p.Application), p.PinnedNow, p.Count, rounded(p.PinnedSeconds), p.Last.Format(time.RFC3339), plain(statement))
		if x := (topic{p.Reason, p.Advice}); p.Advice != "" && !seen[x] {
			seen[x] = true
			topics = append(topics, x)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, x := range topics {
		if _, err := fmt.Fprintf(w, "\n%s: %s\n", x.reason, x.advice); err != nil {
			return err
		}
	}
	return nil
}

// rounded is a time that is long enough to be counted in seconds, or short enough for milliseconds.
func rounded(seconds float64) time.Duration {
	d := time.Duration(seconds * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
