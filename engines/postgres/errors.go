package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/berthdb/berth/core/engine"
)

// Severities, as the S and V fields of an ErrorResponse write them (54.8 "Error and Notice Message Fields").
const (
	severityError = "ERROR"
	severityFatal = "FATAL"
)

// SQLSTATEs that the proxy answers with itself (appendix A).
const (
	codeConnectionException = "08000"
	codeCannotConnect       = "08001"
	codeConnectionFailure   = "08006"
	codeProtocolViolation   = "08P01"
	codeNotSupported        = "0A000"
	codeInvalidValue        = "22023"
	codeReadOnly            = "25006"
	codeInvalidAuth         = "28000"
	codeInvalidPassword     = "28P01"
	codePrivilege           = "42501"
	codeUndefinedObject     = "42704"
	codeTooManyConnections  = "53300"
	codeQueryCanceled       = "57014"
	codeAdminShutdown       = "57P01"
	codeIdleTimeout         = "57P05"
	codeIdleInTransaction   = "25P03"
	codeTransactionTimeout  = "25P04"
	codeInternal            = "XX000"
)

// condition is how one of the proxy's own errors reads to a client.
type condition struct {
	err           error
	code, message string
}

// conditions renders engine.Conditions(). Where the proxy does what PostgreSQL does (timeouts, terminations, cancels),
// the words are PostgreSQL's own, because drivers look for them.
var conditions = [...]condition{
	{engine.ErrTooManyClients, codeTooManyConnections, "The maximum number of client connections to the proxy was exceeded."},
	{engine.ErrShutdown, codeAdminShutdown, "terminating connection due to administrator command"},
	{engine.ErrTLSRequired, codeInvalidAuth, "This RDS Proxy requires TLS connections."},
	{engine.ErrNoCredential, codeInvalidAuth, "This RDS proxy has no credentials for the role. Check the credentials for this role and try again."},
	{engine.ErrDenied, codeInvalidPassword, "The password that was provided for the role is wrong."},
	{engine.ErrLoginTimeout, codeQueryCanceled, "canceling authentication due to timeout"},
	{engine.ErrUserConnections, codeTooManyConnections, "too many connections for role"},
	{engine.ErrDatabaseConnections, codeTooManyConnections, "too many connections for database"},
	{engine.ErrBorrowTimeout, codeConnectionException, "Timed-out waiting to acquire database connection."},
	{engine.ErrNoTarget, codeConnectionException, "The target group doesn't have any available target."},
	{engine.ErrBehind, codeConnectionException, "Timed-out waiting for a replica that has everything that was written before."},
	{engine.ErrCanceled, codeQueryCanceled, "canceling statement due to user request"},
	{engine.ErrBackendClosed, codeConnectionFailure, "The database closed the connection."},
	{engine.ErrDemoted, codeConnectionFailure, "The database is not the writer any more."},
	{engine.ErrNoReader, codeConnectionFailure, "The database does not serve read-only sessions any more."},
	{engine.ErrTargetLost, codeConnectionFailure, "The database does not answer any more."},
	{engine.ErrManyWriters, codeConnectionFailure, "Several databases say that they are the writer."},
	{engine.ErrIdleTimeout, codeIdleTimeout, "terminating connection due to idle-session timeout"},
	{engine.ErrKilled, codeAdminShutdown, "terminating connection due to administrator command"},
	{engine.ErrIdleInTransaction, codeIdleInTransaction, "terminating connection due to idle-in-transaction timeout"},
	{engine.ErrQueryTimeout, codeQueryCanceled, "canceling statement due to statement timeout"},
	{engine.ErrTransactionTimeout, codeTransactionTimeout, "terminating connection due to transaction timeout"},
	{engine.ErrNoSession, codeUndefinedObject, "There is no such session."},
	{engine.ErrNotOwner, codePrivilege, "You are not the owner of that session."},
}

// roleError is a condition that concerns a role which the client may see named.
type roleError struct {
	role string
	err  error // engine.ErrDenied or engine.ErrNoCredential
}

func (e *roleError) Error() string { return e.err.Error() + ": role " + e.role }
func (e *roleError) Unwrap() error { return e.err }

