package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/core/engine"
)

// decodeError reads one whole ErrorResponse with pgx.
func decodeError(t *testing.T, p []byte) pgproto3.ErrorResponse {
	t.Helper()
	m, err := pgproto3.NewFrontend(bytes.NewReader(p), nil).Receive()
	if err != nil {
		t.Fatalf("%q: %v", p, err)
	}
	e, ok := m.(*pgproto3.ErrorResponse)
	if !ok {
		t.Fatalf("%q is a %T", p, m)
	}
	if int(binary.BigEndian.Uint32(p[1:])) != len(p)-1 {
		t.Errorf("%q is not one message", p)
	}
	return *e
}

func TestEveryConditionHasItsWords(t *testing.T) {
	e := New(Config{})
	for _, condition := range engine.Conditions() {
		wrapped := fmt.Errorf("dial 10.1.2.3:5432: %w", condition)
		for _, fatal := range []bool{false, true} {
			m := decodeError(t, e.render(nil, wrapped, fatal))
			want := map[bool]string{false: "ERROR", true: "FATAL"}[fatal]
			if m.Severity != want || m.SeverityUnlocalized != want {
				t.Errorf("%v: severity %s", condition, m.Severity)
			}
			if len(m.Code) != 5 || m.Code == codeInternal || m.Message == "" || strings.Contains(m.Message, "10.1.2.3") {
				t.Errorf("%v: %s %q", condition, m.Code, m.Message)
			}
		}
	}
}

func TestErrorsReadAsDocumented(t *testing.T) {
	e := New(Config{})
	alice := func(err error) error { return fmt.Errorf("login: %w", &roleError{"alice", err}) }
	cases := []struct {
		err           error
		code, message string
	}{
		{engine.ErrBorrowTimeout, "08000", "Timed-out waiting to acquire database connection."},
		{engine.ErrTLSRequired, "28000", "This RDS Proxy requires TLS connections."},
		{alice(engine.ErrDenied), "28P01", "The password that was provided for the role alice is wrong."},
		{alice(engine.ErrNoCredential), "28000", "This RDS proxy has no credentials for the role alice. Check the credentials for this role and try again."},
		{engine.ErrCanceled, "57014", "canceling statement due to user request"},
		{&engine.LimitError{Err: engine.ErrUserConnections, Name: "alice"}, "53300", `too many connections for role "alice"`},
		{&engine.LimitError{Err: engine.ErrDatabaseConnections, Name: "shop"}, "53300", `too many connections for database "shop"`},
		{engine.ErrIdleTimeout, "57P05", "terminating connection due to idle-session timeout"},
		{engine.ErrShutdown, "57P01", "terminating connection due to administrator command"},
		{errors.New("disk at 10.1.2.3 is full"), "XX000", "Unknown error."},
		{&engine.DialError{Target: "primary", Err: errors.New("dial 10.1.2.3: refused")}, "08001", "could not connect to the target primary"},
		{&engine.DialError{Target: "primary", Err: engine.ErrBackendClosed}, "08006", "The database closed the connection."},
		{&engine.ProtocolError{Side: engine.SideClient, Reason: "no such message"}, "08P01", "no such message"},
		{&engine.ProtocolError{Side: engine.SideBackend, Reason: "secret"}, "08006", "The database broke the protocol."},
	}
	for _, c := range cases {
		m := decodeError(t, e.render(nil, c.err, true))
		if m.Code != c.code || m.Message != c.message {
			t.Errorf("%v: %s %q, want %s %q", c.err, m.Code, m.Message, c.code, c.message)
		}
	}
}

func TestTheDatabasesOwnWordsReachTheClient(t *testing.T) {
	said := pgproto3.ErrorResponse{
		Severity: "FATALE", SeverityUnlocalized: "FATAL", Code: "3D000", Message: "la base n'existe pas",
		Detail: "d", Hint: "h", File: "postinit.c", Line: 948, Routine: "InitPostgres",
	}
	body, err := said.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	server := parseServerError(body[5:])
	if server.Code != said.Code || server.Message != said.Message {
		t.Errorf("read %+v", server)
	}
	dial := &engine.DialError{Target: "primary", Permanent: true, Err: server}
	got := decodeError(t, New(Config{}).render([]byte{}, dial, false))
	said.Severity, said.SeverityUnlocalized = "ERROR", "ERROR"
	want, err := said.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	if whole, err := got.Encode(nil); err != nil || !bytes.Equal(whole, want) {
		t.Errorf("got %q, want %q", whole, want)
	}
}

func TestABrokenErrorOfTheDatabaseIsStillAnError(t *testing.T) {
	for _, body := range []string{"", "\x00", "M", "Mno end", "C42P01\x00Mno terminator\x00", "Zunknown\x00\x00", "SERROR\x00VERROR\x00\x00", "\x00\x00\x00"} {
		server := parseServerError([]byte(body))
		if m := decodeError(t, New(Config{}).render(nil, server, true)); m.Code == "" || m.Message == "" {
			t.Errorf("%q became %+v", body, m)
		}
	}
}

func TestANULCannotSplitAMessage(t *testing.T) {
	m := decodeError(t, appendError([]byte{}, "ERROR", "XX000", "one\x00Ctwo"))
	if m.Message != "one" || m.Code != "XX000" {
		t.Errorf("got %+v", m)
	}
}

// FuzzServerError renders whatever a database may say as its error.
func FuzzServerError(f *testing.F) {
	f.Add([]byte("SFATAL\x00VFATAL\x00C57P01\x00Mbye\x00\x00"))
	f.Add([]byte("MM"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := New(Config{}).render([]byte("before"), parseServerError(body), true)
		p, ok := bytes.CutPrefix(p, []byte("before"))
		if !ok {
			t.Fatalf("%q", p)
		}
		m, err := pgproto3.NewFrontend(bytes.NewReader(p), nil).Receive()
		if e, ok := m.(*pgproto3.ErrorResponse); err != nil || !ok || e.Severity != "FATAL" {
			t.Fatalf("%q became %q: %v", body, p, err)
		}
	})
}
