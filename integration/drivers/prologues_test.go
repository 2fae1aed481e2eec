package drivers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/control"
	"github.com/berthdb/berth/integration/harness"
)

// notes is the table that every prologue reads and writes; the statements that name it are the application's.
const notes = "berth_notes"

const (
	readPG  = "select text from " + notes + " where id = $1"
	readMy  = "select text from " + notes + " where id = ?"
	writePG = "insert into " + notes + " (text) values ($1)"
	writeMy = "insert into " + notes + " (text) values (?)"
)

// start connects to an endpoint, says the prologue, and returns with the connection at rest: the drivers' names and
// versions, and what ends it.
type start func(t *testing.T, e harness.Endpoint) (versions string, end func() error)

// prologue is a row of the table.
type prologue struct {
	of       string // who says it
	engine   harness.Engine
	start    start
	replayed bool // by Go, since the driver's language is not there
	packaged bool // the driver is the distribution's, and so its version
}

var prologues = []prologue{
	{of: "pgx", engine: harness.Postgres, start: pgxAlone},
	{of: "Rails", engine: harness.Postgres, start: ruby("postgresql"), packaged: true},
	{of: "Django", engine: harness.Postgres, start: python("django-psycopg")},
	{of: "SQLAlchemy", engine: harness.Postgres, start: python("sqlalchemy-psycopg2")},
	{of: "SQLAlchemy", engine: harness.Postgres, start: python("sqlalchemy-psycopg")},
	{of: "SQLAlchemy", engine: harness.Postgres, start: python("sqlalchemy-asyncpg")},
	{of: "psycopg2", engine: harness.Postgres, start: python("psycopg2")},
	{of: "psycopg 3", engine: harness.Postgres, start: python("psycopg")},
	{of: "asyncpg's pool", engine: harness.Postgres, start: python("asyncpg")},
	{of: "JDBC", engine: harness.Postgres, start: java("plain-postgresql")},
	{of: "Hibernate, HikariCP", engine: harness.Postgres, start: java("hibernate-postgresql")},
	{of: "node-postgres", engine: harness.Postgres, start: node("pg")},
	{of: "Prisma", engine: harness.Postgres, start: node("prisma-pg")},
	{of: "Laravel", engine: harness.Postgres, start: php("pgsql"), packaged: true},
	{of: "Npgsql's pool", engine: harness.Postgres, start: npgsql, replayed: true},

	{of: "go-sql-driver", engine: harness.MySQL, start: goMySQL(false)},
	{of: "go-sql-driver, `interpolateParams`", engine: harness.MySQL, start: goMySQL(true)},
	{of: "Rails", engine: harness.MySQL, start: ruby("mysql2"), packaged: true},
	{of: "Django", engine: harness.MySQL, start: python("django-mysqlclient")},
	{of: "SQLAlchemy", engine: harness.MySQL, start: python("sqlalchemy-mysqlclient")},
	{of: "JDBC", engine: harness.MySQL, start: java("plain-mysql")},
	{of: "Hibernate, HikariCP", engine: harness.MySQL, start: java("hibernate-mysql")},
	{of: "JDBC", engine: harness.MySQL, start: java("plain-mariadb")},
	{of: "Hibernate, HikariCP", engine: harness.MySQL, start: java("hibernate-mariadb")},
	{of: "mysql2", engine: harness.MySQL, start: node("mysql2")},
	{of: "Prisma", engine: harness.MySQL, start: node("prisma-mariadb")},
	{of: "Laravel", engine: harness.MySQL, start: php("mysql"), packaged: true},
}

// outcome is what a prologue did on one server.
type outcome struct {
	versions string
	said     []string
	pinned   string // why it is pinned at rest, "" if it is not
}

func TestTheDocumentedTableOfPrologues(t *testing.T) {
	var table strings.Builder
	for _, e := range []struct {
		engine  harness.Engine
		title   string
		servers []string
	}{
		{harness.Postgres, "PostgreSQL", harness.PostgresNames()},
		{harness.MySQL, "MySQL, MariaDB", harness.MySQLNames()},
	} {
		fmt.Fprintf(&table, "\n| %s | drivers | what they say of their own accord | Berth | RDS Proxy's documentation |\n| --- | --- | --- | --- | --- |\n", e.title)
		fronts := map[string]*harness.Proxy{}
		for _, name := range e.servers {
			fronts[name] = front(t, name)
		}
		for _, p := range prologues {
			if p.engine != e.engine {
				continue
			}
			outcomes := map[string]outcome{}
			for _, name := range e.servers {
				outcomes[name] = run(t, p, name, fronts[name])
			}
			table.WriteString(documented(t, p, table.String(), row(p, e.servers, outcomes)))
		}
	}
	if !t.Failed() {
		harness.Generated(t, "docs/pinning.md", "prologues", table.String())
	}
}

