package mysql

import "sync"

// maxDatabases bounds the cache. A user of the group that asks for ever new names costs a backend each time at worst.
const maxDatabases = 4 << 10

// databaseCache remembers which default databases a server accepted for which user, so that a login that names one of
// them needs no backend before it is answered.
type databaseCache struct {
	mu       sync.Mutex
	verified map[userDatabase]struct{}
}

type userDatabase struct{ user, database string }

// databaseVerified says whether a server of the group accepted database for user since it was last forgotten.
func (e *Engine) databaseVerified(user, database string) bool {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.verified[userDatabase{user, database}]
	return ok
}

// verifyDatabase notes that a server accepted database for user.
func (e *Engine) verifyDatabase(user, database string) {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verified == nil || len(c.verified) >= maxDatabases {
		c.verified = make(map[userDatabase]struct{})
	}
	c.verified[userDatabase{user, database}] = struct{}{}
}

// forgetDatabase notes that a server refused database to user.
func (e *Engine) forgetDatabase(user, database string) {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.verified, userDatabase{user, database})
}
