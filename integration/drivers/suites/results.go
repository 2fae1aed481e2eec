package suites

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// results says of each test how it ended: pass, fail or skip.
type results map[string]string

func readResults(path string) (results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all := results{}
	for line := range strings.Lines(string(text)) {
		ended, name, ok := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if !ok || (ended != "pass" && ended != "fail" && ended != "skip") {
			return nil, fmt.Errorf("%s: no result: %q", path, line)
		}
		// A name that comes twice fails if one of the two does.
		if all[name] != "fail" {
			all[name] = ended
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no test has run", path)
	}
	return all, nil
}

func (r results) count(ended string) (n int) {
	for _, each := range r {
		if each == ended {
			n++
		}
	}
	return n
}

// ended is how a test ended, "missing" if it did not run.
func (r results) ended(test string) string {
	if each, ok := r[test]; ok {
		return each
	}
	return "missing"
}

// differ lists the tests of both, in order, that ended in different ways.
func differ(a, b results) []string {
	var names []string
	for _, from := range []results{a, b} {
		for name := range maps.Keys(from) {
			if a.ended(name) != b.ended(name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
