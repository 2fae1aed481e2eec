package mysql

import (
	"regexp"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// What a session has written last to the binary log it asks for in order to wait for that on a replica, behind its transaction: by then others may have had its connection.
func TestASessionsLastGTIDIsItsOwn(t *testing.T) {
	s := harness.Own(t, "mariadb1011", "log-bin=log")
	harness.Exec(t, s, "create table app.gtids (n int)")
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: pair, Users: accounts()}}})
	f := front{p.Endpoint(s.Name), p, s}
	t.Cleanup(func() { quiet(t, f) })
	a, b := f.client(t), f.client(t)
	a.sees(t, "select @@last_gtid", "[]")
	gtid := regexp.MustCompile(`^\[0-\d+-\d+\]$`)
	for range 3 {
		a.do(t, "insert into app.gtids values (1)")
		own := a.outcome("select @@last_gtid")
		if !gtid.MatchString(own) {
			t.Fatal(own)
		}
		b.do(t, "begin", "insert into app.gtids values (2)", "commit")
		others := b.outcome("select @@session.last_gtid as g")
		if others == own || !gtid.MatchString(others) {
			t.Errorf("%s, others %s", own, others)
		}
		b.do(t, "begin")
		a.sees(t, "select @@last_gtid", own)
		b.do(t, "commit")
		b.sees(t, "select @@last_gtid", others)
		a.do(t, "begin")
		b.sees(t, "select @@last_gtid", others)
		a.do(t, "commit")
		if got := b.outcome("select concat(@@last_gtid)"); got != others && got != "error 1105" {
			t.Errorf("%s, want %s or an error", got, others)
		}
	}
	a.quit()
	b.quit()
}
