package failover

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	programs "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// examplePlugin builds the plugin that is shown to authors.
func examplePlugin(t *testing.T) (path, sum string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "example")
	build := programs.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "github.com/berthdb/berth/plugins/discoveryplugin/example")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v, %s", err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("%x", sha256.Sum256(text))
}

// processOf returns the process that runs the program, 0 if none does. Temporary directories make the path that of one test.
func processOf(t *testing.T, path string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		text, err := os.ReadFile(name) // it may have ended
		if err == nil && bytes.HasPrefix(text, []byte(path)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return pid
		}
	}
	return 0
}

// directory is the file that the example reads.
type directory string

func (d directory) set(t *testing.T, servers ...*harness.Server) {
	t.Helper()
	var text strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&text, "node-%d 127.0.0.1:%d\n", s.Port, s.Port)
	}
	d.write(t, text.String())
}

func (d directory) write(t *testing.T, text string) {
	t.Helper()
	// Renamed, so that it is never seen half written.
	if err := os.WriteFile(string(d)+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(string(d)+".new", string(d)); err != nil {
		t.Fatal(err)
	}
}

func TestTargetsAreFoundByAPlugin(t *testing.T) {
	t.Parallel()
	for _, k := range clusters {
		t.Run(k.name, func(t *testing.T) {
			c := startCluster(t, k.name, k.options)
			path, sum := examplePlugin(t)
			file := directory(filepath.Join(t.TempDir(), "targets"))
			file.set(t, c.writer, c.replicas[0])
			source := "plugin " + path
			p := c.found(t, harness.Keys{"source": "plugin", "plugin": harness.Keys{
				"path": path, "sha256": sum, "settings": []harness.Keys{{"name": "file", "value": string(file)}},
			}})
			say(t, p, source, "")
			var sessions []reader
			for range 6 {
				sessions = append(sessions, read(t, p.Endpoint("readers")))
			}
			c.comes(t, "the replica is found", sessions, [3]int{0, 6, 0})
			writes := read(t, p.Endpoint("all"))
			writes.must(t, "insert into t values (1)")
			file.set(t, c.writer, c.replicas[0], c.replicas[1])
			c.comes(t, "a replica joins", sessions, [3]int{0, 3, 3})
			file.set(t, c.writer, c.replicas[1])
			c.comes(t, "one leaves", sessions, [3]int{0, 0, 6})

			// What the plugin cannot tell, or says wrongly, changes nothing.
			file.write(t, "node-1\n")
			say(t, p, source, `"node-1" is not NAME HOST:PORT`)
			if got := c.spread(t, sessions); got != [3]int{0, 0, 6} {
				t.Errorf("with a wrong answer: %d", got)
			}
			file.set(t, c.writer, c.replicas[1])
			say(t, p, source, "")

			// A plugin that is killed comes back, and what it told counts meanwhile.
			before := processOf(t, path)
			if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			file.set(t, c.writer, c.replicas[0])
			c.comes(t, "the new process tells", sessions, [3]int{0, 6, 0})
			say(t, p, source, "")
			if now := processOf(t, path); now == 0 || now == before {
				t.Errorf("it is process %d, and was %d", now, before)
			}
			if log := p.Log(); !strings.Contains(log, "discovery plugin ended") || !strings.Contains(log, "signal: killed") ||
				!strings.Contains(log, "the targets of all are in ") {
				t.Error(log)
			}

			// One that cannot be started any more is said to be so.
			if err := os.Rename(path, path+".gone"); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(processOf(t, path), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			say(t, p, source, "no such file or directory")
			writes.must(t, "insert into t values (2)")
			if _, out, err := p.Command(t.Context(), "status"); err != nil || !strings.Contains(out, "cannot be discovered ("+source+")") {
				t.Errorf("%v, %s", err, out)
			}
			if err := os.Rename(path+".gone", path); err != nil {
				t.Fatal(err)
			}
			say(t, p, source, "")
		})
	}
}

func TestAPluginEndsWithBerth(t *testing.T) {
	path, _ := examplePlugin(t)
	s := harness.Shared(t, "pg18")
	file := directory(filepath.Join(t.TempDir(), "targets"))
	file.set(t, s)
	c := harness.Config{Routes: []harness.Route{{Server: s, Group: harness.Keys{
		"targets": []harness.Keys{},
		"discovery": harness.Keys{"source": "plugin", "plugin": harness.Keys{
			"path": path, "settings": []harness.Keys{{"name": "file", "value": string(file)}},
		}},
	}}}}
	for how, end := range map[string]func(p *harness.Proxy){
		"stopped": func(p *harness.Proxy) {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			if pid := processOf(t, path); pid != 0 {
				t.Errorf("process %d is left", pid)
			}
		},
		"killed": func(p *harness.Proxy) {
			if err := p.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			<-p.Exited()
			harness.Eventually(t, settleWithin, "the plugin has ended", func() bool { return processOf(t, path) == 0 })
		},
	} {
		p, err := harness.StartProxy(t.Context(), t.TempDir(), c)
		if err != nil {
			t.Fatal(err)
		}
		if processOf(t, path) == 0 {
			t.Errorf("%s: the plugin did not run", how)
		}
		if how == "stopped" {
			checks(t, p, fmt.Sprintf("/node-%d at 127.0.0.1:%d: version ", s.Port, s.Port))
		}
		end(p)
	}
}

// checks runs berth check --connect, which must say something.
func checks(t *testing.T, p *harness.Proxy, want string) {
	t.Helper()
	binary, err := harness.Binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := programs.CommandContext(t.Context(), binary, "check", "--connect", "--config", p.ConfigFile()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("berth check: %v, %s", err, out)
	}
}
