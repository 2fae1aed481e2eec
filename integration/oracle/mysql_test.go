package oracle

import (
	"testing"

	"github.com/berthdb/berth/engines/mysql"
)

// checkMySQL fails if the scan of sql misses a fact, in any mode. It says whether the text is SQL in one of them.
func checkMySQL(t testing.TB, sql string) (parsed bool) {
	t.Helper()
	for _, mode := range Modes {
		facts, err := MySQL(sql, mode)
		if err != nil {
			continue
		}
		parsed = true
		e := mysql.Explain([]byte(sql), mode.LiteralBackslash)
		for _, f := range facts.Missed(KnownToMySQL(e)) {
			t.Errorf("%q, sql_mode %s: the scan misses %q, by %s: it says %+v", sql, mode.Name, f, facts[f], e)
		}
	}
	return parsed
}

func TestTheScanOfMySQLMissesNothingInTheCorpus(t *testing.T) {
	for _, sql := range mysqlCorpus {
		if !checkMySQL(t, sql) {
			t.Errorf("%q is not SQL", sql)
		}
	}
}

func TestTheScanOfMySQLMissesNothingInGeneratedTexts(t *testing.T) {
	parsed := 0
	for seed := range uint64(generated) {
		g := Generator{Grammar: mysqlGrammar, Choices: chance(seed)}
		if checkMySQL(t, g.Text("text")) {
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

func FuzzMySQL(f *testing.F) {
	for _, sql := range mysqlCorpus {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) { checkMySQL(t, sql) })
}

func FuzzMySQLGrammar(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(chance(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := Generator{Grammar: mysqlGrammar, Choices: choices}
		checkMySQL(t, g.Text("text"))
	})
}
