package differential

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// numbered writes a session's number into a text.
func numbered(i int, text string) string { return strings.ReplaceAll(text, "{i}", fmt.Sprint(i)) }

// pgGroup is a kind of requests. A session makes requests of some groups only, so that each meets each.
type pgGroup struct {
	name   string
	weight int                            // of its statements among others'
	makes  func(g *pgGenerator) string    // one statement
	plays  func(g *pgGenerator) []request // or several requests that belong together
}

var pgGroups = []pgGroup{
	{name: "look", weight: 30, makes: (*pgGenerator).look},
	{name: "settings", weight: 14, makes: (*pgGenerator).setting},
	{name: "transactions", weight: 10, makes: (*pgGenerator).transaction},
	{name: "tables", weight: 10, makes: (*pgGenerator).table},
	{name: "errors", weight: 3, makes: (*pgGenerator).mistake},
	{name: "roles", weight: 4, makes: (*pgGenerator).role},
	{name: "temporary", weight: 5, makes: (*pgGenerator).temporaryTable},
	{name: "locks", weight: 4, makes: (*pgGenerator).lock},
	{name: "sequences", weight: 3, makes: (*pgGenerator).sequence},
	{name: "prepare", weight: 4, makes: (*pgGenerator).prepareSQL},
	{name: "cursors", weight: 3, makes: (*pgGenerator).cursor},
	{name: "channels", weight: 2, makes: (*pgGenerator).channel},
	{name: "functions", weight: 4, makes: (*pgGenerator).function},
	{name: "resets", weight: 3, makes: (*pgGenerator).discard},
	{name: "commits", weight: 4, makes: (*pgGenerator).deferred},
	{name: "nests", plays: (*pgGenerator).nest},
	{name: "portals", plays: (*pgGenerator).portal},
	{name: "phases", plays: (*pgGenerator).phases},
	{name: "copies", plays: (*pgGenerator).copies},
	{name: "calls", plays: (*pgGenerator).calls},
	{name: "encodings", plays: (*pgGenerator).encodings},
	{name: "timeouts", plays: (*pgGenerator).timeouts},
}

// pgGenerator makes the requests of a session.
type pgGenerator struct {
	r         *rand.Rand
	number    int
	database  string
	code      bool // there is code in the database, and more may be created
	groups    []pgGroup
	total     int // of their weights
	plays     []func(*pgGenerator) []request
	local     int // of ten SETs, so many are SET LOCAL
	inTx      bool
	temporary bool // there are temporary tables
}

const pgRequests = 24

func (p postgres) generate(r *rand.Rand, number int) session {
	g := pgGenerator{r: r, number: number, database: p.database(), code: p.code, local: r.IntN(6)}
	for _, one := range pgGroups {
		wanted := one.name == "look" || one.name == "transactions" || one.name == "tables" || r.IntN(3) == 0
		if p.groups != nil {
			wanted = p.groups[one.name]
		}
		wanted = wanted && (p.code || one.name != "functions")
		switch {
		case wanted && one.plays != nil:
			g.plays = append(g.plays, one.plays)
		case wanted:
			g.groups = append(g.groups, one)
			g.total += one.weight
			g.temporary = g.temporary || one.name == "temporary" || one.name == "functions"
		}
	}
	s := session{number: number, login: harness.App().InClear()}
	s.startup = g.startup()
	if r.IntN(12) == 0 {
		s.login = harness.Superuser().InClear()
	}
	s.login.Database = p.database()
	for len(s.requests) < pgRequests {
		if len(g.plays) > 0 && r.IntN(6) == 0 {
			s.requests = append(s.requests, g.plays[r.IntN(len(g.plays))](&g)...)
		} else {
			s.requests = append(s.requests, g.request())
		}
	}
	s.requests = append(s.requests, simple("rollback"), simple(pgAllSettings))
	return s
}

func (g *pgGenerator) startup() map[string]string {
	all := []map[string]string{
		{"application_name": "diff"},
		{"search_path": numbered(g.number, "e{i},d{i}"), "timezone": "Asia/Tokyo"},
		{"options": numbered(g.number, "-c work_mem=5MB --search_path=d{i} -c my.own=s")},
		{"datestyle": "German", "client_encoding": "LATIN1"},
		{"default_transaction_isolation": "serializable", "extra_float_digits": "0", "my.other": "start"},
		{"role": numbered(g.number, "r{i}")},
		{"options": numbered(g.number, `-c role=r{i} -c my.own=a\ b\\c`), "application_name": "optional"},
		{"standard_conforming_strings": "off", "client_min_messages": "error"},
		{"TimeZone": "Europe/Berlin", "DateStyle": "SQL, DMY", "IntervalStyle": "iso_8601"},
		{"default_transaction_read_only": "on", "statement_timeout": "10min"},
		{"client_encoding": "SJIS", "search_path": ""},
	}
	switch n := g.r.IntN(40); {
	case n == 0:
		return map[string]string{g.pick("timezone", "work_mem", "no_such_setting"): "nothing"}
	case n < 20:
		return nil
	}
	return all[g.r.IntN(len(all))]
}

func (g *pgGenerator) pick(choices ...string) string {
	return numbered(g.number, choices[g.r.IntN(len(choices))])
}

