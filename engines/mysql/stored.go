package mysql

import (
	"sync"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// Statements through the proxy that create, replace and remove code. While one of them is under way nobody knows what there is, and what
// was asked before it does not count. Sessions that executed code before are judged by what there is later: that is right as long
// as no code is gone that may have left something. So the server is asked in front of what may remove some, if any was called; where that cannot be, or
// there is such code, sessions that executed any before and are not judged yet count as if they had left something.

// codeChange is what a statement does to code. It may remove some, also where it creates some, in place of what there was.
type codeChange struct {
	creates hidden // what that may do, 0 if it creates none
	removes bool   // even what it has created itself
}

func (c class) codeChange() (change codeChange) {
	if c.has(classDefines) {
		change.creates = hiddenUnknown
	}
	if c.has(classDefinesPrevious) {
		change.creates |= hiddenPrevious
	}
	if change.creates != 0 && c.has(classGroup) {
		change.creates |= hiddenGroup
	}
	change.removes = c.has(classRemoves)
	return change
}

// unseens has what is known, by server and user.
type unseens struct {
	mu      sync.Mutex
	entries map[serverUser]*unseen
	// servers are those of which code was changed in this round. Of the end of statements that are lost nobody hears: when nothing has
	// changed for long enough, another round begins.
	servers map[string]*serverChanges
	round   uint32
	waits   uint64 // which timer counts
	timer   *time.Timer
}

// serverChanges are the changes of one server's code.
type serverChanges struct {
	underWay int
	created  bool // there is new code, which the others may get at any time
}

// serverUser tells servers of one target apart: their code need not be the same.
type serverUser struct{ target, server, user string }

// unseenBy returns what is known of the code that a user can reach.
func (e *Engine) unseenBy(t engine.Target, server, user string) *unseen {
	c := &e.unseen
	c.mu.Lock()
	defer c.mu.Unlock()
	key := serverUser{t.Name, server, user}
	u := c.entries[key]
	if u != nil {
		return u
	}
	u = &unseen{}
	u.hidden.Store(uint32(hiddenUnknown))
	u.state.Store(uint32(c.suspect(server)))
	if c.entries == nil {
		c.entries = make(map[serverUser]*unseen)
	}
	if len(c.entries) >= maxUnseen {
		// Backends of the group keep what they have, so nothing may be forgotten that must hear of new code.
		u.state.Store(uint32(suspicionReset))
		return u
	}
	c.entries[key] = u
	return u
}

// suspect is what is to be thought of a server's code while nobody has asked. It needs the lock.
func (c *unseens) suspect(server string) suspicion {
	for name, s := range c.servers {
		if name == server && s.underWay > 0 || name != server && s.created {
			return suspicionNew
		}
	}
	return suspicionStale
}

// begin notes that a statement is sent to a server that changes code. New code is distrusted in the whole group, on replicas too. It returns
// the round.
func (c *unseens) begin(server string, change codeChange) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change(server, change, 1)
	return c.round
}

// end notes that the statement has been answered.
func (c *unseens) end(server string, change codeChange, round uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if round != c.round {
		c.change(server, change, 0) // it was forgotten
		return
	}
	c.change(server, change, -1)
}

func (c *unseens) change(server string, change codeChange, more int) {
	if c.servers == nil {
		c.servers = make(map[string]*serverChanges)
	}
	s := c.servers[server]
	if s == nil {
		s = &serverChanges{}
		c.servers[server] = s
	}
	s.underWay += more
	s.created = s.created || change.creates != 0
	for key, u := range c.entries {
		if key.server == server || change.creates != 0 {
			u.changing(change, c.suspect(key.server), more > 0)
		}
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	c.waits++
	n := c.waits
	c.timer = time.AfterFunc(trustWithin, func() { c.forget(n) })
}

// forget begins another round, if nothing was changed since the nth wait began.
func (c *unseens) forget(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n != c.waits {
		return
	}
	c.round++
	c.servers = nil
	for _, u := range c.entries {
		u.settle()
	}
}

// executes notes that a statement of class c is sent.
func (m *Machine) executes(c class) {
	m.runs(c)
	m.state.options = m.state.options || c.has(classGroup)
	m.state.calls = m.state.calls || c.has(classCalls)
	u := m.state.unseen
	if u != nil {
		m.state.begun = u.changes.Load()
		if c.has(classCalls) && !c.has(classDefines) && !u.calls.Load() {
			u.calls.Store(true)
		}
	}
	if c.has(classDefines|classRemoves) && !m.state.changes {
		m.state.changes, m.state.round = true, m.e.unseen.begin(m.state.server, c.codeChange())
	}
	if c.has(classCode) && !m.used {
		m.used, m.state.used = true, m.state.begun
	}
}

// changedCode notes that the statement that is over may have changed code.
func (m *Machine) changedCode() {
	if m.state.changes {
		m.e.unseen.end(m.state.server, m.request.class.codeChange(), m.state.round)
		m.state.changes = false
	}
}

// asksFirst says whether the server is asked, in front of a statement of class c, what the code leaves that this may remove. Of
// sessions that have called some nobody could tell afterwards.
func (m *Machine) asksFirst(c class, w engine.Wire) bool {
	u := m.state.unseen
	if !c.has(classDefines|classRemoves) || c.has(classPrevious|classDiagnostics) || u == nil || !u.calls.Load() || !u.asksItself() ||
		m.unseenChanges == engine.UnseenTrust || !m.boundary() || m.pins.result || m.session.traits || m.session.roles || m.limited() {
		return false
	}
	m.askUnseen(w)
	return true
}

// defines judges what CREATE and ALTER are about. Neither defaults nor checks of tables may call what leaves something
// unseen, but for MariaDB's sequences, which have to be created themselves, and for what is assigned there, which their text shows.
func (c *classifier) defines(w word) {
	switch {
	case c.position != 2 || w.keyword == kwTemporary:
	case w.keyword != kwTable:
		if c.found.has(classDefines) {
			c.flag(classRemoves) // it may take the place of what was created before
		}
		c.flag(classDefines)
	case c.first == kwAlter:
		c.flag(classRemoves) // an assignment
	}
}
