package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/engines/postgres"
)

const pgPassword = "secret"

// pgEngine is the real engine, but for how it reaches servers.
type pgEngine struct {
	*postgres.Engine
	*dialer
}

var _ engine.Engine = pgEngine{}

func newPgEngine(d *dialer) pgEngine {
	e := pgEngine{postgres.New(postgres.Config{Credentials: credentials{}}), d}
	d.state = func(key engine.Key, id int) any {
		return e.Adopt(key, uint32(id), []byte("key!"), pgParameters)
	}
	return e
}

func (e pgEngine) Dial(ctx context.Context, t engine.Target, k engine.Key) (engine.Dialed, error) {
	return e.dialer.Dial(ctx, t, k)
}

func (e pgEngine) Cancel(ctx context.Context, t engine.Target, b *engine.Backend) error {
	return e.dialer.Cancel(ctx, t, b)
}

// credentials lets everybody in.
type credentials struct{}

func (credentials) Credential(_ context.Context, user string) (engine.Credential, error) {
	return engine.Credential{User: user, Password: engine.NewSecret(pgPassword), AuthType: "postgres_md5"}, nil // MySQL has its default
}

func (c credentials) Any(ctx context.Context) (engine.Credential, error) {
	return c.Credential(ctx, "any")
}

// pg is PostgreSQL's protocol.
type pg struct{ engine pgEngine }

var _ dialect = pg{}

func (pg) serve(s *session) { servePostgres(s) }
func (pg) quit() []byte     { return message(nil, 'X') }
func (pg) undoes() bool     { return true }
func (pg) restores() bool   { return true }
func (pg) dooms() bool      { return true }
func (pg) bereaved() byte   { return 'E' }

func (pg) mischief(s *session, last bool) {
	if last {
		s.conn.blurt(message(nil, 'E', complaint("FATAL", "57P01", "the server shuts down")))
		return
	}
	s.conn.blurt(message(nil, 'N', complaint("NOTICE", "00000", "* something happened")))
}

func (p pg) accept(_ *run, _ *client, id uint32, conn *engine.Conn) (engine.Accepted, error) {
	return p.engine.Accept(context.Background(), conn, engine.AcceptOptions{ID: id, ClientAddress: "client"})
}

func (p pg) login(c *client) error {
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, s := range []string{"user", c.user(), "database", "db", ""} {
		body = append(body, text(s)...)
	}
	start := append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
	if err := c.send(c.conn, start); err != nil {
		return c.excuse(err)
	}
	a, err := c.patiently(request{verb: "login"})
	if err == nil && a.line != "login I" {
		err = fmt.Errorf("greeted with %q", a.line)
	}
	return err
}

// encode writes a request as a simple query, or as a batch with the unnamed statement.
func (pg) encode(c *client, q request) []byte {
	if q.prepared != nil {
		return encodePgPrepared(c, q)
	}
	sql := text(pgStatement(q))
	if q.verb == "load" {
		out := message(nil, 'Q', sql)
		for body := q.body; len(body) > 0; {
			n := min(len(body), c.r.w.between(1, 100<<10))
			out = message(out, 'd', body[:n])
			body = body[n:]
		}
		return message(out, 'c')
	}
	switch {
	case q.verb == "again":
		return message(pgExecute(nil, c.r.w.chance(2)), 'S')
	case q.verb == "multi":
		c.extended[q.tag] = true
		put, get := q, q
		put.verb, get.verb, get.args = "put", "get", q.args[:1]
		out := pgBatch(nil, pgStatement(put), c.r.w.chance(2))
		return message(pgBatch(out, pgStatement(get), c.r.w.chance(2)), 'S')
	case c.r.w.chance(2):
		return message(nil, 'Q', sql)
	}
	c.extended[q.tag] = true
	return message(pgBatch(nil, pgStatement(q), c.r.w.chance(2)), 'S')
}

// pgBatch makes a statement the unnamed one, and executes it.
func pgBatch(dst []byte, sql string, describe bool) []byte {
	return pgExecute(message(dst, 'P', []byte{0}, text(sql), []byte{0, 0}), describe)
}

