package mysql

import (
	"math"
	"slices"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// A connection has the global values of system variables, and the global privileges and roles of its account, that were there when it
// logged in (manual, "SET Syntax for Variable Assignment", "When Privilege Changes Take Effect"): what changes them is about connections to
// come. So a client's session that begins behind such a statement must not get a backend that has logged in before; those that
// have begun go on with these. Each has in its key how many such statements came before it that concern it. What stored code does
// of this, and what another client of the server's does, nobody tells.

// loginsReader reads for whom statements change something: users without their hosts.
type loginsReader struct {
	actReader
	p         piece
	depth     int // of parentheses
	statement int // which one of the text, from 0
	changes   []loginChange
}

// loginChange is for whom a statement changes something, a user without his host, "" for everybody.
type loginChange struct {
	user      string
	statement int
}

// changesLogins returns for whom text changes something. What servers may read in several ways concerns nobody but self: others must not
// lose their backends by what a client may send without any privilege.
func changesLogins(text []byte, self string) []loginChange {
	r := loginsReader{actReader: actReader{rest: text}}
	for r.step(); r.p.kind != tokenNone; r.step() {
		for r.read(self); !r.over(); {
			r.step()
		}
		r.statement++
	}
	switch {
	case r.bad || r.conditional:
		return []loginChange{{self, 0}}
	case len(r.changes) > maxLoginUsers:
		return []loginChange{{"", 0}}
	}
	return r.changes
}

// maxLoginUsers is how many users of a request are told apart.
const maxLoginUsers = 32

func (r *loginsReader) step() {
	r.p = r.next()
	switch {
	case r.p.char('('):
		r.depth++
	case r.p.char(')'):
		r.depth--
	}
}

func (r *loginsReader) over() bool { return r.p.kind == tokenNone || r.p.char(';') }

func (r *loginsReader) add(user string) {
	if len(r.changes) <= maxLoginUsers && !slices.ContainsFunc(r.changes, func(c loginChange) bool { return c.user == user }) {
		r.changes = append(r.changes, loginChange{user, r.statement})
	}
}

// read reads a statement as far as needed.
func (r *loginsReader) read(self string) {
	r.depth = 0
	switch {
	case r.p.is("SET"):
		r.set(self)
	case r.p.is("GRANT"):
		r.namesBehind(self, "TO")
	case r.p.is("REVOKE"):
		r.namesBehind(self, "FROM")
	case r.p.is("ALTER", "DROP", "RENAME"):
		if r.step(); r.p.is("USER", "ROLE") {
			r.names(self)
		}
	case r.p.is("CREATE"):
		if r.step(); !r.p.is("OR") { // else REPLACE is what follows
			return
		}
		if r.step(); r.p.is("REPLACE") {
			if r.step(); r.p.is("USER", "ROLE") {
				r.names(self)
			}
		}
	case r.p.is("FLUSH"):
		for !r.over() {
			if r.step(); r.p.is("PRIVILEGES") {
				r.add("")
			}
		}
	}
}

// set reads a SET: the roles that logins begin with, and assignments.
func (r *loginsReader) set(self string) {
	if r.step(); r.p.is("DEFAULT") {
		if r.step(); r.p.is("ROLE") {
			r.namesBehind(self, "TO", "FOR")
			return
		}
	}
	for {
		signs := 0
		for r.p.char('@') {
			signs++
			r.step()
		}
		if signs != 1 && r.p.is("GLOBAL", "PERSIST") {
			r.add("")
		}
		for !r.over() && (r.depth > 0 || !r.p.char(',')) {
			r.step()
		}
		if r.over() {
			return
		}
		r.step()
	}
}

// namesBehind reads the names behind one of these words. Without it the statement is about the client's own user.
func (r *loginsReader) namesBehind(self string, words ...string) {
	for !r.over() && (r.depth > 0 || !r.p.is(words...)) {
		r.step()
	}
	if r.over() {
		r.add(self)
		return
	}
	r.names(self)
}

// names reads the names behind the word that is at hand, and behind each TO and comma that follow: users among others.
func (r *loginsReader) names(self string) {
	for first := true; !r.over(); first = false {
		if !first && (r.depth > 0 || !r.p.char(',') && !r.p.is("TO")) {
			r.step()
			continue
		}
		if r.step(); r.p.is("IF") {
			r.step() // EXISTS
			r.step()
		}
		switch b := r.p.bytes; {
		case r.over():
		case r.p.is("CURRENT_USER", "USER"):
			r.add(self)
		case r.p.kind == tokenWord:
			r.add(string(b))
		case len(b) > 2: // in quotes
			r.add(string(b[1 : len(b)-1]))
			if b = r.rest; len(b) > 0 && b[0] == r.p.bytes[0] {
				r.bad = true // a quote in the name
			}
		}
	}
}

// loginsBefore returns what tells a login of user, in the options of its key, from those before the last change that concerns it, "" if there
// was none.
func (e *Engine) loginsBefore(user string) string {
	last := e.logins.Latest(user, "")
	if last == 0 {
		return ""
	}
	return loginsOption + strconv.FormatUint(last, 10)
}

const loginsOption = ",logins="

// loginsAnew makes the session's backends those of logins that begin now, as after a COM_RESET_CONNECTION, which gives a connection
// the global values.
func (m *Machine) loginsAnew() {
	if now := m.e.loginsBefore(m.info.key.User); now != "" {
		options, _, _ := strings.Cut(m.info.key.Options, loginsOption)
		m.info.key.Options = m.e.strings.Share(options + now)
	}
}

// loginsSent notes what a text of class c, which is sent, changes for logins. One that is too long to be held, and is nil, changes nothing.
func (m *Machine) loginsSent(c class, text []byte) {
	if c.has(classLogins) && text != nil {
		m.state.logins = changesLogins(text, m.info.key.User)
	}
}

// loginsChanged is called where the request is over. Of one that failed the first statements have been executed, for each of which there was
// a result.
func (m *Machine) loginsChanged() {
	r := &m.request
	executed := int(r.results)
	switch {
	case !r.failed:
		executed = math.MaxInt
	case r.errno == protocol.ER_CANNOT_USER || r.errno == protocol.ER_REVOKE_GRANTS: // DROP USER a, nobody
		executed++
	}
	m.tellLogins(executed)
	m.state.logins = nil
}

// tellLogins tells what the first statements of the request, as many as that, have changed.
func (m *Machine) tellLogins(executed int) {
	for _, c := range m.state.logins {
		if c.statement < executed {
			m.e.logins.Changed(engine.LoginsOf{User: c.user})
		}
	}
}
