package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/engines/mysql"
)

// myServer is what the model says of itself, as MySQL or as MariaDB.
func myServer(mariaDB bool) mysql.Server {
	s := mysql.Server{
		Version: "9.7.0",
		Capabilities: protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_PROTOCOL_41 | protocol.CLIENT_SECURE_CONNECTION |
			protocol.CLIENT_PLUGIN_AUTH | protocol.CLIENT_TRANSACTIONS | protocol.CLIENT_MULTI_RESULTS |
			protocol.CLIENT_PS_MULTI_RESULTS | protocol.CLIENT_DEPRECATE_EOF | protocol.CLIENT_SESSION_TRACK |
			protocol.CLIENT_CONNECT_WITH_DB | protocol.CLIENT_MULTI_STATEMENTS | protocol.CLIENT_LOCAL_FILES,
		Charset: 45,
	}
	if mariaDB {
		s.Version = "5.5.5-10.11.18-MariaDB"
		s.Capabilities &^= protocol.CLIENT_LONG_PASSWORD // which is CLIENT_MYSQL there
	}
	return s
}

// mySession is a connection of the model of MySQL. As in that of PostgreSQL, a comment says what a statement means. What
// has no comment is the proxy's own.
type mySession struct {
	*session
	mariaDB  bool
	r        *reader
	out      []byte
	sequence uint8
	insertID uint64
	schema   string

	statements    map[uint32]*myStatementHeld
	lastStatement uint32
	binary        bool // what is executed was prepared
	broken        bool // while a file was read
}

func serveMySQL(c *session, mariaDB bool) {
	s := &mySession{session: c, mariaDB: mariaDB, r: &reader{from: c.conn}, statements: map[uint32]*myStatementHeld{}}
	if !c.greet(s.r) {
		return
	}
	for {
		c.idle = len(s.r.have) == 0
		sequence, payload, err := s.r.packet()
		c.idle = false
		if err != nil || len(payload) == 0 || payload[0] == protocol.COM_QUIT {
			return
		}
		if sequence != 0 {
			c.server.w.fail("connection %d got packet %d first", c.id, sequence)
			return
		}
		s.sequence = 1
		s.command(payload[0], payload[1:])
		if c.gone || s.broken {
			return
		}
		if _, err := c.conn.Write(s.out); err != nil {
			return
		}
		s.out = s.out[:0]
	}
}

func (s *mySession) command(command byte, body []byte) {
	switch command {
	case protocol.COM_INIT_DB:
		s.schema = string(body)
		s.ok("", 0, append([]byte{1}, lenenc(string(lenenc(s.schema)))...))
	case protocol.COM_PING:
		s.ok("", 0, nil)
	case protocol.COM_RESET_CONNECTION:
		s.end(false)
		s.reset()
		s.insertID = 0
		clear(s.statements)
		s.ok("", 0, nil)
	case protocol.COM_STMT_PREPARE:
		s.prepare(string(body))
	case protocol.COM_STMT_EXECUTE, protocol.COM_STMT_CLOSE, protocol.COM_STMT_RESET, protocol.COM_STMT_SEND_LONG_DATA:
		s.statement(command, body)
	case protocol.COM_QUERY:
		s.query(string(body))
	default:
		s.server.w.fail("connection %d got command %d", s.id, command)
	}
}

// query executes a statement, or several.
func (s *mySession) query(sql string) {
	_, comment, theirs := strings.Cut(sql, "/* ")
	if !theirs {
		s.own(sql)
		return
	}
	comment, rest, _ := strings.Cut(comment, " */")
	f := strings.Fields(comment)
	q := request{tag: f[0], verb: f[1], args: f[2:]}
	switch q.verb {
	case "load":
		q.body = bytes.Trim([]byte(rest), "' ")
		if n, _ := strconv.Atoi(q.args[0]); n != len(q.body) {
			s.server.w.fail("connection %d: %d of %d bytes of an upload", s.id, len(q.body), n)
		}
	case "file":
		if s.broken = s.file(&q) != nil; s.broken {
			return
		}
		q.verb = "load"
	case "multi":
		q.verb = "put"
		s.one(q, serverMoreResults)
		q.verb = "get"
	}
	s.one(q, 0)
}

const (
	serverInTrans     = 0x0001
	serverAutocommit  = 0x0002
	serverMoreResults = 0x0008
	serverChanged     = 0x4000
)

// one executes one statement.
func (s *mySession) one(q request, more uint16) {
	why, rows := s.perform(q)
	if s.gone {
		return
	}
	if strings.HasPrefix(why, "error") {
		number := uint16(1064)
		if why == "error canceled" {
			number = 1317
		}
		s.error(number, q.tag+" "+why)
		return
	}
	var state []byte
	switch q.verb {
	case "put":
		s.insertID = uint64(serialOf(q.tag))
	case "lastid":
		why = "value " + strconv.FormatUint(s.insertID, 10)
	case "schema":
		why = "value " + s.schema
	case "get", "show", "left", "rows", "call", "nextval", "currval":
	default:
		s.ok(q.tag+" "+why, more, state)
		return
	}
	if q.verb == "put" {
		s.inserted(q.tag+" "+why, more)
		return
	}
	all := []string{q.tag + " " + why}
	for len(rows) > 0 {
		n := min(len(rows), s.server.w.between(1, 60<<10))
		all = append(all, string(rows[:n]))
		rows = rows[n:]
	}
	s.result(all, more)
}

