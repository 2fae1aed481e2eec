package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"github.com/berthdb/berth/integration/harness"
)

const (
	pgbenchScale  = 10 // a million rows
	sysbenchRows  = 100_000
	pgbenchThread = "1"
)

func postgresSuite(t tools) suite {
	s := suite{
		title: "PostgreSQL 18, pgbench -S", engine: harness.Postgres, server: "pg18", port: 18,
		peers: []string{"pgbouncer", "odyssey", "haproxy"}, reference: "pgbouncer",
		prepare: func(ctx context.Context, s *harness.Server) error {
			return output(pgbench(ctx, t, s.Endpoint, "-i", "-q", "-s", strconv.Itoa(pgbenchScale)))
		},
	}
	for _, w := range []struct {
		mode    string
		clients int
	}{{"simple", 1}, {"simple", 16}, {"simple", 64}, {"extended", 1}, {"extended", 16}, {"extended", 64}, {"prepared", 16}, {"prepared", 64}} {
		s.loads = append(s.loads, load{
			name: fmt.Sprintf("%s, %d", w.mode, w.clients),
			command: func(ctx context.Context, p path, seconds int) *exec.Cmd {
				return pgbench(ctx, t, p.endpoint, "-n", "-S", "-M", w.mode, "-c", strconv.Itoa(w.clients), "-j", pgbenchThread,
					"-T", strconv.Itoa(seconds), "-P", "1")
			},
			progress: regexp.MustCompile(`^progress: ([\d.]+) s, ([\d.]+) tps`),
			count:    regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)`),
			rate:     regexp.MustCompile(`(?m)^tps = ([\d.]+)`),
			latency:  regexp.MustCompile(`(?m)^latency average = ([\d.]+) ms`),
		})
	}
	return s
}

func pgbench(ctx context.Context, t tools, e harness.Endpoint, args ...string) *exec.Cmd {
	app := harness.App().InClear()
	cmd := exec.CommandContext(ctx, t["PGBENCH"], append(args, e.PsqlArgs(app))...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+app.Password)
	return cmd
}

func mysqlSuite(t tools) suite {
	s := suite{
		title: "MySQL 9.7, sysbench oltp_point_select", engine: harness.MySQL, server: "mysql97", port: 197,
		peers: []string{"haproxy", "mysqlrouter"}, reference: "haproxy",
		prepare: func(ctx context.Context, s *harness.Server) error {
			return output(sysbench(ctx, t, s.Endpoint, "prepare"))
		},
	}
	for _, w := range []struct {
		protocol, mode string
		threads        int
	}{{"text", "disable", 8}, {"text", "disable", 32}, {"binary", "auto", 8}} {
		s.loads = append(s.loads, load{
			name: fmt.Sprintf("%s, %d", w.protocol, w.threads),
			command: func(ctx context.Context, p path, seconds int) *exec.Cmd {
				return sysbench(ctx, t, p.endpoint, "--db-ps-mode="+w.mode, fmt.Sprintf("--threads=%d", w.threads),
					fmt.Sprintf("--time=%d", seconds), "--report-interval=1", "run")
			},
			progress: regexp.MustCompile(`^\[ (\d+)s \] thds: \d+ tps: ([\d.]+)`),
			count:    regexp.MustCompile(`(?m)^\s*transactions:\s+(\d+)`),
			rate:     regexp.MustCompile(`(?m)^\s*transactions:\s+\d+\s+\(([\d.]+) per sec`),
			latency:  regexp.MustCompile(`(?m)^\s*avg:\s+([\d.]+)`),
		})
	}
	return s
}

func sysbench(ctx context.Context, t tools, e harness.Endpoint, args ...string) *exec.Cmd {
	app := harness.App()
	return exec.CommandContext(ctx, t["SYSBENCH"], append([]string{
		"oltp_point_select", "--db-driver=mysql", "--mysql-host=127.0.0.1", fmt.Sprintf("--mysql-port=%d", e.Port),
		"--mysql-user=" + app.User, "--mysql-password=" + app.Password, "--mysql-db=" + app.Database,
		"--tables=1", fmt.Sprintf("--table-size=%d", sysbenchRows),
	}, args...)...)
}

// output runs a command and shows what it said if it did not succeed.
func output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, lastLines(string(out)))
	}
	return nil
}
