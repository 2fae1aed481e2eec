package engine

import (
	"errors"
	"fmt"
	"strings"
)

// Conditions that the proxy raises itself. Each engine renders all of them; its table is tested against [Conditions].
var (
	// Returned by Accept, or passed to it in AcceptOptions.Refuse.

	ErrTooManyClients = errors.New("too many client connections") // max_client_connections
	ErrShutdown       = errors.New("the proxy is shutting down")  // also a reason for Machine.Stop
	ErrTLSRequired    = errors.New("tls required")
	ErrNoCredential   = errors.New("no credential for the user") // never told apart from ErrDenied before authentication
	ErrDenied         = errors.New("authentication failed")
	ErrLoginTimeout   = errors.New("login timeout")

	// Passed to Machine.Refused in place of Start, or returned by Wire.Become, within a *LimitError.

	ErrUserConnections     = errors.New("too many connections of the user")     // max_connections_per_user
	ErrDatabaseConnections = errors.New("too many connections to the database") // max_connections_per_database

	// Passed to Machine.Refused.

	ErrBorrowTimeout = errors.New("timed out waiting for a database connection")
	ErrNoTarget      = errors.New("no usable target")
	ErrCanceled      = errors.New("canceled by request")
	ErrBehind        = errors.New("timed out waiting for a replica that has everything written before")

	// Passed to Machine.BackendLost.

	ErrBackendClosed = errors.New("the database closed the connection")
	ErrDemoted       = errors.New("the target is not the writer any more")
	ErrNoReader      = errors.New("the target does not serve read-only sessions any more")
	ErrTargetLost    = errors.New("the target does not answer any more")
	ErrManyWriters   = errors.New("several targets say that they are the writer")

	// Passed to Machine.Stop.

	ErrIdleTimeout       = errors.New("idle client timeout")
	ErrKilled            = errors.New("killed")
	ErrIdleInTransaction = errors.New("idle in transaction timeout") // the transaction is rolled back

	// Passed to Machine.Stop or Machine.BackendLost.

	ErrQueryTimeout       = errors.New("query timeout")
	ErrTransactionTimeout = errors.New("transaction timeout") // to Stop: the transaction is rolled back

	// Returned by Wire.Kill.

	ErrNoSession = errors.New("no such session")
	ErrNotOwner  = errors.New("not the owner of that session")
)

// Conditions lists every sentinel above.
func Conditions() []error {
	return []error{
		ErrTooManyClients, ErrShutdown, ErrTLSRequired, ErrNoCredential, ErrDenied, ErrLoginTimeout,
		ErrUserConnections, ErrDatabaseConnections, ErrBorrowTimeout, ErrNoTarget, ErrCanceled, ErrBehind, ErrBackendClosed,
		ErrDemoted, ErrNoReader, ErrTargetLost, ErrManyWriters, ErrIdleTimeout, ErrKilled,
		ErrIdleInTransaction, ErrQueryTimeout, ErrTransactionTimeout,
		ErrNoSession, ErrNotOwner,
	}
}

// LimitError is a client who is not let in because there are as many of the kind as may be.
type LimitError struct {
	Err   error  // ErrUserConnections or ErrDatabaseConnections
	Name  string // of the user or the database; the client has shown who it is, and may see it
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v %q: the limit is %d", e.Err, e.Name, e.Limit)
}
func (e *LimitError) Unwrap() error { return e.Err }

// Side is who is to blame for an error.
type Side uint8

const (
	SideProxy Side = iota
	SideClient
	SideBackend
)

func (s Side) String() string { return [...]string{"proxy", "client", "backend"}[s] }

// ProtocolError is a peer that broke the protocol.
type ProtocolError struct {
	Side   Side
	Reason string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("%s: protocol violation: %s", e.Side, e.Reason)
}

// ServerError is what a database server answered to a login, in its own words. It may be shown to the client.
type ServerError struct {
	Code    string // SQLSTATE
	Number  uint16 // MySQL's error number, 0 on PostgreSQL
	Message string
	Raw     []byte // PostgreSQL: the body of the ErrorResponse; nil elsewhere
}

func (e *ServerError) Error() string { return fmt.Sprintf("database: %s (%s)", e.Message, e.Code) }

// DialError says why no backend could be opened. Its text may name addresses: for logs, not for clients.
type DialError struct {
	Target    string
	Permanent bool // trying again with the same key cannot help
	Err       error
}

func (e *DialError) Error() string { return fmt.Sprintf("dial %s: %v", e.Target, e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// IsPermanent says whether err is a DialError that trying again cannot cure.
func IsPermanent(err error) bool {
	var d *DialError
	return errors.As(err, &d) && d.Permanent
}

// IncompleteError comes along with targets that were found: beside them there are others, of which each entry says why it is not to be
// used.
type IncompleteError struct{ LeftOut []string }

// maxLeftOut is how many of them are told.
const maxLeftOut = 8

func (e *IncompleteError) Error() string {
	told := strings.Join(e.LeftOut[:min(len(e.LeftOut), maxLeftOut)], "; ")
	if more := len(e.LeftOut) - maxLeftOut; more > 0 {
		told += fmt.Sprintf("; and %d more", more)
	}
	return told
}
