package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// database is a server that plays a script on each connection.
type database struct {
	target   engine.Target
	engine   *Engine
	finished chan error
}

// play starts a server: script gets the connection, and what it returns is the test's to look at.
func play(t *testing.T, script func(net.Conn) error) *database {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := &database{
		target:   engine.Target{Name: "primary", Address: l.Addr().String()},
		engine:   New(Config{Credentials: users{user("alice", "secret")}}),
		finished: make(chan error, 16),
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				defer nc.Close()
				d.finished <- script(nc)
			}()
		}
	}()
	return d
}

func (d *database) dial(t *testing.T, mode engine.TargetTLSMode, options string) (engine.Dialed, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	d.target.TLS.Mode = mode
	dialed, err := d.engine.Dial(ctx, d.target, engine.Key{User: "alice", Database: "shop", Options: options})
	if err == nil {
		t.Cleanup(func() { _ = dialed.Conn.Close() })
	}
	return dialed, err
}

func wantDialError(t *testing.T, err error, permanent bool) {
	t.Helper()
	var dial *engine.DialError
	if !errors.As(err, &dial) || dial.Target != "primary" || dial.Permanent != permanent {
		t.Errorf("got %v (permanent: %v), want a DialError with permanent %v", err, engine.IsPermanent(err), permanent)
	}
}

// begin reads the start-up packet and lets the client in.
func begin(nc net.Conn, messages ...pgproto3.BackendMessage) (*pgproto3.Backend, map[string]string, error) {
	b := pgproto3.NewBackend(nc, nc)
	m, err := b.ReceiveStartupMessage()
	if err != nil {
		return nil, nil, err
	}
	s, ok := m.(*pgproto3.StartupMessage)
	if !ok {
		return nil, nil, errors.New("no start-up packet")
	}
	for _, m := range messages {
		b.Send(m)
	}
	return b, s.Parameters, b.Flush()
}

var letIn = []pgproto3.BackendMessage{
	&pgproto3.AuthenticationOk{},
	&pgproto3.ParameterStatus{Name: "zulu", Value: "1"},
	&pgproto3.ParameterStatus{Name: "alpha", Value: "2"},
	&pgproto3.NoticeResponse{Severity: "WARNING", Message: "hello"},
	&pgproto3.ParameterStatus{Name: "zulu", Value: "3"},
	&pgproto3.BackendKeyData{ProcessID: 77, SecretKey: []byte("four")},
	&pgproto3.ReadyForQuery{TxStatus: 'I'},
}

func TestABackendGetsTheParametersOfItsKeyAndReportsItsOwn(t *testing.T) {
	got := make(chan map[string]string, 1)
	d := play(t, func(nc net.Conn) error {
		_, params, err := begin(nc, append(letIn[:len(letIn):len(letIn)], &pgproto3.ParameterStatus{Name: "late", Value: "4"})...)
		got <- params
		_, _ = io.Copy(io.Discard, nc)
		return err
	})
	dialed, err := d.dial(t, engine.TargetTLSDisable, encodeOptions([]parameter{{"datestyle", "ISO"}, {"options", "-c a=b"}}))
	if err != nil {
		t.Fatal(err)
	}
	params := <-got
	if len(params) != 4 || params["user"] != "alice" || params["database"] != "shop" || params["datestyle"] != "ISO" || params["options"] != "-c a=b" {
		t.Errorf("the server was told %v", params)
	}
	state := dialed.State.(*backendState)
	want := []parameter{{"zulu", "3"}, {"alpha", "2"}}
	if state.pid != 77 || string(state.cancelKey) != "four" || !slices.Equal(state.params, want) {
		t.Errorf("backend %d, key %q, parameters %v", state.pid, state.cancelKey, state.params)
	}
	if known, _ := d.engine.parameters(engine.Key{User: "alice", Database: "shop", Options: encodeOptions([]parameter{{"datestyle", "ISO"}, {"options", "-c a=b"}})}); !slices.Equal(known, want) {
		t.Errorf("learned %v", known)
	}
	late := encode(t, &pgproto3.ParameterStatus{Name: "late", Value: "4"})
	rest := dialed.Conn.Rest // is what the library has read meanwhile, if its write took long (settle)
	next := make([]byte, max(0, len(late)-len(rest)))
	_ = dialed.Conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(dialed.Conn, next); err != nil || string(rest)+string(next) != string(late) {
		t.Errorf("behind the login came %q %q, %v", rest, next, err)
	}
}

