package engine

import "sync"

// LoginChanges says how often it has changed what a server makes of a login: backends that have logged in before are not what one that
// begins now would be, so their keys differ. Its zero value is ready; any goroutine may use it.
type LoginChanges struct {
	mu     sync.RWMutex
	latest uint64
	last   map[LoginsOf]uint64
}

// LoginsOf are those of a user, of any if it is "", to a database, to any if that is "".
type LoginsOf struct{ User, Database string }

// maxLoginChanges bounds what is told apart, of about 100 bytes each: beyond it, all sessions that begin get backends of their own once.
const maxLoginChanges = 1 << 10

// Changed notes a change.
func (c *LoginChanges) Changed(of LoginsOf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.last[of]; c.last == nil || !ok && len(c.last) >= maxLoginChanges {
		c.last = map[LoginsOf]uint64{{}: c.latest}
	}
	c.latest++
	c.last[of] = c.latest
}

// Latest returns what tells a login from those before the last change that concerns it, 0 if there was none.
func (c *LoginChanges) Latest(user, database string) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return max(c.last[LoginsOf{}], c.last[LoginsOf{User: user}], c.last[LoginsOf{Database: database}], c.last[LoginsOf{user, database}])
}
