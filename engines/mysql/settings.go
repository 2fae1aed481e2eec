package mysql

import (
	"slices"
	"strings"
)

// Settings are system variables of a session that were set since its backend was dialed. The server reports each with its
// value (trackers). What a session has set is brought to whatever backend it gets next, see settings_restore.go.

// setting is a session system variable and its value as the trackers report it, where NULL is "".
type setting struct{ name, value string }

// settings are variables sorted by name, each once. They never change once they are made: sessions and backends share
// them, and one pointer means one state. nil has none.
type settings struct {
	all  []setting
	size int // of all names and values, in bytes
}

// What a session can have restored; with more it keeps its backend.
const (
	maxSettings     = 64
	maxSettingsSize = 16 << 10
)

func (s *settings) list() []setting {
	if s == nil {
		return nil
	}
	return s.all
}

// users are the user variables, and what remains.
func (s *settings) users() (users, others []setting) {
	all := s.list()
	i := 0
	for i < len(all) && all[i].name[0] == '@' { // they come first
		i++
	}
	return all[:i], all[i:]
}

func (s *settings) find(name string) (int, bool) {
	return slices.BinarySearchFunc(s.list(), name, func(a setting, name string) int { return strings.Compare(a.name, name) })
}

func (s *settings) value(name string) (string, bool) {
	i, ok := s.find(name)
	if !ok {
		return "", false
	}
	return s.all[i].value, true
}

// or returns the value that s has, or else that of base.
func (s *settings) or(base *settings, name string) (string, bool) {
	if value, ok := s.value(name); ok {
		return value, true
	}
	return base.value(name)
}

// has says whether name is known to have value.
func (s *settings) has(name, value string) bool {
	v, ok := s.value(name)
	return ok && sameValue(v, value)
}

// with returns s with a variable set. It returns false if that would be too much.
func (s *settings) with(name, value string) (*settings, bool) {
	old := s.list()
	i, found := s.find(name)
	next := &settings{size: len(name) + len(value)}
	if s != nil {
		next.size += s.size
	}
	switch {
	case found && old[i].value == value:
		return s, true
	case found:
		next.size -= len(name) + len(old[i].value)
		next.all = slices.Clone(old)
		next.all[i].value = value
	default:
		next.all = make([]setting, 0, len(old)+1)
		next.all = append(next.all, old[:i]...)
		next.all = append(next.all, setting{name, value})
		next.all = append(next.all, old[i:]...)
	}
	return next, len(next.all) <= maxSettings && next.size <= maxSettingsSize
}

// sameValue says whether a variable has one value in both forms: switches are ON in reports and 1 in queries.
func sameValue(a, b string) bool { return a == b || switched(a) == switched(b) }

func switched(v string) string {
	switch v {
	case "ON":
		return "1"
	case "OFF":
		return "0"
	}
	return v
}

// Variables of a session that say how text is encoded.
const (
	clientCharset       = "character_set_client"
	resultsCharset      = "character_set_results"
	connectionCharset   = "character_set_connection"
	connectionCollation = "collation_connection"
	serverCharset       = "character_set_server"
	serverCollation     = "collation_server"
)

// character_set_client and character_set_results have collations, which those of parameters are on MariaDB (CONVERSION_INFO::set), and which
// definitions of columns tell. Where one is not the character set's default one, as after SET NAMES x COLLATE y, the value here is both
// names with a space between them, and SET NAMES, which sets both, the only way to set it.

// reported is the part of a value here that the server reports.
func reported(name, value string) string {
	if name == clientCharset || name == resultsCharset {
		value, _, _ = strings.Cut(value, " ")
	}
	return value
}

// defaultCollation is the collation that a character set has from its name alone, where that is known.
func (d dialect) defaultCollation(charset string) string {
	switch {
	case d.version == 0, d.mariaDB && d.version >= 110000: // the latter's are configurable
		return ""
	case charset == "utf8mb4" && !d.mariaDB && d.version >= 80000:
		return "utf8mb4_0900_ai_ci"
	case charset == "latin1":
		return "latin1_swedish_ci"
	case charset == "utf8mb4", charset == "utf8mb3", charset == "utf8":
		return charset + "_general_ci"
	}
	return ""
}

// withCollation is the value of such a character set with a collation.
func (d dialect) withCollation(charset, collation string) string {
	if collation == "" || collation == d.defaultCollation(charset) {
		return charset
	}
	return charset + " " + collation
}

