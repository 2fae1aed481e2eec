package oracle

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/engines/postgres"
)

// tally counts texts that are SQL, and those of them of which the scan says more than the parser.
type tally struct{ parsed, more int }

// says counts one text. The kinds are those that pin.
func (n *tally) says(facts Facts, kinds []engine.Kind) {
	n.parsed++
	if slices.ContainsFunc(kinds, func(k engine.Kind) bool { return facts[name(k)] == "" }) {
		n.more++
	}
}

// checkPostgres fails if the scan of sql misses a fact. It says whether the text is SQL at all.
func checkPostgres(t testing.TB, sql string, n *tally) bool {
	t.Helper()
	facts, err := Postgres(sql)
	if err != nil {
		return false
	}
	e := postgres.Explain([]byte(sql), true)
	n.says(facts, e.Leaves)
	for _, f := range facts.Missed(KnownToPostgres(e)) {
		t.Errorf("%q: the scan misses %q, by %s: it says %+v", sql, f, facts[f], e)
	}
	return true
}

// chance are bytes of chance.
func chance(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	p := make([]byte, 0, 1<<10)
	for len(p) < cap(p) {
		p = binary.LittleEndian.AppendUint64(p, r.Uint64())
	}
	return p
}

// generated is how many texts are made of each grammar.
const generated = 6000

func TestTheScanOfPostgresMissesNothingInGeneratedTexts(t *testing.T) {
	var n tally
	for seed := range uint64(generated) {
		g := Generator{Grammar: postgresGrammar, Choices: chance(seed)}
		checkPostgres(t, g.Text("text"), &n)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d texts are SQL; of %d the scan says that more pins", n.parsed, generated, n.more)
	if n.parsed < generated/4 {
		t.Error("the grammar is not SQL's")
	}
}

func FuzzPostgres(f *testing.F) {
	for _, sql := range postgresCorpus {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) { checkPostgres(t, sql, &tally{}) })
}

func FuzzPostgresGrammar(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(chance(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := Generator{Grammar: postgresGrammar, Choices: choices}
		checkPostgres(t, g.Text("text"), &tally{})
	})
}

func TestTheScanOfPostgresMissesNothingInTheCorpus(t *testing.T) {
	var n tally
	for _, sql := range postgresCorpus {
		if !checkPostgres(t, sql, &n) {
			t.Errorf("%q is not SQL", sql)
		}
	}
	t.Logf("%d texts; of %d the scan says that more pins", n.parsed, n.more)
}

// The parser reads standard_conforming_strings as on. With it off a plain string is what E'...' is with it on: the scan gets these
// strings without their E.
func TestTheScanOfPostgresMissesNothingWhereStringsDoNotConform(t *testing.T) {
	const marked = "E\x01"
	grammar := *postgresGrammar
	grammar.Tokens = maps.Clone(grammar.Tokens)
	grammar.Tokens["strings"] = []string{
		marked + `'a\'; SET a = 1; --'`, marked + `'\\'`, marked + `'it''s'`, marked + `'\''`, marked + `'a\\\'b'`, marked + "'a'\n'\\''", `E'\''`, "$$'\\'$$", marked + `'\\''\'''`, `B'01'`,
	}
	var n tally
	for seed := range uint64(generated) {
		g := Generator{Grammar: &grammar, Choices: chance(seed)}
		text := g.Text("text")
		facts, err := Postgres(strings.ReplaceAll(text, marked, "E"))
		if err != nil {
			continue
		}
		sql := strings.ReplaceAll(text, marked, "")
		e := postgres.Explain([]byte(sql), false)
		n.says(facts, e.Leaves)
		for _, f := range facts.Missed(KnownToPostgres(e)) {
			t.Fatalf("seed %d: %q: the scan misses %q, by %s: it says %+v", seed, sql, f, facts[f], e)
		}
	}
	t.Logf("%d of %d texts are SQL; of %d the scan says that more pins", n.parsed, generated, n.more)
	if n.parsed < generated/4 {
		t.Error("the grammar is not SQL's")
	}
}
