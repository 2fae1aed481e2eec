package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestALongStatementPinsOnlyForWhatItDoes(t *testing.T) {
	eachServer(t, 1, func(t *testing.T, _ *harness.Server, p harness.Endpoint) {
		db, other := open(t, p, harness.App()), open(t, p, harness.App())
		long := "DO LENGTH('" + strings.Repeat("; SET @a = 1; -- /* ", 10<<20/20) + "')"
		for _, tail := range []string{"", ", GET_LOCK('long', 0)", ", (@long := 1)"} {
			if _, err := db.ExecContext(t.Context(), long+tail); err != nil {
				t.Fatalf("%q: %v", tail, err)
			}
			// With one backend, whoever is not pinned leaves it to others.
			var free, variable any
			query := "SELECT IS_FREE_LOCK('long'), @long"
			asks := other
			if tail != "" {
				asks = db
			}
			if err := asks.QueryRowContext(t.Context(), query).Scan(&free, &variable); err != nil {
				t.Fatalf("%q: %v", tail, err)
			}
			if locked, set := free == int64(0), variable != nil; locked != strings.Contains(tail, "LOCK") || set != strings.Contains(tail, "@") {
				t.Errorf("%q: free %v, @long %v", tail, free, variable)
			}
			if tail != "" {
				_ = db.Close()
				db = open(t, p, harness.App())
			}
		}
	})
}
