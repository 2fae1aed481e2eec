package mysql

import (
	"maps"
	"sync"
)

// maxDatabases bounds the cache. A user of the group that asks for ever new names costs a backend each time at worst.
const maxDatabases = 4 << 10

// databaseCache remembers which default databases a server accepted for which user, so that a login that names one of
// them needs no backend before it is answered.
type databaseCache struct {
	mu       sync.Mutex
	verified map[userDatabase]string // their names as servers report them
}

// userDatabase is a database as a client names it whose login has a character set.
type userDatabase struct {
	user, database string
	charset        byte
}

// databaseVerified says whether a server of the group accepted a database since it was last forgotten, and what servers call it.
func (e *Engine) databaseVerified(d userDatabase) (name string, ok bool) {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	name, ok = c.verified[d]
	return name, ok
}

// verifyDatabase notes that a server accepted a database, which it calls name.
func (e *Engine) verifyDatabase(d userDatabase, name string) {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verified == nil || len(c.verified) >= maxDatabases {
		c.verified = make(map[userDatabase]string)
	}
	c.verified[d] = name
}

// forgetDatabase notes that a server refused to user the database that it calls name.
func (e *Engine) forgetDatabase(user, name string) {
	c := &e.databases
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.verified, func(d userDatabase, known string) bool { return d.user == user && known == name })
}
