package hostile

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

var mysqlAttacks = []attack{
	{"connections that say nothing", 1000, 32 * mega, greeted(nil)},
	{"logins byte by byte", 200, 16 * mega, slowlyMy},
	{"logins of 16 MiB", 100, 16 * mega, greeted(append([]byte{0xff, 0xff, 0xff, 1}, make([]byte, mega)...))},
	{"logins with lengths that lie", 200, 16 * mega, greeted(lyingLogin())},
	{"bytes behind the request for TLS", 100, 16 * mega, injectedMy},
	{"garbage for TLS", 200, 16 * mega, greeted(append(sslPacket(), append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)...))},
	{"queries announced with 16 MiB", 50, 16 * mega, func(e harness.Endpoint) error {
		return sends(e, append([]byte{0xff, 0xff, 0xff, 0, 3}, strings.Repeat("select 1 -- ", 1<<14)...))
	}},
	{"statements announced with 16 MiB", 50, 16 * mega, func(e harness.Endpoint) error {
		return sends(e, append([]byte{0xff, 0xff, 0xff, 0, 22}, strings.Repeat("select 1 -- ", 1<<14)...))
	}},
	{"empty packets, and numbers out of order", 50, 16 * mega, func(e harness.Endpoint) error {
		return sends(e, append(make([]byte, 4), 5, 0, 0, 7, 3, 'd', 'o', ' ', '1'))
	}},
	{"compressed packets that nobody agreed on", 50, 16 * mega, func(e harness.Endpoint) error {
		return sends(e, append([]byte{0x10, 0, 0, 0, 0xff, 0xff, 0xff}, make([]byte, 0x10)...))
	}},
	{"a pipeline whose answers nobody reads", 3, 32 * mega, pipelineMy},
	{"100000 prepared statements", 1, 64 * mega, statementsMy},
	{"executions that lie", 50, 16 * mega, executionsMy},
	{"a statement of 60 MiB", 3, 32 * mega, longMy},
}

// greeted reads the greeting, says something, and waits until that is enough for the proxy.
func greeted(what []byte) func(harness.Endpoint) error {
	return func(e harness.Endpoint) error {
		c, err := greet(e)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write(what); err != nil {
			return nil
		}
		return untilClosed(c)
	}
}

func greet(e harness.Endpoint) (net.Conn, error) {
	c, err := dial(e)
	if err != nil {
		return nil, err
	}
	_, err = packet(c)
	return c, err
}

// packet reads one.
func packet(c net.Conn) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(c, body)
	return body, err
}

// framed is a packet with its head.
func framed(sequence byte, body []byte) []byte {
	n := len(body)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, body...)
}

const (
	capabilities   = 1<<0 | 1<<3 | 1<<9 | 1<<15 | 1<<19 | 1<<20 | 1<<21 // with a database, a plugin's name, attributes
	capabilitySSL  = 1 << 11
	charsetUTF8MB4 = 45
)

// loginHead is the fixed part of a login (section "Protocol::HandshakeResponse41").
func loginHead(flags uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	return append(append(b, charsetUTF8MB4), make([]byte, 23)...)
}

func sslPacket() []byte { return framed(1, loginHead(capabilities|capabilitySSL)) }

