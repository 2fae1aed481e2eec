package mysql

import (
	"bytes"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// act is what the text of a request says it does to things that hold a session to its backend and have an end. It is only
// read where the scan found something that pins, or the session is pinned. What has another form than those known here
// has no end that can be seen: it holds until a reset.
type act struct {
	verb  verb
	hold  hold     // what it is about
	names []string // of the things made or ended
	// single says that the text is one statement without executable comments.
	single bool
	// unlocks says that a statement of it begins as those do that end LOCK TABLES.
	unlocks bool
	// dynamic says that it may execute text that is not here.
	dynamic bool
	// harmless says that what it prepares leaves nothing when it is executed.
	harmless bool

	calls     []string // functions that are not the server's own, named without a schema, in lower case
	uncertain bool     // there may be others
	system    bool     // it may name something in a schema of the server's own

	locks    []string // names that it takes by GET_LOCK
	unnamed  bool     // it may take locks that have other names
	releases bool     // it may release locks
}

// verb is what a statement does to what holds.
type verb uint8

const (
	verbNone verb = iota
	verbMake
	verbEnd
	verbNeutral  // neither
	verbExecute  // a prepared statement
	verbLock     // LOCK TABLES: if it fails the server says whether tables are locked
	verbBegin    // BEGIN, START TRANSACTION: unlocks tables
	verbReleases // RELEASE_ALL_LOCKS() and nothing else
)

// hold is a sort of things that hold.
type hold uint8

const (
	holdTable hold = iota
	holdLock
	holdHandler
	holdPrepared
	holdTableLock
	holdXA
	holds
)

// kindOf is the kind of state that a sort of things is to the core.
var kindOf = [holds]engine.Kind{
	holdTable: engine.KindTemporaryTable, holdLock: engine.KindNamedLock, holdHandler: engine.KindCursor,
	holdPrepared: engine.KindPreparedStatement, holdTableLock: engine.KindTableLock, holdXA: engine.KindUnknown,
}

// What KindTableLock is about besides tables, which the server reports.
const (
	lockTables   = "LOCK TABLES"
	lockFlush    = "FLUSH TABLES"
	lockInstance = "LOCK INSTANCE"
	lockStage    = "BACKUP STAGE"
	lockBackup   = "BACKUP LOCK"
)

// piece is a token of a text, as written.
type piece struct {
	kind  tokenKind
	bytes []byte
}

func (p piece) is(words ...string) bool {
	if p.kind != tokenWord {
		return false
	}
	for _, w := range words {
		if len(p.bytes) == len(w) && strings.EqualFold(string(p.bytes), w) {
			return true
		}
	}
	return false
}

func (p piece) char(c byte) bool { return p.kind == tokenPunctuation && p.bytes[0] == c }

// actReader reads the pieces of a text one by one.
type actReader struct {
	rest        []byte
	conditional bool // there was an executable comment
	bad         bool // there was something that servers may read in several ways

	named bool // as the lexer's
	point point
}

// next returns the next piece; its kind is tokenNone at the end.
func (r *actReader) next() piece {
	before := len(r.rest)
	r.space()
	if len(r.rest) == 0 {
		return piece{}
	}
	if len(r.rest) != before {
		r.named, r.point = false, pointNone
	}
	c, n := r.rest[0], 1
	behind := r.point
	r.named, r.point = false, pointOf(c, r.named || behind == pointQualifies)
	if c == '@' {
		r.point = pointQualifies
	}
	kind := tokenPunctuation
	switch {
	case isDigit(c) && behind != pointQualifies:
		n, r.named = numberIn(r.rest, behind.begins())
		kind = tokenWord
	case isWord[c]:
		n, r.named = wordIn(r.rest), true
		kind = tokenWord
	case c == '\\' && len(r.rest) > 1 && r.rest[1] == 'N': // NULL
		n = 2
	case c == '\'' || c == '"' || c == '`':
		for n < len(r.rest) && r.rest[n] != c {
			r.bad = r.bad || r.rest[n] == '\\' && c != '`'
			n++
		}
		if n == len(r.rest) {
			r.bad = true
			r.rest = nil
			return piece{}
		}
		n++
		switch c { // what is in double quotes is a string or a name, as sql_mode has it: neither here
		case '\'':
			kind = tokenText
		case '`':
			kind = tokenName
			r.bad = r.bad || n < len(r.rest) && r.rest[n] == c
		}
	}
	p := piece{kind, r.rest[:n]}
	r.rest = r.rest[n:]
	return p
}

// space skips white space and comments.
func (r *actReader) space() {
	for len(r.rest) > 0 {
		p := string(r.rest[:min(len(r.rest), 4)])
		switch {
		case p[0] <= ' ':
			r.rest = r.rest[1:]
		case strings.HasPrefix(p, "/*!"), strings.HasPrefix(p, "/*M!"):
			r.conditional = true
			r.rest = r.rest[3:]
		case strings.HasPrefix(p, "/*"):
			r.until("*/", 2)
		case p[0] == '#', strings.HasPrefix(p, "--") && (len(p) == 2 || p[2] <= ' '):
			r.until("\n", 0)
		default:
			return
		}
	}
}

// until skips everything up to the end of a comment.
func (r *actReader) until(end string, from int) {
	if i := strings.Index(string(r.rest[from:]), end); i >= 0 {
		r.rest = r.rest[from+i+len(end):]
		return
	}
	r.bad = r.bad || end != "\n"
	r.rest = nil
}

// actOf reads what a text does.
func actOf(text []byte) *act {
	a := &act{single: true}
	r := actReader{rest: text}
	var all []piece
	ended, begins := false, true
	for p := r.next(); p.kind != tokenNone; p = r.next() {
		a.unlocks = a.unlocks || begins && p.is("UNLOCK", "LOCK", "BEGIN", "START")
		begins = p.char(';') || begins && isDigit(p.bytes[0]) // the version of an executable comment
		switch {
		case p.char(';'):
			ended = true
			continue
		case ended:
			a.single = false
		}
		a.dynamic = a.dynamic || p.is("CALL", "EXECUTE", "IMMEDIATE", "BEGIN")
		a.releases = a.releases || p.is("RELEASE_LOCK", "RELEASE_ALL_LOCKS")
		if len(all) < maxPieces {
			all = append(all, p)
		}
		a.lock(all, p)
		a.call(all, p)
	}
	a.system = len(all) == maxPieces || namesSystem(all)
	if r.conditional || r.bad {
		a.single, a.unnamed, a.uncertain, a.system = false, true, true, true
		return a
	}
	if a.single {
		a.read(&pieces{all})
	}
	return a
}

// maxPieces bounds how much of a text is looked at. Its strict forms are much shorter.
const maxPieces = 256

// lock sees GET_LOCK('name', ...): three pieces behind its beginning.
func (a *act) lock(all []piece, p piece) {
	if p.is("GET_LOCK") {
		a.unnamed = a.unnamed || len(a.locks) == maxNames
		a.locks = append(a.locks[:min(len(a.locks), maxNames)], "")
		return
	}
	n := len(all)
	if n < 4 || n == maxPieces || len(a.locks) == 0 || !p.char(',') || !all[n-4].is("GET_LOCK") {
		return
	}
	if name := all[n-2]; all[n-3].char('(') && name.kind == tokenText && plainName(name.bytes[1:len(name.bytes)-1]) {
		a.locks[len(a.locks)-1] = string(name.bytes[1 : len(name.bytes)-1])
	}
}

// namesSystem says whether something is named in a schema of the server's own.
func namesSystem(all []piece) bool {
	for i, p := range all {
		if i > 0 && p.char('.') && systemSchema(strings.Trim(string(all[i-1].bytes), "`\"")) {
			return true
		}
	}
	return false
}

// systemSchema says whether a schema is of the server's own. What is in there leaves all sorts of things, and the question about
// code does not cover it.
func systemSchema(name string) bool {
	return slices.ContainsFunc([]string{"sys", "mysql", "mariadb_schema", "performance_schema", "information_schema"},
		func(s string) bool { return strings.EqualFold(s, name) })
}

// call sees name(. It may take a table or an alias for a function.
func (a *act) call(all []piece, p piece) {
	if !p.char('(') {
		return
	}
	n := len(all)
	if n == maxPieces {
		a.uncertain = true
		return
	}
	if n < 2 || n > 2 && (all[n-3].char('.') || all[n-3].is("INTO", "TABLE", "AS", "WITH", "RECURSIVE", "CALL")) {
		return
	}
	name := all[n-2].bytes
	switch {
	case all[n-2].kind == tokenWord && words.find([]byte(strings.ToUpper(string(name)))).call == callUnknown:
	default: // of quoted names the scan says that they may be anything
		return
	}
	lower := strings.ToLower(string(name))
	switch {
	case slices.Contains(a.calls, lower):
	case !plainName(name), len(a.calls) == maxNames:
		a.uncertain = true
	default:
		a.calls = append(a.calls, lower)
	}
}

// plainName says whether a name is the same in every character set and sql_mode, and no longer than names of locks.
func plainName(name []byte) bool {
	for _, c := range name {
		if c >= 0x80 || c < ' ' || c == '\'' || c == '\\' {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxLockName
}

// pieces are what is left of a statement.
type pieces struct{ all []piece }

func (s *pieces) take() (p piece) {
	if len(s.all) > 0 {
		p, s.all = s.all[0], s.all[1:]
	}
	return p
}

// word takes one of these words, if it comes next.
func (s *pieces) word(words ...string) bool {
	if len(s.all) == 0 || !s.all[0].is(words...) {
		return false
	}
	s.all = s.all[1:]
	return true
}

func (s *pieces) char(c byte) bool {
	if len(s.all) == 0 || !s.all[0].char(c) {
		return false
	}
	s.all = s.all[1:]
	return true
}

// name takes an identifier.
func (s *pieces) name() (string, bool) {
	p := s.take()
	name := p.bytes
	switch {
	case p.kind == tokenName:
		name = name[1 : len(name)-1]
	case p.kind != tokenWord:
		return "", false
	}
	return string(name), plainName(name)
}

// table takes the name of a table: with its schema in front, or nothing in place of that.
func (s *pieces) table() (string, bool) {
	first, ok := s.name()
	if !ok || !s.char('.') {
		return "\x00" + first, ok
	}
	second, ok := s.name()
	return first + "\x00" + second, ok
}

func (a *act) set(v verb, h hold, names ...string) { a.verb, a.hold, a.names = v, h, names }

// read takes the strict forms apart.
func (a *act) read(s *pieces) {
	first := s.take()
	switch {
	case first.is("CREATE"):
		a.create(s)
	case first.is("DROP"):
		a.drop(s)
	case first.is("HANDLER"):
		a.handler(s)
	case first.is("PREPARE"):
		a.prepare(s)
	case first.is("EXECUTE"):
		if name, ok := s.name(); ok && !strings.EqualFold(name, "IMMEDIATE") {
			a.set(verbExecute, holdPrepared, name)
		}
	case first.is("DEALLOCATE"):
		a.deallocate(s)
	case first.is("LOCK", "UNLOCK", "FLUSH", "BACKUP"):
		a.tableLock(first, s)
	case first.is("START") && s.word("TRANSACTION"), first.is("BEGIN"):
		a.set(verbBegin, holdTableLock)
	case first.is("XA"):
		a.xa(s)
	case first.is("SELECT", "DO"):
		if s.word("RELEASE_ALL_LOCKS") && s.char('(') && s.char(')') && len(s.all) == 0 {
			a.set(verbReleases, holdLock)
		}
	}
}

func (a *act) create(s *pieces) {
	if s.word("OR") && !s.word("REPLACE") || !s.word("TEMPORARY") || !s.word("TABLE") {
		return
	}
	if s.word("IF") && (!s.word("NOT") || !s.word("EXISTS")) {
		return
	}
	if name, ok := s.table(); ok {
		a.set(verbMake, holdTable, name)
	}
}

func (a *act) drop(s *pieces) {
	if s.word("PREPARE") {
		if name, ok := s.name(); ok && len(s.all) == 0 {
			a.set(verbEnd, holdPrepared, name)
		}
		return
	}
	s.word("TEMPORARY")
	if !s.word("TABLE", "TABLES") || s.word("IF") && !s.word("EXISTS") {
		return
	}
	var names []string
	for {
		name, ok := s.table()
		if !ok {
			return
		}
		names = append(names, name)
		if !s.char(',') {
			break
		}
	}
	s.word("RESTRICT", "CASCADE")
	if len(s.all) == 0 {
		a.set(verbEnd, holdTable, names...)
	}
}

// handler reads HANDLER table OPEN [[AS] alias], HANDLER alias CLOSE and HANDLER alias READ.
func (a *act) handler(s *pieces) {
	name, ok := s.name()
	if s.char('.') {
		name, ok = s.name()
	}
	switch {
	case !ok:
	case s.word("READ"):
		a.set(verbNeutral, holdHandler)
	case s.word("CLOSE") && len(s.all) == 0:
		a.set(verbEnd, holdHandler, name)
	case s.word("OPEN"):
		if s.word("AS") || len(s.all) > 0 {
			name, ok = s.name()
		}
		if ok && len(s.all) == 0 {
			a.set(verbMake, holdHandler, name)
		}
	}
}

// prepare reads PREPARE name FROM 'text'.
func (a *act) prepare(s *pieces) {
	name, ok := s.name()
	if !ok || !s.word("FROM") {
		return
	}
	text := s.take()
	// What other bytes are says the character set: there may be white space among them.
	ascii := !bytes.ContainsFunc(text.bytes, func(r rune) bool { return r >= 0x80 })
	if text.kind == tokenText && len(s.all) == 0 && ascii {
		c := scan(text.bytes[1:len(text.bytes)-1], false, false)
		a.harmless = c.kinds == 0 && c.flags&^(classInsertID|classWrites|classCode|classCounts|classFinds|classFindsRows|classKeepsFound|classKeeps|classOpens|
			classTables|classEnds) == 0
	}
	a.set(verbMake, holdPrepared, name)
}

func (a *act) deallocate(s *pieces) {
	if !s.word("PREPARE") {
		return
	}
	if name, ok := s.name(); ok && len(s.all) == 0 {
		a.set(verbEnd, holdPrepared, name)
	}
}

// tableLock reads the statements that lock what is more than rows.
func (a *act) tableLock(first piece, s *pieces) {
	switch {
	case first.is("LOCK") && s.word("INSTANCE"):
		a.set(verbMake, holdTableLock, lockInstance)
	case first.is("LOCK") && s.word("TABLE", "TABLES"):
		a.set(verbLock, holdTableLock, lockTables)
	case first.is("UNLOCK") && s.word("INSTANCE") && len(s.all) == 0:
		a.set(verbEnd, holdTableLock, lockInstance)
	case first.is("UNLOCK") && s.word("TABLE", "TABLES") && len(s.all) == 0:
		a.set(verbEnd, holdTableLock, lockTables, lockFlush)
	case first.is("FLUSH"):
		a.set(verbMake, holdTableLock, lockFlush) // what flushes only does not pin
	case first.is("BACKUP") && s.word("STAGE"):
		a.set(verbMake, holdTableLock, lockStage)
		if s.word("END") {
			a.verb = verbEnd
		}
	case first.is("BACKUP") && s.word("UNLOCK"):
		a.set(verbEnd, holdTableLock, lockBackup)
	case first.is("BACKUP") && s.word("LOCK"):
		a.set(verbMake, holdTableLock, lockBackup)
	}
}

// xa reads XA verb xid. Everything but a literal that is written in the same way again is no name.
func (a *act) xa(s *pieces) {
	p := s.take()
	if p.is("RECOVER") {
		a.set(verbNeutral, holdXA)
		return
	}
	var xid []byte
	for len(s.all) > 0 && (s.all[0].kind == tokenText || s.all[0].char(',') || isDigit(s.all[0].bytes[0])) {
		xid = append(xid, s.take().bytes...)
	}
	switch {
	case len(xid) == 0 || len(xid) > maxXID:
	case p.is("START", "BEGIN"):
		a.set(verbMake, holdXA, string(xid))
	case p.is("END", "PREPARE"):
		a.set(verbNeutral, holdXA)
	case p.is("COMMIT", "ROLLBACK"):
		a.set(verbEnd, holdXA, string(xid))
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

const (
	maxLockName = 64 // characters, of other identifiers too
	maxXID      = 300
)
