package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ready launches berth, and returns it with the addresses of its listener and its admin server.
func ready(t *testing.T, config string) (p *process, listener, admin string) {
	t.Helper()
	p = launch(t, "serve", "--config", config)
	line := p.logged("ready")
	listeners, _ := line["listeners"].(map[string]any)
	listener, _ = listeners["l"].(string)
	admin, _ = line["admin"].(string)
	if line["event"] != "ready" || listener == "" || admin == "" {
		t.Fatalf("the ready line is %v", line)
	}
	return p, listener, admin
}

// waiting is a client that has logged in and waits for a backend, which keeps a drain from ending.
func waiting(t *testing.T, p *process, address, admin string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=app password=swordfish dbname=d sslmode=disable", host, port))
		if err == nil {
			_ = c.Close(context.Background())
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, out, _ := call(t, "status", "--admin", admin, "-o", "json"); strings.Contains(out, `"waiting_clients": 1`) {
			return
		}
	}
	t.Fatal("no client waits")
}

func TestServeIsReadyServesItsStatusAndEndsWellAtSIGTERM(t *testing.T) {
	p, listener, admin := ready(t, configure(t, minimal))
	code, out, errs := call(t, "status", "--admin", admin)
	if code != exitOK || !strings.Contains(out, listener) || !strings.Contains(out, "UNAVAILABLE") || !strings.Contains(out, "g/t") {
		t.Errorf("status: %d, %s, %s", code, out, errs)
	}
	resp, err := http.Get("http://" + admin + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz says %d while no target answers", resp.StatusCode)
	}
	p.signal(syscall.SIGTERM)
	p.logged("drained")
	if s := p.ended(); s.ExitCode() != exitOK {
		t.Errorf("it ended with %s", s)
	}
}

func TestParanoidModeIsSaidInTheLog(t *testing.T) {
	t.Setenv("BERTH_PARANOID", "1")
	p, _, _ := ready(t, configure(t, minimal))
	if line := p.logged("BERTH_PARANOID=1"); line["level"] != "warn" {
		t.Errorf("the line is %v", line)
	}
}

func TestASecondSIGTERMEndsADrainAtOnce(t *testing.T) {
	p, listener, admin := ready(t, configure(t, minimal))
	waiting(t, p, listener, admin)
	p.signal(syscall.SIGTERM)
	p.logged("draining")
	select {
	case <-p.done:
		t.Fatal("it did not wait for its session")
	case <-time.After(50 * time.Millisecond):
	}
	p.signal(syscall.SIGTERM)
	if w, ok := p.ended().Sys().(syscall.WaitStatus); !ok || w.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %s", p.cmd.ProcessState)
	}
}

func TestServeSaysWhyItCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, text := range map[string]string{
		"admin":      strings.Replace(minimal, `admin: {address: "127.0.0.1:0"}`, fmt.Sprintf("admin: {address: %q}", taken.Addr()), 1),
		"listener l": strings.Replace(minimal, `engine: postgres, address: "127.0.0.1:0"`, fmt.Sprintf("engine: postgres, address: %q", taken.Addr()), 1),
	} {
		code, _, errs := call(t, "serve", "--config", configure(t, text))
		if code != exitError || !strings.Contains(errs, name+": listen tcp "+taken.Addr().String()) {
			t.Errorf("%s: %d, %s", name, code, errs)
		}
	}
}

func TestStatusExplainsWhatItCannotGet(t *testing.T) {
	config := configure(t, strings.Replace(minimal, "admin: {", "admin: {token: t0ken, ", 1))
	_, _, admin := ready(t, config)
	if code, _, errs := call(t, "status", "--admin", admin); code != exitError || !strings.Contains(errs, "bearer token") {
		t.Errorf("without the token: %d, %s", code, errs)
	}
	t.Setenv("BERTH_ADMIN_TOKEN", "t0ken")
	if code, out, errs := call(t, "status", "--admin", "http://"+admin+"/", "-o", "json"); code != exitOK || !strings.HasPrefix(out, "{") {
		t.Errorf("with the token: %d, %s, %s", code, out, errs)
	}
	if code, _, errs := call(t, "status", "--admin", "127.0.0.1:1"); code != exitError || !strings.Contains(errs, "refused") {
		t.Errorf("nobody there: %d, %s", code, errs)
	}
}

func TestPlainLeavesNothingForATerminalToObey(t *testing.T) {
	if got := plain("a\x1b[2J\nü\tz"); got != "a [2J ü z" {
		t.Errorf("%q", got)
	}
}
