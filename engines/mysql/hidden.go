package mysql

import (
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// hidden is what code may do that runs without being named in a statement: triggers, views, and what these call.
// LAST_INSERT_ID() and the like are values of the connection, so a statement must find the session's own there, or the
// session must have kept its backend, whether its text says so or not.
type hidden uint32

const (
	hiddenLeaves       hidden = 1 << iota // it may leave state that no tracker reports
	hiddenInsertID                        // it may read LAST_INSERT_ID()
	hiddenSetsInsertID                    // it may set LAST_INSERT_ID() without the server's OK saying so
	hiddenPrevious                        // it may read ROW_COUNT(), FOUND_ROWS() and counts of warnings of the statement before
	hiddenCallsLeave                      // procedures may leave what triggers and functions cannot, and no tracker reports
	hiddenSets                            // procedures and functions may set variables, which trackers report

	// What the answer has besides: procedures may leave what functions can, and functions or triggers may call some.
	hiddenProcedures
	hiddenCallsInside

	hiddenRuns // views and triggers may call procedures and functions

	// Which the answer has in two parts: there are such, and views or triggers that may call some.
	hiddenRoutines
	hiddenCallsAny

	hiddenGroup // it may put the connection into one of MySQL's resource groups, which no reset undoes
)

// hiddenUnknown is what code counts as that cannot be read. That it reads values of the previous statement is not assumed:
// its users would keep their backends for ever.
const hiddenUnknown = hiddenLeaves | hiddenInsertID | hiddenCallsLeave | hiddenSets | hiddenRuns

// hiddenOf reads the answer to unseenQuery.
func hiddenOf(row []byte) hidden {
	f := fields{rest: row}
	n, err := strconv.ParseUint(string(digits(f.text())), 10, 32)
	if err != nil || f.bad {
		return hiddenUnknown
	}
	h := hidden(n)
	if h&hiddenProcedures != 0 && h&hiddenCallsInside != 0 {
		h |= hiddenLeaves
	}
	if h&hiddenRoutines != 0 && h&hiddenCallsAny != 0 {
		h |= hiddenRuns
	}
	return h &^ (hiddenProcedures | hiddenCallsInside | hiddenRoutines | hiddenCallsAny)
}

// limitless takes from a SELECT on MySQL what the session may have limited its own by. With sql_big_selects no max_join_size counts; to set that, too, would leave the
// session without its own sql_big_selects. MariaDB's SET STATEMENT would, too, but reports what it
// has set with the next statement, which is a client's.
const limitless = "/*+ MAX_EXECUTION_TIME(4294967295) SET_VAR(sql_big_selects=1) " +
	"SET_VAR(use_secondary_engine=OFF) */"

// unseenQuery asks for the bits of hidden that hold for the code in the user's schemas. What the user may not see counts: a
// body that is hidden, and schemas without the privileges (TRIGGER, EXECUTE) to see what is there. In schemas of which the
// user sees nothing at all nothing counts. It needs no backslash, so that no sql_mode changes it.
var unseenQuery = strings.Join([]string{
	"SELECT " + limitless + " COALESCE(BIT_OR(bits), 0) FROM (SELECT " +
		hiddenBits("routine_definition", "routine_body <> _utf8mb4'SQL'", readsEarly, "routine_type <> _utf8mb4'PROCEDURE'", proceduresLeave, anySET, packageKeeps) + "+" + decimalOf(hiddenRoutines) + " AS bits FROM information_schema.routines WHERE routine_schema " + usersSchemas,
	"SELECT " + hiddenBits("action_statement", "FALSE", readsEarly, "TRUE", never, never, "FALSE") + "+" + decimalOf(hiddenCallsAny) + " FROM information_schema.triggers WHERE trigger_schema " + usersSchemas,
	"SELECT " + hiddenBits("view_definition", "LENGTH(view_definition) = 0", readsPrevious, "", never, never, ofSys) + "+(LOCATE(_utf8mb4'`(', view_definition) > 0)*" + decimalOf(hiddenCallsAny) + " FROM information_schema.views WHERE table_schema " + usersSchemas,
	"SELECT 1 FROM information_schema.tables WHERE table_schema " + usersSchemas + " AND table_type = _utf8mb4'SEQUENCE' " + columnsLeave,
	"SELECT " + decimalOf(hiddenUnknown) + " FROM information_schema.schemata s WHERE schema_name " + usersSchemas + " AND " +
		"(SELECT COUNT(DISTINCT p.privilege_type) FROM (SELECT _utf8mb4'%' AS pattern, privilege_type FROM information_schema.user_privileges " +
		"UNION ALL SELECT table_schema, privilege_type FROM information_schema.schema_privileges) p " +
		"WHERE s.schema_name LIKE p.pattern ESCAPE _utf8mb4 X'5C' AND p.privilege_type IN (_utf8mb4'TRIGGER', _utf8mb4'EXECUTE')) < 2) code LIMIT 1",
}, " UNION ALL ")

const usersSchemas = "NOT IN (_utf8mb4'mysql', _utf8mb4'sys', _utf8mb4'information_schema', _utf8mb4'performance_schema')"

// columnsLeave goes on with MariaDB's defaults and virtual columns. They may assign to user variables, and do nothing else that stays: neither
// server takes GET_LOCK, LAST_INSERT_ID() or a stored function there, nor MySQL a variable.
const columnsLeave = "/*M!100205 UNION ALL SELECT 1 FROM information_schema.columns WHERE table_schema " + usersSchemas +
	" AND (LOCATE(_utf8mb4':=', column_default) > 0 OR LOCATE(_utf8mb4':=', generation_expression) > 0)*/"

// hiddenBits is an expression of the bits of a body. alien says when it is not SQL, or hidden though it is not NULL, inside whether it is
// of statements and runs without being called; calls and sets are regular expressions for hiddenCallsLeave and hiddenSets; keeps says whether
// it leaves something for another reason.
func hiddenBits(body, alien string, previous func(body string) string, inside, calls, sets, keeps string) string {
	lower := "LOWER(" + body + ")"
	leaves, called := "", ""
	if inside != "" {
		some := lower + " REGEXP _utf8mb4'" + functionsLeave + "'"
		leaves = " OR " + inside + " AND " + some
		called = "+((" + inside + ") = FALSE AND " + some + ")*" + decimalOf(hiddenProcedures) +
			"+(" + inside + " AND (" + lower + " REGEXP _utf8mb4'" + anyCALL + "' OR LOCATE(_utf8mb4'ORACLE', sql_mode) > 0))*" + decimalOf(hiddenCallsInside)
	}
	return "CASE WHEN " + body + " IS NULL OR " + alien + " THEN " + decimalOf(hiddenUnknown) + " ELSE " +
		"(REPLACE(" + lower + ", _utf8mb4'@@', _utf8mb4' ') REGEXP _utf8mb4'@|_lock|calc_found_rows|lastval|nextval|setval|currval|(next|previous)" + gap + "+value' OR " +
		lower + " REGEXP _utf8mb4'" + silentSET + "' OR " + keeps + leaves + ")*" + decimalOf(hiddenLeaves) + called +
		"+(" + lower + " REGEXP _utf8mb4'last_insert_id|identity')*" + decimalOf(hiddenInsertID) +
		"+(" + lower + " REGEXP _utf8mb4'last_insert_id`?" + gap + "*[(][[:space:]]*[^)[:space:]]')*" + decimalOf(hiddenSetsInsertID) +
		"+(" + previous(lower) + ")*" + decimalOf(hiddenPrevious) +
		"+(" + lower + " REGEXP _utf8mb4'" + calls + "')*" + decimalOf(hiddenCallsLeave) +
		"+(LOCATE(_utf8mb4'resource', " + lower + ") > 0 AND " + lower + " REGEXP _utf8mb4'" + resourceGroup + "')*" + decimalOf(hiddenGroup) +
		"+(" + lower + " REGEXP _utf8mb4'" + sets + "')*" + decimalOf(hiddenSets) + " END"
}

// gap is what may stand between two words, or a piece of it: white space, comments and the ends of those that are executed.
const gap = "([[:space:]]|/[*]([^*]|[*]+[^*/])*[*]+/|/[*]m?![0-9]*|[*]/|(#|--)[^\n]*\n)"

// silentSET is SET @@name = value, of which MariaDB reports nothing. It needs no white space around @@name, and comments may be there.
const silentSET = "(^|[^a-z0-9_$])set([^a-z0-9_$;][^;]*)?@@`?[a-z0-9_]+`?[[:space:]]*(:?=|/[*]|#|--)"

// What any code may do besides: call what the server brings, take a role, make temporary tables, of which servers report those that are not
// made from a SELECT. What procedures may, too, where they are not called by a function or trigger: execute text that is not in them, lock
// all tables.
const (
	functionsLeave  = "temporary|(sys|mysql|mariadb_schema)`?" + gap + "*[.]|set" + gap + "+(default" + gap + "+)?role|" + resourceGroup
	resourceGroup   = "resource" + gap + "+group"
	proceduresLeave = "execute|prepare|flush|backup|lock" + gap + "+instance|" + functionsLeave
	never           = "^$"
	// anyCALL is a call of a procedure. In sql_mode ORACLE its name is enough.
	anyCALL = "(^|[^a-z0-9_$])call[^a-z0-9_$]"
	// anySET is SET, also of what is local, or of UPDATE.
	anySET = "(^|[^a-z0-9_$])set[^a-z0-9_$]"
)

// packageKeeps is an expression that says whether a routine is a package of MariaDB's (sql_mode ORACLE) that has variables, which come before its
// functions and procedures, or code that makes it ready: a session keeps the values, and that this was executed, until it ends or is reset.
const packageKeeps = "routine_type LIKE _utf8mb4'PACKAGE%' AND (LOWER(routine_definition) NOT REGEXP _utf8mb4'^(as|is)" + gap + "+(function|procedure)[^a-z0-9_$]' OR " +
	"LOWER(routine_definition) REGEXP _utf8mb4'end[[:space:]]*[a-z0-9_$`]*" + gap + "*;" + gap + "*begin[^a-z0-9_$]')"

// ofSys is an expression that says whether a view is made of those of the schema sys, or calls its functions (readsSys). Servers keep names with their schemas.
const ofSys = "LOCATE(_utf8mb4'`sys`.', LOWER(view_definition)) > 0"

// readsPrevious is an expression that says whether a body may read values of the previous statement.
func readsPrevious(body string) string {
	return body + " REGEXP _utf8mb4'row_count|found_rows|warning_count|error_count'"
}

// readsEarly is readsPrevious for bodies of several statements. What they read behind a statement of their own is no other's.
func readsEarly(body string) string {
	const (
		word      = "[^a-z0-9_$]"
		statement = word + "(insert|update|delete|replace|select|call|execute|load)" + word + "[^;]*;"
	)
	same := body
	for _, other := range []string{"found_rows", "warning_count", "error_count", "%rowcount"} {
		same = "REPLACE(" + same + ", _utf8mb4'" + other + "', _utf8mb4'row_count')"
	}
	return "LOCATE(_utf8mb4'row_count', " + same + ") > 0 AND SUBSTRING_INDEX(" + same + ", _utf8mb4'row_count', 1) NOT REGEXP _utf8mb4'" + statement + "'"
}

func decimalOf(h hidden) string { return strconv.FormatUint(uint64(h), 10) }

// hides says whether code that the held backend's user can reach may do what h says.
func (m *Machine) hides(h hidden) bool {
	u := m.state.unseen
	return u != nil && m.unseenChanges != engine.UnseenTrust && hidden(u.hidden.Load())&h != 0
}

// mayHide is hides where nobody asks what there is, or it does not matter for other purposes: there may be anything.
func (m *Machine) mayHide(h hidden) bool {
	u := m.state.unseen
	return u == nil || m.unseenChanges == engine.UnseenTrust || hidden(u.hidden.Load())&h != 0
}