func TestWhatTheLibraryReadsInTheBackgroundIsNotLost(t *testing.T) {
	for _, mode := range []engine.TargetTLSMode{engine.TargetTLSDisable, engine.TargetTLSRequire} {
		certificate := ecdsaCertificate(t)
		late := encode(t, &pgproto3.ParameterStatus{Name: "late", Value: "4"})
		d := play(t, func(nc net.Conn) (err error) {
			if mode != engine.TargetTLSDisable {
				if nc, err = encrypt(nc, 'S', &tls.Config{Certificates: []tls.Certificate{certificate}}); err != nil {
					return err
				}
			}
			time.Sleep(100 * time.Millisecond) // the library's write takes so long that it begins to read
			var length [4]byte
			if _, err := io.ReadFull(nc, length[:]); err != nil {
				return err
			}
			if _, err := io.CopyN(io.Discard, nc, int64(binary.BigEndian.Uint32(length[:]))-4); err != nil {
				return err
			}
			_, err = nc.Write(append(encode(t, letIn...), late...))
			_, _ = io.Copy(io.Discard, nc) // nothing is answered
			return err
		})
		long := encodeOptions([]parameter{{"application_name", strings.Repeat("x", 32<<20)}}) // the kernel takes less
		dialed, err := d.dial(t, mode, long)
		if err != nil {
			t.Fatal(err)
		}
		rest := dialed.Conn.Rest
		_ = dialed.Conn.SetDeadline(time.Now().Add(5 * time.Second))
		next := make([]byte, len(late)-len(rest))
		if _, err := io.ReadFull(dialed.Conn, next); err != nil || string(rest)+string(next) != string(late) {
			t.Errorf("behind the login came %q %q, %v", rest, next, err)
		}
	}
}

func TestTheEnvironmentDoesNotLeakIntoALogin(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "elsewhere.invalid", "PGPORT": "x", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGPASSFILE": "/nonexistent", "PGAPPNAME": "leak", "PGCONNECT_TIMEOUT": "x", "PGSSLMODE": "verify-full", "PGSSLKEY": "/nonexistent",
		"PGSSLCERT": "/nonexistent", "PGSSLCERTMODE": "x", "PGSSLSNI": "x", "PGSSLROOTCERT": "/nonexistent", "PGSSLNEGOTIATION": "direct",
		"PGTARGETSESSIONATTRS": "standby", "PGSERVICE": "nonexistent", "PGSERVICEFILE": "/nonexistent", "PGTZ": "leak", "PGOPTIONS": "leak",
		"PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "x", "PGCHANNELBINDING": "require", "PGREQUIREAUTH": "md5",
	} {
		t.Setenv(name, value)
	}
	got := make(chan map[string]string, 1)
	d := play(t, func(nc net.Conn) error {
		_, params, err := begin(nc, letIn...)
		got <- params
		return err
	})
	if _, err := d.dial(t, engine.TargetTLSDisable, ""); err != nil {
		t.Fatal(err)
	}
	if params := <-got; len(params) != 2 || params["user"] != "alice" || params["database"] != "shop" {
		t.Errorf("the server was told %v", params)
	}
}

func TestAServersErrorIsPassedOnAsItIs(t *testing.T) {
	for code, permanent := range map[string]bool{
		"28P01": true, "28000": true, "3D000": true, "42501": true, "42704": true, "22023": true, "0A000": true, "08P01": true, "55000": true,
		"53300": false, "57P03": false, "57P01": false, "58000": false, "XX000": false, "": false,
	} {
		said := &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "no", Hint: "really", UnknownFields: map[byte]string{'!': "x"}}
		d := play(t, func(nc net.Conn) error { _, _, err := begin(nc, said); return err })
		_, err := d.dial(t, engine.TargetTLSDisable, "")
		wantDialError(t, err, permanent)
		var server *engine.ServerError
		if !errors.As(err, &server) || server.Code != code || server.Message != "no" || string(server.Raw) != string(encode(t, said)[5:]) {
			t.Errorf("%s: got %v", code, err)
		}
	}
}

