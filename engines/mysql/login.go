package mysql

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

const (
	// serverWait is how long a login waits for the first of the group's servers to be reached, without whose version
	// there is no greeting. It leaves time to say so within any sensible login timeout.
	serverWait = 5 * time.Second
	// farewell is how long a client has to take the error that ends its login.
	farewell = time.Second
)

// longAgo is a deadline that ends a blocked read.
var longAgo = time.Unix(1, 0)

// login is one Accept.
type login struct {
	e       *Engine
	conn    *engine.Conn
	options engine.AcceptOptions
	packets packets

	server   *serverInfo
	offers   uint32
	salt     []byte
	tls      bool
	response response
	info     string // of the final OK
	// caps are the client's as far as they are known: an ERR before the response has no SQLSTATE.
	caps uint32
	// mute is set while an ERR in clear would be no answer: during a TLS handshake.
	mute bool
}

// Accept performs the server's side of a login, up to the final OK: Machine.Start sends that.
func (e *Engine) Accept(ctx context.Context, c *engine.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	info, err := e.accept(ctx, c, o)
	if err != nil {
		return engine.Accepted{}, err
	}
	return engine.Accepted{
		Machine:     newMachine(e, info),
		Key:         info.key,
		User:        info.key.User,
		Database:    info.database,
		Application: info.application,
	}, nil
}

// accept returns what the machine must know, or has told the client why not.
func (e *Engine) accept(ctx context.Context, c *engine.Conn, o engine.AcceptOptions) (sessionInfo, error) {
	l := &login{e: e, conn: c, options: o, packets: packets{conn: c, peer: engine.SideClient}}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(longAgo) })
	info, err := l.run(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		err = loginError(ctx, err)
		l.tell(err)
		return sessionInfo{}, err
	}
	return info, nil
}

func (l *login) run(ctx context.Context) (sessionInfo, error) {
	if l.options.Refuse != nil {
		return sessionInfo{}, l.options.Refuse // in place of the greeting, as a server with too many connections
	}
	var err error
	l.conn.Aside(func() { l.server, err = l.e.awaitServer(ctx) })
	if err != nil {
		return sessionInfo{}, err
	}
	if err := l.greet(); err != nil {
		return sessionInfo{}, err
	}
	if err := l.readResponse(ctx); err != nil {
		return sessionInfo{}, err
	}
	if err := l.authenticate(ctx); err != nil {
		return sessionInfo{}, err
	}
	return l.session(), nil
}

func (l *login) greet() error {
	l.salt = newSalt()
	l.offers = l.server.offers(l.options.TLS.Mode != engine.TLSDisable)
	return l.packets.write(greeting(l.server, l.options.ID, l.offers, l.salt))
}

// readResponse reads the client's response, after TLS if the client asks for it.
func (l *login) readResponse(ctx context.Context) error {
	payload, err := l.packets.read()
	if err != nil {
		return err
	}
	if err := l.required(payload); err != nil {
		return err
	}
	if l.caps&protocol.CLIENT_SSL != 0 {
		if payload, err = l.startTLS(ctx, payload); err != nil {
			return err
		}
	}
	if l.options.TLS.Mode == engine.TLSRequire && !l.tls {
		return engine.ErrTLSRequired
	}
	l.response, err = parseResponse(payload, l.offers)
	return err
}

// required looks at the capabilities that a response begins with. Clients without PROTOCOL_41 have two bytes of them,
// and know neither SQLSTATEs nor proofs.
func (l *login) required(payload []byte) error {
	if len(payload) < 2 {
		return errBadHandshake("handshake response without capabilities")
	}
	const needed = protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION
	if uint32(binary.LittleEndian.Uint16(payload))&needed != needed {
		return errOldClient
	}
	if len(payload) < sslRequestSize {
		return errBadHandshake("truncated handshake response")
	}
	l.caps = binary.LittleEndian.Uint32(payload)
	return nil
}

// startTLS answers an SSLRequest (section "Protocol::SSLRequest") and returns the response that follows inside TLS.
// Since no byte was read beyond the request, all of the response came encrypted.
func (l *login) startTLS(ctx context.Context, request []byte) ([]byte, error) {
	if l.options.TLS.Mode == engine.TLSDisable {
		return nil, errBadHandshake("tls was not offered")
	}
	if len(request) != sslRequestSize {
		return nil, errBadHandshake("tls request is followed by a response in clear")
	}
	l.mute = true
	if err := l.conn.ServeTLS(ctx, l.options.TLS.Config); err != nil {
		return nil, err
	}
	l.mute, l.tls = false, true
	payload, err := l.packets.read()
	if err != nil {
		return nil, err
	}
	return payload, l.required(payload)
}

