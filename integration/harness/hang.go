package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Hang stops every process of a server of t's own, as a machine that swaps or a disk that does not answer does: its kernel still accepts
// connections, and nothing answers. They are killed at the end of t.
func (s *Server) Hang(t T) {
	t.Helper()
	pids, err := s.processes()
	if err != nil {
		t.Fatalf("%v", err)
	}
	// The first is the one that starts others: there is nobody new when the rest is listed again.
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		t.Fatalf("%v", err)
	}
	if pids, err = s.processes(); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // it may have ended
	}
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
