package discoveryplugin

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-plugin"
)

// Target is a database server. What is wrong with one (see the fields) is wrong with the whole answer.
type Target struct {
	Name       string // unique: letters, digits, dots, dashes, underscores and colons, 1 to 253 of them
	Host       string // a name, or an address
	Port       int
	ServerName string // what its certificate is verified for; empty: Host
}

// Request is what the targets are wanted for.
type Request struct {
	TargetGroup string
	Engine      string            // "postgres" or "mysql"
	Interval    time.Duration     // how old what is told may be, where there is no better way to hear of changes than to ask
	Settings    map[string]string // from the configuration
}

// Source knows where the targets are.
type Source interface {
	// Watch tells who the targets are until ctx ends: all of them, at most 64, as soon as it knows them and whenever they change.
	// With an error instead, those that were told before stay, and operators see the error; it must have no secrets. What Watch
	// returns before ctx ends is such an error, too, and Berth starts the program anew a little later. tell may be called from any
	// goroutine; it does not block, and keeps nothing of what it is given.
	Watch(ctx context.Context, r Request, tell func([]Target, error)) error
}

// orphaned is how often a plugin looks whether Berth is still there: one that was killed could not end it.
const orphaned = time.Second

// Serve answers Berth, which must have started the program, until that ends it. It does not return.
func Serve(s Source) {
	parent := os.Getppid()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(orphaned)
		}
		os.Exit(1)
	}()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake, Plugins: plugin.PluginSet{Name: &Plugin{Source: s}}, GRPCServer: plugin.DefaultGRPCServer,
	})
}
