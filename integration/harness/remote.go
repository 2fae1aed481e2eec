package harness

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Remote is a machine that a router leads to, for all that the network shows: both are network namespaces. They last as long as somebody
// holds them: this process, and the servers in them.
//
//	here  192.0.2.1 - 192.0.2.2  router  198.51.100.1 - 198.51.100.2  machine
type Remote struct{ router, machine *os.File }

const remoteAddress = "198.51.100.2"

// NewRemote connects one to this process, which is [Isolated], until the end of t.
func NewRemote(t T) *Remote {
	t.Helper()
	r := &Remote{newNamespace(t), newNamespace(t)}
	t.Cleanup(func() { // before what newNamespace left to be closed
		if err := ip(nil, "link delete name router"); err != nil {
			t.Errorf("%v", err)
		}
	})
	// A namespace that is named in a line is the one that ip gets as its descriptor 3.
	if err := ip(r.router,
		"link set dev lo up",
		"link add name router type veth peer name here netns /proc/self/fd/3",
		"address add 192.0.2.1/24 dev router", "link set dev router up", "route add 198.51.100.0/24 via 192.0.2.2",
	); err != nil {
		t.Fatalf("%v", err)
	}
	within(t, r.router, func() {
		err := ip(r.machine,
			"link add name machine type veth peer name router netns /proc/self/fd/3",
			"address add 192.0.2.2/24 dev here", "link set dev here up",
			"address add 198.51.100.1/24 dev machine", "link set dev machine up",
		)
		if err != nil {
			t.Fatalf("%v", err)
		}
	})
	within(t, r.machine, func() {
		err := ip(nil,
			"link set dev lo up",
			"address add "+remoteAddress+"/24 dev router", "link set dev router up", "route add default via 198.51.100.1",
		)
		if err != nil {
			t.Fatalf("%v", err)
		}
	})
	r.forward(t, true)
	return r
}

// Own is [Own] on that machine.
func (r *Remote) Own(t T, name string, options ...string) (s *Server) {
	t.Helper()
	listen := "bind-address=0.0.0.0"
	if engines[name] == Postgres {
		listen = "listen_addresses=0.0.0.0"
	}
	within(t, r.machine, func() { s = Own(t, name, append([]string{listen}, options...)...) })
	s.Host = remoteAddress
	return s
}

// Cut makes the router drop every packet from now on, in both directions. Nobody is told: it sends no ICMP either.
func (r *Remote) Cut(t T) {
	t.Helper()
	r.forward(t, false)
}

func (r *Remote) forward(t T, on bool) {
	t.Helper()
	value := "0"
	if on {
		value = "1"
	}
	within(t, r.router, func() {
		// What is below /proc/sys/net is that of the thread that opens it.
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(value), 0o644); err != nil {
			t.Fatalf("%v", err)
		}
	})
}

// namespace opens the calling thread's network namespace.
func namespace(t T) *os.File {
	t.Helper()
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

// newNamespace makes one, held until the end of t.
func newNamespace(t T) (n *os.File) {
	t.Helper()
	runtime.LockOSThread()
	home := namespace(t)
	defer leave(home)
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace: %v", err)
	}
	n = namespace(t)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// within calls do on a thread that is in a network namespace. So are the processes that do starts.
func within(t T, n *os.File, do func()) {
	t.Helper()
	runtime.LockOSThread()
	home := namespace(t)
	defer leave(home)
	if err := unix.Setns(int(n.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	do()
}

// leave takes the locked thread back to where it was. One that stays elsewhere stays locked, and so serves nobody else.
func leave(home *os.File) {
	if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	_ = home.Close()
}

// ip runs commands of iproute2's ip.
func ip(descriptor *os.File, lines ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	if descriptor != nil {
		cmd.ExtraFiles = []*os.File{descriptor}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w\n%s", err, out)
	}
	return nil
}
