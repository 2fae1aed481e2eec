package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/control"
)

func TestPinsAreATableWithAdviceBelow(t *testing.T) {
	lock := control.Pin{
		Reason: "named_lock", Rule: "GET_LOCK", Engine: "mysql", TargetGroup: "g", User: "u", Database: "d", Application: "a\x1b[2J",
		Digest: "SELECT GET_LOCK(?, ?)", Count: 12, PinnedNow: 3, Last: time.Unix(0, 0).UTC(), PinnedSeconds: 3600.25, Advice: "Release it.",
	}
	other := lock
	other.Digest, other.Other, other.PinnedSeconds = "", true, 0.0015
	body, err := json.Marshal([]control.Pin{lock, other})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printPins(&out, body); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"named_lock GET_LOCK g mysql u d a [2J 3 12 1h0m0s 1970-01-01T00:00:00Z SELECT GET_LOCK(?, ?)", "2ms 1970-01-01T00:00:00Z (others)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if n := strings.Count(text, "named_lock: Release it."); n != 1 {
		t.Errorf("the advice is given %d times", n)
	}
}

func TestPinsAsksTheAdminServer(t *testing.T) {
	_, _, admin := ready(t, configure(t, minimal))
	if code, out, errs := call(t, "pins", "--admin", admin); code != exitOK || !strings.HasPrefix(out, "REASON") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	if code, out, errs := call(t, "pins", "--admin", admin, "-o", "json"); code != exitOK || out != "[]\n" {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	if code, _, errs := call(t, "pins", "--admin", "127.0.0.1:1"); code != exitError || !strings.HasPrefix(errs, "berth pins: ") {
		t.Errorf("%d, %s", code, errs)
	}
}
