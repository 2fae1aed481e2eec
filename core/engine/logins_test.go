package engine

import (
	"fmt"
	"testing"
)

func TestALoginIsToldFromThoseBeforeAChangeThatConcernsIt(t *testing.T) {
	var c LoginChanges
	if got := c.Latest("u", "d"); got != 0 {
		t.Errorf("%d before any change", got)
	}
	for _, of := range []struct {
		LoginsOf
		concerns bool
	}{
		{LoginsOf{}, true}, {LoginsOf{"u", ""}, true}, {LoginsOf{"v", ""}, false}, {LoginsOf{"", "d"}, true}, {LoginsOf{"", "e"}, false},
		{LoginsOf{"u", "d"}, true}, {LoginsOf{"u", "e"}, false}, {LoginsOf{"v", "d"}, false},
	} {
		before := c.Latest("u", "d")
		c.Changed(of.LoginsOf)
		if now := c.Latest("u", "d"); now > before != of.concerns || now < before {
			t.Errorf("%+v: %d, then %d", of.LoginsOf, before, now)
		}
	}
}

func TestLoginChangesAreBounded(t *testing.T) {
	var c LoginChanges
	c.Changed(LoginsOf{"u", "d"})
	before := c.Latest("u", "d")
	for i := range 3 * maxLoginChanges {
		c.Changed(LoginsOf{User: fmt.Sprint(i)})
	}
	if len(c.last) > maxLoginChanges {
		t.Errorf("%d entries", len(c.last))
	}
	if c.Latest("u", "d") == before || c.Latest("nobody", "") == 0 {
		t.Error("what changed is forgotten")
	}
}
