package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Hang stops every process of a server of t's own, as a machine that swaps or a disk that does not answer does: its kernel still accepts
// connections, and nothing answers. They are killed at the end of t.
func (s *Server) Hang(t T) {
	t.Helper()
	pids, err := s.freeze()
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// Pause stops every process of a server, and lets them go on.
func (s *Server) Pause(d time.Duration) error {
	pids, err := s.freeze()
	time.Sleep(d)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
	}
	return err
}

// freeze stops every process of a server. Those that it returns are stopped, with an error too.
func (s *Server) freeze() (pids []int, err error) {
	if pids, err = s.processes(); err != nil {
		return nil, err
	}
	// The first is the one that starts others: there is nobody new when the rest is listed again.
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		return nil, err
	}
	all, err := s.processes()
	if err != nil {
		return pids[:1], err
	}
	for _, pid := range all {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
	}
	return all, nil
}

// processes are the server's own and its children.
func (s *Server) processes() ([]int, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, "pid"))
	if err != nil {
		return nil, err
	}
	parent, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: pid: %w", s.Dir, err)
	}
	pids := []int{parent}
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && bytes.Contains(status, fmt.Appendf(nil, "\nPPid:\t%d\n", parent)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
