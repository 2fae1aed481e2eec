package harness

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// document is a file with a part that a test generates, between the lines "<!-- NAME: ... -->" and "<!-- NAME end -->".
type document struct {
	file                     string
	before, committed, after string // committed is the part
}

// generatedPart reads a document. path is from the repository's root.
func generatedPart(t T, path, name string) document {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatalf("%v", err)
	}
	d := document{file: filepath.Join(root, path)}
	whole, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	before, rest, found := strings.Cut(string(whole), "<!-- "+name+":")
	comment, rest, begins := strings.Cut(rest, "-->\n")
	committed, after, ends := strings.Cut(rest, "\n<!-- "+name+" end -->")
	if !found || !begins || !ends {
		t.Fatalf("%s has no place for what is generated: <!-- %s: ... -->", path, name)
	}
	d.before, d.committed = before+"<!-- "+name+":"+comment+"-->\n", committed
	d.after = "\n<!-- " + name + " end -->" + after
	return d
}

// writesDocuments says that tests write what they generate, instead of comparing.
func writesDocuments() bool { return os.Getenv("BERTH_WRITE_DOCS") != "" }

// Documented is the part of a document that a test generates, for what this machine cannot show as the document's writer saw it. It is
// empty when the part is being written anew.
func Documented(t T, path, name string) string {
	t.Helper()
	if writesDocuments() {
		return ""
	}
	return generatedPart(t, path, name).committed
}

// Generated fails t unless the part of a document that a test generates, between the lines "<!-- NAME: ... -->" and
// "<!-- NAME end -->", is text. With BERTH_WRITE_DOCS in the environment it becomes text. path is from the repository's
// root.
func Generated(t T, path, name, text string) {
	t.Helper()
	d := generatedPart(t, path, name)
	if writesDocuments() {
		if err := os.WriteFile(d.file, []byte(d.before+text+d.after), 0o644); err != nil { //nolint:gosec // a document
			t.Fatalf("%v", err)
		}
		return
	}
	have := strings.Split(d.committed, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("not in %s, BERTH_WRITE_DOCS=1 writes it:\n%s", path, line)
		}
	}
	if !t.Failed() && d.committed != text {
		t.Errorf("%s has other lines, or in another order: BERTH_WRITE_DOCS=1 writes them", path)
	}
}
