package mysql

import "github.com/berthdb/berth/core/engine"

// class is what the scan of a text found out. The zero class is a text that leaves nothing behind.
type class struct {
	// kinds has a bit for each engine.Kind of session state that the text may leave on the backend, whether or not
	// it fails, and without the server reporting it.
	kinds uint32
	flags classFlags
	kill  uint64 // whom KILL names
	// assigned is nil for most texts. A class has four fields, which is as many as the compiler keeps in registers.
	assigned *assigned
}

// assigned is what a text assigns to, as far as that can be read.
type assigned struct {
	sets  *assignments
	users *userVariables
}

// sets is not nil if the text assigns to variables and does nothing else: the server reports to which of its own.
func (c class) sets() *assignments {
	if c.assigned == nil {
		return nil
	}
	return c.assigned.sets
}

// users is not nil if all user variables that the text may assign to are known.
func (c class) users() *userVariables {
	if c.assigned == nil {
		return nil
	}
	return c.assigned.users
}

type classFlags uint64

const (
	// classInsertID: it may read LAST_INSERT_ID(), which must be the session's.
	classInsertID classFlags = 1 << iota
	// classSetsInsertID: it may change LAST_INSERT_ID() without the server's OK saying so.
	classSetsInsertID
	// classWrites: it may change LAST_INSERT_ID(); the server's OK says so, but no ERR does.
	classWrites
	// classPrevious: it reads what only the connection of the previous statement knows: ROW_COUNT(), FOUND_ROWS().
	classPrevious
	// classDiagnostics: it reads the diagnostics of the previous statement and does not replace them.
	classDiagnostics
	// classCountsDiagnostics: it reads how many there are, and on MySQL replaces them then.
	classCountsDiagnostics
	// classAsksFound: it may read what FOUND_ROWS() was before it.
	classAsksFound
	// classFinds: it is one SELECT, so that FOUND_ROWS() is about it.
	classFinds
	// classFindsRows: it begins with WITH or TABLE: FOUND_ROWS() is about it if it has rows.
	classFindsRows
	// classFoundRows: it leaves a count for FOUND_ROWS() that differs from what the client got.
	classFoundRows
	// classUse: it is one USE and nothing else; classMoves: it has a USE among other statements.
	classUse
	classMoves
	// classKill: it is one KILL with a plain number; classKillQuery: of the statement only.
	classKill
	classKillQuery
	// classKillOther: there is a KILL in it that cannot be understood here.
	classKillOther
	// classRelease: the server closes the connection afterwards.
	classRelease
	// classCode: it does more than begin and end transactions, and so may execute stored code.
	classCode
	// classRenames: it may give a table another name.
	classRenames
	// classDefines: it may create code that later statements execute without naming it.
	classDefines
	// classCalls: it calls stored code, of which the server has said what it may leave.
	classCalls
	// classCallsNamed: some of it are functions without their schema: the server must say that they are stored ones.
	classCallsNamed
	// classCounts: it is one of both, and its rows are as many as FOUND_ROWS() says then.
	classCounts
	// classKeepsFound: it changes nothing about FOUND_ROWS().
	classKeepsFound
	// classKeeps: it is one statement that commits nothing; in a transaction, it is rolled back with it.
	classKeeps
	// classOpens: it is one statement that begins or ends a transaction, and has no effect outside of one.
	classOpens
	// classTrackers: it names the variable that says what the server reports; classTracking: the session's value of that is enough
	// for it, see tracking.go.
	classTrackers
	classTracking
	// classShows: it is one SHOW and nothing else.
	classShows
	// classGets: it is one GET DIAGNOSTICS and nothing else.
	classGets
	// classDefinesPrevious: what it creates may read values of the statement before.
	classDefinesPrevious
	// classTables: it may use tables; classEnds: where it succeeds, no transaction is open that was open before. See autocommit.go.
	classTables
	classEnds
	// classLogins: it may change what the server makes of logins to come, see logins.go.
	classLogins
	// classLastGTID: it reads last_gtid of the statements before it, see last_gtid.go.
	classLastGTID
	// classWritten: it reads what the connection has written last to a Galera cluster, see last_gtid.go.
	classWritten
	// classGroup: it may put the connection into one of MySQL's resource groups.
	classGroup
	// classSys: it names the schema sys, the views of which leave user variables.
	classSys
	// classRemoves: code may be gone behind it, also such as it has created.
	classRemoves
)

func (c class) has(f classFlags) bool { return c.flags&f != 0 }

