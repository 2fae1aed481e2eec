package differential

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
	wire "github.com/go-mysql-org/go-mysql/packet"

	"github.com/berthdb/berth/integration/harness"
)

// myClient is a connection to MySQL or MariaDB.
type myClient struct {
	*wire.Conn
	conn         net.Conn
	id           uint32 // as the greeting says
	capabilities uint32 // agreed on
	maria        bool
	collation    byte
	statements   map[string]*myStatement
}

// myCapabilities are what sessions may ask for, by the words of their start-up.
var myCapabilities = map[string]uint32{
	"found_rows": protocol.CLIENT_FOUND_ROWS, "ignore_space": protocol.CLIENT_IGNORE_SPACE, "interactive": protocol.CLIENT_INTERACTIVE,
	"deprecate_eof": protocol.CLIENT_DEPRECATE_EOF, "session_track": protocol.CLIENT_SESSION_TRACK,
	"local_files": protocol.CLIENT_LOCAL_FILES, "query_attributes": protocol.CLIENT_QUERY_ATTRIBUTES,
}

// alwaysCapable is what every session asks for.
const alwaysCapable = protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION | protocol.CLIENT_LONG_PASSWORD |
	protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_PLUGIN_AUTH | protocol.CLIENT_LONG_FLAG | protocol.CLIENT_MULTI_STATEMENTS |
	protocol.CLIENT_MULTI_RESULTS | protocol.CLIENT_PS_MULTI_RESULTS

func (c *myClient) has(capability uint32) bool { return c.capabilities&capability != 0 }

// errEnded is that the other side has closed the connection. In which words that is noticed is a matter of time.
var errEnded = errors.New("closed")

func ended(err error) error {
	if timeout := net.Error(nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, errMalformed) {
		return err
	}
	return errEnded
}

// openMySQL logs in. The session's start-up has the number of a collation and words of myCapabilities.
func openMySQL(e harness.Endpoint, s *session, collation byte) (*myClient, string, error) {
	conn, err := net.DialTimeout("tcp", e.Address(), answerWithin)
	if err != nil {
		return nil, "", err
	}
	c := &myClient{
		Conn: wire.NewConn(conn), conn: conn, capabilities: alwaysCapable, collation: collation, statements: map[string]*myStatement{},
	}
	if n, err := strconv.Atoi(s.startup["collation"]); err == nil {
		c.collation = byte(n)
	}
	for _, word := range strings.Fields(s.startup["capabilities"]) {
		c.capabilities |= myCapabilities[word]
	}
	if s.login.Database != "" {
		c.capabilities |= protocol.CLIENT_CONNECT_WITH_DB
	}
	greeting, err := c.login(s.login)
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, greeting, ended(err)
	}
	return c, greeting, nil
}

func (c *myClient) close() {
	c.ResetSequence()
	_ = c.WritePacket([]byte{0, 0, 0, 0, protocol.COM_QUIT}) // it may be gone
	_ = c.conn.Close()
}

// login is the exchange up to the OK, which it renders.
func (c *myClient) login(l harness.Login) (string, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	p, err := c.ReadPacket()
	if err != nil {
		return "", err
	}
	if p[0] == 0xff {
		return fmt.Sprintf("ERR %q\n", p[1:]), errEnded
	}
	plugin, salt, err := c.greeted(p)
	if err != nil {
		return "", err
	}
	proof := proofOf(plugin, salt, l.Password)
	b := binary.LittleEndian.AppendUint32(make([]byte, 4), c.capabilities)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	b = append(append(b, c.collation), make([]byte, 23)...)
	b = append(append(b, l.User...), 0)
	b = append(append(b, byte(len(proof))), proof...)
	if l.Database != "" {
		b = append(append(b, l.Database...), 0)
	}
	if err := c.WritePacket(append(append(b, plugin...), 0)); err != nil {
		return "", err
	}
	a := myAnswer{client: c, places: true}
	denied, err := a.authenticated(salt, l.Password)
	if err == nil && denied {
		err = errEnded
	}
	return a.text.String(), err
}

// greeted reads the greeting (section "Protocol::HandshakeV10").
func (c *myClient) greeted(p []byte) (plugin string, salt []byte, err error) {
	version := bytes.IndexByte(p, 0)
	const fixed = 4 + 9 + 2 + 1 + 2 + 2 + 1 + 10
	if version < 0 || len(p) < version+1+fixed+13 {
		return "", nil, errMalformed
	}
	c.maria = bytes.Contains(p[:version], []byte("MariaDB"))
	p = p[version+1:]
	c.id = binary.LittleEndian.Uint32(p)
	offered := uint32(binary.LittleEndian.Uint16(p[13:])) | uint32(binary.LittleEndian.Uint16(p[18:]))<<16
	c.capabilities &= offered | protocol.CLIENT_LONG_PASSWORD // which MariaDB does not offer
	if offered&protocol.CLIENT_LONG_PASSWORD == 0 {
		c.capabilities &^= protocol.CLIENT_LONG_PASSWORD
	}
	salt = append(append(salt, p[4:12]...), p[fixed:fixed+12]...)
	name, _, _ := bytes.Cut(p[fixed+13:], []byte{0})
	return string(name), salt, nil
}

func proofOf(plugin string, salt []byte, password string) []byte {
	if plugin == protocol.AUTH_NATIVE_PASSWORD {
		return protocol.CalcNativePassword(salt, []byte(password))
	}
	return protocol.CalcCachingSha2Password(salt, []byte(password))
}

// changeUser is the body of a COM_CHANGE_USER. Its proof is of no use, so that the server asks for another one.
func (c *myClient) changeUser(l harness.Login) []byte {
	b := append([]byte(l.User), 0, 0)
	b = append(append(b, l.Database...), 0, c.collation, 0)
	return append(append(b, "mysql_clear_password"...), 0)
}

// authenticated goes on until the server has decided, and renders what it says then.
func (a *myAnswer) authenticated(salt []byte, password string) (denied bool, err error) {
	c := a.client
	for {
		p, err := c.ReadPacket()
		if err != nil {
			return false, err
		}
		var reply []byte
		switch {
		case p[0] == 0xff:
			a.failed(p)
			return true, nil
		case p[0] == 0:
			if c.maria && len(p) > 6 { // it counts what the connection's thread had of the one before
				p[5], p[6] = 0, 0
			}
			_, err := a.okay(p)
			return false, err
		case p[0] == 0xfe: // AuthSwitchRequest
			plugin, rest, ok := bytes.Cut(p[1:], []byte{0})
			if !ok || len(rest) < 20 {
				return false, errMalformed
			}
			salt = bytes.Clone(rest[:20])
			reply = proofOf(string(plugin), salt, password)
		case bytes.Equal(p, []byte{1, 3}): // the proof is good, and an OK follows
			continue
		case bytes.Equal(p, []byte{1, 4}): // the password itself, please
			reply = []byte{2}
		default:
			block, _ := pem.Decode(p[1:])
			if block == nil {
				return false, errMalformed
			}
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return false, err
			}
			public, ok := key.(*rsa.PublicKey)
			if !ok {
				return false, errMalformed
			}
			if reply, err = protocol.EncryptPassword(password, salt, public); err != nil {
				return false, err
			}
		}
		if err := c.WritePacket(append(make([]byte, 4), reply...)); err != nil {
			return false, err
		}
	}
}
