package oracle

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/berthdb/berth/engines/postgres"
)

// checkPostgres fails if the scan of sql misses a fact. It says whether the text is SQL at all.
func checkPostgres(t testing.TB, sql string) bool {
	t.Helper()
	facts, err := Postgres(sql)
	if err != nil {
		return false
	}
	e := postgres.Explain([]byte(sql), true)
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
	parsed := 0
	for seed := range uint64(generated) {
		g := Generator{Grammar: postgresGrammar, Choices: chance(seed)}
		if checkPostgres(t, g.Text("text")) {
			parsed++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d texts are SQL", parsed, generated)
	if parsed < generated/4 {
		t.Error("the grammar is not SQL's")
	}
}

func FuzzPostgres(f *testing.F) {
	for _, sql := range postgresCorpus {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) { checkPostgres(t, sql) })
}

func FuzzPostgresGrammar(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(chance(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := Generator{Grammar: postgresGrammar, Choices: choices}
		checkPostgres(t, g.Text("text"))
	})
}

func TestTheScanOfPostgresMissesNothingInTheCorpus(t *testing.T) {
	for _, sql := range postgresCorpus {
		if !checkPostgres(t, sql) {
			t.Errorf("%q is not SQL", sql)
		}
	}
}
