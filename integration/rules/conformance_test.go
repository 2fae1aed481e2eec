package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	cited    = regexp.MustCompile(`((?:Test|Fuzz)\w+)( \([^)]*\))?`)
)

// tests are the texts of the test files, by the functions that they or others of their package declare.
func tests(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{} // by directory
	found := map[string][]string{}
	for _, below := range []string{"integration", "engines", "core"} {
		err := filepath.WalkDir(filepath.Join(root(t), below), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			dir := filepath.Dir(path)
			texts[dir] += string(text)
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				found[m[1]] = append(found[m[1]], dir)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]string{}
	for name, dirs := range found {
		for _, dir := range dirs {
			all[name] += texts[dir]
		}
	}
	return all
}

func TestTheConformanceListNamesTestsThatExist(t *testing.T) {
	list, err := os.ReadFile(filepath.Join(root(t), "integration", "CONFORMANCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	all, rows := tests(t), 0
	for line := range strings.Lines(string(list)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| behaviour") || strings.HasPrefix(line, "| **") {
			continue
		}
		rows++
		named := cited.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(named) == 0 {
			t.Errorf("no test: %s", line)
		}
		for _, m := range named {
			text, exists := all[m[1]]
			if !exists {
				t.Errorf("%s does not exist", m[1])
			}
			if words := strings.Trim(m[2], " ()"); exists && !strings.Contains(text, words) {
				t.Errorf("%s has no case %q", m[1], words)
			}
		}
	}
	if rows < 100 {
		t.Fatalf("only %d lines: the list is not complete", rows)
	}
}
