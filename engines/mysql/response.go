package mysql

import (
	"encoding/binary"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// offered are the capabilities that clients may ask for: what the machine can convert, or what the key carries. A
// client that needs compression, or expired passwords, finds that the server lacks it.
const offered = protocol.CLIENT_FOUND_ROWS | protocol.CLIENT_LONG_FLAG | protocol.CLIENT_CONNECT_WITH_DB |
	protocol.CLIENT_LOCAL_FILES | protocol.CLIENT_IGNORE_SPACE | protocol.CLIENT_PROTOCOL_41 |
	protocol.CLIENT_INTERACTIVE | protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_SECURE_CONNECTION |
	protocol.CLIENT_MULTI_STATEMENTS | protocol.CLIENT_MULTI_RESULTS | protocol.CLIENT_PS_MULTI_RESULTS |
	protocol.CLIENT_PLUGIN_AUTH | protocol.CLIENT_CONNECT_ATTRS | protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA |
	protocol.CLIENT_SESSION_TRACK | protocol.CLIENT_DEPRECATE_EOF

// offers returns the capabilities of a greeting. LONG_PASSWORD is CLIENT_MYSQL to MariaDB's clients: without it they
// read their extended capabilities from the filler.
func (s *serverInfo) offers(tls bool) uint32 {
	caps := offered
	if s.mariaDB {
		caps |= s.capabilities & extendedCapabilities
	} else {
		caps |= protocol.CLIENT_LONG_PASSWORD | s.capabilities&protocol.CLIENT_QUERY_ATTRIBUTES
	}
	if tls {
		caps |= protocol.CLIENT_SSL
	}
	return caps
}

// statusAutocommit is SERVER_STATUS_AUTOCOMMIT: what every fresh session has.
const statusAutocommit = protocol.SERVER_STATUS_AUTOCOMMIT

// greeting is the payload of a Protocol::HandshakeV10.
func greeting(s *serverInfo, id uint32, caps uint32, salt []byte) []byte {
	p := append([]byte{protocolVersion}, s.version...)
	p = append(p, 0)
	p = binary.LittleEndian.AppendUint32(p, id)
	p = append(p, salt[:8]...)
	p = append(p, 0)
	p = binary.LittleEndian.AppendUint16(p, uint16(caps))
	p = append(p, s.charset)
	p = binary.LittleEndian.AppendUint16(p, statusAutocommit)
	p = binary.LittleEndian.AppendUint16(p, uint16(caps&^extendedCapabilities>>16))
	p = append(p, saltSize+1)
	p = append(p, make([]byte, 6)...)
	p = appendExtended(p, caps)
	p = append(p, salt[8:]...)
	p = append(p, 0)
	p = append(p, defaultMethod(s).plugin()...)
	return append(p, 0)
}

const (
	protocolVersion = 10
	// sslRequestSize is the length of an SSLRequest, which is the fixed beginning of a response.
	sslRequestSize = 4 + 4 + 1 + 23
	// maxUser bounds a user's name. Servers have at most 128 characters; longer ones are denied like unknown ones.
	maxUser = 512
	// maxAttributes is how much of connection attributes a server keeps; more is read and forgotten.
	maxAttributes = 64 << 10
	// maxApplication bounds what is kept of program_name.
	maxApplication = 128
)

// response is a client's Protocol::HandshakeResponse41.
type response struct {
	capabilities uint32 // the client's and ours
	charset      byte
	user         string
	proof        []byte
	database     string
	plugin       string
	application  string
}

// parseResponse takes a response apart. offered is what the greeting had.
func parseResponse(payload []byte, offered uint32) (response, error) {
	f := fields{rest: payload}
	r := response{capabilities: f.uint32()}
	f.uint32() // the longest packet that the client wants
	r.charset = f.uint8()
	f.bytes(19)
	r.capabilities = withExtended(r.capabilities, f.uint32()) & offered
	r.user = string(f.terminated())
	switch {
	case r.has(protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA):
		r.proof = f.text()
	default:
		r.proof = f.bytes(int(f.uint8()))
	}
	if r.has(protocol.CLIENT_CONNECT_WITH_DB) {
		r.database = string(f.lastTerminated())
	}
	if r.has(protocol.CLIENT_PLUGIN_AUTH) {
		r.plugin = string(f.lastTerminated())
	}
	if r.has(protocol.CLIENT_CONNECT_ATTRS) && len(f.rest) > 0 {
		r.application = parseAttributes(&f)
	}
	if f.bad {
		return response{}, errBadHandshake("truncated handshake response")
	}
	// A server gives who may send several statements their several results.
	if r.has(protocol.CLIENT_MULTI_STATEMENTS) {
		r.capabilities |= protocol.CLIENT_MULTI_RESULTS
	}
	return r, nil
}

func (r *response) has(flag uint32) bool { return r.capabilities&flag != 0 }

// parseAttributes reads connection attributes and returns the application's name.
func parseAttributes(f *fields) (application string) {
	all := fields{rest: f.text()}
	if len(all.rest) > maxAttributes {
		return ""
	}
	for len(all.rest) > 0 && !all.bad {
		key, value := all.text(), all.text()
		if string(key) == "program_name" {
			application = string(value[:min(len(value), maxApplication)])
		}
	}
	f.bad = f.bad || all.bad
	return application
}
