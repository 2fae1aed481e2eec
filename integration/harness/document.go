package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Generated fails t unless the part of a document that a test generates, between the lines "<!-- NAME: ... -->" and
// "<!-- NAME end -->", is text. With BERTH_WRITE_DOCS in the environment it becomes text. path is from the repository's
// root.
func Generated(t T, path, name, text string) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatalf("%v", err)
	}
	file := filepath.Join(root, path)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	before, rest, found := strings.Cut(string(whole), "<!-- "+name+":")
	comment, rest, begins := strings.Cut(rest, "-->\n")
	committed, after, ends := strings.Cut(rest, "\n<!-- "+name+" end -->")
	if !found || !begins || !ends {
		t.Fatalf("%s has no place for what is generated: <!-- %s: ... -->", path, name)
	}
	if os.Getenv("BERTH_WRITE_DOCS") != "" {
		whole := before + "<!-- " + name + ":" + comment + "-->\n" + text + "\n<!-- " + name + " end -->" + after
		if err := os.WriteFile(file, []byte(whole), 0o644); err != nil { //nolint:gosec // a document
			t.Fatalf("%v", err)
		}
		return
	}
	have := strings.Split(committed, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("not in %s, BERTH_WRITE_DOCS=1 writes it:\n%s", path, line)
		}
	}
	if !t.Failed() && committed != text {
		t.Errorf("%s has other lines, or in another order: BERTH_WRITE_DOCS=1 writes them", path)
	}
}
