package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// summary is one line about a crowd, with what its first failure looked like.
func (r *report) summary() string {
	s := fmt.Sprintf("%d of %d clients logged in within %.1fs", r.served, clients, r.login.Seconds())
	if r.first != nil {
		s += fmt.Sprintf("; %d errors like: %s", r.errors, cause(r.first))
	}
	return s
}

// cause is what the server said, without the driver's account of its attempts.
func cause(err error) string {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusal.Error()
	}
	return strings.TrimSpace(err.Error())
}

func printTable(rows []report) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "ENGINE\tPATH\tCLIENTS\tSERVED\tDB CONNECTIONS\tTRANSACTIONS\tERRORS\tPINNED\tP50\tP99\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t\n", r.title, r.path, clients, r.served, r.connections,
			r.transactions, r.errors, r.pins, milliseconds(r.percentile(50)), milliseconds(r.percentile(99)))
	}
	_ = w.Flush()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// printHints says how to use what is left running.
func printHints(ctx context.Context, banks []*bank, proxy *harness.Proxy) error {
	programs := map[string]string{}
	for _, b := range banks {
		of, err := harness.Programs(ctx, b.name)
		if err != nil {
			return err
		}
		for name, path := range of {
			programs[name] = path
		}
	}
	app := harness.App()
	fmt.Printf("\nEverything is left running. Through Berth (password %s):\n\n", app.Password)
	for _, b := range banks {
		e := proxy.Endpoint(b.name)
		if e.Engine == harness.Postgres {
			fmt.Printf("  PGPASSWORD=%s %s \"%s\"\n", app.Password, programs["PSQL"], e.PsqlArgs(app))
			continue
		}
		fmt.Printf("  MYSQL_PWD=%s %s --no-defaults -h127.0.0.1 -P%d -u%s --ssl-verify-server-cert --ssl-ca=%s %s\n",
			app.Password, programs["MYSQL"], e.Port, app.User, e.CAFile, app.Database)
	}
	fmt.Printf("\n  bin/berth status --admin %s\n\nConfiguration: %s, log: %s\nTo stop: scripts/demo stop\n",
		proxy.Admin, proxy.ConfigFile(), proxy.LogFile())
	return nil
}
