package soak

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

func (p *pg) operations() []operation {
	return []operation{
		{"simple", 10, p.selects(pgx.QueryExecModeSimpleProtocol)},
		{"extended", 10, p.selects(pgx.QueryExecModeExec)},
		{"described", 6, p.selects(pgx.QueryExecModeCacheDescribe)},
		{"prepared", 14, p.selects(pgx.QueryExecModeCacheStatement)},
		{"pipeline", 4, p.pipeline},
		{"transaction", 10, p.transaction},
		{"write", 8, func(ctx context.Context) error { return p.write(ctx, 1, p.single) }},
		{"writes", 8, func(ctx context.Context) error { return p.write(ctx, 2, p.pair) }},
		{"set", 10, p.set},
		{"show", 14, p.show},
		{"temporary table", 4, p.temporary},
		{"lock", 4, p.lock},
		{"notify", 3, p.notify},
		{"copy in", 2, p.copyIn},
		{"copy out", 2, p.copyOut},
		{"error", 3, p.failure},
		{"failed transaction", 3, p.failedTransaction},
		{"cancel", 1, p.cancel},
		{"timeout", 1, p.timeout},
		{"large result", 1, p.largeResult},
		{"large parameter", 1, p.largeParameter},
		{"reset", 2, p.discard},
		{"reconnect", 2, p.reconnect},
		{"vanish", 1, p.vanish},
	}
}

// The writer is another one after each login.
func (p *pg) single(ctx context.Context, id string) error { return p.writer.Single(ctx, id) }
func (p *pg) pair(ctx context.Context, id string) error   { return p.writer.Pair(ctx, id) }

func (p *pg) selects(mode pgx.QueryExecMode) func(context.Context) error {
	return func(ctx context.Context) error {
		n, token := p.random.IntN(facts), p.token()
		return p.ask(ctx, token+" "+fact(n), "select $1::text || ' ' || value from fact where id = $2", mode, token, n)
	}
}

func (p *pg) pipeline(ctx context.Context) error {
	var batch pgx.Batch
	var want []string
	for range 5 {
		n, token := p.random.IntN(facts), p.token()
		want = append(want, token+fact(n))
		batch.Queue("select $1::text || value from fact where id = $2", token, n)
	}
	results := p.conn.SendBatch(ctx, &batch)
	for _, w := range want {
		var got string
		if err := results.QueryRow().Scan(&got); err != nil {
			_ = results.Close()
			return err
		}
		if got != w {
			_ = results.Close()
			return wrong("%q, not %q", got, w)
		}
	}
	return results.Close()
}

func (p *pg) transaction(ctx context.Context) error {
	token, n := p.token(), p.random.IntN(facts)
	if err := p.run(ctx, "begin", fmt.Sprintf("set local soak.local = '%s'", token), "savepoint s"); err != nil {
		return err
	}
	if err := p.ask(ctx, fact(n), "select value from fact where id = $1", n); err != nil {
		return err
	}
	if err := expect(p.run(ctx, "insert into one values ('only')"), "a second one", "23505"); err != nil {
		return err
	}
	if err := p.run(ctx, "rollback to s"); err != nil {
		return err
	}
	if err := p.ask(ctx, token, "select current_setting('soak.local')"); err != nil {
		return err
	}
	return p.run(ctx, "commit")
}

func (p *pg) set(ctx context.Context) error {
	kB := 4097 + 2*p.random.IntN(1000) // no whole MB
	err := p.memory.change(fmt.Sprintf("%dkB", kB), func() error { return p.run(ctx, fmt.Sprintf("set work_mem = %d", kB)) })
	if err != nil {
		return err
	}
	token := p.token()
	p.note("set %s", token)
	return p.mine.change(token, func() error { return p.run(ctx, fmt.Sprintf("set soak.mine = '%s'", token)) })
}

func (p *pg) show(ctx context.Context) error {
	got, err := p.text(ctx, "select current_setting('work_mem')")
	if err != nil {
		return err
	}
	if err := p.memory.is("work_mem", got); err != nil {
		return err
	}
	if got, err = p.text(ctx, "select coalesce(current_setting('soak.mine', true), '')"); err != nil {
		return err
	}
	return p.mine.is("soak.mine", got)
}

// temporary makes a table of a name that everybody uses, or looks whether it has its row and drops it.
func (p *pg) temporary(ctx context.Context) error {
	if p.table != "" {
		if err := p.ask(ctx, p.table, "select string_agg(token, ',') from mine"); err != nil {
			return err
		}
		if err := p.run(ctx, "drop table mine"); err != nil {
			return err
		}
		p.table = ""
		p.unpin()
		return nil
	}
	if !p.pin() {
		return p.show(ctx)
	}
	token := p.token()
	if err := p.run(ctx, "create temporary table mine (token text)", fmt.Sprintf("insert into mine values ('%s')", token)); err != nil {
		return err
	}
	p.table = token
	return nil
}

// lock takes an advisory lock that is its own, or gives it back.
func (p *pg) lock(ctx context.Context) error {
	if p.locked {
		if err := p.ask(ctx, "true", "select pg_advisory_unlock($1)::text", p.number); err != nil {
			return err
		}
		p.locked = false
		p.unpin()
		return nil
	}
	if !p.pin() {
		return p.ask(ctx, "true", "select pg_try_advisory_xact_lock($1)::text", -p.number)
	}
	if err := p.run(ctx, fmt.Sprintf("select pg_advisory_lock(%d)", p.number)); err != nil {
		return err
	}
	p.locked = true
	return nil
}

