//go:build mutants

package sim

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A simulator that never fails proves nothing. Each file of mutations breaks one line or two of the core or of an engine, and the
// simulation has to notice that within seeds runs of a protocol, and to fail again when what it prints is replayed.
//
// The mistakes are patches, laid over the sources for one build (go build -overlay): the product has no hooks for them, and pays
// nothing.

// mutantSeeds is within how many seeds a mutation must be found.
const mutantSeeds = 3000

var replays = regexp.MustCompile(`-sim\.seed=(\d+) -sim\.with=(\S*): at `)

func TestEveryMutationIsFound(t *testing.T) {
	root, files := mutations(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".diff"), func(t *testing.T) {
			protocol, binary := mutant(t, root, file)
			out, err := exec.Command(binary, "-test.run", "Answers/"+protocol, "-sim.seeds", strconv.Itoa(mutantSeeds), "-sim.shrink", "40").CombinedOutput()
			found := replays.FindSubmatch(out)
			if err == nil || found == nil {
				t.Fatalf("not found: %v\n%s", err, out)
			}
			replay := exec.Command(binary, "-test.run", "Answers/"+protocol, "-sim.seed", string(found[1]), "-sim.with", string(found[2]))
			if out, err := replay.CombinedOutput(); err == nil {
				t.Fatalf("%s passes when it is replayed\n%s", found[0], out)
			}
			line, _, _ := strings.Cut(string(out[strings.Index(string(out), string(found[0])):]), "\n")
			t.Log(line)
		})
	}
}

// mutant builds the simulator with the mutation of a file, and returns the protocol with which it is to be found, and the binary.
func mutant(t *testing.T, root, file string) (protocol, binary string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	protocol, _, _ = strings.Cut(string(text), ":")
	path, patched, err := patch(root, string(text))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, overlay := filepath.Join(dir, "patched.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: source}})
	if err := errors.Join(err, os.WriteFile(source, []byte(patched), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "sim")
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the mutant cannot be built: %v\n%s", err, out)
	}
	return protocol, binary
}