// lyingLogin says that its answer to the challenge, and its attributes, are longer than anything.
func lyingLogin() []byte {
	b := append(loginHead(capabilities), "app\x00"...)
	b = append(b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
	b = append(b, "app\x00mysql_native_password\x00"...)
	return framed(1, append(b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
}

func slowlyMy(e harness.Endpoint) error {
	c, err := greet(e)
	if err != nil {
		return err
	}
	defer c.Close()
	return drip(c, framed(1, append(loginHead(capabilities), make([]byte, 1000)...)))
}

// injectedMy puts a login in clear behind the request for TLS: nothing of it may count.
func injectedMy(e harness.Endpoint) error {
	c, err := greet(e)
	if err != nil {
		return err
	}
	defer c.Close()
	login := append(append(loginHead(capabilities), "app\x00\x00app\x00mysql_native_password\x00"...), 0)
	if _, err := c.Write(append(sslPacket(), framed(2, login)...)); err != nil {
		return nil
	}
	answer, _ := io.ReadAll(c)
	if len(answer) > 4 && (answer[4] == 0 || answer[4] == 0xfe) {
		return fmt.Errorf("what was in clear behind the request for TLS was answered: %q", answer)
	}
	return nil
}

// loggedInMy is a connection behind its login.
func loggedInMy(e harness.Endpoint) (net.Conn, func(), error) {
	cfg, err := e.GoMySQL(harness.App().InClear())
	if err != nil {
		return nil, nil, err
	}
	cfg.AllowNativePasswords, cfg.AllowCleartextPasswords = true, false
	var raw net.Conn
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		var err error
		raw, err = d.DialContext(ctx, network, address)
		return raw, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connector.Connect(context.Background())
	if err != nil {
		return nil, nil, err
	}
	return raw, func() { _, _ = raw.Close(), conn }, raw.SetDeadline(time.Now().Add(patience))
}

// sends says something behind a login, and goes away.
func sends(e harness.Endpoint, what []byte) error {
	c, leave, err := loggedInMy(e)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := c.Write(what); err != nil {
		return nil
	}
	time.Sleep(time.Second)
	return nil
}

func command(code byte, text string) []byte { return framed(0, append([]byte{code}, text...)) }

func pipelineMy(e harness.Endpoint) error {
	c, leave, err := loggedInMy(e)
	if err != nil {
		return err
	}
	defer leave()
	var many []byte
	for range 1000 {
		many = append(many, command(3, "select repeat('x', 1000000)")...)
	}
	return unread(c, many, 64*mega)
}

func statementsMy(e harness.Endpoint) error {
	c, leave, err := loggedInMy(e)
	if err != nil {
		return err
	}
	defer leave()
	answers := make(chan error, 1)
	go func() { answers <- untilTheEnd(c) }()
	for i := range 100_000 {
		if _, err := c.Write(command(22, fmt.Sprint("select ", i))); err != nil {
			return err
		}
	}
	if _, err := c.Write(command(3, theEnd)); err != nil {
		return err
	}
	return <-answers
}

// executionsMy executes statements that are not there, with bodies of random lengths, and one that is there without its
// parameters.
func executionsMy(e harness.Endpoint) error {
	c, leave, err := loggedInMy(e)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := c.Write(command(22, "select ?, ?, ?")); err != nil {
		return err
	}
	answer, err := packet(c)
	if err != nil || len(answer) < 9 || answer[0] != 0 {
		return fmt.Errorf("a statement was not prepared: %q, %w", answer, err)
	}
	for range 3 + 1 + 1 { // parameters, their end or the first column, ...
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err := packet(c); err != nil {
			break
		}
	}
	id := string(answer[1:5])
	for _, body := range []string{"", "\x00", id, id + "\x00\x01\x00\x00\x00", id + "\x00\x01\x00\x00\x00\x00\x01\xfd\x00\xfd\x00\xfd\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xff\xff\xff\xff\x00\x01\x00\x00\x00"} {
		if _, err := c.Write(command(23, body)); err != nil {
			return nil
		}
	}
	time.Sleep(time.Second)
	return nil
}

func longMy(e harness.Endpoint) error {
	c, leave, err := loggedInMy(e)
	if err != nil {
		return err
	}
	defer leave()
	const size = 60 * mega
	text := "\x03select length('" + strings.Repeat("x", size) + "')"
	for sequence := byte(0); ; sequence++ {
		n := min(len(text), 1<<24-1)
		if _, err := c.Write(framed(sequence, []byte(text[:n]))); err != nil {
			return err
		}
		text = text[n:]
		if n < 1<<24-1 {
			break
		}
	}
	_, err = until(c, fmt.Sprint(size))
	return err
}
