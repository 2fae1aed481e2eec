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

// Connections of pooling proxies: to have plenty, to be short of them, and to make sessions meet at one.
const plenty, few, one = 20, 8, 1

const (
	pgbenchScale  = 10 // a million rows
	sysbenchRows  = 100_000
	pgbenchThread = "1"
)

// suites are all that is measured.
func suites(t tools) []suite {
	return []suite{
		postgresSuite(t), postgresShort(t), postgresSettings(t),
		mysqlSuite(t), mysqlShort(t), mysqlSettings(t),
	}
}

func onPostgres(t tools, title string, pool int) suite {
	return suite{
		title: "PostgreSQL 18, " + title, engine: harness.Postgres, server: "pg18", port: 18, pool: pool,
		peers: []string{"pgbouncer", "odyssey", "haproxy"}, reference: "pgbouncer",
		prepare: func(ctx context.Context, s *harness.Server) error {
			return output(pgbench(ctx, t, s.Endpoint, "-i", "-q", "-s", strconv.Itoa(pgbenchScale)))
		},
	}
}

func postgresSuite(t tools) suite {
	s := onPostgres(t, "pgbench -S", plenty)
	s.idle = true
	for _, w := range []struct {
		mode    string
		clients int
	}{{"simple", 1}, {"simple", 16}, {"simple", 64}, {"extended", 1}, {"extended", 16}, {"extended", 64}, {"prepared", 16}, {"prepared", 64}} {
		s.loads = append(s.loads, pgbenchLoad(t, w.mode, w.clients, "-S", "-M", w.mode))
	}
	return s
}

// postgresShort has many more clients than connections: prepared statements are needed on all of them.
func postgresShort(t tools) suite {
	s := onPostgres(t, "pgbench -S, 8 connections", few)
	for _, mode := range []string{"simple", "prepared"} {
		s.loads = append(s.loads, pgbenchLoad(t, mode+" over 8", 64, "-S", "-M", mode))
	}
	return s
}

// postgresSettings has sessions that differ in a setting and alternate on one connection, so that almost every
// transaction begins with its restore; and the same transactions of sessions that do not differ.
func postgresSettings(t tools) suite {
	s := onPostgres(t, "SELECT 1 of sessions that alternate on one connection", one)
	for _, w := range []struct{ name, told string }{{"alike on one", "1"}, {"settings on one", "0"}} {
		s.loads = append(s.loads, pgbenchLoad(t, w.name, 16, "-f", "integration/bench/settings.sql", "-D", "told="+w.told))
	}
	s.cost = [2]string{s.loads[1].name, s.loads[0].name}
	return s
}

func pgbenchLoad(t tools, name string, clients int, args ...string) load {
	return load{
		name: fmt.Sprintf("%s, %d", name, clients),
		command: func(ctx context.Context, p path, seconds int) *exec.Cmd {
			return pgbench(ctx, t, p.endpoint, append([]string{"-n", "-c", strconv.Itoa(clients), "-j", pgbenchThread,
				"-T", strconv.Itoa(seconds), "-P", "1"}, args...)...)
		},
		progress: regexp.MustCompile(`^progress: ([\d.]+) s, ([\d.]+) tps`),
		count:    regexp.MustCompile(`(?m)^number of transactions actually processed: (\d+)`),
		rate:     regexp.MustCompile(`(?m)^tps = ([\d.]+)`),
		latency:  regexp.MustCompile(`(?m)^latency average = ([\d.]+) ms`),
	}
}

func pgbench(ctx context.Context, t tools, e harness.Endpoint, args ...string) *exec.Cmd {
	app := harness.App().InClear()
	cmd := exec.CommandContext(ctx, t["PGBENCH"], append(args, e.PsqlArgs(app))...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+app.Password)
	return cmd
}

func onMySQL(t tools, title string, pool int) suite {
	return suite{
		title: "MySQL 9.7, " + title, engine: harness.MySQL, server: "mysql97", port: 197, pool: pool,
		peers: []string{"haproxy", "mysqlrouter"}, reference: "haproxy",
		prepare: func(ctx context.Context, s *harness.Server) error {
			if err := output(sysbench(ctx, t, s.Endpoint, pointSelect, "cleanup", "--tables=1")); err != nil { // of the suite before
				return err
			}
			return output(sysbench(ctx, t, s.Endpoint, pointSelect, "prepare", "--tables=1", fmt.Sprintf("--table-size=%d", sysbenchRows)))
		},
	}
}

const pointSelect = "oltp_point_select"

func mysqlSuite(t tools) suite {
	s := onMySQL(t, "sysbench oltp_point_select", plenty)
	s.idle = true
	for _, w := range []struct {
		protocol, mode string
		threads        int
	}{{"text", "disable", 8}, {"text", "disable", 32}, {"binary", "auto", 8}} {
		s.loads = append(s.loads, sysbenchLoad(t, w.protocol, w.threads, pointSelect, pointSelectArgs(w.mode)...))
	}
	return s
}

func mysqlShort(t tools) suite {
	s := onMySQL(t, "sysbench oltp_point_select, 8 connections", few)
	for _, w := range []struct{ protocol, mode string }{{"text", "disable"}, {"binary", "auto"}} {
		s.loads = append(s.loads, sysbenchLoad(t, w.protocol+" over 8", 64, pointSelect, pointSelectArgs(w.mode)...))
	}
	return s
}

func pointSelectArgs(psMode string) []string {
	return []string{"--db-ps-mode=" + psMode, "--tables=1", fmt.Sprintf("--table-size=%d", sysbenchRows)}
}

// mysqlSettings is what postgresSettings is.
func mysqlSettings(t tools) suite {
	s := onMySQL(t, "SELECT 1 of sessions that alternate on one connection", one)
	for _, w := range []struct{ name, told string }{{"alike on one", "on"}, {"settings on one", "off"}} {
		s.loads = append(s.loads, sysbenchLoad(t, w.name, 16, "integration/bench/settings.lua", "--db-ps-mode=disable", "--told="+w.told))
	}
	s.cost = [2]string{s.loads[1].name, s.loads[0].name}
	return s
}

func sysbenchLoad(t tools, name string, threads int, script string, args ...string) load {
	return load{
		name: fmt.Sprintf("%s, %d", name, threads),
		command: func(ctx context.Context, p path, seconds int) *exec.Cmd {
			return sysbench(ctx, t, p.endpoint, script, "run", append([]string{fmt.Sprintf("--threads=%d", threads),
				fmt.Sprintf("--time=%d", seconds), "--report-interval=1"}, args...)...)
		},
		progress: regexp.MustCompile(`^\[ (\d+)s \] thds: \d+ tps: ([\d.]+)`),
		count:    regexp.MustCompile(`(?m)^\s*transactions:\s+(\d+)`),
		rate:     regexp.MustCompile(`(?m)^\s*transactions:\s+\d+\s+\(([\d.]+) per sec`),
		latency:  regexp.MustCompile(`(?m)^\s*avg:\s+([\d.]+)`),
	}
}

func sysbench(ctx context.Context, t tools, e harness.Endpoint, script, command string, args ...string) *exec.Cmd {
	app := harness.App()
	all := append([]string{
		script, "--db-driver=mysql", "--mysql-host=127.0.0.1", fmt.Sprintf("--mysql-port=%d", e.Port),
		"--mysql-user=" + app.User, "--mysql-password=" + app.Password, "--mysql-db=" + app.Database,
	}, args...)
	return exec.CommandContext(ctx, t["SYSBENCH"], append(all, command)...)
}

// output runs a command and shows what it said if it did not succeed.
func output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, lastLines(string(out)))
	}
	return nil
}
