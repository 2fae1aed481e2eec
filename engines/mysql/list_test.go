package mysql

import "testing"

func TestMariaDBsListOfWarningsEndsWithATable(t *testing.T) {
	for text, want := range map[string]bool{
		"select 1":           false,
		"select 1 from dual": false,
		"select * from t":    true,
		"SELECT * FROM `t`":  true,
		"select a, (select 1 from t) from u where a": true,
		"select (select 1 from t)":                   false,
		"select extract(day from now())":             false,
		"select 1 from (select 1) as t":              false,
		"select * from t; select 1":                  false,
		"select * from t;":                           true,
		"select 'from t'":                            false,
		"select /*! 1 from t */":                     false,
		"insert into t values (1)":                   true,
		"update t set a = 1":                         true,
		"set @a = (select 1 from t)":                 false,
		"commit":                                     false,
		"ROLLBACK":                                   false,
		"rollback work":                              false,
		"rollback to a":                              false,
		"rollback; select 1":                         false,
		"begin":                                      false,
		"":                                           false,
	} {
		if got := usesTable([]byte(text)); got != want {
			t.Errorf("%s: uses a table %v", text, got)
		}
	}
}
