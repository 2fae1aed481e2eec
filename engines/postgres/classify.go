package postgres

import (
	"github.com/berthdb/berth/core/engine"
)

// kindSet is a set of event kinds.
type kindSet uint32

const unknownKinds kindSet = 1 << engine.KindUnknown

func (s kindSet) has(k engine.Kind) bool { return s>>k&1 != 0 }
func (s *kindSet) add(k engine.Kind)     { *s |= 1 << k }

// verdict is what some SQL may do to the session that executes it.
type verdict struct {
	kinds       kindSet // the state that it leaves if it succeeds; 0: none
	maybe       kindSet // the state that it may leave, which only the server knows (verify.go)
	ends        kindSet // the state that it may end
	rolls       bool    // it may undo what went before in the transaction,
	undoes      bool    // and what it does to settings itself
	opaque      bool    // it executes what cannot be looked at: the server is asked what is left
	foreign     bool    // it calls functions that are not the server's own: they are judged with the database's code (unseen.go)
	garbled     bool    // it is no SQL that is known, and likely none at all
	reset       bool    // it is DISCARD ALL and nothing else
	sequence    bool    // it may make or ask for the session's sequence values (9.17)
	asks        bool    // it asks, by currval or lastval, for one that it has not made itself
	makes       bool    // it may make one that nobody sees in its text: by a column's default, or in a function
	target      uint32  // what stands for the names of the relations that it writes to, and the functions that it calls for that
	inert       bool    // it begins and ends transactions, and nothing else: no code of a user's is executed
	creates     bool    // it may create code that later statements execute without naming it
	deallocates bool    // it has DISCARD ALL or DEALLOCATE ALL
	names       bool    // it refers to prepared statements by their names
	scoped      bool    // it may set something for the transaction only
	unlisted    bool    // it sets, for the session, what the server does not list by itself (verify_settings.go)
	commits     bool    // it may commit a transaction that was open before
	decides     bool    // it begins or ends transactions:
	opens       bool    // behind it one may be open
	prepares    bool    // it may prepare a transaction for two-phase commit
	delivers    bool    // it may commit one that was prepared so
	logins      bool    // it may change what logins get, or want that nobody is logged in (logins.go)
	sticks      bool    // it may leave what no reset undoes (sticking.go),
	given       bool    // if set_config is given the seed's name, which may be among its parameters
}

// unread is what a statement may do that cannot be looked at.
var unread = verdict{kinds: unknownKinds, sequence: true, creates: true, commits: true, decides: true, opens: true, prepares: true, delivers: true}

// or is the verdict on one of two statements of which nobody knows which is executed: what either may do, and a reset only
// if both are one.
func (v verdict) or(o verdict) verdict {
	return verdict{
		opaque: v.opaque || o.opaque, foreign: v.foreign || o.foreign, garbled: v.garbled || o.garbled, kinds: v.kinds | o.kinds, maybe: v.maybe | o.maybe, ends: v.ends | o.ends, rolls: v.rolls || o.rolls, undoes: v.undoes || o.undoes,
		reset: v.reset && o.reset, sequence: v.sequence || o.sequence, inert: v.inert && o.inert, creates: v.creates || o.creates,
		asks: v.asks || o.asks, makes: v.makes || o.makes, target: v.target ^ o.target,
		deallocates: v.deallocates || o.deallocates, names: v.names || o.names, scoped: v.scoped || o.scoped, unlisted: v.unlisted || o.unlisted,
		commits: v.commits || o.commits, decides: v.decides || o.decides, opens: v.opens || o.opens, logins: v.logins || o.logins,
		prepares: v.prepares || o.prepares, delivers: v.delivers || o.delivers, sticks: v.sticks || o.sticks, given: v.given || o.given,
	}
}

// classify reads SQL, one statement or more. It knows what leaves no state in the session; everything else does. Names of
// functions are known ones or leave state, too: what a function of a user's does cannot be seen.
func classify(text []byte, lex lexing) verdict {
	if lex.hides(text) {
		return unread
	}
	c := classifier{scanner: scanner{text: text, lex: lex}, verdict: verdict{inert: true}}
	c.run()
	return c.end()
}

