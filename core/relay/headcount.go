package relay

import (
	"sync"

	"github.com/berthdb/berth/core/engine"
)

// HeadLimits are how many sessions one user, and one database, may have at a listener. It is immutable.
type HeadLimits struct {
	PerUser     int            // of each user who is not in Users; 0: any number
	PerDatabase int            // of each database that is not in Databases; 0: any number
	Users       map[string]int // by name; 0: any number
	Databases   map[string]int // by name; 0: any number
}

func (l *HeadLimits) ofUser(name string) int {
	if n, own := l.Users[name]; own {
		return n
	}
	return l.PerUser
}

func (l *HeadLimits) ofDatabase(name string) int {
	if n, own := l.Databases[name]; own {
		return n
	}
	return l.PerDatabase
}

// Headcount counts the sessions of a listener by user and by database, those of all loops together. It counts without a
// limit, too, so that one that a reload brings is exact from then on. The zero value is without limits. Any goroutine may
// use it.
type Headcount struct {
	mu        sync.Mutex
	limits    *HeadLimits // nil: none
	users     map[string]int
	databases map[string]int
}

// SetLimits changes the limits for who comes. Who is there stays.
func (h *Headcount) SetLimits(l *HeadLimits) {
	h.mu.Lock()
	h.limits = l
	h.mu.Unlock()
}

// Enter counts a session of user, who has shown who it is, with database, "" for none. The error is an
// *engine.LimitError; then nothing was counted, and there is nothing to give back.
func (h *Headcount) Enter(user, database string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.enter(user, database)
}

// Leave gives back what Enter counted.
func (h *Headcount) Leave(user, database string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(user, database)
}

// Move makes a session another user's, perhaps with another database. With an error it is counted as before.
func (h *Headcount) Move(user, database, toUser, toDatabase string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(user, database) // first: it does not stand in its own way
	err := h.enter(toUser, toDatabase)
	if err != nil {
		h.count(user, database)
	}
	return err
}

// Count returns how many sessions user has, and how many are there with database.
func (h *Headcount) Count(user, database string) (ofUser, ofDatabase int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.users[user], h.databases[database]
}

// The rest is called with the lock held.

func (h *Headcount) enter(user, database string) error {
	if h.limits != nil {
		// The user first, as PostgreSQL does.
		if most := h.limits.ofUser(user); most > 0 && h.users[user] >= most {
			return &engine.LimitError{Err: engine.ErrUserConnections, Name: user, Limit: most}
		}
		if most := h.limits.ofDatabase(database); database != "" && most > 0 && h.databases[database] >= most {
			return &engine.LimitError{Err: engine.ErrDatabaseConnections, Name: database, Limit: most}
		}
	}
	h.count(user, database)
	return nil
}

func (h *Headcount) count(user, database string) {
	if h.users == nil {
		h.users, h.databases = map[string]int{}, map[string]int{}
	}
	h.users[user]++
	h.databases[database]++
}

func (h *Headcount) leave(user, database string) {
	less(h.users, user)
	less(h.databases, database)
}

// less takes one from name's count. Names with none are forgotten: clients choose those of databases.
func less(counts map[string]int, name string) {
	if counts[name]--; counts[name] <= 0 {
		delete(counts, name)
	}
}
