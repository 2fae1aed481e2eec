package differential

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
	driver "github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// mysql makes sessions of MySQL and MariaDB. Session N has the databases dN and eN, and perhaps xN, locks whose names begin with lN,
// and the distributed transaction gN. Sessions of different workers have different numbers.
type mysql struct {
	groups map[string]bool // which kinds of requests are made; all if nil
	maria  bool
	worker int
}

// maxMyWorkers bounds workers, each of which has sessionsOfScript numbers: one digit or two, so that texts are as long in all.
const maxMyWorkers = 8

// number is what stands for {i} in the texts of a script's session.
func (m mysql) number(session int) int { return 10 + m.worker*sessionsOfScript + session }

func (m mysql) login(e harness.Endpoint, s *session) (connection, string, error) {
	collation := byte(255) // utf8mb4_0900_ai_ci
	if m.maria {
		collation = 45 // utf8mb4_general_ci
	}
	c, greeting, err := openMySQL(e, s, collation)
	if err != nil {
		return nil, greeting, err
	}
	return c, greeting, nil
}

// myObjects are one session's that no script changes for good.
var myObjects = []string{
	"drop database if exists d{i}", "drop database if exists e{i}", "create database d{i}", "create database e{i} collate latin1_swedish_ci",
	"grant all on d{i}.* to app@'%'", "grant all on e{i}.* to app@'%'", "grant all on x{i}.* to app@'%'",
	"create table d{i}.t (id int auto_increment primary key, name varchar(20))",
	"create table e{i}.t (id int auto_increment primary key, name varchar(20), more int)",
	"create table d{i}.u (id int primary key, n tinyint)",
	"create table d{i}.a (id int auto_increment primary key, k int unique, n int default 0)",
	"create table d{i}.w (n int)", "create table d{i}.x (a int)",
	"create procedure d{i}.p(in n int) begin select n + 1; select n, 'two' union select 3, 'three'; end",
	"create procedure d{i}.changes(out a int, inout b int) begin set a = b + 1, b = 7; insert into d{i}.w values (b); end",
	"create procedure d{i}.setter(in z varchar(20)) begin set time_zone = z; end",
	"create procedure d{i}.adds(in n varchar(20)) begin insert into d{i}.t (name) values (n); end",
	"create procedure d{i}.failer() begin insert into d{i}.w values (5); signal sqlstate '45000' set message_text = 'failed'; end",
	"create procedure d{i}.warner() begin select cast('1x' as signed); end",
	"create procedure d{i}.uses() begin drop temporary table if exists pt; create temporary table pt (n int); insert into pt values (4); select * from pt; end",
	"create function d{i}.f(n int) returns int deterministic return n + 1",
	"create function d{i}.fails(n int) returns int deterministic begin if n > 1 then signal sqlstate '45000' set message_text = 'too many'; end if; return n; end",
	"create procedure d{i}.ansi() begin set sql_mode = 'ANSI_QUOTES'; end",
	"create function d{i}.adder(n int) returns int modifies sql data begin insert into d{i}.a (k) values (n); return last_insert_id(); end",
	"create view d{i}.v as select id, name from d{i}.t where id < 10",
	"create trigger d{i}.wt before insert on d{i}.w for each row set new.n = new.n * 2",
}

func (m mysql) prepare(t harness.T, s *harness.Server) {
	if err := m.rollBack(s); err != nil {
		t.Fatalf("%v", err)
	}
	for i := range sessionsOfScript {
		for _, q := range myObjects {
			harness.Exec(t, s, numbered(m.number(i), q))
		}
	}
	t.Cleanup(func() {
		for i := range sessionsOfScript {
			for _, q := range []string{
				"drop database if exists d{i}", "drop database if exists e{i}", "drop database if exists x{i}",
				"revoke all on d{i}.* from app@'%'", "revoke all on e{i}.* from app@'%'", "revoke all on x{i}.* from app@'%'",
			} {
				if err := s.Exec(context.Background(), numbered(m.number(i), q)); err != nil {
					t.Errorf("%s: %v", numbered(m.number(i), q), err)
				}
			}
		}
	})
}

// myReset brings back what scripts change. To make a table anew takes far longer than to empty it.
var myReset = []string{
	"drop database if exists x{i}", "drop procedure if exists d{i}.mine", "drop function if exists d{i}.own",
	"delete from d{i}.t", "delete from e{i}.t", "delete from d{i}.a", "delete from d{i}.u", "delete from d{i}.w", "delete from d{i}.x",
	"alter table d{i}.t auto_increment = 1", "alter table e{i}.t auto_increment = 1", "alter table d{i}.a auto_increment = 1",
	"insert into d{i}.t (name) values ('one of d{i}'), ('two of d{i}')", "insert into e{i}.t (name, more) values ('one of e{i}', 7)",
	"insert into d{i}.u values (1, 1)", "insert into d{i}.x values (1), (2), (3)",
}

