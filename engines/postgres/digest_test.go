package postgres

import (
	"strings"
	"testing"
)

func TestADigestShowsWhatAStatementIsAndNothingThatIsInIt(t *testing.T) {
	for sql, want := range map[string]string{
		"select pg_sleep(600)":                                  "select pg_sleep(?)",
		"SELECT  a,\n b -- why\nFROM t /* not /* this */ */":    "SELECT a, b FROM t",
		"select * from t where a in (1, 2,3) and b = 'x'":       "select * from t where a in (?) and b = ?",
		"insert into t values (1, 'a', null), (2, E'b''c', $1)": "insert into t values (?, null), (?, $1)",
		"select 1.5e-10, .5, 0x1F, 1_000, -2":                   "select ?, -?",
		`select "a b"."C", $1::text, a->>'k'`:                   `select "a b"."C", $1::text, a->>?`,
		"do $body$ begin perform secret(); end $body$":          "do ?",
		"select 'it''s' 'ok', U&'d' , B'01'":                    "select ? ?",
		`select 'a\' or b = 'secret'`:                           "select ?",
		`select E'a\'b', c`:                                     "select ?",
		"select 'no end":                                        "select ?",
		"select /* no end":                                      "select ?",
		"select 1\x00secret":                                    "select ??",
		"  select 1 ;":                                          "select ? ;",
		"":                                                      "",
		strings.Repeat("select ", 100):                          strings.Repeat("select ", 9) + "s",
	} {
		if got := string((*Engine)(nil).Digest([]byte("kept"), []byte(sql), 64)); got != "kept"+want {
			t.Errorf("%q is %q, want %q", sql, got, want)
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte("select 'a', $$b$$, 1e5, \"c\" /* d */"))
	f.Fuzz(func(t *testing.T, sql []byte) {
		if got := (*Engine)(nil).Digest(nil, sql, 100); len(got) > 100 {
			t.Errorf("%d bytes", len(got))
		}
		marked := append([]byte("select 'tr0ub4dor', "), sql...)
		if got := (*Engine)(nil).Digest(nil, marked, 100); strings.Contains(string(got), "tr0ub4dor") && !strings.Contains(string(sql), "tr0ub4dor") {
			t.Errorf("%q shows the string", got)
		}
	})
}