// tokenKind is what the token before was.
type tokenKind uint8

const (
	tokenNone tokenKind = iota // the statement begins
	tokenWord
	tokenName // quoted
	tokenText
	tokenPunctuation
)

// token is what remains to be known about a token when the next ones come. It, too, has no more than four fields.
type token struct {
	kind  tokenKind
	char  byte // of punctuation
	word  word
	marks marks
}

// marks are of where a token stands.
type marks uint8

const (
	// markExempt: the parenthesis that may follow is no call's, because this is where a name stands.
	markExempt marks = 1 << iota
	markDotted       // a name that belongs to the name before
)

func (t token) exempt() bool { return t.marks&markExempt != 0 }
func (t token) dotted() bool { return t.marks&markDotted != 0 }

// classifier judges the tokens of a text, statement by statement. Whoever is not sure says KindUnknown: what a text
// does is bounded from above.
type classifier struct {
	found class

	statements int        // that have begun
	opening    classFlags // what the first of them is, of classKeeps, classOpens, classShows and classGets
	hidden     bool       // there is more in an executable comment
	first      keyword
	position   int // tokens of the statement so far
	prev       token
	depth      int
	// calls says that functions are executed here, and so must be known.
	calls bool
	// naming says that a table's name stands here, so that a parenthesis begins a list of columns.
	naming   bool
	ends     bool // the statement ends transactions, see autocommit.go
	argument bool // LAST_INSERT_ID( was the last, and something before it already set the value
	assigns  bool // what SET assigns begins with @
	system   bool // @@ was before, and perhaps a scope with its dot
	setsFor  bool // a statement comes behind FOR, see beginSetFor,
	within   bool // or has come
	defaults bool // CREATE or ALTER assigns to user variables: the default of a column may do so later
	target   killTarget
	// counts says that the text is one SELECT, WITH or TABLE; uncounted that its rows are not as many as FOUND_ROWS() says, or hardly; limit
	// is the position of its last LIMIT.
	counts, uncounted bool
	selected          bool // a statement before it in the text is a SELECT
	limit             int
}

// killTarget is how far a KILL has been understood.
type killTarget struct {
	query  bool
	number bool // or what stands for it
	bad    bool
	named  bool // by a word, as of a parameter
	call   ownCall
}

// ownCall is how much of CONNECTION_ID() has been read.
type ownCall uint8

const (
	ownNone ownCall = iota
	ownNamed
	ownOpen
)

// ownConnection is the id in KILL CONNECTION_ID(). No number is as large (see decimal).
const ownConnection = 1<<64 - 1

// opening judges a statement by its first word.
func opening(w works) (f classFlags) {
	if w&worksKeeps != 0 {
		f |= classKeeps
	}
	if w&worksOpens != 0 {
		f |= classOpens
	}
	if w&worksShows != 0 {
		f |= classShows
	}
	if w&worksGets != 0 {
		f |= classGets
	}
	return f
}

func (c *classifier) pin(k engine.Kind) { c.found.kinds |= 1 << k }
func (c *classifier) flag(f classFlags) { c.found.flags |= f }

// unknown is whatever might do anything: change session state, read values of the previous statement.
func (c *classifier) unknown() {
	c.pin(engine.KindUnknown)
	c.flag(classInsertID | classCode | classTables)
}

// storedCode is code of the server's own: it may do anything, but the server can be asked what.
func (c *classifier) storedCode() {
	c.flag(classCalls | classInsertID | classSetsInsertID | classCode | classTables)
}

// storedFunction is storedCode that does not change LAST_INSERT_ID() for whoever calls it.
func (c *classifier) storedFunction(f classFlags) {
	c.flag(classCalls | classInsertID | classCode | classTables | f)
}

// doubt says that a server may read the text in another way.
func (c *classifier) doubt() { c.unknown() }

// conditional says that an executable comment begins: the text is not exactly what it seems.
func (c *classifier) conditional() {
	c.uncounted, c.hidden = true, true
	c.flag(classTables)
}

