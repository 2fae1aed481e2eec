package mysql

import (
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
	// suspicionNew follows a statement that creates code: the server is asked once nobody can be still at it.
	suspicionNew
)

const (
	// trustWithin is how long a verdict counts: code may be created past the proxy.
	trustWithin = 30 * time.Second
	// answerWithin is how long others wait for who asks. Sessions end, and backends are lost.
	answerWithin = 10 * time.Second
	maxUnseen    = 1 << 10
)

// unseen is what is known of the code that one user of one target can reach. Any goroutine may use it. Machines read no
// clock: a timer makes the verdict stale.
type unseen struct {
	state  atomic.Uint32
	hidden atomic.Uint32 // as of the last answer, and what was created since
	mu     sync.Mutex    // for changes
	timer  *time.Timer
	// functions are some that are known to be stored ones: schema, NUL, name in lower case.
	functions map[string]struct{}
}

func (u *unseen) now() suspicion { return suspicion(u.state.Load()) }

// set needs the lock. The timer may have fired just now and make it stale at once, which only means to ask again.
func (u *unseen) set(s suspicion, lasts time.Duration) {
	if u.timer == nil {
		u.timer = time.AfterFunc(lasts, func() { u.state.Store(uint32(suspicionStale)) })
	} else {
		u.timer.Reset(lasts)
	}
	u.state.Store(uint32(s))
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

// answered notes what the server said to who took it. If code was created meanwhile, that was too early.
func (u *unseen) answered(h hidden) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now() != suspicionAsked {
		return
	}
	s := suspicionNone
	if h&hiddenLeaves != 0 {
		s = suspicionReset
	}
	u.hidden.Store(uint32(h))
	u.functions = nil
	u.set(s, trustWithin)
}

// unseens has what is known, by target and user.
type unseens struct {
	mu      sync.Mutex
	entries map[targetUser]*unseen
}

type targetUser struct{ target, user string }

// unseenBy returns what is known of the code that a user can reach.
func (e *Engine) unseenBy(t engine.Target, user string) *unseen {
	c := &e.unseen
	c.mu.Lock()
	defer c.mu.Unlock()
	key := targetUser{t.Name, user}
	u := c.entries[key]
	if u != nil {
		return u
	}
	u = &unseen{}
	u.hidden.Store(uint32(hiddenUnknown))
	u.state.Store(uint32(suspicionStale))
	if c.entries == nil {
		c.entries = make(map[targetUser]*unseen)
	}
	if len(c.entries) >= maxUnseen {
		// Backends of the group keep what they have, so nothing may be forgotten that must hear of new code.
		u.state.Store(uint32(suspicionReset))
		return u
	}
	c.entries[key] = u
	return u
}

// doubt distrusts all code of the group, on replicas too: a statement of class c creates some.
func (e *Engine) doubt(c class) {
	created := hiddenUnknown
	if c.has(classDefinesPrevious) {
		created |= hiddenPrevious
	}
	e.unseen.doubt(created)
}

func (c *unseens) doubt(created hidden) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.entries {
		u.mu.Lock()
		u.hidden.Store(u.hidden.Load() | uint32(created))
		u.functions = nil
		u.set(suspicionNew, trustWithin)
		u.mu.Unlock()
	}
}

// executes notes that a statement of class c is sent.
func (m *Machine) executes(c class) {
	if c.has(classDefines) {
		m.e.doubt(c)
	}
	m.used = m.used || c.has(classCode)
}

// sweep brings the held backend, at a boundary, to the state in which backends wait, and says whether answers are awaited
// first. A pinned session keeps its backend as it is.
func (m *Machine) sweep(w engine.Wire) (waits bool) {
	u := m.state.unseen
	if m.unseenChanges == engine.UnseenTrust {
		u = nil
	}
	if m.unseenChanges == engine.UnseenPin && u != nil && m.used && !m.pins.pinned && u.now() != suspicionNone {
		if u.take() {
			m.askUnseen(w)
			return true
		}
		m.leaveUnseen(w)
	}
	if m.pins.pinned || !m.ignored && !m.dirty && (u == nil || !m.used || u.now() == suspicionNone) {
		return false
	}
	if !m.ignored && !m.dirty && u.take() {
		m.askUnseen(w)
		return true
	}
	m.resetBackend(purposeReset, w)
	return true
}

// askUnseen asks what the server knows. With autocommit off MySQL begins a transaction for that.
func (m *Machine) askUnseen(w engine.Wire) {
	m.ask(unseenQuery, purposeUnseen, w)
	if m.session.status&statusAutocommit == 0 {
		m.ask("ROLLBACK AND NO CHAIN NO RELEASE", purposeEnd, w)
	}
}

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
	m.state.last, m.state.stale = nil, m.state.mariaDB
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
		m.state.unseen.answered(hiddenOf(m.state.scratch))
	default:
		m.state.unseen.answered(hiddenUnknown)
	}
}

// defines judges what CREATE and ALTER are about. Neither defaults nor checks of tables may call what leaves something
// unseen, but for MariaDB's sequences, which have to be created themselves.
func (c *classifier) defines(w word) {
	if c.position == 2 && w.keyword != kwTemporary && w.keyword != kwTable {
		c.flag(classDefines)
	}
}
