package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/config"
	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/engine"
)

// rewrite replaces text in a configuration file.
func rewrite(t *testing.T, path string, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(oldnew...).Replace(string(text))
	if changed == string(text) {
		t.Fatal("nothing is replaced")
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keysOf(line map[string]any) (keys []string) {
	list, _ := line["keys"].([]any)
	for _, k := range list {
		keys = append(keys, k.(string))
	}
	return keys
}

func TestSIGHUPTakesTheRulesOfPinningAndSaysWhatNeedsARestart(t *testing.T) {
	path := configure(t, minimal)
	p, _, _ := ready(t, path)
	rewrite(t, path, "max_connections: 2", "max_connections: 3, init_query: select 1, session_pinning_preset: strict-aws, unseen_changes: pin")
	p.signal(syscall.SIGHUP)
	const pool = "target_groups[0].connection_pool."
	if got := keysOf(p.logged("configuration reloaded")); !slices.Equal(got, []string{pool + "max_connections", pool + "session_pinning_preset", pool + "unseen_changes"}) {
		t.Errorf("reloaded: %q", got)
	}
	if got := keysOf(p.logged("need a restart")); !slices.Equal(got, []string{pool + "init_query"}) {
		t.Errorf("needing a restart: %q", got)
	}
}

func TestSIGHUPWithABadFileChangesNothingAndSaysWhy(t *testing.T) {
	path := configure(t, minimal)
	p, _, _ := ready(t, path)
	rewrite(t, path, "max_connections: 2", "session_pinning_preset: strict")
	p.signal(syscall.SIGHUP)
	line := p.logged("not reloaded")
	if why, _ := line["reason"].(string); !strings.Contains(why, "session_pinning_preset") || line["level"] != "error" {
		t.Errorf("%v", line)
	}
}

func TestSIGHUPChangesTheLogLevel(t *testing.T) {
	path := configure(t, minimal)
	p, _, _ := ready(t, path)
	rewrite(t, path, "format: json", "format: json, level: error")
	p.signal(syscall.SIGHUP)
	if got := keysOf(p.logged("configuration reloaded")); !slices.Equal(got, []string{"log.level"}) {
		t.Errorf("reloaded: %q", got)
	}
	p.signal(syscall.SIGTERM)
	p.ended()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.log {
		if line["message"] == "drained" {
			t.Error("what is less than an error is still logged")
		}
	}
}

// reloading is a reload of the configuration at path, and what its proxy was made of.
func reloading(t *testing.T, path string, patience time.Duration) (*reload, core.Config) {
	t.Helper()
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	pc, wiring, err := wire(c, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := core.New(pc)
	if err != nil {
		t.Fatal(err)
	}
	return &reload{path: path, proxy: proxy, current: c, wiring: wiring, log: zerolog.Nop(), patience: patience}, pc
}

func TestAReloadReachesTheGroupsOfTheSameName(t *testing.T) {
	path := configure(t, minimal)
	r, pc := reloading(t, path, loadWithin)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.proxy.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-r.proxy.Ready()
	g := pc.Groups[0]
	run := func(good bool) {
		t.Helper()
		if _, err := r.run(); (err == nil) != good {
			t.Errorf("reload: %v", err)
		}
	}
	setting := engine.Event{Kind: engine.KindSetting}
	old := g.Policy()
	expect := func(when string, action engine.Action, unseen engine.Unseen) {
		t.Helper()
		if got := g.Policy().Action(setting); got != action {
			t.Errorf("%s: a setting's action is %v", when, got)
		}
		if got := g.Engine().(interface{ Unseen() engine.Unseen }).Unseen(); got != unseen {
			t.Errorf("%s: unseen changes: %v", when, got)
		}
	}
	expect("before", engine.Pin, engine.UnseenVerify)
	rewrite(t, path, "max_connections: 2", "session_pinning_filters: [EXCLUDE_VARIABLE_SETS], unseen_changes: trust")
	run(true)
	expect("reloaded", engine.Ignore, engine.UnseenTrust)
	if old.Action(setting) != engine.Pin {
		t.Error("the policy of sessions that began before has changed")
	}
	rewrite(t, path, "unseen_changes: trust", "unseen_changes: tru")
	run(false)
	expect("a bad file", engine.Ignore, engine.UnseenTrust)
	rewrite(t, path, "unseen_changes: tru", "max_connections: 2", "session_pinning_filters: [EXCLUDE_VARIABLE_SETS], ", "")
	run(true)
	expect("as it was", engine.Pin, engine.UnseenVerify)
}

func TestAReloadOfFilesThatDoNotAnswerFailsAndTheNextOneMayGoOn(t *testing.T) {
	path := configure(t, minimal)
	silent := filepath.Join(t.TempDir(), "crt")
	if err := syscall.Mkfifo(silent, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := reloading(t, path, 50*time.Millisecond)
	rewrite(t, path, "target_group: g}", "target_group: g, tls: {cert_file: "+silent+", key_file: "+silent+"}}")
	before := runtime.NumGoroutine()
	for range 5 {
		if _, err := r.run(); !errors.Is(err, errLoading) {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > 1 {
		t.Errorf("%d readings go on", n)
	}
	rewrite(t, path, "tls: {cert_file: "+silent+", key_file: "+silent+"}", "idle_client_timeout: 1h")
	for over := false; !over; { // whoever reads finds the end
		select {
		case <-r.reading:
			over = true
		case <-time.After(time.Millisecond):
			if f, err := os.OpenFile(silent, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				_ = f.Close()
			}
		}
	}
	r.patience = loadWithin
	l, err := r.load()
	if err != nil || r.reading != nil || l.next.Listeners[0].IdleClientTimeout != time.Hour {
		t.Errorf("%+v, %v", l, err)
	}
}
