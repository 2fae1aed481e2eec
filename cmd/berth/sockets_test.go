package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// manager is a service manager that is told things.
type manager struct {
	*net.UnixConn
	t *testing.T
}

func manage(t *testing.T) (m manager, name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return manager{conn, t}, name
}

func (m manager) expect(want string) {
	m.t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	p := make([]byte, 1024)
	n, err := m.Read(p)
	if err != nil || string(p[:n]) != want {
		m.t.Fatalf("the service manager was told %q, %v; expected %q", p[:n], err, want)
	}
}

func TestSystemdsSocketIsUsedAndSystemdIsTold(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, name := manage(t)
	path := configure(t, minimal)
	p := launchAs(t, func(c *exec.Cmd) {
		c.ExtraFiles = []*os.File{file}
		c.Env = append(c.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=l", "NOTIFY_SOCKET="+name)
	}, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh", os.Args[0], "serve", "--config", path)
	m.expect("READY=1")
	listeners, _ := p.logged("ready")["listeners"].(map[string]any)
	if got := listeners["l"]; got != socket.Addr().String() {
		t.Errorf("it listens at %v, not at %s", got, socket.Addr())
	}
	p.signal(syscall.SIGHUP)
	m.expect("RELOADING=1")
	m.expect("READY=1")
	p.signal(syscall.SIGTERM)
	m.expect("STOPPING=1")
	p.ended()
}

func TestInheritedSocketsGoToWhomTheyAreFor(t *testing.T) {
	open := func() net.Listener {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	a, b, c, d := open(), open(), open(), open()
	const fixed = "127.0.0.1:6432"
	s := &sockets{list: []inherited{
		{purpose{"renamed", fixed}, false, a}, {purpose{"any", "127.0.0.1:0"}, false, b},
		{purpose{"managed", c.Addr().String()}, true, c}, {purpose{"left", "127.0.0.1:1"}, false, d},
	}}
	for _, w := range []struct {
		name, address string
		want          net.Listener // nil: one of its own
	}{
		{"now", fixed, a}, {"another", "127.0.0.1:0", nil}, {"any", "127.0.0.1:0", b}, {"managed", "127.0.0.1:5", c},
		{"any", "127.0.0.1:0", nil},
	} {
		got, err := s.listen(w.name, w.address)
		if err != nil {
			t.Fatal(err)
		}
		known := got == a || got == b || got == c || got == d
		if w.want != nil && got != w.want || w.want == nil && known {
			t.Errorf("%s at %s got %s", w.name, w.address, got.Addr())
		}
		if !known {
			_ = got.Close()
		}
	}
	var log strings.Builder
	s.done(zerolog.New(&log))
	if _, err := net.Dial("tcp", d.Addr().String()); err == nil || !strings.Contains(log.String(), "left") {
		t.Errorf("what nobody wanted is still open: %v, %s", err, &log)
	}
}

func TestAHandOverThatFailsLeavesEverythingAsItWas(t *testing.T) {
	path := configure(t, minimal)
	p, listener, _ := ready(t, path)
	rewrite(t, path, "engine: postgres", "engine: nonsense")
	p.signal(syscall.SIGUSR2)
	if why, _ := p.logged("this process goes on")["error"].(string); !strings.Contains(why, "ended before it accepted") {
		t.Errorf("it says %q", why)
	}
	if c, err := net.Dial("tcp", listener); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}
	p.signal(syscall.SIGTERM)
	p.ended()
}

func TestWhoIsReadyInTheInstantInWhichTheLimitPassesTakesOverOrIsTold(t *testing.T) {
	var overs, lates int
	for i := range 100 {
		ready, tell, err := readiness()
		if err != nil {
			t.Fatal(err)
		}
		const limit = 2 * time.Millisecond
		told := make(chan error, 1)
		go func() {
			time.Sleep(limit + time.Duration(i-50)*8*time.Microsecond)
			_, err := tell.Write([]byte{1})
			told <- err
		}()
		over := awaitReady(ready, limit)
		if said := <-told; (said == nil) != (over == nil) {
			t.Fatalf("the new process: %v; the old one: %v", said, over)
		}
		if over == nil {
			overs++
		} else {
			lates++
		}
		_ = errors.Join(ready.Close(), tell.Close())
	}
	t.Logf("%d took over, %d were late", overs, lates)
}

func TestANewProcessThatEndsIsNotWaitedFor(t *testing.T) {
	ready, tell, err := readiness()
	if err != nil {
		t.Fatal(err)
	}
	_ = tell.Close()
	if err := awaitReady(ready, patience); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("it says %v", err)
	}
	_ = ready.Close()
}
