package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/berthdb/berth/core/control"
)

const (
	topEvery = 2 * time.Second
	// leastEvery keeps a proxy from having to list its sessions all the time.
	leastEvery = 100 * time.Millisecond
)

// top shows a running proxy again and again: on a terminal until it is told to stop, elsewhere once, or as often as -n says.
func top(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("top", flag.ContinueOnError)
	admin := fs.String("admin", "http://127.0.0.1:7070", "`URL` of the proxy's admin server")
	every := fs.Duration("interval", topEvery, "how long what is shown stays")
	times := fs.Int("n", 0, "how `often` to show it; 0: on a terminal until q is pressed, else once")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	if *every < leastEvery || *times < 0 {
		fmt.Fprintf(stderr, "berth top: write an --interval of at least %s, and an -n that is not negative\n", leastEvery)
		return exitUsage
	}
	now, err := look(ctx, *admin) // before the terminal is taken: where nobody answers, that is all there is to say
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s, err := newScreen(stdout, stop)
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	if *times == 0 && !s.live {
		*times = 1
	}
	err = watch(ctx, s, *admin, *every, *times, now)
	if err := cmp.Or(err, s.close()); err != nil {
		return fail(stderr, fs.Name(), err)
	}
	return exitOK
}

// watch shows now, and then what follows, until ctx ends or it was shown times times; 0: for ever.
func watch(ctx context.Context, s *screen, admin string, every time.Duration, times int, now view) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before view
	for shown := 1; ; shown++ {
		width, height := s.size()
		if err := s.show(now.render(before, admin, width, height)); err != nil {
			return err
		}
		if shown == times {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, err := look(ctx, admin)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil { // it may be on its way down, or up: what was last seen stays
			now.trouble = err
			continue
		}
		before, now = now, next
	}
}

// view is a proxy at one moment.
type view struct {
	at       time.Time
	status   control.Status
	sessions []control.Session
	trouble  error // why it is not that of just now
}

// look asks a running proxy for a view.
func look(ctx context.Context, admin string) (v view, err error) {
	v.at = time.Now()
	for path, what := range map[string]any{"/api/v1/status": &v.status, "/api/v1/sessions": &v.sessions} {
		body, err := get(ctx, admin, path)
		if err != nil {
			return v, err
		}
		if err := json.Unmarshal(body, what); err != nil {
			return v, fmt.Errorf("answer of the admin server: %w", err)
		}
	}
	return v, nil
}

// render draws v in lines of at most width characters, and in at most height lines; 0: as many as it takes. before is what
// the rates are counted from.
func (v view) render(before view, admin string, width, height int) []string {
	var b bytes.Buffer
	v.summary(&b, admin)
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	v.listeners(t, before)
	v.targets(t)
	_ = t.Flush() // a buffer takes everything
	v.busiest(t, height)
	_ = t.Flush()
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	for i, l := range lines {
		if r := []rune(strings.TrimRight(l, " ")); width > 0 && len(r) > width {
			lines[i] = string(r[:width])
		} else {
			lines[i] = string(r)
		}
	}
	return lines
}

func (v view) summary(w io.Writer, admin string) {
	state := "starting"
	switch {
	case v.status.Draining:
		state = "draining"
	case v.status.Accepting:
		state = "accepting"
	}
	counts := map[string]int{}
	for _, s := range v.sessions {
		counts[doing(s)]++
	}
	var all []string
	for _, what := range order {
		all = append(all, fmt.Sprintf("%d %s", counts[what], what))
	}
	fmt.Fprintf(w, "berth at %s, %s, %s\n", plain(admin), v.at.Format(time.TimeOnly), state)
	fmt.Fprintf(w, "%d sessions: %s\n", len(v.sessions), strings.Join(all, ", "))
	if v.trouble != nil {
		fmt.Fprintf(w, "what is shown is old: %s\n", plain(v.trouble.Error()))
	}
	for _, g := range v.status.TargetGroups {
		if g.Paused {
			fmt.Fprintf(w, "target group %s is paused: its sessions wait until berth resume %s\n", g.Name, g.Name)
		}
	}
	fmt.Fprintln(w)
}

func (v view) listeners(w io.Writer, before view) {
	fmt.Fprintln(w, "LISTENER\tTARGET GROUP\tROLE\tCLIENTS\tIN SETUP\tWAITING\tPINNED\tQUERIES/S\tBORROW TIMEOUTS/S")
	for _, l := range v.status.Listeners {
		queries, timeouts := "-", "-"
		if i := slices.IndexFunc(before.status.Listeners, func(x control.Listener) bool { return x.Name == l.Name }); i >= 0 {
			old, took := before.status.Listeners[i], v.at.Sub(before.at)
			queries, timeouts = rate(old.QueryRequests, l.QueryRequests, took), rate(old.BorrowTimeouts, l.BorrowTimeouts, took)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", l.Name, l.TargetGroup, l.Role,
			l.ClientConnections, l.ClientConnectionsInSetup, l.WaitingClients, l.SessionsPinned, queries, timeouts)
	}
	fmt.Fprintln(w)
}

// rate is how much a counter grew in a second. One that shrank belongs to another process than before.
func rate(before, now uint64, took time.Duration) string {
	if now < before || took <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(now-before)/took.Seconds())
}

func (v view) targets(w io.Writer) {
	fmt.Fprintln(w, "TARGET\tROLE\tSERVES\tSESSIONS\tSTATE\tREASON\tOPEN\tMAX\tIDLE\tLENT\tDIALING\tWAITING")
	for _, g := range v.status.TargetGroups {
		for _, x := range g.Targets {
			p := x.Pool
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", g.Name, plain(x.Name), role(x), strings.Join(x.Serves, ", "), x.Sessions,
				x.State, plain(x.Reason), p.Open, p.Max, p.Idle, p.Lent, p.Dialing, p.Waiting)
		}
	}
	fmt.Fprintln(w)
}

// What a session is doing. The order is that of what an operator looks for.
const (
	doingWaiting     = "waiting"
	doingTransaction = "in transaction"
	doingRunning     = "running"
	doingPinned      = "pinned"
	doingNothing     = "idle"
)

var order = []string{doingWaiting, doingTransaction, doingRunning, doingPinned, doingNothing}

func doing(s control.Session) string {
	switch {
	case s.Waiting:
		return doingWaiting
	case s.InTransaction:
		return doingTransaction
	case s.Pinned != "":
		return doingPinned
	case s.Backend != 0:
		return doingRunning
	}
	return doingNothing
}

// busiest lists the sessions, limit at most, 0: all. First come those that wait or hold a backend, and of them those that the
// client has not heard of, or from, for longest.
func (v view) busiest(w io.Writer, limit int) {
	all := slices.Clone(v.sessions)
	slices.SortFunc(all, func(a, b control.Session) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, doing(a)), slices.Index(order, doing(b))),
			cmp.Compare(b.IdleSeconds, a.IdleSeconds),
			cmp.Compare(a.ID, b.ID))
	})
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	fmt.Fprintln(w, "SESSION\tLISTENER\tUSER\tDATABASE\tAPPLICATION\tCLIENT\tSTATE\tFOR\tBACKEND\tPINNED")
	for _, s := range all {
		backend := "-"
		if s.Backend != 0 {
			backend = fmt.Sprint(s.Backend)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Listener, plain(s.User), plain(s.Database), plain(s.Application),
			s.Client, doing(s), rounded(s.IdleSeconds), backend, s.Pinned)
	}
}
