package engine

// Event says that a session's state on its backend changed. It is a flat value: it allocates nothing, and can cross
// a process boundary as it is.
type Event struct {
	Kind  Kind
	Scope Scope
	Undo  bool   // the state is gone again (a lock released, a table dropped)
	Name  string // of the setting, lock, table, ...; "" if unknown
	Value string
	// Restorable says that the machine can rebuild the state on any other backend, and will if the answer is Restore.
	Restorable bool

	// What the log of a pin says besides. None of it need be there.

	Rule      string // what in the statement means it, in a few constant words: "CREATE TEMPORARY TABLE"
	Statement []byte // the SQL that changed it, as the client sent it; it is only valid during the call
	Number    uint64 // the statement's number in its session, from 1
}

// Scope says how long a state lasts.
type Scope uint8

const (
	ScopeSession Scope = iota
	ScopeTransaction
)

// Kind is what kind of session state changed. Its String is the metric's reason label.
type Kind uint8

const (
	KindUnknown           Kind = iota // the scan does not know the statement
	KindSetting                       // a setting of the session
	KindTransactionTrait              // a characteristic of the next transaction
	KindRole                          // SET ROLE, SET SESSION AUTHORIZATION
	KindTemporaryTable                // or another temporary object
	KindTableLock                     // LOCK TABLES, FLUSH TABLES WITH READ LOCK
	KindNamedLock                     // advisory locks, GET_LOCK
	KindPreparedStatement             // by name or id, by protocol or by SQL
	KindCursor                        // WITH HOLD, HANDLER, a server-side cursor
	KindListen                        // LISTEN
	KindUserVariable                  // @name
	KindLastResult                    // a value that only the connection knows: FOUND_ROWS, warnings, currval
	KindSequence                      // nextval, setval
	KindSchema                        // the default database, where it cannot be restored
	KindLibrary                       // LOAD
	KindReplication                   // replication commands
	KindConnectionID                  // the session has seen the backend's own id
	KindReset                         // everything was reset: ends every other cause

	kinds
)

var kindNames = [kinds]string{
	"unknown", "setting", "transaction_trait", "role", "temporary_table", "table_lock", "named_lock",
	"prepared_statement", "cursor", "listen", "user_variable", "last_result", "sequence", "schema", "library",
	"replication", "connection_id", "reset",
}

// Kinds is the number of kinds; kinds are 0..Kinds-1.
const Kinds = int(kinds)

func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return kindNames[k]
}

// Action is what the core's policy makes of an event.
type Action uint8

const (
	Pin     Action = iota // the session keeps its backend while the cause lasts
	Restore               // the machine rebuilds the state on whatever backend comes next
	// Ignore means that the state does not keep the backend, by configuration: the session may lose it. Nobody else may
	// see it even so: the machine cleans the backend before it gives it back.
	Ignore
)
