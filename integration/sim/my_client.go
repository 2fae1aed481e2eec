package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/engines/mysql"
)

// myEngine is the real engine, but for how it reaches servers.
type myEngine struct {
	*mysql.Engine
	dialer *dialer
}

var _ engine.Engine = myEngine{}

func newMyEngine(d *dialer, mariaDB bool) myEngine {
	e := myEngine{mysql.New(mysql.Config{Credentials: credentials{}}), d}
	server := myServer(mariaDB)
	e.Reach(server)
	d.state = func(key engine.Key, id int) any {
		state, err := e.Adopt(key, server, uint32(id))
		if err != nil {
			d.w.fail("adopt: %w", err)
		}
		return state
	}
	return e
}

func (e myEngine) Dial(ctx context.Context, t engine.Target, k engine.Key) (engine.Dialed, error) {
	return e.dialer.Dial(ctx, t, k)
}

func (e myEngine) Cancel(ctx context.Context, t engine.Target, b *engine.Backend) error {
	return e.dialer.Cancel(ctx, t, b)
}

func (e myEngine) CancelSticks() bool { return e.dialer.sticky }

// my is MySQL's protocol.
type my struct {
	engine  myEngine
	mariaDB bool
}

var _ dialect = my{}

func (m my) serve(s *session) { serveMySQL(s, m.mariaDB) }
func (my) quit() []byte       { return []byte{1, 0, 0, 0, protocol.COM_QUIT} }
func (my) undoes() bool       { return false }
func (my) restores() bool     { return true }
func (my) dooms() bool        { return false }
func (my) bereaved() byte     { return 'I' }

func (my) mischief(s *session, last bool) {
	if last {
		p := append([]byte{0xff, 0x1d, 0x04}, "#08S01the server shuts down"...)
		s.conn.blurt(packet(nil, new(uint8), p))
	}
}

func (m my) accept(_ *run, _ *client, id uint32, conn *engine.Conn) (engine.Accepted, error) {
	return m.engine.Accept(context.Background(), conn, engine.AcceptOptions{ID: id, ClientAddress: "client:1"})
}

// login answers the greeting (section "Connection Phase").
func (m my) login(c *client) error {
	_, p, err := c.in.packet()
	if err != nil {
		return c.excuse(err)
	}
	at := strings.IndexByte(string(p), 0) + 1
	id := binary.LittleEndian.Uint32(p[at:])
	salt := append([]byte(nil), p[at+4:at+12]...)
	salt = append(salt, p[at+31:at+43]...)
	caps := uint32(protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION |
		protocol.CLIENT_PLUGIN_AUTH | protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_MULTI_RESULTS |
		protocol.CLIENT_CONNECT_WITH_DB | protocol.CLIENT_MULTI_STATEMENTS)
	if c.files = c.r.config.files && c.number%4 > 0; c.files {
		caps |= protocol.CLIENT_LOCAL_FILES
	}
	if c.eofs = c.r.w.chance(2); !c.eofs {
		caps |= protocol.CLIENT_DEPRECATE_EOF
	}
	c.schema = "db" + strconv.Itoa(c.number%3)
	proof, method := protocol.CalcCachingSha2Password(salt, []byte(pgPassword)), protocol.AUTH_CACHING_SHA2_PASSWORD
	if m.mariaDB {
		proof, method = protocol.CalcNativePassword(salt, []byte(pgPassword)), protocol.AUTH_NATIVE_PASSWORD
	}
	r := binary.LittleEndian.AppendUint32(nil, caps)
	r = append(r, 0, 0, 0, 1, 45)
	r = append(r, make([]byte, 23)...)
	r = append(r, text(c.user())...)
	r = append(r, lenenc(string(proof))...)
	r = append(r, text(c.schema)...)
	r = append(r, text(method)...)
	sequence := uint8(1)
	if err := c.send(c.conn, packet(nil, &sequence, r)); err != nil {
		return c.excuse(err)
	}
	a, err := c.patiently(request{verb: "login"})
	if err == nil && !strings.HasPrefix(a.line, "login I") {
		err = fmt.Errorf("greeted with %q", a.line)
	}
	if err == nil {
		c.id = id
	}
	return err
}

func (my) encode(c *client, q request) []byte {
	if q.verb == "reset" {
		return []byte{1, 0, 0, 0, protocol.COM_RESET_CONNECTION}
	}
	if q.verb == "prepare" || q.prepared != nil {
		return encodePrepared(c, q)
	}
	if q.verb == "use" {
		return packet(nil, new(uint8), []byte{protocol.COM_INIT_DB}, []byte(q.args[0]))
	}
	return packet(nil, new(uint8), []byte{protocol.COM_QUERY}, []byte(myStatement(q)))
}