func TestADialPassesWhatAnAcceptAsks(t *testing.T) {
	for _, password := range []string{"secret", "", "I\u00adX", "\u2168 \u00aa", "p\u2168\U0001f511", "\u0221\u00e9\u0301"} {
		for _, authType := range []string{"", authMD5} {
			alice := user("alice", password)
			alice.AuthType = authType
			f := listen(t, withTLS(engine.TLSAllow, ecdsaCertificate(t)), alice)
			for _, mode := range []engine.TargetTLSMode{engine.TargetTLSDisable, engine.TargetTLSPrefer} {
				target := engine.Target{Name: "primary", Address: f.address, TLS: engine.TargetTLS{Mode: mode}}
				dialed, err := f.engine.Dial(t.Context(), target, engine.Key{User: "alice", Database: "shop"})
				if err != nil {
					t.Errorf("password %q, %q: %v", password, authType, err)
					continue
				}
				if got := f.result(t).accepted; got.Database != "shop" || string(got.Secret) != string(dialed.State.(*backendState).cancelKey) {
					t.Errorf("accepted %+v", got)
				}
				_ = dialed.Conn.Close()
			}
		}
	}
}

func TestAPasswordIsNotSentInClear(t *testing.T) {
	d := play(t, func(nc net.Conn) error {
		b, _, err := begin(nc, &pgproto3.AuthenticationCleartextPassword{})
		if err != nil {
			return err
		}
		_ = b.SetAuthType(pgproto3.AuthTypeCleartextPassword)
		if m, err := b.Receive(); err == nil {
			if p, ok := m.(*pgproto3.PasswordMessage); ok {
				return errors.New("got the password " + p.Password)
			}
		}
		return nil
	})
	_, err := d.dial(t, engine.TargetTLSDisable, "")
	wantDialError(t, err, true)
	if err := <-d.finished; err != nil {
		t.Error(err)
	}
}

func TestABackendMustEndItsLoginProperly(t *testing.T) {
	scripts := map[string][]pgproto3.BackendMessage{
		"no authentication":        letIn[1:],
		"no cancel key":            {letIn[0], letIn[6]},
		"a transaction is open":    {letIn[0], letIn[5], &pgproto3.ReadyForQuery{TxStatus: 'T'}},
		"nothing":                  nil,
		"the end after the answer": letIn[:5],
	}
	for name, script := range scripts {
		d := play(t, func(nc net.Conn) error { _, _, err := begin(nc, script...); return err })
		if _, err := d.dial(t, engine.TargetTLSDisable, ""); err == nil {
			t.Errorf("%s: a backend", name)
		}
	}
	for _, header := range []string{"R\x00\x00\x00\x03", "R\x7f\xff\xff\xff", "S\x00\x10\x00\x05", "HTTP/1.1 400"} {
		d := play(t, func(nc net.Conn) error { _, err := nc.Write([]byte(header)); return err })
		if _, err := d.dial(t, engine.TargetTLSDisable, ""); err == nil {
			t.Errorf("%q: a backend", header)
		}
	}
}

