package postgres

import (
	"slices"
	"testing"
)

func TestATextSaysWhichStatementsItNames(t *testing.T) {
	for text, want := range map[string][]reference{
		"deallocate a":                               {{"a", useDeallocates}},
		"DEALLOCATE PREPARE A;":                      {{"a", useDeallocates}},
		`/* b */ deallocate "A b" -- c`:              {{"A b", useDeallocates}},
		"deallocate a; deallocate prepare b":         {{"a", useDeallocates}, {"b", useDeallocates}},
		"select 1/0; deallocate a":                   {{"a", useDeallocates}},
		"select 'deallocate a'":                      nil,
		"select deallocate from prepare":             nil,
		"deallocate a 'b":                            {{"a", useDeallocates}},
		`deallocate U&"a"`:                           {{"", useDeallocates}},
		"prepare a (int) as select 1; execute a (1)": {{"a", usePrepares}, {"a", useExecutes}},
		"explain (verbose) execute a; execute b":     {{"a", useExecutes}, {"b", useExecutes}},
		"create table t as execute a":                {{"a", useExecutes}},
		"prepare transaction 'x'":                    {{"transaction", usePrepares}},
		"deallocate":                                 nil, "deallocate; select 1": nil, "": nil,
	} {
		if got := references([]byte(text), lexing{}); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
