package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/core/engine"
)

// greeted is a logged-in connection that still speaks through the library.
type greeted struct {
	pg    *pgconn.PgConn
	user  string // who has logged in
	conn  *engine.Conn
	heard *tap
	// unconnected is why there is no connection to log in on.
	unconnected error
}

// Dial implements engine.Engine. The backend gets the key's start-up parameters, so that the server itself judges them and
// RESET returns to them.
func (e *Engine) Dial(ctx context.Context, t engine.Target, key engine.Key) (engine.Dialed, error) {
	s, err := e.connect(ctx, t, key)
	if err != nil {
		return engine.Dialed{}, dialError(t, err)
	}
	d, err := e.handOver(ctx, s, t.InitQuery)
	if err != nil {
		_ = s.conn.Close()
		return engine.Dialed{}, dialError(t, err)
	}
	if state, ok := d.State.(*backendState); ok {
		e.learn(key, state.params)
		state.unseen = e.unseenIn(t, key)
	}
	return d, nil
}

// connect logs in to t for key.
func (e *Engine) connect(ctx context.Context, t engine.Target, key engine.Key) (*greeted, error) {
	credential, err := e.credentials.Credential(ctx, key.User)
	if errors.Is(err, engine.ErrNoCredential) {
		return nil, &roleError{key.User, err}
	}
	if err != nil {
		return nil, fmt.Errorf("look up credential: %w", err)
	}
	return e.connectAs(ctx, t, key, credential)
}

func (e *Engine) connectAs(ctx context.Context, t engine.Target, key engine.Key, c engine.Credential) (*greeted, error) {
	config, err := e.connection.config()
	if err != nil {
		return nil, err
	}
	host, port, err := splitAddress(t.Address) // for messages: dialTarget takes the address itself
	if err != nil {
		return nil, &mismatch{err}
	}
	config.Host, config.Port = host, port
	s := &greeted{user: c.User, heard: &tap{}}
	config.User, config.Password, config.Database = c.User, c.Password.Reveal(), key.Database
	config.RuntimeParams = decodeOptions(key.Options)
	config.BuildFrontend = s.heard.frontend
	// The library normalises passwords for SCRAM by newer rules than the server's; what the server's rules made of one, it
	// leaves alone.
	s.heard.onSASL = func() { config.Password = normalize(config.Password) }
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		e.log.Debug().Str("target", t.Name).Str("code", n.Code).Str("notice", n.Message).Msg("notice while logging in")
	}
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		if s.conn != nil {
			// The library gives up a login, or a query, by a cancel request on another connection.
			return nil, errors.New("closing the connection is enough")
		}
		conn, transport, err := dialTarget(ctx, t)
		if err != nil {
			s.unconnected = err
			return nil, err
		}
		s.conn = conn
		_, s.heard.encrypted = conn.TLS()
		return transport, nil
	}
	s.pg, err = pgconn.ConnectConfig(ctx, config)
	if err != nil {
		if s.conn != nil {
			_ = s.conn.Close()
		}
		return nil, s.explain(err)
	}
	return s, nil
}

