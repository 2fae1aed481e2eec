package mysql

import protocol "github.com/go-mysql-org/go-mysql/mysql"

// With autocommit off, statements leave on their connection what the status flags do not tell of, until COMMIT or ROLLBACK:
//
//   - a statement that fails may have begun a transaction, with a snapshot and locks of rows, and an ERR has no flags;
//   - a statement that uses no table of a transactional engine, or fails when it has opened its tables, leaves the locks of their
//     metadata, for which ALTER TABLE waits, and everybody behind that;
//   - a SAVEPOINT is there, whether a transaction has begun or not.
//
// So such a session keeps its backend as if the flags said that it is in a transaction. What cannot use a table is left out: the
// questions that a driver asks before anything else hold nothing.

// works judges, by its first word, whether a statement uses tables and whether it ends a transaction.
func (c *classifier) works(w works) {
	c.ends = w&worksEnds != 0
	if w&worksLogins != 0 {
		c.flag(classLogins)
	}
	if w&worksTableless == 0 {
		c.flag(classTables)
	}
}

// worksOn judges a further word of a statement.
func (c *classifier) worksOn(w word) {
	switch c.first {
	case kwSelect, kwQuery, kwSet:
		if w.keyword == kwFrom || w.keyword == kwTable || w.keyword == kwFor && c.first == kwSet { // SET STATEMENT ... FOR INSERT
			c.flag(classTables)
		}
	case kwShow:
		if c.position == 2 && w.keyword != kwWarnings && w.keyword != kwCount {
			c.flag(classTables)
		}
	case kwEndOfTransaction:
		c.ends = c.ends && w.keyword != kwTo // a savepoint
	case kwCreate, kwDrop:
		if w.keyword == kwTemporary {
			c.flag(classTables) // CREATE TEMPORARY TABLE ... SELECT
			c.ends = false
		}
		c.ends = c.ends && !(w.keyword == kwPrepare && c.position == 2)
	}
}

// adoptAutocommit notes that connections to the server begin with autocommit off, before an OK says so to the session.
func (m *Machine) adoptAutocommit() {
	if m.state.status&statusAutocommit != 0 || !m.state.base.has("autocommit", "OFF") {
		return
	}
	if _, own := m.session.settings.value("autocommit"); !own {
		m.session.status &^= statusAutocommit
	}
}

// noteUnsaid notes what a statement that has ended may have left with autocommit off.
func (m *Machine) noteUnsaid() {
	r, s := &m.request, &m.session
	switch {
	case s.status&statusAutocommit != 0, !r.failed && r.class.has(classEnds):
		s.unsaid = false
	case r.command == protocol.COM_STMT_PREPARE, r.command == protocol.COM_INIT_DB, r.command == protocol.COM_STMT_FETCH:
	case r.command == protocol.COM_FIELD_LIST, r.class.has(classTables):
		s.unsaid = true
	}
}
