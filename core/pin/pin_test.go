package pin

import (
	"slices"
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
	p := zero.With(engine.Ignore, engine.KindSetting)
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

func action(p Policy, ev engine.Event) engine.Action { return p.Action(ev) }

func TestMultiplexRestoresWhateverCanBeAndPinsOnTheRest(t *testing.T) {
	for k := range engine.Kinds {
		ev := engine.Event{Kind: engine.Kind(k)}
		if got := action(Multiplex(), ev); got != engine.Pin {
			t.Errorf("%v: action %v, want Pin", ev.Kind, got)
		}
		ev.Restorable = true
		if got := action(Multiplex(), ev); got != engine.Restore {
			t.Errorf("%v that can be restored: action %v, want Restore", ev.Kind, got)
		}
	}
}

func TestAFilterLeavesWhatCanBeRestoredToMultiplexAndNotToStrictAWS(t *testing.T) {
	for name, c := range map[string]struct {
		policy   Policy
		restored engine.Action
	}{
		"multiplex":  {Multiplex(), engine.Restore},
		"strict-aws": {StrictAWS("mysql"), engine.Ignore},
	} {
		p := c.policy.With(engine.Ignore, engine.KindSetting)
		if got := action(p, engine.Event{Kind: engine.KindSetting, Name: "sort_buffer_size"}); got != engine.Ignore {
			t.Errorf("%s: action %v, want Ignore", name, got)
		}
		if got := action(p, engine.Event{Kind: engine.KindSetting, Name: "sort_buffer_size", Restorable: true}); got != c.restored {
			t.Errorf("%s, what can be restored: action %v, want %v", name, got, c.restored)
		}
	}
}

func TestStrictAWSPinsOnWhatRDSProxyDocuments(t *testing.T) {
	for _, c := range []struct {
		row    string // of RDS Proxy's lists
		engine string
		ev     engine.Event
		want   engine.Action
	}{
		{"LOCK TABLES", "mysql", engine.Event{Kind: engine.KindTableLock}, engine.Pin},
		{"GET_LOCK", "mysql", engine.Event{Kind: engine.KindNamedLock}, engine.Pin},
		{"a user variable", "mysql", engine.Event{Kind: engine.KindUserVariable, Restorable: true}, engine.Pin},
		{"a system variable that is not tracked", "mysql", engine.Event{Kind: engine.KindSetting, Name: "sort_buffer_size", Restorable: true}, engine.Pin},
		{"a system variable that is tracked", "mysql", engine.Event{Kind: engine.KindSetting, Name: "SQL_MODE", Restorable: true}, engine.Restore},
		{"the next transaction's isolation", "mysql", engine.Event{Kind: engine.KindTransactionTrait, Restorable: true}, engine.Pin},
		{"session_track_*", "mysql", engine.Event{Kind: engine.KindSetting, Name: "session_track_gtids", Restorable: true}, engine.Pin},
		{"a temporary table", "mysql", engine.Event{Kind: engine.KindTemporaryTable}, engine.Pin},
		{"a prepared statement", "mysql", engine.Event{Kind: engine.KindPreparedStatement, Restorable: true}, engine.Pin},
		{"USE", "mysql", engine.Event{Kind: engine.KindSchema, Restorable: true}, engine.Restore},
		{"SET", "postgres", engine.Event{Kind: engine.KindSetting, Name: "time_zone", Restorable: true}, engine.Pin},
		{"SET ROLE", "postgres", engine.Event{Kind: engine.KindRole, Restorable: true}, engine.Pin},
		{"PREPARE", "postgres", engine.Event{Kind: engine.KindPreparedStatement}, engine.Pin},
		{"Parse", "postgres", engine.Event{Kind: engine.KindPreparedStatement, Restorable: true}, engine.Restore},
		{"a temporary table", "postgres", engine.Event{Kind: engine.KindTemporaryTable}, engine.Pin},
		{"a cursor", "postgres", engine.Event{Kind: engine.KindCursor}, engine.Pin},
		{"LISTEN", "postgres", engine.Event{Kind: engine.KindListen}, engine.Pin},
		{"LOAD", "postgres", engine.Event{Kind: engine.KindLibrary}, engine.Pin},
		{"nextval", "postgres", engine.Event{Kind: engine.KindSequence, Restorable: true}, engine.Pin},
		{"pg_advisory_lock", "postgres", engine.Event{Kind: engine.KindNamedLock}, engine.Pin},
		{"SET LOCAL", "postgres", engine.Event{Kind: engine.KindSetting, Scope: engine.ScopeTransaction}, engine.Ignore},
	} {
		if got := action(StrictAWS(c.engine), c.ev); got != c.want {
			t.Errorf("%s on %s: action %v, want %v", c.row, c.engine, got, c.want)
		}
	}
}

func TestUnderStrictAWSNothingButTheLossOfTheBackendEndsAPin(t *testing.T) {
	p := StrictAWS("postgres")
	s := p.Causes()
	s.Apply(engine.Event{Kind: engine.KindNamedLock})
	for _, ev := range []engine.Event{{Kind: engine.KindNamedLock, Undo: true}, {Kind: engine.KindReset}, {Kind: engine.KindReset}} {
		if got := s.Apply(ev); got != Same || !s.Pinned() {
			t.Fatalf("%+v: change %v, pinned %v", ev, got, s.Pinned())
		}
	}
	s.Clear()
	if s.Pinned() {
		t.Fatal("pinned without a backend")
	}
	s.Apply(engine.Event{Kind: engine.KindListen})
	if s.Apply(engine.Event{Kind: engine.KindReset}); !s.Pinned() {
		t.Fatal("the set forgot that pins last")
	}
}

func TestUnderStrictAWSACauseThatRDSProxyDoesNotKnowEnds(t *testing.T) {
	p := StrictAWS("mysql")
	s := p.Causes()
	s.Apply(engine.Event{Kind: engine.KindLastResult})
	if got := s.Apply(engine.Event{Kind: engine.KindLastResult, Undo: true}); got != Unpinned {
		t.Errorf("change %v", got)
	}
}

func TestTheTrackedVariablesAreSorted(t *testing.T) {
	if !slices.IsSorted(trackedByAWS) {
		t.Error("they are searched as if they were")
	}
}
