package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// prepared are statements that a session has by the protocol. The table of b goes before it executes them.
var prepared = []*pgproto3.Parse{
	{Name: "a", Query: "select 8"}, {Name: "b", Query: "select n, 7 from gone"}, {Name: "c", Query: "select set_config('my.own', 'c', false)"},
}

// asTheServer sends simple Queries, or, after "extended", a statement of the other protocol, to a server and through the proxy, each to
// a session that has prepared statements, where another one has made a value of a sequence, and compares what it is told.
func asTheServer(t *testing.T, r *rig, l harness.Login, scripts [][]string, options ...func(*pgconn.Config)) {
	for _, script := range scripts {
		t.Run(strings.Join(script, ";"), func(t *testing.T) {
			var said [2]string
			for i, at := range []harness.Endpoint{r.server.Endpoint, r.Endpoint} {
				said[i] = told(t, at, r.server.Endpoint, l, script, options...)
			}
			if said[0] != said[1] {
				t.Errorf("got\n%swant\n%s", said[1], said[0])
			}
		})
	}
}

// told is that for one of them. Tables come and go past the proxy, which would clean connections where somebody creates things.
func told(t *testing.T, at, server harness.Endpoint, l harness.Login, script []string, options ...func(*pgconn.Config)) (said string) {
	t.Helper()
	direct, other, f := conn(t, server, l), conn(t, at, l), frontend(t, conn(t, at, l, options...))
	ask(t, direct, "drop table if exists gone, counted; create table gone (n int); create table counted (n bigserial)")
	for _, p := range prepared {
		f.send(p, &pgproto3.Sync{})
		f.expect("1 Z(I)")
	}
	ask(t, direct, "drop table gone")
	ask(t, other, "insert into counted default values")
	for _, sql := range script {
		if text, extended := strings.CutPrefix(sql, "extended "); extended {
			f.send(&pgproto3.Parse{Query: text}, &pgproto3.Sync{}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{})
			said += f.untilReadyInWords()
		} else {
			f.send(&pgproto3.Query{String: sql})
		}
		said += f.untilReadyInWords()
	}
	f.send(&pgproto3.Terminate{})
	_ = other.Close(t.Context())
	_ = direct.Close(t.Context())
	return said
}

// untilReadyInWords is untilReady with what errors and notices say.
func (f *raw) untilReadyInWords() string {
	f.t.Helper()
	var got []string
	for {
		if err := f.conn.SetReadDeadline(time.Now().Add(answerWithin)); err != nil {
			f.t.Fatal(err)
		}
		m, err := f.protocol.Receive()
		if err != nil {
			f.t.Fatalf("no answer: %v", err)
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			got = append(got, fmt.Sprintf("E(%s %s, at %d)", m.Code, m.Message, m.Position))
		case *pgproto3.NoticeResponse:
			got = append(got, fmt.Sprintf("N(%s %s, at %d)", m.Code, m.Message, m.Position))
		case *pgproto3.ReadyForQuery:
			return strings.Join(append(got, summary(m)), " ") + "\n"
		default:
			got = append(got, summary(m))
		}
	}
}

func TestWhatExecutesAStatementWhoseTableIsGoneIsToldSo(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		asTheServer(t, r, ownDatabase(t, r.server, "gone"), [][]string{
			{"execute b"},
			{"select 1; execute b; select 2", "execute a"},
			{"explain execute b"},
			{"extended execute b"},
			{"begin", "execute b", "commit"},
			{"begin", "extended execute b", "commit"},
			{"begin", "commit; execute b", "commit"}, // what was open is committed
			{"begin", "insert into counted values (9); commit; execute b", "select count(*) from counted"},
			{"begin", "select 1; execute c; execute b", "commit", "select current_setting('my.own', true)"},
			{"begin", "execute a; execute zz; execute b", "rollback"},
			{"begin", "savepoint s", "execute b", "rollback to s", "execute a", "commit"},
			{"execute b", "create table gone (n int)", "execute b", "drop table gone", "execute b", "deallocate b", "execute b"},
			{"execute b", "extended deallocate b", "execute b"},
		})
	})
}

