package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/core/engine"
)

// connectionTemplate makes configurations of the library that logs in. The library insists on parsing them from a string,
// the environment and files in the home directory: the string names everything that could come in that way. Runtime
// parameters are replaced afterwards.
type connectionTemplate struct {
	once   sync.Once
	parsed *pgconn.Config
	err    error
}

const templateString = "host=localhost port=5432 user=unset password=unset dbname=unset passfile='' " +
	"sslmode=disable sslnegotiation=postgres sslcertmode=allow sslcert='' sslkey='' sslrootcert='' sslpassword='' sslsni=1 " +
	"connect_timeout=0 target_session_attrs=any channel_binding=prefer require_auth='' " +
	"min_protocol_version=3.0 max_protocol_version=3.2"

// maxLoginMessage bounds what a server may send in one message during a login or probe.
const maxLoginMessage = 1 << 20

func (t *connectionTemplate) config() (*pgconn.Config, error) {
	t.once.Do(func() { t.parsed, t.err = parseTemplate() })
	if t.err != nil {
		return nil, t.err
	}
	return t.parsed.Copy(), nil
}

func parseTemplate() (*pgconn.Config, error) {
	text := templateString
	if os.Getenv("PGSERVICE") != "" {
		// A service cannot be unnamed, only be another one: an empty one, in a file that is a pipe.
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		_, err = w.WriteString("[berth]\n")
		if err := errors.Join(err, w.Close()); err != nil {
			return nil, err
		}
		text += fmt.Sprintf(" service=berth servicefile=/dev/fd/%d", r.Fd())
	}
	c, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.MaxProtocolMessageBodyLen = maxLoginMessage
	return c, nil
}

// tap stands between a connection and the library. It lets the library read one message at a time, so that nothing
// stays in the library's buffer when the connection is handed over, and keeps what the library does not keep as it was:
// reported parameters in order, and the last ErrorResponse. And it refuses to hear a server that wants a password in clear
// over a connection in clear, where everybody on the way could read it.
type tap struct {
	r         io.Reader
	encrypted bool
	header    [5]byte
	have      int    // bytes of header read
	given     int    // bytes of header passed on
	left      uint32 // bytes of the body still to be read
	keep      []byte // the body, as far as it is wanted
	kept      bool   // whether it is wanted
	params    []parameter
	failure   *engine.ServerError
	onSASL    func() // called before the library sees that the server wants SASL
}

func (t *tap) frontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	t.r = r
	return pgproto3.NewFrontend(t, w)
}

// Read implements io.Reader.
func (t *tap) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if t.given == len(t.header) && t.left == 0 {
		t.have, t.given = 0, 0
	}
	for t.have < len(t.header) {
		n, err := t.r.Read(t.header[t.have:])
		t.have += n
		if err != nil {
			return 0, err
		}
		if t.have == len(t.header) {
			if err := t.begin(); err != nil {
				return 0, err
			}
		}
	}
	if t.given < len(t.header) {
		n := copy(p, t.header[t.given:])
		t.given += n
		return n, nil
	}
	n, err := t.r.Read(p[:min(uint64(len(p)), uint64(t.left))])
	t.left -= uint32(n)
	if t.kept {
		t.keep = append(t.keep, p[:n]...)
		if t.left == 0 {
			if err := t.end(); err != nil {
				return 0, err
			}
		}
	}
	return n, err
}

// begin looks at a header.
func (t *tap) begin() error {
	length := binary.BigEndian.Uint32(t.header[1:])
	if length < 4 || length-4 > maxLoginMessage {
		return idleProtocolError(fmt.Sprintf("message %q with length %d during login", t.header[0], length))
	}
	t.left = length - 4
	t.keep = t.keep[:0]
	t.kept = t.header[0] == 'S' || t.header[0] == 'E' || t.header[0] == 'R'
	return nil
}

// end looks at a whole message that was wanted.
func (t *tap) end() error {
	switch t.header[0] {
	case 'S':
		if name, value, ok := parseParameterStatus(t.keep); ok {
			t.params = append(t.params, parameter{name, value})
		}
	case 'E':
		t.failure = parseServerError(t.keep)
	case 'R':
		return t.authentication()
	}
	return nil
}

// authentication looks at an authentication request.
func (t *tap) authentication() error {
	if len(t.keep) < 4 {
		return nil // for the library to refuse
	}
	switch binary.BigEndian.Uint32(t.keep) {
	case authCleartextPassword:
		if !t.encrypted {
			return &mismatch{errors.New("the server asks for the password in clear, without TLS")}
		}
	case authSASL:
		if t.onSASL != nil {
			t.onSASL()
		}
	}
	return nil
}