// variable is the one name under which a variable is kept that a server has under two: it would be given both values else, and keep
// what the last has.
func (d dialect) variable(name string) string {
	switch {
	case name == "tx_isolation" || name == "tx_read_only":
		if d.mariaDB && d.version >= 110100 || d.isMySQL() && d.version >= 50720 {
			return "transaction_" + name[len("tx_"):]
		}
	case !d.mariaDB:
	case name == "storage_engine":
		return "default_storage_engine"
	case name == "log_slow_query":
		return "slow_query_log"
	case name == "log_slow_query_time":
		return "long_query_time"
	case name == "log_slow_min_examined_row_limit":
		return "min_examined_row_limit"
	}
	return name
}

// restorable says whether another backend can be given a variable's value so that nothing else of it changes.
func restorable(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false // a variable of a component
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	for _, prefix := range [...]string{"session_track_", "wsrep_", "debug", "gtid_", "pseudo_", "rand_seed", "original_", "immediate_"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	switch name {
	case "timestamp", // reported with its last value when it runs again
		"insert_id", "last_insert_id", "identity", // for one statement, or see insertID
		"max_join_size", "default_collation_for_utf8mb4", "character_set_collations", // they change others silently
		"resultset_metadata", "require_row_format", "default_master_connection",
		"system_versioning_asof": // a moment, told in the time zone that the session has by then; and DEFAULT is no value
		return false
	case "profiling", "optimizer_trace": // see records
		return sameValue(value, "OFF") || strings.HasPrefix(value, "enabled=off")
	case completionType: // COMMIT would end connections
		return value != "RELEASE" && value != "2"
	case "sql_select_limit": // what the machine asks itself must be answered
		return value != "0"
	case resultsCharset:
		return !strings.HasPrefix(value, "ucs2") && !strings.HasPrefix(value, "utf16") && !strings.HasPrefix(value, "utf32")
	case "sql_mode", "old_mode", "log_slow_filter", "log_slow_verbosity", "log_slow_disabled_statements", "note_verbosity",
		"default_regex_flags", "binlog_row_value_options":
		return true
	}
	return value != "" // NULL, of most
}

// records says whether a variable makes a server keep a record of statements, which is there beyond a reset (SHOW PROFILES of MariaDB,
// information_schema.OPTIMIZER_TRACE of MySQL).
func records(name string) bool { return name == "profiling" || name == "optimizer_trace" }

// privileged says whether some server lets a session set a variable only with a privilege, even to what it is (manual, "System Variable
// Privileges"). Code that has it may have set what the session cannot set again.
func privileged(name string) bool {
	for _, prefix := range [...]string{"binlog_", "connection_memory_", "select_into_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "bulk_insert_buffer_size", "character_set_filesystem", "enforce_storage_engine", "global_connection_memory_tracking",
		"histogram_generation_max_mem_size", "innodb_strict_mode", "innodb_tmpdir", "internal_tmp_mem_storage_engine", "log_disabled_statements",
		"low_priority_updates", "max_delayed_threads", "max_error_count", "max_insert_delayed_threads", "min_examined_row_limit", "preload_buffer_size",
		"server_id", "sql_generate_invisible_primary_key", "sql_log_bin", "sql_log_off", "sql_require_primary_key", "xa_detach_on_prepare":
		return true
	}
	return false
}

// appendValue appends a value as SQL that every sql_mode reads in the same way.
func appendValue(dst []byte, name, value string) []byte {
	switch {
	case value == "" && name == resultsCharset:
		return append(dst, "NULL"...)
	case isNumber(value):
		return append(dst, value...)
	}
	dst = append(dst, '\'')
	for i := range len(value) {
		if value[i] == '\'' {
			dst = append(dst, '\'')
		}
		dst = append(dst, value[i])
	}
	return append(dst, '\'')
}

// isNumber says whether a value is a number: no string variable takes one, and no other one takes a string.
func isNumber(v string) bool {
	v = strings.TrimPrefix(v, "-")
	whole, fraction, dotted := strings.Cut(v, ".")
	digits := func(s string) bool {
		for i := range len(s) {
			if !isDigit(s[i]) {
				return false
			}
		}
		return s != ""
	}
	return digits(whole) && (!dotted || digits(fraction))
}
