package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/xdg-go/scram"

	"github.com/berthdb/berth/integration/harness"
)

var postgresAttacks = []attack{
	{"connections that say nothing", 1000, 32 * mega, func(e harness.Endpoint) error { return says(e, nil) }},
	{"logins byte by byte", 200, 16 * mega, slowly},
	{"start-up packets of 2 GiB", 200, 16 * mega, func(e harness.Endpoint) error { return says(e, []byte{0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0}) }},
	{"passwords of 1 GiB", 200, 16 * mega, giantPassword},
	{"bytes behind the request for TLS", 100, 16 * mega, injected},
	{"garbage for TLS", 200, 16 * mega, garbageTLS},
	{"cancel requests with made-up keys", 500, 16 * mega, func(e harness.Endpoint) error {
		return says(e, []byte{0, 0, 0, 16, 4, 210, 22, 46, 1, 2, 3, 4, 5, 6, 7, 8})
	}},
	{"queries announced with 1 GiB", 50, 16 * mega, func(e harness.Endpoint) error { return announces(e, 'Q', 1<<30-5) }},
	{"statements announced with 1 GiB", 50, 16 * mega, func(e harness.Endpoint) error { return announces(e, 'P', 1<<30-5) }},
	{"messages of 2 GiB", 50, 16 * mega, func(e harness.Endpoint) error { return announces(e, 'Q', 1<<31-1) }},
	{"a pipeline whose answers nobody reads", 3, 32 * mega, pipelinePG},
	{"100000 prepared statements", 1, 32 * mega, statementsPG},
	{"more parameters than there can be", 20, 16 * mega, parametersPG},
	{"a statement of 64 MiB", 3, 32 * mega, longPG},
}

// says sends something in place of a start-up packet, and waits until that is enough for the proxy.
func says(e harness.Endpoint, what []byte) error {
	c, err := dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(what); err != nil {
		return nil
	}
	return untilClosed(c)
}

// startup is a start-up packet of the user who may log in.
func startup() ([]byte, error) {
	m := pgproto3.StartupMessage{ProtocolVersion: 196608, Parameters: map[string]string{"user": "app", "database": "app"}}
	return m.Encode(nil)
}

func slowly(e harness.Endpoint) error {
	c, err := dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	packet, err := startup()
	if err != nil {
		return err
	}
	return drip(c, append(packet, make([]byte, 1000)...))
}

func giantPassword(e harness.Endpoint) error {
	c, err := dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	packet, err := startup()
	if err != nil {
		return err
	}
	packet = append(packet, 'p', 0x3f, 0xff, 0xff, 0xff)
	if _, err := c.Write(append(packet, make([]byte, 1<<16)...)); err != nil {
		return nil
	}
	return untilClosed(c)
}

var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// injected puts a start-up packet in clear behind the request for TLS (CVE-2021-23214): nothing of it may count.
func injected(e harness.Endpoint) error {
	packet, err := startup()
	if err != nil {
		return err
	}
	c, err := dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(append(append([]byte(nil), sslRequest...), packet...)); err != nil {
		return nil
	}
	answer, _ := io.ReadAll(c)
	if strings.Contains(string(answer), "SCRAM") {
		return fmt.Errorf("what was in clear behind the request for TLS was answered: %q", answer)
	}
	return nil
}

func garbageTLS(e harness.Endpoint) error {
	c, err := dial(e)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(sslRequest); err != nil {
		return nil
	}
	one := make([]byte, 1)
	if _, err := io.ReadFull(c, one); err != nil || one[0] != 'S' {
		return fmt.Errorf("%q, %w", one, err)
	}
	// A record of TLS with as much as there may be, and nothing in it that makes sense.
	if _, err := c.Write(append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 0x4000)...)); err != nil {
		return nil
	}
	return untilClosed(c)
}

