package discovery

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestInstancesAreWhereTheClusterIs(t *testing.T) {
	for _, c := range []struct {
		address, pattern string
		instance         engine.Instance
		want             string
	}{
		{"orders.cluster-abc123.eu-central-1.rds.amazonaws.com:5432", "", engine.Instance{ID: "orders-1"}, "orders-1.abc123.eu-central-1.rds.amazonaws.com:5432"},
		{"orders.cluster-ro-abc123.eu-central-1.rds.amazonaws.com.:5432", "", engine.Instance{ID: "o"}, "o.abc123.eu-central-1.rds.amazonaws.com:5432"},
		{"Some.Cluster-Custom-abc123.eu-central-1.rds.amazonaws.com:1", "", engine.Instance{ID: "o"}, "o.abc123.eu-central-1.rds.amazonaws.com:1"},
		{"orders-1.abc123.us-east-1.rds.amazonaws.com:3306", "", engine.Instance{ID: "o", Address: "evil.example:1"}, "o.abc123.us-east-1.rds.amazonaws.com:3306"},
		{"orders.cluster-abc123.rds.cn-north-1.amazonaws.com.cn:3306", "", engine.Instance{ID: "o"}, "o.abc123.rds.cn-north-1.amazonaws.com.cn:3306"},
		{"10.0.0.1:3306", "?.db.example", engine.Instance{ID: "o"}, "o.db.example:3306"},
		{"10.0.0.1:3306", "db-?.example:3307", engine.Instance{ID: "o"}, "db-o.example:3307"},
		{"10.0.0.1:3306", "localhost:?", engine.Instance{ID: "5433"}, "localhost:5433"},
		{"10.0.0.1:3306", "", engine.Instance{ID: "o", Address: "o.db.example:3307"}, "o.db.example:3307"},
	} {
		l, err := NewCluster(c.address, c.pattern, true)
		if err != nil {
			t.Errorf("%s, %s: %v", c.address, c.pattern, err)
			continue
		}
		if got, err := l.Locate(c.instance); err != nil || got.Address != c.want || got.Name != c.instance.ID {
			t.Errorf("%s, %s: %+v, %v", c.address, c.pattern, got, err)
		}
	}
}

func TestAServerCannotLeadElsewhere(t *testing.T) {
	in, err := NewCluster("orders.cluster-abc123.eu-central-1.rds.amazonaws.com:5432", "", false)
	if err != nil {
		t.Fatal(err)
	}
	told, err := NewCluster("10.0.0.1:5432", "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []engine.Instance{
		{ID: ""}, {ID: "evil.example"}, {ID: "a:1/"}, {ID: "a\n"}, {ID: "-a"}, {ID: strings.Repeat("a", 64)}, {ID: "?"}, {ID: "ä"},
	} {
		if got, err := in.Locate(i); err == nil {
			t.Errorf("%q: %+v", i.ID, got)
		}
	}
	for _, address := range []string{"", "h", "h:0", "h:65536", "h:x", ":1", "a b:1", "a/b:1", "[::1]:1", strings.Repeat("a", 254) + ":1"} {
		if got, err := told.Locate(engine.Instance{ID: "a", Address: address}); err == nil {
			t.Errorf("%q: %+v", address, got)
		}
	}
}

func TestAPatternThatIsNoneIsRefused(t *testing.T) {
	for _, pattern := range []string{"", "h", "?.?", "?/a", "? ", "?.a:x", "?.a:0", "a:99999?"} {
		if _, err := NewCluster("db.example:5432", pattern, false); err == nil {
			t.Errorf("%q is accepted", pattern)
		}
	}
	if _, err := NewCluster("db.example", "?.a", false); err == nil {
		t.Error("an address without a port is accepted")
	}
}
