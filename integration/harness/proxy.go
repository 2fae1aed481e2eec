package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	readyWithin = 30 * time.Second
	endWithin   = 45 * time.Second
	pollEvery   = 10 * time.Millisecond
)

// Proxy is a running berth.
type Proxy struct {
	Admin string // URL of its admin server

	dir    string
	config Config
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process was collected
	err    error         // what Wait said; read after exited
}

// StartProxy runs `berth serve` with its files in dir, and returns when all its listeners accept. The process outlives
// ctx, which bounds the start only.
func StartProxy(ctx context.Context, dir string, c Config) (*Proxy, error) {
	binary, err := Binary(ctx)
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path, err := c.render(dir)
	if err != nil {
		return nil, err
	}
	p := &Proxy{dir: dir, config: c, Admin: fmt.Sprintf("http://127.0.0.1:%d", c.AdminPort), exited: make(chan struct{})}
	out, err := os.Create(p.LogFile())
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p.cmd = exec.Command(binary, "serve", "--config", path)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), c.Env...)
	// A group of its own: the terminal's interrupt is for the test, which then stops it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { // which are not p's any more after a TakeOver
		p.err = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	if err := p.awaitReady(ctx); err != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("berth serve: %w\n%s", err, p.Log())
	}
	return p, nil
}

// awaitReady waits for the ready line and for /readyz: listeners accept before their targets are known.
func (p *Proxy) awaitReady(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, readyWithin)
	defer stop()
	for {
		if p.announced() {
			if err := p.Ready(ctx); err == nil || p.config.Unready {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended before it was ready: %v", p.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// Ready is what /readyz says: nil, or why not.
func (p *Proxy) Ready(ctx context.Context) error {
	_, err := p.get(ctx, "/readyz")
	return err
}

// announced says whether the log has the line with the event ready.
func (p *Proxy) announced() bool {
	for line := range strings.Lines(p.Log()) {
		var fields struct{ Event string }
		if json.Unmarshal([]byte(line), &fields) == nil && fields.Event == "ready" {
			return true
		}
	}
	return false
}

// LogFile is where its output is, Log what it says so far.
func (p *Proxy) LogFile() string { return filepath.Join(p.dir, "log") }

func (p *Proxy) Log() string {
	text, err := os.ReadFile(p.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// PID is its process.
func (p *Proxy) PID() int { return p.cmd.Process.Pid }

// Endpoint is where the named route listens. It panics if there is none.
func (p *Proxy) Endpoint(route string) Endpoint {
	for _, r := range p.config.Routes {
		if route != "" && r.ReadOnly == route {
			return Endpoint{Engine: r.Server.Engine, Port: r.readOnlyPort, CAFile: filepath.Join(p.dir, "ca.crt")}
		}
		if r.Name == route {
			return Endpoint{Engine: r.Server.Engine, Port: r.Port, CAFile: filepath.Join(p.dir, "ca.crt")}
		}
	}
	panic("harness: no route " + route)
}

// ConfigFile may be changed before Signal(SIGHUP).
func (p *Proxy) ConfigFile() string { return filepath.Join(p.dir, "berth.yaml") }

// Signal sends a signal.
func (p *Proxy) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Exited is closed when the process is gone.
func (p *Proxy) Exited() <-chan struct{} { return p.exited }

// Stop ends it by SIGTERM and returns what is wrong with its end: a status other than 0, or a log that speaks of a bug.
func (p *Proxy) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(endWithin):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines' stacks go to the log
		select {
		case <-p.exited:
		case <-time.After(time.Second):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		return fmt.Errorf("berth did not end within %s of SIGTERM", endWithin)
	}
	var errs []error
	if p.err != nil {
		errs = append(errs, fmt.Errorf("berth ended with %w", p.err))
	}
	for line := range strings.Lines(p.Log()) {
		for _, word := range []string{"BUG", "panic", "DATA RACE", "fatal error"} {
			if strings.Contains(line, word) {
				errs = append(errs, fmt.Errorf("berth logged: %s", strings.TrimSpace(line)))
				break
			}
		}
	}
	return errors.Join(errs...)
}

// Command runs a subcommand of berth that asks this proxy's admin server, and returns its exit code and what it printed.
func (p *Proxy) Command(ctx context.Context, name string, args ...string) (code int, output string, err error) {
	binary, err := Binary(ctx)
	if err != nil {
		return 0, "", err
	}
	cmd := exec.CommandContext(ctx, binary, append([]string{name, "--admin", p.Admin}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), string(out), err
}
