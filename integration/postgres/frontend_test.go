package postgres

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// answerWithin bounds the wait for an answer that may never come.
const answerWithin = 30 * time.Second

// raw sends and receives single messages.
type raw struct {
	t        *testing.T
	conn     net.Conn
	protocol *pgproto3.Frontend
	pid      uint32
}

// frontend takes over a connection.
func frontend(t *testing.T, c *pgconn.PgConn) *raw {
	t.Helper()
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Conn.Close() })
	return &raw{t, h.Conn, h.Frontend, h.PID}
}

func (f *raw) send(messages ...pgproto3.FrontendMessage) {
	f.t.Helper()
	for _, m := range messages {
		f.protocol.Send(m)
	}
	if err := f.protocol.Flush(); err != nil {
		f.t.Fatal(err)
	}
}

// receive reads one message and returns its type, and of some what is in it, as in "D(1)" or "E(42601)".
func (f *raw) receive() string {
	f.t.Helper()
	if err := f.conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
		f.t.Fatal(err)
	}
	m, err := f.protocol.Receive()
	if err != nil {
		f.t.Fatalf("no answer: %v", err)
	}
	return summary(m)
}

func summary(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.DataRow:
		fields := make([]string, len(m.Values))
		for i, v := range m.Values {
			fields[i] = string(v)
		}
		return "D(" + strings.Join(fields, "|") + ")"
	case *pgproto3.CommandComplete:
		return "C(" + string(m.CommandTag) + ")"
	case *pgproto3.ErrorResponse:
		return "E(" + m.Code + ")"
	case *pgproto3.ReadyForQuery:
		return "Z(" + string(m.TxStatus) + ")"
	case *pgproto3.FunctionCallResponse:
		return "V(" + string(m.Result) + ")"
	case *pgproto3.NoticeResponse:
		return "N(" + m.Code + ")"
	case *pgproto3.ParameterStatus:
		return "S(" + m.Name + ")"
	}
	if kind, ok := kinds[fmt.Sprintf("%T", m)]; ok {
		return kind
	}
	return fmt.Sprintf("%T", m)
}

// kinds are the type bytes of messages whose contents matter to no test.
var kinds = map[string]string{
	"*pgproto3.RowDescription": "T", "*pgproto3.ParseComplete": "1", "*pgproto3.BindComplete": "2",
	"*pgproto3.CloseComplete": "3", "*pgproto3.NoData": "n", "*pgproto3.ParameterDescription": "t",
	"*pgproto3.PortalSuspended": "s", "*pgproto3.EmptyQueryResponse": "I", "*pgproto3.CopyInResponse": "G",
	"*pgproto3.CopyOutResponse": "H", "*pgproto3.CopyData": "d", "*pgproto3.CopyDone": "c",
}

// expect reads as many messages as want has and fails the test unless they are these.
func (f *raw) expect(want string) {
	f.t.Helper()
	var got []string
	for range fields(want) {
		got = append(got, f.receive())
	}
	if s := strings.Join(got, " "); s != want {
		f.t.Fatalf("got  %s\nwant %s", s, want)
	}
}

// fields cuts at blanks outside of parentheses.
func fields(s string) (parts []string) {
	depth, from := 0, 0
	for i, c := range s + " " {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ' ' && depth == 0:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return parts
}

// untilReady reads up to ReadyForQuery.
func (f *raw) untilReady() string {
	f.t.Helper()
	var got []string
	for {
		m := f.receive()
		if got = append(got, m); strings.HasPrefix(m, "Z") {
			return strings.Join(got, " ")
		}
	}
}

// gone waits until the peer closes the connection and returns what it sent before.
func (f *raw) gone() string {
	f.t.Helper()
	var got []string
	_ = f.conn.SetReadDeadline(time.Now().Add(answerWithin))
	for {
		m, err := f.protocol.Receive()
		if err != nil {
			var e net.Error
			if errors.As(err, &e) && e.Timeout() {
				f.t.Errorf("the connection is still open, after %v", got)
			}
			return strings.Join(got, " ")
		}
		got = append(got, summary(m))
	}
}
