package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licences are those that the binary may contain, by words that only their texts have, in the order in which they are looked for.
var licences = []struct{ name, words string }{
	{"Apache-2.0", "Apache License"},
	{"MPL-2.0", "Mozilla Public License"},
	{"BSD", "Redistribution and use in source and binary forms"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software"},
}

func TestWhatIsLinkedHasALicenceThatTheBinaryCanBeGivenAwayWith(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}", "./cmd/berth")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	modules := slices.Compact(slices.Sorted(strings.Lines(string(out))))
	if len(modules) < 10 {
		t.Fatalf("only %d modules: %q", len(modules), modules)
	}
	for _, m := range modules {
		path, dir, _ := strings.Cut(strings.TrimSpace(m), " ")
		if licence(t, dir) == "" {
			t.Errorf("%s has none of the licences that are known to this test", path)
		}
	}
}

// licence is the name of the licence in a module's directory, empty if it is none of those above.
func licence(t *testing.T, dir string) string {
	t.Helper()
	for _, pattern := range []string{"LICENSE*", "LICENCE*", "COPYING*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range licences {
				if strings.Contains(string(text), l.words) {
					return l.name
				}
			}
		}
	}
	return ""
}