// message is the client's text, which names the role.
func (e *roleError) message() (code, message string) {
	if errors.Is(e.err, engine.ErrNoCredential) {
		return codeInvalidAuth, "This RDS proxy has no credentials for the role " + e.role +
			". Check the credentials for this role and try again."
	}
	return codeInvalidPassword, "The password that was provided for the role " + e.role + " is wrong."
}

// refusal is an error that Accept words itself.
type refusal struct{ code, message string }

func (e *refusal) Error() string { return "refused: " + e.message + " (" + e.code + ")" }

// appendString appends s and its terminating NUL.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			s = s[:i]
		}
	}
	return append(append(dst, s...), 0)
}

// endMessage writes the length of the typed message that begins at start and ends where dst does.
func endMessage(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-1))
	return dst
}

// render appends the ErrorResponse that tells a client of err: a condition of the proxy, a peer's broken protocol, or what
// a database answered. fatal says that the session ends with it; otherwise the severity is ERROR, whatever the database
// called it, because drivers close a connection that reports a FATAL error.
func (e *Engine) render(dst []byte, err error, fatal bool) []byte {
	severity := severityError
	if fatal {
		severity = severityFatal
	}
	var server *engine.ServerError
	if errors.As(err, &server) {
		return appendServerError(dst, severity, server)
	}
	code, message := describe(err)
	return appendError(dst, severity, code, message)
}

// describe words an error of the proxy itself. Addresses and causes stay out: they are for the log.
func describe(err error) (code, message string) {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.code, refused.message
	}
	var restore *restoreError
	if errors.As(err, &restore) {
		return restore.server.Code, restore.Error()
	}
	var role *roleError
	if errors.As(err, &role) {
		return role.message()
	}
	var limit *engine.LimitError
	if errors.As(err, &limit) {
		return limitReached(limit)
	}
	var protocol *engine.ProtocolError
	if errors.As(err, &protocol) {
		if protocol.Side == engine.SideBackend {
			return codeConnectionFailure, "The database broke the protocol."
		}
		return codeProtocolViolation, protocol.Reason
	}
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return c.code, c.message
		}
	}
	var dial *engine.DialError
	if errors.As(err, &dial) {
		return codeCannotConnect, "could not connect to the target " + dial.Target
	}
	return codeInternal, "Unknown error."
}

// limitReached is a condition with the name that it is about, in PostgreSQL's words for its own such limits (ALTER ROLE
// and ALTER DATABASE ... CONNECTION LIMIT).
func limitReached(l *engine.LimitError) (code, message string) {
	code, message = describe(l.Err)
	return code, message + ` "` + l.Name + `"`
}

// appendServerError appends what a database said, field by field, but with the severity that it has for the session, and
// with the fields that every client expects even if the database left them out.
func appendServerError(dst []byte, severity string, server *engine.ServerError) []byte {
	code, message := server.Code, server.Message
	if code == "" {
		code = codeInternal
	}
	if message == "" {
		message = "Unknown error."
	}
	start := len(dst)
	dst = appendError(dst, severity, code, message)
	dst = dst[:len(dst)-1] // more fields follow
	for raw := server.Raw; len(raw) > 1 && raw[0] != 0; {
		n := bytes.IndexByte(raw, 0)
		if n < 0 {
			break // not terminated: the database's fault, and the rest of it is worth nothing
		}
		switch raw[0] {
		case 'S', 'V', 'C', 'M':
		default:
			dst = append(dst, raw[:n+1]...)
		}
		raw = raw[n+1:]
	}
	return endMessage(append(dst, 0), start)
}

// parseServerError reads the body of an ErrorResponse. It keeps a copy. Missing fields are no error: a broken server's
// words are still worth showing.
func parseServerError(body []byte) *engine.ServerError {
	e := &engine.ServerError{Raw: bytes.Clone(body)}
	for len(body) > 1 && body[0] != 0 {
		n := bytes.IndexByte(body, 0)
		if n < 0 {
			break
		}
		switch value := string(body[1:n]); body[0] {
		case 'C':
			e.Code = value
		case 'M':
			e.Message = value
		}
		body = body[n+1:]
	}
	return e
}
