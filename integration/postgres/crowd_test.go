package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// needDescriptors fails t unless the process may have n files open. The Go runtime has raised the soft limit to the hard one.
func needDescriptors(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < n {
		t.Fatalf("%d files may be open, %v: raise the hard limit to %d (ulimit -Hn)", limit.Max, err, n)
	}
}

func TestThreeThousandClientsConnectWithinTwoSecondsAndAllAreServed(t *testing.T) {
	const clients, budget, within = 3000, 45, 2 * time.Second
	needDescriptors(t, clients+500)
	// On a busy machine 3,000 logins take longer than one may, because the clients compute, too.
	route := harness.Route{
		MaxConnections: budget, Listener: harness.Keys{"login_timeout": "100s"},
		Pool: harness.Keys{"connection_borrow_timeout": "120s"},
	}
	each(t, route, func(t *testing.T, r *rig) {
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		most := harness.WatchConnections(t, r.server, harness.App().User)
		errs := make(chan error, clients)
		answered := make(chan struct{})
		var waiting sync.WaitGroup
		waiting.Add(clients)
		for i := range clients {
			time.AfterFunc(within*time.Duration(i)/clients, func() {
				errs <- ofTheCrowd(ctx, r, i, &waiting, answered)
			})
		}
		waiting.Wait()
		// Nobody leaves before everybody was answered: all are connected at the same time.
		l, err := r.proxy.Listener(ctx, r.server.Name)
		if err != nil || l.ClientConnections > clients || l.BorrowTimeouts != 0 {
			t.Errorf("listener: %+v, %v", l, err)
		}
		close(answered)
		failed := 0
		for range clients {
			if err := <-errs; err != nil {
				if failed++; failed <= 10 {
					t.Error(err)
				}
			}
		}
		if failed > 0 {
			t.Errorf("%d of %d clients failed", failed, clients)
		} else if l.ClientConnections != clients {
			t.Errorf("%d clients were connected, not %d", l.ClientConnections, clients)
		}
		if n := most().Open; n == 0 || n > budget {
			t.Errorf("%d database connections, the limit is %d", n, budget)
		}
		r.whole(t)
	})
}

// ofTheCrowd is one client: it is served and stays until all are.
func ofTheCrowd(ctx context.Context, r *rig, i int, waiting *sync.WaitGroup, all <-chan struct{}) error {
	answer := ""
	c, err := dial(ctx, r.Endpoint, harness.App().InClear())
	if err == nil {
		defer hangUp(c)
		answer, err = askedExtended(ctx, c, "select $1::int + 1", fmt.Sprint(i))
	}
	waiting.Done()
	if err == nil && answer != fmt.Sprint(i+1) {
		err = fmt.Errorf("client %d was told %q", i, answer)
	}
	<-all
	return err
}

// victimVariable has the specification of a client that is killed: an endpoint's port, a table and a number.
const victimVariable = "BERTH_TEST_VICTIM"

