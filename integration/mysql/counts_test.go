package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// TestCommandsCountTheWarningsOfTheirSession is about MySQL, which leaves the list of warnings behind commands that are no statements, and says
// with them how long it is, or what has come to it since one that begins to count anew. MariaDB's counts are its own, too, and its list is refused where
// it cannot be had.
func TestCommandsCountTheWarningsOfTheirSession(t *testing.T) {
	rotating(t, harness.Route{Users: accounts()}, func(t *testing.T, f front) {
		for _, first := range []string{"select 1", "select 1/0, cast('a' as signed)", "selekt", "show variables like 'sql_mode'", "select found_rows()"} {
			for name, about := range map[string]func(w *wire, s statement) (result, error){
				"COM_STMT_RESET": func(w *wire, s statement) (result, error) {
					return w.one(protocol.COM_STMT_RESET, byte(s.id), byte(s.id>>8), byte(s.id>>16), byte(s.id>>24))
				},
				"COM_INIT_DB":                   func(w *wire, s statement) (result, error) { return w.one(protocol.COM_INIT_DB, []byte("app")...) },
				"COM_INIT_DB of what there not": func(w *wire, s statement) (result, error) { return w.one(protocol.COM_INIT_DB, []byte("nowhere")...) },
				"SHOW WARNINGS":                 func(w *wire, s statement) (result, error) { return w.must(t, "show warnings")[0], nil },
				"COM_PING":                      func(w *wire, s statement) (result, error) { return w.one(protocol.COM_PING) },
			} {
				told := func(l harness.Endpoint) (all []string) {
					w := dial(t, l, harness.Login{User: "app", Password: plain().Password, Database: "app", Plain: true}, modern)
					defer w.quit()
					s := w.mustPrepare(t, "select 1")
					w.do(t, "select 'x'") // FOUND_ROWS()
					all = append(all, w.outcome(first))
					for range 2 {
						for _, command := range []func(w *wire, s statement) (result, error){about, func(w *wire, s statement) (result, error) {
							return w.one(protocol.COM_INIT_DB, []byte("app")...)
						}} {
							r, err := command(w, s)
							all = append(all, fmt.Sprint(r.warnings, r.err, err))
						}
					}
					return append(all, w.outcome("show warnings"))
				}
				other := f.client(t)
				other.do(t, "select cast('b' as signed)")
				got, want := told(f.Endpoint), told(f.server.Endpoint)
				right := func(got, want string) bool { return got == want || f.mariaDB() && strings.Contains(got, "error 1105") }
				if !slices.EqualFunc(got, want, right) {
					t.Errorf("%s, %s: %q, with the server itself %q", first, name, got, want)
				}
				other.quit()
			}
		}
	})
}
