package postgres

import (
	"bytes"

	"github.com/berthdb/berth/core/engine"
)

// keyword is what a word may mean for a parenthesis behind it, or for the words that follow.
type keyword uint8

const (
	keywordNone keyword = iota
	// keywordSyntax cannot be the name of a function: it is reserved, or PostgreSQL lists it as "cannot be function or type"
	// (appendix C).
	keywordSyntax
	// keywordOperator may be the name of a function, but is none behind an operand.
	keywordOperator
	keywordAs
	keywordBy
	keywordConflict
	keywordFor
	keywordGroup // or ORDER, PARTITION: what BY follows
	keywordGrouping
	keywordInsert
	keywordInto
	keywordKey
	keywordCharacter // or BIT: what VARYING follows
	keywordMaterialized
	keywordNot
	keywordOn
	keywordPrefix // a word that an operand follows, though it is not reserved
	keywordPrimary
	keywordRecursive
	keywordReferences
	keywordRollup
	keywordSets
	keywordTemporary
	keywordThen
	keywordTime
	keywordVarying
	keywordWith
	keywordZone
)

func keywordOf(word []byte) keyword {
	switch string(word) {
	case "all", "and", "any", "array", "asymmetric", "between", "bigint", "boolean", "both", "case", "cast", "check", "coalesce",
		"collate", "current_time", "current_timestamp", "dec", "decimal", "default", "distinct", "else", "end", "except",
		"exists", "extract", "fetch", "float", "from", "greatest", "having", "in", "int", "integer",
		"intersect", "interval", "json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg",
		"json_query", "json_scalar", "json_serialize", "json_table", "json_value", "lateral", "leading", "least", "limit",
		"localtime", "localtimestamp", "merge_action", "national", "nchar", "normalize", "nullif", "numeric",
		"offset", "only", "or", "overlay", "position", "precision", "real", "returning", "row", "select", "smallint",
		"some", "substring", "symmetric", "table", "to", "trailing", "treat", "trim", "union", "unique",
		"using", "values", "varchar", "variadic", "when", "where", "window", "xmlattributes", "xmlconcat", "xmlelement",
		"xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable":
		return keywordSyntax
	case "columns", "filter", "ilike", "include", "is", "join", "over", "set", "similar":
		return keywordOperator
	case "escape", "passing", "document", "content", "repeatable", "operator", "tablesample":
		return keywordPrefix
	case "as":
		return keywordAs
	case "bit", "char", "character":
		return keywordCharacter
	case "by":
		return keywordBy
	case "conflict":
		return keywordConflict
	case "cube", "rollup":
		return keywordRollup
	case "for":
		return keywordFor
	case "group", "order", "partition":
		return keywordGroup
	case "grouping":
		return keywordGrouping
	case "insert":
		return keywordInsert
	case "into":
		return keywordInto
	case "key":
		return keywordKey
	case "materialized":
		return keywordMaterialized
	case "not":
		return keywordNot
	case "on":
		return keywordOn
	case "primary", "foreign":
		return keywordPrimary
	case "recursive":
		return keywordRecursive
	case "references":
		return keywordReferences
	case "sets":
		return keywordSets
	case "temp", "temporary", "local", "global":
		return keywordTemporary
	case "then":
		return keywordThen
	case "time", "timestamp":
		return keywordTime
	case "varying":
		return keywordVarying
	case "with":
		return keywordWith
	case "zone":
		return keywordZone
	}
	return keywordNone
}

// syntax says that the last word, which is neither quoted nor qualified and has a parenthesis behind it, is no function's name.
func (c *classifier) syntax() bool {
	switch c.keyword {
	case keywordSyntax, keywordAs, keywordFor, keywordInto, keywordOn, keywordNot, keywordPrimary, keywordReferences, keywordThen,
		keywordTime, keywordWith, keywordCharacter, keywordGrouping:
		return true
	case keywordGroup:
		return c.is("group") || c.is("order")
	case keywordOperator:
		return c.operand()
	case keywordPrefix:
		return c.is("escape") && c.operand() || c.is("operator") && c.operand()
	case keywordBy:
		return c.before == keywordGroup
	case keywordConflict:
		return c.before == keywordOn
	case keywordInsert:
		return c.before == keywordThen
	case keywordKey:
		return c.before == keywordPrimary
	case keywordMaterialized:
		return c.before == keywordAs || c.before == keywordNot && c.before2 == keywordAs
	case keywordRollup:
		return c.before == keywordBy
	case keywordSets:
		return c.before == keywordGrouping
	case keywordVarying:
		return c.before == keywordCharacter
	case keywordZone:
		return c.before == keywordTime
	}
	return false
}

// operand says that the token before the last one ends an operand.
func (c *classifier) operand() bool {
	switch c.prev {
	case tokenWord:
		return c.before == keywordNone
	case tokenQuoted, tokenString, tokenNumber, tokenParameter, ')', ']':
		return true
	}
	return false
}

// defines says that the last name is not called: an alias with columns, a type with modifiers, a WITH query with columns.
func (c *classifier) defines() bool {
	switch {
	case c.prev == tokenCast, c.prev == tokenWord && c.before == keywordAs:
		return true
	case c.prev == tokenWord && (c.before == keywordWith || c.before == keywordRecursive), c.prev == ',':
		return c.withQuery()
	}
	return false
}

