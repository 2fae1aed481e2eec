package ledger

import (
	"testing"
)

func TestABookFindsWhatIsLostDoubledHalfDoneOrNotWritten(t *testing.T) {
	for _, c := range []struct {
		name  string
		found map[string]int
		wrong int
	}{
		{"as told", map[string]int{"single": 1, "pair": 2}, 0},
		{"unknown in full", map[string]int{"single": 1, "pair": 2, "maybe": 2}, 0},
		{"lost", map[string]int{"pair": 2}, 1},
		{"doubled", map[string]int{"single": 2, "pair": 2}, 1},
		{"half of a pair", map[string]int{"single": 1, "pair": 1}, 1},
		{"half of what is unknown", map[string]int{"single": 1, "pair": 2, "maybe": 1}, 1},
		{"done though it had no effect", map[string]int{"single": 1, "pair": 2, "nothing": 1}, 1},
		{"nobody's", map[string]int{"single": 1, "pair": 2, "other": 1}, 1},
		{"all of it", map[string]int{"pair": 3, "maybe": 3, "other": 1}, 4},
	} {
		b := NewBook()
		b.Note(0, "single", 1, Done)
		b.Note(0, "pair", 2, Done)
		b.Note(1, "maybe", 2, Unknown)
		b.Note(1, "nothing", 1, Nothing)
		if errs := b.Check(c.found); len(errs) != c.wrong {
			t.Errorf("%s: %d are wrong, expected %d: %v", c.name, len(errs), c.wrong, errs)
		}
	}
}

func TestAWriteWithoutEffectThatIsTriedAgainIsAcknowledged(t *testing.T) {
	b := NewBook()
	b.Note(0, "again", 1, Nothing)
	b.Note(0, "again", 1, Done)
	if errs := b.Check(map[string]int{"again": 1}); len(errs) != 0 {
		t.Error(errs)
	}
	if done, unknown := b.Counts(); done != 1 || unknown != 0 {
		t.Errorf("%d done, %d unknown", done, unknown)
	}
}
