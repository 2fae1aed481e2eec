package postgres

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/jackc/pgproto3/v2"
)

// login is one client's login. It belongs to the goroutine of Accept.
type login struct {
	e *Engine
	c *engine.Conn
	o engine.AcceptOptions
	// leaf is the certificate that the client was shown, nil without TLS.
	leaf *tls.Certificate
	// sslDone and gssDone say that the client used up its one request.
	sslDone, gssDone bool
	protocol         uint32
	// out is what goes out with the next flush.
	out []byte
}

// Accept implements engine.Engine: the server's side of the start-up (54.2.1) and of authentication (54.3).
//
// A connection that ends before it said anything returns io.EOF.
func (e *Engine) Accept(ctx context.Context, c *engine.Conn, o engine.AcceptOptions) (engine.Accepted, error) {
	l := &login{e: e, c: c, o: o}
	interrupted := interruptReads(ctx, c)
	accepted, err := l.run(ctx)
	interrupted()
	if err == nil {
		return accepted, nil
	}
	err = loginError(ctx, err)
	l.say(err)
	return engine.Accepted{}, err
}

// interruptReads makes reads of c fail once ctx ends, until the returned function is called.
func interruptReads(ctx context.Context, c *engine.Conn) (stop func()) {
	done := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !cancel() {
			<-done
		}
	}
}

// loginError makes an error of the socket one that says what it means.
func loginError(ctx context.Context, err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) &&
		!errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%w: %w", engine.ErrShutdown, err)
	}
	return fmt.Errorf("%w: %w", engine.ErrLoginTimeout, err)
}

// silent marks errors after which the client cannot be told anything: it is gone, or TLS never began.
type silent struct{ error }

func (s silent) Unwrap() error { return s.error }

// farewell bounds how long the last words may take to leave: they are a few hundred bytes for an empty socket buffer, so
// that only a machine which is too busy to run this goroutine takes any time.
const farewell = time.Second

// say tells the client why its login failed.
func (l *login) say(err error) {
	var s silent
	if errors.As(err, &s) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return
	}
	var role *roleError
	if errors.As(err, &role) {
		// The same words whether the role is unknown or its password wrong.
		err = &roleError{role.role, engine.ErrDenied}
	}
	l.out = l.e.render(l.out, err, true)
	_ = l.c.SetWriteDeadline(time.Now().Add(farewell))
	_ = l.flush()
}

// flush writes what there is to say. Where the time for it was over before anything of it left, the client can still be told
// that; after any other error it cannot.
func (l *login) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	n, err := l.c.Write(l.out)
	l.out = l.out[:0]
	if err != nil && (n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
		err = silent{err}
	}
	return err
}

func (l *login) run(ctx context.Context) (engine.Accepted, error) {
	if err := l.directTLS(ctx); err != nil {
		return engine.Accepted{}, err
	}
	packet, err := l.negotiate(ctx)
	if err != nil {
		return engine.Accepted{}, err
	}
	if packet.code == codeCancel {
		cancel, err := parseCancel(packet.body)
		return engine.Accepted{Cancel: cancel}, err
	}
	startup, err := l.startup(packet)
	if err != nil {
		return engine.Accepted{}, err
	}
	if err := l.refuse(); err != nil {
		return engine.Accepted{}, err
	}
	if err := l.authenticate(ctx, startup.user); err != nil {
		return engine.Accepted{}, err
	}
	l.out = appendMessage(l.out, &pgproto3.AuthenticationOk{})
	if err := l.flush(); err != nil {
		return engine.Accepted{}, err
	}
	return l.accepted(startup), nil
}

// refuse returns why this client is not let in, whoever it is.
func (l *login) refuse() error {
	if l.o.Refuse != nil {
		return l.o.Refuse
	}
	if _, encrypted := l.c.TLS(); !encrypted && l.o.TLS.Mode == engine.TLSRequire {
		return engine.ErrTLSRequired
	}
	return nil
}

func (l *login) accepted(s startup) engine.Accepted {
	secret := make([]byte, 4)
	if l.protocol >= protocol32 {
		secret = make([]byte, 32) // as PostgreSQL 18 does
	}
	_, _ = rand.Read(secret) // never fails (crypto/rand.Read)
	key, application := s.key(), l.e.strings.Share(s.application())
	key.Options += l.e.loginsBefore(key.User, key.Database)
	key = l.e.shared(key)
	return engine.Accepted{
		Machine: newMachine(l.e, sessionInfo{
			id:           l.o.ID,
			key:          key,
			application:  application,
			named:        s.named(),
			keepsText:    l.o.KeepText,
			cancelSecret: secret,
		}),
		Key:         key,
		User:        key.User,
		Database:    key.Database,
		Application: application,
		Secret:      secret,
	}
}

// shared returns the key with strings that sessions like this one have, too.
func (e *Engine) shared(k engine.Key) engine.Key {
	return engine.Key{User: e.strings.Share(k.User), Database: e.strings.Share(k.Database), Options: e.strings.Share(k.Options)}
}

// maxAuthMessage bounds what a client may send to prove who it is, in bytes of message body. PostgreSQL takes 65,535
// (PG_MAX_AUTH_TOKEN_LENGTH), for tokens as passwords.
const maxAuthMessage = 64<<10 - 1

// readAuthMessage reads one 'p' message (PasswordMessage, SASLInitialResponse, SASLResponse) and returns its body.
func (l *login) readAuthMessage() ([]byte, error) {
	if err := l.flush(); err != nil {
		return nil, err
	}
	var header [5]byte
	if _, err := io.ReadFull(l.c, header[:]); err != nil {
		return nil, err
	}
	if header[0] != 'p' {
		return nil, clientError(fmt.Sprintf("expected password response, got message type %d", header[0]))
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length < 4 || length-4 > maxAuthMessage {
		return nil, clientError("invalid message length")
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(l.c, body); err != nil {
		return nil, err
	}
	return body, nil
}

func clientError(reason string) error {
	return &engine.ProtocolError{Side: engine.SideClient, Reason: reason}
}
