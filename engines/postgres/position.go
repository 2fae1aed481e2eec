package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// A position is a timeline and a place in its WAL. A standby has reached it if it receives that timeline and has replayed up to that
// place. The place alone would not do: a standby of a writer that was replaced may be further, on another timeline. That it receives the
// timeline means that nothing it has contradicts it, for it would not be given it otherwise.
//
// The place is where the next record of the writer's goes (pg_current_wal_insert_lsn), not how far its WAL is flushed: with
// synchronous_commit = off a commit is acknowledged before that. Whatever else was inserted before, by transactions that
// are open, is waited for, too, and replicas get it with the next flush.

// positionQuery asks a writer. The name of a WAL file begins with the timeline (9.28.3 "Backup Control Functions").
const positionQuery = "SELECT pg_walfile_name(l), l, current_setting('wal_block_size'), pg_size_bytes(current_setting('wal_segment_size')) " +
	"FROM pg_current_wal_insert_lsn() l"

// reachedQuery asks a standby: whether it receives, of which timeline, and how far it has replayed. The timeline is shown to members of
// pg_read_all_stats (27.2.4 "pg_stat_wal_receiver").
const reachedQuery = "SELECT count(*), max(received_tli), pg_last_wal_replay_lsn() FROM pg_stat_wal_receiver"

// errHiddenTimeline is a user who may not see which timeline a standby receives.
var errHiddenTimeline = fmt.Errorf("%w: the monitoring user does not see pg_stat_wal_receiver, for which it needs the role pg_read_all_stats",
	engine.ErrNoPosition)

// walPosition is what a position says.
type walPosition struct {
	timeline uint64
	lsn      uint64
}

// Headers of WAL pages: of the first of a segment, and of the others (XLogLongPageHeaderData, XLogPageHeaderData, aligned to 8).
const (
	longPageHeader  = 40
	shortPageHeader = 24
)

var _ engine.Positioner = (*watch)(nil)

// Position implements engine.Positioner.
func (w *watch) Position(ctx context.Context) (string, error) {
	row, err := w.row(ctx, positionQuery, 4)
	if err != nil {
		return "", dialError(w.target, err)
	}
	p, err := parsePosition(row)
	if err != nil {
		return "", dialError(w.target, err)
	}
	return fmt.Sprintf("%x/%x", p.timeline, p.lsn), nil
}

// parsePosition reads an answer to positionQuery.
func parsePosition(row [][]byte) (p walPosition, err error) {
	malformed := idleProtocolError("malformed WAL position")
	if len(row[0]) != 24 {
		return p, malformed
	}
	timeline, err := strconv.ParseUint(string(row[0][:8]), 16, 32)
	lsn, ok := parseLSN(string(row[1]))
	page, pageErr := strconv.ParseUint(string(row[2]), 10, 32)
	segment, segmentErr := strconv.ParseUint(string(row[3]), 10, 64)
	if err != nil || pageErr != nil || segmentErr != nil || !ok || page == 0 || segment == 0 {
		return p, malformed
	}
	// At the end of a page the next record goes behind the header of the next one, which no record that is there has reached.
	switch {
	case lsn%segment == longPageHeader:
		lsn -= longPageHeader
	case lsn%segment >= page && lsn%page == shortPageHeader:
		lsn -= shortPageHeader
	}
	return walPosition{timeline, lsn}, nil
}

// parseLSN reads a pg_lsn (8.20).
func parseLSN(text string) (lsn uint64, ok bool) {
	high, low, ok := strings.Cut(text, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, lowErr := strconv.ParseUint(low, 16, 32)
	return h<<32 | l, ok && err == nil && lowErr == nil
}

// Reached implements engine.Positioner.
func (w *watch) Reached(ctx context.Context, position string) (bool, error) {
	timeline, lsn, _ := strings.Cut(position, "/")
	var p walPosition
	var err, lsnErr error
	p.timeline, err = strconv.ParseUint(timeline, 16, 32)
	p.lsn, lsnErr = strconv.ParseUint(lsn, 16, 64)
	if err := errors.Join(err, lsnErr); err != nil {
		return false, fmt.Errorf("BUG: postgres: a position of another engine: %w", err)
	}
	row, err := w.row(ctx, reachedQuery, 3)
	if err != nil {
		return false, dialError(w.target, err)
	}
	reached, err := p.reachedBy(row)
	if err != nil {
		return false, dialError(w.target, err)
	}
	return reached, nil
}

// reachedBy reads an answer to reachedQuery.
func (p walPosition) reachedBy(row [][]byte) (bool, error) {
	if string(row[0]) == "0" {
		return false, nil // it receives nothing: of which timeline what it has is, nobody can say
	}
	if row[1] == nil {
		return false, errHiddenTimeline
	}
	if row[2] == nil {
		return false, nil // it has not replayed anything yet
	}
	timeline, err := strconv.ParseUint(string(row[1]), 10, 32)
	lsn, ok := parseLSN(string(row[2]))
	if err != nil || !ok {
		return false, idleProtocolError("malformed WAL position")
	}
	return timeline == p.timeline && lsn >= p.lsn, nil
}
