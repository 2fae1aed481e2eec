package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// wanted are the capabilities of every backend; needed are those of them that the machine cannot do without: without
// DEPRECATE_EOF the end of a result set has no session state.
const (
	needed = protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION | protocol.CLIENT_PLUGIN_AUTH |
		protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_MULTI_RESULTS | protocol.CLIENT_PS_MULTI_RESULTS |
		protocol.CLIENT_DEPRECATE_EOF | protocol.CLIENT_SESSION_TRACK
	wanted = needed | protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_LONG_FLAG | protocol.CLIENT_CONNECT_ATTRS |
		protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
)

// trackers makes a server report every change of session state. The variables come first, or the others would not be
// reported.
const trackers = "SET SESSION session_track_system_variables='*', session_track_schema=ON, " +
	"session_track_state_change=ON, session_track_transaction_info='CHARACTERISTICS'"

// permanentError is what trying again cannot cure.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Dial opens a backend for key on t. It has no default database even if key says that its sessions have one: the
// machine sets the session's own.
func (e *Engine) Dial(ctx context.Context, t engine.Target, key engine.Key) (engine.Dialed, error) {
	b, err := e.open(ctx, t, key)
	if err == nil {
		err = b.prepare(t.InitQuery)
	}
	if b != nil && !b.release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if b != nil {
			_ = b.conn.Close()
		}
		return engine.Dialed{}, dialError(t, err)
	}
	state := b.state()
	e.shelves.join(b.server, b.statements, state)
	state.unseen = e.unseenBy(t, state.server, key.User)
	return engine.Dialed{Conn: b.conn, State: state}, nil
}

// upstream is a connection to a server in its blocking phase.
type upstream struct {
	conn    *engine.Conn
	packets packets
	release func() bool // ends the binding to the context; false if the context has ended

	user     string
	greeting serverGreeting
	caps     uint32
	charset  byte
	status   uint16

	server     string    // see backendState
	reported   []string  // the variables that answers said were set
	statements string    // how many prepared statements it has of all connections
	base       *settings // see backendState
	role       string    // see backendState
	releases   bool      // see backendState
	initial    []string  // the variables that init_connect may have set, nil if there is none
	// initConnect is init_connect if that has set user variables and does nothing but that sort of thing.
	initConnect string
}

// open connects to t and logs in as key says. On failure the connection is closed, and the result nil.
func (e *Engine) open(ctx context.Context, t engine.Target, key engine.Key) (*upstream, error) {
	flags, charset, err := parseKeyOptions(key.Options)
	if err != nil {
		return nil, permanentError{err}
	}
	cred, err := e.credentials.Credential(ctx, key.User)
	if errors.Is(err, engine.ErrNoCredential) {
		return nil, permanentError{err}
	}
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	return e.openAs(ctx, t, cred, flags, charset)
}