// withQuery says that what follows is "(...) AS (SELECT" or "(...) AS (WITH". A function's column definitions in the same place
// cannot begin with a reserved word.
func (c *classifier) withQuery() bool {
	ahead := c.scanner
	if !ahead.parenthesis(nil) || ahead.next() != tokenWord || !ahead.is("as") {
		return false
	}
	if ahead.next(); ahead.is("not") {
		ahead.next()
	}
	if ahead.is("materialized") {
		ahead.next()
	}
	return ahead.kind == '(' && ahead.next() == tokenWord && (ahead.is("select") || ahead.is("with"))
}

// parenthesis moves behind the parenthesis that closes the next one, and calls each, if not nil, with every token of the outermost level.
func (s *scanner) parenthesis(each func(*scanner)) bool {
	for depth := 0; ; {
		switch s.next() {
		case tokenEnd, tokenBroken, tokenMore:
			return false
		case '(', '[':
			depth++
			continue
		case ')', ']':
			if depth--; depth <= 0 {
				return true
			}
		}
		if depth == 1 && each != nil {
			each(s)
		}
	}
}

// call decides about a call of the last name. known says that pg_catalog's function of the name is meant, or may be: nobody
// but a superuser who asks for it gets another one before it.
func (c *classifier) call(known bool) {
	if c.length == 0 { // it may be any, of those too that leave what the server does not tell
		c.kinds.add(engine.KindUnknown)
		c.opaque, c.sticks = true, true
		return
	}
	if keepsOwnState(c.word()) {
		c.kinds.add(engine.KindUnknown)
	}
	c.sticks = c.sticks || sticks(c.word())
	if executesText(c.word()) {
		c.opaque = true
	}
	if !known {
		c.foreign = true
		c.write(c.word())
		return
	}
	switch string(c.word()) {
	case "set_config":
		if c.local() {
			c.scoped = true
		} else {
			c.kinds.add(engine.KindSetting)
			c.unlisted = true
		}
		c.seedsBy()
	case "nextval", "setval":
		c.kinds.add(engine.KindSequence)
		c.sequence = true
	case "currval", "lastval":
		c.sequence, c.asks = true, c.asks || !c.made
	case "pg_backend_pid":
		c.kinds.add(engine.KindConnectionID)
	case "pg_advisory_lock", "pg_advisory_lock_shared":
		c.kinds.add(engine.KindNamedLock)
	case "pg_try_advisory_lock", "pg_try_advisory_lock_shared":
		c.maybe.add(engine.KindNamedLock)
	case "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all":
		c.ends.add(engine.KindNamedLock)
	case "pg_replication_origin_session_setup", "pg_replication_origin_session_reset",
		"pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
		"pg_copy_logical_replication_slot", "pg_copy_physical_replication_slot":
		c.kinds.add(engine.KindReplication)
	default:
		if !builtin(c.word()) && !c.defines() {
			c.foreign = true
			c.write(c.word())
		}
	}
}

// executesText says that a function, of the server's or of an extension's, executes SQL from a string or else does what the
// database's code does not show.
func executesText(name []byte) bool {
	switch string(name) {
	case "ts_stat", "ts_rewrite", "connectby", "xpath_table", "set_limit", "pg_extension_config_dump", "pg_nextoid",
		"pg_stop_making_pinned_objects":
		return true
	}
	for _, prefix := range []string{"query_to_xml", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "crosstab", "binary_upgrade_"} {
		if bytes.HasPrefix(name, []byte(prefix)) {
			return true
		}
	}
	return false
}

// keepsOwnState says that a function keeps something in the session that the server cannot be asked about.
func keepsOwnState(name []byte) bool {
	switch string(name) {
	case "setseed", "pg_backup_start", "pg_backup_stop", "pg_start_backup", "pg_stop_backup":
		return true
	}
	return bytes.HasPrefix(name, []byte("dblink"))
}

// attributeCalls says that a name behind a value and a dot, if it is no column's, calls a function that leaves something in the session: one
// that needs no more than one argument can be written so (4.2.4 and 36.5.3; "(1::bigint).pg_advisory_lock").
func attributeCalls(name []byte) bool {
	switch string(name) {
	case "nextval", "currval", "setseed", "set_limit", "ts_stat", "pg_advisory_lock", "pg_advisory_lock_shared",
		"pg_try_advisory_lock", "pg_try_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_shared",
		"pg_replication_origin_session_setup", "pg_create_physical_replication_slot", "pg_backup_start", "pg_start_backup":
		return true
	}
	return bytes.HasPrefix(name, []byte("dblink")) || bytes.HasPrefix(name, []byte("crosstab"))
}

// local says that the third argument of set_config is the word true and nothing else (9.28.1).
func (c *classifier) local() bool {
	ahead := c.scanner
	argument, tokens, isTrue := 1, 0, false
	closed := ahead.parenthesis(func(s *scanner) {
		if s.kind == ',' {
			argument++
			tokens = 0
			return
		}
		tokens++
		isTrue = s.is("true")
	})
	return closed && argument == 3 && tokens == 1 && isTrue
}