// explain makes an error of the library what the server said, if it said anything, or what kept it from being asked: of a timeout the
// library does not tell whether there was a connection.
func (s *greeted) explain(err error) error {
	if s.unconnected != nil {
		return s.unconnected
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	if s.heard.failure != nil {
		return s.heard.failure
	}
	return &engine.ServerError{Code: pg.Code, Message: pg.Message}
}

// handOver ends the login: what is left on the connection is a backend at a clean boundary.
func (e *Engine) handOver(ctx context.Context, s *greeted, initQuery string) (engine.Dialed, error) {
	base, names, err := e.triggered(ctx, s)
	if err != nil {
		return engine.Dialed{}, s.explain(err)
	}
	triggers := base != nil
	if initQuery != "" {
		if err := s.execute(ctx, initQuery); err != nil {
			return engine.Dialed{}, fmt.Errorf("init_query: %w", s.explain(err))
		}
		if base, err = e.initial(ctx, s, initQuery, names); err != nil {
			return engine.Dialed{}, fmt.Errorf("init_query: %w", s.explain(err))
		}
	}
	h, err := s.pg.Hijack()
	if err != nil {
		return engine.Dialed{}, err
	}
	if err := s.settle(); err != nil {
		return engine.Dialed{}, err
	}
	if h.TxStatus != 'I' {
		return engine.Dialed{}, &mismatch{errors.New("init_query left a transaction open")}
	}
	if n := len(h.SecretKey); n < minCancelKey || n > maxCancelKey {
		return engine.Dialed{}, idleProtocolError("the server gave no usable cancel key")
	}
	state := newBackendState(h.PID, h.SecretKey, s.heard.params)
	state.base, state.actual, state.triggers = base, base, triggers
	return engine.Dialed{Conn: s.conn, State: state}, nil
}

// settle ends the library's reading in the background, which begins with a write that takes longer than usual, if only
// because the processor is busy, and keeps what came of it. The library's own way asks the server something, and loses what
// came behind the answer.
func (s *greeted) settle() error {
	if err := s.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return err
	}
	p := make([]byte, 512)
	for {
		n, err := s.heard.r.Read(p)
		s.conn.Rest = append(s.conn.Rest, p[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return s.conn.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		}
	}
}

// initial asks what is set behind initQuery, of which names may be, too.
func (e *Engine) initial(ctx context.Context, s *greeted, initQuery string, names []string) (*settings, error) {
	if s.pg.TxStatus() != 'I' {
		return nil, nil // it will be refused
	}
	for name := range customNames([]byte(initQuery)) {
		names = append(names, lowered(name))
	}
	found, err := s.settings(ctx, names)
	if err != nil {
		return nil, err
	}
	base, ok := e.settings.intern(found.after(nil, nil))
	if found.strange || !ok {
		return nil, &mismatch{errors.New("it sets what cannot be set again: values must be ASCII, and not too many")}
	}
	return base, nil
}

// settings asks what is set, names among it.
func (s *greeted) settings(ctx context.Context, names []string) (found foundSettings, err error) {
	rows, err := s.rows(ctx, settingsQuery(names, nil, s.version()))
	for _, row := range rows {
		found.add(row[0], row[1], s.user, false)
	}
	return found, err
}

// rows executes SQL that returns some.
func (s *greeted) rows(ctx context.Context, sql string) (rows [][][]byte, err error) {
	results, err := s.pg.Exec(ctx, sql).ReadAll()
	for _, r := range results {
		rows = append(rows, r.Rows...)
	}
	return rows, err
}

// execute executes SQL.
func (s *greeted) execute(ctx context.Context, sql string) error {
	_, err := s.rows(ctx, sql)
	return err
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}

// dialError wraps why t gave no backend.
func dialError(t engine.Target, err error) error {
	return &engine.DialError{Target: t.Name, Permanent: permanent(err), Err: err}
}

// permanent says whether trying again cannot cure err. A server's errors are told by SQLSTATE: what is wrong with the
// login, the database, the parameters or the init query stays wrong; what is wrong with the server's state (starting up,
// shutting down, out of connections) passes.
func permanent(err error) bool {
	var s *engine.ServerError
	if errors.As(err, &s) {
		switch {
		case s.Code == codeProtocolViolation, s.Code == codeNotSupported,
			s.Code == "55000": // the database takes no connections (datallowconn)
			return true
		}
		for _, class := range []string{"22", "28", "3D", "42"} {
			if strings.HasPrefix(s.Code, class) {
				return true
			}
		}
		return false
	}
	var m *mismatch
	return errors.Is(err, engine.ErrNoCredential) || errors.As(err, &m)
}

// mismatch is a server that does not go with the configuration: it will not change by itself.
type mismatch struct{ err error }

func (e *mismatch) Error() string { return e.err.Error() }
func (e *mismatch) Unwrap() error { return e.err }

// dialTarget connects to t, and protects the connection as t wants it. It returns the connection, and the part of it that
// the library may speak through: the library finds the channel binding in a *tls.Conn only.
func dialTarget(ctx context.Context, t engine.Target) (*engine.Conn, net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, nil, err
	}
	conn := engine.NewConn(nc)
	if t.TLS.Mode == engine.TargetTLSDisable {
		return conn, conn.Transport(), nil
	}
	stop := interruptReads(ctx, conn)
	encrypted, err := requestTLS(ctx, conn, t)
	stop()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	if encrypted == nil {
		return conn, conn.Transport(), nil
	}
	return conn, encrypted, nil
}
