// Package oracle checks the two SQL scanners against real parsers: PostgreSQL's own (libpg_query) and TiDB's for MySQL. It is a
// module of its own, so that Berth depends on neither.
//
// Words: a [Fact] is something that a parse tree says a text does to the session that executes it, and that Berth must know of;
// a missed fact is one that the scan does not know of. The rule is that no fact is ever missed. The scan may say more: it reads
// no grammar, and keeps a backend in doubt. How much more is printed by the tests, not judged.
//
// Texts come from a corpus of statements of every sort, from a generator that puts fragments that touch sessions into places of
// statements ([Generator]), and from fuzzing, whose findings stay in testdata.
package oracle

import "slices"

// Fact is what a parse tree says that a text does.
type Fact string

// Facts that are a kind of session state have that kind's name (engine.Kind). These are the others.
const (
	// FactForeign: it calls functions that are not the server's own.
	FactForeign Fact = "foreign"
	// FactOpaque: it executes code that is not to be seen.
	FactOpaque Fact = "opaque"
	// FactCode: it does more than begin and end transactions.
	FactCode Fact = "code"
	// FactRolls: it undoes what went before in the transaction.
	FactRolls Fact = "rolls"
	// FactNotReset: it is not DISCARD ALL alone.
	FactNotReset Fact = "not a reset"
	// FactSequences: it may make or ask for values of sequences.
	FactSequences Fact = "sequences"
	// FactNames: it refers to prepared statements by name. FactDrops: it drops all of them.
	FactNames Fact = "names"
	FactDrops Fact = "drops"
	// FactCreates: it creates code.
	FactCreates Fact = "creates"
	// FactInsertID: it reads LAST_INSERT_ID(). FactSetsInsertID: it sets it.
	FactInsertID     Fact = "reads the insert id"
	FactSetsInsertID Fact = "sets the insert id"
	// FactPrevious: it asks for ROW_COUNT() or FOUND_ROWS() of the statement before. FactDiagnostics: for its warnings.
	FactPrevious    Fact = "previous"
	FactDiagnostics Fact = "diagnostics"
	// FactFoundRows: it leaves a count for FOUND_ROWS().
	FactFoundRows Fact = "found rows"
	// FactCalls: it calls stored code.
	FactCalls Fact = "calls"
	// FactRenames: it gives a table another name.
	FactRenames Fact = "renames"
	// FactKills: it is KILL.
	FactKills Fact = "kills"
	// FactNotOwn: the proxy must not answer it itself.
	FactNotOwn Fact = "not the proxy's"
)

// Facts are what a parse tree says that a text does, and by what each was recognized.
type Facts map[Fact]string

func (f Facts) add(name Fact, by string) { f[name] = by }

// Missed returns the facts that known does not cover, in order.
func (f Facts) Missed(known func(Fact) bool) (missed []Fact) {
	for name := range f {
		if !known(name) {
			missed = append(missed, name)
		}
	}
	slices.Sort(missed)
	return missed
}
