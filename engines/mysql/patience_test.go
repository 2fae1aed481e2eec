package mysql

import (
	"bytes"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

func TestABackendThatWouldEndSoonHasItsOwnTimeoutAgainBeforeAnybodyElseHasIt(t *testing.T) {
	base, _ := (*settings)(nil).with(waitTimeout, "28800")
	back := query("SET @@SESSION.wait_timeout=28800")
	set := query("SET wait_timeout = 1")
	r := newRig(t, modernClient)
	r.pool.State.(*backendState).base = base
	r.ask(set, set, reports(waitTimeout, "5"))
	if !bytes.Equal(r.backend, back) || r.held == nil {
		t.Fatalf("backend got %q, held %v", r.backend, r.held)
	}
	r.client, r.backend = nil, nil
	r.answer(reports(waitTimeout, "28800"))
	if r.held != nil || r.pins != 0 || len(r.client)+len(r.backend) != 0 {
		t.Fatalf("held %v, client got %q, backend %q", r.held, r.client, r.backend)
	}
	if got := r.m.Patience(); got != 5*time.Second {
		t.Errorf("the session may be silent for %v", got)
	}
	// A session that has set nothing has nothing to undo, and this one its own time again.
	one, row := query("SELECT 1"), reply("\x01", columnOne, "\x011", endMySQL)
	other := newRig(t, modernClient)
	other.pool = r.pool
	other.ask(one, one, row)
	if got := other.m.Patience(); got != 0 {
		t.Errorf("another session may be silent for %v", got)
	}
	r.ask(one, query("SET @@SESSION.wait_timeout=5"), reports(waitTimeout, "5"))
	if !bytes.Equal(r.backend, one) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.backend = nil
	r.answer(row)
	if !bytes.Equal(r.backend, back) {
		t.Fatalf("backend got %q", r.backend)
	}
	// Where the server has it so, or it is long, nothing is taken back.
	for _, c := range [][2]string{{"5", "5"}, {"4", "5"}, {"28800", "60"}, {"60", "28800"}} {
		r = newRig(t, modernClient)
		r.pool = &engine.Backend{ID: 3, State: &backendState{}}
		r.pool.State.(*backendState).base, _ = base.with(waitTimeout, c[0])
		r.ask(set, set, reports(waitTimeout, c[1]))
		if r.held != nil || len(r.backend) != 0 {
			t.Errorf("%v: held %v, backend got %q", c, r.held, r.backend)
		}
	}
}
