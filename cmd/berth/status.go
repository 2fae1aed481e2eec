package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/berthdb/berth/core/control"
)

const (
	adminWithin = 10 * time.Second
	adminLimit  = 64 << 20 // bytes of an answer
)

// status prints what a running proxy says of itself.
func status(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return show(ctx, "status", "/api/v1/status", printStatus, args, stdout, stderr)
}

// show asks a running proxy for path and prints the answer, as it is or with table.
func show(ctx context.Context, name, path string, table func(io.Writer, []byte) error, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	admin := fs.String("admin", "http://127.0.0.1:7070", "`URL` of the proxy's admin server")
	format := fs.String("o", "table", "`format`: table or json")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	if *format != "table" && *format != "json" {
		fmt.Fprintf(stderr, "berth %s: -o %s: write table or json\n", name, *format)
		return exitUsage
	}
	body, err := get(ctx, *admin, path)
	if err != nil {
		return fail(stderr, name, err)
	}
	if *format == "json" {
		_, err = stdout.Write(body)
	} else {
		err = table(stdout, body)
	}
	if err != nil {
		return fail(stderr, name, err)
	}
	return exitOK
}

// get asks the admin server for something that is there at once.
func get(ctx context.Context, admin, path string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, adminWithin)
	defer stop()
	status, body, err := request(ctx, http.MethodGet, admin, path)
	if err == nil && status != http.StatusOK {
		err = refused(status, body)
	}
	return body, err
}

// refused is the error of an answer that is not what was asked for.
func refused(status int, body []byte) error {
	return fmt.Errorf("%d %s: %s", status, http.StatusText(status), strings.TrimSpace(string(body)))
}

// request asks the admin server for whatever it answers. BERTH_ADMIN_TOKEN is shown as bearer token if it is set.
func request(ctx context.Context, method, admin, path string) (status int, body []byte, err error) {
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(admin, "/")+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if token := os.Getenv("BERTH_ADMIN_TOKEN"); token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, adminLimit))
	return resp.StatusCode, body, err
}

// plain makes what a server said fit for a cell on a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// role is what a target says that it is.
func role(t control.Target) string {
	switch {
	case t.Version == "":
		return "unknown"
	case !t.ReadOnly:
		return "writer"
	case t.LagSeconds == nil:
		return "reader"
	}
	return fmt.Sprintf("reader, %.1fs behind", *t.LagSeconds)
}

func printStatus(w io.Writer, body []byte) error {
	var s control.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("answer of the admin server: %w", err)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "LISTENER\tENGINE\tADDRESS\tTARGET GROUP\tROLE\tCLIENTS\tIN SETUP\tWAITING\tPINNED\tQUERIES")
	for _, l := range s.Listeners {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", l.Name, l.Engine, l.Address, l.TargetGroup, l.Role,
			l.ClientConnections, l.ClientConnectionsInSetup, l.WaitingClients, l.SessionsPinned, l.QueryRequests)
	}
	fmt.Fprintln(t)
	for _, g := range s.TargetGroups {
		if g.Paused {
			fmt.Fprintf(w, "target group %s is paused: its sessions wait until berth resume %s\n\n", g.Name, g.Name)
		}
	}
	for _, g := range s.TargetGroups {
		if d := g.Discovery; d != nil && d.Cause != "" {
			fmt.Fprintf(w, "target group %s: its targets cannot be discovered (%s): %s\n\n", g.Name, plain(d.Source), plain(d.Cause))
		} else if d != nil {
			fmt.Fprintf(w, "target group %s: its targets are those of %s\n", g.Name, plain(d.Source))
			if d.LeftOut != "" {
				fmt.Fprintf(w, "left out: %s\n", plain(d.LeftOut))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(t, "TARGET\tADDRESS\tROLE\tSERVES\tSESSIONS\tSTATE\tREASON\tVERSION\tOPEN\tMAX\tIDLE\tLENT\tDIALING\tWAITING")
	for _, g := range s.TargetGroups {
		for _, x := range g.Targets {
			reason := x.Reason
			if reason != "" && x.Cause != "" {
				reason += ": "
			}
			reason += x.Cause
			fmt.Fprintf(t, "%s/%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", g.Name, plain(x.Name), plain(x.Address), role(x), strings.Join(x.Serves, ", "), x.Sessions, x.State, plain(reason),
				plain(x.Version), x.Pool.Open, x.Pool.Max, x.Pool.Idle, x.Pool.Lent, x.Pool.Dialing, x.Pool.Waiting)
		}
	}
	return t.Flush()
}
