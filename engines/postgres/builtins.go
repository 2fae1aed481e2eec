package postgres

import (
	_ "embed"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

//go:generate ./builtins.sh

// builtinNames has a name in each line, behind a comment.
//
//go:embed builtins.txt
var builtinNames string

// builtins has those names. It is never changed.
var builtins = makeBuiltins()

// builtinBits makes a table of three times as many slots as there are names: a word in front of a parenthesis is looked for in each
// statement, in half of the time that a map takes.
const builtinBits = 13

// builtinTable has each name at its place, or behind it where others were there before.
type builtinTable [1 << builtinBits]string

func makeBuiltins() *builtinTable {
	t := &builtinTable{}
	_, names, _ := strings.Cut(builtinNames, "\n")
	for line := range strings.Lines(names) {
		name := strings.TrimSuffix(line, "\n")
		at := builtinPlace([]byte(name))
		for t[at] != "" {
			at = (at + 1) % uint32(len(t))
		}
		t[at] = name
	}
	return t
}

// builtinPlace is the place of a name, which is not empty.
func builtinPlace(name []byte) uint32 { return uint32(engine.HashWord(name) >> (64 - builtinBits)) }

// builtin says whether name, which is not empty, is a function of pg_catalog that leaves nothing behind in the session.
func builtin(name []byte) bool {
	at := builtinPlace(name)
	for builtins[at] != "" {
		if builtins[at] == string(name) {
			return true
		}
		at = (at + 1) % uint32(len(builtins))
	}
	return false
}