// myTables makes anew the tables that scripts alter or drop.
var myTables = []string{"drop table if exists d{i}.x, d{i}.y, d{i}.z", "create table d{i}.x (a int)"}

func (m mysql) reset(s *harness.Server, sessions int) error {
	if err := m.rollBack(s); err != nil {
		return err
	}
	whole, err := untouched(s)
	if err != nil {
		return err
	}
	all := []string{"set lock_wait_timeout = 20"}
	for i := range sessions {
		if !whole[numbered(m.number(i), "d{i}")] {
			for _, q := range myTables {
				all = append(all, numbered(m.number(i), q))
			}
		}
		for _, q := range myReset {
			all = append(all, numbered(m.number(i), q))
		}
	}
	return execWithin(s, all...)
}

// untouched says which schemas have the tables of myTables and no others of scripts.
func untouched(s *harness.Server) (schemas map[string]bool, err error) {
	db, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	rows, err := db.QueryContext(ctx, `select table_schema from information_schema.columns join information_schema.tables using (table_schema, table_name)
		where table_name in ('x', 'y', 'z') group by table_schema having group_concat(table_name, '.', column_name, ' ', data_type, ' ', engine) = 'x.a int InnoDB'`)
	if err != nil {
		return nil, err
	}
	schemas = map[string]bool{}
	for rows.Next() {
		var schema string
		if err := rows.Scan(&schema); err != nil {
			return nil, err
		}
		schemas[schema] = true
	}
	return schemas, rows.Err()
}

// rolledBack is XA_RBROLLBACK: the server had rolled the transaction back by itself.
const rolledBack = 1402

