package postgres

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/berthdb/berth/core/engine"
)

var _ engine.Surveyor = (*watch)(nil)

// surveyQueries ask for ID, address, whether it is the writer, and milliseconds of age and lag.
//
// Amazon Aurora User Guide, "aurora_replica_status": a row for each instance, of which the writer's has a session_id of its own. Amazon RDS
// User Guide, "rds_tools": show_topology tells the endpoints of a Multi-AZ DB cluster, of which the first label is the ID; who asks says its name.
// Functions of pg_catalog cannot be another user's; the schema rds_tools is the extension's.
var surveyQueries = [...]string{
	engine.TopologyAurora: "SELECT server_id, '', '', session_id OPERATOR(pg_catalog.=) 'MASTER_SESSION_ID', " +
		"pg_catalog.date_part('epoch', pg_catalog.now() OPERATOR(pg_catalog.-) last_update_timestamp) OPERATOR(pg_catalog.*) 1000, " +
		"replica_lag_in_msec FROM pg_catalog.aurora_replica_status()",
	engine.TopologyMultiAZ: "SELECT pg_catalog.split_part(endpoint, '.', 1), endpoint, port, false, 0, NULL FROM rds_tools.show_topology('berth')",
}

// Survey implements engine.Surveyor.
func (w *watch) Survey(ctx context.Context, t engine.Topology) ([]engine.Instance, error) {
	results, err := w.pg.Exec(ctx, fmt.Sprintf("%s LIMIT %d", surveyQueries[t], engine.MaxInstances)).ReadAll()
	if err != nil {
		return nil, dialError(w.target, w.explain(err))
	}
	if len(results) != 1 || len(results[0].Rows) > engine.MaxInstances {
		return nil, dialError(w.target, idleProtocolError("unexpected answer to a survey"))
	}
	var found []engine.Instance
	for _, row := range results[0].Rows {
		if len(row) != 6 {
			return nil, dialError(w.target, idleProtocolError("unexpected answer to a survey"))
		}
		i := engine.Instance{ID: string(row[0]), Writer: string(row[3]) == "t"}
		i.Age, _ = milliseconds(row[4])
		i.Lag, i.LagKnown = milliseconds(row[5])
		if len(row[1]) > 0 {
			i.Address = net.JoinHostPort(string(row[1]), string(row[2]))
		}
		found = append(found, i)
	}
	return found, nil
}

// milliseconds reads a number of them, and says whether it is one that can be.
func milliseconds(text []byte) (time.Duration, bool) {
	n, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(n >= 0 && n <= float64(1<<40)) { // NaN is neither
		return 0, false
	}
	return time.Duration(n * float64(time.Millisecond)), true
}
