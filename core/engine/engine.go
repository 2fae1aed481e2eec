package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// MaxHeld is how many bytes, at least, a machine may leave unconsumed and be given again, contiguous with what
// follows. A machine that needs more to decide must stream: consume what it has and remember where it is.
const MaxHeld = socket.MaxHeld

// Conn is a connection in its blocking login phase.
type Conn = socket.Conn

// NewConn begins the login phase of nc, which must have a descriptor.
func NewConn(nc net.Conn) *Conn { return socket.New(nc) }

// Engine speaks one wire protocol for one target group. It is safe for concurrent use.
type Engine interface {
	// Name is the protocol's name as configurations write it: "postgres" or "mysql".
	Name() string

	// Accept performs the server's side of a login on c: TLS, authentication, whatever start-up the protocol
	// has. It blocks; the caller has set a deadline on c and cancels ctx when the proxy stops waiting. It reads
	// no byte beyond the login. On failure it has told the client why, in the protocol's own words, and
	// returns the error (one of this package's kinds, see errors.go); the caller closes c.
	//
	// The client is not yet told that it is logged in: Machine.Start does that, because the answer may need
	// a backend (the server's parameters, the default database).
	Accept(ctx context.Context, c *Conn, o AcceptOptions) (Accepted, error)

	// Dial opens a backend for key on t, logs in and brings it to a clean boundary. It blocks until done or
	// until ctx ends. An error that will not go away by trying again (wrong password, no such database) is
	// a [DialError] with Permanent set.
	Dial(ctx context.Context, t Target, key Key) (Dialed, error)

	// Watch logs in to t with any of the group's credentials, and stays. It blocks until done or until ctx ends.
	Watch(ctx context.Context, t Target) (Watch, error)

	// Cancel asks t to stop what b is executing and returns once the request can have no effect any more on
	// whatever b executes later, or when ctx ends. It uses only what is immutable in b.
	Cancel(ctx context.Context, t Target, b *Backend) error

	// Idle is given the bytes that arrived on a backend that nobody has borrowed. It returns how many it
	// consumed, and an error if the backend must not be used again.
	Idle(b *Backend, in []byte) (consumed int, err error)

	// Goodbye returns the bytes that end a backend's session politely. The caller must not change them.
	Goodbye() []byte
}

// AcceptOptions are the core's wishes for one login.
type AcceptOptions struct {
	TLS ClientTLS
	// ID is the session's number, unique in this process among live sessions, in 1..1<<31-1. It is what the
	// client sees as its connection id or process id.
	ID uint32
	// ClientAddress is the peer's address, for messages only.
	ClientAddress string
	// KeepText asks the machine to keep what Teller tells. It costs a copy of a part of each statement.
	KeepText bool
	// Refuse, if not nil, is why this connection must be refused; Accept reads what the protocol requires
	// before an error may be sent, and renders it.
	Refuse error
}

// TLSMode says what a listener does about TLS.
type TLSMode uint8

const (
	TLSDisable TLSMode = iota // TLS is refused
	TLSAllow                  // the client chooses
	TLSRequire                // a client without TLS is refused
)

// ClientTLS is a listener's TLS side.
type ClientTLS struct {
	Mode   TLSMode
	Config *tls.Config // nil only with TLSDisable
}

// TargetTLSMode says how a backend connection uses TLS; the names are libpq's.
type TargetTLSMode uint8

const (
	TargetTLSDisable    TargetTLSMode = iota // never
	TargetTLSPrefer                          // if the server offers it; its certificate is not checked
	TargetTLSRequire                         // always; its certificate is not checked
	TargetTLSVerifyCA                        // always; the certificate must chain to Roots()
	TargetTLSVerifyFull                      // and must name ServerName
)

// TargetTLS is how backends of a target are protected.
type TargetTLS struct {
	Mode       TargetTLSMode
	RootCAs    *x509.CertPool // nil: the system's
	ServerName string         // "": the host of the target's address
	// Renewed is asked for RootCAs instead, if it is not nil, at each connection: they may change. Any goroutine may call it.
	Renewed func() *x509.CertPool
}

// Roots is who a certificate must chain to just now; nil: the system's.
func (t TargetTLS) Roots() *x509.CertPool {
	if t.Renewed != nil {
		return t.Renewed()
	}
	return t.RootCAs
}

// Target is one database server.
type Target struct {
	Name    string // as configured; the only thing about a target that a client may ever see
	Address string // host:port
	TLS     TargetTLS
	// InitQuery is run once on every new backend, "" for none.
	InitQuery string
}

// Key is what a backend is bound to for its life: sessions share backends of equal keys only.
type Key struct {
	User     string
	Database string // PostgreSQL's database; for MySQL what the engine cannot restore about the schema
	Options  string // the engine's canonical form of everything else that it cannot convert or restore
}

// Accepted is the outcome of a successful Accept.
type Accepted struct {
	// Cancel is set if the connection was no session but a request to cancel one; nothing else is set then.
	Cancel *CancelRequest

	Machine     Machine
	Key         Key
	User        string
	Database    string
	Application string
	// Secret is what a cancel request must show beside the session's ID; nil if the protocol has none.
	Secret []byte
}

// CancelRequest names the session whose running request should stop.
type CancelRequest struct {
	ID     uint32
	Secret []byte
}

// Dialed is a backend as Dial hands it over. The receiver owns Conn.
type Dialed struct {
	Conn  *Conn
	State any // becomes Backend.State
}

// Backend is one logged-in database connection. The loop that has it owns it; State belongs to the engine, whose
// machine may change it while it holds the backend.
type Backend struct {
	ID     uint64 // unique in this process
	Key    Key
	Target Target
	State  any
}

// LateCloser is an Engine whose servers close a connection before they stop counting it. The core keeps its place in the
// budget for that much longer.
type LateCloser interface {
	CountedFor() time.Duration
}

// Bookkeeper is an Engine that accounts for what its backends have on their servers.
type Bookkeeper interface {
	// Gone says of a backend that Dial has opened, once, that its server does not count it any more. It is called on the goroutine of the
	// loop that has b, where a machine may still be about to hear that it has lost it.
	Gone(b *Backend)
}

// StickyCanceler is an Engine whose cancel may still hit what a backend executes next, if the backend had already
// finished when the cancel came. The core closes such a backend instead of lending it again.
type StickyCanceler interface {
	CancelSticks() bool
}

// Digester is an Engine that can tell what a statement is without telling what is in it.
type Digester interface {
	// Digest appends sql to dst with literals replaced by "?", lists of them by one, white space by single spaces and
	// comments left out, at most limit bytes of it. It works on whatever bytes it is given, from any goroutine.
	Digest(dst, sql []byte, limit int) []byte
}
