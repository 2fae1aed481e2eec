package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 30 * time.Second

// asBerth in the environment makes the test's binary be berth.
const asBerth = "TEST_AS_BERTH"

func TestMain(m *testing.M) {
	if os.Getenv(asBerth) != "" {
		main()
	}
	os.Exit(m.Run())
}

// place writes a file of a test.
func place(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// minimal is a configuration whose target does not answer.
const minimal = `
admin: {address: "127.0.0.1:0"}
log: {format: json}
runtime: {loops: 1, drain_timeout: 10m}
listeners:
  - {name: l, engine: postgres, address: "127.0.0.1:0", target_group: g}
target_groups:
  - name: g
    engine: postgres
    targets: [{name: t, address: "127.0.0.1:1"}]
    connection_pool: {max_connections: 2}
    auth: [{secret: "file:secret.json"}]
`

func configure(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	place(t, dir, "secret.json", `{"username": "app", "password": "swordfish"}`)
	return place(t, dir, "berth.yaml", text)
}

// call runs a subcommand in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// process is berth as a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	mu   sync.Mutex
	log  []map[string]any
	more chan struct{} // something was logged
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchAs(t, nil, os.Args[0], args...)
}

// launchAs runs another program than this one, which becomes it. prepare may change how, if it is not nil.
func launchAs(t *testing.T, prepare func(*exec.Cmd), name string, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 2*patience)
	p := &process{t: t, cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{}), more: make(chan struct{}, 1)}
	p.cmd.Env = append(os.Environ(), asBerth+"=1")
	if prepare != nil {
		prepare(p.cmd)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.read(stderr)
		_ = p.cmd.Wait() // its state says how it ended
		close(p.done)
	}()
	t.Cleanup(func() {
		stop()
		<-p.done
	})
	return p
}

func (p *process) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) != nil {
			line = map[string]any{"message": s.Text()}
		}
		p.mu.Lock()
		p.log = append(p.log, line)
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
	}
}

// logged waits for a message and returns its line.
func (p *process) logged(message string) map[string]any {
	p.t.Helper()
	return p.loggedTimes(message, 1)
}

// loggedTimes waits for a message to be logged for the n-th time.
func (p *process) loggedTimes(message string, n int) map[string]any {
	p.t.Helper()
	for late := time.After(patience); ; {
		p.mu.Lock()
		times := 0
		for _, line := range p.log {
			if got, ok := line["message"].(string); ok && strings.Contains(got, message) {
				if times++; times == n {
					p.mu.Unlock()
					return line
				}
			}
		}
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("%q was not logged, but %v", message, p.log)
		}
	}
}

// ended waits for the end.
func (p *process) ended() *os.ProcessState {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState
	case <-time.After(patience):
		p.t.Fatal("the process does not end")
		return nil
	}
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}