// own answers what the proxy asks for itself.
func (s *mySession) own(sql string) {
	switch id, set := strings.CutPrefix(sql, "SET last_insert_id="); {
	case set:
		s.insertID, _ = strconv.ParseUint(id, 10, 64)
		s.ok("", 0, nil)
	case sql == "SELECT LAST_INSERT_ID() LIMIT 1":
		s.result([]string{strconv.FormatUint(s.insertID, 10)}, 0)
	case sql == "SELECT HEX(CONVERT(DATABASE() USING utf8mb4)) LIMIT 1":
		s.result([]string{strings.ToUpper(hex.EncodeToString([]byte(s.schema)))}, 0)
	case strings.HasPrefix(sql, "SELECT 0+COALESCE(IS_USED_LOCK("):
		sum := 0
		for i, rest := range strings.Split(sql, "IS_USED_LOCK('")[1:] {
			if name, _, _ := strings.Cut(rest, "'"); s.locks[name] {
				sum += 1 << i
			}
		}
		s.result([]string{strconv.Itoa(sum)}, 0)
	case strings.HasPrefix(sql, "SELECT 1 FROM"):
		s.result([]string{"1"}, 0)
	case strings.HasPrefix(sql, "SET SESSION session_track"):
		s.ok("", 0, nil)
	case strings.HasPrefix(sql, "SELECT @`berth: never set`, "):
		s.tellVariables(sql)
	case strings.HasPrefix(sql, "SET @`"):
		s.restoreVariables(sql)
	default:
		s.server.w.fail("connection %d was asked %q", s.id, sql)
	}
}

func (s *mySession) status(more uint16) uint16 {
	status := serverAutocommit | more
	if s.open {
		status |= serverInTrans
	}
	return status
}

func (s *mySession) ok(info string, more uint16, state []byte) { s.okay(0x00, 0, info, more, state) }

func (s *mySession) inserted(info string, more uint16) { s.okay(0x00, s.insertID, info, more, nil) }

func (s *mySession) okay(header byte, insertID uint64, info string, more uint16, state []byte) {
	p := protocol.AppendLengthEncodedInteger([]byte{header, 0}, insertID)
	status := s.status(more)
	if state != nil {
		status |= serverChanged
	}
	p = binary.LittleEndian.AppendUint16(p, status)
	p = append(p, 0, 0)
	p = append(p, lenenc(info)...)
	if state != nil {
		p = append(p, lenenc(string(state))...)
	}
	s.out = packet(s.out, &s.sequence, p)
}

func (s *mySession) error(number uint16, why string) {
	p := binary.LittleEndian.AppendUint16([]byte{0xff}, number)
	s.out = packet(s.out, &s.sequence, p, []byte("#HY000"), []byte(why))
	s.fail()
}

// result is a result set of one column.
func (s *mySession) result(rows []string, more uint16) {
	s.out = packet(s.out, &s.sequence, []byte{1})
	s.out = packet(s.out, &s.sequence, myColumn())
	for _, row := range rows {
		if s.binary {
			s.out = packet(s.out, &s.sequence, []byte{0, 0}, lenenc(row))
			continue
		}
		s.out = packet(s.out, &s.sequence, lenenc(row))
	}
	s.okay(0xfe, 0, "", more, nil)
}

// myStatement writes a request as SQL that has the same effect on the session.
func myStatement(q request) string {
	comment := " /* " + strings.TrimSpace(q.line()) + " */"
	arg := func(i int) string { return q.args[i] }
	switch q.verb {
	case "begin", "commit", "rollback":
		return q.verb + comment
	case "put":
		return "INSERT INTO kv VALUES ('" + arg(0) + "', '" + arg(1) + "')" + comment
	case "multi":
		return "INSERT INTO kv VALUES ('" + arg(0) + "', '" + arg(1) + "'); SELECT v FROM kv WHERE k = '" + arg(0) + "'" + comment
	case "get":
		return "SELECT v FROM kv WHERE k = '" + arg(0) + "'" + comment
	case "lastid":
		return "SELECT LAST_INSERT_ID() + 0" + comment // which the proxy does not answer itself
	case "schema":
		return "SELECT DATABASE()" + comment
	case "set":
		return "SET @" + arg(0) + " = '" + arg(1) + "'" + comment
	case "show":
		return "SELECT @" + arg(0) + comment
	case "lock":
		return "DO GET_LOCK('" + arg(0) + "', 0)" + comment
	case "unlock":
		return "DO RELEASE_LOCK('" + arg(0) + "')" + comment
	case "temp":
		return "CREATE TEMPORARY TABLE " + arg(0) + " (k text)" + comment
	case "drop":
		return "DROP TEMPORARY TABLE " + arg(0) + comment
	case "name":
		return "PREPARE " + arg(0) + " FROM \"SELECT '" + q.tag + "'\"" + comment
	case "nextval":
		return "SELECT NEXTVAL(" + arg(0) + ")" + comment
	case "currval":
		return "SELECT LASTVAL(" + arg(0) + ")" + comment
	case "call":
		return "EXECUTE " + arg(0) + comment
	case "unname":
		return "DEALLOCATE PREPARE " + arg(0) + comment
	case "sleep":
		return "DO SLEEP(" + arg(0) + " / 1000)" + comment
	case "fail":
		return "SELECT fail" + comment
	case "rows":
		return "SELECT v FROM kv LIMIT " + arg(0) + comment
	case "load":
		return "INSERT INTO kv VALUES" + comment + "'" + string(q.body) + "'"
	case "file":
		return "LOAD DATA LOCAL INFILE '" + fileOf(q.tag) + "' INTO TABLE kv" + comment
	case "kill":
		return "KILL " + arg(0)
	}
	return "SELECT k FROM leftovers" + comment
}
