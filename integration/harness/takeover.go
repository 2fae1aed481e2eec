package harness

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TakeOver sends SIGUSR2 and waits until another process has taken over. The proxy is that process afterwards; ended is
// closed when the one before it has ended.
func (p *Proxy) TakeOver(t T) (ended <-chan struct{}) {
	t.Helper()
	// The new process becomes this one's child when its parent ends, so that it can be waited for.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatalf("%v", err)
	}
	before := len(p.Log())
	if err := p.Signal(syscall.SIGUSR2); err != nil {
		t.Fatalf("%v", err)
	}
	pid := 0
	Eventually(t, time.Minute, "another process has taken over", func() bool {
		handed := false
		for line := range strings.Lines(p.Log()[before:]) {
			var f struct {
				PID     int
				Message string
			}
			if json.Unmarshal([]byte(line), &f) != nil {
				continue
			}
			if f.PID != 0 {
				pid = f.PID
			}
			if strings.Contains(f.Message, "goes on") {
				t.Fatalf("nothing was handed over: %s", line)
			}
			handed = handed || strings.HasPrefix(f.Message, "handed over")
		}
		return handed
	})
	old := p.exited
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatalf("%v", err)
	}
	p.cmd, p.exited = &exec.Cmd{Process: process}, make(chan struct{})
	go p.adopt(process, old, p.exited)
	return old
}

// adopt waits for a process that this one did not start, which is its child from when before is closed.
func (p *Proxy) adopt(process *os.Process, before <-chan struct{}, ended chan<- struct{}) {
	<-before
	if p.err != nil {
		close(ended) // what was before ended badly, and that is what Stop says
		return
	}
	switch state, err := process.Wait(); {
	case errors.Is(err, syscall.ECHILD): // it ended before its parent, which has collected it
	case err != nil:
		p.err = err
	case !state.Success():
		p.err = &exec.ExitError{ProcessState: state}
	}
	close(ended)
}
