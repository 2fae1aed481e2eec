package mysql

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// What triggers, views and the functions that they call do to the session is not in a statement's text. The server reports
// most of it (trackers), but neither GET_LOCK, nor user variables that are set by INTO and :=, nor MariaDB's sequences. So
// the server is asked whether there is such code. Where there is, sessions that executed anything reset their backend before
// they give it back. The same question is about code that reads values of the connection, see hidden.

// suspicion is what the server said of the code that a user can reach.
type suspicion uint32

const (
	suspicionNone  suspicion = iota // it leaves nothing
	suspicionReset                  // it may leave what COM_RESET_CONNECTION undoes
	// suspicionStale is a verdict that is too old, or none yet. While somebody asks, nobody trusts it.
	suspicionStale
	suspicionAsked
	// suspicionNew says that a statement which changes code may be under way: the server is asked once nobody can be still at it.
	suspicionNew
)

const (
	// trustWithin is how long a verdict counts: code may be created past the proxy. As long a statement may take that changes code and
	// of whose end nobody hears, and other servers to have what it changed.
	trustWithin = 30 * time.Second
	// answerWithin is how long others wait for who asks. Sessions end, and backends are lost.
	answerWithin = 10 * time.Second
	maxUnseen    = 1 << 10
)

// unseen is what is known of the code that one user of one server can reach. Any goroutine may use it. Machines read no
// clock: a timer makes the verdict stale.
type unseen struct {
	state  atomic.Uint32
	hidden atomic.Uint32 // as of the last answer, and what was created since
	// changes counts beginnings and ends of statements that change code. What was asked before the last of them does not count.
	changes atomic.Uint64
	// vanished is what it was when code went for the last time that may have left something: of what was executed before, no answer tells.
	vanished atomic.Uint64
	calls    atomic.Bool // some was called since the last answer
	mu       sync.Mutex  // for changes
	losing   bool        // such code may be going
	timer    *time.Timer
	sets     uint64 // how often the state was set: which timer counts
	// functions are some that are known to be stored ones: schema, NUL, name in lower case.
	functions map[string]struct{}
}

func (u *unseen) now() suspicion { return suspicion(u.state.Load()) }

// set needs the lock. The state becomes stale by itself, unless lasts is 0.
func (u *unseen) set(s suspicion, lasts time.Duration) {
	if u.timer != nil {
		u.timer.Stop()
	}
	u.state.Store(uint32(s))
	u.sets++
	if n := u.sets; lasts > 0 {
		u.timer = time.AfterFunc(lasts, func() { u.age(n) })
	}
}

// age makes stale what was set as the nth.
func (u *unseen) age(n uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case n != u.sets:
	case u.losing:
		u.state.Store(uint32(suspicionNew))
	default:
		u.state.Store(uint32(suspicionStale))
	}
}

// take says whether the caller shall ask, and nobody else.
func (u *unseen) take() bool {
	if u.now() != suspicionStale {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now() != suspicionStale {
		return false
	}
	u.set(suspicionAsked, answerWithin)
	return true
}

// answered notes what the server said to who asked at changes. If code was changed meanwhile, that was too early.
func (u *unseen) answered(h hidden, changes uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.changes.Load() != changes || u.now() == suspicionNew {
		return
	}
	s := suspicionNone
	if h&hiddenLeaves != 0 {
		s = suspicionReset
	}
	u.hidden.Store(uint32(h))
	u.functions = nil
	u.calls.Store(false)
	u.set(s, trustWithin)
}

// changing notes that a statement that changes code begins, or has ended. s is what is to be thought of the code then. A verdict on more code
// than is left still holds.
func (u *unseen) changing(c codeChange, s suspicion, begins bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	harmless := u.now() == suspicionNone && hidden(u.hidden.Load())&hiddenCallsLeave == 0
	if c.creates == 0 && harmless {
		return
	}
	n := u.changes.Load() + 1
	u.losing = u.losing || begins && (!harmless || c.creates != 0 && c.removes)
	if u.losing {
		u.vanished.Store(n)
	}
	u.changes.Store(n)
	u.hidden.Store(u.hidden.Load() | uint32(c.creates))
	u.functions = nil
	if known := u.now() == suspicionNone || u.now() == suspicionReset; c.creates != 0 || !known {
		u.set(s, 0)
	}
	u.losing = u.losing && s == suspicionNew
}

// settle notes that no such statement is under way any more.
func (u *unseen) settle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.losing {
		u.vanished.Store(u.changes.Add(1))
		u.losing = false
	}
	if u.now() == suspicionNew {
		u.set(suspicionStale, 0)
	}
}

// outlived says whether code is gone since changes, that may have left something.
func (u *unseen) outlived(changes uint64) bool { return changes < u.vanished.Load() }

// asksItself says whether a question now says what the code leaves.
func (u *unseen) asksItself() bool {
	s := u.now()
	return s == suspicionStale || s == suspicionAsked
}

// clean says whether what the session has executed on the held backend has left nothing unseen, for all that is known, or nobody asks.
func (m *Machine) clean() bool {
	u := m.state.unseen
	return u == nil || !m.used || u.now() == suspicionNone && !u.outlived(m.state.used)
}

