package mysql

import "testing"

func TestADigestHasNoLiterals(t *testing.T) {
	for sql, want := range map[string]string{
		"select  get_lock('secret', 10)":                                   "select get_lock(?)",
		"/* app */ select * from `t` where a in (1,2,3)":                   "select * from `t` where a in(?)",
		"insert into t values (1.5, \"secret\", 'x'), (2, 'y', null) -- z": "insert into t values(?),(?, null)",
		"select 'secret\\' secret'":                                        "select ?",
		"select 'secret":                                                   "select ?",
		"select @a, a.b, 5, @@c":                                           "select @a, a.b, ?, @@c",
		"select x'41', 0x41, 'it''s'":                                      "select x ?",
	} {
		if got := string((*Engine)(nil).Digest(nil, []byte(sql), 100)); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if got := string((*Engine)(nil).Digest([]byte("> "), []byte("select something long"), 10)); got != "> select som" {
		t.Errorf("limited: %q", got)
	}
}
