package sim

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// pgParameters are what the model of PostgreSQL reports.
var pgParameters = [][2]string{
	{"server_version", "18.0"}, {"client_encoding", "UTF8"}, {"standard_conforming_strings", "on"},
	{"integer_datetimes", "on"}, {"application_name", ""},
}

// pgSession is a connection of the model of PostgreSQL. What a statement means stands in a comment in it: the request, as
// the line protocol writes it.
type pgSession struct {
	*session
	r       *reader
	out     []byte
	unnamed *request          // the statement without a name
	named   map[string]string // verbs, by the names of statements
	portal  *request
	skip    bool // until Sync
	listener
}

func servePostgres(c *session) {
	s := &pgSession{session: c, r: &reader{from: c.conn}, named: make(map[string]string), listener: listener{told: make(map[string]int)}}
	defer s.deaf()
	if !c.greet(s.r) {
		return
	}
	for {
		c.idle = len(s.r.have) == 0
		if c.idle && !s.open && len(s.waiting) > 0 {
			if _, err := c.conn.Write(s.heard()); err != nil {
				return
			}
		}
		kind, body, err := s.r.message()
		c.idle = false
		if err != nil || kind == 'X' || !s.handle(kind, body) || c.gone {
			return
		}
		if kind == 'Q' || kind == 'S' || s.skip || c.server.w.chance(8) { // an error is never kept back
			if _, err := c.conn.Write(s.out); err != nil {
				return
			}
			s.out = s.out[:0]
		}
	}
}

// handle deals with one message, and says whether the connection goes on.
func (s *pgSession) handle(kind byte, body []byte) bool {
	if s.skip && kind != 'S' {
		return true
	}
	switch kind {
	case 'Q':
		q := pgRequest(body)
		s.unnamed = nil
		if q.verb == "load" && !s.copyIn(&q) {
			return false
		}
		s.run(q, true)
		if s.implicit && !s.open { // it ends the transaction of what was executed before it without a Sync
			s.end(!s.skip)
		}
		s.skip, s.implicit = false, false
		s.ready()
	case 'P':
		name, sql, _ := strings.Cut(string(body), "\x00")
		q := pgRequest([]byte(sql))
		if name != "" {
			s.prepare(name, strings.TrimRight(sql, "\x00"))
			return true
		}
		s.unnamed = nil
		if s.failed && q.verb != "commit" && q.verb != "rollback" {
			s.complain("25P02", q.tag+" error aborted")
			return true
		}
		s.unnamed = &q
		s.out = message(s.out, '1')
	case 'B':
		portal, rest, _ := strings.Cut(string(body), "\x00")
		statement, parameters, _ := strings.Cut(rest, "\x00")
		if statement != "" {
			s.bind(statement, []byte(parameters))
			return true
		}
		s.portal = s.unnamed
		if portal != "" {
			s.server.w.fail("connection %d: nobody has portals by name", s.id)
		}
		if s.portal == nil {
			s.complain("26000", "? error no statement")
			return true
		}
		s.out = message(s.out, '2')
	case 'D':
		switch name := strings.TrimRight(string(body[1:]), "\x00"); {
		case body[0] == 'S' && s.named[name] == "" && (name != "" || s.unnamed == nil):
			s.complain("26000", "? error no statement")
			return true
		case body[0] == 'S':
			s.out = message(s.out, 't', []byte{0, 0})
		}
		s.out = message(s.out, 'n')
	case 'H':
		if _, err := s.conn.Write(s.out); err != nil {
			return false
		}
		s.out = s.out[:0]
	case 'E':
		s.implicit = true
		s.run(*s.portal, false)
	case 'C':
		if name := strings.TrimRight(string(body[1:]), "\x00"); body[0] == 'S' && name == "" {
			s.unnamed = nil
		} else if body[0] == 'S' {
			delete(s.named, name)
		}
		s.out = message(s.out, '3')
	case 'S':
		if !s.open {
			s.end(!s.skip)
		}
		s.skip, s.implicit = false, false
		s.ready()
	case 'd', 'c':
	default:
		s.server.w.fail("connection %d got a message %q", s.id, kind)
	}
	return true
}

