package oracle

import (
	"testing"

	"github.com/berthdb/berth/engines/mysql"
)

// checkMySQL fails if the scan of sql misses a fact, in any mode. It says whether the text is SQL in one of them.
func checkMySQL(t testing.TB, sql string, n *tally) (parsed bool) {
	t.Helper()
	for _, mode := range Modes {
		facts, err := MySQL(sql, mode)
		if err != nil {
			continue
		}
		e := mysql.Explain([]byte(sql), mode.LiteralBackslash)
		if !parsed {
			n.says(facts, e.Leaves)
		}
		parsed = true
		for _, f := range facts.Missed(KnownToMySQL(e)) {
			t.Errorf("%q, sql_mode %s: the scan misses %q, by %s: it says %+v", sql, mode.Name, f, facts[f], e)
		}
	}
	return parsed
}

func TestTheScanOfMySQLMissesNothingInTheCorpus(t *testing.T) {
	var n tally
	for _, sql := range mysqlCorpus {
		if !checkMySQL(t, sql, &n) {
			t.Errorf("%q is not SQL", sql)
		}
	}
	t.Logf("%d texts; of %d the scan says that more pins", n.parsed, n.more)
}

func TestTheScanOfMySQLMissesNothingInGeneratedTexts(t *testing.T) {
	var n tally
	for seed := range uint64(generated) {
		g := Generator{Grammar: mysqlGrammar, Choices: chance(seed)}
		checkMySQL(t, g.Text("text"), &n)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d texts are SQL; of %d the scan says that more pins", n.parsed, generated, n.more)
	if n.parsed < generated/4 {
		t.Error("the grammar is not SQL's")
	}
}

func FuzzMySQL(f *testing.F) {
	for _, sql := range mysqlCorpus {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) { checkMySQL(t, sql, &tally{}) })
}

func FuzzMySQLGrammar(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(chance(seed))
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := Generator{Grammar: mysqlGrammar, Choices: choices}
		checkMySQL(t, g.Text("text"), &tally{})
	})
}
