package sim

import "slices"

// transaction opens the record of one.
func (r *run) transaction(name string) *transaction {
	t := &transaction{name: name}
	r.order = append(r.order, t)
	return t
}

// isLoose says that an entry of the journal is a write of the transaction that may have been executed outside of it.
func (t *transaction) isLoose(entry []write) bool {
	return len(entry) == 1 && slices.Contains(t.writes[len(t.writes)-t.loose:], entry[0])
}

// audit compares the database's journal with what the clients know.
func (r *run) audit() {
	owner := make(map[string]*transaction) // by value: values are unique
	for _, t := range r.order {
		for _, x := range t.writes {
			owner[x.value] = t
		}
	}
	seen := make(map[*transaction]bool)
	alone := make(map[string]bool) // by value: it was executed outside of its transaction
	scattered := make(map[*transaction]bool)
	for _, entry := range r.db.journal {
		t := owner[entry[0].value]
		switch {
		case t == nil:
			r.w.fail("committed, but nobody's: %v", entry)
		case t.isLoose(entry) && !seen[t] && !alone[entry[0].value]:
			alone[entry[0].value], scattered[t] = true, true
			continue
		case scattered[t]:
			r.w.fail("transaction %s was lost, and committed: %v", t.name, entry)
		case seen[t]:
			r.w.fail("transaction %s was committed twice: %v", t.name, entry)
		case t.fate == aborted:
			r.w.fail("transaction %s was committed, and its client does not know: %v", t.name, entry)
		case !slices.Equal(entry, t.writes):
			r.w.fail("transaction %s: committed %v, its client wrote %v", t.name, entry, t.writes)
		}
		seen[t] = true
	}
	for _, t := range r.order {
		if t.fate == committed && len(t.writes) > 0 && !seen[t] {
			r.w.fail("transaction %s is not in the journal, and its client was told that it is committed", t.name)
		}
	}
}