// end judges what can only be said at the end.
func (c *classifier) end() class {
	c.endStatement()
	if c.defaults {
		c.flag(classDefines) // only now: the statement itself may call functions (CREATE TABLE ... SELECT)
	}
	if c.statements > 1 {
		if c.found.has(classUse) {
			c.found.flags = c.found.flags&^classUse | classMoves
		}
		if c.found.has(classKill) {
			c.found.flags = c.found.flags&^(classKill|classKillQuery) | classKillOther
		}
	}
	if c.statements == 1 && !c.hidden && c.found.kinds&(1<<engine.KindUnknown) == 0 {
		c.flag(c.opening)
	}
	switch {
	case c.statements > 1:
		c.found.flags &^= classKeepsFound
	case c.counts && !c.uncounted:
		c.flag(classCounts)
	}
	switch {
	case !c.counts || c.statements > 1 || c.hidden:
	case c.selected:
		c.flag(classFinds)
	default:
		c.flag(classFindsRows)
	}
	if c.ends && !c.hidden {
		c.flag(classEnds)
	}
	return c.found
}

func (c *classifier) endStatement() {
	if c.position == 0 {
		return
	}
	if c.first == kwKill {
		switch t := c.target; {
		case t.named && !t.bad && c.found.has(classDefines): // of what is created
		case t.bad || !t.number || c.within:
			c.flag(classKillOther)
		case t.query:
			c.flag(classKill | classKillQuery)
		default:
			c.flag(classKill)
		}
	}
	if c.first == kwBegin && c.position > 2 || c.first == kwStart && c.position < 2 {
		c.unknown() // BEGIN NOT ATOMIC: a compound statement of MariaDB
	}
	c.selected = c.selected || c.first == kwSelect
	c.first, c.position, c.prev, c.depth = kwOther, 0, token{}, 0
	c.calls, c.naming, c.target, c.setsFor, c.within = false, false, killTarget{}, false, false
}

// step begins a token; it is the first of its statement if it returns true.
func (c *classifier) step() bool {
	c.position++
	if c.position > 1 {
		return false
	}
	c.statements++
	return true
}

// identifier takes a word without quotes, in upper case; a number too. first is its first byte.
func (c *classifier) identifier(text []byte, first byte) {
	w := words.find(text)
	if c.step() {
		if c.statements == 1 {
			c.opening = opening(w.works)
		}
		c.works(w.works)
		c.begin(w)
		c.after(token{kind: tokenWord, word: w})
		return
	}
	number := first >= '0' && first <= '9'
	if c.first == kwKill {
		c.killWord(w, text, number)
		return
	}
	t := token{kind: tokenWord, word: w, marks: c.marks()}
	if number {
		t.word = word{}
	}
	if c.naming && !t.dotted() && !c.names(w) {
		c.naming = false
	}
	switch {
	case w.keyword == kwFor && c.setsFor && c.depth == 0:
		c.beginSetFor()
		return
	case w.keyword == kwKill && !c.prev.is('.') && !c.prev.is('@') && !c.found.has(classDefines):
		c.flag(classKillOther) // no name is written so without quotes: it is in a compound statement
	}
	if !w.plain() || c.first != kwSelect && c.first != kwInsert && c.first != kwQuery { // what these do hangs on no name
		c.follow(w)
		c.special(w)
		c.worksOn(w)
	}
	c.after(t)
}

// marks are those of a word or name that stands here.
func (c *classifier) marks() (m marks) {
	if c.exempts() {
		m = markExempt
	}
	if c.prev.is('.') {
		m |= markDotted
	}
	return m
}

// exempts says whether a name stands here that a parenthesis may follow without being a call: an alias (AS t (a, b),
// the end of a derived table), or a table of which columns are named.
func (c *classifier) exempts() bool {
	p := c.prev
	return p.kind == tokenWord && (p.word.keyword == kwAs || p.word.keyword == kwWith) || p.is(')') || c.naming
}

// names says whether the name of a table is still to come, or is w.
func (c *classifier) names(w word) bool {
	if c.prev.is('.') || w.keyword == kwModifier || w.keyword == kwInto || w.keyword == kwTable {
		return true
	}
	p := c.prev
	return p.kind == tokenWord && (p.word.keyword == kwInto || p.word.keyword == kwTable ||
		p.word.keyword == kwModifier || c.position == 2)
}

func (t token) is(char byte) bool { return t.kind == tokenPunctuation && t.char == char }

func (c *classifier) after(t token) {
	if c.assigns && !t.is('@') {
		c.pin(engine.KindUserVariable)
		c.assigns = false
	}
	c.system = t.is('@') && c.prev.is('@') || c.system && (t.kind == tokenWord && c.prev.is('@') || t.is('.'))
	c.prev = t
}