// rollBack ends distributed transactions that were prepared: they outlive their sessions.
func (m mysql) rollBack(s *harness.Server) error {
	db, err := s.GoMySQLDB(harness.Superuser())
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // all answers are there
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	rows, err := db.QueryContext(ctx, "xa recover")
	if err != nil {
		return err
	}
	var left []string
	for rows.Next() {
		var format, first, second int
		var id string
		if err := rows.Scan(&format, &first, &second, &id); err != nil {
			return err
		}
		left = append(left, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i := range sessionsOfScript {
		if id := numbered(m.number(i), "g{i}"); slices.Contains(left, id) {
			var e *driver.MySQLError
			if _, err := db.ExecContext(ctx, "xa rollback '"+id+"'"); err != nil && !(errors.As(err, &e) && e.Number == rolledBack) {
				return err
			}
		}
	}
	return nil
}

// myGroup is a kind of requests.
type myGroup struct {
	name   string
	weight int
	makes  func(g *myGenerator) string
}

var myGroups = []myGroup{
	{"look", 30, (*myGenerator).look},
	{"settings", 14, (*myGenerator).setting},
	{"transactions", 10, (*myGenerator).transaction},
	{"tables", 10, (*myGenerator).table},
	{"ids", 8, (*myGenerator).insertID},
	{"variables", 5, (*myGenerator).variable},
	{"values", 8, (*myGenerator).value},
	{"errors", 3, (*myGenerator).mistake},
	{"temporary", 5, (*myGenerator).temporaryTable},
	{"locks", 4, (*myGenerator).lock},
	{"handlers", 3, (*myGenerator).handler},
	{"xa", 3, (*myGenerator).xa},
	{"prepare", 4, (*myGenerator).prepareSQL},
	{"routines", 5, (*myGenerator).routine},
	{"code", 2, (*myGenerator).code},
	{"databases", 4, (*myGenerator).database},
	{"comments", 2, (*myGenerator).comment},
}

// always are groups that every session has; it has each of the others by chance.
func always(group string) bool {
	return group == "look" || group == "transactions" || group == "tables"
}

// myGenerator makes the requests of a session.
type myGenerator struct {
	r      *rand.Rand
	number int
	maria  bool
	home   string // the database of its login
	groups []myGroup
	total  int // of their weights
	inTx   bool
	next   []string        // statements that follow in this order
	binary int             // of 28 requests, so many are of the binary protocol
	rare   int             // and of 100, so many are other commands
	typed  map[string]bool // statements whose parameters have types
}

const myRequests = 24

func (m mysql) generate(r *rand.Rand, n int) session {
	g := myGenerator{r: r, number: m.number(n), maria: m.maria}
	for _, one := range myGroups {
		wanted := always(one.name) || r.IntN(3) == 0
		if m.groups != nil {
			wanted = m.groups[one.name]
		}
		if wanted {
			g.groups = append(g.groups, one)
			g.total += one.weight
		}
	}
	if m.groups == nil || m.groups["statements"] {
		g.binary = r.IntN(3) * 6
	}
	s := session{number: g.number, login: harness.App().InClear(), startup: g.startup(m.groups == nil)}
	forgotten := m.maria && (strings.Contains(s.startup["capabilities"], "ignore_space") || strings.Contains(s.startup["capabilities"], "interactive"))
	if m.groups == nil && !forgotten { // with a reset MariaDB forgets these, which Berth does not
		g.rare = r.IntN(3) * 6
	}
	if r.IntN(12) == 0 && m.groups == nil {
		s.login = harness.Superuser().InClear()
	}
	s.login.Database = ""
	if r.IntN(4) > 0 {
		s.login.Database = numbered(g.number, "d{i}")
	}
	g.home = s.login.Database
	for range myRequests {
		s.requests = append(s.requests, g.request())
	}
	for len(g.next) > 0 {
		s.requests = append(s.requests, g.request())
	}
	s.requests = append(s.requests, query("rollback"), query(g.allSettings()), query(g.pick("select * from d{i}.t")))
	return s
}

// startup is what a session says at login. All but the form of answers makes it a connection of its own kind at the server, which
// only few sessions of a script may have, or none would ever meet another one's.
func (g *myGenerator) startup(kinds bool) map[string]string {
	startup := map[string]string{}
	var words []string
	switch g.r.IntN(4) {
	case 0:
		words = append(words, "deprecate_eof")
	case 1:
		words = append(words, "deprecate_eof", "session_track")
	case 2: // reports behind rows come with a later OK
		words = append(words, "session_track")
	}
	for _, word := range []string{"found_rows", "ignore_space", "interactive", "local_files", "query_attributes"} {
		if g.r.IntN(24) == 0 && kinds {
			words = append(words, word)
		}
	}
	if len(words) > 0 {
		startup["capabilities"] = strings.Join(words, " ")
	}
	if g.r.IntN(10) == 0 && kinds {
		// latin1_swedish_ci, gbk_chinese_ci, utf8mb3_general_ci, utf8mb4_general_ci, utf8mb4_bin, utf8mb4_unicode_ci
		startup["collation"] = g.pick("8", "28", "33", "45", "46", "224")
	}
	return startup
}

func query(sql string) myRequest { return myRequest{command: protocol.COM_QUERY, text: sql} }

func (g *myGenerator) pick(choices ...string) string {
	return numbered(g.number, choices[g.r.IntN(len(choices))])
}

// statement is a statement of any group.
func (g *myGenerator) statement() string {
	if len(g.next) > 0 {
		sql := g.next[0]
		g.next = g.next[1:]
		return sql
	}
	n := g.r.IntN(g.total)
	for _, one := range g.groups {
		if n -= one.weight; n < 0 {
			return one.makes(g)
		}
	}
	panic("weights do not add up")
}

// follow says which statements follow the one that is being made.
func (g *myGenerator) follow(all ...string) {
	for _, sql := range all {
		g.next = append(g.next, numbered(g.number, sql))
	}
}

func (g *myGenerator) request() request {
	if len(g.next) > 0 {
		return query(g.statement())
	}
	switch n := g.r.IntN(100); {
	case n < g.rare:
		return g.command()
	case n < g.rare+6:
		return query(g.statement() + "; " + g.statement() + g.pick("", "; select 3", "; selekt; select 4"))
	}
	if g.r.IntN(28) < g.binary {
		return g.prepared()
	}
	return query(g.statement())
}

// command is any command but those of statements.
func (g *myGenerator) command() request {
	switch g.r.IntN(9) {
	case 0, 1:
		// Servers forget the character set of the default database, and MySQL that of the login, to both of which Berth goes back.
		g.follow("set names utf8mb4", "use d{i}")
		return myRequest{command: protocol.COM_RESET_CONNECTION}
	case 2, 3:
		return myRequest{command: protocol.COM_INIT_DB, text: g.pick("d{i}", "e{i}", "nowhere")}
	case 4:
		return myRequest{command: protocol.COM_PING}
	case 5:
		return myRequest{command: protocol.COM_SET_OPTION, number: g.r.IntN(2)}
	case 6:
		if g.maria {
			return myRequest{command: protocol.COM_FIELD_LIST, text: g.pick("t", "u", "nothing")}
		}
	case 7:
		if g.r.IntN(6) == 0 {
			return query(g.pick("kill {id}", "kill query {id}", "kill connection {id}", "commit release", "rollback release"))
		}
	}
	l := harness.App()
	if g.r.IntN(3) == 0 {
		l = harness.Superuser()
	}
	if g.r.IntN(8) == 0 && !g.maria { // which stays what it was, though without what the session had set; Berth ends the session
		l.Password = "wrong"
	}
	l.Database = g.pick(g.home, g.home, "d{i}", "e{i}", "")
	return myRequest{command: protocol.COM_CHANGE_USER, login: l}
}

// myStatements are prepared in the binary protocol. None reads user variables: the types that a statement has of them stay those of when it
// was prepared, or not. None shows a key beside a join, nor sorts one: what a server says of such columns, and whether it used an index, depends on its plan.
var myStatements = []string{
	"select ? + 1", "select ?, ?", "select name from t where id = ? order by 1", "insert into d{i}.t (name) values (?)", "select @@sql_mode, @@time_zone", "selekt ?",
	"update d{i}.t set name = 'upd' where id = ?", "select * from d{i}.x", "select * from d{i}.x where a > ?", "insert into d{i}.x (a) values (?)", "select last_insert_id()", "select last_insert_id(?)",
	"select database()", "commit", "call d{i}.p(?)", "call d{i}.changes(?, ?)", "call d{i}.adds(?)", "select d{i}.f(?)", "select d{i}.fails(?)", "select d{i}.fails(id) from d{i}.t order by id", "insert into d{i}.a (k) values (?), (?)", "insert into d{i}.a (id, k) values (?, ?)",
	"set time_zone = ?", "set sql_mode = ?", "create temporary table d{i}.k (n int)", "drop temporary table if exists d{i}.k", "select get_lock(?, 0)", "do release_lock(?)", "select row_count()", "select found_rows()", "show warnings",
	"select t.id + 0, t.name, u.n from d{i}.t left join d{i}.u on u.id = t.id where t.id = ?", "select concat(?, 'ü')", "select * from d{i}.v order by 1", "set @a = ?", "select ? into @b", "select @c := ?", "select id from t order by id", "delete from d{i}.u where n = ?",
	"select \"double\"", "select 'x' || ?", "select * from d{i}.y", "select cast(? as signed)",
}

// prepared is a command of prepared statements.
func (g *myGenerator) prepared() request {
	q := myRequest{statement: g.pick("a", "b", "c")}
	switch g.r.IntN(24) {
	case 0, 1, 2, 3, 4, 5:
		q.command, q.text = protocol.COM_STMT_PREPARE, g.pick(myStatements...)
		if sql := g.statement(); g.r.IntN(4) == 0 && !strings.Contains(strings.ReplaceAll(sql, "@@", ""), "@") {
			q.text = sql
		}
		delete(g.typed, q.statement)
		return q
	case 6:
		q.command = protocol.COM_STMT_CLOSE
		return q
	case 7:
		q.command = protocol.COM_STMT_RESET
		return q
	case 8, 9:
		q.command, q.number, q.text = protocol.COM_STMT_SEND_LONG_DATA, g.r.IntN(2), g.pick("long", "", "100", "a long text ")
		return q
	case 10, 11, 12, 13:
		q.command, q.number = protocol.COM_STMT_FETCH, g.r.IntN(3)+1
		return q
	}
	q.command = protocol.COM_STMT_EXECUTE
	if g.r.IntN(30) == 0 {
		q.statement = "nobody's"
	}
	q.cursor = g.r.IntN(4) == 0
	for range 2 {
		q.values = append(q.values, g.pick("1", "2", "x", null, "-3", "+02:00", "l{i}a", "9999999"))
	}
	if g.r.IntN(3) == 0 && g.typed[q.statement] { // before there were any, it hangs on how the server means the statement to which types it takes them
		return q
	}
	if g.typed == nil {
		g.typed = map[string]bool{}
	}
	g.typed[q.statement] = true
	types := []byte{
		protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_VAR_STRING, protocol.MYSQL_TYPE_LONGLONG, protocol.MYSQL_TYPE_TINY,
		protocol.MYSQL_TYPE_BLOB, protocol.MYSQL_TYPE_NULL, protocol.MYSQL_TYPE_DATE, protocol.MYSQL_TYPE_NEWDECIMAL,
	}
	for range 2 {
		q.types = append(q.types, types[g.r.IntN(len(types))])
	}
	return q
}