// victim is a client with two connections: one in the middle of transactions, the other in the middle of results. It never
// ends. Once it is connected it says so.
func victim(spec string) int {
	var port, number int
	var name string
	if _, err := fmt.Sscan(spec, &port, &name, &number); err != nil {
		return fail(err)
	}
	ctx := context.Background()
	e := harness.Endpoint{Engine: harness.Postgres, Port: port}
	random := rand.New(rand.NewPCG(uint64(number), 1))
	write, err := dial(ctx, e, harness.App().InClear())
	if err != nil {
		return fail(err)
	}
	read, err := dial(ctx, e, harness.App().InClear())
	if err != nil {
		return fail(err)
	}
	fmt.Println("ready")
	go func() {
		for {
			if _, err := asked(ctx, read, "select repeat('x', 1000) from generate_series(1, 3000)"); err != nil {
				os.Exit(fail(err))
			}
		}
	}()
	for n := 0; ; n++ {
		pair := number*1000000 + n
		steps := []string{
			"begin", fmt.Sprintf("insert into %s values (%d, 1)", name, pair), "set local work_mem = '7MB'",
			fmt.Sprintf("insert into %s values (%d, 2)", name, pair), "commit",
		}
		switch random.IntN(6) {
		case 0: // leaves state, which must go with it
			steps = append(steps, "set work_mem = '9MB'", "select pg_advisory_lock(4711, 1)", "create temp table if not exists victim (n int)",
				"select pg_advisory_unlock(4711, 1)")
		case 1:
			steps = []string{"begin", "select pg_advisory_xact_lock_shared(4711, 2)", "declare c cursor for select generate_series(1, 1000)", "fetch 10 from c"}
		}
		for _, step := range steps {
			if _, err := asked(ctx, write, step); err != nil {
				return fail(fmt.Errorf("%s: %w", step, err))
			}
		}
		if len(steps) == 4 {
			select {} // idle in the transaction
		}
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestClientsKilled1000TimesLeaveNothingBehind(t *testing.T) {
	const kills, atOnce, budget = 500, 8, 6 // on each of two servers
	each(t, harness.Route{MaxConnections: budget}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(pair bigint, half int)")
		before := descriptors(t, r)
		most := harness.WatchConnections(t, r.server, harness.App().User)
		probing, stopProbing := context.WithCancel(t.Context())
		defer stopProbing()
		probes := make(chan error, 2)
		for range cap(probes) {
			go func() { probes <- probe(probing, r) }()
		}
		numbers := make(chan int)
		errs := make(chan error, atOnce)
		for range atOnce {
			go func() {
				var err error
				for n := range numbers {
					if err == nil {
						err = killOne(t.Context(), r, name, n)
					}
				}
				errs <- err
			}()
		}
		for n := range kills {
			numbers <- n + 1
		}
		close(numbers)
		for range atOnce {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		stopProbing()
		for range cap(probes) {
			if err := <-probes; err != nil {
				t.Error(err)
			}
		}
		direct := conn(t, r.server.Endpoint, harness.Superuser())
		harness.Eventually(t, settleWithin, "no transaction and no lock survives", func() bool {
			return ask(t, direct, `select count(*) from pg_stat_activity where usename = 'app' and xact_start is not null`) == "0" &&
				ask(t, direct, `select count(*) from pg_locks l join pg_stat_activity a using (pid) where usename = 'app'`) == "0"
		})
		r.whole(t)
		if got := ask(t, direct, "select count(*) from (select from "+name+" group by pair having count(*) <> 2) x"); got != "0" {
			t.Errorf("%s transactions are there in part", got)
		}
		if got := ask(t, direct, "select count(*) > 0 from "+name); got != "t" {
			t.Error("no transaction was ever committed: the clients did not do what they should")
		}
		if n := most().Open; n == 0 || n > budget {
			t.Errorf("%d database connections, the limit is %d", n, budget)
		}
		if after := descriptors(t, r); after > before+budget+8 {
			t.Errorf("berth had %d descriptors open before and %d after", before, after)
		}
		if n := len(r.sessions(t)); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// killOne starts a client and kills it a random moment after it is connected.
func killOne(ctx context.Context, r *rig, table string, number int) error {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %d", victimVariable, r.Port, table, number), "GOMAXPROCS=1")
	var said lastWords
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ready := make([]byte, len("ready\n"))
	_, err = out.Read(ready)
	time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	killed := cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait() // that it was killed is no news
	if err != nil || killed != nil || said.n > 0 {
		return fmt.Errorf("client %d: %v, %v: %s", number, err, killed, said.text[:said.n])
	}
	return nil
}

// lastWords is the beginning of what a process says.
type lastWords struct {
	text [500]byte
	n    int
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.n += copy(w.text[w.n:], p)
	return len(p), nil
}

// probe looks at one connection after the other, each in a session of its own, until ctx ends.
func probe(ctx context.Context, r *rig) error {
	for ctx.Err() == nil {
		c, err := dial(ctx, r.Endpoint, harness.App().InClear())
		for i := 0; err == nil && i < 20; i++ {
			var got string
			if got, err = asked(ctx, c, pristine()); err == nil && got != pristineAnswer {
				err = fmt.Errorf("a connection was lent dirty: %s", got)
			}
			if err == nil && c.TxStatus() != 'I' {
				err = fmt.Errorf("a connection was lent in a transaction (%c)", c.TxStatus())
			}
		}
		if c != nil {
			hangUp(c)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// descriptors counts the files that berth has open.
func descriptors(t *testing.T, r *rig) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(r.proxy.PID()), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
