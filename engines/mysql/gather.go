package mysql

import (
	"bytes"
	"slices"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// How a text is understood depends on settings: sql_mode, character sets. A server understands a statement when it is prepared,
// and keeps to that. So before a session changes a setting, all its statements are brought to the backend; if one that matters has
// changed, they stay there.

// indifferent are settings that change nothing in how statements are understood.
var indifferent = map[string]struct{}{
	"autocommit": {}, "character_set_results": {}, "foreign_key_checks": {}, "identity": {}, "innodb_lock_wait_timeout": {},
	"insert_id": {}, "interactive_timeout": {}, "last_insert_id": {}, "lock_wait_timeout": {}, "max_execution_time": {},
	"max_statement_time": {}, "net_read_timeout": {}, "net_write_timeout": {}, "sql_log_bin": {}, "sql_select_limit": {},
	"transaction_isolation": {}, "transaction_read_only": {}, "tx_isolation": {}, "tx_read_only": {}, "unique_checks": {},
	"wait_timeout": {},
}

// harmlessSettings are beginnings of statements that change only such, in lower case.
var harmlessSettings = [][]byte{
	[]byte("set autocommit"), []byte("set session transaction"), []byte("set transaction"), []byte("set @@autocommit"),
	[]byte("set session autocommit"), []byte("set @@session.autocommit"),
}

// mayMatter says whether a text that changes settings may change one that matters to statements.
func mayMatter(text []byte) bool {
	if bytes.ContainsAny(text, ",;/") {
		return true
	}
	for _, h := range harmlessSettings {
		if len(text) >= len(h) && bytes.EqualFold(text[:len(h)], h) {
			return false
		}
	}
	return true
}

// prepareSettings brings the session's statements to the held backend if a text of class c may change settings. It returns false
// if answers are awaited first.
func (m *Machine) prepareSettings(c class, text []byte, w engine.Wire) bool {
	t := &m.statements
	if c.kinds&bit(engine.KindSetting) == 0 && c.sets == nil || len(t.byID) == 0 || !mayMatter(text) {
		return true
	}
	t.gathering = true
	for _, s := range t.byID {
		if s.own != nil || s.lost {
			continue
		}
		h := m.present(s, w)
		if h == nil && m.queue.count == 0 { // it cannot be prepared
			s.lost, m.refusal = true, nil
			continue
		}
		if h == nil {
			return false
		}
		m.detach(s, h)
		s.gathered, t.gathered = true, true
	}
	t.gathering = false
	return true
}

// settingsChanged is called behind a request of the client: changed says whether it changed a setting that matters.
func (m *Machine) settingsChanged(changed bool, w engine.Wire) {
	t := &m.statements
	t.private = t.private || changed
	if len(t.byID) == 0 || !changed && !t.gathered {
		return
	}
	for _, s := range t.byID {
		s.gathered = false
		switch {
		case !changed:
			m.share(s, w)
		case s.kept || s.lost:
		case s.own != nil:
			m.keep(s, s.own)
		default:
			if h := m.state.statements.held[s.shared]; h != nil {
				m.detach(s, h)
				m.keep(s, h)
			} else {
				s.lost = true
			}
		}
	}
	t.gathered = false
	if t.kept > 0 {
		m.tellKept(w)
	}
}

// settingsReport is what the server said of settings in its answer to a request.
type settingsReport struct {
	reported bool // it said something
	matter   bool // of one that matters to statements
	kept     bool // of one that the session keeps on other backends
}

// matter says whether r may have assigned to a variable that matters to statements and that the server did not report.
func (a *assignments) matter(r *request) bool {
	if r.failed && a.statements == 1 && a.assignsNothing(r.errno) {
		return false
	}
	return slices.ContainsFunc(a.names, func(name string) bool {
		_, ok := indifferent[name]
		return !ok && !r.reports(name)
	})
}

// changedSettings says whether the request that is over changed a setting that matters. Settings that do not pin, by
// configuration, do not last.
func (m *Machine) changedSettings() bool {
	r := &m.request
	if m.ignored && m.pins.reported&bit(engine.KindSetting) == 0 && !r.settings.kept && len(m.session.asks) == 0 {
		return false
	}
	told := r.class.kinds&bit(engine.KindSetting) != 0 && r.command != protocol.COM_SET_OPTION
	return r.settings.matter || told && (r.failed || !r.settings.reported) || r.class.sets != nil && r.class.sets.matter(r)
}
