package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// maxMessage is how long a server's messages get (MYSQL_ERRMSG_SIZE); clients have buffers of that size.
const maxMessage = 512

// rendering is how a client is told of a condition.
type rendering struct {
	number  uint16
	state   string
	message string
}

// Numbers that go-mysql's table lacks or has under other names.
const (
	errSecureTransportRequired = 3159
	errClientInteraction       = 4031
	errQueryTimeout            = 3024
	errBorrowTimeout           = 9501
	errServerLost              = 2013
	errTooManyOfUser           = 1203
	errMustChangePassword      = 1820
	errMustChangePasswordLogin = 1862
	errAccountLocked           = 3118
	errAccountLockedMariaDB    = 4151
)

// conditions has every one of engine.Conditions. Texts are those of the server, or of RDS Proxy where the condition is
// a proxy's.
var conditions = map[error]rendering{
	engine.ErrTooManyClients: {protocol.ER_CON_COUNT_ERROR, "HY000", "Number simultaneous connections exceeded"},
	engine.ErrShutdown:       {protocol.ER_SERVER_SHUTDOWN, "08S01", "Server shutdown in progress"},
	engine.ErrTLSRequired: {errSecureTransportRequired, "HY000",
		"This RDS Proxy requires TLS connections."},
	engine.ErrNoCredential:        {protocol.ER_ACCESS_DENIED_ERROR, "28000", "Access denied"},
	engine.ErrDenied:              {protocol.ER_ACCESS_DENIED_ERROR, "28000", "Access denied"},
	engine.ErrLoginTimeout:        {protocol.ER_NET_READ_INTERRUPTED, "08S01", "Got timeout reading communication packets"},
	engine.ErrUserConnections:     {errTooManyOfUser, "42000", "User already has more than 'max_user_connections' active connections"},
	engine.ErrDatabaseConnections: {protocol.ER_CON_COUNT_ERROR, "08004", "Too many connections"},
	engine.ErrBorrowTimeout:       {errBorrowTimeout, "HY000", "Timed-out waiting to acquire database connection"},
	engine.ErrNoTarget:            {protocol.ER_UNKNOWN_ERROR, "HY000", "No database server is available"},
	engine.ErrBehind:              {errBorrowTimeout, "HY000", "Timed-out waiting for a replica that has everything that was written before"},
	engine.ErrCanceled:            {protocol.ER_QUERY_INTERRUPTED, "70100", "Query execution was interrupted"},
	engine.ErrBackendClosed:       {errServerLost, "HY000", "Lost connection to the database during query"},
	engine.ErrDemoted:             {errServerLost, "HY000", "The database is not the writer any more"},
	engine.ErrNoReader:            {errServerLost, "HY000", "The database does not serve read-only sessions any more"},
	engine.ErrTargetLost:          {errServerLost, "HY000", "The database does not answer any more"},
	engine.ErrManyWriters:         {errServerLost, "HY000", "Several databases say that they are the writer"},
	engine.ErrIdleTimeout: {errClientInteraction, "HY000", "The client was disconnected by the server because of " +
		"inactivity. See wait_timeout and interactive_timeout for configuring this behavior."},
	engine.ErrKilled: {protocol.ER_QUERY_INTERRUPTED, "70100", "Query execution was interrupted"},
	engine.ErrIdleInTransaction: {errClientInteraction, "HY000", "The client was disconnected by the server because of " +
		"inactivity in a transaction, which was rolled back."},
	engine.ErrQueryTimeout: {errQueryTimeout, "HY000", "Query execution was interrupted, maximum statement execution time exceeded"},
	engine.ErrTransactionTimeout: {errClientInteraction, "HY000", "The client was disconnected by the server because its " +
		"transaction took too long. It was rolled back."},
	engine.ErrNoSession: {protocol.ER_NO_SUCH_THREAD, "HY000", "Unknown thread id"},
	engine.ErrNotOwner:  {protocol.ER_KILL_DENIED_ERROR, "HY000", "You are not owner of thread"},
}

// clientError is an error that has its own words for the client. It unwraps to a condition, if it is one.
type clientError struct {
	rendering
	cause error
}

func (e *clientError) Error() string { return fmt.Sprintf("%s (%d)", e.message, e.number) }
func (e *clientError) Unwrap() error { return e.cause }

// errOldClient is a client that lacks PROTOCOL_41, SECURE_CONNECTION, or PLUGIN_AUTH where its method needs it.
var errOldClient = &clientError{rendering: rendering{protocol.ER_NOT_SUPPORTED_AUTH_MODE, "08004",
	"Client does not support authentication protocol requested by server; consider upgrading MySQL client"}}

// errBadHandshake is what a server says to a response that it cannot parse.
func errBadHandshake(reason string) error {
	return &clientError{rendering{protocol.ER_HANDSHAKE_ERROR, "08S01", "Bad handshake"},
		&engine.ProtocolError{Side: engine.SideClient, Reason: reason}}
}

