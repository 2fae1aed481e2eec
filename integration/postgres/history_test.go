package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// executedLine is a line of the server's log about a statement that it executes, simple or prepared.
var executedLine = regexp.MustCompile(`(?m)^\S+ \S+ GMT \[(\d+)\] LOG:  (?:statement|execute [^:]+): ((?:.*)(?:\n\t.*)*)`)

// executed returns what the server has executed since its log had size bytes, on the connections that executed a statement with
// mark in it, but for the question about a database's code, which somebody asks every 30 seconds.
func executed(t *testing.T, s *harness.Server, size int, mark string) (statements []string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := executedLine.FindAllStringSubmatch(string(log[size:]), -1)
	ours := map[string]bool{}
	for _, l := range lines {
		ours[l[1]] = ours[l[1]] || strings.Contains(l[2], mark)
	}
	for _, l := range lines {
		if strings.HasPrefix(l[2], "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_depend") {
			l[2] = "..." // what a session has left
		}
		if ours[l[1]] && !strings.Contains(l[2], "; WITH member AS (") {
			statements = append(statements, strings.ReplaceAll(l[2], "\n\t", " "))
		}
	}
	return statements
}

func TestTheServerExecutesWhatClientsSayAndNothingElseButRestores(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			r := start(t, name, alone())
			// Code in a database may be a reason to ask: this one has none.
			l := ownDatabase(t, r.server, "history")
			harness.Exec(t, r.server, "alter database "+l.Database+" set log_statement = 'all'")
			a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
			const restore, restored = "berth ", "; RESET exit_on_error"
			const question = "berth ..."
			for _, c := range []struct {
				what  string
				steps []string // by whom: a and b are sessions, A and B the same in the extended protocol
			}{
				{"settings of a session that keeps its backend by affinity", []string{
					"a set work_mem = '7MB' -- x", "a select", "a begin", "A select", "a set local work_mem = '8MB'", "a commit", "A select", "A reset work_mem", "a select",
				}},
				{"two sessions that differ", []string{
					"a set work_mem = '7MB'", "A set search_path = public", restore + "RESET \"work_mem\"; RESET \"search_path\"" + restored, "B select", "b select",
					restore + "set work_mem = '7MB'; set search_path = public" + restored, "A select", "a select", "A reset all",
				}},
				{"two sessions that differ in one setting", []string{
					"a set work_mem = '7MB'", restore + "RESET \"work_mem\"" + restored, "b set work_mem = '7MB'", "a select", "a set lock_timeout = 7",
					restore + "SET lock_timeout = 0; RESET \"lock_timeout\"" + restored, "B select", "B reset all", restore + "set work_mem = '7MB'; set lock_timeout = 7" + restored, "A reset all",
				}},
				{"resets", []string{
					"a set work_mem = '7MB'", "a select", "a discard all (never sent)", restore + "RESET \"work_mem\"" + restored, "b select", "b discard all (never sent)",
					"b reset all (never sent)", "a select",
				}},
				{"a transaction that is rolled back", []string{"a begin", "a set work_mem = '7MB'", "a select", "a rollback", question, "b select"}},
			} {
				log, err := os.ReadFile(filepath.Join(r.server.Dir, "log"))
				if err != nil {
					t.Fatal(err)
				}
				mark := fmt.Sprintf("history %d", probes.Add(1))
				var want []string
				for _, step := range c.steps {
					who, sql, _ := strings.Cut(step, " ")
					if who == "berth" {
						if strings.HasSuffix(sql, restored) {
							want = append(want, "SET exit_on_error = on") // in the same write
						}
						want = append(want, sql)
						continue
					}
					if sql == "select" {
						sql = "select '" + mark + "'"
					}
					sql, local := strings.CutSuffix(sql, " (never sent)")
					session := map[string]*pgconn.PgConn{"a": a, "b": b}[strings.ToLower(who)]
					if strings.ToLower(who) == who {
						ask(t, session, sql)
					} else if _, err := askedExtended(t.Context(), session, sql); err != nil {
						t.Fatal(err)
					}
					if !local {
						want = append(want, sql)
					}
				}
				if got := executed(t, r.server, len(log), mark); !slices.Equal(got, want) {
					t.Errorf("%s: the server executed\n %s\nwant\n %s", c.what, strings.Join(got, "\n "), strings.Join(want, "\n "))
				}
			}
		})
	}
}
