package pin

import (
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Policy says what each kind of event does. It is immutable once sessions use it. Its zero value pins on everything.
type Policy struct {
	actions  [engine.Kinds]engine.Action
	restores kinds    // of what can be restored, what is
	lasting  kinds    // their pins end with the session's backend only
	tracked  []string // settings, in lower case and sorted, that are restored although others are not
}

// kinds is a set of kinds.
type kinds uint32

func (s kinds) has(k engine.Kind) bool { return s&(1<<k) != 0 }

const allKinds kinds = 1<<engine.Kinds - 1

func setOf(ks ...engine.Kind) (s kinds) {
	for _, k := range ks {
		s |= 1 << k
	}
	return s
}

// Multiplex is the default policy: what can be restored is, and the rest pins.
func Multiplex() Policy { return Policy{restores: allKinds} }

// StrictAWS pins on what RDS Proxy documents to pin on for the engine of that name, until the session ends. What RDS
// Proxy does not know of, and Berth has to, pins as with [Multiplex].
func StrictAWS(engineName string) Policy {
	p := Policy{
		lasting: setOf(
			engine.KindSetting, engine.KindTransactionTrait, engine.KindRole, engine.KindTemporaryTable, engine.KindTableLock,
			engine.KindNamedLock, engine.KindPreparedStatement, engine.KindCursor, engine.KindListen, engine.KindUserVariable,
			engine.KindSequence, engine.KindLibrary,
		),
	}
	p.restores = allKinds &^ p.lasting
	switch engineName {
	case "postgres":
		// "PostgreSQL extended query protocol": statements of the protocol are multiplexed, PREPARE is not.
		p.restores |= setOf(engine.KindPreparedStatement)
	case "mysql":
		p.tracked = trackedByAWS
	}
	return p
}

// trackedByAWS are the session variables of MySQL that RDS Proxy restores ("What RDS Proxy tracks for RDS for MariaDB and
// RDS for MySQL databases"), sorted.
var trackedByAWS = []string{
	"auto_increment_increment", "autocommit", "character_set_client", "character_set_connection", "character_set_database",
	"character_set_filesystem", "character_set_results", "character_set_server", "collation_connection", "collation_database",
	"collation_server", "interactive_timeout", "net_write_timeout", "query_cache_type", "session_track_schema", "sql_mode",
	"time_zone", "transaction_isolation", "transaction_read_only", "tx_isolation", "tx_read_only", "wait_timeout",
}

// With returns a copy of p that treats what it does not restore of these kinds as action says.
func (p Policy) With(action engine.Action, of ...engine.Kind) Policy {
	for _, k := range of {
		p.actions[k] = action
	}
	return p
}

// Action is what p makes of ev. State of the running transaction never outlives it, so it needs no action; a kind that
// the policy does not know pins.
func (p *Policy) Action(ev engine.Event) engine.Action {
	switch {
	case ev.Scope == engine.ScopeTransaction:
		return engine.Ignore
	case int(ev.Kind) >= len(p.actions):
		return engine.Pin
	case ev.Restorable && (p.restores.has(ev.Kind) || p.tracks(ev)):
		return engine.Restore
	}
	return p.actions[ev.Kind]
}

func (p *Policy) tracks(ev engine.Event) bool {
	if ev.Kind != engine.KindSetting || len(p.tracked) == 0 {
		return false
	}
	_, found := slices.BinarySearch(p.tracked, strings.ToLower(ev.Name))
	return found
}

// Causes returns the empty set of a session under p.
func (p *Policy) Causes() Set { return Set{lasting: p.lasting} }