func TestATextThatGoesBackToASavepointFindsWhatIsBroughtForIt(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		asTheServer(t, r, ownDatabase(t, r.server, "saved"), [][]string{
			{"begin", "savepoint s", "select 1/0", "rollback to s; execute a", "commit"},
			{"begin", "savepoint s", "select 1/0", ";rollback work to savepoint s; rollback to s; execute a; execute c", "show my.own", "rollback"},
			{"begin", "savepoint s", "savepoint t", "select 1/0", "rollback to s; execute a; selekt", "rollback to t", "commit"}, // of which nothing is executed
			{"begin", "savepoint s", "savepoint t", "select 1/0", "rollback to s; execute a from", "rollback to t", "commit"},
			{"begin", "savepoint s", "select 1/0", "rollback to no; execute a", "rollback to s", "commit"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; execute a; select * from nowhere", "rollback to s", "commit"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; commit; execute a", "select 1"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; execute b", "rollback"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; lock table counted; set transaction read only; execute a", "rollback"},
			{"begin", "insert into counted values (5)", "savepoint s", "insert into counted default values", "select 1/0", "rollback to s; select count(*) from counted; select lastval()", "rollback"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; select lastval()", "commit"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; insert into counted default values", "select lastval()", "commit"},
			{"begin", "select 1/0", "rollback; begin; insert into counted default values", "select lastval()", "commit"},
			{"begin", "select 1/0", "insert into counted default values; select 2", "rollback and chain; insert into counted values (9)", "select count(*) from counted", "rollback"},
			{"begin", "savepoint s", "select 1/0", "rollback to s; execute a", "extended execute a", "execute c", "commit", "show my.own"},
		})
	})
}

func TestWhatATextSaysOfItsTransactionComesBeforeWhatIsBroughtForIt(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		const set = "set transaction isolation level serializable; "
		asTheServer(t, r, ownDatabase(t, r.server, "levels"), [][]string{
			{"begin", set + "insert into counted default values", "show transaction_isolation", "commit", "select count(*) from counted"},
			{"begin", set + "select lastval()", "rollback"},
			{"begin", set + "select nextval('counted_n_seq'); select lastval()", "commit"},
			{"begin", set + "execute a", "show transaction_isolation", "commit"},
			{"begin", "set local transaction_isolation to 'repeatable read'; set transaction read only, deferrable; execute a", "show transaction_read_only", "commit"},
			{"begin", set + "deallocate b; execute a", "commit"},
			{"begin", "set lock_timeout = '7s'; set my.own = 'x'; " + set + "set local time zone 'UTC'; execute a", "show transaction_isolation", "show my.own", "commit", "show lock_timeout"},
			{"begin", "set nonsense = 1; " + set + "execute a", "commit"},
			{"begin", "set application_name to default; " + set + "select 1", "commit"},
			{"begin", set + "execute a; selekt", "commit"}, // of which nothing is executed
			{"begin", set + "execute a from", "commit"},
			{"begin", set + "execute a 'x", "commit"},
			{"begin", set + "execute b", "commit"},
			{"begin", set + "do $$ begin execute 'selekt'; end $$; execute a", "commit"},
			{"begin", set + "execute zz; execute a", "commit"},
			{"begin", set + "execute a; select * from nowhere", "commit"}, // at the same position
			{"begin", set + "select pg_sleep('x'); execute a", "commit"},
			{"begin", "select 1", set + "execute a", "commit"}, // too late
			{"begin", "set transaction isolation level nonsense; execute a", "commit"},
			{"begin", set + "execute a; commit; execute c", "show my.own"},
			{"begin", set + "rollback; execute a", "show my.own"},
			{"begin; savepoint s", set + "execute a", "rollback to s; execute a", "commit"},
			{"begin", "lock table counted; insert into counted default values", "lock table nowhere; select lastval()", "rollback"},
			{"begin", "set transaction read only; lock table counted in share mode", "commit"},
			{"begin", set + "execute a; ", "extended execute a", "commit"},
			{"begin", set + "/* ; */ -- ;", "commit"},
			{set + "execute a", "show transaction_isolation"},
			{"begin", "set constraints all deferred; " + set + "execute a", "show transaction_isolation", "commit"},
			{"begin", "set constraints nowhere deferred; " + set + "execute a", "commit"},
			{"begin", "set constraints all immediate; set lock_timeout = '7s'; execute a", "commit", "show lock_timeout"},
		})
	})
}

