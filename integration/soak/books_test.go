package soak

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
	"github.com/berthdb/berth/integration/ledger"
)

const (
	// settleWithin bounds a wait for what must come.
	settleWithin = time.Minute
	// cached is how many statements a backend of MySQL may keep for sessions (docs/pinning.md).
	cached = 200
	// moreResident is how much larger the process may be at the end than early in the run, in bytes: what the collector leaves to chance.
	moreResident = 32 << 20
	// moreDescriptors and moreGoroutines are what monitors, secrets that are read, and those who ask for metrics may have open.
	moreDescriptors, moreGoroutines = 8, 12
)

// sample is the process, as its metrics tell. Sizes are bytes.
type sample struct{ resident, descriptors, goroutines float64 }

func measure(ctx context.Context, p *harness.Proxy) (s sample, err error) {
	for name, to := range map[string]*float64{
		"process_resident_memory_bytes": &s.resident, "process_open_fds": &s.descriptors, "go_goroutines": &s.goroutines,
	} {
		if *to, err = p.Sum(ctx, name, ""); err != nil {
			return s, err
		}
	}
	return s, nil
}

// balance is the closing of the books: a line for each thing that must be what it must be.
type balance struct {
	t    *testing.T
	text strings.Builder
}

func (b *balance) line(ok bool, format string, args ...any) {
	b.t.Helper()
	mark := "ok   "
	if !ok {
		mark = "WRONG"
		b.t.Errorf(format, args...)
	}
	fmt.Fprintf(&b.text, "%s "+format+"\n", append([]any{mark}, args...)...)
}

// acknowledged compares the ledgers with what the servers have.
func (b *balance) acknowledged(sides []*side) {
	for _, s := range sides {
		read := ledger.MySQLRows
		if s.server.Engine == harness.Postgres {
			read = ledger.PostgresRows
		}
		found, err := read(b.t.Context(), s.server)
		if err != nil {
			b.t.Error(err)
			continue
		}
		errs := s.book.Check(found)
		for _, err := range errs {
			b.t.Errorf("%s: ledger: %v", s.name, err)
		}
		done, unknown := s.book.Counts()
		b.line(len(errs) == 0, "%s: ledger: %d writes acknowledged, each there once; %d of unknown outcome, each in full or not; nothing else", s.name, done, unknown)
	}
}

// settled waits until nobody has or waits for anything, and tells what is open.
func (b *balance) settled(p *harness.Proxy, sides []*side) (open int) {
	for _, s := range sides {
		var pool harness.Pool
		var l harness.ListenerStatus
		harness.Eventually(b.t, settleWithin, s.name+": nobody has or waits for anything", func() bool {
			var err, err2 error
			pool, err = p.Pool(b.t.Context(), s.name)
			l, err2 = p.Listener(b.t.Context(), s.name)
			return err == nil && err2 == nil && pool.Lent+pool.Dialing+pool.Closing+pool.Waiting == 0 && pool.Open == pool.Idle &&
				l.ClientConnections+l.ClientConnectionsInSetup+l.WaitingClients+l.SessionsPinned == 0
		})
		b.line(pool.Open <= pool.Max, "%s: pool: open %d, idle %d, lent 0, dialing 0, closing 0, waiting 0, limit %d; sessions 0, pinned 0", s.name, pool.Open, pool.Idle, pool.Max)
		open += pool.Open
	}
	return open
}

// process compares the process with what it was. open are the pools' connections, at each time.
func (b *balance) process(p *harness.Proxy, before, early sample, openBefore, open int) {
	now, err := measure(b.t.Context(), p)
	if err != nil {
		b.t.Error(err)
		return
	}
	fixed := before.descriptors - float64(openBefore)
	b.line(now.descriptors <= fixed+float64(open)+moreDescriptors, "descriptors: %.0f, of which %d are backends; %.0f others before the load, at most %d more are allowed",
		now.descriptors, open, fixed, moreDescriptors)
	b.line(now.goroutines <= before.goroutines+moreGoroutines, "goroutines: %.0f; %.0f before the load, at most %d more are allowed", now.goroutines, before.goroutines, moreGoroutines)
	b.line(now.resident <= early.resident+moreResident, "resident: %.1f MiB; %.1f MiB early in the run, at most %d MiB more are allowed",
		now.resident/(1<<20), early.resident/(1<<20), moreResident>>20)
}

// statements counts what is prepared on the servers that tell.
func (b *balance) statements(p *harness.Proxy, sides []*side) {
	for _, s := range sides {
		if s.server.Engine == harness.Postgres {
			continue
		}
		pool, err := p.Pool(b.t.Context(), s.name)
		if err != nil {
			b.t.Error(err)
			continue
		}
		n, err := number(b.t.Context(), s.server, "show global status like 'Prepared_stmt_count'")
		b.line(err == nil && n <= cached*pool.Open, "%s: prepared statements on the server: %d, at most %d for each of %d backends", s.name, n, cached, pool.Open)
	}
}

// remains are questions to which the answer must be 0 when Berth has ended.
func remains(s *side) map[string]string {
	if s.server.Engine == harness.Postgres {
		return map[string]string{
			"connections":           "select count(*) from pg_stat_activity where usename = 'app'",
			"advisory locks":        "select count(*) from pg_locks where locktype = 'advisory'",
			"temporary tables":      "select count(*) from pg_class where relpersistence = 't'",
			"prepared transactions": "select count(*) from pg_prepared_xacts",
			"open transactions":     "select count(*) from pg_stat_activity where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()",
		}
	}
	var locks []string
	for n := range len(s.clients) {
		locks = append(locks, fmt.Sprintf("(is_used_lock('%s') is not null)", lockName(n)))
	}
	return map[string]string{
		"connections":         "select count(*) from information_schema.processlist where user = 'app'",
		"named locks":         "select " + strings.Join(locks, " + "),
		"open transactions":   "select count(*) from information_schema.innodb_trx",
		"prepared statements": "show global status like 'Prepared_stmt_count'",
	}
}

// ended looks at the servers when Berth has ended.
func (b *balance) ended(sides []*side) {
	for _, s := range sides {
		var all []string
		for what, query := range remains(s) {
			n := -1
			harness.Eventually(b.t, settleWithin, s.name+": no "+what, func() bool {
				var err error
				n, err = number(b.t.Context(), s.server, query)
				return err == nil && n == 0
			})
			all = append(all, what)
		}
		b.line(true, "%s: when Berth has ended: none left of: %s", s.name, sorted(all))
	}
}

// number is the last column of the only row.
func number(ctx context.Context, s *harness.Server, query string) (int, error) {
	all, err := texts(ctx, s, query)
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, errNoRow
	}
	return strconv.Atoi(all[0])
}

// texts asks a server past the proxy, and returns the last column of each row.
func texts(ctx context.Context, s *harness.Server, query string) (all []string, err error) {
	if s.Engine == harness.Postgres {
		c, err := s.PgxConn(ctx, harness.Superuser())
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close(ctx) }()
		results, err := c.PgConn().Exec(ctx, query).ReadAll()
		if err != nil {
			return nil, err
		}
		for _, row := range results[0].Rows {
			all = append(all, string(row[len(row)-1]))
		}
		return all, nil
	}
	pool, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		return nil, err
	}
	defer func() { _ = pool.Close() }()
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(string)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		all = append(all, *values[len(values)-1].(*string))
	}
	return all, rows.Err()
}
