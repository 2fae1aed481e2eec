package mysql

import (
	"bytes"
	"context"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// store counts who asks, and answers when the context has ended if it is slow.
type store struct {
	accounts
	slow  bool
	asked int
}

func (s *store) Credential(ctx context.Context, user string) (engine.Credential, error) {
	s.asked++
	if s.slow {
		<-ctx.Done()
		return engine.Credential{}, ctx.Err()
	}
	return s.accounts.Credential(ctx, user)
}

// changes is a COM_CHANGE_USER with a proof that is right.
func changes(r *rig, user string) []byte {
	proof := protocol.CalcNativePassword(r.m.info.salt[:], []byte(password))
	return pack(0, string(changePacket(user, proof, "", 45, protocol.AUTH_NATIVE_PASSWORD)))
}

// changing is a rig whose client has just sent a COM_CHANGE_USER, and more behind it.
func changing(t *testing.T, c engine.Credentials, behind []byte) *rig {
	r := newRig(t, modernClient)
	r.m.e.credentials = c
	r.m.info.salt = [saltSize]byte(fakeSalt)
	r.send(append(changes(r, "app"), behind...))
	if r.aside == nil || len(r.client) > 0 || len(r.backend) > 0 {
		t.Fatalf("aside: %v; the client got %q, the backend %q", r.aside != nil, r.client, r.backend)
	}
	return r
}

func TestWhoChangesToIsAskedForAsideAndWhatComesBehindWaits(t *testing.T) {
	s := &store{accounts: users(native)}
	r := changing(t, s, query("SELECT 1"))
	if s.asked != 0 {
		t.Fatal("the store was asked on the loop")
	}
	if n, err := r.m.FromClient(query("SELECT 2"), r.wire); n != 0 || err != nil {
		t.Fatalf("%d bytes consumed meanwhile, %v", n, err)
	}
	r.finish(t.Context())
	if s.asked != 1 || len(r.client) < 8 || r.client[3] != 1 || r.client[headerSize] != okHeader {
		t.Errorf("asked %d times; the client got %q", s.asked, r.client)
	}
	if !bytes.Equal(r.backend, query("SELECT 1")) {
		t.Errorf("the backend got %q", r.backend)
	}
}

func TestAChangeOfUserEndsWithTheProtocolsErrorWhereNobodyCanSay(t *testing.T) {
	for name, c := range map[string]struct {
		store  engine.Credentials
		number uint16
	}{
		"a store that fails": {failing{}, protocol.ER_UNKNOWN_ERROR},
		"a slow store":       {&store{slow: true}, protocol.ER_NET_READ_INTERRUPTED},
	} {
		r := changing(t, c.store, nil)
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		r.finish(ctx)
		stop()
		if len(r.client) < headerSize || r.client[3] != 1 || !r.closed {
			t.Fatalf("%s: closed %v; the client got %q", name, r.closed, r.client)
		}
		if got := parseERR(r.client[headerSize:]); got.Number != c.number || bytes.Contains(r.client, []byte("192.0.2.7")) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhatWasFoundIsNobodysWhenTheSessionIsOver(t *testing.T) {
	r := newRig(t, modernClient)
	r.m.info.salt = [saltSize]byte(fakeSalt)
	r.ask(query("BEGIN"), query("BEGIN"), reply(beginMySQL))
	r.client = nil
	r.send(changes(r, "app"))
	r.m.BackendLost(engine.ErrBackendClosed, r.wire)
	if !r.closed {
		t.Fatal("the session went on without its backend")
	}
	told := len(r.client)
	r.aside(t.Context())(r.wire)
	if len(r.client) != told || len(r.became) > 0 {
		t.Errorf("the client got %q, the session became %q", r.client[told:], r.became)
	}
}

func TestAChangeOfUserWhoseBackendIsLostIsAnsweredInOrder(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply(inTransaction))
	r.m.info.salt = [saltSize]byte(fakeSalt)
	r.client = nil
	r.send(changes(r, "app"))
	r.held = nil
	r.m.BackendLost(engine.ErrBackendClosed, r.wire)
	if len(r.client) < 5 || r.client[3] != 1 || r.client[4] != errHeader || !r.closed {
		t.Errorf("client got %q", r.client)
	}
}
