package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/berthdb/berth/integration/harness"
)

// tools are the paths of programs by scripts/db's names for them.
type tools map[string]string

func findTools(ctx context.Context) (tools, error) {
	t, err := harness.Programs(ctx, "pg18", "sysbench", "pgbouncer", "odyssey", "haproxy", "mysqlrouter")
	if err != nil {
		return nil, err
	}
	if t["BERTH"], err = harness.Binary(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// printConditions says what was compared with what, and how.
func printConditions(ctx context.Context, o options, t tools) error {
	fmt.Printf("%d cores, %s, Linux %s, %s\n\n", runtime.NumCPU(), processor(), firstLine("/proc/sys/kernel/osrelease"), runtime.Version())
	for _, v := range [][2]string{
		{"BERTH", "version"}, {"PGBOUNCER", "--version"}, {"ODYSSEY", "--version"}, {"HAPROXY", "-v"},
		{"MYSQLROUTER", "--version"}, {"PGBENCH", "--version"}, {"SYSBENCH", "--version"},
	} {
		out, err := exec.CommandContext(ctx, t[v[0]], v[1]).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %s: %w: %s", t[v[0]], v[1], err, out)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		fmt.Printf("- %s\n", strings.TrimSpace(strings.TrimPrefix(line, t[v[0]])))
	}
	fmt.Printf("\nRounds: %d, interleaved; each load %d s; medians. Servers, proxies and load on the same machine. No TLS.\n", o.rounds, o.seconds)
	fmt.Printf("Pooling proxies have %d database connections unless it says otherwise; HAProxy passes bytes on and has one for each client.\n", plenty)
	fmt.Println("Every proxy has one worker (thread, event loop) unless it says otherwise. Latency is the mean.")
	fmt.Println("CPU is user and system time of the proxy's process over the transactions that the load counted.")
	return nil
}

// processor is the CPU's name.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
