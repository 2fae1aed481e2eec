package relay

import (
	"strconv"

	"github.com/berthdb/berth/core/engine"
)

// rdsReasons are what RDS Proxy's log says as the reason of a pin. Those of settings and prepared statements were seen
// there, the others are put alike.
var rdsReasons = [engine.Kinds]string{
	engine.KindUnknown:           "The proxy can't tell what the SQL changed.",
	engine.KindSetting:           rdsSettings,
	engine.KindTransactionTrait:  rdsSettings,
	engine.KindRole:              rdsSettings,
	engine.KindTemporaryTable:    "SQL created a temporary object.",
	engine.KindTableLock:         "SQL locked tables.",
	engine.KindNamedLock:         "SQL took a session-level lock.",
	engine.KindPreparedStatement: "Running a prepared statement.",
	engine.KindCursor:            "SQL declared a cursor.",
	engine.KindListen:            "SQL started to listen for notifications.",
	engine.KindUserVariable:      rdsSettings,
	engine.KindLastResult:        "SQL left a result that only this database connection has.",
	engine.KindSequence:          "SQL used a sequence.",
	engine.KindSchema:            rdsSettings,
	engine.KindLibrary:           "SQL loaded a library.",
	engine.KindReplication:       "A replication command was detected.",
	engine.KindConnectionID:      "SQL read the ID of the database connection.",
	engine.KindReset:             "SQL reset the session.",
}

const rdsSettings = "SQL changed session settings that the proxy doesn't track. Consider moving session configuration to the proxy's initialization query."

// rdsPinned is RDS Proxy's message about a pin to the database connection with this ID.
func rdsPinned(backend uint64, c cause, digest string) string {
	message := "The client session was pinned to the database connection [dbConnection=" + strconv.FormatUint(backend, 10) +
		"] for the remainder of the session. The proxy can't reuse this connection until the session ends. Reason: " + rdsReasons[c.kind]
	if digest != "" {
		message += ` Digest: "` + digest + `".`
	}
	return message
}
