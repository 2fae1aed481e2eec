package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/control"
)

func aView() view {
	return view{
		at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		status: control.Status{
			Accepting: true,
			Listeners: []control.Listener{{Name: "l", TargetGroup: "g", Role: "read_write", ClientConnections: 5, QueryRequests: 1000, BorrowTimeouts: 3}},
			TargetGroups: []control.TargetGroup{{Name: "g", Paused: true, Targets: []control.Target{{
				Name: "t", State: "AVAILABLE", Version: "18", Serves: []string{"read_write"}, Sessions: 5, Pool: control.Pool{Open: 3, Max: 20, Lent: 3},
			}}}},
		},
		sessions: []control.Session{
			{ID: 1, Listener: "l", User: "idler", IdleSeconds: 900},
			{ID: 2, Listener: "l", User: "pinner", Backend: 7, Pinned: "named_lock", IdleSeconds: 60},
			{ID: 3, Listener: "l", User: "runner", Backend: 8, IdleSeconds: 0.2},
			{ID: 4, Listener: "l", User: "short", Backend: 9, InTransaction: true, IdleSeconds: 1},
			{ID: 5, Listener: "l", User: "long", Backend: 10, InTransaction: true, IdleSeconds: 30, Application: "a\x1b[2J"},
			{ID: 6, Listener: "l", User: "waiter", Waiting: true, IdleSeconds: 2},
		},
	}
}

func TestTopShowsWhatWaitsAndWhatHoldsADatabaseConnectionFirst(t *testing.T) {
	before, now := aView(), aView()
	now.at = before.at.Add(2 * time.Second)
	now.status.Listeners[0].QueryRequests += 501
	text := strings.Join(strings.Fields(strings.Join(now.render(before, "http://x", 0, 0), "\n")), " ")
	for _, want := range []string{
		"berth at http://x, 03:04:07, accepting 6 sessions: 1 waiting, 2 in transaction, 1 running, 1 pinned, 1 idle",
		"target group g is paused",
		"l g read_write 5 0 0 0 250.5 0.0",
		"g/t writer read_write 5 AVAILABLE 3 20 0 3 0 0",
		"6 l waiter waiting 2s - 5 l long a [2J in transaction 30s 10 4 l short in transaction 1s 9 3 l runner running 200ms 8 2 l pinner pinned 1m0s 7 named_lock 1 l idler idle 15m0s -",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

func TestTopKeepsToTheTerminal(t *testing.T) {
	v := aView()
	lines := v.render(view{}, "http://x", 30, 12)
	if len(lines) != 12 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > 30 {
			t.Errorf("%q has %d characters", l, n)
		}
	}
}

func TestTopCountsNoRatesAcrossProcesses(t *testing.T) {
	before, now := aView(), aView()
	now.at = before.at.Add(time.Second)
	now.status.Listeners[0].QueryRequests = 5
	text := strings.Join(strings.Fields(strings.Join(now.render(before, "", 0, 0), " ")), " ")
	if !strings.Contains(text, "l g read_write 5 0 0 0 - 0.0") {
		t.Error(text)
	}
}

func TestTopSaysThatWhatItShowsIsOld(t *testing.T) {
	v := aView()
	v.trouble = errors.New("connection refused\x1b[2J")
	if lines := v.render(view{}, "", 0, 0); !slices.Contains(lines, "what is shown is old: connection refused [2J") {
		t.Error(strings.Join(lines, "\n"))
	}
}

func TestTopAsksTheAdminServer(t *testing.T) {
	_, _, admin := ready(t, configure(t, minimal))
	if code, out, errs := call(t, "top", "--admin", admin); code != exitOK || errs != "" || strings.Count(out, "SESSION ") != 1 || strings.Contains(out, "\x1b") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	if code, out, errs := call(t, "top", "--admin", admin, "-n", "2", "--interval", "100ms"); code != exitOK || errs != "" || strings.Count(out, "SESSION ") != 2 {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	if code, _, errs := call(t, "top", "--admin", "127.0.0.1:1"); code != exitError || !strings.HasPrefix(errs, "berth top: ") {
		t.Errorf("%d, %s", code, errs)
	}
	if code, _, errs := call(t, "top", "--interval", "1ms"); code != exitUsage || !strings.HasPrefix(errs, "berth top: ") {
		t.Errorf("%d, %s", code, errs)
	}
}
