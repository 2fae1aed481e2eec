package postgres

import "github.com/berthdb/berth/core/engine"

// Effects is what the scan makes of some SQL before it goes to a server: what pins, and about what the server is asked. It is
// an upper bound, taken from the text alone.
type Effects struct {
	Leaves []engine.Kind // state that it leaves in the session if it succeeds
	May    []engine.Kind // state that it may leave: the server is asked whether it is there
	Ends   []engine.Kind // state that it may end
	// Opaque says that it executes code that the text does not show, so that the server is asked what is left.
	Opaque bool
	// Foreign says that it calls functions that are not the server's own. What they do is judged by the database's code.
	Foreign bool
	// Garbled says that it does not look like SQL. If the server executes it, it counts as opaque.
	Garbled bool
	Rolls   bool // it may undo what went before in its transaction
	Resets  bool // it is DISCARD ALL
	// Sequences says that it may make or ask for values of sequences, which are a session's own.
	Sequences bool
	Names     bool // it refers to prepared statements by their names
	Drops     bool // it drops all prepared statements
	Creates   bool // it may create code that other statements execute without naming it
	// Inert says that it begins and ends transactions and does nothing else.
	Inert bool
}

// Explain scans SQL of one statement or more as a session's would be, in an encoding in which no byte of a character is that of
// an ASCII character. conforming is the session's standard_conforming_strings.
func Explain(sql []byte, conforming bool) Effects {
	return effects(classify(sql, lexing{backslash: !conforming}))
}

// ExplainAs scans SQL as a session's would be that has been told these values of client_encoding and standard_conforming_strings.
func ExplainAs(sql []byte, encoding, conforming string) Effects {
	return effects(classify(sql, lexingOf([]parameter{{"client_encoding", encoding}, {"standard_conforming_strings", conforming}})))
}

func effects(v verdict) Effects {
	return Effects{
		Leaves: v.kinds.list(), May: v.maybe.list(), Ends: v.ends.list(),
		Opaque: v.opaque, Foreign: v.foreign, Garbled: v.garbled, Rolls: v.rolls, Resets: v.reset,
		Sequences: v.sequence, Names: v.names, Drops: v.deallocates, Creates: v.creates, Inert: v.inert,
	}
}

func (s kindSet) list() (kinds []engine.Kind) {
	for k := range engine.Kind(engine.Kinds) {
		if s.has(k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
