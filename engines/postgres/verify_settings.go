package postgres

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// Code that no scan sees may change settings, too. After it the server is asked which ones differ from what the connection
// began with. It lists those that it defines (pg_settings); of the settings that it does not define, with a dot in their
// names, it tells the value of one that is named. Their names are taken from the text of the statement that executed the code,
// and of the database's own functions (unseen_query.go).

// maxCustomNames is how many such names are remembered of a session's statements, or of a database's functions.
const maxCustomNames = 64

// settingsQuery asks for the settings that are not as the server makes them, and for the role. names are of settings that the
// server may not define and the session may have set; mentioned are more of them, which may be there as somebody's RESET has
// left them: empty (20.16). A setting has no value that code of somebody else's has made (SECURITY DEFINER), or the session in another role,
// and that it may not make again: on a server of this version.
func settingsQuery(names, mentioned []string, version int) string {
	may := "pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' AND (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) session_user)"
	if version >= versionOfParameterPrivileges {
		may = "pg_catalog.has_parameter_privilege(name, 'SET') AND pg_catalog.has_parameter_privilege(session_user, name, 'SET')"
	}
	q := "SELECT name, CASE WHEN context OPERATOR(pg_catalog.<>) 'superuser' OR " + may + " THEN setting END FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session' AND name OPERATOR(pg_catalog.<>) ALL ('{transaction_isolation," +
		"transaction_read_only,transaction_deferrable}') UNION ALL SELECT 'role', pg_catalog.current_setting('role')" +
		" UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text"
	return q + customQuery(names, "IS NOT NULL") + customQuery(mentioned, "OPERATOR(pg_catalog.<>) ''")
}

// versionOfParameterPrivileges is the first that knows GRANT SET ON PARAMETER.
const versionOfParameterPrivileges = 15

// customQuery asks for settings that the server does not define. One that is as the connection began counts as set, too: nothing
// tells what the connection began with.
func customQuery(names []string, where string) string {
	if len(names) == 0 {
		return ""
	}
	// Names have no quotes in them (customNames).
	return " UNION ALL SELECT n, pg_catalog.current_setting(n, true) FROM pg_catalog.unnest('{" + strings.Join(names, ",") +
		"}'::pg_catalog.text[]) n WHERE pg_catalog.current_setting(n, true) " + where +
		" AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) n)"
}

// foundSettings are what the server says is set.
type foundSettings struct {
	list    []setting // with "" as the SQL of what
	strange bool      // cannot be made again
}

// add notes a row of the answer, in which value is nil if it is NULL. user is who has logged in. roles says that the role may have been left on purpose: the server
// does not tell what it would be otherwise.
func (f *foundSettings) add(name, value []byte, user string, roles bool) {
	n := lowered(name)
	if n == "role" && string(value) == "none" && !roles || n == "session_authorization" && string(value) == user {
		return
	}
	if len(value) == 0 && strings.ContainsFunc(n, func(r rune) bool { return r >= 0x80 }) {
		return // a reset leaves that, of a name that cannot be restored
	}
	sql, ok := settingSQL(n, string(value))
	if !ok || value == nil || !restorable(n) && !distant(n, string(value)) {
		f.strange, sql = true, ""
	}
	f.list = append(f.list, setting{n, sql})
}

// lowered returns a name as the server compares names of settings: without regard to the case of ASCII letters, and of no others
// (guc.c, guc_name_compare).
func lowered(name []byte) string {
	b := make([]byte, len(name))
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b[i] = c
	}
	return string(b)
}

const authorization = "session_authorization"

// after returns the list in the order of what was set before, and of ops; what neither knows comes before who executes it.
func (f *foundSettings) after(before *settings, ops []settingOp) []setting {
	order := make(map[string]int)
	for i, e := range apply(before, ops) {
		order[e.name] = i + 1
	}
	last := len(order)
	if user := order[authorization]; (user == 0 || order["role"] < user) && slices.ContainsFunc(f.list, func(e setting) bool { return e.name == authorization }) {
		delete(order, "role") // SET SESSION AUTHORIZATION would undo it
	}
	place := func(e setting) int {
		switch n, ok := order[e.name]; {
		case ok:
			return n
		case e.name == authorization:
			return last + 1
		case e.name == "role":
			return last + 2
		}
		return 0
	}
	slices.SortStableFunc(f.list, func(a, b setting) int { return place(a) - place(b) })
	return f.list
}

