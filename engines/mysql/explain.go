package mysql

import "github.com/berthdb/berth/core/engine"

// Effects is what the scan makes of some SQL before it goes to a server. It is an upper bound, taken from the text alone; what
// the server's trackers report is not in it.
type Effects struct {
	// Leaves is state that it may leave in the session without the server saying so, whether or not it fails.
	Leaves []engine.Kind
	// ReadsInsertID says that it may read LAST_INSERT_ID(), SetsInsertID that it may set it and no OK says so.
	ReadsInsertID, SetsInsertID bool
	// Previous says that it asks for ROW_COUNT() or FOUND_ROWS() of the statement before it, Diagnostics for its warnings.
	Previous, Diagnostics bool
	LeavesFoundRows       bool // with SQL_CALC_FOUND_ROWS
	Kills                 bool // it is a KILL, or has one
	// Own says that the proxy may answer it: it is one SELECT of what the connection knows of itself and of its last statement.
	Own bool
	// Defines says that it may create code that other statements execute without naming it.
	Defines bool
	// Calls says that it may call stored code, about which the server can be asked.
	Calls   bool
	Renames bool // it may give a table another name
	// Inert says that it begins and ends transactions and does nothing else.
	Inert bool
	// Assigns says that it assigns to variables and does nothing else: to which of the server's own is for the server to say.
	Assigns bool
	// Variables has the user variables, with @ and in lower case, that it names, if it may assign to those and to no others.
	Variables []string
}

// Explain scans SQL of one statement or more as a session's would be, in a character set no character of which ends with a
// backslash. literalBackslash says that the session's sql_mode has NO_BACKSLASH_ESCAPES.
func Explain(sql []byte, literalBackslash bool) Effects {
	return effects(settingsIn(scan(sql, literalBackslash, false), sql), sql)
}

// Reading is what decides how SQL is read, of a session and of its server.
type Reading struct {
	Charset          string // character_set_client
	LiteralBackslash bool   // sql_mode has NO_BACKSLASH_ESCAPES
	Version          string // of the server, as it greets; "" if nothing is known of it
	MariaDB          bool
}

// ExplainAs scans SQL as a session's would be that has set its character set.
func ExplainAs(sql []byte, r Reading) Effects {
	m := &Machine{e: &Engine{}}
	if r.Version != "" {
		m.e.server.Store(&serverInfo{dialect: dialectOf(r.Version, r.MariaDB)})
	}
	if r.LiteralBackslash {
		m.session.status |= statusLiteralBackslash
	}
	m.session.settings, _ = (*settings)(nil).with(clientCharset, r.Charset)
	m.session.wide = wideCharsetName(r.Charset)
	p := append([]byte{0, 0, 0, 0, 0}, sql...)
	return effects(m.classify(packet{bytes: p, size: len(p)}, sql), sql)
}

func effects(c class, sql []byte) Effects {
	_, own := askedBy(sql)
	e := Effects{
		ReadsInsertID: c.has(classInsertID), SetsInsertID: c.has(classSetsInsertID),
		Previous: c.has(classPrevious), Diagnostics: c.has(classDiagnostics), LeavesFoundRows: c.has(classFoundRows),
		Kills: c.has(classKill) || c.has(classKillOther), Own: own, Defines: c.has(classDefines), Calls: c.has(classCalls),
		Renames: c.has(classRenames), Inert: !c.has(classCode), Assigns: c.sets() != nil,
	}
	if c.users() != nil {
		e.Variables = c.users().names
	}
	for k := range engine.Kind(engine.Kinds) {
		if c.kinds&bit(k) != 0 {
			e.Leaves = append(e.Leaves, k)
		}
	}
	return e
}