func TestASilentServerIsGivenUp(t *testing.T) {
	d := play(t, func(nc net.Conn) error { _, err := io.Copy(io.Discard, nc); return err })
	for _, mode := range []engine.TargetTLSMode{engine.TargetTLSDisable, engine.TargetTLSPrefer} {
		d.target.TLS.Mode = mode
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		start := time.Now()
		_, err := d.engine.Dial(ctx, d.target, engine.Key{User: "alice", Database: "shop"})
		cancel()
		wantDialError(t, err, false)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}

// encrypt answers an SSLRequest with answer, and performs the handshake if that is an S.
func encrypt(nc net.Conn, answer byte, config *tls.Config) (net.Conn, error) {
	var request [8]byte
	if _, err := io.ReadFull(nc, request[:]); err != nil || binary.BigEndian.Uint32(request[4:]) != codeSSL {
		return nil, errors.New("no SSLRequest")
	}
	if _, err := nc.Write([]byte{answer}); err != nil || answer != 'S' {
		return nc, err
	}
	c := tls.Server(nc, config)
	return c, c.Handshake()
}

func TestTLSModesMeanWhatTheyMeanToLibpq(t *testing.T) {
	own, other := ecdsaCertificate(t), ecdsaCertificate(t)
	pool := func(c tls.Certificate) *x509.CertPool {
		leaf, err := leafOf(&c)
		if err != nil {
			t.Fatal(err)
		}
		p := x509.NewCertPool()
		p.AddCert(leaf)
		return p
	}
	const disable, prefer, require, verifyCA, verifyFull = engine.TargetTLSDisable, engine.TargetTLSPrefer,
		engine.TargetTLSRequire, engine.TargetTLSVerifyCA, engine.TargetTLSVerifyFull
	cases := []struct {
		name      string
		mode      engine.TargetTLSMode
		answer    byte
		roots     *x509.CertPool
		host      string
		ok        bool
		encrypted bool
		permanent bool
	}{
		{"prefer takes what there is", prefer, 'S', pool(other), "", true, true, false},
		{"prefer goes without", prefer, 'N', nil, "", true, false, false},
		{"prefer is no licence for an error", prefer, 'E', nil, "", false, false, false},
		{"require does not look at the certificate", require, 'S', pool(other), "", true, true, false},
		{"require does not go without", require, 'N', nil, "", false, false, true},
		{"verify-ca does not look at the name", verifyCA, 'S', pool(own), "", true, true, false},
		{"verify-ca looks at the chain", verifyCA, 'S', pool(other), "", false, false, true},
		{"verify-full takes a name it was given", verifyFull, 'S', pool(own), "localhost", true, true, false},
		{"verify-full looks at the name", verifyFull, 'S', pool(own), "", false, false, true},
		{"verify-full looks at the chain", verifyFull, 'S', pool(other), "localhost", false, false, true},
		{"verify-full does not go without", verifyFull, 'N', pool(own), "localhost", false, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := play(t, func(nc net.Conn) error {
				if c.mode != disable {
					var err error
					if nc, err = encrypt(nc, c.answer, &tls.Config{Certificates: []tls.Certificate{own}}); err != nil {
						return err
					}
				}
				_, _, err := begin(nc, letIn...)
				return err
			})
			d.target.TLS.Renewed, d.target.TLS.ServerName = func() *x509.CertPool { return c.roots }, c.host
			dialed, err := d.dial(t, c.mode, "")
			if !c.ok {
				wantDialError(t, err, c.permanent)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, encrypted := dialed.Conn.TLS(); encrypted != c.encrypted {
				t.Errorf("encrypted: %v", encrypted)
			}
		})
	}
}

func TestTheServerLearnsItsNameAndTheProtocol(t *testing.T) {
	own := ecdsaCertificate(t)
	for _, mode := range []engine.TargetTLSMode{engine.TargetTLSPrefer, engine.TargetTLSVerifyCA} {
		hello := make(chan *tls.ClientHelloInfo, 1)
		d := play(t, func(nc net.Conn) error {
			_, err := encrypt(nc, 'S', &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				hello <- h
				return nil, errors.New("that is all")
			}, Certificates: []tls.Certificate{own}})
			return err
		})
		d.target.Address = strings.Replace(d.target.Address, "127.0.0.1", "localhost", 1)
		if _, err := d.dial(t, mode, ""); err == nil {
			t.Fatal("a backend")
		}
		if h := <-hello; h.ServerName != "localhost" || !slices.Equal(h.SupportedProtos, []string{alpn}) {
			t.Errorf("server name %q, protocols %q", h.ServerName, h.SupportedProtos)
		}
	}
}

