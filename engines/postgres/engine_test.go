package postgres

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/core/engine"
)

func encode(t testing.TB, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var p []byte
	for _, m := range messages {
		var err error
		if p, err = m.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func idleBackend() *engine.Backend {
	return &engine.Backend{
		Key:   engine.Key{User: "alice", Database: "shop"},
		State: &backendState{params: []parameter{{"TimeZone", "GMT"}, {"in_hot_standby", "on"}}},
	}
}

func TestWhatAnIdleBackendReportsIsLearned(t *testing.T) {
	in := encode(t,
		&pgproto3.ParameterStatus{Name: "in_hot_standby", Value: "off"},
		&pgproto3.NoticeResponse{Severity: "WARNING", Message: "hello"},
		&pgproto3.ParameterStatus{Name: "new", Value: ""})
	want := []parameter{{"TimeZone", "GMT"}, {"in_hot_standby", "off"}, {"new", ""}}
	for step := 1; step <= len(in); step++ {
		e, b := New(Config{}), idleBackend()
		held := []byte{}
		for rest := in; len(rest) > 0; {
			n := min(step, len(rest))
			held, rest = append(held, rest[:n]...), rest[n:]
			consumed, err := e.Idle(b, held)
			if err != nil {
				t.Fatal(err)
			}
			held = held[consumed:]
		}
		known, ok := e.parameters(b.Key)
		if len(held) != 0 || !ok || !slices.Equal(known, want) {
			t.Fatalf("in steps of %d: %d bytes left, learned %v", step, len(held), known)
		}
		b.State.(*backendState).setParam("new", "other")
		if !slices.Equal(known, want) {
			t.Fatal("what was learned changes with the backend")
		}
	}
}

func TestAnIdleBackendThatEndsIsDoneFor(t *testing.T) {
	in := encode(t, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating connection due to administrator command"})
	_, err := New(Config{}).Idle(idleBackend(), in)
	var server *engine.ServerError
	if !errors.As(err, &server) || server.Code != "57P01" {
		t.Errorf("got %v", err)
	}
}

func TestAnythingElseOnAnIdleBackendIsAnError(t *testing.T) {
	for _, in := range []string{
		"Z\x00\x00\x00\x05I", "A", "\x00", "D\x00\x00\x00\x06\x00\x00",
		"S\x00\x00\x00\x03", "S\xff\xff\xff\xff", "N\x00\x01\x00\x00", // lengths
		"S\x00\x00\x00\x04", "S\x00\x00\x00\x06a\x00", "S\x00\x00\x00\x07a\x00b", "S\x00\x00\x00\x0aa\x00b\x00c\x00",
	} {
		var protocol *engine.ProtocolError
		if _, err := New(Config{}).Idle(idleBackend(), []byte(in)); !errors.As(err, &protocol) || protocol.Side != engine.SideBackend {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := New(Config{}).Idle(&engine.Backend{}, []byte("N")); err == nil {
		t.Error("a backend of another engine was taken")
	}
}

func FuzzIdle(f *testing.F) {
	f.Add(encode(f, &pgproto3.ParameterStatus{Name: "a", Value: "b"}, &pgproto3.NoticeResponse{}))
	f.Fuzz(func(t *testing.T, in []byte) {
		if n, _ := New(Config{}).Idle(idleBackend(), in); n < 0 || n > len(in) {
			t.Fatalf("consumed %d of %d", n, len(in))
		}
	})
}

func TestCachesAreBounded(t *testing.T) {
	e := New(Config{})
	for i := range 2 * maxParameterKeys {
		e.learn(engine.Key{User: fmt.Sprint(i)}, []parameter{{"a", "b"}})
	}
	if n := len(e.reported.entries); n != maxParameterKeys {
		t.Errorf("%d entries", n)
	}
	last := engine.Key{User: fmt.Sprint(2*maxParameterKeys - 1)}
	if _, ok := e.parameters(last); !ok {
		t.Error("the newest entry is not there")
	}
}

func TestGoodbyeIsTerminate(t *testing.T) {
	e := New(Config{})
	if string(e.Goodbye()) != "X\x00\x00\x00\x04" || e.Name() != "postgres" {
		t.Errorf("%q says %q", e.Name(), e.Goodbye())
	}
}