// request makes one, by any of the ways that the protocol has.
func (g *pgGenerator) request() request {
	switch g.r.IntN(12) {
	case 0, 1, 2:
		return g.pipeline()
	case 3:
		return simple(g.several())
	case 4:
		return g.named()
	case 5:
		if g.r.IntN(3) == 0 {
			return g.copyIn()
		}
	}
	sql := g.statement()
	if g.r.IntN(3) > 0 {
		return simple(sql)
	}
	return g.extended(sql)
}

func (g *pgGenerator) statement() string {
	for {
		if sql := g.any(); g.code || !mayHoldCode.MatchString(sql) {
			return sql
		}
	}
}

// mayHoldCode is of statements behind which a proxy must take it that the database has code.
var mayHoldCode = regexp.MustCompile(`\b(do \$\$|create (temp )?(function|view)|create table|alter)\b`)

// any is a statement of any group.
func (g *pgGenerator) any() string {
	n := g.r.IntN(g.total)
	for _, one := range g.groups {
		if n -= one.weight; n < 0 {
			return one.makes(g)
		}
	}
	panic("weights do not add up")
}

func simple(sql string) pgRequest { return pgRequest{&pgproto3.Query{String: sql}} }

// several is a query of two to five statements.
func (g *pgGenerator) several() string {
	var all []string
	for range 2 + g.r.IntN(4) {
		all = append(all, g.statement())
	}
	return strings.Join(all, "; ") + g.pick("", ";", " ; ")
}

// extended is a statement by the extended protocol, without a name.
func (g *pgGenerator) extended(sql string) pgRequest {
	return append(g.unnamed(sql), &pgproto3.Sync{})
}

func (g *pgGenerator) unnamed(sql string) pgRequest {
	q := pgRequest{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}}
	if g.r.IntN(2) == 0 {
		q = append(q, &pgproto3.Describe{ObjectType: 'P'})
	}
	return append(q, &pgproto3.Execute{})
}

// pipeline is several statements before the first answer, with a Sync behind some.
func (g *pgGenerator) pipeline() pgRequest {
	var q pgRequest
	for range 2 + g.r.IntN(4) {
		switch g.r.IntN(4) {
		case 0:
			q = append(q, g.named()...)
		case 1:
			// Behind an error a server skips all up to a Sync, queries too, and does not answer them.
			q = append(q, &pgproto3.Sync{}, &pgproto3.Query{String: g.statement()})
		default:
			q = append(q, g.unnamed(g.statement())...)
			if g.r.IntN(3) == 0 {
				q = append(q, &pgproto3.Sync{})
			}
		}
	}
	return append(q, &pgproto3.Sync{})
}

// pgStatements are prepared by name: each with a parameter of type int, which some have declared.
var pgStatements = []string{
	"select $1::int + 1", "select name from t where id = $1 order by 1", "insert into t (id, name) values ($1, 'by name') returning id",
	"select current_setting('work_mem'), $1::int", "select * from x where $1::int > 0", "select current_schemas(false), $1::int",
	"update t set name = 'upd' where id = $1", "selekt $1", "select to_char(timestamptz '2020-06-01 12:00+00', 'HH24') || $1::int",
}

// named is one to three messages about a prepared statement, and a Sync.
func (g *pgGenerator) named() pgRequest {
	name := g.pick("a", "b", "c", "")
	var q pgRequest
	if g.r.IntN(3) == 0 {
		parse := &pgproto3.Parse{Name: name, Query: g.pick(pgStatements...)}
		if g.r.IntN(2) == 0 {
			parse.ParameterOIDs = []uint32{23}
		}
		q = append(q, parse)
	}
	switch g.r.IntN(8) {
	case 0:
		q = append(q, &pgproto3.Close{ObjectType: 'S', Name: name})
	case 1:
		q = append(q, &pgproto3.Describe{ObjectType: 'S', Name: name})
	case 2: // a portal that is read in pieces, and may outlive the Sync
		q = append(q, &pgproto3.Parse{Name: name, Query: "select n from generate_series(1, 5) n where $1::int > 0"}, g.bind("p", name),
			&pgproto3.Execute{Portal: "p", MaxRows: uint32(1 + g.r.IntN(3))}, &pgproto3.Sync{}, pgUnlessFailed, &pgproto3.Execute{Portal: "p"})
	default:
		if g.r.IntN(4) == 0 {
			q = append(q, &pgproto3.Describe{ObjectType: 'S', Name: name})
		}
		q = append(q, g.bind("", name), &pgproto3.Execute{})
	}
	return append(q, &pgproto3.Sync{})
}

func (g *pgGenerator) bind(portal, name string) *pgproto3.Bind {
	n := 1 + g.r.IntN(3)
	b := &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name, Parameters: [][]byte{[]byte(fmt.Sprint(n))}}
	if g.r.IntN(4) == 0 {
		b.ParameterFormatCodes, b.Parameters[0] = []int16{1}, binary.BigEndian.AppendUint32(nil, uint32(n))
	}
	return b
}

func (g *pgGenerator) copyIn() pgRequest {
	q := simple(g.pick("copy t (id, name) from stdin", "copy d{i}.u from stdin", "copy nowhere from stdin"))
	q = append(q, &pgproto3.CopyData{Data: []byte(g.pick("5\tcopied\n", "6\t\\N\n", "wrong\n"))})
	if g.r.IntN(4) == 0 {
		return append(q, &pgproto3.CopyFail{Message: "enough"})
	}
	return append(q, &pgproto3.CopyDone{})
}
