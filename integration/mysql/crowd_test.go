package mysql

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// crowded runs a test in front of servers of its own, whose connections can be counted: nobody else is there.
func crowded(t *testing.T, r harness.Route, test func(t *testing.T, f front)) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			r := r
			r.Server = harness.Own(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{r}})
			f := front{p.Endpoint(name), p, r.Server}
			test(t, f)
			quiet(t, f)
		})
	}
}

func TestSysbenchWithManyThreadsRunsOnFewConnections(t *testing.T) {
	const threads, connections, events = 64, 8, 2000
	// Threads that load MariaDB's client plugin for caching_sha2_password at the same time disturb one another.
	users := []harness.Account{{User: "app", Password: "secret", AuthType: "mysql_native_password"}}
	crowded(t, harness.Route{MaxConnections: connections, Users: users}, func(t *testing.T, f front) {
		database := "berth_sysbench"
		for _, q := range []string{"drop database if exists " + database, "create database " + database, "grant all on " + database + ".* to app@'%'"} {
			if err := f.server.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if err := f.server.Exec(context.Background(), "drop database "+database); err != nil {
				t.Error(err)
			}
		})
		sysbench(t, f, database, 1, "--db-ps-mode=disable", "prepare")
		for protocol, mode := range map[string]string{"text": "disable", "binary": "auto"} {
			t.Run(protocol, func(t *testing.T) {
				before := f.pins(t)
				most := harness.WatchConnections(t, f.server, "app")
				out := sysbench(t, f, database, threads, "--db-ps-mode="+mode, fmt.Sprintf("--events=%d", events), "--skip-trx=off", "run")
				if n := most().Open; n == 0 || n > connections {
					t.Errorf("%d database connections, the limit is %d", n, connections)
				}
				for what, want := range map[string]int{"transactions": events, "reconnects": 0, "ignored errors": 0} {
					if got := counted(out, what); got != want {
						t.Errorf("%d %s, want %d:\n%s", got, what, want, out)
					}
				}
				if n := f.pins(t) - before; n != 0 {
					t.Errorf("%v sessions were pinned:\n%s", n, pinLines(f.Log()))
				}
			})
		}
	})
}

