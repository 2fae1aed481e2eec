package mysql

import (
	"errors"
	"strconv"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// lagQuestion is how a server is asked how far it is behind. What it can be asked is found out.
type lagQuestion int

const (
	lagReplica lagQuestion = iota // MySQL 8.0.22, MariaDB 10.5.1
	lagSlave                      // older ones
	lagNone                       // it does not tell: the privilege REPLICATION CLIENT is missing, on MariaDB REPLICA MONITOR
)

// privilegesFor is how long a connection is kept that may not ask: a privilege that is granted counts for new connections.
const privilegesFor = time.Minute

// errPrivileges ends a connection that may have been granted what it lacks.
var errPrivileges = errors.New("the monitoring connection looks for new privileges")

var lagQueries = [...]string{lagReplica: "SHOW REPLICA STATUS", lagSlave: "SHOW SLAVE STATUS"}

// askLag asks a server that is no writer how far it is behind.
func (w *watch) askLag() (lag time.Duration, known bool, err error) {
	for w.lag != lagNone {
		lag, known, err = w.secondsBehind(lagQueries[w.lag])
		var refused *engine.ServerError
		if !errors.As(err, &refused) {
			return lag, known, err
		}
		if w.lag++; refused.Number != protocol.ER_PARSE_ERROR {
			w.lag = lagNone
		}
		w.unlagged = time.Now()
	}
	if time.Since(w.unlagged) > privilegesFor {
		return 0, false, errPrivileges
	}
	return 0, false, nil
}

// secondsBehind reads the status of a replica: a row for each of its sources, with NULL where it does not know how far it is
// behind, because it does not receive or does not execute. A server without a row is no replica.
func (w *watch) secondsBehind(query string) (lag time.Duration, known bool, err error) {
	var columns, at int
	unknown := false
	begin := func() { columns, at, known, unknown, lag = 0, -1, false, false, 0 }
	column := func(packet []byte) error {
		switch name, ok := columnName(packet); {
		case !ok:
			return broken("malformed column definition")
		case name == "Seconds_Behind_Source", name == "Seconds_Behind_Master":
			at = columns
		}
		columns++
		return nil
	}
	row := func(packet []byte) error {
		values, err := parseRow(packet)
		if err != nil || at < 0 || at >= len(values) {
			return err
		}
		seconds, err := strconv.ParseUint(values[at], 10, 31)
		if err != nil { // NULL
			unknown = true
			return nil
		}
		known, lag = true, max(lag, time.Duration(seconds)*time.Second)
		return nil
	}
	if err := w.query(query, begin, column, row); err != nil || unknown {
		return 0, false, err
	}
	return lag, known, nil
}

// columnName reads the name in a definition (section "Protocol::ColumnDefinition41").
func columnName(packet []byte) (name string, ok bool) {
	f := fields{rest: packet}
	for range 4 { // catalogue, schema, and the table's name, as it is and as it was
		f.text()
	}
	name = string(f.text())
	return name, !f.bad
}
