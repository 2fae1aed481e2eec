package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/control"
)

// serve runs the proxy until ctx ends.
func serve(ctx context.Context, args []string, _, stderr io.Writer) int {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	path := fs.String("config", "", "configuration `file`")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	c, ok := load(*path, os.Environ(), stderr)
	if !ok {
		return exitError
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := newLogger(c.Log, stderr)
	if paranoid() {
		log.Warn().Msg("BERTH_PARANOID=1: no session keeps its database connection by preference. This is for tests only")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2) // which would end the process otherwise
	defer signal.Stop(signals)
	if err := serveConfig(ctx, *path, c, log, signals); err != nil {
		log.Error().Err(err).Msg("berth stops")
		return exitError
	}
	return exitOK
}

// gcPercent keeps the heap close to what is alive. Most of it is idle sessions, which the collector has little work with,
// and a relayed query allocates nothing; so memory is what a larger value would cost.
const gcPercent = 25

// serveConfig runs the proxy and its admin server; the first to end ends the other. path is where c was read.
func serveConfig(ctx context.Context, path string, c *config.Config, log zerolog.Logger, signals <-chan os.Signal) error {
	pc, wiring, err := wire(c, log)
	if err != nil {
		return err
	}
	proxy, err := core.New(pc)
	if err != nil {
		return err
	}
	r := &reload{path: path, proxy: proxy, log: log, current: c, wiring: wiring}
	admin, err := control.Listen(control.Config{
		Address: c.Admin.Address, Token: c.Admin.Token.Reveal(), Build: build(), Log: log, Reload: r.run,
	}, proxy)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go obey(ctx, signals, r, log)
	adminDone := make(chan error, 1)
	adminCtx, stopAdmin := context.WithCancel(context.Background())
	defer stopAdmin()
	go func() { adminDone <- admin.Run(adminCtx); stop() }()
	go func() {
		select {
		case <-proxy.Ready():
			announce(proxy, admin.Address(), log)
		case <-ctx.Done():
		}
	}()
	err = proxy.Run(ctx)
	stopAdmin() // after the drain: until then health checks see it
	return errors.Join(err, <-adminDone)
}

// obey answers signals until ctx ends.
func obey(ctx context.Context, signals <-chan os.Signal, r *reload, log zerolog.Logger) {
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGHUP {
				_, _ = r.run() // it has logged how that went
				continue
			}
			log.Warn().Stringer("signal", s).Msg("this version cannot hand over its listeners: restart it")
		case <-ctx.Done():
			return
		}
	}
}

// announce logs the one line that says that all listeners accept.
func announce(proxy *core.Proxy, admin string, log zerolog.Logger) {
	d := zerolog.Dict()
	for _, l := range proxy.Snapshot().Listeners {
		d = d.Str(l.Name, l.Address)
	}
	log.Info().Str("event", "ready").Dict("listeners", d).Str("admin", admin).Msg("ready")
}

func newLogger(c config.Log, w io.Writer) zerolog.Logger {
	f, isFile := w.(*os.File)
	console := c.Format == config.FormatConsole || c.Format == config.FormatAuto && isFile && term.IsTerminal(int(f.Fd()))
	if console {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.RFC3339}
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.SetGlobalLevel(levelOf(c)) // unlike a logger's own it can be changed later
	return zerolog.New(w).With().Timestamp().Logger()
}

func levelOf(c config.Log) zerolog.Level {
	level, err := zerolog.ParseLevel(string(c.Level))
	if err != nil {
		return zerolog.InfoLevel // config has checked it; a name that it knows and zerolog does not is no reason to stop
	}
	return level
}

// fail prints an error of a subcommand.
func fail(stderr io.Writer, name string, err error) int {
	fmt.Fprintf(stderr, "berth %s: %v\n", name, err)
	return exitError
}