// answer reads an answer with all its results, and says in a line what the last of them says.
func (m my) answer(c *client, q request) (answer, error) {
	if q.verb == "prepare" {
		return m.answerPrepare(c, q)
	}
	next := uint8(1)
	for partly := false; ; partly = true {
		sequence, p, err := c.in.packet()
		if err != nil {
			return answer{}, err
		}
		switch {
		case q.verb == "login":
		case p[0] == 0xff && sequence == 0:
		case sequence != next:
			return answer{}, fmt.Errorf("packet %d, not %d", sequence, next)
		}
		next = sequence + 1
		var a answer
		var status uint16
		switch {
		case p[0] == 0xff:
			a = m.complaint(c, p, q)
			a.partly = partly
			return a, nil
		case p[0] == 0xfb:
			if err := c.sendsFile(q, string(p[1:]), &next); err != nil {
				return answer{}, err
			}
			continue
		case p[0] == 0 || p[0] == 0xfe:
			ok := parseMyOK(p)
			status = ok.status
			a.line = ok.info
		case q.verb == "login":
			continue // fast authentication
		default:
			if a, status, err = m.result(c, &next, q.prepared != nil); err != nil {
				return a, err
			}
		}
		if status&serverMoreResults != 0 {
			continue
		}
		tag, rest, _ := strings.Cut(a.line, " ")
		if tag == "" { // nothing but the order says whose it is
			tag, rest = q.tag, "ok"
		}
		if q.verb == "login" {
			tag = q.verb
		}
		state := "I"
		if status&serverInTrans != 0 {
			state = "T"
		}
		a.line = tag + " " + state + " " + rest
		return a, nil
	}
}

// result reads a result set behind its first packet. The first row is what the server says.
func (my) result(c *client, next *uint8, prepared bool) (a answer, status uint16, err error) {
	ends := 1
	if c.eofs {
		ends = 2
	}
	for column := true; ; {
		sequence, p, err := c.in.packet()
		if err != nil {
			return a, 0, err
		}
		if sequence != *next {
			return a, 0, fmt.Errorf("packet %d, not %d", sequence, *next)
		}
		*next++
		switch {
		case column:
			column = false
		case p[0] == 0xfe && len(p) < 1<<16:
			ends--
			if c.eofs {
				status = binary.LittleEndian.Uint16(p[3:])
			} else {
				status = parseMyOK(p).status
			}
			if ends == 0 {
				a.line = strings.TrimSpace(a.line)
				return a, status, nil
			}
		default:
			if prepared {
				p = p[2:] // the header, and which are NULL
			}
			row, _, _, err := protocol.LengthEncodedString(p)
			if err != nil {
				return a, 0, err
			}
			if a.line == "" {
				a.line = string(row) + " "
			} else {
				a.rows = append(a.rows, row...)
			}
		}
	}
}

// complaint says an ERR in the line protocol's words. It has no transaction state: the one before still holds.
func (my) complaint(c *client, p []byte, q request) answer {
	number, said := binary.LittleEndian.Uint16(p[1:]), string(p[9:])
	state := "I"
	if c.open {
		state = "T"
	}
	switch {
	case number == 4031 && strings.Contains(said, "inactivity in a transaction"):
		return answer{line: "! " + engine.ErrIdleInTransaction.Error()}
	case number == 4031 && strings.Contains(said, "took too long"):
		return answer{line: "! " + engine.ErrTransactionTimeout.Error()}
	case number == 4031:
		return answer{line: "! " + engine.ErrIdleTimeout.Error()}
	case number == 1053 && said != "the server shuts down":
		return answer{line: "! " + engine.ErrShutdown.Error()}
	case number == 1053, number == 2013, strings.HasPrefix(said, connectionLost):
		return answer{line: "! lost"}
	case q.verb == "login":
		return answer{line: "! refused: " + said}
	case strings.Contains(said, " error "):
		tag, rest, _ := strings.Cut(said, " ")
		return answer{line: tag + " " + state + " " + rest}
	case number == 9501:
		return answer{line: q.tag + " I error refused: " + engine.ErrBorrowTimeout.Error()}
	case number == 1105 && strings.HasPrefix(said, "No database server"):
		return answer{line: q.tag + " I error refused: " + engine.ErrNoTarget.Error()}
	case (number == 1094 || number == 1095) && q.verb == "kill":
		return answer{line: q.tag + " " + state + " none"}
	case number == 1105 && strings.Contains(said, "and with it LAST_INSERT_ID()"):
		return answer{line: q.tag + " " + state + " error lost"}
	case number == protocol.ER_UNKNOWN_STMT_HANDLER:
		return answer{line: q.tag + " " + state + " error unknown"}
	case number == 1317:
		return answer{line: "! " + engine.ErrKilled.Error()}
	}
	return answer{line: fmt.Sprintf("? %s error %d %s", state, number, said)}
}
