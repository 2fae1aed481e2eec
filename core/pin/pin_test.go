package pin

import (
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestTheZeroPolicyPinsOnEveryKindOfSessionState(t *testing.T) {
	var p Policy
	for k := range engine.Kinds {
		if got := p.Action(engine.Event{Kind: engine.Kind(k)}); got != engine.Pin {
			t.Errorf("%v: action %v, want Pin", engine.Kind(k), got)
		}
	}
	if got := p.Action(engine.Event{Kind: engine.Kind(200)}); got != engine.Pin {
		t.Errorf("a kind from the future: action %v, want Pin", got)
	}
}

func TestStateOfTheTransactionNeedsNoAction(t *testing.T) {
	var p Policy
	if got := p.Action(engine.Event{Kind: engine.KindSetting, Scope: engine.ScopeTransaction}); got != engine.Ignore {
		t.Errorf("action %v, want Ignore", got)
	}
}

func TestAPolicyChangesOneKindAndLeavesTheOriginalAlone(t *testing.T) {
	var zero Policy
	p := zero.With(engine.KindSetting, engine.Ignore)
	if p.Action(engine.Event{Kind: engine.KindSetting}) != engine.Ignore {
		t.Error("the changed kind still pins")
	}
	if p.Action(engine.Event{Kind: engine.KindRole}) != engine.Pin {
		t.Error("another kind changed")
	}
	if zero.Action(engine.Event{Kind: engine.KindSetting}) != engine.Pin {
		t.Error("the original changed")
	}
}

func TestASessionStaysPinnedUntilItsLastCauseIsGone(t *testing.T) {
	var s Set
	steps := []struct {
		ev     engine.Event
		change Change
		pinned bool
	}{
		{engine.Event{Kind: engine.KindNamedLock, Undo: true}, Same, false}, // released what it never had
		{engine.Event{Kind: engine.KindNamedLock}, Pinned, true},
		{engine.Event{Kind: engine.KindNamedLock}, Same, true},
		{engine.Event{Kind: engine.KindTemporaryTable}, Same, true},
		{engine.Event{Kind: engine.KindNamedLock, Undo: true}, Same, true},
		{engine.Event{Kind: engine.KindTemporaryTable, Undo: true}, Same, true},
		{engine.Event{Kind: engine.KindNamedLock, Undo: true}, Unpinned, false},
	}
	for i, st := range steps {
		if got := s.Apply(st.ev); got != st.change || s.Pinned() != st.pinned {
			t.Fatalf("step %d %+v: change %v pinned %v, want %v %v", i, st.ev, got, s.Pinned(), st.change, st.pinned)
		}
	}
}

func TestAResetEndsEveryCause(t *testing.T) {
	var s Set
	for k := range engine.Kinds - 1 {
		s.Apply(engine.Event{Kind: engine.Kind(k)})
	}
	if s.First() != engine.KindUnknown || !s.Has(engine.KindReplication) {
		t.Fatalf("causes not entered: %+v", s)
	}
	if got := s.Apply(engine.Event{Kind: engine.KindReset}); got != Unpinned || s.Pinned() {
		t.Fatalf("after a reset: change %v, pinned %v", got, s.Pinned())
	}
}

func TestACountThatOverflowedDoesNotEndBeforeAReset(t *testing.T) {
	var s Set
	for range 70_000 {
		s.Apply(engine.Event{Kind: engine.KindNamedLock})
	}
	for range 70_000 {
		s.Apply(engine.Event{Kind: engine.KindNamedLock, Undo: true})
	}
	if !s.Pinned() {
		t.Fatal("unpinned although the count was lost")
	}
}
