package mysql

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// fundamental are the variables that a fresh session of a server does not have from DEFAULT (the character sets, and the
// timeout of interactive clients, come from the handshake; of two switches MySQL's DEFAULT is the opposite), and those that
// drivers set most often, mostly to what they are already.
var fundamental = []string{
	clientCharset, resultsCharset, connectionCollation, waitTimeout, "foreign_key_checks", "unique_checks",
	"autocommit", "sql_mode", "time_zone", autoIsNull, "net_write_timeout", completionType,
}

// statementTime is the variable that accounts of MariaDB may limit (MAX_STATEMENT_TIME), which COM_RESET_CONNECTION and DEFAULT forget.
const statementTime = "max_statement_time"

// completionType is the variable by which COMMIT and ROLLBACK may end the connection (RELEASE).
const completionType = "completion_type"

// identity is what tells a server from others that may answer at the same address later: replication needs server_id to be unique.
const identity = "@@GLOBAL.server_id, @@GLOBAL.hostname"

// readBase finds out who the server is, and which values the connection has that no session may change for another.
func (u *upstream) readBase(initQuery string) error {
	names := fundamental
	if u.greeting.mariaDB {
		names = append(names[:len(names):len(names)], statementTime)
	}
	assigned := setReader{actReader: actReader{rest: []byte(initQuery)}}
	assigned.text()
	for _, name := range append(u.reported, assigned.names...) {
		name = dialectOf(u.greeting.version, u.greeting.mariaDB).variable(name)
		if len(names) < maxSettings && restorable(name, "0") && !slices.Contains(names, name) {
			names = append(names[:len(names):len(names)], name)
		}
	}
	query, d := "SELECT "+identity+", @@SESSION."+strings.Join(names, ", @@SESSION.")+", @@GLOBAL.max_prepared_stmt_count, @@GLOBAL.init_connect", dialectOf(u.greeting.version, u.greeting.mariaDB)
	if d.hasRoles() {
		query += ", CURRENT_ROLE()"
	}
	row, err := u.ask(query)
	if err != nil {
		return err
	}
	if d.hasRoles() && len(row) == 2+len(names)+3 {
		u.role, row = d.setRole(row[len(row)-1]), row[:len(row)-1]
	}
	if len(row) != 2+len(names)+2 {
		return broken("not as many values as variables")
	}
	n := 2 + len(names)
	u.server, u.statements = row[0]+" "+row[1], row[n]
	initConnect, row := row[n+1], row[2:n]
	for i, name := range names {
		if restorable(name, row[i]) {
			u.base, _ = u.base.with(name, row[i])
		}
		u.releases = u.releases || name == completionType && !restorable(name, row[i])
	}
	u.collate(initQuery)
	return u.readInitConnect(initConnect, names)
}

// readInitConnect finds out what init_connect has set for the connection, which COM_RESET_CONNECTION takes away. That is a text for users without
// certain privileges; values say best what came of it. known are variables that are in the base already.
func (u *upstream) readInitConnect(text string, known []string) error {
	if text == "" {
		return nil
	}
	var names []string
	assigns, statements := false, split([]byte(text))
	for _, statement := range statements {
		r := setReader{actReader: actReader{rest: statement}}
		assigns = r.text() && r.variables
		names = append(names, r.names...)
	}
	d := dialectOf(u.greeting.version, u.greeting.mariaDB)
	u.initial = slices.Clone(known)
	var columns, asked []string
	for _, name := range names {
		name = d.variable(name)
		if len(u.initial) < maxSettings && restorable(name, "0") && !slices.Contains(u.initial, name) {
			u.initial, asked = append(u.initial, name), append(asked, name)
			columns = append(columns, "@@SESSION."+name)
		}
	}
	c := userVariablesIn(class{kinds: bit(engine.KindUserVariable)}, []byte(text))
	if len(statements) == 1 && assigns && c.users() != nil {
		for _, name := range c.users().names {
			columns = append(columns, string(appendUser(nil, name))+" IS NOT NULL")
		}
	}
	if columns == nil {
		return nil
	}
	row, err := u.ask("SELECT " + strings.Join(columns, ", "))
	var unknown *engine.ServerError
	switch {
	case errors.As(err, &unknown): // to a user for whom the text is not executed it may be any
		return nil
	case err != nil:
		return err
	case len(row) != len(columns):
		return broken("not as many values as variables")
	}
	for i, name := range asked {
		if restorable(name, row[i]) {
			u.base, _ = u.base.with(name, row[i])
		}
	}
	if slices.Contains(row[len(asked):], "1") {
		u.initConnect = text
	}
	return nil
}

