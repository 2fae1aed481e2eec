package mysql

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// MySQL: a position is the writer's gtid_executed. A transaction is in it before its COMMIT is answered, and in a replica's when it can be
// read there.
//
// MariaDB: a position is the writer's gtid_current_pos, which is the last transaction of each domain, and its server_id in front. A replica
// has reached it if its gtid_slave_pos is as far in each of them. Numbers alone would not do: a replica of a writer that was
// replaced may be at a larger number, of a transaction that the present writer has not got. So what a replica has must be the
// same server's transaction as in the position, or one of the writer's own, which came behind it.

const (
	executedQuery    = "SELECT @@GLOBAL.gtid_mode, @@GLOBAL.gtid_executed"
	currentPosQuery  = "SELECT @@GLOBAL.log_bin, @@GLOBAL.server_id, @@GLOBAL.gtid_current_pos"
	replicaPosQuery  = "SELECT @@GLOBAL.gtid_slave_pos"
	gtidCharacters   = "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ_-:,\n "
	longestGTIDState = 1 << 20 // of what is put into a question
)

var (
	errNoGTIDs     = fmt.Errorf("%w: gtid_mode is not ON", engine.ErrNoPosition)
	errNoBinaryLog = fmt.Errorf("%w: log_bin is not ON", engine.ErrNoPosition)
	errGTIDs       = broken("malformed GTIDs")
)

var _ engine.Positioner = (*watch)(nil)

// Position implements engine.Positioner.
func (w *watch) Position(ctx context.Context) (position string, err error) {
	err = w.within(ctx, func() error {
		if w.greeting.mariaDB {
			position, err = w.currentPos()
		} else {
			position, err = w.executed()
		}
		return err
	})
	return position, err
}

// Reached implements engine.Positioner.
func (w *watch) Reached(ctx context.Context, position string) (reached bool, err error) {
	err = w.within(ctx, func() error {
		if w.greeting.mariaDB {
			reached, err = w.slavePos(position)
		} else {
			reached, err = w.subset(position)
		}
		return err
	})
	return reached, err
}

func (w *watch) executed() (string, error) {
	row, err := w.ask(executedQuery)
	switch {
	case err != nil:
		return "", err
	case len(row) != 2 || len(row[1]) > longestGTIDState || strings.Trim(row[1], gtidCharacters) != "":
		return "", errGTIDs
	case row[0] != "ON":
		return "", errNoGTIDs
	}
	return strings.ReplaceAll(row[1], "\n", ""), nil
}

func (w *watch) subset(position string) (bool, error) {
	row, err := w.ask("SELECT GTID_SUBSET('" + position + "', @@GLOBAL.gtid_executed)")
	if err == nil && (len(row) != 1 || row[0] != "0" && row[0] != "1") {
		err = errGTIDs
	}
	return err == nil && row[0] == "1", err
}

func (w *watch) currentPos() (string, error) {
	row, err := w.ask(currentPosQuery)
	switch {
	case err != nil:
		return "", err
	case len(row) != 3:
		return "", errGTIDs
	case row[0] != "1":
		return "", errNoBinaryLog
	}
	position := row[1] + ";" + row[2]
	_, err = parseMariaPosition(position)
	return position, err
}

func (w *watch) slavePos(position string) (bool, error) {
	p, err := parseMariaPosition(position)
	if err != nil {
		return false, fmt.Errorf("BUG: mysql: a position of another engine: %w", err)
	}
	row, err := w.ask(replicaPosQuery)
	if err != nil {
		return false, err
	}
	if len(row) != 1 {
		return false, errGTIDs
	}
	has, err := parseMariaGTIDs(row[0])
	return err == nil && p.reachedBy(has), err
}

// mariaGTID is the last transaction of a domain.
type mariaGTID struct{ server, number uint64 }

// mariaPosition is what a position says.
type mariaPosition struct {
	writer  uint64 // its server_id
	domains map[uint64]mariaGTID
}

func parseMariaPosition(text string) (p mariaPosition, err error) {
	server, gtids, ok := strings.Cut(text, ";")
	if p.writer, err = strconv.ParseUint(server, 10, 32); err != nil || !ok {
		return p, errGTIDs
	}
	p.domains, err = parseMariaGTIDs(gtids)
	return p, err
}

// parseMariaGTIDs reads a list of domain-server-number, with one of each domain.
func parseMariaGTIDs(text string) (map[uint64]mariaGTID, error) {
	domains := map[uint64]mariaGTID{}
	if text == "" {
		return domains, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		parts := strings.Split(one, "-")
		if len(parts) != 3 {
			return nil, errGTIDs
		}
		domain, err := strconv.ParseUint(parts[0], 10, 32)
		server, serverErr := strconv.ParseUint(parts[1], 10, 32)
		number, numberErr := strconv.ParseUint(parts[2], 10, 64)
		if cmp.Or(err, serverErr, numberErr) != nil {
			return nil, errGTIDs
		}
		if _, twice := domains[domain]; twice {
			return nil, errGTIDs
		}
		domains[domain] = mariaGTID{server, number}
	}
	return domains, nil
}

func (p mariaPosition) reachedBy(has map[uint64]mariaGTID) bool {
	for domain, want := range p.domains {
		h := has[domain]
		if h.number < want.number || h.server != want.server && h.server != p.writer {
			return false
		}
	}
	return true
}
