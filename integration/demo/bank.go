package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/berthdb/berth/integration/harness"
)

const (
	accounts = 1000
	balance  = 1000 // of each account at first
)

// bank is a database of accounts.
type bank struct {
	title, name     string
	port, proxyPort int
	server          *harness.Server
	dialect         dialect
	options         []string // of the server, beside max_connections
}

// dialect is what differs between the engines.
type dialect interface {
	// setup are statements that make the accounts, for the superuser.
	setup() []string
	connect(ctx context.Context, e harness.Endpoint, l harness.Login) (teller, error)
}

// teller is a client's connection through its driver.
type teller interface {
	// transfer moves money in one transaction.
	transfer(ctx context.Context, from, to, amount int) error
	total(ctx context.Context) (int, error)
	close()
}

func (b *bank) start(ctx context.Context, dir string) (err error) {
	options := append([]string{fmt.Sprintf("max_connections=%d", maxConnections)}, b.options...)
	b.server, err = harness.StartServer(ctx, b.name, filepath.Join(dir, b.name), b.port, options...)
	return err
}

func (b *bank) stop() error {
	ctx, stop := context.WithTimeout(context.Background(), stopWithin)
	defer stop()
	return b.server.Stop(ctx)
}

// visit sends the crowd to e and counts at the server what comes of it.
func (b *bank) visit(ctx context.Context, path string, e harness.Endpoint) report {
	r := report{title: b.title, path: path, wantTotal: accounts * balance}
	if err := b.server.Exec(ctx, b.dialect.setup()...); err != nil {
		r.failure = err
		return r
	}
	watch, err := harness.NewWatch(ctx, b.server, harness.App().User)
	if err != nil {
		r.failure = err
		return r
	}
	crowd(ctx, &r, func(ctx context.Context) (teller, error) { return b.dialect.connect(ctx, e, harness.App()) })
	most, err := watch.Stop()
	r.connections, r.failure = most.Open, err
	if r.failure == nil {
		r.total, r.failure = b.total(ctx)
	}
	fmt.Printf("%s, %s: %s\n", b.title, path, r.summary())
	return r
}

// total asks the server itself what all accounts hold, as a user for whom it has always room.
func (b *bank) total(ctx context.Context) (int, error) {
	t, err := b.dialect.connect(ctx, b.server.Endpoint, harness.Superuser())
	if err != nil {
		return 0, err
	}
	defer t.close()
	return t.total(ctx)
}
