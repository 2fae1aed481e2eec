package mysql

import (
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// settingsIn takes the setting from a class whose text is nothing but SET statements that assign: the server says then
// what was set. Of a text with anything else in it reports may be of what has passed by its end (SET STATEMENT, procedures).
func settingsIn(c class, text []byte) class {
	if c.kinds&bit(engine.KindSetting) == 0 {
		return userVariablesIn(c, text)
	}
	r := setReader{actReader: actReader{rest: text}}
	if !r.text() {
		return userVariablesIn(c, text)
	}
	c.kinds &^= bit(engine.KindSetting) | bit(engine.KindUserVariable)
	if r.variables {
		c.kinds |= bit(engine.KindUserVariable)
	}
	c.assigned = &assigned{sets: &r.assignments}
	return userVariablesIn(c, text)
}

// setReader reads SET statements, the strict forms of which it accepts.
type setReader struct {
	actReader
	p         piece
	variables bool // it assigns to user variables
	assignments
}

// assignments are what a text of SET statements assigns to.
type assignments struct {
	names      []string // system variables of the session, in lower case
	count      int      // with others
	users      int      // of which to user variables
	charsets   int      // of which with NAMES and CHARACTER SET
	statements int
	starts     []int // of each statement but the first: how many names come before its own
	collated   collated
}

// of returns what the first n statements assign to.
func (a *assignments) of(n int) []string {
	switch {
	case n <= 0:
		return nil
	case n > len(a.starts):
		return a.names
	}
	return a.names[:a.starts[n-1]]
}

// collated is which collations character_set_client and character_set_results got. Only SET NAMES can name one.
type collated struct {
	client, results string // of the last assignment; "" for the character set's default one
	ever            bool   // some assignment named one
	unclear         bool   // with a name that is none
}

func (r *setReader) step() { r.p = r.next() }

// take takes a piece, if it comes next.
func (r *setReader) take(c byte) bool {
	if !r.p.char(c) {
		return false
	}
	r.step()
	return true
}

func (r *setReader) word(words ...string) bool {
	if !r.p.is(words...) {
		return false
	}
	r.step()
	return true
}

// text reads one or more statements.
func (r *setReader) text() bool {
	r.step()
	for {
		for r.take(';') {
		}
		if r.p.kind == tokenNone {
			return !r.bad && !r.conditional
		}
		if !r.statement() || r.p.kind != tokenNone && !r.p.char(';') {
			return false
		}
	}
}

func (r *setReader) statement() bool {
	if r.statements++; r.statements > 1 {
		r.starts = append(r.starts, len(r.names))
	}
	if !r.word("SET") || !r.assignment() {
		return false
	}
	for r.take(',') {
		if !r.assignment() {
			return false
		}
	}
	return true
}

func (r *setReader) assignment() bool {
	r.count++
	switch {
	case r.word("NAMES"):
		r.charsets++
		r.collated.client, r.collated.results = "", ""
		return r.charset() && (!r.word("COLLATE") || r.collation())
	case r.word("CHARSET"):
		r.charsets++
		r.collated.client, r.collated.results = "", ""
		return r.charset()
	case r.word("CHARACTER"):
		r.charsets++
		r.collated.client, r.collated.results = "", ""
		return r.word("SET") && r.charset()
	case r.take('@'):
		if r.take('@') {
			break
		}
		r.variables = true
		r.users++
		return r.variable()
	}
	global := r.p.is("GLOBAL", "PERSIST", "PERSIST_ONLY")
	if global || r.p.is("SESSION", "LOCAL") {
		r.step()
		r.take('.')
	}
	if r.word("TRANSACTION") {
		for r.p.kind != tokenNone && !r.p.char(';') {
			r.step()
		}
		return true
	}
	if r.p.kind != tokenWord && r.p.kind != tokenName || len(r.names) == maxSettings {
		return false
	}
	name := strings.ToLower(strings.Trim(string(r.p.bytes), "`"))
	r.step()
	if !global && (r.p.char('=') || r.p.char(':')) { // no SET ROLE, or the like
		if !plainWord(name) {
			return false // servers may know it by less, see lexer.cut
		}
		r.names = append(r.names, name)
		switch name {
		case clientCharset:
			r.collated.client = ""
		case resultsCharset:
			r.collated.results = ""
		}
	}
	return r.value()
}

// charset reads the name of a character set or collation.
func (r *setReader) charset() bool {
	switch {
	case r.p.kind == tokenWord, r.p.kind == tokenText, r.p.char('"'):
		r.step()
		return true
	}
	return false
}

// collation reads the name of the collation of SET NAMES.
func (r *setReader) collation() bool {
	if !r.p.is("DEFAULT") {
		c := &r.collated
		c.results = strings.ToLower(strings.Trim(string(r.p.bytes), `'"`))
		c.client, c.ever, c.unclear = c.results, true, c.unclear || !plainWord(c.results)
	}
	return r.charset()
}

// plainWord says whether s is a name as collations have them.
func plainWord(s string) bool {
	for i := range len(s) {
		if !isWord[s[i]] || s[i] >= 0x80 {
			return false
		}
	}
	return s != ""
}

// variable reads what follows the @ of a user variable.
func (r *setReader) variable() bool {
	for n := 0; ; n++ {
		switch {
		case r.p.kind == tokenWord, r.p.kind == tokenName, r.p.kind == tokenText, r.p.char('.'):
			r.step()
		default:
			return n > 0 && r.value()
		}
	}
}

// value reads = or := and an expression up to the next assignment. What functions in it do is the scan's business.
func (r *setReader) value() bool {
	r.take(':')
	if !r.take('=') {
		return false
	}
	depth := 0
	for n := 0; ; n++ {
		switch {
		case r.p.kind == tokenNone, depth == 0 && (r.p.char(',') || r.p.char(';')):
			return n > 0 && depth == 0
		case r.p.char(':'), r.p.is("INTO"): // an assignment inside
			return false
		case r.p.char('('):
			depth++
		case r.p.char(')'):
			depth--
		}
		r.step()
	}
}

// asksAll says whether to ask for the variables in names, and for user variables, is to know all that the text may have assigned.
func (a *assignments) asksAll() bool { return a.statements == 1 && a.count == len(a.names)+a.users }

// assignsNothing says whether an error comes before anything is assigned. Most are found before that;
// servers are not consistent about a value that is wrong.
func (a *assignments) assignsNothing(number uint16) bool {
	switch number {
	case protocol.ER_WRONG_VALUE_FOR_VAR:
		return a.count == 1
	case protocol.ER_PARSE_ERROR, protocol.ER_UNKNOWN_CHARACTER_SET, protocol.ER_UNKNOWN_SYSTEM_VARIABLE,
		protocol.ER_SPECIFIC_ACCESS_DENIED_ERROR, protocol.ER_GLOBAL_VARIABLE, protocol.ER_WRONG_TYPE_FOR_VAR,
		protocol.ER_INCORRECT_GLOBAL_LOCAL_VAR, protocol.ER_COLLATION_CHARSET_MISMATCH, protocol.ER_UNKNOWN_COLLATION,
		protocol.ER_UNKNOWN_TIME_ZONE, protocol.ER_VARIABLE_IS_READONLY, protocol.ER_UNKNOWN_LOCALE:
		return true
	}
	return false
}
