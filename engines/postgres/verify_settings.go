package postgres

import (
	"bytes"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Code that no scan sees may change settings, too. After it the server is asked which ones differ from what the connection
// began with. It lists those that it defines (pg_settings); of the settings that it does not define, with a dot in their
// names, it tells the value of one that is named. Their names are taken from the text of the statement that executed the code,
// and of the database's own functions (unseen_query.go).

// maxCustomNames is how many such names are remembered of a session's statements, or of a database's functions.
const maxCustomNames = 64

// settingsQuery asks for the settings that are not as the server makes them, and for the role; names are of settings
// that it may not define.
func settingsQuery(names ...[]string) string {
	q := "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session' AND name <> ALL ('{transaction_isolation," +
		"transaction_read_only,transaction_deferrable}') UNION ALL SELECT 'role', pg_catalog.current_setting('role')" +
		" UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text"
	all := slices.Concat(names...)
	if len(all) == 0 {
		return q
	}
	// Names have no quotes in them (customNames).
	return q + " UNION ALL SELECT n, pg_catalog.current_setting(n, true) FROM pg_catalog.unnest('{" + strings.Join(all, ",") +
		"}'::pg_catalog.text[]) n WHERE pg_catalog.current_setting(n, true) <> ''" +
		" AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_settings WHERE name = n)" +
		" AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) c" +
		" WHERE c = n || '=' || pg_catalog.current_setting(n, true))"
}

// settingFound notes a row of the answer.
func (m *machine) settingFound(name, value []byte) {
	v := &m.lend.verify
	switch string(name) {
	case "role":
		if string(value) != m.initially("role", "none") {
			v.found.add(engine.KindRole)
		}
	case "session_authorization":
		if string(value) != m.initially("session_authorization", m.session.key.User) {
			v.found.add(engine.KindRole)
		}
	default:
		if string(value) != m.initially(string(name), "") && !startsWith(m.session.key.Options, name, value) {
			v.found.add(engine.KindSetting)
		}
	}
}

// initially is the value of a setting when the connection was made, behind the init query.
func (m *machine) initially(name, otherwise string) string {
	if value, ok := lookup(m.state.initial, name); ok {
		return value
	}
	return otherwise
}

// startsWith says that start-up parameters give a setting, which the server does not define, this value.
func startsWith(options string, name, value []byte) bool {
	at := strings.Index(options, string(name))
	return at >= 0 && strings.Contains(options[at:], string(value))
}

// remember takes the names of settings out of a text that is executed. It returns false if there are too many.
func (m *machine) remember(text []byte) bool {
	for name := range customNames(text) {
		name := string(bytes.ToLower(name))
		if slices.Contains(m.customs, name) {
			continue
		}
		if len(m.customs) == maxCustomNames {
			return false
		}
		m.customs = append(m.customs, name)
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

// namesSettings says that a text that changes settings names them in a form that customNames finds. What set_config is given,
// and an UPDATE of pg_settings, may come from anywhere. Nor does the answer show a seed, which the server never lists, or an
// empty string under a name with a dot, which is what RESET leaves as well (20.16).
func namesSettings(text []byte) bool {
	lower := bytes.ToLower(text)
	for _, hidden := range [...]string{`\`, "set_config", "pg_settings", "seed"} {
		if bytes.Contains(lower, []byte(hidden)) {
			return false
		}
	}
	if bytes.IndexByte(text, '.') >= 0 && (bytes.Contains(text, []byte("''")) || bytes.Contains(text, []byte("$$"))) {
		return false
	}
	inName := func(i int) bool {
		return i >= 0 && i < len(text) && (isNameStart(text[i]) || isDigit(text[i]) || text[i] == '$')
	}
	for i, c := range text {
		if c == '.' && (bytes.IndexByte(text, '"') >= 0 || !inName(i-1) || !inName(i+1)) {
			return false
		}
	}
	return true
}

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