// errAccessDenied is the answer to a wrong password and to an unknown user alike; cause says which for the log.
func errAccessDenied(user, host string, usingPassword bool, cause error) error {
	using := "NO"
	if usingPassword {
		using = "YES"
	}
	return &clientError{rendering{protocol.ER_ACCESS_DENIED_ERROR, "28000",
		fmt.Sprintf("Access denied for user '%s'@'%s' (using password: %s)", user, host, using)}, cause}
}

// limitReached is a condition with the name that it is about. A server says the same to a user who has more than
// max_user_connections; of databases it counts nothing.
func limitReached(l *engine.LimitError) rendering {
	r := conditions[l.Err]
	switch l.Err {
	case engine.ErrUserConnections:
		r.message = fmt.Sprintf("User %s already has more than 'max_user_connections' active connections", l.Name)
	case engine.ErrDatabaseConnections:
		r.message = fmt.Sprintf("Too many connections to database '%s'", l.Name)
	}
	return r
}

// errUnknownCharset refuses a collation in COM_CHANGE_USER that no handshake with a server could name.
func errUnknownCharset(id uint16) error {
	return &clientError{rendering: rendering{protocol.ER_UNKNOWN_CHARACTER_SET, "42000",
		fmt.Sprintf("Unknown character set: '%d'", id)}}
}

// rendered finds the words for err. What is no condition, and was not said by a server, stays between the proxy and its
// log.
func rendered(err error) rendering {
	var own *clientError
	if errors.As(err, &own) {
		return own.rendering
	}
	var limit *engine.LimitError
	if errors.As(err, &limit) {
		return limitReached(limit)
	}
	var server *engine.ServerError
	if errors.As(err, &server) {
		return rendering{server.Number, server.Code, server.Message}
	}
	for _, condition := range engine.Conditions() {
		if errors.Is(err, condition) {
			return conditions[condition]
		}
	}
	var violation *engine.ProtocolError
	if errors.As(err, &violation) && violation.Side == engine.SideClient {
		return rendering{protocol.ER_MALFORMED_PACKET, "HY000", "Malformed communication packet"}
	}
	return rendering{protocol.ER_UNKNOWN_ERROR, "HY000", "Unknown error"}
}

// render appends an ERR packet that tells the client of err.
func (*Engine) render(dst []byte, seq uint8, caps uint32, err error) []byte {
	r := rendered(err)
	return appendERR(dst, seq, caps, r.number, r.state, r.message)
}

// appendERR appends an ERR packet (section "ERR_Packet") with its header. Without CLIENT_PROTOCOL_41, that is before
// the response too, it has no SQLSTATE. Messages are cut at maxMessage.
func appendERR(dst []byte, seq uint8, caps uint32, code uint16, state, msg string) []byte {
	if len(msg) > maxMessage {
		msg = msg[:maxMessage]
	}
	n := 1 + 2 + len(msg)
	if caps&protocol.CLIENT_PROTOCOL_41 != 0 {
		n += 6
	}
	dst = appendHeader(dst, n, seq)
	dst = append(dst, protocol.ERR_HEADER, byte(code), byte(code>>8))
	if caps&protocol.CLIENT_PROTOCOL_41 != 0 {
		if len(state) != 5 {
			state = protocol.DEFAULT_MYSQL_STATE
		}
		dst = append(dst, '#')
		dst = append(dst, state...)
	}
	return append(dst, msg...)
}

// appendOK appends an OK packet (section "OK_Packet") with its header: nothing affected, no warnings, no info. All
// clients speak PROTOCOL_41; without info and session state it looks the same with and without SESSION_TRACK.
func appendOK(dst []byte, seq uint8, status uint16) []byte {
	dst = appendHeader(dst, 7, seq)
	dst = append(dst, protocol.OK_HEADER, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, status)
	return append(dst, 0, 0)
}

// appendLoginOK appends the OK that ends a login, with its header. Servers write info length-encoded with and without
// SESSION_TRACK. To clients that speak it they report the default database.
func appendLoginOK(dst []byte, s *sessionInfo, status uint16) []byte {
	var state []byte
	if s.capabilities&protocol.CLIENT_SESSION_TRACK != 0 && s.database != "" {
		state = append(state, trackSchema)
		state = appendText(state, appendText(nil, []byte(s.database)))
		status |= statusStateChanged
	}
	if s.info == "" && state == nil {
		return appendOK(dst, s.sequence, status)
	}
	p := []byte{protocol.OK_HEADER, 0, 0}
	p = binary.LittleEndian.AppendUint16(p, status)
	p = append(p, 0, 0)
	p = appendText(p, []byte(s.info))
	if state != nil {
		p = appendText(p, state)
	}
	return append(appendHeader(dst, len(p), s.sequence), p...)
}

// parseERR reads the payload of an ERR packet.
func parseERR(payload []byte) *engine.ServerError {
	f := fields{rest: payload}
	f.bytes(1)
	e := &engine.ServerError{Number: f.uint16(), Code: protocol.DEFAULT_MYSQL_STATE}
	if len(f.rest) >= 6 && f.rest[0] == '#' {
		e.Code = string(f.rest[1:6])
		f.bytes(6)
	}
	e.Message = string(f.rest[:min(len(f.rest), maxMessage)])
	return e
}
