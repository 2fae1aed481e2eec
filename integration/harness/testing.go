package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// cleanupWithin bounds what is done when a test is over, and its context with it.
const cleanupWithin = time.Minute

var directories atomic.Uint32

// TempDir is a directory for t that nobody may enter, removed at the end.
func TempDir(t T) string {
	t.Helper()
	base, err := Dir()
	if err != nil {
		t.Fatalf("%v", err)
	}
	// Short: unix sockets have paths of at most 107 bytes.
	dir := filepath.Join(base, fmt.Sprintf("t%d-%d", os.Getpid(), directories.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("%v", err)
		}
	})
	return dir
}

// Shared is a shared server, started if it does not run.
func Shared(t T, name string) *Server {
	t.Helper()
	s, err := SharedServer(t.Context(), name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// Own starts a server for t alone, with options (name=value), and stops it at the end.
func Own(t T, name string, options ...string) *Server {
	t.Helper()
	dir := filepath.Join(TempDir(t), "s")
	port, err := FreePort()
	if err != nil {
		t.Fatalf("%v", err)
	}
	s, err := StartServer(t.Context(), name, dir, port, options...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), cleanupWithin)
		defer stop()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}

// Pair starts a server for t alone, with options, and a replica of it, and stops both at the end.
func Pair(t T, name string, options ...string) (writer, replica *Server) {
	t.Helper()
	writer = Own(t, name, options...)
	return writer, Replica(t, writer)
}

// Replica starts a replica of a server, and stops it at the end of t.
func Replica(t T, writer *Server) *Server {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatalf("%v", err)
	}
	replica, err := writer.StartReplica(t.Context(), filepath.Join(TempDir(t), "s"), port)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), cleanupWithin)
		defer stop()
		if err := replica.Stop(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return replica
}

// Start runs a proxy until the end of t, and fails t if it ends badly.
func Start(t T, c Config) *Proxy {
	t.Helper()
	p, err := StartProxy(t.Context(), TempDir(t), c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("%v", err)
		}
		if t.Failed() {
			t.Logf("berth's log:\n%s", tail(p.Log(), 200))
		}
	})
	return p
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.SplitAfter(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}

// WatchConnections counts user's connections at s until the end of t, or until the returned function is called. That
// returns the largest numbers seen.
func WatchConnections(t T, s *Server, user string) (most func() Connections) {
	t.Helper()
	w, err := NewWatch(t.Context(), s, user)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _, _ = w.Stop() })
	return func() Connections {
		t.Helper()
		c, err := w.Stop()
		if err != nil {
			t.Errorf("%v", err)
		}
		return c
	}
}

// Program is the path of a client program: Program(t, "pg15", "PSQL"), Program(t, "mysql97", "MYSQL").
func Program(t T, of, variable string) string {
	t.Helper()
	programs, err := Programs(t.Context(), of)
	if err != nil {
		t.Fatalf("%v", err)
	}
	path, ok := programs[variable]
	if !ok {
		t.Fatalf("scripts/db env %s has no %s", of, variable)
	}
	return path
}

// Exec runs statements on s as superuser.
func Exec(t T, s *Server, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatalf("%v", err)
	}
}

// Eventually waits until true is what condition returns.
func Eventually(t T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !condition(); time.Sleep(pollEvery) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// Overdue fails unless the metrics and the log say that the limit was exceeded n times, by app.
func (p *Proxy) Overdue(t T, limit string, n int, digest ...string) {
	t.Helper()
	if got, err := p.Sum(t.Context(), "berth_time_limits_exceeded_total", `limit="`+limit+`"`); err != nil || got != float64(n) {
		t.Errorf("%s was exceeded %v times, expected %d: %v", limit, got, n, err)
	}
	lines := 0
	for line := range strings.Lines(p.Log()) {
		if strings.Contains(line, "time limit exceeded") && strings.Contains(line, limit) {
			lines++
			for _, want := range append(digest, "app", "127.0.0.1:") {
				if !strings.Contains(line, want) {
					t.Errorf("the log does not say %q: %s", want, line)
				}
			}
		}
	}
	if lines != n {
		t.Errorf("%d lines in the log on %s, expected %d", lines, limit, n)
	}
}