// split returns the statements of a text, which is read in the simplest way.
func split(text []byte) (all [][]byte) {
	r, begin := actReader{rest: text}, text
	for {
		p := r.next()
		if p.kind != tokenNone && !p.char(';') {
			continue
		}
		if statement := bytes.TrimSpace(begin[:len(begin)-len(r.rest)-len(p.bytes)]); len(statement) > 0 {
			all = append(all, statement)
		}
		if p.kind == tokenNone {
			return all
		}
		begin = r.rest
	}
}

// setRole is the statement that takes the roles of CURRENT_ROLE(): MySQL lists them as SET ROLE does, MariaDB has one name, or NULL.
func (d dialect) setRole(role string) string {
	switch {
	case d.mariaDB && role == "":
		role = "NONE"
	case d.mariaDB:
		role = "`" + strings.ReplaceAll(role, "`", "``") + "`"
	}
	return "SET ROLE " + role
}

// collate adds to the base which collations character sets have: that of the handshake, as connections have at first, unless the
// target's own query may have set one of them.
func (u *upstream) collate(initQuery string) {
	q := strings.ToLower(initQuery)
	if strings.Contains(q, "char") || strings.Contains(q, "names") || strings.Contains(q, "coll") {
		return
	}
	d := dialectOf(u.greeting.version, u.greeting.mariaDB)
	collation, _ := u.base.value(connectionCollation)
	for _, name := range [...]string{clientCharset, resultsCharset} {
		if charset, _ := u.base.value(name); strings.HasPrefix(collation, charset+"_") {
			u.base, _ = u.base.with(name, d.withCollation(charset, collation))
		}
	}
}

// note notes which variables an OK packet reports as set.
func (u *upstream) note(packet []byte) {
	var o okPacket
	if !o.parse(packet) {
		return
	}
	for name := range variables(o.state) {
		switch {
		case automatic(name), derived(name), string(name) == connectionCharset, string(name) == serverCharset:
		case len(u.reported) < maxSettings:
			u.reported = append(u.reported, string(name))
		}
	}
}

// arm is what a backend needs behind COM_RESET_CONNECTION: the trackers, and what the handshake said. In its place MySQL then has the
// server's global character sets and collation, MariaDB the global sql_mode and wait_timeout.
func (u *upstream) arm() string {
	names := []string{clientCharset, resultsCharset, connectionCollation}
	if u.greeting.mariaDB {
		names = names[:0]
		if u.caps&protocol.CLIENT_IGNORE_SPACE != 0 {
			names = append(names, "sql_mode")
		}
		if u.caps&protocol.CLIENT_INTERACTIVE != 0 {
			names = append(names, waitTimeout)
		}
	}
	initial := u.initial
	if limit, ok := u.base.value(statementTime); ok && limit != "0.000000" {
		initial = append(initial[:len(initial):len(initial)], statementTime)
	}
	for _, name := range initial {
		if _, ok := u.base.value(name); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var reset *settings
	for _, name := range names {
		reset, _ = reset.with(name, "\x00") // no value of the base's
	}
	if reset == nil {
		return trackers
	}
	return string(difference([]byte(trackers+", "), reset, nil, u.base))
}
