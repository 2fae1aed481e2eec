package harness

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolated is set in a process whose network is its own.
const isolated = "BERTH_TEST_ISOLATED"

// Isolated runs t, a test of its package's top level, in a process with a network namespace of its own, and returns false when that has
// ended: then t is over. In that process it returns true. The machine's own network is not touched, nor can it be reached from there:
// servers, of scripts/db's names, and the berth before them are fetched before that. Without root this needs user namespaces.
func Isolated(t T, servers ...string) bool {
	t.Helper()
	if os.Getenv(isolated) != "" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("a network of its own: %v: scripts/install-deps installs it (package iproute2)", err)
	}
	env := append(os.Environ(), isolated+"=1")
	if len(servers) > 0 {
		if _, err := Programs(t.Context(), servers...); err != nil {
			t.Fatalf("%v", err)
		}
		berth, err := Binary(t.Context())
		if err != nil {
			t.Fatalf("%v", err)
		}
		env = append(env, "BERTH_BINARY="+berth)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("%v", err)
	}
	// The last one of a flag counts. What go test has this process write would be overwritten.
	args := append(os.Args[1:len(os.Args):len(os.Args)], "-test.run=^"+t.Name()+"$", "-test.v=true", "-test.count=1", "-test.testlogfile=")
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		who := func(id int) []syscall.SysProcIDMap {
			return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
		}
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = who(os.Getuid()), who(os.Getgid())
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	}
	runtime.LockOSThread() // whose end is what Pdeathsig means
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	switch {
	case cmd.Process == nil:
		t.Fatalf("a network of its own: %v: needs Linux with network namespaces, and root with CAP_SYS_ADMIN, or user namespaces", err)
	case err != nil:
		t.Fatalf("in a network of its own: %v\n%s", err, out)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Fatalf("in a network of its own nothing was tested:\n%s", out)
	}
	t.Logf("in a network of its own:\n%s", out)
	return false
}
