// Command demo shows what Berth is for: databases too small for a crowd of clients, which fails without Berth and
// succeeds through it. scripts/demo runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

const (
	clients        = 1000
	maxConnections = 50 // of each server
	budget         = 45 // database connections through Berth
	within         = 2 * time.Minute
	stopWithin     = 30 * time.Second
)

func main() {
	dir := flag.String("dir", "", "where everything `is`; nobody must be able to reach it")
	base := flag.Int("port-base", 26000, "the ports follow from this `number`")
	keep := flag.Bool("keep", false, "leave the servers and Berth running")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := run(ctx, *dir, *base, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run is the whole demonstration. It stops what it started unless everything went well and keep says to leave it.
func run(ctx context.Context, dir string, base int, keep bool) (err error) {
	var started []func() error
	defer func() {
		if keep && err == nil {
			return
		}
		for _, stop := range started {
			err = errors.Join(err, stop())
		}
	}()
	banks := []*bank{
		{title: "PostgreSQL 15", name: "pg15", port: base + 415, proxyPort: base + 432, dialect: postgres{}},
		{
			title: "MariaDB 10.11", name: "mariadb1011", port: base + 310, proxyPort: base + 306, dialect: mariadb{},
			// With its short queue the kernel drops the crowd's connections, and repeats them for a quarter of a minute.
			options: []string{fmt.Sprintf("back_log=%d", clients)},
		},
	}
	config := harness.Config{AdminPort: base + 70}
	for _, b := range banks {
		if err := b.start(ctx, dir); err != nil {
			return err
		}
		started = append(started, b.stop)
		config.Routes = append(config.Routes, harness.Route{
			Name: b.name, Server: b.server, MaxConnections: budget, Port: b.proxyPort,
			Pool: harness.Keys{"max_idle_connections_percent": 100},
		})
	}
	fmt.Printf("Started %s and %s with max_connections = %d.\n", banks[0].title, banks[1].title, maxConnections)
	fmt.Printf("%d clients log in to each over TLS, stay, and move money %d times each.\n\n", clients, transfers)
	var rows []report
	for _, b := range banks {
		rows = append(rows, b.visit(ctx, "direct", b.server.Endpoint))
	}
	proxyDir := filepath.Join(dir, "berth")
	if err := os.MkdirAll(proxyDir, 0o700); err != nil {
		return err
	}
	proxy, err := harness.StartProxy(ctx, proxyDir, config)
	if err != nil {
		return err
	}
	started = append([]func() error{proxy.Stop}, started...)
	if err := os.WriteFile(filepath.Join(proxyDir, "pid"), []byte(strconv.Itoa(proxy.PID())+"\n"), 0o600); err != nil {
		return err
	}
	for _, b := range banks {
		r := b.visit(ctx, "Berth", proxy.Endpoint(b.name))
		pins, err := proxy.Sum(ctx, "berth_pins_total", strconv.Quote(b.name))
		if err != nil {
			return err
		}
		r.pins = int(pins)
		rows = append(rows, r)
	}
	printTable(rows)
	if err := verdict(rows); err != nil {
		return err
	}
	fmt.Printf("\nThrough Berth every client was served over at most %d database connections, nobody was pinned, and no money was lost.\n", budget)
	if keep {
		return printHints(ctx, banks, proxy)
	}
	return nil
}

// verdict is what must be true for the demonstration to have shown something.
func verdict(rows []report) error {
	var errs []error
	for _, r := range rows {
		complain := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s, %s: "+format, append([]any{r.title, r.path}, args...)...))
		}
		if r.failure != nil {
			complain("%w", r.failure)
		}
		if r.total != r.wantTotal {
			complain("the accounts hold %d instead of %d", r.total, r.wantTotal)
		}
		if r.path == "direct" {
			if r.served == clients {
				complain("the whole crowd was served: this shows nothing")
			}
			continue
		}
		if r.errors > 0 {
			complain("%d errors, the first: %w", r.errors, r.first)
		}
		if want := clients * transfers; r.transactions != want {
			complain("%d transactions instead of %d", r.transactions, want)
		}
		if r.pins > 0 {
			complain("%d pins: the drivers leave nothing that would need one", r.pins)
		}
		if r.connections == 0 || r.connections > budget {
			complain("%d database connections, the budget is %d", r.connections, budget)
		}
	}
	return errors.Join(errs...)
}