func TestWhatFollowsAResetInOneTextFindsTheNameThatTheClientBeganWith(t *testing.T) {
	named := func(c *pgconn.Config) { c.RuntimeParams["application_name"] = "it's" }
	each(t, alone(), func(t *testing.T, r *rig) {
		const set, show = "set application_name = 'changed'", "show application_name"
		asTheServer(t, r, ownDatabase(t, r.server, "renamed"), [][]string{
			{"reset all; " + show},
			{set, "RESET application_name; " + show + "; set Application_Name to default; select current_setting('application_name'); reset all", show},
			{set, "select 1;; reset all;; ;" + show + ";", "reset all; ;", show},
			{set, "set session application_name = default; select 1/0", show},
			{set, "reset all; " + show + "; " + set + "; " + show, show, "reset all; reset all; " + set + "; reset all;", show},
			{"begin", set, "savepoint s; reset all; rollback to s; " + show + "; reset all; " + show + "; set local my.own = 'x'", "rollback", show},
			{"begin", "select 1/0", "rollback; reset all; " + show, show},
			{"begin", "select 1/0", "reset all; " + show, "rollback"},
			{"begin", "reset all; set transaction isolation level serializable; " + show, "commit"},
			{"reset all; set local application_name = 'local'; " + show + "; commit; " + show},
			{"reset all; discard all", show},
			{"copy (select 2) to stdout; reset all; " + show + "; deallocate a; execute c", "show my.own", "discard all"},
			{"select nowhere; reset all; select 1"},
			{"reset all; select nowhere; reset all", show},
			{"select 'ä€'; reset all; reset application_name; select 'ä', nowhere"},
			{"reset all; selekt; select 1"}, // of which nothing is executed
			{"reset all; select 'x"},
			{"select 1 from; reset all; select 1"},
			{"set standard_conforming_strings = off", "select '\\\\'; reset application_name; select '\\\\'"},
			{"begin", "set transaction isolation level serializable; reset all; select nextval('counted_n_seq'); " + show + "; select nowhere", "rollback"},
			{"reset all; create rule r as on insert to counted do also (select 1; select 2); " + show + "; drop rule r on counted"},
		}, named)
	})
}

// A snapshot that is taken before a lock is waited for does not have what the lock's holder has done.
func TestWhatALockWaitedForIsSeenBehindIt(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2, Users: alone().Users}, func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "waited", "create table counted (n bigserial)")
		a, b := conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)
		others := []*pgconn.PgConn{conn(t, r.Endpoint, l), conn(t, r.Endpoint, l)}
		for _, do := range []string{"begin", "insert into counted default values", "commit"} { // either connection has another session's values
			for _, c := range others {
				ask(t, c, do)
			}
		}
		ask(t, b, "begin; lock table counted")
		ask(t, a, "begin isolation level repeatable read")
		said := make(chan string)
		go func() {
			got, err := asked(t.Context(), a, "lock table counted; insert into counted default values; select count(*) from counted")
			said <- fmt.Sprint(got, err)
		}()
		direct := conn(t, r.server.Endpoint, l)
		for ask(t, direct, "select count(*) from pg_locks where not granted and relation = 'counted'::regclass") != "1" {
			time.Sleep(time.Millisecond)
		}
		ask(t, b, "insert into counted default values; commit")
		if got := <-said; got != "4<nil>" {
			t.Errorf("the session is told %s", got)
		}
	})
}
