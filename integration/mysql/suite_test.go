package mysql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// patience is how long a test waits for what must come: the machine may be slow and busy.
const patience = 60 * time.Second

// pair is the number of database connections behind most tests: the fewest with which two sessions can meet.
const pair = 2

// fronts are the proxies that tests share, one for each server, so that tests do not spend their time starting them.
var fronts struct {
	mu      sync.Mutex
	proxies map[string]*harness.Proxy
}

func TestMain(m *testing.M) {
	code := m.Run()
	for name, p := range fronts.proxies {
		if err := p.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "in front of %s: %v\n%s\n", name, err, p.Log())
			code = 1
		}
		_ = os.RemoveAll(filepath.Dir(p.LogFile()))
	}
	os.Exit(code)
}

// front is a proxy before a server.
type front struct {
	harness.Endpoint
	*harness.Proxy
	server *harness.Server
}

// shared runs a test in front of every server, through proxies with a pair of database connections that other tests
// use too. Whatever the test did, in the end all of it must be gone.
func shared(t *testing.T, test func(t *testing.T, f front)) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			f := sharedFront(t, name)
			t.Cleanup(func() { quiet(t, f) })
			test(t, f)
		})
	}
}

func sharedFront(t *testing.T, name string) front {
	t.Helper()
	s := harness.Shared(t, name)
	fronts.mu.Lock()
	defer fronts.mu.Unlock()
	p := fronts.proxies[name]
	if p != nil {
		select {
		case <-p.Exited():
			t.Errorf("the proxy ended in a test before: %v\n%s", p.Stop(), p.Log())
			p = nil
		default:
		}
	}
	if p == nil {
		p = startFront(t, s)
		if fronts.proxies == nil {
			fronts.proxies = map[string]*harness.Proxy{}
		}
		fronts.proxies[name] = p
	}
	return front{p.Endpoint(name), p, s}
}

func startFront(t *testing.T, s *harness.Server) *harness.Proxy {
	t.Helper()
	base, err := harness.Dir()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(base, "front")
	if err != nil {
		t.Fatal(err)
	}
	p, err := harness.StartProxy(t.Context(), dir, harness.Config{Routes: []harness.Route{{
		Server: s, MaxConnections: pair, Users: accounts(),
		Pool: harness.Keys{"connection_borrow_timeout": "20s"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// accounts are App and Superuser.
func accounts() []harness.Account {
	var all []harness.Account
	for _, l := range []harness.Login{harness.App(), harness.Superuser()} {
		all = append(all, harness.Account{User: l.User, Password: l.Password})
	}
	return all
}

// own runs a test in front of every server through a proxy of its own. The route's server is filled in.
func own(t *testing.T, r harness.Route, test func(t *testing.T, f front)) {
	for _, name := range harness.MySQLNames() {
		t.Run(name, func(t *testing.T) {
			r := r
			r.Server = harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{r}})
			f := front{p.Endpoint(name), p, r.Server}
			t.Cleanup(func() { quiet(t, f) })
			test(t, f)
		})
	}
}

// quiet waits until no client is there, nothing is pinned or lent, and checks that the budget is whole.
func quiet(t *testing.T, f front) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var last string
	for ctx.Err() == nil {
		l, err := f.Listener(ctx, f.server.Name)
		if err != nil {
			last = err.Error()
			continue
		}
		p, err := f.Pool(ctx, f.server.Name)
		if err != nil {
			last = err.Error()
			continue
		}
		if p.Open > p.Max {
			t.Errorf("the budget is broken: %+v", p)
		}
		if l.ClientConnections == 0 && l.SessionsPinned == 0 && l.WaitingClients == 0 && p.Lent == 0 && p.Waiting == 0 &&
			p.Dialing == 0 && p.Closing == 0 {
			return
		}
		last = fmt.Sprintf("%+v %+v", l, p)
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("something of the test is left: %s", last)
}

// plain is App without TLS, for tests that are not about it.
func plain() harness.Login { return harness.App().InClear() }

// client is a session through the proxy that can do what today's clients can.
func (f front) client(t testing.TB, more ...uint32) *wire {
	t.Helper()
	return dial(t, f.Endpoint, plain(), with(more))
}

// direct is a session with the server itself.
func (f front) direct(t testing.TB, more ...uint32) *wire {
	t.Helper()
	return dial(t, f.server.Endpoint, plain(), with(more))
}

func with(more []uint32) uint32 {
	caps := uint32(modern)
	for _, c := range more {
		caps |= c
	}
	return caps
}

// table makes a table for a test, dropped at its end, and returns its name with the database's.
func table(t testing.TB, s *harness.Server, name, definition string) string {
	t.Helper()
	full := fmt.Sprintf("app.%s_%d", name, os.Getpid())
	for _, q := range []string{"drop table if exists " + full, "create table " + full + " " + definition} {
		if err := s.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		if err := s.Exec(ctx, "drop table if exists "+full); err != nil {
			t.Error(err)
		}
	})
	return full
}

// everywhere runs a query on every backend of a pair at once, by two transactions, and returns what both show.
func (f front) everywhere(t testing.TB, query string) [pair]string {
	t.Helper()
	var clients [pair]*wire
	for i := range clients {
		clients[i] = f.client(t)
		clients[i].do(t, "begin")
	}
	var shown [pair]string
	for i, c := range clients {
		shown[i] = c.outcome(query)
	}
	for _, c := range clients {
		c.do(t, "rollback")
		c.quit()
	}
	return shown
}

// quit says goodbye.
func (w *wire) quit() {
	_ = w.command(1)
	_ = w.Close()
}

// pinned is how many sessions are pinned, once none is still finding out: a client has its answer before Berth has asked the
// server whether something is left.
func (f front) pinned(t testing.TB) (n int64) {
	t.Helper()
	waitFor(t, "all sessions have come to rest", func() bool {
		var all []control.Session
		f.read(t, "/api/v1/sessions", &all)
		n = 0
		for _, s := range all {
			switch {
			case s.Pinned != "":
				n++
			case s.Backend != 0 && !s.InTransaction:
				return false
			}
		}
		return true
	})
	return n
}

// mariaDB says whether the server is MariaDB.
func (f front) mariaDB() bool { return strings.HasPrefix(f.server.Name, "mariadb") }

func loginOf(user, password string) harness.Login {
	return harness.Login{User: user, Password: password, Plain: true}
}

func superuser() harness.Login { return harness.Superuser().InClear() }

func waitFor(t testing.TB, what string, condition func() bool) {
	t.Helper()
	harness.Eventually(t, patience, what, condition)
}

// ownServer starts a server for t alone, with options, and a proxy with this many connections in front of it.
func ownServer(t *testing.T, name string, connections int, options ...string) front {
	t.Helper()
	s := harness.Own(t, name, options...)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: connections, Users: accounts()}}})
	return front{p.Endpoint(name), p, s}
}
