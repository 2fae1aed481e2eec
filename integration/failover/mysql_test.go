package failover

import (
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// mysqlValue asks a server, past the proxy, for one value.
func mysqlValue(t *testing.T, s *harness.Server, query string) (value string) {
	t.Helper()
	pool, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	if err := pool.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