func TestPreferDoesNotFallBackWhenTheHandshakeFails(t *testing.T) {
	d := play(t, func(nc net.Conn) error {
		_, err := encrypt(nc, 'S', &tls.Config{})
		return err
	})
	_, err := d.dial(t, engine.TargetTLSPrefer, "")
	wantDialError(t, err, false)
	<-d.finished
	select {
	case <-d.finished:
		t.Error("a second connection")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestBytesBehindAServersYesAreNeverUsed(t *testing.T) {
	d := play(t, func(nc net.Conn) error {
		p := append([]byte{'S'}, encode(t, letIn...)...)
		_, err := nc.Write(p)
		_, _ = io.Copy(io.Discard, nc)
		return err
	})
	_, err := d.dial(t, engine.TargetTLSPrefer, "")
	wantDialError(t, err, false)
}

// answerQueries plays a server that answers each query with the same messages.
func answerQueries(messages ...pgproto3.BackendMessage) func(net.Conn) error {
	return func(nc net.Conn) error {
		b, _, err := begin(nc, letIn...)
		for err == nil {
			if _, err = b.Receive(); err == nil {
				for _, m := range messages {
					b.Send(m)
				}
				err = b.Flush()
			}
		}
		return err
	}
}

func TestAnInitQueryRunsOnce(t *testing.T) {
	done := &pgproto3.CommandComplete{CommandTag: []byte("SET")}
	failed := &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42704", Message: "no such role"}
	cases := []struct {
		name   string
		script func(net.Conn) error
		code   string // of the error, "-" for one of our own
	}{
		{"done", answerQueries(done, &pgproto3.ParameterStatus{Name: "alpha", Value: "set"}, &pgproto3.ReadyForQuery{TxStatus: 'I'}), ""},
		{"failed", answerQueries(failed, &pgproto3.ReadyForQuery{TxStatus: 'I'}), "42704"},
		{"left a transaction open", answerQueries(done, &pgproto3.ReadyForQuery{TxStatus: 'T'}), "-"},
	}
	for _, c := range cases {
		d := play(t, c.script)
		d.target.InitQuery = "SET ROLE x"
		dialed, err := d.dial(t, engine.TargetTLSDisable, "")
		if c.code == "" {
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			want := []parameter{{"zulu", "3"}, {"alpha", "set"}}
			if got := dialed.State.(*backendState).params; !slices.Equal(got, want) {
				t.Errorf("%s: parameters %v", c.name, got)
			}
			continue
		}
		wantDialError(t, err, true)
		var server *engine.ServerError
		if errors.As(err, &server) != (c.code != "-") || server != nil && server.Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWhoAnInitQueryMakesTheSessionIsWhatItBeginsWith(t *testing.T) {
	row := func(name, value string) *pgproto3.DataRow {
		return &pgproto3.DataRow{Values: [][]byte{[]byte(name), []byte(value)}}
	}
	d := play(t, answerQueries(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("name")}, {Name: []byte("setting")}}},
		row("role", "x"), row("session_authorization", "bob"), &pgproto3.CommandComplete{CommandTag: []byte("SELECT 2")},
		&pgproto3.ParameterStatus{Name: "session_authorization", Value: "bob"}, &pgproto3.ReadyForQuery{TxStatus: 'I'}))
	d.target.InitQuery = "SET SESSION AUTHORIZATION bob; SET ROLE x"
	dialed, err := d.dial(t, engine.TargetTLSDisable, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []setting{{authorization, "SET SESSION AUTHORIZATION 'bob'"}, {"role", "SET ROLE 'x'"}} // the other way round, it ends the role
	if got := dialed.State.(*backendState).base.all(); !slices.Equal(got, want) {
		t.Errorf("it begins with %v", got)
	}
}

func TestAServerThatKnowsNoTriggersOnLoginsHasNone(t *testing.T) {
	d := play(t, func(nc net.Conn) error {
		b, _, err := begin(nc, append([]pgproto3.BackendMessage{letIn[0], &pgproto3.ParameterStatus{Name: "server_version", Value: "18.1"}}, letIn[1:]...)...)
		if err == nil {
			_, err = b.Receive()
		}
		if err != nil {
			return err
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42703", Message: "no such column"})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		return b.Flush()
	})
	if dialed, err := d.dial(t, engine.TargetTLSDisable, ""); err != nil || dialed.State.(*backendState).base != nil {
		t.Errorf("%v, %v", dialed.State, err)
	}
}

func TestASecretStoreThatFailsIsNoWrongPasswordToADialEither(t *testing.T) {
	failed := errors.New("the store is down")
	e := New(Config{Credentials: broken{failed}})
	_, err := e.Dial(t.Context(), engine.Target{Name: "primary", Address: "127.0.0.1:1"}, engine.Key{User: "alice"})
	wantDialError(t, err, false)
	if code, _ := describe(err); code != codeCannotConnect || !errors.Is(err, failed) {
		t.Errorf("got %s, %v", code, err)
	}
	_, err = engine.Probe(t.Context(), e, engine.Target{Name: "primary", Address: "127.0.0.1:1"})
	wantDialError(t, err, false)
}

func TestAnAddressThatIsNoneIsPermanentlyWrong(t *testing.T) {
	e := New(Config{Credentials: users{user("alice", "secret")}})
	for _, address := range []string{"", "localhost", "localhost:x", "localhost:70000"} {
		_, err := e.Dial(t.Context(), engine.Target{Name: "primary", Address: address}, engine.Key{User: "alice"})
		wantDialError(t, err, true)
	}
}

func TestAnUnknownUserIsNotDialed(t *testing.T) {
	d := play(t, func(net.Conn) error { return nil })
	_, err := d.engine.Dial(t.Context(), d.target, engine.Key{User: "bob", Database: "shop"})
	wantDialError(t, err, true)
	if !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("got %v", err)
	}
}

func TestAProbeAsksForTheFacts(t *testing.T) {
	row := [][]byte{[]byte("18.1"), []byte("100"), []byte("3"), []byte("2"), []byte("t")}
	lag := []byte("1.5")
	d := play(t, func(nc net.Conn) error {
		b, params, err := begin(nc, letIn...)
		if err != nil {
			return err
		}
		if params["database"] != "postgres" {
			return errors.New("database " + params["database"])
		}
		m, err := b.Receive()
		if err != nil {
			return err
		}
		if q, ok := m.(*pgproto3.Query); !ok || !strings.Contains(q.String, "max_connections") {
			return errors.New("no query")
		}
		b.Send(&pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(row))})
		b.Send(&pgproto3.DataRow{Values: row})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			return err
		}
		if m, err = b.Receive(); err != nil {
			return err
		}
		if q, ok := m.(*pgproto3.Query); !ok || !strings.Contains(q.String, "replay") {
			return errors.New("the lag is not asked for")
		}
		if lag == nil {
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "not supported"})
		} else {
			b.Send(&pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, 1)})
			b.Send(&pgproto3.DataRow{Values: [][]byte{lag}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			return err
		}
		if m, err = b.Receive(); err != nil {
			return err
		}
		if _, ok := m.(*pgproto3.Terminate); !ok {
			return errors.New("no goodbye")
		}
		return nil
	})
	facts, err := engine.Probe(t.Context(), d.engine, d.target)
	want := engine.Facts{Version: "18.1", MaxConnections: 100, Reserved: 5, ReadOnly: true, Lag: 1500 * time.Millisecond, LagKnown: true}
	if err != nil || facts != want {
		t.Errorf("got %+v, %v", facts, err)
	}
	if err := <-d.finished; err != nil {
		t.Error(err)
	}
	want.Lag, want.LagKnown = 0, false
	for _, nonsense := range []string{"NaN", "Infinity", "-Infinity", "-1", "99999999999999999999", "1e999", "", "soon"} {
		lag = []byte(nonsense)
		if facts, err = engine.Probe(t.Context(), d.engine, d.target); err != nil || facts != want {
			t.Errorf("%q: got %+v, %v", nonsense, facts, err)
		}
		if err := <-d.finished; err != nil {
			t.Error(err)
		}
	}
	lag = nil // a server without these functions
	facts, err = engine.Probe(t.Context(), d.engine, d.target)
	if err != nil || facts != want {
		t.Errorf("got %+v, %v", facts, err)
	}
	if err := <-d.finished; err != nil {
		t.Error(err)
	}
	row[1] = []byte("many")
	_, err = engine.Probe(t.Context(), d.engine, d.target)
	wantDialError(t, err, false)
}

