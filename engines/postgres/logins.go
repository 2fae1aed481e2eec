package postgres

import (
	"slices"
	"strconv"

	"github.com/berthdb/berth/core/engine"
)

// A session has the defaults that its role and its database had when it logged in (20.1.3), and whether its role may log in is asked then and
// never again: ALTER ROLE, DROP ROLE and ALTER DATABASE are about logins to come. So a client's session that begins behind such a statement
// must not get a backend that has logged in before; those that have begun go on with these. So it is with triggers on logins (dial_triggers.go). Each has in its key how many such
// statements came before it that concern it. (REVOKE CONNECT is not followed: who may not revoke anything is told of success, too.)
//
// And a database to which somebody is logged in is neither dropped nor renamed, moved or copied (the pages of DROP, ALTER and CREATE
// DATABASE), while backends stay logged in when their session has ended. So before such a statement those are given up that nobody holds; the
// server waits for some seconds until they are gone. Whether the client may do that at all only the server knows: until that has
// said that the database is in use, which it does not look at sooner, it concerns no backends but those of the client's own user, which it
// may terminate anyhow.

// logins are what the statements of a transaction are about that change what logins get.
type logins struct {
	changed    [maxLogins]engine.LoginsOf
	n          int
	sent, done int    // all such statements, and those that the server has executed
	failed     bool   // something has that may be one of them
	prepared   string // the name by which the transaction is prepared for two-phase commit, as it is written
}

// maxLogins is how many such statements of a transaction are told apart; what follows them is as if it were not known.
const maxLogins = 8

// loginsBefore returns what tells a login from those before the last change that concerns it, "" if there was none. It goes behind what
// encodeOptions makes.
func (e *Engine) loginsBefore(user, database string) string {
	last := e.logins.Latest(user, database)
	if last == 0 {
		return ""
	}
	return encodeOptions([]parameter{{"", strconv.FormatUint(last, 10)}})
}

// loginsSent notes what text, which is sent, changes for logins.
func (m *machine) loginsSent(text []byte, w engine.Wire) {
	if m.lend.logins == nil {
		m.lend.logins = &logins{}
	}
	l := m.lend.logins
	for r := (loginsReader{scanner: scanner{text: text, lex: m.lexing}, self: m.session.key.User, here: m.session.key.Database}); r.advance(); {
		if r.apart {
			w.Outdate(m.session.key.User, r.Database)
			m.e.doubtIn(text)
		}
		if l.sent++; l.n < maxLogins {
			l.changed[l.n] = r.LoginsOf
			l.n++
		}
	}
}

// twoPhase notes that text, which is sent, prepares the transaction for two-phase commit, or commits one that was prepared: what that changes
// counts from then on.
func (m *machine) twoPhase(text []byte) {
	s := scanner{text: text, lex: m.lexing}
	for s.next(); s.kind != tokenEnd && s.kind != tokenBroken; s.next() {
		prepares := s.is("prepare")
		if !prepares && !s.is("commit") || !s.follow("transaction") && !s.is("prepared") {
			continue
		}
		s.space()
		begin := s.at
		if s.next() != tokenString {
			continue
		}
		name := string(s.text[begin:s.at])
		if prepares {
			if m.lend.logins != nil {
				m.lend.logins.prepared = name
			}
			continue
		}
		of, ok := m.e.loginsLater.get(name)
		if !ok {
			continue
		}
		if m.lend.logins == nil {
			m.lend.logins = &logins{}
		}
		l := m.lend.logins
		l.sent++
		l.n += copy(l.changed[l.n:], of)
	}
}

// completed notes a CommandComplete.
func (l *logins) completed(tag []byte) {
	switch string(tag) {
	case "ALTER ROLE\x00", "DROP ROLE\x00", "ALTER DATABASE\x00", "DROP DATABASE\x00", "CREATE DATABASE\x00",
		"COMMIT PREPARED\x00", "CREATE EVENT TRIGGER\x00", "ALTER EVENT TRIGGER\x00", "DROP EVENT TRIGGER\x00":
		l.done++
	}
}