func (s *pgSession) ready() {
	if !s.open {
		s.out = append(s.out, s.heard()...)
	}
	s.out = message(s.out, 'Z', []byte(s.state()))
}

func (s *pgSession) complain(code, why string) {
	s.out = message(s.out, 'E', complaint("ERROR", code, why))
	s.skip = true
	s.fail()
}

// copyIn reads the data of a COPY that is going to be executed.
func (s *pgSession) copyIn(q *request) bool {
	if s.failed {
		return true // its data are ignored
	}
	s.out = message(s.out, 'G', []byte{0, 0, 0})
	if _, err := s.conn.Write(s.out); err != nil {
		return false
	}
	s.out = s.out[:0]
	for {
		kind, body, err := s.r.message()
		switch {
		case err != nil:
			return false
		case kind == 'c':
			return true
		case kind == 'd':
			q.body = append(q.body, body...)
		default:
			s.server.w.fail("connection %d: message %q in a COPY", s.id, kind)
			return false
		}
	}
}

var pgTags = map[string]string{
	"begin": "BEGIN", "commit": "COMMIT", "rollback": "ROLLBACK", "put": "INSERT 0 1", "set": "SET", "reset": "DISCARD ALL",
	"show": "SHOW", "temp": "CREATE TABLE", "drop": "DROP TABLE", "load": "COPY 1",
	"unload": "COPY 1", "declare": "DECLARE CURSOR", "close": "CLOSE CURSOR", "fetch": "FETCH 1", "listen": "LISTEN", "unlisten": "UNLISTEN",
	"notify": "NOTIFY", "name": "PREPARE", "unname": "DEALLOCATE", "unseq": "DISCARD SEQUENCES", "role": "SET", "norole": "RESET",
}

// ask answers what only the proxy asks. Clients see nothing of it.
func (s *pgSession) ask(q request) {
	switch {
	case s.failed:
		s.complain("25P02", "? error aborted")
		return
	case q.verb == "unseen":
		verdict := byte('0' + s.server.w.between(0, 2))
		s.out = message(s.out, 'D', []byte{0, 2, 0, 0, 0, 1, verdict, 0xff, 0xff, 0xff, 0xff})
	case q.verb == "verify":
		s.out = message(s.out, 'D', s.holds())
		if len(q.args) > 0 {
			s.tellSettings()
		}
	case q.verb == "forget":
		s.sequences.forget()
	case q.verb == "clean":
		s.clean(len(q.args) > 0)
	case q.verb == "restore":
		s.restore(q.args)
	case q.verb == "doom":
		s.begin()
		s.complain("3B001", "? error no savepoint")
		return
	}
	s.out = message(s.out, 'C', text(q.verb))
}

// clean is DISCARD ALL, or that without DEALLOCATE ALL.
func (s *pgSession) clean(all bool) {
	if all {
		s.reset()
		s.discard()
		return
	}
	s.deaf()
	s.sequences.forget()
	clear(s.settings)
	maps.DeleteFunc(s.locks, func(name string, _ bool) bool { return !strings.HasPrefix(name, statements) })
}

// discard ends what only PostgreSQL's connections have.
func (s *pgSession) discard() {
	s.deaf()
	clear(s.named)
}

// restore executes what the proxy sends to bring the connection in line with a session.
func (s *pgSession) restore(statements []string) {
	for _, sql := range statements {
		name, value, sets := strings.Cut(sql, " = ")
		verb, name, _ := strings.Cut(name, " ")
		k := strings.TrimPrefix(strings.ReplaceAll(name, `"`, ""), "my.")
		as, takes := strings.CutPrefix(sql, "SET ROLE ")
		switch {
		case k == "exit_on_error":
		case sql == "RESET ALL": // which leaves the role (its page in the manual)
			maps.DeleteFunc(s.settings, func(k, _ string) bool { return k != role })
		case sql == "RESET ROLE", sql == "RESET SESSION AUTHORIZATION":
			delete(s.settings, role)
		case takes:
			s.settings[role] = strings.Trim(as, "'")
		case sets:
			s.settings[k] = strings.Trim(value, "'")
		case verb == "RESET":
			delete(s.settings, k)
		}
	}
}