func TestAProbeFindsAnotherDatabase(t *testing.T) {
	d := play(t, func(nc net.Conn) error {
		b := pgproto3.NewBackend(nc, nc)
		m, err := b.ReceiveStartupMessage()
		if err != nil {
			return err
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "3D000", Message: "no " + m.(*pgproto3.StartupMessage).Parameters["database"]})
		return b.Flush()
	})
	_, err := engine.Probe(t.Context(), d.engine, d.target)
	var server *engine.ServerError
	if !errors.As(err, &server) || server.Message != "no alice" {
		t.Errorf("got %v", err)
	}
}

func TestACancelIsOverWhenTheServerCloses(t *testing.T) {
	own := ecdsaCertificate(t)
	for _, mode := range []engine.TargetTLSMode{engine.TargetTLSDisable, engine.TargetTLSRequire} {
		key := strings.Repeat("k", 32)
		closing := make(chan struct{})
		d := play(t, func(nc net.Conn) error {
			if mode != engine.TargetTLSDisable {
				var err error
				if nc, err = encrypt(nc, 'S', &tls.Config{Certificates: []tls.Certificate{own}}); err != nil {
					return err
				}
			}
			want := string(packet(codeCancel, "\x00\x00\x00\x4d"+key))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != want {
				return errors.New("got " + string(got))
			}
			time.Sleep(20 * time.Millisecond)
			close(closing)
			return nil
		})
		d.target.TLS.Mode = mode
		b := &engine.Backend{State: &backendState{pid: 77, cancelKey: []byte(key)}}
		if err := d.engine.Cancel(t.Context(), d.target, b); err != nil {
			t.Error(err)
		}
		select {
		case <-closing:
		default:
			t.Error("it was over before the server closed")
		}
		if err := <-d.finished; err != nil {
			t.Error(err)
		}
	}
}

