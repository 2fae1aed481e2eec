package soak

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/ledger"
)

func TestOnlyWhatIsDocumentedIsExcused(t *testing.T) {
	pg := func(severity, code string) error { return &pgconn.PgError{Severity: severity, Code: code} }
	my := func(number uint16) error { return &mysql.MySQLError{Number: number} }
	for _, c := range []struct {
		err     error
		excused bool
		want    verdict
		bad     bool
	}{
		{nil, false, fine, false},
		{pg("ERROR", "40001"), false, retry, false},
		{pg("ERROR", "08007"), false, unknown, false},
		{pg("ERROR", "08006"), false, lost, false},
		{pg("ERROR", "08000"), false, refused, false},
		{pg("FATAL", "40001"), true, fine, true},
		{pg("FATAL", "57P01"), true, dropped, false},
		{pg("FATAL", "57P01"), false, fine, true},
		{pg("ERROR", "57014"), true, fine, true},
		{pg("ERROR", "42P01"), true, fine, true},
		{my(1213), false, retry, false},
		{my(9502), false, unknown, false},
		{my(2013), false, lost, false},
		{my(9501), false, refused, false},
		{my(1053), true, dropped, false},
		{my(1053), false, fine, true},
		{my(1146), true, fine, true},
		{io.EOF, true, dropped, false},
		{io.EOF, false, fine, true},
		{driver.ErrBadConn, true, dropped, false},
		{driver.ErrBadConn, false, fine, true},
		{context.DeadlineExceeded, true, fine, true},
		{wrong("another's row"), true, fine, true},
		{errors.New("the protocol is broken"), true, fine, true},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("select 1: %w", err)
		}
		if got, bad := judge(err, c.excused); got != c.want || (bad != nil) != c.bad {
			t.Errorf("%v, excused %t: %s, %v", c.err, c.excused, got, bad)
		}
	}
}

func TestAWriteHasAnEffectUnlessItsClientWasToldThatItHasNone(t *testing.T) {
	for v, want := range map[verdict]ledger.Outcome{
		fine: ledger.Done, retry: ledger.Nothing, lost: ledger.Nothing, refused: ledger.Nothing, unknown: ledger.Unknown, dropped: ledger.Unknown,
	} {
		if got := v.outcome(); got != want {
			t.Errorf("%s: %d", v, got)
		}
	}
}

func TestAValueIsOneOfThoseThatItMayBe(t *testing.T) {
	told := func(code string) func() error {
		return func() error { return &pgconn.PgError{Severity: "ERROR", Code: code} }
	}
	for _, c := range []struct {
		name  string
		do    func() error
		is    string
		wrong bool
	}{
		{"done", func() error { return nil }, "new", false},
		{"done, and the old one", func() error { return nil }, "old", true},
		{"no effect", told("40001"), "old", false},
		{"no effect, and the new one", told("40001"), "new", true},
		{"unknown, and the new one", told("08007"), "new", false},
		{"unknown, and the old one", told("08007"), "old", false},
		{"unknown, and another's", told("08007"), "other", true},
	} {
		p := possible{"old"}
		_ = p.change("new", c.do)
		if err := p.is("it", c.is); (err != nil) != c.wrong {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