// holds answers the proxy's question what a session holds.
func (s *pgSession) holds() []byte {
	row := []byte{0, 6}
	for column := range 5 {
		answer := byte('f')
		for name := range s.locks {
			if holdingOf(name).column == column {
				answer = 't'
			}
		}
		for name := range s.named {
			if column == holdingOf(statements).column && !strings.HasPrefix(name, "berth:") {
				answer = 't'
			}
		}
		row = append(row, 0, 0, 0, 1, answer)
	}
	count := strconv.Itoa(s.shared())
	return append(append(row, 0, 0, 0, byte(len(count))), count...)
}

// role is the name of the setting that SET ROLE makes.
const role = "role"

// tellSettings answers the proxy's question which settings were changed.
func (s *pgSession) tellSettings() {
	for _, k := range slices.Sorted(maps.Keys(s.settings)) {
		row := []byte{0, 2}
		name := "my." + k
		if k == role {
			name = k
		}
		for _, field := range []string{name, s.settings[k]} {
			row = binary.BigEndian.AppendUint32(row, uint32(len(field)))
			row = append(row, field...)
		}
		s.out = message(s.out, 'D', row)
	}
}

// run executes a statement.
func (s *pgSession) run(q request, described bool) {
	if q.tag == own {
		s.ask(q)
		return
	}
	why, rows := s.perform(q)
	if s.gone {
		return
	}
	if why == "ok" {
		switch q.verb {
		case "reset":
			s.discard()
		case "listen":
			s.listen(q.args[0])
		case "unlisten":
			why = "value " + strconv.Itoa(s.unlisten(q.args[0]))
		}
	}
	if strings.HasPrefix(why, "error") {
		code := map[string]string{"error canceled": "57014", "error aborted": "25P02"}[why]
		if why == "error undefined" {
			code = "55000"
		}
		if code == "" {
			code = "22012"
		}
		s.complain(code, q.tag+" "+why)
		return
	}
	row := func(p []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0, 1}, uint32(len(p))), p...)
	}
	kind := byte('D')
	switch {
	case q.verb == "unload":
		s.out = message(s.out, 'H', []byte{0, 0, 0})
		kind, row = 'd', func(p []byte) []byte { return p }
	case q.verb == "rows" && described:
		s.out = message(s.out, 'T', []byte{0, 0})
	}
	for len(rows) > 0 {
		n := min(len(rows), s.server.w.between(1, 100<<10))
		s.out = message(s.out, kind, row(rows[:n]))
		rows = rows[n:]
	}
	if kind == 'd' {
		s.out = message(s.out, 'c')
	}
	s.out = message(s.out, 'N', complaint("NOTICE", "00000", q.tag+" "+why))
	tag := pgTags[q.verb]
	if q.verb == "commit" && why == "rolled back" {
		tag = "ROLLBACK"
	}
	if tag == "" {
		tag = "SELECT 1"
	}
	s.out = message(s.out, 'C', text(tag))
}

// own is the tag of statements that are the proxy's own.
const own = "?"

