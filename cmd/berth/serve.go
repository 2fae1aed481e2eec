package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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
	signals := make(chan os.Signal, 16)                     // one that comes during a reload or a take-over must not be lost to one of the other kind
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

// serving is a proxy with its admin server.
type serving struct {
	proxy     *core.Proxy
	admin     *control.Server
	address   string // of the admin server, as configured
	reload    *reload
	sockets   *sockets
	stopAdmin context.CancelFunc
	successor *os.Process // that it handed over to; nil: none; under reload's lock
	log       zerolog.Logger
}

// serveConfig runs the proxy and its admin server; the first to end ends the other. path is where c was read.
func serveConfig(ctx context.Context, path string, c *config.Config, log zerolog.Logger, signals <-chan os.Signal) error {
	pc, wiring, err := wire(c, log)
	if err != nil {
		return err
	}
	s := &serving{address: c.Admin.Address, log: log}
	if s.sockets, err = inheritedSockets(); err != nil {
		return err
	}
	pc.Listen = s.sockets.listen
	if s.proxy, err = core.New(pc); err != nil {
		return err
	}
	s.reload = &reload{path: path, proxy: s.proxy, log: log, patience: loadWithin, current: c, wiring: wiring}
	s.admin, err = control.Listen(control.Config{
		Address: c.Admin.Address, Token: c.Admin.Token.Reveal(), Build: build(), Log: log, Reload: s.reload.run,
		Listen: func(address string) (net.Listener, error) { return s.sockets.listen("", address) },
	}, s.proxy)
	if err != nil {
		return err
	}
	return s.run(ctx, signals)
}

func (s *serving) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go s.obey(ctx, signals)
	adminCtx, stopAdmin := context.WithCancel(context.Background())
	defer stopAdmin()
	s.stopAdmin = stopAdmin
	adminDone := make(chan error, 1)
	takesOver := s.sockets.ready != nil
	go func() {
		if takesOver { // until this process is ready the one before it answers
			select {
			case <-s.proxy.Ready():
			case <-adminCtx.Done():
			}
		}
		adminDone <- s.admin.Run(adminCtx)
		if adminCtx.Err() == nil {
			stop()
		}
	}()
	go func() {
		select {
		case <-s.proxy.Ready():
			s.sockets.done(s.log)
			notify(s.log, "READY=1")
			announce(s.proxy, s.admin.Address(), s.log)
		case <-ctx.Done():
			return
		}
		<-ctx.Done()
		notify(s.log, "STOPPING=1")
	}()
	err := s.proxy.Run(ctx)
	stopAdmin() // after the drain: until then health checks see it
	return errors.Join(err, <-adminDone)
}

// obey answers signals until ctx ends.
func (s *serving) obey(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case signal := <-signals:
			if signal == syscall.SIGHUP {
				if s.passOn(signal) {
					continue
				}
				notify(s.log, "RELOADING=1")
				_, _ = s.reload.run() // it has logged how that went
				notify(s.log, "READY=1")
				continue
			}
			s.handOver(signals)
		case <-ctx.Done():
			return
		}
	}
}

// passOn gives a signal to the process that has taken over, and says whether there is one.
func (s *serving) passOn(signal os.Signal) bool {
	s.reload.mu.Lock()
	defer s.reload.mu.Unlock()
	if s.successor == nil {
		return false
	}
	if err := s.successor.Signal(signal); err != nil {
		s.log.Error().Err(err).Stringer("signal", signal).Msg("the process that has taken over could not be told")
	}
	return true
}

// handOver lets another process serve from now on, if one can be started. A SIGHUP that has come meanwhile is for that one: it may have read
// its configuration before.
func (s *serving) handOver(signals <-chan os.Signal) {
	select {
	case <-s.proxy.Ready():
	default:
		s.log.Error().Msg("nothing is handed over: the listeners do not accept yet")
		return
	}
	s.reload.mu.Lock() // the sockets must stay as they are
	defer s.reload.mu.Unlock()
	if s.successor != nil {
		return // the other one has the signal's meaning now
	}
	admin, ok := s.admin.Socket()
	if !ok {
		s.log.Error().Msg("nothing is handed over: the admin server has no descriptor")
		return
	}
	successor, err := handOver(s.proxy, core.Socket{Address: s.address, Conn: admin}, s.log)
	if err != nil {
		s.log.Error().Err(err).Msg("nothing is handed over: this process goes on")
		return
	}
	s.successor = successor
	notify(s.log, fmt.Sprintf("MAINPID=%d", successor.Pid))
	for pending := true; pending; {
		select {
		case signal := <-signals:
			if signal == syscall.SIGHUP {
				_ = successor.Signal(signal) // it may have ended; then it reads its configuration when it is started again
			}
		default:
			pending = false
		}
	}
	s.proxy.HandOver()
	s.stopAdmin()
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
