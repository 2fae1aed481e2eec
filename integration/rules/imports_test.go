// Package rules keeps the rules of the repository that no compiler checks.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/berthdb/berth/"

// allowed says what of this module a package may import, by the longest prefix that matches its path. A "/..." covers
// the packages below.
var allowed = map[string][]string{
	"cmd":              {"config", "core/...", "core", "engines/...", "plugins/..."},
	"config":           {},
	"core":             {"core/..."},
	"core/engine":      {"core/socket"},
	"core/socket":      {},
	"core/loop":        {"core/socket"},
	"core/pool":        {},
	"core/pin":         {"core/engine"},
	"core/telemetry":   {"core/engine"},
	"core/relay":       {"core/engine", "core/loop", "core/pin", "core/pool", "core/telemetry"},
	"core/target":      {"core/engine", "core/pin", "core/pool", "core/relay", "core/telemetry"},
	"core/control":     {"core", "core/engine", "core/pin", "core/pool", "core/relay", "core/target", "core/telemetry"},
	"engines/postgres": {"core/engine"},
	"engines/mysql":    {"core/engine"},
	"plugins":          {"core/engine"},
	// What a plugin is made of, and what runs it, know nothing of Berth.
	"plugins/discovery":       {"core/engine", "plugins/discoveryplugin/...", "plugins/discoveryplugin", "plugins/host"},
	"plugins/discoveryplugin": {"plugins/discoveryplugin", "plugins/discoveryplugin/wire"},
	"plugins/host":            {},
	"integration":             {"..."},
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "..", "..")
}

func rulesFor(path string) ([]string, bool) {
	for p := path; ; {
		if r, ok := allowed[p]; ok {
			return r, true
		}
		i := strings.LastIndex(p, "/")
		if i < 0 {
			return nil, false
		}
		p = p[:i]
	}
}

func permits(rules []string, path string) bool {
	for _, r := range rules {
		below, all := strings.CutSuffix(r, "...")
		if r == path || all && strings.HasPrefix(path, below) {
			return true
		}
	}
	return false
}

func TestImportsPointOneWay(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		rules, known := rulesFor(path)
		if !known {
			t.Errorf("%s is in no folder that the rules know", path)
			continue
		}
		for _, imported := range p.Imports {
			own, ours := strings.CutPrefix(imported, module)
			if ours && !permits(rules, own) {
				t.Errorf("%s imports %s", path, own)
			}
			seen++
		}
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			if own, ours := strings.CutPrefix(imported, module); ours && strings.HasPrefix(own, "engines/") &&
				strings.HasPrefix(path, "engines/") && own != path {
				t.Errorf("a test of %s imports %s", path, own)
			}
		}
	}
	if seen < 100 {
		t.Fatalf("only %d imports seen: the list is not complete", seen)
	}
}

func TestTheTopLevelHoldsOnlyWhatIsGiven(t *testing.T) {
	given := map[string]bool{}
	for _, name := range strings.Fields(`cmd engines core plugins config integration scripts go.mod go.sum Makefile LICENSE
		README.md CHANGELOG.md CONTRIBUTING.md docs deploy .ci .gitignore`) {
		given[name] = true
	}
	cmd := exec.Command("git", "ls-tree", "--name-only", "HEAD")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-tree: %v", err)
	}
	names := strings.Fields(string(out))
	if len(names) == 0 {
		t.Fatal("nothing is committed")
	}
	for _, name := range names {
		if !given[name] {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "integration/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root(t), path, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", path)
		}
	}
}