// classifier walks over statements.
type classifier struct {
	scanner
	verdict

	calls    bool    // whether functions that are named here are executed
	relation bool    // the name of a relation is being read: a parenthesis behind it lists columns
	catalog  bool    // the last word was pg_catalog, as a qualifier
	updates  bool    // the statement has the word UPDATE
	merges   bool    // it has the word MERGE
	depth    int     // of parentheses and brackets
	keyword  keyword // the last token's, and those of the two before
	before   keyword
	before2  keyword
	prev     tokenKind // of the token before the last

	statements int
	within     bool // a statement has begun
	ended      bool // the text has
	parted     bool // the text comes in parts
	starved    bool // the next token is not there in full
	named      bool // the last token is a name of which is not known what follows
	watched    watched
	drops      bool // the last words were ON COMMIT
	kept       bool // a statement before it makes a temporary table
	made       bool // a statement before it makes values of sequences
	begins     bool // the last word was BEGIN, or LANGUAGE in DO
	refers     bool // the last word was EXECUTE, DEALLOCATE or PREPARE
	reserved   bool // it names a statement as only the proxy does
	does       bool // a statement is DO
}

// watched says what to look for in the tokens behind a statement's first words.
type watched uint8

const (
	watchNothing watched = iota
	watchCursor
	watchQuery
	watchSchema
	watchFunction
	watchLanguage
)

// watch looks at a further token.
func (c *classifier) watch() {
	switch c.watched {
	case watchCursor:
		c.cursor()
	case watchQuery:
		c.query()
	case watchSchema:
		c.schema()
	case watchFunction:
		c.function()
	case watchLanguage:
		c.language()
	}
}

// run reads as many statements as there are, or, in a part of a text, up to where the next token may not be there in full.
func (c *classifier) run() {
	for c.starved = false; !c.ended && !c.lost; {
		if c.more && len(c.text)-c.at < maxAhead {
			return
		}
		if c.within {
			c.advance()
		} else {
			c.begin()
		}
		if c.starved {
			return
		}
		if c.within {
			c.watch()
		}
		if !c.atToken() {
			c.endStatement()
		}
	}
}

// maxAhead is how much of a text has to be there for a statement's first words, unless it is the rest.
const maxAhead = 2 * maxTail

// end is the verdict on the whole text.
func (c *classifier) end() verdict {
	if c.lost {
		return unread
	}
	if c.statements > 1 {
		c.reset = false // the server refuses it there
	}
	c.names = c.names || c.kinds.has(engine.KindPreparedStatement)
	// Whatever may make values comes behind the machine's DISCARD SEQUENCES, which would take them away later.
	c.makes = c.makes || c.foreign
	c.sequence = c.sequence || c.makes || c.opaque || c.garbled || c.kinds.has(engine.KindUnknown) || c.kinds.has(engine.KindPreparedStatement)
	return c.verdict
}

// begin reads a statement's first words, which say what it is.
func (c *classifier) begin() {
	c.calls, c.relation, c.catalog, c.updates, c.merges, c.depth = true, false, false, false, false, 0
	c.kind, c.prev, c.keyword, c.before, c.watched = tokenEnd, tokenEnd, keywordNone, keywordNone, watchNothing
	if c.within = c.advance(); c.within {
		c.statements++
		c.dispatch()
		c.lost = c.lost || c.starved // its first words are not to be seen together
	}
}

// endStatement is called at the last token of a statement.
func (c *classifier) endStatement() {
	if c.kind == tokenBroken {
		c.garbled, c.inert, c.creates = true, false, true
	}
	c.within, c.ended, c.made = false, c.kind != ';', c.makes
}

// atToken says that the statement has not ended.
func (c *classifier) atToken() bool {
	return c.kind != tokenEnd && c.kind != tokenBroken && (c.kind != ';' || c.depth > 0)
}

// advance reads the next token and looks at what it means wherever it stands. It returns false at the statement's end, and
// where the token is not there in full: starved.
func (c *classifier) advance() bool {
	if c.named && !c.settle() {
		c.starved = true
		return false
	}
	last, from := c.kind, c.at
	if c.next() == tokenMore {
		c.kind, c.starved = last, true
		return false
	}
	if c.parted {
		c.refer(from)
	}
	c.prev, c.before2, c.before = last, c.before, c.keyword
	c.keyword = keywordNone
	c.relation = c.relation && (c.kind == tokenWord || c.kind == tokenQuoted || c.kind == '.') // INTO and the like may be labels of columns
	switch c.kind {
	case '(', '[':
		c.depth++
	case ')', ']':
		c.depth = max(c.depth-1, 0)
	case tokenWord:
		c.keyword = keywordOf(c.word())
		c.named = true
		c.settle()
	case tokenQuoted:
		c.named = true
		c.settle()
	}
	return c.atToken()
}

