package pin

import "github.com/berthdb/berth/core/engine"

// advice is what to write instead of what pins, by engine's name; "" is for every engine that has none of its own. The
// texts are also in docs/pinning.md.
var advice = [engine.Kinds]map[string]string{
	engine.KindUnknown: {
		"postgres": "Berth cannot tell what the statement leaves behind: where it only calls code that leaves nothing, unseen_changes: trust says so; otherwise use SET LOCAL and pg_advisory_xact_lock in that code.",
		"mysql":    "Berth cannot tell what the statement leaves behind: avoid GET_LOCK, user variables and temporary tables in the procedures it calls.",
	},
	engine.KindSetting: {
		"postgres": "Use SET LOCAL or set_config(..., true) inside the transaction, or give the value as a start-up parameter, by ALTER ROLE ... SET, or in init_query.",
		"mysql":    "Give the value in init_query or in the server's configuration, or use the hint SET_VAR(...) in the statement.",
	},
	engine.KindTransactionTrait: {
		"postgres": "Write BEGIN ISOLATION LEVEL ... instead of setting it for the next transaction.",
		"mysql":    "Use SET SESSION TRANSACTION, or START TRANSACTION READ ONLY, instead of SET TRANSACTION for the next one.",
	},
	engine.KindRole:           {"": "Use SET LOCAL ROLE inside the transaction, or log in as that role."},
	engine.KindTemporaryTable: {"postgres": "Use CREATE TEMP TABLE ... ON COMMIT DROP inside the transaction, or a CTE; drop the table when it is done with.", "mysql": "DROP TEMPORARY TABLE when it is done with, or use a derived table or a CTE."},
	engine.KindTableLock:      {"postgres": "Lock inside a transaction, which ends the lock.", "mysql": "UNLOCK TABLES as soon as possible, or use a transaction with SELECT ... FOR UPDATE."},
	engine.KindNamedLock: {
		"postgres": "Use pg_advisory_xact_lock, which ends with the transaction, or unlock as soon as possible.",
		"mysql":    "RELEASE_LOCK as soon as possible, or lock a row with SELECT ... FOR UPDATE.",
	},
	engine.KindPreparedStatement: {
		"postgres": "Use the driver's prepared statements (protocol level) instead of PREPARE in SQL.",
		"mysql":    "Use the driver's prepared statements instead of PREPARE in SQL, and DEALLOCATE PREPARE when done; close statements of more than 64 KiB.",
	},
	engine.KindCursor: {
		"postgres": "Declare the cursor without WITH HOLD and read it inside the transaction, or CLOSE it early.",
		"mysql":    "HANDLER ... CLOSE early, or read with SELECT ... LIMIT.",
	},
	engine.KindListen:       {"": "Listen on a connection of its own, past the pool, and UNLISTEN when done."},
	engine.KindUserVariable: {"": "Pass the value as a parameter instead of in a variable of the session."},
	engine.KindLastResult:   {"postgres": "Use INSERT ... RETURNING instead of currval() and lastval().", "mysql": "Ask for warnings, FOUND_ROWS() and ROW_COUNT() at once; the pin ends with the session's next statement."},
	engine.KindSequence:     {"postgres": "Use INSERT ... RETURNING instead of nextval() with currval() or lastval(), or EXCLUDE_SEQUENCES if nobody asks for currval().", "mysql": "Use LAST_INSERT_ID(), or ask for PREVIOUS VALUE in the same transaction."},
	engine.KindSchema:       {"": "Name the database when logging in."},
	engine.KindLibrary:      {"": "Load it with session_preload_libraries, or in init_query."},
	engine.KindReplication:  {"": "Connect to the server itself for replication."},
	engine.KindConnectionID: {"postgres": "Do not ask for pg_backend_pid(); cancel by the driver's own means.", "mysql": "Do not ask for CONNECTION_ID() inside an expression: SELECT CONNECTION_ID() alone does not pin."},
}

// Advice is what to write instead, so that a cause of this kind does not pin on the engine of that name; "" if there is
// nothing to say.
func Advice(engineName string, k engine.Kind) string {
	if int(k) >= len(advice) {
		return ""
	}
	if text, own := advice[k][engineName]; own {
		return text
	}
	return advice[k][""]
}