// loggedIn is a connection behind its login. It is made here: a driver's own reader may still wait on a connection that it gives away, and
// take the answers.
func loggedIn(e harness.Endpoint) (net.Conn, error) {
	c, err := dial(e)
	if err != nil {
		return nil, err
	}
	if err := logIn(c, harness.App()); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// logIn logs in by SCRAM-SHA-256.
func logIn(c net.Conn, l harness.Login) error {
	f := pgproto3.NewFrontend(c, c)
	client, err := scram.SHA256.NewClient(l.User, l.Password, "")
	if err != nil {
		return err
	}
	conversation := client.NewConversation()
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: 196608, Parameters: map[string]string{"user": l.User, "database": l.Database}})
	for {
		if err := f.Flush(); err != nil {
			return err
		}
		m, err := f.Receive()
		if err != nil {
			return err
		}
		var said string
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			return nil
		case *pgproto3.ErrorResponse:
			return errors.New(m.Message)
		case *pgproto3.AuthenticationSASL:
			if said, err = conversation.Step(""); err != nil {
				return err
			}
			f.Send(&pgproto3.SASLInitialResponse{AuthMechanism: "SCRAM-SHA-256", Data: []byte(said)})
		case *pgproto3.AuthenticationSASLContinue:
			if said, err = conversation.Step(string(m.Data)); err != nil {
				return err
			}
			f.Send(&pgproto3.SASLResponse{Data: []byte(said)})
		case *pgproto3.AuthenticationSASLFinal:
			if _, err := conversation.Step(string(m.Data)); err != nil {
				return err
			}
		}
	}
}

// announces sends the head of a message and a part of it, and goes away.
func announces(e harness.Endpoint, kind byte, length uint32) error {
	c, err := loggedIn(e)
	if err != nil {
		return err
	}
	defer c.Close()
	head := binary.BigEndian.AppendUint32([]byte{kind}, length)
	if _, err := c.Write(append(head, strings.Repeat("select 1 -- ", 1<<14)...)); err != nil {
		return nil
	}
	time.Sleep(time.Second)
	return nil
}

func pipelinePG(e harness.Endpoint) error {
	c, err := loggedIn(e)
	if err != nil {
		return err
	}
	defer c.Close()
	query, err := (&pgproto3.Query{String: "select repeat('x', 1000000)"}).Encode(nil)
	if err != nil {
		return err
	}
	var many []byte
	for range 1000 {
		many = append(many, query...)
	}
	return unread(c, many, 64*mega)
}

func statementsPG(e harness.Endpoint) error {
	c, err := loggedIn(e)
	if err != nil {
		return err
	}
	defer c.Close()
	answers := make(chan error, 1)
	go func() { answers <- untilTheEnd(c) }()
	for i := range 100_000 {
		b, err := (&pgproto3.Parse{Name: fmt.Sprint("s", i), Query: fmt.Sprint("select ", i)}).Encode(nil)
		if err != nil {
			return err
		}
		if b, err = (&pgproto3.Sync{}).Encode(b); err != nil {
			return err
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	b, err := (&pgproto3.Query{String: theEnd}).Encode(nil)
	if err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return err
	}
	return <-answers
}

func parametersPG(e harness.Endpoint) error {
	c, err := loggedIn(e)
	if err != nil {
		return err
	}
	defer c.Close()
	b, err := (&pgproto3.Parse{Query: "select $1::int"}).Encode(nil)
	if err != nil {
		return err
	}
	// Bind of the unnamed statement with 65535 parameters announced, of which there is none.
	b = append(b, 'B', 0, 0, 0, 10, 0, 0, 0, 0, 0xff, 0xff)
	b = append(b, 'B', 0, 0, 0, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	if _, err := c.Write(append(b, 'S', 0, 0, 0, 4)); err != nil {
		return nil
	}
	all, err := until(c, "Z\x00\x00\x00\x05")
	if err != nil {
		return err
	}
	if !strings.Contains(all, "ERROR") {
		return fmt.Errorf("answered with %q", all)
	}
	return nil
}

func longPG(e harness.Endpoint) error {
	c, err := loggedIn(e)
	if err != nil {
		return err
	}
	defer c.Close()
	const size = 64 * mega
	head := binary.BigEndian.AppendUint32([]byte{'Q'}, 4+size+1)
	if _, err := c.Write(append(head, "select length('"...)); err != nil {
		return err
	}
	rest := size - len("select length('") - len("')")
	chunk := []byte(strings.Repeat("x", mega))
	for rest > 0 {
		n, err := c.Write(chunk[:min(rest, len(chunk))])
		if err != nil {
			return err
		}
		rest -= n
	}
	if _, err := c.Write([]byte("')\x00")); err != nil {
		return err
	}
	_, err = until(c, fmt.Sprint(size-len("select length('')")))
	return err
}
