package mysql

import (
	"fmt"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestBackendsLeaveAServerRoomForStatementsOfOthers(t *testing.T) {
	const limit = 400
	e := New(Config{})
	all := &e.shelves
	backends := make([]*backendState, 4)
	for i := range backends {
		backends[i] = &backendState{arm: trackers}
		all.join("s", fmt.Sprint(limit), backends[i])
	}
	s, id := all.byServer["s"], uint32(0)
	for i, b := range backends {
		r := newRig(t, modernClient)
		r.pool = &engine.Backend{ID: uint64(i + 1), State: b}
		for n := range maxPrepared + 50 {
			id++
			r.send(command(protocol.COM_STMT_PREPARE, fmt.Sprintf("DO %d", n)))
			r.answer(prepareOK(id, 0))
			if held := s.held.Load(); held >= limit {
				t.Fatalf("%d statements on the server", held)
			}
		}
	}
	sum := 0
	for _, b := range backends {
		sum += len(b.statements.held)
		if len(b.statements.held) != b.statements.place.held || len(b.statements.held) == 0 {
			t.Errorf("%d statements, counted as %d", len(b.statements.held), b.statements.place.held)
		}
	}
	if int(s.held.Load()) != sum {
		t.Errorf("%d statements, counted as %d", sum, s.held.Load())
	}
	for _, b := range backends {
		e.Gone(&engine.Backend{State: b})
	}
	if s.held.Load() > 0 || s.backends.Load() > 0 {
		t.Errorf("%d statements of %d backends that are gone", s.held.Load(), s.backends.Load())
	}
	backends[0].statements.place.add(-len(backends[0].statements.held)) // a machine that loses it
	e.Gone(&engine.Backend{State: backends[0]})
	if s.held.Load() != 0 || s.backends.Load() != 0 {
		t.Errorf("a backend that was gone left again: %d statements of %d", s.held.Load(), s.backends.Load())
	}
	if len(all.byServer) != 0 {
		t.Error("a server is kept in mind for ever")
	}
}

func TestABackendKeepsLessTheFullerItsServerIs(t *testing.T) {
	s := new(shelf)
	s.limit.Store(16000)
	s.backends.Store(100)
	for _, c := range []struct{ others, held, want int }{
		{0, 200, 199}, {11900, 50, 199}, {12000, 50, 80}, {12000, 90, 88}, {13999, 1, 80}, {15000, 90, 88}, {15000, 50, 48}, {15900, 1, 0}, {20000, 0, 0},
	} {
		s.held.Store(int64(c.others))
		if got := (&place{shelf: s, held: c.held}).room(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
	if got := (*place)(nil).room(); got != maxPrepared-1 {
		t.Errorf("%d", got)
	}
}
