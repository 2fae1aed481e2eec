package config

import "testing"

func TestEditDistanceCountsInsertionsDeletionsSubstitutionsAndSwaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1},
		{"kitten", "sitting", 3}, {"adress", "address", 1}, {"ca", "abc", 3}, {"max_conn", "max_connections", 7},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := editDistance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestNearestIgnoresCaseAndDashes(t *testing.T) {
	keys := []string{"idle_client_timeout", "target_group"}
	for word, want := range map[string]string{
		"Target-Group": "target_group", "IDLE_CLIENT_TIMEOUT": "idle_client_timeout", "targetgroup": "target_group",
		"idle": "idle_client_timeout",
	} {
		if got, plausible := nearestOf(word, keys); got != want || !plausible {
			t.Errorf("%s: %s, %v; want %s, true", word, got, plausible, want)
		}
	}
	if _, plausible := nearestOf("zebra", keys); plausible {
		t.Error("zebra is taken for a misspelling")
	}
}
