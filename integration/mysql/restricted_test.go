package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// restricted is a variable of the session that needs a privilege, even to be what it is.
func (f front) restricted() string {
	if f.mariaDB() {
		return "sql_log_bin = 0"
	}
	return "max_error_count = 7"
}

func TestWhatASessionMayNotSetIsNotRestored(t *testing.T) {
	rotating(t, harness.Route{Users: accounts()}, func(t *testing.T, f front) {
		x := f.restricted()
		for _, text := range []string{
			"set " + x + "; set default_week_format = 3", "set default_week_format = 3; set " + x + "; set div_precision_increment = 7",
			"set @@session." + x + "; set updatable_views_with_limit = 1", "set sql_mode = 'nonsense', " + x,
			"set default_week_format = 3, sort_buffer_size = (select 1 from nowhere), " + x,
		} {
			mine, alone, other := f.client(t, multi), f.direct(t, multi), f.client(t)
			if got, want := mine.outcome(text), alone.outcome(text); got != want {
				t.Errorf("%s: %s, with the server itself %s", text, got, want)
			}
			const shows = "select @@default_week_format, @@div_precision_increment, @@updatable_views_with_limit, @@max_error_count, @@sql_log_bin"
			for range 3 {
				if got, want := mine.outcome(shows), alone.outcome(shows); got != want {
					t.Errorf("behind %s: %s, with the server itself %s", text, got, want)
				}
				other.do(t, "select 1")
			}
			for _, w := range []*wire{mine, alone, other} {
				_ = w.Close()
			}
		}
	})
}

func TestWhatPrivilegedCodeHasSetStaysWithItsSession(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: callers()}, func(t *testing.T, f front) {
		l := callersSchema(t, f.server, "privileged")
		x := f.restricted()
		name, _, _ := strings.Cut(x, " ")
		for _, q := range []string{
			"create procedure " + l.Database + ".p_sets() set " + x,
			"create function " + l.Database + ".f_sets() returns int deterministic begin set " + x + "; return 1; end",
		} {
			if err := f.server.Exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"call p_sets()", "set @a = f_sets()", "set sort_buffer_size = 100000 + f_sets()", "set default_week_format = f_sets()"} {
			mine, alone := dial(t, f.Endpoint, l, modern), dial(t, f.server.Endpoint, l, modern)
			others := []*wire{dial(t, f.Endpoint, l, modern), dial(t, f.Endpoint, l, modern)}
			shows := "select @@" + name
			before := others[0].outcome(shows)
			if got, want := mine.outcome(text), alone.outcome(text); got != want {
				t.Errorf("%s: %s, with the server itself %s", text, got, want)
			}
			for range 3 {
				for _, other := range others {
					other.sees(t, shows, before)
				}
				if got, want := mine.outcome(shows), alone.outcome(shows); got != want {
					t.Errorf("behind %s: %s, with the server itself %s", text, got, want)
				}
			}
			mine.quit()
			for _, other := range others {
				other.sees(t, shows, before)
			}
			for _, w := range append(others, alone) {
				w.quit()
			}
		}
	})
}
