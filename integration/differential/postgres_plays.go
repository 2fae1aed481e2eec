package differential

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Plays are several requests that belong together, and that single statements at random would hardly ever make.

// nest is a transaction with savepoints in which settings are changed, and what is left of them.
func (g *pgGenerator) nest() []request {
	all := []string{g.pick("begin", "start transaction read write", "begin isolation level repeatable read")}
	names := []string{"a", "b", "a", "c"} // the second a hides the first
	for _, name := range names[:1+g.r.IntN(len(names))] {
		all = append(all, "savepoint "+name)
		for range 1 + g.r.IntN(2) {
			s := pgSettings[g.r.IntN(7)]
			all = append(all, g.pick("set local ", "set local ", "set ", "set session ")+s.name+" to "+g.pick(s.values...))
		}
	}
	for range g.r.IntN(4) {
		all = append(all, g.pick("rollback to a", "rollback to b", "rollback to c", "release a", "release b", "select 1/0", pgAllSettings, "set local role r{i}", "reset work_mem",
			"set local my.own = 'nested'", "show search_path"))
	}
	all = append(all, g.pick("commit", "commit", "rollback", "rollback to a; commit", "commit and chain", "rollback and chain"), pgAllSettings)
	g.inTx = strings.HasSuffix(all[len(all)-2], "chain")
	switch g.r.IntN(4) {
	case 0: // as one query
		return []request{simple(strings.Join(all, "; "))}
	case 1: // before the first answer
		var q pgRequest
		for _, sql := range all {
			if !strings.Contains(sql, ";") {
				q = append(q, g.unnamed(sql)...)
			}
			if g.r.IntN(3) == 0 {
				q = append(q, &pgproto3.Sync{})
			}
		}
		return []request{append(q, &pgproto3.Sync{})}
	}
	var requests []request
	for _, sql := range all {
		requests = append(requests, simple(sql))
	}
	return requests
}

// pgUnlessFailed is refused in a transaction that failed, and so are the messages behind it: PostgreSQL 18.6 does not survive the
// Execute of a portal that such a transaction has left.
var pgUnlessFailed = &pgproto3.Parse{Query: "select 1"}

// portal is a portal of the protocol that is read in pieces, in several requests and by SQL.
func (g *pgGenerator) portal() []request {
	sql := g.pick("select n, n::text, 'ü' from generate_series(1, 9) n", "select id, name from d{i}.u order by 1", "with all_of_it as (update d{i}.u set name = 'portal' returning id, name) select * from all_of_it order by 1", "values (1, true), (2, false), (3, null)",
		"select timestamptz '2020-06-01 12:00+00', date '2020-06-01', 1.5::float8, interval '1 day' from generate_series(1, 4)", "set my.own = 'portal'", "show datestyle", "selekt")
	bind := &pgproto3.Bind{DestinationPortal: g.pick("p", "p", "")}
	if g.r.IntN(2) == 0 {
		bind.ResultFormatCodes = []int16{int16(g.r.IntN(2))}
	}
	execute := func() *pgproto3.Execute {
		return &pgproto3.Execute{Portal: bind.DestinationPortal, MaxRows: uint32(g.r.IntN(4))}
	}
	again := func(messages ...pgproto3.FrontendMessage) pgRequest {
		return append(append(pgRequest{pgUnlessFailed}, messages...), &pgproto3.Sync{})
	}
	var requests []request
	if g.r.IntN(4) > 0 {
		requests = append(requests, simple("begin"))
	}
	first := pgRequest{&pgproto3.Parse{Query: sql}, bind}
	if g.r.IntN(2) == 0 {
		first = append(first, &pgproto3.Describe{ObjectType: 'P', Name: bind.DestinationPortal})
	}
	requests = append(requests, append(first, execute(), &pgproto3.Sync{}))
	for range 1 + g.r.IntN(4) {
		switch g.r.IntN(9) {
		case 0:
			requests = append(requests, again(&pgproto3.Describe{ObjectType: 'P', Name: bind.DestinationPortal}))
		case 1:
			requests = append(requests, again(&pgproto3.Close{ObjectType: 'P', Name: bind.DestinationPortal}, execute()))
		case 2:
			requests = append(requests, simple(g.pick("fetch 2 from p", "move p", "close p", "select name from pg_cursors where name <> '' order by 1")))
		case 3: // a portal of that name is there already
			requests = append(requests, pgRequest{&pgproto3.Parse{Query: "select 1"}, &pgproto3.Bind{DestinationPortal: "p"}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{}})
		case 4: // a cursor of SQL is a portal, too
			requests = append(requests, simple(g.pick("declare c cursor for values (1), (2), (3)", "declare c cursor with hold for values (4), (5), (6)")),
				again(&pgproto3.Describe{ObjectType: 'P', Name: "c"}, &pgproto3.Execute{Portal: "c", MaxRows: 1}))
		case 5:
			requests = append(requests, again(execute(), &pgproto3.Flush{}, execute()))
		default:
			requests = append(requests, again(execute()))
		}
	}
	return append(requests, simple(g.pick("commit", "rollback")))
}

