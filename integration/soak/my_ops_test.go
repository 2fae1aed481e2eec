package soak

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func (m *my) operations() []operation {
	ops := []operation{
		{"text", 14, m.selectText},
		{"prepared", 14, m.selectPrepared},
		{"kept statement", 10, m.selectKept},
		{"rows", 4, m.rows},
		{"transaction", 10, m.transaction},
		{"write", 8, func(ctx context.Context) error { return m.write(ctx, 1, m.single) }},
		{"writes", 8, func(ctx context.Context) error { return m.write(ctx, 2, m.pair) }},
		{"set", 10, m.set},
		{"show", 14, m.show},
		{"insert id", 4, m.insertID},
		{"temporary table", 4, m.temporary},
		{"lock", 4, m.lock},
		{"error", 3, m.failure},
		{"failed transaction", 3, m.failedTransaction},
		{"cancel", 1, m.cancel},
		{"timeout", 1, m.timeout},
		{"large result", 1, m.largeResult},
		{"large parameter", 1, m.largeParameter},
		{"reconnect", 2, m.reconnect},
		{"vanish", 1, m.vanish},
	}
	if m.clear() {
		ops = append(ops, operation{"reset", 4, m.reset})
	}
	return ops
}

// The writer is another one after each login.
func (m *my) single(ctx context.Context, id string) error { return m.writer.Single(ctx, id) }
func (m *my) pair(ctx context.Context, id string) error   { return m.writer.Pair(ctx, id) }

func (m *my) selectText(ctx context.Context) error {
	n, token := m.random.IntN(facts), m.token()
	return m.ask(ctx, token+" "+fact(n), fmt.Sprintf("select concat('%s', ' ', value) from fact where id = %d", token, n))
}

const selectFact = "select concat(?, ' ', value) from fact where id = ?"

func (m *my) selectPrepared(ctx context.Context) error {
	n, token := m.random.IntN(facts), m.token()
	return m.ask(ctx, token+" "+fact(n), selectFact, token, n)
}

// selectKept executes a statement that is prepared until the session is reset or ends.
func (m *my) selectKept(ctx context.Context) error {
	if m.kept == nil {
		kept, err := m.conn.PrepareContext(ctx, selectFact)
		if err != nil {
			return err
		}
		m.kept, m.stale = kept, false
	}
	n, token := m.random.IntN(facts), m.token()
	var got string
	switch err := m.kept.QueryRowContext(ctx, token, n).Scan(&got); {
	case m.stale && code(err) == "1615":
		m.kept = nil
		return nil
	case err != nil:
		return err
	}
	if got != token+" "+fact(n) {
		return wrong("%q, not %q", got, token+" "+fact(n))
	}
	return nil
}

