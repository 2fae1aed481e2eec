package failover

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// workMySQL is what a client has in hand when the writer is lost: in the middle of it, or between two statements.
type workMySQL struct {
	name  string
	begin string // said before, statements with semicolons between them
	do    string
	idle  bool   // do is said when the writer is lost, and not under way then
	want  uint16 // the number of the error, and the connection stays; 0: none
	then  string
	next  uint16
}

// dropped stands for a connection that ends.
const dropped = 1

var worksMySQL = []workMySQL{
	{"a statement", "", "select sleep(600)", false, 9502, "select 1", 0},
	{"a statement in a transaction", "begin; insert into direct values ('x')", "select sleep(600)", false, 1213, "select 1", 0},
	{"a file", "", "load data local infile 'Reader::rows' into table direct", false, dropped, "", 0},
	{"nothing", "set sort_buffer_size = 777216", "select 1", true, 0, "select @@sort_buffer_size div (@@sort_buffer_size = 777216)", 0},
	{"an idle transaction", "begin; insert into direct values ('x')", "insert into direct values ('y')", true, 1213, "select 1", 0},
	{"a lock", "select get_lock('seven', 60)", "select 1", true, 2013, "select 1", 0},
	{"a temporary table", "create temporary table mine (n int)", "select * from mine", true, 2013, "select * from mine", 1146},
}

// tell executes statements one after the other and returns the number of the first error.
func tell(ctx context.Context, c *sql.Conn, statements string) (number uint16, err error) {
	for _, s := range strings.Split(statements, "; ") {
		if s == "" {
			continue
		}
		var e *mysql.MySQLError
		switch _, err := c.ExecContext(ctx, s); {
		case errors.As(err, &e):
			return e.Number, err
		case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.EOF):
			return dropped, err
		case err != nil:
			return 0, err
		}
	}
	return 0, nil
}

func TestWhatIsInHandWhenTheMySQLWriterIsLostIsToldAndSessionsGoOn(t *testing.T) {
	mysql.RegisterReaderHandler("rows", func() io.Reader { return rows{} })
	defer mysql.DeregisterReaderHandler("rows")
	c := startPair(t, "mariadb1011", true)
	p := c.serve(t, harness.Keys{})
	ctx, stop := context.WithTimeout(t.Context(), 2*settleWithin)
	defer stop()
	sessions, said := map[string]*sql.Conn{}, map[string]chan uint16{}
	running := 0
	for _, w := range worksMySQL {
		pool, err := p.Endpoint(c.name).GoMySQLDB(harness.App())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = pool.Close() }()
		s, err := pool.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tell(ctx, s, w.begin); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		sessions[w.name] = s
		if w.idle {
			continue
		}
		running++
		said[w.name] = make(chan uint16, 1)
		go func() {
			n, err := tell(ctx, s, w.do)
			if n == 0 {
				t.Errorf("%s: %v", w.name, err)
			}
			said[w.name] <- n
		}()
	}
	const busy = "select count(*) from information_schema.processlist where user = 'app' and (info like '%sleep%' or info like 'load%')"
	harness.Eventually(t, settleWithin, "all is under way", func() bool { return mysqlValue(t, c.primary, busy) == string(rune('0'+running)) })
	if err := c.primary.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.replica.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, w := range worksMySQL {
		s := sessions[w.name]
		var n uint16
		var err error
		if w.idle {
			n, err = tell(ctx, s, w.do)
		} else {
			n = <-said[w.name]
		}
		if n != w.want {
			t.Errorf("%s: told %d, %v", w.name, n, err)
			continue
		}
		if n, err := tell(ctx, s, w.then); n != w.next || n == 0 && err != nil {
			t.Errorf("%s: %s: %v", w.name, w.then, err)
		}
	}
	if n := mysqlValue(t, c.replica, "select count(*) from app.direct"); n != "0" {
		t.Errorf("%s rows of what was not committed are there", n)
	}
}
