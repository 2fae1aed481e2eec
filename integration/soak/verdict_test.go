package soak

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/ledger"
)

// verdict is what a client concludes from an answer.
type verdict int

const (
	fine    verdict = iota
	retry           // it had no effect
	unknown         // nobody knows whether it had one
	lost            // it had no effect, and what pinned the session is lost
	refused         // it had no effect: there was no backend in time, or no login
	dropped         // the connection has ended
	verdicts
)

func (v verdict) String() string {
	return [...]string{"fine", "retry", "unknown", "lost", "refused", "dropped"}[v]
}

// outcome is what v means for a write.
func (v verdict) outcome() ledger.Outcome {
	switch v {
	case fine:
		return ledger.Done
	case retry, lost, refused:
		return ledger.Nothing
	case unknown, dropped, verdicts:
	}
	return ledger.Unknown
}

// errWrong is an answer that is not what it must be.
var errWrong = errors.New("wrong answer")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errWrong, fmt.Sprintf(format, args...))
}

// judge says what an error is. It returns an error for what no client should see. excused says that the connection may end: the client's socket was
// reset by the test, or it is one of a process that has handed over and ends by and by.
func judge(err error, excused bool) (verdict, error) {
	switch {
	case err == nil:
		return fine, nil
	case errors.Is(err, errWrong):
		return fine, err
	}
	if v, ok := told(err); ok {
		return v, nil
	}
	if isDropped(err) && excused {
		return dropped, nil
	}
	return fine, err
}

// told are the errors that the documentation tells of: docs/failover.md, and docs/configuration.md for time-outs.
func told(err error) (verdict, bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Severity == "ERROR" {
		switch pg.Code {
		case "40001":
			return retry, true
		case "08007":
			return unknown, true
		case "08006":
			return lost, true
		case "08000":
			return refused, true
		}
	}
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		switch my.Number {
		case 1213:
			return retry, true
		case 9502:
			return unknown, true
		case 2013:
			return lost, true
		case 9501:
			return refused, true
		}
	}
	return fine, false
}

// isDropped says whether an error says that the connection has ended, with or without a word.
func isDropped(err error) bool {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	var network net.Error
	switch {
	case errors.As(err, &pg):
		return pg.Severity == "FATAL" && pg.Code == "57P01"
	case errors.As(err, &my):
		return my.Number == 1053
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, ledger.ErrDropped),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, mysql.ErrBusyBuffer): // there is something behind an answer: the proxy's last word
		return true
	}
	return strings.Contains(err.Error(), "conn closed")
}

// code is an error's SQLSTATE or number, as text.
func code(err error) string {
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	switch {
	case errors.As(err, &pg):
		return pg.Code
	case errors.As(err, &my):
		return fmt.Sprint(my.Number)
	}
	return ""
}

// expect wants an error of one of these codes. Another error is returned as it is.
func expect(err error, what string, codes ...string) error {
	if err == nil {
		return wrong("%s: no error", what)
	}
	got := code(err)
	for _, c := range codes {
		if c == got {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}
