package postgres

import (
	"strconv"
	"sync"

	"github.com/berthdb/berth/core/engine"
)

// A session has the defaults that its role and its database had when it logged in (20.1.3): ALTER ROLE and ALTER DATABASE change them for
// those to come. So a client's session that begins behind such a statement must not get a backend that has logged in before; those
// that have begun go on with these. Each has in its key how many such statements came before it that concern it.
//
// And a database to which somebody is logged in is neither dropped nor renamed, moved or copied (the pages of DROP, ALTER and CREATE
// DATABASE), while backends stay logged in when their session has ended. So before such a statement those are given up that nobody holds; the
// server waits for some seconds until they are gone. Whether the client may do that at all only the server knows: until that has
// said that the database is in use, which it does not look at sooner, it concerns no backends but those of the client's own user, which it
// may terminate anyhow.

// logins are what the statements of a transaction are about that change what logins get.
type logins struct {
	changed [maxLogins]loginsOf
	n       int
	done    bool // one of them is
}

// maxLogins is how many such statements of a transaction are told apart; what follows them is as if it were not known.
const maxLogins = 8

// loginsOf are those of a user, of any if it is "", to a database, to any if that is "".
type loginsOf struct{ user, database string }

// changedLogins says how often what logins get has changed. Any goroutine may use it.
type changedLogins struct {
	mu     sync.RWMutex
	latest uint64
	last   map[loginsOf]uint64
}

// maxChangedLogins bounds what is told apart, of about 100 bytes each: beyond it, all sessions that begin get backends of their own once.
const maxChangedLogins = 1 << 10

// changed notes a change.
func (c *changedLogins) changed(of loginsOf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.last[of]; c.last == nil || !ok && len(c.last) >= maxChangedLogins {
		c.last = map[loginsOf]uint64{{}: c.latest}
	}
	c.latest++
	c.last[of] = c.latest
}

// before returns what tells a login from those before the last change that concerns it, "" if there was none. It goes behind what
// encodeOptions makes.
func (c *changedLogins) before(user, database string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	last := max(c.last[loginsOf{}], c.last[loginsOf{user: user}], c.last[loginsOf{database: database}], c.last[loginsOf{user, database}])
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
	for r := (loginsReader{scanner: scanner{text: text, lex: m.lexing}, self: m.session.key.User}); r.advance(); {
		if r.apart {
			w.Outdate(m.session.key.User, r.database)
		}
		if l.n < maxLogins {
			l.changed[l.n] = r.loginsOf
			l.n++
		}
	}
}

// completed notes a CommandComplete.
func (l *logins) completed(tag []byte) {
	switch string(tag) {
	case "ALTER ROLE\x00", "ALTER DATABASE\x00", "DROP DATABASE\x00":
		l.done = true
	}
}

// loginsFailed notes an error with this body.
func (m *machine) loginsFailed(body []byte, w engine.Wire) {
	l := m.lend.logins
	if l == nil || l.n != 1 || errorCode(body) != "55006" { // object_in_use; of more than one it is not known which it is about
		return
	}
	switch errorField(body, 'R') { // nothing but these statements gets there
	case "createdb", "dropdb", "movedb", "RenameDatabase":
		w.Outdate(l.changed[0].user, l.changed[0].database)
	}
}

// loginsOver is called where no transaction is open any more.
func (m *machine) loginsOver() {
	l := m.lend.logins
	for _, of := range l.changed[:l.n] {
		if l.done {
			m.e.logins.changed(of)
		}
	}
	if l.done = false; m.queue.empty() {
		m.lend.logins = nil
	}
}

// loginsReader reads what SQL, one statement or more, changes for logins.
type loginsReader struct {
	scanner
	self     string // the user whose session it is
	loginsOf        // that the statement is about
	apart    bool   // nobody may be logged in there
}

// advance moves behind the next statement that changes something. It returns false if there is none.
func (r *loginsReader) advance() bool {
	for r.kind = ';'; r.kind == ';'; {
		r.loginsOf, r.apart = loginsOf{}, false
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
			switch r.next(); {
			case r.is("rename"):
				r.apart = true
				return true
			case r.is("set"):
				r.next()
				r.apart = r.is("tablespace")
				return true
			}
			return r.is("reset")
		case r.is("role"), r.is("user"):
			return r.role()
		}
	case r.is("drop"):
		if r.next(); !r.is("database") {
			return false
		}
		if r.next(); r.is("if") {
			r.next() // EXISTS
			r.next()
		}
		r.apart = true
		r.readDatabase()
		return true
	case r.is("create"):
		if r.next(); !r.is("database") {
			return false
		}
		r.apart, r.database = true, "template1"
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

// role reads what follows ALTER ROLE.
func (r *loginsReader) role() bool {
	switch r.next(); {
	case r.is("all"):
	case r.is("current_user"), r.is("current_role"), r.is("session_user"), r.length == 0: // or one that the scanner does not read
		r.user = r.self
	default:
		r.user = string(r.word())
	}
	if r.next(); r.is("in") {
		r.next() // DATABASE
		r.next()
		r.readDatabase()
		r.next()
	}
	return r.is("set") || r.is("reset")
}

// readDatabase notes the name of a database. Of one that the scanner does not read it is not known who may be logged in there.
func (r *loginsReader) readDatabase() {
	if r.database = string(r.word()); r.database == "" && r.user == "" {
		r.user = r.self
	}
}