// notify listens, or says something to itself and listens no more. Nothing that others say may be heard.
func (p *pg) notify(ctx context.Context) error {
	if !p.listens {
		if !p.pin() {
			return p.run(ctx, fmt.Sprintf("notify %s, 'nobody listens'", p.channel()))
		}
		if err := p.run(ctx, "listen "+p.channel()); err != nil {
			return err
		}
		p.listens = true
		clear(p.heard)
		return nil
	}
	token := p.token()
	// The server tells a session what it has said itself before the answer ends.
	if err := p.run(ctx, fmt.Sprintf("notify %s, '%s'", p.channel(), token), "unlisten "+p.channel()); err != nil {
		return err
	}
	p.listens = false
	p.unpin()
	if len(p.heard) != 1 || p.heard[token] != p.channel() {
		return wrong("heard %v, not %s", p.heard, token)
	}
	return nil
}

const copied = 200

func (p *pg) copyIn(ctx context.Context) error {
	token := p.token()
	var rows bytes.Buffer
	for n := range copied {
		fmt.Fprintf(&rows, "%s\t%d\n", token, n)
	}
	if err := p.run(ctx, "begin"); err != nil {
		return err
	}
	if _, err := p.conn.PgConn().CopyFrom(ctx, &rows, "copy bulk from stdin"); err != nil {
		return err
	}
	if err := p.ask(ctx, fmt.Sprintf("%d %d", copied, copied*(copied-1)/2), "select count(*) || ' ' || sum(n) from bulk where owner = $1", token); err != nil {
		return err
	}
	return p.run(ctx, "rollback")
}

func (p *pg) copyOut(ctx context.Context) error {
	token := p.token()
	var want, got bytes.Buffer
	for n := range copied {
		fmt.Fprintf(&want, "%s\t%d\n", token, n)
	}
	query := fmt.Sprintf("copy (select '%s', n from generate_series(0, %d) n) to stdout", token, copied-1)
	if _, err := p.conn.PgConn().CopyTo(ctx, &got, query); err != nil {
		return err
	}
	if !bytes.Equal(want.Bytes(), got.Bytes()) {
		return wrong("%s: %.100q", query, got.String())
	}
	return nil
}

func (p *pg) failure(ctx context.Context) error {
	if err := expect(p.run(ctx, "select 1 / 0"), "a division", "22012"); err != nil {
		return err
	}
	_, err := p.text(ctx, "select value from nowhere where id = $1", 1)
	return expect(err, "a table that is not there", "42P01")
}

func (p *pg) failedTransaction(ctx context.Context) error {
	if err := p.run(ctx, "begin"); err != nil {
		return err
	}
	if err := expect(p.run(ctx, "insert into one values ('only')"), "a second one", "23505"); err != nil {
		return err
	}
	if err := expect(p.run(ctx, "select 1"), "a failed transaction", "25P02"); err != nil {
		return err
	}
	if err := p.run(ctx, "commit"); err != nil {
		return err
	}
	return p.selects(pgx.QueryExecModeCacheStatement)(ctx)
}

// cancel asks to stop a statement until it has stopped. A process that has handed over cannot be asked.
func (p *pg) cancel(ctx context.Context) error {
	if p.excused() {
		return p.reconnect(ctx)
	}
	ended := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
				_ = p.conn.PgConn().CancelRequest(ctx) // it is asked again
			}
		}
	}()
	err := p.run(ctx, "select pg_sleep(20)")
	close(ended)
	<-asked
	if err == nil && p.excused() {
		return nil
	}
	if err := expect(err, "a canceled statement", "57014"); err != nil {
		return err
	}
	if err := p.run(ctx, "select 1"); code(err) != "57014" { // a second request may have come late
		return err
	}
	return nil
}

func (p *pg) timeout(ctx context.Context) error {
	if err := p.run(ctx, "begin", "set local statement_timeout = 50"); err != nil {
		return err
	}
	if err := expect(p.run(ctx, "select pg_sleep(20)"), "a statement that takes too long", "57014"); err != nil {
		return err
	}
	return p.run(ctx, "rollback")
}

// mega is about how long large values are.
const mega = 1 << 20

func (p *pg) largeResult(ctx context.Context) error {
	token := p.token()
	times := mega / len(token)
	return p.ask(ctx, strings.Repeat(token, times), "select repeat($1, $2)", token, times)
}

func (p *pg) largeParameter(ctx context.Context) error {
	token := p.token()
	long := strings.Repeat(token, mega/len(token))
	return p.ask(ctx, fmt.Sprintf("%d %s", len(long), token), "select length($1::text) || ' ' || right($1::text, $2)", long, len(token))
}

// discard resets the session as pools do. pgx must hear that its statements are gone.
func (p *pg) discard(ctx context.Context) error {
	err := p.memory.change("4MB", func() error { return p.mine.change("", func() error { return p.run(ctx, "discard all") }) })
	if err != nil {
		return err
	}
	p.session.forget()
	return p.conn.DeallocateAll(ctx)
}

func (p *pg) reconnect(ctx context.Context) error {
	p.session.end()
	return p.again(ctx)
}

// again logs in and looks at a new session, which has what every session begins with.
func (p *pg) again(ctx context.Context) error {
	if v, err := p.session.login(ctx); v != fine || err != nil {
		return err
	}
	return p.show(ctx)
}

// vanish ends the connection without a word, in the middle of a transaction whose row must not be there afterwards.
func (p *pg) vanish(ctx context.Context) error {
	if err := p.run(ctx, "begin"); err != nil {
		return err
	}
	if err := p.single(ctx, p.token()+" must not be there"); err != nil {
		return err
	}
	p.cut()
	return p.reconnect(ctx)
}