// pgExecute executes the unnamed statement.
func pgExecute(dst []byte, describe bool) []byte {
	dst = message(dst, 'B', []byte{0, 0, 0, 0, 0, 0, 0, 0})
	if describe {
		dst = message(dst, 'D', []byte{'P', 0})
	}
	return message(dst, 'E', []byte{0, 0, 0, 0, 0})
}

// remember notes what became of the unnamed statement (PostgreSQL, 54.2.3): a Parse replaces it, also one that fails, and a
// simple query ends it; a request that was refused never came to the server.
func (pg) remember(c *client, q request, line string) {
	switch {
	case q.verb == "again", q.prepared != nil, strings.Contains(line, "error refused"):
	case !c.extended[q.tag], strings.Contains(line, "error aborted"), q.verb != "get":
		c.unnamed = nil
	default:
		c.unnamed = &q
	}
}

// answer reads messages up to ReadyForQuery, and says in a line what they say.
func (p pg) answer(c *client, q request) (a answer, err error) {
	words := ""
	for {
		kind, body, err := c.in.message()
		if err != nil {
			return a, err
		}
		switch kind {
		case 'R':
			if binary.BigEndian.Uint32(body) == 5 {
				err = c.send(c.conn, message(nil, 'p', md5Answer(c.user(), pgPassword, body[4:])))
			}
		case 'K':
			c.id, c.secret = binary.BigEndian.Uint32(body), append([]byte(nil), body[4:]...)
		case 'E':
			words = p.complaint(fieldsOf(body), q)
			if strings.HasPrefix(words, "! ") {
				return answer{line: words}, nil
			}
		case 'N':
			if said := fieldsOf(body)['M']; !strings.HasPrefix(said, "* ") {
				words = said
			}
		case '1':
			if q.verb == "prepare" {
				words = q.tag + " ok"
			}
		case 'C':
			if words == "" && q.verb == "reset" { // the proxy answers itself where no backend has anything
				words = q.tag + " ok"
			}
			if words == "" && (q.verb == "rollback" || q.verb == "commit") { // or where a transaction was lost
				words = q.tag + " rolled back"
			}
		case 'D':
			a.rows = append(a.rows, body[6:]...)
		case 'd':
			a.rows = append(a.rows, body...)
		case 'A':
			err = c.hears(noteOf(body))
		case 'Z':
			tag, rest, _ := strings.Cut(words, " ")
			if q.verb == "login" {
				tag = q.verb
			}
			a.line = strings.TrimSpace(tag + " " + string(body) + " " + rest)
			p.remember(c, q, a.line)
			return a, nil
		}
		if err != nil {
			return a, err
		}
	}
}

// connectionLost begins what sessions are told whose backend was lost. They might go on; their clients here leave.
const connectionLost = "The connection to the database was lost"

// complaint says an error in the line protocol's words.
func (pg) complaint(f map[byte]string, q request) string {
	code, said := f['C'], f['M']
	switch {
	case f['V'] == "FATAL" && code == "57P05":
		return "! " + engine.ErrIdleTimeout.Error()
	case f['V'] == "FATAL" && code == "25P03":
		return "! " + engine.ErrIdleInTransaction.Error()
	case f['V'] == "FATAL" && code == "25P04":
		return "! " + engine.ErrTransactionTimeout.Error()
	case f['V'] == "FATAL" && code == "57P01" && said != "the server shuts down":
		return "! " + engine.ErrShutdown.Error()
	case f['V'] == "FATAL" && q.verb == "login":
		return "! refused: " + said
	case f['V'] == "FATAL", strings.HasPrefix(said, connectionLost):
		return "! lost"
	case strings.Contains(said, " error "):
		return said
	}
	why := map[string]error{"08000": engine.ErrBorrowTimeout, "57014": engine.ErrCanceled, "57P01": engine.ErrShutdown}[code]
	if why == nil {
		return "? error " + said
	}
	return q.tag + " error refused: " + why.Error()
}
