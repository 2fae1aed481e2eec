package mysql

import "github.com/berthdb/berth/core/engine"

// anyDatabase is Key.Database of every session that logged in with a default database: COM_INIT_DB brings a backend
// from any schema to any other. Sessions that logged in without one have "": no command takes a default database away
// again but COM_CHANGE_USER, so that they never share backends with the others.
const anyDatabase = "*"

// backendState is Backend.State. What Dial sets is immutable, but for schema and status; those and the machine's part
// belong to the machine that holds the backend.
type backendState struct {
	id           uint32 // the connection's id on the server
	server       string // which one that is, see identity
	version      string // as in the greeting, without MariaDB's compatibility prefix "5.5.5-"
	mariaDB      bool
	dialect      dialect
	capabilities uint32 // what Dial and the server agreed on
	charset      byte   // id of the handshake's collation: what COM_RESET_CONNECTION goes back to
	imposed      byte   // that of one like what the server reads in its place, 0 if that is the same
	user         string
	unseen       *unseen   // what is known of the code that the user can reach; nil if nobody asks
	base         *settings // what Dial found of the session's variables: what COM_RESET_CONNECTION goes back to
	arm          string    // brings back what COM_RESET_CONNECTION takes, but for the target's own query
	role         string    // sets the roles of the login, which COM_RESET_CONNECTION leaves as they are; "" if there are none
	initConnect  string    // a SET of the server's own for new connections, which assigns to user variables; "" if there is none
	releases     bool      // COMMIT ends the connection (completion_type), unless a session has set that

	schema string // the default database, "" for none: what was set or reported last
	status uint16 // status flags of the last OK of the login

	machineState
}

// sessionInfo is what Accept found out about a session, for its machine.
type sessionInfo struct {
	id            uint32     // shown to the client as its connection id
	key           engine.Key // with the user's name
	database      string     // the default database that was asked for, "" for none
	application   string     // the attribute program_name
	clientAddress string
	capabilities  uint32 // what the client and the proxy agreed on
	charset       byte   // id of the handshake's collation; also part of key
	// salt is what the client computed its last proof with; COM_CHANGE_USER begins with it again.
	salt [saltSize]byte
	// sequence is the sequence id of the final OK (or ERR) that Machine.Start sends.
	sequence uint8
	// info is what that OK says to MariaDB's clients inside TLS, "" for nothing (see certificateProof).
	info string
	tls  bool
	// keepsText asks the machine to keep the text of what is under way.
	keepsText bool
}

// What the two halves of the package promise each other:
//
//	func newMachine(e *Engine, s sessionInfo) engine.Machine                     the relaying half
//
//	func (e *Engine) databaseVerified(d userDatabase) (name string, ok bool)      caches.go
//	func (e *Engine) verifyDatabase(d userDatabase, name string)
//	func (e *Engine) forgetDatabase(user, name string)
//	func appendERR(dst []byte, seq uint8, caps uint32, code uint16, state, msg string) []byte   errors.go; with packet header
//	func appendOK(dst []byte, seq uint8, status uint16) []byte       nothing affected, no warnings, no info
//	func appendLoginOK(dst []byte, s *sessionInfo, status uint16) []byte          the OK that ends a login, with s.info
//	func (e *Engine) render(dst []byte, seq uint8, caps uint32, err error) []byte
//	func (e *Engine) changeUser(s *sessionInfo, payload []byte) (*userChange, error)   change.go: COM_CHANGE_USER
//	func (e *Engine) lookUp(ctx context.Context, user string, s *serverInfo) lookedUp   off the loop
//	  u.first(l lookedUp) (reply []byte, v verdict)    with what lookUp found
//	  u.next(payload []byte) (reply []byte, v verdict) for each packet that the client sends then
//	    reply (may be nil) is the payload of a packet to send first, whatever v is; then
//	    verdictMore: wait for a packet; verdictAccepted: go on with u.session(); verdictDenied: send u.denied()
//	  u.session() sessionInfo                          the same session as another user; sequence is not set
//	  u.denied() error                                 renders as 1045
