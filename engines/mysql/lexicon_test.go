package mysql

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestEveryWordIsFoundAndNoOther(t *testing.T) {
	for _, e := range words.all {
		if got := words.find([]byte(e.name)); got != e.word || got == (word{}) {
			t.Errorf("%s: %v, not %v", e.name, got, e.word)
		}
	}
	for _, name := range slices.Concat(strings.Fields(harmlessCalls), slices.Collect(maps.Keys(specialCalls)), strings.Fields(working[worksTableless])) {
		if words.find([]byte(name)) == (word{}) {
			t.Errorf("%s is not found", name)
		}
	}
	for _, e := range words.all {
		for i := range e.name {
			other := e.name[:i] + "#" + e.name[i+1:]
			for _, text := range []string{other, e.name[:i], e.name[i+1:], e.name + "#"} {
				known := slices.ContainsFunc(words.all, func(e entry) bool { return e.name == text })
				if got := words.find([]byte(text)); !known && got != (word{}) {
					t.Errorf("%q is found as %v", text, got)
				}
			}
		}
	}
}
