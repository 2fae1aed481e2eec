package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

const (
	loginsAtOnce = 32
	settle       = 2 * time.Second
	scrapes      = 60 // of /metrics: enough allocation for the garbage collector to run
)

// measureIdle prints what an idle session costs in memory.
func (s suite) measureIdle(ctx context.Context, o options, server *harness.Server) error {
	fmt.Printf("\n%s: growth with %d idle sessions, each after a login and one query:\n\n", s.server, o.idle)
	fmt.Println("| proxy | session | resident memory, KiB/session | Go heap and stacks in use, KiB/session |")
	fmt.Println("| --- | --- | ---: | ---: |")
	for _, l := range []harness.Login{harness.App().InClear(), harness.App()} {
		if err := s.idleBerth(ctx, o, server, l); err != nil {
			return fmt.Errorf("berth, %s: %w", transport(l), err)
		}
	}
	if !o.peers || s.reference == "haproxy" {
		return nil
	}
	for _, l := range []harness.Login{harness.App().InClear(), harness.App()} {
		if err := s.idlePeer(ctx, o, server, l); err != nil {
			return fmt.Errorf("%s, %s: %w", s.reference, transport(l), err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s: idle sessions measured\n", s.title)
	return nil
}

func transport(l harness.Login) string {
	if l.Plain {
		return "plain"
	}
	return "TLS"
}

// idleBerth measures a process of its own, so that nothing that ran before has filled its memory.
func (s suite) idleBerth(ctx context.Context, o options, server *harness.Server, l harness.Login) (err error) {
	p, err := startBerth(ctx, o, server, server.Port+20, 1, s.pool)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	inUse := func() (int, error) {
		for range scrapes {
			if _, err := p.Metrics(ctx); err != nil {
				return 0, err
			}
		}
		heap, err := p.Sum(ctx, "go_memstats_heap_inuse_bytes", "")
		if err != nil {
			return 0, err
		}
		stacks, err := p.Sum(ctx, "go_memstats_stack_inuse_bytes", "")
		return int(heap + stacks), err
	}
	g, err := growth(ctx, p.Endpoint(route), l, o.idle, p.PID(), inUse)
	if err != nil {
		return err
	}
	fmt.Printf("| berth | %s | %.1f | %.1f |\n", transport(l), g.resident, g.inUse)
	return nil
}

func (s suite) idlePeer(ctx context.Context, o options, server *harness.Server, l harness.Login) (err error) {
	dir := o.below(fmt.Sprintf("idle-%s-%s", s.reference, transport(l)))
	p, err := harness.StartPeer(ctx, s.reference, dir, server.Port+21, server, harness.PeerOptions{PoolSize: s.pool, Workers: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, within(p.Stop)) }()
	g, err := growth(ctx, p.Endpoint, l, o.idle, p.PID, func() (int, error) { return 0, nil })
	if err != nil {
		return err
	}
	fmt.Printf("| %s | %s | %.1f | - |\n", s.reference, transport(l), g.resident)
	return nil
}

// memory of one session in KiB.
type memory struct{ resident, inUse float64 }

// growth opens n idle sessions and compares a process's memory before and after. inUse is what the process itself says.
func growth(ctx context.Context, e harness.Endpoint, l harness.Login, n, pid int, inUse func() (int, error)) (m memory, err error) {
	warm, err := openIdle(ctx, e, l, loginsAtOnce)
	closeAll(warm)
	if err != nil {
		return m, err
	}
	read := func() (resident, used int, err error) {
		time.Sleep(settle)
		if used, err = inUse(); err == nil {
			resident, err = residentOf(pid)
		}
		return resident, used, err
	}
	residentBefore, usedBefore, err := read()
	if err != nil {
		return m, err
	}
	sessions, err := openIdle(ctx, e, l, n)
	defer closeAll(sessions)
	if err != nil {
		return m, err
	}
	resident, used, err := read()
	if err != nil {
		return m, err
	}
	perSession := func(before, after int) float64 { return float64(after-before) / 1024 / float64(n) }
	return memory{perSession(residentBefore, resident), perSession(usedBefore, used)}, nil
}

// openIdle opens sessions, some at a time. It returns those that it could open.
func openIdle(ctx context.Context, e harness.Endpoint, l harness.Login, n int) (sessions []func(), err error) {
	type opened struct {
		end func()
		err error
	}
	tokens := make(chan struct{}, loginsAtOnce)
	done := make(chan opened, n)
	for range n {
		go func() {
			tokens <- struct{}{}
			defer func() { <-tokens }()
			end, err := idleSession(ctx, e, l)
			done <- opened{end, err}
		}()
	}
	for range n {
		o := <-done
		if o.err != nil {
			err = o.err
			continue
		}
		sessions = append(sessions, o.end)
	}
	return sessions, err
}

func closeAll(sessions []func()) {
	for _, end := range sessions {
		end()
	}
}

// idleSession logs in and asks once.
func idleSession(ctx context.Context, e harness.Endpoint, l harness.Login) (end func(), err error) {
	if e.Engine == harness.Postgres {
		conn, err := e.PgxConn(ctx, l)
		if err != nil {
			return nil, err
		}
		end = func() { _ = conn.Close(context.WithoutCancel(ctx)) }
		if _, err := conn.Exec(ctx, "select 1"); err != nil {
			end()
			return nil, err
		}
		return end, nil
	}
	db, err := e.GoMySQLDB(l)
	if err != nil {
		return nil, err
	}
	end = func() { _ = db.Close() }
	if _, err := db.ExecContext(ctx, "do 1"); err != nil {
		end()
		return nil, err
	}
	return end, nil
}
