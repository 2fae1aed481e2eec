package mysql

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
)

// Config is what an Engine needs of its target group.
type Config struct {
	// Credentials are the group's. They are asked off the loops, by COM_CHANGE_USER too.
	Credentials engine.Credentials
	// FullAuthentication makes clients of caching_sha2_password send the password itself, inside TLS or encrypted
	// with the proxy's RSA key, as a server does that has not cached the password yet. The proof that they send
	// otherwise is as good and takes no further round trip.
	FullAuthentication bool
	// Log may be nil.
	Log *zerolog.Logger
	// Unseen is what becomes of state that no scan sees. It is what the Engine begins with: SetUnseen changes it for later
	// sessions, so a machine goes by its own unseenChanges.
	Unseen engine.Unseen
	// CloseLost ends sessions whose backend was lost with state that cannot be restored. Otherwise they are told, and go on.
	CloseLost bool
}

// Engine implements engine.Engine for a group of MySQL or MariaDB servers. It is safe for concurrent use.
type Engine struct {
	engine.UnseenRule
	closesLost  bool
	credentials engine.Credentials
	full        bool
	log         zerolog.Logger
	serverKey   func() (*rsaKey, error) // made at the first use

	server    atomic.Pointer[serverInfo] // nil until a server was reached
	reached   chan struct{}              // closed when server is set for the first time
	reachOnce sync.Once

	decoy      atomic.Pointer[method] // how unknown users are asked; nil until the first
	databases  databaseCache
	statements sharedStatements
	shelves    shelves
	strings    engine.SharedStrings
	unseen     unseens
	logins     engine.LoginChanges
}

var (
	_ engine.Engine         = (*Engine)(nil)
	_ engine.StickyCanceler = (*Engine)(nil)
	_ engine.LateCloser     = (*Engine)(nil)
	_ engine.Bookkeeper     = (*Engine)(nil)
	_ engine.UnseenSetter   = (*Engine)(nil)
)

// serverInfo is what greetings say about the group's servers.
type serverInfo struct {
	version      string // as greeted, so with MariaDB's prefix
	mariaDB      bool
	dialect      dialect
	charset      byte
	capabilities uint32
}

// New returns the engine of a target group.
func New(c Config) *Engine {
	e := &Engine{
		credentials: c.Credentials,
		full:        c.FullAuthentication,
		log:         zerolog.Nop(),
		closesLost:  c.CloseLost,
		serverKey:   sync.OnceValues(newRSAKey),
		reached:     make(chan struct{}),
	}
	e.SetUnseen(c.Unseen)
	if c.Log != nil {
		e.log = *c.Log
	}
	return e
}

// Name is "mysql", for MariaDB too.
func (*Engine) Name() string { return "mysql" }

// comQuit is a COM_QUIT with its header.
var comQuit = [...]byte{1, 0, 0, 0, 1}

// Goodbye returns a COM_QUIT.
func (*Engine) Goodbye() []byte { return comQuit[:] }

// Idle refuses whatever arrives. A server sends nothing unasked but the reason why it closes the connection: 4031
// (MySQL 8.0.24 and later), 1927 (MariaDB), 1053.
func (*Engine) Idle(_ *engine.Backend, in []byte) (int, error) {
	if len(in) > headerSize && in[headerSize] == errHeader {
		return len(in), parseERR(in[headerSize:])
	}
	return len(in), &engine.ProtocolError{Side: engine.SideBackend, Reason: "unasked bytes on an idle connection"}
}

// CancelSticks says whether a KILL QUERY that comes too late stops the next statement instead: on MySQL 5.7 about one
// in sixteen did. MariaDB and MySQL 9 forget it. Of the versions in between nothing is known, so they are not trusted.
func (e *Engine) CancelSticks() bool {
	s := e.server.Load()
	return s == nil || !s.mariaDB && majorVersion(s.version) < 9
}

// majorVersion is the number that version begins with, 0 for none.
func majorVersion(version string) int {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}

// reach notes what the greeting of one of the group's servers said.
func (e *Engine) reach(s serverInfo) {
	s.dialect = dialectOf(s.version, s.mariaDB)
	e.server.Store(&s)
	e.reachOnce.Do(func() { close(e.reached) })
}

// awaitServer returns what is known about the group's servers, after waiting for the first to be reached.
func (e *Engine) awaitServer(ctx context.Context) (*serverInfo, error) {
	if s := e.server.Load(); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, serverWait)
	defer cancel()
	select {
	case <-e.reached:
		return e.server.Load(), nil
	case <-ctx.Done():
		return nil, engine.ErrNoTarget
	}
}

// countedFor is how long a server may count a connection whose socket it has closed: it closes the socket first, then lets
// go of the thread (MySQL: close_connection, then Global_THD_manager::remove_thd).
const countedFor = 50 * time.Millisecond

// CountedFor implements engine.LateCloser.
func (*Engine) CountedFor() time.Duration { return countedFor }
