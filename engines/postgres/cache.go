package postgres

import "sync"

// cache is a bounded map that any goroutine may use. When it is full, some entry goes: which one does not matter, as long
// as a flood of new keys cannot make it grow.
type cache[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]V
	limit   int
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{entries: make(map[K]V), limit: limit}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.entries[key]
	return v, ok
}

func (c *cache[K, V]) put(key K, value V) {
	c.update(key, func(V, bool) V { return value })
}

// each calls do with every value.
func (c *cache[K, V]) each(do func(V)) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, v := range c.entries {
		do(v)
	}
}

// update replaces the entry of key by what change makes of it (and of whether there is one), and returns that. change is
// called with the lock held.
func (c *cache[K, V]) update(key K, change func(V, bool) V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, ok := c.entries[key]
	value := change(old, ok)
	if !ok && len(c.entries) >= c.limit {
		for other := range c.entries {
			delete(c.entries, other)
			break
		}
	}
	c.entries[key] = value
	return value
}
