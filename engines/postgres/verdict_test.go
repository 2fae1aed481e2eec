package postgres

import (
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestAStatementThatMayBeAnotherThanDiscardAllResetsNothing(t *testing.T) {
	reset, set := classify([]byte("DISCARD ALL"), lexing{}), classify([]byte("SET a.b = 1"), lexing{})
	if !reset.reset || !set.kinds.has(engine.KindSetting) {
		t.Fatalf("classified as %+v and %+v", reset, set)
	}
	for _, v := range []verdict{reset.or(set), set.or(reset), reset.or(verdict{})} {
		if v.reset {
			t.Errorf("%+v counts as a reset", v)
		}
	}
	if !reset.or(reset).reset {
		t.Error("two resets are none")
	}
}