// quotedName takes an identifier in backticks, or a string in double quotes, which sql_mode may make one.
func (c *classifier) quotedName() {
	if c.step() {
		c.unknown()
	}
	c.other()
	switch {
	case c.first == kwSet && c.position <= 4:
		c.pin(engine.KindSetting)
		c.flag(classInsertID | classSetsInsertID) // it may be the variable of that name
	case c.system:
		c.unknown()
		c.flag(classDiagnostics)
	}
	c.after(token{kind: tokenName, marks: c.marks()})
}

// text takes a string in single quotes.
func (c *classifier) text() {
	if c.step() {
		c.unknown()
	}
	c.other()
	c.after(token{kind: tokenText})
}

// other is for tokens that the few statements with a strict form do not have.
func (c *classifier) other() {
	switch c.first {
	case kwKill:
		c.target.bad = true
	case kwBegin:
		c.unknown()
	case kwStart:
		if c.position == 2 {
			c.unknown()
		}
	}
}

// assignment takes := .
func (c *classifier) assignment() {
	c.punctuation(':')
	c.pin(engine.KindUserVariable)
	c.defaults = c.defaults || c.first == kwCreate || c.first == kwAlter
}

// punctuation takes any other character.
func (c *classifier) punctuation(char byte) {
	if char == ';' {
		c.endStatement()
		return
	}
	if c.step() {
		// ( SELECT ... ) is a query; nothing else begins with punctuation.
		c.calls = true
		if char != '(' {
			c.unknown()
		} else {
			c.position = 0 // what follows begins the statement
			c.statements--
			c.uncounted = true
		}
		return
	}
	if c.first == kwKill {
		c.killCall(char)
		return
	}
	c.other()
	switch char {
	case '(':
		c.depth++
		c.call()
	case ')':
		c.depth--
		c.closeCall()
	case '@':
		c.at()
	case ',':
		if c.limit > 0 && c.position == c.limit+2 { // LIMIT offset, rows
			c.uncounted = true
		}
		if c.first == kwSet && c.depth == 0 {
			c.pin(engine.KindSetting)
		}
	}
	if char != '.' && char != '(' {
		c.naming = false
	}
	c.after(token{kind: tokenPunctuation, char: char, marks: c.prev.marks & markExempt, word: c.prev.word})
}

// call judges the name in front of a parenthesis.
func (c *classifier) call() {
	naming := c.naming
	c.naming = false
	p := c.prev
	if !c.calls || p.exempt() || naming && p.kind != tokenPunctuation {
		return
	}
	if p.dotted() && p.kind == tokenWord {
		c.storedFunction(0) // though MariaDB has its own functions in a schema of their own, too
		if p.word.call == callUnknown {
			return
		}
	}
	switch {
	case p.kind == tokenName: // quotes make no difference to servers, but nothing is known of the name
		c.unknown()
		return
	case p.kind != tokenWord:
		return
	}
	switch p.word.call {
	case callHarmless:
	case callNamedLock:
		c.pin(engine.KindNamedLock)
	case callSequence:
		c.pin(engine.KindSequence)
	case callConnectionID:
		c.pin(engine.KindConnectionID)
	case callFoundRows:
		if !c.selected && !c.found.has(classDefines) {
			c.flag(classAsksFound)
		}
		fallthrough
	case callPrevious:
		if c.statements == 1 && !c.found.has(classDefines) { // what is created only mentions it
			c.flag(classPrevious)
		}
	case callWritten:
		if c.statements == 1 && !c.found.has(classDefines) { // what is created only mentions it
			c.flag(classWritten)
		}
	case callLastInsertID:
		c.argument = c.found.has(classSetsInsertID)
		c.flag(classInsertID | classSetsInsertID)
	default:
		c.storedFunction(classCallsNamed)
	}
}

// closeCall sees LAST_INSERT_ID() without an argument: it only reads.
func (c *classifier) closeCall() {
	if c.prev.is('(') && c.prev.word.call == callLastInsertID && !c.argument {
		c.found.flags &^= classSetsInsertID
	}
}

// at sees the @ of a variable.
func (c *classifier) at() {
	switch {
	case c.first == kwLoad, c.first == kwCall:
		c.pin(engine.KindUserVariable) // LOAD DATA ... (a, @b); CALL p(@out)
	case c.prev.kind == tokenWord && c.prev.word.keyword == kwInto:
		c.pin(engine.KindUserVariable)
	case c.first == kwSet && c.prev.is('@'):
		c.assigns = false
	case c.first == kwSet && (c.position == 2 || c.prev.is(',') && c.depth == 0):
		c.assigns = true
	}
}
