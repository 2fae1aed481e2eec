package drivers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// The prologues of other languages. A program is run with its case and a port, says "ready VERSIONS" when its
// connection is at rest, and ends with its stdin.

func python(name string) start {
	return program(func(t *testing.T) []string {
		return []string{filepath.Join(fetched(t, "python"), "bin", "python"), "python/prologue.py", name}
	})
}

func node(name string) start {
	return program(func(t *testing.T) []string {
		return []string{"env", "DRIVERS=" + fetched(t, "node"), "node", "node/prologue.mjs", name}
	})
}

func java(name string) start {
	return program(func(t *testing.T) []string {
		dir := fetched(t, "java")
		// HikariCP looks whether a connection is alive if it was idle for half a second. Here it always does.
		return []string{"java", "-XX:TieredStopAtLevel=1", "-Dcom.zaxxer.hikari.aliveBypassWindowMs=0", "-cp", filepath.Join(dir, "classes") + ":" + filepath.Join(dir, "jars", "*"), "Prologue", name}
	})
}

func ruby(name string) start {
	return program(func(*testing.T) []string { return []string{"ruby", "-W0", "ruby/prologue.rb", name} })
}

func php(name string) start {
	return program(func(*testing.T) []string { return []string{"php", "php/prologue.php", name} })
}

// fetches remembers what scripts/drivers said, by language.
var fetches sync.Map

// fetched is the directory of a language's drivers.
func fetched(t *testing.T, language string) string {
	t.Helper()
	once, _ := fetches.LoadOrStore(language, sync.OnceValues(func() (string, error) {
		root, err := harness.Root()
		if err != nil {
			return "", err
		}
		var stderr bytes.Buffer
		cmd := exec.Command(filepath.Join(root, "scripts", "drivers"), language)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		dir, ok := strings.CutPrefix(strings.TrimSpace(string(out)), language+"=")
		if err != nil || !ok {
			return "", fmt.Errorf("scripts/drivers %s: %w\n%s%s", language, err, out, stderr.Bytes())
		}
		return dir, nil
	}))
	dir, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// readyWithin bounds how long a program takes to say its prologue.
const readyWithin = 2 * time.Minute

func program(command func(t *testing.T) []string) start {
	return func(t *testing.T, e harness.Endpoint) (string, func() error) {
		t.Helper()
		args := append(command(t), strconv.Itoa(e.Port))
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...) // killed if the test ends before
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TZ=UTC", "LC_ALL=C.UTF-8"}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatalf("%v: scripts/install-deps installs what is missing", err)
		}
		end := func() error {
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
			}
			return nil
		}
		ready := make(chan string, 1)
		go func() {
			line, _ := bufio.NewReader(out).ReadString('\n')
			ready <- line
		}()
		select {
		case line := <-ready:
			if versions, ok := strings.CutPrefix(strings.TrimSpace(line), "ready "); ok {
				return versions, end
			}
			t.Fatal(errors.Join(fmt.Errorf("it says %q", line), end()))
		case <-time.After(readyWithin):
			t.Fatalf("%s is not ready within %s", strings.Join(args, " "), readyWithin)
		}
		return "", end
	}
}