// authenticate checks the user's proof, or asks for another.
func (l *login) authenticate(ctx context.Context) error {
	r := &l.response
	acct, cause, err := l.e.account(ctx, r.user, l.server)
	if err != nil {
		return err
	}
	a := authentication{account: acct, salt: l.salt, canSwitch: r.has(protocol.CLIENT_PLUGIN_AUTH)}
	if l.e.full {
		a.full = &fullAuthentication{secure: l.tls, key: l.e.serverKey}
	}
	if !a.canSwitch && acct.method != methodNative {
		return errOldClient
	}
	reply, v := a.first(r.plugin, r.proof)
	for {
		if reply != nil {
			if err := l.packets.write(reply); err != nil {
				return err
			}
		}
		switch v {
		case verdictAccepted:
			l.salt = a.salt
			l.proveCertificate(acct)
			return nil
		case verdictDenied:
			return errAccessDenied(r.user, hostOf(l.options.ClientAddress), a.usingPassword, cause)
		case verdictMore:
			packet, err := l.packets.read()
			if err != nil {
				return err
			}
			reply, v = a.next(packet)
		}
	}
}

// proveCertificate prepares what MariaDB's clients want to hear if they could not verify the certificate.
func (l *login) proveCertificate(a account) {
	state, secure := l.conn.TLS()
	if !secure || !l.server.mariaDB || a.method != methodNative || a.password == "" {
		return
	}
	if certificate := served(l.options.TLS.Config, state); certificate != nil {
		l.info = certificateProof(a.password, l.salt, certificate)
	}
}

// session is what the machine needs to know.
func (l *login) session() sessionInfo {
	r := &l.response
	shared := &l.e.strings
	key := keyOf(shared.Share(r.user), r.database, r.capabilities, r.charset)
	key.Options = shared.Share(key.Options + l.e.loginsBefore(r.user))
	return sessionInfo{
		id:            l.options.ID,
		key:           key,
		database:      shared.Share(r.database),
		application:   shared.Share(r.application),
		clientAddress: l.options.ClientAddress,
		keepsText:     l.options.KeepText,
		capabilities:  r.capabilities,
		charset:       r.charset,
		salt:          [saltSize]byte(l.salt),
		sequence:      l.packets.sequence,
		info:          l.info,
		tls:           l.tls,
	}
}

// tell sends err to the client, if it can still hear it.
func (l *login) tell(err error) {
	if l.mute || gone(err) {
		return
	}
	if l.conn.SetWriteDeadline(time.Now().Add(farewell)) != nil { // the login's deadline, which may be over, held for this too
		return
	}
	if _, err := l.conn.Write(l.e.render(nil, l.packets.sequence, l.caps, err)); err != nil {
		l.e.log.Debug().Err(err).Str("client", l.options.ClientAddress).Msg("client did not take its error")
	}
}

// loginError makes a condition of what ended a login where it is one.
func loginError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return engine.ErrShutdown
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return engine.ErrLoginTimeout
	}
	return err
}

// gone says whether err means that the peer has closed the connection.
func gone(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &op)
}

// account finds what user must prove. For an unknown user it returns a decoy, so that nothing differs until the end;
// cause is what a denial means, for the log.
func (e *Engine) account(ctx context.Context, user string, s *serverInfo) (a account, cause, err error) {
	cred, err := engine.Credential{}, engine.ErrNoCredential
	if user != "" && len(user) <= maxUser {
		cred, err = e.credentials.Credential(ctx, user)
	}
	if err == nil {
		return account{methodOf(cred.AuthType, s), cred.Password.Reveal(), true}, engine.ErrDenied, nil
	}
	if !errors.Is(err, engine.ErrNoCredential) {
		return account{}, nil, err
	}
	return account{method: e.decoyMethod(ctx, s), password: rand.Text()}, engine.ErrNoCredential, nil
}

// decoyMethod is how unknown users are asked for their password: as some known one is. In a group whose credentials
// differ in method, a name's method may still tell that it is known.
func (e *Engine) decoyMethod(ctx context.Context, s *serverInfo) method {
	if m := e.decoy.Load(); m != nil {
		return *m
	}
	cred, err := e.credentials.Any(ctx)
	if err != nil {
		return defaultMethod(s)
	}
	m := methodOf(cred.AuthType, s)
	e.decoy.Store(&m)
	return m
}

// hostOf is the host in a client's address as messages name it.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