func (e *Engine) openAs(ctx context.Context, t engine.Target, cred engine.Credential, flags uint32, charset byte) (
	*upstream, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	u := &upstream{conn: engine.NewConn(nc), user: cred.User, charset: charset}
	u.packets = packets{conn: u.conn, peer: engine.SideBackend}
	u.release = context.AfterFunc(ctx, func() { _ = nc.SetDeadline(longAgo) })
	err = u.login(ctx, t, cred, flags)
	if u.greeting.version != "" {
		e.reach(u.greeting.serverInfo) // even if the credential is wrong: then clients shall hear so
	}
	if err != nil {
		u.release()
		_ = nc.Close()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	return u, nil
}

// login answers the greeting, with TLS as t wants, and authenticates.
func (u *upstream) login(ctx context.Context, t engine.Target, cred engine.Credential, flags uint32) error {
	payload, err := u.packets.read()
	if err != nil {
		return err
	}
	if u.greeting, err = parseGreeting(payload); err != nil {
		return err
	}
	offers := u.greeting.capabilities
	if missing := needed &^ offers; missing != 0 {
		return permanentError{fmt.Errorf("server %s lacks capabilities %#x: MySQL 5.7 or MariaDB 10.2 is needed",
			u.greeting.version, missing)}
	}
	if missing := flags & extendedMetadata &^ offers; missing != 0 {
		return permanentError{fmt.Errorf("server %s does not tell of extended types, as another one of its group does", u.greeting.version)}
	}
	u.caps = (wanted | bulkOperations | flags) & offers
	if u.greeting.mariaDB {
		u.caps &^= protocol.CLIENT_LONG_PASSWORD // or its extended capabilities would be read (CLIENT_MYSQL)
	}
	secure, err := u.startTLS(ctx, t, offers&protocol.CLIENT_SSL != 0)
	if err != nil {
		return err
	}
	p := prover{password: cred.Password.Reveal(), salt: u.greeting.salt, secure: secure,
		verified: secure && t.TLS.Mode >= engine.TargetTLSVerifyCA}
	plugin := u.greeting.plugin
	if !p.knows(plugin) {
		plugin = defaultMethod(&u.greeting.serverInfo).plugin()
	}
	proof, err := p.begin(plugin)
	if err != nil {
		return err
	}
	if err := u.packets.write(u.response(plugin, proof)); err != nil {
		return err
	}
	return u.authenticate(&p)
}

// startTLS starts TLS as t wants it, and says whether it did.
func (u *upstream) startTLS(ctx context.Context, t engine.Target, offered bool) (bool, error) {
	if t.TLS.Mode == engine.TargetTLSDisable || t.TLS.Mode == engine.TargetTLSPrefer && !offered {
		return false, nil
	}
	if !offered {
		return false, engine.ErrTargetTLS
	}
	cfg, err := targetTLS(t)
	if err != nil {
		return false, err
	}
	u.caps |= protocol.CLIENT_SSL
	if err := u.packets.write(u.response("", nil)[:sslRequestSize]); err != nil {
		return false, err
	}
	return true, u.conn.DialTLS(ctx, cfg)
}

// response is the payload of a Protocol::HandshakeResponse41.
func (u *upstream) response(plugin string, proof []byte) []byte {
	p := appendUint32(nil, u.caps&^extendedCapabilities)
	p = appendUint32(p, maxPayload+1)
	p = append(p, u.charset)
	p = append(p, make([]byte, 19)...)
	p = appendExtended(p, u.caps)
	p = append(p, u.user...)
	p = append(p, 0)
	if u.caps&protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA != 0 {
		p = protocol.AppendLengthEncodedInteger(p, uint64(len(proof)))
	} else {
		p = append(p, byte(len(proof))) // no proof is longer than 255 bytes
	}
	p = append(p, proof...)
	p = append(p, plugin...)
	p = append(p, 0)
	if u.caps&protocol.CLIENT_CONNECT_ATTRS != 0 {
		const attributes = "\x0cprogram_name\x05berth"
		p = append(p, byte(len(attributes)))
		p = append(p, attributes...)
	}
	return p
}

// prepare makes the backend what the machine expects: trackers on, the target's own query run, no transaction open.
func (u *upstream) prepare(initQuery string) error {
	if err := u.run(trackers); err != nil {
		return fmt.Errorf("session trackers: %w", err)
	}
	u.reported = nil
	if initQuery != "" {
		if err := u.run(initQuery); err != nil {
			return fmt.Errorf("init query: %w", err)
		}
		if u.status&protocol.SERVER_STATUS_IN_TRANS != 0 {
			return permanentError{errors.New("init query: it leaves a transaction open")}
		}
	}
	if err := u.readBase(initQuery); err != nil {
		return fmt.Errorf("session variables: %w", err)
	}
	return nil
}

// imposed returns the id of a collation of what the server reads in place of what it was asked for, 0 if that is the same.
func (u *upstream) imposed() byte {
	name, ok := u.base.value(clientCharset)
	if !ok {
		return 0
	}
	return imposed(reported(clientCharset, name), u.charset)
}

func (u *upstream) state() *backendState {
	return &backendState{
		id:           u.greeting.id,
		server:       u.server,
		version:      strings.TrimPrefix(u.greeting.version, mariaDBPrefix),
		dialect:      dialectOf(u.greeting.version, u.greeting.mariaDB),
		mariaDB:      u.greeting.mariaDB,
		capabilities: u.caps,
		charset:      u.charset,
		imposed:      u.imposed(),
		user:         u.user,
		status:       u.status,
		base:         u.base,
		arm:          u.arm(),
		role:         u.role,
		releases:     u.releases,
		initConnect:  u.initConnect,
	}
}

// dialError says whether trying again can help.
func dialError(t engine.Target, err error) error {
	var hopeless permanentError
	var server *engine.ServerError
	return &engine.DialError{
		Target:    t.Name,
		Err:       err,
		Permanent: errors.As(err, &hopeless) || errors.As(err, &server) && permanent(server.Number),
	}
}

// permanent says whether a server's refusal stands until somebody changes the account, or the server.
func permanent(number uint16) bool {
	switch number {
	case protocol.ER_ACCESS_DENIED_ERROR, protocol.ER_DBACCESS_DENIED_ERROR, protocol.ER_BAD_DB_ERROR,
		protocol.ER_ACCESS_DENIED_NO_PASSWORD_ERROR, protocol.ER_HOST_NOT_PRIVILEGED,
		protocol.ER_NOT_SUPPORTED_AUTH_MODE, protocol.ER_PLUGIN_IS_NOT_LOADED, protocol.ER_WRONG_VALUE_FOR_VAR,
		protocol.ER_PARSE_ERROR, protocol.ER_UNKNOWN_SYSTEM_VARIABLE,
		errMustChangePassword, errMustChangePasswordLogin, errAccountLocked, errAccountLockedMariaDB,
		errSecureTransportRequired:
		return true
	}
	return false
}
