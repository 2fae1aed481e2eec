package suites

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/berthdb/berth/integration/harness"
)

var (
	which   = flag.String("suites", "gosqldriver", "the suites to run, or all")
	servers = flag.String("suites.servers", "mysql97", "the servers to run them on, or all")
	ways    = flag.String("suites.ways", "paranoid", "the ways besides directly, or all")
	keep    = flag.String("suites.results", "", "a directory to leave the results and logs in")
)

// runWithin bounds one run of a suite.
const runWithin = time.Hour

// database is where the suites work.
const database = "suite"

type suite struct {
	name    string
	version string
	engine  harness.Engine
	users   []harness.Account // that the suite makes and logs in as, besides the superuser
	path    string            // the environment's variable that names a directory with the suite; empty: its script gets it from a registry
}

var all = []suite{
	{name: "pgx", version: "5.12.0", engine: harness.Postgres},
	{name: "libpq", version: "1.10.9", engine: harness.Postgres},
	{name: "asyncpg", version: "0.31.0", engine: harness.Postgres},
	{name: "psycopg", version: "3.3.4", engine: harness.Postgres, path: "BERTH_SUITE_PSYCOPG"},
	{name: "pgjdbc", version: "42.7.8", engine: harness.Postgres},
	{name: "nodepostgres", version: "8.23.0", engine: harness.Postgres, path: "BERTH_SUITE_NODEPOSTGRES"},
	{name: "gosqldriver", version: "1.10.1", engine: harness.MySQL},
	{name: "mysql2", version: "3.23.4", engine: harness.MySQL, path: "BERTH_SUITE_MYSQL2", users: []harness.Account{
		{User: "changeuser1", Password: "changeuser1pass"}, {User: "changeuser2", Password: "changeuser2pass"},
		{User: "pooluser1", Password: "pooluser1pass"},
	}},
	{name: "pymysql", version: "1.2.0", engine: harness.MySQL, path: "BERTH_SUITE_PYMYSQL"},
	{name: "connectorj", version: "3.5.9", engine: harness.MySQL, path: "BERTH_SUITE_CONNECTORJ"},
}

// way is how a suite reaches the server.
type way struct {
	name string
	env  []string
}

// directly has no proxy.
var directly = way{name: "directly"}

var proxied = []way{{name: "proxy"}, {name: "paranoid", env: []string{"BERTH_PARANOID=1"}}}

func TestTheDriversOwnSuitesEndThroughTheProxyAsTheyDoWithoutIt(t *testing.T) {
	for _, s := range all {
		for _, name := range append(harness.PostgresNames(), harness.MySQLNames()...) {
			if chosen(*which, s.name) && chosen(*servers, name) && engineOf(name) == s.engine {
				t.Run(s.name+"/"+name, func(t *testing.T) { compare(t, s, name) })
			}
		}
	}
}

func chosen(list, name string) bool {
	return list == "all" || slices.Contains(strings.Split(list, ","), name)
}

func engineOf(server string) harness.Engine {
	if slices.Contains(harness.PostgresNames(), server) {
		return harness.Postgres
	}
	return harness.MySQL
}

// compare runs a suite in its ways on a server of its own.
func compare(t *testing.T, s suite, name string) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{suite: s, server: harness.Own(t, name, serverOptions(s.engine)...), script: filepath.Join(here, s.name, "run"), tree: harness.TempDir(t)}
	r.before = r.databases(t)
	if s.path != "" && os.Getenv(s.path) == "" {
		t.Fatalf("no registry carries the tests of %s: %s must name a directory with its repository, at version %s", s.name, s.path, s.version)
	}
	r.call(t, "get")
	accepts, err := readAccepted(filepath.Join(here, s.name, "accepted"))
	if err != nil {
		t.Fatal(err)
	}
	direct := r.run(t, directly, 1)
	t.Logf("%s %s on %s %s: %s", s.name, s.version, name, directly.name, said(direct))
	if direct.count("pass") <= direct.count("fail") {
		t.Fatal("most tests fail without a proxy: something that the suite needs is missing")
	}
	var again results // directly once more, where a difference asks for it
	for _, w := range proxied {
		if !chosen(*ways, w.name) {
			continue
		}
		through := r.run(t, w, 1)
		different := differ(direct, through)
		t.Logf("%s %s on %s %s: %s, %d otherwise than directly", s.name, s.version, name, w.name, said(through), len(different))
		var open []string
		used := make([]bool, len(accepts))
		for _, test := range different {
			i := slices.IndexFunc(accepts, func(a *accepted) bool { return a.allows(w.name, name, test) })
			if i < 0 {
				open = append(open, test)
				continue
			}
			used[i] = true
		}
		if len(open) > 0 {
			if again == nil {
				again = r.run(t, directly, 2)
			}
			throughAgain := r.run(t, w, 2)
			for _, test := range open {
				line := fmt.Sprintf("%s: directly %s, %s %s", test, direct.ended(test), w.name, through.ended(test))
				if again.ended(test) != direct.ended(test) || throughAgain.ended(test) == direct.ended(test) {
					t.Logf("unsteady: %s; then directly %s, %s %s", line, again.ended(test), w.name, throughAgain.ended(test))
					continue
				}
				t.Error(line)
			}
		}
		for i, a := range accepts {
			if !used[i] && !a.sometimes && a.concerns(w.name, name) && !a.failsAnyway(direct, through) {
				t.Errorf("the accepted difference is gone: %s %s %s; strike it out, or name the way and the server that need it", a.way, a.server, a.test)
			}
		}
	}
}