// pgRequest reads what a statement means.
func pgRequest(sql []byte) request {
	switch text, _, _ := strings.Cut(string(sql), "\x00"); {
	case text == "DISCARD SEQUENCES":
		return request{tag: own, verb: "forget"}
	case text == "DISCARD ALL":
		return request{tag: own, verb: "clean", args: []string{"all"}}
	case strings.HasPrefix(text, "CLOSE ALL; "):
		return request{tag: own, verb: "clean"}
	case strings.HasPrefix(text, "SELECT EXISTS ("), strings.HasPrefix(text, "SELECT NULL, "):
		q := request{tag: own, verb: "verify"}
		if strings.Contains(text, "pg_settings") {
			q.args = []string{"settings"}
		}
		return q
	case text == "SET exit_on_error = on", strings.HasSuffix(text, ";\nRESET exit_on_error"):
		return request{tag: own, verb: "restore", args: strings.Split(text, ";\n")}
	case text == "BEGIN; ROLLBACK TO SAVEPOINT berth":
		return request{tag: own, verb: "doom"}
	case strings.Contains(text, "pg_proc"):
		return request{tag: own, verb: "unseen"}
	}
	_, comment, _ := strings.Cut(string(sql), "/* ")
	comment, _, _ = strings.Cut(comment, " */")
	f := strings.Fields(comment)
	if len(f) < 2 {
		return request{tag: "?", verb: "garbage"}
	}
	return request{tag: f[0], verb: f[1], args: f[2:]}
}

// pgStatement writes a request as SQL that has the same effect on the session.
func pgStatement(q request) string {
	comment := " /* " + strings.TrimSpace(q.line()) + " */"
	arg := func(i int) string { return q.args[i] }
	number := func() string { return strconv.Itoa(serialOf(q.args[0])) }
	switch q.verb {
	case "begin", "commit", "rollback":
		return q.verb + comment
	case "put":
		return "INSERT INTO kv VALUES ('" + arg(0) + "', '" + arg(1) + "')" + comment
	case "get":
		return "SELECT v FROM kv WHERE k = '" + arg(0) + "'" + comment
	case "set":
		return "SET my." + arg(0) + " = '" + arg(1) + "'" + comment
	case "show":
		return "SHOW my." + arg(0) + comment
	case "reset":
		return comment + " DISCARD ALL"
	case "lock":
		return "SELECT pg_advisory_lock(" + number() + ")" + comment
	case "unlock":
		return "SELECT pg_advisory_unlock(" + number() + ")" + comment
	case "temp":
		return "CREATE TEMP TABLE " + arg(0) + " (k text)" + comment
	case "drop":
		return "DROP TABLE " + arg(0) + comment
	case "sleep":
		return "SELECT pg_sleep(" + arg(0) + " / 1000.0)" + comment
	case "fail":
		return "SELECT 1/0" + comment
	case "rows":
		return "SELECT v FROM kv LIMIT " + arg(0) + comment
	case "load":
		return "COPY kv FROM STDIN" + comment
	case "unload":
		return "COPY (SELECT v FROM kv LIMIT " + arg(0) + ") TO STDOUT" + comment
	case "name":
		return "PREPARE " + arg(0) + " AS SELECT '" + q.tag + "'" + comment
	case "role":
		return "SET ROLE " + arg(0) + comment
	case "norole":
		return "RESET ROLE" + comment
	case "whoami":
		return "SELECT current_user" + comment
	case "nextval":
		return "SELECT nextval('" + arg(0) + "')" + comment
	case "currval":
		return "SELECT currval('" + arg(0) + "')" + comment
	case "lastval":
		return "SELECT lastval()" + comment
	case "unseq":
		return comment + " DISCARD SEQUENCES"
	case "call":
		return "EXECUTE " + arg(0) + comment
	case "unname":
		return "DEALLOCATE " + arg(0) + comment
	case "declare":
		return "DECLARE " + arg(0) + " CURSOR WITH HOLD FOR SELECT k FROM kv" + comment
	case "close":
		return "CLOSE " + arg(0) + comment
	case "fetch":
		return "FETCH " + arg(0) + comment
	case "listen":
		return "LISTEN " + arg(0) + comment
	case "unlisten":
		return "UNLISTEN " + arg(0) + comment
	case "notify":
		return "NOTIFY " + arg(0) + ", '" + q.tag + "'" + comment
	}
	return "SELECT k FROM leftovers" + comment
}
