package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// T is what this package needs of a *testing.T.
type T interface {
	Helper()
	Name() string
	Failed() bool
	Cleanup(func())
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Root is the repository's directory, found from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no go.mod above %s: run inside the repository", dir)
		}
	}
}

// Dir is where servers, binaries and logs are. The servers' user may be nobody, who must be able to reach it: it is no
// test's temporary directory, which is closed to others.
func Dir() (string, error) {
	dir := os.Getenv("BERTH_TEST_DIR")
	if dir == "" {
		dir = "/tmp/berth-test-" + strconv.Itoa(os.Getuid())
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	// In /tmp anybody may have made it before us.
	if owner, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(owner.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is not a directory of ours: remove it or set BERTH_TEST_DIR", dir)
	}
	return dir, os.Chmod(dir, 0o755) //nolint:gosec // nobody must be able to enter
}

// db runs scripts/db and returns what it says on stdout.
func db(ctx context.Context, args ...string) (string, error) { return dbWith(ctx, nil, args...) }

// dbWith adds variables to its environment.
func dbWith(ctx context.Context, env []string, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "db"), args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("scripts/db %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Programs returns the client programs that belong to the named servers and tools, by scripts/db's names for them:
// PSQL, PGBENCH, MYSQL, SYSBENCH.
func Programs(ctx context.Context, names ...string) (map[string]string, error) {
	out, err := db(ctx, append([]string{"env"}, names...)...)
	if err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for _, line := range strings.Fields(out) {
		if name, path, ok := strings.Cut(line, "="); ok {
			programs[name] = path
		}
	}
	return programs, nil
}

// built remembers what [build] made in this process.
type built struct {
	mu    sync.Mutex
	paths map[string]string
}

var binaries = built{paths: map[string]string{}}

// Binary returns the berth to test, built once per process.
func Binary(ctx context.Context) (string, error) {
	if path := os.Getenv("BERTH_BINARY"); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("BERTH_BINARY: %w", err)
		}
		return path, nil
	}
	return binaries.build(ctx, "./cmd/berth", os.Getenv("BERTH_RACE") != "")
}

// build compiles a main package into Dir()/bin. A lock keeps processes apart; Go does not link again what is up to date.
func (b *built) build(ctx context.Context, pkg string, race bool) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := filepath.Base(pkg)
	args := []string{"build", "-o"}
	if race {
		name += "-race"
	}
	if path, done := b.paths[name]; done {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(bin, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(bin, name)
	args = append(args, path)
	if race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	b.paths[name] = path
	return path, nil
}

// lock holds a file's lock against other processes until it is called back.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
