package mysql

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
// Amazon Aurora User Guide, "information_schema tables": replica_host_status has a row for each instance, of which the writer's has a session_id of
// its own. Amazon RDS User Guide: mysql.rds_topology has the endpoints of a Multi-AZ DB cluster, of which the first label is the ID.
var surveyQueries = [...]string{
	engine.TopologyAurora: "SELECT server_id, '', '', session_id = 'MASTER_SESSION_ID', " +
		"TIMESTAMPDIFF(MICROSECOND, last_update_timestamp, NOW(6)) DIV 1000, replica_lag_in_milliseconds FROM information_schema.replica_host_status",
	engine.TopologyMultiAZ: "SELECT SUBSTRING_INDEX(endpoint, '.', 1), endpoint, port, 0, 0, NULL FROM mysql.rds_topology",
}

// Survey implements engine.Surveyor.
func (w *watch) Survey(ctx context.Context, t engine.Topology) ([]engine.Instance, error) {
	var found []engine.Instance
	err := w.within(ctx, func() (err error) {
		found, err = w.survey(fmt.Sprintf("%s LIMIT %d", surveyQueries[t], engine.MaxInstances))
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (w *watch) survey(query string) (found []engine.Instance, err error) {
	begin := func() { found = nil }
	row := func(packet []byte) error {
		values, err := parseRow(packet)
		if err != nil {
			return err
		}
		if len(values) != 6 || len(found) == engine.MaxInstances {
			return broken("unexpected answer to a survey")
		}
		i := engine.Instance{ID: values[0], Writer: values[3] == "1"}
		i.Age, _ = milliseconds(values[4])
		i.Lag, i.LagKnown = milliseconds(values[5])
		if values[1] != "" {
			i.Address = net.JoinHostPort(values[1], values[2])
		}
		found = append(found, i)
		return nil
	}
	err = w.query(query, begin, nil, row)
	return found, err
}

// milliseconds reads a number of them, and says whether it is one that can be.
func milliseconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n <= float64(1<<40)) { // NaN is neither
		return 0, false
	}
	return time.Duration(n * float64(time.Millisecond)), true
}