func TestACancelIsGivenUpInTime(t *testing.T) {
	d := play(t, func(nc net.Conn) error { _, err := io.Copy(io.Discard, nc); return err })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	b := &engine.Backend{State: &backendState{pid: 77, cancelKey: []byte("four")}}
	if err := d.engine.Cancel(ctx, d.target, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestTheLibraryReadsNoFurtherThanItsMessage(t *testing.T) {
	in := encode(t, letIn...)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
	} {
		source := strings.NewReader(string(in) + "rest")
		l := &tap{}
		f := l.frontend(wrap(source), nil)
		for range letIn {
			if _, err := f.Receive(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if source.Len() != len("rest") || f.ReadBufferLen() != 0 {
			t.Errorf("%s: %d bytes are left", name, source.Len())
		}
	}
}

// FuzzDial is a server that says anything.
func FuzzDial(f *testing.F) {
	f.Add(encode(f, letIn...))
	f.Add(encode(f, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}, &pgproto3.AuthenticationSASLContinue{Data: []byte("r=")}))
	f.Fuzz(func(t *testing.T, said []byte) {
		l := &tap{}
		fe := l.frontend(strings.NewReader(string(said)), io.Discard)
		for {
			if _, err := fe.Receive(); err != nil {
				break
			}
		}
		for _, p := range l.params {
			if strings.Contains(p.name+p.value, "\x00") {
				t.Fatalf("parameter %q", p)
			}
		}
	})
}

func TestADialedConnectionCanBeHandedToALoop(t *testing.T) {
	own := ecdsaCertificate(t)
	d := play(t, func(nc net.Conn) error {
		c, err := encrypt(nc, 'S', &tls.Config{Certificates: []tls.Certificate{own}})
		if err != nil {
			return err
		}
		_, _, err = begin(c, letIn...)
		_, _ = io.Copy(io.Discard, c)
		return err
	})
	dialed, err := d.dial(t, engine.TargetTLSRequire, "")
	if err != nil {
		t.Fatal(err)
	}
	detached, err := dialed.Conn.Detach()
	if err != nil {
		t.Fatal(err)
	}
	if detached.TLS == nil || detached.Mem == nil || len(detached.Rest) != 0 {
		t.Errorf("detached %+v", detached)
	}
	if _, err := detached.TLS.Read(make([]byte, 1)); !socket.WouldBlock(err) {
		t.Errorf("reading gives %v", err)
	}
}

func TestAnInstanceWhoseLagIsNoNumberDoesNotTellIt(t *testing.T) {
	for text, want := range map[string]time.Duration{"17.5": 17500 * time.Microsecond, "0": 0} {
		if got, known := milliseconds([]byte(text)); got != want || !known {
			t.Errorf("%s: %s, %v", text, got, known)
		}
	}
	for _, text := range []string{"", "NaN", "Infinity", "-1", "1e999", "99999999999999999999"} {
		if got, known := milliseconds([]byte(text)); got != 0 || known {
			t.Errorf("%q: %s, %v", text, got, known)
		}
	}
}
