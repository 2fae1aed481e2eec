package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// babbler is a client that has said all that it is going to say.
type babbler struct {
	net.Conn
	in  *bytes.Reader
	out int
}

func (b *babbler) Read(p []byte) (int, error)     { return b.in.Read(p) }
func (b *babbler) Write(p []byte) (int, error)    { b.out += len(p); return len(p), nil }
func (*babbler) Close() error                     { return nil }
func (*babbler) RemoteAddr() net.Addr             { return nil }
func (*babbler) SetDeadline(time.Time) error      { return nil }
func (*babbler) SetReadDeadline(time.Time) error  { return nil }
func (*babbler) SetWriteDeadline(time.Time) error { return nil }

// FuzzLogin feeds arbitrary bytes to whole logins, which ask for a password in each of the two ways: nobody gets in without it, and every
// answer is short.
func FuzzLogin(f *testing.F) {
	startup := func(code uint32, body string) []byte {
		out := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
		return append(binary.BigEndian.AppendUint32(out, code), body...)
	}
	first := startup(protocol30, "user\x00app\x00database\x00db\x00\x00")
	f.Add(append(bytes.Clone(first), "p\x00\x00\x00\x0apass\x00\x00"...), true)
	f.Add(append(bytes.Clone(first), "p\x00\x00\x00\x36SCRAM-SHA-256\x00\x00\x00\x00\x20n,,n=,r=rOprNGfwEbeRWgbNEkqO\x00"...), false)
	f.Add(append(startup(codeSSL, ""), first...), true)
	f.Add(startup(codeCancel, "\x00\x00\x00\x01key!"), false)
	f.Add([]byte("\x00\x00\x00\x04\x7f\xff\xff\xff"), false)
	f.Fuzz(func(t *testing.T, said []byte, hashed bool) {
		kind := "" // SCRAM
		if hashed {
			kind = authMD5
		}
		conn := &babbler{in: bytes.NewReader(said)}
		e := New(Config{Credentials: holder(kind)})
		a, err := e.Accept(context.Background(), socket.New(conn), engine.AcceptOptions{ID: 1})
		if err == nil && a.Cancel == nil || conn.out > 4<<10 {
			t.Fatalf("%v after %d bytes", err, conn.out)
		}
	})
}

// holder has a password for everybody.
type holder string

func (h holder) Credential(_ context.Context, user string) (engine.Credential, error) {
	return engine.Credential{User: user, Password: engine.NewSecret("a password that nobody guesses"), AuthType: string(h)}, nil
}

func (h holder) Any(ctx context.Context) (engine.Credential, error) { return h.Credential(ctx, "any") }
