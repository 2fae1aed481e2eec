package postgres

import (
	"slices"
	"testing"
)

func TestATextSaysWhichStatementsItNames(t *testing.T) {
	for text, want := range map[string][]reference{
		"deallocate a":                                    {{name: "a", use: useDeallocates}},
		"DEALLOCATE PREPARE A;":                           {{name: "a", use: useDeallocates}},
		`/* b */ deallocate "A b" -- c`:                   {{name: "A b", use: useDeallocates}},
		"deallocate a; deallocate prepare b":              {{name: "a", use: useDeallocates}, {name: "b", use: useDeallocates}},
		"select 1/0; deallocate a":                        {{name: "a", use: useDeallocates}},
		"select 'deallocate a'":                           nil,
		"select deallocate from prepare":                  nil,
		"deallocate a 'b":                                 {{name: "a", use: useDeallocates}},
		`deallocate U&"a"`:                                {{name: "", use: useDeallocates}},
		`deallocate U&"ber"`:                              {{name: "", use: useDeallocates}},
		`execute U&"\0441\0431" (1)`:                      {{name: "", use: useExecutes}},
		`execute U&"berth\003x"`:                          {{name: "", use: useExecutes}},
		`execute U&"berth:1"`:                             {{name: sharedPrefix, use: useExecutes}},
		`execute /* " */ u&"\0062e\+000072\0074H:1"`:      {{name: "", use: useExecutes}},
		`execute /* " */ u&"\0062e\+000072\0074h:1"`:      {{name: sharedPrefix, use: useExecutes}},
		`execute u&"berth\003A1"(1)`:                      {{name: sharedPrefix, use: useExecutes}},
		`prepare U&"berth!003a1" uescape '!' as select 1`: {{name: sharedPrefix, use: usePrepares}},
		"prepare a (int) as select 1; execute a (1)":      {{name: "a", use: usePrepares}, {name: "a", use: useExecutes}},
		"explain (verbose) execute a; execute b":          {{name: "a", use: useExecutes}, {name: "b", use: useExecutes}},
		"create table t as execute a":                     {{name: "a", use: useExecutes}},
		"do $$ begin execute 'Deallocate a'; end $$":      {{name: "", use: useExecutes}},
		"do $$ begin execute 'execute a'; end $$":         {{name: "", use: useExecutes}},
		"select 1; do $$ begin execute 'table a'; end $$": nil,
		"prepare transaction 'x'":                         {{name: "transaction", use: usePrepares}},
		"deallocate prepare; deallocate b":                {{name: "prepare", use: useDeallocates}, {name: "b", use: useDeallocates}},
		"deallocate prepare prepare":                      {{name: "prepare", use: useDeallocates}},
		"deallocate prepare execute":                      {{name: "execute", use: useDeallocates}},
		"execute prepare; prepare execute as table t":     {{name: "prepare", use: useExecutes}, {name: "execute", use: usePrepares}},
		"deallocate all; deallocate prepare all":          nil,
		`deallocate "all"; deallocate a`:                  {{name: "all", use: useDeallocates}, {name: "a", use: useDeallocates}},
		"deallocate":                                      nil, "deallocate; select 1": nil, "": nil,
	} {
		if got := references([]byte(text), lexing{}); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNoTextReachesWhatTheProxyHasPrepared(t *testing.T) {
	for _, text := range []string{`EXECUTE "berth:1"`, `EXECUTE U&"berth\003a1"`, `DO $$BEGIN EXECUTE 'execute "berth:1"'; END$$`, "EXECUTE \"berth:1\" -- \x95"} {
		s := newStage(t)
		s.m.lexing = lexing{opaque: true}
		s.client(queryMessage(text))
		if got := describeMessages(t, s.toBackend, true); got != "B |berth:, S" {
			t.Errorf("%s: to the backend: %s", text, got)
		}
	}
}