// documented is a prologue's line of the table: if its driver comes with the operating system and the document is about another
// version of it, the document's. table is what was generated so far: it ends in the part of the prologue's engine.
func documented(t *testing.T, p prologue, table, row string) string {
	t.Helper()
	if !p.packaged {
		return row
	}
	part := table[strings.LastIndex(table, "\n| ---"):]
	title := table[strings.LastIndex(table[:len(table)-len(part)], "\n")+1 : len(table)-len(part)]
	_, lines, _ := strings.Cut(harness.Documented(t, "docs/pinning.md", "prologues"), title)
	cells := strings.SplitN(row, " | ", 3)
	for line := range strings.Lines(lines) {
		if there := strings.SplitN(line, " | ", 3); len(there) == 3 && there[0] == cells[0] && there[1] != cells[1] {
			t.Logf("the document is about %s, here it is %s: its line is not compared", there[1], cells[1])
			return line
		} else if len(there) == 3 && there[0] == cells[0] {
			break
		}
	}
	return row
}

// front is a proxy in front of a shared server on which the table of notes has one note.
func front(t *testing.T, server string) *harness.Proxy {
	t.Helper()
	s := harness.Shared(t, server)
	id, grant := "id int generated by default as identity primary key", "grant all on "+notes+" to public"
	if s.Engine == harness.MySQL {
		id, grant = "id int auto_increment primary key", "select 1"
	}
	harness.Exec(t, s, "drop table if exists "+notes, "create table "+notes+" ("+id+", text varchar(100))", grant,
		"insert into "+notes+" (text) values ('first')")
	l := harness.App()
	account := harness.Account{User: l.User, Password: l.Password}
	if strings.HasPrefix(server, "mariadb") {
		// Connector/J takes MariaDB for MySQL 5.5.5, which its caching_sha2_password is too new for.
		account.AuthType = "mysql_native_password"
	}
	return harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 4, Users: []harness.Account{account}}}})
}

func run(t *testing.T, p prologue, server string, front *harness.Proxy) (o outcome) {
	t.Helper()
	t.Run(fmt.Sprintf("%s/%s", server, p.of), func(t *testing.T) {
		tap := startTap(t, front.Endpoint(server))
		var end func() error
		o.versions, end = p.start(t, tap.Endpoint)
		if o.pinned = atRest(t, front); o.pinned != "" {
			t.Errorf("at rest its session is pinned: %s", o.pinned)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		o.said = tap.close(t)
		harness.Eventually(t, time.Minute, "its sessions are gone", func() bool { return len(sessions(t, front)) == 0 })
	})
	return o
}

// patience is how long what pins a session may take to end behind its last answer.
const patience = time.Minute

// atRest waits until no session is pinned, and says why some are even so.
func atRest(t *testing.T, front *harness.Proxy) (why string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		all := sessions(t, front)
		if len(all) == 0 {
			t.Fatal("the driver keeps no connection")
		}
		var reasons []string
		for _, s := range all {
			if s.Pinned != "" && !slices.Contains(reasons, s.Pinned) {
				reasons = append(reasons, s.Pinned)
			}
		}
		if why = strings.Join(reasons, ", "); why == "" || time.Now().After(end) {
			return why
		}
	}
}

func sessions(t *testing.T, front *harness.Proxy) (all []control.Session) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.Admin+"/api/v1/sessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(body, &all) != nil {
		t.Fatalf("%s, %v: %s", resp.Status, err, body)
	}
	return all
}

// row is a prologue's line of the table. What a driver says is shown as it says it to the last server.
func row(p prologue, servers []string, outcomes map[string]outcome) string {
	of := p.of
	if p.replayed {
		of += " (replayed)"
	}
	last := outcomes[servers[len(servers)-1]]
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", of, last.versions, shown(last.said), berth(servers, outcomes), rdsProxy(p.engine, last.said))
}

// berth says whether sessions are pinned, and on which servers if that differs.
func berth(servers []string, outcomes map[string]outcome) string {
	var each []string
	for _, name := range servers {
		does := "unpinned"
		if why := outcomes[name].pinned; why != "" {
			does = "pinned: " + why
		}
		each = append(each, does)
	}
	if len(slices.Compact(slices.Clone(each))) == 1 {
		return each[0]
	}
	for i, name := range servers {
		each[i] = name + " " + each[i]
	}
	return strings.Join(each, "; ")
}

// widest is how many characters of a statement the table shows, most how many statements.
const widest, most = 90, 8

func shown(said []string) string {
	var cells []string
	for i, s := range said {
		if i == most {
			cells = append(cells, fmt.Sprintf("and %d more", len(said)-most))
			break
		}
		if r := []rune(s); len(r) > widest {
			s = string(r[:widest]) + "…"
		}
		s = strings.ReplaceAll(s, "|", `\|`)
		if strings.Contains(s, "`") {
			s = "`` " + s + " ``"
		} else {
			s = "`" + s + "`"
		}
		cells = append(cells, s)
	}
	if len(cells) == 0 {
		return "nothing"
	}
	return strings.Join(cells, "; ")
}
