// Command client is the process behind harness.StartClient: it opens connections, leaves them in the middle of
// something, says so, and waits to be killed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/berthdb/berth/integration/harness"
	"os"
	"os/signal"
	"runtime"
)

func main() {
	var spec harness.ClientSpec
	if len(os.Args) != 2 {
		fatal(errors.New("usage: client SPEC"))
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &spec); err != nil {
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	n := max(1, spec.Connections)
	opened := make(chan result, n)
	for range n {
		go func() { opened <- open(ctx, spec) }()
	}
	// A socket that nothing refers to is closed by the garbage collector.
	var kept []any
	for range n {
		r := <-opened
		if r.err != nil {
			fatal(r.err)
		}
		kept = append(kept, r.held)
	}
	fmt.Println("ready")
	<-ctx.Done()
	runtime.KeepAlive(kept)
}

// result is an open connection and what is being read from it.
type result struct {
	held any
	err  error
}

func open(ctx context.Context, spec harness.ClientSpec) result {
	if spec.Endpoint.Engine == harness.Postgres {
		return postgres(ctx, spec)
	}
	return mysql(ctx, spec)
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func postgres(ctx context.Context, spec harness.ClientSpec) result {
	conn, err := spec.Endpoint.PgxConn(ctx, spec.Login)
	if err != nil {
		return result{err: err}
	}
	for _, q := range spec.Statements {
		if _, err := conn.Exec(ctx, q); err != nil {
			return result{err: fmt.Errorf("%s: %w", q, err)}
		}
	}
	if spec.Unread == "" {
		return result{held: conn}
	}
	rows, err := conn.Query(ctx, spec.Unread)
	if err == nil && !rows.Next() {
		err = errors.Join(fmt.Errorf("%s: no row", spec.Unread), rows.Err())
	}
	return result{rows, err}
}

func mysql(ctx context.Context, spec harness.ClientSpec) result {
	pool, err := spec.Endpoint.GoMySQLDB(spec.Login)
	if err != nil {
		return result{err: err}
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return result{err: err}
	}
	for _, q := range spec.Statements {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return result{err: fmt.Errorf("%s: %w", q, err)}
		}
	}
	if spec.Unread == "" {
		return result{held: conn}
	}
	rows, err := conn.QueryContext(ctx, spec.Unread)
	if err == nil && !rows.Next() {
		err = errors.Join(fmt.Errorf("%s: no row", spec.Unread), rows.Err())
	}
	return result{rows, err}
}
