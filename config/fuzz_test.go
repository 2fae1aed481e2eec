package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(documented), "BERTH_LOG__LEVEL=debug")
	f.Add([]byte(minimal), "BERTH_LISTENERS__0__NAME=x")
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [b]\n: c\n--- \n..."), "BERTH___=")
	f.Add([]byte("listeners: [~, 5, {}, []]\ntarget_groups: {a: !!binary x}\nlog: ${X} $${Y"), "X=${X}")
	f.Add([]byte("admin: {address: '[::1%25lo]:0', token: \"\\0\"}\nruntime: {loops: 0x7fffffffffffffff}"), "=")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		if len(text) > 1<<14 {
			return // the parser's time, not its memory safety, is what a larger text would test
		}
		c, err := parse("f", testDir, text, []string{variable})
		if err == nil {
			if c == nil {
				t.Fatal("neither a configuration nor an error")
			}
			return
		}
		var problems *Problems
		if !errors.As(err, &problems) || len(problems.List) == 0 || c != nil {
			t.Fatalf("got %v, %v", c, err)
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(problems.List) {
			t.Fatalf("%d problems are printed in %d lines:\n%s", len(problems.List), lines, err)
		}
		if slices.ContainsFunc(problems.List, func(p Problem) bool { return p.Message == "" || p.Source == "" }) {
			t.Fatalf("a problem says nothing: %+v", problems.List)
		}
	})
}
