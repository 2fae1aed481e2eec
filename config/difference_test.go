package config

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferencesAreNamedByTheirKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"a value", []string{"level: info", "level: debug"}, []string{"log.level"}},
		{"a value in a list", []string{"multiplex ", "strict-aws "}, []string{"target_groups[0].connection_pool.session_pinning_preset"}},
		{"a list of names", []string{"filters: []", "filters: [EXCLUDE_SEQUENCES]"}, []string{"target_groups[0].connection_pool.session_pinning_filters"}},
		{"several", []string{"127.0.0.1:7070", "127.0.0.1:7071", "max_client_connections: 10000", "max_client_connections: 1"},
			[]string{"admin.address", "listeners[0].max_client_connections"}},
		{"a list's length", []string{"    tls:\n      mode: prefer", "      - {name: b, address: \"127.0.0.1:1\"}\n    tls:\n      mode: prefer"},
			[]string{"target_groups[0].targets"}},
	} {
		changed := mustParse(t, strings.NewReplacer(c.oldnew...).Replace(documented))
		if got := Differences(mustParse(t, documented), changed); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := Differences(mustParse(t, documented), mustParse(t, minimal)); got != nil {
		t.Errorf("defaults that are written down differ: %q", got)
	}
}
