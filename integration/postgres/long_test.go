package postgres

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// resident is the most memory that a process has had, in bytes.
func resident(t *testing.T, pid int) (n int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscanf(rest, "%d kB", &n); err != nil {
		t.Fatalf("no VmHWM: %v", err)
	}
	return n << 10
}

func TestAStatementOf64MiBIsScannedInLittleMemory(t *testing.T) {
	for _, name := range harness.PostgresNames()[1:] { // how much a server takes differs, what the proxy keeps does not
		r := start(t, name, harness.Route{MaxConnections: 1})
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		ask(t, c, "drop table if exists long; create table long (a text)")
		before := resident(t, r.proxy.PID())
		insert := "insert into long values ('" + strings.Repeat("; set a.b = 1; $$ \" /* --", 64<<20/25) + "')"
		for _, tail := range []struct{ sql, reason, end string }{
			{"; select length(a) from long", "", ""},
			{"; select pg_advisory_lock(4713)", "named_lock", "select pg_advisory_unlock_all()"},
			{"; create temp table v (a int)", "temporary_table", "drop table v"}, {"; set work_mem = '7MB'", "", "discard all"},
			{"; set a.b = '7MB'", "unknown", "discard all"},
		} {
			if _, err := c.Exec(t.Context(), insert+tail.sql).ReadAll(); err != nil {
				t.Fatalf("%s: %v", tail.sql, err)
			}
			harness.Eventually(t, settleWithin, "the session is pinned as it must be", func() bool { return r.session(t, c.PID()).Pinned == tail.reason })
			if tail.end != "" {
				ask(t, c, tail.end)
			}
			harness.Eventually(t, settleWithin, "the session lets go", func() bool { return r.session(t, c.PID()).Pinned == "" })
			if got := ask(t, other, pristine()); got != pristineAnswer {
				t.Errorf("after %q another session finds %s", tail.sql, got)
			}
			ask(t, other, "truncate long")
		}
		if grown := resident(t, r.proxy.PID()) - before; grown > 32<<20 {
			t.Errorf("the proxy has grown by %d MiB", grown>>20)
		}
		ask(t, c, "drop table long")
	}
}

func TestALongStatementOfTheExtendedProtocolIsScanned(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for _, size := range []int{20 << 10, 100 << 10, 500 << 10, 3 << 20} {
			long := "select length('" + strings.Repeat("x", size) + "')"
			want := fmt.Sprint(size)
			if got, err := askedExtended(t.Context(), c, long); got != want {
				t.Fatalf("%d bytes: %q %v", size, got, err)
			}
			pinned := ""
			if size > 1<<20 { // too long to be sent again
				pinned = "prepared_statement"
			}
			harness.Eventually(t, settleWithin, "the session is pinned as it must be", func() bool { return r.session(t, c.PID()).Pinned == pinned })
			if got, err := askedExtended(t.Context(), c, long+" from pg_advisory_lock(4713)"); got != want {
				t.Fatalf("%d bytes: %q %v", size, got, err)
			}
			harness.Eventually(t, settleWithin, "the lock pins", func() bool { return strings.Contains(r.session(t, c.PID()).Pinned, "named_lock") })
			ask(t, c, "select pg_advisory_unlock_all()")
			harness.Eventually(t, settleWithin, "the session lets go", func() bool { return r.session(t, c.PID()).Pinned == "" })
			if got := ask(t, other, pristine()); got != pristineAnswer {
				t.Errorf("another session finds %s", got)
			}
		}
	})
}

func TestALongStatementWithANameIsThereOnWhateverConnection(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for _, size := range []int{60 << 10, 70 << 10, 500 << 10, 1000 << 10, 2 << 20} {
			name, want := fmt.Sprintf("s%d", size), fmt.Sprint(size)
			if _, err := c.Prepare(t.Context(), name, "select length('"+strings.Repeat("x", size)+"') + $1", nil); err != nil {
				t.Fatal(err)
			}
			pinned := ""
			if size > 1<<20 {
				pinned = "prepared_statement"
			}
			for range 2 {
				result := c.ExecPrepared(t.Context(), name, [][]byte{[]byte("0")}, nil, nil).Read()
				if got := joined(result); got != want || result.Err != nil {
					t.Fatalf("%d bytes: %q %v", size, got, result.Err)
				}
				harness.Eventually(t, settleWithin, "the session is pinned as it must be", func() bool { return r.session(t, c.PID()).Pinned == pinned })
				if pinned == "" {
					ask(t, other, "discard all")
				}
			}
			ask(t, c, "set work_mem = '7MB'")
		}
		ask(t, c, "discard all")
		r.pinnedBy(t, c, "")
	})
}

func TestALongQueryFindsStatementsOfTheProtocol(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		gap := strings.Repeat(" -- EXECUTE \"p\"\n", 10<<10)
		for _, c := range []struct{ sql, answer, then string }{
			{"execute p" + gap, "42", ""}, {"select 1;" + gap + "deallocate p", "1", "26000"}, {"select 1;" + gap + "deallocate p; select 1/0", "22012", "26000"},
			{"select 1;" + gap + "prepare p as select 2", "42P05", ""}, {"select '" + gap + "' || 1", gap + "1", ""},
		} {
			for _, to := range []harness.Endpoint{r.server.Endpoint, r.Endpoint} {
				a := conn(t, to, harness.App())
				if _, err := a.Prepare(t.Context(), "p", "select 42", nil); err != nil {
					t.Fatal(err)
				}
				got, err := asked(t.Context(), a, c.sql)
				if err != nil {
					got = code(err)
				}
				_, err = a.Prepare(t.Context(), "other", "select 1", nil)
				if err != nil {
					t.Error(err)
				}
				then := code(a.ExecPrepared(t.Context(), "p", nil, nil, nil).Read().Err)
				if got != c.answer || then != c.then {
					t.Errorf("%.40s... %s: %.40s, then %s", c.sql, c.sql[max(0, len(c.sql)-30):], got, then)
				}
				hangUp(a)
			}
		}
	})
}
