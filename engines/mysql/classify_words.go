package mysql

import "github.com/berthdb/berth/core/engine"

// begin judges the first word of a statement.
func (c *classifier) begin(w word) {
	c.first = w.keyword
	switch w.keyword {
	case kwEndOfTransaction, kwBegin, kwStart:
		c.flag(classKeepsFound)
	case kwRelease:
	case kwSelect, kwWith, kwTable:
		c.counts = c.statements == 1
		c.flag(classCode)
	default:
		c.flag(classCode)
	}
	switch w.keyword {
	case kwRename:
		c.flag(classRenames)
	case kwHarmless, kwAlter, kwUse, kwEndOfTransaction, kwRelease, kwBegin, kwStart, kwDrop, kwFlush, kwCreate, kwKill:
		if w.keyword == kwUse {
			c.flag(classUse)
		}
	case kwQuery, kwSelect, kwShow, kwTable:
		c.calls = true
	case kwWith:
		c.calls = true
	case kwInsert:
		c.calls, c.naming = true, true
		c.flag(classWrites)
	case kwLoad:
		c.calls = true
		c.flag(classWrites)
	case kwLock:
		c.pin(engine.KindTableLock)
	case kwXA:
		c.pin(engine.KindUnknown)
	case kwHandler:
		c.pin(engine.KindCursor)
	case kwPrepare, kwPrepared:
		c.pin(engine.KindPreparedStatement)
		c.flag(classInsertID | classSetsInsertID)
	case kwSet:
		c.calls = true
	case kwGet: // DIAGNOSTICS, into variables
		c.pin(engine.KindUserVariable)
		c.flag(classDiagnostics)
	case kwCall:
		c.calls = true
		c.naming = true
		c.storedCode()
	default:
		c.calls = true
		c.unknown()
		c.flag(classSetsInsertID)
	}
}

// follow judges a further word of a statement by the statement's first.
func (c *classifier) follow(w word) {
	second := c.position == 2
	c.logins(w, second)
	switch c.first {
	case kwBegin:
		if w.keyword != kwWork {
			c.unknown()
		}
	case kwStart:
		if second && w.keyword != kwTransaction {
			c.unknown()
		}
	case kwShow:
		if second && (w.keyword == kwWarnings || w.keyword == kwCount) {
			c.flag(classDiagnostics)
		}
	case kwDrop:
		switch {
		case second && w.keyword == kwPrepare:
			c.pin(engine.KindPreparedStatement)
		case second && w.keyword != kwTemporary:
			c.flag(classRemoves)
		}
	case kwAlter:
		c.defines(w)
	case kwCreate:
		c.defines(w)
		// CREATE [OR REPLACE] TEMPORARY
		if c.position <= 4 && w.keyword == kwTemporary {
			c.pin(engine.KindTemporaryTable)
		}
		if w.keyword == kwSelect || w.keyword == kwWith || w.call == callHarmless && w.keyword == kwQuery {
			c.calls = true // ... AS SELECT
		}
	case kwFlush:
		if w.keyword == kwWith || w.keyword == kwLock || w.keyword == kwFor {
			c.pin(engine.KindTableLock)
		}
	case kwEndOfTransaction:
		if w.keyword == kwRelease && !(c.prev.kind == tokenWord && c.prev.word.keyword == kwNo) {
			c.flag(classRelease)
		}
	case kwSet:
		c.setting(w)
	}
}

// logins judges whether a statement that does not say so by its first word is about logins to come. Of a SET that says @user or @role, as
// applications do with each request, nothing more is asked: in another character set or sql_mode it might be another.
func (c *classifier) logins(w word, second bool) {
	switch w.keyword {
	case kwUser, kwRole:
		if second && (c.first == kwAlter || c.first == kwDrop || c.first == kwRename) ||
			c.first == kwCreate && c.position == 4 || // OR REPLACE
			c.first == kwSet && w.keyword == kwRole && c.prev.word.keyword == kwDefault {
			c.flag(classLogins)
		}
	case kwGlobal:
		if c.first == kwSet && (c.system || !c.prev.is('@')) {
			c.flag(classLogins)
		}
	case kwPrivileges:
		if c.first == kwFlush {
			c.flag(classLogins)
		}
	}
}

// setting judges what a SET is about, by the word that says so.
func (c *classifier) setting(w word) {
	system := c.position == 4 && c.prev.is('@') // SET @@word
	if c.position != 2 && !system {
		if c.position == 3 && c.prev.word.keyword == kwSession && w.keyword == kwTransaction {
			c.pin(engine.KindSetting)
		}
		return
	}
	switch w.keyword {
	case kwGlobal: // nothing of the session, unless another assignment follows
	case kwTransaction, kwPassword, kwDefault:
		// The trackers report what is to come of SET TRANSACTION; the others are not about the session.
		if system {
			c.pin(engine.KindSetting)
		}
	case kwRole:
		c.pin(engine.KindRole)
	case kwResource:
		c.pin(engine.KindSetting)
		c.flag(classGroup)
	case kwStatement:
		c.setsFor = !system
		c.pin(engine.KindSetting)
	default:
		c.pin(engine.KindSetting)
	}
}