// loginsFailed notes an error with this body.
func (m *machine) loginsFailed(body []byte, w engine.Wire) {
	l := m.lend.logins
	if l == nil {
		return
	}
	l.failed = l.failed || l.done < l.sent
	if l.n != 1 || errorCode(body) != "55006" { // object_in_use; of more than one it is not known which it is about
		return
	}
	switch errorField(body, 'R') { // nothing but these statements gets there
	case "createdb", "dropdb", "movedb", "RenameDatabase":
		w.Outdate(l.changed[0].User, l.changed[0].Database)
	}
}

// loginsOver is called where no transaction is open any more. Unless the server has executed all of the statements, it is not known which: the
// client may have added what it is not allowed, and others must not lose their backends by that.
func (m *machine) loginsOver() {
	l := m.lend.logins
	if l.done < l.sent && !m.queue.empty() {
		return
	}
	all := l.done == l.sent && !l.failed
	if l.prepared != "" && l.done > 0 {
		m.e.loginsLater.put(l.prepared, slices.Clone(l.changed[:l.n]))
	}
	for _, of := range l.changed[:l.n] {
		if all || l.done > 0 && of.User == m.session.key.User {
			m.e.logins.Changed(of)
		}
	}
	m.lend.logins = nil
}

// loginsReader reads what SQL, one statement or more, changes for logins.
type loginsReader struct {
	scanner
	self, here      string // the user and the database whose session it is
	engine.LoginsOf        // that the statement is about
	apart           bool   // nobody may be logged in there
}

// advance moves behind the next statement that changes something. It returns false if there is none.
func (r *loginsReader) advance() bool {
	for r.kind = ';'; r.kind == ';'; {
		r.LoginsOf, r.apart = engine.LoginsOf{}, false
		found := r.statement()
		for !r.over() {
			r.next()
		}
		if found {
			return true
		}
	}
	return false
}

func (r *loginsReader) over() bool {
	return r.kind == ';' || r.kind == tokenEnd || r.kind == tokenBroken
}

// statement reads a statement as far as needed, and says whether it changes something.
func (r *loginsReader) statement() bool {
	r.next()
	switch {
	case r.is("alter"):
		switch r.next(); {
		case r.is("database"):
			r.next()
			r.readDatabase()
			if r.next(); r.is("set") {
				r.next()
				r.apart = r.is("tablespace")
				return true
			}
			r.apart = r.is("rename")
			return !r.over()
		case r.is("role"), r.is("user"), r.is("group"):
			return r.role()
		case r.is("event"):
			r.Database = r.here
			return true
		}
	case r.is("drop"):
		switch r.next(); {
		case r.is("event"):
			r.Database = r.here
			return true
		case r.is("database"):
			r.ifExists()
			r.apart = true
			r.readDatabase()
			return true
		case r.is("role"), r.is("user"), r.is("group"):
			if r.ifExists(); r.is("mapping") {
				return false
			}
			r.readRole()
			if r.next(); r.kind == ',' {
				r.User = "" // there are several
			}
			return true
		}
	case r.is("create"):
		if r.next(); r.is("event") {
			r.Database = r.here // whatever it is on: there are few
			return true
		}
		if !r.is("database") {
			return false
		}
		r.apart, r.Database = true, "template1"
		r.next() // its name
		for r.next(); !r.over(); r.next() {
			if !r.is("template") {
				continue
			}
			if r.next(); r.kind == '=' {
				r.next()
			}
			if !r.is("default") {
				r.readDatabase()
			}
			break
		}
		return true
	}
	return false
}

// ifExists moves to the next token, and behind IF EXISTS.
func (r *loginsReader) ifExists() {
	if r.next(); r.is("if") {
		r.next()
		r.next()
	}
}

// role reads what follows ALTER ROLE.
func (r *loginsReader) role() bool {
	if r.next(); r.is("mapping") {
		return false
	}
	if !r.is("all") {
		r.readRole()
	}
	if r.next(); r.is("in") {
		r.next() // DATABASE
		r.next()
		r.readDatabase()
		r.next()
	}
	return !r.over()
}

// readRole notes the name of a role. One that the scanner does not read is taken for the client's own.
func (r *loginsReader) readRole() {
	if r.is("current_user") || r.is("current_role") || r.is("session_user") || r.length == 0 {
		r.User = r.self
		return
	}
	r.User = string(r.word())
}

// readDatabase notes the name of a database. Of one that the scanner does not read it is not known who may be logged in there.
func (r *loginsReader) readDatabase() {
	if r.Database = string(r.word()); r.Database == "" && r.User == "" {
		r.User = r.self
	}
}