// settle looks at the last name, if it is known what follows it.
func (c *classifier) settle() bool {
	next, known := c.following()
	if known {
		c.named = false
		c.name(next)
	}
	return known
}

// following returns the next byte that is neither white space nor comment, 0 at the end. known says that it is here.
func (c *classifier) following() (next byte, known bool) {
	if !c.space() {
		return 0, true // the next token will tell
	}
	return c.peek(0), !c.more || len(c.text)-c.at > 1 // not the beginning of another comment
}

// followed is following where a statement begins.
func (c *classifier) followed() byte {
	next, known := c.following()
	c.starved = c.starved || !known
	return next
}

// string says whether a string follows.
func (c *classifier) string() bool {
	ahead := c.scanner
	return ahead.next() == tokenString
}

// name looks at a word or quoted name. next is what follows it.
func (c *classifier) name(next byte) {
	if (next == '.' || c.before == keywordInto && !c.calls) && isTemporarySchema(c.kind, c.word()) { // IMPORT FOREIGN SCHEMA ... INTO pg_temp
		c.maybe.add(engine.KindTemporaryTable)
	}
	qualified := c.prev == '.'
	c.updates, c.merges = c.updates || c.is("update"), c.merges || c.is("merge")
	if c.is("insert") || c.is("merge") || c.updates && c.is("default") { // a column's default may be a sequence's next value
		c.makes = true
	}
	if c.relation {
		c.write(c.word())
	}
	if c.updates && isSettingsView(c.kind, c.word()) {
		c.kinds.add(engine.KindSetting)
	}
	known := !qualified || c.catalog
	first := c.prev == tokenEnd
	if next == '(' && c.calls && !first && !c.relation && !(c.kind == tokenWord && !qualified && c.syntax()) {
		c.call(known)
	}
	if next != '(' && qualified && c.calls && (c.length == 0 || attributeCalls(c.word())) {
		c.call(true)
	}
	if c.calls && next == '(' && !qualified && c.is("treat") { // TREAT (a AS b) calls the function pg_catalog.b, whatever it is
		c.kinds.add(engine.KindUnknown)
		c.opaque = true
	}
	c.catalog = next == '.' && (string(c.word()) == "pg_catalog" || c.kind == tokenQuoted && c.length == 0) // the database's name may be before it
	switch c.keyword {
	case keywordInto, keywordReferences:
		c.relation = true
		if c.keyword == keywordInto && c.before != keywordInsert && !c.merges && c.calls {
			c.maybe.add(engine.KindTemporaryTable) // SELECT INTO: the search path may lead to pg_temp
		}
	case keywordTemporary:
		if c.before == keywordInto { // SELECT INTO TEMP
			c.kinds.add(engine.KindTemporaryTable)
		}
		c.relation = c.relation && next == '.' // INSERT INTO temp
	default:
		c.relation = c.relation && (next == '.' || c.is("table"))
	}
}

// write notes a part of a name for target (FNV-1a).
func (c *classifier) write(name []byte) {
	if c.target == 0 {
		c.target = 2166136261
	}
	for _, b := range name {
		c.target = (c.target ^ uint32(b)) * 16777619
	}
}

// isSettingsView says whether a name may be that of pg_settings, whose UPDATE is a SET (52.24).
func isSettingsView(kind tokenKind, name []byte) bool {
	return string(name) == "pg_settings" || kind == tokenQuoted && len(name) == 0
}

