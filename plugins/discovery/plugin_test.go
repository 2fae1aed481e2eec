package discovery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/plugins/discoveryplugin"
	"github.com/berthdb/berth/plugins/host"
)

const (
	// playVariable makes this program a plugin that does what its value says.
	playVariable = "BERTH_TEST_PLUGIN"
	// settleWithin bounds waits that normally end soon.
	settleWithin = time.Minute
)

func TestMain(m *testing.M) {
	switch play := os.Getenv(playVariable); play {
	case "":
		os.Exit(m.Run())
	case "no handshake":
		time.Sleep(time.Hour)
	case "other words":
		fmt.Println(strings.Repeat("hello ", 1000))
	case "ends at once":
		fmt.Fprintln(os.Stderr, "no licence")
		os.Exit(7)
	default:
		discoveryplugin.Serve(actor(play))
	}
}

// actor is a plugin with a habit.
type actor string

func (a actor) Watch(ctx context.Context, r discoveryplugin.Request, tell func([]discoveryplugin.Target, error)) error {
	one := func(name, host string, port int) {
		tell([]discoveryplugin.Target{{Name: name, Host: host, Port: port}}, nil)
	}
	switch a {
	case "request":
		one(r.TargetGroup+"-"+r.Engine+"-"+r.Settings["zone"], "h", int(r.Interval.Milliseconds()))
	case "environment":
		tell(nil, fmt.Errorf("%q", os.Environ()))
	case "fails":
		return errors.New("no such region\nat all")
	case "crashes":
		one(fmt.Sprint("pid-", os.Getpid()), "h", 1)
		time.Sleep(100 * time.Millisecond)
		os.Exit(3)
	case "hangs":
		one(fmt.Sprint("pid-", os.Getpid()), "h", 1)
		time.Sleep(100 * time.Millisecond)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "leaves a daemon":
		daemon := exec.Command("/bin/sleep", "30")
		daemon.Stderr = os.NewFile(2, "its own") // not what the plugin library has made of it
		daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		tell([]discoveryplugin.Target{{Name: "a", Host: "h", Port: 1}}, daemon.Start())
	case "talks":
		for i := range 10000 {
			log.Print(strings.Repeat("x", 4<<10), i)
			fmt.Println("to the standard output")
		}
		one("a", "h", 1)
	case "floods":
		tell([]discoveryplugin.Target{{Name: strings.Repeat("a", 8<<20)}}, nil)
	case "bad name":
		one("a b", "h", 1)
	case "bad host":
		one("a", "h:1/", 1)
	case "bad port":
		one("a", "h", 1<<16)
	case "bad certificate":
		tell([]discoveryplugin.Target{{Name: "a", Host: "h", Port: 1, ServerName: "*\n"}}, nil)
	case "six":
		tell([]discoveryplugin.Target{{Name: "[::1]", Host: "::1", Port: 5432}}, nil)
	case "changes":
		for i := 0; ctx.Err() == nil; i++ {
			tell([]discoveryplugin.Target{{Name: fmt.Sprint("t", i), Host: "::1", Port: 5432, ServerName: "db"}}, nil)
			time.Sleep(50 * time.Millisecond)
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// program makes a program that plays.
func program(t *testing.T, play string) host.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	text := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s'\n", playVariable, play, self)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return host.Program{Path: path}
}

// plays makes a source of such a program, whose log goes to w.
func plays(t *testing.T, play string, w *journal) *Plugin {
	t.Helper()
	p, err := NewPlugin(program(t, play), discoveryplugin.Request{
		TargetGroup: "orders", Engine: "mysql", Interval: 200 * time.Millisecond, Settings: map[string]string{"zone": "b"},
	}, zerolog.New(w))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// journal is a log.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// told asks p, and returns what it found as name=address.
func told(ctx context.Context, p *Plugin) (found []string, err error) {
	targets, err := p.Find(ctx)
	for _, f := range targets {
		found = append(found, f.Name+"="+f.Address+"="+f.TLS.ServerName)
	}
	return found, err
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > settleWithin {
			t.Fatalf("not within %s: %s", settleWithin, what)
		}
	}
}

func TestAPluginIsAskedOnceWithoutBeingFollowed(t *testing.T) {
	t.Setenv("BERTH_TEST_SECRET", "do not tell")
	if got, err := told(t.Context(), plays(t, "request", &journal{})); err != nil || !slices.Equal(got, []string{"orders-mysql-b=h:200="}) {
		t.Errorf("%q, %v", got, err)
	}
	for play, want := range map[string]string{
		"environment":     "PLUGIN_CLIENT_CERT",
		"fails":           "it stopped looking no such region at all",
		"ends at once":    "exit status 7",
		"other words":     "nrecognized remote plugin message",
		"no handshake":    "timeout",
		"floods":          "larger than max",
		"bad name":        `names a target "a b"`,
		"bad host":        `host of target a is "h:1/"`,
		"bad port":        "port of target a is 0",
		"bad certificate": "certificate of target a",
		"six":             "names a target",
	} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			got, err := told(t.Context(), plays(t, play, &journal{}))
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "do not tell") ||
				strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestWhatIsNoPluginIsRefused(t *testing.T) {
	good := program(t, "request")
	text, err := os.ReadFile(good.Path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	good.SHA256 = sum[:]
	request := discoveryplugin.Request{TargetGroup: "a", Engine: "b", Interval: time.Second}
	p, err := NewPlugin(good, request, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := told(t.Context(), p); err != nil {
		t.Errorf("with the right checksum: %q, %v", got, err)
	}
	// Somebody exchanges the file while Berth runs.
	if err := os.WriteFile(good.Path, append(text, '\n'), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := told(t.Context(), p); err == nil || !strings.Contains(err.Error(), "another checksum") {
		t.Errorf("exchanged: %v", err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	open := filepath.Join(t.TempDir(), "open")
	for path, mode := range map[string]os.FileMode{plain: 0o600, open: 0o777} {
		if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for want, program := range map[string]host.Program{
		"another checksum": good,
		"no such file":     {Path: "/no/such/file"},
		"is no file":       {Path: t.TempDir()},
		"not executable":   {Path: plain},
		"by everybody":     {Path: open},
	} {
		if _, err := NewPlugin(program, request, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAPluginThatIsFollowedTellsOfChanges(t *testing.T) {
	p := plays(t, "changes", &journal{})
	ctx, stop := context.WithCancel(t.Context())
	news := make(chan struct{}, 100)
	wait := p.Follow(ctx, func() { news <- struct{}{} })
	seen := map[string]bool{}
	for len(seen) < 5 {
		got, err := told(t.Context(), p)
		if err != nil || len(got) != 1 || !strings.HasSuffix(got[0], "=[::1]:5432=db") {
			t.Fatalf("%q, %v", got, err)
		}
		seen[got[0]] = true
		<-news
	}
	stop()
	wait()
}

func TestAPluginThatEndsOrHangsIsStartedAnew(t *testing.T) {
	for play, want := range map[string]string{"crashes": "exit status 3", "hangs": "said nothing for too long (signal: killed)"} {
		t.Run(play, func(t *testing.T) {
			t.Parallel()
			w := &journal{}
			p := plays(t, play, w)
			ctx, stop := context.WithCancel(t.Context())
			wait := p.Follow(ctx, func() {})
			lives := map[string]bool{}
			eventually(t, "it has had three lives, and has told why they ended", func() bool {
				got, err := told(t.Context(), p)
				if err == nil {
					lives[got[0]] = true
				} else if !strings.Contains(err.Error(), "the plugin is not running") || !strings.Contains(err.Error(), want) {
					t.Fatal(err)
				}
				return len(lives) >= 3
			})
			stop()
			wait()
			if got := w.String(); !strings.Contains(got, "250ms") || !strings.Contains(got, "500ms") {
				t.Errorf("it does not wait longer each time: %s", got)
			}
			for name := range lives {
				var pid int
				if _, err := fmt.Sscanf(name, "pid-%d=", &pid); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
					t.Errorf("%s is still there: %v", name, err)
				}
			}
		})
	}
}

func TestWhatAPluginWritesIsLoggedWithinBounds(t *testing.T) {
	w := &journal{}
	if got, err := told(t.Context(), plays(t, "talks", w)); err != nil || len(got) != 1 {
		t.Fatalf("%q, %v", got, err)
	}
	got := w.String()
	if n := strings.Count(got, "plugin says"); n == 0 || n > 2000 || len(got) > n*(maxPluginCause+2048) {
		t.Errorf("%d lines, %d bytes", n, len(got))
	}
}

func TestAPluginThatLeavesADaemonBehindHoldsNobodyUp(t *testing.T) {
	began := time.Now()
	found, err := told(t.Context(), plays(t, "leaves a daemon", &journal{}))
	if took := time.Since(began); err != nil || len(found) != 1 || took > 25*time.Second {
		t.Errorf("after %s: %q, %v", took, found, err)
	}
}
