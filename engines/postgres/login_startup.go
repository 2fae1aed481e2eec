package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Request codes that stand where a start-up packet has its protocol version (54.7).
const (
	codeCancel uint32 = 1234<<16 | 5678
	codeSSL    uint32 = 1234<<16 | 5679
	codeGSS    uint32 = 1234<<16 | 5680
)

// maxStartupPacket is PostgreSQL's MAX_STARTUP_PACKET_LENGTH, which does not count the length word.
const maxStartupPacket = 10000

// startupPacket is a message without a type byte, as only the first ones of a connection are.
type startupPacket struct {
	code uint32 // protocol version or request code
	body []byte
}

func (l *login) readStartupPacket() (startupPacket, error) {
	var length [4]byte
	if _, err := io.ReadFull(l.c, length[:]); err != nil {
		return startupPacket{}, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n < 8 || n-4 > maxStartupPacket {
		// Whoever sends that does not speak the protocol, or ends before it has begun to, as node-postgres does by a Terminate;
		// PostgreSQL answers nothing, too (backend_startup.c ProcessStartupPacket).
		return startupPacket{}, silent{clientError("invalid length of startup packet")}
	}
	packet := make([]byte, n-4)
	if _, err := io.ReadFull(l.c, packet); err != nil {
		return startupPacket{}, err
	}
	return startupPacket{binary.BigEndian.Uint32(packet), packet[4:]}, nil
}

// negotiate answers requests for encryption until the client sends something else (54.2.10, 54.2.11). Each may be asked for
// once, as in PostgreSQL, so that a client cannot keep a login busy with them; what it sends behind an SSLRequest in clear is
// read by TLS, which takes it for a broken handshake.
func (l *login) negotiate(ctx context.Context) (startupPacket, error) {
	for {
		packet, err := l.readStartupPacket()
		if err != nil {
			return packet, err
		}
		switch packet.code {
		case codeSSL:
			if len(packet.body) != 0 {
				return packet, clientError("invalid length of startup packet")
			}
			if l.sslDone {
				return packet, clientError("SSL was requested twice")
			}
			l.sslDone = true
			if err := l.answerSSL(ctx); err != nil {
				return packet, err
			}
		case codeGSS:
			if len(packet.body) != 0 {
				return packet, clientError("invalid length of startup packet")
			}
			if l.gssDone {
				return packet, clientError("GSSAPI encryption was requested twice")
			}
			l.gssDone = true
			if _, err := l.c.Write([]byte{'N'}); err != nil {
				return packet, silent{err}
			}
		default:
			return packet, nil
		}
	}
}

// parseCancel reads the body of a CancelRequest: a process id and a key, of 4 bytes or (protocol 3.2) up to 256. A client
// gets no answer to it, not even if it is malformed (54.2.8).
func parseCancel(body []byte) (*engine.CancelRequest, error) {
	if len(body) < 4+minCancelKey || len(body) > 4+maxCancelKey {
		return nil, silent{clientError("invalid length of cancel request packet")}
	}
	return &engine.CancelRequest{ID: binary.BigEndian.Uint32(body), Secret: body[4:]}, nil
}

// Bounds of a cancel key (54.7, BackendKeyData).
const (
	minCancelKey = 4
	maxCancelKey = 256
)

// startup is what a StartupMessage says.
type startup struct {
	user, database string
	// settings are the other parameters, in canonical form: sorted by name, names in lower case.
	settings []parameter
}

// startup reads a StartupMessage, and agrees on a protocol version. It queues the NegotiateProtocolVersion that is due if
// the client asked for more than there is (54.2.1).
func (l *login) startup(packet startupPacket) (startup, error) {
	if packet.code>>16 != 3 {
		return startup{}, &refusal{codeNotSupported, fmt.Sprintf(
			"unsupported frontend protocol %d.%d: server supports 3.0 to 3.2", packet.code>>16, packet.code&0xffff)}
	}
	l.protocol = protocol30
	if packet.code >= protocol32 {
		l.protocol = protocol32
	}
	params, err := parseParameters(packet.body)
	if err != nil {
		return startup{}, err
	}
	s, unknown, err := sortParameters(params)
	if err != nil {
		return startup{}, err
	}
	if packet.code > protocol32 || len(unknown) > 0 {
		l.out = appendNegotiate(l.out, l.protocol, unknown)
	}
	return s, nil
}

// parseParameters reads names and values up to the empty name that ends them, which must be the packet's last byte.
func parseParameters(body []byte) ([]parameter, error) {
	var params []parameter
	seen := make(map[string]bool)
	for {
		n := bytes.IndexByte(body, 0)
		if n == 0 && len(body) == 1 {
			return params, nil
		}
		if n <= 0 {
			return nil, clientError("invalid startup packet layout: expected terminator as last byte")
		}
		name := string(body[:n])
		body = body[n+1:]
		v := bytes.IndexByte(body, 0)
		if v < 0 {
			return nil, clientError("invalid startup packet layout: expected terminator as last byte")
		}
		if canonical := canonicalName(name); seen[canonical] {
			return nil, clientError(fmt.Sprintf("invalid startup packet layout: parameter %q is given twice", name))
		} else {
			seen[canonical] = true
		}
		params = append(params, parameter{name, string(body[:v])})
		body = body[v+1:]
	}
}

// sortParameters tells the parameters that have a meaning of their own from settings, and from protocol options that
// nobody knows (54.7, StartupMessage).
func sortParameters(params []parameter) (s startup, unknown []string, err error) {
	for _, p := range params {
		switch {
		case p.name == "user":
			s.user = p.value
		case p.name == "database":
			s.database = p.value
		case p.name == "replication":
			if err := checkReplication(p.value); err != nil {
				return s, nil, err
			}
		case strings.HasPrefix(p.name, "_pq_."):
			unknown = append(unknown, p.name)
		default:
			s.settings = append(s.settings, parameter{canonicalName(p.name), p.value})
		}
	}
	if s.user == "" {
		return s, nil, &refusal{codeInvalidAuth,
			"A user name is missing from the connection startup packet. Provide a user name for this connection."}
	}
	if s.database == "" {
		s.database = s.user
	}
	slices.SortFunc(s.settings, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	return s, unknown, nil
}

// canonicalName folds the names of settings as PostgreSQL compares them (guc_name_compare: ASCII letters only). A name that
// would turn into one with another meaning stays as it is, for the server to judge.
func canonicalName(name string) string {
	folded := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
	switch folded {
	case "user", "database", "options", "replication":
		return name
	}
	if strings.HasPrefix(folded, "_pq_.") || len(folded) != len(name) { // not UTF-8: Map changed more than case
		return name
	}
	return folded
}

// checkReplication lets pass what asks for an ordinary session. The value is a boolean as PostgreSQL's parse_bool reads it, or
// "database" (54.2.1).
func checkReplication(value string) error {
	unsupported := &refusal{codeNotSupported,
		"Feature not supported: RDS Proxy currently doesn't support streaming replication mode."}
	if value == "database" {
		return unsupported
	}
	on, ok := parseBool(value)
	if !ok {
		return &refusal{codeInvalidValue, fmt.Sprintf("invalid value for parameter \"replication\": \"%s\"", value)}
	}
	if on {
		return unsupported
	}
	return nil
}

// parseBool reads a boolean as PostgreSQL's parse_bool does: any unique prefix of true, false, yes, no, on, off, or 1 or 0.
func parseBool(value string) (on, ok bool) {
	value = strings.ToLower(value)
	switch {
	case value == "":
		return false, false
	case value == "1", value == "on", strings.HasPrefix("true", value), strings.HasPrefix("yes", value):
		return true, true
	case value == "0", len(value) > 1 && strings.HasPrefix("off", value),
		strings.HasPrefix("false", value), strings.HasPrefix("no", value):
		return false, true
	}
	return false, false
}

// appendNegotiate appends a NegotiateProtocolVersion (54.7): the newest version there is, as PostgreSQL writes it with its
// major number, and the options that are not known.
func appendNegotiate(dst []byte, version uint32, unknown []string) []byte {
	start := len(dst)
	dst = append(dst, 'v', 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(unknown)))
	for _, name := range unknown {
		dst = appendString(dst, name)
	}
	return endMessage(dst, start)
}

// application is the client's application_name.
func (s startup) application() string {
	for _, p := range s.settings {
		if p.name == applicationName {
			return p.value
		}
	}
	return ""
}

// key is what a session that starts like this needs of a backend. The application's name is no part of it where it can be
// restored, so that clients of several names share backends.
func (s startup) key() engine.Key {
	settings := s.settings
	if s.named() {
		settings = slices.DeleteFunc(slices.Clone(settings), func(p parameter) bool { return p.name == applicationName })
	}
	return engine.Key{User: s.user, Database: s.database, Options: encodeOptions(settings)}
}

const applicationName = "application_name"

// named says that the session has an application's name that can be restored. The server replaces what is not printable ASCII
// (20.8 application_name), and cuts names at 63 bytes.
func (s startup) named() bool {
	name := s.application()
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	_, ok := settingSQL(applicationName, name)
	return ok && name != "" && len(name) < maxWord
}

// encodeOptions writes settings as a start-up packet does. No name or value contains a NUL.
func encodeOptions(settings []parameter) string {
	var b strings.Builder
	for _, p := range settings {
		b.WriteString(p.name)
		b.WriteByte(0)
		b.WriteString(p.value)
		b.WriteByte(0)
	}
	return b.String()
}

// decodeOptions is encodeOptions' inverse, into the form that the library which logs in wants. What has no name is Berth's (changedLogins).
func decodeOptions(options string) map[string]string {
	settings := make(map[string]string)
	for options != "" {
		name, rest, _ := strings.Cut(options, "\x00")
		value, rest, _ := strings.Cut(rest, "\x00")
		if name != "" {
			settings[name] = value
		}
		options = rest
	}
	return settings
}