// settingFound notes a row of the answer.
func (m *machine) settingFound(name, value []byte) {
	m.nameless = m.nameless || secret(string(name))
	m.lend.verify.settings.add(name, value, m.session.key.User, m.roles)
}

// settingsVerified notes what the server says is set. It returns false if that cannot be restored, and so pins.
func (m *machine) settingsVerified() bool {
	v, p := &m.lend.verify, &m.lend.sets
	s, ok := m.e.settings.intern(v.settings.after(m.state.actual, p.ops))
	if v.settings.strange || m.nameless || !ok {
		m.state.actual = unknownSettings
		m.lend.sets = pendingSettings{forgot: p.forgot}
		return false
	}
	m.settle(s)
	return true
}

// remember takes the names of settings out of a text that is executed. It returns false if there are too many.
func (m *machine) remember(text []byte) bool {
	for name := range customNames(text) {
		if !m.rememberName(lowered(name)) {
			return false
		}
	}
	return true
}

func (m *machine) rememberName(name string) bool {
	if slices.Contains(m.customs, name) {
		return true
	}
	if len(m.customs) == maxCustomNames {
		return false
	}
	m.customs = append(m.customs, name)
	return true
}

// readNames takes the names of settings out of a text that changes some. It returns false if there are too many.
func (m *machine) readNames(text []byte) bool {
	t := readSettings(text, m.lexing)
	m.nameless = m.nameless || t.nameless
	for _, name := range t.names {
		if !m.rememberName(name) {
			return false
		}
	}
	return true
}

// rememberStrings takes those names out of a statement that are strings of their own, as arguments of functions are. It finds
// no others: nearly every statement has names with dots of columns.
func (m *machine) rememberStrings(text []byte) {
	s := scanner{text: text, lex: m.lexing}
	for {
		begin := s.at
		switch s.next() {
		case tokenEnd, tokenBroken:
			return
		case tokenString:
			quoted := bytes.TrimSpace(text[begin:s.at])
			for name := range customNames(quoted) {
				if len(name) == len(quoted)-len("''") {
					m.remember(name)
				}
			}
		}
	}
}

// makesNames says that the code in text, as of a DO, sets something whose name it makes of parts: by set_config, or in a string that is executed.
func makesNames(text []byte) bool {
	const setter = "set_config"
	for i, c := range text { // expressions that look for their beginnings themselves take many times as long
		switch {
		case c == '\'':
			if begins(bytes.TrimLeft(text[i+1:], " \t\r\n\f"), "set") && madeInCode.Match(text[i:]) {
				return true
			}
		case begins(text[i:], setter) && (i == 0 || !isNamePart(text[i-1]) || text[i-1] == '$' || text[i-1] >= 0x80):
			rest := text[i+len(setter):]
			if open := openInCode.FindIndex(rest); open != nil && !nameInCode.Match(rest[open[1]:]) {
				return true
			}
		}
	}
	return false
}

var (
	openInCode = regexp.MustCompile(`^"?\s*[(]`)
	nameInCode = regexp.MustCompile(`^\s*[eE]?'+[\w.$ ]+'+(?:\s*::\s*\w+)?\s*,`)
	madeInCode = regexp.MustCompile(`(?i)^'\s*set\s+(?:session\s+)?[\w.$"]*(?:%|'\s*[|])`)
)

// customNames yields whatever in text may be the name of a setting with a dot in it (20.1, 20.16): names with dots between them.
func customNames(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for i := 0; i < len(text); {
			if !isNameStart(text[i]) {
				i++
				continue
			}
			begin, dots := i, 0
			for i < len(text) {
				for i < len(text) && (isNameStart(text[i]) || isDigit(text[i]) || text[i] == '$') {
					i++
				}
				if i+1 >= len(text) || text[i] != '.' || !isNameStart(text[i+1]) {
					break
				}
				dots++
				i++
			}
			if dots > 0 && i-begin < 4*maxWord && !yield(text[begin:i]) {
				return
			}
		}
	}
}