// isTemporarySchema says whether a name may be that of a session's schema for temporary objects. One that is written with
// Unicode escapes (its text is not known then) may be anybody's.
func isTemporarySchema(kind tokenKind, name []byte) bool {
	const prefix = "pg_temp"
	return kind == tokenQuoted && len(name) == 0 || len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// dispatch decides about a statement by its first word.
func (c *classifier) dispatch() {
	c.inert = c.inert && c.controls()
	c.control()
	if c.kind == '(' {
		return
	}
	if c.kind != tokenWord {
		c.garbled = true
		return
	}
	switch string(c.word()) {
	case "select", "insert", "update", "delete", "merge", "values", "table", "with", "begin":
	case "commit", "end", "show", "truncate", "vacuum", "analyze", "analyse", "reindex", "cluster", "comment", "grant", "revoke",
		"refresh", "lock", "fetch", "move", "notify", "checkpoint", "security", "reassign":
		c.calls = false
	case "import": // foreign tables, with defaults that execute code
		c.calls, c.creates = false, true
	case "rollback", "abort":
		c.calls, c.rolls = false, true
		c.undoes = c.undoes || (c.kinds|c.ends)&settingKinds != 0 // of a statement before it
	case "savepoint", "release":
		c.calls, c.rolls = false, true
	case "drop":
		c.calls = false
		c.ends.add(engine.KindTemporaryTable)
		c.advance()
		c.logins = c.logins || c.is("database") || c.is("role") || c.is("user") || c.is("group") || c.is("event")
	case "close":
		c.calls = false
		c.ends.add(engine.KindCursor)
	case "start":
		if !c.advance() || !c.is("transaction") {
			c.garbled, c.inert = true, false
		}
	case "copy":
		c.relation, c.makes = true, true
	case "explain":
		c.explain()
	case "declare":
		c.watched = watchCursor
	case "set":
		c.set()
	case "reset":
		c.resetSetting()
	case "discard":
		c.discard()
	case "prepare":
		if !c.advance() || !c.is("transaction") || !c.string() {
			c.kinds.add(engine.KindPreparedStatement)
		} else {
			c.rolls, c.prepares = true, true
		}
	case "execute": // what its PREPARE was noted for, it does again
		c.kinds.add(engine.KindPreparedStatement)
		c.opaque = true
	case "deallocate":
		c.ends.add(engine.KindPreparedStatement)
		if c.advance(); c.is("prepare") {
			c.advance()
		}
		c.deallocates = c.deallocates || c.is("all")
		c.names = c.names || !c.is("all")
	case "listen":
		c.kinds.add(engine.KindListen)
	case "unlisten":
		c.ends.add(engine.KindListen)
	case "load":
		c.kinds.add(engine.KindLibrary)
	case "create":
		c.creates = c.creates || c.code()
		c.create()
	case "alter":
		c.creates = c.creates || c.code()
		c.alter()
	case "call":
		c.foreign, c.rolls = true, true // a procedure may roll back what came before it in a batch
	case "do":
		c.creates = c.creates || c.parted || mentionsCreation(c.text)
		c.opaque, c.watched, c.begins, c.does = true, watchLanguage, false, true
		if mentionsPreparing(c.text) {
			c.kinds.add(engine.KindPreparedStatement)
			c.ends.add(engine.KindPreparedStatement) // the server is asked whether there is one
		}
	default:
		c.garbled = true
	}
}

// explain decides about what is explained, which EXPLAIN ANALYZE executes.
func (c *classifier) explain() {
	c.calls = false
	for c.advance() {
		switch {
		case c.kind == '(' && c.prev == tokenWord && c.before == keywordNone && c.option():
		case c.is("analyze"), c.is("analyse"), c.is("verbose"):
		default:
			c.calls = true
			c.dispatch()
			return
		}
	}
}

// option moves to the end of a list of options in parentheses, and says whether it is one: the query may be in parentheses, too.
func (c *classifier) option() bool {
	ahead := c.scanner
	if k := ahead.next(); k == '(' || k == tokenMore || ahead.is("select") || ahead.is("values") || ahead.is("with") || ahead.is("table") {
		return false
	}
	for c.depth > 0 && c.advance() {
	}
	return true
}

// cursor watches a cursor, which ends with the transaction unless it is WITH HOLD.
func (c *classifier) cursor() {
	if c.is("hold") && c.before == keywordWith {
		c.kinds.add(engine.KindCursor)
	}
}

// set decides about SET. What is LOCAL, or about TRANSACTION or CONSTRAINTS, ends with the transaction; outside of one it
// does nothing.
func (c *classifier) set() {
	c.calls = false
	if !c.advance() {
		return
	}
	switch string(c.word()) {
	case "local", "transaction", "constraints":
		if next := c.followed(); next == '.' || next == '=' {
			break // a setting of that name
		}
		if c.advance(); !c.is("to") {
			c.scoped = true
			c.seed()
			return
		}
	case "role", "session_authorization":
		c.role()
		return
	case "session":
		if c.advance(); c.is("authorization") || c.is("role") || c.is("session_authorization") || c.is("session") && c.followed() != '.' {
			c.role()
			return
		}
	}
	c.kinds.add(engine.KindSetting)
	c.seed()
	c.unlisted = c.unlisted || c.kind != tokenWord || c.length == 0 || c.is("seed") || secret(string(c.word())) || c.followed() == '.'
}

// role decides about SET ROLE and SET SESSION AUTHORIZATION, which may also go back to where the session began.
func (c *classifier) role() {
	c.kinds.add(engine.KindRole)
	if c.advance(); c.is("none") || c.is("default") {
		c.ends.add(engine.KindRole)
	}
}

// resetSetting decides about RESET, which makes nothing, unless there is an init query (verify.go).
func (c *classifier) resetSetting() {
	c.calls = false
	if c.advance(); c.is("role") || c.is("session_authorization") || c.is("session") && c.followed() != '.' {
		c.ends.add(engine.KindRole)
		return
	}
	c.ends.add(engine.KindSetting)
}

func (c *classifier) discard() {
	c.calls = false
	c.advance()
	switch {
	case c.is("all"):
		c.reset, c.deallocates = !c.advance(), true
	case c.is("temp"), c.is("temporary"):
		c.ends.add(engine.KindTemporaryTable)
	case c.is("plans"), c.is("sequences"):
	default:
		c.garbled = true
	}
}

// create decides about CREATE. What it creates is permanent unless it says otherwise, and functions are executed only where a
// query is.
func (c *classifier) create() {
	c.calls, c.drops, c.kept = false, false, c.kinds.has(engine.KindTemporaryTable)
	for c.advance() && c.kind == tokenWord {
		switch string(c.word()) {
		case "event":
			c.logins = true
		case "or", "replace", "global", "local", "unlogged", "unique", "recursive", "materialized", "constraint",
			"foreign", "data", "text", "access", "default":
		case "temp", "temporary":
			c.kinds.add(engine.KindTemporaryTable)
		case "table", "view":
			c.watched = watchQuery
			return
		case "schema":
			c.watched = watchSchema
			return
		case "function", "procedure":
			c.watched = watchFunction
			return
		case "sequence":
			c.maybe.add(engine.KindTemporaryTable) // the search path may lead to pg_temp, which other objects' creation is asked about
			return
		case "database":
			c.logins = true
			return
		case "index", "role", "user", "group", "type", "domain", "aggregate", "trigger", "rule",
			"policy", "publication", "subscription", "statistics", "tablespace", "cast", "collation", "conversion",
			"operator", "search", "wrapper", "server", "method", "transform":
			return
		default: // EXTENSION and LANGUAGE, which run what they bring, among them
			c.opaque = true
			return
		}
	}
	c.garbled = true
}

// bound sees the bounds of a partition, FOR VALUES ..., whose expressions the server evaluates at once (the page of CREATE TABLE).
func (c *classifier) bound() {
	if c.is("values") && c.prev == tokenWord && c.before == keywordFor {
		c.calls = true
	}
}

// query watches for the query of CREATE TABLE AS or CREATE VIEW. A table that is ON COMMIT DROP does not outlive its transaction,
// or its statement outside of one.
func (c *classifier) query() {
	c.bound()
	switch {
	case c.depth > 0:
	case c.drops && c.is("drop") && !c.kept:
		c.kinds &^= 1 << engine.KindTemporaryTable
	case c.before == keywordAs && c.calls: // the query has begun
		if c.is("execute") {
			c.kinds.add(engine.KindPreparedStatement)
			c.opaque = true
		}
		c.watched = watchNothing
		return
	case c.keyword == keywordAs:
		c.calls = true
	}
	c.drops = c.is("commit") && c.before == keywordOn && c.depth == 0
}

// schema watches for temporary objects, and what is executed, among the definitions in CREATE SCHEMA.
func (c *classifier) schema() {
	c.bound()
	if c.keyword == keywordTemporary {
		c.kinds.add(engine.KindTemporaryTable)
	}
}

// function watches a function's body, which may be statements with semicolons of their own: then nobody knows where it ends.
func (c *classifier) function() {
	if c.is("atomic") && c.begins {
		c.opaque = true
	}
	c.begins = c.is("begin")
}

// alter decides about ALTER, which may execute functions on what is there already.
func (c *classifier) alter() {
	c.advance()
	switch {
	case c.is("extension"):
		c.opaque = true
	case c.is("table"), c.is("domain"), c.is("materialized"), c.is("foreign"):
	default:
		c.calls = false
		c.logins = c.logins || c.is("database") || c.is("role") || c.is("user") || c.is("group") || c.is("event")
	}
}
