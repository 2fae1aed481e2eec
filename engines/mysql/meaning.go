package mysql

import (
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// How a text is understood depends on settings: sql_mode, character sets, the time zone of literals. A server understands a
// statement when it is prepared, and keeps to that whatever is set afterwards. So what is prepared again is prepared with the
// settings that the session had then.

// indifferent says whether a setting changes nothing in how statements are understood.
func indifferent(name string) bool {
	switch name {
	case "autocommit", "character_set_results", "foreign_key_checks", "identity", "insert_id", "interactive_timeout", "last_insert_id",
		"lc_messages", "lock_wait_timeout", "long_query_time", "max_execution_time", "max_statement_time", "net_read_timeout",
		"net_write_timeout", "profiling", "rand_seed1", "rand_seed2", "sql_log_bin", "sql_safe_updates", "sql_select_limit", "timestamp", "transaction_isolation",
		"transaction_read_only", "tx_isolation", "tx_read_only", "unique_checks", waitTimeout:
		return true
	}
	// A user variable's type may matter, but then the server prepares the statement again by itself.
	for _, prefix := range [...]string{"@", "auto_increment_", "binlog_", "innodb_", "optimizer_", "session_track_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, "_buffer_size")
}

// meaning says how statements are understood with s on a backend that was dialed with base.
func (s *settings) meaning(base *settings) string { return s.spelled(base, indifferent) }

// spelled writes down what s has otherwise than base, but for what skip says.
func (s *settings) spelled(base *settings, skip func(name string) bool) string {
	var b strings.Builder
	for _, v := range s.list() {
		if !skip(v.name) && !base.has(v.name, v.value) {
			b.WriteString(v.name)
			b.WriteByte(0)
			b.WriteString(v.value)
			b.WriteByte(0)
		}
	}
	return b.String()
}

// meaningOf returns s with those settings of another that decide how statements are understood, in place of its own, on a backend that was
// dialed with base.
func (s *settings) meaningOf(other, base *settings) *settings {
	next := &settings{}
	add := func(all []setting, indifferently bool) {
		for _, v := range all {
			if indifferent(v.name) == indifferently {
				next.all = append(next.all, v)
				next.size += len(v.name) + len(v.value)
			}
		}
	}
	add(s.list(), true)
	add(other.list(), false)
	slices.SortFunc(next.all, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	client, _ := next.or(base, clientCharset)
	if results, _ := next.or(base, resultsCharset); client != results && strings.Contains(client, " ") && strings.Contains(results, " ") {
		next, _ = next.with(resultsCharset, client) // nothing sets two collations
	}
	return next
}

// knowsMeaning says whether it is known to what the session has set what decides how statements are understood. If not, the server
// is asked.
func (m *Machine) knowsMeaning(w engine.Wire) bool {
	if !m.doubtsMeaning() {
		return true
	}
	m.askSettings(w)
	return false
}

// doubtsMeaning says whether the server would have to be asked.
func (m *Machine) doubtsMeaning() bool {
	return slices.ContainsFunc(m.session.asks, func(name string) bool { return !indifferent(name) })
}

// alignMeaning makes the held backend understand what it prepares as s was understood. It says whether that is so already.
func (m *Machine) alignMeaning(s *sharedStatement, w engine.Wire) bool {
	if m.state.settings.meaning(m.state.base) == s.meaning {
		return true
	}
	target := m.state.settings.meaningOf(s.settings, m.state.base)
	text := difference([]byte("SET "), m.state.settings, target, m.state.base)
	if text == nil {
		m.state.settings = target
		return true
	}
	m.statements.target = target
	m.ask(string(text), purposeMeaning, w)
	return false
}

// meant takes in what the server reports behind alignMeaning.
func (m *Machine) meant(o *okPacket) bool {
	if !m.tookSettings(o, m.statements.target) {
		return false
	}
	m.state.settings = m.statements.target
	return true
}