// beginSetFor begins the statement of MariaDB's SET STATEMENT name = value FOR statement.
func (c *classifier) beginSetFor() {
	c.conditional()
	c.flag(classSetsInsertID | classCode)
	c.statements--
	c.first, c.position, c.prev, c.setsFor, c.within = kwOther, 0, token{}, false, true
}

// special judges words that matter wherever they stand.
func (c *classifier) special(w word) {
	if c.first == kwGet && (w.call == callPrevious || w.call == callFoundRows) && c.statements == 1 { // GET DIAGNOSTICS @a = ROW_COUNT
		c.flag(classPrevious)
	}
	if c.found.has(classDefines) && (w.call == callPrevious || w.call == callFoundRows || w.keyword == kwDiagnosticCount) {
		c.flag(classDefinesPrevious)
	}
	switch w.keyword {
	case kwRowCount:
		switch {
		case !c.prev.is('%') || c.prev.word.keyword != kwSQL:
		case c.found.has(classDefines):
			c.flag(classDefinesPrevious)
		case c.statements == 1:
			c.flag(classPrevious)
		}
	case kwInto, kwTable:
		c.naming = true
		c.uncounted = true
	case kwReturning: // what ends rows does not say it
		if c.first == kwInsert {
			c.flag(classSetsInsertID)
		}
	case kwInsert:
		// MariaDB's ANALYZE [FORMAT = JSON] INSERT, which has rows
		if c.first == kwQuery && (c.position == 2 || c.position == 5) {
			c.flag(classSetsInsertID)
		}
	case kwUncounted:
		c.uncounted = c.uncounted || c.depth == 0
	case kwLimit:
		c.limit = c.position
	case kwRename:
		c.flag(classRenames)
	case kwCalcFoundRows:
		c.flag(classFoundRows)
		c.uncounted = true
	case kwValue:
		if c.prev.kind == tokenWord && c.prev.word.keyword == kwNext { // NEXT VALUE FOR a sequence
			c.pin(engine.KindSequence)
		}
	case kwSequenceValue:
		if c.prev.is('.') {
			c.pin(engine.KindSequence)
		}
	case kwIdentity:
		if c.variable() {
			c.flag(classInsertID)
			if c.first == kwSet {
				c.flag(classSetsInsertID)
			}
		}
	case kwDiagnosticCount:
		if c.variable() {
			c.flag(classDiagnostics | classCountsDiagnostics)
		}
	case kwLastGTID:
		if c.system && c.statements == 1 {
			c.flag(classLastGTID)
		}
	case kwResource:
		if c.found.has(classDefines) && c.prev.kind == tokenWord && c.prev.word.keyword == kwSet {
			c.flag(classGroup)
		}
	case kwSys:
		if !c.prev.is('@') {
			c.flag(classSys)
		}
	case kwTracked:
		c.flag(classTrackers)
	case kwThreadID:
		c.pin(engine.KindConnectionID)
	}
}

// variable says whether a variable's name may stand here.
func (c *classifier) variable() bool { return c.prev.is('@') || c.prev.is('.') || c.first == kwSet }

// killWord takes KILL [HARD | SOFT] [CONNECTION | QUERY] {number | CONNECTION_ID()} apart (HARD and SOFT are MariaDB's).
func (c *classifier) killWord(w word, text []byte, number bool) {
	t := &c.target
	switch {
	case t.bad || t.number || t.named || t.call != ownNone:
		t.bad = true
	case number:
		n, ok := decimal(text)
		t.number, t.bad = ok, !ok
		c.found.kill = n
	case w.keyword == kwHard && c.position == 2:
	case (w.keyword == kwConnection || w.keyword == kwQueryWord) && c.position <= 3 && !t.query:
		t.query = w.keyword == kwQueryWord
	case string(text) == "CONNECTION_ID":
		t.call = ownNamed
	default:
		t.named = true
	}
}

// killCall takes the parentheses of KILL CONNECTION_ID().
func (c *classifier) killCall(char byte) {
	switch t := &c.target; {
	case char == '(' && t.call == ownNamed:
		t.call = ownOpen
	case char == ')' && t.call == ownOpen:
		t.call, t.number = ownNone, true
		c.found.kill = ownConnection
	default:
		t.bad = true
	}
}

// decimal is the value of a number without sign or fraction. One that is too large is as large as can be.
func decimal(text []byte) (n uint64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > 1<<60 {
			n = 1 << 60
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(text) > 0
}

// scan classifies a whole text for a server of which nothing is known.
func scan(text []byte, literalBackslash, wide bool) class {
	return scanAs(text, &lexer{literalBackslash: literalBackslash, wide: wide})
}

// scanAs classifies a whole text with a lexer that knows about the session and its server.
func scanAs(text []byte, l *lexer) class {
	l.feed(text)
	return l.finish()
}
