package postgres

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// prepared are statements that a session has by the protocol. The table of b goes before it executes them.
var prepared = []*pgproto3.Parse{
	{Name: "a", Query: "select 8"}, {Name: "b", Query: "select n, 7 from gone"}, {Name: "c", Query: "select set_config('my.own', 'c', false)"},
}

// asTheServer sends simple Queries, or, after "extended", a statement of the other protocol, to a server and through the proxy, each to
// a session that has prepared statements, where another one has made a value of a sequence, and compares what it is told.
func asTheServer(t *testing.T, r *rig, l harness.Login, scripts [][]string) {
	for _, script := range scripts {
		t.Run(strings.Join(script, ";"), func(t *testing.T) {
			var said [2]string
			for i, at := range []harness.Endpoint{r.server.Endpoint, r.Endpoint} {
				said[i] = told(t, at, l, script)
			}
			if said[0] != said[1] {
				t.Errorf("got\n%swant\n%s", said[1], said[0])
			}
		})
	}
}

func told(t *testing.T, at harness.Endpoint, l harness.Login, script []string) (said string) {
	t.Helper()
	other, f := conn(t, at, l), frontend(t, conn(t, at, l))
	ask(t, other, "create table gone (n int)")
	for _, p := range prepared {
		f.send(p, &pgproto3.Sync{})
		f.expect("1 Z(I)")
	}
	ask(t, other, "drop table gone; drop table if exists counted; create table counted (n bigserial)")
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
	return said
}

// untilReadyInWords is untilReady with what errors say.
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
