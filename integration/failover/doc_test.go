// Package failover tests what becomes of clients and targets when database servers fail, with real ones.
package failover

import (
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// settleWithin bounds a wait that normally ends at once.
const settleWithin = 60 * time.Second

// targets are the targets of a route.
func targets(t *testing.T, p *harness.Proxy, route string) map[string]harness.TargetStatus {
	t.Helper()
	all, err := p.Targets(t.Context(), route)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
