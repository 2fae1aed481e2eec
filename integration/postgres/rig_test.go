package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// settleWithin is how long a proxy may take to see that its clients are gone. It bounds a wait that normally ends at once.
const settleWithin = 60 * time.Second

func TestMain(m *testing.M) {
	// The clients that are killed are this binary, run again.
	if spec := os.Getenv(victimVariable); spec != "" {
		os.Exit(victim(spec))
	}
	os.Exit(m.Run())
}

// rig is a proxy in front of a server.
type rig struct {
	harness.Endpoint // the proxy's
	server           *harness.Server
	proxy            *harness.Proxy
	max              int // database connections
}

// start runs a proxy with one route, whose server is shared if it names none.
func start(t *testing.T, server string, route harness.Route) *rig {
	t.Helper()
	if route.Server == nil {
		route.Server = harness.Shared(t, server)
	}
	route.Name = server
	if _, given := route.Pool["connection_borrow_timeout"]; !given {
		route.Pool = maps.Clone(route.Pool)
		if route.Pool == nil {
			route.Pool = harness.Keys{}
		}
		route.Pool["connection_borrow_timeout"] = "20s"
	}
	p := harness.Start(t, harness.Config{Routes: []harness.Route{route}})
	return &rig{p.Endpoint(server), route.Server, p, route.MaxConnections}
}

// each runs a test on every shared server, behind a proxy of its own.
func each(t *testing.T, route harness.Route, test func(t *testing.T, r *rig)) {
	t.Helper()
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) { test(t, start(t, name, route)) })
	}
}

func (r *rig) pool(t *testing.T) harness.Pool {
	t.Helper()
	p, err := r.proxy.Pool(t.Context(), r.server.Name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// whole waits until the budget is whole again: nothing lent, dialed or waited for, and no more open than allowed.
func (r *rig) whole(t *testing.T) {
	t.Helper()
	var p harness.Pool
	defer func() {
		if t.Failed() {
			t.Logf("the pool: %+v", p)
		}
	}()
	harness.Eventually(t, settleWithin, "the budget is whole", func() bool {
		p = r.pool(t)
		return p.Lent == 0 && p.Waiting == 0 && p.Dialing == 0 && p.Closing == 0 && p.Open == p.Idle
	})
	if p.Open > p.Max || r.max != 0 && p.Max != r.max {
		t.Errorf("%d connections are open, %d allowed, %d configured", p.Open, p.Max, r.max)
	}
}

// session is what /api/v1/sessions says of one.
type session = control.Session

// session finds a client's session by its process id, which is the session's number, once it is not finding out any more
// whether something is left: a client has its answer before Berth has asked the server.
func (r *rig) session(t *testing.T, pid uint32) (found session) {
	t.Helper()
	harness.Eventually(t, settleWithin, "the session has come to rest", func() bool {
		for _, s := range r.sessions(t) {
			if s.ID == pid {
				found = s
				return s.Pinned != "" || s.Backend == 0 || s.InTransaction
			}
		}
		t.Fatalf("no session %d", pid)
		return false
	})
	return found
}

func (r *rig) sessions(t *testing.T) []session {
	t.Helper()
	status, body := r.get(t, "/api/v1/sessions")
	var all []session
	if err := json.Unmarshal(body, &all); err != nil || status != http.StatusOK {
		t.Fatalf("sessions: status %d, %v: %s", status, err, body)
	}
	return all
}

// get asks the admin server.
func (r *rig) get(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.proxy.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// conn logs in with pgconn, after configure has changed what it likes.
func conn(t *testing.T, e harness.Endpoint, l harness.Login, configure ...func(*pgconn.Config)) *pgconn.PgConn {
	t.Helper()
	c, err := dial(t.Context(), e, l, configure...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func dial(ctx context.Context, e harness.Endpoint, l harness.Login, configure ...func(*pgconn.Config)) (*pgconn.PgConn, error) {
	cfg, err := e.Pgx(l)
	if err != nil {
		return nil, err
	}
	for _, c := range configure {
		c(&cfg.Config)
	}
	return pgconn.ConnectConfig(ctx, &cfg.Config)
}

// hangUp closes a connection without a goodbye.
func hangUp(c *pgconn.PgConn) { _ = c.Conn().Close() }

// ask runs a simple query of one or more statements and returns the fields of all rows, joined by blanks.
func ask(t *testing.T, c *pgconn.PgConn, sql string) string {
	t.Helper()
	answer, err := asked(t.Context(), c, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func asked(ctx context.Context, c *pgconn.PgConn, sql string) (string, error) {
	results, err := c.Exec(ctx, sql).ReadAll()
	return joined(results...), err
}

// askedExtended does the same by Parse, Bind and Execute without names.
func askedExtended(ctx context.Context, c *pgconn.PgConn, sql string, params ...string) (string, error) {
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	result := c.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return joined(result), result.Err
}

func joined(results ...*pgconn.Result) string {
	var fields []string
	for _, result := range results {
		for _, row := range result.Rows {
			for _, field := range row {
				fields = append(fields, string(field))
			}
		}
	}
	return strings.Join(fields, " ")
}

// code is the SQLSTATE of an error, "" if it has none.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// wantCode fails t unless err has this SQLSTATE.
func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if code(err) != want {
		t.Errorf("want SQLSTATE %s, got %v", want, err)
	}
}

// table makes a table for t that everybody may use, and drops it at the end. columns are in parentheses.
func table(t *testing.T, s *harness.Server, columns string) string {
	t.Helper()
	name := fmt.Sprintf("t_%d_%d", os.Getpid(), time.Now().UnixNano())
	harness.Exec(t, s, "create table "+name+" "+columns, "grant all on "+name+" to public")
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "drop table "+name); err != nil {
			t.Error(err)
		}
	})
	return name
}