func (m *my) rows(ctx context.Context) error {
	first, token := m.random.IntN(facts-50), m.token()
	rows, err := m.conn.QueryContext(ctx, "select concat(?, value) from fact where id between ? and ? order by id", token, first, first+49)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	n := first
	for ; rows.Next(); n++ {
		var got string
		if err := rows.Scan(&got); err != nil {
			return err
		}
		if got != token+fact(n) {
			return wrong("%q, not %q", got, token+fact(n))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != first+50 {
		return wrong("%d rows of 50", n-first)
	}
	return nil
}

func (m *my) transaction(ctx context.Context) error {
	token, n := m.token(), m.random.IntN(facts)
	if err := m.run(ctx, "begin", fmt.Sprintf("insert into serial (token) values ('%s')", token)); err != nil {
		return err
	}
	m.inserted = ""
	if err := m.ask(ctx, token, "select token from serial where id = last_insert_id()"); err != nil {
		return err
	}
	if err := m.ask(ctx, fact(n), "select value from fact where id = ?", n); err != nil {
		return err
	}
	return m.run(ctx, "rollback")
}

func (m *my) set(ctx context.Context) error {
	size := 300000 + m.random.IntN(1000)
	err := m.buffer.change(fmt.Sprint(size), func() error { return m.run(ctx, fmt.Sprintf("set sort_buffer_size = %d", size)) })
	if err != nil {
		return err
	}
	token := m.token()
	m.note("set %s", token)
	m.past = append(m.past, m.mine...)
	return m.mine.change(token, func() error { return m.run(ctx, fmt.Sprintf("set @mine = '%s'", token)) })
}

func (m *my) show(ctx context.Context) error {
	got, err := m.text(ctx, "select @@sort_buffer_size")
	if err != nil {
		return err
	}
	if err := m.buffer.is("sort_buffer_size", got); err != nil {
		return err
	}
	if got, err = m.text(ctx, "select coalesce(@mine, '')"); err != nil {
		return err
	}
	if err := m.mine.is("@mine", got); err != nil {
		return err
	}
	if m.held == 0 && !m.bound {
		m.past = nil
	}
	return nil
}

// insertID asks what the session's last id is, and makes another one.
func (m *my) insertID(ctx context.Context) error {
	if m.inserted != "" {
		// It is right or refused (docs/pinning.md), where a backend was lost too of which the client was not told.
		switch err := m.ask(ctx, m.inserted, "select last_insert_id()"); {
		case code(err) == "1105":
			m.side.record.kind("insert id refused")
		case err != nil:
			return err
		}
	}
	m.inserted = ""
	result, err := m.conn.ExecContext(ctx, "insert into serial (token) values (?)", m.token())
	if err != nil {
		return err
	}
	id, err := result.LastInsertId()
	m.inserted = fmt.Sprint(id)
	return err
}

// temporary makes a table of a name that everybody uses, or looks whether it has its row and drops it.
func (m *my) temporary(ctx context.Context) error {
	if m.table != "" {
		if err := m.ask(ctx, m.table, "select group_concat(token) from mine"); err != nil {
			return err
		}
		if err := m.run(ctx, "drop temporary table mine"); err != nil {
			return err
		}
		m.table = ""
		m.unpin()
		return nil
	}
	if !m.pin() {
		return m.show(ctx)
	}
	token := m.token()
	if err := m.run(ctx, "create temporary table mine (token varchar(60))", fmt.Sprintf("insert into mine values ('%s')", token)); err != nil {
		return err
	}
	m.table = token
	return nil
}

// lockName is a lock that only the client of this number takes.
func lockName(number int) string { return fmt.Sprintf("soak %d", number) }

func (m *my) lock(ctx context.Context) error {
	if m.locked {
		if err := m.ask(ctx, "1", fmt.Sprintf("select release_lock('%s')", lockName(m.number))); err != nil {
			return err
		}
		m.locked = false
		m.unpin()
		return nil
	}
	if !m.pin() {
		return m.selectText(ctx)
	}
	if err := m.ask(ctx, "1", fmt.Sprintf("select get_lock('%s', 60)", lockName(m.number))); err != nil {
		return err
	}
	m.locked = true
	return nil
}

func (m *my) failure(ctx context.Context) error {
	if err := expect(m.run(ctx, "insert into one values ('only')"), "a second one", "1062"); err != nil {
		return err
	}
	_, err := m.text(ctx, "select value from nowhere where id = ?", 1)
	return expect(err, "a table that is not there", "1146")
}

func (m *my) failedTransaction(ctx context.Context) error {
	if err := m.run(ctx, "begin"); err != nil {
		return err
	}
	if err := expect(m.run(ctx, "insert into one values ('only')"), "a second one", "1062"); err != nil {
		return err
	}
	if err := m.selectPrepared(ctx); err != nil {
		return err
	}
	return m.run(ctx, "commit")
}

// interrupted wants a sleep that did not last: MySQL says so by what SLEEP() returns, or by an error.
func interrupted(what, got string, err error, codes ...string) error {
	if err != nil {
		return expect(err, what, codes...)
	}
	if got != "1" {
		return wrong("%s: it slept to its end", what)
	}
	return nil
}

// cancel kills its statement from another connection until it has stopped. A process that has handed over cannot be asked.
func (m *my) cancel(ctx context.Context) error {
	if m.excused() {
		return m.reconnect(ctx)
	}
	id, err := m.text(ctx, "select connection_id()")
	if err != nil {
		return err
	}
	ended, asked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(asked)
		other, err := m.side.proxy.GoMySQLDB(m.login())
		if err != nil {
			return
		}
		defer func() { _ = other.Close() }()
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
				_, _ = other.ExecContext(ctx, "kill query "+id) // it is asked again
			}
		}
	}()
	got, err := m.text(ctx, "select sleep(20)")
	close(ended)
	<-asked
	if err == nil && m.excused() {
		return nil
	}
	if err := interrupted("a killed statement", got, err, "1317"); err != nil {
		return err
	}
	if err := m.run(ctx, "select 1"); code(err) != "1317" { // a second request may have come late
		return err
	}
	return nil
}

func (m *my) timeout(ctx context.Context) error {
	query := "select /*+ max_execution_time(50) */ sleep(20)"
	if m.mariaDB() {
		m.bound = true // it sets what cannot be restored
		query = "set statement max_statement_time = 0.05 for select sleep(20)"
	}
	got, err := m.text(ctx, query)
	return interrupted("a statement that takes too long", got, err, "3024", "1969")
}

func (m *my) largeResult(ctx context.Context) error {
	token := m.token()
	times := mega / len(token)
	return m.ask(ctx, strings.Repeat(token, times), "select repeat(?, ?)", token, times)
}

func (m *my) largeParameter(ctx context.Context) error {
	token := m.token()
	long := strings.Repeat(token, mega/len(token))
	return m.ask(ctx, fmt.Sprintf("%d %s", len(long), token), "select concat(length(?), ' ', right(?, ?))", long, long, len(token))
}

// reset is COM_RESET_CONNECTION.
func (m *my) reset(ctx context.Context) error {
	m.mu.Lock()
	socket := m.socket
	m.mu.Unlock()
	m.inserted, m.kept = "", nil
	err := m.buffer.change(m.side.sortBuffer, func() error {
		return m.mine.change("", func() error { return command(ctx, socket, comResetConnection) })
	})
	if err != nil {
		return err
	}
	m.session.forget()
	m.begin()
	return m.show(ctx)
}

func (m *my) reconnect(ctx context.Context) error {
	m.session.end()
	return m.again(ctx)
}

// again logs in and looks at a new session, which has what every session begins with.
func (m *my) again(ctx context.Context) error {
	if v, err := m.session.login(ctx); v != fine || err != nil {
		return err
	}
	return m.show(ctx)
}

// vanish ends the connection without a word, in the middle of a transaction whose row must not be there afterwards.
func (m *my) vanish(ctx context.Context) error {
	if err := m.run(ctx, "begin"); err != nil {
		return err
	}
	if err := m.single(ctx, m.token()+" must not be there"); err != nil {
		return err
	}
	m.cut()
	return m.reconnect(ctx)
}
