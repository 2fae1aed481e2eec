package mysql

import (
	"context"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// userChange is a COM_CHANGE_USER (section "COM_CHANGE_USER") under way. It does no I/O: the machine passes it what the
// client sends, and sends what it replies.
type userChange struct {
	info    sessionInfo // as it will be
	server  *serverInfo
	auth    authentication
	request response
	cause   error // of a denial
}

// changeUser begins a COM_CHANGE_USER. payload is the whole packet, the command's byte included. The error, if any, is
// to be rendered; a server closes the connection then, as after a denial.
func (e *Engine) changeUser(s *sessionInfo, payload []byte) (*userChange, error) {
	r, err := parseChangeUser(payload, s.capabilities)
	if err != nil {
		return nil, err
	}
	server := e.server.Load()
	if server == nil {
		return nil, engine.ErrNoTarget
	}
	// Which salt a client's first proof is made with depends on the client; after a switch there is no doubt.
	u := &userChange{request: r, server: server, info: *s, auth: authentication{
		salt: s.salt[:], retry: true, canSwitch: r.has(protocol.CLIENT_PLUGIN_AUTH),
	}}
	u.info.database, u.info.application = r.database, r.application
	u.info.charset, u.info.info = r.charset, ""
	u.info.key = keyOf(r.user, r.database, s.capabilities, r.charset)
	u.info.key.Options = e.strings.Share(u.info.key.Options + e.loginsBefore(r.user))
	return u, nil
}

// lookedUp is what Engine.lookUp found of a user: a value, since it passes from one goroutine to another.
type lookedUp struct {
	account account
	cause   error // of a denial
	err     error // why nobody can say, as it is to be rendered
}

// lookUp finds what user must prove. It may block until ctx ends.
func (e *Engine) lookUp(ctx context.Context, user string, s *serverInfo) lookedUp {
	a, cause, err := e.account(ctx, user, s)
	if err != nil {
		err = loginError(ctx, err)
	}
	return lookedUp{a, cause, err}
}

// first returns the reply to the command itself, nil for none, once it is known whom it names.
func (u *userChange) first(l lookedUp) (reply []byte, v verdict) {
	u.auth.account, u.cause = l.account, l.cause
	return u.auth.first(u.request.plugin, u.request.proof)
}

// next returns the reply to a further packet of the client.
func (u *userChange) next(payload []byte) (reply []byte, v verdict) { return u.auth.next(payload) }

// session is the session as it is after verdictAccepted. The sequence is not set.
func (u *userChange) session() sessionInfo {
	info := u.info
	info.salt = [saltSize]byte(u.auth.salt)
	return info
}

// denied is the error to render after verdictDenied.
func (u *userChange) denied() error {
	return errAccessDenied(u.request.user, hostOf(u.info.clientAddress), u.auth.usingPassword, u.cause)
}

// parseChangeUser takes a COM_CHANGE_USER apart. caps is what was agreed at the login.
func parseChangeUser(payload []byte, caps uint32) (response, error) {
	f := fields{rest: payload}
	f.uint8() // the command
	r := response{capabilities: caps, user: string(f.terminated())}
	r.proof = append([]byte(nil), f.bytes(int(f.uint8()))...)
	r.database = string(f.lastTerminated())
	var charset uint16
	if len(f.rest) > 0 {
		charset = f.uint16()
	}
	if len(f.rest) > 0 && r.has(protocol.CLIENT_PLUGIN_AUTH) {
		r.plugin = string(f.lastTerminated())
	}
	if len(f.rest) > 0 && r.has(protocol.CLIENT_CONNECT_ATTRS) {
		r.application = parseAttributes(&f)
	}
	if f.bad {
		return response{}, &engine.ProtocolError{Side: engine.SideClient, Reason: "truncated COM_CHANGE_USER"}
	}
	r.charset = byte(charset)
	if charset > 255 {
		return response{}, errUnknownCharset(charset)
	}
	return r, nil
}