func said(r results) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.count("pass"), r.count("fail"), r.count("skip"))
}

// rig is a suite in front of a server.
type rig struct {
	suite
	server *harness.Server
	script string
	tree   string   // where the suite is
	before []string // the databases that the server had before the suite
}

func serverOptions(e harness.Engine) []string {
	if e == harness.Postgres {
		return []string{"max_connections=200", "max_prepared_transactions=10"}
	}
	return []string{"max_connections=200", "local_infile=1"}
}

// run runs the suite in a way, in an empty database, with a proxy of its own.
func (r *rig) run(t *testing.T, w way, attempt int) results {
	t.Helper()
	dir := harness.TempDir(t)
	if *keep != "" {
		dir = filepath.Join(*keep, strings.Join([]string{r.name, r.server.Name, w.name, strconv.Itoa(attempt)}, "-"))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.prepare(t)
	at := r.server.Endpoint
	if w.name != directly.name {
		p, err := harness.StartProxy(t.Context(), harness.TempDir(t), harness.Config{Env: w.env, Routes: []harness.Route{{
			Server: r.server, MaxConnections: 40,
			Users: append([]harness.Account{{User: harness.Superuser().User, Password: harness.Superuser().Password}}, r.users...),
		}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "berth.log"), []byte(p.Log()), 0o600); err != nil {
				t.Error(err)
			}
		}()
		at = p.Endpoint(r.server.Name)
	}
	file := filepath.Join(dir, "results")
	r.call(t, "test", "SUITE_PORT="+strconv.Itoa(at.Port), "SUITE_USER="+harness.Superuser().User, "SUITE_PASSWORD="+harness.Superuser().Password,
		"SUITE_DATABASE="+database, "SUITE_CA="+at.CAFile, "SUITE_SERVER="+r.server.Name, "SUITE_RESULTS="+file)
	got, err := readResults(file)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// call runs the suite's script.
func (r *rig) call(t *testing.T, what string, env ...string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), runWithin)
	defer stop()
	cmd := exec.CommandContext(ctx, r.script, what, r.tree)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", r.script, what, err, out)
	}
}

// databases lists the databases that the server has.
func (r *rig) databases(t *testing.T) []string {
	t.Helper()
	if r.engine == harness.Postgres {
		conn, err := r.server.PgxConn(t.Context(), harness.Superuser())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		rows, _ := conn.Query(t.Context(), "select datname from pg_database where not datistemplate")
		names, err := pgx.CollectRows(rows, pgx.RowTo[string]) // with the error of the query, too
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	db, err := r.server.GoMySQLDB(harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "show databases")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// dropOthers drops the databases that a run has left: the next one would find them.
func (r *rig) dropOthers(t *testing.T) {
	t.Helper()
	for _, name := range r.databases(t) {
		switch {
		case slices.Contains(r.before, name):
		case r.engine == harness.Postgres:
			harness.Exec(t, r.server, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)")
		default:
			harness.Exec(t, r.server, "set foreign_key_checks = 0", "drop database `"+strings.ReplaceAll(name, "`", "``")+"`")
		}
	}
}

// prepare makes the suite's database anew, with what its file setup.sql says.
func (r *rig) prepare(t *testing.T) {
	t.Helper()
	r.dropOthers(t)
	setup, err := os.ReadFile(filepath.Join(filepath.Dir(r.script), "setup.sql"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if r.engine == harness.Postgres {
		harness.Exec(t, r.server, "create database "+database)
		l := harness.Superuser()
		l.Database = database
		conn, err := r.server.PgxConn(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.PgConn().Exec(t.Context(), string(setup)).ReadAll(); err != nil {
			t.Fatalf("setup.sql of %s: %v", r.name, err)
		}
		return
	}
	harness.Exec(t, r.server, "create database "+database)
	if len(setup) == 0 {
		return
	}
	l := harness.Superuser()
	l.Database = database
	cfg, err := r.server.GoMySQL(l)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MultiStatements = true
	db, err := sql.Open("mysql", cfg.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), string(setup)); err != nil {
		t.Fatalf("setup.sql of %s: %v", r.name, err)
	}
}
