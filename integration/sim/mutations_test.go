package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryMutationApplies notices when the code has changed where a mutation (mutants_test.go) changes it, which takes too long to
// run on every occasion.
func TestEveryMutationApplies(t *testing.T) {
	root, files := mutations(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := patch(root, string(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// mutations returns the root of the sources, and the files.
func mutations(t *testing.T) (root string, files []string) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	files, err = filepath.Glob(filepath.Join("mutations", "*.diff"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d mutations, %v", len(files), err)
	}
	return root, files
}

// patch applies a unified diff of one file below root, and returns the file's path and new text. Each hunk's lines must be there
// exactly once; line numbers do not count.
func patch(root, diff string) (path, text string, err error) {
	_, body, _ := strings.Cut(diff, "\n+++ b/")
	name, body, _ := strings.Cut(body, "\n")
	path = filepath.Join(root, name)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	text = string(source)
	for _, hunk := range strings.Split("\n"+body, "\n@@ ")[1:] {
		_, hunk, _ = strings.Cut(hunk, " @@\n")
		var old, now strings.Builder
		for line := range strings.Lines(hunk) {
			if line[0] != '+' {
				old.WriteString(line[1:])
			}
			if line[0] != '-' {
				now.WriteString(line[1:])
			}
		}
		if n := strings.Count(text, old.String()); n != 1 {
			return "", "", fmt.Errorf("the mutation does not apply to %s any more: its lines are there %d times", name, n)
		}
		text = strings.Replace(text, old.String(), now.String(), 1)
	}
	return path, text, nil
}