// sweep brings the held backend, at a boundary, to the state in which backends wait, and says whether answers are awaited
// first. A pinned session keeps its backend as it is.
func (m *Machine) sweep(w engine.Wire) (waits bool) {
	u := m.state.unseen
	if m.unseenChanges == engine.UnseenTrust {
		u = nil
	}
	clean := u == nil || m.clean()
	if m.unseenChanges == engine.UnseenPin && !clean && !m.pins.pinned {
		switch gone := u.outlived(m.state.used); {
		case !gone && u.asksItself() && !m.session.roles:
			m.askUnseen(w)
			return true
		case !gone && u.now() == suspicionNew:
			m.keepUntilNext(w)
		default:
			m.leaveUnseen(w)
		}
	}
	if m.pins.pinned || !m.ignored && !m.dirty && clean {
		return false
	}
	// Behind a statement that changed code others are left to ask, who need it: there may be many such statements.
	if !m.ignored && !m.dirty && !m.request.class.has(classDefines|classRemoves) && u.take() {
		m.askUnseen(w)
		return true
	}
	m.state.options = m.state.options || m.grouped()
	m.resetBackend(purposeReset, w)
	return true
}

// grouped says whether code may have put the held backend into one of MySQL's resource groups.
func (m *Machine) grouped() bool {
	return !m.state.mariaDB && m.hides(hiddenGroup) && (m.state.calls || m.used && m.hides(hiddenLeaves))
}

// keepUntilNext pins until the session's next statement is over, behind which all is judged anew.
func (m *Machine) keepUntilNext(w engine.Wire) {
	m.report(engine.KindUnknown, w)
	if m.holding == nil {
		m.holding = &holding{}
	}
}

// askUnseen asks what the server knows.
func (m *Machine) askUnseen(w engine.Wire) { m.askCatalogue(unseenQuery, purposeUnseen, w) }

// askCatalogue asks about the code that there is now. With autocommit off MySQL begins a transaction for that.
func (m *Machine) askCatalogue(query string, p purpose, w engine.Wire) {
	m.state.asked = m.state.unseen.changes.Load()
	m.ease(w)
	m.ask(query, p, w)
	if m.session.status&statusAutocommit == 0 {
		m.ask("ROLLBACK AND NO CHAIN NO RELEASE", purposeEnd, w)
	}
}

// ease takes from the held backend what the session has set that limits its own statements, or changes the letters of a text. What the session
// finds next it sets again. Where code may have set something, too, nothing is touched.
func (m *Machine) ease(w engine.Wire) {
	if m.pins.pinned || len(m.session.asks) > 0 {
		return
	}
	eased := m.state.settings.eased(m.state.dialect)
	if eased == m.state.settings {
		return
	}
	if text := difference([]byte("SET "), m.state.settings, eased, m.state.base); text != nil {
		m.ask(string(text), purposeEase, w)
	}
}

// limited says whether what the session has set, and keeps its backend for, may make a question about code fail, which then were unknown to all of
// its user (max_join_size). Hints take it from MySQL's questions (limitless).
func (m *Machine) limited() bool {
	return m.state.mariaDB && m.pins.reported&bit(engine.KindSetting) != 0
}

// eased is s without that.
func (s *settings) eased(d dialect) *settings {
	eased := &settings{}
	for _, v := range s.list() {
		switch v.name {
		case statementTime, "sql_big_selects", "default_regex_flags", "tmp_disk_table_size", "max_tmp_session_space_usage", "max_session_mem_used":
			continue
		case clientCharset:
			if d.isMySQL() && strings.HasPrefix(v.value, "swe7") {
				continue
			}
		}
		eased.all = append(eased.all, v)
		eased.size += len(v.name) + len(v.value)
	}
	if len(eased.all) == len(s.list()) {
		return s
	}
	return eased
}

// readsSys says whether the statement that is over may have read views of the schema sys. Their functions keep what is in sys_config in user
// variables (@sys.statement_truncate_len), and the question about code is not about them.
func (m *Machine) readsSys() bool {
	r := &m.request
	return r.class.has(classTables) && (r.class.has(classSys) || isSys(r.schema) || isSys(m.session.schema))
}

func isSys(schema string) bool { return strings.EqualFold(schema, "sys") }

// leaveUnseen pins on what code may have left, as the configuration has it.
func (m *Machine) leaveUnseen(w engine.Wire) { m.keepLasting(engine.KindUnknown, w) }

// keepLasting pins on a kind of state until a reset.
func (m *Machine) keepLasting(k engine.Kind, w engine.Wire) {
	if m.holding == nil {
		m.holding = &holding{}
	}
	m.holding.lasting |= bit(k)
	m.report(k, w)
}

// swept notes an answer to what sweep sent. Of the diagnostics nobody knows whose they are now.
func (m *Machine) swept(p purpose, failure *engine.ServerError) {
	m.disown()
	switch {
	case p == purposeReset:
		m.wasCleaned()
		m.used = m.queue.count > 0
		m.dirty = m.dirty && m.used
		if m.ignored && !m.used {
			m.ignored = false
			m.loseVirtual()
		}
	case failure == nil:
		m.state.unseen.answered(hiddenOf(m.state.scratch), m.state.asked)
	default:
		m.state.unseen.answered(hiddenUnknown, m.state.asked)
	}
}