// pins is how many pins there were.
func (f front) pins(t *testing.T) float64 {
	t.Helper()
	all, err := f.Sum(t.Context(), "berth_pins_total", "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pinLines are the lines of the log that say which sessions were pinned, up to five.
func pinLines(log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"session pinned"`) && len(lines) < 5 {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// sysbench runs a command of oltp_read_write. Its tables are so large that threads seldom meet.
func sysbench(t *testing.T, f front, database string, threads int, args ...string) string {
	t.Helper()
	l := harness.App()
	all := append([]string{
		"oltp_read_write", "--mysql-host=127.0.0.1", fmt.Sprintf("--mysql-port=%d", f.Port), "--mysql-user=" + l.User,
		"--mysql-password=" + l.Password, "--mysql-db=" + database, "--db-driver=mysql", "--tables=4", "--table-size=10000",
		"--time=0", "--rand-type=uniform", fmt.Sprintf("--threads=%d", threads),
	}, args...)
	out, err := exec.CommandContext(t.Context(), harness.Program(t, "sysbench", "SYSBENCH"), all...).CombinedOutput()
	if err != nil {
		t.Fatalf("sysbench: %v\n%s", err, out)
	}
	return string(out)
}

// counted is a number of sysbench's summary, -1 if it is not there.
func counted(out, what string) int {
	m := regexp.MustCompile(what + `:\s+(\d+)`).FindStringSubmatch(out)
	if m == nil {
		return -1
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return -1
	}
	return n
}

// TestKilledClientsLeaveNothing kills a thousand clients by SIGKILL, 500 before each server: half of them in the middle
// of a transaction, half in the middle of a long result. They come as processes of several.
func TestKilledClientsLeaveNothing(t *testing.T) {
	const each, rounds = 5, 50
	crowded(t, harness.Route{MaxConnections: 2 * each}, func(t *testing.T, f front) {
		name := table(t, f.server, "victims", "(n int, who varchar(20))")
		long := table(t, f.server, "endless", "(n int)")
		f.direct(t).do(t, "insert into "+long+" values "+strings.Repeat("(1), ", 999)+"(1)")
		spec := harness.ClientSpec{Endpoint: f.Endpoint, Login: plain(), Connections: each}
		writing, reading := spec, spec
		writing.Statements = []string{"begin", "insert into " + name + " values (1, 'doomed')"}

		reading.Unread = "select repeat('x', 100000) from " + long // 100 MB: more than any buffer holds
		for round := range rounds {
			var started sync.WaitGroup
			var clients [2]*harness.Client
			var errs [2]error
			for i, s := range []harness.ClientSpec{writing, reading} {
				started.Add(1)
				go func() {
					defer started.Done()
					clients[i], errs[i] = harness.StartClient(t.Context(), s)
				}()
			}
			started.Wait()
			for i, c := range clients {
				if errs[i] != nil {
					t.Fatalf("round %d: %v", round, errs[i])
				}
				t.Cleanup(c.Kill)
			}
			for _, c := range clients {
				c.Kill()
			}
			if round%5 == 0 {
				w := f.client(t)
				w.sees(t, "select count(*) from "+name, "[0]")
				w.sees(t, "select @@autocommit", "[1]")
				w.quit()
			}
		}
		quiet(t, f)
		super := dial(t, f.server.Endpoint, superuser(), modern)
		eventually(t, super, "select count(*) from information_schema.innodb_trx t join information_schema.processlist p "+
			"on p.id = t.trx_mysql_thread_id where p.user = 'app'", "[0]")
		everyBackendWorks(t, f, name, 2*each)
	})
}

// everyBackendWorks uses the whole budget at once, and finds it clean.
func everyBackendWorks(t *testing.T, f front, name string, budget int) {
	t.Helper()
	var clients []*wire
	for range budget {
		w := f.client(t)
		w.do(t, "begin", "insert into "+name+" values (2, 'alive')")
		clients = append(clients, w)
	}
	if p, err := f.Pool(t.Context(), f.server.Name); err != nil || p.Lent != budget {
		t.Errorf("%+v, %v: the budget is not whole", p, err)
	}
	for _, w := range clients {
		w.do(t, "commit")
	}
	clients[0].sees(t, "select count(*) from "+name, fmt.Sprintf("[%d]", budget))
	for _, w := range clients {
		w.quit()
	}
}

// TestThousandsOfClientsAtOnceAreAllServed lets 3,000 clients connect within two seconds, if the machine can, and stay.
func TestThousandsOfClientsAtOnceAreAllServed(t *testing.T) {
	const clients, connections, within = 3000, 45, 2 * time.Second
	crowded(t, harness.Route{MaxConnections: connections}, func(t *testing.T, f front) {
		name := table(t, f.server, "served", "(n int)")
		most := harness.WatchConnections(t, f.server, "app")
		var all [clients]*wire
		var errs [clients]error
		var done sync.WaitGroup
		for i := range clients {
			done.Add(1)
			go func() {
				defer done.Done()
				time.Sleep(within / clients * time.Duration(i))
				all[i], errs[i] = serve(f, i, name)
			}()
		}
		done.Wait()
		failed := 0
		for i, err := range errs {
			if err == nil {
				all[i].quit()
			} else if failed++; failed <= 5 {
				t.Errorf("client %d: %v", i, err)
			}
		}
		if failed > 0 {
			t.Errorf("%d of %d clients were not served", failed, clients)
		}
		if n := most().Open; n == 0 || n > connections {
			t.Errorf("%d database connections, the limit is %d", n, connections)
		}
		dial(t, f.server.Endpoint, plain(), modern).sees(t, "select count(*), count(distinct n) from "+name, fmt.Sprintf("[%d,%d]", clients, clients))
	})
}

// serve logs client i in and runs a transaction. Every tenth comes by TLS.
func serve(f front, i int, name string) (*wire, error) {
	l := plain()
	if i%10 == 0 {
		l = harness.App()
	}
	w, err := login(f.Endpoint, l, modern)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"begin", fmt.Sprintf("insert into %s values (%d)", name, i), "commit"} {
		if err := firstError(w, q); err != nil {
			_ = w.Close()
			return nil, err
		}
	}
	return w, nil
}
