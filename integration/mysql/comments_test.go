package mysql

import (
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// versions begin executable comments. Some are of MySQL or MariaDB alone, some of versions that no server has.
var versions = []string{
	"!", "!40101", "!40101 ", "!50600 ", "!50699 ", "!50700 ", "!50999 ", "!51000 ", "!80000 ", "!80034\n", "!90000 ", "!90704 ", "!90704", "!90705 ",
	"!90800 ", "!99999 ", "!050000 ", "!080000\t", "!090704 ", "!090705 ", "!100000 ", "!101118 ", "!101199 ", "!110000 ", "!999999 ",
	"M!", "M!50700 ", "M!80000 ", "M!100000 ", "M!100500 ", "M!120000 ",
}

// TestExecutableCommentsCountWhereTheServerRunsThem asks the server itself whether a lock in such a comment is held.
func TestExecutableCommentsCountWhereTheServerRunsThem(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		c, other := f.client(t, multi), f.direct(t)
		ran := 0
		for _, v := range versions {
			for _, text := range []string{
				"select 1 /*%s, get_lock('comments', 0) */", "/*%s select */ /*%s get_lock('comments', 0) */", "select 'x' /*%s '*/', get_lock('comments', 0) /*!*/",
				"/*%s do 1; */ select get_lock('comments', 0)", "select 1 /*%s + 1 */, get_lock('comments', 0)",
			} {
				sql := strings.ReplaceAll(text, "%s", v)
				got := c.outcome(sql)
				held := other.outcome("select is_used_lock('comments') is not null") == "[1]"
				if held {
					ran++
				}
				switch pinned := f.pinned(t) == 1; {
				case held && !pinned:
					t.Errorf("%s: %s: a lock is held, and nobody pinned", sql, got)
				case pinned && !held && !strings.HasPrefix(got, "error"):
					t.Errorf("%s: %s: pinned for nothing", sql, got)
				}
				if _, err := c.one(protocol.COM_RESET_CONNECTION); err != nil {
					t.Fatal(err)
				}
			}
		}
		if ran < len(versions)/2 {
			t.Errorf("only %d comments were run", ran)
		}
		c.do(t, "/*!99999 select 1 from */ set @a = 1")
		if f.pinned(t) != 1 {
			t.Error("a statement behind a comment that is not run did not pin")
		}
	})
}