// phases is a commit in two phases. Transactions that are prepared have names of the whole server.
func (g *pgGenerator) phases() []request {
	name := fmt.Sprintf("'%s %d'", g.database, g.number)
	requests := []request{simple("begin"), simple(g.pick("insert into d{i}.f values (7, 1, 7)", "insert into d{i}.f values (7, 9)", "select 1"))}
	for range g.r.IntN(3) {
		requests = append(requests, simple(g.pick("set my.own = 'prepared'", "set local work_mem = '9MB'", "savepoint a", "set role r{i}", g.statement())))
	}
	requests = append(requests, g.either("prepare transaction "+name), simple(g.pick("select id from d{i}.f order by 1", pgAllSettings, g.statement())))
	if g.r.IntN(4) == 0 {
		requests = append(requests, simple("rollback"))
	}
	g.inTx = false
	return append(requests, simple("end"), g.either(g.pick("commit prepared ", "rollback prepared ")+name))
}

// either is a statement by either protocol.
func (g *pgGenerator) either(sql string) request {
	if g.r.IntN(2) == 0 {
		return g.extended(sql)
	}
	return simple(sql)
}

// copies are COPY by both protocols, among other statements, in text and binary.
func (g *pgGenerator) copies() []request {
	data := func() pgRequest {
		rows := &pgproto3.CopyData{Data: []byte(g.pick("7\tcopied\n", "8\t\\N\n", "wrong\n", "9\tü\n", "9\t\xfc\n", "10\thalf", ""))}
		if g.r.IntN(5) == 0 {
			return pgRequest{rows, &pgproto3.CopyFail{Message: "enough"}}
		}
		return pgRequest{rows, &pgproto3.CopyDone{}}
	}
	out := g.pick("copy (select n, 'x' from generate_series(1, 3) n) to stdout (format csv, header)", "copy (values (1, true), (2, null)) to stdout (format binary)",
		"copy (select name from d{i}.u order by 1) to stdout (delimiter '|')", "copy (select coalesce(current_setting('my.own', true), ''), 1 / (n - 2) from generate_series(1, 3) n) to stdout")
	in := g.pick("copy d{i}.u from stdin", "copy t (id, name) from stdin", "copy d{i}.u (id, name) from stdin (null 'nothing')")
	switch g.r.IntN(6) {
	case 0:
		return []request{simple(out)}
	case 1:
		return []request{append(pgRequest{&pgproto3.Parse{Query: out}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}}, g.extended(g.statement())...)}
	case 2:
		q := simple("set my.own = 'copy'; " + in + "; " + g.statement() + "; " + in + "; select 2")
		return []request{append(append(q, data()...), data()...)}
	case 3:
		q := append(pgRequest{&pgproto3.Parse{Query: in}, &pgproto3.Bind{}, &pgproto3.Execute{}}, data()...)
		return []request{append(q, &pgproto3.Sync{})}
	case 4:
		return []request{simple("begin"), append(simple(in), data()...), simple(g.statement()), simple(g.pick("commit", "rollback"))}
	}
	return []request{append(simple(in), data()...), simple(g.pick("select * from d{i}.u order by 1, 2"))}
}

