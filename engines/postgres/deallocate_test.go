package postgres

import (
	"slices"
	"testing"
)

func TestATextSaysWhatItDeallocates(t *testing.T) {
	for _, c := range []struct {
		text  string
		names []string
		alone bool
	}{
		{"deallocate a", []string{"a"}, true},
		{"DEALLOCATE PREPARE A;", []string{"a"}, true},
		{`/* b */ deallocate "A b" -- c`, []string{"A b"}, true},
		{"deallocate a; deallocate b", []string{"a", "b"}, false},
		{"select 1/0; deallocate a", []string{"a"}, false},
		{"select 'deallocate a'", nil, true},
		{"deallocate a 'b", []string{"a"}, false},
		{"deallocate", nil, true},
		{"", nil, false},
	} {
		d := deallocations([]byte(c.text), lexing{})
		if !slices.Equal(d.names, c.names) || d.alone != c.alone {
			t.Errorf("%q: %+v", c.text, d)
		}
	}
}
