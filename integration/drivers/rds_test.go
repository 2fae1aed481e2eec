package drivers

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// rdsProxy says what RDS Proxy's documentation says of a prologue: what of it pins the session, until it disconnects,
// or is refused. Its rules go by the statement's text.
func rdsProxy(engine harness.Engine, said []string) string {
	var pins []string
	for _, s := range said {
		reasons := rdsPostgres
		if engine == harness.MySQL {
			reasons = rdsMySQL
		}
		for _, r := range reasons(s) {
			if !slices.Contains(pins, r) {
				pins = append(pins, r)
			}
		}
	}
	if len(pins) == 0 {
		return "not pinned"
	}
	if slices.Contains(pins, "options") {
		return "refused: start-up parameter `options`"
	}
	return "pinned until it disconnects: " + strings.Join(pins, ", ")
}

// rdsLongest is the length of text over which every statement pins.
const rdsLongest = 16 << 10

var (
	leadingComment = regexp.MustCompile(`^(\s*(/\*[^!].*?\*/|--[^\n]*\n))*\s*`)
	permanent      = regexp.MustCompile(`(?i)set_config\s*\([^)]*,\s*false\s*\)`)
	sequence       = regexp.MustCompile(`(?i)\b(nextval|setval)\s*\(`)
	sessionLock    = regexp.MustCompile(`(?i)\bpg_(try_)?advisory_lock(_shared)?\s*\(`)
)

// rdsPostgres is the documentation's list for PostgreSQL. SET LOCAL and set_config(..., true) count as what holds for
// the transaction, of which the documentation does not say that it pins.
func rdsPostgres(said string) (pins []string) {
	if parameters, ok := strings.CutPrefix(said, startUp); ok {
		if strings.Contains(", "+parameters, ", options=") {
			return []string{"options"}
		}
		return nil
	}
	for one := range strings.SplitSeq(said, ";") {
		one = leadingComment.ReplaceAllString(one, "")
		first, rest, _ := strings.Cut(one, " ")
		first, rest = strings.ToUpper(first), strings.ToUpper(rest)
		switch first {
		case "SET":
			if !strings.HasPrefix(rest, "LOCAL ") && !strings.HasPrefix(rest, "TRANSACTION ") {
				pins = append(pins, first)
			}
		case "RESET", "PREPARE", "EXECUTE", "DEALLOCATE", "DISCARD", "LISTEN", "LOAD", "DECLARE":
			pins = append(pins, first)
		}
		for name, pattern := range map[string]*regexp.Regexp{
			"set_config": permanent, "sequences": sequence, "advisory locks": sessionLock,
		} {
			if pattern.MatchString(one) {
				pins = append(pins, name)
			}
		}
	}
	if len(said) > rdsLongest {
		pins = append(pins, "a statement over 16 KB")
	}
	return pins
}

// rdsMySQL is the documentation's list for MySQL and MariaDB.
func rdsMySQL(said string) (pins []string) {
	if strings.HasPrefix(said, stmtPrepare) {
		return []string{"prepared statements"}
	}
	if len(said) > rdsLongest {
		pins = append(pins, "a statement over 16 KB")
	}
	if strings.Contains(said, "/*!") || strings.Contains(said, "/*M!") {
		pins = append(pins, "executable comments")
	}
	one := leadingComment.ReplaceAllString(said, "")
	first, rest, _ := strings.Cut(one, " ")
	switch strings.ToUpper(first) {
	case "PREPARE":
		return append(pins, "prepared statements")
	case "SET":
		return append(pins, rdsSet(rest)...)
	}
	return pins
}

// rdsTracked are the variables of MySQL's sessions that RDS Proxy tracks: setting them does not pin.
var rdsTracked = strings.Fields(`autocommit auto_increment_increment character_set_client character_set_database
	character_set_filesystem character_set_connection character_set_results character_set_server collation_connection
	collation_database collation_server interactive_timeout names net_write_timeout query_cache_type
	session_track_schema sql_mode time_zone transaction_isolation tx_isolation transaction_read_only tx_read_only
	wait_timeout character charset`)

var scope = regexp.MustCompile(`(?i)^(@@)?((session|local)[\s.]\s*)?`)

// rdsSet is what pins in a SET's list.
func rdsSet(list string) (pins []string) {
	for _, each := range outsideParentheses(list) {
		each = strings.TrimSpace(each)
		bare := strings.ToLower(scope.ReplaceAllString(each, ""))
		name, _, _ := strings.Cut(strings.ReplaceAll(bare, "=", " "), " ")
		name = strings.Trim(name, "`:")
		switch {
		case strings.HasPrefix(each, "@") && !strings.HasPrefix(each, "@@"):
			pins = append(pins, "a user variable")
		case name == "transaction" && bare == strings.ToLower(each):
			pins = append(pins, "SET TRANSACTION")
		case name == "transaction" || slices.Contains(rdsTracked, name):
		default:
			pins = append(pins, "SET "+name)
		}
	}
	return pins
}

// outsideParentheses cuts at commas that are in no parentheses and no quotes.
func outsideParentheses(list string) (parts []string) {
	depth, quoted, from := 0, rune(0), 0
	for i, c := range list + "," {
		switch {
		case quoted != 0:
			if c == quoted {
				quoted = 0
			}
		case c == '\'' || c == '"':
			quoted = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			parts, from = append(parts, list[from:i]), i+1
		}
	}
	return parts
}

func TestRDSProxysRulesAreThoseOfItsDocumentation(t *testing.T) {
	for _, c := range []struct {
		engine harness.Engine
		said   string
		want   string
	}{
		{harness.Postgres, "SELECT 1", "not pinned"},
		{harness.Postgres, startUp + "client_encoding=UTF8", "not pinned"},
		{harness.Postgres, startUp + "client_encoding=UTF8, options=-c jit=off", "refused: start-up parameter `options`"},
		{harness.Postgres, "SET TimeZone = 'UTC'", "pinned until it disconnects: SET"},
		{harness.Postgres, "SET LOCAL TimeZone = 'UTC'", "not pinned"},
		{harness.Postgres, "SELECT set_config('TimeZone', 'UTC', false)", "pinned until it disconnects: set_config"},
		{harness.Postgres, "select 1; CLOSE ALL; RESET ALL", "pinned until it disconnects: RESET"},
		{harness.MySQL, stmtPrepare + "select 1", "pinned until it disconnects: prepared statements"},
		{harness.MySQL, "/* driver */ SET names utf8mb4, @@session.sql_mode = concat(@@sql_mode, ',x'), autocommit=1", "not pinned"},
		{harness.MySQL, "set session transaction isolation level read committed", "not pinned"},
		{harness.MySQL, "set transaction read only", "pinned until it disconnects: SET TRANSACTION"},
		{harness.MySQL, "set @@SESSION.sql_auto_is_null = 0, @a = 1", "pinned until it disconnects: SET sql_auto_is_null, a user variable"},
		{harness.MySQL, "select 1 /*!40101 + 1 */", "pinned until it disconnects: executable comments"},
	} {
		if got := rdsProxy(c.engine, []string{c.said}); got != c.want {
			t.Errorf("%s: %s, want %s", c.said, got, c.want)
		}
	}
}
