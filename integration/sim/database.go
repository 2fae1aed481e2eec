package sim

import (
	"maps"
	"slices"
)

// database is a small table with transactions, and the journal of what was committed.
type database struct {
	table   map[string]string
	journal [][]write // one entry a transaction that wrote

	listening map[string]func(note) // by channel: who is to be told
}

type write struct{ key, value string }

func newDatabase() *database {
	return &database{table: make(map[string]string), listening: make(map[string]func(note))}
}

// connectionState is what a server keeps for a connection.
type connectionState struct {
	db       *database
	open     bool              // a transaction
	before   map[string]string // the settings when it began, if a rollback undoes them
	undoes   bool              // it does
	dooms    bool              // a statement that fails dooms the transaction
	implicit bool              // what is written outside of a transaction is committed by who says so
	failed   bool              // the transaction can only be rolled back
	writes   []write
	notes    []note // to be told when the transaction is committed
	settings map[string]string
	locks    map[string]bool
	texts    map[string]string // of statements of PREPARE, by name: by which request

	sequences sequenceValues
}

func (db *database) connect() *connectionState {
	return &connectionState{db: db, settings: make(map[string]string), locks: make(map[string]bool), texts: make(map[string]string)}
}

// begin opens a transaction.
func (c *connectionState) begin() {
	c.open = true
	if c.undoes {
		c.before = maps.Clone(c.settings)
	}
}

// put writes, at once or with the transaction.
func (c *connectionState) put(k, v string) {
	c.writes = append(c.writes, write{k, v})
	if !c.open && !c.implicit {
		c.end(true)
	}
}

// notify tells who listens, at once or with the transaction.
func (c *connectionState) notify(n note) {
	c.notes = append(c.notes, n)
	if !c.open && !c.implicit {
		c.end(true)
	}
}

// get reads what was committed, or written by the transaction itself.
func (c *connectionState) get(k string) string {
	for _, w := range slices.Backward(c.writes) {
		if w.key == k {
			return w.value
		}
	}
	return c.db.table[k]
}

// end ends the transaction, if there is one, and says whether it was committed.
func (c *connectionState) end(commit bool) bool {
	commit = commit && !c.failed
	if commit && len(c.writes) > 0 {
		for _, w := range c.writes {
			c.db.table[w.key] = w.value
		}
		c.db.journal = append(c.db.journal, c.writes)
	}
	if !commit && c.before != nil {
		c.settings = c.before
	}
	notes := c.notes
	c.open, c.failed, c.writes, c.notes, c.before = false, false, nil, nil, nil
	for _, n := range notes {
		if tell := c.db.listening[n.channel]; commit && tell != nil {
			tell(n)
		}
	}
	return commit
}

// fail notes that a statement failed.
func (c *connectionState) fail() { c.failed = c.open && c.dooms }

// reset forgets everything that the connection's user changed.
func (c *connectionState) reset() {
	clear(c.settings)
	clear(c.locks)
	clear(c.texts)
	c.sequences.forget()
}

// left returns what is there that is not there on a new connection, but for the transaction.
func (c *connectionState) left() []string {
	left := slices.AppendSeq(slices.Collect(maps.Keys(c.settings)), maps.Keys(c.locks))
	slices.Sort(left)
	return left
}