// calls are the protocol's own function calls, of functions of the server.
func (g *pgGenerator) calls() []request {
	call := func(function uint32, arguments ...string) request {
		m := &pgproto3.FunctionCall{Function: function}
		for _, a := range arguments {
			m.Arguments = append(m.Arguments, []byte(numbered(g.number, a)))
		}
		return pgRequest{m}
	}
	lock := fmt.Sprint((4000+int64(g.number))<<32 | 5)
	switch g.r.IntN(7) {
	case 0:
		return []request{call(pgAdvisoryLock, lock), simple(g.statement()), call(pgAdvisoryUnlock, lock)}
	case 1:
		return []request{call(pgAdvisoryLock, lock), simple(g.statement()), simple(g.pick("select pg_advisory_unlock_all()", "discard all"))}
	case 2:
		return []request{call(pgSetConfig, "my.own", "called", g.pick("false", "true")), simple("select coalesce(current_setting('my.own', true), '')")}
	case 3:
		return []request{call(pgNextval, "d{i}.q"), simple(g.pick("select currval('d{i}.q')")), call(pgCurrval, "d{i}.q")}
	case 4:
		return []request{simple("begin"), call(pgSetConfig, "work_mem", "9MB", "true"), call(pgSetConfig, "timezone", "nowhere", "false"), simple("commit"), simple("show work_mem")}
	case 5:
		return []request{call(1), simple(g.statement())}
	}
	return []request{call(pgLower, "ABC")}
}

// Functions of the server by their numbers, which are the same in every version (pg_proc.dat).
const (
	pgLower          = 870
	pgNextval        = 1574
	pgCurrval        = 1575
	pgSetConfig      = 2078
	pgAdvisoryLock   = 2880
	pgAdvisoryUnlock = 2882
)

// encodings is text in client encodings in which a byte that looks like a backslash or a quote may be half a character.
func (g *pgGenerator) encodings() []request {
	encoding := g.pick("SJIS", "BIG5", "GBK", "GB18030", "UHC", "LATIN1", "EUC_JP", "UTF8")
	requests := []request{
		simple("set standard_conforming_strings = " + g.pick("on", "off")),
		simple(g.pick("set client_encoding = '", "set names '") + encoding + "'"),
	}
	for range 1 + g.r.IntN(3) {
		two := g.pick("\x83\x5c", "\xa5\x5c", "\xdf\x5c", "\x81\x7c", "\xe9", "\xc3\xa9", "é")
		sql := g.pick("select '"+two+"', 'x'", "select '"+two+"'; set my.own = 'inside'; --'", "set my.own = '"+two+"'", "select e'"+two+"'' || 'x'; set work_mem = '9MB'; --'",
			`select 'a\'; set my.own = 'in'; --'`, `select 'a\\'; set my.own = 'out'; --'`, "select 1 as \""+two+"\"", "select $$"+two+"$$; set timezone = 'UTC'", "select '"+two+"' -- "+two+"\n, 2")
		requests = append(requests, g.either(sql))
	}
	return append(requests, simple(g.pick("set names 'UTF8'", "reset client_encoding", "reset all", "discard all", "select coalesce(current_setting('my.own', true), '')")))
}

// timeouts are statements that a setting ends, and a setting that would end others'.
func (g *pgGenerator) timeouts() []request {
	// What is said before the timeout comes must not depend on when it does: there are no columns.
	sleep := g.pick("insert into d{i}.u select 9, pg_sleep(60)::text")
	switch g.r.IntN(4) {
	case 0:
		return []request{simple("begin; set local statement_timeout = '99ms'; " + sleep), simple(g.pick("rollback", "commit"))}
	case 1:
		return []request{simple("set my.own = 'lost'; set statement_timeout = '99ms'; " + sleep), simple("show statement_timeout")}
	case 2:
		return []request{simple("begin"), simple("set local lock_timeout = '10ms'"), simple(g.pick("select count(*) from d{i}.u")), simple("end")}
	}
	return []request{simple("set statement_timeout = '30s'"), simple(g.statement()), simple("reset statement_timeout")}
}
